//! Single-precision matrix product `C = A B` with a prepacked `B`: the loops of Goto & van de Geijn (2008, "Anatomy of
//! High-Performance Matrix Multiplication") around a register tile that the compiler keeps in vector registers.
//!
//! Each element of `C` is summed over `k` in one fixed order, whatever the number of rows, so a row's result does not
//! depend on the rows beside it.

use std::ops::Range;

use mednerd_model::Activation;
use pulp::{Arch, Simd, WithSimd};

use super::elementwise;

/// Vectors per panel row: a panel of `B` is this many vectors wide.
const VECTORS: usize = 2;
/// Depth of one block: a panel's block (`DEPTH` × 2 vectors) stays in the first two cache levels.
const DEPTH: usize = 384;
/// Rows of one block of `A`: packed, it stays in the second cache level.
const ROWS: usize = 192;

/// `B`, cut into panels as wide as the register tile and, within them, laid out in the order the tile reads it. The last
/// panel is filled with zeros.
#[derive(Debug, Default, Clone)]
pub(crate) struct Packed {
    depth: usize,
    columns: usize,
    width: usize,
    panels: Vec<f32>,
}

/// The number of columns of one panel on this CPU.
pub(crate) fn panel_width() -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES * VECTORS
        }
    }
    Arch::new().dispatch(Width)
}

impl Packed {
    /// A matrix of `depth` rows and `columns` columns, all zero, to be filled.
    pub(crate) fn zeros(depth: usize, columns: usize) -> Self {
        let mut zeros = Self::default();
        zeros.reshape(depth, columns);
        zeros
    }

    fn reshape(&mut self, depth: usize, columns: usize) {
        self.width = panel_width();
        self.depth = depth;
        self.columns = columns;
        self.panels.clear();
        let padded = columns.div_ceil(self.width) * self.width;
        self.panels.resize(padded * depth, 0.0);
    }

    /// Packs `B = W^T` where `W` has `columns` rows of `depth` values, `stride` apart, as keys come.
    pub(crate) fn pack_transposed(&mut self, rows: &[f32], stride: usize, columns: usize, depth: usize) {
        self.reshape(depth, columns);
        for (column, row) in rows.chunks(stride).take(columns).enumerate() {
            self.fill_column(column, &row[..depth]);
        }
    }

    /// Fills the columns from `first` on with the rows of `W`, as the weights of a linear layer come.
    pub(crate) fn fill_transposed(&mut self, first: usize, rows: &[f32], depth: usize) {
        for (at, row) in rows.chunks_exact(depth).enumerate() {
            self.fill_column(first + at, row);
        }
    }

    fn fill_column(&mut self, column: usize, values: &[f32]) {
        let (width, depth) = (self.width, self.depth);
        let panel = &mut self.panels[column / width * width * depth..][..width * depth];
        let lane = column % width;
        for (slots, value) in panel.chunks_exact_mut(width).zip(values) {
            slots[lane] = *value;
        }
    }

    /// Packs `B` given as `depth` rows of `columns` values, `stride` apart, as attention values come.
    pub(crate) fn pack_rows(&mut self, rows: &[f32], stride: usize, columns: usize, depth: usize) {
        self.reshape(depth, columns);
        let width = self.width;
        for (at, row) in rows.chunks(stride).take(depth).enumerate() {
            for (panel, part) in row[..columns].chunks(width).enumerate() {
                let start = (panel * depth + at) * width;
                self.panels[start..][..part.len()].copy_from_slice(part);
            }
        }
    }

    /// The whole panels that hold these columns, and which columns those are.
    pub(crate) fn some_columns(&self, columns: Range<usize>) -> (Part<'_>, Range<usize>) {
        let (width, depth) = (self.width, self.depth);
        let panels = columns.start / width..columns.end.div_ceil(width);
        let held = panels.start * width..self.columns.min(panels.end * width);
        let part = Part {
            panels: &self.panels[panels.start * width * depth..panels.end * width * depth],
            columns: held.len(),
            ..self.into()
        };
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
    panels: &'a [f32],
    width: usize,
    /// Rows that a panel has.
    depth: usize,
    /// The rows that take part.
    rows: Range<usize>,
    columns: usize,
}

impl<'a> From<&'a Packed> for Part<'a> {
    fn from(matrix: &'a Packed) -> Self {
        Self {
            panels: &matrix.panels,
            width: matrix.width,
            depth: matrix.depth,
            rows: 0..matrix.depth,
            columns: matrix.columns,
        }
    }
}

/// A matrix read row by row: `rows` rows of `depth` values, `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) count: usize,
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
    fn apply(&self, first: usize, piece: &mut [f32]) {
        if let Some(bias) = self.bias {
            elementwise::add(piece, &bias[first..]);
        }
        if let Some(activation) = self.activation {
            elementwise::activate(activation, piece);
        }
    }
}

/// `C = finish(A B)` or `C = finish(C + A B)`, where the rows of `c` are `stride` apart. `scratch` is for the packed blocks of `A`.
///
/// # Panics
/// Where the slices are shorter than the shapes claim; the operators check the shapes.
pub(crate) fn multiply<'b>(
    a: Rows<'_>,
    b: impl Into<Part<'b>>,
    c: &mut [f32],
    stride: usize,
    finish: Finish<'_>,
    scratch: &mut Vec<f32>,
) {
    Arch::new().dispatch(Product {
        a,
        b: b.into(),
        c,
        stride,
        finish,
        scratch,
    });
}

struct Product<'a> {
    a: Rows<'a>,
    b: Part<'a>,
    c: &'a mut [f32],
    stride: usize,
    finish: Finish<'a>,
    scratch: &'a mut Vec<f32>,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // The tile, its two vectors of B and one broadcast of A fill the registers.
        if S::REGISTER_COUNT >= 32 {
            self.blocks::<S, 12, 8, 4>(simd);
        } else {
            self.blocks::<S, 6, 4, 2>(simd);
        }
    }
}

impl Product<'_> {
    /// The loops over blocks; tiles have `TILE` rows, the last one of a block `SOME` or `FEW` where that is enough.
    #[inline(always)]
    fn blocks<S: Simd, const TILE: usize, const SOME: usize, const FEW: usize>(self, simd: S) {
        let (depth, width) = (self.b.depth, self.b.width);
        let (begin, end) = (self.b.rows.start, self.b.rows.end);
        let block = ROWS / TILE * TILE;
        for top in (0..self.a.count).step_by(block) {
            let rows = block.min(self.a.count - top);
            for from in (begin..end).step_by(DEPTH) {
                let deep = DEPTH.min(end - from);
                pack_tiles::<TILE>(&self.a, (top, rows), (from - begin, deep), self.scratch);
                for (index, panel) in self.b.panels.chunks_exact(width * depth).enumerate() {
                    let part = &panel[from * width..][..deep * width];
                    let first = index * width;
                    let columns = width.min(self.b.columns - first);
                    for (tile, packed) in self.scratch.chunks_exact(TILE * deep).enumerate() {
                        let row = top + tile * TILE;
                        let out = Tile {
                            values: &mut self.c[row * self.stride + first..],
                            stride: self.stride,
                            columns,
                            rows: TILE.min(top + rows - row),
                            fresh: from == begin && !self.finish.onto,
                        };
                        if out.rows > SOME {
                            out.add::<S, TILE, TILE>(simd, packed, part);
                        } else if out.rows > FEW {
                            out.add::<S, TILE, SOME>(simd, packed, part);
                        } else {
                            out.add::<S, TILE, FEW>(simd, packed, part);
                        }
                    }
                    if from + deep == end {
                        for row in top..top + rows {
                            let piece = &mut self.c[row * self.stride + first..][..columns];
                            self.finish.apply(first, piece);
                        }
                    }
                }
            }
        }
    }
}

/// Where one register tile lands in `C`.
struct Tile<'a> {
    values: &'a mut [f32],
    stride: usize,
    columns: usize,
    rows: usize,
    /// Whether what is there is replaced: this is the first block of the depth.
    fresh: bool,
}

impl Tile<'_> {
    /// Adds the product of a packed tile of `A` and one panel's block of `B`, of which `LIVE` rows are computed.
    #[inline(always)]
    fn add<S: Simd, const TILE: usize, const LIVE: usize>(self, simd: S, a: &[f32], b: &[f32]) {
        let (vectors, _) = S::as_simd_f32s(b);
        let (vectors, _) = vectors.as_chunks::<VECTORS>();
        let (lanes, _) = a.as_chunks::<TILE>();
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; LIVE];
        for (a, b) in lanes.iter().zip(vectors) {
            for (sum, a) in sums.iter_mut().zip(a) {
                let a = simd.splat_f32s(*a);
                for (sum, b) in sum.iter_mut().zip(b) {
                    *sum = simd.mul_add_f32s(a, *b, *sum);
                }
            }
        }
        let rows = self.values.chunks_mut(self.stride).take(self.rows);
        for (row, sum) in rows.zip(&sums) {
            let (out, rest) = S::as_mut_simd_f32s(&mut row[..self.columns]);
            if out.len() == VECTORS {
                for (out, sum) in out.iter_mut().zip(sum) {
                    *out = if self.fresh {
                        *sum
                    } else {
                        simd.add_f32s(*out, *sum)
                    };
                }
            } else {
                let full = out.len();
                for (out, sum) in out.iter_mut().zip(sum) {
                    *out = if self.fresh {
                        *sum
                    } else {
                        simd.add_f32s(*out, *sum)
                    };
                }
                let sum = if self.fresh {
                    sum[full]
                } else {
                    simd.add_f32s(simd.partial_load_f32s(rest), sum[full])
                };
                simd.partial_store_f32s(rest, sum);
            }
        }
    }
}

/// Copies a block of `A` so that the values of one tile's rows lie side by side, column after column. Rows that fill the
/// last tile up are zero.
#[inline(always)]
fn pack_tiles<const TILE: usize>(
    a: &Rows<'_>,
    (top, rows): (usize, usize),
    (from, deep): (usize, usize),
    packed: &mut Vec<f32>,
) {
    packed.clear();
    packed.resize(rows.div_ceil(TILE) * TILE * deep, 0.0);
    for (tile, out) in packed.chunks_exact_mut(TILE * deep).enumerate() {
        let (out, _) = out.as_chunks_mut::<TILE>();
        for lane in 0..TILE.min(rows - tile * TILE) {
            let row = &a.values[(top + tile * TILE + lane) * a.stride + from..][..deep];
            for (out, value) in out.iter_mut().zip(row) {
                out[lane] = *value;
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
        multiply(a_rows, &packed, &mut c, columns, finish, &mut Vec::new());
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
            let width = S::F32_LANES * VECTORS;
            let mut b = Packed {
                depth,
                columns,
                width,
                panels: vec![0.0; columns.div_ceil(width) * width * depth],
            };
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
                scratch: &mut Vec::new(),
            });
            c
        }
        let plain = product(pulp::Scalar::new());
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            // Both add in the same order; only the scalar code may round each product.
            for (narrow, plain) in product(simd).iter().zip(&plain) {
                assert!((narrow - plain).abs() < 1e-4);
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
        multiply(a, &b, &mut c, columns, Finish::default(), &mut Vec::new());
        for (wide, plain) in c.iter().zip(&plain) {
            assert!((wide - plain).abs() < 1e-4);
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
            multiply(rows, &packed, &mut c, columns, Finish::default(), &mut Vec::new());
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
                let (first, stride) = (part.rows.start, part.columns);
                let mut c = vec![f32::NAN; count * stride];
                let a = Rows { values: &a[first..], stride: depth, count };
                multiply(a, part, &mut c, stride, Finish::default(), &mut Vec::new());
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
