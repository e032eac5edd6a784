//! `lxc.hook.destroy`: which ones, and what they know. Not here: running a hook (`hooks::run`).

use std::path::Path;

use lxc_conf::Settings;
use lxc_conf::model::HookKind;

use crate::error::Result;
use crate::hooks::{self, Environment};
use crate::{host, paths};

/// Runs the destroy hooks in order; the first one that fails ends it.
///
/// - Source: reference config.md §7.2, §7.3; the variables are those observed in a destroy hook of the original.
pub fn run(name: &str, config_file: &Path, settings: &Settings) -> Result<()> {
    let environment = environment(name, config_file, settings);
    hooks::run::run(
        &hooks::plan(settings, HookKind::Destroy),
        settings.hooks.version,
        name,
        &environment,
        &[],
    )
}

fn environment(name: &str, config_file: &Path, settings: &Settings) -> Environment {
    let mut environment = Environment::new(host::environment());
    environment.set("LXC_NAME", name);
    environment.set("LXC_CONFIG_FILE", config_file);
    if let Some(rootfs) = &settings.rootfs.path {
        environment.set("LXC_ROOTFS_PATH", &rootfs.path);
    }
    environment.set("LXC_ROOTFS_MOUNT", settings.rootfs.mount.as_deref().unwrap_or(paths::ROOTFS_MOUNT));
    environment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use lxc_conf::model::{Item, RootfsPath};

    fn settings(version: u8, line: &str) -> Settings {
        let mut settings = Settings::default();
        settings.hooks.version = version;
        let items = &mut settings.hooks.commands[HookKind::Destroy as usize];
        items.push(Item { value: line.to_owned(), ..Item::default() });
        settings.rootfs.path = Some(RootfsPath { kind: Some("dir".into()), path: "/r".into() });
        settings
    }

    /// What the hook says: a failing one's last line is in the error.
    fn said(version: u8, name: &str, line: &str) -> String {
        let line = format!("{line}; exit 1");
        let settings = settings(version, &format!("sh -c {}", quoted(&line)));
        let error = run(name, Path::new("/p/c/config"), &settings).expect_err("status 1");
        assert_eq!(error.kind(), ErrorKind::Hook);
        error.to_string().rsplit_once("exited with status 1: ").expect("said something").1.to_owned()
    }

    fn quoted(text: &str) -> String {
        format!("'{}'", text.replace('\'', "'\\''"))
    }

    #[test]
    fn arguments_and_environment_are_the_documented_ones() {
        assert_eq!(said(0, "a b;c", "printf '[%s]' \"$0\" \"$@\""), "[a b;c][lxc][destroy]");
        assert_eq!(said(1, "c", "echo $#$LXC_HOOK_TYPE.$LXC_HOOK_SECTION"), "0destroy.lxc");
        let env = said(0, "c", "echo $LXC_NAME $LXC_CONFIG_FILE $LXC_ROOTFS_PATH $LXC_ROOTFS_MOUNT >&2");
        assert_eq!(env, format!("c /p/c/config /r {}", paths::ROOTFS_MOUNT));
    }

    #[test]
    fn a_failing_hook_stops_everything() {
        run("c", Path::new("/x"), &settings(0, "true")).expect("true succeeds");
        let error = run("c", Path::new("/x"), &settings(0, "exit-3-not-there")).expect_err("127");
        assert!(error.to_string().contains("exited with status 127"), "{error}");
    }
}
