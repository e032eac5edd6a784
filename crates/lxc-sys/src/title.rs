//! The process title that ps(1) shows.
//!
//! The kernel is told to read the command line from another place (`PR_SET_MM_MAP`); the real argument vector, which
//! belongs to the program and perhaps to its caller, is never written to.

use std::ffi::CStr;

use rustix::io::Errno;

use crate::proc::ProcFs;

/// `struct prctl_mm_map` of prctl(2).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct MmMap {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

/// Makes `title` the whole command line of this process. `comm` stays.
///
/// The text is kept for the rest of the process's life (a few dozen bytes per call).
///
/// - Errors: `INVAL` on kernels without `PR_SET_MM_MAP` (before Linux 3.18, or 5.x built without checkpoint/restore).
pub fn set_title(title: &str) -> Result<(), Errno> {
    let stat = std::fs::read("/proc/self/stat").map_err(|_| Errno::NOENT)?;
    let mut text = title.replace('\0', " ").into_bytes();
    text.push(0);
    apply(&stat, text.leak())
}

/// As [`set_title`], by a procfs that is not the one at `/proc`: what a container has there is not asked for addresses.
///
/// - Shape: `title` is on the stack or the heap and stays there: the kernel reads it each time it is asked for, and shows
///   nothing of memory that a file is mapped to, as a constant is (`FOLL_ANON` of proc_pid_cmdline(5)'s reader).
/// - Context: allocates nothing.
pub fn set_title_by(proc: &ProcFs, title: &CStr) -> Result<(), Errno> {
    let file = proc.open_at(c"self/stat", rustix::fs::OFlags::RDONLY)?;
    // 52 numbers and a name of 16 bytes.
    let mut stat = [0; 1536];
    let count = rustix::io::read(&file, &mut stat)?;
    apply(stat.get(..count).unwrap_or_default(), title.to_bytes_with_nul())
}

/// `text` ends in a NUL.
fn apply(stat: &[u8], text: &[u8]) -> Result<(), Errno> {
    let mut map = memory_map(stat).ok_or(Errno::PROTO)?;
    // SAFETY: brk(0) only asks for the current break.
    map.brk = unsafe { libc::syscall(libc::SYS_brk, 0) }.cast_unsigned();
    map.arg_start = text.as_ptr() as u64;
    map.arg_end = map.arg_start + text.len() as u64;
    map.exe_fd = u32::MAX;
    let map: *const MmMap = &raw const map;
    // SAFETY: `map` is a filled structure of the size passed; its new argument range is only ever read, and by the kernel,
    // which checks each address; the others are the present ones, and no auxiliary vector or executable is given.
    let result = unsafe { libc::prctl(libc::PR_SET_MM, libc::PR_SET_MM_MAP, map, size_of::<MmMap>(), 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    }
}

/// The present addresses from /proc/self/stat (proc(5); numbered from 1 there).
fn memory_map(stat: &[u8]) -> Option<MmMap> {
    // The second field is the program's name in parentheses and may contain anything.
    let at = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(at + 1..)?).ok()?;
    let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3)?.parse::<u64>().ok();
    Some(MmMap {
        start_code: field(26)?,
        end_code: field(27)?,
        start_stack: field(28)?,
        start_data: field(45)?,
        end_data: field(46)?,
        start_brk: field(47)?,
        arg_start: field(48)?,
        arg_end: field(49)?,
        env_start: field(50)?,
        env_end: field(51)?,
        ..MmMap::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_replaces_the_command_line_and_nothing_else() {
        let arguments: Vec<String> = std::env::args().collect();
        let environment = std::fs::read("/proc/self/environ").unwrap();
        // Longer than the original argument area, to see that nothing behind it is overwritten.
        let title = format!("[lxc monitor] /var/lib/lxc {}", "n".repeat(5000));
        set_title(&title).unwrap();
        let shown = std::fs::read("/proc/self/cmdline").unwrap();
        assert_eq!(shown, [title.as_bytes(), b"\0"].concat());
        assert_eq!(std::env::args().collect::<Vec<_>>(), arguments);
        assert_eq!(std::fs::read("/proc/self/environ").unwrap(), environment);
        set_title("short").unwrap();
        assert_eq!(std::fs::read("/proc/self/cmdline").unwrap(), b"short\0");
        // The heap still grows.
        assert_eq!(vec![1u8; 1 << 20].iter().map(|byte| u32::from(*byte)).sum::<u32>(), 1 << 20);
    }

    #[test]
    fn odd_program_names_do_not_shift_the_fields() {
        let stat =
            format!("7 (a) b (c)) S {}", (4..=52).map(|n| n.to_string()).collect::<Vec<_>>().join(" "));
        let map = memory_map(stat.as_bytes()).unwrap();
        assert_eq!((map.start_code, map.start_stack, map.arg_start, map.env_end), (26, 28, 48, 51));
        assert!(memory_map(b"7 (short) S 1").is_none());
    }
}
