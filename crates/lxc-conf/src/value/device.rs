//! The rules of `devices.allow` and `devices.deny` (both cgroup versions).

use super::{Result, ValueError, number, words};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    Char,
    Block,
    /// `a` with numbers: either kind.
    Any,
}

/// What may be done with a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeviceAccess {
    pub read: bool,
    pub write: bool,
    pub mknod: bool,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceRule {
    /// `a`: everything; switches the list between allow-all and deny-all.
    All,
    /// `[abc] MAJ:MIN MODE`; `None` is `*`.
    Number { kind: DeviceKind, major: Option<u32>, minor: Option<u32>, access: DeviceAccess },
    /// `/dev/PATH MODE`: kind and numbers are those of the node on the host (allow only).
    Node { path: String, access: DeviceAccess },
}

/// Parses the value of one `devices.allow` or `devices.deny` line.
pub fn parse(value: &str) -> Result<DeviceRule> {
    let shape =
        || ValueError::new(format!("{value:?} is not a device rule; expected a, or TYPE MAJOR:MINOR MODE"));
    let mut words = words(value);
    let (_, first) = words.next().ok_or_else(shape)?;
    let rule = if first.starts_with('/') {
        let (at, mode) = words.next().ok_or_else(shape)?;
        DeviceRule::Node { path: first.to_owned(), access: access(mode, at)? }
    } else {
        let kind = match first {
            "a" => DeviceKind::Any,
            "b" => DeviceKind::Block,
            "c" => DeviceKind::Char,
            _ => return Err(ValueError::new(format!("{first:?} is not a device type; expected a, b or c"))),
        };
        match words.next() {
            None if kind == DeviceKind::Any => return Ok(DeviceRule::All),
            None => return Err(shape()),
            Some((at, numbers)) => {
                let (major, minor) = numbers.split_once(':').ok_or_else(|| shape().at(at))?;
                let (major, minor) = (device_number(major, at)?, device_number(minor, at)?);
                let (at, mode) = words.next().ok_or_else(shape)?;
                DeviceRule::Number { kind, major, minor, access: access(mode, at)? }
            }
        }
    };
    match words.next() {
        None => Ok(rule),
        Some((at, extra)) => {
            Err(ValueError::new(format!("unexpected {extra:?} after the device rule")).at(at))
        }
    }
}

fn device_number(text: &str, at: usize) -> Result<Option<u32>> {
    if text == "*" {
        return Ok(None);
    }
    number::uint(text)
        .map(Some)
        .map_err(|_| ValueError::new(format!("{text:?} is not a device number or *")).at(at))
}

fn access(mode: &str, at: usize) -> Result<DeviceAccess> {
    let mut access = DeviceAccess::default();
    for letter in mode.chars() {
        match letter {
            'r' => access.read = true,
            'w' => access.write = true,
            'm' => access.mknod = true,
            _ => return Err(ValueError::new(format!("{mode:?} is not made of r, w and m")).at(at)),
        }
    }
    Ok(access)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let rwm = DeviceAccess { read: true, write: true, mknod: true };
        assert_eq!(parse("a"), Ok(DeviceRule::All));
        assert_eq!(
            parse("c 136:* rwm"),
            Ok(DeviceRule::Number { kind: DeviceKind::Char, major: Some(136), minor: None, access: rwm })
        );
        assert!(matches!(
            parse("a *:* rwm"),
            Ok(DeviceRule::Number { kind: DeviceKind::Any, major: None, .. })
        ));
        assert!(matches!(parse("/dev/fuse rw"), Ok(DeviceRule::Node { .. })));
        for bad in ["", "c", "d 1:1 r", "c 1 r", "c 1:x r", "c 1:1", "c 1:1 x", "c 1:1 r w", "/dev/fuse"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
