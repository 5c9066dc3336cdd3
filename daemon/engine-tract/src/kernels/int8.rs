//! Matrix product with weights and activations of 8 bits: weights quantised once, one scale per column; activations as they
//! come, one scale and one zero point per row. Sums are of integers and exact, so a row's result depends on nothing but
//! the row. Needs a CPU with AVX-512 VNNI.

use pulp::{Simd, WithSimd};

use super::gemm::{Finish, Rows, Split};
use super::simd;
use super::vnni::{self, Vnni};

/// Columns of a vector of sums.
pub(super) const LANES: usize = 16;
/// Values of one column that are multiplied at once.
pub(super) const GROUP: usize = 4;
/// Rows that are multiplied with all columns before the next ones are: they stay in the second cache level.
const ROWS: usize = 256;

/// Weights of 8 bits, in panels as the tile reads them: of each group of rows, the values of one column side by side.
#[derive(Debug)]
pub(crate) struct Quantised {
    vnni: Vnni,
    depth: usize,
    columns: usize,
    split: Split,
    panels: Vec<i8>,
    /// What one step of a column's values means; for the columns that fill up the last vector as well.
    scales: Vec<f32>,
    /// The sum of a column's values, by which the activations' zero point is taken off.
    sums: Vec<i32>,
}

/// Rows of activations, quantised: a buffer that a thread keeps.
#[derive(Debug, Default)]
pub(crate) struct QuantisedRows {
    /// Each row filled up to whole groups.
    values: Vec<u8>,
    /// Per row: what one step means, and the value that means zero.
    steps: Vec<(f32, i32)>,
}

/// Whether this CPU can compute in 8 bits.
pub(crate) fn available() -> bool {
    Vnni::detect().is_some()
}

impl Quantised {
    /// A matrix of `depth` rows and `columns` columns, all zero, to be filled; `None` where the CPU has no VNNI.
    pub(crate) fn zeros(depth: usize, columns: usize) -> Option<Self> {
        let split = Split::new(columns, LANES);
        let held = split.first(split.panels);
        Some(Self {
            vnni: Vnni::detect()?,
            depth,
            columns,
            split,
            panels: vec![0; held * depth.next_multiple_of(GROUP)],
            scales: vec![0.0; held],
            sums: vec![0; held],
        })
    }

    /// Fills the columns from `first` on with the rows of `W`, as the weights of a linear layer come: each column from
    /// -127 to 127, its largest value being one of the two.
    pub(crate) fn fill_transposed(&mut self, first: usize, rows: &[f32], depth: usize) {
        let padded = self.depth.next_multiple_of(GROUP);
        for (column, row) in (first..).zip(rows.chunks_exact(depth)) {
            let top = row.iter().fold(0.0_f32, |top, x| top.max(x.abs()));
            let share = if top > 0.0 { 127.0 / top } else { 0.0 };
            let panel = self.split.panel(column);
            let (start, width) = (self.split.first(panel), self.split.width(panel));
            let groups = self.panels[start * padded..].chunks_exact_mut(width * GROUP);
            let mut sum = 0;
            for (group, values) in groups.zip(row.chunks(GROUP)) {
                for (slot, value) in group[(column - start) * GROUP..].iter_mut().zip(values) {
                    #[allow(clippy::cast_possible_truncation)] // It is within -127 and 127.
                    let value = (value * share).round() as i8;
                    *slot = value;
                    sum += i32::from(value);
                }
            }
            self.scales[column] = top / 127.0;
            self.sums[column] = sum;
        }
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Bytes of the packed values, scales and sums.
    pub(crate) fn bytes(&self) -> usize {
        self.panels.capacity() + (self.scales.capacity() + self.sums.capacity()) * size_of::<f32>()
    }
}

impl QuantisedRows {
    /// Quantises rows, each over the range of its values and zero. A row with a value that is not finite gets a scale that
    /// is not, so that the product is not either.
    fn fill(&mut self, rows: Rows<'_>, depth: usize) {
        let padded = depth.next_multiple_of(GROUP);
        self.values.resize(rows.count * padded, 0);
        self.steps.clear();
        simd::dispatch(Quantise {
            rows,
            depth,
            padded,
            into: self,
        });
    }
}

struct Quantise<'a> {
    rows: Rows<'a>,
    depth: usize,
    padded: usize,
    into: &'a mut QuantisedRows,
}

impl WithSimd for Quantise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let QuantisedRows { values, steps } = self.into;
        let out = values.chunks_exact_mut(self.padded);
        for (out, row) in out.zip(self.rows.values.chunks(self.rows.stride)) {
            let row = &row[..self.depth];
            let (low, high, flaw) = range(simd, row);
            let step = (high - low) / 255.0;
            let share = if step > 0.0 { 1.0 / step } else { 0.0 };
            let zero = (-low * share).round();
            let (live, rest) = out.split_at_mut(self.depth);
            for (out, x) in live.iter_mut().zip(row) {
                *out = nearest(x * share + zero);
            }
            rest.fill(0);
            steps.push((step + flaw, i32::from(nearest(zero))));
        }
    }
}

/// The nearest integer, within what 8 bits hold.
#[inline(always)]
fn nearest(x: f32) -> u8 {
    /// Adding it leaves the nearest integer in the lowest bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    #[allow(clippy::cast_possible_truncation)] // The lowest 8 bits are the integer.
    let nearest = (x.clamp(0.0, 255.0) + ROUND).to_bits() as u8;
    nearest
}

/// What is known of the values seen, in two vectors each, as every step waits for the one before.
struct Seen<S: Simd> {
    low: [S::f32s; 2],
    high: [S::f32s; 2],
    /// Zero where all values are finite, and NaN where not.
    flaw: [S::f32s; 2],
}

impl<S: Simd> Seen<S> {
    #[inline(always)]
    fn take(&mut self, simd: S, values: &[S::f32s; 2]) {
        for (at, values) in values.iter().enumerate() {
            self.low[at] = simd.min_f32s(self.low[at], *values);
            self.high[at] = simd.max_f32s(self.high[at], *values);
            self.flaw[at] = simd.mul_add_f32s(*values, simd.splat_f32s(0.0), self.flaw[at]);
        }
    }
}

/// The least and the largest of the values and zero; last, zero where all values are finite and NaN where not.
#[inline(always)]
fn range<S: Simd>(simd: S, row: &[f32]) -> (f32, f32, f32) {
    let zero = simd.splat_f32s(0.0);
    let (low, high, flaw) = ([zero; 2], [zero; 2], [zero; 2]);
    let mut seen = Seen::<S> { low, high, flaw };
    let (whole, rest) = S::as_simd_f32s(row);
    let (pairs, last) = whole.as_chunks();
    for pair in pairs {
        seen.take(simd, pair);
    }
    let last = last.first().copied().unwrap_or(zero);
    seen.take(simd, &[last, simd.partial_load_f32s(rest)]);
    let Seen { low, high, flaw } = seen;
    (
        simd.reduce_min_f32s(simd.min_f32s(low[0], low[1])),
        simd.reduce_max_f32s(simd.max_f32s(high[0], high[1])),
        simd.reduce_sum_f32s(simd.add_f32s(flaw[0], flaw[1])),
    )
}

/// `C = finish(A B)` as [`gemm::multiply`](super::gemm::multiply) gives it, but for the rounding to 8 bits. The rows of `c`
/// are `stride` apart; the product is never added to what is there.
///
/// # Panics
/// Where the slices are shorter than the shapes claim; the operators check the shapes.
pub(crate) fn multiply(
    a: Rows<'_>,
    b: &Quantised,
    c: &mut [f32],
    stride: usize,
    finish: Finish<'_>,
    scratch: &mut QuantisedRows,
) {
    scratch.fill(a, b.depth);
    let padded = b.depth.next_multiple_of(GROUP);
    for top in (0..a.count).step_by(ROWS) {
        let rows = top..a.count.min(top + ROWS);
        for panel in 0..b.split.panels {
            let (first, width) = (b.split.first(panel), b.split.width(panel));
            let block = vnni::Block {
                a: &scratch.values,
                steps: &scratch.steps,
                depth: padded,
                panel: &b.panels[first * padded..][..width * padded],
                scales: &b.scales[first..][..width],
                sums: &b.sums[first..][..width],
                first,
                columns: width.min(b.columns - first),
                finish,
            };
            b.vnni.multiply(&block, rows.clone(), c, stride);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;
    use mednerd_model::Activation;
    use proptest::prelude::*;

    fn rows(values: &[f32], depth: usize) -> Rows<'_> {
        Rows {
            values,
            stride: depth,
            count: values.len() / depth,
        }
    }

    /// `None` where this CPU has no VNNI.
    fn quantised(weight: &[f32], depth: usize) -> Option<Quantised> {
        let Some(mut matrix) = Quantised::zeros(depth, weight.len() / depth) else {
            mednerd_skip::skipped("this CPU has no VNNI");
            return None;
        };
        matrix.fill_transposed(0, weight, depth);
        Some(matrix)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        /// The definition: every factor rounded to a multiple of its step, of which there are 254 in a column, and 255 in
        /// a row.
        #[test]
        fn equals_the_definition(
            count in 1_usize..30,
            depth in 1_usize..90,
            columns in 1_usize..120,
            shift in -1.0_f32..1.0,
            seed in any::<u64>(),
        ) {
            let a: Vec<f32> = random(count * depth, 1.0, seed).iter().map(|x| x + shift).collect();
            let weight = random(columns * depth, 1.0, seed ^ 1);
            let bias = random(columns, 1.0, seed ^ 2);
            let Some(matrix) = quantised(&weight, depth) else {
                return Ok(());
            };
            let finish = Finish { bias: Some(&bias), activation: Some(Activation::Relu), onto: false };
            let mut got = vec![f32::NAN; count * columns];
            multiply(rows(&a, depth), &matrix, &mut got, columns, finish, &mut QuantisedRows::default());
            for (i, a) in a.chunks(depth).enumerate() {
                let (low, high) = a.iter().fold((0.0_f32, 0.0_f32), |(l, h), x| (l.min(*x), h.max(*x)));
                let step = f64::from(high - low) / 255.0;
                for (j, w) in weight.chunks(depth).enumerate() {
                    let top = f64::from(w.iter().fold(0.0_f32, |t, x| t.max(x.abs())));
                    let exact: f64 = a.iter().zip(w).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
                    // Half a step of either factor, times the other.
                    let slack: f64 = a.iter().zip(w)
                        .map(|(x, y)| step * f64::from(y.abs()) + top / 254.0 * (f64::from(x.abs()) + step))
                        .sum();
                    let got = f64::from(got[i * columns + j]);
                    let want = exact + f64::from(bias[j]);
                    prop_assert!(got >= 0.0);
                    prop_assert!((got - want.max(0.0)).abs() <= slack + 1e-5, "{got} {want} {slack}");
                }
            }
        }

        #[test]
        fn integers_are_multiplied_exactly(count in 1_usize..20, groups in 1_usize..40, seed in any::<u64>()) {
            let (depth, columns) = (groups * 3 + 2, groups * 5);
            let whole = |count, top: f32, seed| -> Vec<f32> {
                random(count, top, seed).iter().map(|x| x.round()).collect()
            };
            let (mut a, mut weight) = (whole(count * depth, 127.0, seed), whole(columns * depth, 127.0, seed ^ 1));
            // Ranges of exactly as many integers as there are values of 8 bits.
            a.chunks_mut(depth).for_each(|row| (row[0], row[1]) = (-128.0, 127.0));
            weight.chunks_mut(depth).for_each(|row| row[0] = 127.0);
            let Some(matrix) = quantised(&weight, depth) else {
                return Ok(());
            };
            let mut got = vec![f32::NAN; count * columns];
            multiply(rows(&a, depth), &matrix, &mut got, columns, Finish::default(), &mut QuantisedRows::default());
            for (i, a) in a.chunks(depth).enumerate() {
                for (j, w) in weight.chunks(depth).enumerate() {
                    let want: f32 = a.iter().zip(w).map(|(x, y)| x * y).sum();
                    prop_assert!((got[i * columns + j] - want).abs() <= want.abs() * 1e-6, "{} {want}", got[i * columns + j]);
                }
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it() {
        let (depth, columns) = (301, 75);
        let a = random(300 * depth, 1.0, 3);
        let Some(matrix) = quantised(&random(columns * depth, 1.0, 4), depth) else {
            return;
        };
        let product = |count: usize| {
            let mut c = vec![0.0; count * columns];
            let (rows, mut scratch) = (rows(&a[..count * depth], depth), QuantisedRows::default());
            multiply(rows, &matrix, &mut c, columns, Finish::default(), &mut scratch);
            c
        };
        let whole = product(300);
        for count in (1..40).chain([255, 256, 257]) {
            assert_eq!(product(count)[..], whole[..count * columns]);
        }
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        for flaw in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let Some(matrix) = quantised(&[1.0; 2 * 20], 20) else {
                return;
            };
            let mut a = vec![1.0; 3 * 20];
            a[25] = flaw;
            let mut c = vec![0.0; 3 * 2];
            let mut scratch = QuantisedRows::default();
            multiply(rows(&a, 20), &matrix, &mut c, 2, Finish::default(), &mut scratch);
            let finite: Vec<bool> = c.iter().map(|x| x.is_finite()).collect();
            assert_eq!(finite, [true, true, false, false, true, true], "{flaw}");
        }
    }
}
