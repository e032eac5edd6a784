//! `cargo xtask install`: what a package of the suite contains, put where the settings say. Does not enable a service
//! and does not overwrite a configuration file in SYSCONFDIR.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{packages, sh};

/// Where things go; compiled into the programs.
#[derive(Clone, Debug)]
pub struct Settings {
    pub prefix: PathBuf,
    pub sysconfdir: PathBuf,
    pub localstatedir: PathBuf,
    pub runtimedir: PathBuf,
    pub libdir: PathBuf,
    /// Staging directory in front of every path; not compiled in.
    pub destdir: Option<PathBuf>,
    /// A program per tool instead of one with many names.
    pub separate: bool,
}

/// How cargo builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Dev,
    Release,
}

/// Which of the directories are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// Only what is below the prefix.
    Prefix,
}

impl Settings {
    /// The settings of `lxc_core::paths`, as environment of a cargo command.
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("LXC_PREFIX", &self.prefix)
            .env("LXC_SYSCONFDIR", &self.sysconfdir)
            .env("LXC_LOCALSTATEDIR", &self.localstatedir)
            .env("LXC_RUNTIMEDIR", &self.runtimedir)
            .env("LXC_ROOTFS_MOUNT", self.libdir.join("lxc/rootfs"))
    }

    /// A path as the running system will see it, below the staging directory.
    fn staged(&self, path: &Path) -> PathBuf {
        match &self.destdir {
            None => path.to_owned(),
            Some(dest) => dest.join(path.strip_prefix("/").unwrap_or(path)),
        }
    }

    fn parse(words: &[String]) -> Result<Settings> {
        let mut prefix = None;
        let mut settings = Settings {
            prefix: PathBuf::new(),
            sysconfdir: "/etc".into(),
            localstatedir: "/var".into(),
            runtimedir: "/run".into(),
            libdir: PathBuf::new(),
            destdir: None,
            separate: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (option, glued) = match word.split_once('=') {
                Some((option, value)) => (option, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            if option == "--separate" {
                settings.separate = true;
                continue;
            }
            let value = glued.or_else(|| words.next().cloned()).map(PathBuf::from);
            let value = value.with_context(|| format!("install: {option} needs a directory"))?;
            if !value.is_absolute() {
                bail!("install: {option} {}: not an absolute path", value.display());
            }
            match option {
                "--prefix" => prefix = Some(value),
                "--destdir" => settings.destdir = Some(value),
                "--sysconfdir" => settings.sysconfdir = value,
                "--localstatedir" => settings.localstatedir = value,
                "--runtimedir" => settings.runtimedir = value,
                "--libdir" => settings.libdir = value,
                _ => bail!("install: no option {option}"),
            }
        }
        settings.prefix = prefix.context("install: --prefix is needed, such as --prefix /usr/local")?;
        if settings.libdir.as_os_str().is_empty() {
            settings.libdir = libdir(&settings.prefix);
        }
        Ok(settings)
    }
}

/// `PREFIX/lib`, or Debian's directory of this architecture for `/usr`.
fn libdir(prefix: &Path) -> PathBuf {
    let plain = prefix.join("lib");
    if prefix != Path::new("/usr") {
        return plain;
    }
    let machine = Command::new("gcc").arg("-dumpmachine").output();
    let triplet =
        machine.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let multiarch = plain.join(&triplet);
    if !triplet.is_empty() && multiarch.is_dir() { multiarch } else { plain }
}

pub fn run(words: &[String]) -> Result<()> {
    let settings = Settings::parse(words)?;
    packages::ensure(&[packages::BUILD])?;
    build(&settings, Profile::Release)?;
    install(&settings, Profile::Release, Scope::All)?;
    println!("installed below {}", settings.staged(&settings.prefix).display());
    Ok(())
}

/// The tools: every crate with a library for the multi-call program and a program of its own. Not the set-uid helper,
/// whose library is for tests and which is never part of another program.
pub fn tools() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(sh::repository().join("crates"))? {
        let entry = entry?;
        let source = entry.path().join("src");
        if source.join("lib.rs").exists() && source.join("main.rs").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.retain(|name| {
        name.starts_with("lxc-") && !["lxc-multicall", "lxc-user-nic"].contains(&name.as_str())
    });
    names.sort();
    Ok(names)
}

/// The cargo profile of releases of lxc-user-nic.
pub const SETUID: &str = "setuid";

/// Where cargo leaves lxc-user-nic.
pub fn built_helper(profile: Profile) -> PathBuf {
    let dir = match profile {
        Profile::Dev => built(profile),
        Profile::Release => sh::target().join(SETUID),
    };
    dir.join("lxc-user-nic")
}

fn built(profile: Profile) -> PathBuf {
    sh::target().join(match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
    })
}

/// Builds the programs with the settings compiled in.
pub fn build(settings: &Settings, profile: Profile) -> Result<()> {
    let mut cargo = sh::cargo();
    cargo.args(["build", "--quiet", "-p", "lxc-monitord"]);
    let archive = match (profile, settings.separate) {
        (Profile::Release, false) => seccomp_archive(),
        _ => None,
    };
    match (settings.separate, &archive) {
        (true, _) => drop(cargo.args(tools()?.iter().flat_map(|name| ["-p".to_owned(), name.clone()]))),
        (false, None) => drop(cargo.args(["-p", "lxc-multicall"])),
        (false, Some(_)) => {}
    }
    let mut init = sh::cargo();
    init.args(["rustc", "--quiet", "-p", "lxc-init"]);
    if profile == Profile::Release {
        cargo.arg("--release");
        init.arg("--release");
    }
    sh::run(settings.environment(&mut cargo))?;
    if let Some(dir) = archive {
        let mut tools = sh::cargo();
        tools.args(["rustc", "--quiet", "--release", "-p", "lxc-multicall", "--bin", "lxc-multicall"]);
        tools.args(["--", "-C", "target-feature=+crt-static"]);
        tools.env("LIBSECCOMP_LINK_TYPE", "static").env("LIBSECCOMP_LIB_PATH", dir);
        sh::run(settings.environment(&mut tools))?;
    }
    build_helper(settings, profile)?;
    // It runs inside containers, whose C library is anybody's guess.
    init.args(["--", "-C", "target-feature=+crt-static"]);
    sh::run(settings.environment(&mut init))
}

/// The set-uid helper, alone: built with others it would get their features, and with them the libraries it does without.
pub fn build_helper(settings: &Settings, profile: Profile) -> Result<()> {
    let mut helper = sh::cargo();
    helper.args(["build", "--quiet", "-p", "lxc-user-nic"]);
    if profile == Profile::Release {
        helper.args(["--profile", SETUID]);
    }
    sh::run(settings.environment(&mut helper))
}

/// Where libseccomp is there as an archive.
///
/// Tools that live for three milliseconds spend a quarter of them in the dynamic loader: releases are static (and still
/// position-independent) where they can be. `LXC_DYNAMIC=1` keeps the loader, for distributions that want shared libraries.
fn seccomp_archive() -> Option<PathBuf> {
    let dir = Path::new("/usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    (std::env::var_os("LXC_DYNAMIC").is_none() && dir.join("libseccomp.a").exists()).then_some(dir)
}

/// Copies everything to its place.
pub fn install(settings: &Settings, profile: Profile, scope: Scope) -> Result<()> {
    let into = Into { settings };
    programs(&into, profile)?;
    data(&into)?;
    manual(&into)?;
    let mount = settings.libdir.join("lxc/rootfs");
    into.text(
        &mount.join("README"),
        "This directory is where lxc mounts the root file system of a container while it starts, in a mount\n\
         namespace of its own. It stays empty here; see lxc.rootfs.mount in lxc.container.conf(5).\n",
        0o644,
    )?;
    if scope == Scope::All {
        system(&into)?;
    }
    Ok(())
}

fn programs(into: &Into<'_>, profile: Profile) -> Result<()> {
    let (prefix, from) = (&into.settings.prefix, built(profile));
    let bin = prefix.join("bin");
    let multicall = bin.join("lxc-multicall");
    if !into.settings.separate {
        into.file(&from.join("lxc-multicall"), &multicall, 0o755)?;
    }
    for tool in tools()? {
        let to = bin.join(&tool);
        match into.settings.separate {
            true => into.file(&from.join(&tool), &to, 0o755)?,
            // Hard links, not symbolic ones: AppArmor attaches a profile to the path that was executed.
            false => into.link(&multicall, &to)?,
        }
    }
    into.file(&from.join("lxc-monitord"), &prefix.join("libexec/lxc/lxc-monitord"), 0o755)?;
    // Set-uid root when root installs it; a package says so in its list of files.
    into.file(&built_helper(profile), &prefix.join("libexec/lxc/lxc-user-nic"), 0o4755)?;
    let init = ["init.lxc", "lxc-init"].map(|name| from.join(name)).into_iter().find(|path| path.exists());
    let init = init.context("the build made no init.lxc")?;
    into.file(&init, &prefix.join("sbin/init.lxc"), 0o755)?;
    into.link(&prefix.join("sbin/init.lxc"), &prefix.join("sbin/init.lxc.static"))
}

/// Configurations, templates, hooks, service scripts: text in which the paths of /usr become those of the settings.
fn data(into: &Into<'_>) -> Result<()> {
    let (root, prefix) = (sh::repository(), &into.settings.prefix);
    let share = prefix.join("share/lxc");
    for entry in entries(&root.join("config"))? {
        let name = file_name(&entry);
        if entry.is_dir() && name.ends_with(".conf.d") {
            into.tree(&entry, &share.join("config").join(&name))?;
        } else if name.ends_with(".conf") || name.ends_with(".seccomp") {
            into.replaced(&entry, &share.join("config").join(&name), 0o644)?;
        }
    }
    into.tree(&root.join("config/selinux"), &share.join("selinux"))?;
    into.tree(&root.join("hooks"), &share.join("hooks"))?;
    for entry in entries(&root.join("templates"))? {
        match file_name(&entry).as_str() {
            "lxc.functions" => into.replaced(&entry, &share.join("lxc.functions"), 0o644)?,
            name => into.replaced(&entry, &share.join("templates").join(name), 0o755)?,
        }
    }
    for entry in entries(&root.join("config/init/common"))? {
        into.replaced(&entry, &prefix.join("libexec/lxc").join(file_name(&entry)), 0o755)?;
    }
    into.tree(&root.join("config/init/systemd"), &prefix.join("lib/systemd/system"))?;
    into.tree(&root.join("config/completion"), &prefix.join("share/bash-completion/completions"))
}

fn manual(into: &Into<'_>) -> Result<()> {
    let man = into.settings.prefix.join("share/man");
    for entry in entries(&sh::repository().join("man/generated"))? {
        let name = file_name(&entry);
        let Some((_, section)) = name.rsplit_once('.') else { continue };
        into.file(&entry, &man.join(format!("man{section}")).join(&name), 0o644)?;
    }
    Ok(())
}

/// What is outside the prefix: the administrator's files, and directories for containers.
fn system(into: &Into<'_>) -> Result<()> {
    let (settings, config) = (into.settings, sh::repository().join("config"));
    for (from, to) in [
        ("etc/default.conf", "lxc/default.conf"),
        ("etc/lxc-usernet", "lxc/lxc-usernet"),
        ("etc/lxc", "default/lxc"),
        ("etc/lxc-net", "default/lxc-net"),
        ("sysctl/30-lxc-inotify.conf", "sysctl.d/30-lxc-inotify.conf"),
    ] {
        let (from, to) = (config.join(from), settings.sysconfdir.join(to));
        // A file that is there is the administrator's, and stays.
        if !settings.staged(&to).exists() {
            into.replaced(&from, &to, 0o644)?;
        }
    }
    // Policy is code: what an administrator adds goes into files of his own in apparmor.d/lxc.
    into.tree(&config.join("apparmor"), &settings.sysconfdir.join("apparmor.d"))?;
    for dir in ["lib/lxc", "log/lxc", "cache/lxc"] {
        let dir = settings.staged(&settings.localstatedir.join(dir));
        fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    }
    Ok(())
}

/// Writes below the staging directory.
struct Into<'a> {
    settings: &'a Settings,
}

impl Into<'_> {
    fn file(&self, from: &Path, to: &Path, mode: u32) -> Result<()> {
        let to = self.fresh(to)?;
        fs::copy(from, &to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
        permit(&to, mode)
    }

    fn text(&self, to: &Path, text: &str, mode: u32) -> Result<()> {
        let to = self.fresh(to)?;
        fs::write(&to, text).with_context(|| format!("write {}", to.display()))?;
        permit(&to, mode)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        let (from, to) = (self.settings.staged(from), self.fresh(to)?);
        fs::hard_link(&from, &to).with_context(|| format!("link {} to {}", to.display(), from.display()))
    }

    /// A text file, or a program that is text, with its paths adapted.
    fn replaced(&self, from: &Path, to: &Path, mode: u32) -> Result<()> {
        let Ok(text) = fs::read_to_string(from) else { return self.file(from, to, mode) };
        self.text(to, &self.adapt(&text), mode)
    }

    fn adapt(&self, text: &str) -> String {
        let (settings, show) = (self.settings, |path: &Path| path.display().to_string());
        let pairs = [
            ("@PREFIX@", show(&settings.prefix)),
            ("@SYSCONFDIR@", show(&settings.sysconfdir)),
            ("@LOCALSTATEDIR@", show(&settings.localstatedir)),
            ("@RUNTIMEDIR@", show(&settings.runtimedir)),
            ("@LIBDIR@", show(&settings.libdir)),
            ("/usr/share/lxc", show(&settings.prefix.join("share/lxc"))),
            ("/usr/libexec/lxc", show(&settings.prefix.join("libexec/lxc"))),
            ("/usr/bin/lxc-", show(&settings.prefix.join("bin/lxc-"))),
        ];
        pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// A directory of such files, with their modes; nothing when it is not there.
    fn tree(&self, from: &Path, to: &Path) -> Result<()> {
        if !from.is_dir() {
            return Ok(());
        }
        for entry in entries(from)? {
            let to = to.join(file_name(&entry));
            if entry.is_symlink() {
                let to = self.fresh(&to)?;
                std::os::unix::fs::symlink(fs::read_link(&entry)?, &to)
                    .with_context(|| format!("link {}", to.display()))?;
            } else if entry.is_dir() {
                self.tree(&entry, &to)?;
            } else {
                let mode = fs::metadata(&entry)?.permissions().mode() & 0o777;
                // The umask of whoever checked the tree out does not matter.
                self.replaced(&entry, &to, if mode & 0o100 == 0 { 0o644 } else { 0o755 })?;
            }
        }
        Ok(())
    }

    /// The staged path, with its directory made and an older file out of the way: a running program may not be
    /// written to, and a hard link would write into its other names.
    fn fresh(&self, path: &Path) -> Result<PathBuf> {
        let path = self.settings.staged(path);
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("replace {}", path.display()))
            }
            _ => Ok(path),
        }
    }
}

fn permit(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("set the mode of {}", path.display()))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let listing = fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))?;
    let mut paths = listing.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        let settings =
            Settings::parse(&words("--prefix=/opt/lxc --destdir /tmp/d --separate")).expect("good options");
        assert_eq!(settings.prefix, Path::new("/opt/lxc"));
        assert_eq!(settings.libdir, Path::new("/opt/lxc/lib"));
        assert_eq!(settings.staged(Path::new("/opt/lxc/bin")), Path::new("/tmp/d/opt/lxc/bin"));
        assert!(settings.separate);
        assert!(Settings::parse(&words("--prefix relative")).is_err());
        assert!(Settings::parse(&words("--destdir /tmp")).is_err());
        assert!(Settings::parse(&words("--prefix /usr --sysconf /etc")).is_err());
    }

    #[test]
    fn paths_in_data_files_follow_the_prefix() {
        let settings = Settings::parse(&words("--prefix /opt/lxc")).expect("good options");
        let text = "lxc.include = /usr/share/lxc/config/common.conf\n@LIBDIR@\n";
        assert_eq!(
            Into { settings: &settings }.adapt(text),
            "lxc.include = /opt/lxc/share/lxc/config/common.conf\n/opt/lxc/lib\n"
        );
    }
}
