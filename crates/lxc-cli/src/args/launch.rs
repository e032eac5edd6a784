//! What lxc-start and lxc-execute both take: another configuration, items set for one run, shared namespaces.
//!
//! Not here: what happens with them (`lxc_core::start`).

use std::ffi::OsString;

use crate::tool::usage_error;

/// Where the configuration comes from.
#[derive(clap::Args, Debug)]
pub struct Overrides {
    /// Load FILE instead of the container's own configuration
    #[arg(short = 'f', long, value_name = "FILE")]
    rcfile: Option<OsString>,
    /// Set the configuration item KEY to VALUE for this run; may be repeated
    #[arg(short = 's', long, value_name = "KEY=VALUE")]
    define: Vec<String>,
}

impl Overrides {
    /// Key and value of each `-s`, blanks around them cut.
    ///
    /// - Errors: a usage error for one without `=`.
    pub fn items(&self) -> anyhow::Result<Vec<(String, String)>> {
        let item = |define: &String| match define.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
            None => Err(usage_error(format_args!("'{define}' is no KEY=VALUE"))),
        };
        self.define.iter().map(item).collect()
    }
}

/// Namespaces of something else.
#[derive(clap::Args, Debug)]
pub struct Shares {
    /// Share the network namespace of a container or process
    #[arg(long, value_name = "NAME|PID")]
    share_net: Option<String>,
    /// Share its IPC namespace
    #[arg(long, value_name = "NAME|PID")]
    share_ipc: Option<String>,
    /// Share its UTS namespace
    #[arg(long, value_name = "NAME|PID")]
    share_uts: Option<String>,
    /// Share its pid namespace
    #[arg(long, value_name = "NAME|PID")]
    share_pid: Option<String>,
}

impl Shares {
    /// The configuration items that say the same.
    pub fn items(&self) -> Vec<(String, String)> {
        let all = [
            ("net", &self.share_net),
            ("ipc", &self.share_ipc),
            ("uts", &self.share_uts),
            ("pid", &self.share_pid),
        ];
        let item = |(ns, value): (&str, &Option<String>)| {
            value.as_ref().map(|value| (format!("lxc.namespace.share.{ns}"), value.clone()))
        };
        all.into_iter().filter_map(item).collect()
    }
}
