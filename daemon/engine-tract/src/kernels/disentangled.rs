//! The scores of disentangled attention (He et al. 2021): to the product of queries and keys, terms are added in which
//! learned vectors for relative places stand for one of the two. Per block of rows, one product gives the terms for
//! every vector that the block's distances can reach; then each pair of tokens fetches its own.

use std::ops::Range;

use super::elementwise::add;
use super::gemm::{Finish, Packed, Part, Rows, multiply};
use super::simd::widest;

/// Rows whose terms are held at once. Fewer rows reach fewer distances, and more rows use a packed vector more often.
const ROWS: usize = 48;

/// Which column of the projected vectors a pair of tokens needs, by the distance from query to key.
#[derive(Debug)]
pub(crate) struct Columns {
    /// Of the distances from `-middle` to `middle`; never falling.
    columns: Vec<u32>,
    middle: usize,
    /// Up to this distance, each has the column after that of the one before.
    run: usize,
}

impl Columns {
    /// For sequences of at most `context` tokens; `column` gives the column of a distance.
    pub(crate) fn new(context: usize, column: impl Fn(i64) -> u32) -> Self {
        let middle = context.saturating_sub(1);
        let end = i64::try_from(middle).unwrap_or(i64::MAX);
        let columns: Vec<u32> = (-end..=end).map(column).collect();
        let follows = |run: usize| columns[middle + run] == columns[middle + run - 1] + 1;
        let precedes = |run: usize| columns[middle - run] + 1 == columns[middle - run + 1];
        let run = (1..=middle).take_while(|run| follows(*run) && precedes(*run));
        Self {
            run: run.last().unwrap_or(0),
            columns,
            middle,
        }
    }

    /// Longest sequence.
    pub(crate) fn context(&self) -> usize {
        self.middle + 1
    }

    /// Bytes of its values.
    pub(crate) fn bytes(&self) -> usize {
        self.columns.capacity() * size_of::<u32>()
    }

    /// The columns of one query and some keys.
    #[inline(always)]
    fn of(&self, query: usize, keys: Range<usize>) -> &[u32] {
        &self.columns[self.middle + keys.start - query..][..keys.len()]
    }

    /// From the first to the last column of some queries, in rising order, and some keys. Neither is empty.
    fn between(&self, queries: &[usize], keys: &Range<usize>) -> Range<usize> {
        let at = |query: usize, key: usize| self.columns[self.middle + key - query] as usize;
        at(queries[queries.len() - 1], keys.start)..at(queries[0], keys.end - 1) + 1
    }
}

/// Vectors for relative places, projected without bias: per head a matrix with a vector in each column.
#[derive(Debug)]
pub(crate) struct Projected {
    heads: Vec<Packed>,
}

impl Projected {
    /// Packs `count` projected vectors, rows of `heads * width` values.
    pub(crate) fn new(rows: &[f32], count: usize, heads: usize, width: usize) -> Self {
        let pack = |head: usize| {
            let mut packed = Packed::default();
            packed.pack_transposed(&rows[head * width..], heads * width, count, width);
            packed
        };
        Self {
            heads: (0..heads).map(pack).collect(),
        }
    }

    /// Bytes of the packed values.
    pub(crate) fn bytes(&self) -> usize {
        self.heads.iter().map(Packed::bytes).sum()
    }
}

/// A task adapter's change of projected vectors: `gain * (p + up r)`, where `r` is what `down` makes of the vector
/// before the projection.
#[derive(Debug)]
pub(crate) struct ProjectedChange {
    /// One value per column of the joined heads.
    pub(crate) gain: Option<Vec<f32>>,
    /// `[joined, rank]`, row-major.
    pub(crate) up: Vec<f32>,
    /// The vectors `r`, one per column.
    pub(crate) ranks: Packed,
}

impl ProjectedChange {
    /// Bytes of its values.
    pub(crate) fn bytes(&self) -> usize {
        let values = self.up.capacity() + self.gain.as_ref().map_or(0, Vec::capacity);
        self.ranks.bytes() + values * size_of::<f32>()
    }
}

/// One of the two kinds of term.
#[derive(Clone, Copy)]
pub(crate) struct Term<'a> {
    pub(crate) projected: &'a Projected,
    pub(crate) change: Option<&'a ProjectedChange>,
}

/// What relative places add to the scores of one layer.
#[derive(Clone, Copy)]
pub(crate) struct Relative<'a> {
    pub(crate) columns: &'a Columns,
    /// Queries meet projected keys. A bias of these would add the same to all scores of a query, so there is none.
    pub(crate) content_to_position: Option<Term<'a>>,
    /// Keys meet projected queries.
    pub(crate) position_to_content: Option<Term<'a>>,
    /// The bias of the projected queries, one value per column of the joined heads.
    pub(crate) bias: Option<&'a [f32]>,
}

/// Some queries of one head, and the keys in the fused rows that they are scored with.
pub(super) struct Block<'a> {
    pub(super) qkv: &'a [f32],
    pub(super) stride: usize,
    pub(super) head: usize,
    pub(super) width: usize,
    /// First column of the head's keys.
    pub(super) key: usize,
    pub(super) queries: Rows<'a>,
    /// Where the queries are in the sequence, in rising order.
    pub(super) places: &'a [usize],
    pub(super) keys: Range<usize>,
}

/// Buffers that a thread keeps between calls.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// Rows times their gain, or the bias times the keys.
    rows: Vec<f32>,
    up: Packed,
    ranks: Vec<f32>,
    terms: Vec<f32>,
}

impl Relative<'_> {
    /// The scores of a block, before they are scaled: one row per query. `packed` holds the block's keys.
    ///
    /// # Panics
    /// Where the sequence is longer than the columns' context, or the shapes do not fit; the operator checks them.
    pub(super) fn score(
        &self,
        block: &Block<'_>,
        packed: &Part<'_>,
        scores: &mut [f32],
        buffers: &mut Buffers,
    ) {
        let query = block.head * block.width;
        let width = block.keys.len();
        let mut finish = Finish::default();
        if let Some(bias) = self.bias {
            let bias = Rows {
                values: &bias[query..],
                stride: block.width,
                count: 1,
            };
            buffers.rows.resize(width, 0.0);
            multiply(bias, packed.clone(), &mut buffers.rows, width, Finish::default());
            finish.bias = Some(&buffers.rows);
        }
        multiply(block.queries, packed.clone(), scores, width, finish);
        if let Some(term) = self.content_to_position {
            let places = block.places.chunks(ROWS);
            let queries = parts(&(0..block.queries.count)).map(|part| block.queries.some(part, 0));
            for ((rows, places), scores) in queries.zip(places).zip(scores.chunks_mut(ROWS * width)) {
                let reached = self.columns.between(places, &block.keys);
                let (first, stride) = term.multiply(block.head, rows, reached, buffers);
                self.add_by_query(places, &block.keys, (&buffers.terms, first, stride), scores);
            }
        }
        if let Some(term) = self.position_to_content {
            for part in parts(&block.keys) {
                let reached = self.columns.between(block.places, &part);
                let rows = Rows {
                    values: &block.qkv[part.start * block.stride + block.key..],
                    stride: block.stride,
                    count: part.len(),
                };
                let (first, stride) = term.multiply(block.head, rows, reached, buffers);
                self.add_by_key(block, &part, (&buffers.terms, first, stride), scores);
            }
        }
    }

    /// Adds terms that have a row per query, which are at these places.
    fn add_by_query(
        &self,
        queries: &[usize],
        keys: &Range<usize>,
        (terms, first, stride): (&[f32], usize, usize),
        scores: &mut [f32],
    ) {
        let run = self.columns.run;
        widest(
            #[inline(always)]
            || {
                let rows = scores
                    .chunks_exact_mut(keys.len())
                    .zip(terms.chunks_exact(stride));
                for (&query, (scores, terms)) in queries.iter().zip(rows) {
                    let columns = self.columns.of(query, keys.clone());
                    let begin = query.saturating_sub(run).clamp(keys.start, keys.end) - keys.start;
                    let end = (query + run + 1).clamp(keys.start, keys.end) - keys.start;
                    fetch(&mut scores[..begin], &columns[..begin], terms, first);
                    if let Some(column) = columns[begin..end].first() {
                        add(&mut scores[begin..end], &terms[*column as usize - first..]);
                    }
                    fetch(&mut scores[end..], &columns[end..], terms, first);
                }
            },
        );
    }

    /// Adds terms that have a row per key of `part`.
    fn add_by_key(
        &self,
        block: &Block<'_>,
        part: &Range<usize>,
        (terms, first, stride): (&[f32], usize, usize),
        scores: &mut [f32],
    ) {
        let begin = part.start - block.keys.start;
        let rows = scores.chunks_exact_mut(block.keys.len());
        for (&query, scores) in block.places.iter().zip(rows) {
            let columns = self.columns.of(query, part.clone());
            let pairs = scores[begin..].iter_mut().zip(columns);
            for ((score, column), terms) in pairs.zip(terms.chunks_exact(stride)) {
                *score += terms[*column as usize - first];
            }
        }
    }
}

/// A range cut into parts of [`ROWS`].
fn parts(range: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = range.end;
    range
        .clone()
        .step_by(ROWS)
        .map(move |start| start..(start + ROWS).min(end))
}

#[inline(always)]
fn fetch(scores: &mut [f32], columns: &[u32], terms: &[f32], first: usize) {
    for (score, column) in scores.iter_mut().zip(columns) {
        *score += terms[*column as usize - first];
    }
}

impl Term<'_> {
    /// Multiplies rows of one head with the vectors in the columns `reached`, and perhaps some around them, into
    /// `buffers.terms`. Gives the first column there, and how far its rows are apart.
    fn multiply(
        &self,
        head: usize,
        rows: Rows<'_>,
        reached: Range<usize>,
        buffers: &mut Buffers,
    ) -> (usize, usize) {
        let Buffers {
            rows: gained,
            up,
            ranks,
            terms,
        } = buffers;
        let vectors = &self.projected.heads[head];
        let width = vectors.depth();
        let (part, held) = vectors.some_columns(reached.clone());
        // An odd number of cache lines, so that one column's values do not all fall into the same set of the cache.
        let stride = (held.len().div_ceil(16) | 1) * 16;
        terms.resize(rows.count * stride, 0.0);
        let mut rows = rows;
        if let Some(gain) = self.change.and_then(|change| change.gain.as_ref()) {
            gained.clear();
            for row in rows.values.chunks(rows.stride).take(rows.count) {
                let gain = &gain[head * width..][..width];
                gained.extend(row.iter().zip(gain).map(|(x, gain)| x * gain));
            }
            rows = Rows {
                values: gained,
                stride: width,
                count: rows.count,
            };
        }
        multiply(rows, part, terms, stride, Finish::default());
        if let Some(change) = self.change {
            let rank = change.ranks.depth();
            up.pack_rows(&change.up[head * width * rank..], rank, rank, width);
            ranks.resize(rows.count * rank, 0.0);
            multiply(rows, &*up, ranks, rank, Finish::default());
            let ranks = Rows {
                values: ranks,
                stride: rank,
                count: rows.count,
            };
            let onto = Finish {
                onto: true,
                ..Finish::default()
            };
            let (part, _) = change.ranks.some_columns(reached);
            multiply(ranks, part, terms, stride, onto);
        }
        (held.start, stride)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::attention::{Heads, Scratch, attend};
    use crate::testing::{random, some_rows};
    use proptest::prelude::*;

    /// The vectors of one kind of term: as they are held, and as the definition has them, changed and with a bias.
    struct Vectors {
        projected: Projected,
        change: Option<ProjectedChange>,
        rows: Vec<f64>,
    }

    impl Vectors {
        fn new(count: usize, heads: Heads, rank: usize, gained: bool, bias: &[f32], seed: u64) -> Self {
            let joined = heads.joined();
            let base = random(count * joined, 1.0, seed);
            let up = random(joined * rank, 1.0, seed ^ 1);
            let down = random(count * rank, 1.0, seed ^ 2);
            let gain = random(joined, 2.0, seed ^ 3);
            let changed = |at: usize| {
                let (row, column) = (at / joined, at % joined);
                let low: f64 = (0..rank)
                    .map(|k| f64::from(down[row * rank + k]) * f64::from(up[column * rank + k]))
                    .sum();
                let gain = if gained { f64::from(gain[column]) } else { 1.0 };
                gain * (f64::from(base[at]) + low) + f64::from(bias[column])
            };
            let rows = (0..count * joined).map(changed).collect();
            let mut ranks = Packed::default();
            ranks.pack_transposed(&down, rank.max(1), count, rank);
            Self {
                projected: Projected::new(&base, count, heads.count, heads.width),
                change: (rank > 0).then(|| ProjectedChange {
                    gain: gained.then(|| gain.clone()),
                    up: up.clone(),
                    ranks,
                }),
                rows,
            }
        }

        fn term(&self) -> Term<'_> {
            Term {
                projected: &self.projected,
                change: self.change.as_ref(),
            }
        }
    }

    struct Case {
        length: usize,
        heads: Heads,
        /// Vectors on each side.
        side: i64,
        /// Distances that share a vector far away.
        step: i64,
        terms: [bool; 2],
        rank: usize,
        gained: bool,
    }

    /// The largest difference between the kernel and the definition in double precision.
    fn difference(case: &Case, seed: u64) -> f64 {
        let Case {
            length,
            heads,
            side,
            step,
            ..
        } = *case;
        let column = |distance: i64| {
            let near = distance.clamp(-side / 2, side / 2);
            ((near + (distance - near) / step).clamp(-side, side - 1) + side) as u32
        };
        let columns = Columns::new(length + 3, column);
        let (width, joined) = (heads.width, heads.joined());
        let bias = random(joined, 1.0, seed ^ 7);
        let vectors = |bias: &[f32], seed| {
            let gained = case.gained && case.rank > 0;
            Vectors::new(2 * side as usize, heads, case.rank, gained, bias, seed)
        };
        // The bias of projected keys changes nothing, so the kernel is not told of it.
        let (keys, queries) = (
            vectors(&random(joined, 1.0, seed ^ 8), seed ^ 5),
            vectors(&bias, seed ^ 6),
        );
        let relative = Relative {
            columns: &columns,
            content_to_position: case.terms[0].then(|| keys.term()),
            position_to_content: case.terms[1].then(|| queries.term()),
            bias: case.terms[1].then_some(&bias),
        };
        let qkv = random(length * 3 * joined, 1.0, seed ^ 9);
        let attended = |rows: Option<&[u32]>| {
            let mut got = vec![f32::NAN; rows.map_or(length, <[u32]>::len) * joined];
            let scratch = &mut Scratch::default();
            attend(&qkv, length, heads, Some(relative), rows, &mut got, scratch);
            got
        };
        let got = attended(None);
        let rows = some_rows(length, seed);
        for (some, row) in attended(Some(&rows)).chunks_exact(joined).zip(rows) {
            for (some, all) in some.iter().zip(&got[row as usize * joined..]) {
                assert!((some - all).abs() < 1e-5, "row {row}: {some} {all}");
            }
        }
        let at = |row: usize, part: usize, c: usize| f64::from(qkv[(row * 3 + part) * joined + c]);
        let mut worst = 0.0_f64;
        for head in 0..heads.count {
            let own = head * width..(head + 1) * width;
            for i in 0..length {
                let seen = |j: &usize| heads.reach.is_none_or(|reach| i.abs_diff(*j) <= reach);
                let weights: Vec<f64> = (0..length)
                    .map(|j| {
                        let row = column(j as i64 - i as i64) as usize * joined;
                        let score: f64 = own
                            .clone()
                            .map(|c| {
                                let (q, k) = (at(i, 0, c), at(j, 1, c));
                                let c2p = if case.terms[0] {
                                    q * keys.rows[row + c]
                                } else {
                                    0.0
                                };
                                let p2c = if case.terms[1] {
                                    k * queries.rows[row + c]
                                } else {
                                    0.0
                                };
                                q * k + c2p + p2c
                            })
                            .sum();
                        if seen(&j) {
                            (score * f64::from(heads.scale)).exp()
                        } else {
                            0.0
                        }
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                for c in own.clone() {
                    let want: f64 = (0..length).map(|j| weights[j] / total * at(j, 2, c)).sum();
                    worst = worst.max((f64::from(got[i * joined + c]) - want).abs());
                }
            }
        }
        worst
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn equals_the_definition(
            length in 1_usize..70,
            count in 1_usize..3,
            width in 1_usize..20,
            side in 1_i64..80,
            step in 1_i64..9,
            terms in any::<[bool; 2]>(),
            (rank, gained) in (0_usize..4, any::<bool>()),
            reach in prop_oneof![Just(None), (0_usize..30).prop_map(Some)],
            seed in any::<u64>(),
        ) {
            let scale = 1.0 / (3.0 * width as f32).sqrt();
            let heads = Heads { count, shared: count, width, scale, reach };
            let case = Case { length, heads, side, step, terms, rank, gained };
            let worst = difference(&case, seed);
            prop_assert!(worst < 5e-5, "{worst}");
        }
    }

    #[test]
    fn more_tokens_than_one_block_are_all_scored() {
        for (side, step) in [(30, 5), (260, 3)] {
            let case = Case {
                length: 192 * 2 + 29,
                heads: Heads {
                    count: 1,
                    shared: 1,
                    width: 8,
                    scale: 0.2,
                    reach: None,
                },
                side,
                step,
                terms: [true, true],
                rank: 2,
                gained: true,
            };
            assert!(difference(&case, 3) < 5e-5);
        }
    }
}
