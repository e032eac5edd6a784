//! lxc-create and lxc-destroy: files, text of the configuration, template calls, failures.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use testkit::names::TestNames;
use testkit::rootfs::write_script;
use testkit::{Run, Subject, cases, leftovers};

/// A throw-away lxcpath for containers made by the tools.
struct Place {
    path: PathBuf,
    name: String,
}

impl Place {
    fn new() -> Place {
        let names = TestNames::new("create");
        fs::create_dir_all(names.directory()).unwrap();
        Place { path: names.directory(), name: names.container().to_owned() }
    }

    fn tool(&self, tool: &str) -> Run {
        Run::new(Subject::current().tool(tool)).arg("-P").arg(&self.path).args(["-n", &self.name])
    }

    fn dir(&self) -> PathBuf {
        self.path.join(&self.name)
    }

    fn config(&self) -> String {
        fs::read_to_string(self.dir().join("config")).unwrap()
    }

    /// A template that writes its arguments down and makes a rootfs with one file.
    fn template(&self, code: u32) -> PathBuf {
        let path = self.path.join("lxc-mine");
        write_script(
            &path,
            &format!(
                "#!/bin/sh\nfor a in \"$@\"; do echo \"$a\"; done > {}/args\n\
             for a in \"$@\"; do case $a in --rootfs=*) echo made > ${{a#--rootfs=}}/made;; --path=*) echo 'lxc.uts.name = by-template' >> ${{a#--path=}}/config;; esac; done\nexit {code}\n",
                self.path.display()
            ),
        );
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if leftovers::monitor_pid(&self.path, &self.name).is_some() {
            self.tool("lxc-stop").arg("-k").done();
        }
        drop(fs::remove_dir_all(&self.path));
    }
}

cases! {
    fn none_makes_a_configuration_only() {
        let place = Place::new();
        let base = place.path.join("base.conf");
        fs::write(&base, "# base\nlxc.net.0.type = empty\nlxc.uts.name = base\n").unwrap();
        place.tool("lxc-create").args(["-t", "none", "-f"]).arg(&base).done().exits(0).prints("").ok();
        assert_eq!(place.config().lines().filter(|line| line.starts_with("lxc.")).collect::<Vec<_>>(),
                   ["lxc.net.0.type = empty", "lxc.uts.name = base"]);
        assert!(!place.dir().join("rootfs").exists());
        assert_eq!(fs::metadata(place.dir()).unwrap().permissions().mode() & 0o777, 0o770);
        assert!(!place.dir().join("partial").exists());
        assert_eq!(place.tool("lxc-info").args(["-sH"]).done().ok(), "STOPPED\n");
    }

    fn a_template_is_called_with_path_name_and_rootfs() {
        let place = Place::new();
        let template = place.template(0);
        let base = place.path.join("base.conf");
        fs::write(&base, "lxc.net.0.type = empty\n").unwrap();
        place.tool("lxc-create").arg("-t").arg(&template).arg("-f").arg(&base).args(["--", "--own", "two words"]).done().exits(0).ok();
        let args = fs::read_to_string(place.path.join("args")).unwrap();
        let dir = place.dir();
        assert_eq!(args.lines().collect::<Vec<_>>(), [
            format!("--path={}", dir.display()), format!("--name={}", place.name),
            format!("--rootfs={}/rootfs", dir.display()), "--own".to_owned(), "two words".to_owned(),
        ]);
        assert_eq!(fs::read_to_string(dir.join("rootfs/made")).unwrap(), "made\n");
    }

    fn the_header_of_the_configuration() {
        let place = Place::new();
        let template = place.template(0);
        let base = place.path.join("base.conf");
        fs::write(&base, "lxc.net.0.type = empty\n").unwrap();
        place.tool("lxc-create").arg("-t").arg(&template).arg("-f").arg(&base).args(["--", "-x", "y"]).done().exits(0).ok();
        let text = place.config();
        let lines: Vec<_> = text.lines().filter(|line| !line.contains("checksum")).collect();
        assert_eq!(lines[..8], [
            &format!("# Template used to create this container: {}", template.display()),
            "# Parameters passed to the template: -x y",
            "# For additional config options, please look at lxc.container.conf(5)",
            "",
            "# Uncomment the following line to support nesting containers:",
            lines[5],
            "# (Be aware this has security implications)",
            "",
        ]);
        assert!(lines[5].starts_with("#lxc.include = ") && lines[5].ends_with("/config/nesting.conf"), "{text}");
        assert!(lines.contains(&"lxc.net.0.type = empty") && lines.contains(&"lxc.uts.name = by-template"), "{text}");
    }

    fn a_failing_template_leaves_nothing() {
        let place = Place::new();
        let template = place.template(3);
        let done = place.tool("lxc-create").arg("-t").arg(&template).done().exits(1);
        done.says(&format!("Failed to create container {}", place.name)).ok_on_stdout();
        assert!(!place.dir().exists());
    }

    fn an_existing_one_stays_as_it_is() {
        let place = Place::new();
        let template = place.template(0);
        place.tool("lxc-create").arg("-t").arg(&template).done().exits(0).ok();
        let before = place.config();
        place.tool("lxc-create").arg("-t").arg(&template).done().exits(1).says("already exists").ok_on_stdout();
        assert_eq!(place.config(), before);
    }

    fn words_it_does_not_take() {
        let place = Place::new();
        place.tool("lxc-create").done().exits(1).says("template must be specified").ok_on_stdout();
        place.tool("lxc-create").args(["-t", "no-such-template"]).done().exits(1).says("bad template: no-such-template").ok_on_stdout();
        place.tool("lxc-create").args(["-t", "none", "-B", "nonsense"]).done().exits(1).ok_on_stdout();
        assert!(!place.dir().exists());
    }

    fn a_directory_of_ones_own() {
        let place = Place::new();
        let (template, root) = (place.template(0), place.path.join("roots/mine"));
        fs::create_dir_all(&root).unwrap();
        place.tool("lxc-create").arg("-t").arg(&template).args(["-B", "dir"]).arg(format!("--dir={}", root.display())).done().exits(0).ok();
        assert_eq!(fs::read_to_string(root.join("made")).unwrap(), "made\n");
        assert!(place.config().contains(&format!("lxc.rootfs.path = dir:{}\n", root.display())), "{}", place.config());
    }

    fn best_is_dir_here() {
        let place = Place::new();
        let template = place.template(0);
        place.tool("lxc-create").arg("-t").arg(&template).args(["-B", "best"]).done().exits(0).ok();
        assert!(place.config().contains(&format!("lxc.rootfs.path = dir:{}/rootfs\n", place.dir().display())), "{}", place.config());
    }

    fn the_busybox_template_makes_a_container_that_runs() {
        let place = Place::new();
        let base = place.path.join("base.conf");
        fs::write(&base, "lxc.net.0.type = empty\n").unwrap();
        let done = place.tool("lxc-create").args(["-t", "busybox", "-f"]).arg(&base).done().exits(0);
        drop(done);
        let text = place.config();
        for line in ["lxc.signal.halt = SIGUSR1", "lxc.signal.reboot = SIGTERM", "lxc.tty.max = 5", "lxc.pty.max = 1"] {
            assert!(text.lines().any(|got| got.trim() == line || got.trim() == line.replace(' ', "")), "{line}: {text}");
        }
        place.tool("lxc-start").done().exits(0).ok();
        place.tool("lxc-wait").args(["-s", "RUNNING", "-t", "5"]).done().exits(0).ok();
        assert_eq!(place.tool("lxc-attach").args(["--", "hostname"]).done().ok().trim(), place.name);
        place.tool("lxc-stop").args(["-t", "20"]).done().exits(0).ok();
        place.tool("lxc-destroy").done().exits(0).ok();
        assert!(!place.dir().exists());
        leftovers::assert_none(Subject::current(), &place.name);
    }

    fn destroy_removes_everything() {
        let place = Place::new();
        let template = place.template(0);
        place.tool("lxc-create").arg("-t").arg(&template).done().exits(0).ok();
        place.tool("lxc-destroy").done().exits(0).silent().ok();
        assert!(!place.dir().exists());
        place.tool("lxc-destroy").done().exits(1).says("Container is not defined").ok_on_stdout();
    }

    fn an_overlay_backend() {
        let place = Place::new();
        let template = place.template(0);
        place.tool("lxc-create").arg("-t").arg(&template).args(["-B", "overlay"]).done().exits(0).ok();
        let text = place.config();
        let line = text.lines().find(|line| line.starts_with("lxc.rootfs.path")).unwrap();
        assert!(line.contains("overlay") && line.contains("delta"), "{text}");
    }
}
