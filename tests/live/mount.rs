//! lxc-mount: mounts into running containers, with and without a shared directory.

use std::fs;
use std::path::PathBuf;

use testkit::{Guest, cases};

/// A directory of the host with one file in it.
fn source(guest: &Guest, name: &str) -> PathBuf {
    let dir = guest.lxcpath().join(name);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("file"), name).unwrap();
    dir
}

/// The whole round: mount, see, list, remove.
fn round(guest: &Guest) {
    let dir = source(guest, "data");
    let host = fs::read_to_string("/proc/self/mountinfo").unwrap();
    guest
        .tool("lxc-mount")
        .args(["-o", "create=dir"])
        .arg(&dir)
        .arg("/mnt/in")
        .done()
        .exits(0)
        .prints("")
        .silent()
        .ok();
    assert_eq!(guest.sh("cat /mnt/in/file"), "data");
    guest.sh("echo written > /mnt/in/back");
    assert_eq!(fs::read_to_string(dir.join("back")).unwrap(), "written\n");
    let list = guest.tool("lxc-mount").done().exits(0).ok();
    assert!(list.contains("/mnt/in"), "{list}");
    guest.tool("lxc-mount").args(["--umount", "/mnt/in"]).done().exits(0).prints("").ok();
    assert_eq!(guest.sh("ls /mnt/in"), "");
    let list = guest.tool("lxc-mount").done().exits(0).ok();
    assert!(!list.contains("/mnt/in"), "{list}");
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), host, "the host's mounts changed");
}

cases! {
    fn a_bind_appears_and_goes_away() {
        round(&Guest::build("mount").start());
    }

    fn by_the_shared_directory() {
        let guest = Guest::build("mount").make();
        let dir = guest.lxcpath().join("shared");
        fs::create_dir(&dir).unwrap();
        guest.append(&format!("lxc.mount.auto = shmounts:{}", dir.display()));
        guest.start();
        round(&guest);
    }

    fn options_apply() {
        let guest = Guest::build("mount").start();
        let dir = source(&guest, "data");
        guest.tool("lxc-mount").args(["-o", "ro,nosuid,nodev,noexec,create=dir"]).arg(&dir).arg("/mnt/ro").done().exits(0).ok();
        guest.attach(["touch", "/mnt/ro/x"]).exits(1).ok_on_stdout();
        let mounts = guest.mountinfo();
        let mount = mounts.iter().find(|mount| mount.target == "/mnt/ro").unwrap();
        for word in ["ro", "nosuid", "nodev", "noexec"] {
            assert!(mount.options.split(',').any(|got| got == word), "{word}: {mount:?}");
        }
    }

    fn a_file_system_of_another_type() {
        let guest = Guest::build("mount").start();
        guest.tool("lxc-mount").args(["-t", "tmpfs", "-o", "size=64k,create=dir", "tmpfs", "/mnt/tmp"]).done().exits(0).ok();
        let mounts = guest.mountinfo();
        let mount = mounts.iter().find(|mount| mount.target == "/mnt/tmp").unwrap();
        assert_eq!(mount.fstype, "tmpfs");
        assert!(mount.super_options.contains("size=64k"), "{mount:?}");
    }

    fn a_single_file() {
        let guest = Guest::build("mount").start();
        let file = source(&guest, "data").join("file");
        guest.tool("lxc-mount").args(["-o", "create=file"]).arg(&file).arg("/etc/injected").done().exits(0).ok();
        assert_eq!(guest.sh("cat /etc/injected"), "data");
    }

    fn a_link_inside_does_not_lead_out() {
        let guest = Guest::build("mount").start();
        let (dir, outside) = (source(&guest, "data"), source(&guest, "outside"));
        guest.sh(&format!("ln -s {} /mnt/link", outside.display()));
        guest.tool("lxc-mount").arg(&dir).arg("/mnt/link").done();
        assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "outside");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(outside.to_str().unwrap()));
    }

    fn failures() {
        let guest = Guest::build("mount").make();
        let dir = source(&guest, "data");
        guest.tool("lxc-mount").arg(&dir).arg("/mnt").done().exits(1).says("not running").ok_on_stdout();
        guest.start();
        guest.tool("lxc-mount").args(["/no/such/source", "/mnt"]).done().exits(1).says("/no/such/source").ok_on_stdout();
        guest.tool("lxc-mount").arg(&dir).arg("/mnt/absent").done().exits(1).says("create=dir").ok_on_stdout();
        guest.tool("lxc-mount").args(["--umount", "/proc"]).done().exits(1).ok_on_stdout();
        guest.sh("cat /proc/self/stat > /dev/null");
    }

    fn it_is_gone_after_a_stop() {
        let guest = Guest::build("mount").start();
        let dir = source(&guest, "data");
        guest.tool("lxc-mount").args(["-o", "create=dir"]).arg(&dir).arg("/mnt/in").done().exits(0).ok();
        guest.kill();
        guest.assert_nothing_left();
        guest.start();
        assert_eq!(guest.sh("ls /mnt/in 2>/dev/null"), "");
    }
}
