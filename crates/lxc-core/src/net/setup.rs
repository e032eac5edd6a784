//! Making the links: the host's side of each, then the container's side of all.
//!
//! Context: monitor, in the host's network namespace, after the clone. Order per link as in the original: create,
//! attach, bring the host end up, l2proxy, script.up. Devices are born in the container's namespace under their final
//! names; only physical ones move.

use std::os::fd::{BorrowedFd, OwnedFd};

use lxc_sys::netlink::open_route_socket;
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result, ResultExt};

use super::facts::Facts;
use super::inside::{self, Inside};
use super::links::{Link, Links};
use super::plan::{LinkKind, LinkPlan, NetPlan};
use super::preflight::{check_l2proxy, missing};
use super::request::{self, Ask, Route, Stacked};
use super::rt::{Conn, Rt};
use super::script::{ScriptCall, ScriptKind, Scripts};
use super::undo::{self, Borrowed, LOOPBACK, Undo};
use super::usernic::UserNic;

/// Where the links go.
#[derive(Debug)]
pub struct Target<'a> {
    /// The container's network namespace.
    pub netns: BorrowedFd<'a>,
    /// The route socket init opened in it, as root of its user namespace; `None` if the plan needs none.
    pub socket: Option<OwnedFd>,
}

/// Creates every link of the plan and configures both sides.
///
/// - Context: monitor, single-threaded, after init is in its namespaces and before it goes on.
/// - Errors: the first failure, with the configuration line; everything done so far is undone, and what of that failed
///   is named too.
pub fn configure(plan: &NetPlan, target: Target<'_>, scripts: &dyn Scripts) -> Result<Links> {
    configured(plan, target, None, scripts)
}

/// The same for a user without privileges in the host's network namespace: veths come from lxc-user-nic(1).
///
/// - Context: as [`configure`], with the caller owning the container's user namespace.
pub fn configure_unprivileged(
    plan: &NetPlan,
    target: Target<'_>,
    user: &UserNic,
    scripts: &dyn Scripts,
) -> Result<Links> {
    configured(plan, target, Some(user), scripts)
}

fn configured(
    plan: &NetPlan,
    target: Target<'_>,
    user: Option<&UserNic>,
    scripts: &dyn Scripts,
) -> Result<Links> {
    let netns = target.netns;
    let mut made = Vec::new();
    match make(plan, target, user, scripts, &mut made) {
        Ok(()) => Ok(Links { links: made }),
        Err(error) => {
            let undo: Vec<_> = made.into_iter().map(|link| link.undo).collect();
            let failed = undo::replay(&undo, netns, scripts);
            if failed.is_empty() {
                return Err(error);
            }
            let failed: Vec<String> = failed.iter().map(Error::to_string).collect();
            Err(error.context(format!("set up the network (not undone: {})", failed.join("; "))))
        }
    }
}

fn make(
    plan: &NetPlan,
    target: Target<'_>,
    user: Option<&UserNic>,
    scripts: &dyn Scripts,
    made: &mut Vec<Link>,
) -> Result<()> {
    if !plan.needs_netlink() {
        made.extend(plan.links.iter().map(started));
        return Ok(());
    }
    let socket = target.socket.ok_or_else(|| {
        Error::new(ErrorKind::Internal, "init sent no route socket for the network configuration")
    })?;
    let rt = Rt::new()?;
    let host = rt.connect(open_route_socket().what(|| "open a route socket")?)?;
    let inside = rt.connect(socket)?;
    let facts = Facts::read(&rt, &host, plan, target.netns)?;
    let names = facts.names(plan);
    let setup = Setup { rt: &rt, host: &host, inside: &inside, netns: target.netns, facts: &facts, user };
    let mut sides = Vec::new();
    for (link, name) in plan.links.iter().zip(names) {
        made.push(started(link));
        if link.kind != LinkKind::Empty {
            sides.push(setup.link(link, &name, made).map_err(|error| error.at(&link.origin))?);
        }
        run_up(link, scripts, made)?;
    }
    inside::configure(&rt, &inside, &sides, plan.raise_loopback)
}

fn started(link: &LinkPlan) -> Link {
    Link {
        index: link.index,
        type_word: link.type_word(),
        host_name: None,
        host_ifindex: None,
        container_name: String::new(),
        container_ifindex: 0,
        undo: Vec::new(),
    }
}

/// Runs `script.up` of the link made last; from then on its end runs `script.down`.
fn run_up(link: &LinkPlan, scripts: &dyn Scripts, made: &mut [Link]) -> Result<()> {
    let Some(entry) = made.last_mut() else { return Ok(()) };
    if let Some(call) = ScriptCall::new(ScriptKind::Up, link, entry.host_name.as_deref()) {
        scripts.run(&call).what(|| link.key("script.up")).map_err(|error| error.at(&link.origin))?;
    }
    entry.undo.extend(ScriptCall::new(ScriptKind::Down, link, entry.host_name.as_deref()).map(Undo::Script));
    Ok(())
}

/// Everything one link's set-up needs.
#[derive(Debug)]
pub(super) struct Setup<'a> {
    pub(super) rt: &'a Rt,
    pub(super) host: &'a Conn,
    pub(super) inside: &'a Conn,
    pub(super) netns: BorrowedFd<'a>,
    pub(super) facts: &'a Facts,
    user: Option<&'a UserNic>,
}

impl Setup<'_> {
    /// Makes the host's side of a link and says what is to be done inside.
    fn link<'p>(&self, link: &'p LinkPlan, name: &str, made: &mut [Link]) -> Result<Inside<'p>> {
        let Some(entry) = made.last_mut() else {
            return Err(Error::new(ErrorKind::Internal, "no entry for the link being made"));
        };
        entry.container_name = name.to_owned();
        let gateways = self.facts.gateways(link)?;
        let stacked = |parent: &str| match self.facts.links.get(parent) {
            Some(facts) => Ok((facts.index, facts.name.clone())),
            None => Err(missing(link, parent)),
        };
        if let (Some(user), LinkKind::Veth(veth)) = (self.user, &link.kind) {
            return self.user_veth(user, link, veth, name, gateways, entry);
        }
        let index = match &link.kind {
            LinkKind::Empty => 0,
            LinkKind::Veth(veth) => self.veth(link, veth, name, &gateways, entry)?,
            LinkKind::Macvlan { parent, mode } => {
                let (parent, parent_name) = stacked(parent)?;
                self.born(
                    entry,
                    name,
                    request::new_macvlan(self.stacked(link, name, parent, &parent_name), *mode),
                )?
            }
            LinkKind::Ipvlan { parent, mode, isolation } => {
                let (parent, parent_name) = stacked(parent)?;
                let link = self.stacked(link, name, parent, &parent_name);
                self.born(entry, name, request::new_ipvlan(link, *mode, *isolation))?
            }
            LinkKind::Vlan { parent, id } => {
                let (parent, parent_name) = stacked(parent)?;
                self.born(
                    entry,
                    name,
                    request::new_vlan(self.stacked(link, name, parent, &parent_name), *id),
                )?
            }
            LinkKind::Phys { .. } => self.phys(link, name, entry)?,
        };
        entry.container_ifindex = index;
        if link.l2proxy {
            self.l2proxy(link, entry)?;
        }
        Ok(Inside { plan: link, index, name: name.to_owned(), gateways, first: None })
    }

    fn stacked<'n>(
        &'n self,
        link: &LinkPlan,
        name: &'n str,
        parent: u32,
        parent_name: &'n str,
    ) -> Stacked<'n> {
        Stacked { name, parent, parent_name, netns: self.netns, mtu: link.mtu, mac: link.hwaddr }
    }

    /// Creates a device that lives in the container only; its index there is the answer.
    fn born(&self, entry: &mut Link, name: &str, create: Ask) -> Result<u32> {
        self.rt.all(self.host, &[create]).map_err(unknown_type)?;
        entry.undo.push(Undo::InsideLink { index: None, name: name.to_owned() });
        let facts = self.rt.link(self.inside, &request::link_named(name))?;
        if let Some(Undo::InsideLink { index, .. }) = entry.undo.last_mut() {
            *index = Some(facts.index);
        }
        Ok(facts.index)
    }

    fn phys(&self, link: &LinkPlan, name: &str, entry: &mut Link) -> Result<u32> {
        let Some(found) = self.facts.phys.get(&link.index) else {
            return Err(missing(link, &link.link().unwrap_or_default()));
        };
        entry.host_name = Some(found.name.clone());
        entry.host_ifindex = Some(found.index);
        let borrowed = Borrowed { host: found.clone(), inside_name: name.to_owned(), inside_index: None };
        entry.undo.push(Undo::Phys(borrowed));
        let moved = request::move_link(found.index, &found.name, self.netns, name, link.mtu, link.hwaddr);
        self.rt.all(self.host, &[moved]).map_err(|error| match error.errno() {
            Some(Errno::INVAL) => error.cure(
                "wireless devices and some virtual ones cannot leave their namespace this way (`ip link` shows \
                 netns-immutable)",
            ),
            _ => error,
        })?;
        let facts = self.rt.link(self.inside, &request::link_named(name))?;
        if let Some(Undo::Phys(borrowed)) = entry.undo.last_mut() {
            borrowed.inside_index = Some(facts.index);
        }
        Ok(facts.index)
    }

    /// Answers on the parent for the container's addresses.
    fn l2proxy(&self, link: &LinkPlan, entry: &mut Link) -> Result<()> {
        let parent = link.link().unwrap_or_default();
        let Some(facts) = self.facts.links.get(&parent) else { return Err(missing(link, &parent)) };
        check_l2proxy(link, &parent)?;
        let ipvlan = matches!(link.kind, LinkKind::Ipvlan { .. });
        for net in &link.addresses {
            if ipvlan {
                let route = Route::to_host(net.addr, LOOPBACK);
                self.rt.all(self.host, &[request::add_route(&route, "lo")])?;
                entry.undo.push(Undo::LoopbackRoute { addr: net.addr });
            }
            self.rt.all(self.host, &[request::add_proxy(facts.index, &parent, net.addr)])?;
            entry.undo.push(Undo::Proxy { index: facts.index, name: parent.clone(), addr: net.addr });
        }
        Ok(())
    }
}

/// Says what EOPNOTSUPP means when a device is created.
pub(super) fn unknown_type(error: Error) -> Error {
    match error.errno() {
        Some(Errno::OPNOTSUPP) => {
            error.cure("the kernel lacks this type of device; load its module with modprobe")
        }
        _ => error,
    }
}
