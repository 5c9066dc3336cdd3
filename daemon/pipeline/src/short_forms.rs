//! Short forms that a text defines for what was found in it: after "deep vein thrombosis (DVT)" every "DVT" is one, and
//! where nothing was found in the long form, a model that takes the short one for something is wrong.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use mednerd_abbreviations::{Definition, without_plural};

use crate::cover::Cover;
use crate::decode::Span;
use crate::folding::is_part;
use crate::merge::{Mention, cuts_a_word, merge};

/// What short forms have to do with what a task has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nothing: it stands as it is, and gives them no label.
    None,
    /// A list's: it gives them its labels. A short form that it has stands, unless the long one is a mention of another label.
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
/// A mention is a long form where it ends with it, does not begin before it, and lacks one word in front at most. A short form of one letter,
/// without a capital letter, or such as "As", is left alone: "P" is phosphorus here and a probability there. In time linear in the text's
/// length.
pub fn with_short_forms(
    text: &str,
    definitions: &[Definition],
    mentions: Vec<Mention>,
    part: impl Fn(usize) -> Part,
) -> Vec<Mention> {
    if mentions.iter().all(|mention| part(mention.task) == Part::None) {
        return mentions;
    }
    let meanings = meanings(text, definitions, &mentions, &part);
    if meanings.is_empty() {
        return mentions;
    }
    let places: Vec<(Range<usize>, &Meaning)> = short_forms(text, &meanings).collect();
    let found = Found::new(&mentions);
    let mut stands = vec![true; mentions.len()];
    // A short form may have meant something else before it was defined.
    for (short, meaning) in places.iter().filter(|(short, meaning)| meaning.at <= short.start) {
        let first = mentions.partition_point(|mention| mention.span.begin < short.start);
        let behind = mentions.get(first..).unwrap_or_default().iter();
        let near = behind.zip(stands.get_mut(first..).unwrap_or_default());
        let near = near.take_while(|(mention, _)| mention.span.begin < short.end);
        for (mention, stands) in near.filter(|(mention, _)| mention.span.end <= short.end) {
            let span = &mention.span;
            let whole = span.begin == short.start && end_of_word(text, span.end) == Some(short.end);
            let named = found.has(&span.label, &meaning.long);
            *stands = match (part(mention.task), whole) {
                (Part::None, _) | (Part::List, false) => true,
                (Part::List, true) => named || meaning.mentions.is_empty(),
                (Part::Model, true) => named,
                (Part::Model, false) => !cuts_a_word(text, span),
            };
        }
    }
    let standing = mentions.iter().zip(&stands).filter(|(_, stands)| **stands);
    let mut all: Vec<Mention> = standing.map(|(mention, _)| mention.clone()).collect();
    let found = Found::new(&all);
    for (short, meaning) in &places {
        let long = meaning.mentions.iter().filter_map(|at| mentions.get(*at));
        all.extend(
            long.filter(|long| !found.has(&long.span.label, short))
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
    definitions: &[Definition],
    mentions: &[Mention],
    part: &impl Fn(usize) -> Part,
) -> HashMap<&'a str, Vec<Meaning>> {
    let mut meanings: HashMap<&str, Vec<Meaning>> = HashMap::new();
    for definition in definitions {
        let (at, long) = (definition.short.start, definition.long.clone());
        let Some(short) = text.get(definition.short.clone()) else {
            continue;
        };
        if !is_telling(without_plural(short)) {
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

/// Whether a short form can only be one: no single letter, none without a capital, and no "As" or "In".
fn is_telling(short: &str) -> bool {
    let mut letters = short.chars();
    match (letters.next(), letters.next(), letters.next()) {
        (None, ..) | (Some(_), None, _) => false,
        (Some(_), Some(second), None) => !second.is_lowercase(),
        _ => short.contains(char::is_uppercase),
    }
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
        let before = std::mem::replace(&mut within_a_word, is_part(c));
        (is_part(c) && !before).then_some(at)
    });
    let mut last = 0;
    begins.filter_map(move |begin| {
        // "DVT" within "CR-DVT" is none of its own.
        let mut lengths = lengths.iter().rev().filter(|_| last <= begin);
        let found = lengths.find_map(|length| {
            let short = text.get(begin..begin + length)?;
            let known = meanings.get(short)?;
            let end = end_of_word(text, begin + length)?;
            let before = known.partition_point(|meaning| meaning.at <= begin);
            Some((begin..end, known.get(before.saturating_sub(1))?))
        });
        last = found.as_ref().map_or(last, |(short, _)| short.end);
        found
    })
}

/// Where the word ends that has a short form up to `end`: there, or behind the ending of its plural.
fn end_of_word(text: &str, end: usize) -> Option<usize> {
    let rest = text.get(end..)?;
    let is_end = |rest: &str| !rest.starts_with(is_part);
    match rest.strip_prefix('s') {
        _ if is_end(rest) => Some(end),
        Some(rest) if is_end(rest) => Some(end + 1),
        _ => None,
    }
}

/// Where something of each label was found, in small letters.
struct Found(HashMap<String, Cover>);

impl Found {
    fn new(mentions: &[Mention]) -> Self {
        let mut labels: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        for Mention { span, .. } in mentions {
            let own = labels.entry(span.label.to_ascii_lowercase()).or_default();
            own.push((span.begin, span.end));
        }
        Self(
            labels
                .into_iter()
                .map(|(label, own)| (label, Cover::new(own)))
                .collect(),
        )
    }

    /// Whether something of this label, in whatever case it is written, was found in a stretch or a part of it.
    fn has(&self, label: &str, stretch: &Range<usize>) -> bool {
        let cover = self.0.get(&label.to_ascii_lowercase());
        cover.is_some_and(|cover| cover.touches(stretch.start, stretch.end))
    }
}

#[cfg(test)]
mod tests {
    use mednerd_abbreviations::definitions;
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

    /// A mention of the first model by its words, at the place of that number.
    fn mention_at(text: &str, nth: usize, words: &str, label: &str) -> Mention {
        let (begin, _) = text.match_indices(words).nth(nth).unwrap();
        let (end, label) = (begin + words.len(), label.into());
        let span = Span {
            begin,
            end,
            label,
            score: 0.9,
        };
        Mention { task: 0, span }
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
        let found = with_short_forms(text, &definitions(text), mentions(text, of), part).into_iter();
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
        let found = with_short_forms(text, &definitions(text), mentions(text, &of), part);
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
        // A list's too where the long form is something else; none's where it has something of the label.
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
    fn a_list_s_name_stands_where_its_long_form_is_written_unusually() {
        let text = "coronary artery dz (CAD), CAD";
        let anatomy = (2, "coronary artery", "Anatomy");
        assert_eq!(said(text, &[anatomy, (2, "CAD", "Disease")]).len(), 2);
        assert_eq!(said(text, &[anatomy, (0, "CAD", "Disease")]).len(), 1);
    }

    #[test]
    fn what_was_said_before_a_definition_stands() {
        let text = "His MS. Serum by mass spectrometry (MS).";
        assert_eq!(said(text, &[(0, "MS", "Disease")]), [(4, "MS", 0)]);
        let behind = "Serum by mass spectrometry (MS).";
        assert_eq!(said(behind, &[(0, "MS", "Disease")]), []);
    }

    #[test]
    fn plurals_and_longer_short_forms_are_words_of_their_own() {
        let text = "deep vein thrombosis (DVT). Two DVTs";
        let stem = mention_at(text, 1, "DVT", "Disease");
        let long = mentions(text, &[(0, "deep vein thrombosis", "Disease")]);
        let found = with_short_forms(
            text,
            &definitions(text),
            merge([long, vec![stem.clone()]].concat()),
            part,
        );
        assert!(found.contains(&stem), "{found:?}");
        let text = "deep vein thrombosis (DVT), catheter related deep vein thrombosis (CR-DVT)";
        let of = [(0, "catheter related deep vein thrombosis", "Disease")];
        assert_eq!(
            said(text, &of)
                .iter()
                .map(|(_, words, _)| *words)
                .collect::<Vec<_>>(),
            ["catheter related deep vein thrombosis", "CR-DVT"]
        );
    }

    #[test]
    fn what_may_be_a_word_or_a_letter_is_no_short_form_here() {
        for (text, long) in [
            ("serum phosphorus (P), P < 0.05", "phosphorus"),
            ("an amino acid (aa) or aa", "amino acid"),
            ("to arsenic (As). As expected", "arsenic"),
        ] {
            assert_eq!(said(text, &[(0, long, "Chemical")]).len(), 1, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_but_short_forms_comes_and_goes(
            text in "(AB|ABs|CD|xAB|a b \\(AB\\)|c d \\(CD\\)|a b|c d|[ .\\n]){0,16}",
            raw in proptest::collection::vec((0..4_usize, 0..4_usize, 0..4_usize, 0..2_usize), 0..10),
        ) {
            let spans = raw.into_iter().filter_map(|(task, words, nth, label)| {
                let words = ["a b", "c d", "AB", "CD"][words];
                let (begin, _) = text.match_indices(words).nth(nth)?;
                let (end, label) = (begin + words.len(), ["X", "Y"][label].into());
                Some(Mention { task, span: Span { begin, end, label, score: 0.5 } })
            });
            let given = merge(spans.collect());
            let found = with_short_forms(&text, &definitions(&text), given.clone(), part);
            prop_assert_eq!(&merge(found.clone()), &found);
            let known = meanings(&text, &definitions(&text), &given, &part);
            let is_short = |mention: &Mention| {
                let short = without_plural(&text[mention.span.begin..mention.span.end]);
                definitions(&text).iter().any(|one| without_plural(&text[one.short.clone()]) == short)
            };
            let differ = |all: &[Mention], others: &[Mention]| all.iter().filter(|one| !others.contains(one)).cloned().collect::<Vec<_>>();
            for gone in differ(&given, &found) {
                let mut places = short_forms(&text, &known);
                let within = places.find(|(short, _)| short.start <= gone.span.begin && gone.span.end <= short.end);
                let (_, meaning) = within.unwrap();
                // For a reason: nothing of its label in the long form, or a part of a word.
                let mut said = given.iter().filter(|other| other.span.label == gone.span.label);
                let said = said.any(|other| other.span.begin < meaning.long.end && meaning.long.start < other.span.end);
                prop_assert!(part(gone.task) != Part::None && (!said || cuts_a_word(&text, &gone.span)));
            }
            for new in differ(&found, &given) {
                prop_assert!(is_short(&new) && part(new.task) != Part::None);
                let label = |other: &&Mention| other.span.label == new.span.label;
                let overlaps = |other: &Mention| other.span.begin < new.span.end && new.span.begin < other.span.end;
                prop_assert!(!given.iter().filter(|one| found.contains(one)).filter(label).any(overlaps));
                prop_assert!(given.iter().filter(label).any(|long| long.task == new.task && long.span.score == new.span.score));
            }
        }
    }
}
