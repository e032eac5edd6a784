//! The command line: two verbs with fixed places, nothing optional but the name inside. Not here: whether it is allowed.

use std::ffi::OsString;

/// Shown when the words do not fit; exit code 1, as the original.
pub const USAGE: &str = "\
Description:
  Manage nics in another network namespace

Usage:
  lxc-user-nic [command]

Available Commands:
  create {lxcpath} {name} {pid} {type} {bridge} {container nicname}
  delete {lxcpath} {name} {/proc/<pid>/ns/net} {type} {bridge} {container nicname}
";

/// What is asked for. The path and name of the container are taken for compatibility and mean nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Create {
        pid: u32,
        kind: String,
        link: String,
        /// Name inside; `None` lets the kernel choose `eth0`, `eth1` …
        inside: Option<String>,
    },
    Delete {
        netns: OsString,
        kind: String,
        link: String,
        /// Name on the host.
        nic: String,
    },
}

/// Why the words are no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unclear {
    Usage,
    Because(String),
}

/// Reads the words after the program's name.
pub fn parse(words: &[OsString]) -> Result<Request, Unclear> {
    let [verb, _lxcpath, _name, target, kind, link, rest @ ..] = words else { return Err(Unclear::Usage) };
    let text = |word: &OsString| {
        word.to_str().map(str::to_owned).ok_or_else(|| Unclear::Because("a word is not UTF-8".into()))
    };
    let (kind, link) = (text(kind)?, text(link)?);
    match (verb.to_str(), rest) {
        (Some("create"), [] | [_]) => {
            let inside = rest.first().map(text).transpose()?;
            if let Some(name) = inside.as_deref().filter(|name| !is_interface_name(name)) {
                return Err(Unclear::Because(format!(
                    "\"{name}\" is no name for an interface: 1 to 15 bytes without blanks, / and :"
                )));
            }
            Ok(Request::Create { pid: pid(&text(target)?)?, kind, link, inside })
        }
        (Some("delete"), [nic]) => {
            let nic = text(nic)?;
            Ok(Request::Delete { netns: target.clone(), kind, link, nic })
        }
        _ => Err(Unclear::Usage),
    }
}

/// Strictly decimal and positive: `0`, `+1`, `self` and `1/../2` must not reach a path below /proc.
fn pid(text: &str) -> Result<u32, Unclear> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && (1..=i32::MAX as u32).contains(number));
    number.ok_or_else(|| Unclear::Because(format!("\"{text}\" is no process id")))
}

/// What the kernel takes, without names that ovs-vsctl(8) would take for an option and `%`, which is a pattern.
pub fn is_interface_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.starts_with('-')
        && !name
            .bytes()
            .any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control() || b"/:%".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Request, Unclear> {
        parse(&text.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn both_verbs_have_fixed_places() {
        let create = |inside: Option<&str>| Request::Create {
            pid: 17,
            kind: "veth".into(),
            link: "br0".into(),
            inside: inside.map(str::to_owned),
        };
        assert_eq!(words("create /l n 17 veth br0"), Ok(create(None)));
        assert_eq!(words("create /l n 17 veth br0 eth0"), Ok(create(Some("eth0"))));
        let delete = words("delete /l n /proc/17/ns/net veth br0 veth1");
        assert!(matches!(delete, Ok(Request::Delete { nic, .. }) if nic == "veth1"));
        for bad in [
            "",
            "create",
            "create /l n 17 veth",
            "create /l n 17 veth br0 e x",
            "delete /l n p veth br0",
            "Create /l n 17 veth br0",
        ] {
            assert_eq!(words(bad), Err(Unclear::Usage), "{bad}");
        }
    }

    #[test]
    fn process_ids_and_names_are_read_strictly() {
        for pid in ["0", "-1", "+1", "1x", "self", "2147483648", "99999999999", "1/../2"] {
            assert!(
                matches!(words(&format!("create /l n {pid} veth br0")), Err(Unclear::Because(_))),
                "{pid}"
            );
        }
        for name in ["a:b", "a/b", ".", "..", "-x", "a%d", "sixteen-bytes-xy", "a\tb", "a\nb"] {
            assert!(!is_interface_name(name), "{name}");
        }
        for name in ["eth0", "fifteen-bytes-x", "a.1", "wlan_0"] {
            assert!(is_interface_name(name), "{name}");
        }
    }
}
