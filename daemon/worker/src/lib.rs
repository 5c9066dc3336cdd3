//! Workers: child processes that compute for the daemon and may die at any moment. [`frame`] is what
//! travels between the two, [`Worker`] the daemon's side with supervision (heartbeat, deadlines, restart with
//! back-off, circuit breaker), [`child`] the worker's side.
//!
//! The child's end of a socket pair is its standard input; its other streams are `/dev/null` unless asked
//! otherwise, and its environment is what its settings say. Payloads are the users' own; nothing here reads or logs them.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod child;
pub mod frame;
mod policy;
mod supervisor;

pub use policy::{Backoff, Breaker};
pub use supervisor::{CallError, Death, Notice, Settings, StartError, State, Statistics, Ticket, Worker};
