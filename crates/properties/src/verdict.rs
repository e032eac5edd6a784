//! What a seccomp proxy answers: only the answer to the question asked counts, and it is taken as it stands.

use lxc_core::seccomp::notify::{reply_room, verdict};

/// Header, notification and response.
const WHOLE: usize = 32 + 80 + 24;

pub fn check(input: &[u8]) {
    assert_eq!(reply_room(&[]), WHOLE);
    let id = input.get(112..120).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes);
    assert_eq!(verdict(input, id).is_some(), input.len() >= WHOLE);
    assert_eq!(verdict(input, id ^ 1), None, "the answer to another question");
    if let Some(response) = verdict(input, id) {
        let mut bytes = response.id.to_ne_bytes().to_vec();
        bytes.extend(response.val.to_ne_bytes());
        bytes.extend(response.error.to_ne_bytes());
        bytes.extend(response.flags.to_ne_bytes());
        assert_eq!(bytes, input[112..WHOLE]);
    }
}
