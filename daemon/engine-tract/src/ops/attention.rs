//! Attention, with queries and keys turned by their places where the positions are rotary.

use tract_onnx::tract_core::internal::*;

use super::{Shared, filled, matrix, rows_like, with_scratch};
use crate::kernels::attention::{Heads, Turns, attend};

/// Input `[length, columns]`, queries, keys and values side by side; output `[length, heads * width]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attend {
    pub(crate) heads: Heads,
    /// Made for this width of heads.
    pub(crate) turns: Option<Shared<Turns>>,
}

// The scale is a finite constant, so equality is an equivalence.
impl Eq for Attend {}

impl Op for Attend {
    fn name(&self) -> StaticName {
        "MednerdAttend".into()
    }
    op_as_typed_op!();
}

impl EvalOp for Attend {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut qkv = args_1!(inputs);
        let heads = self.heads;
        let (length, _) = matrix(&qkv, heads.columns())?;
        if let Some(turns) = &self.turns {
            ensure!(length <= turns.places(), "the sequence is too long");
            ensure!(heads.width == turns.width(), "the angles are for another width");
            // Turned where they lie; they are copied only if something else still needs them.
            let mut turned = qkv.into_tensor();
            turns.turn(turned.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?, heads);
            qkv = turned.into_tvalue();
        }
        let (_, values) = matrix(&qkv, heads.columns())?;
        filled(length, heads.joined(), |out| {
            with_scratch(|scratch| attend(values, length, heads, out, scratch))
        })
    }
}

impl TypedOp for Attend {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        rows_like(inputs, self.heads.joined())
    }
    as_op!();
}
