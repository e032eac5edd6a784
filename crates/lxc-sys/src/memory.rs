//! Giving memory back that only the start of a process needed.

use std::os::raw::c_void;

/// Drops the pages of program text from this process (not from the page cache), and free heap.
///
/// A monitor runs for months in a small loop; most of the code it faulted in belongs to the start. What is needed again is
/// mapped again from the page cache at the next call, a minor fault each.
///
/// - Context: single-threaded processes that are about to idle; allocates.
/// - Source: madvise(2) `MADV_DONTNEED`: private file mappings are filled from the file again. Only executable mappings
///   are touched: they carry no relocations, so they are equal to the file.
pub fn release_after_start() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    for (start, length) in maps.lines().filter_map(executable_file_mapping) {
        // SAFETY: the range is one mapping of this process that the kernel just listed: private, executable, not
        // writable, backed by a file. Dropping its pages changes no content.
        unsafe { libc::madvise(start as *mut c_void, length, libc::MADV_DONTNEED) };
    }
    drop(maps);
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim has no preconditions; it returns free pages of the heap to the kernel.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Start and length of a `r-xp` mapping with a path.
fn executable_file_mapping(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    if fields.next()? != "r-xp" || !line.contains(" /") {
        return None;
    }
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    Some((start, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_executable_file_mappings_are_dropped() {
        let text = "55d0-65d0 r-xp 00000000 fe:00 12   /usr/bin/lxc-start";
        assert_eq!(executable_file_mapping(text), Some((0x55d0, 0x1000)));
        assert_eq!(executable_file_mapping("55d0-65d0 r--p 00000000 fe:00 12   /usr/bin/lxc-start"), None);
        assert_eq!(executable_file_mapping("7ffe0000-7ffe2000 r-xp 00000000 00:00 0   [vdso]"), None);
    }

    #[test]
    fn code_runs_on_afterwards() {
        release_after_start();
        assert_eq!("still here".len(), 10);
    }
}
