//! Environments of init and of the hooks that run in the child.

use std::ffi::CString;

use lxc_conf::model::{EnvVar, Settings};

use super::{ConsolePlan, DevPlan};
use crate::error::Result;
use crate::hooks::Environment;

/// Init starts with nothing but this.
///
/// Source: abi-and-wire.md D9: emptied, then lxc.environment, lxc.environment.runtime, `container=lxc`,
/// `container_ttys` when there are ttys. Observed: a later value of the same variable replaces the earlier one.
pub(super) fn of_init(settings: &Settings, dev: &DevPlan) -> Result<Vec<CString>> {
    let mut environment = Environment::default();
    add(&mut environment, &settings.environment);
    add(&mut environment, &settings.environment_runtime);
    environment.set("container", "lxc");
    if settings.tty_max > 0 && dev.devpts_max.is_some() {
        // A console opened inside is the first pty of the container's devpts; the ttys follow it.
        let first = u32::from(dev.console == ConsolePlan::Inside);
        let names: Vec<String> = (0..settings.tty_max).map(|n| format!("pts/{}", first + n)).collect();
        environment.set("container_ttys", names.join(" "));
    }
    environment.strings()
}

/// Hooks in the child see the caller's environment, the `LXC_*` facts, lxc.environment and lxc.environment.hooks.
pub(super) fn of_child_hooks(settings: &Settings, host: &Environment) -> Environment {
    let mut environment = host.clone();
    add(&mut environment, &settings.environment);
    add(&mut environment, &settings.environment_hooks);
    environment
}

fn add(environment: &mut Environment, variables: &[EnvVar]) {
    for variable in variables {
        environment.set(variable.key.as_str(), variable.value.as_str());
    }
}
