//! Keys of LXC before 2.1 and what became of them. The parser refuses them by their new name.

/// What became of an old key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The same thing under another name.
    Renamed(&'static str),
    /// Now part of another key, in the words given.
    Merged(&'static str),
    /// Gone without replacement.
    Removed,
}

/// Old names; all were refused from 3.0 on.
pub const RENAMED: [(&str, Fate); 26] = [
    ("lxc.aa_allow_incomplete", Fate::Renamed("lxc.apparmor.allow_incomplete")),
    ("lxc.aa_profile", Fate::Renamed("lxc.apparmor.profile")),
    ("lxc.console", Fate::Renamed("lxc.console.path")),
    ("lxc.devttydir", Fate::Renamed("lxc.tty.dir")),
    ("lxc.haltsignal", Fate::Renamed("lxc.signal.halt")),
    ("lxc.id_map", Fate::Renamed("lxc.idmap")),
    ("lxc.init_cmd", Fate::Renamed("lxc.init.cmd")),
    ("lxc.init_gid", Fate::Renamed("lxc.init.gid")),
    ("lxc.init_uid", Fate::Renamed("lxc.init.uid")),
    ("lxc.kmsg", Fate::Removed),
    ("lxc.limit", Fate::Renamed("lxc.prlimit")),
    ("lxc.logfile", Fate::Renamed("lxc.log.file")),
    ("lxc.loglevel", Fate::Renamed("lxc.log.level")),
    ("lxc.mount", Fate::Renamed("lxc.mount.fstab")),
    ("lxc.network", Fate::Renamed("lxc.net")),
    ("lxc.pivotdir", Fate::Removed),
    ("lxc.pts", Fate::Renamed("lxc.pty.max")),
    ("lxc.rebootsignal", Fate::Renamed("lxc.signal.reboot")),
    ("lxc.rootfs", Fate::Renamed("lxc.rootfs.path")),
    ("lxc.rootfs.backend", Fate::Merged("lxc.rootfs.path = TYPE:PATH")),
    ("lxc.se_context", Fate::Renamed("lxc.selinux.context")),
    ("lxc.seccomp", Fate::Renamed("lxc.seccomp.profile")),
    ("lxc.stopsignal", Fate::Renamed("lxc.signal.stop")),
    ("lxc.syslog", Fate::Renamed("lxc.log.syslog")),
    ("lxc.tty", Fate::Renamed("lxc.tty.max")),
    ("lxc.utsname", Fate::Renamed("lxc.uts.name")),
];

/// The message for an old key, or nothing when `name` never was one.
pub fn message(name: &str) -> Option<String> {
    if let Some((_, fate)) = RENAMED.iter().find(|(old, _)| *old == name) {
        return Some(match fate {
            Fate::Renamed(new) => format!("{name} was renamed to {new} in 2.1"),
            Fate::Merged(new) => format!("{name} became part of {new}"),
            Fate::Removed => format!("{name} was removed in 2.1; delete the line"),
        });
    }
    if let Some(rest) = name.strip_prefix("lxc.limit.") {
        return Some(format!("{name} was renamed to lxc.prlimit.{rest} in 2.1"));
    }
    let rest = name.strip_prefix("lxc.network.")?;
    let (index, sub) = match rest.split_once('.') {
        Some((index, sub)) if index.bytes().all(|b| b.is_ascii_digit()) => (index, sub),
        _ => ("0", rest),
    };
    let sub = match sub {
        "ipv4" => "ipv4.address",
        "ipv6" => "ipv6.address",
        other => other,
    };
    Some(format!("{name} was renamed to lxc.net.{index}.{sub} in 2.1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;

    #[test]
    fn new_names_exist_and_old_ones_do_not() {
        for (old, fate) in RENAMED {
            assert!(keys::find(old).is_none(), "{old}");
            if let Fate::Renamed(new) = fate {
                assert!(keys::find(new).is_some(), "{new}");
            }
        }
    }

    #[test]
    fn messages() {
        assert_eq!(message("lxc.utsname").as_deref(), Some("lxc.utsname was renamed to lxc.uts.name in 2.1"));
        assert_eq!(
            message("lxc.network.type").as_deref(),
            Some("lxc.network.type was renamed to lxc.net.0.type in 2.1")
        );
        assert_eq!(
            message("lxc.network.3.ipv4").as_deref(),
            Some("lxc.network.3.ipv4 was renamed to lxc.net.3.ipv4.address in 2.1")
        );
        assert_eq!(
            message("lxc.limit.nofile").as_deref(),
            Some("lxc.limit.nofile was renamed to lxc.prlimit.nofile in 2.1")
        );
        assert_eq!(message("lxc.tty.max"), None);
    }
}
