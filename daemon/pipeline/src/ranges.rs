//! The highest of values between two places, while they rise one by one.

use std::ops::Range;

/// Values by place, each 0 at first: a tree, of which each node has the higher of the two below it.
#[derive(Debug, Default)]
pub(crate) struct Highest(Vec<usize>);

impl Highest {
    /// Of so many places.
    pub(crate) fn new(places: usize) -> Self {
        Self(vec![0; 2 * places])
    }

    /// Raises the value at a place to this one, where it is lower. In logarithmic time.
    pub(crate) fn raise(&mut self, place: usize, value: usize) {
        let mut node = place + self.0.len() / 2;
        while let Some(held) = self.0.get_mut(node).filter(|held| node > 0 && **held < value) {
            *held = value;
            node /= 2;
        }
    }

    /// The highest of those at some places; 0 of none. In logarithmic time.
    pub(crate) fn within(&self, places: Range<usize>) -> usize {
        let half = self.0.len() / 2;
        let (mut from, mut to) = (places.start.min(half) + half, places.end.min(half) + half);
        let value = |node: usize| self.0.get(node).copied().unwrap_or(0);
        let mut highest = 0;
        while from < to {
            if from % 2 == 1 {
                highest = highest.max(value(from));
                from += 1;
            }
            if to % 2 == 1 {
                to -= 1;
                highest = highest.max(value(to));
            }
            (from, to) = (from / 2, to / 2);
        }
        highest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_highest(
            places in 0_usize..20,
            raised in proptest::collection::vec((0_usize..20, 0_usize..9), 0..30),
        ) {
            let (mut highest, mut values) = (Highest::new(places), vec![0; places]);
            for (place, value) in raised.into_iter().filter(|(place, _)| *place < places) {
                highest.raise(place, value);
                values[place] = values[place].max(value);
                for from in 0..=places {
                    for to in from..=places {
                        let want = values[from..to].iter().copied().max().unwrap_or(0);
                        prop_assert_eq!(highest.within(from..to), want);
                    }
                }
            }
        }
    }
}
