//! Making a handle: finding the lxcpath, reading the configuration, saving it.

use std::fmt;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use lxc_conf::system::{Defaults, SystemConfig};
use lxc_conf::{ConfError, Config};
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::Container;
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::lock::DiskLock;
use crate::paths;

/// How long a reader of the configuration waits for a writer.
const READER_PATIENCE: Duration = Duration::from_secs(5);

/// Why no handle could be made.
#[derive(Clone, Debug)]
pub struct OpenError {
    lxcpath: PathBuf,
    /// The file was given in place of the container's own.
    rcfile: bool,
    mistakes: Vec<ConfError>,
}

impl OpenError {
    pub fn lxcpath(&self) -> &Path {
        &self.lxcpath
    }

    /// The file that failed was given in place of the container's own.
    pub fn is_rcfile(&self) -> bool {
        self.rcfile
    }

    /// The mistakes in the configuration.
    pub fn mistakes(&self) -> &[ConfError] {
        &self.mistakes
    }

    /// Lines to show: each mistake with its place, followed by the texts the original has for it.
    pub fn lines(&self) -> Vec<String> {
        let lines = |mistake: &ConfError| {
            let mut lines = vec![mistake.to_string()];
            lines.extend(mistake.compat_texts());
            lines
        };
        self.mistakes.iter().flat_map(lines).collect()
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for OpenError {}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Error {
        first_of(&error.mistakes)
    }
}

fn first_of(mistakes: &[ConfError]) -> Error {
    mistakes.first().map_or_else(|| Error::new(ErrorKind::Config, "load the configuration"), Error::from)
}

impl From<&ConfError> for Error {
    fn from(mistake: &ConfError) -> Error {
        Error::new(ErrorKind::Config, mistake.message()).at(&mistake.origin())
    }
}

/// lxc.conf(5) of the caller, with defaults filled in; read once per process.
///
/// A file that is not there or cannot be read counts as empty, as in the original.
pub fn system_config() -> &'static SystemConfig {
    static CONFIG: OnceLock<SystemConfig> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let text = std::fs::read(paths::system_config()).unwrap_or_default();
        let defaults = Defaults {
            lxcpath: paths::default_lxcpath().display().to_string(),
            default_config: paths::default_config().display().to_string(),
        };
        SystemConfig::parse(&String::from_utf8_lossy(&text), &defaults)
    })
}

/// The configured `lxc.lxcpath`, without trailing slashes.
pub fn default_lxcpath() -> PathBuf {
    PathBuf::from(system_config().lxcpath())
}

/// Whether the directory containers are to be started in is there, and open to a caller that is not root.
///
/// - Errors: the path.
pub fn check_access(lxcpath: Option<&Path>) -> std::result::Result<(), PathBuf> {
    let lxcpath = lxcpath.map_or_else(default_lxcpath, Path::to_owned);
    let wanted = match rustix::process::geteuid().is_root() {
        true => Access::EXISTS,
        false => Access::READ_OK | Access::EXEC_OK,
    };
    accessat(CWD, &lxcpath, wanted, AtFlags::EACCESS).map_err(|_| lxcpath)
}

pub(super) fn config_file(lxcpath: &Path, name: &str) -> PathBuf {
    lxcpath.join(name).join("config")
}

impl Container {
    /// A handle of the container `name`, with its configuration when it has any.
    ///
    /// - Shape: `lxcpath` without trailing slashes, `None` = the configured default; `rcfile` replaces the container's
    ///   own configuration file.
    /// - Errors: the configuration is there but cannot be read or is wrong.
    pub fn open(
        name: &str,
        lxcpath: Option<&Path>,
        rcfile: Option<&Path>,
    ) -> std::result::Result<Container, OpenError> {
        let lxcpath = lxcpath.map_or_else(default_lxcpath, Path::to_owned);
        let file = rcfile.map_or_else(|| config_file(&lxcpath, name), Path::to_owned);
        let mut container = Container { name: name.to_owned(), lxcpath, config_file: file, config: None };
        if rcfile.is_some() || container.is_defined() {
            container.load(rcfile.is_none()).map_err(|mistakes| OpenError {
                lxcpath: container.lxcpath.clone(),
                rcfile: rcfile.is_some(),
                mistakes,
            })?;
        }
        Ok(container)
    }

    /// A handle that is cheap to make for a list of many: no lock is taken unless the first reading fails, which may
    /// be because somebody is writing.
    pub fn open_for_listing(name: &str, lxcpath: &Path) -> std::result::Result<Container, OpenError> {
        let file = config_file(lxcpath, name);
        let mut config = Config::new();
        let loaded = config.load_file(&file);
        let container = |config| Container {
            name: name.to_owned(),
            lxcpath: lxcpath.to_owned(),
            config_file: file.clone(),
            config,
        };
        match loaded {
            Ok(()) => Ok(container(Some(config))),
            Err(_) if rustix::fs::stat(&file).is_err() => Ok(container(None)),
            Err(_) => Container::open(name, Some(lxcpath), None),
        }
    }

    /// Parses another file, or the container's own, on top of what is already set (`load_config`).
    pub fn load_config(&mut self, file: Option<&Path>) -> Result<()> {
        let own = file.is_none_or(|file| file == self.config_file);
        let path = file.map_or_else(|| self.config_file.clone(), Path::to_owned);
        let lxcpath = self.lxcpath.clone();
        let previous = std::mem::replace(&mut self.config_file, path);
        let loaded = self.load(own);
        self.config_file = previous;
        loaded.map_err(|mistakes| OpenError { lxcpath, rcfile: !own, mistakes }.into())
    }

    fn load(&mut self, own: bool) -> std::result::Result<(), Vec<ConfError>> {
        // A lock that cannot be had (a user without a run directory, somebody who holds it) must not make the
        // container unreadable.
        let _lock = if own {
            DiskLock::acquire_within(&self.lxcpath, &self.name, READER_PATIENCE).ok()
        } else {
            None
        };
        let mut config = self.config.take();
        let had_one = config.is_some();
        let loaded = config.get_or_insert_with(Config::new).load_file(&self.config_file);
        self.config = config.filter(|_| had_one || loaded.is_ok());
        loaded
    }

    /// Writes the configuration to the container's own file or another one (`save_config`).
    ///
    /// The container's directory is made with mode 0770. The file appears whole or not at all, with mode 0660 less the
    /// umask; an existing one keeps its mode.
    pub fn save_config(&mut self, file: Option<&Path>) -> Result<()> {
        if self.config.is_none() {
            let mut config = Config::new();
            config
                .load_file(Path::new(system_config().default_config()))
                .map_err(|mistakes| first_of(&mistakes))?;
            self.config = Some(config);
        }
        let own = file.is_none_or(|file| file == self.config_file);
        let _lock = if own { Some(DiskLock::acquire(&self.lxcpath, &self.name)?) } else { None };
        if own {
            self.make_directory()?;
        }
        let text = self.config.as_ref().map(Config::to_text).unwrap_or_default();
        let target = file.unwrap_or(&self.config_file);
        write_whole(target, text.as_bytes()).what(|| format!("write {}", target.display()))
    }

    fn make_directory(&self) -> Result<()> {
        let directory = self.directory();
        match std::fs::DirBuilder::new().mode(0o770).create(&directory) {
            Ok(()) => {
                // The mode is meant as it is, whatever the umask of the caller.
                let mode = std::fs::Permissions::from_mode(0o770);
                std::fs::set_permissions(&directory, mode)
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
        .what(|| format!("make directory {}", directory.display()))
    }
}

/// Writes beside the file and renames over it, so that a reader without a lock never sees half of it.
fn write_whole(target: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let beside = target.with_file_name(format!(".{name}.{}", std::process::id()));
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o660).open(&beside)?;
        if let Ok(old) = std::fs::metadata(target) {
            file.set_permissions(old.permissions())?;
            rustix::fs::fchown(
                &file,
                Some(rustix::fs::Uid::from_raw(std::os::unix::fs::MetadataExt::uid(&old))),
                Some(rustix::fs::Gid::from_raw(std::os::unix::fs::MetadataExt::gid(&old))),
            )?;
        }
        file.write_all(bytes)?;
        std::fs::rename(&beside, target)
    };
    let result = write();
    if result.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_whole_and_keep_their_mode() {
        let dir = std::env::temp_dir().join(format!("tools-write-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("config");
        write_whole(&file, b"one").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o604)).unwrap();
        write_whole(&file, b"two").unwrap();
        let text = std::fs::read(&file).unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        let entries = std::fs::read_dir(&dir).unwrap().count();
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!((text.as_slice(), mode, entries), (b"two".as_slice(), 0o604, 1));
        assert!(write_whole(&dir.join("gone/config"), b"x").is_err());
    }
}
