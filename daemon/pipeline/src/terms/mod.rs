//! Names of a list, found in a text: what a hospital or a vocabulary has words for and a model does not know. "UWI" in a Dutch note,
//! the ward's own short forms, drugs of last week.
//!
//! Words are compared without case, accents and the endings of their language, by the languages that the text is in. Where names
//! overlap, the one that begins first is found, and of those the longest. A name may join others of a label: "renal" and "acute" belong to
//! the disease that they stand next to. Nothing is learnt, and the same text gives the same always.

mod stems;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use stems::stem;

use crate::cover::Cover;
use crate::decode::Span;
use crate::folding::{fold, is_part, words};
use crate::languages::{ALL, CODES, GERMANIC, Languages, languages};
use crate::tokens::ByteSpan;

/// The label of names that mean nothing.
const HIDING: &str = "-";
/// Words of a name at most.
const MOST_WORDS: usize = 16;
/// Bytes of a name or label at most.
const LONGEST: usize = 256;
/// Labels of a list at most.
const MOST_LABELS: usize = 1000;
/// Letters of a name in capitals that means them, at most.
const CAPITALS: usize = 6;
/// Letters of a name in both cases that is written as in the list, at most, and bytes of its words.
const OWN: usize = 3;
const LONGEST_OWN: usize = 8;
/// Letters that stand before an ending at least.
const BEFORE_ENDING: usize = 3;
/// Words that join one name, on one side, at most.
const MOST_JOINED: usize = 4;
/// A line so long may have been wrapped within a name.
const WRAPPED: usize = 40;
/// What turns a word behind a hyphen into something else: "non-diabetic".
const TURNING: [&str; 6] = ["non", "anti", "pre", "nicht", "no", "nao"];

/// A line of a list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Term<'a> {
    /// The name; behind a leading `*`, how a single word ends. Up to six letters in capitals are found in capitals alone, and up to three in both cases as they are.
    pub name: &'a str,
    /// What it is found as; empty where it only joins others, `-` where nothing in it is to be found: "eye contact".
    pub label: &'a str,
    /// A code of ISO 639-1, of the seven that texts are told apart by; empty for a name that is the same in all.
    pub language: &'a str,
    /// The label of the names that it becomes part of where it stands next to them: before them in English, German and Dutch, behind
    /// them in the others; empty for none.
    pub joins: &'a str,
}

/// Why a term is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermError {
    /// Nothing to look for.
    #[error("the name has no letter or digit")]
    Empty,
    /// Too many bytes or words.
    #[error("the name is longer than {LONGEST} bytes or {MOST_WORDS} words")]
    Long,
    /// An ending of several words, or a short one.
    #[error("behind * stands the ending of one word, of at least three letters")]
    Ending,
    /// Neither found nor joining.
    #[error("it has neither a label nor one that it joins")]
    Nothing,
    /// A label that is none.
    #[error("a label has at most {LONGEST} bytes and no control characters")]
    Label,
    /// Too many labels.
    #[error("there are more than {MOST_LABELS} labels")]
    Labels,
    /// A language that texts are not told apart by.
    #[error("the language may be {}, or empty for a name that is the same in all", CODES.join(", "))]
    Language,
}

/// What a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Meaning {
    /// Its label, by number.
    label: Option<u16>,
    /// The label that it joins, by number.
    joins: Option<u16>,
    case: Case,
}

/// How a name must be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Case {
    Any,
    Capitals,
    /// As in the list, whose words have this hash.
    Own(u64),
}

/// How the words of a name are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Stems,
    /// Whole, as the letters of short forms are no endings: "CRPS" is not several of "CRP".
    Capitals,
}

impl Form {
    /// What the hash of a name begins with, so that one form is not another.
    fn start(self) -> u64 {
        match self {
            Self::Stems => 0,
            Self::Capitals => 1,
        }
    }
}

/// The names of one language. Names are known by 64 bits of their words' stems, which takes a tenth of the memory of the names.
#[derive(Debug, Default)]
struct Table {
    /// How many words the longest name has that begins with this one.
    longest: HashMap<u64, u8>,
    /// The meanings of a name, by their number.
    names: HashMap<u64, u16>,
    /// Those of an ending.
    endings: HashMap<u64, u16>,
    /// The lengths that endings have, in bytes.
    lengths: Vec<usize>,
}

/// A list of names. `Send + Sync`.
#[derive(Debug, Default)]
pub struct Terms {
    labels: Vec<Arc<str>>,
    /// By the number of their language; the last for names that belong to none.
    tables: [Table; 8],
    /// What names mean; many mean the same.
    meanings: Vec<Vec<Meaning>>,
    known: HashMap<Vec<Meaning>, u16>,
    count: usize,
    languages: Languages,
    /// The number of the label [`HIDING`].
    hiding: Option<u16>,
}

/// What a text has of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Names, in the order of the text. Those of one label do not overlap.
    pub names: Vec<Span>,
    /// From where to where nothing is to be found, in bytes, in the order of the text.
    pub hidden: Vec<(usize, usize)>,
}

/// A word of a text.
struct Word {
    span: ByteSpan,
    /// One past its last byte among the folded words.
    end: usize,
    /// Whether it may belong to one name with the word before.
    follows: bool,
    /// Whether nothing but a hyphen stands before it.
    hyphened: bool,
    capitals: bool,
    /// The hash of the word as it is written, where it is short.
    written: u64,
}

/// The words of a text, folded. Hyphens and apostrophes are none.
struct Words {
    words: Vec<Word>,
    folded: String,
}

/// A name in a text, by its words.
struct Match {
    first: usize,
    last: usize,
    label: u16,
}

impl Terms {
    /// Takes in a name.
    ///
    /// # Errors
    /// [`TermError`]; then nothing has changed.
    pub fn add(&mut self, term: Term<'_>) -> Result<(), TermError> {
        let ending = term.name.starts_with('*');
        let name = term.name.trim_start_matches('*').trim();
        if name.len() > LONGEST {
            return Err(TermError::Long);
        }
        let language = match term.language {
            "" => None,
            code => Some(
                CODES
                    .iter()
                    .position(|own| *own == code)
                    .ok_or(TermError::Language)?,
            ),
        };
        let folded = Words::new(name);
        let count = folded.words.len();
        if !name.contains(char::is_alphanumeric) {
            return Err(TermError::Empty);
        }
        if count > MOST_WORDS {
            return Err(TermError::Long);
        }
        if ending && (count != 1 || folded.word(0).len() < BEFORE_ENDING) {
            return Err(TermError::Ending);
        }
        if term.label.is_empty() && term.joins.is_empty() {
            return Err(TermError::Nothing);
        }
        let label = self.label(term.label)?;
        if term.label == HIDING {
            self.hiding = label;
        }
        let meaning = Meaning {
            label,
            joins: self.label(term.joins)?,
            case: if ending { Case::Any } else { case_of(name) },
        };
        let mut spellings = vec![folded];
        // Without umlauts, as keyboards abroad write them.
        if language.is_none_or(|language| CODES.get(language) == Some(&"de")) && name.contains(UMLAUTS) {
            spellings.push(Words::new(&spelt_out(name)));
        }
        for spelling in &spellings {
            self.insert(spelling, language, meaning, ending);
        }
        self.count += 1;
        self.languages |= language.map_or(0, |language| 1 << language);
        Ok(())
    }

    fn insert(&mut self, words: &Words, language: Option<usize>, meaning: Meaning, ending: bool) {
        let place = language.unwrap_or(CODES.len());
        let Some(table) = self.tables.get(place) else {
            return;
        };
        let bit = language.map_or(0, |language| 1 << language);
        let form = match meaning.case {
            Case::Capitals => Form::Capitals,
            Case::Any | Case::Own(_) => Form::Stems,
        };
        let stemmed = |at| match ending {
            true => words.word(at),
            false => words.as_form(at, form, bit),
        };
        let stems: Vec<&str> = (0..words.words.len()).map(stemmed).collect();
        let start = if ending { 0 } else { form.start() };
        let key = stems.iter().fold(start, |key, stem| mix(key, stem));
        let before = if ending { &table.endings } else { &table.names };
        let known = before
            .get(&key)
            .and_then(|at| self.meanings.get(usize::from(*at)));
        let mut meanings = known.cloned().unwrap_or_default();
        if !meanings.contains(&meaning) {
            meanings.push(meaning);
        }
        let next = self.meanings.len();
        let at = *self
            .known
            .entry(meanings.clone())
            .or_insert_with(|| u16::try_from(next).unwrap_or(u16::MAX));
        if usize::from(at) == next {
            self.meanings.push(meanings);
        }
        let Some(table) = self.tables.get_mut(place) else {
            return;
        };
        let Some(first) = stems.first() else { return };
        if ending {
            table.endings.insert(key, at);
            if !table.lengths.contains(&first.len()) {
                table.lengths.push(first.len());
            }
        } else {
            table.names.insert(key, at);
            let longest = table.longest.entry(mix(start, first)).or_default();
            *longest = (*longest).max(u8::try_from(stems.len()).unwrap_or(u8::MAX));
        }
    }

    /// A label's number; `None` for none.
    fn label(&mut self, label: &str) -> Result<Option<u16>, TermError> {
        if label.is_empty() {
            return Ok(None);
        }
        if label.len() > LONGEST || label.contains(char::is_control) {
            return Err(TermError::Label);
        }
        let known = self.labels.iter().position(|own| **own == *label);
        let at = known.unwrap_or(self.labels.len());
        if at >= MOST_LABELS {
            return Err(TermError::Labels);
        }
        if known.is_none() {
            self.labels.push(label.into());
        }
        Ok(u16::try_from(at).ok())
    }

    /// The labels of what is found.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels
            .iter()
            .map(|label| &**label)
            .filter(|label| *label != HIDING)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The languages of names that belong to one.
    pub fn languages(&self) -> impl Iterator<Item = &'static str> {
        let numbered = CODES.into_iter().enumerate();
        numbered.filter_map(|(number, code)| (self.languages >> number & 1 == 1).then_some(code))
    }

    /// About what the names take in memory.
    pub fn memory_bytes(&self) -> usize {
        let place = size_of::<(u64, u64)>();
        let of = |table: &Table| {
            let places = table.longest.capacity() + table.names.capacity() + table.endings.capacity();
            places * place
        };
        self.tables.iter().map(of).sum()
    }

    /// What a text has of the names, each with this score. Takes time linear in the text.
    pub fn find(&self, text: &str, score: f32) -> Found {
        let spoken = languages(text);
        let words = Words::new(text);
        let mut tables: Vec<(Languages, &Table)> = Vec::new();
        for (number, table) in self.tables.iter().enumerate() {
            let bit = if number < CODES.len() { 1 << number } else { 0 };
            if (bit == 0 || bit & spoken != 0) && !(table.names.is_empty() && table.endings.is_empty()) {
                tables.push((bit, table));
            }
        }
        let mut found: Vec<Match> = Vec::new();
        for first in 0..words.words.len() {
            for &(language, table) in &tables {
                self.at(&words, first, language, table, &mut found);
            }
        }
        let is_hiding = |found: &Match| Some(found.label) == self.hiding;
        let hiding = found.iter().filter(|found| is_hiding(found));
        let hidden = Cover::new(hiding.map(|found| (found.first, found.last)));
        found.retain(|found| is_hiding(found) || !hidden.covers(found.first, found.last));
        // By label, the longest of those that begin first.
        found.sort_by(|a, b| (a.label, a.first, b.last).cmp(&(b.label, b.first, a.last)));
        let mut taken: Vec<Match> = Vec::with_capacity(found.len());
        for found in found {
            let free = taken
                .last()
                .is_none_or(|last| last.label != found.label || last.last < found.first);
            if free {
                taken.push(found);
            }
        }
        for at in 0..taken.len() {
            let before = at.checked_sub(1).and_then(|before| taken.get(before));
            let Some(own) = taken.get(at) else { break };
            let same = |other: &&Match| other.label == own.label;
            let from = before.filter(same).map_or(0, |before| before.last + 1);
            let to = taken
                .get(at + 1)
                .filter(same)
                .map_or(words.words.len(), |next| next.first);
            let first = self.joined_before(&words, own, from, spoken, &tables);
            let last = self.joined_behind(&words, own, to, spoken, &tables);
            if let Some(own) = taken.get_mut(at) {
                (own.first, own.last) = (first, last);
            }
        }
        let span = |found: &Match| {
            Some(Span {
                begin: words.words.get(found.first)?.span.begin,
                end: words.words.get(found.last)?.span.end,
                label: Arc::clone(self.labels.get(usize::from(found.label))?),
                score,
            })
        };
        let (hiding, names): (Vec<Match>, Vec<Match>) = taken.into_iter().partition(is_hiding);
        let mut names: Vec<Span> = names.iter().filter_map(span).collect();
        names.sort_by(|a, b| (a.begin, b.end).cmp(&(b.begin, a.end)));
        let hidden = hiding.iter().filter_map(span);
        Found {
            names,
            hidden: hidden.map(|span| (span.begin, span.end)).collect(),
        }
    }

    /// The names of one table that begin with a word.
    fn at(&self, words: &Words, first: usize, language: Languages, table: &Table, found: &mut Vec<Match>) {
        if words.turns(first) {
            return;
        }
        for form in [Form::Stems, Form::Capitals] {
            let mut key = mix(form.start(), words.as_form(first, form, language));
            let longest = table.longest.get(&key).copied().map_or(0, usize::from);
            for last in first..first + longest {
                if last > first {
                    if !words.words.get(last).is_some_and(|word| word.follows) {
                        break;
                    }
                    key = mix(key, words.as_form(last, form, language));
                }
                self.mean(words, first, last, table.names.get(&key), found);
            }
        }
        // "Schmerzen" as well as "Schmerz", and "arthritis", whose end looks like one that is cut off.
        let (whole, own) = (words.word(first), stem(words.word(first), language));
        for length in &table.lengths {
            let ends = |word: &str| {
                let at = word.len().checked_sub(*length).filter(|at| *at >= BEFORE_ENDING);
                table.endings.get(&mix(0, at.and_then(|at| word.get(at..))?))
            };
            let at = ends(whole).or_else(|| ends(own));
            self.mean(words, first, first, at, found);
        }
    }

    /// Notes what these words mean that are found by themselves.
    fn mean(&self, words: &Words, first: usize, last: usize, at: Option<&u16>, found: &mut Vec<Match>) {
        for meaning in at
            .and_then(|at| self.meanings.get(usize::from(*at)))
            .into_iter()
            .flatten()
        {
            let written = || words.are_written(first, last, meaning.case);
            if let Some(label) = meaning.label.filter(|_| written()) {
                found.push(Match { first, last, label });
            }
        }
    }

    /// Whether these words join names of a label.
    fn joins(
        &self,
        words: &Words,
        first: usize,
        last: usize,
        label: u16,
        tables: &[(Languages, &Table)],
    ) -> bool {
        let forms = tables
            .iter()
            .flat_map(|table| [(Form::Stems, table), (Form::Capitals, table)]);
        let mut forms = forms.map(|(form, (language, table))| (form, *language, table));
        forms.any(|(form, language, table)| {
            let key = (first..=last).fold(form.start(), |key, at| {
                mix(key, words.as_form(at, form, language))
            });
            let meanings = table
                .names
                .get(&key)
                .and_then(|at| self.meanings.get(usize::from(*at)));
            meanings
                .into_iter()
                .flatten()
                .any(|meaning| meaning.joins == Some(label) && words.are_written(first, last, meaning.case))
        })
    }

    /// The first word of a name with those before it that join it, none of them before `from`.
    fn joined_before(
        &self,
        words: &Words,
        own: &Match,
        from: usize,
        spoken: Languages,
        tables: &[(Languages, &Table)],
    ) -> usize {
        let mut first = own.first;
        if spoken & GERMANIC == 0 {
            return first;
        }
        let least = from.max(own.first.saturating_sub(MOST_JOINED));
        while first > least && words.words.get(first).is_some_and(|word| word.follows) {
            let joining = (least..first).find(|begin| {
                words.are_together(*begin, first - 1)
                    && self.joins(words, *begin, first - 1, own.label, tables)
            });
            match joining {
                Some(begin) => first = begin,
                None => break,
            }
        }
        first
    }

    /// The last word of a name with those behind it that join it, all of them before `to`.
    fn joined_behind(
        &self,
        words: &Words,
        own: &Match,
        to: usize,
        spoken: Languages,
        tables: &[(Languages, &Table)],
    ) -> usize {
        let mut last = own.last;
        if spoken & ALL & !GERMANIC == 0 {
            return last;
        }
        let most = to.min(own.last + 1 + MOST_JOINED);
        while last + 1 < most && words.words.get(last + 1).is_some_and(|word| word.follows) {
            let joining = (last + 1..most).rev().find(|end| {
                words.are_together(last + 1, *end) && self.joins(words, last + 1, *end, own.label, tables)
            });
            match joining {
                Some(end) => last = end,
                None => break,
            }
        }
        last
    }
}

impl Words {
    fn new(text: &str) -> Self {
        let mut all = Self {
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
            fold(bare.unwrap_or(word), &mut all.folded);
            all.words.push(Word {
                span,
                end: all.folded.len(),
                follows,
                hyphened: before.is_some() && gap.chars().all(is_hyphen) && !gap.is_empty(),
                capitals: is_in_capitals(bare.unwrap_or(word)),
                written: if word.len() <= LONGEST_OWN {
                    mix(0, word)
                } else {
                    0
                },
            });
        }
        all
    }

    /// A word, folded.
    fn word(&self, at: usize) -> &str {
        let begin = at.checked_sub(1).and_then(|before| self.words.get(before));
        let end = self.words.get(at).map_or(0, |word| word.end);
        self.folded
            .get(begin.map_or(0, |word| word.end)..end)
            .unwrap_or_default()
    }

    /// A word as names of a form are compared.
    fn as_form(&self, at: usize, form: Form, language: Languages) -> &str {
        match form {
            Form::Stems => stem(self.word(at), language),
            Form::Capitals => self.word(at),
        }
    }

    fn are_written(&self, first: usize, last: usize, case: Case) -> bool {
        let words = self.words.get(first..=last).unwrap_or_default();
        match case {
            Case::Any => true,
            Case::Capitals => words.iter().all(|word| word.capitals),
            Case::Own(own) => words.iter().fold(0, |key, word| mix_hash(key, word.written)) == own,
        }
    }

    fn are_together(&self, first: usize, last: usize) -> bool {
        self.words
            .get(first + 1..=last)
            .is_some_and(|words| words.iter().all(|word| word.follows))
    }

    /// Whether the word before turns this one into something else.
    fn turns(&self, at: usize) -> bool {
        self.words.get(at).is_some_and(|word| word.hyphened)
            && at
                .checked_sub(1)
                .is_some_and(|before| TURNING.contains(&self.word(before)))
    }
}

const UMLAUTS: [char; 6] = ['ä', 'ö', 'ü', 'Ä', 'Ö', 'Ü'];

fn spelt_out(name: &str) -> String {
    let mut spelt = String::with_capacity(name.len() + 4);
    for c in name.chars().flat_map(char::to_lowercase) {
        match c {
            'ä' => spelt.push_str("ae"),
            'ö' => spelt.push_str("oe"),
            'ü' => spelt.push_str("ue"),
            c => spelt.push(c),
        }
    }
    spelt
}

/// Hyphens and apostrophes, which stand between the words of a name or not.
fn is_hyphen(c: char) -> bool {
    matches!(
        c,
        '-' | '\'' | '\u{2019}' | '\u{2010}' | '\u{2011}' | '\u{ad}' | '`' | '\u{b4}'
    )
}

/// How a name must be written: a short form as it is in the list, such as "Na" and "pH", or in capitals, such as "COPD".
fn case_of(name: &str) -> Case {
    let letters = name.chars().filter(|c| is_part(*c)).count();
    if letters > CAPITALS || !name.contains(char::is_uppercase) {
        Case::Any
    } else if is_in_capitals(name) {
        Case::Capitals
    } else if letters <= OWN {
        let words = Words::new(name).words;
        Case::Own(words.iter().fold(0, |key, word| mix_hash(key, word.written)))
    } else {
        Case::Any
    }
}

/// Whether a word is written in capitals, as far as it has letters.
fn is_in_capitals(word: &str) -> bool {
    !word.contains(char::is_lowercase)
}

fn mix_hash(words: u64, word: u64) -> u64 {
    mix(words, &word.to_string())
}

/// The hash of words and one more.
fn mix(words: u64, word: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(words);
    hasher.write(word.as_bytes());
    hasher.finish()
}
