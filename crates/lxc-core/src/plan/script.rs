//! Lending a plan to the child.
//!
//! A `StartPlan` owns; `lxc_child::InitScript` borrows. What needs descriptors comes from `start::arm`.

use lxc_child::script::{self, Param};
use lxc_conf::model::HookKind;
use lxc_sys::exec::Image;

use super::{DevPlan, StartPlan};
use crate::error::Result;
use crate::hooks;

/// Images of the hooks that run in the child, by kind.
#[derive(Debug, Default)]
pub struct ChildHooks {
    pub pre_mount: Vec<Image>,
    pub mount: Vec<Image>,
    pub autodev: Vec<Image>,
    pub start: Vec<Image>,
}

impl ChildHooks {
    /// Builds every image, so that the child only follows pointers.
    pub fn build(plan: &StartPlan) -> Result<ChildHooks> {
        let images = |kind: HookKind| -> Result<Vec<Image>> {
            plan.hooks_of(kind)
                .iter()
                .map(|hook| hooks::image(hook, plan.hook_version, &plan.name, &plan.child_hook_environment))
                .collect()
        };
        Ok(ChildHooks {
            pre_mount: images(HookKind::PreMount)?,
            mount: images(HookKind::Mount)?,
            autodev: images(HookKind::Autodev)?,
            start: images(HookKind::Start)?,
        })
    }

    /// No hook runs in the child.
    pub fn is_empty(&self) -> bool {
        self.pre_mount.is_empty() && self.mount.is_empty() && self.autodev.is_empty() && self.start.is_empty()
    }
}

/// Device nodes as the child makes them.
pub fn nodes(dev: &DevPlan) -> Vec<script::DevNode<'static>> {
    if !dev.populate {
        return Vec::new();
    }
    super::devices::NODES
        .iter()
        .map(|node| script::DevNode {
            name: node.name,
            major: node.major,
            minor: node.minor,
            mode: 0o666,
            host: node.host,
        })
        .collect()
}

/// Symlinks of /dev.
pub fn symlinks(dev: &DevPlan) -> &'static [(&'static std::ffi::CStr, &'static std::ffi::CStr)] {
    if dev.symlinks { &super::devices::SYMLINKS } else { &[] }
}

/// Parameters of the private devpts.
pub fn devpts_params(dev: &DevPlan) -> Option<[Param<'_>; 5]> {
    let max = dev.devpts_max.as_deref()?;
    Some([
        Param::Flag(c"newinstance"),
        Param::String(c"ptmxmode", c"0666"),
        Param::String(c"mode", c"0620"),
        Param::String(c"gid", c"5"),
        Param::String(c"max", max),
    ])
}
