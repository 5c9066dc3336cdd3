//! The arithmetic under our operators, in safe Rust: `pulp` picks the widest instruction set the CPU has at run time and
//! compiles each kernel for it. Nothing here knows tract or a model.

pub(crate) mod attention;
pub(crate) mod convolution;
pub(crate) mod disentangled;
pub(crate) mod elementwise;
pub(crate) mod gemm;
pub(crate) mod lstm;
pub(crate) mod norm;
