//! The arithmetic under our operators: `simd` picks the widest instruction set the CPU has at run time, for which `pulp`
//! compiles each kernel. Safe Rust but for the register tiles. Nothing here knows tract or a model.

pub(crate) mod attention;
pub(crate) mod convolution;
pub(crate) mod disentangled;
pub(crate) mod elementwise;
pub(crate) mod gemm;
pub(crate) mod int8;
pub(crate) mod lstm;
pub(crate) mod norm;
pub(crate) mod simd;
mod tile;
mod vnni;
