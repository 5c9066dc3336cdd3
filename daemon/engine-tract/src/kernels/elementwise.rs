//! Functions of single elements and rows, without branches or calls, for vectors or written so that the compiler
//! vectorises them; sums are in a fixed number of lanes. They are compiled for the caller's instruction set.

use std::ops::Range;

use mednerd_model::Activation;
use pulp::{Simd, WithSimd};

use super::simd::{multiply_add, widest};

/// Lanes of a sum or maximum. The order of additions is part of the result, so it does not follow the register width.
const LANES: usize = 16;

/// `rows += other`, element by element.
pub(crate) fn add_all(rows: &mut [f32], other: &[f32]) {
    widest(
        #[inline(always)]
        || add(rows, other),
    );
}

/// `row += other`, element by element.
#[inline(always)]
pub(crate) fn add(row: &mut [f32], other: &[f32]) {
    for (x, y) in row.iter_mut().zip(other) {
        *x += *y;
    }
}

/// `row += other` for rows so short that a loop's preparation would be felt.
#[inline(always)]
pub(crate) fn add_vectors<S: Simd>(simd: S, row: &mut [f32], other: &[f32]) {
    let ((row, row_rest), (other, other_rest)) = (S::as_mut_simd_f32s(row), S::as_simd_f32s(other));
    for (x, y) in row.iter_mut().zip(other) {
        *x = simd.add_f32s(*x, *y);
    }
    for (x, y) in row_rest.iter_mut().zip(other_rest) {
        *x += *y;
    }
}

/// Applies an activation to every element.
#[inline(always)]
pub(crate) fn activate<S: Simd>(simd: S, activation: Activation, row: &mut [f32]) {
    match activation {
        Activation::Gelu => map(
            simd,
            row,
            #[inline(always)]
            |x| gelu(simd, x),
        ),
        Activation::GeluTanh => map(
            simd,
            row,
            #[inline(always)]
            |x| gelu_tanh(simd, x),
        ),
        Activation::QuickGelu => map(
            simd,
            row,
            #[inline(always)]
            |x| {
                let scaled = simd.mul_f32s(x, simd.splat_f32s(1.702));
                simd.mul_f32s(x, sigmoid(simd, scaled))
            },
        ),
        Activation::Relu => map(
            simd,
            row,
            #[inline(always)]
            |x| simd.max_f32s(x, simd.splat_f32s(0.0)),
        ),
        Activation::Silu => map(
            simd,
            row,
            #[inline(always)]
            |x| simd.mul_f32s(x, sigmoid(simd, x)),
        ),
        Activation::Tanh => map(
            simd,
            row,
            #[inline(always)]
            |x| tanh(simd, x),
        ),
    }
}

/// Applies a function to every element. It is marked `#[inline(always)]`, so as to be compiled for the caller's registers.
#[inline(always)]
fn map<S: Simd>(simd: S, row: &mut [f32], function: impl Fn(S::f32s) -> S::f32s) {
    let (whole, rest) = S::as_mut_simd_f32s(row);
    for x in whole {
        *x = function(*x);
    }
    if !rest.is_empty() {
        let x = function(simd.partial_load_f32s(rest));
        simd.partial_store_f32s(rest, x);
    }
}

/// What comes of rows of `width` values after a product: `activation(gain * row + biases)`.
pub(crate) struct FinishRows<'a> {
    pub(crate) rows: &'a mut [f32],
    pub(crate) width: usize,
    pub(crate) gain: Option<&'a [f32]>,
    pub(crate) biases: [Option<&'a [f32]>; 2],
    pub(crate) activation: Option<Activation>,
}

impl WithSimd for FinishRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for row in self.rows.chunks_exact_mut(self.width) {
            if let Some(gain) = self.gain {
                for (x, gain) in row.iter_mut().zip(gain) {
                    *x *= *gain;
                }
            }
            for bias in self.biases.into_iter().flatten() {
                add(row, bias);
            }
            if let Some(activation) = self.activation {
                activate(simd, activation, row);
            }
        }
    }
}

/// `out = activation(g) * u` for each row, where `g` and `u` are the halves of a row of `2 * width` values in `rows`.
pub(crate) struct Gated<'a> {
    pub(crate) activation: Activation,
    pub(crate) rows: &'a [f32],
    pub(crate) width: usize,
    pub(crate) out: &'a mut [f32],
}

impl WithSimd for Gated<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.width;
        let out = self.out.chunks_exact_mut(width);
        for (out, row) in out.zip(self.rows.chunks_exact(2 * width)) {
            let (gate, values) = row.split_at(width);
            out.copy_from_slice(gate);
            activate(simd, self.activation, out);
            for (x, value) in out.iter_mut().zip(values) {
                *x *= *value;
            }
        }
    }
}

/// `out = max(left + right, 0)`, element by element.
pub(crate) fn add_relu(left: &[f32], right: &[f32], out: &mut [f32]) {
    widest(
        #[inline(always)]
        || {
            for ((out, left), right) in out.iter_mut().zip(left).zip(right) {
                *out = (*left + *right).max(0.0);
            }
        },
    );
}

#[inline(always)]
fn each_sigmoid<S: Simd>(simd: S, row: &mut [f32]) {
    map(
        simd,
        row,
        #[inline(always)]
        |x| sigmoid(simd, x),
    );
}

/// One step of an LSTM: `gates` are the input, forget, cell and output gate side by side before their functions, and changed;
/// `cell` is moved on, `out` becomes the state. All have the width of `cell`, `gates` four times that.
pub(crate) struct LstmStep<'a> {
    pub(crate) gates: &'a mut [f32],
    pub(crate) cell: &'a mut [f32],
    pub(crate) out: &'a mut [f32],
}

impl WithSimd for LstmStep<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.cell.len();
        let (open, rest) = self.gates.split_at_mut(2 * width);
        let (new, output) = rest.split_at_mut(width);
        each_sigmoid(simd, open);
        activate(simd, Activation::Tanh, new);
        each_sigmoid(simd, output);
        let (input, forget) = open.split_at(width);
        let added = input.iter().zip(new);
        for ((cell, forget), (input, new)) in self.cell.iter_mut().zip(forget).zip(added) {
            *cell = *forget * *cell + *input * *new;
        }
        self.out.copy_from_slice(self.cell);
        activate(simd, Activation::Tanh, self.out);
        for (out, output) in self.out.iter_mut().zip(output) {
            *out *= *output;
        }
    }
}

/// The sum of a row, in `LANES` interleaved partial sums.
#[inline(always)]
pub(crate) fn sum(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += term(*x);
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += term(*x);
    }
    sums.iter().sum()
}

#[inline(always)]
fn maximum(row: &[f32]) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut tops = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (top, x) in tops.iter_mut().zip(chunk) {
            *top = if *x > *top { *x } else { *top };
        }
    }
    rest.iter()
        .chain(&tops)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max)
}

/// `row = softmax(scale * row)` for each row of `width` values in `rows`, over the columns that `seen` gives for the row's
/// number; the others become zero. `scale` is above zero.
pub(crate) struct Softmax<'a, F> {
    pub(crate) rows: &'a mut [f32],
    pub(crate) width: usize,
    pub(crate) scale: f32,
    pub(crate) seen: F,
}

impl<F: Fn(usize) -> Range<usize>> WithSimd for Softmax<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let scale = simd.splat_f32s(self.scale);
        for (index, row) in self.rows.chunks_exact_mut(self.width).enumerate() {
            let Range { start, end } = (self.seen)(index);
            row[..start].fill(0.0);
            row[end..].fill(0.0);
            let row = &mut row[start..end];
            let top = simd.splat_f32s(maximum(row));
            map(
                simd,
                row,
                #[inline(always)]
                |x| exp(simd, simd.mul_f32s(simd.sub_f32s(x, top), scale)),
            );
            let share = 1.0 / sum(row, |x| x);
            for x in row.iter_mut() {
                *x *= share;
            }
        }
    }
}

/// The polynomial in `x` with these coefficients, the highest first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(simd: S, x: S::f32s, coefficients: [f32; N]) -> S::f32s {
    let mut sum = simd.splat_f32s(coefficients[0]);
    for coefficient in &coefficients[1..] {
        sum = multiply_add(simd, sum, x, simd.splat_f32s(*coefficient));
    }
    sum
}

/// `e^x` within 2 units in the last place, for `x` clamped to where the result is normal (the polynomial of Cephes,
/// Moshier 1992).
#[inline(always)]
fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    /// Adding it leaves the nearest integer in the lowest bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = clamp(simd, x, -87.3, 88.3);
    let shifted = multiply_add(
        simd,
        x,
        simd.splat_f32s(std::f32::consts::LOG2_E),
        simd.splat_f32s(ROUND),
    );
    let n = simd.sub_f32s(shifted, simd.splat_f32s(ROUND));
    let r = multiply_add(simd, n, simd.splat_f32s(-LN2_HIGH), x);
    let r = multiply_add(simd, n, simd.splat_f32s(-LN2_LOW), r);
    let p = polynomial(
        simd,
        r,
        [
            1.987_569_1e-4,
            1.398_199_9e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            1.666_666_5e-1,
            5.0e-1,
            1.0,
            1.0,
        ],
    );
    // Two to the power of n, put together in its exponent.
    let bits = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    let power = simd.add_u32s(bits, simd.splat_u32s(1.0_f32.to_bits()));
    simd.mul_f32s(p, simd.transmute_f32s_u32s(power))
}

#[inline(always)]
fn clamp<S: Simd>(simd: S, x: S::f32s, low: f32, high: f32) -> S::f32s {
    // In this order of operands what is not a number stays so.
    let x = simd.max_f32s(simd.splat_f32s(low), x);
    simd.min_f32s(simd.splat_f32s(high), x)
}

#[inline(always)]
fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.neg_f32s(x))))
}

#[inline(always)]
fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let above = simd.add_f32s(exp(simd, simd.add_f32s(x, x)), one);
    simd.sub_f32s(one, simd.div_f32s(simd.splat_f32s(2.0), above))
}

#[inline(always)]
fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let erf = erf(
        simd,
        simd.mul_f32s(x, simd.splat_f32s(std::f32::consts::FRAC_1_SQRT_2)),
    );
    let half = simd.mul_f32s(x, simd.splat_f32s(0.5));
    multiply_add(simd, half, erf, half)
}

#[inline(always)]
fn gelu_tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    let half = simd.mul_f32s(x, simd.splat_f32s(0.5));
    let square = simd.mul_f32s(x, x);
    let cubic = polynomial(simd, square, [0.044_715 * SQRT_2_OVER_PI, SQRT_2_OVER_PI]);
    multiply_add(simd, half, tanh(simd, simd.mul_f32s(x, cubic)), half)
}

/// The error function within 5e-7, by the rational approximation that Eigen and XLA use; exactly ±1 from where it
/// rounds to that, so that GELU far below zero is zero.
#[inline(always)]
fn erf<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const LIMIT: f32 = 3.92;
    let clamped = clamp(simd, x, -LIMIT, LIMIT);
    let s = simd.mul_f32s(clamped, clamped);
    let p = polynomial(
        simd,
        s,
        [
            -2.726_142_3e-10,
            2.770_681_4e-8,
            -2.101_024e-6,
            -5.692_506_6e-5,
            -7.349_906_4e-4,
            -2.954_6e-3,
            -1.609_603_4e-2,
        ],
    );
    let q = polynomial(
        simd,
        s,
        [
            -1.456_607_2e-5,
            -2.133_740_6e-4,
            -1.682_827e-3,
            -7.373_329e-3,
            -1.426_473_9e-2,
        ],
    );
    let erf = simd.div_f32s(simd.mul_f32s(clamped, p), q);
    let one = simd.splat_f32s(1.0);
    let saturated = simd.greater_than_f32s(simd.abs_f32s(x), simd.splat_f32s(LIMIT));
    let sign = simd.select_f32s(
        simd.greater_than_f32s(x, simd.splat_f32s(0.0)),
        one,
        simd.neg_f32s(one),
    );
    simd.select_f32s(saturated, sign, erf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::simd::dispatch;
    use proptest::prelude::*;

    /// The error function in double precision: its series, and beyond 2, where that cancels, its continued fraction.
    fn reference_erf(x: f64) -> f64 {
        let root_pi = std::f64::consts::PI.sqrt();
        if x.abs() > 2.0 {
            let tail = (1..200)
                .rev()
                .fold(0.0, |t, k| f64::from(k) / 2.0 / (x.abs() + t));
            return x.signum() * (1.0 - (-x * x).exp() / root_pi / (x.abs() + tail));
        }
        let (mut term, mut total) = (x, x);
        for n in 1..60 {
            term *= -x * x / f64::from(n);
            total += term / f64::from(2 * n + 1);
        }
        total * 2.0 / root_pi
    }

    #[derive(Clone, Copy)]
    enum Function {
        Exp,
        Erf,
        Activation(Activation),
    }

    struct Each<'a>(Function, &'a mut [f32]);

    impl WithSimd for Each<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            match self.0 {
                Function::Exp => map(
                    simd,
                    self.1,
                    #[inline(always)]
                    |x| exp(simd, x),
                ),
                Function::Erf => map(
                    simd,
                    self.1,
                    #[inline(always)]
                    |x| erf(simd, x),
                ),
                Function::Activation(activation) => activate(simd, activation, self.1),
            }
        }
    }

    fn worst(range: (f64, f64), function: Function, want: impl Fn(f64) -> f64) -> f64 {
        let step = (range.1 - range.0) / 200_000.0;
        let x: Vec<f32> = (0..200_000)
            .map(|i| (range.0 + step * f64::from(i)) as f32)
            .collect();
        let mut got = x.clone();
        dispatch(Each(function, &mut got));
        let pairs = x.iter().zip(got);
        pairs.fold(0.0, |worst, (x, got)| {
            let expected = want(f64::from(*x));
            worst.max((f64::from(got) - expected).abs() / expected.abs().max(1.0))
        })
    }

    #[test]
    fn functions_are_close_to_double_precision() {
        let activation = Function::Activation;
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        assert!(worst((-87.0, 88.0), Function::Exp, f64::exp) < 2e-7);
        assert!(worst((-6.0, 6.0), Function::Erf, reference_erf) < 5e-7);
        assert!(worst((-20.0, 20.0), activation(Activation::Tanh), f64::tanh) < 3e-7);
        let gelu = |x: f64| 0.5 * x * (1.0 + reference_erf(x / 2_f64.sqrt()));
        assert!(worst((-20.0, 20.0), activation(Activation::Gelu), gelu) < 1.5e-6);
        let gelu_tanh =
            |x: f64| 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x.powi(3))).tanh());
        assert!(worst((-20.0, 20.0), activation(Activation::GeluTanh), gelu_tanh) < 1.5e-6);
        assert!(worst((-20.0, 20.0), activation(Activation::Silu), |x| x * sigmoid(x)) < 1.5e-6);
        let quick = |x: f64| x * sigmoid(1.702 * x);
        assert!(worst((-20.0, 20.0), activation(Activation::QuickGelu), quick) < 1.5e-6);
    }

    #[test]
    fn activations_have_finite_limits() {
        for activation in [
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::QuickGelu,
            Activation::Relu,
            Activation::Silu,
            Activation::Tanh,
        ] {
            let mut row = [0.0, 1e4, -1e4, 1e30, -1e30];
            dispatch(Each(Function::Activation(activation), &mut row[..3]));
            assert_eq!(row[0], 0.0, "{activation:?}");
            assert!(row[2].abs() < 1.1, "{activation:?} {row:?}");
            let saturates = activation == Activation::Tanh;
            assert!(saturates || (row[1] - 1e4).abs() < 1.0, "{activation:?} {row:?}");
        }
    }

    proptest! {
        #[test]
        fn softmax_equals_the_definition(
            width in 1_usize..70,
            count in 1_usize..4,
            scale in 0.01_f32..4.0,
            reach in prop_oneof![Just(usize::MAX), 0_usize..40],
            seed in any::<u64>(),
        ) {
            let values = crate::testing::random(width * count, 8.0, seed);
            let mut got = values.clone();
            let seen = |row: usize| (row % width).saturating_sub(reach)..(row % width).saturating_add(reach).min(width - 1) + 1;
            dispatch(Softmax { rows: &mut got, width, scale, seen });
            for (index, (got, row)) in got.chunks(width).zip(values.chunks(width)).enumerate() {
                let part = &row[seen(index)];
                let top = part.iter().copied().fold(f32::MIN, f32::max);
                let total: f64 = part.iter().map(|x| f64::from((x - top) * scale).exp()).sum();
                for (at, (got, x)) in got.iter().zip(row).enumerate() {
                    let term = f64::from((x - top) * scale).exp() / total;
                    let want = if seen(index).contains(&at) { term } else { 0.0 };
                    prop_assert!((f64::from(*got) - want).abs() < 1e-6);
                }
            }
        }

        #[test]
        fn gate_equals_the_definition(width in 1_usize..70, count in 1_usize..4, seed in any::<u64>()) {
            let rows = crate::testing::random(2 * width * count, 4.0, seed);
            let mut got = vec![f32::NAN; width * count];
            dispatch(Gated { activation: Activation::Silu, rows: &rows, width, out: &mut got });
            for (at, got) in got.iter().enumerate() {
                let first = at / width * 2 * width + at % width;
                let (g, u) = (f64::from(rows[first]), f64::from(rows[first + width]));
                prop_assert!((f64::from(*got) - g / (1.0 + (-g).exp()) * u).abs() < 4e-6);
            }
        }
    }
}
