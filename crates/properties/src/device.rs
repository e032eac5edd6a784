//! Device rules: what is accepted prints as a rule that reads the same.

use lxc_conf::value::device;
use lxc_core::cgroup::devices::DeviceRule;

use crate::text;

pub fn check(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let _ = device::parse(text);
    for file in ["devices.allow", "devices.deny"] {
        match DeviceRule::parse(file, text) {
            Err(reason) => assert!(!reason.is_empty()),
            Ok(rule) => {
                let printed = rule.to_string();
                let (verb, value) = printed.split_once(' ').expect("a verb and a rule");
                assert_eq!(verb, file.trim_start_matches("devices."));
                assert_eq!(DeviceRule::parse(file, value).as_ref(), Ok(&rule), "{text:?} as {printed:?}");
            }
        }
    }
}
