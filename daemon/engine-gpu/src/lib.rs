//! Runs token-classification encoders by launching GPU kernels (`kernels/*.cu`) and matrix products on a [`Device`]:
//! CUDA in `daemon/engine-cuda`, the same kernels as C++ on the CPU in `tests/emulated-gpu`. Batches are packed: the tokens
//! of all sequences one after the other, with cumulative lengths and no padding. No CUDA is linked here.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod changes;
#[cfg(feature = "checks")]
pub mod checks;
mod device;
mod engine;
mod fastest;
mod lower;
mod pack;
mod run;
mod scaled;
mod scorer;

pub use device::{
    Arg, Copied, Device, DeviceError, Kind, Launch, ROWS_AT_ONCE, Recorded, Values, e4m3, kernel_name,
};
pub use engine::GpuEngine;
pub use fastest::{Fastest, Shape};
