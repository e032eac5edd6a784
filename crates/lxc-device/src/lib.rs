//! `lxc-device`: hands devices and network interfaces of the host to a running container and takes them back.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use lxc_cli::{Ctx, exit};
use lxc_core::{Container, Error, ErrorKind, Result, net};

/// No options of its own.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// The options, for parsing and for the manual page.
pub fn command() -> clap::Command {
    lxc_cli::command::<Args>(
        "lxc-device",
        "--name=NAME add|del DEVICE [TARGET]",
        "Gives DEVICE, a device node or a network interface of the host, to the running container NAME, or takes it \
         back.",
    )
}

lxc_cli::tool!("lxc-device");

#[derive(Clone, Copy)]
enum Action {
    Add,
    Del,
}

impl Action {
    /// `add` and `del`, also abbreviated.
    fn parse(word: &OsStr) -> Option<Action> {
        let word = word.to_str().filter(|word| !word.is_empty())?;
        [("add", Action::Add), ("del", Action::Del)]
            .into_iter()
            .find_map(|(full, action)| full.starts_with(word).then_some(action))
    }
}

/// Success is silent; every failure ends in the original's line.
pub fn run(_args: Args, ctx: &Ctx) -> anyhow::Result<ExitCode> {
    let failure = ExitCode::from(exit::FAILURE);
    if !rustix::process::geteuid().is_root() {
        ctx.error("lxc-device must be run as root");
        return Ok(failure);
    }
    let container = match Container::open(ctx.name(), ctx.lxcpath(), ctx.rcfile()) {
        Ok(container) => container,
        Err(error) => return Ok(ctx.open_failed(&error, &[&format!("{} doesn't exist", ctx.name())])),
    };
    let name = container.name();
    if !container.may_control() {
        ctx.error(format_args!("Insufficient privileges to control {name}"));
        return Ok(failure);
    }
    if !container.is_running() {
        ctx.error(format_args!("Container {name} is not running"));
        return Ok(failure);
    }
    let (command, device, target) = match ctx.operands() {
        [] | [_] => {
            ctx.error("Error: no command given (Please see --help output)");
            return Ok(failure);
        }
        [command, device, rest @ ..] => (command, device, rest.first().map(std::ffi::OsString::as_os_str)),
    };
    let (result, what) = match Action::parse(command) {
        Some(Action::Add) => (add(&container, device, target), format!("add {} to {name}", device.display())),
        Some(Action::Del) => {
            (del(&container, device, target), format!("del {} from {name}", device.display()))
        }
        None => {
            ctx.error("Error: Please use add or del (Please see --help output)");
            return Ok(failure);
        }
    };
    match result {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            ctx.report_core(&error);
            ctx.error(format_args!("Failed to {what}"));
            Ok(failure)
        }
    }
}

fn add(container: &Container, device: &OsStr, target: Option<&OsStr>) -> Result<()> {
    match device.to_str() {
        Some(name) if net::has_link(name)? => container.attach_interface(name, text(target)?),
        _ => container.add_device_node(path(device)?, target.map(Path::new)),
    }
}

fn del(container: &Container, device: &OsStr, target: Option<&OsStr>) -> Result<()> {
    match device.to_str() {
        Some(name) if container.has_interface(name)? => container.detach_interface(name, text(target)?),
        _ => container.remove_device_node(path(device)?, target.map(Path::new)),
    }
}

/// A name of an interface.
fn text(word: Option<&OsStr>) -> Result<Option<&str>> {
    let Some(word) = word else { return Ok(None) };
    word.to_str().map(Some).ok_or_else(|| {
        Error::new(ErrorKind::Config, format!("`{}` is no name for an interface", word.display()))
    })
}

/// What is no interface must be a path.
fn path(device: &OsStr) -> Result<&Path> {
    let path = Path::new(device);
    if path.is_absolute() {
        return Ok(path);
    }
    let what = format!("`{}` is neither a network interface nor the path of a device", device.display());
    Err(Error::new(ErrorKind::NotFound, what).cure("see `ip link`; devices are named by their path from /"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_may_be_abbreviated() {
        for word in ["add", "ad", "a"] {
            assert!(matches!(Action::parse(OsStr::new(word)), Some(Action::Add)), "{word}");
        }
        assert!(matches!(Action::parse(OsStr::new("d")), Some(Action::Del)));
        for word in ["", "adding", "delete", "A", "x"] {
            assert!(Action::parse(OsStr::new(word)).is_none(), "{word}");
        }
    }

    #[test]
    fn a_relative_path_is_no_device() {
        assert!(path(OsStr::new("dev/null")).is_err() && path(OsStr::new("/dev/null")).is_ok());
    }
}
