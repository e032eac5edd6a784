//! The text of a generated profile. Pure: the same facts give the same text, which is what the golden files hold.
//!
//! Self-contained on purpose: no `include` and no `abi`, so that what the machine's policy directory says can neither
//! break nor widen it. Written from apparmor.d(5) and what a container's root can reach; the reasons stand beside the
//! rules, for whoever reads the loaded file.
//!
//! What it is for: root of a container without an id map is root of the machine wherever the kernel asks for nothing but
//! a uid, so the profile closes the files and mounts by which that reaches out. With an id map the kernel itself refuses
//! all of these, and the profile leaves mounts and paths alone: every rule more is one that breaks a nested runtime.

use std::fmt::Write;

use super::patterns::{Keep, all_but};

/// What the rules depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile<'a> {
    pub name: &'a str,
    /// The policy namespace stacked below it.
    pub namespace: Option<&'a str>,
    pub root: Root,
    /// `lxc.apparmor.allow_nesting`.
    pub nesting: bool,
    /// The container has a cgroup namespace of its own.
    pub cgroup_namespace: bool,
    /// `lxc.apparmor.raw`.
    pub raw: &'a [String],
}

/// Who root of the container is outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// Root of the machine.
    Machine,
    /// An ordinary user: an id map moves it away.
    Mapped,
}

/// A generated text, and where the user's own lines are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub text: String,
    /// Line number (from 1) of the first `lxc.apparmor.raw` line.
    pub raw_starts: usize,
}

/// Writes the profile.
pub fn text(profile: &Profile<'_>) -> Text {
    let mut out = Rules(String::new());
    out.line("# Made by LXC when the container starts; changes are overwritten (see lxc.apparmor.raw).");
    out.line(&format!("profile \"{}\" flags=(attach_disconnected,mediate_deleted) {{", profile.name));
    out.section("What the kernel decides by itself: ids, capabilities, namespaces");
    for rule in ["file", "capability", "network", "unix", "dbus", "umount"] {
        out.rule(rule);
    }
    peers(&mut out, profile);
    match profile.root {
        Root::Mapped => mapped(&mut out),
        Root::Machine => machine(&mut out, profile),
    }
    if profile.nesting {
        out.section(
            "The complete proc and sysfs only have to be there, for mounts in nested user namespaces",
        );
        out.rule("deny /dev/.lxc/{proc,sys}{,/**} rwklx");
    }
    let raw_starts = out.0.lines().count() + 3;
    if !profile.raw.is_empty() {
        out.section("lxc.apparmor.raw");
        for line in profile.raw {
            out.line(&format!("  {line}"));
        }
    }
    out.line("}");
    Text { text: out.0, raw_starts }
}

/// Lines of a profile.
struct Rules(String);

impl Rules {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn section(&mut self, title: &str) {
        let _ = write!(self.0, "\n  # {title}.\n");
    }

    fn rule(&mut self, rule: &str) {
        let _ = writeln!(self.0, "  {rule},");
    }

    fn deny(&mut self, patterns: &[String], access: &str) {
        for pattern in patterns {
            self.rule(&format!("deny {pattern} {access}"));
        }
    }
}

/// Who may be signalled and traced: the container's own processes. Being looked at by the machine is no harm.
fn peers(out: &mut Rules, profile: &Profile<'_>) {
    out.section("Signals and tracing stay among the container's own processes; the machine may reach in");
    out.rule("signal (receive)");
    out.rule("ptrace (readby, tracedby)");
    let mut peers = vec![profile.name.to_owned(), format!("{}//*", profile.name)];
    if let Some(namespace) = profile.namespace {
        // Profiles of its own policy namespace, and of those nested in it.
        peers.push(format!(":{namespace}{{,//**}}:**"));
    }
    for peer in peers {
        out.rule(&format!("signal (send) peer=\"{peer}\""));
        out.rule(&format!("ptrace (read, trace) peer=\"{peer}\""));
    }
}

/// A mapped root: the kernel lets it mount what is safe for it, and write what belongs to its namespaces.
fn mapped(out: &mut Rules) {
    out.section("Root is an ordinary user outside: the kernel limits what it mounts and writes");
    for rule in ["mount", "remount", "pivot_root"] {
        out.rule(rule);
    }
}

/// Files below /proc/sys that belong to the container's namespaces.
const OWN_SYSCTLS: &[Keep<'static>] = &[
    Keep::Tree("net"),
    Keep::Tree("kernel/hostname"),
    Keep::Tree("kernel/domainname"),
    Keep::Tree("kernel/sem"),
    Keep::Start("kernel/msg"),
    Keep::Start("kernel/shm"),
    Keep::Tree("kernel/ns_last_pid"),
    Keep::Tree("fs/mqueue"),
];

/// What is below /proc besides processes and sysctls belongs to the machine. PSI triggers are a process' own.
const OWN_PROC: &[Keep<'static>] = &[
    Keep::Start("1"),
    Keep::Start("2"),
    Keep::Start("3"),
    Keep::Start("4"),
    Keep::Start("5"),
    Keep::Start("6"),
    Keep::Start("7"),
    Keep::Start("8"),
    Keep::Start("9"),
    Keep::Tree("self"),
    Keep::Tree("thread-self"),
    Keep::Tree("sys"),
    Keep::Tree("pressure"),
];

/// What of sysfs belongs to the container.
const OWN_SYSFS: &[Keep<'static>] = &[Keep::Tree("fs/cgroup"), Keep::Tree("devices/virtual/net")];

/// Files by which root of the machine takes it over or stops it, wherever proc and sysfs are mounted.
const CRITICAL: &[&str] = &[
    "/{,**/}proc/sys/kernel/{core_pattern,modprobe,hotplug,poweroff_cmd,kexec_load_disabled,sysrq,panic*}",
    "/{,**/}proc/sys/{vm/overcommit_*,vm/drop_caches,fs/binfmt_misc/**}",
    "/{,**/}proc/sysrq-trigger",
    "/{,**/}sys/kernel/uevent_helper",
    "/{,**/}sys/fs/cgroup/**release_agent",
];

/// Memory of the machine: not even to be read.
const SECRET: &[&str] = &[
    "/{,**/}proc/{kcore,kmem,mem,vmcore,kpagecount,kpageflags,kpagecgroup}",
    "/sys/firmware/efi/efivars{,/**}",
    "/sys/kernel/{debug,tracing}{,/**}",
];

/// File systems that hold no more than their mounter may see, or are the container's own.
const PLAIN: &[&str] =
    &["autofs", "devpts", "fuse", "fuse.*", "fusectl", "hugetlbfs", "mqueue", "overlay", "ramfs", "tmpfs"];

/// Root of the machine.
fn machine(out: &mut Rules, profile: &Profile<'_>) {
    mounts(out, profile);
    out.section("Propagation");
    for kind in ["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"] {
        // Some mount(8) are silent in all they do.
        out.rule(&format!("mount options=(make-{kind}) -> /{{,**}}"));
        out.rule(&format!("mount options=(make-{kind}, silent) -> /{{,**}}"));
    }
    remounts(out, profile.nesting);
    denials(out, profile);
}

/// New file systems, and trees made to appear elsewhere.
///
/// Compilers before AppArmor 3.0.11 and 3.1.4 widen mount rules (CVE-2016-1585; seen with Debian 12's): one with `rw`
/// allows any new file system, one with `remount` and `bind` allows binds and new ones with its other flags. Hence no
/// `rw` anywhere, and denials, which nothing widened gets past, beside what is allowed.
fn mounts(out: &mut Rules, profile: &Profile<'_>) {
    out.section(
        "No file system on a device, whose driver trusts what it reads, nor one that shows the machine",
    );
    let mut known: Vec<Keep<'_>> = PLAIN
        .iter()
        .map(|name| name.strip_suffix('*').map_or(Keep::Tree(name), Keep::Start))
        .chain([Keep::Tree("proc"), Keep::Tree("sysfs")])
        .collect();
    if profile.cgroup_namespace {
        known.extend([Keep::Tree("cgroup"), Keep::Tree("cgroup2")]);
    }
    for pattern in all_but("", &known) {
        out.rule(&format!("deny mount fstype=\"{pattern}\""));
    }
    out.rule(&format!("mount fstype=({})", PLAIN.join(", ")));
    if profile.nesting {
        out.section("Nested containers, and systemd's sandboxes, see the whole tree once more");
        out.rule("mount fstype=(proc, sysfs)");
        if profile.cgroup_namespace {
            out.rule("mount fstype=(cgroup, cgroup2)");
        }
        for kind in ["bind", "rbind", "move"] {
            out.rule(&format!("mount options=({kind}) /{{,**}} -> /{{,**}}"));
        }
        out.rule("pivot_root");
        return;
    }
    out.section("proc, sysfs and control groups at their places only, where the denials below find them");
    for (fstype, place) in [("proc", "proc"), ("sysfs", "sys")] {
        out.rule(&format!("mount fstype={fstype} -> /{place}/"));
        for pattern in all_but("/", &[Keep::Tree(place)]) {
            out.rule(&format!("deny mount fstype={fstype} -> {pattern}"));
        }
        out.rule(&format!("deny mount fstype={fstype} -> /{place}/?**"));
    }
    if profile.cgroup_namespace {
        out.rule("mount fstype=(cgroup, cgroup2) -> /sys/fs/cgroup/{,**}");
    }
    out.section("Trees are bound and moved, but for those that reach the machine by their names");
    let own = all_but("/", &[Keep::Tree("dev"), Keep::Tree("proc"), Keep::Tree("sys")]);
    for kind in ["bind", "rbind", "move"] {
        for pattern in &own {
            out.rule(&format!("mount options=({kind}) {pattern} -> /{{,**}}"));
        }
        out.rule(&format!("deny mount options=({kind}) /{{dev,proc,sys}}{{,/**}} -> /{{,**}}"));
    }
}

/// The attributes of one mount, changed by remounting its bind; never those of the file system, which others share.
///
/// AppArmor compares the flags of the call as a whole, so each combination is a rule of its own.
fn remounts(out: &mut Rules, nesting: bool) {
    const RESTRICTING: [&str; 4] = ["nosuid", "nodev", "noexec", "silent"];
    // A remount repeats how the mount keeps access times, or it is refused when that is locked.
    const TIMES: [&str; 7] = [
        "",
        "relatime",
        "noatime",
        "strictatime",
        "nodiratime",
        "relatime, nodiratime",
        "noatime, nodiratime",
    ];
    out.section("Mounts are made read-only, and whatever else restricts them");
    let modes: &[&str] = if nesting { &["ro, ", ""] } else { &["ro, "] };
    for mode in modes {
        for set in 0..1u8 << RESTRICTING.len() {
            for times in TIMES {
                let chosen = RESTRICTING.iter().enumerate().filter(|(bit, _)| set & 1 << bit != 0);
                let options: Vec<&str> = ["remount", "bind"]
                    .into_iter()
                    .chain(chosen.map(|(_, option)| *option))
                    .chain(Some(times).filter(|times| !times.is_empty()))
                    .collect();
                out.rule(&format!("mount options=({mode}{})", options.join(", ")));
            }
        }
    }
    out.section("systemd tries this when it shuts down; nobody wants to read about it");
    out.rule("deny mount options=(ro, remount) -> /");
    out.rule("deny mount options=(ro, remount, silent) -> /");
}

fn denials(out: &mut Rules, profile: &Profile<'_>) {
    out.section("Settings of the machine below /proc; those of the container's namespaces stay writable");
    out.deny(&all_but("/proc/", OWN_PROC), "wklx");
    out.deny(&all_but("/proc/sys/", OWN_SYSCTLS), "wklx");
    // A file on a detached mount has a name relative to that mount's root: what hardened runtimes (runc 1.3.3 and later,
    // for CVE-2025-52881) open as sys/net/… of a procfs of their own appears as /sys/net/…. sysfs has none of these
    // names, so keeping them costs nothing.
    let mut keep = OWN_SYSFS.to_vec();
    keep.extend(OWN_SYSCTLS);
    if profile.namespace.is_some() {
        // The files show, and change, the container's own policy namespace.
        keep.push(Keep::Tree("kernel/security/apparmor"));
    }
    out.section("The machine's devices and drivers below /sys");
    out.deny(&all_but("/sys/", &keep), "wklx");
    out.section(
        "The same by whatever name a mount gives it: hardly a wall for root of the machine, but a fence",
    );
    for pattern in CRITICAL {
        out.rule(&format!("deny {pattern} wklx"));
    }
    out.section("Memory and firmware of the machine");
    for pattern in SECRET {
        out.rule(&format!("deny {pattern} rwklx"));
    }
}
