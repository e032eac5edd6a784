//! Network links of a container.
//!
//! The order of use: [`plan::plan`] (pure) → [`preflight`] (looks, changes nothing) → clone → [`configure`] (both sides of
//! every link, from the monitor) → [`Links`] for as long as the container runs → [`Links::teardown`]. [`addresses`] is
//! what lxc-info and lxc-ls read. Not here: hooks (the caller passes a [`Scripts`]), and anything a child does between
//! clone and exec besides what [`NetPlan::raise_loopback`] and [`NetPlan::needs_netlink`] ask of it.

pub mod plan;
mod script;

pub use plan::{LinkKind, LinkPlan, NetNs, NetPlan};
pub use script::{NoScripts, ScriptCall, ScriptKind, Scripts};
