//! Names nobody chose: random ones on the host, `eth%d` inside.

use std::collections::BTreeSet;

use rustix::rand::{GetRandomFlags, getrandom};

use crate::error::{Result, ResultExt};

use super::plan::DEFAULT_NAME;

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Random bytes from the kernel.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    // Requests of up to 256 bytes are never cut short (getrandom(2)).
    getrandom(&mut bytes, GetRandomFlags::empty()).what(|| "get random bytes")?;
    Ok(bytes)
}

/// `PREFIXXXXXXX`: six random letters and digits, 36 bits. A clash shows as EEXIST when the link is made.
pub(super) fn transient(prefix: &str) -> Result<String> {
    let mut name = prefix.to_owned();
    for byte in random::<6>()? {
        // 62 does not divide 256; the bias does not matter for a name.
        name.extend(LETTERS.get(usize::from(byte) % LETTERS.len()).map(|letter| char::from(*letter)));
    }
    Ok(name)
}

/// Names inside, in link order: chosen ones stay, then patterns take the lowest free number each.
///
/// - Shape: one entry per link; `None` means `eth%d`. A pattern holds one `%d`.
/// - Source: observed: the original names links with a configured name first, so that `eth0` may be asked for by a
///   later link while an earlier one, unnamed, becomes `eth1`.
pub(super) fn inside(wanted: &[Option<&str>]) -> Vec<String> {
    let fixed = wanted.iter().flatten().filter(|name| !name.contains('%'));
    let mut taken: BTreeSet<String> = fixed.map(|name| (*name).to_owned()).collect();
    let mut names = Vec::new();
    for name in wanted {
        let pattern = name.unwrap_or(DEFAULT_NAME);
        let Some((before, after)) = pattern.split_once("%d") else {
            names.push(pattern.to_owned());
            continue;
        };
        let free = (0..u32::MAX)
            .map(|number| format!("{before}{number}{after}"))
            .find(|name| taken.insert(name.clone()));
        names.push(free.unwrap_or_else(|| pattern.to_owned()));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_names_win_and_patterns_fill_the_gaps() {
        assert_eq!(
            inside(&[None, Some("eth0"), None, Some("wan%d"), Some("wan%d")]),
            ["eth1", "eth0", "eth2", "wan0", "wan1"]
        );
    }

    #[test]
    fn transient_names_fit_and_differ() {
        let (a, b) = (transient("veth").expect("random"), transient("veth").expect("random"));
        assert_eq!(a.len(), 10);
        assert!(a.starts_with("veth") && a.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(a, b);
    }
}
