//! What a boot brings into the machine: the tools installed below `/usr` and the test programs, in a directory it mounts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{install, sh, stage};

/// The test programs, in the order they are run.
pub const PROGRAMS: &[&str] = &["vm", "live"];

/// Inside: takes over what is in the shared directory now.
pub const INSTALL: &str = "tar -C / -xf /host/root.tar && systemctl daemon-reload && systemd-tmpfiles --create lxc-vm.conf && systemctl reload apparmor";

/// `target/vm`.
pub fn root() -> PathBuf {
    sh::target().join("vm-tier")
}

/// Builds all of it; gives the directory to share.
pub fn build() -> Result<PathBuf> {
    let share = root().join("share");
    fs::create_dir_all(share.join("tests")).with_context(|| format!("make {}", share.display()))?;
    tools()?;
    for (name, file) in tests()? {
        let to = share.join("tests").join(name);
        // A program that runs in the machine may be mapped: replaced, not written to.
        let fresh = to.with_extension("new");
        let strip = sh::run(Command::new("strip").arg("-o").arg(&fresh).arg(&file));
        strip.with_context(|| format!("copy {}", file.display()))?;
        fs::rename(&fresh, &to).with_context(|| format!("replace {}", to.display()))?;
    }
    Ok(share)
}

/// The tools as a package has them, as one archive: links and modes survive whatever shares the directory.
fn tools() -> Result<()> {
    let tree = root().join("tree");
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| format!("remove {}", tree.display()))?;
    }
    let settings = install::Settings {
        prefix: "/usr".into(),
        sysconfdir: "/etc".into(),
        localstatedir: "/var".into(),
        runtimedir: "/run".into(),
        libdir: "/usr/lib/x86_64-linux-gnu".into(),
        destdir: Some(tree.clone()),
        separate: false,
    };
    // The programs are those the other tests run, built for the directory they are staged in: that name leads to /usr
    // in the machine. Building them again for another prefix would take longer than the tests.
    let staged = stage::settings();
    install::build(&staged, install::Profile::Dev)?;
    install::install(&settings, install::Profile::Dev, install::Scope::All)?;
    for program in ["usr/bin/lxc-multicall", "usr/libexec/lxc/lxc-monitord", "usr/sbin/init.lxc"] {
        strip(&tree, program)?;
    }
    let link = tree.join(staged.prefix.strip_prefix("/").unwrap_or(&staged.prefix));
    fs::create_dir_all(link.parent().context("the stage has a directory above it")?)?;
    std::os::unix::fs::symlink("/usr", &link).with_context(|| format!("link {}", link.display()))?;
    let mount = staged.libdir.join("lxc/rootfs");
    let rules = tree.join("usr/lib/tmpfiles.d/lxc-vm.conf");
    fs::create_dir_all(rules.parent().unwrap_or(&tree))?;
    // The mode of /root: an ordinary user must get through to that link.
    fs::write(&rules, format!("d {} 0755 root root -\nz /root 0755 root root -\n", mount.display()))?;
    // The tests look for the list of expected failures and the like where they were built.
    let repository = sh::repository();
    let tests = tree.join(repository.strip_prefix("/").unwrap_or(&repository));
    fs::create_dir_all(&tests).with_context(|| format!("make {}", tests.display()))?;
    sh::run(Command::new("cp").arg("-r").arg(repository.join("tests")).arg(&tests))?;
    // Only what is listed: the modes of /usr and of whatever leads to the checkout are the machine's own.
    let list = Command::new("find").arg(".").args(["-not", "-type", "d"]).current_dir(&tree).output()?;
    let mut names: Vec<&str> = std::str::from_utf8(&list.stdout)?.lines().collect();
    names.extend(["./var/lib/lxc", "./var/cache/lxc", "./var/log/lxc"]);
    let names_file = root().join("names");
    fs::write(&names_file, names.join("\n"))?;
    let archive = root().join("share/root.tar");
    let fresh = archive.with_extension("new");
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&tree).args(["--owner=0", "--group=0", "--numeric-owner", "-T"]).arg(&names_file);
    sh::run(tar.arg("-cf").arg(&fresh))?;
    fs::rename(&fresh, &archive).with_context(|| format!("replace {}", archive.display()))
}

/// In place, keeping its other names: what a debugger reads is most of it.
fn strip(tree: &Path, program: &str) -> Result<()> {
    let (file, fresh) = (tree.join(program), root().join("stripped"));
    sh::run(Command::new("strip").arg("-o").arg(&fresh).arg(&file))?;
    fs::copy(&fresh, &file).with_context(|| format!("write {}", file.display()))?;
    Ok(())
}

/// Builds the test programs; gives names and files.
fn tests() -> Result<Vec<(&'static str, PathBuf)>> {
    let mut cargo = sh::cargo();
    cargo.args(["test", "--no-run", "-p", "compliance"]);
    for name in PROGRAMS {
        cargo.args(["--test", name]);
    }
    let output =
        cargo.env("CARGO_TERM_COLOR", "never").stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("the test programs do not build:\n{text}");
    }
    let find = |name: &&'static str| {
        let file = executable(&text, name).with_context(|| format!("cargo built no test {name}:\n{text}"))?;
        Ok((*name, sh::repository().join(file)))
    };
    PROGRAMS.iter().map(find).collect()
}

/// `  Executable tests/NAME/main.rs (FILE)`, as cargo says it.
fn executable(text: &str, name: &str) -> Option<String> {
    let wanted = format!("tests/{name}/main.rs");
    let line =
        text.lines().find(|line| line.trim_start().starts_with("Executable") && line.contains(&wanted))?;
    let (_, rest) = line.split_once('(')?;
    rest.split(')').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_in_what_cargo_says() {
        let text = "    Finished `test` profile in 0.1s\n  Executable tests/live/main.rs (target/debug/deps/live-1)\n  \
                    Executable ../../tests/vm/main.rs (target/debug/deps/vm-2)\n";
        assert_eq!(executable(text, "vm").as_deref(), Some("target/debug/deps/vm-2"));
        assert_eq!(executable(text, "live").as_deref(), Some("target/debug/deps/live-1"));
        assert_eq!(executable(text, "interop"), None);
    }
}
