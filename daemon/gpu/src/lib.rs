//! GPU workers: what travels between the daemon and one ([`protocol`]), the worker's side of it for any engine
//! ([`serve`]), and the faults that tests inject there ([`Faults`]). No CUDA here: the daemon links this crate.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod faults;
pub mod protocol;
mod serve;

pub use faults::Faults;
pub use serve::{Engine, serve};
