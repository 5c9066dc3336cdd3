//! What is past by the year that stands behind it.

use std::collections::HashSet;
use std::ops::{Range, RangeInclusive};
use std::sync::LazyLock;

use super::lexicon::set;
use super::lists::{GENITIVES, UNITS};
use super::sentence::{Sentence, is_number};
use super::{Assertion, Kind};

/// What says that something is past by the year that stands behind it.
const YEAR: &str = "a year";

/// And by a time that is no year.
const TIME: &str = "a time";

#[rustfmt::skip]
const MONTHS: [&str; 23] = [
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december", "jan",
    "feb", "mar", "apr", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
static MONTHS_ELSEWHERE: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    set(&[
        "januar, februar, marz, mai, juni, juli, oktober, dezember, okt, dez",
        "janvier, fevrier, mars, avril, juin, juillet, aout, septembre, octobre, novembre, decembre, janv, fevr, avr, juil, sept",
        "enero, febrero, marzo, abril, mayo, junio, julio, agosto, septiembre, setiembre, octubre, noviembre, diciembre, ene, abr, ago, dic",
        "gennaio, febbraio, aprile, maggio, giugno, luglio, settembre, ottobre, dicembre, gen, mag, giu, lug, set, ott",
        "januari, februari, maart, mei, augustus, mrt",
        "janeiro, fevereiro, marco, maio, junho, julho, setembro, outubro, novembro, dezembro, fev, out",
    ])
});
const SEASONS: [&str; 5] = ["winter", "summer", "spring", "fall", "autumn"];
/// What says when something began, or was found out.
#[rustfmt::skip]
const ONSET: [&str; 16] = [
    "diagnosed", "dx", "diagnosis", "began", "begun", "started", "starting", "onset", "diagnostiziert", "diagnostique",
    "diagnostiquee", "diagnosticado", "diagnosticada", "diagnosticata", "diagnosticato", "gediagnosticeerd",
];
/// What says that something is still to come.
#[rustfmt::skip]
const COMING: [&str; 15] = [
    "will", "recheck", "repeat", "follow", "scheduled", "schedule", "due", "appointment", "planned", "plan", "next", "return", "surgery",
    "review", "again",
];

/// The years that a note may tell of.
const YEARS: RangeInclusive<u16> = 1900..=2049;

/// What was done about something, or when it came, before the year of that.
static TREATED: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    set(&[
        "treated, tx, rx, operated, resected, excised, removed, postpartum, post, partum",
        "behandelt, operiert, postpartal",
        "traite, traitee, opere, operee, reseque, resequee",
        "tratado, tratada, operado, operada, resecado, resecada",
        "trattato, trattata, operato, operata, resecato, resecata",
        "behandeld, geopereerd, verwijderd",
    ])
});
/// Words from "had" to what was had removed, at most.
const HAD: usize = 4;

/// Words from a year to the remission behind it, at most.
const REMISSION: usize = 6;

/// Words from a mention to a year behind it, at most.
const YEAR_REACH: usize = 5;

/// Whether a number is a year without its century.
fn is_short_year(number: &str) -> bool {
    number.len() == 2 && is_number(number)
}

/// Whether a number is that of a month.
fn is_month(number: &str) -> bool {
    number.len() <= 2 && number.parse().is_ok_and(|month: u8| (1..=12).contains(&month))
}

impl Sentence {
    /// Whether a year stands behind the mention, nearer than anything else that has one: "MI 2010", "CABG (2012)". A dose is none.
    pub(super) fn year(&self, mention: &Range<usize>, mentions: &[Range<usize>]) -> Option<Assertion> {
        let mut joined = false;
        // "Fracture wrist 2020"
        let begun = mentions.partition_point(|next| next.start < mention.end);
        let next = mentions
            .get(begun)
            .filter(|next| next.start == mention.end && !self.is_drug(mention) && !self.is_drug(next));
        let from = next.map_or(mention.end, |next| next.end);
        // "Melanoma of the left calf, excised 2019".
        let of_site = GENITIVES.contains(&self.word(from)) || self.word(from) == "of";
        let site = mentions
            .get(begun)
            .filter(|site| of_site && (from + 1..from + 4).contains(&site.start));
        let from = site.map_or(from, |site| site.end);
        // "In 2017 BPPV": behind other words it tells when something else was.
        let led = self.is_year(mention.start.wrapping_sub(1))
            && matches!(
                self.before(mention.start, 2),
                "in" | "im" | "jahr" | "en" | "nel" | "em"
            )
            && matches!(
                self.before(mention.start, 3),
                "" | "." | "," | ";" | "(" | ":" | "im"
            )
            // "In 2017 diabetes was diagnosed."
            && (self.ends(mention.end)
                || matches!(
                    self.word(mention.end),
                    "rechts" | "links" | "re" | "li" | "("
                ));
        if led {
            let kind = Kind::Historical;
            return Some(Assertion { kind, cue: YEAR });
        }
        for at in from..self.words.len().min(from + YEAR_REACH) {
            if self.is_year(at) {
                // A number behind a drug that stands bare is a dose, or a time.
                let may_be_bare = !self.is_drug(mention);
                // "Pain 2015 given tylenol" is a time.
                let is_time = matches!(self.word(at + 1), "given" | "gave" | "administered" | "medicated");
                let is_one = !self.counts(at) && (joined || (may_be_bare && !is_time));
                let kind = Kind::Historical;
                let is_one = is_one && !self.tells_onset(mention.start) && !self.is_in_remission(at);
                return is_one.then_some(Assertion { kind, cue: YEAR });
            }
            match self.word(at) {
                "in" | "(" | "-" | "im" | "en" | "nel" | "em" | "year" | "jahr" | "jaar" => joined = true,
                "'" | ":" => {}
                // "SCC, excised 2022".
                "," if TREATED.contains(self.word(at + 1)) => {}
                // "TB treated 2005", "PE postpartum 2018".
                word if TREATED.contains(word) => {}
                // "Pneumonia 3/2021".
                "/" if joined => {}
                number if is_month(number) && self.word(at + 1) == "/" && self.is_year(at + 2) => {
                    joined = true
                }
                // "Anemia em mar/24".
                month
                    if (MONTHS.contains(&month) || MONTHS_ELSEWHERE.contains(month))
                        && self.word(at + 1) == "/"
                        && self.are_joined(at + 1)
                        && is_short_year(self.word(at + 2))
                        && (self.ends(at + 3) || self.word(at + 3) == "(") =>
                {
                    let kind = Kind::Historical;
                    return (!self.tells_onset(mention.start)).then_some(Assertion { kind, cue: YEAR });
                }
                // "Rejection Jan 2020".
                month if MONTHS.contains(&month) || MONTHS_ELSEWHERE.contains(month) => joined = true,
                _ => return None,
            }
        }
        None
    }

    /// Whether a time that is over stands behind the mention: "pneumonia last winter", "hepatitis as a teenager", "MI at age 50", "COVID in
    /// January". Nor is it said of what is to come.
    pub(super) fn time(&self, mention: &Range<usize>) -> Option<Assertion> {
        let at = mention.end + usize::from(self.word(mention.end) == "(");
        let (next, third) = (self.word(at + 1), self.word(at + 2));
        let is_past = match self.word(at) {
            "last" => matches!(next, "year" | "month") || SEASONS.contains(&next) || MONTHS.contains(&next),
            "in" => {
                let decade = |word: &str| {
                    word.len() == 3 && word.ends_with("0s")
                        || matches!(word, "teens" | "childhood" | "twenties" | "thirties")
                };
                let date =
                    third == "/" && (self.is_year(at + 3) || self.word(at + 3).len() == 2) && next.len() <= 2;
                MONTHS.contains(&next)
                    || decade(next)
                    || (matches!(next, "his" | "her" | "their") && decade(third))
                    || (date && next.bytes().all(|byte| byte.is_ascii_digit()))
            }
            "at" => next == "age",
            // "Salpingite a 20 anni", and not "a 20 anni dalla diagnosi".
            "a" | "mit" if is_number(next) => {
                matches!(third, "anni" | "ans" | "anos" | "jahren") && self.ends(at + 3)
            }
            // And not "age 60 yo", which is the patient's.
            "age" | "aged" => next.starts_with(|c: char| c.is_ascii_digit()) && !third.starts_with('y'),
            "as" => {
                matches!(next, "a" | "an")
                    && matches!(
                        third,
                        "teenager" | "teen" | "infant" | "baby" | "toddler" | "youth"
                    )
            }
            // "She had a polyp removed from the caecum."
            "removed" | "excised" | "resected" => (1..=HAD).any(|count| {
                mention
                    .start
                    .checked_sub(count)
                    .is_some_and(|at| self.word(at) == "had")
            }),
            month => self.word(at.saturating_sub(1)) == "(" && MONTHS.contains(&month),
        };
        let is_told = || (0..self.words.len()).any(|at| COMING.contains(&self.word(at)));
        let kind = Kind::Historical;
        (is_past && !self.tells_onset(at) && !is_told()).then_some(Assertion { kind, cue: TIME })
    }

    /// Whether something is in remission, behind its year: it is there still.
    fn is_in_remission(&self, year: usize) -> bool {
        let mut clause = (year + 1..self.words.len()).take(REMISSION);
        clause.any(|at| self.word(at).starts_with("remis"))
    }

    /// Whether words before this one say when something began or was found out, and not that it is over: "diagnosed 10 years ago".
    pub(super) fn tells_onset(&self, at: usize) -> bool {
        self.clause_before(at).any(|at| ONSET.contains(&self.word(at)))
    }

    /// Whether a word is a number that may be a year.
    pub(super) fn is_year(&self, at: usize) -> bool {
        let year = || self.word(at).parse().is_ok_and(|year: u16| YEARS.contains(&year));
        self.word(at).bytes().all(|byte| byte.is_ascii_digit()) && year()
    }

    /// Whether a number is of units, "2000 mg", "2000/ul", or part of a longer one, "2000.5", "1930-2000", and of no date, "2010-03".
    fn counts(&self, at: usize) -> bool {
        let (next, behind) = (self.word(at + 1), self.word(at + 2));
        let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        let is_date = is_number(behind) && (behind.len() <= 2 || self.is_year(at + 2));
        match next {
            // "2010/03", "2010/2014"; and not "2000/10 ml".
            "/" => !(is_date && behind.len() != 1 && !UNITS.contains(&self.word(at + 3))),
            // "MI 2010 h/o CHF", "CVA 2012 L hemiparesis", "PE 2016 x 1".
            "h" => behind != "/",
            "l" => !behind.starts_with(char::is_alphabetic),
            "x" => !(is_number(behind) && behind.len() == 1),
            "-" | "\u{2013}" => is_number(behind) && !is_date,
            "." | "," => self.are_joined(at) && self.are_joined(at + 1) && is_number(behind),
            _ => UNITS.contains(&next),
        }
    }
}
