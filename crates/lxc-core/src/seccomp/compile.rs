//! Policy to instructions, by libseccomp.
//!
//! The only file that uses libseccomp. It resolves names, covers all architectures the host runs, and arranges the tests;
//! nothing is loaded here. Calls with several conditional rules get instructions of their own (`chain`).

use libseccomp::error::{SeccompErrno, SeccompError};
use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use lxc_sys::cred::SockFilter;
use rustix::fs::{MemfdFlags, SeekFrom};

use super::Program;
use super::chain::{self, Chain, Link};
use super::policy::{
    Action, ArgTest, Call, Comparison, Policy, PolicyVersion, Rule, Section, SectionArch, Wrong,
};

/// `BPF_MAXINSNS`.
const MOST_INSTRUCTIONS: usize = 4096;

/// `MNT_FORCE` of umount2(2).
const MNT_FORCE: u64 = 1;

/// Compiles a policy for the architectures of this host.
///
/// COMPAT: a section of an architecture that the host runs holds for all architectures the host runs, as with the original
/// (a denied call would otherwise be open through another one's entry point); sections of others are skipped.
pub(super) fn compile(policy: &Policy) -> Result<Program, Wrong> {
    let native = ScmpArch::native();
    let mut warnings = policy.warnings.clone();
    let mut notify = policy.default == Action::Notify;
    let mut rules: Vec<(&Rule, ScmpSyscall)> = Vec::new();
    for rule in &policy.rules {
        if let Section::Arch(arch) = rule.section
            && !runs(native, arch)
        {
            continue;
        }
        match resolve(&rule.call) {
            Some(call) => rules.push((rule, call)),
            None => {
                if let Call::Name(name) = &rule.call {
                    warnings.push(format!("line {}: the system call {name} is unknown here", rule.line));
                }
                continue;
            }
        }
        check(policy, rule)?;
        notify |= rule.action == Action::Notify;
    }
    let mut chains = Vec::new();
    let mut plain: Vec<(&Rule, ScmpSyscall)> = Vec::new();
    for (index, (rule, call)) in rules.iter().enumerate() {
        let same: Vec<&Rule> =
            rules.iter().filter(|(_, other)| other == call).map(|(other, _)| *other).collect();
        let conditional = same.iter().filter(|other| !tests(other).is_empty()).count();
        let chained = if conditional > 1 { chains_of(native, &rule.call, &same)? } else { None };
        match chained {
            None => plain.push((rule, *call)),
            // All rules of the call are in it.
            Some(found) if rules.iter().position(|(_, other)| other == call) == Some(index) => {
                chains.extend(found);
            }
            Some(_) => {}
        }
    }
    let mut filter = chain::instructions(&chains, policy.default);
    filter.extend(export(&merged(policy, native, &plain)?)?);
    if filter.len() > MOST_INSTRUCTIONS {
        let what = format!(
            "the policy needs {} instructions, and the kernel takes {MOST_INSTRUCTIONS}",
            filter.len()
        );
        return Err(Wrong { line: 0, what });
    }
    Ok(Program { filter, notify, warnings })
}

/// One context an architecture, each with the calls it has, merged.
///
/// Not one context for all: given a call that an architecture lacks, libseccomp 2.5.4 may leave out loading the number of
/// the call on that architecture, and none of its rules bites.
fn merged(
    policy: &Policy,
    native: ScmpArch,
    rules: &[(&Rule, ScmpSyscall)],
) -> Result<ScmpFilterContext, Wrong> {
    let whole = |error: SeccompError| failed(0, &error);
    let one = |arch: ScmpArch| {
        let mut context = ScmpFilterContext::new(scmp_action(policy.default)).map_err(whole)?;
        if arch != native {
            context.add_arch(arch).map_err(whole)?;
            context.remove_arch(native).map_err(whole)?;
        }
        for (rule, call) in rules.iter().filter(|(rule, _)| has(arch, &rule.call)) {
            add(&mut context, rule, *call)?;
            // The same happens when a call that is only a part of socketcall(2) or ipc(2) comes first, so those come last.
            let first = match ScmpSyscall::from_name_by_arch(name_of(&rule.call), arch).map(i32::from) {
                Ok(0..) => Some(*call),
                Ok(-120..=-100) => ScmpSyscall::from_name("socketcall").ok(),
                Ok(-224..=-200) => ScmpSyscall::from_name("ipc").ok(),
                _ => None,
            };
            if let Some(call) = first {
                context.set_syscall_priority(call, 1).map_err(whole)?;
            }
        }
        Ok(context)
    };
    let mut all = one(native)?;
    if policy.version == PolicyVersion::Two {
        for arch in compat(native) {
            all.merge(one(*arch)?).map_err(whole)?;
        }
    }
    Ok(all)
}

/// Empty for a number.
fn name_of(call: &Call) -> &str {
    match call {
        Call::Number(_) => "",
        Call::ForcedUmount => "umount2",
        Call::Name(name) => name,
    }
}

/// Whether there is such a call on an architecture, directly or as a part of another one.
fn has(arch: ScmpArch, call: &Call) -> bool {
    if matches!(call, Call::Number(_)) {
        return true;
    }
    ScmpSyscall::from_name_by_arch(name_of(call), arch)
        .is_ok_and(|call| i32::from(call) >= 0 || (is_multiplexed(call) && multiplexes(arch)))
}

/// Refuses what libseccomp would refuse, with more words.
fn check(policy: &Policy, rule: &Rule) -> Result<(), Wrong> {
    if rule.action == policy.default {
        let what = "the rule's action is the policy's default, so the rule says nothing";
        return Err(Wrong { line: rule.line, what: what.to_owned() });
    }
    Ok(())
}

/// The rules of one call as chains, one an architecture. `None` when libseccomp has to do it: on 32-bit x86, calls that
/// are also reached through socketcall(2) or ipc(2), whose numbers only it knows.
fn chains_of(native: ScmpArch, call: &Call, rules: &[&Rule]) -> Result<Option<Vec<Chain>>, Wrong> {
    let name = match call {
        Call::Name(name) => name.as_str(),
        Call::ForcedUmount => "umount2",
        Call::Number(_) => return Ok(None),
    };
    let links: Vec<Link> =
        rules.iter().map(|rule| Link { tests: tests(rule), action: rule.action }).collect();
    let mut chains = Vec::new();
    for arch in std::iter::once(native).chain(compat(native).iter().copied()) {
        let Some((token, wide)) = token(arch) else { return Ok(None) };
        let Ok(call) = ScmpSyscall::from_name_by_arch(name, arch) else { continue };
        if call.is_error() {
            continue;
        }
        match u32::try_from(i32::from(call)) {
            Ok(number) => chains.push(Chain { arch: token, wide, number, links: links.clone() }),
            // Not a call of this architecture, or one of many names.
            Err(_) if !multiplexes(arch) || !is_multiplexed(call) => {}
            Err(_) => {
                let long = rules.iter().filter(|rule| tests(rule).len() > 1).count();
                return match rules.last() {
                    Some(last) if long > 1 => Err(Wrong {
                        line: last.line,
                        what: format!(
                            "more than one rule for {name} has conditions on several arguments, which libseccomp \
                             cannot merge"
                        ),
                    }),
                    _ => Ok(None),
                };
            }
        }
    }
    Ok(Some(chains))
}

/// Pseudo numbers of libseccomp for what socketcall(2) (-100 to -120) and ipc(2) (-200 to -224) bundle.
fn is_multiplexed(call: ScmpSyscall) -> bool {
    matches!(i32::from(call), -120..=-100 | -224..=-200)
}

/// Whether the architecture has socketcall(2) or ipc(2).
fn multiplexes(arch: ScmpArch) -> bool {
    use ScmpArch::{Mips, Mipsel, Ppc, Ppc64, Ppc64Le, S390, S390X, X86};
    matches!(arch, X86 | Mips | Mipsel | Ppc | Ppc64 | Ppc64Le | S390 | S390X)
}

/// `AUDIT_ARCH_…` of linux/audit.h, and whether registers have 64 bits.
fn token(arch: ScmpArch) -> Option<(u32, bool)> {
    Some(match arch {
        ScmpArch::X8664 => (0xc000_003e, true),
        // As libseccomp has it: an x32 program has 32-bit values in its 64-bit registers.
        ScmpArch::X32 => (0xc000_003e, false),
        ScmpArch::X86 => (0x4000_0003, false),
        ScmpArch::Aarch64 => (0xc000_00b7, true),
        ScmpArch::Arm => (0x4000_0028, false),
        ScmpArch::Ppc64Le => (0xc000_0015, true),
        ScmpArch::S390X => (0x8000_0016, true),
        ScmpArch::S390 => (0x16, false),
        _ => return None,
    })
}

/// The conditions of a rule.
fn tests(rule: &Rule) -> Vec<ArgTest> {
    match rule.call {
        Call::ForcedUmount => {
            vec![ArgTest {
                index: 1,
                comparison: Comparison::MaskedEqual { mask: MNT_FORCE },
                value: MNT_FORCE,
            }]
        }
        _ => rule.args.clone(),
    }
}

fn resolve(call: &Call) -> Option<ScmpSyscall> {
    match call {
        Call::Number(number) => Some(ScmpSyscall::from_raw_syscall(*number)),
        Call::ForcedUmount => ScmpSyscall::from_name("umount2").ok(),
        Call::Name(name) => ScmpSyscall::from_name(name).ok().filter(|call| !call.is_error()),
    }
}

fn add(context: &mut ScmpFilterContext, rule: &Rule, call: ScmpSyscall) -> Result<(), Wrong> {
    let tests: Vec<ScmpArgCompare> = tests(rule).iter().map(scmp_test).collect();
    match context.add_rule_conditional(scmp_action(rule.action), call, &tests) {
        Ok(_) => Ok(()),
        // COMPAT: of two rules for the same call and arguments the first one holds.
        Err(error) if error.errno() == Some(SeccompErrno::EEXIST) => Ok(()),
        Err(error) => Err(failed(rule.line, &error)),
    }
}

fn failed(line: u32, error: &SeccompError) -> Wrong {
    Wrong { line, what: format!("libseccomp refuses it: {error}") }
}

fn scmp_action(action: Action) -> ScmpAction {
    match action {
        Action::Kill => ScmpAction::KillThread,
        Action::KillProcess => ScmpAction::KillProcess,
        Action::Log => ScmpAction::Log,
        Action::Trace(message) => ScmpAction::Trace(message),
        Action::Allow => ScmpAction::Allow,
        Action::Trap => ScmpAction::Trap,
        Action::Errno(errno) => ScmpAction::Errno(i32::from(errno)),
        Action::Notify => ScmpAction::Notify,
    }
}

fn scmp_test(test: &ArgTest) -> ScmpArgCompare {
    let op = match test.comparison {
        Comparison::NotEqual => ScmpCompareOp::NotEqual,
        Comparison::Less => ScmpCompareOp::Less,
        Comparison::LessOrEqual => ScmpCompareOp::LessOrEqual,
        Comparison::Equal => ScmpCompareOp::Equal,
        Comparison::GreaterOrEqual => ScmpCompareOp::GreaterEqual,
        Comparison::Greater => ScmpCompareOp::Greater,
        Comparison::MaskedEqual { mask } => ScmpCompareOp::MaskedEqual(mask),
    };
    let value = match test.comparison {
        // libseccomp 2.5 heeds bits outside the mask or not, depending on the other rules.
        Comparison::MaskedEqual { mask } => test.value & mask,
        _ => test.value,
    };
    ScmpArgCompare::new(u32::from(test.index), op, value)
}

/// The other architectures a kernel of this one runs programs of.
fn compat(native: ScmpArch) -> &'static [ScmpArch] {
    match native {
        ScmpArch::X8664 => &[ScmpArch::X86, ScmpArch::X32],
        ScmpArch::Aarch64 => &[ScmpArch::Arm],
        ScmpArch::Ppc64 => &[ScmpArch::Ppc],
        ScmpArch::Mips64 => &[ScmpArch::Mips, ScmpArch::Mips64N32],
        ScmpArch::Mipsel64 => &[ScmpArch::Mipsel, ScmpArch::Mipsel64N32],
        ScmpArch::S390X => &[ScmpArch::S390],
        _ => &[],
    }
}

fn runs(native: ScmpArch, section: SectionArch) -> bool {
    let wanted = match section {
        SectionArch::X86 => ScmpArch::X86,
        SectionArch::X32 => ScmpArch::X32,
        SectionArch::X86_64 => ScmpArch::X8664,
        SectionArch::Arm => ScmpArch::Arm,
        SectionArch::Arm64 => ScmpArch::Aarch64,
        SectionArch::Ppc => ScmpArch::Ppc,
        SectionArch::Ppc64 => ScmpArch::Ppc64,
        SectionArch::Ppc64le => ScmpArch::Ppc64Le,
        SectionArch::Mips => ScmpArch::Mips,
        SectionArch::Mips64 => ScmpArch::Mips64,
        SectionArch::Mips64n32 => ScmpArch::Mips64N32,
        SectionArch::Mipsel => ScmpArch::Mipsel,
        SectionArch::Mipsel64 => ScmpArch::Mipsel64,
        SectionArch::Mipsel64n32 => ScmpArch::Mipsel64N32,
        SectionArch::S390 => ScmpArch::S390,
        SectionArch::S390x => ScmpArch::S390X,
        SectionArch::Loongarch64 => ScmpArch::Loongarch64,
    };
    wanted == native || compat(native).contains(&wanted)
}

/// The instructions, by way of an anonymous file: libseccomp 2.5 can only write to a descriptor.
fn export(context: &ScmpFilterContext) -> Result<Vec<SockFilter>, Wrong> {
    let kernel = |errno: rustix::io::Errno| Wrong { line: 0, what: format!("export the filter: {errno}") };
    let file = rustix::fs::memfd_create("seccomp", MemfdFlags::CLOEXEC).map_err(kernel)?;
    context.export_bpf(&file).map_err(|error| failed(0, &error))?;
    let size = rustix::fs::seek(&file, SeekFrom::End(0)).map_err(kernel)?;
    let mut bytes = vec![0_u8; usize::try_from(size).unwrap_or(0)];
    let read = rustix::io::pread(&file, bytes.as_mut_slice(), 0).map_err(kernel)?;
    bytes.truncate(read);
    Ok(bytes
        .chunks_exact(8)
        .filter_map(|raw| {
            let (code, rest) = raw.split_first_chunk::<2>()?;
            let ([jump_true, jump_false], rest) = rest.split_first_chunk::<2>()?;
            let (k, _) = rest.split_first_chunk::<4>()?;
            Some(SockFilter {
                code: u16::from_ne_bytes(*code),
                jump_true: *jump_true,
                jump_false: *jump_false,
                k: u32::from_ne_bytes(*k),
            })
        })
        .collect())
}
