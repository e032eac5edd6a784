//! What can be asked about a running container without changing it.

use std::os::fd::OwnedFd;

use super::Container;
use crate::command::Client;
use crate::error::{ErrorKind, Result};

impl Container {
    /// Pid of init as its monitor sees it; `None` when the container does not run.
    pub fn init_pid(&self) -> Result<Option<i32>> {
        match self.client().init_pid() {
            Ok(pid) => Ok(Some(pid)),
            Err(error) if error.kind() == ErrorKind::NotRunning => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A pidfd of init.
    pub fn init_pidfd(&self) -> Result<OwnedFd> {
        self.client().init_pidfd()
    }

    /// A descriptor of the container's devpts.
    pub fn devpts_fd(&self) -> Result<OwnedFd> {
        self.client().devpts_fd()
    }

    /// The seccomp notification descriptor of the running container.
    pub fn seccomp_notify_fd_active(&self) -> Result<OwnedFd> {
        self.client().seccomp_notify_fd()
    }

    /// A configuration item of the running container, which may differ from the file (`get_running_config_item`).
    pub fn running_config_item(&self, key: &str) -> Result<Option<String>> {
        self.client().config_item(key)
    }

    /// Names on the host of the container's network links: of a veth pair the host's end, else the link below.
    pub fn host_links(&self) -> Result<Vec<String>> {
        let client = self.client();
        let mut names = Vec::new();
        for index in 0.. {
            let Some(kind) = client.config_item(&format!("lxc.net.{index}.type"))? else { break };
            let key = if kind == "veth" { "veth.pair" } else { "link" };
            let name = link_name(&client, index, key)?;
            names.extend(name.filter(|name| !name.is_empty()));
        }
        Ok(names)
    }
}

fn link_name(client: &Client, index: u32, key: &str) -> Result<Option<String>> {
    client.config_item(&format!("lxc.net.{index}.{key}"))
}
