//! Entities of several tasks or models over one text: put in one order, duplicates dropped, weak ones left
//! out. Overlaps and nesting between models stand; between models and lists of names one of both counts.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use crate::cover::Cover;
use crate::decode::Span;
use crate::patience::Patience;

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

/// What lists of names have beside what models have found, of the same label in whatever case that is written.
///
/// Where a model's finding overlaps names, the surer one stands: the finding from the score on that comes with the name, unless it lies within a
/// longer name. A part of a word that a name covers is not what a model meant, and is left out, whatever its label, and so are one or two letters
/// that end a name: "breast ca" is no calcium. Names of one label do not overlap, and are in the order of the text.
///
/// What is `asked` for by a client stands, all of it, and so does what the lists have, overlaps of one label included: a client that asks for
/// "disease" is not answered less of either. Only the very words that it has under a name's label are no name besides.
///
/// `None` where it is no longer `wanted`, which is asked now and then: stretches in one another may each overlap many names.
pub fn beside(
    text: &str,
    models: Vec<Mention>,
    listed: Vec<(f32, Mention)>,
    asked: impl Fn(usize) -> bool,
    wanted: &dyn Fn() -> bool,
) -> Option<Vec<Mention>> {
    let mut patience = Patience::new(wanted);
    let (own, models): (Vec<Mention>, Vec<Mention>) =
        models.into_iter().partition(|mention| asked(mention.task));
    let words = |span: &Span| (span.begin, span.end, span.label.to_ascii_lowercase());
    let answered: HashSet<_> = own.iter().map(|mention| words(&mention.span)).collect();
    let mut names: BTreeMap<String, Names> = BTreeMap::new();
    let mut all: Vec<(usize, usize)> = Vec::new();
    for (sure, mention) in listed {
        all.push((mention.span.begin, mention.span.end));
        let own = names.entry(mention.span.label.to_ascii_lowercase()).or_default();
        own.0.push(Name {
            mention,
            sure,
            stands: true,
        });
    }
    let ends: HashSet<usize> = all.iter().map(|(_, end)| *end).collect();
    let names_cover = Cover::new(all);
    let mut found = merge(models);
    found.retain(|mention| {
        let span = &mention.span;
        let within = names_cover.covers(span.begin, span.end);
        let ends_a_name = span.end - span.begin <= 2
            && ends.contains(&span.end)
            && names_cover.covers(span.begin.saturating_sub(1), span.end);
        if within && (cuts_a_word(text, span) || ends_a_name) {
            return false;
        }
        let Some(own) = names.get_mut(&span.label.to_ascii_lowercase()) else {
            return true;
        };
        let near = own.overlapping(span);
        if !patience.lasts(near.len()) {
            return false;
        }
        let overlapping = own.0.get_mut(near).unwrap_or_default();
        let stands = overlapping.iter().all(|name| {
            let other = &name.mention.span;
            let longer = other.begin <= span.begin
                && span.end <= other.end
                && (other.begin, other.end) != (span.begin, span.end);
            span.score >= name.sure && !longer
        });
        if stands {
            overlapping.iter_mut().for_each(|name| name.stands = false);
        }
        stands
    });
    if !patience.lasts(0) {
        return None;
    }
    let names = names.into_values().flat_map(|own| own.0);
    let names = names.filter(|name| name.stands).map(|name| name.mention);
    found.extend(names.filter(|name| answered.is_empty() || !answered.contains(&words(&name.span))));
    found.extend(own);
    Some(merge(found))
}

/// A name that was found.
struct Name {
    mention: Mention,
    /// The score from which on a model's finding stands in its place.
    sure: f32,
    stands: bool,
}

/// Names of one label, none of which overlap, in their order.
#[derive(Default)]
struct Names(Vec<Name>);

impl Names {
    /// Those that a span overlaps.
    fn overlapping(&self, span: &Span) -> Range<usize> {
        let first = self.0.partition_point(|name| name.mention.span.end <= span.begin);
        let last = self.0.partition_point(|name| name.mention.span.begin < span.end);
        first..last.max(first)
    }
}

/// Whether a span begins or ends within a word.
pub(crate) fn cuts_a_word(text: &str, span: &Span) -> bool {
    cuts_between(text, span, char::is_alphanumeric)
}

/// Whether it does between two letters: "pain" of "painter", and not "Na" of "Na140".
pub(crate) fn cuts_letters(text: &str, span: &Span) -> bool {
    cuts_between(text, span, char::is_alphabetic)
}

fn cuts_between(text: &str, span: &Span, is_part: fn(char) -> bool) -> bool {
    let within = |at: usize| {
        let (before, behind) = text.split_at_checked(at).unwrap_or_default();
        let part = |c: Option<char>| c.is_some_and(is_part);
        part(before.chars().next_back()) && part(behind.chars().next())
    };
    within(span.begin) || within(span.end)
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
    use crate::testing::mention;

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
    fn the_surer_of_a_model_and_a_list_stands() {
        let text = "acute pneumonia, asthma and gout";
        let of = |task: usize, words: &str, label: &str, score: f32| {
            let begin = text.find(words).unwrap();
            mention(task, begin, begin + words.len(), label, score)
        };
        let beside = |models: &[Mention], names: &[Mention]| {
            beside(
                text,
                models.to_vec(),
                names.iter().map(|name| (0.9, name.clone())).collect(),
                |_| false,
                &|| true,
            )
            .unwrap()
        };
        let (long, short) = ("acute pneumonia", "pneumonia");
        for (model, name, expected) in [
            // The surer one; the longer one where the name is that.
            (of(0, long, "DISEASE", 0.9), of(1, short, "Disease", 0.5), 0),
            (of(0, long, "DISEASE", 0.8), of(1, short, "Disease", 0.5), 1),
            (of(0, short, "DISEASE", 0.95), of(1, long, "Disease", 0.5), 1),
            (of(0, short, "DISEASE", 0.95), of(1, short, "Disease", 0.5), 0),
            // A part of a word, of whatever label.
            (of(0, "go", "Gene", 0.95), of(1, "gout", "Disease", 0.5), 1),
        ] {
            let found = beside(std::slice::from_ref(&model), std::slice::from_ref(&name));
            assert_eq!(found, [[model, name][expected].clone()]);
        }
        // Elsewhere, or of another label, both.
        let model = of(0, "asthma", "Gene", 0.2);
        let names = [of(1, "asthma", "Disease", 0.5), of(1, "gout", "Disease", 0.5)];
        assert_eq!(
            beside(std::slice::from_ref(&model), &names),
            [names[0].clone(), model, names[1].clone()]
        );
    }

    #[test]
    fn what_a_client_asks_for_stands_beside_names_and_they_beside_it() {
        let text = "acute hepatitis C";
        let of = |task: usize, words: &str, label: &str, score: f32| {
            let begin = text.rfind(words).unwrap();
            mention(task, begin, begin + words.len(), label, score)
        };
        let beside = |models: &[Mention], names, is_asked: &dyn Fn(usize) -> bool| {
            beside(text, models.to_vec(), names, is_asked, &|| true).unwrap()
        };
        let names = |label: &str| vec![(0.9, of(2, "hepatitis C", label, 0.9))];
        // Two letters that end a name, a part of a word and what lies within a longer name, of another label and of the same.
        let models = [
            of(0, "C", "stage", 0.6),
            of(0, "hep", "virus type", 0.6),
            of(0, "hepatitis", "disease", 0.6),
            of(0, "acute hepatitis", "disease", 0.6),
        ];
        let found = |asked: bool| beside(&models, names("Disease"), &|task| asked && task == 0);
        let mut all = models.to_vec();
        all.push(names("Disease")[0].1.clone());
        assert_eq!(found(true), merge(all));
        assert_eq!(found(false), [names("Disease")[0].1.clone()]);
        // The very words of a name: once under its label, in the client's spelling, and beside any other.
        let same = of(0, "hepatitis C", "disease", 0.6);
        let found = |label: &str| beside(std::slice::from_ref(&same), names(label), &|task| task == 0);
        assert_eq!(found("Disease"), std::slice::from_ref(&same));
        assert_eq!(found("disease"), std::slice::from_ref(&same));
        assert_eq!(found("Virus"), [names("Virus")[0].1.clone(), same.clone()]);
        // What another model has found beside it is no client's.
        let both = [models[0].clone(), of(1, "C", "stage", 0.9)];
        let found = beside(&both, names("Disease"), &|task| task == 0);
        assert_eq!(found, [names("Disease")[0].1.clone(), models[0].clone()]);
    }

    #[test]
    fn what_nobody_waits_for_is_given_up() {
        // Each of a thousand overlaps a hundred names.
        let text = "ab ".repeat(1_200);
        let models: Vec<Mention> = (0..1_000)
            .map(|more| mention(0, 0, 300 + 3 * more, "Disease", 0.9))
            .collect();
        let names: Vec<(f32, Mention)> = (0..100)
            .map(|at| (0.5, mention(1, 3 * at, 3 * at + 2, "Disease", 0.9)))
            .collect();
        let stays = beside(&text, models.clone(), names.clone(), |_| false, &|| true);
        assert_eq!(stays.map(|found| found.len()), Some(1_000));
        assert_eq!(beside(&text, models, names, |_| false, &|| false), None);
    }

    proptest! {
        #[test]
        fn nothing_of_a_list_overlaps_what_stands_of_its_label(
            models in proptest::collection::vec((0..20_usize, 1..6_usize, 0..2_usize, 0..10_u8), 0..8),
            steps in proptest::collection::vec((0..3_usize, 1..4_usize, 0..2_usize), 0..8),
            sure in 0..10_u8,
        ) {
            let text = "ab cd ef gh ij kl mn op qr";
            let sure = f32::from(sure) / 10.0;
            let labels = ["Disease", "Gene"];
            let models = models.into_iter().map(|(begin, length, label, score)| {
                mention(0, begin, begin + length, labels[label], f32::from(score) / 10.0)
            });
            let models = merge(models.collect());
            // Those of one label one behind the other.
            let mut at = [0; 2];
            let names = steps.into_iter().map(|(gap, length, label)| {
                let begin = at[label] + gap;
                at[label] = begin + length;
                mention(1, begin, begin + length, labels[label], 0.5)
            });
            let names: Vec<Mention> = names.filter(|name| name.span.end <= text.len()).collect();
            let listed = names.iter().map(|name| (sure, name.clone())).collect();
            let found = beside(text, models.clone(), listed, |_| false, &|| true).unwrap();
            let overlaps = |one: &Mention, other: &Mention| {
                let (one, other) = (&one.span, &other.span);
                one.label == other.label && one.begin < other.end && other.begin < one.end
            };
            for (index, one) in found.iter().enumerate() {
                prop_assert!(models.contains(one) || names.contains(one));
                let mut behind = found.iter().skip(index + 1);
                prop_assert!(behind.all(|other| one.task + other.task == 0 || !overlaps(one, other)));
            }
            // Nothing goes without a reason.
            for gone in models.iter().chain(&names).filter(|mention| !found.contains(mention)) {
                let part = cuts_a_word(text, &gone.span)
                    && names.iter().any(|name| name.span.begin <= gone.span.begin && gone.span.end <= name.span.end);
                let instead = names.iter().chain(&models).any(|other| overlaps(other, gone));
                prop_assert!(instead || (gone.task == 0 && part));
            }
        }
    }
}
