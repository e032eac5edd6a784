//! The container's /dev, console and ttys.

use std::ffi::CString;

use lxc_conf::model::Settings;

use crate::error::{Error, ErrorKind, Result, cstring};
use crate::rootfs::RootfsPlan;

/// A character device of every container's /dev.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub name: &'static std::ffi::CStr,
    pub major: u32,
    pub minor: u32,
    pub host: &'static std::ffi::CStr,
}

/// Source: config.md §11.
pub(super) const NODES: [Node; 6] = [
    Node { name: c"full", major: 1, minor: 7, host: c"/dev/full" },
    Node { name: c"null", major: 1, minor: 3, host: c"/dev/null" },
    Node { name: c"random", major: 1, minor: 8, host: c"/dev/random" },
    Node { name: c"tty", major: 5, minor: 0, host: c"/dev/tty" },
    Node { name: c"urandom", major: 1, minor: 9, host: c"/dev/urandom" },
    Node { name: c"zero", major: 1, minor: 5, host: c"/dev/zero" },
];

/// `(to, name)` below /dev.
pub(super) const SYMLINKS: [(&std::ffi::CStr, &std::ffi::CStr); 4] = [
    (c"/proc/self/fd", c"fd"),
    (c"/proc/self/fd/0", c"stdin"),
    (c"/proc/self/fd/1", c"stdout"),
    (c"/proc/self/fd/2", c"stderr"),
];

/// Where the console comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsolePlan {
    None,
    /// A pty of the host's devpts.
    Host,
    /// A pty of the container's own devpts.
    Inside,
}

/// What /dev will look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevPlan {
    /// `size=` of a fresh tmpfs.
    pub tmpfs_size: Option<CString>,
    /// Devices are made.
    pub populate: bool,
    /// /dev/fd and its kin are made.
    pub symlinks: bool,
    /// `max=` of a private devpts.
    pub devpts_max: Option<CString>,
    pub console: ConsolePlan,
    pub tty_dir: Option<CString>,
    pub ttys: usize,
}

pub(super) fn plan(settings: &Settings, rootfs: &RootfsPlan) -> Result<DevPlan> {
    let own_tree = !matches!(rootfs, RootfsPlan::Untouched);
    let populate = settings.autodev && own_tree;
    let size = match settings.autodev_tmpfs_size {
        0 => 500_000,
        size => size,
    };
    let most = lxc_child::script::MAX_TTYS;
    let ttys = settings.tty_max as usize;
    if ttys > most {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("lxc.tty.max = {ttys}: more than {most} ttys"),
        )
        .at(&settings.origin("lxc.tty.max").cloned().unwrap_or_default()));
    }
    let devpts_max = (settings.pty_max > 0 && own_tree)
        .then(|| cstring((u64::from(settings.pty_max) + u64::from(settings.tty_max)).to_string()))
        .transpose()?;
    let console = match settings.console.path.as_deref() {
        Some("none") => ConsolePlan::None,
        _ if settings.pty_max > 1 && devpts_max.is_some() => ConsolePlan::Inside,
        _ => ConsolePlan::Host,
    };
    Ok(DevPlan {
        tmpfs_size: populate.then(|| cstring(size.to_string())).transpose()?,
        populate,
        // COMPAT: also in the rootfs's own /dev, if it has one.
        symlinks: own_tree,
        devpts_max,
        console,
        tty_dir: settings.tty_dir.as_deref().filter(|dir| !dir.is_empty()).map(cstring).transpose()?,
        ttys,
    })
}
