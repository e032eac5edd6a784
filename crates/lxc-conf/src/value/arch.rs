//! `lxc.arch`: names of architectures, of which only the word size matters.

use super::{Result, ValueError};
use crate::model::Arch;

/// Every name with the personality it stands for.
pub const NAMES: &[(&str, Arch)] = &[
    ("aarch64", Arch::Bits64),
    ("amd64", Arch::Bits64),
    ("arm", Arch::Bits32),
    ("arm64", Arch::Bits64),
    ("armel", Arch::Bits32),
    ("armhf", Arch::Bits32),
    ("armv7l", Arch::Bits32),
    ("athlon", Arch::Bits32),
    ("i386", Arch::Bits32),
    ("i486", Arch::Bits32),
    ("i586", Arch::Bits32),
    ("i686", Arch::Bits32),
    ("linux32", Arch::Bits32),
    ("linux64", Arch::Bits64),
    ("loong64", Arch::Bits64),
    ("loongarch64", Arch::Bits64),
    ("mips", Arch::Bits32),
    ("mips64", Arch::Bits64),
    ("mips64el", Arch::Bits64),
    ("mipsel", Arch::Bits32),
    ("powerpc", Arch::Bits32),
    ("powerpc64", Arch::Bits64),
    ("ppc", Arch::Bits32),
    ("ppc64", Arch::Bits64),
    ("ppc64el", Arch::Bits64),
    ("ppc64le", Arch::Bits64),
    ("riscv64", Arch::Bits64),
    ("s390x", Arch::Bits64),
    ("x32", Arch::Bits32),
    ("x86", Arch::Bits32),
    ("x86_64", Arch::Bits64),
];

/// The word size a name stands for. Also used by `lxc-attach -a`.
pub fn parse(value: &str) -> Result<Arch> {
    NAMES
        .iter()
        .find(|(name, _)| *name == value)
        .map(|(_, arch)| *arch)
        .ok_or_else(|| ValueError::new(format!("unknown architecture {value:?}")))
}

/// The name a getter prints: only the word size survives parsing.
pub fn name(arch: Arch) -> &'static str {
    match arch {
        Arch::Bits32 => "i686",
        Arch::Bits64 => "x86_64",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(parse("armhf"), Ok(Arch::Bits32));
        assert_eq!(parse("riscv64"), Ok(Arch::Bits64));
        assert!(parse("X86").is_err());
        assert!(parse("").is_err());
        assert!(NAMES.is_sorted_by_key(|(name, _)| *name));
    }
}
