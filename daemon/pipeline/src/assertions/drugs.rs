//! Drugs that are stopped: lists below a heading, columns of a table, doses before the word that says so, and what is started instead.

use std::ops::Range;

use super::hits::Hit;
use super::is_mention;
use super::lists::{BEGUN, BY, FREQUENCY, REPLACING, STOPPED, TAKING, UNITS};
use super::outcomes::is_over;
use super::reach::MOST_LISTED;
use super::sentence::Sentence;

use crate::languages::{EN, Languages};

/// What drugs are called between what says that they are stopped and its colon.
#[rustfmt::skip]
const CALLED: [&str; 20] = [
    "medications", "medication", "medicines", "meds", "drugs", "medikation", "medikamente", "medicaments", "traitements", "medicamentos",
    "medicacion", "medicacao", "farmaci", "terapia", "medicatie", "medicijnen", "on", "this", "admission", "discharge",
];
/// Words of a heading over lines of drugs, at most.
const HEADED: usize = 4;
/// Words of a dose, at most.
const DOSE: usize = 14;
/// What a dose is given as, or how.
#[rustfmt::skip]
const GIVEN_AS: [&str; 24] = [
    "-", "/", "|", "po", "iv", "sc", "im", "sl", "od", "om", "on", "bd", "tds", "qds", "nocte", "mane", "tablet", "tablets", "tab", "tabs", "cp", "mg",
    "was", "were",
];

/// How tests begin that are named by what they look for.
const TESTED: [&str; 6] = ["serolog", "sierolog", "sorolog", "cultiv", "pcr", "vacun"];

impl Sentence {
    /// Whether a mention is a drug.
    pub(super) fn is_drug(&self, mention: &Range<usize>) -> bool {
        let begun = self.drugs.partition_point(|drug| drug.start < mention.start);
        let mut here = self.drugs.iter().skip(begun);
        here.by_ref()
            .take_while(|drug| drug.start == mention.start)
            .any(|drug| drug == mention)
    }

    /// Whether a mention is a drug that somebody is on, alone or with others: "on warfarin 5 mg and digoxin".
    pub(super) fn is_taken(&self, mention: &Range<usize>) -> bool {
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

    /// Whether a drug begins right behind a cue, and none ends before it: "stopped aspirin", and not "aspirin stopped", "stopped with
    /// lorazepam".
    pub(super) fn is_before_drug(&self, hit: &Hit) -> bool {
        let (begin, end) = (hit.words.start, hit.words.end);
        let begins = |at: usize| self.drugs.iter().any(|drug| drug.start == at);
        let next = begins(end) || (begins(end + 1) && !BY.contains(&self.word(end)));
        next && !self.drugs.iter().any(|drug| drug.end == begin)
    }

    /// Whether what says that drugs are stopped heads a list of them: "discontinued medications: warfarin, digoxin".
    pub(super) fn heads_drugs(&self, hit: &Hit) -> bool {
        self.before(hit.words.end, 1) == ":"
    }

    /// One past the colon of such a heading, or of what says so without one.
    pub(super) fn end_of_drug_heading(&self, hit: &Hit) -> usize {
        let end = hit.words.end;
        let called = (end..self.words.len())
            .take_while(|at| CALLED.contains(&self.word(*at)))
            .count();
        let before = self
            .drugs
            .first()
            .is_some_and(|drug| drug.start < hit.words.start);
        match self.word(end + called) {
            ":" if !before => end + called + 1,
            _ => end,
        }
    }

    /// Whether a colon that ended a line headed a list of drugs that are stopped, with one on each line.
    pub(super) fn heads_drug_lines(&self, text: &str) -> bool {
        let colon = (1..=HEADED).find(|at| self.word(*at) == ":");
        colon.is_some_and(|colon| {
            (0..colon).any(|at| STOPPED.contains(&self.word(at))) && self.ends_line(text, colon)
        })
    }

    /// The words of the cell that names the drug of a row whose last column says that it is stopped: "Warfarin | 3 mg | STOPPED".
    pub(super) fn cell_of_drug(&self, hit: &Hit) -> Option<Range<usize>> {
        let is_status =
            self.before(hit.words.start, 1) == "|" && matches!(self.word(hit.words.end), "" | "|");
        let first = self
            .drugs
            .first()
            .filter(|drug| is_status && drug.start < hit.words.start)?;
        let end = (first.start..hit.words.start).find(|at| self.word(*at) == "|")?;
        Some(first.start..end)
    }

    /// How many words before this one its drug begins, if nothing but its dose stands between them: "Marcumar 3 mg 1-0-0 abgesetzt".
    pub(super) fn behind_dose(&self, at: usize) -> Option<usize> {
        let is_dose = |at: usize| {
            let word = self.word(at);
            word.starts_with(|c: char| c.is_ascii_digit())
                || GIVEN_AS.contains(&word)
                || UNITS.contains(&word)
                || FREQUENCY.contains(&word)
        };
        let before = (0..at).rev().take(DOSE).find(|at| !is_dose(*at))?;
        is_mention(before, &self.drugs).then_some(at - before)
    }

    /// Whether what says that something is over or past is of no drug, "amoxicillin, resolved", or is of a test for what it names: "serología VIH
    /// previa".
    pub(super) fn is_of_other(&self, hit: &Hit, mention: &Range<usize>) -> bool {
        let before = hit.name.starts_with("previ") && hit.languages & EN == 0;
        let near = [self.before(mention.start, 1), self.word(mention.end)];
        let tested = near
            .iter()
            .any(|word| TESTED.iter().any(|test| word.starts_with(test)));
        ((before || is_over(hit)) && self.is_drug(mention)) || (before && tested)
    }

    /// Whether what stands behind a comma, in a list of what is denied, has been measured: "no dysuria, clear urine, creatinine 1.2". A dose is none.
    pub(super) fn is_measured(&self, hit: &Hit, mention: &Range<usize>) -> bool {
        let is_number = |at: usize| self.word(at).starts_with(|c: char| c.is_ascii_digit());
        let end = mention.end + usize::from(matches!(self.word(mention.end), ":" | "=" | "<" | ">"));
        let decimal = matches!(self.word(end + 1), "," | ".") && self.are_joined(end) && is_number(end + 2);
        let behind = end + 1 + if decimal { 2 } else { 0 };
        let dose = self.word(behind);
        let is_dose = matches!(
            dose,
            "mg" | "g" | "mcg" | "ug" | "ml" | "cp" | "tab" | "tabs" | "x" | "-" | "cpr" | "comp"
        ) && self.word(behind + 1) != "/";
        self.is_drug(mention)
            && is_number(end)
            && self.word(end).bytes().all(|byte| byte.is_ascii_digit())
            && !is_dose
            && (hit.words.end..mention.start).any(|at| self.word(at) == ",")
    }

    /// Where what is told of drugs that are stopped ends: before one that is begun or goes on, "stopped aspirin and clopidogrel continued", "and
    /// started apixaban", or that comes in the place of another.
    pub(super) fn end_of_stopped(
        &self,
        hit: &Hit,
        words: Range<usize>,
        languages: Languages,
    ) -> Option<usize> {
        let begun = |at: usize| BEGUN.contains(&self.word(at));
        let replacing =
            hit.name.ends_with(" from") || hit.name.ends_with(" von") || hit.name.ends_with(" van");
        let replacing = replacing || hit.name.ends_with(" de") || hit.name.ends_with(" da");
        words.clone().find(|at| {
            let next = at + 1;
            let drug = self.drugs.iter().find(|drug| drug.start == next);
            let goes_on = || begun(next) || (self.word(next) == "se" && begun(next + 1));
            (self.is_and(*at, languages) && (goes_on() || drug.is_some_and(|drug| begun(drug.end))))
                || (replacing && REPLACING.contains(&self.word(*at)))
        })
    }
}
