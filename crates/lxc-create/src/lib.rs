//! `lxc-create`: makes a container from a configuration and a template.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lxc_cli::{Ctx, exit};
use lxc_conf::{ConfError, Config};
use lxc_core::container;
use lxc_core::create::backing::{Backing, Specs};
use lxc_core::create::{self, Existing, Request};
use lxc_core::template::{self, Stdio};
use nix::sys::signal::{SigSet, Signal};

/// The template that is none.
const NONE: &str = "none";

/// The options of `lxc-create`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Keep the rootfs on dir (default), overlay, btrfs, loop, lvm, nbd, rbd, zfs, or best
    #[arg(short = 'B', long, value_name = "TYPE")]
    bdev: Option<String>,
    /// Start from this configuration (default: lxc.default_config)
    #[arg(short = 'f', long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Fill the container with this template: a name or an absolute path; none = no rootfs
    #[arg(short = 't', long, value_name = "TEMPLATE")]
    template: Option<OsString>,
    /// Name of the logical volume (lvm; default: the container's name)
    #[arg(short = '0', long, value_name = "NAME")]
    lvname: Option<OsString>,
    /// Volume group (lvm; default: lxc)
    #[arg(short = '1', long, value_name = "GROUP")]
    vgname: Option<OsString>,
    /// Thin pool (lvm; default: lxc)
    #[arg(short = '2', long, value_name = "POOL")]
    thinpool: Option<OsString>,
    /// File system to make (lvm, loop, rbd; default: ext4)
    #[arg(short = '3', long, value_name = "TYPE")]
    fstype: Option<OsString>,
    /// Size of the file system, a number with b, k, m, g or t, no letter = m (lvm, loop, rbd; default: 1G)
    #[arg(short = '4', long, value_name = "SIZE")]
    fssize: Option<OsString>,
    /// Dataset to make the container's in (zfs; default: lxc)
    #[arg(short = '5', long, value_name = "DATASET")]
    zfsroot: Option<OsString>,
    /// Put the rootfs into this directory, an absolute path (dir)
    #[arg(short = '6', long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Name of the block device (rbd; default: the container's name)
    #[arg(short = '7', long, value_name = "NAME")]
    rbdname: Option<OsString>,
    /// Pool (rbd; default: lxc)
    #[arg(short = '8', long, value_name = "POOL")]
    rbdpool: Option<OsString>,
    /// User (rbd; default: admin)
    #[arg(short = '9', long, value_name = "USER")]
    rbduser: Option<OsString>,
}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>(
        "lxc-create",
        "--name=NAME --template=TEMPLATE [OPTION...] [-- TEMPLATE-OPTIONS]",
        "Creates the container NAME. Words after -- are passed to the template; -h with -t shows which it takes.",
    )
}

lxc_cli::tool!("lxc-create", after_help: Some(template_help));

/// Exit code 0 when the container was made, 1 otherwise.
pub fn run(args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    let failure = ExitCode::from(exit::FAILURE);
    let Some(template) = args.template.clone() else {
        ctx.error("A template must be specified");
        ctx.error("Use \"none\" if you really want a container without a rootfs");
        return Ok(failure);
    };
    // A directory that is missing will be made, as an ordinary user's first container needs it.
    if let Err(path) = container::check_access(ctx.lxcpath())
        && !matches!(std::fs::metadata(&path), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
    {
        ctx.error(format_args!("You lack access to {}", path.display()));
        return Ok(failure);
    }
    let lxcpath = match &lxcpath(ctx) {
        lxcpath if lxcpath.join(ctx.name()).join("config").exists() => {
            ctx.error("Container already exists");
            return Ok(failure);
        }
        lxcpath => lxcpath.clone(),
    };
    let request = match request(args, &template, &lxcpath, ctx) {
        Ok(request) => request,
        Err(error) => {
            ctx.report_core(&error);
            return Ok(failure);
        }
    };
    match create_undisturbed(request) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            ctx.report_core(&error);
            ctx.error(format_args!("Failed to create container {}", ctx.name()));
            Ok(failure)
        }
    }
}

fn lxcpath(ctx: &Ctx) -> PathBuf {
    ctx.lxcpath().map_or_else(container::default_lxcpath, Path::to_owned)
}

/// What is asked for, with the configuration loaded. Mistakes on the command line and in the file end here.
fn request<'a>(
    args: Args,
    template: &'a OsStr,
    lxcpath: &'a Path,
    ctx: &'a Ctx,
) -> lxc_core::Result<Request<'a>> {
    let backing = args.bdev.as_deref().map_or(Ok(Backing::Dir), Backing::parse)?;
    let specs = Specs {
        dir: args.dir,
        lvname: args.lvname,
        vgname: args.vgname,
        thinpool: args.thinpool,
        fstype: args.fstype,
        fssize: args.fssize,
        zfsroot: args.zfsroot,
        rbdname: args.rbdname,
        rbdpool: args.rbdpool,
        rbduser: args.rbduser,
    };
    specs.check(backing)?;
    let system = container::system_config();
    let file = args.config.as_deref().or(ctx.rcfile());
    let default = Path::new(system.default_config());
    if file.is_none() && !default.exists() {
        ctx.note(format_args!("{} does not exist: starting from an empty configuration", default.display()));
    }
    let config = create::initial_config(file, default)
        .inspect_err(|_| explain_as_the_original(file.unwrap_or(default), ctx))?;
    let template = Some(template).filter(|name| *name != NONE);
    if template.is_none() && config.settings().rootfs.path.is_none() && specs != Specs::default() {
        ctx.note(
            "without a template and lxc.rootfs.path there is no rootfs: the storage options have no effect",
        );
    }
    let stdio = if ctx.quiet() { Stdio::Null } else { Stdio::Inherit };
    Ok(Request {
        name: ctx.name(),
        lxcpath,
        config,
        template,
        args: ctx.operands(),
        backing,
        specs,
        existing: Existing::Refuse,
        stdio,
    })
}

/// The original's texts for the mistakes in a configuration: programs look for them.
fn explain_as_the_original(file: &Path, ctx: &Ctx) {
    if let Err(mistakes) = Config::new().load_file(file) {
        mistakes.iter().flat_map(ConfError::compat_texts).for_each(|text| ctx.error(text));
    }
}

/// Creates with the usual signals held back.
fn create_undisturbed(request: Request<'_>) -> lxc_core::Result<()> {
    // Ctrl-C reaches the template, too. It dies of it, and what was made so far is taken back here.
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    let blocked = signals.thread_block();
    let created = create::create(request);
    if blocked.is_ok() {
        let _ = signals.thread_unblock();
    }
    created.map(drop)
}

/// After the tool's own help: that of the template named on the command line.
fn template_help(words: &[OsString]) {
    let Some(name) = template_word(words) else { return };
    let shown = template::find(&name).and_then(|program| template::help(&program));
    if let Err(error) = shown {
        exit::plain(format_args!("lxc-create: {error}"));
    }
}

/// The value of `-t`. `-h` ends the parsing, so the words are looked through here.
fn template_word(words: &[OsString]) -> Option<OsString> {
    let mut words = words.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        let value = if bytes == b"-t" || bytes == b"--template" {
            words.next().cloned()
        } else if let Some(value) = bytes.strip_prefix(b"--template=") {
            Some(OsString::from_vec(value.to_vec()))
        } else {
            let value = bytes.strip_prefix(b"-t").filter(|value| !value.is_empty());
            value.map(|value| OsString::from_vec(value.to_vec()))
        };
        if let Some(value) = value {
            return Some(value).filter(|value| value != NONE);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_found_in_every_spelling() {
        for line in ["-h -t x", "-t x -h", "-tx --help", "--template=x -h", "--template x -h", "-n c -h -t x"]
        {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            assert_eq!(template_word(&words).as_deref(), Some(OsStr::new("x")), "{line}");
        }
        for line in ["-h", "-h -t", "-h -t none", "-h -- -t x"] {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            assert_eq!(template_word(&words), None, "{line}");
        }
    }

    #[test]
    fn digits_are_short_options() {
        let command = command();
        for (digit, long) in "0123456789".chars().zip([
            "lvname", "vgname", "thinpool", "fstype", "fssize", "zfsroot", "dir", "rbdname", "rbdpool",
            "rbduser",
        ]) {
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(long)).expect(long);
            assert_eq!(arg.get_short(), Some(digit));
        }
    }
}
