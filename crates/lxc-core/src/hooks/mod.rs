//! Hook command lines, their environment, and running them on the host.
//!
//! Source: config.md §7; abi-and-wire.md D9. A hook is a line for a shell; the original runs `sh -c 'exec LINE ARGS'`.

pub mod run;

use std::ffi::{CString, OsString};

use lxc_conf::model::{HookKind, Item, Origin, Settings};
use lxc_sys::exec::Image;

use crate::error::{Result, cstring};

/// One hook, ready to be executed by a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookPlan {
    pub kind: HookKind,
    /// The configured line.
    pub command: String,
    pub origin: Origin,
}

/// All hooks of a container in config order.
pub fn plan(settings: &Settings, kind: HookKind) -> Vec<HookPlan> {
    let plan =
        |item: &Item<String>| HookPlan { kind, command: item.value.clone(), origin: item.origin.clone() };
    settings.hooks.of(kind).iter().map(plan).collect()
}

/// The script a hook runs: its first word.
pub fn program(command: &str) -> &str {
    command.split_whitespace().next().unwrap_or("")
}

/// What a shell is given: `exec SCRIPT…` with the arguments version 0 or 1 of the hook interface wants.
pub fn shell_line(
    command: &str,
    version: u8,
    name: &str,
    section: &str,
    word: &str,
    extra: &[String],
) -> String {
    let mut line = format!("exec {command}");
    if version == 0 {
        for word in [name, section, word] {
            line.push(' ');
            line.push_str(&quote(word));
        }
    }
    for word in extra {
        line.push(' ');
        line.push_str(&quote(word));
    }
    line
}

/// A word in single quotes where a shell could see something in it.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:+=@%,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Names and values for the environment of hooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(Vec<(OsString, OsString)>);

impl Environment {
    pub fn new(base: Vec<(OsString, OsString)>) -> Environment {
        Environment(base)
    }

    /// Sets `key`, replacing an earlier value.
    pub fn set(&mut self, key: impl Into<OsString>, value: impl Into<OsString>) {
        let (key, value) = (key.into(), value.into());
        self.0.retain(|(existing, _)| *existing != key);
        self.0.push((key, value));
    }

    pub fn get(&self, key: &str) -> Option<&OsString> {
        self.0.iter().find(|(existing, _)| existing == key).map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = &(OsString, OsString)> {
        self.0.iter()
    }

    /// `K=V` strings.
    pub fn strings(&self) -> Result<Vec<CString>> {
        use std::os::unix::ffi::OsStrExt;
        self.0.iter().map(|(key, value)| cstring([key.as_bytes(), b"=", value.as_bytes()].concat())).collect()
    }
}

/// Facts that every hook of a container learns from its environment.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub name: &'a str,
    pub config_file: &'a std::path::Path,
    pub rootfs_mount: &'a str,
    pub log_level: &'a str,
}

/// The caller's environment with the `LXC_*` variables that are known before the container exists.
pub fn environment(settings: &Settings, facts: &Facts<'_>, caller: &[(OsString, OsString)]) -> Environment {
    let mut environment = Environment::new(caller.to_vec());
    environment.set("LXC_NAME", facts.name);
    environment.set("LXC_CONFIG_FILE", facts.config_file);
    environment.set("LXC_ROOTFS_MOUNT", facts.rootfs_mount);
    if let Some(path) = &settings.rootfs.path {
        environment.set("LXC_ROOTFS_PATH", &path.path);
    }
    if let Some(path) = &settings.console.path {
        environment.set("LXC_CONSOLE", path);
    }
    if let Some(path) = &settings.console.logfile {
        environment.set("LXC_CONSOLE_LOGPATH", path);
    }
    environment.set("LXC_CGNS_AWARE", "1");
    environment.set("LXC_LOG_LEVEL", facts.log_level);
    environment.set("LXC_HOOK_VERSION", settings.hooks.version.to_string());
    environment
}

/// Variables that only version 1 of the interface sets.
pub fn version_1(environment: &mut Environment, section: &str, word: &str) {
    environment.set("LXC_HOOK_TYPE", word);
    environment.set("LXC_HOOK_SECTION", section);
}

/// An image of one hook for the child to execute.
pub fn image(hook: &HookPlan, version: u8, name: &str, environment: &Environment) -> Result<Image> {
    let word = hook.kind.word();
    let mut environment = environment.clone();
    if version == 1 {
        version_1(&mut environment, "lxc", word);
    }
    let line = shell_line(&hook.command, version, name, "lxc", word, &[]);
    Ok(Image::new(vec![c"/bin/sh".into(), c"-c".into(), cstring(line)?], environment.strings()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_0_names_container_section_and_hook_and_version_1_does_not() {
        assert_eq!(shell_line("/h --x", 0, "c1", "lxc", "mount", &[]), "exec /h --x c1 lxc mount");
        assert_eq!(shell_line("/h", 1, "c1", "lxc", "stop", &["a b".into()]), "exec /h 'a b'");
    }

    #[test]
    fn words_cannot_leave_their_quotes() {
        assert_eq!(quote("a'; rm -rf /"), "'a'\\''; rm -rf /'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn setting_a_variable_again_replaces_it() {
        let mut environment = Environment::default();
        environment.set("A", "1");
        environment.set("A", "2");
        assert_eq!(environment.strings().expect("strings"), [c"A=2".to_owned()]);
    }
}
