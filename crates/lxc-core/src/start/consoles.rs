//! The console and ttys of a start, handed to the monitor loop.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use lxc_conf::model;

use crate::console::{Console, Pty, Ttys};
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::plan::Mode;

/// The terminal a foreground container is shown on when `lxc.console.path` names none.
const OWN_TERMINAL: &str = "/dev/tty";

/// The console, connected with a terminal of the host if one is wanted and there.
pub(super) fn console(conf: &model::Console, pty: Option<(OwnedFd, OwnedFd)>, mode: Mode) -> Result<Console> {
    let Some((ptx, pts)) = pty else { return Ok(Console::none()) };
    let name = name_of(&pts)?;
    let mut console = Console::new(Pty::new(ptx, Some(pts), name), conf)?;
    match (conf.path.as_deref(), mode) {
        (Some(path), _) => connect(&mut console, Path::new(path))
            .map_err(|error| error.cure("set lxc.console.path to a terminal of the host, or to none"))?,
        // Without a controlling terminal there is nobody to show it to.
        (None, Mode::Foreground) if rustix::fs::access(OWN_TERMINAL, rustix::fs::Access::READ_OK).is_ok() => {
            if let Err(error) = console.connect_peer(Path::new(OWN_TERMINAL)) {
                tracing::info!("the console is not shown: {error}");
            }
        }
        (None, _) => {}
    }
    console.resize_from_peer();
    Ok(console)
}

/// Connects the terminal the configuration names.
fn connect(console: &mut Console, path: &Path) -> Result<()> {
    use rustix::fs::OFlags;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty())
        .what(|| format!("open {} (lxc.console.path)", path.display()))?;
    if !rustix::termios::isatty(&file) {
        return Err(Error::new(
            ErrorKind::Config,
            format!("lxc.console.path = {}: not a terminal", path.display()),
        ));
    }
    drop(file);
    console.connect_peer(path)
}

/// The ttys, in order.
pub(super) fn ttys(pairs: Vec<(OwnedFd, OwnedFd)>) -> Result<Ttys> {
    let ptys = pairs
        .into_iter()
        .map(|(ptx, pts)| {
            let name = name_of(&pts)?;
            Ok(Pty::new(ptx, Some(pts), name))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Ttys::new(ptys))
}

/// Its path in the devpts it belongs to: unix98 ptys are numbered by the minor of their device.
fn name_of(pts: &OwnedFd) -> Result<PathBuf> {
    let stat = rustix::fs::fstat(pts).what(|| "look at a pty")?;
    Ok(PathBuf::from(format!("pts/{}", rustix::fs::minor(stat.st_rdev))))
}
