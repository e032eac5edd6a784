//! Values with an end of line in them: whoever may choose a value must not get to write a configuration, whose hooks run as
//! root.

use std::fs;
use std::path::{Path, PathBuf};

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
        // A template that makes nothing: what is written is lxc-create's own.
        let template = guest.lxcpath().join("lxc-nothing");
        testkit::rootfs::write_script(&template, "#!/bin/sh\nexit 0\n");
        for (number, end) in ENDS.iter().enumerate() {
            let line = format!("{end}lxc.hook.pre-start = {}", script.display());
            let path = format!("{}/new{line}", guest.lxcpath().display());
            let plain = guest.lxcpath().display().to_string();
            // What is chosen by whom: container directory, name, options, and words for the template, which lxc-create
            // writes down as a comment.
            let cases: [(&str, &str, Vec<String>, Vec<String>); 5] = [
                (&plain, "dir", vec!["-B".to_owned(), "dir".to_owned(), format!("--dir={path}")], Vec::new()),
                (&plain, "storage", vec!["-B".to_owned(), format!("dir{line}")], Vec::new()),
                (&plain, "words", Vec::new(), vec![format!("--release=x{line}")]),
                (&plain, &line, Vec::new(), Vec::new()),
                (&path, "lxcpath", Vec::new(), Vec::new()),
            ];
            for (lxcpath, name, options, words) in cases {
                let name = format!("c{number}{name}");
                let run = guest.bare_tool("lxc-create").args(["-P", lxcpath, "-n", &name]).arg("-t").arg(&template);
                let done = run.args(options).arg("--").args(words).done();
                for config in configs(guest.lxcpath()) {
                    let text = fs::read_to_string(&config).unwrap();
                    let mut lines = text.split(['\n', '\r']);
                    assert!(!lines.any(|line| line.trim_start().starts_with("lxc.hook")), "{done}\n{text}");
                }
            }
        }
    }
}

fn configs(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.ends_with("config") && path.is_file() {
            found.push(path);
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !path.ends_with("rootfs") {
            found.extend(configs(&path));
        }
    }
    found
}
