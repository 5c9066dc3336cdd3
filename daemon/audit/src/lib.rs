//! The audit trail: who had which document annotated, when, by what, and what came of it, without a word of
//! the document. [`record`] is what is written down, [`key`] what binds it, [`trail`] the files and who
//! writes them, [`verify`] reads them back and finds every change.
//!
//! A trail is NDJSON. Each line holds the chain value of the line before (`previous`) and ends with its own
//! (`chain`): HMAC-SHA256 over the line's bytes up to there, with a key derived from the audit key. Whoever
//! lacks the key can neither change a byte nor take a line out unseen; cutting the end off is seen by
//! comparing with a chain value noted elsewhere (the journal has each).
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod key;
pub mod record;
pub mod trail;
pub mod verify;

#[cfg(test)]
mod tests;

pub use key::{Key, KeyError};
pub use record::{Entry, Event, Peer, Record};
pub use trail::{Part, Trail, Written, files, parts};
pub use verify::{Fault, Report, Verifier};

/// The version of the format of records. A reader refuses what is newer.
pub const FORMAT: u32 = 1;
