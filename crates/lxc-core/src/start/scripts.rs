//! Network scripts, run like hooks.

use crate::error::Result;
use crate::hooks::Environment;
use crate::hooks::run::shell;
use crate::net::{ScriptCall, Scripts};

/// Runs `lxc.net.N.script.*` with the environment of the container's hooks.
#[derive(Debug)]
pub(super) struct HostScripts<'a> {
    pub name: &'a str,
    pub version: u8,
    pub environment: &'a Environment,
}

impl Scripts for HostScripts<'_> {
    fn run(&self, call: &ScriptCall) -> Result<()> {
        let mut environment = self.environment.clone();
        for (key, value) in call.environment(self.version) {
            environment.set(key, value);
        }
        let what = format!("lxc.net.{}.script.{} {}", call.index, call.kind.word(), call.script);
        shell(&call.shell_line(self.name, self.version), &environment, &what)
    }
}
