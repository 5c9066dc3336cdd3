//! The mednerd socket API for Rust programs: its types ([`api`]) and a client ([`Client`]).
//!
//! ```no_run
//! # async fn example() -> Result<(), mednerd_client::ClientError> {
//! use mednerd_client::{Client, api::AnnotateRequest};
//!
//! let mut client = Client::new("/run/mednerd/mednerd.sock");
//! let answer = client.annotate(&AnnotateRequest::new("Metformin for type 2 diabetes.")).await?;
//! for entity in &answer.entities {
//!     println!("{}..{} {}", entity.begin, entity.end, entity.label);
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::sync::LazyLock;

pub mod api;
mod client;

pub use client::{Batch, Client, ClientError};

/// The version of mednerd that this was built as: that of its packages, where it was built for one, else the release's.
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| match option_env!("MEDNERD_REVISION") {
        Some(revision) if !revision.is_empty() => format!("{}-{revision}", env!("CARGO_PKG_VERSION")),
        _ => env!("CARGO_PKG_VERSION").to_owned(),
    });
    &VERSION
}

/// The socket that the package's configuration uses for EHR systems.
pub const DEFAULT_SOCKET: &str = "/run/mednerd/mednerd.sock";
/// The socket that the package's configuration uses for administrators.
pub const DEFAULT_ADMIN_SOCKET: &str = "/run/mednerd/admin.sock";
