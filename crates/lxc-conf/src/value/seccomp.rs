//! `lxc.seccomp.notify.proxy`: `unix:/PATH` or `unix:@ABSTRACT`. Not here: the policy file.

use super::{Result, ValueError};
use crate::model::NotifyProxy;

/// Room of a socket address for the name (unix(7)): 108 bytes with the NUL, or the leading NUL.
const NAME_MAX: usize = 107;

pub fn parse_proxy(value: &str) -> Result<NotifyProxy> {
    let Some(rest) = value.strip_prefix("unix:") else {
        return Err(ValueError::new(format!("{value:?} does not start with unix:")));
    };
    let proxy = match rest.strip_prefix('@') {
        Some(name) if !name.is_empty() => NotifyProxy::Abstract(name.to_owned()),
        None if rest.starts_with('/') => NotifyProxy::Path(rest.to_owned()),
        _ => return Err(ValueError::new("expected unix:/PATH or unix:@NAME").at(5)),
    };
    if rest.trim_start_matches('@').len() > NAME_MAX {
        return Err(ValueError::new(format!("socket name longer than {NAME_MAX} bytes")).at(5));
    }
    Ok(proxy)
}

/// The text a getter prints: the name alone, so abstract ones lose their `@`.
pub fn name(proxy: &NotifyProxy) -> &str {
    match proxy {
        NotifyProxy::Path(name) | NotifyProxy::Abstract(name) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies() {
        assert_eq!(parse_proxy("unix:/a/b"), Ok(NotifyProxy::Path("/a/b".into())));
        assert_eq!(parse_proxy("unix:@ab"), Ok(NotifyProxy::Abstract("ab".into())));
        for bad in ["tcp:x", "unix:", "unix:rel", "unix:@", "/a"] {
            assert!(parse_proxy(bad).is_err(), "{bad}");
        }
        assert!(parse_proxy(&format!("unix:/{}", "a".repeat(107))).is_err());
    }
}
