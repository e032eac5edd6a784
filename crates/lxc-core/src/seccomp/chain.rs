//! Instructions of our own for calls with several conditional rules.
//!
//! libseccomp merges the conditions of all rules of a call into one tree. For some pairs of rules it never comes back
//! (seen with 2.5.4: `[1,5,<][2,7,<=]` beside `[1,5,<][3,7,<=]`), for others their order decides in ways its manual leaves
//! open. Here the first rule whose conditions all hold decides, as written. Not here: names and numbers of calls
//! (`compile`), calls with one conditional rule (libseccomp).

use lxc_sys::cred::SockFilter;

use super::policy::{Action, ArgTest, Comparison};

/// `BPF_LD | BPF_W | BPF_ABS`.
const LOAD: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`.
const AND: u16 = 0x54;
/// `BPF_JMP | BPF_JA`.
const GO: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_AT_LEAST: u16 = 0x35;
/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

/// One rule of a call.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) tests: Vec<ArgTest>,
    pub(super) action: Action,
}

/// A call on one architecture and its rules in the order of the policy.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// `AUDIT_ARCH_…`.
    pub(super) arch: u32,
    /// Whether registers have 64 bits there.
    pub(super) wide: bool,
    pub(super) number: u32,
    pub(super) links: Vec<Link>,
}

/// Where a test goes on from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Next,
    /// The instruction after the test.
    Holds,
    /// The next rule.
    Fails,
}

/// What decides about these calls and leaves all others to what is put behind it.
pub(super) fn instructions(chains: &[Chain], default: Action) -> Vec<SockFilter> {
    let mut program = Vec::new();
    for chain in chains {
        let mut body: Vec<SockFilter> = chain.links.iter().flat_map(|link| rule(link, chain.wide)).collect();
        body.push(plain(RETURN, verdict(default)));
        let over = u32::try_from(body.len()).unwrap_or(u32::MAX);
        // Jumps of conditions reach 255 instructions, so the long ways are jumps of their own.
        program.push(plain(LOAD, ARCH));
        program.push(SockFilter { code: IF_EQUAL, jump_true: 1, jump_false: 0, k: chain.arch });
        program.push(plain(GO, over.saturating_add(3)));
        program.push(plain(LOAD, NUMBER));
        program.push(SockFilter { code: IF_EQUAL, jump_true: 1, jump_false: 0, k: chain.number });
        program.push(plain(GO, over));
        program.extend(body);
    }
    program
}

/// The value a filter returns for an action (seccomp(2)).
pub(super) fn verdict(action: Action) -> u32 {
    match action {
        Action::Kill => 0,
        Action::KillProcess => 0x8000_0000,
        Action::Trap => 0x0003_0000,
        Action::Errno(errno) => 0x0005_0000 | u32::from(errno),
        Action::Notify => 0x7fc0_0000,
        Action::Trace(message) => 0x7ff0_0000 | u32::from(message),
        Action::Log => 0x7ffc_0000,
        Action::Allow => 0x7fff_0000,
    }
}

fn plain(code: u16, k: u32) -> SockFilter {
    SockFilter { code, jump_true: 0, jump_false: 0, k }
}

/// The tests and, behind them, the verdict. At most six tests of six instructions: every jump is short.
fn rule(link: &Link, wide: bool) -> Vec<SockFilter> {
    let mut steps: Vec<(SockFilter, To, To)> = Vec::new();
    let mut ends: Vec<usize> = Vec::new();
    for test in &link.tests {
        let from = steps.len();
        steps.extend(condition(test, wide));
        ends.extend(std::iter::repeat_n(steps.len(), steps.len() - from));
    }
    let last = steps.len() + 1;
    let mut program: Vec<SockFilter> = Vec::with_capacity(last);
    for (at, ((step, holds, fails), end)) in steps.into_iter().zip(ends).enumerate() {
        let jump = |to: To| {
            let target = match to {
                To::Next => at + 1,
                To::Holds => end,
                To::Fails => last,
            };
            u8::try_from(target - at - 1).unwrap_or(u8::MAX)
        };
        program.push(SockFilter { jump_true: jump(holds), jump_false: jump(fails), ..step });
    }
    program.push(plain(RETURN, verdict(link.action)));
    program
}

/// One comparison of a register, of its halves from the top where it has two.
fn condition(test: &ArgTest, wide: bool) -> Vec<(SockFilter, To, To)> {
    use To::{Fails, Holds, Next};
    let base = ARGS + 8 * u32::from(test.index);
    let (low, high) = if cfg!(target_endian = "little") { (base, base + 4) } else { (base + 4, base) };
    let halves = |value: u64| {
        (u32::try_from(value & 0xffff_ffff).unwrap_or(0), u32::try_from(value >> 32).unwrap_or(0))
    };
    let (value_low, value_high) = halves(test.value);
    let step = |code, k| (plain(code, k), Next, Next);
    let test_of = |code, k, holds, fails| (plain(code, k), holds, fails);
    let mut steps = Vec::new();
    match test.comparison {
        Comparison::Equal | Comparison::MaskedEqual { .. } => {
            let (mask_low, mask_high) = match test.comparison {
                Comparison::MaskedEqual { mask } => halves(mask),
                _ => (u32::MAX, u32::MAX),
            };
            if wide {
                steps.extend([
                    step(LOAD, high),
                    step(AND, mask_high),
                    test_of(IF_EQUAL, value_high & mask_high, Next, Fails),
                ]);
            }
            steps.extend([
                step(LOAD, low),
                step(AND, mask_low),
                test_of(IF_EQUAL, value_low & mask_low, Holds, Fails),
            ]);
        }
        Comparison::NotEqual => {
            if wide {
                steps.extend([step(LOAD, high), test_of(IF_EQUAL, value_high, Next, Holds)]);
            }
            steps.extend([step(LOAD, low), test_of(IF_EQUAL, value_low, Fails, Holds)]);
        }
        // Less is the failure of at least, and so on: the same two loads with the ways out exchanged.
        ordering => {
            let (code, greater, other) = match ordering {
                Comparison::Greater => (IF_GREATER, Holds, Fails),
                Comparison::GreaterOrEqual => (IF_AT_LEAST, Holds, Fails),
                Comparison::LessOrEqual => (IF_GREATER, Fails, Holds),
                _ => (IF_AT_LEAST, Fails, Holds),
            };
            if wide {
                steps.extend([
                    step(LOAD, high),
                    test_of(IF_GREATER, value_high, greater, Next),
                    test_of(IF_EQUAL, value_high, Next, other),
                ]);
            }
            steps.extend([step(LOAD, low), test_of(code, value_low, greater, other)]);
        }
    }
    steps
}
