//! `/proc/PID/mountinfo` as values. Pure.
//!
//! Not here: opening it.

/// One mount (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountInfo {
    pub id: u64,
    pub parent: u64,
    /// `major:minor` of the file system.
    pub device: String,
    /// Directory of the file system that is mounted.
    pub root: String,
    /// Relative to the root directory of the process.
    pub mount_point: String,
    pub fstype: String,
    pub source: String,
}

/// Reads a whole file; lines that are not understood are left out.
pub fn parse(text: &str) -> Vec<MountInfo> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<MountInfo> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut fields = mount.split(' ');
    let (id, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let (device, root, mount_point) = (fields.next()?, fields.next()?, fields.next()?);
    let mut fields = filesystem.split(' ');
    let (fstype, source) = (fields.next()?, fields.next()?);
    Some(MountInfo {
        id,
        parent,
        device: device.to_owned(),
        root: unescape(root),
        mount_point: unescape(mount_point),
        fstype: unescape(fstype),
        source: unescape(source),
    })
}

/// `\040` and the like.
pub(super) fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 4).filter(|_| *byte == b'\\');
        let code = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match code {
            Some(code) => {
                out.push(code);
                at += 4;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The reverse of [`unescape`], for blanks, newlines, tabs and backslashes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            ' ' => out.push_str("\\040"),
            '\t' => out.push_str("\\011"),
            '\n' => out.push_str("\\012"),
            '\\' => out.push_str("\\134"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_fields_and_escapes_are_understood() {
        let text = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw\nrubbish\n\
            37 35 0:5 / / rw - tmpfs none rw\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!((mounts[0].id, mounts[0].parent), (36, 35));
        assert_eq!(mounts[0].mount_point, "/mnt 2");
        assert_eq!((mounts[0].fstype.as_str(), mounts[0].source.as_str()), ("ext3", "/dev/root"));
        assert_eq!(mounts[1].device, "0:5");
    }

    #[test]
    fn escaping_is_undone_and_lone_backslashes_survive() {
        for text in ["a b\tc\nd\\e", "\\04", "ü\\", ""] {
            assert_eq!(unescape(&escape(text)), text);
        }
        assert_eq!(unescape("\\9x"), "\\9x");
    }
}
