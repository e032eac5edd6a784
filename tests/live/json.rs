//! `--format json` of lxc-info and lxc-ls, and that it changes nothing when it is not asked for.

use testkit::{Guest, cases};

cases! {
    fn of_info_and_ls() {
        let guest = Guest::build("json").start();
        let info = guest.tool("lxc-info").args(["--format", "json"]).done().exits(0).silent().ok();
        assert!(info.trim().starts_with('{') && info.trim().ends_with('}'), "{info}");
        for part in [format!("\"{}\"", guest.name()), "\"RUNNING\"".to_owned(), guest.pid().to_string()] {
            assert!(info.contains(&part), "{part}: {info}");
        }
        let ls = guest.bare_tool("lxc-ls").arg("-P").arg(guest.lxcpath()).args(["--format", "json"]).done().exits(0).ok();
        assert!(ls.trim().starts_with('{') && ls.contains(guest.name()) && ls.contains("\"version\""), "{ls}");
    }

    fn of_a_stopped_one() {
        let guest = Guest::build("json").make();
        let info = guest.tool("lxc-info").args(["--format", "json"]).done().exits(0).ok();
        assert!(info.contains("\"STOPPED\"") && info.contains("null"), "{info}");
    }
}
