//! What attach reads of a process: status, id maps. A container can influence both.

use lxc_core::attach::{IdRanges, Status};

use crate::text;

pub fn check(input: &[u8]) {
    let Some(text) = text(input) else { return };
    let _ = Status::parse(text);
    let ranges = IdRanges::parse(text);
    assert!(ranges.0.len() <= text.lines().count());
    for range in &ranges.0 {
        for id in [range.inside, range.outside, 0, u32::MAX] {
            for found in [ranges.inside(id), ranges.outside(id)].into_iter().flatten() {
                let holds = |range: &lxc_core::attach::IdRange| {
                    let within = |first: u32| found.checked_sub(first).is_some_and(|at| at < range.count);
                    within(range.inside) || within(range.outside)
                };
                assert!(ranges.0.iter().any(holds), "{id} became {found}, in no range");
            }
            let _ = ranges.root(id);
        }
    }
}
