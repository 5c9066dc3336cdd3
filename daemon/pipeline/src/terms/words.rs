//! The words of a text as names are compared with them.

use super::{Case, Form, mix};
use crate::folding::{fold, words};
use crate::languages::{Languages, hinted_by, told_by};
use crate::tokens::ByteSpan;
use mednerd_languages::stem;

/// A line so long may have been wrapped within a name, where the next begins small, and where it begins with a capital letter.
const WRAPPED: usize = 24;
const WRAPPED_BEFORE_CAPITAL: usize = 40;
/// What turns a word behind a hyphen into something else: "non-diabetic".
const TURNING: [&str; 6] = ["non", "anti", "pre", "nicht", "no", "nao"];

/// A word of a text.
pub(super) struct Word {
    pub(super) span: ByteSpan,
    /// One past its last byte among the folded words.
    end: usize,
    /// Whether it may belong to one name with the word before.
    pub(super) follows: bool,
    /// Whether it may be one with the word before, which a line's end has divided: "hyper-", "tension".
    pub(super) divided: bool,
    /// Whether nothing but a hyphen stands before it.
    hyphened: bool,
    /// Whether it begins a line.
    pub(super) begins_line: bool,
    pub(super) capitals: bool,
    /// Whether it is read as another word, which was meant.
    misspelt: bool,
    /// The languages that it tells of.
    pub(super) tells: Languages,
    /// Those that it hints at.
    pub(super) hints: Languages,
    /// Those that its line is in.
    pub(super) spoken: Languages,
    /// Whether that line is in capitals.
    pub(super) loud: bool,
}

/// The words of a text, folded. Hyphens and apostrophes are none.
pub(super) struct Words<'t> {
    text: &'t str,
    pub(super) words: Vec<Word>,
    folded: String,
}

impl<'t> Words<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut all = Self {
            text,
            words: Vec::new(),
            folded: String::new(),
        };
        // Where the line begins, or what it has behind its last wide space.
        let mut line = 0;
        for span in words(text) {
            let word = text.get(span.range()).unwrap_or_default();
            if word.chars().all(is_hyphen) {
                continue;
            }
            let before = all.words.last().map(|word| word.span.end);
            let gap = text.get(before.unwrap_or(0)..span.begin).unwrap_or_default();
            let broken = gap.bytes().filter(|byte| *byte == b'\n').count();
            let wide = gap.contains("   ") || gap.contains('\t');
            let hyphen =
                gap.starts_with(is_hyphen) && before.is_some() && gap.trim_end().chars().all(is_hyphen);
            let divided = hyphen
                && (broken == 1 || gap == "\u{ad}")
                && all.words.last().is_some_and(|word| !word.divided)
                && is_divided(text.get(..span.begin).unwrap_or_default().trim_end(), word);
            // "Knee - swelling" is two.
            let dashed = gap.contains(is_hyphen) && gap.starts_with(' ') && gap.ends_with(' ');
            let follows = divided
                || match (before, broken) {
                    (None, _) => false,
                    _ if dashed => false,
                    (Some(_), 0) => !wide,
                    (Some(end), 1) => goes_on(end.saturating_sub(line), gap, word),
                    _ => false,
                };
            if broken > 0 || wide {
                line = span.begin;
            }
            // "DVTs" is several of what "DVT" is.
            let bare = word
                .strip_suffix('s')
                .filter(|bare| bare.len() > 1 && is_in_capitals(bare));
            let start = all.folded.len();
            fold(bare.unwrap_or(word), &mut all.folded);
            let folded = all.folded.get(start..).unwrap_or_default();
            let (tells, hints) = (told_by(text, span, folded), hinted_by(folded));
            all.words.push(Word {
                span,
                end: all.folded.len(),
                follows,
                divided,
                hyphened: hyphen,
                begins_line: broken > 0,
                capitals: is_in_capitals(bare.unwrap_or(word)),
                misspelt: false,
                tells,
                hints,
                spoken: 0,
                loud: false,
            });
        }
        all
    }

    /// A word, folded.
    pub(super) fn word(&self, at: usize) -> &str {
        self.one(at, at)
    }

    /// A word, as the text has it; nothing where there is none.
    pub(super) fn written_as(&self, at: usize) -> &str {
        let word = self
            .words
            .get(at)
            .and_then(|word| self.text.get(word.span.range()));
        word.unwrap_or_default()
    }

    /// Words as one, folded.
    pub(super) fn one(&self, first: usize, last: usize) -> &str {
        let begin = first.checked_sub(1).and_then(|before| self.words.get(before));
        let end = self.words.get(last).map_or(0, |word| word.end);
        self.folded
            .get(begin.map_or(0, |word| word.end)..end)
            .unwrap_or_default()
    }

    /// Reads some words, in their order, as others, folded; whether because they are `misspelt`.
    pub(super) fn respell(&mut self, meant: &[(usize, String)], misspelt: bool) {
        if meant.is_empty() {
            return;
        }
        let mut folded = String::with_capacity(self.folded.len() + meant.len());
        let mut meant = meant.iter().peekable();
        let mut begin = 0;
        for (at, word) in self.words.iter_mut().enumerate() {
            let own = self.folded.get(begin..word.end).unwrap_or_default();
            begin = word.end;
            let other = meant.next_if(|(other, _)| *other == at);
            word.misspelt |= misspelt && other.is_some();
            folded.push_str(other.map_or(own, |(_, other)| other));
            word.end = folded.len();
        }
        self.folded = folded;
    }

    pub(super) fn are_misspelt(&self, first: usize, last: usize) -> bool {
        let words = self.words.get(first..=last).unwrap_or_default();
        words.iter().any(|word| word.misspelt)
    }

    /// Whether a word may be one with the one behind or before it.
    pub(super) fn is_part(&self, at: usize) -> bool {
        self.words.get(at).is_some_and(|word| word.divided) || self.rest(at).is_some()
    }

    /// The word behind this one that may be one with it.
    pub(super) fn rest(&self, at: usize) -> Option<usize> {
        let next = self.words.get(at + 1)?;
        next.divided.then_some(at + 1)
    }

    /// Words as one, as names of a form are compared.
    pub(super) fn as_form(&self, first: usize, last: usize, form: Form, language: Languages) -> &str {
        match form {
            Form::Stems => stem(self.one(first, last), language),
            Form::Whole => self.one(first, last),
        }
    }

    /// The hash of these words as they are written, in small letters or as they are.
    pub(super) fn written(&self, first: usize, last: usize, small: bool) -> u64 {
        let words = self.words.get(first..=last).unwrap_or_default();
        words.iter().fold(0, |key, word| {
            let word = self.text.get(word.span.range()).unwrap_or_default();
            match small {
                true => mix(key, &word.to_lowercase()),
                false => mix(key, word),
            }
        })
    }

    /// Whether these words are written as a name must be.
    pub(super) fn are_written(&self, first: usize, last: usize, case: Case) -> bool {
        let words = self.words.get(first..=last).unwrap_or_default();
        match case {
            Case::Any => true,
            Case::Capitals => words.iter().all(|word| word.capitals),
            Case::Own(own) => self.written(first, last, false) == own,
            Case::Small(own) => self.written(first, last, true) == own,
        }
    }

    pub(super) fn are_together(&self, first: usize, last: usize) -> bool {
        self.words
            .get(first + 1..=last)
            .is_some_and(|words| words.iter().all(|word| word.follows))
    }

    /// Whether the word before turns this one into something else.
    pub(super) fn turns(&self, at: usize) -> bool {
        self.words.get(at).is_some_and(|word| word.hyphened)
            && at
                .checked_sub(1)
                .is_some_and(|before| TURNING.contains(&self.word(before)))
    }
}

/// Whether a line of so many bytes goes on with this word behind its end: it is long enough to have been wrapped, and what begins the next
/// line is no item of a list.
fn goes_on(length: usize, gap: &str, word: &str) -> bool {
    let (_, start) = gap.rsplit_once('\n').unwrap_or_default();
    let enough = match word.starts_with(char::is_uppercase) {
        true => WRAPPED_BEFORE_CAPITAL,
        false => WRAPPED,
    };
    length >= enough && start.trim().is_empty()
}

/// Whether a word may be the rest of one that ends a text with a hyphen.
fn is_divided(before: &str, rest: &str) -> bool {
    let first = before.trim_end_matches(is_hyphen).chars().next_back();
    let next = rest.chars().next();
    // "leuko-" in a column is no part of what stands below it.
    first.zip(next).is_some_and(|(first, next)| {
        first.is_alphabetic() && (next.is_lowercase() || first.is_uppercase() && next.is_uppercase())
    })
}

/// Hyphens and apostrophes, which stand between the words of a name or not.
fn is_hyphen(c: char) -> bool {
    matches!(
        c,
        '-' | '\'' | '\u{2019}' | '\u{2010}' | '\u{2011}' | '\u{2013}' | '\u{ad}' | '`' | '\u{b4}'
    )
}

/// Whether a word is written in capitals, as far as it has letters.
pub(super) fn is_in_capitals(word: &str) -> bool {
    !word.contains(char::is_lowercase)
}
