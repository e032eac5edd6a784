//! The keys as text for the manual page lxc.container.conf(5).

use super::{Empty, Form, Id, KEYS, Key, Shape, Value};

/// The name as the manual page shows it.
pub fn display_name(key: &Key) -> String {
    match (key.id, key.form) {
        (Id::Cgroup1, _) => "lxc.cgroup.CONTROLLER.FILE".to_owned(),
        (Id::Cgroup2, _) => "lxc.cgroup2.FILE".to_owned(),
        (Id::NamespaceShare, _) => "lxc.namespace.share.NAMESPACE".to_owned(),
        (Id::NetNic, _) => "lxc.net.N".to_owned(),
        (_, Form::Prefix) => format!("{}.NAME", key.name),
        _ => key.name.to_owned(),
    }
}

/// The list of keys as man(7) text for lxc.container.conf(5): one tagged paragraph per key, in alphabetical order.
pub fn manual() -> String {
    let mut rows: Vec<(String, &Key)> = KEYS.iter().map(|k| (display_name(k), k)).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let mut out = String::new();
    for (name, key) in rows {
        let shape = match key.shape {
            Shape::List => " May be given several times.",
            Shape::Scalar | Shape::Map | Shape::Action => "",
        };
        let empty = match key.empty {
            Empty::Zero => " An empty value means 0.",
            Empty::Refused => " An empty value is an error.",
            Empty::Default | Empty::Ignored => "",
        };
        let since = if key.since == "3.0" { String::new() } else { format!(" Since {}.", key.since) };
        let text = format!("{}{shape}{empty}{since}", key.doc);
        out.push_str(&format!(
            ".TP\n\\fB{}\\fR = \\fI{}\\fR\n{}\n",
            roff(&name),
            roff(key.value.grammar()),
            roff_line(&text)
        ));
    }
    out
}

/// Escapes text for man(7); backquoted words become bold.
fn roff(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut bold = false;
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '`' => {
                bold = !bold;
                out.push_str(if bold { "\\fB" } else { "\\fR" });
            }
            _ => out.push(c),
        }
    }
    out
}

fn roff_line(text: &str) -> String {
    let line = roff(text);
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

impl Value {
    /// The grammar in a few words, for the manual page and for messages.
    pub fn grammar(self) -> &'static str {
        match self {
            Value::Arch => "name of an architecture",
            Value::AutoMounts => {
                "words: proc[:mixed|rw] sys[:mixed|ro|rw] cgroup[-full][:mixed|ro|rw][:force] cgroup2[:ro][:force] shmounts:HOST[:CONTAINER]"
            }
            Value::Bool | Value::HookVersion => "0 or 1",
            Value::Caps => "capability names, without CAP_, or numbers",
            Value::Cgroup => "text written to the file",
            Value::CgroupDir => "relative path",
            Value::CgroupName => "name of a directory",
            Value::Command => "command line",
            Value::Env => "KEY=VALUE or KEY",
            Value::Facility => "daemon or local0 to local7",
            Value::Flags => "up",
            Value::Gateway => "address, auto or dev",
            Value::Gids => "group ids separated by commas",
            Value::Hook => "command line, run by a shell",
            Value::HostName => "name of at most 64 bytes",
            Value::Hwaddr => "six octets in hexadecimal",
            Value::IdMap => "u|g ID-INSIDE ID-OUTSIDE COUNT",
            Value::IfName => "interface name",
            Value::Include => "path",
            Value::Int => "number",
            Value::Ipv4 => "ADDRESS[/PREFIX] [BROADCAST]",
            Value::Ipv6 => "ADDRESS[/PREFIX]",
            Value::IpvlanIsolation => "bridge, private or vepa",
            Value::IpvlanMode => "l2, l3 or l3s",
            Value::LogLevel => "0 to 8, or TRACE DEBUG INFO NOTICE WARN ERROR CRIT ALERT FATAL",
            Value::MacvlanMode => "private, vepa, bridge or passthru",
            Value::MountEntry => "SOURCE TARGET TYPE OPTIONS DUMP PASS",
            Value::Namespaces => "words: user mnt pid uts ipc net cgroup time",
            Value::NicType => "veth, macvlan, ipvlan, vlan, phys, empty or none",
            Value::Nothing => "no value",
            Value::NotifyProxy => "unix:/PATH or unix:@NAME",
            Value::Path => "path",
            Value::Prlimit => "SOFT[:HARD], each a number or unlimited",
            Value::Queues => "number of 1 or more",
            Value::RootfsOptions => {
                "mount options separated by commas, idmap=container, idmap=PATH or idmap=MAP"
            }
            Value::RootfsPath => "[TYPE:]PATH",
            Value::Route => "ADDRESS/PREFIX",
            Value::Share => "pid, container or path",
            Value::Signal => "number, SIGNAME, SIGRTMIN+n or SIGRTMAX-n",
            Value::Size => "auto, or bytes with an optional KB, MB or GB",
            Value::Text => "text",
            Value::Time => "number directly followed by h, m, s, ms, us or ns",
            Value::TmpfsSize => "bytes",
            Value::TtyDir => "relative path of at most 255 bytes",
            Value::Uint => "number of 0 or more",
            Value::Untagged => "none, or 0 to 4094",
            Value::VethMode => "bridge or router",
            Value::VlanId => "0 to 4094",
            Value::VlanNumber => "0 to 65535",
            Value::Words => "words",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_names_every_key() {
        let text = manual();
        assert_eq!(text.matches(".TP\n").count(), KEYS.len());
        for key in KEYS {
            assert!(text.contains(&format!("\\fB{}\\fR", roff(&display_name(key)))), "{}", key.name);
        }
        assert!(text.lines().all(|l| l == ".TP" || !l.starts_with('.')));
    }
}
