//! The handle of one container: a name in an lxcpath, its configuration, and the verbs on it.
//!
//! The shape of liblxc's `struct lxc_container`, so that a C interface is a thin layer over it. Every verb delegates to
//! the module that knows how; nothing here talks to the kernel itself. Source: abi-and-wire.md A3.

mod addresses;
mod control;
mod devices;
mod facts;
mod freeze;
mod launch;
mod open;
mod usage;
mod verbs;
pub mod watch;

use std::path::{Path, PathBuf};

use lxc_conf::Config;

pub use addresses::{Addresses, ips_of_init};
pub use control::{Ended, Patience, ShutdownRequest};
pub use launch::{Caller, StartOptions};
pub use open::{OpenError, check_access, default_lxcpath, system_config};
pub use usage::Memory;

use crate::error::{Error, ErrorKind, Result};

/// One container, defined or not, running or not.
#[derive(Clone, Debug)]
pub struct Container {
    name: String,
    lxcpath: PathBuf,
    config_file: PathBuf,
    config: Option<Config>,
}

impl Container {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn lxcpath(&self) -> &Path {
        &self.lxcpath
    }

    /// `LXCPATH/NAME/config`, or the file given instead.
    pub fn config_file(&self) -> &Path {
        &self.config_file
    }

    /// `LXCPATH/NAME`.
    pub fn directory(&self) -> PathBuf {
        self.lxcpath.join(&self.name)
    }

    /// Whether the configuration file exists.
    pub fn is_defined(&self) -> bool {
        rustix::fs::stat(&self.config_file).is_ok()
    }

    /// The configuration, if one was loaded or set.
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// Forgets the configuration (`clear_config`).
    pub fn clear_config(&mut self) {
        self.config = None;
    }

    /// The text of a configuration item, as loaded or set (`get_config_item`).
    ///
    /// - Shape: list values end each entry with a newline; an unset item is empty.
    /// - Errors: `Config` for an unknown key or without configuration.
    pub fn config_item(&self, key: &str) -> Result<String> {
        let config = self.config.as_ref();
        let config = config.ok_or_else(|| Error::new(ErrorKind::Config, "no configuration loaded"))?;
        config.get(key).map_err(|error| Error::from(&error))
    }

    /// Sets a configuration item; an empty value clears it (`set_config_item`).
    pub fn set_config_item(&mut self, key: &str, value: &str) -> Result<()> {
        let config = self.config.get_or_insert_with(Config::new);
        config.set(key, value).map_err(|error| Error::from(&error))
    }

    /// Clears a configuration item and drops it from the text that is saved (`clear_config_item`).
    pub fn clear_config_item(&mut self, key: &str) -> Result<()> {
        match &mut self.config {
            Some(config) => config.clear(key).map_err(|error| Error::from(&error)),
            None => Ok(()),
        }
    }

    /// The keys below `key`, or all keys (`get_keys`); `None` when `key` has no keys below it.
    pub fn keys(&self, key: Option<&str>) -> Option<Vec<String>> {
        match &self.config {
            Some(config) => config.keys(key),
            None => Config::new().keys(key),
        }
    }

    /// Moves the handle, not the container, to another lxcpath (`set_config_path`).
    pub fn set_lxcpath(&mut self, lxcpath: &Path) {
        self.lxcpath = lxcpath.to_owned();
        self.config_file = open::config_file(&self.lxcpath, &self.name);
    }
}
