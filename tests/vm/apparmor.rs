//! AppArmor in force: what a profile denies is denied, what it allows is allowed, and it is there only as long as the
//! container.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use testkit::{Guest, Run, cases, eventually};

const SECURITYFS: &str = "/sys/kernel/security/apparmor";
const GENERATED: &str = "lxc.apparmor.profile = generated";

/// Everything below /sys writable as far as mounts go, and the machine's mount(8) besides busybox's.
const OPEN: &str = "lxc.mount.auto =\nlxc.mount.auto = proc:rw sys:rw cgroup:rw:force\n\
    lxc.mount.entry = /usr usr none rbind,ro,create=dir 0 0\nlxc.mount.entry = /lib64 lib64 none rbind,ro,create=dir 0 0\n\
    lxc.mount.entry = /lib lib none rbind,ro,create=dir 0 0";

fn build(conf: &str) -> Guest {
    Guest::build("apparmor").conf(OPEN).conf(conf).make()
}

fn started(conf: &str) -> Guest {
    let guest = build(conf);
    guest.start();
    guest.sh("mkdir -p /mnt/a /mnt/b /mnt/c /mnt/d /tmp/x /tmp/w");
    guest
}

fn profile(guest: &Guest) -> String {
    format!("lxc-{}_<{}>", guest.name(), guest.lxcpath().display())
}

fn loaded(name: &str) -> bool {
    let list = fs::read_to_string(format!("{SECURITYFS}/profiles")).unwrap();
    list.lines().any(|line| line.starts_with(&format!("{name} (")))
}

fn namespace(guest: &Guest) -> bool {
    Path::new(SECURITYFS).join("policy/namespaces").join(profile(guest).replace('/', "-")).exists()
}

fn label(pid: impl std::fmt::Display) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/attr/apparmor/current")).unwrap();
    text.trim_end().to_owned()
}

/// Runs the lines inside, in one process: those that failed, with what they said.
fn failing(guest: &Guest, lines: &[&str]) -> Vec<String> {
    let mut script = String::new();
    for line in lines {
        script.push_str(&format!("({line}) > /tmp/said 2>&1 || {{ echo '{line}'; cat /tmp/said >&2; }}\n"));
    }
    fs::write(guest.rootfs().join("tmp/script"), script).unwrap();
    let run = guest.tool("lxc-attach").args(["--", "/bin/sh", "/tmp/script"]).limit(Duration::from_secs(60));
    run.done().ok().lines().map(str::to_owned).collect()
}

/// Reaches out of the container, each by a way of its own. Both mount(8)s: one adds MS_SILENT to all it does.
const REACHING_OUT: &[&str] = &[
    "echo h > /proc/sysrq-trigger",
    "echo core > /proc/sys/kernel/core_pattern",
    "echo 60 > /proc/sys/vm/swappiness",
    "echo > /sys/kernel/uevent_helper",
    "head -c 1 /proc/kcore",
    "/bin/mount --bind /proc /mnt/c",
    "/bin/mount --bind /proc/sys /mnt/c",
    "/bin/mount --bind /sys /mnt/c",
    "/bin/mount --bind /dev /mnt/c",
    "/bin/mount --rbind / /mnt/d",
    "/bin/mount -t proc proc /mnt/c",
    "/bin/mount -t sysfs sys /mnt/c",
    "/bin/mount -t debugfs none /mnt/c",
    "/bin/mount -t debugfs -o ro,nosuid none /mnt/c",
    "/bin/mount -t securityfs none /mnt/c",
    "/bin/mount -t ext4 /dev/null /mnt/c",
    "/usr/bin/mount --bind /proc /mnt/c",
    "/usr/bin/mount --bind /sys/kernel /mnt/c",
    "/usr/bin/mount --rbind /proc /mnt/d",
    "/usr/bin/mount -t proc proc /mnt/c",
    "/usr/bin/mount -t debugfs none /mnt/c",
    "/usr/bin/mount -t debugfs -o ro,nosuid none /mnt/c",
    "/usr/bin/mount --make-rslave --bind /proc /mnt/c",
];

/// What every distribution does in a container.
const HARMLESS: &[&str] = &[
    "/bin/mount -t tmpfs none /mnt/a",
    "/bin/mount -o remount,bind,ro /mnt/a",
    "/bin/mount -o remount,bind,ro,nosuid,nodev,noexec /mnt/a",
    "/bin/mount --bind /tmp /mnt/b",
    "/usr/bin/mount -o remount,bind,ro /mnt/b",
    "/usr/bin/mount -o remount,bind,ro,nosuid /mnt/b",
    "/usr/bin/mount -o remount,bind,ro,nodev,noexec,nodiratime /mnt/b",
    "! touch /mnt/b/file",
    "/bin/umount /mnt/b",
    "/bin/mount --make-rprivate /",
    "/usr/bin/mount --make-rshared /",
    "/bin/mount -t overlay -o lowerdir=/etc,upperdir=/tmp/x,workdir=/tmp/w none /mnt/d",
    "echo 68719476736 > /proc/sys/kernel/shmmax",
    "echo name > /proc/sys/kernel/hostname",
    "echo 1 > /proc/sys/net/ipv4/ip_forward",
    "echo 5 > /proc/self/oom_score_adj",
    "echo 65000 > /sys/class/net/lo/mtu",
    "mkdir /sys/fs/cgroup/below",
    "sleep 30 & kill $!",
];

cases! {
    fn a_generated_profile_comes_and_goes_with_the_container() {
        super::inside();
        let guest = started(GENERATED);
        let name = profile(&guest);
        assert!(loaded(&name) && namespace(&guest));
        assert_eq!(label(guest.pid()), format!("{name}//&:{}:unconfined (enforce)", name.replace('/', "-")));
        assert!(guest.dir().join("apparmor").join(name.replace('/', "-")).exists());
        guest.tool("lxc-stop").arg("-k").done().exits(0).ok();
        guest.await_gone();
        assert!(eventually(Duration::from_secs(10), || !loaded(&name) && !namespace(&guest)), "it is still there");
        // Again, by way of the cache, and through a reboot.
        guest.start();
        assert!(loaded(&name) && label(guest.pid()).starts_with(&name));
    }

    fn reaching_out_is_denied_and_the_rest_is_not() {
        super::inside();
        let guest = started(GENERATED);
        assert_eq!(failing(&guest, REACHING_OUT), REACHING_OUT);
        assert_eq!(failing(&guest, HARMLESS), [""; 0]);
    }

    /// The list above is worth something: without a profile these succeed.
    fn without_a_profile_nothing_is_denied() {
        super::inside();
        let guest = started("lxc.apparmor.profile = unconfined");
        assert_eq!(label(guest.pid()), "unconfined");
        let some = [
            "echo core > /proc/sys/kernel/core_pattern", "echo 60 > /proc/sys/vm/swappiness", "head -c 1 /proc/kcore",
            "/bin/mount --bind /proc /mnt/c", "/bin/mount -t proc proc /mnt/c", "/bin/mount -t debugfs none /mnt/c",
        ];
        assert_eq!(failing(&guest, &some), [""; 0]);
    }

    fn the_package_s_default_confines_where_nothing_is_configured() {
        super::inside();
        let guest = started("");
        assert_eq!(label(guest.pid()), "lxc-container-default-cgns (enforce)");
        assert_eq!(failing(&guest, REACHING_OUT), REACHING_OUT);
        assert_eq!(failing(&guest, HARMLESS), [""; 0]);
    }

    /// What runc 1.3.3 and later do (CVE-2025-52881): a sysctl through a procfs that is mounted nowhere, opened again by
    /// its descriptor. Its name begins with /sys then; a rule made for sysfs must not hit it (lxc#4630).
    fn sysctls_through_a_detached_procfs() {
        super::inside();
        let perl = r#"my ($fs, $path) = ("proc", "sys/$ARGV[0]"); my $c = syscall(430, $fs, 1); syscall(431, $c, 6, 0, 0, 0);
            my $m = syscall(432, $c, 1, 0); my $f = syscall(257, $m, $path, 0x200000, 0); $f >= 0 or die "no file: $!";
            open(my $o, "+<", "/proc/self/fd/$f") or die "reopen: $!"; syswrite($o, $ARGV[1]) or die "write: $!";"#;
        for nesting in ["", "\nlxc.apparmor.allow_nesting = 1"] {
            let guest = started(&format!("{GENERATED}{nesting}"));
            let write = |name: &str, value: &str| guest.attach(["/usr/bin/perl", "-e", perl, name, value]);
            for (name, value) in [("net/ipv4/ip_unprivileged_port_start", "80"), ("kernel/shm_rmid_forced", "0"), ("fs/mqueue/msg_max", "20")] {
                let done = write(name, value);
                assert!(done.code == 0, "{done}");
            }
            for (name, value) in [("kernel/core_pattern", "core"), ("vm/swappiness", "60")] {
                let done = write(name, value);
                assert!(done.code != 0 && done.stderr.contains("reopen: Permission denied"), "{done}");
            }
        }
    }

    fn rules_of_one_s_own() {
        super::inside();
        let guest = started(&format!("{GENERATED}\nlxc.apparmor.raw = deny /etc/passwd r,\nlxc.apparmor.raw = deny capability net_raw,"));
        assert_eq!(failing(&guest, &["cat /etc/passwd", "cat /etc/hostname /bin/sh"]).first().map(String::as_str), Some("cat /etc/passwd"));
        let wrong = build(&format!("{GENERATED}\nlxc.apparmor.raw = nonsense"));
        wrong.try_start().exits(1).says("lxc.apparmor.raw does not compile").ok_on_stdout();
        assert!(!loaded(&profile(&wrong)) && !namespace(&wrong));
        wrong.assert_nothing_left();
    }

    fn a_profile_that_is_not_loaded_is_named_before_anything_is_made() {
        super::inside();
        let guest = build("lxc.apparmor.profile = nobody-loads-this");
        guest.try_start().exits(1).says("AppArmor profile nobody-loads-this is not loaded").ok_on_stdout();
        guest.assert_nothing_left();
    }

    fn a_start_that_fails_late_leaves_no_profile() {
        super::inside();
        let guest = build(&format!("{GENERATED}\nlxc.mount.entry = /nowhere mnt none bind,create=dir 0 0"));
        guest.try_start().exits(1).says("/nowhere").ok_on_stdout();
        assert!(!loaded(&profile(&guest)) && !namespace(&guest));
        guest.assert_nothing_left();
    }

    fn attached_processes_have_the_label_unless_asked_otherwise() {
        super::inside();
        let guest = started(GENERATED);
        let seen = |options: &[&str]| {
            let line = "echo $$ > /tmp/attached; exec sleep 30";
            let attach = guest.tool("lxc-attach").args(options).args(["--", "/bin/sh", "-c", line]);
            let mut attach = attach.spawn(Stdio::null(), Stdio::null());
            let mut text = String::new();
            let file = guest.rootfs().join("tmp/attached");
            assert!(eventually(Duration::from_secs(10), || {
                text = fs::read_to_string(&file).unwrap_or_default();
                text.ends_with('\n')
            }));
            let pid = outside(&guest, text.trim());
            let label = label(&pid);
            Run::new("kill").args(["-9", &pid]).done().exits(0).ok();
            let _ = attach.wait();
            let _ = fs::remove_file(&file);
            label
        };
        let own = label(guest.pid());
        assert_eq!(seen(&[]), own);
        assert_eq!(seen(&["-eLSM"]), "unconfined");
        assert_eq!(seen(&["-eCAP"]), own);
        assert_eq!(seen(&["-c", "lxc-container-default-cgns"]), "lxc-container-default-cgns (enforce)");
    }

    fn a_label_goes_with_no_new_privs_and_with_lxc_execute() {
        super::inside();
        let guest = started(&format!("{GENERATED}\nlxc.no_new_privs = 1"));
        let name = profile(&guest);
        assert!(label(guest.pid()).starts_with(&name));
        let guest = build(GENERATED);
        let done = guest.tool("lxc-execute").args(["--", "/bin/sh", "-c", "head -c 1 /proc/kcore"]).done();
        assert!(done.code == 1 && done.stderr.contains("Permission denied"), "{done}");
        // The small init is confined as what it runs is.
        guest.tool("lxc-execute").args(["-d", "--", "/bin/sleep", "1000"]).done().exits(0).ok();
        assert!(label(guest.pid()).starts_with(&profile(&guest)), "{}", label(guest.pid()));
    }

    /// A change of profile on exec would clear the signal that ties init to its monitor.
    fn init_dies_with_its_monitor() {
        super::inside();
        let guest = started(GENERATED);
        let init = guest.pid();
        let monitor = fs::read_to_string(format!("/proc/{init}/status")).unwrap();
        let monitor = monitor.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap().to_owned();
        Run::new("kill").args(["-9", &monitor]).done().exits(0).ok();
        assert!(eventually(Duration::from_secs(10), || !Path::new(&format!("/proc/{init}")).exists()));
        for cgroup in ["monitor", "payload"] {
            let dir = format!("/sys/fs/cgroup/lxc.{cgroup}.{}", guest.name());
            assert!(eventually(Duration::from_secs(10), || {
                let words = [dir.as_str(), "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"];
                drop(Run::new("find").args(words).done());
                !Path::new(&dir).exists()
            }), "{dir}");
        }
        // What the monitor could not put away does not stand in the way of the next start.
        guest.start();
        assert!(loaded(&profile(&guest)));
    }

    fn a_mapped_root_mounts_what_the_kernel_lets_it() {
        super::inside();
        let guest = build(&format!("{GENERATED}\nlxc.idmap = u 0 300000 65536\nlxc.idmap = g 0 300000 65536\nlxc.rootfs.options = idmap=container"));
        guest.start();
        assert!(label(guest.pid()).starts_with(&profile(&guest)));
        guest.sh("mkdir -p /mnt/a /mnt/c /mnt/d");
        let reaching = ["echo h > /proc/sysrq-trigger", "echo core > /proc/sys/kernel/core_pattern", "head -c 1 /proc/kcore",
            "/bin/mount -t debugfs none /mnt/c", "/bin/mount -t ext4 /dev/null /mnt/c"];
        assert_eq!(failing(&guest, &reaching), reaching);
        assert_eq!(failing(&guest, &["/bin/mount --rbind / /mnt/d", "/bin/mount -t tmpfs none /mnt/a", "/bin/mount -o remount,bind,ro /mnt/a"]), [""; 0]);
    }
}

/// The pid outside of a process of the container.
fn outside(guest: &Guest, inside: &str) -> String {
    let init = fs::read_link(format!("/proc/{}/ns/pid", guest.pid())).unwrap();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let there = fs::read_link(entry.path().join("ns/pid")).is_ok_and(|ns| ns == init);
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        if there
            && status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with(&format!("\t{inside}")))
        {
            return pid;
        }
    }
    panic!("no process {inside} in the container")
}
