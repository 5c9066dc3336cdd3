//! The tract operators that a lowered model is made of. Each checks its inputs' shapes, so that the kernels below it,
//! which index, cannot be reached with shapes that do not fit. Weights are shared by all sessions of a plan.

mod attention;
mod convolution;
mod embed;
mod gate;
mod linear;
mod norm;
mod pick;

pub(crate) use attention::{Attend, Relative, Term};
pub(crate) use convolution::Convolve;
pub(crate) use embed::{Embed, Places};
pub(crate) use gate::Gate;
pub(crate) use linear::{Change, Matrix, Product};
pub(crate) use norm::{Add, AddNorm, Normalize};
pub(crate) use pick::Pick;

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use tract_onnx::tract_core::internal::*;

use crate::kernels::attention::Scratch;

thread_local! {
    /// Buffers for packed blocks and scores: one set per thread, reused by every operator that runs on it.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Runs `work` with this thread's buffers. Operators do not nest, so they are never in use already.
pub(crate) fn with_scratch<T>(work: impl FnOnce(&mut Scratch) -> T) -> TractResult<T> {
    SCRATCH.with(|scratch| Ok(work(&mut *scratch.try_borrow_mut()?)))
}

/// Weights that all sessions share. Two are equal where they are the same; comparing the values would be of no use.
pub(crate) struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    pub(crate) fn new(weights: T) -> Self {
        Self(Arc::new(weights))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Eq for Shared<T> {}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("weights")
    }
}

/// The fact of an output with as many rows as the first input and `columns` columns.
fn rows_like(inputs: &[&TypedFact], columns: usize) -> TractResult<TVec<TypedFact>> {
    let first = inputs.first().context("an input is missing")?;
    let rows = first.shape.first().context("the input has no rows")?;
    Ok(tvec!(f32::fact([rows.clone(), columns.to_dim()])))
}

/// The rows of a row-major f32 matrix that must have `columns` columns.
fn matrix(tensor: &Tensor, columns: usize) -> TractResult<(usize, &[f32])> {
    let &[rows, found] = tensor.shape() else {
        bail!("a matrix is expected, found shape {:?}", tensor.shape());
    };
    ensure!(found == columns, "{columns} columns are expected, found {found}");
    Ok((rows, tensor.try_as_plain_ram()?.as_slice::<f32>()?))
}

/// Rows that are picked from a matrix of `length` rows: rising, so that none is there twice.
fn picked(tensor: &Tensor, length: usize) -> TractResult<&[u32]> {
    let rows = tensor.try_as_plain_ram()?.as_slice::<u32>()?;
    ensure!(rows.is_sorted_by(|one, next| one < next), "picked rows must rise");
    let fits = rows.last().is_none_or(|last| (*last as usize) < length);
    ensure!(fits, "a picked row is outside the {length} that there are");
    Ok(rows)
}

/// The most matrices that a thread keeps for reuse: what one layer has alive at once.
const KEPT: usize = 8;
/// The most values that a matrix kept for reuse has: 16 MiB.
const LARGEST: usize = 1 << 22;

thread_local! {
    /// Matrices that a later operator on this thread may overwrite, so that a run neither asks the system for memory nor
    /// clears it. They are of the shapes of the last sequence.
    static KEEP: RefCell<Vec<Tensor>> = const { RefCell::new(Vec::new()) };
}

/// A matrix filled by `fill`, which must write every value: what it finds there is what some earlier operator left.
fn filled(
    rows: usize,
    columns: usize,
    fill: impl FnOnce(&mut [f32]) -> TractResult<()>,
) -> TractResult<TVec<TValue>> {
    let kept = KEEP.with(|keep| {
        let mut keep = keep.try_borrow_mut().ok()?;
        let at = keep.iter().position(|kept| kept.shape() == [rows, columns])?;
        Some(keep.remove(at))
    });
    let mut out = match kept {
        Some(kept) => kept,
        None => Tensor::zero::<f32>(&[rows, columns])?,
    };
    fill(out.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?)?;
    Ok(tvec!(out.into_tvalue()))
}

/// Takes back the memory of a matrix that the caller needs no more, if nobody else does.
fn reuse(matrix: TValue) {
    let Ok(matrix) = Arc::try_unwrap(matrix.into_arc_tensor()) else {
        return;
    };
    if matrix.datum_type() != f32::datum_type() || matrix.len() > LARGEST {
        return;
    }
    KEEP.with(|keep| {
        let Ok(mut keep) = keep.try_borrow_mut() else {
            return;
        };
        // Another length: what was kept for the last one is of no use.
        keep.retain(|kept| kept.shape().first() == matrix.shape().first());
        if keep.len() == KEPT {
            keep.remove(0);
        }
        keep.push(matrix);
    });
}
