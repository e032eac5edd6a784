//! `lxc.namespace.clone`, `.keep` and `.share.NS`: namespace words.

use super::{Result, ValueError, words};
use crate::model::Ns;

/// One word, in any case. `mount` is not one here: the commands that take it have their own list.
pub fn word(text: &str) -> Option<Ns> {
    Ns::ALL.into_iter().find(|ns| ns.word().eq_ignore_ascii_case(text))
}

/// Adds the words of `value` to `list`, kept in the fixed order of [`Ns::ALL`] without repeats.
pub fn add(list: &mut Vec<Ns>, value: &str) -> Result<()> {
    for (at, text) in words(value) {
        let ns = word(text).ok_or_else(|| ValueError::new(format!("unknown namespace {text:?}")).at(at))?;
        if !list.contains(&ns) {
            list.push(ns);
        }
    }
    list.sort_unstable();
    Ok(())
}

/// Names of namespaces besides those of `/proc/PID/ns`, in capital letters only.
const ALIASES: [(&str, Ns); 3] = [("MOUNT", Ns::Mnt), ("UTSNAME", Ns::Uts), ("NETWORK", Ns::Net)];

/// The list of `-s` of lxc-attach(1) and lxc-unshare(1): words joined by `|`, as `CLONE_NEW*` bits.
pub fn list(text: &str) -> std::result::Result<u64, String> {
    text.split('|').try_fold(0, |bits, part| {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == part).map(|(_, ns)| *ns);
        alias.or_else(|| word(part)).map(|ns| bits | ns.clone_flag()).ok_or_else(|| {
            format!(
                "{part:?} is none of user, mnt (MOUNT), pid, uts (UTSNAME), ipc, net (NETWORK), cgroup, time"
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_take_the_kernels_names_and_three_old_ones() {
        assert_eq!(list("MOUNT|PID"), Ok(Ns::Mnt.clone_flag() | Ns::Pid.clone_flag()));
        assert_eq!(list("net|Uts|time"), list("NETWORK|UTSNAME|TIME"));
        for wrong in ["mount", "utsname", "network", "bogus", "", "pid|"] {
            assert!(list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn order_is_fixed() {
        let mut list = Vec::new();
        add(&mut list, "NET pid").unwrap();
        add(&mut list, "user\tpid").unwrap();
        assert_eq!(list, [Ns::User, Ns::Pid, Ns::Net]);
        assert_eq!(add(&mut list, "ipc mount").unwrap_err().offset, 4);
        assert!(add(&mut list, "user,pid").is_err());
    }
}
