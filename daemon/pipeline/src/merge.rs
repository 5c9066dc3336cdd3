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

/// What was found in layers, the first of which counts most: of each layer what no earlier one has anything of the same label for, whatever
/// case that is written in. Within a layer overlaps stand, as in [`merge`]. `is_names` tells the tasks that are lists of names: a part of a
/// word that a name covers is not what a model meant, and is left out, of any label.
pub fn layered(text: &str, layers: Vec<Vec<Mention>>, is_names: impl Fn(usize) -> bool) -> Vec<Mention> {
    let all = layers.iter().flatten();
    let mut names: Vec<(usize, usize)> = all
        .filter(|mention| is_names(mention.task))
        .map(|mention| (mention.span.begin, mention.span.end))
        .collect();
    names.sort_unstable();
    let is_covered = |span: &Span| {
        let near = names.partition_point(|(begin, _)| *begin <= span.begin);
        let near = names.get(near.saturating_sub(NEAR)..near).unwrap_or_default();
        near.iter().any(|(_, end)| span.end <= *end)
    };
    let mut taken: BTreeMap<String, Taken> = BTreeMap::new();
    let mut found = Vec::new();
    for layer in layers {
        let mut layer = merge(layer);
        layer.retain(|mention| {
            let span = &mention.span;
            let stands = is_names(mention.task) || !cuts_a_word(text, span) || !is_covered(span);
            let own = taken.get(&span.label.to_ascii_lowercase());
            stands && own.is_none_or(|own| !own.overlaps(span))
        });
        for mention in &layer {
            let own = taken.entry(mention.span.label.to_ascii_lowercase()).or_default();
            own.spans.push((mention.span.begin, mention.span.end));
        }
        taken.values_mut().for_each(Taken::settle);
        found.append(&mut layer);
    }
    merge(found)
}

/// Whether a span begins or ends within a word.
fn cuts_a_word(text: &str, span: &Span) -> bool {
    let within = |at: usize| {
        let (before, behind) = text.split_at_checked(at).unwrap_or_default();
        let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        letter(before.chars().next_back()) && letter(behind.chars().next())
    };
    within(span.begin) || within(span.end)
}

/// What earlier layers have of a label.
#[derive(Default)]
struct Taken {
    spans: Vec<(usize, usize)>,
    /// How far those reach that begin no later than each of them.
    reach: Vec<usize>,
}

impl Taken {
    fn settle(&mut self) {
        if self.reach.len() == self.spans.len() {
            return;
        }
        self.spans.sort_unstable();
        let reach = self.spans.iter().scan(0, |reach, (_, end)| {
            *reach = end.max(reach).to_owned();
            Some(*reach)
        });
        self.reach = reach.collect();
    }

    fn overlaps(&self, span: &Span) -> bool {
        let before = self.spans.partition_point(|(begin, _)| *begin < span.end);
        let last = before.checked_sub(1).and_then(|last| self.reach.get(last));
        last.is_some_and(|reach| *reach > span.begin)
    }
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
    fn a_layer_has_what_earlier_ones_leave() {
        let text = "acute pneumonia, asthma and gout";
        let of = |task: usize, words: &str, label: &str| {
            let begin = text.find(words).unwrap();
            mention(task, begin, begin + words.len(), label, 0.5)
        };
        let models = vec![
            of(0, "acute", "DISEASE"),
            of(0, "asthma", "Gene"),
            of(0, "go", "Disease"),
            of(0, "ut", "Gene"),
        ];
        let names = vec![
            of(1, "acute pneumonia", "Disease"),
            of(1, "asthma", "Disease"),
            of(1, "gout", "Disease"),
        ];
        let is_names = |task| task == 1;
        // Parts of a word go in either case.
        let expected = [
            of(0, "acute", "DISEASE"),
            of(1, "asthma", "Disease"),
            of(0, "asthma", "Gene"),
            of(1, "gout", "Disease"),
        ];
        assert_eq!(
            layered(text, vec![models.clone(), names.clone()], is_names),
            expected
        );
        let expected = [
            of(1, "acute pneumonia", "Disease"),
            of(1, "asthma", "Disease"),
            of(0, "asthma", "Gene"),
            of(1, "gout", "Disease"),
        ];
        assert_eq!(layered(text, vec![names, models], is_names), expected);
    }

    proptest! {
        #[test]
        fn no_layer_overlaps_an_earlier_one_of_its_label(
            layers in proptest::collection::vec(
                proptest::collection::vec((0..20_usize, 1..6_usize, 0..2_usize), 0..8),
                0..4,
            ),
        ) {
            let text = "ab cd ef gh ij kl mn op qr";
            let layers: Vec<Vec<Mention>> = layers
                .into_iter()
                .enumerate()
                .map(|(task, spans)| {
                    let make = |(begin, length, label): (usize, usize, usize)| {
                        mention(task, begin, begin + length, ["Disease", "Gene"][label], 0.5)
                    };
                    merge(spans.into_iter().map(make).collect())
                })
                .collect();
            let found = layered(text, layers.clone(), |task| task > 1);
            let overlaps = |one: &Mention, other: &Mention| {
                let (one, other) = (&one.span, &other.span);
                one.label == other.label && one.begin < other.end && other.begin < one.end
            };
            for (index, one) in found.iter().enumerate() {
                prop_assert!(layers[one.task].contains(one));
                prop_assert!(found.iter().skip(index + 1).all(|other| one.task == other.task || !overlaps(one, other)));
            }
            // Nothing goes without a reason.
            for gone in layers.iter().flatten().filter(|mention| !found.contains(mention)) {
                let covered = layers.iter().skip(2).flatten().any(|name| {
                    name.span.begin <= gone.span.begin && gone.span.end <= name.span.end
                });
                let earlier = found.iter().any(|other| other.task < gone.task && overlaps(other, gone));
                prop_assert!(earlier || (gone.task < 2 && cuts_a_word(text, &gone.span) && covered));
            }
        }
    }
}
