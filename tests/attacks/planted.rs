//! Links planted where the tools keep their own files: runtime directories, lock files, directories of a user.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use testkit::{Guest, Subject, cases, subject};

use crate::evidence::Outside;

/// Words that run a tool where `/run` is what `plant` (a shell line; `$A` is the attacker's directory) makes of it.
fn with_run(attacker: &std::path::Path, plant: &str) -> Vec<OsString> {
    let line = format!(
        "A={}; mount -t tmpfs none /run && cd /run && {plant}; cd /; exec \"$@\"",
        attacker.display()
    );
    ["/usr/bin/unshare", "-m", "--propagation", "private", "/bin/sh", "-c", &line, "sh"]
        .map(Into::into)
        .to_vec()
}

const PLANTED: [&str; 5] = [
    "ln -s $A lxc",
    "mkdir lxc && ln -s $A lxc/lock",
    "mkdir -p lxc/lock && ln -s $A lxc/lock/tmp",
    "ln -s $A/made lxc",
    "mkdir lxc && ln -s $A/made lxc/lock",
];

cases! {
    fn cve_2015_1331_planted_links_in_the_runtime_directory() {
        for plant in PLANTED {
            let attacker = PathBuf::from(format!("/tmp/lxc-rs-test/attacker-{}", std::process::id()));
            drop(fs::remove_dir_all(&attacker));
            fs::create_dir_all(&attacker).unwrap();
            fs::set_permissions(&attacker, fs::Permissions::from_mode(0o777)).unwrap();
            let guest = Guest::build("planted").under(with_run(&attacker, plant)).make();
            let done = guest.try_start();
            if done.code == 0 {
                let _ = guest.tool("lxc-stop").arg("-k").done();
            }
            let run = guest.bare_tool("lxc-create").arg("-P").arg(guest.lxcpath()).args(["-n", "made", "-t", "none"]);
            let _ = run.done();
            let _ = guest.tool("lxc-destroy").done();
            let found: Vec<_> = fs::read_dir(&attacker).unwrap().flatten().map(|entry| entry.path()).collect();
            fs::remove_dir_all(&attacker).unwrap();
            assert!(found.is_empty(), "{plant}: {found:?}");
        }
    }

    fn cve_2015_1331_a_lock_file_that_is_a_link() {
        let guest = Guest::build("lockfile").make();
        let outside = Outside::of(&guest);
        let place = format!("/run/lxc/lock/{}", guest.lxcpath().display());
        fs::create_dir_all(&place).unwrap();
        for target in [outside.baited.join("file"), outside.empty.join("made")] {
            let link = PathBuf::from(&place).join(format!(".{}", guest.name()));
            drop(fs::remove_file(&link));
            symlink(target, &link).unwrap();
            let done = guest.try_start();
            if done.code == 0 {
                guest.kill();
            }
            drop(fs::remove_file(&link));
            outside.assert_untouched();
        }
        drop(fs::remove_dir(&place));
    }

    fn cve_2015_1331_directories_of_a_user_are_not_used_by_root() {
        // sudo may keep these; what is in them is the user's.
        let guest = Guest::build("xdg").make();
        let outside = Outside::of(&guest);
        for variable in ["XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "TMPDIR"] {
            let run = guest.tool("lxc-start").arg("-d").env(variable, &outside.empty);
            if run.done().code == 0 {
                guest.kill();
            }
            let run = guest.bare_tool("lxc-create").arg("-P").arg(guest.lxcpath()).args(["-n", "made", "-t", "none"]);
            let _ = run.env(variable, &outside.empty).done();
            let run = guest.bare_tool("lxc-destroy").arg("-P").arg(guest.lxcpath()).args(["-n", "made"]);
            let _ = run.env(variable, &outside.empty).done();
            outside.assert_untouched();
        }
    }

    fn cve_2015_1331_the_runtime_directory_is_of_root_alone() {
        let guest = Guest::build("rundir").start();
        for dir in ["/run/lxc", "/run/lxc/lock"] {
            let Ok(meta) = fs::symlink_metadata(dir) else { continue };
            assert!(meta.is_dir(), "{dir}");
            assert_eq!(meta.permissions().mode() & 0o022, 0, "{dir} may be written by others");
        }
        guest.kill();
        // Nobody says /run/lock, which is for everybody.
        if Subject::current().is_ours() {
            let path = subject::repository().join("crates/lxc-core/src/paths.rs");
            assert!(!fs::read_to_string(path).unwrap().contains("/run/lock"));
        }
    }
}
