//! The verbs whose work is a module of its own: creating, destroying, attaching, the console.

use std::ffi::{OsStr, OsString};

use super::Container;
use crate::attach::{self, Attached, Program};
use crate::command::TtyLease;
use crate::command::wire::ConsoleLogRequest;
use crate::create::backing::{Backing, Specs};
use crate::create::{self, Existing};
use crate::destroy::{self, Caller, Outcome, Snapshots};
use crate::error::Result;
use crate::template::Stdio;

impl Container {
    /// Creates the container from this handle's configuration and keeps the one that results (`create`).
    ///
    /// - Shape: `template` a name or an absolute path, `None` = configuration only; `args` its words.
    /// - Errors: see `create::create`; nothing is left behind.
    pub fn create(
        &mut self,
        template: Option<&OsStr>,
        args: &[OsString],
        backing: Backing,
        specs: Specs,
        stdio: Stdio,
    ) -> Result<()> {
        let created = create::create(create::Request {
            name: &self.name,
            lxcpath: &self.lxcpath,
            config: self.config.clone().unwrap_or_default(),
            template,
            args,
            backing,
            specs,
            existing: Existing::Complete,
            stdio,
        })?;
        self.config = Some(created);
        Ok(())
    }

    /// Destroys the container (`destroy`, `destroy_with_snapshots`).
    ///
    /// - Errors: see `destroy::destroy`.
    pub fn destroy(&self, snapshots: Snapshots) -> Result<Outcome> {
        let empty = lxc_conf::Config::new();
        destroy::destroy(destroy::Request {
            name: &self.name,
            lxcpath: &self.lxcpath,
            settings: self.config.as_ref().unwrap_or(&empty).settings(),
            snapshots,
            caller: Caller::User,
        })
    }

    /// A request to run `program` in the running container, with this handle's settings; `attach::run` carries it out.
    pub fn attach_request(&self, program: Program) -> attach::Request {
        let mut request = attach::Request::new(self.lxcpath.clone(), self.name.clone(), program);
        if let Some(config) = &self.config {
            request.settings = config.settings().clone();
        }
        request
    }

    /// Runs a program in the running container with the usual answers (`attach`).
    pub fn attach(&self, program: Program) -> Result<Attached> {
        attach::run(&self.attach_request(program))
    }

    /// Borrows a terminal: 0 the console, N that tty, -1 any free one (`console_getfd`).
    pub fn tty(&self, number: i32) -> Result<TtyLease> {
        self.client().tty(number)
    }

    /// Reads, clears or saves the console's ring buffer (`console_log`).
    pub fn console_log(&self, wanted: ConsoleLogRequest) -> Result<Vec<u8>> {
        self.client().console_log(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn undefined() -> Container {
        let base = std::env::temp_dir().join(format!("tools-verbs-{}", std::process::id()));
        Container::open("none", Some(&base), None).unwrap()
    }

    #[test]
    fn what_is_not_defined_cannot_be_destroyed_or_attached_to() {
        let container = undefined();
        assert_eq!(container.destroy(Snapshots::Keep).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(container.tty(-1).unwrap_err().kind(), ErrorKind::NotRunning);
        assert!(container.attach(Program::Shell).is_err());
    }

    #[test]
    fn an_attached_program_gets_the_settings_of_the_handle() {
        let mut container = undefined();
        container.set_config_item("lxc.environment", "A=1").unwrap();
        let request = container.attach_request(Program::Shell);
        assert_eq!((request.name.as_str(), request.settings.environment.len()), ("none", 1));
    }

    #[test]
    fn a_handle_without_monitor_answers_as_stopped() {
        let container = undefined();
        assert!(!container.is_running() && !container.is_defined() && container.may_control());
        assert_eq!(container.init_pid().unwrap(), None);
        assert_eq!(container.freeze().unwrap_err().kind(), ErrorKind::NotRunning);
        assert_eq!(container.reboot().unwrap_err().kind(), ErrorKind::NotRunning);
        assert!(container.stop().is_ok() && container.request_shutdown().unwrap().is_none());
    }

    #[test]
    fn configurations_are_saved_and_loaded() {
        let base = std::env::temp_dir().join(format!("tools-save-{}", std::process::id()));
        let mut container = Container::open("c", Some(&base), None).unwrap();
        std::fs::create_dir_all(&base).unwrap();
        container.set_config_item("lxc.uts.name", "host").unwrap();
        container.save_config(None).unwrap();
        let again = Container::open("c", Some(&base), None).unwrap();
        let value = again.config_item("lxc.uts.name");
        let mode = |path: &std::path::Path| {
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o7777
        };
        let modes = (mode(&again.directory()), mode(again.config_file()) & 0o660);
        std::fs::write(again.config_file(), "lxc.nonsense = 1\n").unwrap();
        let broken = Container::open("c", Some(&base), None);
        std::fs::remove_dir_all(&base).unwrap();
        assert_eq!(value.unwrap(), "host");
        assert_eq!(modes.0, 0o770);
        let lines = broken.unwrap_err().lines();
        assert!(
            lines.iter().any(|line| line.contains("Unsupported config key \"lxc.nonsense\"")),
            "{lines:?}"
        );
    }
}
