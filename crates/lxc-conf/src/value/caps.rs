//! `lxc.cap.drop` and `lxc.cap.keep`: capability names and numbers (capabilities(7)).

use super::{Result, ValueError, number};
use crate::model::Capability;

/// Names by bit number, without `cap_`.
pub const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// One word of the list. `last` is the highest capability the kernel knows (`/proc/sys/kernel/cap_last_cap`); it
/// bounds numbers only, so that a name the kernel is too old for stays valid configuration.
pub fn parse(word: &str, last: u8) -> Result<Capability> {
    let number = match NAMES.iter().position(|name| *name == word) {
        Some(bit) => u8::try_from(bit).ok(),
        None => number::uint(word).ok().and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= last),
    };
    match number {
        Some(number) => Ok(Capability { name: word.to_owned(), number }),
        None => Err(unknown(word)),
    }
}

fn unknown(word: &str) -> ValueError {
    let lower = word.to_ascii_lowercase();
    let bare = lower.strip_prefix("cap_").unwrap_or(&lower);
    let reason = if NAMES.contains(&bare) {
        format!("unknown capability {word:?}; write it {bare:?}")
    } else {
        format!("unknown capability {word:?}")
    };
    ValueError::new(reason).compat(format!("Invalid argument - Invalid capability specified: {word}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(parse("sys_admin", 40).map(|c| c.number), Ok(21));
        assert_eq!(parse("checkpoint_restore", 37).map(|c| c.number), Ok(40));
        assert_eq!(parse("0x5", 40), Ok(Capability { name: "0x5".into(), number: 5 }));
        assert!(parse("41", 40).is_err());
        assert!(parse("none", 40).is_err());
        assert!(parse("CAP_KILL", 40).unwrap_err().reason.contains("\"kill\""));
    }
}
