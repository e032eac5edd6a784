//! `lxc.net.N.script.up` and `.down`: what they are called with. Running them is the caller's part ([`Scripts`]).

use crate::error::Result;

use super::plan::{LinkKind, LinkPlan};

/// Which of the two scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptKind {
    Up,
    Down,
}

impl ScriptKind {
    /// The word of the arguments and of `LXC_HOOK_TYPE`.
    pub fn word(self) -> &'static str {
        match self {
            ScriptKind::Up => "up",
            ScriptKind::Down => "down",
        }
    }
}

/// One call of a network script.
///
/// - Source: config.md §7.4; observed on 5.0.2 for both values of `lxc.hook.version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptCall {
    pub kind: ScriptKind,
    /// N of `lxc.net.N`.
    pub index: u32,
    /// The value of the key: a shell command line.
    pub script: String,
    /// `lxc.net.N.type`.
    pub type_word: &'static str,
    /// `lxc.net.N.link` (phys: the device that was taken); empty when there is none.
    pub link: String,
    /// The host end of a veth.
    pub peer: Option<String>,
}

impl ScriptCall {
    pub(crate) fn new(kind: ScriptKind, link: &LinkPlan, host_name: Option<&str>) -> Option<ScriptCall> {
        let script = match kind {
            ScriptKind::Up => link.script_up.clone()?,
            ScriptKind::Down => link.script_down.clone()?,
        };
        let (parent, peer) = match &link.kind {
            LinkKind::Veth(veth) => (veth.link.clone(), host_name.map(str::to_owned)),
            LinkKind::Phys { .. } => (host_name.map(str::to_owned).or_else(|| link.link()), None),
            _ => (link.link(), None),
        };
        let type_word = link.type_word();
        Some(ScriptCall {
            kind,
            index: link.index,
            script,
            type_word,
            link: parent.unwrap_or_default(),
            peer,
        })
    }

    /// The words after the fixed ones: TYPE, LINK and PEER as far as the type has them.
    pub fn words(&self) -> Vec<&str> {
        let mut words = vec![self.type_word];
        if self.type_word != "empty" {
            words.push(&self.link);
            words.extend(self.peer.as_deref());
        }
        words
    }

    /// The line for `sh -c`.
    ///
    /// COMPAT: nothing is quoted, so a veth without a link has its PEER where LINK would be; scripts may rely on it.
    ///
    /// - Shape: `exec SCRIPT NAME net up|down TYPE LINK PEER` with `lxc.hook.version` 0, `exec SCRIPT TYPE LINK PEER`
    ///   with 1.
    pub fn shell_line(&self, container: &str, hook_version: u8) -> String {
        let words = self.words().join(" ");
        match hook_version {
            0 => format!("exec {} {container} net {} {words}", self.script, self.kind.word()),
            _ => format!("exec {} {words}", self.script),
        }
    }

    /// Variables added to the hooks' environment; empty with `lxc.hook.version` 0.
    pub fn environment(&self, hook_version: u8) -> Vec<(&'static str, String)> {
        if hook_version == 0 {
            return Vec::new();
        }
        let mut variables = vec![
            ("LXC_HOOK_TYPE", self.kind.word().to_owned()),
            ("LXC_HOOK_SECTION", "net".to_owned()),
            ("LXC_NET_TYPE", self.type_word.to_owned()),
        ];
        if matches!(self.type_word, "veth" | "macvlan" | "phys") && !self.link.is_empty() {
            variables.push(("LXC_NET_PARENT", self.link.clone()));
        }
        if let Some(peer) = &self.peer {
            variables.push(("LXC_NET_PEER", peer.clone()));
        }
        variables
    }
}

/// Runs network scripts with the container's hook environment, in the monitor's namespaces.
pub trait Scripts {
    /// - Errors: `Hook` when the script cannot run, exits non-zero or is killed.
    fn run(&self, call: &ScriptCall) -> Result<()>;
}

/// For configurations without scripts, and tests.
#[derive(Clone, Copy, Debug)]
pub struct NoScripts;

impl Scripts for NoScripts {
    fn run(&self, call: &ScriptCall) -> Result<()> {
        Err(crate::Error::new(
            crate::ErrorKind::Internal,
            format!("no runner for lxc.net.{}.script.{}", call.index, call.kind.word()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use lxc_conf::model::{Nic, NicType, Settings};

    use super::*;
    use crate::net::plan::{HostFacts, plan};

    fn call(kind: ScriptKind, nic: Nic, host: Option<&str>) -> Option<ScriptCall> {
        let mut settings = Settings::default();
        let scripts = Nic { script_up: Some("/s a".into()), script_down: Some("/d".into()), ..nic };
        settings.nics.insert(0, scripts);
        let plan = plan(&settings, &HostFacts { privileged: true }).expect("plan");
        ScriptCall::new(kind, &plan.links[0], host)
    }

    #[test]
    fn version_0_passes_name_section_and_type() {
        let nic = Nic { kind: NicType::Veth, link: Some("br0".into()), ..Nic::default() };
        let up = call(ScriptKind::Up, nic.clone(), Some("vethX")).expect("call");
        assert_eq!(up.shell_line("c1", 0), "exec /s a c1 net up veth br0 vethX");
        assert!(up.environment(0).is_empty());
        let down = call(ScriptKind::Down, nic, Some("vethX")).expect("call");
        assert_eq!(down.shell_line("c1", 0), "exec /d c1 net down veth br0 vethX");
    }

    #[test]
    fn a_missing_link_leaves_two_blanks_as_the_original_does() {
        let nic = Nic { kind: NicType::Veth, ..Nic::default() };
        let up = call(ScriptKind::Up, nic, Some("vethX")).expect("call");
        assert_eq!(up.shell_line("c1", 0), "exec /s a c1 net up veth  vethX");
    }

    #[test]
    fn version_1_moves_the_fixed_words_into_the_environment() {
        let nic = Nic { kind: NicType::Veth, link: Some("br0".into()), ..Nic::default() };
        let up = call(ScriptKind::Up, nic, Some("vethX")).expect("call");
        assert_eq!(up.shell_line("c1", 1), "exec /s a veth br0 vethX");
        let environment = up.environment(1);
        let text: Vec<String> = environment.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            text,
            [
                "LXC_HOOK_TYPE=up",
                "LXC_HOOK_SECTION=net",
                "LXC_NET_TYPE=veth",
                "LXC_NET_PARENT=br0",
                "LXC_NET_PEER=vethX"
            ]
        );
    }

    #[test]
    fn empty_gets_its_type_only_and_phys_the_device_taken() {
        let empty = call(ScriptKind::Up, Nic { kind: NicType::Empty, ..Nic::default() }, None).expect("call");
        assert_eq!(empty.shell_line("c1", 0), "exec /s a c1 net up empty");
        let phys = Nic { kind: NicType::Phys, link: Some("eth+".into()), ..Nic::default() };
        let phys = call(ScriptKind::Up, phys, Some("eth3")).expect("call");
        assert_eq!(phys.shell_line("c1", 0), "exec /s a c1 net up phys eth3");
    }
}
