//! What the end-to-end tests are made of: a daemon of one's own in a temporary folder ([`daemon`]),
//! HTTP spelled out byte by byte, so that a test can be as rude as it likes ([`http`]), and notes with
//! known contents ([`notes`]). The promises themselves are in `tests/*.rs`.
#![forbid(unsafe_code)]
// A harness fails a test by panicking, and says why on stderr.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

pub mod daemon;
pub mod http;
pub mod notes;
pub mod plugins;

use std::time::{Duration, Instant};

pub use daemon::{Config, Daemon, Site};
pub use http::{Connection, Reply};

/// How long anything is waited for before a test fails. Never reached on a machine that works, however
/// loaded it is.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until `condition` holds.
///
/// # Panics
/// Where it does not come to hold, with `what` was waited for.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < PATIENCE,
            "waited {} s in vain until {what}",
            PATIENCE.as_secs()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
