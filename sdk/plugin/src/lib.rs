//! Plugins for mednerd.
//!
//! A vendor implements [`Normalizer`], [`Adapter`] or [`DocumentFormat`] and names the types in [`export!`];
//! all of that is safe Rust. `sdk/plugin/README.md` goes from nothing to an installed plugin, `ABI.md` says
//! what is promised.
//!
//! - [`types`]: what goes in and comes out; [`contract`]: what must be true of it.
//! - feature `vendor` (default): the traits and the macro.
//! - feature `characters`: documents that are not UTF-8 ([`characters`]).
//! - feature `host`: loads plugins into this process ([`host`]).
//! - feature `package`: manifests and signatures ([`package`]).
#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

#[cfg(feature = "characters")]
pub mod characters;
pub mod contract;
#[cfg(feature = "host")]
pub mod host;
#[cfg(feature = "package")]
pub mod package;
#[cfg(feature = "vendor")]
#[doc(hidden)]
pub mod shim;
mod systems;
pub mod types;
#[cfg(feature = "vendor")]
mod vendor;

pub use systems::{CODE_SYSTEMS, CodeSystem};
pub use types::*;
#[cfg(feature = "vendor")]
pub use vendor::{Adapter, Call, DocumentFormat, Host, Level, Normalizer, Settings};
