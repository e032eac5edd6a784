//! lxc-ls: both formats, byte for byte, and the filters.

use std::fs;

use testkit::{Guest, Run, cases};

/// Three containers of one lxcpath; the guest is the one that can be started.
fn three() -> (Guest, Vec<String>) {
    let guest = Guest::build("ls").make();
    let mut names = vec![guest.name().to_owned()];
    for (name, lines) in [("aa", "lxc.group = red blue\nlxc.start.auto = 1\n"), ("zz", "lxc.group = red\n")] {
        fs::create_dir(guest.lxcpath().join(name)).unwrap();
        fs::write(guest.lxcpath().join(name).join("config"), lines).unwrap();
        names.push(name.to_owned());
    }
    names.sort();
    (guest, names)
}

fn ls(guest: &Guest) -> Run {
    guest.bare_tool("lxc-ls").arg("-P").arg(guest.lxcpath())
}

cases! {
    fn names_one_a_line_padded_when_not_on_a_terminal() {
        let (guest, names) = three();
        let width = names.iter().map(String::len).max().unwrap();
        let text: String = names.iter().map(|name| format!("{name:width$} \n")).collect();
        let done = ls(&guest).done().exits(0);
        let loose: String = names.iter().map(|name| format!("{name:width$}\n")).collect();
        assert!(done.stdout == text || done.stdout == loose, "{done}\n{:?}", done.stdout);
    }

    fn one_a_line_is_unpadded() {
        let (guest, names) = three();
        ls(&guest).arg("-1").done().exits(0).prints(&format!("{}\n", names.join("\n"))).ok();
        ls(&guest).arg("--line").done().exits(0).prints(&format!("{}\n", names.join("\n"))).ok();
    }

    fn the_table() {
        let (guest, names) = three();
        let width = names.iter().map(String::len).max().unwrap();
        let mut text = format!("{:width$} {} \n", "NAME", "STATE   AUTOSTART GROUPS    IPV4 IPV6 UNPRIVILEGED");
        for name in &names {
            let rest = match name.as_str() {
                "aa" => "STOPPED 1         red, blue -    -    false        ",
                "zz" => "STOPPED 0         red       -    -    false        ",
                _ => "STOPPED 0         -         -    -    false        ",
            };
            text.push_str(&format!("{name:width$} {rest}\n"));
        }
        ls(&guest).arg("-f").done().exits(0).prints(&text).ok();
        ls(&guest).arg("--fancy").done().exits(0).prints(&text).ok();
    }

    fn columns_come_as_they_are_named() {
        let (guest, _) = three();
        let one = ls(&guest).args(["-f", "-F", "state,name", "aa"]).done().exits(0);
        one.prints("STATE   NAME \nSTOPPED aa   \n").ok();
        ls(&guest).args(["-f", "-F", "GROUPS,PID,RAM,SWAP", "aa"]).done().exits(0)
            .prints("GROUPS    PID RAM    SWAP   \nred, blue -   -      -      \n").ok();
        ls(&guest).args(["-f", "-F", "name,STATE,name", "aa"]).done().exits(0)
            .prints("NAME STATE   NAME \naa   STOPPED aa   \n").ok();
        ls(&guest).args(["-f", "-F", "name,nonsense"]).done().exits(0).prints("").says("Invalid key: nonsense").ok();
    }

    fn filters() {
        let (guest, names) = three();
        guest.start();
        let name = guest.name();
        let lines = |args: &[&str]| -> Vec<String> {
            ls(&guest).arg("-1").args(args).done().exits(0).ok().lines().map(str::to_owned).collect()
        };
        assert_eq!(lines(&["--running"]), [name]);
        assert_eq!(lines(&["--active"]), [name]);
        assert_eq!(lines(&["--stopped"]), ["aa", "zz"]);
        assert_eq!(lines(&["--defined"]), names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(lines(&["--frozen"]), Vec::<String>::new());
        assert_eq!(lines(&["-g", "red"]), ["aa", "zz"]);
        assert_eq!(lines(&["-g", "red,blue"]), ["aa"]);
        assert_eq!(lines(&["-g", "red", "-g", "blue"]), ["aa"]);
        assert_eq!(lines(&["^a+$"]), ["aa"]);
        assert_eq!(lines(&["--filter=z"]), ["zz"]);
        assert_eq!(lines(&["["]), Vec::<String>::new());
        guest.tool("lxc-freeze").done().exits(0).ok();
        assert_eq!(lines(&["--frozen"]), [name]);
        assert_eq!(lines(&["--active"]), [name]);
        // A frozen container counts as running, too.
        assert_eq!(lines(&["--running"]), [name]);
        assert_eq!(lines(&["--stopped"]), ["aa", "zz"]);
    }

    fn nothing_to_list_prints_nothing() {
        let guest = Guest::build("ls").make();
        let empty = guest.lxcpath().join("empty");
        fs::create_dir(&empty).unwrap();
        for path in [empty.clone(), empty.join("missing")] {
            for option in ["-1", "-f"] {
                guest.bare_tool("lxc-ls").arg("-P").arg(&path).arg(option).done().exits(0).prints("").ok();
            }
        }
    }

    fn a_directory_without_configuration_is_not_a_container() {
        let (guest, names) = three();
        fs::create_dir(guest.lxcpath().join("not-one")).unwrap();
        ls(&guest).arg("-1").done().exits(0).prints(&format!("{}\n", names.join("\n"))).ok();
    }

    fn a_running_one_shows_memory_and_pid() {
        let guest = Guest::build("ls").start();
        let text = ls(&guest).args(["-f", "-F", "NAME,STATE,PID,RAM"]).done().exits(0).ok();
        let row: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row[..3], [guest.name(), "RUNNING", &guest.pid().to_string()]);
        assert!(row[3].ends_with("MB") && row[3].split_once('.').unwrap().1.len() == 4, "{text}");
    }

    fn columns_on_a_terminal() {
        let (guest, names) = three();
        let mut terminal = guest.terminal(ls(&guest));
        terminal.exit_within(std::time::Duration::from_secs(10));
        let width = names.iter().map(String::len).max().unwrap();
        let text: String = names.iter().map(|name| format!("{name:width$} ")).collect();
        assert_eq!(terminal.all(), format!("{text}\r\n"));
    }
}
