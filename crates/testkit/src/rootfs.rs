//! A root file system of one static busybox, made in a few milliseconds without a template. Not a distribution.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Which program is pid 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// A shell script that ends at once on SIGPWR and reboots on SIGINT; leaves no trace of its own.
    Script,
    /// busybox init with a getty on the console and on tty1, as a small system has it.
    Busybox,
}

const APPLETS: &[&str] = &[
    "arch", "awk", "cat", "chmod", "chown", "cp", "cut", "date", "dd", "df", "dmesg", "echo", "env", "false",
    "getty", "grep", "head", "hostname", "id", "ifconfig", "init", "ip", "kill", "ln", "login", "ls",
    "mkdir", "mknod", "mount", "mv", "nc", "nproc", "ping", "poweroff", "printenv", "ps", "pwd", "readlink",
    "reboot", "rm", "rmdir", "sed", "sh", "sleep", "sort", "stat", "stty", "sync", "tail", "tee", "test",
    "touch", "tr", "true", "tty", "udhcpc", "umount", "uname", "wc", "which", "whoami", "yes",
];

/// Where the distribution puts busybox-static.
pub fn busybox() -> &'static Path {
    ["/usr/bin/busybox", "/bin/busybox"]
        .iter()
        .map(Path::new)
        .find(|path| path.exists())
        .expect("busybox-static is installed")
}

/// Fills `root` (made if missing).
pub fn make(root: &Path, init: Init) {
    for dir in [
        "bin", "dev", "etc", "proc", "root", "sbin", "sys", "tmp", "usr/bin", "run", "mnt", "var/run", "home",
    ] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::copy(busybox(), root.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    symlink("/bin/busybox", root.join("sbin/udhcpc")).unwrap();
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000::/home:/bin/sh\n")
        .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nguest:x:1000:\ntty:x:5:\n").unwrap();
    fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
    match init {
        Init::Script => {
            // `wait` returns when a signal with a trap comes; a plain sleep would delay it.
            let script = "#!/bin/sh\ntrap 'exit 0' PWR\ntrap 'exec reboot -f' INT\ntrap : HUP\n\
                          [ -x /etc/rc ] && /etc/rc\nwhile :; do sleep 1000 & wait $!; done\n";
            write_script(&root.join("sbin/init"), script);
        }
        Init::Busybox => {
            symlink("/bin/busybox", root.join("sbin/init")).unwrap();
            // No password: the console login of the tests is `root` and return.
            fs::write(root.join("etc/passwd"), "root::0:0:root:/root:/bin/sh\n").unwrap();
            fs::write(
                root.join("etc/inittab"),
                "tty1::respawn:/bin/getty -L tty1 115200 vt100\n\
                 console::respawn:/bin/getty -L console 115200 vt100\n\
                 ::ctrlaltdel:/bin/reboot\n",
            )
            .unwrap();
        }
    }
}

/// An executable file.
pub fn write_script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The udhcpc script of a container: sets the address and the route it got.
pub const UDHCPC_SCRIPT: &str = "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\n\
    ip addr add \"$ip/${mask:-24}\" dev \"$interface\"\n[ -n \"$router\" ] && ip route add default via \"$router\"\nexit 0\n";
