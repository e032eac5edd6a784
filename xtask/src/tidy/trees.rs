//! T11, T12: paths in trees that containers write go through one layer, `lxc_sys::tree`.

use super::{Finding, Source};

/// The only files that speak openat2(2): the layer itself, and procfs, which must first be proven to be one.
const LAYER: &[&str] = &["crates/lxc-sys/src/tree.rs", "crates/lxc-sys/src/proc.rs"];

/// Code that touches a container's tree.
const TOUCHING: &[&str] = &[
    "crates/lxc-child/src/",
    "crates/lxc-core/src/mounts/",
    "crates/lxc-core/src/rootfs/",
    "crates/lxc-core/src/attach/",
    "crates/lxc-core/src/inject/",
    "crates/lxc-core/src/destroy/",
];

/// Calls that look a path up from the caller's root or working directory, symlinks and all.
const BY_PATH: &[&str] = &[
    "std::fs::",
    "nix::mount::",
    "openat(CWD",
    "open_tree(CWD",
    "fs::open(",
    "fs::stat(",
    "fs::lstat(",
    "fs::mkdir(",
    "fs::chown(",
    "fs::chmod(",
    "fs::unlink(",
    "fs::symlink(",
    "fs::rename(",
    "mount::mount(",
    "mount::mount_change(",
    "mount::mount_move(",
    "mount::unmount(",
    "File::open(",
    "File::create",
];

/// Where such a call is right: file, call, reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    (
        "crates/lxc-child/src/attach.rs",
        "mount::mount(",
        "after setns: the root is the container's own, no path leads out",
    ),
    (
        "crates/lxc-child/src/attach.rs",
        "mount::mount_change(",
        "after setns, in a mount namespace of its own",
    ),
    ("crates/lxc-child/src/attach.rs", "mount::unmount(", "after setns, in a mount namespace of its own"),
    ("crates/lxc-child/src/confine.rs", "openat(CWD", "/ itself, after the root was changed"),
    ("crates/lxc-child/src/dev.rs", "openat(CWD", "nodes of the host's /dev; what they are is checked"),
    (
        "crates/lxc-child/src/dev.rs",
        "fs::chmod(",
        "/proc/self/fd/N of a node found before, in the host's /proc",
    ),
    ("crates/lxc-child/src/init.rs", "openat(CWD", "/ itself, and a namespace in the host's /proc"),
    ("crates/lxc-child/src/mounts.rs", "openat(CWD", "sources of mounts are the host's"),
    (
        "crates/lxc-child/src/mounts.rs",
        "mount::mount(",
        "mount(2) onto /proc/self/fd/N of a target found before",
    ),
    ("crates/lxc-child/src/rootfs.rs", "openat(CWD", "the root file system's own path is the host's"),
    ("crates/lxc-child/src/rootfs.rs", "mount::mount(", "onto lxc.rootfs.mount, a directory of the host"),
    ("crates/lxc-child/src/rootfs.rs", "mount::mount_move(", "of . onto /, by working directory"),
    ("crates/lxc-core/src/attach/shell.rs", "fs::open(", "/ of the host, when no mount namespace is joined"),
    ("crates/lxc-core/src/attach/spawn.rs", "fs::open(", "/dev/null of the host"),
    ("crates/lxc-core/src/inject/detached.rs", "open_tree(CWD", "sources of mounts are the host's"),
    ("crates/lxc-core/src/inject/detached.rs", "fs::open(", "a namespace of a host's process, for idmap="),
    ("crates/lxc-core/src/inject/node.rs", "fs::stat(", "the host's device node"),
    ("crates/lxc-core/src/inject/node.rs", "open_tree(CWD", "the host's device node"),
    ("crates/lxc-core/src/inject/record.rs", "std::fs::", "the runtime directory itself"),
    ("crates/lxc-core/src/inject/record.rs", "fs::open(", "the runtime directory itself"),
    (
        "crates/lxc-core/src/inject/shared.rs",
        "mount::mount(",
        "the shared directory of shmounts, until Linux 5.12 is the floor",
    ),
    (
        "crates/lxc-core/src/inject/shared.rs",
        "File::create",
        "the shared directory of shmounts, until Linux 5.12 is the floor",
    ),
    ("crates/lxc-core/src/inject/shared.rs", "fs::stat(", "sources of mounts are the host's"),
    (
        "crates/lxc-core/src/inject/shared.rs",
        "std::fs::",
        "the shared directory of shmounts, until Linux 5.12 is the floor",
    ),
    (
        "crates/lxc-core/src/destroy/dependents.rs",
        "std::fs::",
        "files beside the configuration, which containers cannot reach",
    ),
    (
        "crates/lxc-core/src/destroy/mod.rs",
        "std::fs::",
        "the container's directory, which the container cannot reach",
    ),
    (
        "crates/lxc-core/src/destroy/storage.rs",
        "std::fs::",
        "looks at the root file system's own path and at mountinfo",
    ),
    ("crates/lxc-core/src/destroy/remove.rs", "std::fs::", "fdinfo in the host's /proc"),
    (
        "crates/lxc-core/src/destroy/remove.rs",
        "fs::open(",
        "the directory that holds the tree, which is the host's",
    ),
    (
        "crates/lxc-core/src/destroy/ownership.rs",
        "fs::lstat(",
        "whose the tree is, before its owner is asked to empty it",
    ),
    ("crates/lxc-core/src/destroy/ownership.rs", "fs::chown(", "directories lxc-create has just made"),
];

pub fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut used = vec![false; ALLOWED.len()];
    for source in sources.iter().filter(|source| !source.is_test()) {
        let product = source.package() != "xtask";
        let touching = TOUCHING.iter().any(|dir| source.path.starts_with(dir));
        for (index, line) in source.product().lines().enumerate() {
            let line = line.trim_start();
            if line.starts_with("//") {
                continue;
            }
            let place = format!("{}:{}", source.path, index + 1);
            let resolving = line.contains("openat2(") || line.contains("ResolveFlags::");
            if product && resolving && !LAYER.contains(&source.path.as_str()) {
                findings.push(Finding::new(
                    "T11",
                    &place,
                    "openat2 belongs to lxc_sys::tree: use its functions",
                ));
            }
            for call in BY_PATH.iter().filter(|call| touching && line.contains(**call)) {
                match ALLOWED.iter().position(|(path, allowed, _)| *path == source.path && allowed == call) {
                    Some(at) => {
                        if let Some(used) = used.get_mut(at) {
                            *used = true;
                        }
                    }
                    None => {
                        let text = format!("{call} looks a path up by name: find it with lxc_sys::tree");
                        findings.push(Finding::new("T12", &place, text));
                    }
                }
            }
        }
    }
    let stale = ALLOWED.iter().zip(used).filter(|(_, used)| !used);
    // Only when the whole tree was read, and not by a unit test.
    if sources.len() > 100 {
        findings.extend(stale.map(|((path, call, _), _)| {
            Finding::new(
                "T12",
                *path,
                format!("{call} is allowed in xtask/src/tidy/trees.rs and not used any more"),
            )
        }));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        check(&[source]).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_path_by_name_is_found_where_it_matters() {
        assert_eq!(rules("crates/lxc-core/src/inject/new.rs", "std::fs::write(path, x)\n"), ["T12"]);
        assert_eq!(rules("crates/lxc-child/src/new.rs", "let x = openat(CWD, path, f, m);\n"), ["T12"]);
        assert_eq!(rules("crates/lxc-core/src/inject/new.rs", "// std::fs::write\n"), Vec::<&str>::new());
        assert_eq!(
            rules("crates/lxc-core/src/inject/new.rs", "\n#[cfg(test)]\nmod tests {\nstd::fs::x\n"),
            Vec::<&str>::new()
        );
        assert_eq!(rules("crates/lxc-core/src/host/new.rs", "std::fs::write(path, x)\n"), Vec::<&str>::new());
        assert_eq!(rules("crates/lxc-child/src/rootfs.rs", "openat(CWD, path)\n"), Vec::<&str>::new());
    }

    #[test]
    fn one_file_speaks_openat2() {
        assert_eq!(rules("crates/lxc-core/src/host/new.rs", "openat2(dir, path)\n"), ["T11"]);
        assert_eq!(rules("crates/lxc-sys/src/tree.rs", "openat2(dir, path)\n"), Vec::<&str>::new());
    }
}
