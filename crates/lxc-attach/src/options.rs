//! The grammars of option values: privilege lists, ids, architectures.
//!
//! Pure. Not here: what the values do (`lxc_core::attach`).

use lxc_conf::model::Arch;
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
    fn ids_are_digits_only_and_below_the_invalid_one() {
        assert_eq!(id("0"), Ok(0));
        assert_eq!(id("4294967294"), Ok(4_294_967_294));
        for wrong in ["", "-1", "+0", " 0", "0x0", "4294967295", "4294967296", "root"] {
            assert!(id(wrong).is_err(), "{wrong}");
        }
    }
}
