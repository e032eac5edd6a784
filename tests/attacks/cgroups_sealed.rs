//! Control groups as a container sees them: what is not its own cannot be written, in no form of `lxc.mount.auto`.

use std::path::{Path, PathBuf};

use testkit::{Guest, cases};

/// Forms that do not ask for `rw`. (Without a word `cgroup` means `rw` in a container that may mount.)
const FORMS: [&str; 8] = [
    "cgroup:mixed",
    "cgroup:ro",
    "cgroup-full:mixed",
    "cgroup-full:ro",
    "cgroup:mixed:force",
    "cgroup:ro:force",
    "cgroup-full:mixed:force",
    "cgroup-full:ro:force",
];

/// Directories of that name in the machine's hierarchies.
fn find(dir: &Path, name: &str, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        if entry.file_name() == name {
            found.push(entry.path());
        } else if depth > 0 {
            find(&entry.path(), name, depth - 1, found);
        }
    }
}

/// A cgroup of the host in every hierarchy, which is nobody else's.
struct Victims(Vec<PathBuf>);

impl Victims {
    fn make(name: &str) -> Victims {
        let mut hierarchies = vec![PathBuf::from("/sys/fs/cgroup")];
        hierarchies.extend(std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path()));
        hierarchies.retain(|dir| dir.is_dir() && !dir.is_symlink() && dir.join("cgroup.procs").exists());
        assert!(!hierarchies.is_empty());
        let victims: Vec<_> = hierarchies.iter().map(|dir| dir.join(name)).collect();
        victims.iter().for_each(|victim| std::fs::create_dir(victim).unwrap());
        Victims(victims)
    }
}

impl Drop for Victims {
    fn drop(&mut self) {
        self.0.iter().for_each(|victim| drop(std::fs::remove_dir(victim)));
    }
}

/// Tries to make a cgroup in the roots of all hierarchies and in the victims.
fn vandalise(guest: &Guest, victim: &str, mark: &str) {
    let line = format!(
        "for dir in /sys/fs/cgroup /sys/fs/cgroup/* /sys/fs/cgroup/{victim} /sys/fs/cgroup/*/{victim}; do \
         mkdir $dir/{mark} 2>/dev/null; done; true"
    );
    guest.sh(&line);
}

/// False when it did not start.
fn check(form: &str, conf: &str) -> bool {
    let guest = Guest::build("cgro")
        .conf(&format!("lxc.mount.auto =\nlxc.mount.auto = proc:rw sys:mixed {form}\n{conf}"))
        .make();
    if guest.try_start().code != 0 {
        return false;
    }
    let (mark, victim) = (format!("mark-{}", guest.name()), format!("victim-{}", guest.name()));
    let victims = Victims::make(&victim);
    vandalise(&guest, &victim, &mark);
    let mut made = Vec::new();
    find(Path::new("/sys/fs/cgroup"), &mark, 5, &mut made);
    let own = format!("lxc.payload.{}", guest.name());
    let foreign: Vec<_> =
        made.iter().filter(|path| !path.to_string_lossy().contains(&own)).cloned().collect();
    let read_only = guest
        .mountinfo()
        .iter()
        .filter(|mount| mount.fstype.starts_with("cgroup"))
        .all(testkit::guest::Mount::is_read_only);
    for path in made.iter().rev() {
        drop(std::fs::remove_dir(path));
    }
    drop(victims);
    guest.kill();
    assert!(foreign.is_empty(), "{form} {conf}: cgroups of the host were made: {foreign:?}");
    if form.contains(":ro") {
        assert!(made.is_empty() && read_only, "{form} {conf}: {made:?}");
    }
    true
}

cases! {
    fn cve_2023_25809_foreign_cgroups_are_read_only() {
        let started = FORMS.iter().filter(|form| check(form, "")).count();
        assert!(started > 0, "no form started");
    }

    fn cve_2023_25809_nor_without_a_cgroup_namespace() {
        let started = FORMS.iter().filter(|form| check(form, "lxc.namespace.keep = cgroup user time")).count();
        assert!(started > 0, "no form started");
    }
}
