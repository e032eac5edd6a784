//! Hooks of all kinds: when they run, with which words and which environment, and what their failure does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use testkit::rootfs::write_script;
use testkit::{Guest, cases};

const HOST_KINDS: [&str; 4] = ["pre-start", "start-host", "stop", "post-stop"];
const CHILD_KINDS: [&str; 3] = ["pre-mount", "mount", "autodev"];

/// A script that writes its arguments and environment to `DIR/N-KIND`, N counting the calls.
fn recorder(guest: &Guest) -> (PathBuf, PathBuf) {
    let (script, out) = (guest.lxcpath().join("hook.sh"), guest.lxcpath().join("calls"));
    fs::create_dir(&out).unwrap();
    let text = format!(
        "#!/bin/sh\nn=$(ls {out} | wc -l)\n{{ for a in \"$@\"; do echo \"arg $a\"; done; env | sed 's/^/env /'; \
         echo \"cwd $(pwd)\"; echo \"mnt $(readlink /proc/self/ns/mnt)\"; }} > {out}/$n\n",
        out = out.display()
    );
    write_script(&script, &text);
    (script, out)
}

struct Call {
    args: Vec<String>,
    env: BTreeMap<String, String>,
    mnt: String,
}

fn calls(out: &Path) -> Vec<Call> {
    let mut number = 0;
    let mut found = Vec::new();
    while let Ok(text) = fs::read_to_string(out.join(number.to_string())) {
        let with = |prefix: &str| -> Vec<String> {
            text.lines().filter_map(|line| line.strip_prefix(prefix)).map(str::to_owned).collect()
        };
        let env = with("env ")
            .iter()
            .filter_map(|line| line.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        found.push(Call { args: with("arg "), env, mnt: with("mnt ").concat() });
        number += 1;
    }
    found
}

fn with_all_hooks(version: u32) -> (Guest, PathBuf) {
    let guest = Guest::build("hooks").make();
    let (script, out) = recorder(&guest);
    guest.append(&format!("lxc.hook.version = {version}"));
    for kind in HOST_KINDS.iter().chain(&CHILD_KINDS) {
        guest.append(&format!("lxc.hook.{kind} = {} {kind}", script.display()));
    }
    (guest, out)
}

cases! {
    fn version_0_passes_name_section_and_type() {
        let (guest, out) = with_all_hooks(0);
        guest.start();
        guest.kill();
        let kinds = ["pre-start", "pre-mount", "mount", "autodev", "start-host", "stop", "post-stop"];
        let calls = calls(&out);
        assert_eq!(calls.len(), kinds.len());
        for (call, kind) in calls.iter().zip(kinds) {
            assert_eq!(call.args[..4], [kind, guest.name(), "lxc", kind], "{:?}", call.args);
            if kind == "stop" {
                let names: Vec<_> = call.args[4..].iter().map(|word| word.split(':').next().unwrap()).collect();
                assert!(names.contains(&"mnt") && names.contains(&"net") && names.contains(&"pid"), "{names:?}");
                assert!(call.args[4..].iter().all(|word| word.contains(":/proc/") && word.contains("/fd/")));
            } else {
                assert_eq!(call.args.len(), 4, "{kind}: {:?}", call.args);
            }
        }
    }

    fn version_1_passes_the_same_in_the_environment() {
        let (guest, out) = with_all_hooks(1);
        guest.start();
        guest.kill();
        let kinds = ["pre-start", "pre-mount", "mount", "autodev", "start-host", "stop", "post-stop"];
        for (call, kind) in calls(&out).iter().zip(kinds) {
            assert_eq!(call.args, [kind], "{:?}", call.args);
            assert_eq!(call.env["LXC_HOOK_TYPE"], kind);
            assert_eq!(call.env["LXC_HOOK_SECTION"], "lxc");
            assert_eq!(call.env["LXC_HOOK_VERSION"], "1");
            if kind == "stop" {
                for name in ["LXC_MNT_NS", "LXC_NET_NS", "LXC_PID_NS", "LXC_UTS_NS", "LXC_IPC_NS"] {
                    assert!(call.env[name].starts_with("/proc/"), "{name}: {:?}", call.env);
                }
            }
        }
    }

    fn the_environment_every_hook_has() {
        let (guest, out) = with_all_hooks(0);
        guest.append("lxc.environment = FROM=config");
        guest.start();
        let pid = guest.pid();
        guest.kill();
        for call in calls(&out) {
            let kind = &call.args[0];
            assert_eq!(call.env["LXC_NAME"], guest.name(), "{kind}");
            assert_eq!(Path::new(&call.env["LXC_CONFIG_FILE"]), guest.config(), "{kind}");
            assert!(call.env["LXC_ROOTFS_PATH"].ends_with(guest.rootfs().to_str().unwrap()), "{kind}");
            assert!(Path::new(&call.env["LXC_ROOTFS_MOUNT"]).is_absolute(), "{kind}");
            assert_eq!(call.env["LXC_CGNS_AWARE"], "1", "{kind}");
            assert_eq!(call.env["LXC_HOOK_VERSION"], "0", "{kind}");
            assert_eq!(call.env.contains_key("FROM"), CHILD_KINDS.contains(&kind.as_str()), "{kind}");
            if ["start-host", "stop"].contains(&kind.as_str()) {
                assert_eq!(call.env["LXC_PID"], pid.to_string(), "{kind}");
            }
            if ["stop", "post-stop"].contains(&kind.as_str()) {
                assert_eq!(call.env["LXC_TARGET"], "stop", "{kind}");
            }
        }
    }

    fn hooks_run_in_the_namespaces_the_manual_names() {
        let (guest, out) = with_all_hooks(0);
        guest.start();
        guest.kill();
        let host = fs::read_link("/proc/self/ns/mnt").unwrap().to_string_lossy().into_owned();
        for call in calls(&out) {
            let kind = &call.args[0];
            assert_eq!(call.mnt == host, HOST_KINDS.contains(&kind.as_str()), "{kind}");
        }
    }

    fn the_start_hook_runs_inside() {
        let guest = Guest::build("hooks").conf("lxc.hook.start = /bin/started").make();
        write_script(&guest.rootfs().join("bin/started"), "#!/bin/sh\necho \"$@\" > /args; hostname > /name; env > /env\n");
        guest.start();
        let read = |name: &str| fs::read_to_string(guest.rootfs().join(name)).unwrap();
        assert_eq!(read("args").trim(), format!("{} lxc start", guest.name()));
        assert_eq!(read("name").trim(), guest.name());
        assert!(read("env").contains("LXC_NAME="));
    }

    fn reboot_is_the_target_of_the_stop_hooks() {
        let (guest, out) = with_all_hooks(0);
        guest.start();
        let init = guest.pid();
        guest.attach(["reboot", "-f"]);
        assert!(testkit::eventually(std::time::Duration::from_secs(10), || guest.has_new_init(init)));
        let calls = calls(&out);
        let targets: Vec<_> = calls.iter().filter_map(|call| Some((call.args[0].as_str(), call.env.get("LXC_TARGET")?.as_str()))).collect();
        assert!(targets.contains(&("stop", "reboot")) && targets.contains(&("post-stop", "reboot")), "{targets:?}");
        assert_eq!(calls.iter().filter(|call| call.args[0] == "pre-start").count(), 2);
    }

    fn a_failing_post_stop_hook_turns_a_reboot_into_a_stop() {
        let guest = Guest::build("hooks").conf("lxc.hook.post-stop = /bin/false").start();
        guest.attach(["reboot", "-f"]);
        guest.await_gone();
    }

    fn a_failing_hook_fails_the_start() {
        for kind in ["pre-start", "pre-mount", "mount", "autodev", "start-host"] {
            let guest = Guest::build("hooks").conf(&format!("lxc.hook.{kind} = /bin/false")).make();
            guest.try_start().exits(1).ok_on_stdout();
            assert_eq!(guest.state(), "STOPPED", "{kind}");
            guest.assert_nothing_left();
        }
    }

    fn several_hooks_run_in_order_until_one_fails() {
        let guest = Guest::build("hooks").make();
        let out = guest.lxcpath().join("order");
        for line in ["echo 1 >>", "echo 2 >>", "false &&", "echo 3 >>"] {
            guest.append(&format!("lxc.hook.pre-start = sh -c \"{line} {}\"", out.display()));
        }
        guest.try_start().exits(1).ok_on_stdout();
        assert_eq!(fs::read_to_string(out).unwrap(), "1\n2\n");
    }

    fn stop_hooks_that_fail_change_nothing() {
        let guest = Guest::build("hooks").conf("lxc.hook.stop = /bin/false\nlxc.hook.post-stop = /bin/false").start();
        guest.kill();
        guest.assert_nothing_left();
    }

    fn an_empty_value_clears_the_hooks() {
        let guest = Guest::build("hooks").conf("lxc.hook.pre-start = /bin/false\nlxc.hook.mount = /bin/false\nlxc.hook =").make();
        guest.start();
    }

    fn the_destroy_hook() {
        let guest = Guest::build("hooks").make();
        let (script, out) = recorder(&guest);
        guest.append(&format!("lxc.hook.destroy = {}", script.display()));
        guest.tool("lxc-destroy").done().exits(0).ok();
        let calls = calls(&out);
        assert_eq!(calls[0].args, [guest.name(), "lxc", "destroy"]);
        assert!(!guest.dir().exists());
    }

    fn a_failing_destroy_hook_keeps_the_container() {
        let guest = Guest::build("hooks").conf("lxc.hook.destroy = /bin/false").make();
        guest.tool("lxc-destroy").done().exits(1).ok_on_stdout();
        assert!(guest.rootfs().exists());
    }
}
