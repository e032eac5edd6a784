//! An ordinary user of the machine: his own ids in /etc/subuid and /etc/subgid, a home, and cgroups delegated to him.
//!
//! All of it is seen only in a mount namespace of the test's own: the files are private copies, the tools under test are
//! made reachable where the checkout lies in a private home. Only the delegated cgroups exist outside, under a name of
//! the test's own, and go with it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::guest::{Guest, GuestBuilder};
use crate::names::TestNames;
use crate::run::Run;
use crate::subject::Subject;
use crate::user_manager::{Delegation, Manner, UserManager};

/// The user's ids; nobody of that id is known to the machine.
pub const UID: u32 = 12345;
/// His name.
pub const NAME: &str = "lxcrsuser";
/// First host id of both his ranges.
pub const FIRST: u32 = 3_000_000;
/// How many ids he has.
pub const COUNT: u32 = 65_536;

/// Runs as root in the namespaces: `$1` scratch directory, `$2` name of the cgroups, `$3` what of the machine's cgroups is
/// there, `$4` a directory to make reachable, `$5` uid, `$6` user name.
const SETUP: &str = r#"
set -e
mkdir -p $1/etc $1/home $1/run $1/lxcrun $1/tools
for file in passwd group; do cp /etc/$file $1/etc/$file; done
echo "$6:x:$5:$5::$1/home:/bin/sh" >> $1/etc/passwd
echo "$6:x:$5:" >> $1/etc/group
for file in subuid subgid; do echo "$6:3000000:65536" > $1/etc/$file; done
for file in passwd group subuid subgid; do chmod 644 $1/etc/$file; mount --bind $1/etc/$file /etc/$file; done
if [ -d /etc/lxc ]; then cp -a /etc/lxc $1/etc/lxc; mount --bind $1/etc/lxc /etc/lxc; fi
mkdir -p /run/lxc; mount --bind $1/lxcrun /run/lxc
mount -t devpts -o newinstance,gid=5,mode=620,ptmxmode=666 devpts /dev/pts; mount --bind /dev/pts/ptmx /dev/ptmx
chown $5:$5 $1/home $1/run; chmod 700 $1/run; chmod 755 $1 $1/home
mount --bind $4 $1/tools
at=$4; closed=
while [ "$at" != / ]; do
    case $(stat -c %a "$at") in *[1357]) ;; *) closed=$at ;; esac
    at=$(dirname "$at")
done
if [ -n "$closed" ]; then
    mount -t tmpfs -o mode=755 none "$closed"
    mkdir -p "$4"
    mount --bind $1/tools "$4"
fi
if [ "$7" = net ]; then
    mkdir $1/sys; mount -t sysfs sysfs $1/sys; mount --rbind /sys/fs/cgroup $1/sys/fs/cgroup
    ! mountpoint -q /sys/kernel/security || mount --rbind /sys/kernel/security $1/sys/kernel/security
    mount --rbind $1/sys /sys
    ip link set lo up
fi
case $3 in
    pure*) umount -R -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; list=/sys/fs/cgroup ;;
    *) if [ -e /sys/fs/cgroup/cgroup.controllers ]; then list=/sys/fs/cgroup; else list=$(ls -d /sys/fs/cgroup/*/); fi ;;
esac
for dir in $list; do
    mkdir $dir/$2
    if [ -e $dir/$2/cpuset.mems ] && [ ! -e $dir/cgroup.controllers ]; then
        cat $dir/cpuset.cpus > $dir/$2/cpuset.cpus; cat $dir/cpuset.mems > $dir/$2/cpuset.mems
    fi
    case $3 in *undelegated) continue ;; esac
    for file in . cgroup.procs tasks cgroup.threads cgroup.subtree_control; do
        if [ -e $dir/$2/$file ]; then chown $5:$5 $dir/$2/$file; fi
    done
done
echo
exec sleep 100000
"#;

/// Runs in the namespaces: enters the cgroups (`$1`) and becomes the user (`$2`, home `$3`); the rest is the program.
/// A thread that moves only itself with v1 `tasks` does not wait for the kernel. A cgroup2 that hands controllers on takes
/// no processes any more; then a leaf below it does, as another session of the same user would.
const ENTER: &str = r#"
for dir in /sys/fs/cgroup /sys/fs/cgroup/*/; do
    if [ -e $dir/$1/session ]; then echo 0 > $dir/$1/session/cgroup.procs
    elif [ -e $dir/$1/tasks ]; then echo 0 > $dir/$1/tasks
    elif [ -e $dir/$1/cgroup.procs ] && ! echo 0 2>/dev/null > $dir/$1/cgroup.procs; then
        mkdir -p $dir/$1/later; chown $2:$2 $dir/$1/later $dir/$1/later/cgroup.procs
        echo 0 > $dir/$1/later/cgroup.procs
    fi
done
uid=$2; scratch=$3; shift 3; cd $scratch/home
exec setpriv --reuid $uid --regid $uid --clear-groups env -u LXC_RS_BIN -u DBUS_SESSION_BUS_ADDRESS \
    HOME=$scratch/home XDG_RUNTIME_DIR=$scratch/run "$@"
"#;

/// What the user sees of the machine's cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cgroups {
    /// The machine's hierarchies, one cgroup in each delegated.
    Machine,
    /// One pure cgroup2 with a delegated cgroup.
    Pure,
    /// The machine's hierarchies, and the user may write nowhere in them.
    Undelegated,
    /// One pure cgroup2, and the user may not write in it.
    PureUndelegated,
}

/// The user and his view of the machine, kept alive by a sleeping process.
#[derive(Debug)]
pub struct Ordinary {
    keeper: Child,
    scratch: PathBuf,
    key: String,
    net: bool,
}

impl Ordinary {
    /// On the machine's own network.
    pub fn new(cgroups: Cgroups) -> Ordinary {
        Ordinary::make(cgroups, false)
    }

    /// In a network namespace with nothing but `lo`.
    pub fn with_network(cgroups: Cgroups) -> Ordinary {
        Ordinary::make(cgroups, true)
    }

    fn make(cgroups: Cgroups, net: bool) -> Ordinary {
        let names = TestNames::new("ordinary");
        let scratch = names.directory();
        fs::create_dir_all(&scratch).unwrap();
        let word = match cgroups {
            Cgroups::Machine => "machine",
            Cgroups::Pure => "pure",
            Cgroups::Undelegated => "undelegated",
            Cgroups::PureUndelegated => "pure-undelegated",
        };
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--propagation", "private"]);
        if net {
            unshare.arg("--net");
        }
        let keeper = unshare
            .args(["sh", "-c", SETUP, "sh"])
            .arg(&scratch)
            .args([names.container(), word])
            .arg(reachable(&Subject::current().bin_dir()))
            .args([UID.to_string().as_str(), NAME, if net { "net" } else { "" }])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut user = Ordinary { keeper, scratch, key: names.container().to_owned(), net };
        let mut line = [0; 1];
        std::io::Read::read_exact(user.keeper.stdout.as_mut().unwrap(), &mut line).expect("the user's world");
        user
    }

    /// The words that run a program as the user, in his cgroups.
    pub fn prefix(&self) -> Vec<OsString> {
        self.enter(UID)
    }

    /// The words that run a program as root in the user's cgroups, as a system service has one.
    pub fn service_prefix(&self) -> Vec<OsString> {
        self.enter(0)
    }

    fn enter(&self, uid: u32) -> Vec<OsString> {
        let mut words = self.root_prefix();
        words.extend(["sh", "-c", ENTER, "sh", &self.key, &uid.to_string()].map(OsString::from));
        words.push(self.scratch.clone().into());
        words
    }

    /// The words that run a program as root in the same namespaces.
    pub fn root_prefix(&self) -> Vec<OsString> {
        let mut words =
            vec!["nsenter".into(), format!("--target={}", self.keeper.id()).into(), "--mount".into()];
        if self.net {
            words.push("--net".into());
        }
        words.push("--".into());
        words
    }

    /// A program as the user.
    pub fn run(&self, program: impl AsRef<OsStr>) -> Run {
        Run::under(&self.prefix(), program)
    }

    /// A shell line as root in the user's namespaces; must succeed.
    pub fn root_sh(&self, line: &str) -> String {
        Run::under(&self.root_prefix(), "sh").args(["-c", line]).done().ok()
    }

    /// Directory with `etc` (his view of the files there), `home` and `run`.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    pub fn home(&self) -> PathBuf {
        self.scratch.join("home")
    }

    /// `XDG_RUNTIME_DIR`.
    pub fn runtime_dir(&self) -> PathBuf {
        self.scratch.join("run")
    }

    /// Name of his cgroup in every hierarchy.
    pub fn cgroup(&self) -> &str {
        &self.key
    }

    /// Replaces a file of his /etc.
    pub fn etc(&self, file: &str, text: &str) {
        fs::write(self.scratch.join("etc").join(file), text).unwrap();
    }

    /// A user manager on the socket `name` of his runtime directory, which makes scopes in a delegated cgroup of his.
    ///
    /// His own programs run in a cgroup beside it that is not his, as in a login session.
    pub fn user_manager(&self, name: &str, manner: Manner) -> UserManager {
        let parent = unified_mount().join(&self.key);
        let apps = parent.join("apps");
        for dir in [&apps, &parent.join("session")] {
            if !dir.exists() {
                fs::create_dir(dir).unwrap();
            }
        }
        for file in ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
            std::os::unix::fs::chown(apps.join(file), Some(UID), Some(UID)).unwrap();
        }
        for dir in [unified_mount(), &parent, &apps] {
            // Controllers reach the scopes, as far as the machine has any.
            drop(fs::write(dir.join("cgroup.subtree_control"), "+hugetlb"));
        }
        let delegation = Delegation { parent: apps, uid: UID };
        UserManager::listen(&self.runtime_dir().join(name), manner, delegation)
    }

    /// A container of his with all of his ids mapped; `give` it to him when it is made.
    pub fn guest(&self, label: &str) -> GuestBuilder {
        self.bare_guest(label)
            .conf(&format!("lxc.idmap = u 0 {FIRST} {COUNT}\nlxc.idmap = g 0 {FIRST} {COUNT}"))
    }

    /// The same without a map.
    pub fn bare_guest(&self, label: &str) -> GuestBuilder {
        Guest::build(label).under(self.prefix())
    }

    /// Makes the user the owner of a container, and its root that of the root file system.
    pub fn give(&self, guest: &Guest) {
        chown(&[], UID, &[guest.lxcpath(), &guest.dir(), &guest.config()]);
        if guest.rootfs().exists() {
            chown(&["-R", "-h"], FIRST, &[&guest.rootfs()]);
        }
    }
}

/// Where the machine has cgroup2.
pub fn unified_mount() -> &'static Path {
    match Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        true => Path::new("/sys/fs/cgroup"),
        false => Path::new("/sys/fs/cgroup/unified"),
    }
}

/// What has to be reachable for the tools of a directory: a whole installation, or the directory alone.
fn reachable(bin: &Path) -> PathBuf {
    let bin = fs::canonicalize(bin).unwrap();
    match bin.ends_with("usr/bin") {
        true => bin.parent().map_or(bin.clone(), Path::to_owned),
        false => bin,
    }
}

fn chown(options: &[&str], id: u32, paths: &[&Path]) {
    Run::new("chown").args(options).arg(format!("{id}:{id}")).args(paths).done().ok();
}

impl Drop for Ordinary {
    fn drop(&mut self) {
        drop(self.keeper.kill());
        drop(self.keeper.wait());
        for dir in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            remove_cgroup(&dir.path().join(&self.key));
        }
        remove_cgroup(&Path::new("/sys/fs/cgroup").join(&self.key));
        drop(fs::remove_dir_all(&self.scratch));
    }
}

/// Removes a cgroup with all that is below it; what has processes stays, and the test that left them reports it.
fn remove_cgroup(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    drop(fs::remove_dir(dir));
}
