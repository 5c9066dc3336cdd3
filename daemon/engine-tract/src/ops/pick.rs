//! Some rows of a matrix.

use tract_onnx::tract_core::internal::*;

use super::{filled, matrix, picked, rows_like};

/// Inputs `[length, width]` and `[count]` of u32, rows in rising order; output `[count, width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pick {
    pub(crate) width: usize,
}

impl Op for Pick {
    fn name(&self) -> StaticName {
        "MednerdPick".into()
    }
    op_as_typed_op!();
}

impl EvalOp for Pick {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (x, rows) = args_2!(inputs);
        let (length, values) = matrix(&x, self.width)?;
        let rows = picked(&rows, length)?;
        filled(rows.len(), self.width, |out| {
            for (out, row) in out.chunks_exact_mut(self.width).zip(rows) {
                out.copy_from_slice(&values[*row as usize * self.width..][..self.width]);
            }
            Ok(())
        })
    }
}

impl TypedOp for Pick {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        rows_like(inputs.get(1..).unwrap_or_default(), self.width)
    }
    as_op!();
}
