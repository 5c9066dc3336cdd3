//! Runs token-classification encoders on the CPU: an `Architecture` is lowered straight to tract plans made of our own
//! operators, with weights packed once at load. All threads share a model; task adapters share their base's weights.
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod error;
mod gliner;
mod kernels;
mod lower;
mod model;
mod onnx;
mod ops;
#[cfg(test)]
mod testing;

pub use error::EngineError;
pub use gliner::{Asked, GlinerModel, LabelSet};
pub use model::{Options, Precision, TractModel};
