//! Signs that say yes and no: a plus and a minus, "-LOC, +headache", "cough +, fever -", those and letters in brackets, "(+) cough (-) fever",
//! "[N]", and crosses.

use std::ops::Range;

use super::lexicon::{FAR, NEXT, Role};
use super::sentence::Sentence;
use super::{Kind, is_end};

/// The names of signs that say yes, no, and no by a letter, which is "normal" of what is measured.
const YES: &str = "(+)";
const NO: &str = "(-)";
pub(super) const NO_BY_LETTER: &str = "(n)";
/// The name of a word for no in capitals, behind wide space and at the end of an item, or before a bracket.
pub(super) const NO_BEHIND_SPACE: &str = "NO";
/// The name of a nought that is one of several: "0 cough 0 fever", "cough 0 fever 0".
pub(super) const NO_BY_ZERO: &str = "(0)";

/// A sign that stands for itself, and on which side of it stands what it is said of.
pub(super) struct Sign {
    pub(super) words: Range<usize>,
    pub(super) name: &'static str,
    pub(super) role: Role,
}

/// Whether a plus stands behind a word, apart from it or behind its colon, and ends something there.
pub(super) fn plus_answers(text: &str) -> bool {
    text.match_indices('+').any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default();
        let behind = text.get(at + 1..).unwrap_or_default();
        let word = before.trim_end_matches([' ', ':']);
        word.len() < before.len()
            && before.len() - word.len() < 4
            && word.ends_with(char::is_alphabetic)
            && (behind.is_empty() || behind.starts_with([',', ';', '.', '\n', '\r']))
    })
}

/// Where the signs in brackets of a sentence stand: before what they are said of, "(+) cough (-) fever", behind it, "Kernig (-) cough (+)", or
/// on the side that each tells itself.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Lead,
    Follow,
    Either,
}

impl Sentence {
    /// On which side the signs in brackets of this sentence stand of what they are said of. The first one tells it: no mention ends right before it
    /// where they lead, and they follow where the last one ends what is said.
    pub(super) fn side_of_signs(&self, mentions: &[Range<usize>]) -> Side {
        let mut all = (0..self.words.len()).filter_map(|at| self.bracketed(at));
        let Some((first, _)) = all.next() else {
            return Side::Either;
        };
        let last = all.next_back().map_or(first.end, |(words, _)| words.end);
        let begin = first.start;
        let of_heading = self.before(begin, 1) == ":" && !self.is_before_question(begin, ":");
        let behind_one = !of_heading && self.is_answer_to_mention(begin, mentions);
        match self.ends(last) {
            true if self.before(begin, 1).starts_with(char::is_alphabetic) => Side::Follow,
            false if !behind_one && !self.ends(first.end) => Side::Lead,
            _ => Side::Either,
        }
    }

    /// The sign in brackets, or the cross, that begins here, where those of its sentence stand on this side.
    pub(super) fn sign_for_itself(&self, at: usize, side: Side, mentions: &[Range<usize>]) -> Option<Sign> {
        let (words, name) = self.bracketed(at)?;
        let follows = self.is_answer_to_mention(words.start, mentions);
        let ends = self.ends(words.end);
        let behind_word = self.before(words.start, 1).starts_with(char::is_alphabetic);
        let (ahead, back) = match side {
            Side::Lead => (!ends, ends && follows),
            Side::Follow => (!ends && !follows && !behind_word, follows),
            Side::Either => (!ends && !follows, follows),
        };
        let role = match name {
            YES => Role::Stop,
            _ if !ahead && !back => Role::Nothing,
            _ => Role::Cue(Kind::Negated, FAR.filter(|_| ahead), NEXT.filter(|_| back)),
        };
        Some(Sign { words, name, role })
    }

    /// The words of a sign in brackets, or of a cross, and which it is. Of "Y / (N)" the brackets choose one.
    fn bracketed(&self, at: usize) -> Option<(Range<usize>, &'static str)> {
        match self.word(at) {
            "\u{2717}" | "\u{2718}" => return Some((at..at + 1, NO)),
            "\u{2713}" | "\u{2714}" if self.is_crossed() => return Some((at..at + 1, YES)),
            "(" | "[" => {}
            _ => return None,
        }
        let name = match self.word(at + 1) {
            "+" | "y" => YES,
            "-" | "\u{2013}" | "\u{2212}" => NO,
            "n" => NO_BY_LETTER,
            _ => return None,
        };
        let closed = matches!(self.word(at + 2), ")" | "]") && self.are_joined(at) && self.are_joined(at + 1);
        let chosen = self.before(at, 1) == "/" || self.word(at + 3) == "/";
        (closed && !chosen).then_some((at..at + 3, name))
    }

    /// Whether a cross stands anywhere in it, so that a check mark is no bullet.
    fn is_crossed(&self) -> bool {
        (0..self.words.len()).any(|at| matches!(self.word(at), "\u{2717}" | "\u{2718}"))
    }

    /// On which side the noughts of this sentence stand of what they deny, where several do so without a comma between: "0 cough 0 fever".
    pub(super) fn side_of_zeros(&self, mentions: &[Range<usize>]) -> Option<Side> {
        let mut all = (0..self.words.len()).filter(|at| {
            self.is_zero(*at)
                && (is_end(*at, mentions) || mentions.iter().any(|mention| mention.start == at + 1))
        });
        let first = all.next()?;
        all.next()?;
        Some(if is_end(first, mentions) {
            Side::Follow
        } else {
            Side::Lead
        })
    }

    /// What one of several noughts says.
    pub(super) fn zero(&self, at: usize, side: Side, mentions: &[Range<usize>]) -> Option<Role> {
        let leads = || mentions.iter().any(|mention| mention.start == at + 1);
        match side {
            Side::Lead if self.is_zero(at) && leads() => Some(Role::Cue(Kind::Negated, Some(1), None)),
            Side::Follow if self.is_zero(at) && is_end(at, mentions) => {
                Some(Role::Cue(Kind::Negated, None, Some(1)))
            }
            _ => None,
        }
    }

    /// Whether a comma or full stop and digits go on with a number: "neutrophils 0,9".
    fn is_decimal(&self, at: usize) -> bool {
        matches!(self.word(at + 1), "," | ".")
            && self.are_joined(at)
            && self.are_joined(at + 1)
            && self.word(at + 2).starts_with(|c: char| c.is_ascii_digit())
    }

    /// Whether a nought stands free, and is no part of a number: "pain 0/10".
    fn is_zero(&self, at: usize) -> bool {
        let next = self.word(at + 1);
        matches!(self.word(at), "0" | "\u{f8}" | "\u{2205}")
            && self.is_apart(at)
            && !self.is_decimal(at)
            && !(self.are_joined(at) && next.starts_with(|c: char| !matches!(c, ',' | ';' | '.' | ')')))
            && next != "/"
    }

    /// What a minus that stands free, or behind something, says: "+ cough, - SOB", "cough +, SOB -", "Fieber -, Husten -".
    pub(super) fn minus(&self, at: usize, counted: bool, mentions: &[Range<usize>]) -> Option<Role> {
        if self.word(at) != "-" {
            return None;
        }
        let asked = self.is_before_question(at, ":");
        let ahead = counted && !asked && self.is_free_sign(at, "-");
        let follows = self.is_sign_behind(at, "-") && (self.plus_answers || self.is_listed(at));
        let back = (asked || follows) && self.is_answer_to_mention(at, mentions);
        (ahead || back).then(|| Role::Cue(Kind::Negated, ahead.then_some(1), back.then_some(2)))
    }

    /// Whether a minus at the end of an item is one of several, or a list goes on behind it. At the end of a line it may lead to the next one.
    fn is_listed(&self, at: usize) -> bool {
        !self.word(at + 1).is_empty()
            || (0..at).any(|before| self.is_sign_behind(before, "-") && self.word(before + 1) != ".")
    }

    /// How many words of dots, an arrow or "=" lead from what is asked to the answer here: "diabetes ...... no", "diabetes -> no".
    pub(super) fn leader(&self, at: usize) -> usize {
        let dots = (0..at).rev().take_while(|at| self.word(*at) == ".").count();
        match (self.before(at, 2), self.before(at, 1)) {
            (_, ".") if dots > 2 => dots,
            ("-" | "=", ">") => 2,
            (_, "=" | "\u{2192}" | "\u{2026}") => 1,
            _ => 0,
        }
    }

    /// Whether nothing goes on behind an answer of one letter or digit: "SOB N, cough Y", and not "nausea n/v", "asthma N. meningitidis".
    pub(super) fn is_short_answer(&self, at: usize, mentions: &[Range<usize>]) -> bool {
        let dash = usize::from(matches!(self.before(at, 1), "-" | "\u{2013}") && self.is_apart(at));
        let end = at + 1;
        let ends = match self.word(end) {
            _ if self.is_decimal(at) => false,
            "" | "," | ";" | ")" | "|" => true,
            "." => end + 1 == self.words.len(),
            "/" | "-" => !self.are_joined(at),
            _ => false,
        };
        // "CP N SOB N palpitations Y".
        let next = mentions.iter().find(|mention| mention.start == end);
        let is_one_of_many = self.letters.contains(&at)
            && next.is_some_and(|next| {
                matches!(self.word(next.end), "y" | "n") && self.letters.contains(&next.end)
            });
        (ends || is_one_of_many) && is_end(at - dash, mentions)
    }

    /// What a sign does in a sentence of signs, "-LOC, -nausea, +headache": a minus says no of what stands behind it, up to a comma.
    pub(super) fn sign(&self, at: usize) -> Option<Role> {
        if self.is_sign(at, "+") {
            return Some(Role::Stop);
        }
        self.is_sign(at, "-").then(|| {
            let reach = (at + 1..at + 5).take_while(|at| !matches!(self.word(*at), "," | ";" | ""));
            Role::Cue(Kind::Negated, Some(reach.count()), None)
        })
    }

    /// Whether this sign stands apart from the word behind it, and begins something.
    pub(super) fn is_free_sign(&self, at: usize, sign: &str) -> bool {
        let letter = self.word(at + 1).starts_with(char::is_alphabetic);
        self.word(at) == sign
            && letter
            && !self.are_joined(at)
            // A minus at the beginning is a list's dash.
            && (matches!(self.before(at, 1), "," | ":") || (sign == "+" && at == 0))
    }

    /// Whether this sign stands free, and nothing of what it may be said of behind it: "cough +, fever -".
    pub(super) fn is_sign_behind(&self, at: usize, sign: &str) -> bool {
        self.word(at) == sign
            && self.is_apart(at)
            && (at + 1 == self.words.len() || matches!(self.word(at + 1), "," | ";" | "."))
    }

    /// Whether this sign stands right before a word, and apart from what is before it.
    pub(super) fn is_sign(&self, at: usize, sign: &str) -> bool {
        let next = self.word(at + 1);
        // "+ve" is a word of its own.
        let letter = next.starts_with(char::is_alphabetic) && next != "ve";
        self.word(at) == sign && letter && self.are_joined(at) && self.is_apart(at)
    }
}
