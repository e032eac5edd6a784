//! Running `lxc.hook.destroy` on the host.

use std::path::Path;
use std::process::{Command, Stdio};

use lxc_conf::Settings;
use lxc_conf::model::HookKind;

use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::paths;

/// Runs the destroy hooks in order; the first one that fails ends it.
///
/// - Source: reference config.md §7.2, §7.3; the variables are those observed in a destroy hook of the original.
pub fn run(name: &str, config_file: &Path, settings: &Settings) -> Result<()> {
    for hook in settings.hooks.of(HookKind::Destroy) {
        let mut command = command(name, config_file, settings, &hook.value);
        let output = command.output().what(|| format!("run lxc.hook.destroy {}", hook.value))?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            tracing::debug!("Script {} produced output: {line}", hook.value);
        }
        if !output.status.success() {
            let text = format!("lxc.hook.destroy {}: {}", hook.value, output.status);
            return Err(Error::new(ErrorKind::Hook, text).at(&hook.origin));
        }
    }
    Ok(())
}

fn command(name: &str, config_file: &Path, settings: &Settings, line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    // The line is shell text; the words after it are not, whatever the container is called.
    command.arg("-c").arg(format!("exec {line} \"$@\"")).arg("sh");
    if settings.hooks.version == 0 {
        command.args([name, "lxc", HookKind::Destroy.word()]);
    } else {
        command.env("LXC_HOOK_TYPE", HookKind::Destroy.word()).env("LXC_HOOK_SECTION", "lxc");
    }
    command.env("LXC_NAME", name).env("LXC_CONFIG_FILE", config_file);
    if let Some(rootfs) = &settings.rootfs.path {
        command.env("LXC_ROOTFS_PATH", &rootfs.path);
    }
    let mount = settings.rootfs.mount.as_deref().unwrap_or(paths::ROOTFS_MOUNT);
    command.env("LXC_ROOTFS_MOUNT", mount);
    // What a hook says on stderr is for whoever destroys; stdout goes to the log.
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use lxc_conf::model::{Item, RootfsPath};

    fn settings(version: u8, line: &str) -> Settings {
        let mut settings = Settings::default();
        settings.hooks.version = version;
        let items = &mut settings.hooks.commands[HookKind::Destroy as usize];
        items.push(Item { value: line.to_owned(), ..Item::default() });
        settings.rootfs.path = Some(RootfsPath { kind: Some("dir".into()), path: "/r".into() });
        settings
    }

    fn said(version: u8, name: &str, line: &str) -> String {
        let settings = settings(version, line);
        let output = command(name, Path::new("/p/c/config"), &settings, line).output().expect("run");
        String::from_utf8(output.stdout).expect("utf-8")
    }

    #[test]
    fn arguments_and_environment_are_the_documented_ones() {
        assert_eq!(said(0, "a b;c", "printf '[%s]' x"), "[x][a b;c][lxc][destroy]");
        assert_eq!(said(1, "c", "sh -c 'echo $#$LXC_HOOK_TYPE.$LXC_HOOK_SECTION'"), "0destroy.lxc\n");
        let env = said(0, "c", "sh -c 'echo $LXC_NAME $LXC_CONFIG_FILE $LXC_ROOTFS_PATH $LXC_ROOTFS_MOUNT'");
        assert_eq!(env, format!("c /p/c/config /r {}\n", paths::ROOTFS_MOUNT));
    }

    #[test]
    fn a_failing_hook_stops_everything() {
        run("c", Path::new("/x"), &settings(0, "true")).expect("true succeeds");
        let error = run("c", Path::new("/x"), &settings(0, "exit-3-not-there")).expect_err("127");
        assert_eq!(error.kind(), ErrorKind::Hook);
        assert!(error.to_string().contains("exit status: 127"), "{error}");
    }
}
