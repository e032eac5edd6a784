//! The text of a seccomp policy, versions 1 and 2.
//!
//! Pure: lines to rules. It knows no system call and no architecture of this host; `compile` does.

/// What is wrong with a policy, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Counts from 1; 0 when no line is to blame.
    pub line: u32,
    pub what: String,
}

/// What happens to a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// SIGSYS that cannot be caught, for the thread.
    Kill,
    /// The same for the whole process. Ours alone, as are `Log` and `Trace`.
    KillProcess,
    Allow,
    /// Allowed, and written to the kernel's log.
    Log,
    /// SIGSYS that can be caught.
    Trap,
    /// Fails with this number, 0 to 4095.
    Errno(u16),
    /// Asks the supervisor.
    Notify,
    /// Asks a tracer, who gets this number; ENOSYS without one.
    Trace(u16),
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    /// `argument & mask == value & mask`, as libseccomp has it.
    MaskedEqual {
        mask: u64,
    },
}

/// One condition of a rule; all of them must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgTest {
    /// 0 to 5.
    pub index: u8,
    pub comparison: Comparison,
    pub value: u64,
}

/// Which system call a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Name(String),
    /// Version 1: a number of the host's native architecture.
    Number(i32),
    /// `reject_force_umount`: umount2 with MNT_FORCE.
    ForcedUmount,
}

/// The architectures a section may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionArch {
    X86,
    X32,
    X86_64,
    Arm,
    Arm64,
    Ppc,
    Ppc64,
    Ppc64le,
    Mips,
    Mips64,
    Mips64n32,
    Mipsel,
    Mipsel64,
    Mipsel64n32,
    S390,
    S390x,
    Loongarch64,
}

impl SectionArch {
    const NAMES: [(&'static str, SectionArch); 17] = [
        ("x86", SectionArch::X86),
        ("x32", SectionArch::X32),
        ("x86_64", SectionArch::X86_64),
        ("arm", SectionArch::Arm),
        ("arm64", SectionArch::Arm64),
        ("ppc", SectionArch::Ppc),
        ("ppc64", SectionArch::Ppc64),
        ("ppc64le", SectionArch::Ppc64le),
        ("mips", SectionArch::Mips),
        ("mips64", SectionArch::Mips64),
        ("mips64n32", SectionArch::Mips64n32),
        ("mipsel", SectionArch::Mipsel),
        ("mipsel64", SectionArch::Mipsel64),
        ("mipsel64n32", SectionArch::Mipsel64n32),
        ("s390", SectionArch::S390),
        ("s390x", SectionArch::S390x),
        ("loongarch64", SectionArch::Loongarch64),
    ];
}

/// Where a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// `[all]`, or before any section.
    All,
    Arch(SectionArch),
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub line: u32,
    pub section: Section,
    pub call: Call,
    pub action: Action,
    pub args: Vec<ArgTest>,
}

/// Version of the grammar; it also decides which architectures are covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyVersion {
    /// Numbers of the native architecture; all others are killed.
    One,
    /// Names, on all architectures the host runs.
    Two,
}

/// A whole policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub version: PolicyVersion,
    /// For calls without a rule.
    pub default: Action,
    pub rules: Vec<Rule>,
    /// Remarks about text that was ignored.
    pub warnings: Vec<String>,
}

impl Policy {
    /// Parses a policy.
    ///
    /// Beyond the original, blanks around lines and inside brackets, tabs, and carriage returns are accepted.
    ///
    /// - Source: config.md §8; observed on 5.0.2.
    pub fn parse(text: &str) -> Result<Policy, Wrong> {
        let mut lines = (1..).zip(text.lines().map(str::trim));
        let wrong = |line, what: &str| Wrong { line, what: what.to_owned() };
        let version = match lines.next() {
            Some((_, "1")) => PolicyVersion::One,
            Some((_, "2")) => PolicyVersion::Two,
            Some((line, other)) => {
                return Err(Wrong { line, what: format!("the version is `{other}`, not 1 or 2") });
            }
            None => return Err(wrong(1, "the file is empty; the first line must be the version, 1 or 2")),
        };
        let Some((line, style)) = lines.next() else {
            return Err(wrong(2, "the second line must be allowlist or denylist"));
        };
        match version {
            PolicyVersion::One => parse_v1(line, style, lines),
            PolicyVersion::Two => parse_v2(line, style, lines),
        }
    }
}

fn is_void(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

fn parse_v1<'a>(
    line: u32,
    style: &str,
    lines: impl Iterator<Item = (u32, &'a str)>,
) -> Result<Policy, Wrong> {
    if !style.contains("allowlist") {
        return Err(Wrong { line, what: format!("version 1 knows only allowlist, not `{style}`") });
    }
    let mut rules = Vec::new();
    for (line, text) in lines.filter(|(_, text)| !is_void(text)) {
        let number: i32 = text.parse().ok().filter(|number| *number >= 0).ok_or_else(|| Wrong {
            line,
            what: format!("`{text}` is not a system call number, as version 1 wants"),
        })?;
        rules.push(Rule {
            line,
            section: Section::All,
            call: Call::Number(number),
            action: Action::Allow,
            args: Vec::new(),
        });
    }
    Ok(Policy { version: PolicyVersion::One, default: Action::Kill, rules, warnings: Vec::new() })
}

fn parse_v2<'a>(
    line: u32,
    style: &str,
    lines: impl Iterator<Item = (u32, &'a str)>,
) -> Result<Policy, Wrong> {
    let (word, rest) = split_word(style);
    let (mut default, rule_action) = match word {
        "allowlist" | "whitelist" => (Action::Kill, Action::Allow),
        "denylist" | "blacklist" => (Action::Allow, Action::Kill),
        _ => return Err(Wrong { line, what: format!("the style is `{style}`, not allowlist or denylist") }),
    };
    if !is_void(rest) {
        default = action(rest).map_err(|what| Wrong { line, what })?.0;
    }
    let mut policy = Policy { version: PolicyVersion::Two, default, rules: Vec::new(), warnings: Vec::new() };
    let mut section = Section::All;
    for (line, text) in lines.filter(|(_, text)| !is_void(text)) {
        if text.starts_with('[') {
            section =
                section_of(text).ok_or_else(|| Wrong { line, what: format!("unknown section {text}") })?;
            continue;
        }
        let rule = rule(line, section, text, rule_action, &mut policy.warnings)?;
        policy.rules.push(rule);
    }
    Ok(policy)
}

/// The first word and what follows it, without the blanks between.
fn split_word(text: &str) -> (&str, &str) {
    match text.find(char::is_whitespace) {
        Some(end) => (text.get(..end).unwrap_or(text), text.get(end..).unwrap_or("").trim_start()),
        None => (text, ""),
    }
}

fn section_of(text: &str) -> Option<Section> {
    let name = text.strip_prefix('[')?.strip_suffix(']')?;
    let lower = name.to_ascii_lowercase();
    // COMPAT: all lower or all upper, nothing between.
    if name != lower && name != name.to_ascii_uppercase() {
        return None;
    }
    if lower == "all" {
        return Some(Section::All);
    }
    SectionArch::NAMES.iter().find(|(known, _)| *known == lower).map(|(_, arch)| Section::Arch(*arch))
}

fn rule(
    line: u32,
    section: Section,
    text: &str,
    default: Action,
    warnings: &mut Vec<String>,
) -> Result<Rule, Wrong> {
    let wrong = |what: String| Wrong { line, what };
    let (name, rest) = split_word(text);
    if name == "reject_force_umount" {
        let (call, action) = (Call::ForcedUmount, Action::Errno(EACCES));
        return Ok(Rule { line, section, call, action, args: Vec::new() });
    }
    // No part of a rule contains `#`, so what follows one is a remark.
    let rest = rest.split('#').next().unwrap_or("").trim_end();
    let (action, rest) = if rest.is_empty() { (default, "") } else { action(rest).map_err(wrong)? };
    let args = match rest.find('[') {
        Some(start) => args(rest.get(start..).unwrap_or(""), line, warnings).map_err(wrong)?,
        None => {
            if !rest.is_empty() {
                warnings.push(format!("line {line}: `{rest}` is ignored"));
            }
            Vec::new()
        }
    };
    Ok(Rule { line, section, call: Call::Name(name.to_owned()), action, args })
}

/// EACCES of every architecture Linux runs on.
const EACCES: u16 = 13;

/// Highest number SECCOMP_RET_ERRNO carries.
const MAX_ERRNO: u16 = 4095;

/// An action and the text behind it.
fn action(text: &str) -> Result<(Action, &str), String> {
    let end = text.find(|c: char| c.is_whitespace() || c == '[').unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let rest = rest.trim_start();
    let plain = match word {
        "kill" => Action::Kill,
        "kill_process" => Action::KillProcess,
        "log" => Action::Log,
        "allow" => Action::Allow,
        "trap" => Action::Trap,
        "notify" => Action::Notify,
        "errno" | "trace" => {
            let most = if word == "errno" { MAX_ERRNO } else { u16::MAX };
            let end = rest.find(|c: char| c.is_whitespace() || c == '[').unwrap_or(rest.len());
            let (number, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let value = number.parse().ok().filter(|value| *value <= most);
            let value = value
                .ok_or_else(|| format!("`{number}` after {word} is not a decimal number up to {most}"))?;
            let action = if word == "errno" { Action::Errno(value) } else { Action::Trace(value) };
            return Ok((action, rest.trim_start()));
        }
        _ => {
            return Err(format!(
                "the action `{word}` is none of kill, kill_process, errno N, allow, trap, notify, log, trace N"
            ));
        }
    };
    Ok((plain, rest))
}

/// `[IDX,VAL,OP[,MASK]]`, up to six of them, with anything between.
fn args(text: &str, line: u32, warnings: &mut Vec<String>) -> Result<Vec<ArgTest>, String> {
    let mut tests: Vec<ArgTest> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        let inside = rest.get(start + 1..).unwrap_or("");
        let (body, after) = match inside.split_once(']') {
            Some(split) => split,
            None => {
                // COMPAT: a missing bracket at the end has always been forgiven.
                warnings.push(format!("line {line}: `]` is missing"));
                (inside, "")
            }
        };
        let test = arg_test(body)?;
        if tests.iter().any(|known| known.index == test.index) {
            return Err(format!("argument {} is tested twice; one rule can test it once", test.index));
        }
        tests.push(test);
        rest = after;
    }
    Ok(tests)
}

fn arg_test(body: &str) -> Result<ArgTest, String> {
    let mut parts = body.split(',').map(str::trim);
    let (Some(index), Some(value), Some(op)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!("[{body}] is not [INDEX,VALUE,OPERATOR] or [INDEX,VALUE,OPERATOR,MASK]"));
    };
    let mask = parts.next();
    let index: u8 = index
        .parse()
        .ok()
        .filter(|index| *index < 6)
        .ok_or_else(|| format!("argument index `{index}` is not 0 to 5"))?;
    let value = number(value).ok_or_else(|| format!("`{value}` is not a number"))?;
    let comparison = match op {
        "SCMP_CMP_NE" | "!=" => Comparison::NotEqual,
        "SCMP_CMP_LT" | "<" => Comparison::Less,
        "SCMP_CMP_LE" | "<=" => Comparison::LessOrEqual,
        "SCMP_CMP_EQ" | "==" => Comparison::Equal,
        "SCMP_CMP_GE" | ">=" => Comparison::GreaterOrEqual,
        "SCMP_CMP_GT" | ">" => Comparison::Greater,
        "SCMP_CMP_MASKED_EQ" | "&=" => {
            let mask = mask.ok_or_else(|| format!("{op} needs a mask: [INDEX,VALUE,{op},MASK]"))?;
            Comparison::MaskedEqual { mask: number(mask).ok_or_else(|| format!("`{mask}` is not a number"))? }
        }
        _ => return Err(format!("`{op}` is no comparison operator")),
    };
    Ok(ArgTest { index, comparison, value })
}

/// strtoull with base 0: decimal, 0x…, 0….
fn number(text: &str) -> Option<u64> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(hex, 16).ok();
    }
    match text.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => u64::from_str_radix(octal, 8).ok(),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests;
