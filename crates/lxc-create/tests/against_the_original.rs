//! The same command lines given to ours and to the original: exit code, tree and configuration must be the same.
//!
//! Skipped where the original is not installed or the tests do not run as root. What differs on purpose is in
//! `safety.rs`.
#![allow(clippy::expect_used)] // a test may: failing is how it reports

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const OURS: &str = env!("CARGO_BIN_EXE_lxc-create");
const THEIRS: &str = "/usr/bin/lxc-create";

/// A directory whose path is the same for both, so that paths in configurations can be compared.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("create-cmp-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("p")).expect("make a scratch directory");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn can_compare() -> bool {
    Path::new(THEIRS).exists() && fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// Mode, owner and path of everything below `dir`, and what the configurations say.
fn describe(dir: &Path, code: Option<i32>) -> String {
    let mut text = format!("exit code {code:?}\n");
    let mut queue = vec![dir.to_owned()];
    let mut lines = Vec::new();
    while let Some(path) = queue.pop() {
        for entry in fs::read_dir(&path).expect("list") {
            let entry = entry.expect("entry");
            let meta = entry.metadata().expect("stat");
            let place = entry.path();
            let shown = place.strip_prefix(dir).expect("below").display().to_string();
            lines.push(format!("{:o} {}:{} {shown}", meta.permissions().mode(), meta.uid(), meta.gid()));
            if meta.is_dir() {
                queue.push(place);
            }
        }
    }
    lines.sort();
    text.push_str(&lines.join("\n"));
    for entry in fs::read_dir(dir.join("p")).expect("list") {
        let config = entry.expect("entry").path().join("config");
        if let Ok(content) = fs::read_to_string(&config) {
            // The original drops empty lines when it saves; they mean nothing.
            let content = content.replace(&format!("{PREFIX}/share/lxc"), "/usr/share/lxc");
            let lines: Vec<_> = content.lines().filter(|line| !line.trim().is_empty()).collect();
            let _ = write!(text, "\n{}:\n{}", config.display(), lines.join("\n"));
        }
    }
    text
}

/// Where our build says that it is installed.
const PREFIX: &str = match option_env!("LXC_PREFIX") {
    Some(prefix) => prefix,
    None => "/usr",
};

/// Runs both on a fresh scratch directory prepared by `prepare`; `@` in an argument is that directory.
fn same(args: &[&str], prepare: impl Fn(&Path)) {
    if !can_compare() {
        return;
    }
    let scratch = Scratch::new();
    let mut said = Vec::new();
    for program in [OURS, THEIRS] {
        let _ = fs::remove_dir_all(&scratch.0);
        fs::create_dir_all(scratch.0.join("p")).expect("mkdir");
        prepare(&scratch.0);
        let at = scratch.0.display().to_string();
        let mut command = Command::new(program);
        command.arg("-P").arg(scratch.0.join("p")).args(["-n", "c"]);
        command.args(args.iter().map(|arg| arg.replace('@', &at)));
        command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().expect("run lxc-create");
        said.push(describe(&scratch.0, status.code()));
    }
    assert_eq!(said[0], said[1], "lxc-create {args:?}: left ours, right theirs");
}

fn nothing(_: &Path) {}

/// A template that writes down how it was called and fills the rootfs.
fn template(dir: &Path) {
    let path = dir.join("lxc-t");
    let script = format!(
        "#!/bin/sh\numask > {0}/umask\nprintf '%s\\n' \"$@\" > {0}/args\nid -u > {0}/id\n\
         for a in \"$@\"; do case $a in --rootfs=*) mkdir \"${{a#--rootfs=}}/etc\";;\n\
         --path=*) echo 'lxc.uts.name = t' >> \"${{a#--path=}}/config\"; ls \"${{a#--path=}}\" > {0}/seen;; esac; done\n",
        dir.display()
    );
    fs::write(&path, script).expect("write");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::write(dir.join("conf"), "# a comment\nlxc.uts.name = x\nnot for lxc\nlxc.net.0.type = empty\n")
        .expect("write");
}

#[test]
fn without_a_template() {
    same(&["-t", "none"], nothing);
    same(&["-t", "none", "-f", "@/conf"], template);
    same(&["-t", "none", "-B", "best"], nothing);
    same(&["-t", "none", "-B", "bes"], nothing);
    same(&["-t", "none", "-B", "overlay"], nothing);
    same(&["-t", "none", "--dir=/no/such/directory"], nothing);
}

#[test]
fn with_a_template() {
    same(&["-t", "@/lxc-t", "-f", "@/conf"], template);
    same(&["-t", "@/lxc-t", "-f", "@/conf", "--", "-r", "two words", "$x"], template);
    same(&["-t", "@/lxc-t"], template);
    same(&["-q", "-t", "@/lxc-t", "-f", "@/conf"], template);
    // The original leaves it to the template to make the directory; here it is there already.
    let elsewhere = |dir: &Path| {
        template(dir);
        fs::create_dir_all(dir.join("deep/elsewhere")).expect("mkdir");
    };
    same(&["-t", "@/lxc-t", "-f", "@/conf", "-B", "dir", "--dir=@/deep/elsewhere"], elsewhere);
    same(&["-t", "@/lxc-t", "-f", "@/conf", "-6", "@/deep/elsewhere"], elsewhere);
}

#[test]
fn on_an_overlay() {
    // How the rootfs is passed differs: the original mounts it where nobody needs it. The result is the same.
    let quiet = |dir: &Path| {
        template(dir);
        fs::write(dir.join("lxc-t"), "#!/bin/sh\nexit 0\n").expect("write");
    };
    same(&["-t", "@/lxc-t", "-f", "@/conf", "-B", "overlay"], quiet);
    same(&["-t", "@/lxc-t", "-f", "@/conf", "-B", "overlayfs"], quiet);
}

#[test]
fn with_a_rootfs_that_is_configured() {
    let configured = |dir: &Path| {
        template(dir);
        fs::create_dir(dir.join("root")).expect("mkdir");
        fs::write(
            dir.join("conf"),
            format!("lxc.rootfs.path = dir:{}/root\nlxc.net.0.type = empty\n", dir.display()),
        )
        .expect("write");
    };
    same(&["-t", "none", "-f", "@/conf"], configured);
    same(&["-t", "@/lxc-t", "-f", "@/conf"], configured);
}

#[test]
fn with_an_id_map() {
    let mapped = |dir: &Path| {
        template(dir);
        fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).expect("chmod");
        let map = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 200000 65536\nlxc.net.0.type = empty\n";
        fs::write(dir.join("conf"), map).expect("write");
    };
    same(&["-t", "@/lxc-t", "-f", "@/conf", "--", "x"], mapped);
}

#[test]
fn the_busybox_template() {
    // Each with the template that is installed: the original's, unless ours replaced it.
    same(&["-t", "busybox"], nothing);
    same(&["-t", "busybox", "-B", "best"], nothing);
}

#[test]
fn what_is_there_already() {
    same(&["-t", "none"], |dir| fs::create_dir_all(dir.join("p/c/other")).expect("mkdir"));
    same(&["-t", "none"], |dir| {
        fs::create_dir_all(dir.join("p/c")).expect("mkdir");
        fs::write(dir.join("p/c/config"), "").expect("write");
    });
}

#[test]
fn refusals() {
    for args in [
        &[][..],
        &["-t", "no-such-template"],
        &["-t", "/no/such/template"],
        &["-t", "none", "-B", "nonsense"],
        &["-t", "none", "-B", "dir,overlay"],
        &["-t", "none", "-B", "di"],
        &["-t", "none", "--fstype", "ext4"],
        &["-t", "none", "--fssize", "1G"],
        &["-t", "none", "--lvname", "x"],
        &["-t", "none", "--vgname", "x"],
        &["-t", "none", "--thinpool", "x"],
        &["-t", "none", "--zfsroot", "x"],
        &["-t", "none", "--rbdname", "x"],
        &["-t", "none", "--rbdpool", "x"],
        &["-t", "none", "--dir", "relative"],
        &["-t", "/bin/false"],
        &["--no-such-option"],
    ] {
        same(args, nothing);
    }
}
