//! Relays between terminals and pipes of the test's own.

use super::*;

fn filter(state: &mut EscapeState, input: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let leave = state.filter(Some(1), input, &mut out);
    (out, leave)
}

#[test]
fn the_escape_byte_leaves_with_q_and_is_sent_when_doubled() {
    let mut state = EscapeState::default();
    assert_eq!(filter(&mut state, b"a\x01\x01b"), (b"a\x01b".to_vec(), false));
    assert_eq!(filter(&mut state, b"x\x01q!"), (b"x".to_vec(), true));
}

#[test]
fn an_escape_is_remembered_over_reads_and_forgotten_by_other_keys() {
    let mut state = EscapeState::default();
    assert_eq!(filter(&mut state, b"\x01"), (b"".to_vec(), false));
    assert_eq!(filter(&mut state, b"x"), (b"\x01x".to_vec(), false));
    assert_eq!(filter(&mut state, b"q"), (b"q".to_vec(), false));
}

#[test]
fn escapes_are_letters_and_anything_else_switches_them_off() {
    for text in ["^a", "a", "^A", "A"] {
        let escape = Escape::parse(text).expect("letter");
        assert_eq!((escape.byte(), escape.key()), (Some(1), Some('a')), "{text}");
    }
    for text in ["-1", "-", "1", "^"] {
        assert_eq!(Escape::parse(text).map(Escape::byte), Ok(None), "{text}");
    }
    assert!(Escape::parse("").is_err() && Escape::parse("ab").is_err());
}

#[test]
fn files_cannot_be_waited_for() {
    let null = std::fs::File::open("/dev/null").expect("open");
    let (read, _write) = rustix::pipe::pipe().expect("pipe");
    assert!(!can_wait_for(null.as_fd()) && can_wait_for(read.as_fd()));
}

#[test]
fn without_an_escape_every_byte_passes() {
    let mut out = Vec::new();
    assert!(!EscapeState::default().filter(None, b"\x01q", &mut out));
    assert_eq!(out, b"\x01q");
}

#[test]
fn output_written_before_the_hang_up_is_delivered() {
    let pty = tty::open().expect("pty");
    let (read, write) = rustix::pipe::pipe().expect("pipe");
    rustix::io::write(&pty.pts, b"last words").expect("write");
    drop(pty.pts);
    let signals = Signals::block().expect("signals");
    let ended = super::relay(
        &Relay {
            ptx: pty.ptx.as_fd(),
            input: None,
            output: write.as_fd(),
            log: None,
            escape: None,
            signals_to: None,
            at_input_end: AtInputEnd::Continue,
        },
        &signals,
    );
    assert_eq!(ended.expect("relay"), Ended::HungUp);
    let mut bytes = [0; 64];
    let count = rustix::io::read(&read, &mut bytes).expect("read");
    assert_eq!(&bytes[..count], b"last words");
}

#[test]
fn input_that_ends_lets_the_answer_through() {
    let pty = tty::open().expect("pty");
    tty::make_raw(pty.pts.as_fd()).expect("raw");
    let (input, feed) = rustix::pipe::pipe().expect("pipe");
    let (read, write) = rustix::pipe::pipe().expect("pipe");
    let long = vec![b'k'; 3000];
    rustix::io::write(&feed, &long).expect("write");
    drop(feed);
    rustix::io::write(&pty.pts, b"answer").expect("write");
    let signals = Signals::block().expect("signals");
    let ended = super::relay(
        &Relay {
            ptx: pty.ptx.as_fd(),
            input: Some(input.as_fd()),
            output: write.as_fd(),
            log: None,
            escape: None,
            signals_to: None,
            at_input_end: AtInputEnd::Leave,
        },
        &signals,
    );
    assert_eq!(ended.expect("relay"), Ended::InputEnded);
    let mut bytes = [0; 4096];
    let count = rustix::io::read(&read, &mut bytes).expect("read");
    assert_eq!(&bytes[..count], b"answer");
    let mut got = 0;
    while got < long.len() {
        got += rustix::io::read(&pty.pts, &mut bytes).expect("read");
    }
}
