//! Functions of single elements and rows, written so that the compiler vectorises them: no branches, no calls, sums in
//! a fixed number of lanes. They are compiled for the caller's instruction set and give the same bits on each.

use std::ops::Range;

use mednerd_model::Activation;
use pulp::Arch;

/// Lanes of a sum or maximum. The order of additions is part of the result, so it does not follow the register width.
const LANES: usize = 16;

/// `rows += other`, element by element.
pub(crate) fn add_all(rows: &mut [f32], other: &[f32]) {
    Arch::new().dispatch(
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

/// Applies an activation to every element.
#[inline(always)]
pub(crate) fn activate(activation: Activation, row: &mut [f32]) {
    match activation {
        Activation::Gelu => map(row, gelu),
        Activation::GeluTanh => map(row, gelu_tanh),
        Activation::QuickGelu => map(row, |x| x * sigmoid(1.702 * x)),
        Activation::Relu => map(row, |x| x.max(0.0)),
        Activation::Silu => map(row, |x| x * sigmoid(x)),
        Activation::Tanh => map(row, tanh),
    }
}

/// `row = activation(gain * row + biases)` for each row of `width` values in `rows`.
pub(crate) fn finish_rows(
    rows: &mut [f32],
    width: usize,
    gain: Option<&[f32]>,
    biases: [Option<&[f32]>; 2],
    activation: Option<Activation>,
) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for row in rows.chunks_exact_mut(width) {
                if let Some(gain) = gain {
                    for (x, gain) in row.iter_mut().zip(gain) {
                        *x *= *gain;
                    }
                }
                for bias in biases.into_iter().flatten() {
                    add(row, bias);
                }
                if let Some(activation) = activation {
                    activate(activation, row);
                }
            }
        },
    );
}

/// `out = activation(g) * u` for each row, where `g` and `u` are the halves of a row of `2 * width` values in `rows`.
pub(crate) fn gate(activation: Activation, rows: &[f32], width: usize, out: &mut [f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (out, row) in out.chunks_exact_mut(width).zip(rows.chunks_exact(2 * width)) {
                let (gate, values) = row.split_at(width);
                out.copy_from_slice(gate);
                activate(activation, out);
                for (x, value) in out.iter_mut().zip(values) {
                    *x *= *value;
                }
            }
        },
    );
}

/// `out = max(left + right, 0)`, element by element.
pub(crate) fn add_relu(left: &[f32], right: &[f32], out: &mut [f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for ((out, left), right) in out.iter_mut().zip(left).zip(right) {
                *out = (*left + *right).max(0.0);
            }
        },
    );
}

/// One step of an LSTM: `gates` are the input, forget, cell and output gate side by side before their functions, `cell` is
/// moved on, `out` becomes the state. All have the width of `cell`, `gates` four times that.
pub(crate) fn lstm_step(gates: &[f32], cell: &mut [f32], out: &mut [f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let width = cell.len();
            let (input, rest) = gates.split_at(width);
            let (forget, rest) = rest.split_at(width);
            let (new, output) = rest.split_at(width);
            let gates = input.iter().zip(forget).zip(new).zip(output);
            for ((cell, out), (((input, forget), new), output)) in cell.iter_mut().zip(out).zip(gates) {
                *cell = sigmoid(*forget) * *cell + sigmoid(*input) * tanh(*new);
                *out = sigmoid(*output) * tanh(*cell);
            }
        },
    );
}

#[inline(always)]
fn map(row: &mut [f32], function: impl Fn(f32) -> f32) {
    for x in row {
        *x = function(*x);
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
pub(crate) fn softmax(rows: &mut [f32], width: usize, scale: f32, seen: impl Fn(usize) -> Range<usize>) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (index, row) in rows.chunks_exact_mut(width).enumerate() {
                let Range { start, end } = seen(index);
                row[..start].fill(0.0);
                row[end..].fill(0.0);
                let row = &mut row[start..end];
                let top = maximum(row);
                for x in row.iter_mut() {
                    *x = exp((*x - top) * scale);
                }
                let share = 1.0 / sum(row, |x| x);
                for x in row.iter_mut() {
                    *x *= share;
                }
            }
        },
    );
}

/// `e^x` within 2 units in the last place, for `x` clamped to where the result is normal (the polynomial of Cephes,
/// Moshier 1992).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Adding it leaves the nearest integer in the lowest bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.3, 88.3);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 5.0e-1;
    let p = p * r * r + r + 1.0;
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    0.5 * x * (1.0 + tanh(SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x)))
}

/// The error function within 5e-7, by the rational approximation that Eigen and XLA use; exactly ±1 from where it
/// rounds to that, so that GELU far below zero is zero.
#[inline(always)]
fn erf(x: f32) -> f32 {
    const LIMIT: f32 = 3.92;
    let sign = 1.0_f32.copysign(x);
    let saturated = x.abs() > LIMIT;
    let x = x.clamp(-LIMIT, LIMIT);
    let s = x * x;
    let p = -2.726_142_3e-10;
    let p = p * s + 2.770_681_4e-8;
    let p = p * s + -2.101_024e-6;
    let p = p * s + -5.692_506_6e-5;
    let p = p * s + -7.349_906_4e-4;
    let p = p * s + -2.954_6e-3;
    let p = p * s + -1.609_603_4e-2;
    let q = -1.456_607_2e-5;
    let q = q * s + -2.133_740_6e-4;
    let q = q * s + -1.682_827e-3;
    let q = q * s + -7.373_329e-3;
    let q = q * s + -1.426_473_9e-2;
    if saturated { sign } else { x * p / q }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn worst(mut range: (f64, f64), got: fn(f32) -> f32, want: fn(f64) -> f64) -> f64 {
        let mut worst = 0.0_f64;
        let step = (range.1 - range.0) / 200_000.0;
        while range.0 < range.1 {
            let x = range.0 as f32;
            let expected = want(f64::from(x));
            worst = worst.max((f64::from(got(x)) - expected).abs() / expected.abs().max(1.0));
            range.0 += step;
        }
        worst
    }

    #[test]
    fn functions_are_close_to_double_precision() {
        assert!(worst((-87.0, 88.0), exp, f64::exp) < 2e-7);
        assert!(worst((-6.0, 6.0), erf, reference_erf) < 5e-7);
        assert!(worst((-20.0, 20.0), tanh, f64::tanh) < 3e-7);
        let gelu64 = |x: f64| 0.5 * x * (1.0 + reference_erf(x / 2_f64.sqrt()));
        assert!(worst((-20.0, 20.0), gelu, gelu64) < 1.5e-6);
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
            activate(activation, &mut row[..3]);
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
            softmax(&mut got, width, scale, seen);
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
            gate(Activation::Silu, &rows, width, &mut got);
            for (at, got) in got.iter().enumerate() {
                let first = at / width * 2 * width + at % width;
                let (g, u) = (f64::from(rows[first]), f64::from(rows[first + width]));
                prop_assert!((f64::from(*got) - g / (1.0 + (-g).exp()) * u).abs() < 4e-6);
            }
        }
    }
}
