//! Containers within a container: this program runs again, joins the container's namespaces and lists from there.
//!
//! A fresh process per container, because a process that entered a user namespace cannot come back. What it answers is
//! the container's word: it is parsed as data, and names that could control a terminal are dropped.
//!
//! **Context**: `answer` runs in the fresh process, single-threaded, before anything else.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use lxc_core::select;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::rows::{self, Row, Wanted};

/// How long one container may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than this is no list of containers.
const MOST_BYTES: usize = 16 << 20;

/// The rows of the containers inside the one whose init is `pid`; none when it cannot be asked.
pub(crate) fn ask(pid: i32, lxcpath: &Path, wanted: &Wanted) -> Vec<Row> {
    ask_or_fail(pid, lxcpath, wanted).unwrap_or_default()
}

fn ask_or_fail(pid: i32, lxcpath: &Path, wanted: &Wanted) -> anyhow::Result<Vec<Row>> {
    let mut child = Command::new("/proc/self/exe")
        .arg0("lxc-ls")
        .arg(format!("--nested-in={pid}"))
        .arg("-P")
        .arg(lxcpath)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let wanted = Wanted { nesting: wanted.nesting.saturating_sub(1), ..wanted.clone() };
    let answer = exchange(&mut child, &serde_json::to_vec(&wanted)?);
    let _ = child.kill();
    let _ = child.wait();
    let mut rows: Vec<Row> = serde_json::from_slice(&answer?)?;
    drop_unprintable(&mut rows);
    Ok(rows)
}

fn exchange(child: &mut std::process::Child, question: &[u8]) -> anyhow::Result<Vec<u8>> {
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(question)?;
    }
    let Some(mut stdout) = child.stdout.take() else { anyhow::bail!("no answer") };
    let deadline = Instant::now() + PATIENCE;
    let mut answer = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now()))?;
        let ready = poll(&mut [PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::IN)], Some(&left))?;
        let read = if ready == 0 { anyhow::bail!("no answer in time") } else { stdout.read(&mut chunk)? };
        match chunk.get(..read) {
            Some([]) | None => return Ok(answer),
            Some(bytes) => answer.extend_from_slice(bytes),
        }
        anyhow::ensure!(answer.len() <= MOST_BYTES, "the answer is too long");
    }
}

fn drop_unprintable(rows: &mut Vec<Row>) {
    rows.retain(|row| !row.name.contains(char::is_control));
    rows.iter_mut().for_each(|row| drop_unprintable(&mut row.nested));
}

/// The fresh process: enters the namespaces of `pid` and writes the rows it sees as JSON.
pub(crate) fn answer(pid: i32, lxcpath: &Path) -> anyhow::Result<ExitCode> {
    let mut question = Vec::new();
    std::io::stdin().lock().read_to_end(&mut question)?;
    let wanted: Wanted = serde_json::from_slice(&question)?;
    let sockets = select::inside::enter(pid)?;
    let rows = rows::collect(lxcpath, &sockets, &wanted, |_, _| {})?;
    std::io::stdout().lock().write_all(&serde_json::to_vec(&rows)?)?;
    Ok(ExitCode::SUCCESS)
}
