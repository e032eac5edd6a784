//! Exit codes and the lines a failure is told with.
//!
//! Not here: the log file (`logging`). Every line goes to stderr; a closed stderr is not an error.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::panic::Location;
use std::process::ExitCode;

use lxc_core::Error;

/// Every failure without a code of its own.
pub const FAILURE: u8 = 1;
/// `lxc-stop`: the container was not running.
pub const NOT_RUNNING: u8 = 2;
/// `lxc-attach`: the command could not be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// `lxc-attach`: the command was not found.
pub const NOT_FOUND: u8 = 127;
/// `lxc-execute`: exec of the command failed.
pub const EXEC_FAILED: u8 = 255;

/// The exit code that stands for a wait(2) status: the code itself, or 128 plus the signal.
pub fn from_wait_status(status: i32) -> ExitCode {
    let signal = status & 0x7f;
    let code = if signal == 0 { (status >> 8) & 0xff } else { 128 + signal };
    ExitCode::from(u8::try_from(code).unwrap_or(FAILURE))
}

/// Writes one line to stderr as it is.
pub fn plain(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A message line in the original's shape.
///
/// - Shape: `PROG: NAME: FILE: FUNC: LINE TEXT`; without a name its part is missing. On a terminal the place in the
///   source is left out: it helps nobody there, while programs that read the lines (Proxmox) expect the words.
pub fn line(tool: &str, name: Option<&str>, place: Option<&Location<'_>>, text: impl Display) -> String {
    let mut out = format!("{tool}: ");
    if let Some(name) = name {
        let _ = write!(out, "{name}: ");
    }
    if let Some(place) = place {
        let file = place.file();
        let file = file.split_once("crates/").map_or(file, |(_, file)| file);
        let _ = write!(out, "{file}: {}_main: {} ", tool.replace('-', "_"), place.line());
    }
    let _ = write!(out, "{text}");
    out
}

/// The lines that explain an error: its text, the configuration line to blame, what to do about it.
pub fn explanation(error: &anyhow::Error) -> Vec<String> {
    let mut lines = vec![format!("{error:#}")];
    let typed = error.chain().find_map(|cause| cause.downcast_ref::<Error>());
    if let Some(origin) = typed.and_then(Error::origin) {
        lines.push(format!("config: {origin}"));
    }
    if let Some(cure) = typed.and_then(Error::cure_text) {
        lines.push(format!("cure: {cure}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use lxc_conf::model::Origin;
    use lxc_core::ErrorKind;

    use super::*;

    #[test]
    fn lines_have_the_originals_words() {
        let place = Location::caller();
        let text = line("lxc-stop", Some("c1"), Some(place), "c1 is not running");
        let words: Vec<&str> = text.splitn(6, ' ').collect();
        assert_eq!(words[0], "lxc-stop:");
        assert_eq!(words[1], "c1:");
        assert!(words[2].ends_with("exit.rs:"), "{text}");
        assert_eq!(words[3], "lxc_stop_main:");
        assert_eq!(words[4], place.line().to_string());
        assert_eq!(words[5], "c1 is not running");
        assert_eq!(line("lxc-stop", None, None, "x"), "lxc-stop: x");
    }

    #[test]
    fn an_error_names_its_line_and_its_cure() {
        let error = Error::new(ErrorKind::NotFound, "bridge br0 does not exist")
            .at(&Origin { file: Some("/c/config".into()), line: 7 })
            .cure("create it");
        let error = anyhow::Error::from(error).context("start c1");
        assert_eq!(
            explanation(&error),
            ["start c1: bridge br0 does not exist", "config: /c/config:7", "cure: create it"]
        );
    }
}
