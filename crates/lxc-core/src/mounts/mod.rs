//! lxc.mount.* turned into mount operations.
//!
//! Pure: what to mount where is decided here, from text; `lxc_child::mounts` does it.

pub mod auto;
pub mod entry;

use std::ffi::CString;
use std::fmt;

use lxc_child::script::{self, Create, Propagation, Resolve};
use lxc_conf::model::Origin;
use lxc_conf::value::mount_entry::IdmapSource;
use lxc_sys::mount::MountAttr;

/// One mount, owned; `op` lends it to the child.
#[derive(Clone, Debug)]
pub struct MountPlan {
    pub kind: MountKind,
    /// Below the container's root, without a leading `/`.
    pub target: CString,
    pub resolve: Resolve,
    pub create: Create,
    pub optional: bool,
    pub attr: MountAttr,
    pub propagation: Propagation,
    pub origin: Origin,
}

/// See `lxc_child::script::MountKind`.
#[derive(Clone, Debug)]
pub enum MountKind {
    Fs { fstype: CString, source: CString, params: Vec<Param>, read_only: bool },
    Classic { fstype: CString, source: CString, flags: u64, data: CString },
    Bind { source: CString, recursive: bool },
    BindInside { source: CString, recursive: bool },
    Idmapped { source: CString, inside: bool, recursive: bool, idmap: IdmapSource },
    Change,
    Symlink { to: CString },
    Directory,
}

/// A file system parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Param {
    Flag(CString),
    /// A flag that is left out when the file system does not know it.
    Word(CString),
    String(CString, CString),
}

impl MountPlan {
    /// A plan with nothing special about it.
    pub fn new(kind: MountKind, target: CString, resolve: Resolve) -> MountPlan {
        MountPlan {
            kind,
            target,
            resolve,
            create: Create::No,
            optional: false,
            attr: MountAttr::default(),
            propagation: Propagation::Default,
            origin: Origin::default(),
        }
    }

    /// `idmap=container`: the container must have a map for it.
    pub fn wants_container_map(&self) -> bool {
        matches!(self.kind, MountKind::Idmapped { idmap: IdmapSource::Container, .. })
    }

    /// The parameters as the child wants them; `op` borrows the result.
    pub fn params(&self) -> Vec<script::Param<'_>> {
        match &self.kind {
            MountKind::Fs { params, .. } => params
                .iter()
                .map(|param| match param {
                    Param::Flag(key) => script::Param::Flag(key),
                    Param::Word(key) => script::Param::Word(key),
                    Param::String(key, value) => script::Param::String(key, value),
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Lends the plan to the child.
    pub fn op<'a>(&'a self, params: &'a [script::Param<'a>]) -> script::MountOp<'a> {
        let kind = match &self.kind {
            MountKind::Fs { fstype, source, read_only, .. } => {
                script::MountKind::Fs { fstype, source, params, read_only: *read_only }
            }
            MountKind::Classic { fstype, source, flags, data } => {
                script::MountKind::Classic { fstype, source, flags: *flags, data }
            }
            MountKind::Bind { source, recursive } => {
                script::MountKind::Bind { source, recursive: *recursive }
            }
            MountKind::BindInside { source, recursive } => {
                script::MountKind::BindInside { source, recursive: *recursive }
            }
            MountKind::Idmapped { source, inside, recursive, .. } => {
                script::MountKind::Idmapped { source, inside: *inside, recursive: *recursive }
            }
            MountKind::Change => script::MountKind::Change,
            MountKind::Symlink { to } => script::MountKind::Symlink { to },
            MountKind::Directory => script::MountKind::Directory,
        };
        script::MountOp {
            kind,
            target: &self.target,
            resolve: self.resolve,
            create: self.create,
            optional: self.optional,
            attr: self.attr,
            propagation: self.propagation,
        }
    }
}

impl fmt::Display for MountPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.to_string_lossy();
        let rec = |recursive: &bool| if *recursive { "rbind" } else { "bind" };
        match &self.kind {
            MountKind::Fs { fstype, source, params, read_only } => {
                write!(f, "mount {} {} on /{target}", fstype.to_string_lossy(), source.to_string_lossy())?;
                for param in params {
                    match param {
                        Param::Flag(key) => write!(f, " {}", key.to_string_lossy())?,
                        Param::Word(key) => write!(f, " {}?", key.to_string_lossy())?,
                        Param::String(key, value) => {
                            write!(f, " {}={}", key.to_string_lossy(), value.to_string_lossy())?;
                        }
                    }
                }
                if *read_only {
                    f.write_str(" sb-ro")?;
                }
            }
            MountKind::Classic { fstype, source, flags, data } => write!(
                f,
                "mount(2) {} {} on /{target} flags={flags:#x} data={}",
                fstype.to_string_lossy(),
                source.to_string_lossy(),
                data.to_string_lossy()
            )?,
            MountKind::Bind { source, recursive } => {
                write!(f, "{} {} on /{target}", rec(recursive), source.to_string_lossy())?;
            }
            MountKind::BindInside { source, recursive } => {
                write!(f, "{} inside:/{} on /{target}", rec(recursive), source.to_string_lossy())?;
            }
            MountKind::Idmapped { source, inside, recursive, idmap } => {
                let inside = if *inside { "inside:/" } else { "" };
                write!(
                    f,
                    "{} {inside}{} on /{target} idmap={idmap}",
                    rec(recursive),
                    source.to_string_lossy()
                )?;
            }
            MountKind::Change => write!(f, "change /{target}")?,
            MountKind::Symlink { to } => write!(f, "symlink /{target} -> {}", to.to_string_lossy())?,
            MountKind::Directory => write!(f, "mkdir /{target}")?,
        }
        write!(f, "{}", self.attr)?;
        match self.create {
            Create::No => {}
            Create::Dir => f.write_str(" create=dir")?,
            Create::File => f.write_str(" create=file")?,
        }
        if self.optional {
            f.write_str(" optional")?;
        }
        match self.propagation {
            Propagation::Default => {}
            Propagation::Top(kind) => write!(f, " propagation={}", propagation_word(kind))?,
            Propagation::Recursive(kind) => write!(f, " propagation=r{}", propagation_word(kind))?,
        }
        if self.resolve == Resolve::NoSymlinks {
            f.write_str(" no-symlinks")?;
        }
        Ok(())
    }
}

fn propagation_word(kind: u64) -> &'static str {
    match kind {
        MS_UNBINDABLE => "unbindable",
        MS_PRIVATE => "private",
        MS_SLAVE => "slave",
        MS_SHARED => "shared",
        _ => "unknown",
    }
}

pub(crate) const MS_UNBINDABLE: u64 = 1 << 17;
pub(crate) const MS_PRIVATE: u64 = 1 << 18;
pub(crate) const MS_SLAVE: u64 = 1 << 19;
pub(crate) const MS_SHARED: u64 = 1 << 20;
