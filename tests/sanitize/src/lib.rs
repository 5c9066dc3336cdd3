//! The kernels of `mednerd-engine-tract` and their tests, which know nothing of tract: for AddressSanitizer, which has to compile
//! everything anew.
#![allow(dead_code, missing_docs)]

#[cfg(test)]
#[path = "../../../daemon/engine-tract/src/kernels/mod.rs"]
mod kernels;
#[cfg(test)]
#[path = "../../../daemon/engine-tract/src/testing.rs"]
mod testing;
