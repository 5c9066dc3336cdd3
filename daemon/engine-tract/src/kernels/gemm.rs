//! Single-precision matrix product `C = A B` with a prepacked `B`: panels of `B` that the second cache level holds, and
//! under them a register tile that reads the rows of `A` where they lie. (Packing `A` as well, as Goto & van de Geijn
//! describe in 2008 in "Anatomy of High-Performance Matrix Multiplication", measured slower at the sizes of encoders.)
//!
//! Each element of `C` is summed over `k` in one fixed order, whatever the number of rows, so a row's result does not
//! depend on the rows beside it.

use std::ops::Range;

use mednerd_model::Activation;
use pulp::{Simd, WithSimd};

use super::elementwise;
use super::simd;
use super::tile::sums;

/// Vectors of the widest panels of `B`, where there are 32 registers.
const VECTORS: usize = 3;
/// The same with 16 registers, as CPUs have whose vectors have less than 16 lanes. A tile of 6 rows reads less for each
/// product than one of 4 rows and 3 vectors does.
const FEW_VECTORS: usize = 2;
/// Depth of one block: of a panel, `DEPTH` rows of 3 vectors stay in the second cache level.
const DEPTH: usize = 768;
/// Rows of one block of `A`, which stays in the second cache level too, or close to it.
const ROWS: usize = 256;

/// `B`, cut into panels as wide as the register tile and, within them, laid out in the order the tile reads it. The last
/// vector of a row is filled up with zeros.
#[derive(Debug, Default, Clone)]
pub(crate) struct Packed {
    depth: usize,
    columns: usize,
    split: Split,
    panels: Vec<f32>,
}

/// How columns are cut into panels: as few as there can be, as even as they can be, the wider ones first.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Split {
    /// Columns of a vector.
    lanes: usize,
    /// Vectors of the narrower panels.
    narrow: usize,
    /// Number of panels that have one vector more.
    wider: usize,
    pub(super) panels: usize,
}

impl Split {
    pub(super) fn new(columns: usize, lanes: usize) -> Self {
        let vectors = columns.div_ceil(lanes);
        let panels = vectors.div_ceil(if lanes < 16 { FEW_VECTORS } else { VECTORS });
        Self {
            lanes,
            narrow: vectors / panels.max(1),
            wider: vectors % panels.max(1),
            panels,
        }
    }

    /// The first column of a panel; for the number of panels, where the last one ends.
    pub(super) fn first(&self, panel: usize) -> usize {
        (panel * self.narrow + panel.min(self.wider)) * self.lanes
    }

    /// Columns of a panel, those that fill it up included.
    pub(super) fn width(&self, panel: usize) -> usize {
        self.first(panel + 1) - self.first(panel)
    }

    /// The panel that holds a column.
    pub(super) fn panel(&self, column: usize) -> usize {
        let vector = column / self.lanes;
        let wide = self.wider * (self.narrow + 1);
        match vector.checked_sub(wide) {
            None => vector / (self.narrow + 1),
            Some(after) => self.wider + after / self.narrow.max(1),
        }
    }
}

/// The number of columns of one vector on this CPU.
fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    simd::dispatch(Lanes)
}

impl Packed {
    /// A matrix of `depth` rows and `columns` columns, all zero, to be filled.
    pub(crate) fn zeros(depth: usize, columns: usize) -> Self {
        let mut zeros = Self::default();
        zeros.reshape(depth, columns, lanes());
        zeros
    }

    /// Gives it another shape. The columns that fill up the last vector are zero, the others are to be filled.
    fn reshape(&mut self, depth: usize, columns: usize, lanes: usize) {
        self.depth = depth;
        self.columns = columns;
        self.split = Split::new(columns, lanes);
        let held = self.split.first(self.split.panels);
        self.panels.resize(held * depth, 0.0);
        if held > columns {
            let last = self.split.panels - 1;
            let (first, width) = (self.split.first(last), self.split.width(last));
            for row in self.panels[first * depth..].chunks_exact_mut(width) {
                row[columns - first..].fill(0.0);
            }
        }
    }

    /// Packs `B = W^T` where `W` has `columns` rows of `depth` values, `stride` apart, as keys come.
    pub(crate) fn pack_transposed(&mut self, rows: &[f32], stride: usize, columns: usize, depth: usize) {
        self.reshape(depth, columns, lanes());
        self.fill(0, rows.chunks(stride).take(columns).map(|row| &row[..depth]));
    }

    /// Fills the columns from `first` on with the rows of `W`, as the weights of a linear layer come.
    pub(crate) fn fill_transposed(&mut self, first: usize, rows: &[f32], depth: usize) {
        self.fill(first, rows.chunks_exact(depth));
    }

    fn fill<'a>(&mut self, first: usize, rows: impl Iterator<Item = &'a [f32]>) {
        for (column, values) in (first..).zip(rows) {
            let panel = self.split.panel(column);
            let (start, width) = (self.split.first(panel), self.split.width(panel));
            let slots = &mut self.panels[start * self.depth..][..width * self.depth];
            for (slots, value) in slots.chunks_exact_mut(width).zip(values) {
                slots[column - start] = *value;
            }
        }
    }

    /// Packs `B` given as `depth` rows of `columns` values, `stride` apart, as attention values come.
    pub(crate) fn pack_rows(&mut self, rows: &[f32], stride: usize, columns: usize, depth: usize) {
        self.reshape(depth, columns, lanes());
        for panel in 0..self.split.panels {
            let (first, width) = (self.split.first(panel), self.split.width(panel));
            let slots = self.panels[first * depth..].chunks_exact_mut(width);
            let live = width.min(columns - first);
            for (slots, row) in slots.zip(rows.chunks(stride)).take(depth) {
                slots[..live].copy_from_slice(&row[first..][..live]);
            }
        }
    }

    /// The whole panels that hold these columns, and which columns those are.
    pub(crate) fn some_columns(&self, columns: Range<usize>) -> (Part<'_>, Range<usize>) {
        let last = columns.end.saturating_sub(1).max(columns.start);
        let panels = self.split.panel(columns.start)..self.split.panel(last) + 1;
        let part = Part {
            panels,
            ..self.into()
        };
        let held = part.columns();
        (part, held)
    }

    /// All columns of these rows.
    pub(crate) fn some_rows(&self, rows: Range<usize>) -> Part<'_> {
        Part { rows, ..self.into() }
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Bytes of the packed values.
    pub(crate) fn bytes(&self) -> usize {
        self.panels.capacity() * size_of::<f32>()
    }
}

/// Some panels of a packed matrix, and of these some rows.
#[derive(Clone)]
pub(crate) struct Part<'a> {
    matrix: &'a Packed,
    panels: Range<usize>,
    rows: Range<usize>,
}

impl<'a> From<&'a Packed> for Part<'a> {
    fn from(matrix: &'a Packed) -> Self {
        Self {
            matrix,
            panels: 0..matrix.split.panels,
            rows: 0..matrix.depth,
        }
    }
}

impl Part<'_> {
    /// The columns of the matrix that take part.
    fn columns(&self) -> Range<usize> {
        let first = |panel| self.matrix.split.first(panel).min(self.matrix.columns);
        first(self.panels.start)..first(self.panels.end)
    }
}

/// A matrix read row by row: `rows` rows of `depth` values, `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) count: usize,
}

impl Rows<'_> {
    /// Some of the rows, from a column on.
    pub(crate) fn some(self, rows: Range<usize>, column: usize) -> Self {
        Self {
            values: &self.values[rows.start * self.stride + column..],
            count: rows.len(),
            ..self
        }
    }
}

/// What is done to the elements of `C` once they are complete, while they are in the cache.
#[derive(Clone, Copy, Default)]
pub(crate) struct Finish<'a> {
    /// Added to every row; one value per column.
    pub(crate) bias: Option<&'a [f32]>,
    /// Applied after the bias.
    pub(crate) activation: Option<Activation>,
    /// Whether the product is added to what is in `C` instead of replacing it.
    pub(crate) onto: bool,
}

impl Finish<'_> {
    #[inline(always)]
    pub(super) fn apply<S: Simd>(&self, simd: S, first: usize, piece: &mut [f32]) {
        if let Some(bias) = self.bias {
            elementwise::add_vectors(simd, piece, &bias[first..][..piece.len()]);
        }
        if let Some(activation) = self.activation {
            elementwise::activate(simd, activation, piece);
        }
    }
}

/// `C = finish(A B)` or `C = finish(C + A B)`, where the rows of `c` are `stride` apart.
///
/// # Panics
/// Where the slices are shorter than the shapes claim; the operators check the shapes.
pub(crate) fn multiply<'b>(
    a: Rows<'_>,
    b: impl Into<Part<'b>>,
    c: &mut [f32],
    stride: usize,
    finish: Finish<'_>,
) {
    simd::dispatch(Product {
        a,
        b: b.into(),
        c,
        stride,
        finish,
    });
}

struct Product<'a> {
    a: Rows<'a>,
    b: Part<'a>,
    c: &'a mut [f32],
    stride: usize,
    finish: Finish<'a>,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Part { matrix, panels, rows } = self.b.clone();
        let from = self.b.columns().start;
        for top in (0..self.a.count).step_by(ROWS) {
            let bottom = self.a.count.min(top + ROWS);
            for begin in rows.clone().step_by(DEPTH) {
                let end = rows.end.min(begin + DEPTH);
                for panel in panels.clone() {
                    let (first, width) = (matrix.split.first(panel), matrix.split.width(panel));
                    let block = Block {
                        panel: &matrix.panels[first * matrix.depth..][begin * width..end * width],
                        first: first - from,
                        columns: width.min(matrix.columns - first),
                        from: begin - rows.start,
                        fresh: begin == rows.start && !self.finish.onto,
                        last: end == rows.end,
                    };
                    match width / S::F32_LANES {
                        1 => self.rows::<S, 1>(simd, top..bottom, &block),
                        2 => self.rows::<S, 2>(simd, top..bottom, &block),
                        _ => self.rows::<S, VECTORS>(simd, top..bottom, &block),
                    }
                }
            }
        }
    }
}

/// A panel's block of `B`, and where its product lands in `C`.
struct Block<'a> {
    panel: &'a [f32],
    /// First column in `C`.
    first: usize,
    columns: usize,
    /// The first of the values of a row of `A` that meet the block.
    from: usize,
    /// Whether what is in `C` is replaced: this is the first block of the depth.
    fresh: bool,
    /// Whether `C` is complete afterwards.
    last: bool,
}

impl Product<'_> {
    /// Cuts rows into tiles: with their vectors of `B` and one broadcast of `A` they fill the registers.
    #[inline(always)]
    fn rows<S: Simd, const WIDE: usize>(&mut self, simd: S, rows: Range<usize>, block: &Block<'_>) {
        let mut row = rows.start;
        if S::REGISTER_COUNT >= 32 {
            while row + 8 <= rows.end {
                self.tile::<S, 8, WIDE>(simd, row, block);
                row += 8;
            }
        } else {
            // Of 8 rows two tiles of 4 are faster than one of 6 and one of 2.
            while row + 6 <= rows.end && row + 8 != rows.end {
                self.tile::<S, 6, WIDE>(simd, row, block);
                row += 6;
            }
        }
        while row + 4 <= rows.end {
            self.tile::<S, 4, WIDE>(simd, row, block);
            row += 4;
        }
        if row + 2 <= rows.end {
            self.tile::<S, 2, WIDE>(simd, row, block);
            row += 2;
        }
        if row < rows.end {
            self.tile::<S, 1, WIDE>(simd, row, block);
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const TALL: usize, const WIDE: usize>(
        &mut self,
        simd: S,
        row: usize,
        block: &Block<'_>,
    ) {
        let a = &self.a.values[row * self.a.stride + block.from..];
        let sums = sums::<S, TALL, WIDE>(simd, a, self.a.stride, block.panel);
        for (row, sums) in (row..).zip(&sums) {
            let out = &mut self.c[row * self.stride + block.first..][..block.columns];
            let (whole, rest) = S::as_mut_simd_f32s(out);
            for (out, sum) in whole.iter_mut().zip(sums) {
                *out = if block.fresh {
                    *sum
                } else {
                    simd.add_f32s(*out, *sum)
                };
            }
            if !rest.is_empty() {
                let sum = sums[WIDE - 1];
                let sum = if block.fresh {
                    sum
                } else {
                    simd.add_f32s(simd.partial_load_f32s(rest), sum)
                };
                simd.partial_store_f32s(rest, sum);
            }
            if block.last {
                self.finish.apply(simd, block.first, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;
    use proptest::prelude::*;

    fn check(rows: usize, depth: usize, columns: usize, seed: u64) {
        let a = random(rows * depth, 1.0, seed);
        let w = random(columns * depth, 1.0, seed ^ 1);
        let bias = random(columns, 1.0, seed ^ 2);
        let mut packed = Packed::default();
        packed.pack_transposed(&w, depth, columns, depth);
        let mut c = vec![f32::NAN; rows * columns];
        let finish = Finish {
            bias: Some(&bias),
            activation: Some(Activation::Relu),
            onto: false,
        };
        let a_rows = Rows {
            values: &a,
            stride: depth,
            count: rows,
        };
        multiply(a_rows, &packed, &mut c, columns, finish);
        for i in 0..rows {
            for j in 0..columns {
                let dot: f64 = (0..depth)
                    .map(|k| f64::from(a[i * depth + k]) * f64::from(w[j * depth + k]))
                    .sum();
                let want = (dot + f64::from(bias[j])).max(0.0);
                let got = f64::from(c[i * columns + j]);
                assert!(
                    (got - want).abs() < 1e-6 * (depth as f64 + 1.0).sqrt() * 4.0,
                    "{rows}x{depth}x{columns} at {i},{j}: {got} {want}"
                );
            }
        }
    }

    /// The instruction sets that this CPU's own one hides: AVX2, and none at all.
    #[test]
    fn narrower_registers_give_the_same_product() {
        fn product<S: Simd>(simd: S) -> Vec<f32> {
            let (rows, depth, columns) = (29, DEPTH + 9, 43);
            let a = random(rows * depth, 1.0, 5);
            let mut b = Packed::default();
            b.reshape(depth, columns, S::F32_LANES);
            b.fill_transposed(0, &random(columns * depth, 1.0, 6), depth);
            let mut c = vec![f32::NAN; rows * columns];
            simd.vectorize(Product {
                a: Rows {
                    values: &a,
                    stride: depth,
                    count: rows,
                },
                b: Part::from(&b),
                c: &mut c,
                stride: columns,
                finish: Finish::default(),
            });
            c
        }
        let plain = product(pulp::Scalar128b);
        #[cfg(target_arch = "x86_64")]
        {
            // All add in the same order; only the narrow ones round each product.
            if let Some(simd) = pulp::x86::V2::try_new() {
                assert_eq!(product(simd), plain);
            }
            if let Some(simd) = pulp::x86::V3::try_new() {
                for (narrow, plain) in product(simd).iter().zip(&plain) {
                    assert!((narrow - plain).abs() < 1e-4);
                }
            }
        }
        let (rows, depth, columns) = (29, DEPTH + 9, 43);
        let mut b = Packed::default();
        b.pack_transposed(&random(columns * depth, 1.0, 6), depth, columns, depth);
        let a = Rows {
            values: &random(rows * depth, 1.0, 5),
            stride: depth,
            count: rows,
        };
        let mut c = vec![f32::NAN; rows * columns];
        multiply(a, &b, &mut c, columns, Finish::default());
        for (wide, plain) in c.iter().zip(&plain) {
            assert!((wide - plain).abs() < 1e-4);
        }
    }

    #[test]
    fn panels_cover_every_column_once() {
        for (columns, lanes) in (0..200).flat_map(|columns| [4, 8, 16].map(|lanes| (columns, lanes))) {
            let split = Split::new(columns, lanes);
            for panel in 0..split.panels {
                assert!((1..=VECTORS * lanes).contains(&split.width(panel)));
                for column in split.first(panel)..split.first(panel + 1) {
                    assert_eq!(split.panel(column), panel, "{columns} {lanes}");
                }
            }
            assert_eq!(split.first(split.panels), columns.next_multiple_of(lanes));
        }
    }

    #[test]
    fn blocks_are_joined_right() {
        for (rows, depth, columns) in [
            (1, 1, 1),
            (ROWS + 13, 5, 3),
            (3, DEPTH * 2 + 7, 70),
            (ROWS, DEPTH, 32),
        ] {
            check(rows, depth, columns, 11);
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it() {
        let (depth, columns) = (500, 45);
        let a = random(40 * depth, 1.0, 3);
        let mut packed = Packed::default();
        packed.pack_transposed(&random(columns * depth, 1.0, 4), depth, columns, depth);
        let product = |count: usize| {
            let mut c = vec![0.0; count * columns];
            let rows = Rows {
                values: &a,
                stride: depth,
                count,
            };
            multiply(rows, &packed, &mut c, columns, Finish::default());
            c
        };
        let whole = product(40);
        for count in 1..40 {
            assert_eq!(product(count)[..], whole[..count * columns]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_definition(
            rows in 1_usize..40,
            depth in 1_usize..80,
            columns in 1_usize..80,
            seed in any::<u64>(),
        ) {
            check(rows, depth, columns, seed);
        }

        #[test]
        fn parts_give_a_part_of_the_product(
            depth in 1_usize..90,
            columns in 1_usize..150,
            ends in proptest::array::uniform4(0.0_f64..1.0),
            seed in any::<u64>(),
        ) {
            let between = |a: f64, b: f64, limit: usize| {
                let at = |share: f64| (share * limit as f64) as usize;
                at(a.min(b))..(at(a.max(b)) + 1).min(limit)
            };
            let (rows, wanted) = (between(ends[0], ends[1], depth), between(ends[2], ends[3], columns));
            let count = 7;
            let a = random(count * depth, 1.0, seed);
            let b = random(columns * depth, 1.0, seed ^ 1);
            let mut packed = Packed::default();
            packed.pack_transposed(&b, depth, columns, depth);
            let product = |part: Part<'_>| {
                let (first, stride) = (part.rows.start, part.columns().len());
                let mut c = vec![f32::NAN; count * stride];
                let a = Rows { values: &a[first..], stride: depth, count };
                multiply(a, part, &mut c, stride, Finish::default());
                c
            };
            let dot = |i: usize, j: usize, rows: Range<usize>| -> f64 {
                rows.map(|k| f64::from(a[i * depth + k]) * f64::from(b[j * depth + k])).sum()
            };
            let (part, held) = packed.some_columns(wanted.clone());
            prop_assert!(held.start <= wanted.start && held.end >= wanted.end);
            for (at, got) in product(part).into_iter().enumerate() {
                let want = dot(at / held.len(), held.start + at % held.len(), 0..depth);
                prop_assert!((f64::from(got) - want).abs() < 4e-5);
            }
            for (at, got) in product(packed.some_rows(rows.clone())).into_iter().enumerate() {
                let want = dot(at / columns, at % columns, rows.clone());
                prop_assert!((f64::from(got) - want).abs() < 4e-5);
            }
        }

        #[test]
        fn both_packings_agree(depth in 1_usize..40, columns in 1_usize..80, seed in any::<u64>()) {
            let rows = random(depth * columns, 1.0, seed);
            let turned: Vec<f32> =
                (0..depth * columns).map(|i| rows[i % depth * columns + i / depth]).collect();
            let (mut one, mut other) = (Packed::default(), Packed::default());
            one.pack_rows(&rows, columns, columns, depth);
            other.pack_transposed(&turned, depth, columns, depth);
            prop_assert_eq!(one.panels, other.panels);
        }
    }
}
