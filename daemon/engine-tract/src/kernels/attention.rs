//! Attention, head by head, straight from the fused query-key-value rows: keys and values are packed for the product,
//! scores exist for a block of queries at a time and only for the keys that some of them see, and nothing is transposed
//! or masked.

use std::ops::Range;

use super::disentangled::{Block, Buffers, Relative};
use super::elementwise::Softmax;
use super::gemm::{Finish, Packed, Rows, multiply};
use super::int8::QuantisedRows;
use super::simd::{dispatch, widest};

/// Queries whose scores are held at once.
const QUERIES: usize = 192;
/// The same where queries see only their neighbours: a larger block would see more keys that most of its queries do not.
const LOCAL_QUERIES: usize = 64;

/// How many heads there are, how wide they are, how scores are scaled and what a token sees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Heads {
    pub(crate) count: usize,
    /// Heads of keys and values, each for `count / shared` heads of queries in a row.
    pub(crate) shared: usize,
    pub(crate) width: usize,
    pub(crate) scale: f32,
    /// The largest distance at which a token sees another; `None`: it sees all.
    pub(crate) reach: Option<usize>,
}

impl Heads {
    /// Columns of the queries, or of the joined heads.
    pub(crate) fn joined(&self) -> usize {
        self.count * self.width
    }

    /// Columns of queries, keys and values side by side.
    pub(crate) fn columns(&self) -> usize {
        (self.count + 2 * self.shared) * self.width
    }

    /// The keys that the queries from `first` to `last` see between them.
    fn seen(&self, first: usize, last: usize, length: usize) -> Range<usize> {
        let reach = self.reach.unwrap_or(length);
        first.saturating_sub(reach)..last.saturating_add(reach).min(length - 1) + 1
    }
}

/// Buffers that a thread keeps between calls.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Rows between the two products of a low-rank change.
    pub(crate) ranks: Vec<f32>,
    /// Rows of a product in 8 bits.
    pub(crate) quantised: QuantisedRows,
    /// The input of a convolution.
    pub(super) padded: Vec<f32>,
    /// The places of the queries that are asked, and their rows where these are not all.
    places: Vec<usize>,
    queries: Vec<f32>,
    keys: Packed,
    values: Packed,
    scores: Vec<f32>,
    relative: Buffers,
}

/// `out = softmax(scale * (Q K^T + relative)) V` per head, over the keys within reach of each query. `qkv` has `length` rows of
/// queries, keys and values side by side, each head by head; `out` has a row of the joined heads for each of `asked`, which
/// are rows in rising order, or for every row.
///
/// # Panics
/// Where the slices are shorter than the shapes claim, or a row that is asked is outside; the operator checks them.
pub(crate) fn attend(
    qkv: &[f32],
    length: usize,
    heads: Heads,
    relative: Option<Relative<'_>>,
    asked: Option<&[u32]>,
    out: &mut [f32],
    scratch: &mut Scratch,
) {
    let (width, joined, stride) = (heads.width, heads.joined(), heads.columns());
    let local = heads.reach.is_some_and(|reach| reach < length);
    let block = if local { LOCAL_QUERIES } else { QUERIES };
    let group = heads.count / heads.shared;
    let Scratch {
        places,
        queries,
        keys,
        values,
        scores,
        relative: buffers,
        ..
    } = scratch;
    places.clear();
    let queries = match asked {
        None => {
            places.extend(0..length);
            Rows {
                values: qkv,
                stride,
                count: length,
            }
        }
        Some(asked) => {
            places.extend(asked.iter().map(|row| *row as usize));
            queries.clear();
            for place in &*places {
                queries.extend_from_slice(&qkv[place * stride..][..joined]);
            }
            Rows {
                values: queries,
                stride: joined,
                count: places.len(),
            }
        }
    };
    for head in 0..heads.count {
        let first = head * width;
        if head % group == 0 {
            let key = joined + head / group * width;
            keys.pack_transposed(&qkv[key..], stride, length, width);
            values.pack_rows(&qkv[key + heads.shared * width..], stride, width, length);
        }
        for (top, places) in (0..).step_by(block).zip(places.chunks(block)) {
            let queries = queries.some(top..top + places.len(), first);
            let seen = heads.seen(places[0], places[places.len() - 1], length);
            let (keys, held) = keys.some_columns(seen.clone());
            scores.resize(places.len() * held.len(), 0.0);
            match &relative {
                None => {
                    multiply(queries, keys, scores, held.len(), Finish::default());
                }
                Some(relative) => {
                    let block = Block {
                        qkv,
                        stride,
                        head,
                        width,
                        key: joined + head / group * width,
                        queries,
                        places,
                        keys: held.clone(),
                    };
                    relative.score(&block, &keys, scores, buffers);
                }
            }
            dispatch(Softmax {
                rows: scores,
                width: held.len(),
                scale: heads.scale,
                seen: |row| {
                    let Range { start, end } = heads.seen(places[row], places[row], length);
                    start - held.start..end - held.start
                },
            });
            let weights = Rows {
                values: &scores[seen.start - held.start..],
                stride: held.len(),
                count: places.len(),
            };
            let out = &mut out[top * joined + first..];
            multiply(weights, values.some_rows(seen), out, joined, Finish::default());
        }
    }
}

/// The angles by which rotary positions turn queries and keys (Su et al. 2021), as cosines and sines, for one width of
/// heads and every place. All layers with the same base share them.
#[derive(Debug)]
pub(crate) struct Turns {
    half: usize,
    /// Per place: the cosines of `half` angles, then their sines.
    rows: Vec<f32>,
}

impl Turns {
    /// In single precision where `transformers` computes in it, so that both turn by the same angles: the frequencies
    /// `1 / theta^(2 d / width)` and their products with the place.
    pub(crate) fn new(theta: f32, width: usize, places: usize) -> Self {
        let half = width / 2;
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        // Widths and places are below 2^24.
        let frequencies: Vec<f32> = (0..half)
            .map(|d| {
                let exponent = (2 * d) as f32 / width as f32;
                1.0 / f64::from(theta).powf(f64::from(exponent)) as f32
            })
            .collect();
        let mut rows = Vec::with_capacity(2 * half * places);
        for place in 0..places {
            #[allow(clippy::cast_precision_loss)]
            let angles = frequencies.iter().map(|frequency| place as f32 * frequency);
            rows.extend(angles.clone().map(f32::cos));
            rows.extend(angles.map(f32::sin));
        }
        Self { half, rows }
    }

    /// Width of the heads it turns.
    pub(crate) fn width(&self) -> usize {
        2 * self.half
    }

    /// Number of places.
    pub(crate) fn places(&self) -> usize {
        self.rows.len() / self.width().max(1)
    }

    /// Bytes of its values.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<f32>()
    }

    /// Turns the queries and keys in rows as [`attend`] takes them, the first row's place being 0.
    pub(crate) fn turn(&self, qkv: &mut [f32], heads: Heads) {
        let turned = heads.columns() - heads.shared * heads.width;
        widest(
            #[inline(always)]
            || {
                let rows = qkv.chunks_exact_mut(heads.columns());
                for (row, turns) in rows.zip(self.rows.chunks_exact(2 * self.half)) {
                    let (cosines, sines) = turns.split_at(self.half);
                    for head in row[..turned].chunks_exact_mut(2 * self.half) {
                        let (low, high) = head.split_at_mut(self.half);
                        let pairs = low.iter_mut().zip(high).zip(cosines.iter().zip(sines));
                        for ((low, high), (cosine, sine)) in pairs {
                            let (x, y) = (*low, *high);
                            *low = x * cosine - y * sine;
                            *high = y * cosine + x * sine;
                        }
                    }
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random, some_rows};
    use proptest::prelude::*;

    fn naive(qkv: &[f32], length: usize, heads: Heads) -> Vec<f32> {
        let (width, joined) = (heads.width, heads.joined());
        let group = heads.count / heads.shared;
        let at = |row: usize, column: usize| f64::from(qkv[row * heads.columns() + column]);
        let mut out = vec![0.0; length * joined];
        for head in 0..heads.count {
            let (query, key) = (head * width, joined + head / group * width);
            let value = key + heads.shared * width;
            for i in 0..length {
                let scores: Vec<f64> = (0..length)
                    .map(|j| {
                        let dot: f64 = (0..width).map(|c| at(i, query + c) * at(j, key + c)).sum();
                        let sees = heads.reach.is_none_or(|reach| i.abs_diff(j) <= reach);
                        if sees {
                            (dot * f64::from(heads.scale)).exp()
                        } else {
                            0.0
                        }
                    })
                    .collect();
                let total: f64 = scores.iter().sum();
                for c in 0..width {
                    let mixed: f64 = (0..length).map(|j| scores[j] / total * at(j, value + c)).sum();
                    out[i * joined + query + c] = mixed as f32;
                }
            }
        }
        out
    }

    fn check(length: usize, heads: Heads, seed: u64) {
        let qkv = random(length * heads.columns(), 2.0, seed);
        let want = naive(&qkv, length, heads);
        for rows in [None, Some(some_rows(length, seed))] {
            let joined = heads.joined();
            let count = rows.as_ref().map_or(length, Vec::len);
            let mut got = vec![f32::NAN; count * joined];
            let scratch = &mut Scratch::default();
            attend(&qkv, length, heads, None, rows.as_deref(), &mut got, scratch);
            for (at, got) in got.chunks_exact(joined).enumerate() {
                let row = rows.as_ref().map_or(at, |rows| rows[at] as usize);
                for (got, want) in got.iter().zip(&want[row * joined..]) {
                    assert!(
                        (got - want).abs() < 2e-5,
                        "{heads:?} {length} {row}: {got} {want}"
                    );
                }
            }
        }
    }

    fn heads(shared: usize, group: usize, width: usize, reach: Option<usize>) -> Heads {
        Heads {
            count: shared * group,
            shared,
            width,
            scale: 1.0 / (width as f32).sqrt(),
            reach,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn equals_the_definition(
            length in 1_usize..40,
            shared in 1_usize..4,
            group in 1_usize..4,
            width in 1_usize..40,
            reach in proptest::option::of(0_usize..50),
            seed in any::<u64>(),
        ) {
            check(length, heads(shared, group, width, reach), seed);
        }

        #[test]
        fn turning_equals_the_definition(
            length in 1_usize..40,
            shared in 1_usize..3,
            group in 1_usize..3,
            half in 1_usize..40,
            theta in 2.0_f32..1e6,
            seed in any::<u64>(),
        ) {
            let (width, heads) = (2 * half, heads(shared, group, 2 * half, None));
            let qkv = random(length * heads.columns(), 2.0, seed);
            let mut got = qkv.clone();
            let turns = Turns::new(theta, width, 50);
            prop_assert_eq!(turns.places(), 50);
            turns.turn(&mut got, heads);
            for (at, got) in got.iter().enumerate() {
                let (place, column) = (at / heads.columns(), at % heads.columns());
                let d = column % width;
                let angle = place as f64 * f64::from(theta).powf(-2.0 * (d % half) as f64 / width as f64);
                let (x, sign) = if d < half { (at + half, -1.0) } else { (at - half, 1.0) };
                let turned = f64::from(qkv[at]) * angle.cos() + sign * f64::from(qkv[x]) * angle.sin();
                let value = column >= (heads.count + heads.shared) * width;
                let want = if value { f64::from(qkv[at]) } else { turned };
                prop_assert!((f64::from(*got) - want).abs() < 2e-5, "{at}: {got} {want}");
            }
        }
    }

    #[test]
    fn more_queries_than_one_block_are_all_answered() {
        check(2 * QUERIES + 5, heads(2, 1, 8, None), 7);
        for reach in [0, 1, 31, 64, 100, 388, 389, usize::MAX] {
            check(2 * QUERIES + 5, heads(1, 2, 8, Some(reach)), 7);
        }
    }

    #[test]
    fn what_is_out_of_reach_has_no_part() {
        let (length, heads) = (300, heads(1, 1, 8, Some(20)));
        let qkv = random(length * heads.columns(), 2.0, 9);
        let run = |qkv: &[f32]| {
            let mut out = vec![f32::NAN; length * heads.joined()];
            attend(qkv, length, heads, None, None, &mut out, &mut Scratch::default());
            out
        };
        let mut other = qkv.clone();
        other[200 * heads.columns()..].fill(7.0);
        let near = 180 * heads.joined();
        assert_eq!(run(&qkv)[..near], run(&other)[..near]);
    }
}
