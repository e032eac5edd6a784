//! Devices an image put in place of those it should get, and a /dev that is somewhere else.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use testkit::{Guest, Run, cases};

use crate::evidence::{MountWatch, Null, Outside};

const MAPPED: &str = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\nlxc.mount.auto =\nlxc.mount.auto = proc:mixed";

fn mapped(label: &str, conf: &str, prefix: &[&str]) -> Guest {
    let words = [&["/usr/bin/env", "PATH=/nonexistent"], prefix].concat();
    let words = if prefix.is_empty() { words } else { prefix.to_vec() };
    let prefix = words.iter().map(Into::into).collect();
    let guest = Guest::build(label).conf(MAPPED).conf(conf).under(prefix).make();
    Run::new("/bin/chown").args(["-R", "100000:100000"]).arg(guest.rootfs()).done().exits(0).ok();
    guest
}

/// Starts whatever `plant` made of the root, with and without a /dev of its own; nothing outside may change.
fn try_all(label: &str, conf: &str, plant: impl Fn(&Path, &Outside)) {
    let _null = Null::kept();
    for autodev in [0, 1] {
        let conf = format!("{conf}\nlxc.autodev = {autodev}\nlxc.tty.max = 1\n{}", MountWatch::conf());
        let guest = Guest::build(label).conf(&conf).make();
        let outside = Outside::of(&guest);
        let watch = MountWatch::of(&guest);
        plant(&guest.rootfs(), &outside);
        let done = guest.try_start();
        outside.assert_untouched();
        watch.assert_nothing_outside();
        if done.code == 0 {
            // A console that was mounted on something outside went away with the old root, and is not here.
            let here = guest.mountinfo().iter().any(|mount| mount.target == "/dev/console");
            let wanted = autodev == 1 || fs::symlink_metadata(guest.rootfs().join("dev/console")).is_ok();
            assert!(here || !wanted || conf.contains("console.path = none"), "where is the console? {done}");
            guest.kill();
        }
        outside.assert_untouched();
    }
}

fn link(place: &Path, to: impl Into<PathBuf>) {
    drop(fs::remove_dir_all(place));
    drop(fs::remove_file(place));
    symlink(to.into(), place).unwrap();
}

cases! {
    fn cve_2026_41579_dev_that_is_a_symlink() {
        try_all("devlink", "", |root, outside| link(&root.join("dev"), &outside.baited));
        try_all("devlink", "", |root, outside| link(&root.join("dev"), &outside.empty));
        try_all("devlink", "", |root, outside| {
            let up = PathBuf::from("../".repeat(16)).join(outside.baited.join("dev").strip_prefix("/").unwrap());
            link(&root.join("dev"), up);
        });
        try_all("devlink", "", |root, _| link(&root.join("dev"), "dev"));
    }

    fn cve_2025_52565_console_that_is_a_symlink() {
        for target in ["console", "file", "dev/console"] {
            try_all("conlink", "", |root, outside| link(&root.join("dev/console"), outside.baited.join(target)));
        }
        try_all("conlink", "", |root, outside| link(&root.join("dev/console"), outside.empty.join("made")));
        try_all("conlink", "lxc.console.path = none", |root, outside| link(&root.join("dev/console"), outside.empty.join("made")));
    }

    fn cve_2025_52565_ttys_pts_and_ptmx_that_are_symlinks() {
        for (place, target) in [("tty1", "tty1"), ("ptmx", "ptmx"), ("pts", "pts"), ("lxc", "dev")] {
            try_all("ttylink", "lxc.tty.dir = lxc", |root, outside| link(&root.join("dev").join(place), outside.baited.join(target)));
            try_all("ttylink", "", |root, outside| link(&root.join("dev").join(place), outside.baited.join(target)));
            try_all("ttylink", "lxc.tty.dir = lxc", |root, outside| link(&root.join("dev").join(place), outside.empty.join("made")));
        }
    }

    fn cve_2025_31133_null_that_is_something_else_in_the_image() {
        for target in ["null", "dev/null"] {
            try_all("nulllink", "", |root, outside| link(&root.join("dev/null"), outside.baited.join(target)));
        }
        try_all("nullfile", "", |root, _| fs::write(root.join("dev/null"), "x").unwrap());
        // With a /dev of its own there is the real one, whatever the image says.
        let guest = Guest::build("nullfile").conf("lxc.autodev = 1").make();
        fs::write(guest.rootfs().join("dev/null"), "x").unwrap();
        guest.start();
        assert_eq!(guest.sh("stat -c '%F %t:%T' /dev/null"), "character special file 1:3\n");
        guest.kill();
    }

    fn cve_2025_31133_null_of_the_host_that_is_something_else() {
        // Where nodes cannot be made they are bound from the host: only if they are what their name says.
        let fake = PathBuf::from(format!("/tmp/lxc-rs-test/fake-full-{}", std::process::id()));
        fs::write(&fake, "host").unwrap();
        let line = format!("mount --bind {} /dev/full; PATH=/nonexistent; exec \"$@\"", fake.display());
        let line = line.as_str();
        let guest = mapped("nullhost", "", &["/usr/bin/unshare", "-m", "--propagation", "private", "/bin/sh", "-c", line, "sh"]);
        let done = guest.try_start();
        fs::remove_file(&fake).unwrap();
        if done.code == 0 {
            let kind = guest.sh("stat -c '%F %t:%T' /dev/full; cat /dev/full | head -c 4");
            guest.kill();
            assert!(kind.starts_with("character special file 1:7"), "a file of the host as /dev/full: {kind}");
        }
    }

    fn cve_2025_31133_a_fifo_or_device_of_the_image_holds_nobody_up() {
        let _null = Null::kept();
        for place in ["dev/null", "dev/.lxc-boot-id", "dev/console", "etc/passwd"] {
            let guest = Guest::build("fifo").conf("lxc.autodev = 0").make();
            drop(fs::remove_file(guest.rootfs().join(place)));
            Run::new("/usr/bin/mkfifo").arg(guest.rootfs().join(place)).done().exits(0).ok();
            // The deadline of the run is what this is about.
            let run = guest.tool("lxc-start").arg("-d").limit(std::time::Duration::from_secs(15));
            if run.done().code == 0 {
                let run = guest.tool("lxc-attach").args(["--", "/bin/true"]).limit(std::time::Duration::from_secs(15));
                let _ = run.done();
                let run = guest.tool("lxc-attach").stdin("exit\n").limit(std::time::Duration::from_secs(15));
                let _ = run.done();
                guest.kill();
            }
        }
    }
}
