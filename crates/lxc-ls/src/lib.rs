//! `lxc-ls`: lists containers.
#![forbid(unsafe_code)]

mod columns;
mod json;
mod nested;
mod rows;
mod text;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use lxc_cli::{Ctx, Names, exit};
use lxc_core::container::default_lxcpath;
use lxc_core::select::Sockets;

use columns::Column;
use rows::{Needs, Row, Wanted};

/// The options of `lxc-ls`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// One name a line
    #[arg(short = '1', long)]
    line: bool,
    /// A table
    #[arg(short = 'f', long)]
    fancy: bool,
    /// Columns of the table, joined by commas: NAME, STATE, PID, RAM, SWAP, AUTOSTART, GROUPS, INTERFACE, IPV4, IPV6,
    /// UNPRIVILEGED
    #[arg(short = 'F', long, value_name = "COLUMNS")]
    fancy_format: Option<String>,
    /// Only running and frozen containers
    #[arg(long)]
    active: bool,
    /// Only running containers
    #[arg(long)]
    running: bool,
    /// Only frozen containers
    #[arg(long)]
    frozen: bool,
    /// Only stopped containers
    #[arg(long)]
    stopped: bool,
    /// Only containers with a configuration file
    #[arg(long)]
    defined: bool,
    /// Containers within containers too, NUM levels deep (default: 5)
    #[arg(long, value_name = "NUM", num_args = 0..=1, require_equals = true, default_missing_value = "5")]
    nesting: Option<String>,
    /// Only containers that are in all these groups, joined by commas
    #[arg(short = 'g', long, value_name = "GROUPS")]
    groups: Vec<String>,
    /// Only names that match this extended regular expression
    #[arg(long, value_name = "REGEX")]
    filter: Option<String>,
    /// text, or json: one object {"schema": "lxc-ls", "version": 1, "lxcpath", "containers": [{"name", "state",
    /// "defined", "pid", "memory_bytes", "swap_bytes", "autostart", "groups", "interfaces", "ipv4", "ipv6",
    /// "unprivileged", "nested": […]}]}
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text", hide_default_value = true)]
    format: String,
    /// What a container within a container is asked with
    #[arg(long, hide = true)]
    nested_in: Option<i32>,
}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>("lxc-ls", "[OPTION…] [REGEX]", "Lists containers.")
}

lxc_cli::tool!("lxc-ls", names: Names::None);

/// Prints nothing at all when no container is to be listed.
#[allow(clippy::needless_pass_by_value, reason = "the signature every tool has")]
pub fn run(args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    let lxcpath = ctx.lxcpath().map_or_else(default_lxcpath, PathBuf::from);
    let json = args.format == "json";
    let columns = columns(&args)?;
    let wanted = wanted(&args, ctx, &columns, json);
    if let Some(pid) = args.nested_in {
        return nested::answer(pid, &lxcpath);
    }
    let rows = rows::collect(&lxcpath, &Sockets::read()?, &wanted, |name, lines| {
        lines.iter().for_each(|line| ctx.error(line));
        exit::plain(format_args!("Failed to load config for {name}"));
    })?;
    let mut out = String::new();
    if json {
        out = json::document(&lxcpath, &rows)?;
    } else if rows.is_empty() {
        return Ok(ExitCode::SUCCESS);
    } else if args.fancy {
        match columns {
            Ok(columns) => text::table(&mut out, &columns, &rows),
            Err(unknown) => exit::plain(format_args!("Invalid key: {unknown}")),
        }
    } else if args.line {
        text::lines(&mut out, &rows);
    } else {
        let stdout = std::io::stdout();
        let width = match stdout.is_terminal() {
            true => rustix::termios::tcgetwinsize(&stdout).ok().map(|size| usize::from(size.ws_col)),
            false => None,
        };
        text::padded(&mut out, &rows, width);
    }
    std::io::stdout().lock().write_all(out.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The columns of the table, or the first word that names none.
type Columns = Result<Vec<Column>, String>;

fn columns(args: &Args) -> anyhow::Result<Columns> {
    Ok(match &args.fancy_format {
        Some(text) if args.fancy => columns::parse(text),
        _ => Ok(columns::DEFAULT.to_vec()),
    })
}

fn wanted(args: &Args, ctx: &Ctx, columns: &Columns, json: bool) -> Wanted {
    let pattern = args.filter.clone().or_else(|| match ctx.operands() {
        // COMPAT: one word is a pattern, more are ignored.
        [word] => Some(word.to_string_lossy().into_owned()),
        _ => None,
    });
    let shown = match (columns, json, args.fancy) {
        (_, true, _) => columns::ALL.to_vec(),
        (Ok(columns), false, true) => columns.clone(),
        _ => Vec::new(),
    };
    let split =
        |text: &String| text.split(',').filter(|group| !group.is_empty()).map(str::to_owned).collect();
    Wanted {
        active: args.active,
        running: args.running,
        frozen: args.frozen,
        stopped: args.stopped,
        defined: args.defined,
        groups: args.groups.iter().flat_map::<Vec<String>, _>(split).collect(),
        // COMPAT: an empty `--groups` still drops the containers without any group.
        any_group: !args.groups.is_empty(),
        pattern,
        nesting: args.nesting.as_deref().map_or(0, depth),
        needs: Needs::of(&shown),
    }
}

/// COMPAT: read as atoi(3) does; a word that is no number is no depth.
fn depth(text: &str) -> u32 {
    let digits: String = text.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// Every name of a row and the rows within, outermost first.
fn walk<'a>(rows: &'a [Row], visit: &mut impl FnMut(&'a Row, &[&'a str])) {
    fn inner<'a>(rows: &'a [Row], parents: &mut Vec<&'a str>, visit: &mut impl FnMut(&'a Row, &[&'a str])) {
        for row in rows {
            visit(row, parents);
            parents.push(&row.name);
            inner(&row.nested, parents, visit);
            parents.pop();
        }
    }
    inner(rows, &mut Vec::new(), visit);
}
