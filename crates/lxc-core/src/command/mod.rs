//! The command socket: wire format, requests, replies and the blocking client.
