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

#[cfg(test)]
mod tests {
    use super::*;

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
