//! The two texts a cgroup layout is read from, separated by a NUL: mountinfo and /proc/PID/cgroup.

use lxc_core::cgroup::layout::{Base, Layout, Version};

use crate::text;

pub fn check(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let (mountinfo, cgroup) = text.split_once('\0').unwrap_or((MOUNTS, text));
    for base in [Base::Init, Base::Own] {
        let layout = Layout::parse(mountinfo, cgroup, base);
        assert!(layout.hierarchies.len() + layout.skipped.len() <= cgroup.lines().count());
        for hierarchy in &layout.hierarchies {
            let dir = hierarchy.dir_of(&hierarchy.base_cgroup).expect("the mount shows the base");
            assert_eq!(dir, hierarchy.base_dir());
            assert!(
                dir.starts_with(&hierarchy.mountpoint),
                "{dir:?} is not below {:?}",
                hierarchy.mountpoint
            );
            if hierarchy.version == Version::V1 {
                assert!(!hierarchy.controllers.is_empty() && hierarchy.has(&hierarchy.controllers[0]));
            }
            assert!(!hierarchy.label().is_empty() || hierarchy.controllers == [""]);
        }
    }
}

/// A hybrid host, for inputs that are only the second text.
const MOUNTS: &str = "25 18 0:22 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
    26 25 0:23 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
    27 25 0:24 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
    28 25 0:25 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
    29 25 0:26 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
