//! Short forms that a text defines for what was found in it: after "deep vein thrombosis (DVT)" every "DVT" is one, and
//! where nothing was found in the long form, a model that takes the short one for something is wrong.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use mednerd_abbreviations::{definitions, without_plural};

use crate::cover::Cover;
use crate::decode::Span;
use crate::merge::{Mention, cuts_a_word, merge};

/// What short forms have to do with what a task has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nothing: it stands as it is, and gives them no label.
    None,
    /// A list's: it gives them its labels. A short form that it has stands, unless the long one was found as something else.
    List,
    /// A model's: it gives them its labels. A short form that it has stands where something of that label was found in the long one.
    Model,
}

/// What a short form stands for, from its definition on.
struct Meaning {
    /// Where its short form stands.
    at: usize,
    /// Its long form.
    long: Range<usize>,
    /// The mentions that are its long form, by their places among all.
    mentions: Vec<usize>,
}

/// The mentions of all tasks, which are in the order of [`merge`], as the short forms that the text defines have it. Where a long form is a
/// mention, its short forms are mentions of that label, score and task wherever they stand and nothing of that label was found; what was
/// found for a short form alone, and not for its long one, is left out as [`Part`] says, and so is what a model has of a part of its word.
///
/// A mention is a long form where it ends with it and lacks one word in front at most. A short form of one letter, or without a capital
/// letter, is left alone: "P" is phosphorus here and a probability there. In time linear in the text's length.
pub fn with_short_forms(text: &str, mentions: Vec<Mention>, part: impl Fn(usize) -> Part) -> Vec<Mention> {
    let meanings = meanings(text, &mentions, &part);
    if meanings.is_empty() {
        return mentions;
    }
    let found = Found::new(&mentions);
    let mut stands = vec![true; mentions.len()];
    for (short, meaning) in short_forms(text, &meanings) {
        let first = mentions.partition_point(|mention| mention.span.begin < short.start);
        let near = mentions.iter().zip(&mut stands).skip(first);
        let near = near.take_while(|(mention, _)| mention.span.begin < short.end);
        for (Mention { task, span }, stands) in near.filter(|(mention, _)| mention.span.end <= short.end) {
            let whole = (span.begin, span.end) == (short.start, short.end);
            let named = || found.has(&span.label, &meaning.long);
            *stands = match part(*task) {
                Part::None => true,
                Part::List => !whole || named() || !found.any.touches(meaning.long.start, meaning.long.end),
                Part::Model if whole => named(),
                Part::Model => !cuts_a_word(text, span),
            };
        }
    }
    let standing = mentions.iter().zip(&stands).filter(|(_, stands)| **stands);
    let mut all: Vec<Mention> = standing.map(|(mention, _)| mention.clone()).collect();
    let found = Found::new(&all);
    for (short, meaning) in short_forms(text, &meanings) {
        let long = meaning.mentions.iter().filter_map(|at| mentions.get(*at));
        all.extend(
            long.filter(|long| !found.has(&long.span.label, &short))
                .map(|long| {
                    let (begin, end) = (short.start, short.end);
                    let span = Span {
                        begin,
                        end,
                        ..long.span.clone()
                    };
                    Mention {
                        task: long.task,
                        span,
                    }
                }),
        );
    }
    merge(all)
}

/// What the text's short forms stand for, by themselves without the ending of a plural; of each in the order of the text.
fn meanings<'a>(
    text: &'a str,
    mentions: &[Mention],
    part: &impl Fn(usize) -> Part,
) -> HashMap<&'a str, Vec<Meaning>> {
    let mut meanings: HashMap<&str, Vec<Meaning>> = HashMap::new();
    for definition in definitions(text) {
        let (at, long) = (definition.short.start, definition.long);
        let Some(short) = text.get(definition.short) else {
            continue;
        };
        if short.chars().nth(1).is_none() || !short.contains(char::is_uppercase) {
            continue;
        }
        let first = mentions.partition_point(|mention| mention.span.begin < long.start);
        let within = mentions.iter().enumerate().skip(first);
        let within = within.take_while(|(_, mention)| mention.span.begin < long.end);
        let same = within.filter(|(_, Mention { task, span })| {
            part(*task) != Part::None && is_long_form(text, span, &long)
        });
        let mentions = same.map(|(place, _)| place).collect();
        let meaning = Meaning { at, long, mentions };
        meanings.entry(without_plural(short)).or_default().push(meaning);
    }
    for known in meanings.values_mut() {
        known.sort_by_key(|meaning| meaning.at);
    }
    meanings
}

/// Whether a mention that begins within a long form is it.
fn is_long_form(text: &str, span: &Span, long: &Range<usize>) -> bool {
    let lacking = text.get(long.start..span.begin);
    span.end == long.end && lacking.is_some_and(|lacking| lacking.split_whitespace().nth(1).is_none())
}

/// Where short forms stand, as words of their own, and what they stand for there: as last defined up to there, or else as first.
fn short_forms<'a>(
    text: &'a str,
    meanings: &'a HashMap<&str, Vec<Meaning>>,
) -> impl Iterator<Item = (Range<usize>, &'a Meaning)> {
    let lengths: BTreeSet<usize> = meanings.keys().map(|short| short.len()).collect();
    let mut within_a_word = false;
    let begins = text.char_indices().filter_map(move |(at, c)| {
        let before = std::mem::replace(&mut within_a_word, c.is_alphanumeric());
        (c.is_alphanumeric() && !before).then_some(at)
    });
    begins.filter_map(move |begin| {
        lengths.iter().rev().find_map(|length| {
            let short = text.get(begin..begin + length)?;
            let known = meanings.get(short)?;
            let end = end_of_word(text, begin + length)?;
            let before = known.partition_point(|meaning| meaning.at <= begin);
            Some((begin..end, known.get(before.saturating_sub(1))?))
        })
    })
}

/// Where the word ends that has a short form up to `end`: there, or behind the ending of its plural.
fn end_of_word(text: &str, end: usize) -> Option<usize> {
    let rest = text.get(end..)?;
    let is_end = |rest: &str| !rest.starts_with(char::is_alphanumeric);
    match rest.strip_prefix('s') {
        _ if is_end(rest) => Some(end),
        Some(rest) if is_end(rest) => Some(end + 1),
        _ => None,
    }
}

/// Where something was found: of each label, in small letters, and of any.
struct Found {
    labels: HashMap<String, Cover>,
    any: Cover,
}

impl Found {
    fn new(mentions: &[Mention]) -> Self {
        let mut labels: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        for Mention { span, .. } in mentions {
            let own = labels.entry(span.label.to_ascii_lowercase()).or_default();
            own.push((span.begin, span.end));
        }
        let all = mentions
            .iter()
            .map(|mention| (mention.span.begin, mention.span.end));
        let covers = labels.into_iter().map(|(label, own)| (label, Cover::new(own)));
        Self {
            any: Cover::new(all),
            labels: covers.collect(),
        }
    }

    /// Whether something of this label, in whatever case it is written, was found in a stretch or a part of it.
    fn has(&self, label: &str, stretch: &Range<usize>) -> bool {
        let cover = self.labels.get(&label.to_ascii_lowercase());
        cover.is_some_and(|cover| cover.touches(stretch.start, stretch.end))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Mentions by their words, the first place where they stand, in the order of the text.
    fn mentions(text: &str, of: &[(usize, &str, &str)]) -> Vec<Mention> {
        let all = of.iter().map(|(task, words, label)| {
            let begin = text.find(words).unwrap();
            let (end, label) = (begin + words.len(), (*label).into());
            let span = Span {
                begin,
                end,
                label,
                score: 0.9,
            };
            Mention { task: *task, span }
        });
        merge(all.collect())
    }

    /// The tasks 0 and 1 are models, 2 is a list, others have no part.
    fn part(task: usize) -> Part {
        match task {
            0 | 1 => Part::Model,
            2 => Part::List,
            _ => Part::None,
        }
    }

    fn said<'a>(text: &'a str, of: &[(usize, &str, &str)]) -> Vec<(usize, &'a str, usize)> {
        let found = with_short_forms(text, mentions(text, of), part).into_iter();
        found
            .map(|Mention { task, span }| (span.begin, &text[span.begin..span.end], task))
            .collect()
    }

    #[test]
    fn short_forms_are_found_wherever_they_stand() {
        let text = "DVT? A deep vein thrombosis (DVT). Two DVTs, DVT's course, anti-DVT; no DVTA, dvt.";
        let expected = [
            (0, "DVT", 0),
            (7, "deep vein thrombosis", 0),
            (29, "DVT", 0),
            (39, "DVTs", 0),
            (45, "DVT", 0),
            (64, "DVT", 0),
        ];
        assert_eq!(said(text, &[(0, "deep vein thrombosis", "Disease")]), expected);
        // One word may be missing in front, not two.
        assert_eq!(said(text, &[(0, "vein thrombosis", "Disease")]).len(), 6);
        assert_eq!(said(text, &[(0, "thrombosis", "Disease")]).len(), 1);
        // What has no part gives nothing.
        assert_eq!(said(text, &[(3, "deep vein thrombosis", "Disease")]).len(), 1);
    }

    #[test]
    fn what_was_found_is_not_found_again() {
        let text = "deep vein thrombosis (DVT), DVT left";
        let of = [
            (0, "deep vein thrombosis", "Disease"),
            (2, "DVT", "DISEASE"),
            (1, "DVT left", "Disease"),
        ];
        assert_eq!(
            said(text, &of),
            [
                (0, "deep vein thrombosis", 0),
                (22, "DVT", 2),
                (28, "DVT left", 1)
            ]
        );
    }

    #[test]
    fn a_short_form_means_what_it_was_last_defined_as() {
        let text = "AS? Aortic stenosis (AS): AS. Ankylosing spondylitis (AS): AS.";
        let of = [
            (0, "Aortic stenosis", "Heart"),
            (0, "Ankylosing spondylitis", "Joint"),
        ];
        let found = with_short_forms(text, mentions(text, &of), part);
        let labels: Vec<(usize, &str)> = found
            .iter()
            .map(|found| (found.span.begin, &*found.span.label))
            .collect();
        let expected = [
            (0, "Heart"),
            (4, "Heart"),
            (21, "Heart"),
            (26, "Heart"),
            (30, "Joint"),
            (54, "Joint"),
            (59, "Joint"),
        ];
        assert_eq!(labels, expected);
    }

    #[test]
    fn what_is_found_for_a_short_form_alone_is_left_out() {
        let text = "magnetic resonance imaging (MRI) of the knee";
        // A model's, but neither a list's nor what has no part.
        assert_eq!(said(text, &[(0, "MRI", "Disease")]), []);
        assert_eq!(said(text, &[(2, "MRI", "Disease")]).len(), 1);
        assert_eq!(said(text, &[(3, "MRI", "Disease")]).len(), 1);
        // A list's too where the long form is something else; any's where it has something of the label.
        let long = (1, "magnetic resonance imaging", "Test");
        assert_eq!(
            said(text, &[long, (2, "MRI", "Disease")]),
            [(0, "magnetic resonance imaging", 1), (28, "MRI", 1)]
        );
        assert_eq!(
            said(text, &[(0, "resonance", "Disease"), (1, "MRI", "disease")]).len(),
            2
        );
        // What is more than the short form stands, and what a model has of a part of it does not.
        assert_eq!(said(text, &[(0, "(MRI", "Disease")]).len(), 1);
        assert_eq!(said(text, &[(0, "MR", "Disease")]), []);
        let long = (0, "magnetic resonance imaging", "Test");
        let whole = [(0, "magnetic resonance imaging", 0), (28, "MRI", 0)];
        assert_eq!(said(text, &[long, (0, "MR", "Test")]), whole);
        assert_eq!(
            said(text, &[long, (2, "MR", "Test")]),
            [(0, "magnetic resonance imaging", 0), (28, "MR", 2)]
        );
    }

    #[test]
    fn one_letter_and_small_letters_are_no_short_forms_here() {
        for text in ["serum phosphorus (P), P < 0.05", "an amino acid (aa) or aa"] {
            let long = if text.contains("phosphorus") {
                "phosphorus"
            } else {
                "amino acid"
            };
            assert_eq!(said(text, &[(0, long, "Chemical")]).len(), 1);
        }
    }

    proptest! {
        #[test]
        fn nothing_but_short_forms_comes_and_goes(
            text in "(AB|ABs|CD|a b|c d|alpha beta|\\(AB\\)|\\(CD\\)|[ .\\n]){0,24}",
            raw in proptest::collection::vec((0..4_usize, 0..40_usize, 1..12_usize, 0..2_usize), 0..8),
        ) {
            let spans = raw.into_iter().filter(|(_, begin, length, _)| {
                text.is_char_boundary(*begin) && text.is_char_boundary(begin + length)
            });
            let given = merge(spans.map(|(task, begin, length, label)| {
                let label = ["X", "Y"][label].into();
                Mention { task, span: Span { begin, end: begin + length, label, score: 0.5 } }
            }).collect());
            let found = with_short_forms(&text, given.clone(), part);
            prop_assert_eq!(&merge(found.clone()), &found);
            let known = meanings(&text, &given, &part);
            let is_short = |mention: &Mention| {
                let short = without_plural(&text[mention.span.begin..mention.span.end]);
                definitions(&text).iter().any(|one| without_plural(&text[one.short.clone()]) == short)
            };
            let differ = |all: &[Mention], others: &[Mention]| all.iter().filter(|one| !others.contains(one)).cloned().collect::<Vec<_>>();
            for gone in differ(&given, &found) {
                let mut places = short_forms(&text, &known);
                let within = places.any(|(short, _)| short.start <= gone.span.begin && gone.span.end <= short.end);
                prop_assert!(within && part(gone.task) != Part::None);
            }
            for new in differ(&found, &given) {
                prop_assert!(is_short(&new) && part(new.task) != Part::None);
                let label = |other: &&Mention| other.span.label == new.span.label;
                let overlaps = |other: &Mention| other.span.begin < new.span.end && new.span.begin < other.span.end;
                prop_assert!(!given.iter().filter(label).any(overlaps));
                prop_assert!(given.iter().filter(label).any(|long| long.task == new.task && long.span.score == new.span.score));
            }
        }
    }
}
