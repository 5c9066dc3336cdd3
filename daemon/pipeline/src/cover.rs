//! Whether something lies within one of many stretches.

/// Stretches, by where they begin, with how far any of those up to there reaches.
#[derive(Clone, Debug, Default)]
pub struct Cover(Vec<(usize, usize)>);

impl Cover {
    /// Of stretches from a first to a last place, in any order.
    pub fn new(stretches: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut sorted: Vec<(usize, usize)> = stretches.into_iter().collect();
        sorted.sort_unstable();
        let mut reach = 0;
        for (_, last) in &mut sorted {
            reach = reach.max(*last);
            *last = reach;
        }
        Self(sorted)
    }

    /// Whether one of them has all from `first` to `last`. In logarithmic time.
    pub fn covers(&self, first: usize, last: usize) -> bool {
        let before = self.0.partition_point(|(begin, _)| *begin <= first);
        let reach = before.checked_sub(1).and_then(|at| self.0.get(at));
        reach.is_some_and(|(_, reach)| last <= *reach)
    }

    /// Whether one of them has some of what lies between `first` and `last`. In logarithmic time.
    pub fn touches(&self, first: usize, last: usize) -> bool {
        let before = self.0.partition_point(|(begin, _)| *begin < last);
        let reach = before.checked_sub(1).and_then(|at| self.0.get(at));
        reach.is_some_and(|(_, reach)| first < *reach)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_one_of_them_has_is_covered_and_what_it_has_some_of_is_touched(
            stretches in proptest::collection::vec((0..30_usize, 0..10_usize), 0..8),
            (first, length) in (0..30_usize, 0..10_usize),
        ) {
            let stretches: Vec<_> = stretches.into_iter().map(|(begin, length)| (begin, begin + length)).collect();
            let last = first + length;
            let covered = stretches.iter().any(|(begin, end)| *begin <= first && last <= *end);
            let touched = stretches.iter().any(|(begin, end)| *begin < last && first < *end);
            let cover = Cover::new(stretches);
            prop_assert_eq!(cover.covers(first, last), covered);
            prop_assert_eq!(cover.touches(first, last), touched);
        }
    }
}
