//! Attention of every token to every token.

use tract_onnx::tract_core::internal::*;

use super::{filled, matrix, rows_like, with_scratch};
use crate::kernels::attention::{Heads, attend};

/// Input `[length, 3 * heads * width]`, queries, keys and values side by side; output `[length, heads * width]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attend {
    pub(crate) heads: Heads,
}

// The scale is a finite constant, so equality is an equivalence.
impl Eq for Attend {}

impl Attend {
    fn joined(&self) -> usize {
        self.heads.count * self.heads.width
    }
}

impl Op for Attend {
    fn name(&self) -> StaticName {
        "MednerdAttend".into()
    }
    op_as_typed_op!();
}

impl EvalOp for Attend {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let qkv = args_1!(inputs);
        let (length, values) = matrix(&qkv, 3 * self.joined())?;
        filled(length, self.joined(), |out| {
            with_scratch(|scratch| attend(values, length, self.heads, out, scratch))
        })
    }
}

impl TypedOp for Attend {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        rows_like(inputs, self.joined())
    }
    as_op!();
}
