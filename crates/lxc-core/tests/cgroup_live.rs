//! Control groups for real: on whatever layout this host has, and on a private mount of cgroup2 alone.
//!
//! Needs root; says so and passes otherwise. Every cgroup made here is below `lxc-rs-test-PID-WORD` and gone afterwards.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::fmt::Write as _;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lxc_conf::model::{CgroupSetting, Origin, Settings};
use lxc_core::cgroup::devices::DeviceRule;
use lxc_core::cgroup::freezer::{self, Motion};
use lxc_core::cgroup::serve::Which;
use lxc_core::cgroup::tree::Spawned;
use lxc_core::cgroup::{CgroupGlobals, Layout, LayoutKind, Tree, Version, limit, plan, stats, survey};
use rustix::process::Pid;

/// A process that does nothing and ends with the test.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Sleeper {
        Sleeper(Command::new("sleep").arg("100").stdin(Stdio::null()).spawn().expect("start sleep"))
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    fn cgroups(&self) -> String {
        fs::read_to_string(format!("/proc/{}/cgroup", self.0.id())).expect("read its cgroups")
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory of test cgroups that is removed in every hierarchy at the end, whatever happened.
struct Nest {
    dir: String,
    layout: Layout,
    /// `destroy` moves the whole test process; children of other tests would be born in the wrong place meanwhile.
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Nest {
    fn new(word: &str) -> Option<Nest> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return None;
        }
        match survey(0, false) {
            Ok(layout) => Some(Nest {
                dir: format!("lxc-rs-test-{}-{word}", std::process::id()),
                layout,
                _alone: ALONE.lock().unwrap_or_else(PoisonError::into_inner),
            }),
            Err(error) => {
                println!("skipped: {error}");
                None
            }
        }
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        settings.cgroup.dir = Some(self.dir.clone());
        settings
    }

    fn tree(&self, settings: &Settings) -> Tree {
        let plan = plan(settings, "c1", &CgroupGlobals::default(), &self.layout, 0).expect("plan");
        Tree::open(plan).expect("open the hierarchies")
    }

    fn dirs(&self) -> Vec<PathBuf> {
        self.layout.hierarchies.iter().map(|h| h.base_dir().join(&self.dir)).collect()
    }
}

impl Drop for Nest {
    fn drop(&mut self) {
        fn remove(dir: &Path) {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    remove(&entry.path());
                }
            }
            let _ = fs::remove_dir(dir);
        }
        for dir in self.dirs() {
            // `destroy` moved the test process itself to the pivot; send it back to the base.
            let pivot = dir.join("lxc.pivot/cgroup.procs");
            if fs::read_to_string(&pivot).is_ok_and(|pids| !pids.is_empty()) {
                let _ = fs::write(dir.join("../cgroup.procs"), std::process::id().to_string());
            }
            remove(&dir);
            assert!(!dir.exists() || std::thread::panicking(), "left behind: {}", dir.display());
        }
    }
}

fn setting(file: &str, value: &str) -> CgroupSetting {
    let origin = Origin { file: Some("live".into()), line: 1 };
    CgroupSetting { file: file.into(), value: value.into(), origin }
}

/// Shell lines by which a shell enters the payload's cgroups the way the child between clone and exec does.
fn entering(entries: &[OwnedFd]) -> String {
    let mut script = String::new();
    for entry in entries {
        writeln!(script, "echo 0 > /proc/{}/fd/{} || exit 9", std::process::id(), entry.as_raw_fd())
            .expect("fmt");
    }
    script
}

#[test]
fn a_whole_life() {
    let Some(nest) = Nest::new("life") else { return };
    let mut tree = nest.tree(&nest.settings());
    tree.create_monitor().expect("monitor");
    let monitor = Sleeper::start();
    tree.enter_monitor(&[monitor.pid()], Spawned::Elsewhere).expect("enter the monitor's");
    tree.create_payload().expect("payload");
    let init = Sleeper::start();
    tree.enter_payload(init.pid(), Spawned::Elsewhere).expect("enter the payload's");
    tree.apply_limits().expect("no limits");

    let payload = format!("/{}/lxc.payload.c1", nest.dir);
    for (sleeper, path) in [(&monitor, format!("/{}/lxc.monitor.c1", nest.dir)), (&init, payload.clone())] {
        let cgroups = sleeper.cgroups();
        for hierarchy in &nest.layout.hierarchies {
            let prefix = match hierarchy.version {
                Version::V1 => format!(":{}:", hierarchy.controllers.join(",")),
                Version::V2 => "0::".to_owned(),
            };
            assert!(
                cgroups.lines().any(|line| line.contains(&prefix) && line.ends_with(&path)),
                "{prefix} {cgroups}"
            );
        }
    }
    for hierarchy in &nest.layout.hierarchies {
        let Some(controller) = hierarchy.controllers.first() else { continue };
        assert_eq!(tree.payload_path(Some(controller)), Some(payload.clone()));
        let found = tree.controller_fd(controller, hierarchy.version.magic(), Which::Limit).expect("fd");
        let link = fs::read_link(format!("/proc/self/fd/{}", found.fd.as_raw_fd())).expect("fd link");
        assert_eq!(link, hierarchy.base_dir().join(&payload[1..]));
        assert!(tree.controller_fd(controller, 1, Which::Limit).is_err(), "wrong magic");
    }
    assert_eq!(tree.path_of(Some("nosuch"), Which::Limit), None);
    assert_eq!(tree.context().expect("context").fds.len(), nest.layout.hierarchies.len());
    assert_eq!(tree.unified_fd(Which::Limit).is_ok(), nest.layout.kind == LayoutKind::Unified);

    drop(init);
    drop(monitor);
    for dir in nest.dirs() {
        fs::create_dir_all(dir.join("lxc.payload.c1/a/b")).expect("what the container itself made");
    }
    let errors = tree.destroy();
    assert!(errors.is_empty(), "{errors:?}");
    for dir in nest.dirs() {
        assert!(
            !dir.join("lxc.payload.c1").exists() && !dir.join("lxc.monitor.c1").exists(),
            "{}",
            dir.display()
        );
        assert!(!dir.exists(), "nothing was there before, so nothing stays: {}", dir.display());
    }
}

#[test]
fn a_populated_cgroup_is_reported_and_kept() {
    let Some(nest) = Nest::new("busy") else { return };
    let mut tree = nest.tree(&nest.settings());
    tree.create_payload().expect("payload");
    let init = Sleeper::start();
    tree.enter_payload(init.pid(), Spawned::Elsewhere).expect("enter");
    let errors = tree.destroy_payload();
    assert_eq!(errors.len(), nest.layout.hierarchies.len());
    let text = errors[0].to_string();
    assert!(text.starts_with("remove cgroup /") && text.ends_with("Device or resource busy"), "{text}");
}

#[test]
fn the_child_can_enter_by_itself() {
    let Some(nest) = Nest::new("self") else { return };
    let mut tree = nest.tree(&nest.settings());
    tree.create_payload().expect("payload");
    let entries = tree.payload_entries(Spawned::Elsewhere).expect("entries");
    assert_eq!(entries.len(), nest.layout.hierarchies.len());
    let script = entering(&entries) + "while read line; do echo $line; done < /proc/self/cgroup";
    let output = Command::new("sh").args(["-c", &script]).output().expect("sh");
    let text = String::from_utf8_lossy(&output.stdout);
    let inside = text.lines().filter(|line| line.ends_with("/lxc.payload.c1")).count();
    assert_eq!(inside, entries.len(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    drop(entries);
    let errors = tree.destroy_payload();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn a_taken_name_gets_the_same_suffix_everywhere() {
    let Some(nest) = Nest::new("suffix") else { return };
    let one = nest.dirs().last().expect("a hierarchy").join("lxc.payload.c1");
    fs::create_dir_all(&one).expect("occupy the name in one hierarchy");
    let mut tree = nest.tree(&nest.settings());
    tree.create_payload().expect("payload");
    assert!(tree.payload_name().is_some_and(|name| name.ends_with("lxc.payload.c1-1")));
    for dir in nest.dirs() {
        assert!(dir.join("lxc.payload.c1-1").is_dir());
        let occupied = dir == one.parent().expect("parent");
        assert_eq!(dir.join("lxc.payload.c1").exists(), occupied, "rolled back in {}", dir.display());
    }
    assert!(tree.destroy_payload().is_empty());
    assert!(one.exists(), "what we did not make stays");
}

#[test]
fn an_explicit_name_that_is_taken_fails_and_leaves_nothing() {
    let Some(nest) = Nest::new("explicit") else { return };
    let mut settings = Settings::default();
    settings.cgroup.monitor = Some(format!("{}/m", nest.dir));
    settings.cgroup.container = Some(format!("{}/c", nest.dir));
    settings.cgroup.container_inner = Some("ns".into());
    settings.cgroup.monitor_pivot = Some(format!("{}/lxc.pivot", nest.dir));
    settings.origins.insert("lxc.cgroup.dir.container".into(), Origin { file: Some("live".into()), line: 9 });
    let mut tree = nest.tree(&settings);
    tree.create_monitor().expect("monitor");
    tree.create_payload().expect("free");
    for dir in nest.dirs() {
        assert!(dir.join("c/ns").is_dir());
    }
    for hierarchy in &nest.layout.hierarchies {
        let Some(controller) = hierarchy.controllers.first() else { continue };
        assert_eq!(tree.payload_path(Some(controller)), Some(format!("/{}/c/ns", nest.dir)));
        assert_eq!(tree.limit_path(Some(controller)), Some(format!("/{}/c", nest.dir)));
    }
    let error = nest.tree(&settings).create_payload().expect_err("taken");
    assert_eq!(error.kind(), lxc_core::ErrorKind::AlreadyExists);
    assert_eq!(error.origin().map(|origin| origin.line), Some(9));
    let init = Sleeper::start();
    tree.enter_payload(init.pid(), Spawned::Elsewhere).expect("enter the inner one");
    assert!(init.cgroups().contains("/c/ns"));
    drop(init);
    let errors = tree.destroy();
    assert!(errors.is_empty(), "{errors:?}");
    for dir in nest.dirs() {
        assert!(!dir.join("c").exists() && !dir.join("m").exists(), "{}", dir.display());
    }
}

#[test]
fn limits_are_set_and_refusals_name_line_and_file() {
    let Some(nest) = Nest::new("limits") else { return };
    let memory = nest.layout.of_controller("memory").map(|h| h.version);
    let (file, value, shown, v1) = match memory {
        Some(Version::V1) => ("memory.limit_in_bytes", "64M", "67108864", true),
        Some(Version::V2) => ("memory.max", "64M", "67108864", false),
        None if nest.layout.kind == LayoutKind::Unified => ("cgroup.max.depth", "3", "3", false),
        None => return println!("skipped: no memory controller"),
    };
    let with = |values: &[&str]| {
        let mut settings = nest.settings();
        let list = if v1 { &mut settings.cgroup1 } else { &mut settings.cgroup2 };
        list.extend(values.iter().map(|value| setting(file, value)));
        let mut tree = nest.tree(&settings);
        tree.create_payload().expect("payload");
        tree
    };
    let mut tree = with(&[value]);
    tree.apply_limits().expect("limits");
    let found = tree.controller_fd(limit::controller_of(file), 0, Which::Limit).expect("fd");
    assert_eq!(limit::read_item(found.fd, file).expect("read").trim(), shown);
    limit::write_item(found.fd, file, "-1")
        .or_else(|_| limit::write_item(found.fd, file, "max"))
        .expect("write");
    assert_ne!(limit::read_item(found.fd, file).expect("read").trim(), shown);
    assert!(tree.destroy_payload().is_empty());

    let mut tree = with(&[value, "rubbish"]);
    let error = tree.apply_limits().expect_err("refused");
    let text = error.to_string();
    assert!(
        text.contains("write `rubbish`") && text.contains(file) && text.ends_with("Invalid argument"),
        "{text}"
    );
    assert_eq!(error.origin().map(|origin| origin.line), Some(1));
    assert!(error.cure_text().is_some());
    assert!(tree.destroy_payload().is_empty());
}

#[test]
fn freezing_stops_and_resumes() {
    let Some(nest) = Nest::new("freeze") else { return };
    let mut tree = nest.tree(&nest.settings());
    tree.create_payload().expect("payload");
    let init = Sleeper::start();
    tree.enter_payload(init.pid(), Spawned::Elsewhere).expect("enter");
    for hierarchy in nest.layout.hierarchies.iter().filter(|h| h.has("freezer") || h.version == Version::V2) {
        let dir = hierarchy.base_dir().join(&nest.dir).join("lxc.payload.c1");
        let fd = fs::File::open(&dir).expect("open the cgroup");
        let timeout = Some(Duration::from_secs(5));
        freezer::freeze(&fd, hierarchy.version, timeout).expect("freeze");
        assert_eq!(freezer::state(&fd, hierarchy.version).expect("state"), Motion::Frozen);
        freezer::unfreeze(&fd, hierarchy.version, timeout).expect("unfreeze");
        assert_eq!(freezer::state(&fd, hierarchy.version).expect("state"), Motion::Running);
    }
    drop(init);
    assert!(tree.destroy_payload().is_empty());
}

/// Whether a process inside the payload's cgroups may read a device node.
fn may_read(tree: &Tree, node: &str) -> bool {
    let entries = tree.payload_entries(Spawned::Elsewhere).expect("entries");
    let script = entering(&entries) + &format!(": < {node}");
    let status = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status().expect("sh");
    assert_ne!(status.code(), Some(9), "could not enter the cgroups");
    status.success()
}

#[test]
fn device_rules_bind_and_can_be_changed() {
    let Some(nest) = Nest::new("devices") else { return };
    if nest.layout.of_controller("devices").is_none() {
        return println!("skipped: neither a devices controller nor cgroup2");
    }
    let mut settings = nest.settings();
    settings.cgroup2 = vec![
        setting("devices.deny", "a"),
        setting("devices.allow", "c 1:3 rw"),
        setting("devices.allow", "/dev/zero r"),
    ];
    let mut tree = nest.tree(&settings);
    tree.create_payload().expect("payload");
    assert!(may_read(&tree, "/dev/urandom"), "nothing is in force yet");
    match tree.apply_devices() {
        Ok(()) => {}
        Err(error) if error.kind() == lxc_core::ErrorKind::Permission => return println!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    }
    assert!(!may_read(&tree, "/dev/urandom"));
    assert!(may_read(&tree, "/dev/zero"));
    let rule = |file, value| DeviceRule::parse(file, value).expect("rule");
    tree.add_device_rule(&rule("devices.allow", "c 1:9 r")).expect("allow");
    assert!(may_read(&tree, "/dev/urandom"));
    tree.add_device_rule(&rule("devices.deny", "c 1:9 r")).expect("deny");
    assert!(!may_read(&tree, "/dev/urandom"));
    assert!(may_read(&tree, "/dev/zero"), "other rules stay");
    // Each update takes the place of the one before.
    if let Some(count) = device_programs(&tree) {
        assert_eq!(count, 1);
    }
    assert!(tree.destroy_payload().is_empty());
}

/// Device programs on the payload's cgroup; `None` where the v1 controller does it.
fn device_programs(tree: &Tree) -> Option<u32> {
    let found = tree.controller_fd("devices", 0, Which::Limit).expect("devices");
    if found.version == Version::V1 {
        return None;
    }
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
    let dir = rustix::fs::openat(found.fd, ".", flags, rustix::fs::Mode::empty()).expect("open");
    Some(lxc_sys::bpf::count_device_programs(dir).expect("query"))
}

#[test]
fn without_a_list_the_first_refusal_refuses_that_device_only() {
    let Some(nest) = Nest::new("open") else { return };
    if nest.layout.of_controller("devices").is_none() {
        return println!("skipped: neither a devices controller nor cgroup2");
    }
    let mut tree = nest.tree(&nest.settings());
    tree.create_payload().expect("payload");
    let rule = |file, value| DeviceRule::parse(file, value).expect("rule");
    tree.add_device_rule(&rule("devices.allow", "c 1:9 r")).expect("allow what is allowed");
    assert!(may_read(&tree, "/dev/zero"), "allowing one device took another away");
    assert_ne!(device_programs(&tree), Some(1), "nothing to restrict, but a program");
    match tree.add_device_rule(&rule("devices.deny", "c 1:9 r")) {
        Err(error) if error.kind() == lxc_core::ErrorKind::Permission => return println!("skipped: {error}"),
        other => other.expect("deny"),
    }
    assert!(!may_read(&tree, "/dev/urandom"));
    assert!(may_read(&tree, "/dev/zero"));
    tree.add_device_rule(&rule("devices.allow", "c 1:9 r")).expect("allow again");
    assert!(may_read(&tree, "/dev/urandom"));
    assert!(tree.destroy_payload().is_empty());
}

#[test]
fn device_rules_reach_the_inner_cgroup() {
    let Some(nest) = Nest::new("inner") else { return };
    if nest.layout.of_controller("devices").is_none() {
        return println!("skipped: neither a devices controller nor cgroup2");
    }
    let mut settings = Settings::default();
    settings.cgroup.monitor = Some(format!("{}/m", nest.dir));
    settings.cgroup.container = Some(format!("{}/p", nest.dir));
    settings.cgroup.container_inner = Some("ns".into());
    let mut tree = nest.tree(&settings);
    tree.create_payload().expect("payload");
    let rule = |file, value| DeviceRule::parse(file, value).expect("rule");
    match tree.add_device_rule(&rule("devices.deny", "c 1:9 rwm")) {
        Err(error) if error.kind() == lxc_core::ErrorKind::Permission => return println!("skipped: {error}"),
        other => other.expect("deny"),
    }
    assert!(!may_read(&tree, "/dev/urandom"));
    tree.add_device_rule(&rule("devices.allow", "c 1:9 rwm")).expect("allow");
    assert!(may_read(&tree, "/dev/urandom"), "allowed above, refused where the processes are");
    assert!(tree.destroy_payload().is_empty());
}

#[test]
fn a_missing_device_node_names_the_rule_and_its_line() {
    let Some(nest) = Nest::new("nodev") else { return };
    if nest.layout.of_controller("devices").is_none() {
        return println!("skipped: neither a devices controller nor cgroup2");
    }
    let mut settings = nest.settings();
    settings.cgroup2 = vec![setting("devices.allow", "/dev/no-such-node r")];
    let mut tree = nest.tree(&settings);
    tree.create_payload().expect("payload");
    let error = tree.apply_devices().expect_err("missing node");
    assert!(error.to_string().contains("allow /dev/no-such-node r"), "{error}");
    assert_eq!(error.origin().map(|origin| origin.line), Some(1));
    assert!(tree.destroy_payload().is_empty());
}

#[test]
fn use_is_counted() {
    let Some(nest) = Nest::new("stats") else { return };
    let mut tree = nest.tree(&nest.settings());
    tree.create_payload().expect("payload");
    let entries = tree.payload_entries(Spawned::Elsewhere).expect("entries");
    let script = entering(&entries) + "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";
    assert!(Command::new("sh").args(["-c", &script]).status().expect("sh").success());
    let used = stats::read(|controller| {
        let found = tree.controller_fd(controller, 0, Which::Limit).ok()?;
        Some((found.fd.as_fd().try_clone_to_owned().ok()?, found.version))
    });
    assert!(used.cpu_ns.is_some_and(|ns| ns > 1_000_000), "{used:?}");
    drop(entries);
    assert!(tree.destroy_payload().is_empty());
}

#[test]
fn the_container_root_gets_its_cgroups() {
    use std::os::unix::fs::MetadataExt;
    let Some(nest) = Nest::new("chown") else { return };
    let mut tree = nest.tree(&nest.settings());
    tree.create_payload().expect("payload");
    tree.give_to_group(100_000).expect("chown");
    for dir in nest.dirs() {
        let dir = dir.join("lxc.payload.c1");
        let meta = fs::metadata(&dir).expect("stat");
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (0, 100_000, 0o775), "{}", dir.display());
        let procs = fs::metadata(dir.join("cgroup.procs")).expect("stat");
        assert_eq!((procs.gid(), procs.mode() & 0o777), (100_000, 0o664));
    }
    assert!(tree.destroy_payload().is_empty());
}

#[test]
fn the_same_on_a_private_mount_of_cgroup2_alone() {
    const MARK: &str = "LXC_RS_PRIVATE_CGROUP2";
    if std::env::var_os(MARK).is_some() {
        let layout = survey(0, false).expect("survey");
        assert_eq!(layout.kind, LayoutKind::Unified);
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: needs root");
    }
    let script = "umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup || exit 77; \
                  exec \"$0\" --test-threads=1 --nocapture";
    let output = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", script])
        .arg(std::env::current_exe().expect("own path"))
        .env(MARK, "1")
        .output()
        .expect("unshare");
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(77) {
        return println!("skipped: cannot mount cgroup2 privately");
    }
    println!("{text}");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("test result: ok"), "{text}");
}
