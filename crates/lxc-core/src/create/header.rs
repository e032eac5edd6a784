//! The comment lines a new container's configuration starts with.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use crate::paths;

/// The header for a container made by `template` with `args`.
///
/// - Shape:  comments and one empty line at the end; a line break in an argument cannot end the comment.
/// - Source: reference config.md §3, save_config.
pub fn text(template: &Path, args: &[OsString]) -> String {
    let mut text =
        format!("# Template used to create this container: {}\n", one_line(&template.to_string_lossy()));
    text.push_str("# Parameters passed to the template:");
    for arg in args {
        let _ = write!(text, " {}", one_line(&arg.to_string_lossy()));
    }
    let nesting = paths::data_dir().join("config/nesting.conf");
    let _ = write!(
        text,
        "\n# For additional config options, please look at lxc.container.conf(5)\n\n\
         # Uncomment the following line to support nesting containers:\n\
         #lxc.include = {}\n\
         # (Be aware this has security implications)\n\n",
        nesting.display()
    );
    text
}

/// A `\n` in an argument would start a line of configuration: hooks run as root.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_comment_or_empty() {
        let args = ["-a", "b c", "x\nlxc.hook.pre-start = /bin/evil"].map(OsString::from);
        let text = text(Path::new("/t/lxc-x"), &args);
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{text}");
        assert!(text.starts_with("# Template used to create this container: /t/lxc-x\n"));
        assert!(
            text.contains("\n# Parameters passed to the template: -a b c x?lxc.hook.pre-start = /bin/evil\n")
        );
        assert!(text.ends_with("# (Be aware this has security implications)\n\n"));
    }

    #[test]
    fn no_arguments_leave_the_line_empty() {
        assert!(text(Path::new("/t"), &[]).contains("\n# Parameters passed to the template:\n"));
    }
}
