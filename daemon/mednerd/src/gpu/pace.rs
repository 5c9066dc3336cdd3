//! How fast a GPU computes the models over one base: how much a batch should have, and when it must be done.

use std::collections::VecDeque;
use std::time::Duration;

/// What a batch should take: long enough to fill a GPU, short enough that nobody waits for it.
pub(super) const BATCH_TIME: Duration = Duration::from_millis(40);
/// A batch that takes so many times the longest that its like took is stuck.
const PATIENCE: f64 = 5.0;
/// The longest that any batch may take, and one of which nothing is known.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// Tokens of a batch of which nothing is known.
const FIRST_BUDGET: f64 = 2048.0;
/// Bounds of the budget.
pub(super) const BUDGET: (f64, f64) = (256.0, 262_144.0);
/// A sequence of this length costs as much in attention as in everything else, more or less.
const ATTENTION: f64 = 4096.0;
/// Batches of a size that are remembered: the longest of them stands for the 99th percentile.
const KEPT: usize = 64;

/// Pairs of a word and a label that cost as much as a token of a small model, more or less. Scores of a request with hundreds of labels take
/// as long as its tokens.
const PAIRS: usize = 64;

/// What it costs to score so many pairs of a word and a label, in tokens.
pub(super) fn scored(pairs: usize) -> usize {
    pairs / PAIRS
}

/// What a sequence costs that has so many pairs of a word and a label, in tokens of a short one.
pub(super) fn cost(length: usize, pairs: usize) -> f64 {
    let length = length as f64;
    length * (1.0 + length / ATTENTION) + scored(pairs) as f64
}

/// How often a window is computed for models with these shares of their own: what the one with the least shares with the others is
/// computed once, and each one's own besides.
pub(super) fn passes(own: &[f64]) -> f64 {
    let shared = own.iter().map(|own| 1.0 - own).fold(0.0, f64::max);
    shared + own.iter().sum::<f64>()
}

/// Batches of one size are alike.
fn size(cost: f64) -> usize {
    cost.max(1.0).log2() as usize
}

/// What is known of it.
#[derive(Debug)]
pub(super) struct Pace {
    /// Cost and seconds of the last batches, by the binary logarithm of their cost.
    sizes: Vec<VecDeque<(f64, f64)>>,
    /// The most tokens in a batch.
    limit: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            sizes: Vec::new(),
            limit: BUDGET.1,
        }
    }
}

impl Pace {
    /// How many tokens a batch should have.
    pub(super) fn budget(&self) -> usize {
        // Of the sizes known, the one with the most cost per second: smaller ones leave the GPU idle, and where a large one has
        // become slow, its next batches say so.
        let rates = self.sizes.iter().filter_map(|times| {
            let mut rates: Vec<f64> = times.iter().map(|(cost, time)| cost / time).collect();
            rates.sort_by(f64::total_cmp);
            rates.get(rates.len() / 2).copied()
        });
        let wished = rates.reduce(f64::max);
        let wished = wished.map_or(FIRST_BUDGET, |rate| rate * BATCH_TIME.as_secs_f64());
        wished.clamp(BUDGET.0, BUDGET.1).min(self.limit) as usize
    }

    /// How long a batch of this cost may take: at least `least`. A smaller one is done as soon, a larger one takes as much
    /// longer as it costs more; what is known best is what gives the shortest time.
    pub(super) fn allowed(&self, cost: f64, least: Duration) -> Duration {
        let bounds = self.sizes.iter().filter_map(|times| {
            let bounds = times.iter().map(|(known, time)| time * (cost / known).max(1.0));
            bounds.reduce(f64::max)
        });
        let expected = bounds.reduce(f64::min);
        let allowed = expected.and_then(|time| Duration::try_from_secs_f64(time * PATIENCE).ok());
        allowed.unwrap_or(LONGEST).clamp(least, LONGEST.max(least))
    }

    /// How long a batch of this cost takes: as long as the shortest of those that are most like it. `None` where nothing is known.
    pub(super) fn expected(&self, cost: f64) -> Option<Duration> {
        let known = self
            .sizes
            .iter()
            .enumerate()
            .filter(|(_, times)| !times.is_empty());
        let (_, times) = known.min_by_key(|(known, _)| known.abs_diff(size(cost)))?;
        // Small ones all take the same: what costs more is not expected to take longer.
        let times = times.iter().map(|(known, time)| time * (cost / known).min(1.0));
        Duration::try_from_secs_f64(times.reduce(f64::min)?).ok()
    }

    /// A batch was computed.
    pub(super) fn note(&mut self, cost: f64, time: Duration) {
        let size = size(cost);
        if self.sizes.len() <= size {
            self.sizes.resize_with(size + 1, VecDeque::new);
        }
        if let Some(times) = self.sizes.get_mut(size) {
            times.push_back((cost, time.as_secs_f64().max(1e-6)));
            if times.len() > KEPT {
                times.pop_front();
            }
        }
        // What did not fit before may fit again.
        self.limit = (self.limit * 1.01).min(BUDGET.1);
    }

    /// A batch of so many tokens did not fit.
    pub(super) fn shrink(&mut self, tokens: usize) {
        self.limit = (tokens as f64 / 2.0).max(BUDGET.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEAST: Duration = Duration::from_millis(300);

    fn milliseconds(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    /// A GPU with 3 ms for each batch and a million tokens per second.
    fn time(cost: f64) -> Duration {
        Duration::from_secs_f64(3e-3 + cost / 1e6)
    }

    #[test]
    fn what_models_share_is_one_pass() {
        // Alone, each is one: a base, an adapter over the upper layers, one over all.
        assert!([0.0, 0.25, 1.0].iter().all(|own| passes(&[*own]) == 1.0));
        assert_eq!(passes(&[0.0, 0.0, 0.25]), 1.25);
        assert_eq!(passes(&[0.5, 0.25]), 1.5);
        assert_eq!(passes(&[1.0, 0.0, 1.0]), 3.0);
    }

    #[test]
    fn nothing_known_is_patience_and_small_batches() {
        let pace = Pace::default();
        assert_eq!((pace.budget(), pace.allowed(10.0, LEAST)), (2048, LONGEST));
        assert_eq!(pace.expected(10.0), None);
    }

    #[test]
    fn a_stuck_batch_is_found_soon_whatever_was_computed_before() {
        let mut pace = Pace::default();
        // Small ones alone leave a wide guess of large ones; one large one ends that.
        (0..100).for_each(|_| pace.note(20.0, time(20.0)));
        assert_eq!(pace.allowed(20.0, LEAST), LEAST);
        assert!(pace.allowed(100_000.0, LEAST) > milliseconds(10_000));
        pace.note(40_000.0, time(40_000.0));
        assert!(pace.allowed(100_000.0, LEAST) < milliseconds(600));
        assert_eq!(pace.allowed(40_000.0, LEAST), LEAST);
        assert!((30_000..40_000).contains(&pace.budget()), "{}", pace.budget());
    }

    #[test]
    fn a_gpu_that_has_become_slow_is_believed_and_gets_less() {
        let mut pace = Pace::default();
        (0..1000).for_each(|_| pace.note(40_000.0, time(40_000.0)));
        let before = pace.budget();
        (0..KEPT).for_each(|_| pace.note(40_000.0, 10 * time(40_000.0)));
        assert!(pace.budget() < before / 5);
        assert!(pace.allowed(40_000.0, LEAST) > milliseconds(2_000));
        pace.shrink(1_000);
        assert_eq!(pace.budget(), 500);
        (0..KEPT).for_each(|_| pace.note(400.0, time(400.0)));
        assert!(pace.budget() > 500);
    }

    proptest! {
        /// What a GPU of constant overhead and rate has shown is always enough for what it does next, with room to spare, and
        /// what it is given takes about the time that it should.
        #[test]
        fn an_honest_gpu_is_never_called_stuck(
            noted in proptest::collection::vec(1.0..300_000.0_f64, 1..40),
            next in 1.0..300_000.0_f64,
        ) {
            let mut pace = Pace::default();
            noted.iter().for_each(|cost| pace.note(*cost, time(*cost)));
            prop_assert!(pace.allowed(next, Duration::ZERO) >= (time(next) * 4).min(LONGEST));
            // And it is never expected to take longer than the like took.
            let alike = noted.iter().map(|cost| time(*cost).mul_f64(next / cost)).max().unwrap();
            prop_assert!(pace.expected(next).unwrap() <= alike + Duration::from_micros(1));
            let budget = time(pace.budget() as f64);
            prop_assert!(budget <= BATCH_TIME * 2 || pace.budget() as f64 <= BUDGET.0);
        }
    }
}
