//! Writing a container's configuration to disk.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use lxc_conf::Config;
use rustix::fs::{Gid, Mode, Uid};

use crate::error::{Error, ErrorKind, Result, ResultExt};

/// Mode of a new configuration file, less the caller's mask.
const MODE: u32 = 0o660;

/// Writes what `save_config` writes: the unexpanded text of `config`.
///
/// The file is replaced in one step where possible, so that a reader or a full disk never sees half of it.
///
/// - Context: the caller holds the container's disk lock, unless the file is no container's.
/// - Errors:  what open(2), write(2) or rename(2) say; the old file is then still there.
pub fn save(config: &Config, path: &Path) -> Result<()> {
    write(path, &config.to_bytes())
}

/// Replaces the contents of `path`, keeping its mode and owner.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let old = match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_file() => Some(meta),
        // A link, a device (`/dev/stdout`): written through, never replaced.
        Ok(_) => return in_place(path, bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).what(|| format!("look at {}", path.display())),
    };
    let Some(name) = path.file_name() else {
        return Err(Error::new(ErrorKind::Config, format!("{} names no file", path.display())));
    };
    let mut temporary = name.to_owned();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(MODE).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    let Ok(mut file) = options.open(&temporary) else {
        // The directory may be another user's while the file is ours.
        return in_place(path, bytes);
    };
    let written = keep_owner(&file, old.as_ref()).and_then(|()| {
        file.write_all(bytes).what(|| format!("write {}", temporary.display()))?;
        file.sync_data().what(|| format!("sync {}", temporary.display()))?;
        std::fs::rename(&temporary, path).what(|| format!("replace {}", path.display()))
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn keep_owner(file: &File, old: Option<&std::fs::Metadata>) -> Result<()> {
    let Some(old) = old else { return Ok(()) };
    let new = file.metadata().what(|| "look at a new file")?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        let owner = (Some(Uid::from_raw(old.uid())), Some(Gid::from_raw(old.gid())));
        rustix::fs::fchown(file, owner.0, owner.1).what(|| "keep the owner of the configuration")?;
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(old.mode() & 0o7777))
        .what(|| "keep the mode of the configuration")
}

fn in_place(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(MODE).open(path);
    let mut file = opened.what(|| format!("open {}", path.display()))?;
    file.write_all(bytes).what(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn files_are_replaced_and_links_written_through() {
        let dir = std::env::temp_dir().join(format!("create-save-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("mkdir");
        let file = dir.join("config");
        write(&file, b"one\n").expect("new");
        assert_eq!(fs::metadata(&file).expect("stat").mode() & 0o117, 0, "others get nothing");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o604)).expect("chmod");
        let before = fs::metadata(&file).expect("stat");
        write(&file, b"two\n").expect("again");
        let after = fs::metadata(&file).expect("stat");
        assert_eq!((after.mode(), after.uid()), (before.mode(), before.uid()));
        assert_ne!(after.ino(), before.ino(), "replaced in one step");
        symlink("config", dir.join("link")).expect("symlink");
        write(&dir.join("link"), b"three\n").expect("through the link");
        assert!(dir.join("link").is_symlink());
        assert_eq!(fs::read_to_string(&file).expect("read"), "three\n");
        assert_eq!(fs::read_dir(&dir).expect("list").count(), 2, "no temporary file stays");
        assert!(write(&dir.join("no/such/config"), b"x").is_err());
        fs::remove_dir_all(dir).expect("clean up");
    }
}
