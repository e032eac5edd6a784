//! `cargo xtask demo`: a container's whole life with our tools on this machine, and what each step took.
//!
//! Everything is below one temporary directory: the installed tools, the container, its logs. Needs no network and
//! leaves nothing behind, which it checks.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::install::{self, Profile, Scope, Settings};
use crate::{packages, sh};

const NAME: &str = "demo";

pub fn run(words: &[String]) -> Result<()> {
    if let Some(word) = words.first().filter(|word| *word != "--inner") {
        bail!("demo: no option {word}");
    }
    if words.is_empty() {
        packages::ensure(&[packages::BUILD, packages::DEMO])?;
        println!("building the release (a few minutes the first time)");
        let place = Place::new();
        install::build(&place.settings(), Profile::Release)?;
        if !sh::is_root() {
            // The container needs root, the build does not.
            let mut again = packages::privileged("env")?;
            again.arg(format!("LXC_DEMO_DIR={}", place.dir.display())).arg(std::env::current_exe()?);
            return sh::run(again.args(["demo", "--inner"]));
        }
        return life(&place);
    }
    life(&Place::from_environment())
}

/// The one directory everything is in.
#[derive(Debug)]
struct Place {
    dir: PathBuf,
}

impl Place {
    /// The name is the same for every run of one checkout: it is compiled into the tools, and another one would
    /// build them again.
    fn new() -> Place {
        let tag = sh::repository()
            .to_string_lossy()
            .bytes()
            .fold(5381_u64, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte));
        Place { dir: PathBuf::from(format!("/tmp/lxc-demo-{:08x}", tag as u32)) }
    }

    fn from_environment() -> Place {
        std::env::var_os("LXC_DEMO_DIR").map_or_else(Place::new, |dir| Place { dir: dir.into() })
    }

    fn settings(&self) -> Settings {
        let prefix = self.dir.join("usr");
        Settings {
            libdir: prefix.join("lib"),
            prefix,
            sysconfdir: self.dir.join("etc"),
            localstatedir: self.dir.join("var"),
            runtimedir: self.dir.join("run"),
            destdir: None,
            separate: false,
        }
    }

    fn tool(&self, name: &str) -> Command {
        Command::new(self.settings().prefix.join("bin").join(name))
    }
}

fn life(place: &Place) -> Result<()> {
    drop(fs::remove_dir_all(&place.dir));
    fs::create_dir_all(place.dir.join("run")).with_context(|| format!("make {}", place.dir.display()))?;
    let outcome = steps(place);
    let cleaned = clean(place);
    outcome?;
    cleaned?;
    println!("\nnothing is left: no process, mount, cgroup, socket or file of the demo");
    Ok(())
}

fn steps(place: &Place) -> Result<()> {
    install::install(&place.settings(), Profile::Release, Scope::All)?;
    // No bridge is needed: the container gets a network of its own with only lo.
    fs::write(place.dir.join("etc/lxc/default.conf"), "lxc.net.0.type = empty\nlxc.net.0.flags = up\n")?;
    let shared = place.dir.join("shared");
    fs::create_dir_all(&shared)?;
    fs::write(shared.join("greeting"), "hello from the host\n")?;
    let step = |tool: &str, words: &[&str]| step(place, tool, words);
    println!("\n  lxcpath {}\n", place.dir.join("var/lib/lxc").display());
    step("lxc-create", &["-n", NAME, "-t", "busybox"])?;
    step("lxc-start", &["-n", NAME, "-d"])?;
    step("lxc-wait", &["-n", NAME, "-s", "RUNNING", "-t", "10"])?;
    step("lxc-info", &["-n", NAME])?;
    step("lxc-ls", &["-f"])?;
    step(
        "lxc-attach",
        &[
            "-n",
            NAME,
            "--",
            "/bin/sh",
            "-c",
            "echo \"I am pid $$ on $(hostname), init is $(cat /proc/1/comm)\"",
        ],
    )?;
    step("lxc-mount", &["-n", NAME, "-o", "create=dir", &shared.to_string_lossy(), "/mnt/shared"])?;
    step("lxc-mount", &["-n", NAME])?;
    step("lxc-attach", &["-n", NAME, "--", "cat", "/mnt/shared/greeting"])?;
    step("lxc-mount", &["-n", NAME, "--umount", "/mnt/shared"])?;
    step("lxc-freeze", &["-n", NAME])?;
    step("lxc-info", &["-n", NAME, "-s"])?;
    step("lxc-unfreeze", &["-n", NAME])?;
    step("lxc-info", &["-n", NAME, "-s"])?;
    step("lxc-stop", &["-n", NAME])?;
    step("lxc-destroy", &["-n", NAME])
}

/// Runs one tool, shows what it printed, and the milliseconds.
fn step(place: &Place, tool: &str, words: &[&str]) -> Result<()> {
    let mut command = place.tool(tool);
    command.args(words).stdin(Stdio::null());
    let started = Instant::now();
    let output = command.output().with_context(|| format!("run {tool}"))?;
    let time = started.elapsed();
    println!("{:>9.1} ms  {tool} {}", time.as_secs_f64() * 1000.0, words.join(" "));
    let mut out = std::io::stdout();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        writeln!(out, "              {line}")?;
    }
    if !output.status.success() {
        bail!("{tool} {}: {}\n{}", words.join(" "), output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Ends what a failed step left, removes the directory, and fails when something of the demo is still there.
fn clean(place: &Place) -> Result<()> {
    if place.dir.join("var/lib/lxc").join(NAME).exists() {
        drop(place.tool("lxc-stop").args(["-n", NAME, "-k"]).stderr(Stdio::null()).status());
        drop(place.tool("lxc-destroy").args(["-n", NAME, "-f"]).stderr(Stdio::null()).status());
    }
    let end = Instant::now() + Duration::from_secs(5);
    let mut left = leftovers(place);
    while !left.is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
        left = leftovers(place);
    }
    drop(fs::remove_dir_all(&place.dir));
    if place.dir.exists() {
        left.push(format!("directory {}", place.dir.display()));
    }
    if !left.is_empty() {
        bail!("left behind:\n  {}", left.join("\n  "));
    }
    Ok(())
}

fn leftovers(place: &Place) -> Vec<String> {
    let mark = place.dir.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for (what, file) in [("mount", "/proc/self/mountinfo"), ("socket", "/proc/net/unix")] {
        let text = fs::read(file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        found.extend(text.lines().filter(|line| line.contains(&mark)).map(|line| format!("{what} {line}")));
    }
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let own = entry.file_name() == OsStr::new(&std::process::id().to_string());
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        // A parent that passed the directory on (sudo, env) is not of the container.
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if !own && command.contains(&mark) && !command.contains("LXC_DEMO_DIR=") {
            found.push(format!("process {} {command}", entry.file_name().to_string_lossy()));
        }
    }
    cgroups(Path::new("/sys/fs/cgroup"), 3, &mut found);
    found
}

fn cgroups(dir: &Path, depth: u32, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if [format!("lxc.payload.{NAME}"), format!("lxc.monitor.{NAME}")]
            .iter()
            .any(|known| name == OsStr::new(known))
        {
            found.push(format!("cgroup {}", entry.path().display()));
        } else if depth > 1 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            cgroups(&entry.path(), depth - 1, found);
        }
    }
}
