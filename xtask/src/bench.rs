//! `cargo xtask bench`: our tools against Debian's C LXC, turn by turn on the same machine, root file system and
//! configuration. Prints medians and ratios beside the targets; never fails on a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::install::{self, Profile, Scope, Settings};
use crate::{packages, sh};

/// Rounds of each measurement.
struct Rounds {
    life: usize,
    query: usize,
    listed: usize,
    running: usize,
    monitors: usize,
}

const FULL: Rounds = Rounds { life: 40, query: 100, listed: 1000, running: 40, monitors: 5 };
const QUICK: Rounds = Rounds { life: 10, query: 20, listed: 1000, running: 10, monitors: 3 };

pub fn run(words: &[String]) -> Result<()> {
    let mut rounds = &FULL;
    let mut inner = false;
    for word in words {
        match word.as_str() {
            "--quick" => rounds = &QUICK,
            "--inner" => inner = true,
            other => bail!("bench: no option {other}"),
        }
    }
    if !inner {
        packages::ensure(&[packages::BUILD, packages::DEMO, &["lxc", "util-linux"]])?;
        let settings = settings();
        install::build(&settings, Profile::Release)?;
        install::install(&settings, Profile::Release, Scope::Prefix)?;
    }
    if !sh::is_root() {
        let mut again = packages::privileged("env")?;
        return sh::run(again.arg(std::env::current_exe()?).args(["bench", "--inner"]).args(words));
    }
    let pure = std::env::var_os("LXC_BENCH_PURE").is_some();
    let bench = Bench::new()?;
    println!("{}", if pure { "one pure cgroup2 mount" } else { "this machine's cgroups" });
    println!("{:<26} {:>10} {:>10} {:>7} {:>8}", "median", "ours", "C LXC", "ratio", "target");
    bench.life(rounds)?;
    bench.query(rounds)?;
    if !pure {
        bench.lists(rounds)?;
        bench.memory(rounds)?;
        drop(bench);
        println!();
        return pure_cgroup2(words);
    }
    Ok(())
}

/// The release tools measured: built for a place of their own, everything else as the distribution has it.
fn settings() -> Settings {
    let prefix = sh::target().join("bench/usr");
    Settings {
        libdir: prefix.join("lib"),
        prefix,
        sysconfdir: "/etc".into(),
        localstatedir: "/var".into(),
        runtimedir: "/run".into(),
        destdir: None,
        separate: false,
    }
}

/// The same once more where /sys/fs/cgroup is one cgroup2 mount, in a mount namespace of its own.
fn pure_cgroup2(words: &[String]) -> Result<()> {
    let script = "umount -R -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
    command
        .arg(std::env::current_exe()?)
        .args(["bench", "--inner"])
        .args(words.iter().filter(|word| *word != "--inner"));
    sh::run(command.env("LXC_BENCH_PURE", "1"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ours,
    Theirs,
}

const SIDES: [Side; 2] = [Side::Ours, Side::Theirs];

/// The containers of the measurement, below one directory that goes away with this.
#[derive(Debug)]
struct Bench {
    dir: PathBuf,
    ours: PathBuf,
}

impl Bench {
    fn new() -> Result<Bench> {
        let dir = PathBuf::from(format!("/tmp/lxc-bench-{}", std::process::id()));
        let bench = Bench { dir, ours: settings().prefix.join("bin") };
        bench.rootfs()?;
        for side in SIDES {
            if !bench
                .tool(side, "lxc-start")
                .get_program()
                .to_str()
                .is_some_and(|path| Path::new(path).exists())
            {
                bail!("{side:?}: there is no lxc-start");
            }
        }
        Ok(bench)
    }

    /// One busybox, shared by all containers.
    fn rootfs(&self) -> Result<()> {
        let root = self.dir.join("rootfs");
        for dir in ["bin", "dev", "proc", "sys", "etc", "tmp"] {
            fs::create_dir_all(root.join(dir))?;
        }
        let busybox = sh::which("busybox").context("busybox-static is not installed")?;
        fs::copy(busybox, root.join("bin/busybox"))?;
        for applet in ["sh", "sleep", "true"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet))?;
        }
        Ok(fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n")?)
    }

    /// Makes a container of a side; its path and name.
    fn container(&self, lxcpath: &str, name: &str) -> Result<()> {
        let dir = self.dir.join(lxcpath).join(name);
        fs::create_dir_all(&dir)?;
        let text = format!(
            "lxc.rootfs.path = dir:{}\nlxc.uts.name = {name}\nlxc.net.0.type = empty\nlxc.tty.max = 1\nlxc.pty.max = 8\n\
             lxc.mount.auto = proc:mixed sys:ro\nlxc.init.cmd = /bin/sleep 100000\n",
            self.dir.join("rootfs").display()
        );
        Ok(fs::write(dir.join("config"), text)?)
    }

    fn tool(&self, side: Side, tool: &str) -> Command {
        let mut command = Command::new(match side {
            Side::Ours => self.ours.join(tool),
            Side::Theirs => Path::new("/usr/bin").join(tool),
        });
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Runs a tool on a container; how long it took.
    fn time(&self, side: Side, tool: &str, lxcpath: &str, words: &[&str]) -> Result<Duration> {
        let mut command = self.tool(side, tool);
        command.arg("-P").arg(self.dir.join(lxcpath)).args(words);
        let started = Instant::now();
        let output = command.output().with_context(|| format!("run {tool}"))?;
        let time = started.elapsed();
        if !output.status.success() {
            bail!(
                "{side:?}: {} : {}\n{}",
                sh::show(&command),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(time)
    }

    /// Start, execute, freeze, unfreeze, stop: each side in turn.
    fn life(&self, rounds: &Rounds) -> Result<()> {
        let rows = ["start -d", "freeze", "unfreeze", "stop -k", "execute true"];
        let mut times: [[Vec<Duration>; 2]; 5] = Default::default();
        for side in SIDES {
            self.container(path_of(side), "life")?;
        }
        // The first round warms caches and is not counted.
        for round in 0..=rounds.life {
            for side in turn(round) {
                let path = path_of(side);
                let took = [
                    self.time(side, "lxc-start", path, &["-n", "life", "-d"])?,
                    self.time(side, "lxc-freeze", path, &["-n", "life"])?,
                    self.time(side, "lxc-unfreeze", path, &["-n", "life"])?,
                    self.time(side, "lxc-stop", path, &["-n", "life", "-k"])?,
                    self.time(side, "lxc-execute", path, &["-n", "life", "--", "/bin/true"])?,
                ];
                if round > 0 {
                    for (row, time) in times.iter_mut().zip(took) {
                        row[side as usize].push(time);
                    }
                }
            }
        }
        for (row, name) in times.iter_mut().zip(rows) {
            let target = match name {
                "start -d" | "execute true" => 0.7,
                _ => 0.8,
            };
            let [ours, theirs] = row;
            print(name, median(ours), median(theirs), target);
        }
        Ok(())
    }

    /// Attach and info on a running container.
    fn query(&self, rounds: &Rounds) -> Result<()> {
        for side in SIDES {
            self.container(path_of(side), "query")?;
            self.time(side, "lxc-start", path_of(side), &["-n", "query", "-d"])?;
        }
        for (name, tool, words, target) in [
            ("attach true", "lxc-attach", &["-n", "query", "--", "/bin/true"][..], 0.7),
            ("info", "lxc-info", &["-n", "query"], 0.6),
            ("info -sH", "lxc-info", &["-n", "query", "-sH"], 0.6),
        ] {
            let [ours, theirs] = self.interleave(rounds.query, tool, words, path_of)?;
            print(name, ours, theirs, target);
        }
        for side in SIDES {
            self.time(side, "lxc-stop", path_of(side), &["-n", "query", "-k"])?;
        }
        Ok(())
    }

    /// lxc-ls over many stopped containers, and over running ones.
    fn lists(&self, rounds: &Rounds) -> Result<()> {
        for number in 0..rounds.listed {
            self.container("stopped", &format!("c{number:04}"))?;
        }
        let [ours, theirs] = self.interleave(rounds.life, "lxc-ls", &[], |_| "stopped")?;
        print(&format!("ls, {} stopped", rounds.listed), ours, theirs, 0.2);
        // The same running containers for both: the monitors are ours, which either side can ask.
        for number in 0..rounds.running {
            let name = format!("r{number:02}");
            self.container("running", &name)?;
            self.time(Side::Ours, "lxc-start", "running", &["-n", &name, "-d"])?;
        }
        let [ours, theirs] = self.interleave(rounds.life, "lxc-ls", &["-f"], |_| "running")?;
        print(&format!("ls -f, {} running", rounds.running), ours, theirs, 0.5);
        for number in 0..rounds.running {
            self.time(Side::Ours, "lxc-stop", "running", &["-n", &format!("r{number:02}"), "-k"])?;
        }
        Ok(())
    }

    /// Proportional memory of an idle monitor, with as many of each side running so that shared pages count alike.
    fn memory(&self, rounds: &Rounds) -> Result<()> {
        let mut sizes = [0, 0];
        for side in SIDES {
            for number in 0..rounds.monitors {
                let name = format!("m{number}");
                self.container(path_of(side), &name)?;
                self.time(side, "lxc-start", path_of(side), &["-n", &name, "-d"])?;
            }
        }
        std::thread::sleep(Duration::from_millis(300));
        for side in SIDES {
            let mut all: Vec<u64> = (0..rounds.monitors)
                .map(|number| self.monitor_memory(side, &format!("m{number}")))
                .collect::<Result<_>>()?;
            all.sort_unstable();
            sizes[side as usize] = all[all.len() / 2];
        }
        let ratio = sizes[0] as f64 / sizes[1] as f64;
        let verdict = if ratio <= 1.5 { "" } else { "  above" };
        println!(
            "{:<26} {:>7} kB {:>7} kB {ratio:>6.2}x {:>7}{verdict}",
            "idle monitor, PSS", sizes[0], sizes[1], "1.5x"
        );
        for side in SIDES {
            for number in 0..rounds.monitors {
                self.time(side, "lxc-stop", path_of(side), &["-n", &format!("m{number}"), "-k"])?;
            }
        }
        Ok(())
    }

    fn monitor_memory(&self, side: Side, name: &str) -> Result<u64> {
        let title = format!("[lxc monitor] {} {name}", self.dir.join(path_of(side)).display());
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            let command = fs::read(path.join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " ") != title {
                continue;
            }
            let rollup = fs::read_to_string(path.join("smaps_rollup")).context("read smaps_rollup")?;
            let line = rollup
                .lines()
                .find_map(|line| line.strip_prefix("Pss:"))
                .context("no Pss in smaps_rollup")?;
            return line.trim().trim_end_matches(" kB").parse().context("Pss is no number");
        }
        bail!("no process titled {title}")
    }

    /// Medians of both sides, turn by turn.
    fn interleave(
        &self,
        rounds: usize,
        tool: &str,
        words: &[&str],
        lxcpath: impl Fn(Side) -> &'static str,
    ) -> Result<[Duration; 2]> {
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..=rounds {
            for side in turn(round) {
                let time = self.time(side, tool, lxcpath(side), words)?;
                if round > 0 {
                    times[side as usize].push(time);
                }
            }
        }
        let [mut ours, mut theirs] = times;
        Ok([median(&mut ours), median(&mut theirs)])
    }
}

impl Drop for Bench {
    /// Also after a failure: nothing of the measurement keeps running.
    fn drop(&mut self) {
        for lxcpath in ["ours", "theirs", "running"] {
            let Ok(entries) = fs::read_dir(self.dir.join(lxcpath)) else { continue };
            for entry in entries.flatten() {
                let mut stop = self.tool(Side::Theirs, "lxc-stop");
                stop.arg("-P").arg(self.dir.join(lxcpath)).arg("-k").arg("-n").arg(entry.file_name());
                drop(stop.stderr(Stdio::null()).status());
            }
        }
        drop(fs::remove_dir_all(&self.dir));
    }
}

fn path_of(side: Side) -> &'static str {
    match side {
        Side::Ours => "ours",
        Side::Theirs => "theirs",
    }
}

/// ABBA: who goes first changes every round, so that neither always follows the other.
fn turn(round: usize) -> [Side; 2] {
    if round.is_multiple_of(2) { SIDES } else { [Side::Theirs, Side::Ours] }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn print(name: &str, ours: Duration, theirs: Duration, target: f64) {
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    let verdict = if ratio <= target { "" } else { "  above" };
    let (ours, theirs) = (ours.as_secs_f64() * 1000.0, theirs.as_secs_f64() * 1000.0);
    println!("{name:<26} {ours:>7.2} ms {theirs:>7.2} ms {ratio:>6.2}x {target:>6.1}x{verdict}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_turns() {
        let mut times = [5, 1, 3].map(Duration::from_millis);
        assert_eq!(median(&mut times), Duration::from_millis(3));
        assert_eq!(turn(0), [Side::Ours, Side::Theirs]);
        assert_eq!(turn(1), [Side::Theirs, Side::Ours]);
    }
}
