//! The container's side: addresses, link state, loopback and default routes, through the socket init opened.

use std::net::IpAddr;

use lxc_conf::model::{Gateway, Origin};

use crate::error::{Result, ResultExt};

use super::plan::LinkPlan;
use super::request::{self, Ask, Route};
use super::rt::{Answer, Conn, Rt};
use super::undo::LOOPBACK;

/// What is to be done to one device in the container.
#[derive(Debug)]
pub(super) struct Inside<'a> {
    pub(super) plan: &'a LinkPlan,
    pub(super) index: u32,
    pub(super) name: String,
    /// IPv4 and IPv6, `auto` already looked up.
    pub(super) gateways: [Option<Gateway>; 2],
    /// MTU and MAC, where the device was not born with them.
    pub(super) first: Option<Ask>,
}

/// A request and whom to blame.
struct Step<'a> {
    ask: Ask,
    /// The gateway and its device, for a default route that may need a route to the gateway first.
    gateway: Option<(IpAddr, &'a Inside<'a>)>,
    origin: &'a Origin,
}

/// Configures all devices in one batch, and default routes whose gateway is off-link in a second one.
///
/// - Errors: the first failure, with the nic's configuration line.
pub(super) fn configure(rt: &Rt, conn: &Conn, links: &[Inside<'_>], loopback: bool) -> Result<()> {
    let mut steps = Vec::new();
    // The original brings devices with a configured name up first; with two default routes that decides who wins.
    let (named, unnamed): (Vec<_>, Vec<_>) = links.iter().partition(|link| link.plan.name.is_some());
    for link in named.into_iter().chain(unnamed) {
        device(link, &mut steps);
    }
    let mut asks: Vec<Ask> = steps.iter().map(|step| step.ask.clone()).collect();
    if loopback {
        asks.push(request::raise(LOOPBACK, "lo"));
    }
    let mut answers = rt.ask(conn, &asks)?.into_iter();
    for (step, answer) in steps.iter().zip(answers.by_ref()) {
        finish(rt, conn, step, &answer).map_err(|error| error.at(step.origin))?;
    }
    for answer in answers {
        answer.what(|| "bring interface lo up")?;
    }
    Ok(())
}

fn device<'a>(link: &'a Inside<'a>, steps: &mut Vec<Step<'a>>) {
    let origin = &link.plan.origin;
    let mut push = |ask, gateway| steps.push(Step { ask, gateway, origin });
    if let Some(ask) = &link.first {
        push(ask.clone(), None);
    }
    for net in &link.plan.addresses {
        push(request::add_address(link.index, &link.name, net), None);
    }
    if link.plan.up {
        push(request::raise(link.index, &link.name), None);
    }
    for (gateway, ipv6) in link.gateways.iter().zip([false, true]) {
        let Some(gateway) = gateway else { continue };
        let addr = match gateway {
            Gateway::Addr(addr) => Some(*addr),
            Gateway::Dev | Gateway::Auto => None,
        };
        let route = Route { destination: None, gateway: addr, ipv6, index: link.index };
        push(request::add_route(&route, &link.name), addr.map(|addr| (addr, link)));
    }
}

/// Accepts the answer; a default route that failed is tried again with a device route to the gateway.
fn finish(rt: &Rt, conn: &Conn, step: &Step<'_>, answer: &Answer) -> Result<()> {
    let Err(errno) = *answer else { return Ok(()) };
    let Some((addr, link)) = step.gateway else {
        return Err(errno).what(|| step.ask.what.clone());
    };
    let route = request::add_route(&Route::to_host(addr, link.index), &link.name);
    let mut answers = rt.ask(conn, &[route, step.ask.clone()])?;
    let last = answers.pop().unwrap_or(Err(errno));
    last.map(drop).what(|| step.ask.what.clone()).map_err(|error| match errno {
        rustix::io::Errno::EXIST => error.cure("only one nic can have the gateway of an address family"),
        _ => error,
    })
}
