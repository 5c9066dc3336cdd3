//! Entities of several tasks or models over one text: put in one order, duplicates dropped, weak ones left
//! out; overlaps and nesting between models stand. What lists of names have comes last, where models have nothing.

use std::cmp::Ordering;
use std::collections::BTreeMap;

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

/// Puts what lists of names have found among what models have, which is [merged](merge): a name where no model has anything of
/// its label, whatever case that is written in. Models see the sentence, so that what they have stands; but a part of a word is
/// not what one meant, and gives way to the name that covers it.
pub fn fill(text: &str, found: &mut Vec<Mention>, names: Vec<Mention>) {
    if names.is_empty() {
        return;
    }
    let letter = |at: usize, before: bool| {
        let part = if before {
            text.get(..at).and_then(|text| text.chars().next_back())
        } else {
            text.get(at..).and_then(|text| text.chars().next())
        };
        part.is_some_and(char::is_alphanumeric)
    };
    let is_part = |span: &Span| {
        (letter(span.begin, true) && letter(span.begin, false))
            || (letter(span.end, true) && letter(span.end, false))
    };
    let names = merge(names);
    found.retain(|mention| {
        if !is_part(&mention.span) {
            return true;
        }
        let near = names.partition_point(|name| name.span.begin <= mention.span.begin);
        let near = names.get(near.saturating_sub(NEAR)..near).unwrap_or_default();
        !near.iter().any(|name| mention.span.end <= name.span.end)
    });
    // By label, where mentions begin, and how far those reach that begin no later.
    let mut taken: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
    for mention in found.iter() {
        let own = taken.entry(mention.span.label.to_ascii_lowercase()).or_default();
        let reach = own.last().map_or(0, |(_, reach)| *reach).max(mention.span.end);
        own.push((mention.span.begin, reach));
    }
    let is_free = |name: &Mention| {
        let own = taken.get(&name.span.label.to_ascii_lowercase());
        own.is_none_or(|own| {
            let before = own.partition_point(|(begin, _)| *begin < name.span.end);
            let last = before.checked_sub(1).and_then(|last| own.get(last));
            last.is_none_or(|(_, reach)| *reach <= name.span.begin)
        })
    };
    let free: Vec<Mention> = names.into_iter().filter(is_free).collect();
    found.extend(free);
    *found = merge(std::mem::take(found));
}

/// Names that may begin between a name that covers a part of a word and that part.
const NEAR: usize = 32;

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

    #[test]
    fn names_fill_what_models_have_left() {
        let text = "acute pneumonia, asthma and gout";
        let of = |task: usize, words: &str, label: &str| {
            let begin = text.find(words).unwrap();
            mention(task, begin, begin + words.len(), label, 0.5)
        };
        // Overlapped by what a model has of the label; of another label; a part of a word.
        let mut found = merge(vec![
            of(0, "acute", "DISEASE"),
            of(0, "asthma", "Gene"),
            of(0, "go", "Disease"),
            of(0, "ut", "Gene"),
        ]);
        let names = vec![
            of(1, "acute pneumonia", "Disease"),
            of(1, "asthma", "Disease"),
            of(1, "gout", "Disease"),
        ];
        fill(text, &mut found, names);
        let expected = merge(vec![
            of(0, "acute", "DISEASE"),
            of(0, "asthma", "Gene"),
            of(1, "asthma", "Disease"),
            of(1, "gout", "Disease"),
        ]);
        assert_eq!(found, expected);
        // Of several lists with one name, the first counts.
        let mut found = Vec::new();
        fill(
            text,
            &mut found,
            vec![of(2, "gout", "Disease"), of(1, "gout", "Disease")],
        );
        assert_eq!(found, [of(1, "gout", "Disease")]);
    }

    proptest! {
        #[test]
        fn what_fills_never_overlaps_a_model_s_of_its_label(
            found in proptest::collection::vec((0..20_usize, 1..6_usize, 0..2_usize), 0..8),
            names in proptest::collection::vec((0..20_usize, 1..6_usize, 0..2_usize), 0..8),
        ) {
            let text = "ab cd ef gh ij kl mn op qr";
            let make = |task| move |(begin, length, label): (usize, usize, usize)| {
                mention(task, begin, begin + length, ["Disease", "Gene"][label], 0.5)
            };
            let found = merge(found.into_iter().map(make(0)).collect());
            let names: Vec<Mention> = names.into_iter().map(make(1)).collect();
            let mut filled = found.clone();
            fill(text, &mut filled, names.clone());
            let overlaps = |one: &Mention, other: &Mention| {
                let (one, other) = (&one.span, &other.span);
                one.label == other.label && one.begin < other.end && other.begin < one.end
            };
            for name in filled.iter().filter(|mention| mention.task == 1) {
                prop_assert!(names.contains(name));
                prop_assert!(!filled.iter().any(|other| other.task == 0 && overlaps(name, other)));
            }
            // What a model has goes only where a name covers it; what a name has, only where a model has something.
            for gone in found.iter().filter(|mention| !filled.contains(mention)) {
                let covers = |name: &Mention| name.span.begin <= gone.span.begin && gone.span.end <= name.span.end;
                prop_assert!(names.iter().any(covers));
            }
            for name in names.iter().filter(|name| !filled.contains(name)) {
                prop_assert!(filled.iter().any(|other| other.task == 0 && overlaps(name, other)));
            }
        }
    }
}
