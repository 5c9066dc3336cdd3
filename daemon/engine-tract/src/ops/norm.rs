//! Normalisation, alone or after adding a residual, and the addition alone.

use tract_onnx::tract_core::internal::*;

use super::{Shared, matrix, reuse, rows_like};
use crate::kernels::elementwise::add_all;
use crate::kernels::norm::{Affine, normalize_rows};

/// `norm(x + residual)`: inputs `x` and `residual`, both `[length, width]`; output `[length, width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddNorm {
    pub(crate) affine: Shared<Affine>,
}

/// `norm(x)`: input and output `[length, width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Normalize {
    pub(crate) affine: Shared<Affine>,
}

/// `x + residual`: inputs `x` and `residual`, output of the same shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Add;

impl Op for Add {
    fn name(&self) -> StaticName {
        "MednerdAdd".into()
    }
    op_as_typed_op!();
}

impl EvalOp for Add {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (x, residual) = args_2!(inputs);
        ensure!(x.shape() == residual.shape(), "two shapes cannot be added");
        let mut x = x.into_tensor();
        let values = residual.try_as_plain_ram()?.as_slice::<f32>()?;
        add_all(x.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?, values);
        reuse(residual);
        Ok(tvec!(x.into_tvalue()))
    }
}

impl TypedOp for Add {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(inputs.iter().take(1).map(|fact| fact.without_value()).collect())
    }
    as_op!();
}

/// Normalises `x` where it lies; it is copied only if something else still needs it.
fn normalized(x: TValue, residual: Option<&TValue>, affine: &Affine) -> TractResult<TVec<TValue>> {
    let width = affine.weight.len();
    let (rows, _) = matrix(&x, width)?;
    let residual = residual.map(|r| matrix(r, width)).transpose()?;
    if let Some((found, _)) = residual {
        ensure!(found == rows, "{rows} rows are expected, found {found}");
    }
    let mut x = x.into_tensor();
    normalize_rows(
        x.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?,
        residual.map(|(_, values)| values),
        affine,
    );
    Ok(tvec!(x.into_tvalue()))
}

impl Op for AddNorm {
    fn name(&self) -> StaticName {
        "MednerdAddNorm".into()
    }
    op_as_typed_op!();
}

impl EvalOp for AddNorm {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (x, residual) = args_2!(inputs);
        let out = normalized(x, Some(&residual), &self.affine);
        reuse(residual);
        out
    }
}

impl TypedOp for AddNorm {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        rows_like(inputs, self.affine.weight.len())
    }
    as_op!();
}

impl Op for Normalize {
    fn name(&self) -> StaticName {
        "MednerdNormalize".into()
    }
    op_as_typed_op!();
}

impl EvalOp for Normalize {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        normalized(args_1!(inputs), None, &self.affine)
    }
}

impl TypedOp for Normalize {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        rows_like(inputs, self.affine.weight.len())
    }
    as_op!();
}
