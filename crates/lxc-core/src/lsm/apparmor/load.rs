//! Generated profiles into the kernel and out again; loaded ones looked up.
//!
//! Context: monitor, host namespaces; loading after the pre-start hooks, removal after the last process has ended.

use std::io::{ErrorKind as IoError, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{Generated, Policy};
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::host::apparmor::SECURITYFS;

/// What was put into the kernel. Ends with [`Loaded::remove`]; dropped without it, it stays there.
#[derive(Debug)]
#[must_use]
pub struct Loaded {
    profile: String,
    namespace: Option<PathBuf>,
}

/// Makes sure of the policy: loads a generated profile, looks for a named one.
///
/// - Errors: `Config` for `lxc.apparmor.raw` that does not compile; `NotFound` for a profile that is not loaded.
pub fn ensure(policy: &Policy) -> Result<Option<Loaded>> {
    match policy {
        Policy::Generated(generated) => load(generated).map(Some),
        Policy::Named { profile, origin } => find(profile).map(|()| None).map_err(|error| error.at(origin)),
    }
}

/// A profile that is not there would fail the start at its very end. Who may not read the list takes that chance.
fn find(profile: &str) -> Result<()> {
    // Stacks and other namespaces are not in the list in the words of the configuration.
    if profile.contains([':', '&']) {
        return Ok(());
    }
    let Ok(list) = std::fs::read_to_string(Path::new(SECURITYFS).join("profiles")) else { return Ok(()) };
    if listed(&list, profile) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NotFound, format!("AppArmor profile {profile} is not loaded")).cure(
        match profile.starts_with("lxc-container-default") {
            true => "load the package's profiles: apparmor_parser -r /etc/apparmor.d/lxc-containers",
            false => "load it with apparmor_parser -r FILE; aa-status lists what is loaded",
        },
    ))
}

/// Whether a line `NAME (MODE)` of `/sys/kernel/security/apparmor/profiles` names the profile.
fn listed(list: &str, profile: &str) -> bool {
    list.lines().any(|line| line.rsplit_once(" (").is_some_and(|(name, _)| name == profile))
}

fn load(generated: &Generated) -> Result<Loaded> {
    let mut loaded = Loaded { profile: generated.name.clone(), namespace: None };
    if let Some(namespace) = &generated.namespace {
        let dir = Path::new(SECURITYFS).join("policy/namespaces").join(namespace);
        match rustix::fs::mkdir(&dir, Mode::from_raw_mode(0o755)) {
            // Left by a monitor that was killed: what the old container loaded there goes.
            Err(Errno::EXIST) => replace_namespace(&dir)?,
            other => other.what(|| format!("make the AppArmor namespace {namespace}"))?,
        }
        loaded.namespace = Some(dir);
    }
    if let Err(error) = compile(generated) {
        if let Some(second) = loaded.remove_namespace() {
            tracing::warn!("{second}");
        }
        return Err(error);
    }
    tracing::debug!("loaded AppArmor profile {}", generated.name);
    Ok(loaded)
}

fn replace_namespace(dir: &Path) -> Result<()> {
    rustix::fs::rmdir(dir)
        .and_then(|()| rustix::fs::mkdir(dir, Mode::from_raw_mode(0o755)))
        .what(|| format!("empty the AppArmor namespace {}", dir.display()))
}

/// Compiles and loads in one go, by way of the cache.
fn compile(generated: &Generated) -> Result<()> {
    let what = || format!("load AppArmor profile {}", generated.name);
    let mut command = Command::new(&generated.parser);
    command.arg("--replace").env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    let stored = store(generated)?;
    let output = match &stored {
        Some(file) => {
            command.args(["--write-cache", "--cache-loc"]).arg(&generated.cache).arg("--").arg(file);
            command.stdin(Stdio::null()).output()
        }
        // A container without a directory: nothing to keep a source or a compiled profile for.
        None => command.arg("--skip-cache").stdin(Stdio::piped()).spawn().and_then(|mut child| {
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(generated.text.text.as_bytes())?;
            }
            child.wait_with_output()
        }),
    };
    let output =
        output.what(|| format!("run {}", generated.parser.display())).map_err(|e| e.context(what()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(refused(generated, &output).context(what()).at(&generated.origin)),
    }
}

/// Writes the source unless it is there already: its age tells the compiler whether the cached profile is current.
fn store(generated: &Generated) -> Result<Option<PathBuf>> {
    let Generated { dir, file, cache, .. } = generated;
    match rustix::fs::mkdir(dir, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(Errno::NOENT | Errno::ROFS) => return Ok(None),
        Err(errno) => return Err(Error::kernel(errno, format!("make the directory {}", dir.display()))),
    }
    std::fs::create_dir_all(cache).what(|| format!("make the directory {}", cache.display()))?;
    let path = dir.join(file);
    let text = generated.text.text.as_bytes();
    if std::fs::read(&path).is_ok_and(|there| there == text) {
        return Ok(Some(path));
    }
    let new = dir.join(".new");
    let what = || format!("write {}", new.display());
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != IoError::NotFound => return Err(error).what(what),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    options.open(&new).and_then(|mut file| file.write_all(text)).what(what)?;
    std::fs::rename(&new, &path).what(|| format!("rename {} to {}", new.display(), path.display()))?;
    Ok(Some(path))
}

/// What the compiler said, as an error that blames the user's own lines when it stopped in them.
fn refused(generated: &Generated, output: &Output) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let line =
        said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it says nothing").to_owned();
    let in_raw = error_line(&said).is_some_and(|number| number >= generated.text.raw_starts);
    match in_raw {
        true => Error::new(ErrorKind::Config, format!("lxc.apparmor.raw does not compile: {line}"))
            .cure("rules end in a comma; apparmor.d(5) has their grammar"),
        false => Error::new(ErrorKind::Kernel, format!("apparmor_parser failed: {line}")),
    }
}

/// N of `… at line N: …`.
fn error_line(said: &str) -> Option<usize> {
    let (_, rest) = said.split_once(" line ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

impl Loaded {
    /// Takes profile and namespace out of the kernel. The source and the compiled profile stay for the next start.
    ///
    /// - Context: no process of the container may be left: the kernel makes those of a removed profile unconfined.
    pub fn remove(mut self) -> Vec<Error> {
        let file = Path::new(SECURITYFS).join(".remove");
        let removed = std::fs::OpenOptions::new()
            .write(true)
            .open(&file)
            .and_then(|mut file| file.write_all(self.profile.as_bytes()))
            .what(|| format!("remove AppArmor profile {}", self.profile));
        removed.err().into_iter().chain(self.remove_namespace()).collect()
    }

    fn remove_namespace(&mut self) -> Option<Error> {
        let dir = self.namespace.take()?;
        match rustix::fs::rmdir(&dir) {
            Ok(()) | Err(Errno::NOENT) => None,
            Err(errno) => {
                Some(Error::kernel(errno, format!("remove the AppArmor namespace {}", dir.display())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaded_profiles_are_found_by_their_whole_name() {
        let list =
            "lxc-container-default-cgns (enforce)\n/usr/bin/man (enforce)\nlxc-a_</x (y)> (complain)\n";
        assert!(listed(list, "lxc-container-default-cgns") && listed(list, "lxc-a_</x (y)>"));
        assert!(!listed(list, "lxc-container-default") && !listed(list, ""));
    }

    #[test]
    fn the_line_of_a_syntax_error_is_found() {
        let said = "AppArmor parser error, in stdin line 61: syntax error, unexpected TOK_ID\n";
        assert_eq!(error_line(said), Some(61));
        assert_eq!(error_line("AppArmor parser error for /x in profile /x at line 7: y"), Some(7));
        assert_eq!(error_line("Access denied"), None);
    }
}
