//! The GPU engine's device: candle's tensors for memory, loading and matrix products, our kernels for everything else, on
//! one stream.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod device;
mod eight;
mod lt;
mod open;

pub use device::Cuda;
pub use open::{Found, open};
