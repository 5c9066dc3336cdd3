//! Entities of several tasks or models over one text: put in one order, duplicates dropped, weak ones left
//! out. Nothing is resolved here: overlaps and nesting between tasks stand.

use std::cmp::Ordering;

use crate::decode::Span;

/// An entity and the task that found it.
#[derive(Clone, Debug, PartialEq)]
pub struct Mention {
    /// Index of the task, as the caller counts them.
    pub task: usize,
    /// The entity.
    pub span: Span,
}

/// Orders the entities of all tasks by begin, then longer first, then by label.
///
/// The same stretch with the same label is kept once, with the best score and the task that gave it (the
/// lower task where scores are equal). Everything else is kept: overlapping, nested, and equal stretches of
/// different labels. The result does not depend on the order of `mentions`.
pub fn merge(mut mentions: Vec<Mention>) -> Vec<Mention> {
    mentions.sort_unstable_by(|left, right| {
        place(left, right)
            .then(right.span.score.total_cmp(&left.span.score))
            .then(left.task.cmp(&right.task))
    });
    mentions.dedup_by(|later, kept| place(later, kept) == Ordering::Equal);
    mentions
}

fn place(left: &Mention, right: &Mention) -> Ordering {
    let (left, right) = (&left.span, &right.span);
    left.begin
        .cmp(&right.begin)
        .then(right.end.cmp(&left.end))
        .then_with(|| left.label.cmp(&right.label))
}

/// Leaves out the entities whose score is below `threshold` (a probability; a NaN leaves out everything).
pub fn retain_confident(spans: &mut Vec<Span>, threshold: f32) {
    spans.retain(|span| span.score >= threshold);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mention(task: usize, begin: usize, end: usize, label: &str, score: f32) -> Mention {
        Mention {
            task,
            span: Span {
                begin,
                end,
                label: label.into(),
                score,
            },
        }
    }

    #[test]
    fn duplicates_go_and_overlaps_stay() {
        let merged = merge(vec![
            mention(0, 5, 9, "DRUG", 0.7),
            mention(1, 5, 9, "DRUG", 0.9),
            mention(2, 5, 9, "CHEMICAL", 0.5),
            mention(1, 5, 20, "DRUG", 0.3),
            mention(0, 0, 6, "DRUG", 0.2),
            mention(2, 5, 9, "DRUG", 0.9),
        ]);
        let expected = [
            mention(0, 0, 6, "DRUG", 0.2),
            mention(1, 5, 20, "DRUG", 0.3),
            mention(2, 5, 9, "CHEMICAL", 0.5),
            mention(1, 5, 9, "DRUG", 0.9),
        ];
        assert_eq!(merged, expected);
    }

    #[test]
    fn threshold_is_inclusive() {
        let spans = || {
            [0.2, 0.5, 0.9]
                .map(|score| mention(0, 0, 1, "X", score).span)
                .to_vec()
        };
        let kept = |threshold| {
            let mut spans = spans();
            retain_confident(&mut spans, threshold);
            spans.len()
        };
        assert_eq!([kept(0.0), kept(0.5), kept(1.0), kept(f32::NAN)], [3, 2, 0, 0]);
    }

    proptest! {
        #[test]
        fn order_of_input_does_not_matter(
            raw in proptest::collection::vec((0usize..3, 0usize..4, 1usize..4, 0usize..2, 0u8..4), 0..20),
            turn in 0usize..20,
        ) {
            let mentions: Vec<Mention> = raw
                .into_iter()
                .map(|(task, begin, length, label, score)| {
                    mention(task, begin, begin + length, ["X", "Y"][label], f32::from(score) / 4.0)
                })
                .collect();
            let mut turned = mentions.clone();
            let turn = turn.min(turned.len());
            turned.rotate_left(turn);
            let merged = merge(mentions.clone());
            prop_assert_eq!(&merged, &merge(turned));
            prop_assert_eq!(&merged, &merge(merged.clone()));
            for mention in &mentions {
                let same = |kept: &&Mention| place(kept, mention) == Ordering::Equal;
                let best: Vec<&Mention> = merged.iter().filter(same).collect();
                prop_assert!(best.len() == 1 && best[0].span.score >= mention.span.score);
            }
        }
    }
}
