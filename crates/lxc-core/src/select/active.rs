//! Running containers, found by their command sockets in `/proc/net/unix`.
//!
//! The list is of this network namespace, as the sockets are. Not here: the socket's protocol (`command`).

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{Result, ResultExt};

/// `Flags` of a listening socket in `/proc/net/unix` (`__SO_ACCEPTCON`).
const LISTENING: &[u8] = b"00010000";

/// The text of `/proc/net/unix` at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sockets(Vec<u8>);

impl Sockets {
    /// The sockets of the network namespace this process is in.
    pub fn read() -> Result<Sockets> {
        std::fs::read("/proc/net/unix").map(Sockets).what(|| "read /proc/net/unix")
    }
}

/// Names of the containers of `lxcpath` whose monitors listen, sorted.
///
/// - Errors: `/proc/net/unix` cannot be read.
pub fn active(lxcpath: &Path) -> Result<Vec<String>> {
    Ok(active_among(&Sockets::read()?, lxcpath))
}

/// Names of the containers of `lxcpath` among these sockets, sorted.
pub fn active_among(sockets: &Sockets, lxcpath: &Path) -> Vec<String> {
    let mut names = BTreeSet::new();
    for socket in listening(&sockets.0) {
        if let Some(name) = plain_name(socket, lxcpath.as_os_str().as_bytes()) {
            names.insert(name);
        } else if let Some(name) = hashed_name(socket, lxcpath) {
            names.insert(name);
        }
    }
    names.into_iter().collect()
}

/// Abstract names (without `@`) of the listening sockets in the text of `/proc/net/unix`.
fn listening(table: &[u8]) -> impl Iterator<Item = &[u8]> {
    table.split(|byte| *byte == b'\n').filter_map(|line| {
        // Num RefCount Protocol Flags Type St Inode Path; only the path may contain blanks.
        let mut rest = line;
        let mut flags = None;
        for column in 0..7 {
            let start = rest.iter().position(|byte| *byte != b' ')?;
            let word = rest.get(start..)?;
            let end = word.iter().position(|byte| *byte == b' ')?;
            if column == 3 {
                flags = word.get(..end);
            }
            rest = word.get(end..)?;
        }
        let path = rest.strip_prefix(b" ")?;
        if flags == Some(LISTENING) { path.strip_prefix(b"@") } else { None }
    })
}

/// The container of a socket named `LXCPATH/NAME/command`.
fn plain_name(socket: &[u8], lxcpath: &[u8]) -> Option<String> {
    let rest = socket.strip_prefix(lxcpath)?.strip_prefix(b"/")?;
    let name = rest.strip_suffix(b"/command")?;
    if name.is_empty() || name.contains(&b'/') {
        return None;
    }
    String::from_utf8(name.to_vec()).ok()
}

/// The container of a socket named `lxc/HASH/command`, when it says that it belongs to `lxcpath`.
fn hashed_name(socket: &[u8], lxcpath: &Path) -> Option<String> {
    let hash = socket.strip_prefix(b"lxc/")?.strip_suffix(b"/command")?;
    if hash.len() != 16 || !hash.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let client = crate::command::Client::at_address(socket);
    let path = client.lxcpath().ok()?;
    if path != lxcpath {
        return None;
    }
    client.name().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
        0000000000000000: 00000002 00000000 00010000 0001 01 105041 @/var/lib/lxc/c1/command\n\
        0000000000000000: 00000003 00000000 00000000 0001 03 105044 @/var/lib/lxc/c2/command\n\
        0000000000000000: 00000002 00000000 00010000 0001 01 105045 @/var/lib/lxc/a b/command\n\
        0000000000000000: 00000002 00000000 00010000 0001 01 105046 @/var/lib/lxc/x/y/command\n\
        0000000000000000: 00000002 00000000 00010000 0001 01 105047 /run/lxc/c3/command\n\
        0000000000000000: 00000003 00000000 00000000 0001 03 105048\n";

    #[test]
    fn only_listening_sockets_of_the_path_count() {
        let names: Vec<String> =
            listening(TABLE).filter_map(|socket| plain_name(socket, b"/var/lib/lxc")).collect();
        assert_eq!(names, ["c1", "a b"]);
        assert!(listening(TABLE).all(|socket| plain_name(socket, b"/var/lib").is_none()));
    }
}
