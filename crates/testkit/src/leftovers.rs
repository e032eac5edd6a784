//! What a container has left behind on the machine: cgroups, mounts, sockets, processes, interfaces. Only looks.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::eventually;
use crate::subject::Subject;

/// Everything on this machine that still carries the container's name, as lines for people.
///
/// The name must be unique (`TestNames`): the search is by substring.
pub fn find(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    cgroups(Path::new("/sys/fs/cgroup"), name, 4, &mut found);
    for line in read("/proc/self/mountinfo").lines().filter(|line| line.contains(name)) {
        found.push(format!("mount {line}"));
    }
    for line in read("/proc/net/unix").lines().filter(|line| line.contains(name)) {
        found.push(format!("socket {}", line.rsplit(' ').next().unwrap_or(line)));
    }
    for (pid, command) in processes() {
        if command.contains(name) && pid != std::process::id() && !is_ancestor(pid) {
            found.push(format!("process {pid} {command}"));
        }
    }
    found
}

/// Waits for the machine to be clean of `name`; gives what is left.
///
/// The original leaves cgroups after some failed starts (it is itself in the one it tries to remove); that is cleaned up
/// here and not reported for it.
pub fn remaining(subject: Subject, name: &str) -> Vec<String> {
    let (limit, forgiven) = match subject {
        Subject::Ours => (Duration::from_secs(15), false),
        Subject::Theirs => (Duration::from_secs(1), true),
    };
    // The monitor of a container that has just stopped is still putting things away.
    if eventually(limit, || find(name).is_empty()) {
        return Vec::new();
    }
    let mut found = find(name);
    if forgiven {
        for path in found.iter().rev().filter_map(|line| line.strip_prefix("cgroup ")) {
            drop(fs::remove_dir(path));
        }
        eventually(Duration::from_secs(5), || {
            found = find(name);
            found.iter().all(|line| line.starts_with("cgroup "))
        });
        found.retain(|line| !line.starts_with("cgroup "));
    }
    found
}

/// Panics with what is left of `name` on the machine.
pub fn assert_none(subject: Subject, name: &str) {
    let found = remaining(subject, name);
    assert!(found.is_empty(), "{name} left behind:\n  {}", found.join("\n  "));
}

/// Names of the network interfaces of this network namespace.
pub fn interfaces() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir("/sys/class/net")
        .map(|dir| dir.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

/// All processes: pid and command line with blanks between the words.
pub fn processes() -> Vec<(u32, String)> {
    let Ok(dir) = fs::read_dir("/proc") else { return Vec::new() };
    dir.flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let bytes = fs::read(entry.path().join("cmdline")).ok()?;
            let words: Vec<_> = bytes
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            Some((pid, words.join(" ").trim_end().to_owned()))
        })
        .collect()
}

/// Pid of the monitor of a container, by its title.
pub fn monitor_pid(lxcpath: &Path, name: &str) -> Option<u32> {
    let title = format!("[lxc monitor] {} {name}", lxcpath.display());
    processes().into_iter().find(|(_, command)| *command == title).map(|(pid, _)| pid)
}

fn read(path: &str) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn cgroups(dir: &Path, name: &str, depth: usize, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        if entry.file_name().to_string_lossy().contains(name) {
            found.push(format!("cgroup {}", path.display()));
        } else if depth > 1 {
            cgroups(&path, name, depth - 1, found);
        }
    }
}

/// The test runner names the test on its own command line, so ancestors are not leftovers.
fn is_ancestor(pid: u32) -> bool {
    let mut at = std::process::id();
    while at > 1 {
        let parent = read(&format!("/proc/{at}/status"))
            .lines()
            .find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
            .unwrap_or(0);
        if parent == pid {
            return true;
        }
        at = parent;
    }
    false
}
