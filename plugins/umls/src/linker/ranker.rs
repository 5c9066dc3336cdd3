//! Ranks the candidates of the fuzzy stage: a log-linear model over how a mention is like a concept's names.
//!
//! The weights are fitted by `eval/fit_ranker.py` on the training splits of the NCBI disease corpus and BC5CDR, so that
//! the right candidate of each mention has the greatest score (a softmax over its candidates).

use super::similarity::Likeness;

/// The numbers that a candidate is ranked by.
const RANKED: usize = 8;
/// All numbers: behind those that it is ranked by the ones that only its confidence goes by.
pub const FEATURES: usize = RANKED + 2;

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
    "share of the name that the mention has",
    "adds a telling word",
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
            self.best.covering,
            f32::from(u8::from(self.best.telling > 0)),
        ]
    }
}

const WEIGHTS: [f32; RANKED] = [10.52, 1.74, -0.68, 1.32, -0.53, 2.41, 2.01, 1.89];

/// The score: only differences between the candidates of one mention have a meaning.
pub fn score(features: &Features) -> f32 {
    WEIGHTS
        .iter()
        .zip(features)
        .map(|(weight, feature)| weight * feature)
        .sum()
}

/// The smallest and the largest dictionary that the size tells apart, in concepts. Beyond the largest that was measured nothing is made out,
/// and one that is smaller still is chosen for what its notes speak of.
const SIZES: (u64, u64) = (1_000, 20_000);
/// The dictionary that the regression's constants are for.
const USUAL: f32 = 15_000.0;

/// The chance that a candidate is right, by its share of the softmax over the mention's candidates, by how alike its name is, by what
/// the name says beside the mention, and by the size of the dictionary: the fewer concepts it has, the oftener the one that is meant
/// is missing and another one is all that is left, and the less a name that says more is the one that is meant. A logistic
/// regression on the training splits, with dictionaries of 400 to 22,729 concepts (`eval/fit_ranker.py`).
pub(super) fn chance(share: f32, features: &Features, concepts: u64) -> f32 {
    let [similarity, .., covering, telling] = *features;
    let size = (concepts.clamp(SIZES.0, SIZES.1) as f32 / USUAL).ln();
    let added = 1.0 - covering;
    let margin = -2.12 + 2.15 * share + 1.19 * similarity + 0.53 * size
        - (2.40 - 1.30 * size) * added
        - 0.73 * telling;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn said(similarity: f32, covering: f32, telling: u8, concepts: u64) -> f32 {
        let best = Likeness {
            similarity,
            covering,
            telling,
            ..Likeness::default()
        };
        let features = Evidence {
            best,
            ..Evidence::default()
        };
        chance(1.0, &features.features(), concepts)
    }

    #[test]
    fn a_name_that_says_more_is_hardly_the_one_that_is_meant() {
        // "effusion" and "Pleural effusion"; "cervical lymphadenopathy" and "Lymphadenopathy".
        let (more, less) = (said(0.59, 0.5, 1, 385), said(0.78, 1.0, 0, 385));
        assert!(more < 0.05 && less > 0.25, "{more} {less}");
        assert!(said(0.59, 0.5, 1, 15_000) < 0.3);
    }

    #[test]
    fn little_is_sure_in_a_small_dictionary() {
        assert!(said(0.95, 0.95, 0, 400) < 0.6 && said(0.95, 0.95, 0, 15_000) > 0.7);
        // Beyond what was measured nothing is made out.
        assert!((said(0.9, 1.0, 0, 4_000_000) - said(0.9, 1.0, 0, 20_000)).abs() < 1e-6);
    }
}
