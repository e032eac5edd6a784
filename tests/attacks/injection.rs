//! Values with an end of line in them: whoever may choose a value must not get to write a configuration, whose hooks run as
//! root.

use std::fs;
use std::path::PathBuf;

use testkit::{Guest, cases};

/// A program that shows that it ran.
fn evil(guest: &Guest) -> (PathBuf, PathBuf) {
    let (script, mark) = (guest.lxcpath().join("evil"), guest.lxcpath().join("ran"));
    testkit::rootfs::write_script(&script, &format!("#!/bin/sh\ntouch {}\n", mark.display()));
    (script, mark)
}

/// Texts that end a line, for some reader.
const ENDS: [&str; 3] = ["\n", "\r\n", "\r"];

cases! {
    fn cve_2026_newline_in_a_defined_value() {
        let guest = Guest::build("define").make();
        let (script, mark) = evil(&guest);
        for end in ENDS {
            for key in ["lxc.uts.name", "lxc.group", "lxc.environment", "lxc.console.logfile", "lxc.mount.entry", "lxc.init.cwd"] {
                let define = format!("{key}=a=b{end}lxc.hook.pre-start = {}", script.display());
                let _ = guest.tool("lxc-execute").arg("-s").arg(&define).args(["--", "/bin/true"]).done();
                assert!(!mark.exists(), "{define:?}");
                let done = guest.tool("lxc-start").arg("-d").arg("-s").arg(&define).done();
                if done.code == 0 {
                    guest.kill();
                }
                assert!(!mark.exists(), "{define:?}");
            }
        }
    }

    fn cve_2026_newline_in_what_lxc_create_writes() {
        let guest = Guest::build("create").make();
        let (script, _) = evil(&guest);
        for (number, end) in ENDS.iter().enumerate() {
            let line = format!("{end}lxc.hook.pre-start = {}", script.display());
            let dir = format!("{}/new{line}", guest.lxcpath().display());
            let options: [(&str, Vec<String>); 3] = [
                ("dir", vec!["-B".to_owned(), "dir".to_owned(), format!("--dir={dir}")]),
                ("name", Vec::new()),
                ("bdev", vec!["-B".to_owned(), format!("dir{line}")]),
            ];
            for (what, words) in options {
                let name = if what == "name" { format!("c{number}{line}") } else { format!("c{number}{what}") };
                let run = guest.bare_tool("lxc-create").arg("-P").arg(guest.lxcpath());
                let done = run.args(["-n", &name, "-t", "none"]).args(words).done();
                for config in configs(&guest) {
                    let text = fs::read_to_string(&config).unwrap();
                    let lines = text.split(['\n', '\r']);
                    assert!(!lines.into_iter().any(|line| line.trim_start().starts_with("lxc.hook")), "{done}\n{text}");
                }
            }
        }
    }
}

fn configs(guest: &Guest) -> Vec<PathBuf> {
    let entries = fs::read_dir(guest.lxcpath()).unwrap();
    entries.map(|entry| entry.unwrap().path().join("config")).filter(|path| path.is_file()).collect()
}
