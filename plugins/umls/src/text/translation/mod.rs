//! Words of other languages in English, so that names and mentions of all languages are compared as English ones are: in any order, number and
//! gender, a compound as its parts, and with English names. "Chronische Niereninsuffizienz" is "chronic kidney insufficiency".
//!
//! A word is looked up in its language's lexicon (`lexicon/de.tsv`: word, tab, English), without the endings of its language; then
//! taken apart, where the language joins words; then it may be an English word of Greek or Latin origin (`cognates`). What is none
//! of these stays, without its ending.

mod cognates;
mod endings;

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use mednerd_languages::{CODES, DE, FR, IT, Languages, NL, stem};

use super::{fold, is_acronym, is_short_acronym, without_umlauts};

/// The words of each language, in the order of [`CODES`].
const LEXICA: [&str; CODES.len()] = [
    "",
    include_str!("../lexicon/de.tsv"),
    include_str!("../lexicon/fr.tsv"),
    include_str!("../lexicon/es.tsv"),
    include_str!("../lexicon/it.tsv"),
    include_str!("../lexicon/nl.tsv"),
    include_str!("../lexicon/pt.tsv"),
];

/// What stands for English where a word tells nothing.
const NOTHING: &str = "-";
/// Words that a line of a lexicon has, at most.
const LONGEST_PHRASE: usize = 6;
/// A shorter word is no compound.
const LEAST_COMPOUND: usize = 7;
/// The front of a compound that no lexicon has, and its end, have so many letters at least.
const LEAST_FRONT: usize = 5;
const LEAST_END: usize = 6;
/// And so many where it is no word of the lexicon: the end of "Makrohämaturie" is not "mature".
const LEAST_COGNATE_END: usize = 8;
/// A longer word is none that anybody takes apart.
const LONGEST_COMPOUND: usize = 60;

/// The tokens of a text in one of the languages that have a lexicon, in English; as they are in all others.
pub(super) fn tokens(text: &str, language: Languages) -> Vec<String> {
    let Some(lexicon) = Lexicon::of(language) else {
        return fold::tokens(text);
    };
    if is_short_acronym(text) {
        return fold::tokens(text);
    }
    let spelt = match language {
        DE => without_umlauts(text),
        FR | IT => without_elisions(text),
        _ => None,
    };
    let text = spelt.as_deref().unwrap_or(text);
    lexicon.translate(&fold::tokens(text), &kept(text))
}

/// Tokens that are written as short forms and letters are, "COPD", "hepatite E": they are no words of a language. None where all of the text is in capitals.
fn kept(text: &str) -> HashSet<String> {
    if !text.contains(char::is_lowercase) {
        return HashSet::new();
    }
    let words = text.split(|c: char| !c.is_alphanumeric());
    let is_kept = |word: &&str| {
        let mut letters = word.chars();
        let single = letters.next().is_some_and(char::is_uppercase) && letters.next().is_none();
        single || is_acronym(word)
    };
    words.filter(is_kept).flat_map(fold::tokens).collect()
}

/// The text with a space for the apostrophe behind an article or preposition that has lost its vowel: "l'insuffisance", "dell'anca"; none where there is none.
fn without_elisions(text: &str) -> Option<String> {
    const ELIDED: [&str; 16] = [
        "l", "d", "j", "m", "n", "s", "t", "c", "qu", "un", "dell", "nell", "sull", "dall", "all", "coll",
    ];
    let mut spelt = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars() {
        if matches!(c, '\'' | '’' | '´' | '`') && ELIDED.contains(&word.as_str()) {
            spelt.push(' ');
        } else {
            spelt.push(c);
        }
        if c.is_alphabetic() {
            word.extend(c.to_lowercase());
        } else {
            word.clear();
        }
    }
    (spelt != text).then_some(spelt)
}

/// The English of a language's words.
struct Lexicon {
    language: Languages,
    /// By words as they are written, with spaces between.
    written: HashMap<String, Vec<String>>,
    /// By their stems; the first line of a stem counts.
    stemmed: HashMap<String, Vec<String>>,
    /// Words in the longest line.
    longest: usize,
}

impl Lexicon {
    fn of(language: Languages) -> Option<&'static Self> {
        static ALL: [OnceLock<Lexicon>; CODES.len()] = [const { OnceLock::new() }; CODES.len()];
        if language.count_ones() != 1 {
            return None;
        }
        let at = language.trailing_zeros() as usize;
        let lines = LEXICA.get(at).filter(|lines| !lines.is_empty())?;
        Some(ALL[at].get_or_init(|| Self::read(lines, language)))
    }

    fn read(lines: &str, language: Languages) -> Self {
        let mut lexicon = Self {
            language,
            written: HashMap::new(),
            stemmed: HashMap::new(),
            longest: 1,
        };
        for (word, english) in lines.lines().filter_map(|line| line.split_once('\t')) {
            let spelt = match language {
                DE => without_umlauts(word),
                FR | IT => without_elisions(word),
                _ => None,
            };
            let words = fold::tokens(spelt.as_deref().unwrap_or(word));
            if words.is_empty() || words.len() > LONGEST_PHRASE {
                continue;
            }
            let english = match english {
                NOTHING => Vec::new(),
                english => fold::tokens(english),
            };
            let stems: Vec<&str> = words.iter().map(|word| stem(word, language)).collect();
            lexicon.longest = lexicon.longest.max(words.len());
            lexicon
                .stemmed
                .entry(stems.join(" "))
                .or_insert_with(|| english.clone());
            lexicon.written.entry(words.join(" ")).or_insert(english);
        }
        lexicon
    }

    fn translate(&self, tokens: &[String], kept: &HashSet<String>) -> Vec<String> {
        let mut english = Vec::with_capacity(tokens.len() + 2);
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if kept.contains(token) {
                english.push(token.clone());
                at += 1;
                continue;
            }
            let phrases = (2..=self.longest.min(tokens.len() - at)).rev();
            let mut known = phrases.filter_map(|count| Some((self.phrase(&tokens[at..at + count])?, count)));
            if let Some((phrase, count)) = known.next() {
                english.extend_from_slice(phrase);
                at += count;
                continue;
            }
            self.word(token, &mut english);
            at += 1;
        }
        match english.is_empty() {
            // Of words that tell nothing alone, as they are.
            true => tokens.to_vec(),
            false => english,
        }
    }

    fn phrase(&self, tokens: &[String]) -> Option<&[String]> {
        let written = self.written.get(&tokens.join(" "));
        let stems = || {
            tokens
                .iter()
                .map(|token| stem(token, self.language))
                .collect::<Vec<_>>()
        };
        let found = written.or_else(|| self.stemmed.get(&stems().join(" ")))?;
        Some(found)
    }

    /// What a word is in the lexicon.
    fn known(&self, word: &str) -> Option<&[String]> {
        let cut = stem(word, self.language);
        // "Halses" is cut to "Hals", which is cut to "Hal" itself.
        let found = self
            .written
            .get(word)
            .or_else(|| self.written.get(cut))
            .or_else(|| self.stemmed.get(cut));
        found.map(Vec::as_slice).or_else(|| self.singular(word))
    }

    /// What the singular of an Italian plural is that has lost a letter: "polpacci", "cosce".
    fn singular(&self, word: &str) -> Option<&[String]> {
        if self.language != IT {
            return None;
        }
        let of_io = word.ends_with('i').then(|| format!("{word}o"));
        let of_ia = || word.strip_suffix('e').map(|root| format!("{root}ia"));
        let found = self.written.get(&of_io.or_else(of_ia)?)?;
        Some(found)
    }

    fn word(&self, word: &str, english: &mut Vec<String>) {
        if let Some(known) = self.known(word) {
            english.extend_from_slice(known);
        } else if word.starts_with(|c: char| c.is_ascii_digit()) {
            english.push(word.to_owned());
        } else if let Some(cognate) = cognates::of(word, self.language) {
            english.push(cognate.to_owned());
        } else if let Some(parts) = self.parts(word) {
            english.extend(parts);
        } else {
            english.push(stem(word, self.language).to_owned());
        }
    }

    /// The English of the parts of a compound.
    fn parts(&self, word: &str) -> Option<Vec<String>> {
        let joins = self.language == DE || self.language == NL;
        let fits = word.is_ascii() && (LEAST_COMPOUND..=LONGEST_COMPOUND).contains(&word.len());
        if !joins || !fits {
            return None;
        }
        self.known_parts(word, 0)
            .or_else(|| self.with_unknown_front(word))
    }

    /// Of a compound all of whose parts are known, by as long an end as there is.
    fn known_parts(&self, word: &str, depth: usize) -> Option<Vec<String>> {
        const MOST: usize = 4;
        const LEAST: usize = 3;
        for at in LEAST..=word.len().saturating_sub(LEAST) {
            let (front, end) = word.split_at(at);
            let Some(end) = self.part(end) else { continue };
            let front = self.front(front).or_else(|| {
                let deeper = depth + 1 < MOST && front.len() > LEAST_COMPOUND;
                deeper.then(|| self.known_parts(front, depth + 1)).flatten()
            });
            if let Some(mut parts) = front {
                parts.extend(end);
                return Some(parts);
            }
        }
        None
    }

    /// The front of a compound, with or without what joins it to the end.
    fn front(&self, front: &str) -> Option<Vec<String>> {
        const JOINTS: [&str; 7] = ["", "s", "es", "n", "en", "e", "er"];
        JOINTS
            .iter()
            .find_map(|joint| self.part(front.strip_suffix(joint)?))
    }

    /// What a part of a compound is in the lexicon, or as a cognate that is long enough for one.
    fn part(&self, part: &str) -> Option<Vec<String>> {
        const LEAST: usize = 3;
        const LEAST_COGNATE: usize = 6;
        if part.len() < LEAST {
            return None;
        }
        match self.known(part) {
            Some([]) => None,
            Some(known) => Some(known.to_vec()),
            None if part.len() < LEAST_COGNATE => None,
            None => cognates::of(part, self.language).map(|cognate| vec![cognate.to_owned()]),
        }
    }

    /// Of a compound whose end is known, and long enough not to be there by chance: "Mitralinsuffizienz". A combining form of Greek is no
    /// word: "Kardiomyopathie".
    fn with_unknown_front(&self, word: &str) -> Option<Vec<String>> {
        for at in LEAST_FRONT..=word.len().saturating_sub(LEAST_END) {
            let (front, end) = word.split_at(at);
            if front.ends_with('o') {
                continue;
            }
            let end = match end.len() {
                LEAST_COGNATE_END.. => self.part(end),
                _ => self
                    .known(end)
                    .filter(|known| !known.is_empty())
                    .map(<[String]>::to_vec),
            };
            if let Some(end) = end {
                return Some([vec![front.to_owned()], end].concat());
            }
        }
        None
    }
}
