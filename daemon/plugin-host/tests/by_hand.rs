//! What the program says to people, and that it says nothing of who started it.
#![allow(clippy::unwrap_used)]

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

fn said(input: Stdio) -> (Option<i32>, String) {
    let mut host = Command::new(env!("CARGO_BIN_EXE_mednerd-plugin-host"));
    let output = host.stdin(input).env_clear().output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn by_hand_it_says_how_it_is_used_and_to_a_socket_that_is_closed_nothing() {
    let (code, usage) = said(Stdio::null());
    assert_eq!(code, Some(2));
    assert!(usage.contains("mednerd starts this program"), "{usage}");
    let (own, other) = UnixStream::pair().unwrap();
    drop(other);
    let (code, nothing) = said(Stdio::from(OwnedFd::from(own)));
    assert_eq!((code, nothing.as_str()), (Some(2), ""));
}
