//! Names of a list, found in a text: what a hospital or a vocabulary has words for and a model does not know. "UWI" in a Dutch note,
//! the ward's own short forms, drugs of last week.
//!
//! Words are compared without case, accents and the endings of their language, by the languages that the text is in. Where names
//! overlap, the one that begins first is found, and of those the longest. A name may join others of a label: "renal" and "acute" belong to
//! the disease that they stand next to. A list may be [tolerant](Terms::tolerant) of one wrong letter in a word. Nothing is learnt, and the
//! same text gives the same always.

mod fractures;
mod neighbours;
mod persons;
mod search;
mod spelling;
#[cfg(test)]
mod tests;
mod words;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use mednerd_languages::stem;
use neighbours::Condition;
pub use search::{Found, Name, find, find_while, is_found, meant};
use spelling::Spelling;
use words::{Words, is_in_capitals};

use crate::drugs::is_drug;
use crate::folding::is_part;
use crate::languages::{CODES, Languages};

/// The label of names that mean nothing.
pub const HIDING: &str = "-";
/// The label of words that are right as they are, and nothing more.
pub const RIGHT: &str = "=";
/// Words of a name at most.
const MOST_WORDS: usize = 16;
/// Bytes of a name or label at most.
const LONGEST: usize = 256;
/// Labels of a list at most.
const MOST_LABELS: usize = 1000;
/// Different things that must stand beside names of a list, at most.
const MOST_CONDITIONS: usize = 1000;
/// Letters of a name in capitals that means them, at most.
const CAPITALS: usize = 6;
/// Letters of a name with a capital and a small letter that is written as in the list, at most; of one with capitals within a word, as many as above.
const OWN: usize = 2;
/// Letters that an ending has left at least without its own ending.
const SHORTENED: usize = 5;
/// Letters of a drug's name that stand before its last vowel at least, where that is another one in another language.
const BEFORE_VOWEL: usize = 6;
/// Letters that stand before an ending at least.
const BEFORE_ENDING: usize = 3;

/// A line of a list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Term<'a> {
    /// The name; behind a leading `*`, how a single word ends. Up to six letters in capitals are found in capitals alone, and
    /// up to two in both cases, or six with a capital within a word, as they are: "Na", "PsA".
    pub name: &'a str,
    /// What it is found as; empty where it only joins others, `-` where nothing in it is to be found: "eye contact"; `=` for words that are
    /// not another one misspelt: "addition" is no "addiction".
    pub label: &'a str,
    /// A code of ISO 639-1, of the seven that texts are told apart by; empty for a name that is the same in all.
    pub language: &'a str,
    /// The label of the names that it becomes part of where it stands next to them: before them in English, German and Dutch, behind
    /// them in the others; empty for none.
    pub joins: &'a str,
    /// What must stand right beside the name, where it is one only there: `no _; _ by mouth; # mg _`, of which one is enough. `_` is the name and
    /// `#` any number; other words are compared whole, without case and accents. There it is this, and nothing else that these words mean elsewhere.
    pub beside: &'a str,
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
    #[error("a * stands before the ending of one word, of at least three letters, and nowhere else")]
    Ending,
    /// Characters that no text shows.
    #[error("the name has a control character")]
    Control,
    /// Neither found nor joining.
    #[error("it has neither a label nor one that it joins")]
    Nothing,
    /// A label that is none.
    #[error(
        "a label has a letter or digit, at most {LONGEST} bytes and no control characters; what hides a name is a plain hyphen alone, -"
    )]
    Label,
    /// Too many labels.
    #[error("there are more than {MOST_LABELS} labels")]
    Labels,
    /// What is to stand beside a name, and says nothing.
    #[error(
        "what stands beside a name is written with one _ for the name and a word in each part, such as: no _; _ by mouth; # mg _; signs are no words"
    )]
    Beside,
    /// So much may not stand beside one name.
    #[error(
        "what stands beside a name has more than {} bytes: divide it among several lines of the name",
        neighbours::LONGEST
    )]
    LongBeside,
    /// Too many of them.
    #[error("names stand beside more than {MOST_CONDITIONS} different things")]
    Conditions,
    /// A language that texts are not told apart by.
    #[error("the language may be {}, or empty for a name that is the same in all", CODES.join(", "))]
    Language,
}

/// A label of names.
#[derive(Debug)]
struct Label {
    name: Arc<str>,
    /// Whether names have it, and not only join those that do.
    is_given: bool,
}

/// What a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Meaning {
    /// Its label, by number.
    label: Option<u16>,
    /// The label that it joins, by number.
    joins: Option<u16>,
    case: Case,
    /// What must stand beside it, by number.
    condition: Option<u16>,
}

/// How a name must be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Case {
    Any,
    Capitals,
    /// As in the list, whose words have this hash.
    Own(u64),
    /// As in the list, accents and endings too, but for its case.
    Small(u64),
}

/// How the words of a name are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Stems,
    /// As the letters of short forms are no endings: "CRPS" is not several of "CRP".
    Whole,
}

impl Form {
    /// What the hash of a name begins with, so that one form is not another.
    fn start(self) -> u64 {
        match self {
            Self::Stems => 0,
            Self::Whole => 1,
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
    /// The words of all names.
    spelling: Spelling,
}

impl Table {
    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.endings.is_empty() && self.spelling.is_empty()
    }
}

/// A list of names. `Send + Sync`.
#[derive(Debug, Default)]
pub struct Terms {
    labels: Vec<Label>,
    /// By the number of their language; the last for names that belong to none.
    tables: [Table; CODES.len() + 1],
    /// Labels of names that join others, each with the label that they join, by number.
    joining: Vec<(u16, u16)>,
    /// What names mean; many mean the same.
    meanings: Vec<Vec<Meaning>>,
    known: HashMap<Vec<Meaning>, u16>,
    /// What must stand beside names, of which many share one.
    conditions: Vec<Condition>,
    count: usize,
    languages: Languages,
    tolerant: bool,
}

impl Terms {
    /// Takes in a name. Gives 64 bits that it shares with the names of its language that are written alike, but for case where
    /// that counts neither.
    ///
    /// # Errors
    /// [`TermError`]; then nothing has changed.
    pub fn add(&mut self, term: Term<'_>) -> Result<u64, TermError> {
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
        if name.contains('*') || ending && (count != 1 || folded.word(0).len() < BEFORE_ENDING) {
            return Err(TermError::Ending);
        }
        if name.contains(char::is_control) {
            return Err(TermError::Control);
        }
        if term.label.is_empty() && term.joins.is_empty() {
            return Err(TermError::Nothing);
        }
        let label = match term.label {
            RIGHT => None,
            label => self.label(label)?,
        };
        let condition = Condition::read(term.beside)?;
        let condition = condition.map(|condition| self.condition(condition)).transpose()?;
        let joins = self.label(term.joins)?;
        if let Some(label) = label.and_then(|at| self.labels.get_mut(usize::from(at))) {
            label.is_given = true;
        }
        let joining = label
            .zip(joins)
            .filter(|_| ![HIDING, RIGHT].contains(&term.label));
        if let Some(joining) = joining.filter(|joining| !self.joining.contains(joining)) {
            self.joining.push(joining);
        }
        let written = folded.written(0, count.saturating_sub(1), true);
        let case = match (ending, term.label == HIDING) {
            (true, _) => Case::Any,
            // Lest "una" hides "uña".
            (false, true) if case_of(name) == Case::Any => Case::Small(written),
            _ => case_of(name),
        };
        let meaning = Meaning {
            label,
            joins,
            case,
            condition,
        };
        let is_meant = !ending && ![HIDING, RIGHT].contains(&term.label);
        let mut take = |words: &Words<'_>, is_meant: bool| {
            self.note_words(words, language, is_meant);
            if (meaning.label, meaning.joins) != (None, None) {
                self.insert(words, language, meaning, ending);
            }
        };
        take(&folded, is_meant);
        // Without umlauts, as keyboards abroad write them.
        if language.is_none_or(|language| CODES.get(language) == Some(&"de")) && name.contains(UMLAUTS) {
            let spelt = spelt_out(name);
            take(&Words::new(&spelt), is_meant);
        }
        if language.is_none() && !ending && is_drug(term.label) {
            // "Ceramica" is no "ceramide" with a wrong letter.
            spelt_abroad(name).for_each(|spelt| take(&Words::new(&spelt), false));
        }
        self.count += usize::from(term.label != RIGHT);
        self.languages |= language.map_or(0, |language| 1 << language);
        let told_by = match case {
            Case::Any | Case::Small(_) => 0,
            Case::Capitals => 1,
            Case::Own(own) => own,
        };
        let mut alike = DefaultHasher::new();
        (written, term.language, ending, told_by, condition).hash(&mut alike);
        Ok(alike.finish())
    }

    /// Takes in words by themselves.
    fn note_words(&mut self, words: &Words<'_>, language: Option<usize>, is_meant: bool) {
        let bit = language.map_or(0, |language| 1 << language);
        if let Some(table) = self.tables.get_mut(language.unwrap_or(CODES.len())) {
            for at in 0..words.words.len() {
                table.spelling.add(words.word(at), is_meant, bit);
            }
        }
    }

    fn insert(&mut self, words: &Words<'_>, language: Option<usize>, meaning: Meaning, ending: bool) {
        let place = language.unwrap_or(CODES.len());
        let Some(table) = self.tables.get(place) else {
            return;
        };
        let bit = language.map_or(0, |language| 1 << language);
        let form = match meaning.case {
            Case::Capitals => Form::Whole,
            Case::Any | Case::Own(_) | Case::Small(_) => Form::Stems,
        };
        let stemmed = |at| match ending {
            true => words.word(at),
            false => words.as_form(at, at, form, bit),
        };
        let stems: Vec<&str> = (0..words.words.len()).map(stemmed).collect();
        let start = if ending { Form::Whole.start() } else { form.start() };
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
            // "Zirkulosen" ends so, too, by its stem; "leucócitos" does not end as "leucocitose" does.
            for (form, end) in [(Form::Whole, *first), (Form::Stems, stem(first, bit))] {
                if form == Form::Whole || end.len() >= SHORTENED {
                    table.endings.insert(mix(form.start(), end), at);
                    if !table.lengths.contains(&end.len()) {
                        table.lengths.push(end.len());
                    }
                }
            }
        } else {
            table.names.insert(key, at);
            let longest = table.longest.entry(mix(start, first)).or_default();
            *longest = (*longest).max(u8::try_from(stems.len()).unwrap_or(u8::MAX));
        }
    }

    /// The number of what must stand beside a name.
    fn condition(&mut self, condition: Condition) -> Result<u16, TermError> {
        let known = self.conditions.iter().position(|own| *own == condition);
        let at = known.unwrap_or(self.conditions.len());
        if at >= MOST_CONDITIONS {
            return Err(TermError::Conditions);
        }
        if known.is_none() {
            self.conditions.push(condition);
        }
        u16::try_from(at).map_err(|_| TermError::Conditions)
    }

    /// A label's number; `None` for none.
    fn label(&mut self, label: &str) -> Result<Option<u16>, TermError> {
        if label.is_empty() {
            return Ok(None);
        }
        if label.len() > LONGEST
            || label.contains(char::is_control)
            || !(label == HIDING || label.contains(char::is_alphanumeric))
        {
            return Err(TermError::Label);
        }
        let known = self.labels.iter().position(|own| *own.name == *label);
        let at = known.unwrap_or(self.labels.len());
        if at >= MOST_LABELS {
            return Err(TermError::Labels);
        }
        if known.is_none() {
            self.labels.push(Label {
                name: label.into(),
                is_given: false,
            });
        }
        Ok(u16::try_from(at).ok())
    }

    /// The labels of what is found.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels
            .iter()
            .filter(|label| label.is_given && *label.name != *HIDING)
            .map(|label| &*label.name)
    }

    /// Labels of names that join others, each with the label that they join.
    pub fn joining(&self) -> impl Iterator<Item = (&str, &str)> {
        let name = |at: u16| self.labels.get(usize::from(at)).map(|label| &*label.name);
        let joining = self.joining.iter();
        joining.filter_map(move |(label, joins)| name(*label).zip(name(*joins)))
    }

    /// The same list, which also takes a word with one wrong letter for a word of its names, where none of the lists that are searched has the
    /// word as it is; of several, for that which most names have. Words of less than seven letters must be right.
    #[must_use]
    pub fn tolerant(mut self) -> Self {
        self.tolerant = true;
        for (place, table) in self.tables.iter().enumerate() {
            // Lest the first text waits for it.
            table.spelling.near(bit(place));
        }
        self
    }

    /// Whether a word may have a wrong letter.
    pub fn is_tolerant(&self) -> bool {
        self.tolerant
    }

    /// How many names there are; words that are just right are none.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(Table::is_empty)
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
            places * place + table.spelling.memory_bytes()
        };
        self.tables.iter().map(of).sum()
    }

    /// The meanings with a number.
    fn meanings(&self, at: Option<&u16>) -> impl Iterator<Item = &Meaning> {
        at.and_then(|at| self.meanings.get(usize::from(*at)))
            .into_iter()
            .flatten()
    }
}

/// The language of a table; 0 for that of names that belong to none.
fn bit(place: usize) -> Languages {
    if place < CODES.len() { 1 << place } else { 0 }
}

const UMLAUTS: [char; 6] = ['ä', 'ö', 'ü', 'Ä', 'Ö', 'Ü'];

fn spelt_out(name: &str) -> String {
    let mut spelt = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        match c {
            'ä' => spelt.push_str("ae"),
            'ö' => spelt.push_str("oe"),
            'ü' => spelt.push_str("ue"),
            'Ä' => spelt.push_str("AE"),
            'Ö' => spelt.push_str("OE"),
            'Ü' => spelt.push_str("UE"),
            c => spelt.push(c),
        }
    }
    spelt
}

/// The name of a drug in small letters with the last vowels that other languages give it: "primidone" is "Primidon" in German and
/// "primidona" in Spanish. What has a capital letter is a brand, which is the same everywhere, and "Concerta" is no concert.
fn spelt_abroad(name: &str) -> impl Iterator<Item = String> {
    let bare = name.strip_suffix(['a', 'e', 'o']).unwrap_or(name);
    let is_generic = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b' ');
    let word = bare.rsplit(' ').next().unwrap_or_default();
    let last = match bare.chars().next_back() {
        _ if !is_generic || word.len() < BEFORE_VOWEL => &[][..],
        None | Some('a' | 'e' | 'i' | 'o' | 'u' | 'y') => &[],
        // Which would be a plural.
        Some('s') => &["a", "e", "o"],
        Some(_) => &["", "a", "e", "o"],
    };
    last.iter()
        .map(move |last| format!("{bare}{last}"))
        .filter(move |spelt| spelt != name)
}

/// How a name must be written: a short form as it is in the list, such as "Na", "PsA" and "PIPs", or in capitals, such as "COPD".
fn case_of(name: &str) -> Case {
    let letters = name.chars().filter(|c| is_part(*c)).count();
    if letters > CAPITALS || !name.contains(char::is_uppercase) {
        Case::Any
    } else if is_in_capitals(name) {
        Case::Capitals
    } else if letters <= OWN || is_in_both_cases(name) {
        let words = Words::new(name);
        Case::Own(words.written(0, words.words.len().saturating_sub(1), false))
    } else {
        Case::Any
    }
}

/// Whether a word of a name has small letters and a capital one that does not begin it.
fn is_in_both_cases(name: &str) -> bool {
    name.split(|c| !is_part(c)).any(|word| {
        let mut letters = word.chars();
        letters.next();
        word.contains(char::is_lowercase) && letters.any(char::is_uppercase)
    })
}

/// The hash of words and one more.
fn mix(words: u64, word: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(words);
    hasher.write(word.as_bytes());
    hasher.finish()
}
