//! What a note says about a mention beside naming it: that it is absent, uncertain, only feared, past, or somebody else's. "No chest
//! pain", "?pneumonia", "return if fever", "s/p MI", "mother had breast cancer".
//!
//! By words that stand before or behind a mention in its sentence and what ends their reach, after NegEx (Chapman et al. 2001) and ConText
//! (Harkema et al. 2009), in English, German, French, Spanish, Italian, Dutch and Portuguese; and by the sections for past and family
//! history and vaccinations. Of drugs it is found, too, that they are not taken, or no more. Word lists and rules are our own. Nothing is learnt, so that the same text says the same always, and each finding names
//! the words that it stands on. What is asked is what the text says, not what is true of the patient.
//!
//! A sentence (`sentence`) has cues of the `lexicon`, signs and cues with words between (`hits`, `signs`, `watched`); each looks ahead or back (`direction`), as far as it reaches
//! (`reach`), and is said of the mentions there (`look`, `outcomes`). Beside that stand years, tick boxes (`boxes`, and `answers` where they are words) and the headings of `histories`.

mod answers;
mod boxes;
mod cases;
mod clauses;
mod direction;
mod drugs;
mod durations;
mod headings;
mod histories;
mod hits;
mod lexicon;
mod lists;
mod look;
mod outcomes;
mod reach;
mod sentence;
mod signs;
mod spoken;
mod watched;
mod years;

use std::collections::HashMap;
use std::ops::Range;

use mednerd_abbreviations::Definition;

use answers::{answers, is_no};
use boxes::{BOX, TICKED, TICKED_NO, has_empty_box};
use histories::Histories;
use lists::CONDITIONS;
use sentence::Sentence;
use signs::plus_answers;
use spoken::Dictation;

use crate::folding::words;
use crate::languages::{Spoken, languages};
use crate::sections::{Section, section_at};

/// What is said of a mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It is absent.
    Negated,
    /// It is possible, suspected, or one of several explanations.
    Uncertain,
    /// It is feared, prevented, screened for, or a condition of something else.
    Hypothetical,
    /// It was there in the past.
    Historical,
    /// It is somebody else's: a relative's, a contact's.
    Family,
}

/// One finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// What is said.
    pub kind: Kind,
    /// By which words of the lexicon, or which section.
    pub cue: &'static str,
}

/// Mentions within each other that are looked through for what a word is in.
const MOST_NESTED: usize = 4;
/// A line so long may have been wrapped, and its sentence go on; shorter ones are items of their own unless the next one begins small.
const WRAPPED: usize = 60;
/// The sections that tell of what is still to come.
const PLANS: [&str; 2] = ["plan", "assessment and plan"];
/// How cues begin that tell of a vaccine, which is no past illness in a history: "Varizellen-Impfung fehlt".
const PREVENTS: [&str; 4] = ["vac", "impf", "immuni", "gevac"];
/// Bytes from one question whether more is wanted to the next: some milliseconds.
const BETWEEN_QUESTIONS: usize = 16 << 10;

/// What is known of the mentions of a text, and how long it is wanted to know more.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Where they are, in bytes.
    pub mentions: &'a [(usize, usize)],
    /// Of which numbers they are drugs: whether one is taken is asked of those alone.
    pub is_drug: &'a dyn Fn(usize) -> bool,
    /// The languages of the text, where that is known; else its commonest words tell it.
    pub spoken: Option<Spoken>,
    /// Whether the answer is still waited for.
    pub wanted: &'a dyn Fn() -> bool,
}

/// What the text says of each mention, in their order. Of each kind there is one finding at most. Takes time linear in the text, and in the
/// mentions of a sentence times its words; `None` where it is no longer wanted.
///
/// Lines end with `\n`: see [`with_plain_lines`](crate::with_plain_lines).
pub fn assertions(text: &str, sections: &[Section], asked: &Asked<'_>) -> Option<Vec<Vec<Assertion>>> {
    let Asked {
        mentions,
        is_drug,
        spoken,
        wanted,
    } = *asked;
    let mut found = vec![Vec::new(); mentions.len()];
    if mentions.is_empty() {
        return Some(found);
    }
    let spoken = spoken.unwrap_or_else(|| Spoken {
        languages: languages(text),
        by_names: false,
    });
    // Where nothing is ticked, nothing is said.
    let is_form = TICKED.iter().any(|form| text.contains(form));
    let answers = if is_form { answers(text) } else { Vec::new() };
    // By where they begin, as sentences come.
    let mut order: Vec<usize> = (0..mentions.len()).collect();
    order.sort_by_key(|index| mentions.get(*index));
    let mut names = mentions.to_vec();
    names.sort_unstable();
    let mut histories = Histories::new(text, sections, &names);
    let mut waiting = order.iter().copied().peekable();
    let mut sentence = Sentence {
        plus_answers: plus_answers(text),
        dictation: Dictation::of(text, spoken.languages),
        ..Sentence::default()
    };
    let mut all = words(text).peekable();
    let mut next_question = 0;
    while let Some(first) = all.next() {
        if let Some(end) = sentence.dictation.end_at(text, first.begin) {
            while all.next_if(|word| word.begin < end).is_some() {}
            continue;
        }
        if first.begin >= next_question {
            if !wanted() {
                return None;
            }
            next_question = first.begin + BETWEEN_QUESTIONS;
        }
        let begun = waiting.clone().filter_map(|index| mentions.get(index));
        sentence.read(text, first, &mut all, border(sections, first.begin), begun);
        sentence.planned = section_at(sections, first.begin).is_some_and(|name| PLANS.contains(&name));
        let end = all.peek().map_or(text.len(), |next| next.begin);
        let is_here = |index: &usize| mentions.get(*index).is_some_and(|(begin, _)| *begin < end);
        let here: Vec<usize> = std::iter::from_fn(|| waiting.next_if(is_here)).collect();
        if here.is_empty() {
            continue;
        }
        let places: Vec<Range<usize>> = here
            .iter()
            .filter_map(|index| mentions.get(*index))
            .map(|(begin, end)| sentence.place(*begin, *end))
            .collect();
        let drugs = here.iter().zip(&places).filter(|(index, _)| is_drug(**index));
        sentence.drugs = drugs.map(|(_, place)| place.clone()).collect();
        let said = sentence.said(spoken, &places, &answers);
        for ((index, place), mut said) in here.iter().zip(&places).zip(said) {
            let bytes = mentions.get(*index).copied().unwrap_or_default();
            // "Flu vaccine 2019" prevents it still.
            let feared = says(&said, Kind::Hypothetical);
            let time = sentence.year(place, &places).or_else(|| sentence.time(place));
            said.extend(time.filter(|_| !feared));
            // "Mother: diabetes" is no history of the patient's.
            let others = says(&said, Kind::Family);
            let prevented = said
                .iter()
                .any(|found| PREVENTS.iter().any(|start| found.cue.starts_with(start)));
            said.extend(
                histories
                    .at(bytes.0)
                    .filter(|found| !others || found.kind == Kind::Family)
                    // "PMH: HTN on lisinopril"
                    .filter(|found| {
                        found.kind != Kind::Historical || !(sentence.is_taken(place) || prevented)
                    }),
            );
            let denied = if is_no(text, &answers, bytes) {
                Some(TICKED_NO)
            } else {
                let empty = is_form && !says(&said, Kind::Hypothetical);
                (empty && has_empty_box(text, &answers, bytes)).then_some(BOX)
            };
            let kind = Kind::Negated;
            said.extend(denied.map(|cue| Assertion { kind, cue }));
            if let Some(place) = found.get_mut(*index) {
                *place = settled(said);
            }
        }
    }
    Some(found)
}

fn says(said: &[Assertion], kind: Kind) -> bool {
    said.iter().any(|assertion| assertion.kind == kind)
}

/// One finding of each kind, the first that was made, without those that others leave nothing to say of.
fn settled(mut said: Vec<Assertion>) -> Vec<Assertion> {
    said.sort_by_key(|assertion| assertion.kind);
    said.dedup_by_key(|assertion| assertion.kind);
    // "If CT without bleeding": that it is absent is the condition.
    if said
        .iter()
        .any(|found| found.kind == Kind::Hypothetical && CONDITIONS.contains(&found.cue))
    {
        said.retain(|found| found.kind != Kind::Negated);
    }
    // What is absent is neither past nor possible; nor is it asked whether a relative's is past, nor told who asks: "brother ?leukaemia".
    let absent = says(&said, Kind::Negated);
    let others = says(&said, Kind::Family);
    said.retain(|assertion| match assertion.kind {
        Kind::Uncertain => !(absent || others && assertion.cue == "?"),
        Kind::Historical => !absent && !others,
        _ => true,
    });
    said
}

/// Gives a short form and the long form that defines it, of which only one has something said of it, the same: of "no deep vein thrombosis
/// (DVT)" both are absent. `mentions` and what was `found` of them are those of [`assertions`].
pub fn share(definitions: &[Definition], mentions: &[(usize, usize)], found: &mut [Vec<Assertion>]) {
    let mut by_end: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, (_, end)) in mentions.iter().enumerate() {
        by_end.entry(*end).or_default().push(index);
    }
    let within = |part: &Range<usize>| -> Vec<usize> {
        let own = by_end.get(&part.end).map(Vec::as_slice).unwrap_or_default();
        let begins = |index: &usize| {
            mentions
                .get(*index)
                .is_some_and(|(begin, _)| *begin >= part.start)
        };
        own.iter().copied().filter(begins).collect()
    };
    for Definition { short, long } in definitions {
        let said = |part: &Range<usize>| {
            let mut all = within(part).into_iter().filter_map(|index| found.get(index));
            all.find(|said| !said.is_empty()).cloned()
        };
        let (from, to) = match (said(short), said(long)) {
            (Some(said), None) => (said, long),
            (None, Some(said)) => (said, short),
            _ => continue,
        };
        for index in within(to) {
            if let Some(place) = found.get_mut(index) {
                place.clone_from(&from);
            }
        }
    }
}

/// Where the next section begins or ends behind a byte.
fn border(sections: &[Section], at: usize) -> Option<usize> {
    let next = sections.get(sections.partition_point(|section| section.end <= at))?;
    Some(next.heading.begin)
        .filter(|begin| *begin > at)
        .or(Some(next.end))
}

/// Whether a word is in a mention.
fn is_mention(at: usize, mentions: &[Range<usize>]) -> bool {
    let begun = mentions.partition_point(|mention| mention.start <= at);
    let begun = mentions.get(..begun).unwrap_or_default().iter().rev();
    begun.take(MOST_NESTED).any(|mention| mention.contains(&at))
}

/// Whether a mention ends right before a word.
fn is_end(at: usize, mentions: &[Range<usize>]) -> bool {
    mentions.iter().any(|mention| mention.end == at)
}

#[cfg(test)]
mod languages_tests;
#[cfg(test)]
mod reach_tests;
#[cfg(test)]
mod shorthand_tests;
#[cfg(test)]
mod tests;
