//! The clinical NER daemon: text comes in over a Unix socket, entities go out, nothing leaves the
//! host. [`run::serve`] is the daemon, [`run::validate`] the check of a configuration; `main.rs` only
//! parses the command line.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod access;
mod app;
mod audit;
pub mod check;
pub mod config;
mod generation;
mod gpu;
mod health;
pub mod http;
mod logging;
mod metrics;
mod models;
mod notify;
mod original;
mod page;
pub mod places;
mod plugins;
mod rerank;
pub mod run;
mod scheduler;
mod server;
mod settings;
mod sync;
mod terms;
mod wire;
mod zero_shot;

#[cfg(test)]
#[path = "../../../tests/fixtures/reference.rs"]
mod reference;
