//! The words of a sentence or of an item of a list, and where it ends.

use std::iter::Peekable;
use std::ops::Range;

use super::WRAPPED;
use super::answers::is_answer;
use super::direction::replies;
use super::headings::is_short_line;
use super::lexicon::{AND, OR, joining};
use super::lists::{CELLS, ENDING_SENTENCES, MEASURES, SIDES, TIMES, WAYS};
use super::spoken::Dictation;

use crate::folding::{fold, words};
use crate::languages::{EN, Languages};
use crate::sentences::{Break, between, ends_with_full_stop};
use crate::tokens::ByteSpan;

/// Words that a sentence may have, at most; longer ones are cut.
const LONGEST: usize = 400;

/// The words of a sentence, or of an item of a list.
#[derive(Default)]
pub(super) struct Sentence {
    pub(super) words: Vec<ByteSpan>,
    /// How many brackets are open before each word.
    pub(super) open: Vec<i32>,
    pub(super) folded: String,
    /// Where in `folded` each word ends.
    pub(super) ends: Vec<usize>,
    /// The languages in which each word is "or", and in which it is "and".
    pub(super) or: Vec<Languages>,
    pub(super) and: Vec<Languages>,
    /// The words of its mentions that are drugs, in their order.
    pub(super) drugs: Vec<Range<usize>>,
    /// The words that are written in capitals, and whether any small letter is there.
    pub(super) capitals: Vec<usize>,
    pub(super) small: bool,
    /// Those that are one capital letter.
    pub(super) letters: Vec<usize>,
    /// The words that are all that a cell of a table has, and answer the one before it.
    pub(super) cells: Vec<usize>,
    /// Those for yes and no in capitals behind wide space, which answer what stands before them.
    pub(super) loud: Vec<usize>,
    /// Those that say yes by their accent: "sí".
    pub(super) affirmed: Vec<usize>,
    /// Whether a plus stands behind something anywhere in the text: "cough +".
    pub(super) plus_answers: bool,
    /// Which full stops the text has that are words.
    pub(super) dictation: Dictation,
    /// Whether it stands in a plan, and tells of what is still to come.
    pub(super) planned: bool,
}

/// Whether white space parts columns.
fn is_column(gap: &str) -> bool {
    gap.contains('\t') || gap.contains("   ")
}

/// Whether white space ends a line, or a column.
fn is_wide(c: char) -> bool {
    matches!(c, '\n' | '\t')
}

/// Whether a word may number the items of a list.
pub(super) fn is_number(word: &str) -> bool {
    (1..=2).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn folded(text: &str) -> String {
    let mut folded = String::new();
    fold(text, &mut folded);
    folded
}

/// Words that begin a sentence where they are written with a capital letter.
#[rustfmt::skip]
const BEGINNING: [&str; 50] = [
    "she", "he", "they", "the", "this", "these", "there", "her", "his", "on", "no", "er", "es", "das", "der", "die", "kein", "keine", "im", "bei",
    "elle", "il", "le", "la", "les", "pas", "un", "une", "el", "los", "las", "se", "sin", "una", "lo", "gli", "non", "si", "de", "het", "een",
    "hij", "zij", "ze", "geen", "os", "as", "um", "uma", "nao",
];
/// The letters of a SOAP note, in English, Dutch and Portuguese, without a colon.
const LETTERS: [&str; 4] = ["S", "O", "E", "P"];

/// Whether the next line begins a sentence by its first word: "She was well", "E bronchitis".
fn begins_anew(text: &str, next: ByteSpan) -> bool {
    let own = text.get(next.range()).unwrap_or_default();
    let spaced = text.get(next.end..).is_some_and(|behind| behind.starts_with(' '));
    let word = own.len() > 1 && own.starts_with(char::is_uppercase) && BEGINNING.contains(&&*folded(own));
    // "P/ paracetamol".
    let slashed = text
        .get(next.end..)
        .is_some_and(|behind| behind.starts_with("/ "));
    word || ((spaced || slashed) && LETTERS.contains(&own))
}

/// Bytes of a day and of what stands behind it that are looked at.
const DATED: usize = 16;

/// Whether a line begins with a day, as the next entry of a record does: "15/02 tel: rash".
fn begins_dated(line: &str) -> bool {
    // No more than a day and what is behind it, as each line is looked at.
    let line = line.get(..line.floor_char_boundary(DATED)).unwrap_or_default();
    let mut parts = line.split('/');
    let mut number = || {
        let part = parts.next()?;
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        Some((part, digits))
    };
    let Some((day, digits)) = number() else {
        return false;
    };
    // "2/10 pain" is none.
    if digits != 2 || day.len() != digits || !day.parse().is_ok_and(|day: u8| (1..=31).contains(&day)) {
        return false;
    }
    let Some((month, digits)) = number() else {
        return false;
    };
    let (month, rest) = month.split_at(digits);
    let rest = rest.trim_start_matches([':', ' ', '-']);
    month.parse().is_ok_and(|month: u8| (1..=12).contains(&month))
        && digits == 2
        && rest.starts_with(char::is_alphabetic)
}

/// Bytes of a label that begins a line, at most, and of its words.
const LABEL: usize = 32;
const LABEL_WORDS: usize = 4;

/// Whether a line begins with a label, in front of a colon or a dash that stands free: "Rectum - polyp", "Prev: asthma".
fn begins_label(line: &str) -> bool {
    let line = line.get(..line.floor_char_boundary(LABEL)).unwrap_or_default();
    let colon = line.find(": ");
    let dash = [" - ", " \u{2013} "]
        .iter()
        .filter_map(|sign| line.find(sign))
        .min();
    let label = colon.into_iter().chain(dash).min().and_then(|at| line.get(..at));
    line.starts_with(char::is_uppercase)
        && label.is_some_and(|label| {
            let letter = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '/');
            label.chars().all(letter) && label.split_whitespace().count() <= LABEL_WORDS
        })
}

/// Words that no sentence ends with.
const OPEN: [&str; 24] = [
    "of", "for", "with", "and", "or", "the", "a", "no", "to", "de", "von", "mit", "und", "et", "y", "e",
    "van", "met", "di", "con", "da", "any", "due", "without",
];

impl Sentence {
    /// Takes the words of one sentence of a text: the `first`, and those of `rest` up to its end, or the next section's `border`. No sentence
    /// ends within a mention; of those that are still to come, `begun` tells the bytes, by where they begin.
    pub(super) fn read<'a>(
        &mut self,
        text: &str,
        first: ByteSpan,
        rest: &mut Peekable<impl Iterator<Item = ByteSpan>>,
        border: Option<usize>,
        begun: impl Iterator<Item = &'a (usize, usize)>,
    ) {
        self.clear();
        self.push(text, first);
        let mut begun = begun.peekable();
        let mut within = 0;
        while let Some(next) = rest.peek()
            && self.words.len() < LONGEST
        {
            while let Some((_, end)) = begun.next_if(|(begin, _)| *begin < next.begin) {
                within = within.max(*end);
            }
            let ends = border.is_some_and(|border| border <= next.begin)
                || self.dictation.end_at(text, next.begin).is_some()
                || !self.goes_on(text, *next)
                || self.is_over(text, *next, within);
            if ends && within <= next.begin {
                break;
            }
            self.push(text, *next);
            rest.next();
        }
    }

    fn clear(&mut self) {
        self.words.clear();
        self.open.clear();
        self.folded.clear();
        self.ends.clear();
        self.or.clear();
        self.and.clear();
        self.cells.clear();
        self.loud.clear();
        self.affirmed.clear();
        self.capitals.clear();
        self.letters.clear();
        self.drugs.clear();
        self.small = false;
    }

    fn push(&mut self, text: &str, word: ByteSpan) {
        let open = self.open.last().copied().unwrap_or_default();
        self.open.push(match self.before(self.words.len(), 1) {
            "(" | "[" => open + 1,
            ")" | "]" => 0.max(open - 1),
            _ => open,
        });
        fold(text.get(word.range()).unwrap_or_default(), &mut self.folded);
        self.ends.push(self.folded.len());
        let folded = self.word(self.ends.len() - 1);
        let (or, and) = (joining(OR, folded), joining(AND, folded));
        self.or.push(or);
        self.and.push(and);
        let own = text.get(word.range()).unwrap_or_default();
        let small = own.contains(char::is_lowercase);
        self.small |= small;
        if !small && (2..=4).contains(&own.len()) && own.chars().all(char::is_uppercase) {
            self.capitals.push(self.words.len());
        }
        if own.chars().count() == 1 && own.starts_with(char::is_uppercase) {
            self.letters.push(self.words.len());
        }
        if own.chars().count() == 2
            && own.to_lowercase().starts_with('s')
            && own.ends_with(['í', 'Í', 'ì', 'Ì'])
        {
            self.affirmed.push(self.words.len());
        }
        let last = self.words.last();
        let gap = last.and_then(|last| text.get(last.end..word.begin));
        if !small && is_answer(own) && gap.is_some_and(|gap| gap.len() > 1 && !gap.contains('\n')) {
            self.loud.push(self.words.len());
        }
        if self.is_cell(text, word) {
            self.cells.push(self.words.len());
        }
        self.words.push(word);
    }

    pub(super) fn word(&self, index: usize) -> &str {
        let begin = index.checked_sub(1).and_then(|before| self.ends.get(before));
        let end = self.ends.get(index).copied().unwrap_or_default();
        self.folded
            .get(begin.copied().unwrap_or(0)..end)
            .unwrap_or_default()
    }

    /// The word so many before another; nothing where there is none.
    pub(super) fn before(&self, at: usize, count: usize) -> &str {
        at.checked_sub(count).map_or("", |before| self.word(before))
    }

    /// Whether a word is "or" in one of these languages. Where they may be any, an English "of" is no Dutch one.
    pub(super) fn is_or(&self, at: usize, languages: Languages) -> bool {
        self.or.get(at).is_some_and(|own| own & languages != 0)
            && (languages & EN == 0 || self.word(at) != "of")
    }

    /// Whether a word is "and" in one of these languages.
    pub(super) fn is_and(&self, at: usize, languages: Languages) -> bool {
        self.and.get(at).is_some_and(|own| own & languages != 0)
    }

    /// Whether a word joins the last thing of a list to those before it.
    pub(super) fn is_joint(&self, at: usize, languages: Languages) -> bool {
        self.is_or(at, languages) || self.is_and(at, languages)
    }

    /// The words before one in its clause, from the nearest on.
    pub(super) fn clause_before(&self, at: usize) -> impl Iterator<Item = usize> {
        let before = (0..at).rev();
        before.take_while(|at| !matches!(self.word(*at), "," | ";" | "." | ":"))
    }

    /// Whether the next word is in this sentence.
    pub(super) fn goes_on(&self, text: &str, next: ByteSpan) -> bool {
        let Some(last) = self.words.last() else {
            return true;
        };
        let gap = text.get(last.end..next.begin).unwrap_or_default();
        if gap.is_empty() {
            return true;
        }
        let own = text.get(next.range()).unwrap_or_default();
        if self.has_answered() && gap.contains(is_wide) {
            return false;
        }
        if self.lists(text, gap, next) {
            return true;
        }
        if gap.matches('\n').count() == 1 {
            let before = text.get(..last.end).unwrap_or_default();
            let row = before.rsplit('\n').next().unwrap_or_default();
            let item = text.get(next.begin..).unwrap_or_default();
            let item = item.split('\n').next().unwrap_or_default();
            // Another row of a table.
            if row.contains('|') && item.contains('|') {
                return false;
            }
            if is_short_line(text, next.begin) && self.heads_drug_lines(text) {
                return true;
            }
        }
        // "Risks incl. haemorrhage", "b.B. bei Schmerzen".
        let count = self.words.len();
        let shortened = self.before(count, 1) == "." && matches!(self.before(count, 2), "incl" | "inc" | "b");
        if shortened && !gap.contains('\n') && own.starts_with(char::is_lowercase) {
            return true;
        }
        // "Diabetes ...... No", where dots lead to the answer.
        let leads = || own.starts_with(char::is_alphabetic) && self.leader(count) > 0;
        if !gap.contains('\n') && leads() && CELLS.contains(&&*folded(own)) {
            return true;
        }
        match between(text, last.end, next.begin) {
            Break::Sentence if self.before(self.words.len(), 1) == "?" => {
                is_answer(own) || replies(&folded(own))
            }
            Break::Paragraph | Break::Sentence => false,
            // A sentence may well begin small.
            Break::Line | Break::Space if ends_with_full_stop(text.get(..last.end).unwrap_or_default()) => {
                false
            }
            Break::Line => {
                let before = text.get(..last.end).unwrap_or_default();
                let line = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
                let small = own.starts_with(|c: char| c.is_lowercase() || c.is_ascii_digit());
                let capitals =
                    own.chars().filter(|c| c.is_uppercase()).count() > 1 && !own.contains(char::is_lowercase);
                let word = self.before(self.words.len(), 1);
                if begins_dated(text.get(next.begin..).unwrap_or_default()) && !before.ends_with(',') {
                    return false;
                }
                before.ends_with([',', '/'])
                    // "Fever  No", and below it "Cough  Yes".
                    || (OPEN.contains(&word)
                        // "KHK  I25.9 A"
                        && self.letters.last() != self.words.len().checked_sub(1).as_ref()
                        && !(is_answer(word) && own.starts_with(char::is_uppercase) && line < WRAPPED))
                    || (small && line >= WRAPPED / 2)
                    || (line >= WRAPPED
                        && !capitals
                        && !begins_anew(text, next)
                        && !begins_label(text.get(next.begin..).unwrap_or_default()))
            }
            // Columns.
            _ => !is_column(gap) || self.is_cell(text, next),
        }
    }

    /// Whether a full stop that an abbreviation may need ends the sentence before the next word, which begins with a capital letter: behind a
    /// number's unit, "over 10 mm. Effusion", a side, an answer, what is taken by mouth or into a vein, a mention that ends there, "hepatitis B. Effusion", or
    /// "ST".
    pub(super) fn is_over(&self, text: &str, next: ByteSpan, mention_end: usize) -> bool {
        let Some(stop) = self
            .words
            .len()
            .checked_sub(1)
            .filter(|last| self.word(*last) == ".")
        else {
            return false;
        };
        let mut letters = text.get(next.range()).unwrap_or_default().chars();
        let is_begun =
            letters.next().is_some_and(char::is_uppercase) && letters.next().is_some_and(char::is_lowercase);
        let begin = self.words.get(stop).map_or(0, |stop| stop.begin);
        let (own, before) = (self.before(stop, 1), self.before(stop, 2));
        let is_number = |word: &str| word.ends_with(|c: char| c.is_ascii_digit());
        let unit = own.trim_start_matches(|c: char| c.is_ascii_digit());
        let counted = MEASURES.contains(&unit) && (unit.len() < own.len() || is_number(before));
        let given = before == "." && WAYS.contains(&(self.before(stop, 3), own));
        let capital = own == "st" && stop.checked_sub(1).is_some_and(|at| self.capitals.contains(&at));
        // "No fever 3 d. Cough", "no pain in leg L. Rash", "rigor neg. Culture pending".
        let timed = TIMES.contains(&unit) && (unit.len() < own.len() || is_number(before));
        let last = stop.checked_sub(1).and_then(|at| self.words.get(at));
        let told = last.is_some_and(|own| {
            let gap = text.get(mention_end..own.begin);
            gap.is_some_and(|gap| gap.chars().all(char::is_whitespace)) || mention_end == own.end
        });
        let of_side = matches!(before, "a" | "in" | "leg" | "arm") || told;
        let sided = SIDES.contains(&own) && self.letters.last() == stop.checked_sub(1).as_ref() && of_side;
        let answered = matches!(own, "neg" | "pos") && told;
        // "No vomiting o/n. Rash", "wheeze b/l. Cough".
        let slashed = before == "/"
            && own.len() == 1
            && stop
                .checked_sub(3)
                .is_some_and(|at| self.word(at).len() == 1 && self.are_joined(at));
        let shortened = ENDING_SENTENCES.contains(&own)
            || (matches!(own, "rt" | "lt") && matches!(before, "on" | "in" | "of" | "to"));
        is_begun
            && (counted
                || timed
                || sided
                || answered
                || given
                || capital
                || shortened
                || slashed
                || mention_end == begin)
    }

    /// Whether a word stands behind a column's space, is all of its cell, and answers the cell before it: neither is an answer too, nor is the
    /// one behind it, as in "fever   yes   no".
    fn is_cell(&self, text: &str, word: ByteSpan) -> bool {
        let Some(last) = self.words.last() else {
            return false;
        };
        let slice = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let is_answer = |text: &str| CELLS.contains(&&*folded(text));
        if !is_column(slice(last.end, word.begin))
            || !is_answer(slice(word.begin, word.end))
            || is_answer(slice(last.begin, last.end))
        {
            return false;
        }
        let rest = slice(word.end, text.len());
        let space = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        let (gap, behind) = rest.split_at(space);
        let next = words(behind)
            .next()
            .map_or("", |next| behind.get(next.range()).unwrap_or_default());
        let breaks = gap.contains('\n');
        behind.is_empty() || breaks || (is_column(gap) && !is_answer(next))
    }

    /// Whether its last word has answered something in a table: "fever | no".
    fn has_answered(&self) -> bool {
        let Some(last) = self.words.len().checked_sub(1) else {
            return false;
        };
        let before = self.before(last, 1);
        let of_a_table = before == "|" || (before == "," && self.are_joined(last - 1));
        self.cells.last() == Some(&last) || (of_a_table && CELLS.contains(&self.word(last)))
    }

    /// The words of a mention.
    pub(super) fn place(&self, begin: usize, end: usize) -> Range<usize> {
        let first = self.words.partition_point(|word| word.end <= begin);
        let last = self.words.partition_point(|word| word.begin < end);
        first..last.max(first)
    }

    /// Whether nothing stands between a word and the next.
    pub(super) fn are_joined(&self, at: usize) -> bool {
        let pair = self.words.get(at).zip(self.words.get(at + 1));
        pair.is_some_and(|(own, next)| own.end == next.begin)
    }

    /// Whether white space, a bracket or the like, or nothing stands before a word.
    pub(super) fn is_apart(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else {
            return true;
        };
        let gap = |(before, own): (&ByteSpan, &ByteSpan)| before.end < own.begin;
        matches!(self.word(before), "(" | "[" | "/" | "-" | ">" | ":" | "+")
            || self.words.get(before).zip(self.words.get(at)).is_none_or(gap)
    }

    /// Whether a bracket has opened between two words that does not open with the first.
    pub(super) fn in_brackets(&self, from: usize, to: usize) -> bool {
        let open = |at: usize| self.open.get(at).copied().unwrap_or_default();
        to > from && open(to) > open(from + 1)
    }
}
