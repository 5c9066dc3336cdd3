//! What a note says about a mention beside naming it: that it is absent, uncertain, only feared, past, or somebody else's. "No chest
//! pain", "?pneumonia", "return if fever", "s/p MI", "mother had breast cancer".
//!
//! By words that stand before or behind a mention in its sentence and what ends their reach, after NegEx (Chapman et al. 2001) and ConText
//! (Harkema et al. 2009), in English, German, French, Spanish, Italian, Dutch and Portuguese; and by the sections for past and family
//! history and vaccinations. Of drugs it is found, too, that they are not taken, or no more. Word lists and rules are our own. Nothing is learnt, so that the same text says the same always, and each finding names
//! the words that it stands on. What is asked is what the text says, not what is true of the patient.
//!
//! A sentence (`sentence`) has cues of the `lexicon` and signs (`hits`); each looks ahead or back (`direction`), as far as it reaches
//! (`reach`). Beside that stand years, tick boxes (`boxes`, and `answers` where they are words) and the headings of `histories`.

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
mod reach;
mod sentence;
mod signs;
mod years;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use mednerd_abbreviations::Definition;

use answers::{Answer, answers, is_no};
use boxes::{BOX, TICKED, TICKED_NO, has_empty_box};
use histories::Histories;
use lexicon::{FAR, NEAR, NEXT, Role};
use lists::{AS_NEEDED, BEFORE, DENIES, DENYING, TAKING, UNITS};
use reach::MOST_LISTED;
use sentence::Sentence;
use signs::{NO_BY_LETTER, plus_answers};

use crate::folding::words;
use crate::languages::{Spoken, languages};
use crate::sections::Section;

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

/// Words that a sentence may have, at most; longer ones are cut.
const LONGEST: usize = 400;
/// What says no of a finding, and of what is measured that it is normal, or how much; and when something was, and not when a drug was given.
const OF_FINDINGS: [&str; 4] = ["n", NO_BY_LETTER, "0", "ago"];
/// The roles of what is said of diseases alone.
const OF_DISEASES: [Role; 3] = [
    Role::Cue(Kind::Hypothetical, Some(1), None),
    Role::Cue(Kind::Hypothetical, None, NEXT),
    Role::Cue(Kind::Hypothetical, NEXT, None),
];
/// Mentions within each other that are looked through for what a word is in.
const MOST_NESTED: usize = 4;
/// A line so long may have been wrapped, and its sentence go on; shorter ones are items of their own unless the next one begins small.
const WRAPPED: usize = 60;
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
        ..Sentence::default()
    };
    let mut all = words(text).peekable();
    let mut next_question = 0;
    while let Some(first) = all.next() {
        if first.begin >= next_question {
            if !wanted() {
                return None;
            }
            next_question = first.begin + BETWEEN_QUESTIONS;
        }
        sentence.clear();
        sentence.push(text, first);
        let border = border(sections, first.begin);
        // No sentence ends within a mention.
        let mut begun = waiting.clone().filter_map(|index| mentions.get(index)).peekable();
        let mut within = 0;
        while let Some(next) = all.peek()
            && sentence.words.len() < LONGEST
        {
            while let Some((_, end)) = begun.next_if(|(begin, _)| *begin < next.begin) {
                within = within.max(*end);
            }
            let ends = border.is_some_and(|border| border <= next.begin)
                || !sentence.goes_on(text, *next)
                || sentence.is_over(text, *next, within);
            if ends && within <= next.begin {
                break;
            }
            sentence.push(text, *next);
            all.next();
        }
        let end = all.peek().map_or(text.len(), |next| next.begin);
        let mut here = Vec::new();
        while let Some(index) =
            waiting.next_if(|index| mentions.get(*index).is_some_and(|(begin, _)| *begin < end))
        {
            here.push(index);
        }
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
        for ((index, place), said) in here.iter().zip(&places).zip(said) {
            let bytes = mentions.get(*index).copied().unwrap_or_default();
            let begin = bytes.0;
            let mut said: Vec<Assertion> = said;
            said.extend(sentence.year(place, &places).or_else(|| sentence.time(place)));
            // "Mother: diabetes" is no history of the patient's.
            let others = said.iter().any(|assertion| assertion.kind == Kind::Family);
            said.extend(
                histories
                    .at(begin)
                    .filter(|found| !others || found.kind == Kind::Family)
                    // "PMH: HTN on lisinopril"
                    .filter(|found| found.kind != Kind::Historical || !sentence.is_taken(place)),
            );
            let feared = said.iter().any(|assertion| assertion.kind == Kind::Hypothetical);
            let mut deny = |cue| {
                let kind = Kind::Negated;
                said.push(Assertion { kind, cue });
            };
            if is_no(text, &answers, bytes) {
                deny(TICKED_NO);
            } else if is_form && !feared && has_empty_box(text, &answers, bytes) {
                deny(BOX);
            }
            // The nearest cue of each kind comes first.
            said.sort_by_key(|assertion| assertion.kind);
            said.dedup_by_key(|assertion| assertion.kind);
            // What is absent is neither past nor possible.
            let absent = said.iter().any(|assertion| assertion.kind == Kind::Negated);
            let others = said.iter().any(|assertion| assertion.kind == Kind::Family);
            said.retain(|assertion| match assertion.kind {
                Kind::Uncertain => !absent,
                // Nor is it asked whether a relative's is past.
                Kind::Historical => !absent && !others,
                _ => true,
            });
            if let Some(place) = found.get_mut(*index) {
                *place = said;
            }
        }
    }
    Some(found)
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

impl Sentence {
    /// What is said of each of these mentions, which come in the order of their first words: of each kind by the nearest cue.
    fn said(&self, spoken: Spoken, mentions: &[Range<usize>], answers: &[Answer]) -> Vec<Vec<Assertion>> {
        let hits = self.hits(spoken, mentions, answers);
        let mut nearest: Vec<BTreeMap<Kind, (usize, &'static str)>> = vec![BTreeMap::new(); mentions.len()];
        let mut note = |index: usize, kind: Kind, apart: usize, cue| {
            if let Some(own) = nearest.get_mut(index) {
                let place = own.entry(kind).or_insert((apart, cue));
                if apart < place.0 {
                    *place = (apart, cue);
                }
            }
        };
        let longest = mentions.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        for (number, hit) in hits.iter().enumerate() {
            for role in &hit.roles {
                let (kind, ahead, back) = match *role {
                    Role::Cue(kind, Some(_), back)
                        if BEFORE.contains(&hit.name) && self.word(hit.words.end) == ":" =>
                    {
                        (kind, FAR, back)
                    }
                    // "Colon cancer - father", "breast cancer: maternal grandmother", "CAD in father".
                    Role::Cue(Kind::Family, ahead, NEXT) if self.is_said_of(hit.words.start) => {
                        (Kind::Family, ahead, NEAR)
                    }
                    // "Diabetes in her maternal aunt."
                    Role::Cue(Kind::Family, ahead, NEXT) if self.is_of_somebody(hit.words.start) => {
                        (Kind::Family, ahead, NEAR)
                    }
                    Role::Cue(kind, ahead, None) if DENIES.contains(&hit.name) => (kind, ahead, NEXT),
                    Role::Cue(kind, ahead, back) => (kind, ahead, back),
                    Role::Either(kind) if self.is_before(hit, mentions) => (kind, FAR, None),
                    // What was "two years ago" has entries of its own for what stands before that.
                    Role::Either(Kind::Historical) => continue,
                    Role::Either(kind) => (kind, None, NEAR),
                    Role::Drug(kind, ..) if self.heads_drugs(hit) => (kind, FAR, None),
                    Role::Drug(kind, Some(_), Some(back)) if !self.is_before_drug(hit) => {
                        (kind, None, Some(back))
                    }
                    Role::Drug(kind, Some(ahead), _) => (kind, Some(ahead), None),
                    Role::Drug(kind, None, back) => (kind, None, back),
                    Role::Case if self.is_case(hit, mentions) => (Kind::Hypothetical, Some(1), None),
                    Role::Person if self.told_of(hit).is_some() => (Kind::Family, FAR, None),
                    _ => continue,
                };
                let of_drugs = matches!(role, Role::Drug(..));
                let is_asked = |mention: &Range<usize>| match of_drugs {
                    true => self.is_drug(mention),
                    // "GERD prn antacids"; and "calcium: N" is normal.
                    false if OF_FINDINGS.contains(&hit.name) || AS_NEEDED.contains(&hit.name) => {
                        !self.is_drug(mention)
                    }
                    // "Anti-D given", "on trimethoprim prophylaxis".
                    false if OF_DISEASES.contains(role) => !self.is_drug(mention),
                    // "History of AF on warfarin".
                    false => {
                        kind != Kind::Historical
                            || !(self.is_taken(mention) || self.is_of_other(hit, mention))
                    }
                };
                if kind == Kind::Family && (self.tells(hit) || self.is_relative_to(hit)) {
                    continue;
                }
                let answers = self.answers(hit, mentions);
                if let Some(reach) = ahead.filter(|_| !answers && self.may_look_ahead(hit, mentions)) {
                    let end = self.ahead(&hits, number, kind, reach, mentions);
                    let first = mentions.partition_point(|mention| mention.start < hit.words.start);
                    let here = mentions.iter().enumerate().skip(first);
                    for (index, mention) in here.take_while(|(_, mention)| mention.start < end) {
                        // Its first words may be the model's idea of the mention: "suspected PE".
                        let begins = mention.start == hit.words.start && mention.end > hit.words.end;
                        let behind = mention.start >= hit.words.end;
                        let said = match kind {
                            Kind::Negated => {
                                (behind && !self.in_brackets(hit.words.end, mention.start))
                                    || (begins && DENYING.contains(&hit.name))
                            }
                            _ => behind || begins,
                        };
                        let measured = kind == Kind::Negated && self.is_measured(hit, mention);
                        if said && !measured && is_asked(mention) {
                            note(index, kind, mention.start.saturating_sub(hit.words.end), hit.name);
                        }
                    }
                }
                if let Some(reach) = back.filter(|_| answers || self.may_look_back(hit, mentions)) {
                    let reach = if self.is_in_form(hit.words.start) {
                        reach.min(2)
                    } else {
                        reach
                    };
                    let dose = self.behind_dose(hit.words.start).filter(|_| of_drugs);
                    let cell = self.cell_of_drug(hit).filter(|_| of_drugs);
                    let (begin, end) = match cell {
                        Some(cell) => (cell.start, cell.end),
                        None => {
                            let reach = reach.max(dose.unwrap_or(0));
                            (
                                self.back(&hits, number, kind, reach, mentions)
                                    .min(self.behind_treatment(hit)),
                                hit.words.start,
                            )
                        }
                    };
                    let first = mentions.partition_point(|mention| mention.start + longest < begin);
                    let here = mentions.iter().enumerate().skip(first);
                    for (index, mention) in here.take_while(|(_, mention)| mention.start < hit.words.start) {
                        if mention.end <= end && mention.end > begin && is_asked(mention) {
                            note(index, kind, hit.words.start - mention.end, hit.name);
                        }
                    }
                }
            }
        }
        let listed = |own: BTreeMap<Kind, (usize, &'static str)>| {
            let found = own.into_iter();
            found.map(|(kind, (_, cue))| Assertion { kind, cue }).collect()
        };
        nearest.into_iter().map(listed).collect()
    }

    fn is_drug(&self, mention: &Range<usize>) -> bool {
        let begun = self.drugs.partition_point(|drug| drug.start < mention.start);
        let mut here = self.drugs.iter().skip(begun);
        here.by_ref()
            .take_while(|drug| drug.start == mention.start)
            .any(|drug| drug == mention)
    }

    /// Whether a mention is a drug that somebody is on, alone or with others: "on warfarin 5 mg and digoxin".
    fn is_taken(&self, mention: &Range<usize>) -> bool {
        let between = |at: usize| {
            let word = self.word(at);
            is_mention(at, &self.drugs)
                || word.starts_with(|c: char| c.is_ascii_digit())
                || matches!(
                    word,
                    "and" | "," | "&" | "." | "daily" | "bid" | "tid" | "qd" | "po"
                )
                || UNITS.contains(&word)
        };
        let before = (0..mention.start)
            .rev()
            .take(MOST_LISTED)
            .find(|at| !between(*at));
        self.is_drug(mention) && before.is_some_and(|at| TAKING.contains(&self.word(at)))
    }
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
mod tests;
