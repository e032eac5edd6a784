//! The host's program files, which a container reaches through /proc/self/exe of whoever enters it (CVE-2019-5736).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::{Guest, Run, Subject, cases, eventually, subject};

/// Puts a program where the loader of dynamically linked programs should be; when the kernel runs a host's program inside,
/// this runs in its place and holds on to the file. `/evil` is the script that makes the kernel do so.
fn plant_thief(guest: &Guest) {
    let loader = guest.rootfs().join("lib64/ld-linux-x86-64.so.2");
    fs::create_dir_all(loader.parent().unwrap()).unwrap();
    let source = subject::repository().join("crates/lxc-attach/tests/thief.c");
    let flags = ["-nostdlib", "-static", "-fno-stack-protector", "-fcf-protection=none", "-O1", "-w"];
    let place = "-Wl,-Ttext-segment=0x10000000";
    Run::new("cc").args(flags).arg(place).arg("-o").arg(&loader).arg(&source).done().exits(0).ok();
    testkit::rootfs::write_script(&guest.rootfs().join("evil"), "#!/proc/self/exe\n");
    // Tries again and again, while the host's program runs and after it.
    let stage2 = "#!/bin/sh\necho here >> /reached\n(\n  n=0\n  while [ $n -lt 60 ]; do n=$((n+1)); sleep 0.05\n    \
        { echo stolen > /proc/self/fd/9; } 2> /error && echo written > /result\n  done\n) > /dev/null 2>&1 < /dev/null &\nsleep 0.5\n";
    testkit::rootfs::write_script(&guest.rootfs().join("stage2"), stage2);
}

/// The tools of the implementation under test, each a file of its own below the container's directory, so that what is
/// attacked is no file of the machine.
fn copies(guest: &Guest, tools: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    let copy = |tool: &&str| {
        let file = guest.lxcpath().join(tool);
        fs::copy(Subject::current().tool(tool), &file).unwrap();
        let bytes = fs::read(&file).unwrap();
        (file, bytes)
    };
    tools.iter().map(copy).collect()
}

/// The thief got hold of the host's file: a test in which it did not proves nothing.
fn assert_reached(guest: &Guest) {
    let error = fs::read_to_string(guest.rootfs().join("error")).unwrap_or_default();
    assert!(guest.rootfs().join("reached").exists(), "the thief never ran; {error}");
}

fn assert_whole(copies: &[(PathBuf, Vec<u8>)]) {
    for (file, before) in copies {
        assert!(fs::read(file).unwrap() == *before, "{} was overwritten from inside", file.display());
    }
}

fn on(guest: &Guest, program: &Path) -> Run {
    Run::new(program).arg("-P").arg(guest.lxcpath()).args(["-n", guest.name()])
}

fn wait_for_thief(guest: &Guest) {
    std::thread::sleep(Duration::from_millis(3600));
    assert!(!guest.rootfs().join("result").exists(), "the thief has written");
    assert_reached(guest);
}

cases! {
    fn cve_2019_5736_attach() {
        let guest = Guest::build("exeattach").start();
        plant_thief(&guest);
        let copies = copies(&guest, &["lxc-attach"]);
        let _ = on(&guest, &copies[0].0).args(["--", "/evil"]).done();
        wait_for_thief(&guest);
        assert_whole(&copies);
        guest.kill();
    }

    fn cve_2019_5736_start_in_the_background() {
        let guest = Guest::build("exestart").conf("lxc.init.cmd = /evil").make();
        plant_thief(&guest);
        let copies = copies(&guest, &["lxc-start"]);
        let _ = on(&guest, &copies[0].0).arg("-d").done();
        wait_for_thief(&guest);
        let _ = guest.tool("lxc-stop").arg("-k").done();
        guest.await_gone();
        assert_whole(&copies);
    }

    fn cve_2019_5736_start_in_the_foreground() {
        let guest = Guest::build("exefore").conf("lxc.init.cmd = /evil").make();
        plant_thief(&guest);
        let copies = copies(&guest, &["lxc-start"]);
        let _ = on(&guest, &copies[0].0).arg("-F").done();
        wait_for_thief(&guest);
        assert_whole(&copies);
        guest.await_gone();
    }

    fn cve_2019_5736_execute() {
        let guest = Guest::build("exeexec").make();
        plant_thief(&guest);
        let copies = copies(&guest, &["lxc-execute"]);
        let _ = on(&guest, &copies[0].0).args(["--", "/evil"]).done();
        wait_for_thief(&guest);
        assert_whole(&copies);
    }

    fn cve_2019_5736_a_process_that_outlives_the_tool() {
        // With the host's pid namespace nothing ends with init: the program's file is not busy any more, and the thief
        // still there.
        let guest = Guest::build("exepid").conf("lxc.namespace.keep = pid\nlxc.init.cmd = /evil").make();
        plant_thief(&guest);
        let outlive = "#!/bin/sh\necho here >> /reached\n(\n  trap '' HUP TERM PWR\n  n=0\n  while [ $n -lt 60 ]; do n=$((n+1)); sleep 0.05\n    \
            { echo stolen > /proc/self/fd/9; } 2> /error && echo written > /result\n  done\n) > /dev/null 2>&1 < /dev/null &\nexit 0\n";
        testkit::rootfs::write_script(&guest.rootfs().join("stage2"), outlive);
        let copies = copies(&guest, &["lxc-start"]);
        let _ = on(&guest, &copies[0].0).arg("-F").done();
        std::thread::sleep(Duration::from_millis(3300));
        assert_whole(&copies);
        // COMPAT: the original refuses a start like this.
        if guest.subject().is_ours() {
            assert_reached(&guest);
        }
        assert!(eventually(Duration::from_secs(5), || testkit::leftovers::monitor_pid(guest.lxcpath(), guest.name()).is_none()));
    }
}
