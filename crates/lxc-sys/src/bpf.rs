//! bpf(2): the device program of a cgroup.
//!
//! Instructions come from the caller; nothing is decided here. Seccomp filters are classic BPF and not here (`cred`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// One eBPF instruction (linux/bpf.h `struct bpf_insn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Insn {
    code: u8,
    /// Destination register in the low half, source in the high half (little endian hosts; the other way round on big).
    registers: u8,
    offset: i16,
    immediate: i32,
}

// linux/bpf_common.h and linux/bpf.h; the libc crate has none of these.
const BPF_LDX: u8 = 0x01;
const BPF_ALU: u8 = 0x04;
const BPF_JMP: u8 = 0x05;
const BPF_ALU64: u8 = 0x07;
const BPF_MEM: u8 = 0x60;
const BPF_X: u8 = 0x08;
const BPF_AND: u8 = 0x50;
const BPF_RSH: u8 = 0x70;
const BPF_MOV: u8 = 0xb0;
const BPF_JEQ: u8 = 0x10;
const BPF_JNE: u8 = 0x50;
const BPF_EXIT: u8 = 0x90;

impl Insn {
    const fn new(code: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> Insn {
        let registers = if cfg!(target_endian = "little") { dst | src << 4 } else { dst << 4 | src };
        Insn { code, registers, offset, immediate }
    }

    /// `dst = *(u32 *)(r1 + offset)`, r1 being the context.
    pub const fn load_ctx_word(dst: u8, offset: i16) -> Insn {
        Insn::new(BPF_LDX | BPF_MEM, dst, 1, offset, 0)
    }

    /// `dst &= value`, 32 bits.
    pub const fn and32(dst: u8, value: u32) -> Insn {
        Insn::new(BPF_ALU | BPF_AND, dst, 0, 0, value.cast_signed())
    }

    /// `dst >>= bits`, 32 bits.
    pub const fn shr32(dst: u8, bits: u8) -> Insn {
        Insn::new(BPF_ALU | BPF_RSH, dst, 0, 0, bits as i32)
    }

    /// `dst = src`, 32 bits.
    pub const fn copy32(dst: u8, src: u8) -> Insn {
        Insn::new(BPF_ALU | BPF_MOV | BPF_X, dst, src, 0, 0)
    }

    /// `dst = value`.
    pub const fn set64(dst: u8, value: i32) -> Insn {
        Insn::new(BPF_ALU64 | BPF_MOV, dst, 0, 0, value)
    }

    /// Skips `offset` instructions unless `register == value`.
    ///
    /// The comparison is of 64 bits with the sign-extended immediate: loads and 32-bit operations clear the upper half,
    /// so values from 2³¹ on (no device has such a number) would never be equal.
    pub const fn jump_unless_equal(register: u8, value: u32, offset: i16) -> Insn {
        Insn::new(BPF_JMP | BPF_JNE, register, 0, offset, value.cast_signed())
    }

    /// Skips `offset` instructions if `register == value`.
    pub const fn jump_if_equal(register: u8, value: u32, offset: i16) -> Insn {
        Insn::new(BPF_JMP | BPF_JEQ, register, 0, offset, value.cast_signed())
    }

    /// Skips `offset` instructions unless both registers hold the same.
    pub const fn jump_unless_same(left: u8, right: u8, offset: i16) -> Insn {
        Insn::new(BPF_JMP | BPF_JNE | BPF_X, left, right, offset, 0)
    }

    /// Ends the program with r0 as its verdict.
    pub const fn exit() -> Insn {
        Insn::new(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
    }

    /// The instruction as the kernel reads it: code, registers (dst, src), offset, immediate.
    pub const fn parts(self) -> (u8, (u8, u8), i16, i32) {
        let (low, high) = (self.registers & 0xf, self.registers >> 4);
        let registers = if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
        (self.code, registers, self.offset, self.immediate)
    }
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_F_REPLACE: u32 = 4;

/// The leading part of `union bpf_attr` for BPF_PROG_LOAD; the kernel takes the rest as zero.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The leading part of `union bpf_attr` for BPF_PROG_ATTACH and BPF_PROG_DETACH.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// The leading part of `union bpf_attr` for BPF_PROG_QUERY.
#[repr(C)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    reserved: u32,
    prog_attach_flags: u64,
}

fn fd_word(fd: impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd().cast_unsigned()
}

/// Loads a BPF_PROG_TYPE_CGROUP_DEVICE program.
///
/// - Errors: `EPERM` without CAP_BPF (and CAP_NET_ADMIN or CAP_SYS_ADMIN) in the initial user namespace; `EINVAL` when
///   the kernel lacks the program type; `EACCES` when the verifier refuses it.
/// - Source: bpf(2).
pub fn load_device_program(program: &[Insn]) -> io::Result<OwnedFd> {
    let license = c"LGPL-2.1-or-later";
    let attr = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?,
        insns: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    // SAFETY: attr and what it points at outlive the call, and the size given is attr's.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attr, size_of::<LoadAttr>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = RawFd::try_from(fd).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: the kernel just made this fd (close-on-exec) for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a device program to a cgroup, in place of `replaced` if given.
///
/// - Shape: `cgroup` is a directory fd of the unified hierarchy opened for reading.
/// - Source: bpf(2); other programs on the cgroup stay (BPF_F_ALLOW_MULTI).
pub fn attach_device_program(
    cgroup: impl AsFd,
    program: impl AsFd,
    replaced: Option<&OwnedFd>,
) -> io::Result<()> {
    let flags = BPF_F_ALLOW_MULTI | replaced.map_or(0, |_| BPF_F_REPLACE);
    attach_call(
        BPF_PROG_ATTACH,
        &AttachAttr {
            target_fd: fd_word(&cgroup),
            attach_bpf_fd: fd_word(&program),
            attach_type: BPF_CGROUP_DEVICE,
            attach_flags: flags,
            replace_bpf_fd: replaced.map_or(0, fd_word),
        },
    )
}

/// Detaches a device program from a cgroup.
pub fn detach_device_program(cgroup: impl AsFd, program: impl AsFd) -> io::Result<()> {
    attach_call(
        BPF_PROG_DETACH,
        &AttachAttr {
            target_fd: fd_word(&cgroup),
            attach_bpf_fd: fd_word(&program),
            attach_type: BPF_CGROUP_DEVICE,
            attach_flags: 0,
            replace_bpf_fd: 0,
        },
    )
}

/// How many device programs are attached to a cgroup itself.
///
/// - Shape: `cgroup` as for [`attach_device_program`]; those of cgroups above are not counted.
/// - Source: bpf(2); BPF_PROG_QUERY, Linux 4.15.
pub fn count_device_programs(cgroup: impl AsFd) -> io::Result<u32> {
    let mut attr = QueryAttr {
        target_fd: fd_word(&cgroup),
        attach_type: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: 0,
        prog_cnt: 0,
        reserved: 0,
        prog_attach_flags: 0,
    };
    // SAFETY: attr outlives the call, the size given is attr's, and without prog_ids the kernel writes into attr only.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut attr, size_of::<QueryAttr>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(attr.prog_cnt) }
}

fn attach_call(command: libc::c_int, attr: &AttachAttr) -> io::Result<()> {
    // SAFETY: attr outlives the call and the size given is attr's; the fds in it are checked by the kernel.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<AttachAttr>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
