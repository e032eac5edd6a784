//! lxc-console on containers that the original runs: banner, keys, sizes, ends, refusals.
//!
//! Needs root and the distribution's lxc.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test: what cannot go on shall fail"
)]

use std::process::Stdio;
use std::time::Duration;

use testkit::rootfs::Init;
use testkit::{Guest, Run, Subject, Terminal};

const LIMIT: Duration = Duration::from_secs(10);

fn start(label: &str, conf: &str) -> Guest {
    let guest = Guest::build(&format!("attachcon{label}")).subject(Subject::Theirs).init(Init::Busybox);
    guest.conf("lxc.tty.max = 3").conf(conf).start()
}

fn console(guest: &Guest) -> Run {
    Run::new(env!("CARGO_BIN_EXE_lxc-console")).arg("-P").arg(guest.lxcpath()).args(["-n", guest.name()])
}

fn banner(tty: u32, key: char) -> String {
    format!(
        "\r\nConnected to tty {tty}\r\n\
         Type <Ctrl+{key} q> to exit the console, <Ctrl+{key} Ctrl+{key}> to enter Ctrl+{key} itself\r\n"
    )
}

/// Logs in; the password is empty.
fn login(terminal: &mut Terminal) {
    terminal.send("\r");
    terminal.expect("login: ");
    terminal.send("root\r");
    terminal.expect("# ");
}

#[test]
fn a_shell_can_be_used_and_left() {
    let guest = start("use", "");
    let mut terminal = guest.terminal(console(&guest).args(["-t", "1"]));
    terminal.expect(&banner(1, 'a'));
    login(&mut terminal);
    terminal.send("echo $((40+2)) $(tty)\r");
    terminal.expect("42 /dev/tty1");
    terminal.send("stty size\r");
    terminal.expect("24 80");
    terminal.resize(100, 30);
    std::thread::sleep(Duration::from_millis(200));
    terminal.send("stty size\r");
    terminal.expect("30 100");
    terminal.send("sleep 1000\r");
    std::thread::sleep(Duration::from_millis(300));
    terminal.send("\x03");
    terminal.send("echo still $((1+1))\r");
    terminal.expect("still 2");
    terminal.send("\x01q");
    assert_eq!(terminal.exit_within(LIMIT), 0);
    // The tty is free again, and the session in it goes on.
    let mut terminal = guest.terminal(console(&guest).args(["-t", "1"]));
    terminal.expect(&banner(1, 'a'));
    terminal.send("echo back $((1+2))\r");
    terminal.expect("back 3");
    terminal.send("\x01q");
    assert_eq!(terminal.exit_within(LIMIT), 0);
}

#[test]
fn the_caller_s_terminal_is_given_back_as_it_was() {
    let guest = start("restore", "");
    let line = format!(
        "stty -g > {0}/before; {1} -P {2} -n {3} -t 1; stty -g > {0}/after; echo compared",
        guest.dir().display(),
        env!("CARGO_BIN_EXE_lxc-console"),
        guest.lxcpath().display(),
        guest.name()
    );
    let mut terminal = guest.terminal(Run::new("/bin/sh").args(["-c", &line]));
    terminal.expect("itself");
    std::thread::sleep(Duration::from_millis(300));
    terminal.send("\x01q");
    terminal.expect("compared");
    let read = |name: &str| std::fs::read_to_string(guest.dir().join(name)).unwrap();
    assert_eq!(read("before"), read("after"));
}

#[test]
fn the_escape_key_can_be_chosen_doubled_and_switched_off() {
    let guest = start("escape", "");
    for (option, key, code) in [("b", 'b', '\x02'), ("^x", 'x', '\x18')] {
        let mut terminal = guest.terminal(console(&guest).args(["-t", "1", "-e", option]));
        terminal.expect(&banner(1, key));
        // Another key's sequence does not end it: nothing is exited within this time.
        terminal.send("\x01q");
        assert!(!terminal.sees("no such text", Duration::from_millis(300)));
        terminal.send(&format!("{code}q"));
        assert_eq!(terminal.exit_within(LIMIT), 0, "{option}");
    }
    let mut terminal = guest.terminal(console(&guest).args(["-t", "2", "-e", "-1"]));
    std::thread::sleep(Duration::from_millis(300));
    terminal.send("\x01q");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!terminal.all().contains("Connected"), "{}", terminal.all());
    guest.kill();
    assert_eq!(terminal.exit_within(LIMIT), 0, "the container's end is the end");
}

#[test]
fn a_doubled_escape_arrives_once() {
    let guest = start("double", "");
    let mut terminal = guest.terminal(console(&guest).args(["-t", "1"]));
    terminal.expect("itself\r\n");
    login(&mut terminal);
    terminal.send("stty -echo raw; head -c 2 | od -An -tx1 2>/dev/null || echo no-od; stty sane\r");
    std::thread::sleep(Duration::from_millis(500));
    terminal.send("\x01\x01Z");
    // busybox here has no od: what counts is that exactly two bytes ended the wait.
    assert!(terminal.sees("#", LIMIT), "{}", terminal.all());
    terminal.send("\x01q");
    assert_eq!(terminal.exit_within(LIMIT), 0);
}

#[test]
fn refusals_have_the_original_s_words_and_exit_code() {
    let guest = start("refuse", "");
    let holder = guest.terminal(console(&guest).args(["-t", "1"]));
    std::thread::sleep(Duration::from_millis(500));
    let pipe = |words: &[&str]| console(&guest).args(words).stdin("").done();
    let _ = pipe(&["-t", "1"]).exits(1).says("Denied access to tty");
    let _ = pipe(&["-t", "9"]).exits(1).says("Denied access to tty");
    drop(holder);
    for words in [&["-t", "abc"][..], &["-t", "-5"], &["-e", ""], &["-e", "xyz"]] {
        let _ = pipe(words).exits(1).says("could not parse command line");
    }
    // /dev/null and files cannot be waited for.
    let null = console(&guest).args(["-t", "2"]).done();
    let _ = null.exits(1).says("Failed to add stdin handler");
    guest.kill();
    let _ = pipe(&[]).exits(1).says(&format!("{} is not running", guest.name()));
}

#[test]
fn a_pipe_s_end_is_the_end_and_the_answer_is_shown() {
    let guest = start("pipe", "");
    let done = console(&guest).args(["-t", "1"]).stdin("\r").done().exits(0);
    assert!(done.stdout.contains("login:"), "{done}");
    assert!(done.stderr.contains("Connected to tty 1"), "{done}");
}

#[test]
fn whoever_waits_in_vain_is_told() {
    let guest = start("hint", "");
    let mut terminal = guest.terminal(console(&guest).args(["-t", "3"]));
    terminal.expect("no process in the container has /dev/tty3 open");
    terminal.expect("container-getty@3.service");
    terminal.send("\x01q");
    assert_eq!(terminal.exit_within(LIMIT), 0);
    let mut terminal = guest.terminal(console(&guest).args(["-t", "1"]));
    terminal.expect("itself");
    std::thread::sleep(Duration::from_millis(500));
    terminal.send("\x01q");
    assert_eq!(terminal.exit_within(LIMIT), 0);
    assert!(!terminal.all().contains("no process"), "{}", terminal.all());
}

#[test]
fn sigterm_detaches_and_the_tty_is_free_again() {
    let guest = start("term", "");
    let run = console(&guest).args(["-t", "1"]);
    let mut command = run.into_command();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut banner = String::new();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    while !banner.contains("Connected") {
        assert_ne!(std::io::BufRead::read_line(&mut stderr, &mut banner).unwrap(), 0, "{banner}");
    }
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    // `wait` would close it, and the end of the input is an end, too.
    let input = child.stdin.take();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    drop(input);
    let done = console(&guest).args(["-t", "1"]).stdin("\r").done().exits(0);
    assert!(done.stdout.contains("login:"), "{done}");
}
