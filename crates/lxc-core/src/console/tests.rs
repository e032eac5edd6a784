//! Ring, log file, queues and terminals, without an event loop.

use super::*;
use rustix::termios::LocalModes;

struct Dir(PathBuf);

impl Dir {
    fn new(label: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("cmd-console-{label}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Dir(path)
    }
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn conf(dir: &Dir, buffer_size: u64, size: u64, rotate: bool) -> model::Console {
    let logfile = Some(dir.0.join("log").to_str().unwrap().to_owned());
    model::Console { buffer_size, size, rotate, logfile, path: None }
}

fn read_all() -> ConsoleLogRequest {
    ConsoleLogRequest { read: true, ..ConsoleLogRequest::default() }
}

#[test]
fn the_ring_keeps_the_newest_and_gives_the_oldest_first() {
    let mut ring = Ring::new(8);
    ring.push(b"abcdef");
    ring.push(b"ghij");
    assert_eq!(ring.read(3), b"cde");
    ring.push(b"0123456789ABC");
    assert_eq!(ring.read(usize::MAX), b"56789ABC");
    assert!(ring.is_empty());
}

#[test]
fn reading_the_log_consumes_it_and_clearing_empties_it() {
    let dir = Dir::new("request");
    let mut console = Console::new(Pty::on_host().unwrap(), &conf(&dir, 4096, 0, false)).unwrap();
    assert_eq!(console.log_request(read_all()), Err(Errno::NODATA));
    console.output(b"0123456789");
    assert_eq!(console.log_request(ConsoleLogRequest { read_max: 4, ..read_all() }).unwrap(), b"0123");
    let nothing = ConsoleLogRequest::default();
    assert_eq!(console.log_request(nothing).unwrap(), b"");
    let read_and_clear = ConsoleLogRequest { clear: true, read_max: 2, ..read_all() };
    assert_eq!(console.log_request(read_and_clear).unwrap(), b"45");
    assert_eq!(console.log_request(read_all()), Err(Errno::NODATA));

    let mut console = Console::new(Pty::on_host().unwrap(), &conf(&dir, 0, 0, false)).unwrap();
    assert_eq!(console.log_request(nothing), Err(Errno::FAULT));
}

#[test]
fn the_log_file_is_private_and_appended_to() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new("append");
    for _ in 0..2 {
        let mut console = Console::new(Pty::on_host().unwrap(), &conf(&dir, 0, 0, false)).unwrap();
        console.output(b"run\n");
        console.finish();
    }
    assert_eq!(dir.read("log"), "run\nrun\n");
    assert_eq!(std::fs::metadata(dir.0.join("log")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_full_log_file_starts_again_or_is_kept_as_one() {
    let text: String = (0..10).map(|digit| digit.to_string().repeat(1000)).collect();
    for rotate in [false, true] {
        let dir = Dir::new(if rotate { "rotate" } else { "truncate" });
        let mut console = Console::new(Pty::on_host().unwrap(), &conf(&dir, 0, 4096, rotate)).unwrap();
        for chunk in text.as_bytes().chunks(333) {
            console.output(chunk);
        }
        console.finish();
        assert_eq!(dir.read("log"), text[8192..]);
        assert_eq!(dir.0.join("log.1").exists(), rotate);
        if rotate {
            assert_eq!(dir.read("log.1"), text[4096..8192]);
        }
    }
}

#[test]
fn at_the_end_a_limited_log_file_becomes_the_start_of_the_ring() {
    let text: String = (0..10).map(|digit| digit.to_string().repeat(1000)).collect();
    let dir = Dir::new("end");
    let mut console = Console::new(Pty::on_host().unwrap(), &conf(&dir, 8192, 4096, false)).unwrap();
    console.output(text.as_bytes());
    console.finish();
    assert_eq!(dir.read("log"), text[1808..1808 + 4096]);
    // Unlike the original, which would leave an empty file.
    let dir = Dir::new("end-unlimited");
    let mut console = Console::new(Pty::on_host().unwrap(), &conf(&dir, 8192, 0, false)).unwrap();
    console.output(b"kept");
    console.finish();
    assert_eq!(dir.read("log"), "kept");
}

#[test]
fn the_console_is_lent_to_one_at_a_time() {
    let mut console = Console::new(Pty::on_host().unwrap(), &model::Console::default()).unwrap();
    let ptx = console.lend().unwrap();
    assert_eq!(console.lend().unwrap_err(), Errno::BADF);
    console.output(b"hello");
    let pts = console.endpoints().loan.unwrap();
    console.queues().loan.unwrap().write_to(pts.as_fd()).unwrap();
    let mut buffer = [0; 16];
    assert_eq!(rustix::io::read(&ptx, &mut buffer), Ok(5));
    assert_eq!(&buffer[..5], b"hello");
    console.take_back();
    drop(ptx);
    console.lend().unwrap();
    assert_eq!(Console::none().lend().unwrap_err(), Errno::BADF);
}

#[test]
fn a_borrower_who_does_not_read_loses_the_oldest_and_holds_up_nobody() {
    let mut console = Console::new(Pty::on_host().unwrap(), &model::Console::default()).unwrap();
    let _ptx = console.lend().unwrap();
    for _ in 0..100 {
        console.output(&[b'x'; 4096]);
    }
    assert!(console.wants_output());
    assert_eq!(console.queues().loan.unwrap().len(), BACKLOG);
}

#[test]
fn ttys_are_lent_by_number_or_any() {
    let ptys = (1..=3).map(|n| Pty { name: format!("pts/{n}").into(), ..Pty::on_host().unwrap() }).collect();
    let mut ttys = Ttys::new(ptys);
    assert_eq!(ttys.names(), ["pts/1", "pts/2", "pts/3"]);
    assert_eq!(ttys.lend(-1).unwrap().0, 1);
    assert_eq!(ttys.lend(3).unwrap().0, 3);
    assert_eq!(ttys.lend(3).unwrap_err(), Errno::BADF);
    assert_eq!(ttys.lend(4).unwrap_err(), Errno::BADF);
    assert_eq!(ttys.lend(0).unwrap_err(), Errno::BADF);
    assert_eq!(ttys.lend(-5).unwrap().0, 2);
    assert_eq!(ttys.lend(-1).unwrap_err(), Errno::BADF);
    ttys.take_back(1);
    assert_eq!(ttys.lend(-1).unwrap().0, 1);
}

#[test]
fn the_peer_gets_its_mode_back() {
    let host = Pty::on_host().unwrap();
    let pts = host.pts.as_ref().unwrap();
    let canonical = || rustix::termios::tcgetattr(pts).unwrap().local_modes.contains(LocalModes::ICANON);
    assert!(canonical());
    let mut console = Console::new(Pty::on_host().unwrap(), &model::Console::default()).unwrap();
    console.connect_peer(&host.name).unwrap();
    assert!(!canonical());
    drop(console);
    assert!(canonical());
}

#[test]
fn a_slow_peer_gets_the_last_words_and_a_dead_one_is_not_waited_for() {
    let host = Pty::on_host().unwrap();
    tty::make_raw(host.pts.as_ref().unwrap().as_fd()).unwrap();
    let mut console = Console::new(Pty::on_host().unwrap(), &model::Console::default()).unwrap();
    console.connect_peer(&host.name).unwrap();
    let text: Vec<u8> = (0..60_000u32).map(|number| b'a' + (number % 26) as u8).collect();
    console.output(&text);
    let ptx = Arc::clone(&host.ptx);
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        let mut buffer = [0; 1000];
        while got.len() < 60_000 {
            std::thread::sleep(std::time::Duration::from_millis(2));
            let read = rustix::io::read(&*ptx, &mut buffer).unwrap();
            got.extend_from_slice(&buffer[..read]);
        }
        got
    });
    console.finish();
    assert_eq!(reader.join().unwrap(), text);

    console.output(&text);
    drop(host);
    let started = std::time::Instant::now();
    console.finish();
    assert!(started.elapsed() < std::time::Duration::from_secs(2));
}
