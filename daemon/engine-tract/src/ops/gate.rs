//! The gate of a gated feed-forward layer.

use mednerd_model::Activation;
use tract_onnx::tract_core::internal::*;

use super::{filled, matrix, reuse, rows_like};
use crate::kernels::elementwise::Gated;
use crate::kernels::simd::dispatch;

/// `activation(g) * u`: input `[length, 2 * width]`, `g` and `u` side by side; output `[length, width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gate {
    pub(crate) activation: Activation,
    pub(crate) width: usize,
}

impl Op for Gate {
    fn name(&self) -> StaticName {
        "MednerdGate".into()
    }
    op_as_typed_op!();
}

impl EvalOp for Gate {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let x = args_1!(inputs);
        let (length, values) = matrix(&x, 2 * self.width)?;
        let out = filled(length, self.width, |out| {
            dispatch(Gated {
                activation: self.activation,
                rows: values,
                width: self.width,
                out,
            });
            Ok(())
        });
        reuse(x);
        out
    }
}

impl TypedOp for Gate {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        rows_like(inputs, self.width)
    }
    as_op!();
}
