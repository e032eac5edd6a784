//! The grammars of option values: namespace and privilege lists, ids, architectures.
//!
//! Pure. Not here: what the values do (`lxc_core::attach`).

use lxc_conf::model::{Arch, Ns};
use lxc_core::attach::{Elevated, ElevatedSet};

/// `-e`: `CAP`, `CGROUP`, `LSM`, joined by `|`; capital letters.
pub fn elevated(text: &str) -> Result<ElevatedSet, String> {
    text.split('|').try_fold(ElevatedSet::NONE, |set, word| match word {
        "CAP" => Ok(set.with(Elevated::Cap)),
        "CGROUP" => Ok(set.with(Elevated::Cgroup)),
        "LSM" => Ok(set.with(Elevated::Lsm)),
        _ => Err(format!("{word:?} is none of CAP, CGROUP, LSM")),
    })
}

/// Names of namespaces besides those of `/proc/PID/ns`, in capital letters only.
const ALIASES: [(&str, Ns); 3] = [("MOUNT", Ns::Mnt), ("UTSNAME", Ns::Uts), ("NETWORK", Ns::Net)];

/// `-s`: namespaces joined by `|`, as `CLONE_NEW*` bits.
pub fn namespaces(text: &str) -> Result<u64, String> {
    text.split('|').try_fold(0, |bits, word| {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == word).map(|(_, ns)| *ns);
        let ns = alias.or_else(|| Ns::ALL.into_iter().find(|ns| ns.word().eq_ignore_ascii_case(word)));
        ns.map(|ns| bits | ns.clone_flag()).ok_or_else(|| {
            format!(
                "{word:?} is none of user, mnt (MOUNT), pid, uts (UTSNAME), ipc, net (NETWORK), cgroup, time"
            )
        })
    })
}

/// `-u`, `-g`: a decimal number below 4294967295, digits only (a wrong reading would run the command as somebody else).
pub fn id(text: &str) -> Result<u32, String> {
    lxc_conf::value::number::id(text).map_err(|error| error.reason)
}

/// `-a`: a name of `lxc.arch`.
pub fn arch(text: &str) -> Result<Arch, String> {
    lxc_conf::value::arch::parse(text).map_err(|_| format!("{text:?} is not an architecture lxc.arch knows"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileges_are_capital_words() {
        assert_eq!(elevated("CAP"), Ok(ElevatedSet::NONE.with(Elevated::Cap)));
        assert_eq!(elevated("CAP|CGROUP|LSM"), Ok(ElevatedSet::ALL));
        for wrong in ["cap", "", "CAP|", "CAP,LSM", "=CAP"] {
            assert!(elevated(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn namespaces_go_by_their_kernel_names_and_three_old_ones() {
        assert_eq!(namespaces("MOUNT|PID"), Ok(Ns::Mnt.clone_flag() | Ns::Pid.clone_flag()));
        assert_eq!(namespaces("net|Uts|time"), namespaces("NETWORK|UTSNAME|TIME"));
        for wrong in ["mount", "utsname", "network", "bogus", "", "pid|"] {
            assert!(namespaces(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ids_are_digits_only_and_below_the_invalid_one() {
        assert_eq!(id("0"), Ok(0));
        assert_eq!(id("4294967294"), Ok(4_294_967_294));
        for wrong in ["", "-1", "+0", " 0", "0x0", "4294967295", "4294967296", "root"] {
            assert!(id(wrong).is_err(), "{wrong}");
        }
    }
}
