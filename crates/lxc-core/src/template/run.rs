//! Starting a template and waiting for it.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, ExitStatus};

use rustix::fs::Mode;
use rustix::mount::MountPropagationFlags;
use rustix::process::geteuid;

use super::mapped::Mapping;
use super::{Call, Stdio};
use crate::error::{Error, ErrorKind, Result, ResultExt};

const CLONE_NEWNS: u64 = 0x0002_0000;

/// Runs a template and waits for it.
///
/// Root's templates run in a mount namespace of their own, so that nothing they mount outlives them.
///
/// - Shape:   `TEMPLATE --path=… --name=… --rootfs=… ARGS…`, with an id map inside `lxc-usernsexec` and followed by
///   `--mapped-uid N --mapped-gid N`, the ids the caller has in there.
/// - Context: any thread; a thread is made and joined.
/// - Errors:  `Hook` when it cannot be started or fails.
/// - Source:  reference abi-and-wire.md D3; observed: `create/live` tests on both implementations.
pub fn run(call: &Call<'_>) -> Result<()> {
    let shown = call.template.display();
    let mut command = command(call);
    if call.stdio == Stdio::Null {
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
    }
    // unshare(2) changes one thread only. A thread of its own keeps the caller's mounts, umask and directory as they
    // are, without an unsafe hook between fork and exec.
    let status = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("template".into());
        let worker = thread
            .spawn_scoped(scope, || isolated(&mut command))
            .what(|| "start a thread for the template")?;
        worker.join().map_err(|_| Error::new(ErrorKind::Internal, "the template's thread panicked"))?
    });
    match status.map_err(|error| error.with_kind(ErrorKind::Hook))? {
        status if status.success() => Ok(()),
        status => Err(Error::new(ErrorKind::Hook, format!("template {shown} failed: {status}"))),
    }
}

/// Lets a template print its own help. Its exit code says nothing: lxc-local's help exits 1.
pub fn help(template: &Path) -> Result<()> {
    let status = Command::new(template).arg("-h").status();
    status.what(|| format!("run {} -h", template.display())).map(drop)
}

fn isolated(command: &mut Command) -> Result<ExitStatus> {
    let root = geteuid().is_root();
    if root {
        lxc_sys::ns::unshare(CLONE_NEWNS).what(|| "make a mount namespace for the template")?;
        let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", flags).what(|| "keep the template's mounts from the host")?;
    }
    // With CLONE_NEWNS the thread has file system state of its own; else the whole process has this mask for a moment.
    let mask = rustix::process::umask(Mode::WGRP | Mode::WOTH);
    let child = command.spawn();
    rustix::process::umask(mask);
    let shown = || format!("run {}", command.get_program().to_string_lossy());
    child.what(shown)?.wait().what(shown)
}

fn command(call: &Call<'_>) -> Command {
    let program = call.template.as_os_str();
    let mapping = (!call.idmap.is_empty()).then(|| Mapping::new(call.idmap));
    let mut command = match &mapping {
        Some(mapping) => mapping.command(program),
        None => Command::new(program),
    };
    command.arg(joined("--path=", call.path.as_os_str()));
    command.arg(format!("--name={}", call.name));
    command.arg(joined("--rootfs=", call.rootfs.as_os_str()));
    command.args(call.args);
    if let Some(mapping) = &mapping {
        command.arg("--mapped-uid").arg(mapping.caller_uid.to_string());
        command.arg("--mapped-gid").arg(mapping.caller_gid.to_string());
    }
    command
}

fn joined(option: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(option);
    word.push(value);
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use lxc_conf::model::{IdKind, IdMap};

    fn words(idmap: &[IdMap], args: &[&str]) -> Vec<String> {
        let args: Vec<_> = args.iter().map(OsString::from).collect();
        let call = Call {
            template: Path::new("/t/lxc-x"),
            path: Path::new("/p/a b"),
            name: "a b",
            rootfs: Path::new("/r"),
            args: &args,
            idmap,
            stdio: Stdio::Null,
        };
        let command = command(&call);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn words_are_never_split() {
        let expected = ["/t/lxc-x", "--path=/p/a b", "--name=a b", "--rootfs=/r", "-r", "b c", "$x"];
        assert_eq!(words(&[], &["-r", "b c", "$x"]), expected);
    }

    #[test]
    fn an_id_map_wraps_the_call_and_appends_the_callers_ids() {
        let idmap = [
            IdMap { kind: IdKind::User, ns_id: 0, host_id: 100_000, count: 65536 },
            IdMap { kind: IdKind::Group, ns_id: 0, host_id: 100_000, count: 65536 },
        ];
        let words = words(&idmap, &["x"]);
        assert_eq!(words[..5], ["lxc-usernsexec", "-m", "u:0:100000:65536", "-m", "g:0:100000:65536"]);
        let at = words.iter().position(|word| word == "--").expect("--");
        assert_eq!(words[at + 1..at + 6], ["/t/lxc-x", "--path=/p/a b", "--name=a b", "--rootfs=/r", "x"]);
        assert_eq!(words[at + 6..], ["--mapped-uid", "65536", "--mapped-gid", "65536"]);
    }

    #[test]
    fn a_failing_template_is_told_apart_from_one_that_cannot_run() {
        let mut call = Call {
            template: Path::new("/bin/false"),
            path: Path::new("/p"),
            name: "n",
            rootfs: Path::new("/r"),
            args: &[],
            idmap: &[],
            stdio: Stdio::Null,
        };
        let failed = run(&call).expect_err("false fails");
        assert_eq!(failed.kind(), ErrorKind::Hook);
        assert!(failed.to_string().contains("exit status: 1"), "{failed}");
        call.template = Path::new("/nonexistent");
        assert!(run(&call).expect_err("nothing there").to_string().contains("No such file"));
        call.template = Path::new("/bin/true");
        run(&call).expect("true succeeds");
    }

    #[test]
    fn the_callers_mask_stays() {
        let before = rustix::process::umask(Mode::from_raw_mode(0o077));
        let call = Call {
            template: Path::new("/bin/true"),
            path: Path::new("/p"),
            name: "n",
            rootfs: Path::new("/r"),
            args: &[],
            idmap: &[],
            stdio: Stdio::Null,
        };
        run(&call).expect("true succeeds");
        assert_eq!(rustix::process::umask(before).as_raw_mode(), 0o077);
    }
}
