//! Convolution along the sequence.

use mednerd_model::Activation;
use tract_onnx::tract_core::internal::*;

use super::{Shared, filled, matrix, reuse, rows_like, with_scratch};
use crate::kernels::convolution::{Filters, convolve};

/// `activation(convolve(x) + bias)`: input and output `[length, width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Convolve {
    pub(crate) filters: Shared<Filters>,
    pub(crate) bias: Shared<Vec<f32>>,
    pub(crate) activation: Activation,
}

impl Op for Convolve {
    fn name(&self) -> StaticName {
        "MednerdConvolve".into()
    }
    op_as_typed_op!();
}

impl EvalOp for Convolve {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let x = args_1!(inputs);
        let width = self.filters.width();
        let (length, values) = matrix(&x, width)?;
        let out = filled(length, width, |out| {
            with_scratch(|scratch| convolve(values, &self.filters, &self.bias, self.activation, out, scratch))
        });
        reuse(x);
        out
    }
}

impl TypedOp for Convolve {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        rows_like(inputs, self.filters.width())
    }
    as_op!();
}
