//! `y = activation(x W^T + b)` with packed weights.

use mednerd_model::Activation;
use tract_onnx::tract_core::internal::*;

use super::{Shared, filled, matrix, rows_like, with_scratch};
use crate::kernels::gemm::{Finish, Packed, Rows, multiply};

/// The weights of one product.
#[derive(Debug)]
pub(crate) struct ProductWeights {
    pub(crate) matrix: Packed,
    pub(crate) bias: Option<Vec<f32>>,
}

/// Input `[length, inputs]`, output `[length, outputs]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) weights: Shared<ProductWeights>,
    pub(crate) activation: Option<Activation>,
}

impl Op for Product {
    fn name(&self) -> StaticName {
        "MednerdProduct".into()
    }
    op_as_typed_op!();
}

impl EvalOp for Product {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let x = args_1!(inputs);
        let weights = &self.weights.matrix;
        let (depth, columns) = (weights.depth(), weights.columns());
        let (count, values) = matrix(&x, depth)?;
        let rows = Rows {
            values,
            stride: depth,
            count,
        };
        let finish = Finish {
            bias: self.weights.bias.as_deref(),
            activation: self.activation,
        };
        filled(count, columns, |out| {
            with_scratch(|s| multiply(rows, weights, out, columns, finish, &mut s.tiles))
        })
    }
}

impl TypedOp for Product {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        rows_like(inputs, self.weights.matrix.columns())
    }
    as_op!();
}
