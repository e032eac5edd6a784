//! Names of containers that are paths, formats, options or several lines.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::{Guest, cases};

use crate::evidence::Outside;

/// Names no container may have, with what somebody hopes they do.
fn hostile() -> Vec<String> {
    let mut names: Vec<String> = [
        "..",
        ".",
        "a/b",
        "/tmp/absolute",
        "../outside",
        "../../etc",
        "a\nb",
        "x\nlxc.hook.pre-start = /bin/true",
        "tab\tx\r",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("n".repeat(256));
    names.push("n".repeat(5000));
    names
}

/// Every path below a directory.
fn names(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(names(&entry.path()));
        }
        found.push(entry.path());
    }
    found.sort();
    found
}

cases! {
    fn cve_2026_23954_create_makes_nothing_outside_of_the_container_directory() {
        let guest = Guest::build("titles").make();
        let outside = Outside::of(&guest);
        // Deep enough that every way up still ends in this test's own directory.
        let lxcpath = guest.lxcpath().join("one/two/three");
        fs::create_dir_all(&lxcpath).unwrap();
        let before = names(guest.lxcpath());
        for name in hostile() {
            let run = guest.bare_tool("lxc-create").arg("-P").arg(&lxcpath);
            let done = run.args(["-n", &name, "-t", "none"]).done();
            assert_ne!(done.code, 0, "created {name:?}: {done}");
            assert_eq!(names(guest.lxcpath()), before, "{name:?}");
        }
        outside.assert_untouched();
        assert!(!Path::new("/tmp/absolute").exists());
    }

    fn cve_2026_23954_destroy_removes_nothing_outside_of_the_container_directory() {
        let guest = Guest::build("titles").make();
        let outside = Outside::of(&guest);
        // What is beside the container's directory looks like a container.
        fs::create_dir_all(guest.lxcpath().join("inner")).unwrap();
        for name in ["../outside/baited", "../outside", "..", "../", ".", "outside/baited", "outside/../outside/baited"] {
            let run = guest.bare_tool("lxc-destroy").arg("-P").arg(guest.lxcpath().join("inner"));
            let _ = run.args(["-f", "-n", name]).done();
            assert!(guest.config().exists(), "{name}");
        }
        outside.assert_untouched();
    }

    fn cve_2026_23954_a_template_s_name_leads_to_templates_only() {
        let guest = Guest::build("titles").make();
        let mark = guest.lxcpath().join("ran");
        let script = format!("#!/bin/sh\ntouch {}\nexit 1\n", mark.display());
        testkit::rootfs::write_script(&guest.lxcpath().join("lxc-evil"), &script);
        let up = "../".repeat(12);
        let inside = guest.lxcpath().strip_prefix("/").unwrap().display().to_string();
        for template in [format!("{up}{inside}/lxc-evil"), format!("x/{up}{inside}/lxc-evil"), format!("../../..{}/lxc-evil", guest.lxcpath().display())] {
            let run = guest.bare_tool("lxc-create").arg("-P").arg(guest.lxcpath()).args(["-n", "made", "-t", &template]);
            assert_ne!(run.done().code, 0, "{template}");
            assert!(!mark.exists(), "{template}");
        }
    }

    fn formats_in_a_name_are_only_a_name() {
        let guest = Guest::build("titles").make();
        let name = "%s%n%x%500000d";
        let run = guest.bare_tool("lxc-create").arg("-P").arg(guest.lxcpath());
        let done = run.args(["-n", name, "-t", "none"]).done();
        if done.code == 0 {
            let config = fs::read_to_string(guest.lxcpath().join(name).join("config")).unwrap();
            assert!(config.len() < 4096 && !config.contains("0x"), "{config}");
            let info = guest.bare_tool("lxc-info").arg("-P").arg(guest.lxcpath()).args(["-n", name]).done();
            assert!(info.stdout.contains(name), "{info}");
        }
    }

    fn a_name_writes_no_lines_of_its_own_into_a_log() {
        let guest = Guest::build("titles").make();
        let log = guest.dir().join("log");
        let name = "a\nlxc-start b 20260101000000.000 ERROR    forged - x:y:1 - line";
        for tool in ["lxc-start", "lxc-info", "lxc-stop"] {
            let run = guest.bare_tool(tool).arg("-P").arg(guest.lxcpath()).args(["-n", name]);
            let done = run.arg("-o").arg(&log).args(["-l", "TRACE"]).done();
            assert_ne!(done.code, 0, "{done}");
        }
        let text = fs::read_to_string(&log).unwrap_or_default();
        assert!(!text.lines().any(|line| line.starts_with("lxc-start b 2026")), "{text}");
        // The name may also not name the file.
        assert_eq!(fs::read_dir(guest.lxcpath()).unwrap().count(), 1);
    }
}
