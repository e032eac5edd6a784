//! Golden plans: every `tests/plan/*.conf` on the host its `.host` file describes gives the text of its `.plan` file.
//!
//! No privilege, no kernel: `plan::plan` is pure. `LXC_PLAN_BLESS=1` writes the expectations anew. What the lines mean
//! on a real kernel is not tested here (see `tests/compliance`). tests/plan/README.md describes the `.host` files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lxc_conf::model::{Item, Ns, Origin};
use lxc_conf::{Config, Memory};
use lxc_core::Error;
use lxc_core::cgroup::layout::{Base, Layout, Version};
use lxc_core::cgroup::plan::CgroupGlobals;
use lxc_core::host::apparmor::AppArmor;
use lxc_core::host::{Host, Lsm};
use lxc_core::plan::{self, Input, Kind, Mode};

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/plan")
}

/// Names (without extension) of the files with `extension`.
fn names(extension: &str) -> BTreeSet<String> {
    fs::read_dir(goldens())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// What a `.host` file says; the default is root on a hybrid machine without security modules.
struct World {
    host: Host,
    cgroups: &'static str,
    controllers: Vec<String>,
    read_only: Vec<String>,
    globals: CgroupGlobals,
    relative: bool,
    fstab: Vec<Item<String>>,
    environment: Vec<(OsString, OsString)>,
    argv: Option<Vec<OsString>>,
    kind: Kind,
    mode: Mode,
}

impl World {
    fn new() -> World {
        World {
            host: Host {
                euid: 0,
                egid: 0,
                last_capability: 40,
                namespaces: Ns::ALL.iter().fold(0, |bits, ns| bits | ns.clone_flag()),
                lsm: Lsm::None,
                apparmor: None,
                terminal: false,
                rootfs_mount: PathBuf::from("/usr/lib/x86_64-linux-gnu/lxc/rootfs"),
            },
            cgroups: HYBRID,
            controllers: Vec::new(),
            read_only: Vec::new(),
            globals: CgroupGlobals::default(),
            relative: false,
            fstab: Vec::new(),
            environment: vec![("PATH".into(), "/usr/bin:/bin".into()), ("SECRET".into(), "s".into())],
            argv: None,
            kind: Kind::Start,
            mode: Mode::Daemon,
        }
    }

    /// Applies one line `WORD VALUE` of a `.host` file.
    fn line(&mut self, name: &str, line: &str) {
        let (word, value) = line.split_once(' ').unwrap_or((line, ""));
        let words = || value.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        match word {
            "euid" => self.host.euid = value.parse().unwrap(),
            "egid" => self.host.egid = value.parse().unwrap(),
            "last-capability" => self.host.last_capability = value.parse().unwrap(),
            "no-namespace" => {
                for ns in Ns::ALL.iter().filter(|ns| words().iter().any(|word| word == ns.word())) {
                    self.host.namespaces &= !ns.clone_flag();
                }
            }
            "lsm" => {
                self.host.lsm = match value {
                    "apparmor" => {
                        self.host.apparmor = Some(AppArmor {
                            own_attributes: true,
                            visible: true,
                            nested: false,
                            mounts: true,
                            stacking: true,
                            namespaces: true,
                            loads: true,
                            parser: Some("/usr/sbin/apparmor_parser".into()),
                            confined: None,
                        });
                        Lsm::AppArmor
                    }
                    "selinux" => Lsm::SeLinux,
                    other => panic!("{name}.host: lsm {other}"),
                }
            }
            // What this AppArmor lacks, and how the caller is confined.
            "apparmor" => {
                let facts = self.host.apparmor.as_mut().unwrap();
                match value.split_once(' ').unwrap_or((value, "")) {
                    ("no-attributes", _) => facts.own_attributes = false,
                    ("no-mounts", _) => facts.mounts = false,
                    ("no-stacking", _) => facts.stacking = false,
                    ("no-namespaces", _) => facts.namespaces = false,
                    ("no-loading", _) => facts.loads = false,
                    ("no-parser", _) => facts.parser = None,
                    ("confined", label) => facts.confined = Some(label.to_owned()),
                    other => panic!("{name}.host: apparmor {other:?}"),
                }
            }
            "cgroups" => {
                (self.cgroups, self.controllers) = match value {
                    "legacy" => (LEGACY, Vec::new()),
                    "hybrid" => (HYBRID, Vec::new()),
                    "unified" => {
                        let all = "cpuset cpu io memory hugetlb pids rdma misc";
                        (UNIFIED, all.split(' ').map(str::to_owned).collect())
                    }
                    other => panic!("{name}.host: cgroups {other}"),
                }
            }
            "controllers" => self.controllers = words(),
            "read-only" => self.read_only = words(),
            "pattern" => self.globals.pattern = Some(value.to_owned()),
            "use" => self.globals.required = Some(value.to_owned()),
            "fstab" => {
                let line = self.fstab.len() as u32 + 1;
                let origin = Origin { file: Some(Arc::from(format!("{name}.fstab"))), line };
                self.fstab.push(Item { value: value.to_owned(), origin });
            }
            "env" => {
                let (key, value) = value.split_once('=').unwrap();
                self.environment.push((key.into(), value.into()));
            }
            "argv" => self.argv = Some(words().into_iter().map(OsString::from).collect()),
            "execute" => self.kind = Kind::Execute,
            "foreground" => self.mode = Mode::Foreground,
            other => panic!("{name}.host: unknown word {other}"),
        }
    }

    fn layout(&self) -> Layout {
        let (mountinfo, cgroup) = self.cgroups.split_once("\n--\n").unwrap();
        let base = Base::of(self.host.euid, self.relative);
        let cgroup = match base {
            Base::Init => cgroup.to_owned(),
            Base::Own => cgroup
                .lines()
                .map(|line| format!("{}user.slice/s1\n", line.replace("init.scope", "")))
                .collect(),
        };
        let mut layout = Layout::parse(mountinfo, &cgroup, base);
        for hierarchy in &mut layout.hierarchies {
            if hierarchy.version == Version::V2 {
                hierarchy.controllers = self.controllers.clone();
            }
            hierarchy.writable = !self.read_only.contains(&hierarchy.label());
        }
        layout
    }
}

/// The text a `.plan` file holds: the plan, or why there is none.
fn planned(name: &str) -> String {
    let dir = goldens();
    let mut world = World::new();
    if let Ok(text) = fs::read_to_string(dir.join(format!("{name}.host"))) {
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            world.line(name, line);
        }
    }
    let mut source = Memory::default();
    for (key, value) in &world.environment {
        source.environment.insert(key.to_str().unwrap().into(), value.to_str().unwrap().into());
    }
    let file = format!("{name}.conf");
    let mut config = Config::new();
    config
        .load_bytes(&file, &fs::read(dir.join(&file)).unwrap(), &source)
        .unwrap_or_else(|errors| panic!("{file} does not load: {errors:?}"));
    let settings = config.settings();
    world.relative = settings.cgroup.relative;
    let layout = world.layout();
    let input = Input {
        name: "c1",
        lxcpath: Path::new("/var/lib/lxc"),
        config_file: Path::new("/var/lib/lxc/c1/config"),
        settings,
        host: &world.host,
        cgroups: &layout,
        cgroup_globals: &world.globals,
        fstab: &world.fstab,
        environment: &world.environment,
        argv: world.argv.as_deref(),
        kind: world.kind,
        mode: world.mode,
        log_level: "ERROR",
        boot_id: "11111111-2222-4333-8444-555555555555",
    };
    match plan::plan(&input) {
        Ok(plan) => plan.to_string(),
        Err(error) => explained(&error),
    }
}

fn explained(error: &Error) -> String {
    let mut text = format!("error: {error}\n");
    if let Some(origin) = error.origin() {
        text += &format!("config: {origin}\n");
    }
    if let Some(cure) = error.cure_text() {
        text += &format!("cure: {cure}\n");
    }
    text
}

/// Lines that differ, each with its side; common lines around them are left out. (LCS by table: plans are short.)
fn difference(expected: &str, got: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), got.lines().collect());
    let mut common = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if text_of(old[i]) == text_of(new[j]) {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && text_of(old[i]) == text_of(new[j]) {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || i < old.len() && common[i + 1][j] >= common[i][j + 1] {
            text += &format!("  - {}\n", old[i]);
            i += 1;
        } else {
            text += &format!("  + {}\n", new[j]);
            j += 1;
        }
    }
    if text.is_empty() { "  (only the numbers differ)\n".to_owned() } else { text }
}

/// A line without its number, which every insertion changes.
fn text_of(line: &str) -> &str {
    let line = line.trim_start();
    line.split_once(". ")
        .filter(|(number, _)| number.bytes().all(|b| b.is_ascii_digit()))
        .map_or(line, |(_, text)| text)
}

#[test]
fn plans_are_as_expected() {
    let bless = std::env::var_os("LXC_PLAN_BLESS").is_some();
    let configs = names("conf");
    let mut wrong = String::new();
    for name in &configs {
        let got = planned(name);
        let file = goldens().join(format!("{name}.plan"));
        if bless {
            fs::write(&file, &got).unwrap();
            continue;
        }
        match fs::read_to_string(&file) {
            Ok(expected) if expected == got => {}
            Ok(expected) => wrong += &format!("{name}.plan:\n{}", difference(&expected, &got)),
            Err(_) => wrong += &format!("{name}.plan is missing\n"),
        }
    }
    for extension in ["plan", "host"] {
        for stray in names(extension).difference(&configs) {
            wrong += &format!("{stray}.{extension} has no {stray}.conf\n");
        }
    }
    assert!(wrong.is_empty(), "plans changed (LXC_PLAN_BLESS=1 accepts that):\n{wrong}");
    assert!(configs.len() >= 60, "only {} configurations: has the directory moved?", configs.len());
}

#[test]
fn planning_twice_gives_the_same() {
    for name in names("conf") {
        assert_eq!(planned(&name), planned(&name), "{name}");
    }
}

const HYBRID: &str = "\
22 1 0:20 / /sys rw,nosuid,nodev,noexec,relatime - sysfs sysfs rw
30 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,xattr,name=systemd
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,cpu,cpuacct
34 30 0:30 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,memory
35 30 0:31 / /sys/fs/cgroup/devices rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,devices
36 30 0:32 / /sys/fs/cgroup/pids rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,pids
--
12:devices:/
10:pids:/
4:memory:/
3:cpu,cpuacct:/
1:name=systemd:/init.scope
0::/init.scope
";

const LEGACY: &str = "\
22 1 0:20 / /sys rw,nosuid,nodev,noexec,relatime - sysfs sysfs rw
30 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec - tmpfs tmpfs rw,mode=755
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,cpu,cpuacct
34 30 0:30 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,memory
35 30 0:31 / /sys/fs/cgroup/devices rw,nosuid,nodev,noexec,relatime - cgroup cgroup rw,devices
--
12:devices:/
4:memory:/
3:cpu,cpuacct:/
";

const UNIFIED: &str = "\
22 1 0:20 / /sys rw,nosuid,nodev,noexec,relatime - sysfs sysfs rw
31 22 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw
--
0::/init.scope
";
