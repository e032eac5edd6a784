//! `lxc.mount.auto`: words for the automatic mounts.

use super::{Result, ValueError, words};
use crate::model::{AutoAccess, AutoCgroup, AutoCgroupForm, AutoMounts, AutoProc, AutoSys, ShMounts};

/// Where `shmounts:HOST` appears in the container.
pub const SHMOUNTS_DEFAULT: &str = "/dev/.lxc-mounts";

/// Applies the words of one line to what earlier lines gave; a later word replaces an earlier one of its class.
pub fn add(mounts: &mut AutoMounts, value: &str) -> Result<()> {
    for (at, word) in words(value) {
        match word {
            "proc" | "proc:mixed" => mounts.proc = Some(AutoProc::Mixed),
            "proc:rw" => mounts.proc = Some(AutoProc::Rw),
            "sys" | "sys:mixed" => mounts.sys = Some(AutoSys::Mixed),
            "sys:ro" => mounts.sys = Some(AutoSys::Ro),
            "sys:rw" => mounts.sys = Some(AutoSys::Rw),
            _ => match (cgroup(word), word.strip_prefix("shmounts:")) {
                (Some(cgroup), _) => mounts.cgroup = Some(cgroup),
                (None, Some(paths)) => mounts.shmounts = Some(shmounts(paths).map_err(|e| e.at(at))?),
                (None, None) => {
                    return Err(ValueError::new(format!("unknown automatic mount {word:?}"))
                        .at(at)
                        .compat(format!("Invalid argument - Invalid filesystem to automount \"{word}\"")));
                }
            },
        }
    }
    Ok(())
}

fn cgroup(word: &str) -> Option<AutoCgroup> {
    let mut parts = word.split(':');
    let form = match parts.next()? {
        "cgroup" => AutoCgroupForm::Own,
        "cgroup-full" => AutoCgroupForm::Full,
        "cgroup2" => AutoCgroupForm::Cgroup2,
        _ => return None,
    };
    let rest: Vec<&str> = parts.collect();
    let (access, force) = match rest.as_slice() {
        [] => (AutoAccess::Unspecified, false),
        ["force"] => (AutoAccess::Unspecified, true),
        [access] => (access_word(access, form)?, false),
        [access, "force"] => (access_word(access, form)?, true),
        _ => return None,
    };
    Some(AutoCgroup { form, access, force })
}

fn access_word(word: &str, form: AutoCgroupForm) -> Option<AutoAccess> {
    match word {
        "ro" => Some(AutoAccess::Ro),
        // cgroup2 has no such forms.
        "rw" if form != AutoCgroupForm::Cgroup2 => Some(AutoAccess::Rw),
        "mixed" if form != AutoCgroupForm::Cgroup2 => Some(AutoAccess::Mixed),
        _ => None,
    }
}

fn shmounts(paths: &str) -> Result<ShMounts> {
    let (host, container) = paths.split_once(':').unwrap_or((paths, ""));
    if host.is_empty() {
        return Err(ValueError::new("shmounts: needs a directory of the host"));
    }
    let container = if container.is_empty() { SHMOUNTS_DEFAULT } else { container };
    Ok(ShMounts { host: host.to_owned(), container: container.to_owned() })
}

/// The text a getter prints. Forms with `:force`, the cgroup2 ones and shmounts print nothing, as in the original.
pub fn format(mounts: &AutoMounts) -> String {
    let mut words = Vec::new();
    words.extend(mounts.proc.map(|p| match p {
        AutoProc::Mixed => "proc:mixed",
        AutoProc::Rw => "proc:rw",
    }));
    words.extend(mounts.sys.map(|s| match s {
        AutoSys::Mixed => "sys:mixed",
        AutoSys::Ro => "sys:ro",
        AutoSys::Rw => "sys:rw",
    }));
    words.extend(mounts.cgroup.filter(|c| !c.force).and_then(|c| match (c.form, c.access) {
        (AutoCgroupForm::Own, AutoAccess::Unspecified) => Some("cgroup"),
        (AutoCgroupForm::Own, AutoAccess::Mixed) => Some("cgroup:mixed"),
        (AutoCgroupForm::Own, AutoAccess::Ro) => Some("cgroup:ro"),
        (AutoCgroupForm::Own, AutoAccess::Rw) => Some("cgroup:rw"),
        (AutoCgroupForm::Full, AutoAccess::Unspecified) => Some("cgroup-full"),
        (AutoCgroupForm::Full, AutoAccess::Mixed) => Some("cgroup-full:mixed"),
        (AutoCgroupForm::Full, AutoAccess::Ro) => Some("cgroup-full:ro"),
        (AutoCgroupForm::Full, AutoAccess::Rw) => Some("cgroup-full:rw"),
        (AutoCgroupForm::Cgroup2, _) => None,
    }));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_words_replace_earlier_ones() {
        let mut m = AutoMounts::default();
        add(&mut m, "proc sys:ro cgroup").unwrap();
        assert_eq!(format(&m), "proc:mixed sys:ro cgroup");
        add(&mut m, "proc:rw cgroup:mixed:force").unwrap();
        assert_eq!(format(&m), "proc:rw sys:ro");
        add(&mut m, "cgroup-full:rw shmounts:/a").unwrap();
        assert_eq!(format(&m), "proc:rw sys:ro cgroup-full:rw");
        assert_eq!(m.shmounts, Some(ShMounts { host: "/a".into(), container: SHMOUNTS_DEFAULT.into() }));
        add(&mut m, "cgroup2:ro:force").unwrap();
        assert_eq!(m.cgroup.map(|c| c.form), Some(AutoCgroupForm::Cgroup2));
    }

    #[test]
    fn all_words_and_no_other() {
        let mut good = vec!["proc", "proc:mixed", "proc:rw", "sys", "sys:mixed", "sys:ro", "sys:rw"];
        good.extend(["cgroup", "cgroup:mixed", "cgroup:ro", "cgroup:rw"]);
        good.extend(["cgroup:force", "cgroup:mixed:force", "cgroup:ro:force", "cgroup:rw:force"]);
        good.extend(["cgroup-full", "cgroup-full:mixed", "cgroup-full:ro", "cgroup-full:rw"]);
        good.extend([
            "cgroup-full:force",
            "cgroup-full:mixed:force",
            "cgroup-full:ro:force",
            "cgroup-full:rw:force",
        ]);
        good.extend(["cgroup2", "cgroup2:ro", "cgroup2:force", "cgroup2:ro:force", "shmounts:/a:/b"]);
        assert_eq!(good.len(), 28);
        for word in good {
            assert!(add(&mut AutoMounts::default(), word).is_ok(), "{word}");
        }
        for word in [
            "proc:ro",
            "cgroup2:rw",
            "shmounts",
            "shmounts:",
            "foo",
            "cgroup:force:ro",
            "cgroup:",
            "sys:mixed:force",
        ] {
            assert!(add(&mut AutoMounts::default(), word).is_err(), "{word}");
        }
        assert_eq!(add(&mut AutoMounts::default(), "proc  foo").unwrap_err().offset, 6);
    }
}
