//! `lxc-usernsexec`: runs a command as root of a new user (and mount) namespace.
//!
//! Outside the shared parser: getopt(3) with `hm:su:g:`, no long options, no log.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use lxc_cli::{Ctx, Names, exit};
use lxc_conf::model::{IdKind, IdMap, Ns, Origin};
use lxc_conf::value::number;
use lxc_core::idmap::subid::{Allocation, User, default_maps};
use lxc_core::unshare::{self, Request};
use lxc_core::{Error, ErrorKind, idmap};

const USAGE: &str = "usage: lxc-usernsexec [-h] [-m <uid-maps>] [-s] [-u UID] [-g GID] -- [command [arg ..]]

  -h            this message
  -m <uid-maps> uid maps to use: {u|g|b}:FIRST-INSIDE:FIRST-ON-THE-HOST:COUNT
                u maps uids, g gids, b both; may be given several times
  -s            map the own uid and gid, behind the others
  -u UID        uid the command gets inside (default: 0)
  -g GID        gid the command gets inside (default: 0)
";

/// The options, for the manual page only.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show this help
    #[arg(short = 'h')]
    help: bool,
    /// Map COUNT ids from HOSTID on to those from NSID on: uids (u), gids (g) or both (b); may be given several times
    #[arg(short = 'm', value_name = "{u|g|b}:NSID:HOSTID:COUNT")]
    map: Vec<String>,
    /// Map the own uid and gid as well, to the first ids behind the others
    #[arg(short = 's')]
    own: bool,
    /// Uid the command gets (default: 0)
    #[arg(short = 'u', value_name = "UID")]
    uid: Option<u32>,
    /// Gid the command gets (default: 0)
    #[arg(short = 'g', value_name = "GID")]
    gid: Option<u32>,
    /// The command (default: /bin/sh)
    command: Vec<OsString>,
}

/// The options, for the manual page.
pub fn command() -> clap::Command {
    <Args as clap::Args>::augment_args(clap::Command::new("lxc-usernsexec"))
        .about("Runs a command as root of a new user namespace.")
        .override_usage("lxc-usernsexec [-m MAP]… [-s] [-u UID] [-g GID] -- [COMMAND [WORD…]]")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_version_flag(true)
}

lxc_cli::tool!("lxc-usernsexec", names: Names::None, raw: Some(raw));

fn run(_args: Args, _ctx: &Ctx) -> anyhow::Result<ExitCode> {
    Ok(raw(&[]))
}

/// What the words ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    maps: Vec<IdMap>,
    own: bool,
    ids: (u32, u32),
    words: Vec<OsString>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Parsed {
    Run(Wanted),
    Help,
    Wrong(String),
}

fn raw(words: &[OsString]) -> ExitCode {
    let wanted = match parse(words) {
        Parsed::Run(wanted) => wanted,
        Parsed::Help => {
            exit::plain(USAGE.trim_end());
            return ExitCode::SUCCESS;
        }
        Parsed::Wrong(why) => {
            exit::plain(format_args!("lxc-usernsexec: {why}"));
            exit::plain(USAGE.trim_end());
            return ExitCode::from(exit::FAILURE);
        }
    };
    let ended = request(wanted).and_then(|request| unshare::start(&request)?.wait());
    match ended {
        Ok(ended) => exit::from_wait_status(ended.wait_status()),
        Err(error) => {
            for line in exit::explanation(&anyhow::Error::from(error)) {
                exit::plain(format_args!("lxc-usernsexec: {line}"));
            }
            ExitCode::from(exit::FAILURE)
        }
    }
}

/// getopt(3): options may be glued and mixed with words; `--` ends them. Like the original's, ours stop at the first word
/// that is no option when it is the command: its own options are its own.
fn parse(words: &[OsString]) -> Parsed {
    let mut wanted = Wanted::default();
    let mut rest = words.iter();
    while let Some(word) = rest.as_slice().first() {
        let bytes = word.as_bytes();
        if bytes == b"--" {
            rest.next();
            break;
        }
        let Some(letters) = bytes.strip_prefix(b"-").filter(|letters| !letters.is_empty()) else { break };
        rest.next();
        for (at, letter) in letters.iter().enumerate() {
            match letter {
                b'h' => return Parsed::Help,
                b's' => wanted.own = true,
                b'm' | b'u' | b'g' => {
                    let glued = letters.get(at + 1..).filter(|glued| !glued.is_empty());
                    let Some(value) =
                        glued.map(OsStr::from_bytes).or_else(|| rest.next().map(OsString::as_os_str))
                    else {
                        return Parsed::Wrong(format!(
                            "option requires an argument -- '{}'",
                            char::from(*letter)
                        ));
                    };
                    if let Err(why) = wanted.take(*letter, value) {
                        return Parsed::Wrong(why);
                    }
                    break;
                }
                other => return Parsed::Wrong(format!("invalid option -- '{}'", char::from(*other))),
            }
        }
    }
    wanted.words = rest.cloned().collect();
    Parsed::Run(wanted)
}

impl Wanted {
    fn take(&mut self, option: u8, value: &OsStr) -> Result<(), String> {
        let text = value.to_str().unwrap_or_default();
        let id = |text: &str| number::id(text).map_err(|error| error.reason);
        match option {
            b'u' => self.ids.0 = id(text)?,
            b'g' => self.ids.1 = id(text)?,
            _ => self.maps.extend(map(text).ok_or_else(|| {
                format!("-m {}: not {{u|g|b}}:NSID:HOSTID:COUNT, all three decimal", value.display())
            })?),
        }
        Ok(())
    }
}

/// `{u|g|b}:NSID:HOSTID:COUNT`.
fn map(text: &str) -> Option<Vec<IdMap>> {
    let mut parts = text.split(':');
    let kinds: &[IdKind] = match parts.next()? {
        "u" => &[IdKind::User],
        "g" => &[IdKind::Group],
        "b" => &[IdKind::User, IdKind::Group],
        _ => return None,
    };
    let ns_id = number::id(parts.next()?).ok()?;
    let host_id = number::id(parts.next()?).ok()?;
    let count = number::id_count(parts.next()?).ok()?;
    let fits = count > 0 && ns_id.checked_add(count).is_some() && host_id.checked_add(count).is_some();
    if parts.next().is_some() || !fits {
        return None;
    }
    Some(kinds.iter().map(|kind| IdMap { kind: *kind, ns_id, host_id, count }).collect())
}

/// The finished request: maps from the allocations when none was given, and checked before anything is made.
fn request(wanted: Wanted) -> Result<Request, Error> {
    let mut maps = wanted.maps;
    if maps.is_empty() {
        maps.extend(allocated()?);
    }
    if wanted.own {
        maps.extend(own(&maps));
    }
    let (uid, gid) = wanted.ids;
    idmap::check(&maps, &[(IdKind::User, uid, "the command"), (IdKind::Group, gid, "the command")])
        .map_err(|error| Error::new(error.kind(), error.to_string().replace("by lxc.idmap", "by -m")))
        .map_err(|error| error.cure("give a map for it: -m b:0:HOSTID:COUNT"))?;
    idmap::grant::check(&maps, &Origin::default()).map_err(|error| match error.kind() {
        ErrorKind::Permission if error.to_string().contains("lxc.idmap") => {
            Error::new(error.kind(), error.to_string().replace("lxc.idmap", "-m"))
                .cure("give maps inside what is his, or have root add to it with usermod(8)")
        }
        _ => error,
    })?;
    let mut words = wanted.words;
    if words.is_empty() {
        words.push("/bin/sh".into());
    }
    Ok(Request {
        namespaces: Ns::User.clone_flag() | Ns::Mnt.clone_flag(),
        maps,
        ids: Some(wanted.ids),
        words,
        ..Request::default()
    })
}

/// The caller's first ranges in /etc/subuid and /etc/subgid, from id 0 on.
fn allocated() -> Result<[IdMap; 2], Error> {
    let user = User::caller();
    let users = Allocation::read(IdKind::User, &user)?;
    let groups = Allocation::read(IdKind::Group, &user)?;
    default_maps(&users, &groups).ok_or_else(|| {
        let lacking: Vec<String> = [&users, &groups]
            .into_iter()
            .filter(|allocation| allocation.ranges.is_empty())
            .map(|allocation| allocation.describe(&user))
            .collect();
        let text = format!("Failed to find subuid or subgid allocation: {}", lacking.join("; "));
        Error::new(ErrorKind::Config, text).cure(format!(
            "give maps with -m, or as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {} (any ids \
             nobody else has)",
            user.word()
        ))
    })
}

/// One id each for the caller's own, behind those that are mapped.
fn own(maps: &[IdMap]) -> [IdMap; 2] {
    let free = |kind| {
        let ends = maps.iter().filter(|map| map.kind == kind).map(|map| map.ns_id.saturating_add(map.count));
        ends.max().unwrap_or(0)
    };
    let host = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    [(IdKind::User, host.0), (IdKind::Group, host.1)].map(|(kind, host_id)| IdMap {
        kind,
        ns_id: free(kind),
        host_id,
        count: 1,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn words(text: &str) -> Parsed {
        let words: Vec<OsString> =
            text.split_whitespace().map(|word| OsString::from_vec(word.as_bytes().to_vec())).collect();
        parse(&words)
    }

    fn wanted(text: &str) -> Wanted {
        match words(text) {
            Parsed::Run(wanted) => wanted,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_end_at_the_command() {
        let found = wanted("-sm u:0:100000:10 -g5 -u 6 -- ls -l");
        assert!(found.own);
        assert_eq!(found.ids, (6, 5));
        assert_eq!(found.maps, [IdMap { kind: IdKind::User, ns_id: 0, host_id: 100_000, count: 10 }]);
        assert_eq!(found.words, ["ls", "-l"]);
        assert_eq!(wanted("ls -l").words, ["ls", "-l"]);
        assert_eq!(wanted("-s - x").words, ["-", "x"]);
        assert_eq!(wanted(""), Wanted::default());
        assert_eq!(words("-h"), Parsed::Help);
        assert_eq!(words("-m"), Parsed::Wrong("option requires an argument -- 'm'".into()));
        assert_eq!(words("--help"), Parsed::Wrong("invalid option -- '-'".into()));
    }

    #[test]
    fn maps_are_read_strictly() {
        assert_eq!(map("b:0:1:2").map(|maps| maps.len()), Some(2));
        for bad in [
            "",
            "u",
            "x:0:1:2",
            "u:0:1",
            "u:0:1:2:3",
            "u:0x0:1:2",
            "u:+0:1:2",
            "u: 0:1:2",
            "u:0:1:0",
            "u:0:4294967290:9",
            "u:-1:1:1",
        ] {
            assert_eq!(map(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_own_id_comes_behind_the_others() {
        let maps = [
            IdMap { kind: IdKind::User, ns_id: 0, host_id: 100_000, count: 10 },
            IdMap { kind: IdKind::User, ns_id: 50, host_id: 200_000, count: 1 },
        ];
        let [user, group] = own(&maps);
        assert_eq!((user.ns_id, user.count), (51, 1));
        assert_eq!(group.ns_id, 0);
    }
}
