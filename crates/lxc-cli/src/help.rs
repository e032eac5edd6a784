//! The help and usage texts, made from a tool's `clap::Command`.
//!
//! Not clap's own renderer: wrappers know the original's layout, and both texts go to stderr.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::args::COMMON_HEADING;

/// Column where the descriptions of the common options start.
const COMMON_COLUMN: usize = 35;
/// Least and greatest column where the descriptions of a tool's own options start.
const OWN_COLUMNS: (usize, usize) = (20, 28);

/// The options a tool's `--usage` ends with, in the original's order.
const COMMON_USAGE: [&str; 10] = [
    "[-n|--name=NAME]",
    "[-h|--help]",
    "[-?|--help]",
    "[--usage]",
    "[--version]",
    "[-q|--quiet]",
    "[-o|--logfile=LOGFILE]",
    "[-l|--logpriority=LOGPRIORITY]",
    "[-P|--lxcpath=LXCPATH]",
    "[--rcfile=RCFILE]",
];

fn is_common(arg: &Arg) -> bool {
    arg.get_help_heading() == Some(COMMON_HEADING)
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values() && arg.get_num_args().is_none_or(|range| range.max_values() > 0)
}

fn value_is_optional(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|range| range.min_values() == 0)
}

/// The text of `--usage`: four options a line, each with its long name in capitals as the value's name.
pub fn usage(command: &Command) -> String {
    let own =
        command.get_arguments().filter(|arg| !is_common(arg) && !arg.is_positional() && !arg.is_hide_set());
    // A tool may have a use of its own for `-o` (lxc-mount).
    let has_o = command.get_arguments().any(|arg| arg.get_id() == "logfile" && arg.get_short().is_some());
    let common = COMMON_USAGE.map(|item| if has_o { item.to_owned() } else { item.replace("-o|", "") });
    let items = own.filter_map(usage_item).chain(common);
    let mut text = format!("Usage: {} ", command.get_name());
    for (index, item) in items.enumerate() {
        text.push_str(&item);
        text.push(' ');
        if index % 4 == 3 {
            text.push_str("\n\t");
        }
    }
    text.push('\n');
    text
}

fn usage_item(arg: &Arg) -> Option<String> {
    let long = arg.get_long()?;
    let mut item = String::from("[");
    if let Some(short) = arg.get_short() {
        let _ = write!(item, "-{short}|");
    }
    let _ = write!(item, "--{long}");
    if takes_value(arg) {
        let name = long.to_ascii_uppercase();
        match value_is_optional(arg) {
            true => {
                let _ = write!(item, "[={name}]");
            }
            false => {
                let _ = write!(item, "={name}");
            }
        }
    }
    item.push(']');
    Some(item)
}

/// The text of `--help`.
pub fn help(command: &Command) -> String {
    let mut clone = command.clone();
    let usage = clone.render_usage().to_string();
    let mut text = format!("{}\n", usage.trim_end());
    if let Some(about) = command.get_about() {
        let _ = write!(text, "\n{about}\n");
    }
    text.push_str("\nOptions :\n");
    let shown = |arg: &&Arg| !arg.is_positional() && !arg.is_hide_set();
    let in_own = |arg: &&Arg| !is_common(arg) || ["name", "rcfile"].contains(&arg.get_id().as_str());
    let mut own: Vec<&Arg> = command.get_arguments().filter(shown).filter(in_own).collect();
    // The name leads, wherever the definition has it.
    own.sort_by_key(|arg| arg.get_id() != "name");
    let column = own.iter().map(|arg| left_side(arg).len() + 2).max().unwrap_or(0);
    let column = column.clamp(OWN_COLUMNS.0, OWN_COLUMNS.1);
    own.iter().for_each(|arg| write_option(&mut text, arg, column));
    if let Some(extra) = command.get_after_help() {
        let _ = write!(text, "\n{extra}\n");
    }
    text.push_str("\nCommon options :\n");
    let common = command.get_arguments().filter(|arg| shown(arg) && !in_own(arg));
    common.for_each(|arg| write_option(&mut text, arg, COMMON_COLUMN));
    let _ = write!(
        text,
        "\nA value belongs to the short form of an option as well as to the long one.\n\n\
         See {}(1) for more.\n\n",
        command.get_name()
    );
    text
}

fn left_side(arg: &Arg) -> String {
    let mut left = String::from("  ");
    match (arg.get_short(), arg.get_id() == "help") {
        (Some(short), true) => {
            let _ = write!(left, "-{short}, -?, ");
        }
        (Some(short), false) => {
            let _ = write!(left, "-{short}, ");
        }
        (None, _) => left.push_str("    "),
    }
    if let Some(long) = arg.get_long() {
        let _ = write!(left, "--{long}");
    }
    if takes_value(arg) {
        let name =
            arg.get_value_names().and_then(|names| names.first()).map_or("VALUE", |name| name.as_str());
        match value_is_optional(arg) {
            true => {
                let _ = write!(left, "[={name}]");
            }
            false => {
                let _ = write!(left, "={name}");
            }
        }
    }
    left
}

fn write_option(text: &mut String, arg: &Arg, column: usize) {
    let left = left_side(arg);
    let description = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let mut lines = wrap(&description, 80 - column.min(60)).into_iter();
    if left.len() + 1 > column {
        let _ = writeln!(text, "{left}");
    } else {
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(text, "{}", format!("{left:column$}{first}").trim_end());
    }
    for line in lines {
        let _ = writeln!(text, "{:column$}{line}", "");
    }
}

/// Breaks at blanks so that no line is longer than `width`, when words allow.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.len() + 1 + word.len() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Args)]
    struct Own {
        /// Show variable KEY
        #[arg(short = 'c', long, value_name = "KEY")]
        _config: Vec<String>,
        /// Depth of a list of things that is explained at a length that does not fit into one line
        #[arg(long = "nesting", num_args = 0..=1, require_equals = true, value_name = "NUM")]
        _nesting: Option<Option<String>>,
    }

    #[test]
    fn usage_has_four_options_a_line_and_a_tab() {
        let command = crate::command::<Own>("lxc-t", "--name=NAME", "Tests.");
        assert_eq!(
            usage(&command),
            "Usage: lxc-t [-c|--config=CONFIG] [--nesting[=NESTING]] [-n|--name=NAME] [-h|--help] \n\
             \t[-?|--help] [--usage] [--version] [-q|--quiet] \n\
             \t[-o|--logfile=LOGFILE] [-l|--logpriority=LOGPRIORITY] [-P|--lxcpath=LXCPATH] [--rcfile=RCFILE] \n\
             \t\n"
        );
    }

    #[test]
    fn help_lists_own_options_under_the_name_and_wraps() {
        let command = crate::command::<Own>("lxc-t", "--name=NAME", "Tests.");
        let text = help(&command);
        assert!(
            text.starts_with("Usage: lxc-t --name=NAME\n\nTests.\n\nOptions :\n  -n, --name=NAME"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.len() <= 90), "{text}");
        assert!(text.contains("      --nesting[=NUM]"), "{text}");
        assert!(text.contains("\nCommon options :\n  -h, -?, --help"), "{text}");
    }
}
