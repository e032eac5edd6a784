//! A container in a container: our tools inside one of ours, and the runtimes others use (crun, runc).

use std::fs;
use std::time::Duration;

use testkit::rootfs::write_script;
use testkit::{Guest, cases, system};

/// Ends at once, like the script init of the other tests; out of the way of cgroup2's rule that controllers are not
/// handed on where processes are, as systemd would be.
const KEEP: &str = "#!/bin/sh\nmkdir /sys/fs/cgroup/init.scope && echo 1 > /sys/fs/cgroup/init.scope/cgroup.procs\ntrap 'exit 0' PWR TERM\nwhile :; do sleep 1000 & wait $!; done\n";

/// Inside: a bundle of one busybox in /tmp/made.
const BUNDLE: &str = "set -e; mkdir -p /tmp/made/rootfs; cd /tmp/made/rootfs; mkdir -p bin dev proc sys tmp
    cp /bin/busybox bin; for name in sh sleep cat id; do ln -sf busybox bin/$name; done";

/// The machine's programs over a Debian tree, so that nothing has to be copied.
fn outer(conf: &str) -> Guest {
    let tree = system::debian().expect("the machine has a Debian tree");
    let nesting = testkit::Subject::current().data_dir().join("config/nesting.conf");
    let guest = Guest::build("nested")
        .without_rootfs()
        .conf(&format!(
            "lxc.include = {}\nlxc.uts.name = @NAME@\nlxc.net.0.type = empty\nlxc.pty.max = 1024\n\
             lxc.rootfs.path = overlay:{}:@DIR@/delta/upper\nlxc.init.cmd = /keep\n\
             lxc.mount.auto = proc:rw sys:rw cgroup:rw:force\nlxc.mount.entry = /usr usr none rbind,ro 0 0\n\
             lxc.mount.entry = /sys/kernel/security sys/kernel/security none rbind 0 0\n\
             lxc.mount.entry = /etc/apparmor.d etc/apparmor.d none bind,ro,create=dir 0 0\n\
             lxc.mount.entry = tmpfs tmp tmpfs mode=1777 0 0\nlxc.mount.entry = tmpfs run tmpfs mode=755 0 0",
            nesting.display(),
            tree.display()
        ))
        .conf(conf)
        .make();
    let upper = guest.dir().join("delta/upper");
    fs::create_dir_all(&upper).unwrap();
    write_script(&upper.join("keep"), KEEP);
    guest.start();
    guest.sh(BUNDLE);
    guest
}

/// A container of ours in it: started, entered, limited, stopped.
fn ours(guest: &Guest) {
    guest.sh("mkdir -p /tmp/in/c; cp -a /tmp/made/rootfs /tmp/in/c; cat > /tmp/in/c/config <<X
lxc.rootfs.path = /tmp/in/c/rootfs
lxc.rootfs.mount = /mnt
lxc.net.0.type = empty
lxc.mount.auto = proc sys
lxc.cgroup2.pids.max = 20
lxc.init.cmd = /bin/sh -c 'while :; do sleep 1000; done'
X");
    let tool = |line: &str| {
        let done = guest.attach(["sh", "-c", line]);
        assert!(done.code == 0, "{done}\n{}", guest.attach(["cat", "/tmp/in/log"]).stdout);
        done.stdout
    };
    tool("lxc-start -P /tmp/in -n c -d -o /tmp/in/log -l INFO");
    assert_eq!(tool("lxc-info -P /tmp/in -n c -sH"), "RUNNING\n");
    assert_eq!(tool("lxc-attach -P /tmp/in -n c -- sh -c 'echo $$ > /dev/null; id'"), "uid=0 gid=0\n");
    assert_eq!(tool("lxc-cgroup -P /tmp/in -n c pids.max"), "20\n\n");
    tool("lxc-stop -P /tmp/in -n c -k");
    assert_eq!(tool("lxc-info -P /tmp/in -n c -sH"), "STOPPED\n");
}

/// Another runtime in it, as `RUNTIME spec` has it.
fn theirs(guest: &Guest, runtime: &str) {
    let line = format!(
        "cd /tmp/made && rm -f config.json && {runtime} spec && \
         sed -i 's|\"terminal\": true|\"terminal\": false|; s|\"sh\"|\"sh\",\"-c\",\"id; cat /proc/1/comm; true\"|' config.json && \
         {runtime} run {runtime}-one"
    );
    let done = guest.tool("lxc-attach").args(["--", "sh", "-c", &line]).limit(Duration::from_secs(60)).done();
    assert!(done.code == 0 && done.stdout == "uid=0 gid=0\nsh\n", "{done}");
}

/// The outer one is unconfined; the inner one has the default profile, and finds in securityfs what AppArmor mediates.
const UNCONFINED: &str = "lxc.apparmor.profile = unconfined";

const MAPPED: &str =
    "lxc.idmap = u 0 300000 65536\nlxc.idmap = g 0 300000 65536\nlxc.rootfs.options = idmap=container";

cases! {
    fn ours_in_ours() {
        super::inside();
        ours(&outer(UNCONFINED));
    }

    fn crun_and_runc() {
        super::inside();
        let guest = outer(UNCONFINED);
        theirs(&guest, "crun");
        theirs(&guest, "runc");
    }

    fn with_a_generated_profile() {
        super::inside();
        let guest = outer("lxc.apparmor.profile = generated\nlxc.apparmor.allow_nesting = 1");
        let label = fs::read_to_string(format!("/proc/{}/attr/current", guest.pid())).unwrap();
        assert!(label.contains(guest.name()), "{label}");
        theirs(&guest, "crun");
        theirs(&guest, "runc");
        // It has policy of its own, which its root loads as a distribution's boot would.
        guest.sh("apparmor_parser -r -T -K /etc/apparmor.d/lxc-containers");
        ours(&guest);
    }

    fn in_a_container_with_mapped_ids() {
        super::inside();
        let guest = outer(&format!("{UNCONFINED}\n{MAPPED}"));
        ours(&guest);
        theirs(&guest, "crun");
    }
}
