//! Mounts that are not attached anywhere yet: a copy of a tree of the host, or a new file system.
//!
//! Not here: putting them somewhere (`enter`).

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use lxc_conf::value::mount_entry::IdmapSource;
use lxc_sys::mount::{Depth, MountAttr, set_attributes};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, open_tree,
};

use super::enter::Running;
use super::{MountRequest, Options};
use crate::{Error, Result, ResultExt};

/// A mount without a place.
#[derive(Debug)]
pub(super) struct Detached {
    pub fd: OwnedFd,
}

/// Makes the mount that `request` asks for, attributes, propagation and id map applied.
pub(super) fn make(running: &Running, request: &MountRequest) -> Result<Detached> {
    let fd = match &request.fstype {
        None => copy(&request.source, &request.options)?,
        Some(fstype) => create(running, fstype, &request.source, &request.options)?,
    };
    let object = || format!("set the options of the mount of {}", request.source.display());
    let userns = userns(running, &request.options)?;
    // ORDER: options first. An id-mapped mount can still be made read-only, but the reverse order would leave a moment
    // in which a recursive copy has neither.
    let mut attributes = MountAttr::setting(request.options.attributes);
    attributes.clear = request.options.clear;
    if let Some(userns) = &userns {
        attributes = attributes.idmapped(userns.as_fd());
    }
    let depth = if request.options.recursive { Depth::Recursive } else { Depth::Top };
    if !attributes.is_empty() {
        set_attributes(fd.as_fd(), &attributes, depth)
            .map_err(|errno| explain_attributes(errno, object()))?;
    }
    let propagation = MountAttr::propagating(request.options.propagation);
    let depth = if request.options.propagation_recursive { Depth::Recursive } else { Depth::Top };
    set_attributes(fd.as_fd(), &propagation, depth).what(object)?;
    Ok(Detached { fd })
}

fn copy(source: &Path, options: &Options) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if options.recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(CWD, source, flags).map_err(|errno| {
        let error = Error::kernel(errno, format!("take a copy of the mount at {}", source.display()));
        match errno {
            Errno::PERM => error.cure("run lxc-mount as root of the host"),
            Errno::NOENT => error.cure("the source is a path of the host; it does not exist"),
            Errno::INVAL => error
                .cure("the source is unbindable, or has mounts below it that may not be shown: use rbind"),
            _ => error,
        }
    })
}

fn create(running: &Running, fstype: &str, source: &Path, options: &Options) -> Result<OwnedFd> {
    let object = || format!("make a file system of type {fstype}");
    let context = fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| {
        let error = Error::kernel(errno, object());
        match errno {
            Errno::NODEV => error.cure("the kernel knows no such type; see /proc/filesystems"),
            Errno::PERM => error.cure("run lxc-mount as root of the host"),
            _ => error,
        }
    })?;
    let told = |errno: Errno, what: String| {
        let error = Error::kernel(errno, what);
        match message(&context) {
            Some(message) => error.cure(format!("the kernel says: {message}")),
            None => error,
        }
    };
    fsconfig_set_string(&context, "source", source).map_err(|errno| told(errno, object()))?;
    let owned = ownership(running, fstype, options);
    for option in options.data.iter().chain(&owned) {
        let result = match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(&context, key, value),
            None => fsconfig_set_flag(&context, option.as_str()),
        };
        result.map_err(|errno| told(errno, format!("set option {option} of file system {fstype}")))?;
    }
    fsconfig_create(&context).map_err(|errno| told(errno, object()))?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        .map_err(|errno| told(errno, object()))
}

/// A tmpfs belongs to the container's root unless the options say whose it is.
fn ownership(running: &Running, fstype: &str, options: &Options) -> Vec<String> {
    let (uid, gid) = running.root_ids();
    let says = |key: &str| options.data.iter().any(|option| option.starts_with(key));
    if fstype != "tmpfs" || (uid, gid) == (0, 0) {
        return Vec::new();
    }
    let mut owned = Vec::new();
    if !says("uid=") {
        owned.push(format!("uid={uid}"));
    }
    if !says("gid=") {
        owned.push(format!("gid={gid}"));
    }
    owned
}

/// The newest message of a file system context (`e unknown parameter`), without its letter.
fn message(context: &OwnedFd) -> Option<String> {
    let mut last = None;
    loop {
        let mut bytes = [0; 512];
        match rustix::io::read(context, &mut bytes) {
            Ok(count @ 3..) => {
                let text = String::from_utf8_lossy(bytes.get(2..count)?).trim_end().to_owned();
                last = Some(text);
            }
            _ => return last,
        }
    }
}

fn userns(running: &Running, options: &Options) -> Result<Option<OwnedFd>> {
    match &options.idmap {
        None => Ok(None),
        Some(IdmapSource::Container) => running.user_namespace().map(Some),
        Some(IdmapSource::Path(path)) => {
            rustix::fs::open(path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .what(|| format!("open user namespace {path}"))
                .map(Some)
        }
        Some(IdmapSource::Maps(maps)) => crate::idmap::namespace::make(maps).map(Some),
    }
}

fn explain_attributes(errno: Errno, what: String) -> Error {
    let error = Error::kernel(errno, what);
    match errno {
        Errno::INVAL => error.cure("the source's file system may not support idmap="),
        Errno::PERM => error.cure("the source's own mount forbids it, for example by nosuid or ro"),
        _ => error,
    }
}
