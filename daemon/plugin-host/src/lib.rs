//! What the daemon and its plugin hosts say to each other, and which files a plugin reads. The program itself is in `main.rs`.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod data;
pub mod protocol;
