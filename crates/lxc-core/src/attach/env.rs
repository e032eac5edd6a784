//! The environment of an attached process. Pure.
//!
//! Not here: reading the caller's environment (the tool passes it in).

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use lxc_conf::model::EnvVar;

/// What a cleared environment has for `PATH` unless the caller's is kept.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What becomes of the caller's variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EnvPolicy {
    #[default]
    Keep,
    /// Only these names stay.
    Clear { keep: Vec<OsString> },
}

/// Where the variables come from, in the order they are applied.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    pub policy: EnvPolicy,
    /// The caller's variables.
    pub inherited: Vec<(OsString, OsString)>,
    /// `K=V` to set last; a `K` alone removes that variable (putenv(3)).
    pub extra: Vec<OsString>,
}

impl Environment {
    /// The finished list of `K=V`.
    ///
    /// - Shape: order is that of first appearance; a later value replaces an earlier one in place. Entries with a NUL
    ///   cannot exist in a process and are left out.
    pub fn build(&self, configured: &[&[EnvVar]]) -> Vec<CString> {
        let mut list = List::default();
        match &self.policy {
            EnvPolicy::Keep => self.inherited.iter().for_each(|(key, value)| list.set(key, value)),
            EnvPolicy::Clear { keep } => {
                for name in keep {
                    if let Some((key, value)) = self.inherited.iter().find(|(key, _)| key == name) {
                        list.set(key, value);
                    }
                }
                if !list.has(OsStr::new("PATH")) {
                    list.set(OsStr::new("PATH"), OsStr::new(DEFAULT_PATH));
                }
            }
        }
        list.set(OsStr::new("container"), OsStr::new("lxc"));
        for variable in configured.iter().copied().flatten() {
            list.set(OsStr::new(&variable.key), OsStr::new(&variable.value));
        }
        for entry in &self.extra {
            let bytes = entry.as_bytes();
            match bytes.iter().position(|byte| *byte == b'=') {
                Some(at) => {
                    let (key, value) = bytes.split_at(at);
                    list.set(OsStr::from_bytes(key), OsStr::from_bytes(value.get(1..).unwrap_or_default()));
                }
                None => list.remove(entry),
            }
        }
        list.finish()
    }
}

#[derive(Default)]
struct List(Vec<(OsString, OsString)>);

impl List {
    fn has(&self, key: &OsStr) -> bool {
        self.0.iter().any(|(have, _)| have == key)
    }

    fn set(&mut self, key: &OsStr, value: &OsStr) {
        match self.0.iter_mut().find(|(have, _)| have == key) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((key.to_owned(), value.to_owned())),
        }
    }

    fn remove(&mut self, key: &OsStr) {
        self.0.retain(|(have, _)| have != key);
    }

    fn finish(self) -> Vec<CString> {
        let join = |(key, value): (OsString, OsString)| {
            let mut bytes = key.into_vec();
            bytes.push(b'=');
            bytes.extend_from_slice(value.as_bytes());
            CString::new(bytes).ok()
        };
        self.0.into_iter().filter_map(join).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(policy: EnvPolicy, extra: &[&str]) -> Environment {
        let inherited = [("HOME", "/h"), ("PATH", "/p"), ("FOO", "1")];
        Environment {
            policy,
            inherited: inherited.iter().map(|(k, v)| (k.into(), v.into())).collect(),
            extra: extra.iter().map(Into::into).collect(),
        }
    }

    fn texts(list: Vec<CString>) -> Vec<String> {
        list.into_iter().map(|entry| entry.into_string().expect("utf8")).collect()
    }

    fn var(key: &str, value: &str) -> EnvVar {
        EnvVar { key: key.into(), value: value.into() }
    }

    #[test]
    fn keeping_adds_container_then_the_configured_then_the_extra_ones() {
        let list = environment(EnvPolicy::Keep, &["FOO=3", "NEW=a=b"]);
        let list = list.build(&[&[var("FOO", "2"), var("container", "x")], &[var("RUN", "t")]]);
        assert_eq!(texts(list), ["HOME=/h", "PATH=/p", "FOO=3", "container=x", "RUN=t", "NEW=a=b"]);
    }

    #[test]
    fn clearing_leaves_a_path_and_the_mark() {
        let list = environment(EnvPolicy::Clear { keep: vec![] }, &[]).build(&[]);
        assert_eq!(texts(list), [format!("PATH={DEFAULT_PATH}"), "container=lxc".to_owned()]);
    }

    #[test]
    fn kept_names_stay_in_the_order_asked_for_and_missing_ones_do_not_appear() {
        let keep = ["HOME", "NOPE", "PATH"].map(OsString::from).to_vec();
        let list = environment(EnvPolicy::Clear { keep }, &["HOME=/x", "BAR"]).build(&[]);
        assert_eq!(texts(list), ["HOME=/x", "PATH=/p", "container=lxc"]);
    }

    #[test]
    fn a_name_alone_removes_the_variable() {
        let list = environment(EnvPolicy::Keep, &["FOO"]).build(&[]);
        assert_eq!(texts(list), ["HOME=/h", "PATH=/p", "container=lxc"]);
    }
}
