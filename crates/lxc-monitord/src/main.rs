//! `lxc-monitord`: fans state changes of the containers of one lxcpath out to listeners.
//!
//! Started by lxc-monitor as `lxc-monitord LXCPATH FD`, or by an administrator with `--daemon`. Not in the multi-call
//! binary: it is no command. Here: the command line; the work is in `daemon`.
#![forbid(unsafe_code)]

mod daemon;

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;

use daemon::{Daemon, IDLE, Lifetime};
use lxc_core::container::default_lxcpath;

const USAGE: &str = "\
Usage: lxc-monitord LXCPATH FD
       lxc-monitord --daemon [LXCPATH]

lxc-monitor starts this program when it needs it; there is no need to run it by hand.
";

/// What the words ask for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// Tell the descriptor when listening; end when nobody listens any more.
    OnDemand {
        lxcpath: PathBuf,
        sync: i32,
    },
    Persistent {
        lxcpath: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let Some(wanted) = read(&words) else {
        let _ = std::io::stderr().lock().write_all(USAGE.as_bytes());
        return ExitCode::FAILURE;
    };
    match run(wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "lxc-monitord: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read(words: &[OsString]) -> Option<Wanted> {
    match words {
        [daemon] if daemon == "--daemon" => Some(Wanted::Persistent { lxcpath: None }),
        [daemon, lxcpath] if daemon == "--daemon" => {
            Some(Wanted::Persistent { lxcpath: Some(lxcpath.into()) })
        }
        [lxcpath, sync] if !lxcpath.as_bytes().starts_with(b"-") => {
            let sync = sync.to_str()?.parse().ok().filter(|fd| *fd > 2)?;
            Some(Wanted::OnDemand { lxcpath: lxcpath.into(), sync })
        }
        _ => None,
    }
}

fn run(wanted: Wanted) -> lxc_core::Result<()> {
    let (lxcpath, lifetime, sync) = match wanted {
        Wanted::OnDemand { lxcpath, sync } => {
            (lxcpath, Lifetime::WhileWatched(IDLE), lxc_sys::fd::adopt(sync).ok())
        }
        Wanted::Persistent { lxcpath } => {
            (lxcpath.unwrap_or_else(default_lxcpath), Lifetime::Unlimited, None)
        }
    };
    let mut daemon = Daemon::start(&lxcpath, lifetime)?;
    if let Some(sync) = sync {
        // The other side may have gone; then it does not wait.
        let _ = rustix::io::write(&sync, b"S");
    }
    daemon.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Option<Wanted> {
        read(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn two_forms_are_understood() {
        assert_eq!(words(&["/p", "4"]), Some(Wanted::OnDemand { lxcpath: "/p".into(), sync: 4 }));
        assert_eq!(words(&["--daemon"]), Some(Wanted::Persistent { lxcpath: None }));
        assert_eq!(words(&["--daemon", "/p"]), Some(Wanted::Persistent { lxcpath: Some("/p".into()) }));
        for wrong in
            [&[][..], &["/p"], &["/p", "x"], &["/p", "1"], &["--help", "4"], &["--daemon", "/p", "x"]]
        {
            assert_eq!(words(wrong), None, "{wrong:?}");
        }
    }
}
