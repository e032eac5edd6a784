//! Where things are: compile-time prefixes, the per-user alternatives, and the names derived from a container's.
//!
//! The only file besides `host` that looks at the environment. Source: reference config.md §4, abi-and-wire.md B1, D1, D4.

use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};

macro_rules! setting {
    ($name:ident, $var:literal, $default:literal, $doc:literal) => {
        #[doc = $doc]
        pub const $name: &str = match option_env!($var) {
            Some(value) => value,
            None => $default,
        };
    };
}

setting!(PREFIX, "LXC_PREFIX", "/usr", "Build-time installation prefix.");
setting!(
    SYSCONFDIR,
    "LXC_SYSCONFDIR",
    "/etc",
    "Build-time directory of `lxc/lxc.conf` and `lxc/default.conf`."
);
setting!(LOCALSTATEDIR, "LXC_LOCALSTATEDIR", "/var", "Build-time directory of `lib/lxc` and `log/lxc`.");
setting!(RUNTIMEDIR, "LXC_RUNTIMEDIR", "/run", "Build-time directory of root's runtime files.");
setting!(
    ROOTFS_MOUNT,
    "LXC_ROOTFS_MOUNT",
    "/usr/lib/x86_64-linux-gnu/lxc/rootfs",
    "Default of `lxc.rootfs.mount`: an empty directory owned by the package."
);

/// `$HOME`, or `/` when it is unset (as the original).
fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

fn is_root() -> bool {
    geteuid().is_root()
}

/// `lxc.conf`: the system configuration, or the user's own.
pub fn system_config() -> PathBuf {
    match is_root() {
        true => Path::new(SYSCONFDIR).join("lxc/lxc.conf"),
        false => home().join(".config/lxc/lxc.conf"),
    }
}

/// Built-in default of `lxc.default_config`.
pub fn default_config() -> PathBuf {
    match is_root() {
        true => Path::new(SYSCONFDIR).join("lxc/default.conf"),
        false => home().join(".config/lxc/default.conf"),
    }
}

/// Built-in default of `lxc.lxcpath`.
pub fn default_lxcpath() -> PathBuf {
    match is_root() {
        true => Path::new(LOCALSTATEDIR).join("lib/lxc"),
        false => home().join(".local/share/lxc"),
    }
}

/// `/var/log/lxc`, root's log directory.
pub fn log_dir() -> PathBuf {
    Path::new(LOCALSTATEDIR).join("log/lxc")
}

/// Compiled AppArmor profiles of containers.
///
/// - Source: abi-and-wire.md D1.
pub fn apparmor_cache() -> PathBuf {
    Path::new(LOCALSTATEDIR).join("cache/lxc/apparmor")
}

/// Shared data: `templates/`, `config/`, `hooks/`.
pub fn data_dir() -> PathBuf {
    Path::new(PREFIX).join("share/lxc")
}

/// Helpers that are not commands.
pub fn libexec_dir() -> PathBuf {
    Path::new(PREFIX).join("libexec/lxc")
}

/// The file of the program that runs, where /proc tells; `None` without /proc.
pub fn running_program() -> Option<PathBuf> {
    std::env::current_exe().ok()
}

/// The directory LXC's runtime files live below (`RUNDIR/lxc/…`).
///
/// - Errors: `None` when the caller owns no runtime directory and has neither `XDG_RUNTIME_DIR` nor `HOME`.
/// - Source: abi-and-wire.md D1: the build-time directory when euid **or** egid owns it.
pub fn runtime_dir() -> Option<PathBuf> {
    if let Ok(stat) = rustix::fs::stat(RUNTIMEDIR)
        && (stat.st_uid == geteuid().as_raw() || stat.st_gid == getegid().as_raw())
    {
        return Some(PathBuf::from(RUNTIMEDIR));
    }
    if let Some(dir) = std::env::var_os("XDG_RUNTIME_DIR") {
        return Some(PathBuf::from(dir));
    }
    std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache/lxc/run"))
}

/// `RUNDIR/lxc/lock/LXCPATH/.NAME`; the lxcpath is appended verbatim.
pub fn lock_file(rundir: &Path, lxcpath: &Path, name: &str) -> PathBuf {
    let mut text = rundir.as_os_str().to_owned();
    text.push("/lxc/lock/");
    text.push(lxcpath);
    text.push("/.");
    text.push(name);
    PathBuf::from(text)
}

/// `RUNDIR/lxc/LXCPATH/monitor-fifo`; the lxcpath is appended verbatim.
pub fn monitor_fifo(rundir: &Path, lxcpath: &Path) -> PathBuf {
    let mut text = rundir.as_os_str().to_owned();
    text.push("/lxc/");
    text.push(lxcpath);
    text.push("/monitor-fifo");
    PathBuf::from(text)
}

/// 64-bit FNV-1a, the hash in abstract socket names.
pub fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Abstract name (without the leading NUL) of a container's command socket.
///
/// - Shape: `LXCPATH/NAME/command`, or `lxc/HASH/command` when that is longer than 105 bytes.
/// - Source: abi-and-wire.md B1.
pub fn command_socket(lxcpath: &Path, name: &str) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    let mut base = lxcpath.as_os_str().as_bytes().to_vec();
    base.push(b'/');
    base.extend_from_slice(name.as_bytes());
    let hash = fnv1a64(&base);
    base.extend_from_slice(b"/command");
    if base.len() <= 105 { base } else { format!("lxc/{hash:016x}/command").into_bytes() }
}

/// Abstract name of the socket lxc-monitord listens on for one lxcpath.
///
/// - Errors: `None` when the lxcpath is longer than the 84 bytes that fit.
/// - Source: abi-and-wire.md C2.
pub fn monitor_socket(lxcpath: &Path) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let path = lxcpath.as_os_str().as_bytes();
    if path.len() > 84 {
        return None;
    }
    let hashed = [b"lxc/".as_slice(), path, b"/monitor-sock"].concat();
    let mut name = format!("lxc/{:016x}/", fnv1a64(&hashed)).into_bytes();
    name.extend_from_slice(path);
    Some(name)
}

/// An lxcpath as typed, without trailing slashes; sockets and locks use it literally otherwise.
pub fn strip_trailing_slashes(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if path.starts_with('/') => "/",
        stripped => stripped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monitor_socket_of_the_default_lxcpath_is_the_one_proxmox_hard_codes() {
        let name = monitor_socket(Path::new("/var/lib/lxc")).expect("short path");
        assert_eq!(name, b"lxc/ad055575fe28ddd5//var/lib/lxc");
    }

    #[test]
    fn command_sockets_are_literal_up_to_105_bytes() {
        let name = "n".repeat(105 - "/p//command".len());
        let plain = command_socket(Path::new("/p"), &name);
        assert_eq!(plain.len(), 105);
        let hashed = command_socket(Path::new("/p"), &format!("{name}n"));
        assert!(hashed.starts_with(b"lxc/") && hashed.ends_with(b"/command"));
        assert_eq!(hashed.len(), "lxc/0123456789abcdef/command".len());
    }

    #[test]
    fn trailing_slashes_go_and_nothing_else() {
        assert_eq!(strip_trailing_slashes("/a//"), "/a");
        assert_eq!(strip_trailing_slashes("/a//b"), "/a//b");
        assert_eq!(strip_trailing_slashes("//"), "/");
    }
}
