//! A throw-away container: its directory, its configuration, the tools run on it, and the promise that nothing stays.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::leftovers;
use crate::names::TestNames;
use crate::rootfs::{self, Init};
use crate::run::{Done, Run};
use crate::subject::Subject;
use crate::{Terminal, eventually};

/// What the container is made of; `make()` writes it.
#[derive(Clone, Debug)]
pub struct GuestBuilder {
    label: String,
    subject: Subject,
    init: Option<Init>,
    lines: Vec<String>,
    prefix: Vec<OsString>,
}

impl GuestBuilder {
    /// Run by this implementation instead of the one under test.
    #[must_use]
    pub fn subject(mut self, subject: Subject) -> GuestBuilder {
        self.subject = subject;
        self
    }

    #[must_use]
    pub fn init(mut self, init: Init) -> GuestBuilder {
        self.init = Some(init);
        self
    }

    /// Without a root file system of the test's making; the configuration must name one, or none.
    #[must_use]
    pub fn without_rootfs(mut self) -> GuestBuilder {
        self.init = None;
        self
    }

    /// Adds lines to the configuration, after the default ones. `@DIR@` = the container's directory, `@NAME@`.
    #[must_use]
    pub fn conf(mut self, lines: &str) -> GuestBuilder {
        self.lines.push(lines.to_owned());
        self
    }

    /// Runs every tool behind these words, such as `nsenter … --`.
    #[must_use]
    pub fn under(mut self, prefix: Vec<OsString>) -> GuestBuilder {
        self.prefix = prefix;
        self
    }

    /// Writes the container; does not start it.
    pub fn make(self) -> Guest {
        let names = TestNames::new(&self.label);
        let lxcpath = names.directory();
        let name = names.container().to_owned();
        let dir = lxcpath.join(&name);
        fs::create_dir_all(&dir).unwrap();
        let mut text = String::new();
        if let Some(init) = self.init {
            rootfs::make(&dir.join("rootfs"), init);
            text.push_str("lxc.rootfs.path = dir:@DIR@/rootfs\n");
            text.push_str("lxc.uts.name = @NAME@\nlxc.net.0.type = empty\nlxc.mount.auto = proc:rw sys:ro\n");
            text.push_str("lxc.pty.max = 16\n");
            if init == Init::Busybox {
                text.push_str("lxc.signal.halt = SIGUSR1\nlxc.signal.reboot = SIGTERM\n");
            }
        }
        for lines in self.lines {
            text.push_str(&lines);
            text.push('\n');
        }
        let text = text.replace("@DIR@", dir.to_str().unwrap()).replace("@NAME@", &name);
        fs::write(dir.join("config"), text).unwrap();
        Guest { subject: self.subject, lxcpath, name, prefix: self.prefix, keep: false }
    }

    /// Writes the container and starts it.
    pub fn start(self) -> Guest {
        let guest = self.make();
        guest.start();
        guest
    }
}

/// A container of one test. Dropping it kills it, removes its directory and panics if anything of it is left.
#[derive(Debug)]
pub struct Guest {
    subject: Subject,
    lxcpath: PathBuf,
    name: String,
    prefix: Vec<OsString>,
    keep: bool,
}

impl Guest {
    /// A container with the script init on the busybox root file system.
    pub fn build(label: &str) -> GuestBuilder {
        GuestBuilder {
            label: label.to_owned(),
            subject: Subject::current(),
            init: Some(Init::Script),
            lines: Vec::new(),
            prefix: Vec::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn lxcpath(&self) -> &Path {
        &self.lxcpath
    }

    /// `LXCPATH/NAME`.
    pub fn dir(&self) -> PathBuf {
        self.lxcpath.join(&self.name)
    }

    pub fn rootfs(&self) -> PathBuf {
        self.dir().join("rootfs")
    }

    pub fn config(&self) -> PathBuf {
        self.dir().join("config")
    }

    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// Adds lines to the configuration file.
    pub fn append(&self, lines: &str) {
        let lines = lines.replace("@DIR@", self.dir().to_str().unwrap()).replace("@NAME@", &self.name);
        let text = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), format!("{text}{lines}\n")).unwrap();
    }

    /// A tool of the implementation under test with `-P LXCPATH -n NAME`.
    pub fn tool(&self, tool: &str) -> Run {
        self.tool_of(self.subject, tool)
    }

    /// The same of a chosen implementation.
    pub fn tool_of(&self, subject: Subject, tool: &str) -> Run {
        let run = self.bare_tool_of(subject, tool).arg("-P").arg(&self.lxcpath);
        run.args(["-n", &self.name])
    }

    /// A tool without the container's name, for those that take it otherwise.
    pub fn bare_tool(&self, tool: &str) -> Run {
        self.bare_tool_of(self.subject, tool)
    }

    fn bare_tool_of(&self, subject: Subject, tool: &str) -> Run {
        Run::under(&self.prefix, subject.tool(tool))
    }

    /// Starts it daemonised and requires that it runs.
    pub fn start(&self) {
        let done = self.try_start();
        assert!(done.code == 0, "should have started: {done}\n{}", self.why());
        assert_eq!(self.state(), "RUNNING", "after {done}");
    }

    /// Starts it daemonised.
    pub fn try_start(&self) -> Done {
        let log = self.dir().join("log");
        self.tool("lxc-start").arg("-d").arg("-o").arg(log).args(["-l", "DEBUG"]).done()
    }

    /// What the log of the last start complains about, and what the console showed (if it goes to `console.log`).
    pub fn why(&self) -> String {
        let console = fs::read_to_string(self.dir().join("console.log")).unwrap_or_default();
        let log = fs::read_to_string(self.dir().join("log")).unwrap_or_default();
        let serious =
            |line: &&str| [" ERROR ", " WARN ", " CRIT ", " FATAL "].iter().any(|word| line.contains(word));
        log.lines().filter(serious).collect::<Vec<_>>().join("\n") + &console
    }

    /// Runs a command inside with lxc-attach.
    pub fn attach<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Done {
        self.tool("lxc-attach").arg("--").args(words).done()
    }

    /// Runs a shell line inside and gives what it prints; it must succeed.
    pub fn sh(&self, line: &str) -> String {
        self.attach(["/bin/sh", "-c", line]).ok()
    }

    /// lxc-info's word for the state.
    pub fn state(&self) -> String {
        self.tool("lxc-info").args(["-s", "-H"]).done().stdout.trim().to_owned()
    }

    /// Waits for a state.
    pub fn await_state(&self, state: &str) {
        let good = eventually(Duration::from_secs(20), || self.state() == state);
        assert!(good, "{} is {} and not {state}\n{}", self.name, self.state(), self.why());
    }

    /// Waits until an lxc-monitor sees what happens below this lxcpath. It says nothing when it is ready; its daemon's
    /// socket is there once for listening and once for each client taken in.
    pub fn await_watcher(&self) {
        let path = self.lxcpath().to_str().unwrap();
        let sockets = || {
            let table = std::fs::read_to_string("/proc/net/unix").unwrap();
            table.lines().filter(|line| line.contains("@lxc/") && line.contains(path)).count()
        };
        assert!(eventually(Duration::from_secs(20), || sockets() >= 2), "{} sockets", sockets());
    }

    /// Pid of the container's init.
    pub fn pid(&self) -> u32 {
        let done = self.tool("lxc-info").args(["-p", "-H"]).done();
        done.stdout.trim().parse().unwrap_or_else(|_| {
            panic!(
                "not a pid, and it is {}: {done}\nmonitor: {:?}\n{}",
                self.state(),
                leftovers::monitor_pid(&self.lxcpath, &self.name),
                self.why()
            )
        })
    }

    /// True when it runs under another init than `old`: it has rebooted.
    pub fn has_new_init(&self, old: u32) -> bool {
        // Between the two there is none, and the tool prints nothing.
        let text = self.tool("lxc-info").args(["-p", "-H"]).done().stdout;
        text.trim().parse().is_ok_and(|pid: u32| pid != old) && self.state() == "RUNNING"
    }

    /// Pid of the monitor.
    pub fn monitor(&self) -> u32 {
        leftovers::monitor_pid(&self.lxcpath, &self.name).expect("the monitor has its title")
    }

    /// Kills it and waits until the monitor is gone.
    pub fn kill(&self) {
        self.tool("lxc-stop").arg("-k").done().exits(0).ok();
        self.await_gone();
    }

    /// Waits until the monitor is gone.
    pub fn await_gone(&self) {
        let gone = eventually(Duration::from_secs(20), || {
            leftovers::monitor_pid(&self.lxcpath, &self.name).is_none()
        });
        assert!(gone, "the monitor of {} does not end", self.name);
    }

    /// Lines of /proc/self/mountinfo as a process of the container sees them.
    pub fn mountinfo(&self) -> Vec<Mount> {
        self.sh("cat /proc/self/mountinfo").lines().map(Mount::parse).collect()
    }

    /// A tool on a terminal of its own.
    pub fn terminal(&self, run: Run) -> Terminal {
        Terminal::spawn(run)
    }

    /// Leaves the directory for a look after the test.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Asserts now that nothing but the directory is left.
    pub fn assert_nothing_left(&self) {
        leftovers::assert_none(self.subject, &self.name);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if leftovers::monitor_pid(&self.lxcpath, &self.name).is_some()
            || !leftovers::find(&self.name).is_empty()
        {
            // Whatever state a failed test left it in: stop it by the tool, then by its processes.
            let path = self.lxcpath.as_os_str();
            let mut stop = Run::under(&self.prefix, self.subject.tool("lxc-stop")).into_command();
            stop.args(["-k".as_ref(), "-n".as_ref(), OsStr::new(&self.name), "-P".as_ref(), path]);
            stop.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            if let Ok(mut child) = stop.spawn() {
                if !eventually(Duration::from_secs(20), || {
                    child.try_wait().is_ok_and(|status| status.is_some())
                }) {
                    drop(child.kill());
                }
                drop(child.wait());
            }
            eventually(Duration::from_secs(10), || {
                leftovers::monitor_pid(&self.lxcpath, &self.name).is_none()
            });
            if let Some(pid) = leftovers::monitor_pid(&self.lxcpath, &self.name) {
                let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        let found = leftovers::remaining(self.subject, &self.name);
        if !self.keep {
            drop(fs::remove_dir_all(&self.lxcpath));
        }
        if !found.is_empty() && !std::thread::panicking() {
            panic!("{} left behind:\n  {}", self.name, found.join("\n  "));
        }
    }
}

/// One line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub root: String,
    pub target: String,
    pub options: String,
    pub propagation: String,
    pub fstype: String,
    pub source: String,
    pub super_options: String,
}

impl Mount {
    /// - Source: proc_pid_mountinfo(5).
    pub fn parse(line: &str) -> Mount {
        let (left, right) = line.split_once(" - ").unwrap_or_else(|| panic!("not mountinfo: {line}"));
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        // Group numbers differ from run to run; only the kind is a property of the mount.
        let kinds: Vec<&str> =
            left[6..].iter().map(|field| field.split_once(':').map_or(*field, |(kind, _)| kind)).collect();
        Mount {
            root: left[3].to_owned(),
            target: left[4].to_owned(),
            options: left[5].to_owned(),
            propagation: kinds.join(","),
            fstype: right[0].to_owned(),
            source: right[1].to_owned(),
            super_options: right[2].to_owned(),
        }
    }

    pub fn is_read_only(&self) -> bool {
        self.options.split(',').any(|word| word == "ro")
    }
}
