//! The words of a text as names are compared with them.

use super::stems::stem;
use super::{Case, Form, mix};
use crate::folding::{fold, words};
use crate::languages::{Languages, told_by};
use crate::tokens::ByteSpan;

/// A line so long may have been wrapped within a name.
const WRAPPED: usize = 40;
/// What turns a word behind a hyphen into something else: "non-diabetic".
const TURNING: [&str; 6] = ["non", "anti", "pre", "nicht", "no", "nao"];

/// A word of a text.
pub(super) struct Word {
    pub(super) span: ByteSpan,
    /// One past its last byte among the folded words.
    end: usize,
    /// Whether it may belong to one name with the word before.
    pub(super) follows: bool,
    /// Whether nothing but a hyphen stands before it.
    hyphened: bool,
    /// Whether it begins a line.
    pub(super) begins_line: bool,
    pub(super) capitals: bool,
    /// Whether it is read as another word, which was meant.
    misspelt: bool,
    /// The languages that it tells of.
    pub(super) tells: Languages,
    /// Those that its line is in.
    pub(super) spoken: Languages,
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
        let mut line = 0;
        for span in words(text) {
            let word = text.get(span.range()).unwrap_or_default();
            if word.chars().all(is_hyphen) {
                continue;
            }
            let before = all.words.last().map(|word| word.span.end);
            let gap = text.get(before.unwrap_or(0)..span.begin).unwrap_or_default();
            let broken = gap.bytes().filter(|byte| *byte == b'\n').count();
            let follows = match (before, broken) {
                (None, _) => false,
                (Some(_), 0) => !gap.contains("   ") && !gap.contains('\t'),
                (Some(end), 1) => end.saturating_sub(line) >= WRAPPED,
                _ => false,
            };
            if broken > 0 {
                line = span.begin;
            }
            // "DVTs" is several of what "DVT" is.
            let bare = word
                .strip_suffix('s')
                .filter(|bare| bare.len() > 1 && is_in_capitals(bare));
            let start = all.folded.len();
            fold(bare.unwrap_or(word), &mut all.folded);
            let tells = all.folded.get(start..).map_or(0, told_by);
            all.words.push(Word {
                span,
                end: all.folded.len(),
                follows,
                hyphened: before.is_some() && gap.chars().all(is_hyphen) && !gap.is_empty(),
                begins_line: broken > 0,
                capitals: is_in_capitals(bare.unwrap_or(word)),
                misspelt: false,
                tells,
                spoken: 0,
            });
        }
        all
    }

    /// A word, folded.
    pub(super) fn word(&self, at: usize) -> &str {
        let begin = at.checked_sub(1).and_then(|before| self.words.get(before));
        let end = self.words.get(at).map_or(0, |word| word.end);
        self.folded
            .get(begin.map_or(0, |word| word.end)..end)
            .unwrap_or_default()
    }

    /// Reads some words, in their order, as others, folded.
    pub(super) fn respell(&mut self, meant: &[(usize, String)]) {
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
            word.misspelt = other.is_some();
            folded.push_str(other.map_or(own, |(_, other)| other));
            word.end = folded.len();
        }
        self.folded = folded;
    }

    pub(super) fn are_misspelt(&self, first: usize, last: usize) -> bool {
        let words = self.words.get(first..=last).unwrap_or_default();
        words.iter().any(|word| word.misspelt)
    }

    /// A word as names of a form are compared.
    pub(super) fn as_form(&self, at: usize, form: Form, language: Languages) -> &str {
        match form {
            Form::Stems => stem(self.word(at), language),
            Form::Capitals => self.word(at),
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
