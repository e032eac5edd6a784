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

    fn of_monitor() {
        let guest = Guest::build("json").make();
        let path = guest.lxcpath().join("events");
        let out = std::fs::File::create(&path).unwrap();
        let mut monitor =
            guest.tool("lxc-monitor").args(["--format", "json"]).spawn(out, std::process::Stdio::null());
        guest.await_watcher();
        guest.start();
        guest.kill();
        let read = || std::fs::read_to_string(&path).unwrap();
        testkit::eventually(std::time::Duration::from_secs(20), || read().contains("STOPPED"));
        drop(monitor.kill());
        drop(monitor.wait());
        let text = read();
        guest.tool("lxc-monitor").arg("-Q").done();
        let start = format!(r#"{{"schema":"lxc-monitor","version":1,"name":"{}","#, guest.name());
        let ends: Vec<&str> = text.lines().map(|line| line.strip_prefix(&start).unwrap_or(line)).collect();
        let expected = [
            r#""state":"STARTING"}"#,
            r#""state":"RUNNING"}"#,
            r#""signal":9}"#,
            r#""state":"STOPPING"}"#,
            r#""state":"STOPPED"}"#,
        ];
        assert_eq!(ends, expected);
    }

    fn of_a_stopped_one() {
        let guest = Guest::build("json").make();
        let info = guest.tool("lxc-info").args(["--format", "json"]).done().exits(0).ok();
        assert!(info.contains("\"STOPPED\"") && info.contains("null"), "{info}");
    }
}
