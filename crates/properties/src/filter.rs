//! A seccomp filter as the kernel would run it (seccomp(2), struct seccomp_data), refusing what the kernel would refuse.

use lxc_sys::cred::SockFilter;

/// `AUDIT_ARCH_X86_64`.
pub const X86_64: u32 = 0xc000_003e;
/// `AUDIT_ARCH_I386`.
pub const I386: u32 = 0x4000_0003;
/// `BPF_MAXINSNS`.
pub const MOST: usize = 4096;

/// The verdict on one call.
///
/// Panics where the kernel would have refused the program: no return, a jump out of it, an instruction it does not know.
pub fn run(filter: &[SockFilter], arch: u32, call: u32, args: [u64; 6]) -> u32 {
    let mut data = vec![call, arch, 0, 0];
    for arg in args {
        data.push((arg & 0xffff_ffff) as u32);
        data.push((arg >> 32) as u32);
    }
    let mut accumulator = 0;
    let mut at = 0;
    loop {
        let op = filter.get(at).unwrap_or_else(|| panic!("the filter is left at {at} of {}", filter.len()));
        at += 1;
        let jump = |taken: bool| usize::from(if taken { op.jump_true } else { op.jump_false });
        match op.code {
            0x20 => {
                assert_eq!(op.k % 4, 0, "loads are aligned");
                accumulator = *data.get(op.k as usize / 4).expect("loads are within the data");
            }
            0x54 => accumulator &= op.k,
            0x05 => at += op.k as usize,
            0x15 => at += jump(accumulator == op.k),
            0x25 => at += jump(accumulator > op.k),
            0x35 => at += jump(accumulator >= op.k),
            0x06 => return op.k,
            other => panic!("unknown instruction {other:#x}"),
        }
    }
}
