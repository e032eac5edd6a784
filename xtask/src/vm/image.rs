//! What the virtual machine boots from: made once by `image.sh` and kept for every checkout on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{packages, sh};

const CACHE: &str = "/var/cache/lxc-rs/vm";
const SCRIPT: &str = include_str!("image.sh");

/// Kernel, initial and root file system, and perhaps an emulator.
#[derive(Clone, Debug)]
pub struct Image {
    dir: PathBuf,
}

impl Image {
    pub fn kernel(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    pub fn initrd(&self) -> PathBuf {
        self.dir.join("initrd")
    }

    pub fn disk(&self) -> PathBuf {
        self.dir.join("disk.img")
    }

    /// The emulator: the machine's own, else the one beside the image, run by its own loader with its own libraries.
    pub fn emulator(&self) -> Result<Command> {
        if let Some(program) = sh::which("qemu-system-x86_64") {
            return Ok(Command::new(program));
        }
        let tree = self.dir.join("qemu");
        let libraries = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"].map(|dir| tree.join(dir));
        let program = tree.join("usr/bin/qemu-system-x86_64");
        if !program.exists() {
            bail!("no qemu-system-x86_64: install it, or remove {} to have it fetched", self.dir.display());
        }
        let mut command = Command::new(tree.join("lib64/ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(std::env::join_paths(&libraries)?).arg(program);
        for dir in ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"] {
            command.arg("-L").arg(tree.join(dir));
        }
        command.env("QEMU_MODULE_DIR", tree.join("usr/lib/x86_64-linux-gnu/qemu"));
        Ok(command)
    }
}

/// The image of this version of the script, made when there is none: a minute or two, and a mirror.
pub fn ensure() -> Result<Image> {
    let dir = Path::new(CACHE).join(format!("{:016x}", fnv1a64(SCRIPT.as_bytes())));
    let image = Image { dir };
    if image.disk().exists() {
        return Ok(image);
    }
    packages::ensure(&[packages::VM])?;
    sh::run(packages::privileged("mkdir")?.args(["-p", CACHE]))?;
    // Another checkout may be making the same one.
    let script = "[ -e \"$1/disk.img\" ] || exec sh \"$2\" \"$1\"";
    let mut make = packages::privileged("flock")?;
    make.arg(Path::new(CACHE).join("lock")).args(["sh", "-c", script, "sh"]).arg(&image.dir);
    make.arg(sh::repository().join("xtask/src/vm/image.sh"));
    sh::run(&mut make).with_context(|| format!("make {}", image.dir.display()))?;
    Ok(image)
}

/// 64-bit FNV-1a: only has to differ when the text does.
pub fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
