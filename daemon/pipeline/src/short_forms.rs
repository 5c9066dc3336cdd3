//! Short forms that a text defines for what was found in it: after "deep vein thrombosis (DVT)" every "DVT" is one, and
//! where nothing was found in the long form, a model that takes the short one for something is wrong.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use mednerd_abbreviations::{definitions, without_plural};

use crate::cover::Cover;
use crate::decode::Span;
use crate::merge::{Mention, merge};

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
/// found for a short form alone, and not for its long one, is left out as [`Part`] says.
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
    let mut all = Vec::new();
    for (begin, end, meaning) in short_forms(text, &meanings) {
        let named = |span: &Span| found.touches(&span.label, &meaning.long);
        for &at in found.at(begin, end) {
            let Some(Mention { task, span }) = mentions.get(at) else {
                continue;
            };
            let as_defined = match part(*task) {
                Part::None => true,
                Part::List => named(span) || !found.any.touches(meaning.long.start, meaning.long.end),
                Part::Model => named(span),
            };
            if let Some(stands) = stands.get_mut(at) {
                *stands = as_defined;
            }
        }
        for long in meaning.mentions.iter().filter_map(|at| mentions.get(*at)) {
            if !found.touches(&long.span.label, &(begin..end)) {
                let span = Span {
                    begin,
                    end,
                    ..long.span.clone()
                };
                all.push(Mention {
                    task: long.task,
                    span,
                });
            }
        }
    }
    let mentions = mentions.into_iter().zip(stands);
    all.extend(mentions.filter_map(|(mention, stands)| stands.then_some(mention)));
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
) -> impl Iterator<Item = (usize, usize, &'a Meaning)> {
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
            Some((begin, end, known.get(before.saturating_sub(1))?))
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

/// Mentions by where they are.
struct Found {
    places: HashMap<(usize, usize), Vec<usize>>,
    labels: HashMap<String, Cover>,
    any: Cover,
}

impl Found {
    fn new(mentions: &[Mention]) -> Self {
        let mut places: HashMap<(usize, usize), Vec<usize>> = HashMap::new();
        let mut labels: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        for (at, Mention { span, .. }) in mentions.iter().enumerate() {
            let stretch = (span.begin, span.end);
            places.entry(stretch).or_default().push(at);
            labels
                .entry(span.label.to_ascii_lowercase())
                .or_default()
                .push(stretch);
        }
        let covers = labels
            .into_iter()
            .map(|(label, stretches)| (label, Cover::new(stretches)));
        Self {
            any: Cover::new(places.keys().copied()),
            labels: covers.collect(),
            places,
        }
    }

    /// Those of exactly this stretch.
    fn at(&self, begin: usize, end: usize) -> &[usize] {
        self.places
            .get(&(begin, end))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Whether one of this label, in whatever case it is written, has some of a stretch.
    fn touches(&self, label: &str, stretch: &Range<usize>) -> bool {
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
        // What is more than the short form stands.
        assert_eq!(said(text, &[(0, "(MRI", "Disease")]).len(), 1);
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
            let is_short = |mention: &Mention| {
                let short = without_plural(&text[mention.span.begin..mention.span.end]);
                definitions(&text).iter().any(|one| without_plural(&text[one.short.clone()]) == short)
            };
            let differ = |all: &[Mention], others: &[Mention]| all.iter().filter(|one| !others.contains(one)).cloned().collect::<Vec<_>>();
            for gone in differ(&given, &found) {
                prop_assert!(is_short(&gone) && part(gone.task) != Part::None);
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
