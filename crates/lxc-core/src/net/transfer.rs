//! Moving a network device between the caller's network namespace and a running container's.
//!
//! Not here: devices that belong to the container's configuration (`setup`, `undo`).

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;

use super::raw::Route;
use super::request;
use crate::error::{Error, ErrorKind, Result, ResultExt};

/// Whether the caller's namespace has a device of this name.
pub fn has_link(name: &str) -> Result<bool> {
    Ok(is_name(name) && Route::open()?.link(&request::link_named(name))?.is_some())
}

/// Whether `netns` has a device of this name.
pub fn has_link_in(netns: BorrowedFd<'_>, name: &str) -> Result<bool> {
    Ok(is_name(name) && Route::open_in(netns)?.link(&request::link_named(name))?.is_some())
}

/// Moves `name` of the caller's namespace into `netns` and calls it `inside` there. It arrives down, without addresses.
///
/// - Context: CAP_NET_ADMIN in both namespaces.
/// - Errors: `NotFound`; `AlreadyExists` when the name is taken there; `Unsupported` for a device that cannot move.
pub fn send_link(netns: BorrowedFd<'_>, name: &str, inside: &str) -> Result<()> {
    let home = home()?;
    transfer((Route::open()?, home.as_fd()), (Route::open_in(netns)?, netns), name, inside)
}

/// The way back: moves `name` of `netns` into the caller's namespace and calls it `outside`.
pub fn fetch_link(netns: BorrowedFd<'_>, name: &str, outside: &str) -> Result<()> {
    let home = home()?;
    transfer((Route::open_in(netns)?, netns), (Route::open()?, home.as_fd()), name, outside)
}

fn home() -> Result<File> {
    File::open("/proc/thread-self/ns/net").what(|| "open the own network namespace")
}

/// A socket in a namespace, and the namespace.
type Place<'a> = (Route, BorrowedFd<'a>);

fn transfer(mut from: Place<'_>, mut to: Place<'_>, old: &str, new: &str) -> Result<()> {
    if !is_name(new) {
        let what = format!("name an interface `{new}`");
        return Err(Error::new(ErrorKind::Config, what).cure("1 to 15 characters without `/` and blanks"));
    }
    let Some(link) = from.0.link(&request::link_named(old))? else {
        return Err(Error::new(ErrorKind::NotFound, format!("there is no interface {old}")));
    };
    let moved = from.0.one(&request::move_link(link.index, old, to.1, new, None, None));
    let Err(error) = moved else { return Ok(()) };
    // The kernel moves first and renames then: with a name that is taken the device is there already, under its old one.
    if let Ok(None) = from.0.link(&request::link_named(old))
        && let Ok(Some(stray)) = to.0.link(&request::link_named(old))
    {
        to.0.one(&request::move_link(stray.index, old, from.1, old, None, None))?;
    }
    Err(match error.errno() {
        Some(Errno::EXIST) => error.cure(format!("an interface {new} is there already; give another name")),
        Some(Errno::INVAL | Errno::OPNOTSUPP) => error.with_kind(ErrorKind::Unsupported).cure(
            "this kind of interface belongs to its namespace; a wireless one moves with its phy (iw phy PHY set netns)",
        ),
        _ => error,
    })
}

/// What the kernel takes for a device name (dev_valid_name).
fn is_name(name: &str) -> bool {
    (1..16).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_kernel_would_refuse_are_no_interfaces() {
        for wrong in ["", ".", "..", "/dev/null", "a b", "sixteen-letters-", "a:b", "a\n"] {
            assert!(!is_name(wrong) && !has_link(wrong).expect("no kernel asked"), "{wrong}");
        }
        assert!(is_name("fifteen-letters") && has_link("lo").expect("lo"));
    }
}
