//! How a test says that it cannot run here, so that it does not look like one that passed.

#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::Write;

/// Set where every test must run: a test that would be skipped fails.
pub const NO_SKIPS: &str = "MEDNERD_NO_SKIPS";

/// Says that the test that calls this is skipped, and what it lacks, past the capture of the test harness.
///
/// # Panics
/// Where [`NO_SKIPS`] is set.
pub fn skipped(lacks: impl Display) {
    let _ = writeln!(std::io::stderr(), "\nskipped: {lacks}");
    assert!(
        std::env::var_os(NO_SKIPS).is_none(),
        "{NO_SKIPS} is set, and this test is skipped: {lacks}"
    );
}
