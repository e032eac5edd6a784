//! The kernel's list format of CPUs: `0-3,8,10-11`.
//!
//! Pure; used only to take CPUs out of a list.

/// `cpus` without those in `excluded`; `cpus` unchanged when nothing would remain or a list does not parse.
pub(super) fn without(cpus: &str, excluded: &str) -> String {
    if excluded.is_empty() {
        return cpus.to_owned();
    }
    let (Some(all), Some(excluded)) = (parse(cpus), parse(excluded)) else { return cpus.to_owned() };
    let kept: Vec<u32> = all.into_iter().filter(|cpu| !excluded.contains(cpu)).collect();
    if kept.is_empty() { cpus.to_owned() } else { print(&kept) }
}

/// Highest number taken seriously; the kernel's NR_CPUS ends at 8192.
const LAST_CPU: u32 = 65_535;

fn parse(list: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if last > LAST_CPU {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

fn print(cpus: &[u32]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = cpus.iter().copied().peekable();
    while let Some(first) = rest.next() {
        let mut last = first;
        while let Some(next) = rest.next_if(|next| *next == last + 1) {
            last = next;
        }
        parts.push(if first == last { first.to_string() } else { format!("{first}-{last}") });
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn isolated_cpus_are_taken_out() {
        assert_eq!(without("0-7", "2-3,5"), "0-1,4,6-7");
        assert_eq!(without("0-1", ""), "0-1");
        assert_eq!(without("0,2,4", "2"), "0,4");
    }

    #[test]
    fn nothing_left_or_nonsense_changes_nothing() {
        assert_eq!(without("2-3", "0-7"), "2-3");
        assert_eq!(without("0-x", "1"), "0-x");
        assert_eq!(without("0-4294967295", "1"), "0-4294967295");
    }
}
