//! The 264 bytes of `struct lxc_msg`: decoding is total, and nothing but the name's garbage is lost.

use lxc_core::state::msg::{LxcMsg, What};

pub fn check(input: &[u8]) {
    let mut bytes = [0; LxcMsg::SIZE];
    for (to, from) in bytes.iter_mut().zip(input) {
        *to = *from;
    }
    let message = LxcMsg::decode(&bytes);
    assert!(!message.name.contains('\0') && message.name.len() <= 3 * 255);
    if let Some(state) = message.as_state() {
        assert_eq!(message.what, What::State(state.number()));
    }
    let sent = message.encode();
    assert_eq!(sent[..4], bytes[..4], "the type");
    assert_eq!(sent[260..], bytes[260..], "the value");
    if !message.name.contains('\u{fffd}') {
        assert_eq!(LxcMsg::decode(&sent), message);
    }
}
