//! Tests of `cgroup::layout`.

use super::*;

const V1_HOST: &str = "\
25 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 25 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
34 31 0:31 / /sys/fs/cgroup/systemd rw,nosuid - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
";
const V1_CGROUP: &str = "3:name=systemd:/user.slice/u.slice/session-1.scope\n2:memory:/\n1:cpu,cpuacct:/\n";

const HYBRID_HOST: &str = "\
31 25 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
33 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

fn labels(layout: &Layout) -> Vec<String> {
    layout.hierarchies.iter().map(Hierarchy::label).collect()
}

#[test]
fn a_v1_host_keeps_the_order_of_proc_cgroup() {
    let layout = Layout::parse(V1_HOST, V1_CGROUP, Base::Init);
    assert_eq!(layout.kind, LayoutKind::Legacy);
    assert_eq!(labels(&layout), ["name=systemd", "memory", "cpu,cpuacct"]);
    assert_eq!(layout.of_controller("cpuacct").map(Hierarchy::label), Some("cpu,cpuacct".into()));
    assert_eq!(layout.of_controller("devices"), None);
    let cpu = layout.of_controller("cpu").expect("cpu");
    assert_eq!(cpu.dir_of("/a/b").expect("shown"), Path::new("/sys/fs/cgroup/cpu,cpuacct/a/b"));
    assert_eq!(
        layout.hierarchies[0].base_dir(),
        Path::new("/sys/fs/cgroup/systemd/user.slice/u.slice/session-1.scope")
    );
}

#[test]
fn the_unified_hierarchy_of_a_hybrid_host_is_last_even_if_listed_first() {
    let layout = Layout::parse(HYBRID_HOST, "0::/\n3:cpuset:/\n1:cpu:/\n", Base::Init);
    assert_eq!(layout.kind, LayoutKind::Hybrid);
    assert_eq!(labels(&layout), ["cpuset", "cpu", "unified"]);
    assert_eq!(layout.of_controller("freezer").map(|h| h.version), Some(Version::V2));
}

#[test]
fn a_v2_host_in_a_systemd_user_session() {
    let mountinfo = "29 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    let cgroup = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-7.scope\n";
    let layout = Layout::parse(mountinfo, cgroup, Base::Own);
    assert_eq!(layout.kind, LayoutKind::Unified);
    assert_eq!(
        layout.hierarchies[0].base_dir(),
        Path::new("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/run-7.scope")
    );
}

#[test]
fn pid_1_in_init_scope_is_looked_past_but_only_for_the_default_base() {
    let mountinfo = "29 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    let base = |cgroup: &str, base| Layout::parse(mountinfo, cgroup, base).hierarchies[0].base_cgroup.clone();
    assert_eq!(base("0::/init.scope\n", Base::Init), "/");
    assert_eq!(base("0::/lxc.payload.o/init.scope\n", Base::Init), "/lxc.payload.o");
    assert_eq!(base("0::/init.scope\n", Base::Own), "/init.scope");
}

#[test]
fn a_nested_container_without_cgroup_namespace_sees_a_subtree() {
    let mountinfo = "\
200 100 0:29 /lxc.payload.outer /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
201 100 0:30 /lxc.payload.outer /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
202 100 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
    let cgroup = "2:memory:/lxc.payload.outer\n1:cpu:/lxc.payload.outer/sub\n0::/lxc.payload.outer\n";
    let layout = Layout::parse(mountinfo, cgroup, Base::Own);
    assert_eq!(layout.of_controller("cpu").expect("cpu").base_dir(), Path::new("/sys/fs/cgroup/cpu/sub"));
    assert!(!layout.of_controller("memory").expect("memory").writable, "mounted read-only");
    assert_eq!(
        layout.unified().expect("v2").base_dir(),
        Path::new("/sys/fs/cgroup/unified/lxc.payload.outer")
    );
}

#[test]
fn a_mount_that_does_not_show_the_base_is_skipped_with_a_reason() {
    let mountinfo = "200 100 0:29 /other /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
    let layout = Layout::parse(mountinfo, "1:cpu:/mine\n2:memory:/mine\n", Base::Own);
    assert!(layout.hierarchies.is_empty());
    assert_eq!(layout.skipped.len(), 1, "memory is simply not mounted");
    assert!(layout.skipped[0].why.contains("not /mine"), "{}", layout.skipped[0].why);
    let similar = "200 100 0:29 /mi /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
    assert!(Layout::parse(similar, "1:cpu:/mine\n", Base::Own).hierarchies.is_empty());
}

#[test]
fn hidden_mounts_do_not_count() {
    // cgroup2 mounted over the tmpfs of a hybrid host: everything on that tmpfs is unreachable.
    let over = format!("{HYBRID_HOST}50 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    let layout = Layout::parse(&over, "3:cpuset:/\n1:cpu:/\n0::/\n", Base::Init);
    assert_eq!(layout.kind, LayoutKind::Unified);
    assert_eq!(layout.hierarchies[0].mountpoint, Path::new("/sys/fs/cgroup"));
    // A hierarchy over which something else was mounted.
    let shadowed = format!("{HYBRID_HOST}50 32 0:99 / /sys/fs/cgroup/cpu rw - tmpfs none rw\n");
    let layout = Layout::parse(&shadowed, "1:cpu:/\n3:cpuset:/\n", Base::Init);
    assert_eq!(labels(&layout), ["cpuset"]);
}

#[test]
fn the_customary_place_is_preferred() {
    let mountinfo = "\
40 1 0:29 / /mnt/cpu rw - cgroup cgroup rw,cpu
41 1 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
";
    let layout = Layout::parse(mountinfo, "1:cpu:/\n", Base::Init);
    assert_eq!(layout.hierarchies[0].mountpoint, Path::new("/sys/fs/cgroup/cpu"));
}

#[test]
fn similar_names_are_not_confused() {
    let mountinfo = "40 1 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n";
    assert!(Layout::parse(mountinfo, "1:cpu:/\n", Base::Init).hierarchies.is_empty());
}

#[test]
fn escapes_and_rubbish() {
    assert_eq!(unescape("/a\\040b\\134c"), Path::new("/a b\\c"));
    assert_eq!(unescape("/a\\9"), Path::new("/a\\9"));
    let layout = Layout::parse("x\n1 2 3\n - \n", "rubbish\n1:cpu\n", Base::Own);
    assert!(layout.hierarchies.is_empty());
    // A parent loop must not hang.
    let looped = "5 6 0:1 / /sys/fs/cgroup rw - cgroup2 c rw\n6 5 0:1 / / rw - ext4 x rw\n";
    let _ = Layout::parse(looped, "0::/\n", Base::Own);
}

#[test]
fn the_live_host_can_be_surveyed() {
    let Ok(layout) = survey(rustix::process::geteuid().as_raw(), false) else {
        println!("skipped: no control groups here");
        return;
    };
    for hierarchy in &layout.hierarchies {
        assert!(hierarchy.base_dir().is_dir(), "{hierarchy:?}");
    }
}

#[test]
fn a_cgroup_with_two_slashes_stays_below_its_mount() {
    let mounts = "30 1 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
    let layout = Layout::parse(mounts, "0:://etc\n", Base::Own);
    assert_eq!(layout.hierarchies[0].base_dir(), PathBuf::from("/sys/fs/cgroup/etc"));
}
