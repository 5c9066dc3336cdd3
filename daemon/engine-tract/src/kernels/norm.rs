//! Normalisation of rows, in place, optionally after adding a residual.

use mednerd_model::NormKind;

use super::elementwise::{add, sum};
use super::simd::widest;

/// A norm: its kind, one weight and one bias per column, and what is added to the variance or the mean square.
#[derive(Debug)]
pub(crate) struct Affine {
    pub(crate) kind: NormKind,
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) eps: f32,
}

/// `rows = norm(rows + residual)`, row by row; both are row-major with as many columns as the norm has weights.
pub(crate) fn normalize_rows(rows: &mut [f32], residual: Option<&[f32]>, affine: &Affine) {
    let width = affine.weight.len();
    widest(
        #[inline(always)]
        || {
            for (index, row) in rows.chunks_exact_mut(width).enumerate() {
                if let Some(residual) = residual {
                    add(row, &residual[index * width..]);
                }
                normalize(row, affine);
            }
        },
    );
}

#[inline(always)]
fn normalize(row: &mut [f32], affine: &Affine) {
    #[allow(clippy::cast_precision_loss)] // Widths are far below 2^24.
    let share = 1.0 / row.len() as f32;
    let mean = match affine.kind {
        NormKind::Layer => sum(row, |x| x) * share,
        NormKind::Rms => 0.0,
    };
    let variance = sum(row, |x| (x - mean) * (x - mean)) * share;
    let scale = 1.0 / (variance + affine.eps).sqrt();
    for ((x, weight), bias) in row.iter_mut().zip(&affine.weight).zip(&affine.bias) {
        *x = (*x - mean) * scale * *weight + *bias;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_the_definition(
            width in 1_usize..100,
            count in 1_usize..5,
            with_residual in any::<bool>(),
            kind in prop_oneof![Just(NormKind::Layer), Just(NormKind::Rms)],
            seed in any::<u64>(),
        ) {
            let x = random(width * count, 3.0, seed);
            let r = random(width * count, 3.0, seed ^ 1);
            let affine = Affine {
                kind,
                weight: random(width, 1.0, seed ^ 2),
                bias: random(width, 1.0, seed ^ 3),
                eps: 1e-5,
            };
            let mut got = x.clone();
            normalize_rows(&mut got, with_residual.then_some(r.as_slice()), &affine);
            for (index, got) in got.chunks(width).enumerate() {
                let row: Vec<f64> = (index * width..(index + 1) * width)
                    .map(|i| f64::from(if with_residual { x[i] + r[i] } else { x[i] }))
                    .collect();
                let mean = if kind == NormKind::Layer { row.iter().sum::<f64>() / width as f64 } else { 0.0 };
                let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / width as f64;
                for (i, got) in got.iter().enumerate() {
                    let want = (row[i] - mean) / (variance + 1e-5).sqrt() * f64::from(affine.weight[i])
                        + f64::from(affine.bias[i]);
                    prop_assert!((f64::from(*got) - want).abs() < 2e-5, "{got} {want}");
                }
            }
        }
    }
}
