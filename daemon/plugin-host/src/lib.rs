//! What the daemon and its plugin hosts say to each other. The program itself is in `main.rs`.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod protocol;
