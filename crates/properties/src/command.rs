//! Frames of the command socket, of every number and with payloads that do not fit them: decoding is total, and what
//! was understood means the same when it is sent on.

use lxc_core::command::reply::Reply;
use lxc_core::command::wire::{
    CgroupCtx, CgroupFd, Command, DATA_MAX, DeviceItem, HEADER, RequestHeader, ResponseHeader, StateInterest,
    decode_string, encode_string, immediate, immediate_of,
};
use lxc_core::command::{Refusal, Request};

pub fn check(input: &[u8]) {
    let Some((header, payload)) = input.split_first_chunk::<HEADER>() else { return };

    let request = RequestHeader::decode(*header);
    assert_eq!(request.encode(), *header, "a header is nothing but its three words");
    if let Some(len) = request.payload_len() {
        assert!(len <= DATA_MAX && (len == 0) == (request.datalen <= 0));
    } else {
        assert!(request.datalen > 8192);
    }
    assert_eq!(immediate_of(immediate(immediate_of(request.data))), immediate_of(request.data));

    // Once as announced, and once with every command: a fuzzer should not have to find 27 numbers.
    understood(request, payload);
    let low = usize::from(header.first().copied().unwrap_or(0));
    let command = Command::ALL.get(low % Command::ALL.len()).copied().expect("not empty");
    understood(RequestHeader { command: command.number(), ..request }, payload);

    let response = ResponseHeader::decode(*header);
    assert_eq!(response.encode(), *header);
    let reply = Reply { ret: response.ret, data: response.data, payload: payload.to_vec(), fds: Vec::new() };
    let sent = reply.header();
    assert_eq!(sent.datalen as usize, payload.len());
    assert!(payload.is_empty() || sent.data == 0, "no address of ours goes out");

    let ctx = CgroupCtx::decode(payload);
    assert_eq!(CgroupCtx::decode(&ctx.encode()), ctx);
    let fd = CgroupFd::decode(payload);
    assert!(fd.controller.len() <= 3 * 63, "63 bytes, or their replacements");
    assert!(!fd.controller.contains('\0'));
    if let Some(text) = decode_string(payload) {
        assert!(!text.contains('\0'));
        assert_eq!(decode_string(&encode_string(&text)), Some(text));
    }
    if let Some(interest) = StateInterest::decode(payload) {
        assert_eq!(interest.encode().as_slice(), payload);
    }
    if let Some(item) = DeviceItem::decode(payload) {
        assert!(b"abc".contains(&item.kind));
    }
}

/// Decodes a request and sends it on.
fn understood(header: RequestHeader, payload: &[u8]) {
    match Request::decode(header, payload) {
        Err(Refusal::Close) => {}
        Err(Refusal::Errno(errno)) => assert!(errno.raw_os_error() > 0),
        Ok(request) => {
            assert_eq!(request.command().number(), header.command);
            let (sent, body) = request.encode();
            assert_eq!(sent.command, header.command);
            assert_eq!(usize::try_from(sent.datalen), Ok(body.len()));
            // A byte that is not UTF-8 becomes three.
            assert!(body.len() <= (3 * payload.len()).max(96), "{request:?} became longer");
            let again = Request::decode(sent, &body);
            assert_eq!(normal(again.expect("what we send we understand")), normal(request));
        }
    }
}

/// Without what a resent request says otherwise: there is always room for the whole answer.
fn normal(request: Request) -> Request {
    match request {
        Request::GetCgroupFd { wanted, .. } => {
            Request::GetCgroupFd { wanted: cut(wanted), room: CgroupFd::SIZE }
        }
        Request::GetLimitCgroupFd { wanted, .. } => {
            Request::GetLimitCgroupFd { wanted: cut(wanted), room: CgroupFd::SIZE }
        }
        other => other,
    }
}

/// A name that is not UTF-8 is longer once its bytes are replaced, and is cut to 63 bytes again when sent on.
fn cut(mut wanted: CgroupFd) -> CgroupFd {
    if wanted.controller.contains('\u{fffd}') {
        wanted.controller.clear();
    }
    wanted
}
