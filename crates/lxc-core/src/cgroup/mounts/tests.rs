//! Tests of `cgroup::mounts`.

use super::*;

fn hierarchy(version: Version, dir: &str, controllers: &[&str]) -> Hierarchy {
    Hierarchy {
        version,
        controllers: controllers.iter().map(|c| (*c).to_owned()).collect(),
        mountpoint: PathBuf::from("/sys/fs/cgroup").join(dir),
        mount_root: "/".into(),
        base_cgroup: "/".into(),
        writable: true,
    }
}

fn host() -> Vec<Hierarchy> {
    vec![hierarchy(Version::V1, "memory", &["memory"]), hierarchy(Version::V2, "unified", &[])]
}

/// One line a step, as /proc/PID/mountinfo of the original's containers was noted down.
fn lines(word: &str, own_namespace: bool, keeps_sys_admin: bool) -> Vec<String> {
    show(&steps(word, own_namespace, keeps_sys_admin, LayoutKind::Hybrid, &host()).expect(word))
}

fn steps(
    word: &str,
    own_namespace: bool,
    keeps_sys_admin: bool,
    kind: LayoutKind,
    hierarchies: &[Hierarchy],
) -> Result<Vec<CgroupMount>> {
    let mut parts = word.split(':');
    let form = match parts.next().expect("a word") {
        "cgroup" => AutoCgroupForm::Own,
        "cgroup-full" => AutoCgroupForm::Full,
        "cgroup2" => AutoCgroupForm::Cgroup2,
        other => panic!("{other}"),
    };
    let mut auto = AutoCgroup { form, access: AutoAccess::Unspecified, force: false };
    for part in parts {
        match part {
            "mixed" => auto.access = AutoAccess::Mixed,
            "ro" => auto.access = AutoAccess::Ro,
            "rw" => auto.access = AutoAccess::Rw,
            "force" => auto.force = true,
            other => panic!("{other}"),
        }
    }
    plan(
        Some(&auto),
        Circumstances { kind, hierarchies, payload: "lxc.payload.c1", own_namespace, keeps_sys_admin },
    )
}

fn show(steps: &[CgroupMount]) -> Vec<String> {
    let mode = |read_only: &bool| if *read_only { "ro" } else { "rw" };
    steps
        .iter()
        .map(|step| match step {
            CgroupMount::Tmpfs { target } => format!("tmpfs {target}"),
            CgroupMount::Directory { target } => format!("dir {target}"),
            CgroupMount::Fs { target, fs_type, options, read_only } => {
                format!("{fs_type}({}) {target} {}", options.join(","), mode(read_only))
            }
            CgroupMount::Seal { target } => format!("seal {target}"),
            CgroupMount::Bind { source, target, read_only } => {
                format!("bind {} {target} {}", source.display(), mode(read_only))
            }
            CgroupMount::Symlink { target, to } => format!("{target} -> {to}"),
        })
        .collect()
}

fn fresh_lines(mode: &str) -> Vec<String> {
    vec![
        "tmpfs sys/fs/cgroup".to_owned(),
        format!("cgroup(memory) sys/fs/cgroup/memory {mode}"),
        format!("cgroup2() sys/fs/cgroup/unified {mode}"),
    ]
}

#[test]
fn with_a_namespace_and_the_capability_only_force_mounts() {
    for form in ["cgroup", "cgroup-full"] {
        for access in ["", ":mixed", ":ro", ":rw"] {
            assert!(lines(&format!("{form}{access}"), true, true).is_empty());
            let mode = if access == ":ro" { "ro" } else { "rw" };
            assert_eq!(lines(&format!("{form}{access}:force"), true, true), fresh_lines(mode));
        }
    }
}

#[test]
fn with_a_namespace_but_without_the_capability_every_word_mounts() {
    for form in ["cgroup", "cgroup-full"] {
        for access in ["", ":mixed", ":ro", ":rw", ":mixed:force", ":ro:force"] {
            let mode = if access.starts_with(":ro") { "ro" } else { "rw" };
            assert_eq!(lines(&format!("{form}{access}"), true, false), fresh_lines(mode), "{form}{access}");
        }
    }
}

#[test]
fn without_a_namespace_the_own_cgroup_is_bound() {
    let rw = [
        "tmpfs sys/fs/cgroup",
        "dir sys/fs/cgroup/memory/lxc.payload.c1",
        "bind /sys/fs/cgroup/memory/lxc.payload.c1 sys/fs/cgroup/memory/lxc.payload.c1 rw",
        "dir sys/fs/cgroup/unified/lxc.payload.c1",
        "bind /sys/fs/cgroup/unified/lxc.payload.c1 sys/fs/cgroup/unified/lxc.payload.c1 rw",
    ];
    assert_eq!(lines("cgroup:rw", false, true), rw);
    assert_eq!(lines("cgroup:rw:force", false, false), rw);
    assert_eq!(lines("cgroup", false, true), rw, "unspecified with the capability");
    let mixed = [
        "tmpfs sys/fs/cgroup",
        "dir sys/fs/cgroup/memory/lxc.payload.c1",
        "seal sys/fs/cgroup/memory",
        "bind /sys/fs/cgroup/memory/lxc.payload.c1 sys/fs/cgroup/memory/lxc.payload.c1 rw",
        "dir sys/fs/cgroup/unified/lxc.payload.c1",
        "seal sys/fs/cgroup/unified",
        "bind /sys/fs/cgroup/unified/lxc.payload.c1 sys/fs/cgroup/unified/lxc.payload.c1 rw",
    ];
    assert_eq!(lines("cgroup:mixed", false, true), mixed);
    assert_eq!(lines("cgroup", false, false), mixed, "unspecified without the capability");
    let ro = lines("cgroup:ro", false, true);
    assert_eq!(ro.len(), mixed.len());
    assert!(ro.iter().filter(|line| line.starts_with("bind")).all(|line| line.ends_with(" ro")), "{ro:?}");
}

#[test]
fn the_whole_hierarchy_is_read_only_but_for_the_own_part() {
    assert_eq!(lines("cgroup-full:rw", false, false), fresh_lines("rw"));
    assert_eq!(lines("cgroup-full", false, true), fresh_lines("rw"));
    assert_eq!(lines("cgroup-full:ro", false, true), fresh_lines("ro"));
    let mixed = lines("cgroup-full:mixed", false, true);
    assert_eq!(mixed, lines("cgroup-full", false, false));
    assert_eq!(mixed[1], "cgroup(memory) sys/fs/cgroup/memory ro");
    assert_eq!(mixed[2], "bind /sys/fs/cgroup/memory/lxc.payload.c1 sys/fs/cgroup/memory/lxc.payload.c1 rw");
}

#[test]
fn cgroup2_and_pure_v2_hosts_get_one_mount_whatever_else_holds() {
    let v2 = [hierarchy(Version::V2, "", &["cpu"])];
    for caps in [true, false] {
        for word in ["cgroup", "cgroup:mixed", "cgroup-full:rw:force", "cgroup2", "cgroup2:force"] {
            let steps = steps(word, true, caps, LayoutKind::Unified, &v2).expect(word);
            assert_eq!(show(&steps), ["cgroup2() sys/fs/cgroup rw"], "{word}");
        }
        for word in ["cgroup:ro", "cgroup-full:ro:force", "cgroup2:ro"] {
            let steps = steps(word, true, caps, LayoutKind::Unified, &v2).expect(word);
            assert_eq!(show(&steps), ["cgroup2() sys/fs/cgroup ro"], "{word}");
        }
        assert_eq!(lines("cgroup2", true, caps), ["cgroup2() sys/fs/cgroup rw"]);
    }
    let error = steps("cgroup:mixed", false, true, LayoutKind::Unified, &v2).expect_err("no namespace");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(steps("cgroup2", false, true, LayoutKind::Hybrid, &host()).is_err());
}

#[test]
fn controllers_mounted_together_are_linked() {
    let hierarchies = [
        hierarchy(Version::V1, "cpu,cpuacct", &["cpu", "cpuacct"]),
        hierarchy(Version::V1, "systemd", &["name=systemd"]),
    ];
    let got = show(&steps("cgroup:force", true, true, LayoutKind::Legacy, &hierarchies).expect("steps"));
    assert_eq!(
        got,
        [
            "tmpfs sys/fs/cgroup",
            "cgroup(cpu,cpuacct) sys/fs/cgroup/cpu,cpuacct rw",
            "sys/fs/cgroup/cpu -> cpu,cpuacct",
            "sys/fs/cgroup/cpuacct -> cpu,cpuacct",
            "cgroup(name=systemd) sys/fs/cgroup/systemd rw",
        ]
    );
}

#[test]
fn a_hierarchy_mounted_elsewhere_gets_a_name_made_of_its_controllers() {
    let mut odd = hierarchy(Version::V1, "x", &["cpu", "cpuacct"]);
    odd.mountpoint = PathBuf::from("/mnt/odd");
    odd.base_cgroup = "/deep".into();
    let got = show(&steps("cgroup:rw", false, true, LayoutKind::Legacy, &[odd]).expect("steps"));
    assert_eq!(got[1], "dir sys/fs/cgroup/cpu,cpuacct/deep/lxc.payload.c1");
    assert_eq!(got[2], "bind /mnt/odd/deep/lxc.payload.c1 sys/fs/cgroup/cpu,cpuacct/deep/lxc.payload.c1 rw");
}

#[test]
fn no_word_no_mount() {
    let cx = Circumstances {
        kind: LayoutKind::Hybrid,
        hierarchies: &host(),
        payload: "p",
        own_namespace: false,
        keeps_sys_admin: false,
    };
    assert!(plan(None, cx).expect("nothing").is_empty());
}
