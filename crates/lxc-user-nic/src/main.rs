//! `lxc-user-nic`: gives unprivileged users' containers a veth, within the limits of lxc-usernet(5). Set-uid root.
//!
//! ORDER: nothing of the caller's is kept; the caller's namespace is opened and proven with the caller's rights; only then
//! does the process become root for good, take the lock and decide.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use lxc_user_nic::caller::{self, Caller};
use lxc_user_nic::create::{Made, Wanted, create};
use lxc_user_nic::delete::{Unwanted, delete};
use lxc_user_nic::nicdb::Database;
use lxc_user_nic::request::{self, Request, Unclear};
use lxc_user_nic::rtnl::Route;
use lxc_user_nic::{Refusal, Result, database_file, link, netns, usernet, usernet_file};

fn main() -> ExitCode {
    // Copied before the inheritance goes.
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let outcome = caller::leave_inheritance().and_then(|()| match request::parse(&words) {
        Ok(request) => run(&request),
        Err(Unclear::Usage) => Err(Refusal(request::USAGE.trim_end().to_owned())),
        Err(Unclear::Because(why)) => Err(Refusal(format!("lxc-user-nic: {why}"))),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refusal(text)) => {
            // Nobody is left to be told when this fails.
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

fn run(request: &Request) -> Result<()> {
    let outcome = match request {
        Request::Create { pid, kind, link, inside } => make(*pid, kind, link, inside.as_deref()),
        Request::Delete { netns, kind, link, nic } => Caller::identify().and_then(|caller| {
            let netns = netns::at(&caller, netns)?;
            caller::become_root()?;
            let mut database = Database::lock(&database_file())?;
            let unwanted = Unwanted { kind, link, nic, netns: &netns };
            delete(&caller, &unwanted, &mut database, &mut route()?)
        }),
    };
    outcome.map_err(|Refusal(text)| Refusal(format!("lxc-user-nic: {text}")))
}

fn make(pid: u32, kind: &str, link: &str, inside: Option<&str>) -> Result<()> {
    let caller = Caller::identify()?;
    let netns = netns::of_process(&caller, pid)?;
    caller::become_root()?;
    let file = usernet_file();
    let rules = std::fs::read(&file).map_err(|error| {
        Refusal(format!("{file}: {error}; it needs a line: {} {kind} {link} COUNT", caller.user))
    })?;
    let rules = usernet::parse(&rules);
    let mut route = route()?;
    let wanted = Wanted { kind, link, inside, netns: &netns };
    let mut database = Database::lock(&database_file())?;
    let made = create(&caller, &wanted, &rules, &file, &mut database, &mut route)?;
    // Not under the lock: the reader may be slow on purpose.
    drop(database);
    report(&made).inspect_err(|_| {
        // The namespace takes it along at the latest.
        let _ = link::delete(&mut route, made.host_index);
    })
}

/// The line the library reads.
fn report(made: &Made) -> Result<()> {
    let Made { inside, inside_index, host, host_index } = made;
    let mut out = std::io::stdout();
    writeln!(out, "{inside}:{inside_index}:{host}:{host_index}")
        .and_then(|()| out.flush())
        .map_err(|error| Refusal(format!("tell the name of the new interface: {error}")))
}

fn route() -> Result<Route> {
    Route::open().map_err(|errno| Refusal(format!("open a route socket: {errno}")))
}
