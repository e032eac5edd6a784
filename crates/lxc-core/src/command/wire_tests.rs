//! Golden bytes of abi-and-wire.md B7 and properties of the codec.

use proptest::prelude::*;

use super::*;
use crate::command::request::{Refusal, Request};
use rustix::io::Errno;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn header(request: &Request) -> Vec<u8> {
    request.encode().0.encode().to_vec()
}

#[test]
fn requests_have_the_observed_bytes() {
    assert_eq!(header(&Request::GetInitPid), words(&[4, 0, 0, 0]));
    assert_eq!(header(&Request::GetState), words(&[3, 0, 0, 0]));
    assert_eq!(header(&Request::GetTtyFd { tty: 1 }), words(&[0, 0, 1, 0]));
    assert_eq!(header(&Request::GetTtyFd { tty: -1 }), words(&[0, 0, u32::MAX, u32::MAX]));
    assert_eq!(header(&Request::ServeStateClients { state: 6 }), words(&[12, 0, 6, 0]));
    assert_eq!(header(&Request::Stop), words(&[2, 0, 0, 0]));

    let (head, payload) = Request::GetConfigItem { key: "lxc.no_new_privs".into() }.encode();
    assert_eq!((head.command, head.datalen), (7, 0x11));
    assert_eq!(payload, b"lxc.no_new_privs\0");

    let mut interest = StateInterest::default();
    interest.0[2] = 1;
    let (head, payload) = Request::AddStateClient(interest).encode();
    assert_eq!((head.command, head.datalen), (10, 0x20));
    assert_eq!(payload, words(&[0, 0, 1, 0, 0, 0, 0, 0]));

    let (head, payload) = Request::GetCgroupCtx { room: CgroupCtx::SIZE }.encode();
    assert_eq!((head.command, head.datalen), (0x17, 0x60));
    assert_eq!(payload, vec![0; 96]);
}

#[test]
fn the_cgroup_structures_have_the_observed_bytes() {
    // lxc-info asking for cpuacct, and the monitor's answer on a hybrid host.
    let asked = CgroupFd {
        layout: CgroupLayout::Legacy,
        utilities: 0,
        kind: 0,
        fd: -9,
        controller: "cpuacct".into(),
    };
    let bytes = asked.encode();
    assert_eq!(&bytes[..24], [words(&[0, 0, 0, 0xffff_fff7]), b"cpuacct\0".to_vec()].concat());
    assert_eq!(bytes.len(), 80);
    let answered = [words(&[1, 0, 0x0027_e0eb, 0x23]), b"cpuacct\0".to_vec(), vec![0; 56]].concat();
    let parsed = CgroupFd::decode(&answered);
    assert_eq!((parsed.layout, parsed.kind, parsed.fd), (CgroupLayout::Hybrid, CGROUP_V1, 0x23));
    assert_eq!(parsed.encode().to_vec(), answered);

    let ctx = CgroupCtx::decode(&[words(&[1, 0, 10, 0x1b]), vec![0; 80]].concat());
    assert_eq!((ctx.layout, ctx.fd_len, ctx.fds[0]), (CgroupLayout::Hybrid, 10, 0x1b));
}

#[test]
fn responses_have_the_observed_bytes() {
    let running = ResponseHeader { ret: 0, datalen: 0, data: immediate(2) };
    assert_eq!(running.encode().to_vec(), words(&[0, 0, 2, 0]));
    let waiting = ResponseHeader { ret: WILL_NOTIFY, datalen: 0, data: immediate(WILL_NOTIFY) };
    assert_eq!(waiting.encode().to_vec(), words(&[8, 0, 8, 0]));
    let denied = ResponseHeader { ret: -1, datalen: 0, data: 0 };
    assert_eq!(denied.encode().to_vec(), words(&[0xffff_ffff, 0, 0, 0]));
    let flags = ResponseHeader::decode(words(&[0, 0, 0x6e02_0000, 0]).try_into().unwrap());
    assert_eq!(immediate_of(flags.data), 0x6e02_0000);
}

#[test]
fn the_fixed_structures_sit_where_the_abi_puts_them() {
    let item = DeviceItem { kind: b'c', major: 10, minor: -1, access: *b"rwm\0", allow: true };
    let bytes = item.encode();
    assert_eq!(&bytes[..20], [words(&[0x63, 10, u32::MAX]), b"rwm\0".to_vec(), words(&[1])].concat());
    assert_eq!((bytes.len(), &bytes[20..]), (40, &[0u8; 20][..]));
    let log = ConsoleLogRequest { clear: true, read: true, read_max: 0x0102, write_logfile: true };
    let bytes = log.encode();
    assert_eq!((bytes[0], bytes[1], bytes[8], bytes[9], bytes[16], bytes.len()), (1, 1, 2, 1, 1, 24));
}

#[test]
fn what_the_original_refuses_is_refused_the_same_way() {
    let decode = |command, payload: &[u8]| {
        let datalen = i32::try_from(payload.len()).unwrap();
        Request::decode(RequestHeader { command, datalen, data: 0 }, payload)
    };
    let errno = |errno| Err(Refusal::Errno(errno));
    assert_eq!(decode(27, b""), errno(Errno::NOSYS));
    assert_eq!(decode(-1, b""), errno(Errno::NOSYS));
    assert_eq!(decode(7, b""), errno(Errno::INVAL));
    assert_eq!(decode(7, b"lxc.arch"), errno(Errno::INVAL));
    assert_eq!(decode(6, b"memory"), errno(Errno::INVAL));
    assert_eq!(decode(6, b"mem\0ory\0"), errno(Errno::INVAL));
    assert_eq!(decode(6, b""), Ok(Request::GetCgroup { controller: None }));
    assert_eq!(decode(10, &[0; 31]), errno(Errno::INVAL));
    assert_eq!(decode(11, &[0; 16]), errno(Errno::INVAL));
    assert_eq!(decode(14, &[0; 20]), errno(Errno::INVAL));
    assert_eq!(decode(24, &[0; 80]), errno(Errno::INVAL));
    assert_eq!(decode(23, &[0; 104]), Ok(Request::GetCgroupCtx { room: 104 }));
    assert_eq!(decode(15, &7i64.to_ne_bytes()), Ok(Request::Freeze { timeout: 7 }));
}

#[test]
fn every_number_maps_to_itself() {
    assert_eq!(Command::ALL.len(), 27);
    for (number, command) in (0..).zip(Command::ALL) {
        assert_eq!(command.number(), number);
        assert_eq!(Command::from_number(number), Some(*command));
    }
}

proptest! {
    #[test]
    fn headers_survive_the_wire(command: i32, datalen: i32, data: u64) {
        let header = RequestHeader { command, datalen, data };
        prop_assert_eq!(RequestHeader::decode(header.encode()), header);
        let header = ResponseHeader { ret: command, datalen, data };
        prop_assert_eq!(ResponseHeader::decode(header.encode()), header);
        let header = RequestHeader { command, datalen, data };
        prop_assert!(header.payload_len().is_none_or(|len| len <= DATA_MAX));
    }

    #[test]
    fn immediates_survive_the_wire(value: i32) {
        prop_assert_eq!(immediate_of(immediate(value)), value);
    }

    #[test]
    fn strings_survive_the_wire(text in "[^\u{0}]{0,200}") {
        prop_assert_eq!(decode_string(&encode_string(&text)), Some(text));
    }

    #[test]
    fn no_payload_makes_the_decoder_panic(command in -2i32..30, datalen: i32, data: u64, payload: Vec<u8>) {
        let _ = Request::decode(RequestHeader { command, datalen, data }, &payload);
    }

    #[test]
    fn what_a_client_encodes_the_server_decodes(number in 0i32..27, value: i32, text in "[a-z.]{1,60}") {
        let command = Command::from_number(number).unwrap();
        let wanted = CgroupFd { controller: text.clone(), ..CgroupFd::default() };
        let request = match command {
            Command::GetTtyFd => Request::GetTtyFd { tty: value },
            Command::GetCgroup => Request::GetCgroup { controller: Some(text) },
            Command::GetLimitCgroup => Request::GetLimitCgroup { controller: None },
            Command::GetConfigItem => Request::GetConfigItem { key: text },
            Command::AddStateClient => Request::AddStateClient(StateInterest([value; 8])),
            Command::ConsoleLog => Request::ConsoleLog(ConsoleLogRequest {
                clear: true, read: false, read_max: u64::from(value.unsigned_abs()), write_logfile: true,
            }),
            Command::ServeStateClients => Request::ServeStateClients { state: value },
            Command::AddBpfDeviceCgroup => Request::AddBpfDeviceCgroup(DeviceItem {
                kind: b'b', major: value, minor: -1, access: *b"rw\0\0", allow: value > 0,
            }),
            Command::Freeze => Request::Freeze { timeout: value },
            Command::GetCgroupCtx => Request::GetCgroupCtx { room: CgroupCtx::SIZE },
            Command::GetCgroupFd => Request::GetCgroupFd { wanted, room: CgroupFd::SIZE },
            Command::GetLimitCgroupFd => Request::GetLimitCgroupFd { wanted, room: CgroupFd::SIZE },
            _ => Request::decode(RequestHeader { command: number, datalen: 0, data: 0 }, &[]).unwrap(),
        };
        let (header, payload) = request.encode();
        prop_assert_eq!(RequestHeader::decode(header.encode()), header);
        prop_assert_eq!(Request::decode(header, &payload), Ok(request));
    }
}
