//! execve(2) of an image prepared before the clone.
//!
//! Path candidates, argv and envp are built (and allocated) once by the parent; the child only follows pointers.

use std::ffi::{CStr, CString};
use std::os::raw::c_char;

use rustix::io::Errno;

/// Strings and the NULL-terminated pointer array over them that execve(2) wants.
#[derive(Debug)]
struct Vector {
    strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Vector {
    fn new(strings: Vec<CString>) -> Vector {
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
        Vector { strings, pointers }
    }
}

/// A program ready to be executed.
#[derive(Debug)]
pub struct Image {
    /// Paths to try in order, as execvp(3) would.
    candidates: Vec<CString>,
    argv: Vector,
    /// For each candidate: `/bin/sh CANDIDATE ARGS…`, what execvp(3) does with a file the kernel calls ENOEXEC.
    shell: Vec<Vector>,
    envp: Vector,
}

impl Image {
    /// An image of `argv` in the environment `envp` (`K=V`).
    ///
    /// - Shape: `argv[0]` with a `/` is used as it is; without, it is searched along `PATH` of `envp`, or along
    ///   `/bin:/usr/bin` when there is none (execvp(3)). An empty `argv` makes an image whose exec fails with ENOENT.
    pub fn new(argv: Vec<CString>, envp: Vec<CString>) -> Image {
        let candidates = argv.first().map(|program| candidates(program, &envp)).unwrap_or_default();
        let shell = candidates
            .iter()
            .map(|candidate| {
                let mut words = vec![c"/bin/sh".to_owned(), candidate.clone()];
                words.extend(argv.iter().skip(1).cloned());
                Vector::new(words)
            })
            .collect();
        Image { candidates, argv: Vector::new(argv), shell, envp: Vector::new(envp) }
    }

    /// The program as it was named.
    pub fn program(&self) -> &CStr {
        self.argv.strings.first().map_or(c"", CString::as_c_str)
    }

    /// The words.
    pub fn argv(&self) -> &[CString] {
        &self.argv.strings
    }

    /// The environment.
    pub fn envp(&self) -> &[CString] {
        &self.envp.strings
    }

    /// Replaces the calling process; returns only on failure.
    ///
    /// - Context: child between clone and exec; does not allocate.
    /// - Errors: as execvp(3): `EACCES` when a candidate was found but may not be executed, else the last error.
    pub fn exec(&self) -> Errno {
        let mut result = Errno::NOENT;
        let mut denied = false;
        for (candidate, shell) in self.candidates.iter().zip(&self.shell) {
            let mut errno = exec_raw(candidate, &self.argv.pointers, &self.envp.pointers);
            if errno == Errno::NOEXEC {
                errno = exec_raw(c"/bin/sh", &shell.pointers, &self.envp.pointers);
            }
            match errno {
                Errno::ACCESS => denied = true,
                Errno::NOENT | Errno::NOTDIR | Errno::STALE | Errno::NODEV | Errno::TIMEDOUT => {}
                other => return other,
            }
            result = errno;
        }
        if denied { Errno::ACCESS } else { result }
    }
}

fn candidates(program: &CStr, envp: &[CString]) -> Vec<CString> {
    if program.to_bytes().contains(&b'/') || program.is_empty() {
        return vec![program.to_owned()];
    }
    let path =
        envp.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH=")).unwrap_or(b"/bin:/usr/bin");
    path.split(|byte| *byte == b':')
        .filter_map(|dir| {
            let dir: &[u8] = if dir.is_empty() { b"." } else { dir };
            CString::new([dir, b"/", program.to_bytes()].concat()).ok()
        })
        .collect()
}

fn exec_raw(path: &CStr, argv: &[*const c_char], envp: &[*const c_char]) -> Errno {
    debug_assert!(argv.last().is_some_and(|p| p.is_null()) && envp.last().is_some_and(|p| p.is_null()));
    // SAFETY: `path` is NUL-terminated and both arrays are NULL-terminated arrays of pointers to strings owned by the
    // image that is borrowed for the whole call (`Vector::new`).
    // Why not nix: nix::unistd::execve collects pointers on the heap at call time.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// execve(2) of the file `fd` refers to (`AT_EMPTY_PATH`), for init programs that are not in the container's tree.
///
/// - Context: as [`Image::exec`].
pub fn exec_fd(fd: std::os::fd::BorrowedFd<'_>, image: &Image) -> Errno {
    use std::os::fd::AsRawFd;
    // SAFETY: as in `exec_raw`; the empty path is a static NUL-terminated string.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_raw_fd(),
            c"".as_ptr(),
            image.argv.pointers.as_ptr(),
            image.envp.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Empties the environment of this process, for set-uid programs: what their caller put there is nobody's business.
///
/// - Context: first thing in `main`. Nothing may keep a string of `std::env::vars_os` by pointer; std copies them.
/// - Source: clearenv(3).
pub fn clear_environment(_: &crate::clone::SingleThreaded) {
    // SAFETY: no other thread reads the environment: the token says that there is none.
    unsafe { libc::clearenv() };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_searched_along_path() {
        let image = Image::new(vec![c"true".into()], vec![c"PATH=/a::/b".into()]);
        let paths: Vec<_> = image.candidates.iter().map(|c| c.to_str().expect("utf8")).collect();
        assert_eq!(paths, ["/a/true", "./true", "/b/true"]);
    }

    #[test]
    fn without_path_the_c_library_default_is_used() {
        let image = Image::new(vec![c"true".into()], vec![]);
        assert_eq!(image.candidates, [c"/bin/true".to_owned(), c"/usr/bin/true".to_owned()]);
    }

    #[test]
    fn a_missing_program_reports_enoent_and_an_unexecutable_one_eacces() {
        assert_eq!(Image::new(vec![c"/nonexistent/x".into()], vec![]).exec(), Errno::NOENT);
        assert_eq!(Image::new(vec![c"/etc/passwd".into()], vec![]).exec(), Errno::ACCESS);
    }
}
