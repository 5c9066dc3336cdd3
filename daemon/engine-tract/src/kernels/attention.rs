//! Attention of every token to every token, head by head, straight from the fused query-key-value rows: keys and values
//! are packed for the product, scores exist for a block of queries at a time, and nothing is transposed or masked.

use super::elementwise::softmax;
use super::gemm::{Finish, Packed, Rows, multiply};

/// Queries whose scores are held at once.
const QUERIES: usize = 192;

/// How wide the heads are and how scores are scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Heads {
    pub(crate) count: usize,
    pub(crate) width: usize,
    pub(crate) scale: f32,
}

/// Buffers that a thread keeps between calls.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Packed blocks of a product's rows.
    pub(crate) tiles: Vec<f32>,
    /// Rows between the two products of a low-rank change.
    pub(crate) ranks: Vec<f32>,
    keys: Packed,
    values: Packed,
    scores: Vec<f32>,
}

/// `out = softmax(scale * Q K^T) V` per head. `qkv` has `length` rows of queries, keys and values side by side, each
/// head by head; `out` has `length` rows of the joined heads.
///
/// # Panics
/// Where the slices are shorter than the shapes claim; the operator checks the shapes.
pub(crate) fn attend(qkv: &[f32], length: usize, heads: Heads, out: &mut [f32], scratch: &mut Scratch) {
    let width = heads.width;
    let joined = heads.count * width;
    let stride = 3 * joined;
    let Scratch {
        tiles,
        keys,
        values,
        scores,
        ..
    } = scratch;
    for head in 0..heads.count {
        let first = head * width;
        keys.pack_transposed(&qkv[joined + first..], stride, length, width);
        values.pack_rows(&qkv[2 * joined + first..], stride, width, length);
        for top in (0..length).step_by(QUERIES) {
            let count = QUERIES.min(length - top);
            scores.resize(count * length, 0.0);
            let queries = Rows {
                values: &qkv[top * stride + first..],
                stride,
                count,
            };
            multiply(queries, keys, scores, length, Finish::default(), tiles);
            softmax(scores, length, heads.scale);
            let weights = Rows {
                values: scores,
                stride: length,
                count,
            };
            let out = &mut out[top * joined + first..];
            multiply(weights, values, out, joined, Finish::default(), tiles);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;
    use proptest::prelude::*;

    fn naive(qkv: &[f32], length: usize, heads: Heads) -> Vec<f32> {
        let joined = heads.count * heads.width;
        let at = |row: usize, part: usize, column: usize| {
            f64::from(qkv[row * 3 * joined + part * joined + column])
        };
        let mut out = vec![0.0; length * joined];
        for head in 0..heads.count {
            let columns = head * heads.width..(head + 1) * heads.width;
            for i in 0..length {
                let scores: Vec<f64> = (0..length)
                    .map(|j| {
                        let dot: f64 = columns.clone().map(|c| at(i, 0, c) * at(j, 1, c)).sum();
                        (dot * f64::from(heads.scale)).exp()
                    })
                    .collect();
                let total: f64 = scores.iter().sum();
                for c in columns.clone() {
                    let mixed: f64 = (0..length).map(|j| scores[j] / total * at(j, 2, c)).sum();
                    out[i * joined + c] = mixed as f32;
                }
            }
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_definition(
            length in 1_usize..40,
            count in 1_usize..4,
            width in 1_usize..40,
            seed in any::<u64>(),
        ) {
            let heads = Heads { count, width, scale: 1.0 / (width as f32).sqrt() };
            let qkv = random(length * 3 * count * width, 2.0, seed);
            let mut got = vec![f32::NAN; length * count * width];
            attend(&qkv, length, heads, &mut got, &mut Scratch::default());
            for (got, want) in got.iter().zip(naive(&qkv, length, heads)) {
                prop_assert!((got - want).abs() < 2e-5, "{got} {want}");
            }
        }
    }

    #[test]
    fn more_queries_than_one_block_are_all_answered() {
        let heads = Heads {
            count: 2,
            width: 8,
            scale: 0.35,
        };
        let length = 2 * QUERIES + 5;
        let qkv = random(length * 48, 2.0, 7);
        let mut got = vec![f32::NAN; length * 16];
        attend(&qkv, length, heads, &mut got, &mut Scratch::default());
        for (got, want) in got.iter().zip(naive(&qkv, length, heads)) {
            assert!((got - want).abs() < 2e-5);
        }
    }
}
