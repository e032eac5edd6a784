//! One file of one cgroup: which controller it belongs to, reading it, writing it.
//!
//! Not here: which directory (the monitor hands out fds, see `tree`), and device rules on cgroup2, which are no files.

use std::os::fd::AsFd;

use rustix::io::Errno;

use super::file;
use crate::error::{Error, ErrorKind, Result, ResultExt};

/// The controller a control file belongs to: what stands before the first dot.
///
/// `cgroup.procs` gives `cgroup`, which every hierarchy has.
pub fn controller_of(file: &str) -> &str {
    file.split_once('.').map_or(file, |(controller, _)| controller)
}

/// Reads a control file.
///
/// - Shape: `dir` is the cgroup's directory fd (O_PATH will do); the result is the text as the kernel gives it.
/// - Errors: `Config` for a name that is not a plain file name; `NotFound` when the controller has no such file.
pub fn read_item(dir: impl AsFd, name: &str) -> Result<String> {
    check_name(name)?;
    file::read(&dir, name).map_err(|errno| explain(errno, format!("read cgroup file {name}"), name))
}

/// Writes a control file with a single write(2).
///
/// - Errors: as `read_item`; the kernel's refusal names the value.
pub fn write_item(dir: impl AsFd, name: &str, value: &str) -> Result<()> {
    check_name(name)?;
    file::write(&dir, name, value.as_bytes())
        .map_err(|errno| explain(errno, format!("write `{value}` to cgroup file {name}"), name))
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.contains('/') || name.contains('\0') || name == "." || name == ".." {
        return Err(Error::new(ErrorKind::Config, format!("`{name}` is not the name of a cgroup file")));
    }
    Ok(())
}

/// Adds what usually lies behind an errno of a cgroup file.
pub(super) fn explain(errno: Errno, what: String, name: &str) -> Error {
    let controller = controller_of(name);
    let error = Err::<(), _>(errno).what(|| what);
    let Err(error) = error else { return Error::new(ErrorKind::Internal, "no error") };
    match errno {
        Errno::NOENT => error.cure(format!(
            "this kernel's {controller} controller has no file {name}, or {controller} is not enabled for this cgroup"
        )),
        Errno::ACCESS | Errno::PERM => error.cure(format!(
            "the {controller} controller is not delegated to this user: ask root for Delegate=yes (systemd) or a chown of \
             the cgroup"
        )),
        Errno::INVAL | Errno::RANGE => error.cure(format!("the kernel does not accept this value for {name}")),
        Errno::BUSY => error.cure("the cgroup's processes or children forbid the change now"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_is_what_stands_before_the_dot() {
        assert_eq!(controller_of("memory.limit_in_bytes"), "memory");
        assert_eq!(controller_of("hugetlb.2MB.max"), "hugetlb");
        assert_eq!(controller_of("cgroup.procs"), "cgroup");
        assert_eq!(controller_of("cpuset"), "cpuset");
    }

    #[test]
    fn a_name_cannot_leave_the_cgroup() {
        let dir = std::fs::File::open("/").expect("open /");
        for name in ["../x", "a/b", "", ".", "..", "/etc/passwd"] {
            assert_eq!(read_item(&dir, name).expect_err(name).kind(), ErrorKind::Config, "{name}");
            assert_eq!(write_item(&dir, name, "1").expect_err(name).kind(), ErrorKind::Config, "{name}");
        }
    }

    #[test]
    fn a_missing_file_names_the_controller() {
        let dir = std::fs::File::open("/proc/self").expect("open /proc/self");
        let error = read_item(&dir, "memory.nosuch").expect_err("no such file");
        assert_eq!(error.to_string(), "read cgroup file memory.nosuch: No such file or directory");
        assert!(error.cure_text().is_some_and(|cure| cure.contains("memory controller")));
    }
}
