//! Network links of a container.
//!
//! The order of use: [`plan::plan`] (pure) → [`preflight()`] (looks, changes nothing) → clone → [`configure`] (both sides of
//! every link, from the monitor) → [`Links`] for as long as the container runs → [`Links::teardown`]. [`addresses()`] and
//! [`interfaces`] are what lxc-info and lxc-ls read. Not here: hooks (the caller passes a [`Scripts`]), and anything a
//! child does between clone and exec besides what [`NetPlan::child_raises_loopback`] and [`NetPlan::needs_netlink`] ask
//! of it.

mod addresses;
mod answer;
mod facts;
mod inside;
mod links;
mod names;
mod ovs;
pub mod plan;
mod preflight;
mod raw;
mod request;
mod rt;
mod script;
mod setup;
mod sysctl;
mod transfer;
mod undo;
mod usernic;
mod veth;

pub use addresses::{Family, View, addresses, addresses_of, interfaces};
pub use links::{Link, Links};
pub use plan::{LinkKind, LinkPlan, NetNs, NetPlan};
pub use preflight::preflight;
pub use script::{NoScripts, ScriptCall, ScriptKind, Scripts};
pub use setup::{Target, configure, configure_unprivileged};
pub use transfer::{fetch_link, has_link, has_link_in, send_link};
pub use usernic::UserNic;
