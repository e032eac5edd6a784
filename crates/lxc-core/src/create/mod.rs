//! Creating containers: directory, rootfs, configuration, template.
//!
//! Everything that can be checked is checked before anything is written; a failure takes back what this creation made
//! and nothing else. Not here: what templates do (`template`), copying containers.

pub mod backing;
pub mod header;
pub mod journal;
pub mod name;
pub mod partial;
pub mod save;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use lxc_conf::model::{IdMap, RootfsPath};
use lxc_conf::{ConfError, Config};
use rustix::fs::Mode;

use crate::destroy::{PATIENCE, ownership};
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::idmap;
use crate::lock::DiskLock;
use crate::template::{self, Stdio};
use backing::{Backing, Specs};
use journal::Journal;
use partial::Partial;

/// Mode of a container's directory, whatever the caller's mask.
const DIR_MODE: u32 = 0o770;
/// Mode of a rootfs and of the directories on the way to it.
const ROOTFS_MODE: u32 = 0o755;

/// Mode of the configuration of a container with a rootfs.
const CONFIG_MODE: Mode = Mode::from_bits_truncate(0o640);

/// What to create.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub name: &'a str,
    pub lxcpath: &'a Path,
    /// What the configuration starts from: a loaded file, or what a program has set so far.
    pub config: Config,
    /// Name or absolute path of a template; `None` for a container without one.
    pub template: Option<&'a OsStr>,
    /// The user's words for the template.
    pub args: &'a [OsString],
    pub backing: Backing,
    pub specs: Specs,
    pub existing: Existing,
    /// Where the template's input and output go.
    pub stdio: Stdio,
}

/// What to do when the container has a configuration file already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It exists: refuse (`lxc-create`).
    Refuse,
    /// A program saved its configuration first: complete it, unless there is a rootfs to lose (liblxc's `create`).
    Complete,
}

/// Where the rootfs will be and who makes it.
#[derive(Debug)]
enum Rootfs {
    /// No template and none configured: only the configuration is written.
    None,
    /// Configured and there already. Filled by the template, never removed here.
    Given(RootfsPath),
    /// Made by this creation; `delta` for overlay storage.
    New { path: PathBuf, delta: Option<PathBuf> },
}

/// Creates a container and returns its configuration as it is on disk.
///
/// - Context: host, any thread; root, or a user who can map the ids of `lxc.idmap`.
/// - Errors:  `AlreadyExists` for a defined container with a rootfs; `NotFound` for a template or a configured rootfs
///   that is not there; `Unsupported` storage; `Hook` when the template failed.
/// - Source:  reference abi-and-wire.md D3, config.md §3.
pub fn create(mut request: Request<'_>) -> Result<Config> {
    // An ordinary user's container belongs to his ids; a map he has not written is made and saved.
    let filled = idmap::grant::fill_in(&mut request.config);
    if request.template.is_some() {
        filled?;
        let settings = request.config.settings();
        idmap::grant::check(&settings.idmap, &settings.origin("lxc.idmap").cloned().unwrap_or_default())?;
    }
    let plan = Plan::new(request)?;
    let mut journal = Journal::new(&plan.config.settings().idmap);
    journal.parents(&plan.dir, ROOTFS_MODE)?;
    journal.dir(&plan.dir, DIR_MODE)?;
    let mark = match plan.rootfs {
        Rootfs::None => None,
        _ => Some(Partial::begin(&plan.dir)?),
    };
    // ORDER: looked at again under the mark, for another creation may have ended between the first look and the mark.
    plan.check_existing()?;
    if mark.is_some() {
        journal.own(&plan.dir);
    }
    let created = plan.carry_out(&mut journal);
    match &created {
        Ok(_) => journal.commit(),
        Err(_) => drop(journal),
    }
    // ORDER: the mark keeps others out of the directory until everything is taken back.
    drop(mark);
    created
}

/// The configuration a new container starts from.
///
/// A file that was asked for must be there and be right: half a configuration could lack the line that keeps the
/// container unprivileged. Only the default file may be missing.
///
/// - Shape:  `file` is what the user named; `default` is `lxc.default_config`.
/// - Errors: `Config` or `NotFound`, naming the file.
pub fn initial_config(file: Option<&Path>, default: &Path) -> Result<Config> {
    match file {
        Some(file) => load(file),
        None if default.exists() => load(default),
        None => {
            tracing::warn!(
                "{} does not exist: the container starts without a configuration",
                default.display()
            );
            Ok(Config::new())
        }
    }
}

/// Loads a configuration file into an empty configuration.
pub fn load(path: &Path) -> Result<Config> {
    if !path.exists() {
        let errno = rustix::io::Errno::NOENT;
        return Err(Error::kernel(errno, format!("open {}", path.display())));
    }
    let mut config = Config::new();
    match config.load_file(path) {
        Ok(()) => Ok(config),
        Err(mistakes) => Err(config_error(path, &mistakes)),
    }
}

/// The first mistake with its place, and how many more there are.
fn config_error(path: &Path, mistakes: &[ConfError]) -> Error {
    let text = match mistakes {
        [] => format!("load {}", path.display()),
        [only] => only.message(),
        [first, more @ ..] => format!("{} (and {} more)", first.message(), more.len()),
    };
    let error = Error::new(ErrorKind::Config, text);
    match mistakes.first() {
        Some(first) => error.at(&first.origin()),
        None => error,
    }
}

/// A rootfs that is in place.
#[derive(Debug)]
struct Storage {
    /// What the template fills.
    path: PathBuf,
    /// The value of `lxc.rootfs.path` to add.
    value: Option<String>,
}

/// A checked request.
#[derive(Debug)]
struct Plan<'a> {
    name: &'a str,
    /// As given: locks and sockets are named after it literally.
    lxcpath: PathBuf,
    /// The container's directory, absolute.
    dir: PathBuf,
    config: Config,
    rootfs: Rootfs,
    template: Option<PathBuf>,
    args: &'a [OsString],
    existing: Existing,
    stdio: Stdio,
}

impl<'a> Plan<'a> {
    fn new(request: Request<'a>) -> Result<Plan<'a>> {
        name::check(request.name)?;
        request.specs.check(request.backing)?;
        let template = request.template.map(template::find).transpose()?;
        let dir = absolute(request.lxcpath)?.join(request.name);
        let given = request.config.settings().rootfs.path.clone();
        let rootfs = match (given, &template) {
            (None, None) => Rootfs::None,
            (Some(given), _) => {
                let source = source(&given);
                if source.starts_with('/') && !Path::new(source).exists() {
                    let text = format!("The rootfs \"{source}\" does not exist");
                    return Err(match request.config.settings().origin("lxc.rootfs.path") {
                        Some(origin) => Error::new(ErrorKind::NotFound, text).at(origin),
                        None => Error::new(ErrorKind::NotFound, text),
                    });
                }
                Rootfs::Given(given)
            }
            (None, Some(_)) => {
                let own = dir.join("rootfs");
                match request.backing.resolve()? {
                    Backing::Overlay => Rootfs::New { path: own, delta: Some(dir.join("overlay/delta")) },
                    _ => Rootfs::New { path: request.specs.dir.unwrap_or(own), delta: None },
                }
            }
        };
        check_text(&dir)?;
        if let Rootfs::New { path, .. } = &rootfs {
            check_text(path)?;
        }
        let lxcpath = request.lxcpath.to_owned();
        let Request { name, config, args, existing, stdio, .. } = request;
        let plan = Plan { name, lxcpath, dir, config, rootfs, template, args, existing, stdio };
        plan.check_existing()?;
        Ok(plan)
    }

    fn check_existing(&self) -> Result<()> {
        let refuse = match self.existing {
            Existing::Refuse => true,
            Existing::Complete => matches!(self.rootfs, Rootfs::Given(_)) && self.template.is_some(),
        };
        match refuse && self.dir.join("config").exists() {
            true => Err(Error::new(ErrorKind::AlreadyExists, "Container already exists")),
            false => Ok(()),
        }
    }

    fn carry_out(mut self, journal: &mut Journal) -> Result<Config> {
        let idmap = self.config.settings().idmap.clone();
        let storage = self.make_storage(journal, &idmap)?;
        if let Some(value) = storage.as_ref().and_then(|storage| storage.value.as_deref()) {
            self.set_rootfs(value)?;
        }
        let file = self.dir.join("config");
        let new = journal.file(&file)?;
        {
            let _lock = DiskLock::acquire_within(&self.lxcpath, self.name, PATIENCE)?;
            save::save(&self.config, &file)?;
        }
        if new && storage.is_some() {
            // The mask of a creation is 022, whatever the caller's.
            rustix::fs::chmod(&file, CONFIG_MODE).what(|| format!("chmod {}", file.display()))?;
        }
        if let (Some(template), Some(rootfs)) = (&self.template, &storage) {
            self.run_template(template, &rootfs.path)?;
            let text = std::fs::read(&file).what(|| format!("read {}", file.display()))?;
            let mut whole = header::text(template, self.args).into_bytes();
            whole.extend_from_slice(&text);
            save::write(&file, &whole)?;
        }
        match self.rootfs {
            Rootfs::None => Ok(self.config),
            _ => load(&file).what(|| "reload the new configuration"),
        }
    }

    fn make_storage(&self, journal: &mut Journal, idmap: &[IdMap]) -> Result<Option<Storage>> {
        match &self.rootfs {
            Rootfs::None => Ok(None),
            Rootfs::Given(given) => {
                // COMPAT: the original writes the path once more, with the kind it found.
                let kind =
                    given.kind.clone().or_else(|| Path::new(&given.path).is_dir().then(|| "dir".to_owned()));
                let value = kind.map(|kind| format!("{kind}:{}", given.path));
                Ok(Some(Storage { path: PathBuf::from(source(given)), value }))
            }
            Rootfs::New { path, delta } => {
                journal.parents(path, ROOTFS_MODE)?;
                journal.tree(path, ROOTFS_MODE)?;
                let own = self.dir.join("rootfs");
                if *path != own {
                    // COMPAT: an empty directory is at the usual place even when the rootfs is somewhere else.
                    journal.dir(&own, ROOTFS_MODE)?;
                }
                let mut value = format!("dir:{}", path.display());
                if let Some(delta) = delta {
                    journal.parents(delta, ROOTFS_MODE)?;
                    journal.tree(delta, ROOTFS_MODE)?;
                    ownership::give_to_container_root(delta, idmap)?;
                    value = format!("overlay:{}:{}", path.display(), delta.display());
                }
                ownership::give_to_container_root(path, idmap)?;
                ownership::give_to_container_root(&self.dir, idmap)?;
                Ok(Some(Storage { path: path.clone(), value: Some(value) }))
            }
        }
    }

    fn run_template(&self, template: &Path, rootfs: &Path) -> Result<()> {
        template::run(&template::Call {
            template,
            path: &self.dir,
            name: self.name,
            rootfs,
            args: self.args,
            idmap: &self.config.settings().idmap,
            stdio: self.stdio,
        })
    }

    fn set_rootfs(&mut self, value: &str) -> Result<()> {
        self.config.set("lxc.rootfs.path", value).map_err(|error| {
            Error::new(ErrorKind::Config, format!("set lxc.rootfs.path: {}", error.message()))
        })
    }
}

/// The directory or device a configured rootfs comes from; of an overlay, the lower directory.
fn source(rootfs: &RootfsPath) -> &str {
    rootfs.path.split(':').next().unwrap_or_default()
}

/// An lxcpath given relative to the current directory would mean something else to the monitor, which runs in `/`.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).what(|| format!("make {} absolute", path.display()))
}

/// Paths end up in a line of the configuration.
fn check_text(path: &Path) -> Result<()> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
    match text {
        Some(_) => Ok(()),
        None => {
            let text =
                format!("{path:?} cannot be written to a configuration: no control characters, please");
            Err(Error::new(ErrorKind::Config, text))
        }
    }
}
