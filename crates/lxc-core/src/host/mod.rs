//! Facts of this machine and this caller, read once per process.
//!
//! A plain structure that tests fill by hand: everything a plan depends on besides the configuration. Nothing here
//! changes anything.

pub mod apparmor;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::{Result, ResultExt};

/// What the planners may know about the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub euid: u32,
    pub egid: u32,
    /// Highest capability this kernel knows (`/proc/sys/kernel/cap_last_cap`).
    pub last_capability: u8,
    /// Namespaces this kernel has, as `CLONE_NEW*` bits.
    pub namespaces: u64,
    pub lsm: Lsm,
    /// What AppArmor can do here, where it is the module in force.
    pub apparmor: Option<apparmor::AppArmor>,
    /// One of the caller's standard streams is a terminal.
    pub terminal: bool,
    /// `LXC_ROOTFS_MOUNT` of the build.
    pub rootfs_mount: PathBuf,
}

/// The security module that labels processes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lsm {
    None,
    AppArmor,
    SeLinux,
}

impl Lsm {
    /// Its word in plans.
    pub fn word(self) -> &'static str {
        match self {
            Lsm::None => "none",
            Lsm::AppArmor => "apparmor",
            Lsm::SeLinux => "selinux",
        }
    }
}

/// Looks at the machine. Costs a handful of stats.
pub fn survey() -> Result<Host> {
    let last = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")
        .what(|| "read /proc/sys/kernel/cap_last_cap")?;
    let lsm = lsm();
    Ok(Host {
        euid: rustix::process::geteuid().as_raw(),
        egid: rustix::process::getegid().as_raw(),
        last_capability: last.trim().parse().unwrap_or(40),
        namespaces: namespaces(),
        apparmor: (lsm == Lsm::AppArmor).then(apparmor::survey),
        lsm,
        terminal: [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()]
            .into_iter()
            .any(rustix::termios::isatty),
        rootfs_mount: PathBuf::from(crate::paths::ROOTFS_MOUNT),
    })
}

/// The environment of this process.
pub fn environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

/// What a process knows of its user's session with systemd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `USER`, or the uid: what loginctl(1) is told.
    pub user: String,
    /// `DBUS_SESSION_BUS_ADDRESS`.
    pub bus_address: Option<String>,
    /// `XDG_RUNTIME_DIR`, or where systemd puts it when the variable got lost (su, sudo) and the directory is the user's.
    pub runtime_dir: Option<PathBuf>,
    /// `/run/user/UID`.
    pub usual_runtime_dir: PathBuf,
    /// The machine was booted with systemd, sd_booted(3).
    pub booted_with_systemd: bool,
}

/// The session of the calling process.
pub fn session() -> Session {
    let uid = rustix::process::geteuid().as_raw();
    let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let usual_runtime_dir = PathBuf::from(format!("/run/user/{uid}"));
    let usual = || {
        let is_his = rustix::fs::stat(&usual_runtime_dir).is_ok_and(|stat| stat.st_uid == uid);
        is_his.then(|| usual_runtime_dir.clone())
    };
    Session {
        user: text("USER").unwrap_or_else(|| uid.to_string()),
        bus_address: text("DBUS_SESSION_BUS_ADDRESS"),
        runtime_dir: text("XDG_RUNTIME_DIR").map(PathBuf::from).or_else(usual),
        booted_with_systemd: std::path::Path::new("/run/systemd/system").is_dir(),
        usual_runtime_dir,
    }
}

/// Where along `PATH` an executable file of that name is.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok())
}

/// How many descriptors from 3 on a service manager passed to this program (sd_listen_fds(3)).
pub fn passed_descriptors() -> u32 {
    std::env::var("LISTEN_FDS")
        .ok()
        .and_then(|count| count.parse().ok())
        .filter(|count| *count < 1024)
        .unwrap_or(0)
}

fn namespaces() -> u64 {
    lxc_conf::model::Ns::ALL
        .iter()
        .filter(|ns| {
            rustix::fs::access(format!("/proc/self/ns/{}", ns.word()), rustix::fs::Access::EXISTS).is_ok()
        })
        .fold(0, |bits, ns| bits | ns.clone_flag())
}

/// The module in force, without the rest of the survey.
pub fn lsm() -> Lsm {
    let enabled =
        std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"));
    if enabled {
        Lsm::AppArmor
    } else if rustix::fs::access("/sys/fs/selinux/enforce", rustix::fs::Access::EXISTS).is_ok() {
        Lsm::SeLinux
    } else {
        Lsm::None
    }
}
