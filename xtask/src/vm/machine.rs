//! One emulated machine: booting it, running commands in it, and what it said when it did not boot. Knows no tests.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::image::{self, Image};
use crate::sh;

/// Time to boot in. It takes a quarter of a minute when nothing else runs.
pub const BOOT: Duration = Duration::from_secs(240);

/// What the kernel is told: one hierarchy of control groups, AppArmor, and an end instead of a hang after a panic.
const COMMAND_LINE: &str = "console=ttyS0 loglevel=4 rw panic=-1 cgroup_no_v1=all systemd.unified_cgroup_hierarchy=1 \
                            apparmor=1 security=apparmor mitigations=off nowatchdog";

/// A machine that is up and the line to its agent.
#[derive(Debug)]
pub struct Machine {
    /// Ours to end; `None` for one that was up before.
    child: Option<Child>,
    agent: UnixStream,
    serial: u32,
}

/// Sockets need short names, so not below `target`: a directory of this checkout's own.
fn directory() -> PathBuf {
    let key = image::fnv1a64(sh::repository().as_os_str().as_encoded_bytes());
    std::env::temp_dir().join(format!("lxc-rs-vm-{key:016x}"))
}

impl Machine {
    /// Boots one. Its disk is a snapshot: whatever happens in it is forgotten when it ends.
    ///
    /// - Errors: with the last lines of its console, when it does not come up in time.
    pub fn boot(image: &Image, share: &Path, limit: Duration) -> Result<Machine> {
        let dir = directory();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        for name in ["agent", "console", "monitor", "console.log", "qemu.log"] {
            drop(fs::remove_file(dir.join(name)));
        }
        let socket = |id: &str| format!("socket,id={id},path={},server=on,wait=off", dir.join(id).display());
        let mut qemu = image.emulator()?;
        qemu.args([
            "-machine",
            "q35",
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            "2048",
        ]);
        qemu.args(["-no-reboot", "-nodefaults", "-display", "none"]);
        qemu.arg("-kernel").arg(image.kernel()).arg("-initrd").arg(image.initrd());
        qemu.args(["-append", COMMAND_LINE]);
        let disk = image.disk();
        qemu.arg("-drive");
        qemu.arg(format!("file={},format=raw,if=virtio,snapshot=on,cache=unsafe", disk.display()));
        qemu.arg("-virtfs");
        qemu.arg(format!("local,path={},mount_tag=host,security_model=none,readonly=on", share.display()));
        qemu.args(["-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]);
        qemu.args(["-chardev", &socket("agent"), "-device", "virtserialport,chardev=agent,name=agent"]);
        let log = dir.join("console.log");
        qemu.args(["-chardev", &format!("{},logfile={}", socket("console"), log.display())]);
        qemu.args(["-serial", "chardev:console"]);
        qemu.args(["-chardev", &socket("monitor"), "-mon", "chardev=monitor"]);
        let complaints = fs::File::create(dir.join("qemu.log"))?;
        qemu.stdin(Stdio::null()).stdout(complaints.try_clone()?).stderr(complaints);
        // Its own group: an interrupt at the terminal ends the task, which then ends it.
        let mut child = qemu.process_group(0).spawn().context("run qemu-system-x86_64")?;
        let deadline = Instant::now() + limit;
        let agent = loop {
            match UnixStream::connect(dir.join("agent")) {
                Ok(stream) => break stream,
                Err(error) => {
                    if child.try_wait()?.is_some() || Instant::now() > deadline {
                        drop(child.kill());
                        let said = fs::read_to_string(dir.join("qemu.log")).unwrap_or_default();
                        bail!("the emulator did not start ({error}): {}", said.trim());
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        };
        let mut machine = Machine { child: Some(child), agent, serial: 0 };
        let started = Instant::now();
        let answer = machine.command("systemctl is-system-running --wait", limit, &mut |_| {});
        if let Err(error) = answer {
            let tail = console_tail(40);
            return Err(error.context(format!("the machine did not boot; the end of its console:\n{tail}")));
        }
        println!("booted in {}", sh::duration(started.elapsed()));
        Ok(machine)
    }

    /// The one of this checkout that is up.
    pub fn running() -> Result<Option<Machine>> {
        let Ok(agent) = UnixStream::connect(directory().join("agent")) else { return Ok(None) };
        let mut machine = Machine { child: None, agent, serial: 0 };
        let answer = machine.command("true", Duration::from_secs(20), &mut |_| {});
        answer.context("the machine that is up does not answer: is another command running in it?")?;
        Ok(Some(machine))
    }

    /// Keeps it up after the task has ended.
    pub fn leave(mut self) {
        self.child = None;
    }

    pub fn console(&self) -> PathBuf {
        directory().join("console.log")
    }

    /// Runs a shell line as root; its output goes where ours goes.
    pub fn show(&mut self, line: &str, limit: Duration) -> Result<i32> {
        self.command(line, limit, &mut |bytes| {
            let mut out = std::io::stdout();
            drop(out.write_all(bytes).and_then(|()| out.flush()));
        })
    }

    /// Runs a shell line as root, gives its output in pieces as it comes, and then its exit status.
    ///
    /// - Errors: when the line or the machine does not end in time, and when the machine is gone.
    pub fn command(&mut self, line: &str, limit: Duration, sink: &mut dyn FnMut(&[u8])) -> Result<i32> {
        self.serial += 1;
        let token = format!("%{:x}-{:x}-{}%", std::process::id(), stamp(), self.serial);
        let request = format!("{token} {} {}\n", limit.as_secs().max(1), base64(line.as_bytes()));
        self.agent.set_write_timeout(Some(limit)).and_then(|()| self.agent.write_all(request.as_bytes()))?;
        // The agent ends the command itself; it gets a little longer to say so.
        let deadline = Instant::now() + limit + Duration::from_secs(10);
        let mark = format!("\n{token} ");
        let (mut held, mut piece) = (Vec::new(), [0; 16384]);
        loop {
            self.agent.set_read_timeout(Some(Duration::from_millis(500)))?;
            match self.agent.read(&mut piece) {
                Ok(0) => bail!("the machine is gone\n{}", console_tail(30)),
                Ok(count) => held.extend_from_slice(piece.get(..count).unwrap_or_default()),
                Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                    if let Some(child) = &mut self.child
                        && let Some(status) = child.try_wait()?
                    {
                        bail!("the emulator ended ({status})\n{}", console_tail(30));
                    }
                    if Instant::now() > deadline {
                        bail!("no answer after {}\n{}", sh::duration(limit), console_tail(30));
                    }
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("read from the machine"),
            }
            if let Some(at) = find(&held, mark.as_bytes()) {
                let rest = held.get(at + mark.len()..).unwrap_or_default();
                if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    sink(held.get(..at).unwrap_or_default());
                    let status = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
                    return status.trim().parse().with_context(|| format!("status {status:?}"));
                }
            } else {
                // What might be the beginning of the mark stays.
                let keep = held.len().saturating_sub(mark.len());
                if keep > 0 {
                    sink(held.get(..keep).unwrap_or_default());
                    held.drain(..keep);
                }
            }
            if Instant::now() > deadline {
                bail!("no end after {}\n{}", sh::duration(limit), console_tail(30));
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
            for name in ["agent", "console", "monitor"] {
                drop(fs::remove_file(directory().join(name)));
            }
        }
    }
}

/// Ends the machine of this checkout.
pub fn end() -> Result<()> {
    let socket = directory().join("monitor");
    let Ok(mut monitor) = UnixStream::connect(&socket) else {
        println!("none is up");
        return Ok(());
    };
    monitor.write_all(b"quit\n").context("tell the emulator to end")?;
    monitor.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut rest = Vec::new();
    monitor.read_to_end(&mut rest).context("wait for the emulator's end")?;
    for name in ["agent", "console", "monitor"] {
        drop(fs::remove_file(directory().join(name)));
    }
    Ok(())
}

/// Connects this terminal with the machine's console until Ctrl-].
pub fn shell() -> Result<()> {
    let mut console = UnixStream::connect(directory().join("console")).context("its console")?;
    let mut input = console.try_clone()?;
    let raw = Command::new("stty").args(["raw", "-echo"]).status().is_ok_and(|status| status.success());
    println!("Ctrl-] leaves; press return for a prompt\r");
    let output = std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count) = console.read(&mut piece)
            && count > 0
        {
            let mut out = std::io::stdout();
            drop(out.write_all(piece.get(..count).unwrap_or_default()).and_then(|()| out.flush()));
        }
    });
    let (mut stdin, mut byte) = (std::io::stdin(), [0; 1]);
    while stdin.read(&mut byte).is_ok_and(|count| count == 1) && byte != [0x1d] {
        if input.write_all(&byte).is_err() {
            break;
        }
    }
    drop(input.shutdown(std::net::Shutdown::Both));
    drop(output.join());
    if raw {
        drop(Command::new("stty").arg("sane").status());
    }
    println!();
    Ok(())
}

/// The last lines of the console, without the terminal's control sequences.
pub fn console_tail(lines: usize) -> String {
    let bytes = fs::read(directory().join("console.log")).unwrap_or_default();
    let text = plain(&String::from_utf8_lossy(&bytes));
    let all: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

/// Text without escape sequences and carriage returns.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => {
                if letters.next() == Some('[') {
                    // Parameters up to the letter that names the command.
                    letters.by_ref().find(|letter| ('@'..='~').contains(letter));
                }
            }
            '\r' => {}
            letter => out.push(letter),
        }
    }
    out
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// Nanoseconds of the clock: so that an answer to an earlier task is not taken for ours.
fn stamp() -> u128 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos())
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let letter = LETTERS.get((group >> (18 - 6 * index)) as usize & 63).copied().unwrap_or(b'=');
            out.push(if index > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_everybody_writes_it() {
        for (text, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(text.as_bytes()), coded);
        }
    }

    #[test]
    fn a_console_becomes_plain_text() {
        assert_eq!(plain("a\u{1b}[0;1;39mb\u{1b}[0m\r\nc"), "ab\nc");
    }
}
