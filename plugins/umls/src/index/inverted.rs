//! An inverted index that is searched block by block.
//!
//! Documents (names, or words) are numbered; 65,536 of them are a block, so that a block's accumulators (128 KiB)
//! stay in the cache. A feature's postings are its blocks, each a count and the low 16 bits of its documents: they
//! are read without decoding, and a block that cannot hold a result is skipped.
//!
//! ```text
//! feature: u16 blocks; per block u16 number, u16 count - 1; then per block its u16 documents, ascending
//! ```

use std::cell::RefCell;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::format::{u16_at, u32_at};

/// Documents per block.
const BLOCK: usize = 1 << 16;

/// A result: the higher the rank the better; of equals, the smaller document is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) rank: u32,
    pub(crate) document: u32,
}

impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.rank, Reverse(self.document)).cmp(&(other.rank, Reverse(other.document)))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What is looked for: features with their weights, and what all of the query weighs, features that are in no
/// document included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) features: Vec<(u32, u16)>,
    pub(crate) weight: u32,
    /// The least share of `weight`, in percent, that a result must have in common with the query.
    pub(crate) share: u32,
    /// The least rank of a result.
    pub(crate) least_rank: u32,
}

impl Query {
    fn least(&self) -> u32 {
        (self.weight * self.share).div_ceil(100).max(1)
    }
}

/// Dice coefficient of the common weight, times 2^20.
fn rank(common: u32, query: u32, document: u32) -> u32 {
    let (common, whole) = (u64::from(common), u64::from(query) + u64::from(document));
    u32::try_from(((2 * common) << 20) / whole.max(1)).unwrap_or(u32::MAX)
}

/// The postings as they lie in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inverted<'a> {
    pub(crate) offsets: &'a [u8],
    pub(crate) postings: &'a [u8],
    /// A 16-bit weight per document.
    pub(crate) weights: &'a [u8],
    /// Whether documents are in the order of their weights, so that blocks of too light or heavy ones are skipped.
    pub(crate) by_weight: bool,
}

#[derive(Clone, Copy)]
struct Cursor<'a> {
    weight: u16,
    documents: u32,
    blocks: &'a [u8],
    next: usize,
    lows: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn block(&self) -> Option<usize> {
        u16_at(self.blocks, 2 * self.next).map(usize::from)
    }

    /// The documents of block `block`, and on to the next.
    fn take(&mut self, block: usize) -> &'a [u8] {
        while let Some(at) = self.block() {
            if at > block {
                break;
            }
            let count = u16_at(self.blocks, 2 * self.next + 1).map_or(0, |count| usize::from(count) + 1);
            let (lows, rest) = self.lows.split_at_checked(2 * count).unwrap_or((self.lows, &[]));
            self.lows = rest;
            self.next += 1;
            if at == block {
                return lows;
            }
        }
        &[]
    }
}

struct Scratch {
    common: Vec<u16>,
    touched: Vec<u16>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch { common: Vec::new(), touched: Vec::new() }) };
}

impl<'a> Inverted<'a> {
    fn cursor(&self, feature: u32, weight: u16) -> Option<Cursor<'a>> {
        let bound = |i: u32| u32_at(self.offsets, i as usize).map(|offset| offset as usize * 2);
        let bytes = self
            .postings
            .get(bound(feature)?..bound(feature.checked_add(1)?)?)?;
        let count = usize::from(u16_at(bytes, 0)?);
        let (blocks, lows) = bytes.get(2..)?.split_at_checked(4 * count)?;
        Some(Cursor {
            weight,
            documents: (lows.len() / 2) as u32,
            blocks,
            next: 0,
            lows,
        })
    }

    /// The number of documents that have `feature`.
    #[cfg(test)]
    pub(crate) fn documents(&self, feature: u32) -> u32 {
        self.cursor(feature, 0).map_or(0, |cursor| cursor.documents)
    }

    fn weight(&self, document: usize) -> u32 {
        u16_at(self.weights, document).map_or(0, u32::from)
    }

    /// The highest rank that a document of a block can have where documents are ordered by weight.
    fn highest(&self, block: usize, query: u32) -> u32 {
        let last = (self.weights.len() / 2).saturating_sub(1);
        let lightest = self.weight(block * BLOCK);
        let heaviest = self.weight((block * BLOCK + BLOCK - 1).min(last));
        let nearest = query.clamp(lightest, heaviest.max(lightest));
        rank(nearest.min(query), query, nearest)
    }

    /// The best `count` documents, best first: exactly those that comparing with every document would give.
    pub(crate) fn search(&self, query: &Query, count: usize) -> Vec<Hit> {
        let mut cursors: Vec<Cursor<'_>> = query
            .features
            .iter()
            .filter_map(|&(feature, weight)| self.cursor(feature, weight))
            .collect();
        // Rarest first. A result shares at least `least` with the query, so it has one of the first features:
        // those that are left when the last ones together weigh less than `least`. Only these make candidates.
        cursors.sort_by_key(|cursor| cursor.documents);
        if count == 0 || query.weight == 0 {
            return Vec::new();
        }
        SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
            Ok(mut scratch) => self.walk(query, cursors, count, &mut scratch),
            // Not reached: a search makes no other search.
            Err(_) => Vec::new(),
        })
    }

    fn walk(
        &self,
        query: &Query,
        mut cursors: Vec<Cursor<'_>>,
        count: usize,
        scratch: &mut Scratch,
    ) -> Vec<Hit> {
        let Scratch { common, touched } = scratch;
        common.resize(BLOCK, 0);
        let Some(common) = common.first_chunk_mut::<BLOCK>() else {
            return Vec::new();
        };
        let mut best: BinaryHeap<Reverse<Hit>> = BinaryHeap::with_capacity(count + 1);
        let mut least = query.least().max(match query.least_rank {
            0 => 0,
            rank => least_for(rank - 1, query.weight),
        });
        let mut makers = makers(&cursors, least);
        while let Some(block) = cursors[..makers].iter().filter_map(Cursor::block).min() {
            if self.by_weight && self.highest(block, query.weight) < query.least_rank {
                for cursor in &mut cursors[..makers] {
                    cursor.take(block);
                }
                continue;
            }
            for cursor in &mut cursors[..makers] {
                let weight = cursor.weight;
                for low in cursor.take(block).chunks_exact(2) {
                    let low = u16::from_le_bytes([low[0], low[1]]);
                    let sum = &mut common[usize::from(low)];
                    if *sum == 0 {
                        touched.push(low);
                    }
                    *sum = sum.saturating_add(weight);
                }
            }
            let mut rest: u32 = cursors[makers..]
                .iter()
                .map(|cursor| u32::from(cursor.weight))
                .sum();
            for cursor in &mut cursors[makers..] {
                // Those that cannot share enough even with all that is to come are done with.
                touched.retain(|&low| {
                    let sum = &mut common[usize::from(low)];
                    let enough = u32::from(*sum) + rest >= least;
                    if !enough {
                        *sum = 0;
                    }
                    enough
                });
                let weight = cursor.weight;
                rest -= u32::from(weight);
                let lows = cursor.take(block);
                if lows.len() / 2 > 16 * touched.len() {
                    for &low in touched.iter() {
                        if contains(lows, low) {
                            let sum = &mut common[usize::from(low)];
                            *sum = sum.saturating_add(weight);
                        }
                    }
                } else {
                    for low in lows.chunks_exact(2) {
                        let sum = &mut common[usize::from(u16::from_le_bytes([low[0], low[1]]))];
                        // No branch: which documents are candidates cannot be foreseen.
                        let candidate = u16::from(*sum != 0).wrapping_neg();
                        *sum = sum.saturating_add(weight & candidate);
                    }
                }
            }
            for low in touched.drain(..) {
                let sum = u32::from(std::mem::take(&mut common[usize::from(low)]));
                if sum < least {
                    continue;
                }
                let document = (block * BLOCK + usize::from(low)) as u32;
                let hit = Hit {
                    rank: rank(sum, query.weight, self.weight(document as usize)),
                    document,
                };
                if hit.rank < query.least_rank {
                    continue;
                }
                if best.len() < count {
                    best.push(Reverse(hit));
                } else if let Some(mut worst) = best.peek_mut()
                    && hit > worst.0
                {
                    *worst = Reverse(hit);
                }
            }
            if best.len() == count
                && let Some(Reverse(worst)) = best.peek()
            {
                least = least.max(least_for(worst.rank, query.weight));
                makers = makers.min(self::makers(&cursors, least));
            }
        }
        let mut hits: Vec<Hit> = best.into_iter().map(|Reverse(hit)| hit).collect();
        hits.sort_unstable_by(|a, b| b.cmp(a));
        hits
    }
}

/// How many of the rarest features must be looked through for candidates that share `least`.
fn makers(cursors: &[Cursor<'_>], least: u32) -> usize {
    let mut makers = cursors.len();
    let mut rest = 0;
    while makers > 0 {
        rest += u32::from(cursors[makers - 1].weight);
        if rest >= least {
            break;
        }
        makers -= 1;
    }
    makers
}

/// The least common weight with which a rank above `rank` can be had: a document weighs at least what it has in
/// common, so its rank is at most `2 common / (query + common)`.
fn least_for(rank: u32, query: u32) -> u32 {
    let (rank, query, one) = (u64::from(rank), u64::from(query), 1_u64 << 20);
    u32::try_from(rank * query / (2 * one).saturating_sub(rank).max(1)).unwrap_or(u32::MAX)
}

fn contains(lows: &[u8], wanted: u16) -> bool {
    let (mut low, mut high) = (0, lows.len() / 2);
    while low < high {
        let middle = low.midpoint(high);
        match u16_at(lows, middle).map(|at| at.cmp(&wanted)) {
            Some(Ordering::Less) => low = middle + 1,
            Some(Ordering::Greater) => high = middle,
            Some(Ordering::Equal) => return true,
            None => return false,
        }
    }
    false
}

/// Postings in the making: documents come in ascending order, each with its features.
#[derive(Debug, Default)]
pub(crate) struct Postings {
    /// Documents per feature.
    pub(crate) counts: Vec<u32>,
    features: Vec<u32>,
    ends: Vec<u32>,
}

impl Postings {
    /// Adds the next document; each of its features once.
    pub(crate) fn push(&mut self, features: &[u32]) {
        for &feature in features {
            let feature = feature as usize;
            if feature >= self.counts.len() {
                self.counts.resize(feature + 1, 0);
            }
            self.counts[feature] += 1;
        }
        self.features.extend(features);
        self.ends.push(self.features.len() as u32);
    }

    /// The features of each document, in the order in which they came.
    pub(crate) fn documents(&self) -> impl Iterator<Item = &[u32]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let features = &self.features[start..end as usize];
            start = end as usize;
            features
        })
    }

    /// Gives the features new numbers.
    pub(crate) fn renumber(&mut self, numbers: &[u32]) {
        let mut counts = vec![0; self.counts.len()];
        for (old, &count) in self.counts.iter().enumerate() {
            counts[numbers[old] as usize] = count;
        }
        self.counts = counts;
        for feature in &mut self.features {
            *feature = numbers[*feature as usize];
        }
    }

    /// The offsets and the postings as they go into the file.
    pub(crate) fn encode(self) -> (Vec<u8>, Vec<u8>) {
        let mut starts = Vec::with_capacity(self.counts.len() + 1);
        let mut sum = 0_usize;
        for &count in &self.counts {
            starts.push(sum);
            sum += count as usize;
        }
        let mut next = starts.clone();
        starts.push(sum);
        let mut documents = vec![0_u32; sum];
        for (document, features) in self.documents().enumerate() {
            for &feature in features {
                let at = &mut next[feature as usize];
                documents[*at] = document as u32;
                *at += 1;
            }
        }
        drop(next);
        drop(self);
        let mut offsets = Vec::with_capacity(4 * starts.len());
        let mut postings = Vec::with_capacity(2 * sum);
        offsets.extend(0_u32.to_le_bytes());
        for bounds in starts.windows(2) {
            let documents = &documents[bounds[0]..bounds[1]];
            let blocks = documents.chunk_by(|a, b| a >> 16 == b >> 16);
            postings.extend((blocks.clone().count() as u16).to_le_bytes());
            for block in blocks {
                postings.extend(((block[0] >> 16) as u16).to_le_bytes());
                postings.extend(((block.len() - 1) as u16).to_le_bytes());
            }
            for document in documents {
                postings.extend((*document as u16).to_le_bytes());
            }
            offsets.extend(((postings.len() / 2) as u32).to_le_bytes());
        }
        (offsets, postings)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Compares with every document.
    fn scan(documents: &[Vec<u32>], weights: &[u16], query: &Query, count: usize) -> Vec<Hit> {
        let mut hits: Vec<Hit> = documents
            .iter()
            .enumerate()
            .filter_map(|(document, features)| {
                let common: u32 = query
                    .features
                    .iter()
                    .filter(|(feature, _)| features.contains(feature))
                    .map(|(_, weight)| u32::from(*weight))
                    .sum();
                let hit = Hit {
                    rank: rank(common, query.weight, u32::from(weights[document])),
                    document: document as u32,
                };
                let enough = common * 100 >= query.weight * query.share && hit.rank >= query.least_rank;
                (enough && common > 0).then_some(hit)
            })
            .collect();
        hits.sort_by(|a, b| b.cmp(a));
        hits.truncate(count);
        hits
    }

    proptest! {
        #[test]
        fn searching_gives_what_a_scan_gives(
            documents in prop::collection::vec(prop::collection::btree_set(0_u32..40, 0..6), 1..300),
            feature_weights in prop::collection::vec(1_u16..200, 40),
            picked in prop::collection::btree_set(0_u32..45, 1..7),
            unknown in 0_u32..200,
            share in 0_u32..80,
            least_rank in prop::sample::select(vec![0_u32, 1 << 18, 1 << 19]),
            count in 1_usize..20,
            by_weight in any::<bool>(),
            spread in prop::sample::select(vec![1_usize, 700]),
        ) {
            // Spread over blocks: empty documents lie between.
            let mut postings = Postings::default();
            let mut all = Vec::new();
            for document in &documents {
                for _ in 1..spread {
                    all.push(Vec::new());
                }
                all.push(document.iter().copied().collect::<Vec<_>>());
            }
            let weigh = |features: &Vec<u32>| features.iter().map(|&f| feature_weights[f as usize]).sum::<u16>();
            if by_weight {
                all.sort_by_key(weigh);
            }
            let weights: Vec<u16> = all
                .iter()
                .map(|features| features.iter().map(|&f| feature_weights[f as usize]).sum())
                .collect();
            for features in &all {
                postings.push(features);
            }
            let bytes: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
            let (offsets, postings) = postings.encode();
            let inverted = Inverted { offsets: &offsets, postings: &postings, weights: &bytes, by_weight };
            let features: Vec<(u32, u16)> = picked
                .iter()
                .map(|&f| (f, feature_weights.get(f as usize).copied().unwrap_or(50)))
                .collect();
            let weight = features.iter().map(|(_, w)| u32::from(*w)).sum::<u32>() + unknown;
            let query = Query { features, weight, share, least_rank };
            prop_assert_eq!(inverted.search(&query, count), scan(&all, &weights, &query, count));
        }

        #[test]
        fn any_bytes_are_searched_without_a_panic(
            offsets in prop::collection::vec(any::<u8>(), 0..40),
            postings in prop::collection::vec(any::<u8>(), 0..200),
            weights in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let inverted = Inverted { offsets: &offsets, postings: &postings, weights: &weights, by_weight: true };
            let query = Query { features: (0..12).map(|f| (f, 9)).collect(), weight: 108, share: 20, least_rank: 1000 };
            inverted.search(&query, 10);
            inverted.documents(3);
        }
    }
}
