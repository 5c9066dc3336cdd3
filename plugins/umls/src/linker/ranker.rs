//! Ranks the candidates of the fuzzy stage: a log-linear model over how a mention is like a concept's names.
//!
//! The weights are fitted by `eval/fit_ranker.py` on the training splits of the NCBI disease corpus and BC5CDR, so that
//! the right candidate of each mention has the greatest score (a softmax over its candidates).

use super::similarity::Likeness;

/// The numbers that a candidate is ranked by.
pub const FEATURES: usize = 8;

/// What each of them says.
pub const NAMES: [&str; FEATURES] = [
    "similarity",
    "trigrams",
    "head",
    "added",
    "preferred name",
    "similarity of the preferred name",
    "similarity of the second name",
    "given by the hospital",
];

/// The features of one candidate, all about between 0 and 1.
pub type Features = [f32; FEATURES];

/// What is known of a candidate concept before it is ranked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    /// How its name most alike is like the mention.
    pub(super) best: Likeness,
    /// Common character trigrams of that name and the mention (Dice).
    pub(super) trigrams: f32,
    /// That name is the concept's preferred one.
    pub(super) preferred: bool,
    /// Similarity of the preferred name.
    pub(super) of_preferred: f32,
    /// Similarity of the second most alike name that was retrieved.
    pub(super) second: f32,
    /// Lines of the hospital's own names that are for this concept: how often it is met there.
    pub(super) given: u32,
}

impl Evidence {
    pub(super) fn features(&self) -> Features {
        [
            self.best.similarity,
            self.trigrams,
            self.best.head,
            f32::from(self.best.added).min(6.0) / 6.0,
            f32::from(u8::from(self.preferred)),
            self.of_preferred,
            self.second,
            (1.0 + self.given as f32).ln() / 5.0,
        ]
    }
}

const WEIGHTS: Features = [10.52, 1.74, -0.68, 1.32, -0.53, 2.41, 2.01, 1.89];

/// The score: only differences between the candidates of one mention have a meaning.
pub(super) fn score(features: &Features) -> f32 {
    WEIGHTS
        .iter()
        .zip(features)
        .map(|(weight, feature)| weight * feature)
        .sum()
}

/// Of names less alike than this, one in twenty was right in dictionaries of 400 and 2,000 concepts (`eval/nil.py`).
const HARDLY_ALIKE: f32 = 0.6;

/// The chance that a candidate is right, by its share of the softmax over the mention's candidates and by how alike its
/// name is: a logistic regression on the same splits. Their dictionary has nearly every concept that is mentioned; in a small one a
/// single name that is hardly alike has no rival, so that its share tells nothing: below [`HARDLY_ALIKE`] the chance falls fast.
pub(super) fn chance(share: f32, similarity: f32) -> f32 {
    let fitted = -3.69 + 2.88 * share + 2.80 * similarity + 0.72 * (similarity - 0.9).max(0.0) / 0.1;
    let margin = fitted - 1.2 * (HARDLY_ALIKE - similarity).max(0.0) / 0.1;
    1.0 / (1.0 + (-margin).exp())
}

/// Dice coefficient of two sorted lists of trigrams.
pub(super) fn dice(a: &[u32], b: &[u32]) -> f32 {
    let (mut i, mut j, mut common) = (0, 0, 0_usize);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        match x.cmp(y) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                common += 1;
                i += 1;
                j += 1;
            }
        }
    }
    2.0 * common as f32 / (a.len() + b.len()).max(1) as f32
}
