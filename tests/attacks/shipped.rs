//! What is shipped: templates and configurations give no container a file of the host to write, and fetch nothing that
//! somebody on the way can change.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::{Subject, cases, subject};

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Every file below the directories of shared data, with its text.
fn shipped() -> Vec<(PathBuf, String)> {
    let base = match Subject::current() {
        Subject::Ours => subject::repository().to_owned(),
        Subject::Theirs => PathBuf::from("/usr/share/lxc"),
    };
    let mut found = Vec::new();
    for dir in ["templates", "config", "hooks"] {
        files(&base.join(dir), &mut found);
    }
    assert!(found.len() > 5, "{} files below {}", found.len(), base.display());
    found.into_iter().filter_map(|path| Some((path.clone(), fs::read_to_string(&path).ok()?))).collect()
}

/// Parts of the kernel's own file systems, of which a bind shows no file of the host.
const KERNEL: [&str; 3] = ["/sys/", "/proc/", "/dev/"];

cases! {
    fn cve_2013_6441_binds_of_the_host_are_read_only() {
        let mut binds = 0;
        for (path, text) in shipped() {
            for line in text.lines().filter(|line| line.contains("lxc.mount.entry") && !line.trim_start().starts_with('#')) {
                let value = line.split_once('=').map_or("", |(_, value)| value).trim();
                let words: Vec<&str> = value.split_whitespace().collect();
                let Some(options) = words.get(3) else { continue };
                let is = |wanted: &str| options.split(',').any(|word| word == wanted);
                if !is("bind") && !is("rbind") {
                    continue;
                }
                binds += 1;
                let kernel = KERNEL.iter().any(|prefix| words[0].starts_with(prefix));
                assert!(is("ro") || kernel || is("relative"), "{}: {line}", path.display());
            }
        }
        assert!(binds > 0, "no bind at all");
    }

    fn cve_2017_18641_nothing_is_fetched_without_protection() {
        for (path, text) in shipped() {
            for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
                let fetched = ["http://", "ftp://", "--no-check-certificate", "curl -k", "--insecure"].iter().any(|word| line.contains(word));
                assert!(!fetched, "{}: {line}", path.display());
            }
        }
    }

    fn cve_2026_48755_nothing_of_a_caller_is_run_as_a_shell_s_line() {
        for (path, text) in shipped() {
            for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
                assert!(!line.trim_start().starts_with("eval ") || line.contains("set -- "), "{}: {line}", path.display());
            }
        }
    }
}
