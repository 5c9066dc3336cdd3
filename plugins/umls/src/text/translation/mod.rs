//! Words of other languages in English, so that names and mentions of all languages are compared as English ones are: in any order, number and
//! gender, a compound as its parts, and with English names. "Chronische Niereninsuffizienz" is "chronic kidney insufficiency".
//!
//! A word is looked up in its language's lexicon (`lexicon/de.tsv`: word, tab, English), without the endings of its language, or among words that
//! notes clip (`clipped/de.tsv`); then it may be an English word of Greek or Latin origin ([`cognates`]); then it is taken apart, where
//! the language joins words. What is none of these stays, without its ending.

mod cognates;
mod compounds;
mod endings;

use std::collections::HashMap;
use std::sync::OnceLock;

use mednerd_languages::{CODES, DE, FR, IT, Languages, NL, stem};

use super::{fold, is_acronym, is_short_acronym, without_umlauts};

/// The words of each language, in the order of [`CODES`], and those that notes clip.
const LEXICA: [(&str, &str); CODES.len()] = [
    ("", ""),
    (
        include_str!("../lexicon/de.tsv"),
        include_str!("../clipped/de.tsv"),
    ),
    (
        include_str!("../lexicon/fr.tsv"),
        include_str!("../clipped/fr.tsv"),
    ),
    (
        include_str!("../lexicon/es.tsv"),
        include_str!("../clipped/es.tsv"),
    ),
    (
        include_str!("../lexicon/it.tsv"),
        include_str!("../clipped/it.tsv"),
    ),
    (
        include_str!("../lexicon/nl.tsv"),
        include_str!("../clipped/nl.tsv"),
    ),
    (
        include_str!("../lexicon/pt.tsv"),
        include_str!("../clipped/pt.tsv"),
    ),
];

/// What stands for English where a word tells nothing.
const NOTHING: &str = "-";
/// Words that a line of a lexicon has, at most.
const LONGEST_PHRASE: usize = 6;
/// What has more bytes is a page and no name.
const LONGEST: usize = 1_000;

/// A text in English.
pub(super) struct Translation {
    pub(super) tokens: Vec<String>,
    /// Whether each of its words was known, or needed no translation.
    pub(super) is_known: bool,
}

/// A text in one of the languages that have a lexicon, in English; its `tokens` as they are in all others.
pub(super) fn translated(text: &str, tokens: Vec<String>, language: Languages) -> Translation {
    let lexicon = Lexicon::of(language).filter(|_| text.len() <= LONGEST && !is_short_acronym(text));
    match lexicon {
        Some(lexicon) => lexicon.translate(&read(text, language)),
        None => Translation {
            tokens,
            is_known: true,
        },
    }
}

/// Whether a text is a word or phrase of a language's lexicon.
pub(super) fn is_word(text: &str, language: Languages) -> bool {
    let folded = || fold::tokens(spelt(text, language).as_deref().unwrap_or(text)).join(" ");
    Lexicon::of(language).is_some_and(|lexicon| lexicon.folded.contains_key(&folded()))
}

/// A token as it is compared, and as it stands in the text.
struct Token {
    folded: String,
    /// In small letters; empty where it is no word of the text by itself.
    written: String,
    /// It is written as short forms and the letters of types are, "COPD", "hepatite E": no word of a language.
    is_symbol: bool,
}

/// The tokens of a text, spelt as the lexicon of its language is.
fn read(text: &str, language: Languages) -> Vec<Token> {
    let spelt = spelt(text, language);
    let text = spelt.as_deref().unwrap_or(text);
    // In a text that is in capitals as a whole they tell nothing.
    let mixed = text.contains(char::is_lowercase);
    let mut words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .peekable();
    let mut tokens: Vec<Token> = Vec::new();
    for folded in fold::tokens(text) {
        let same = |word: &&str| fold::tokens(word) == [folded.as_str()];
        // A number or sign is a token otherwise than it is a word.
        let word = match words.next_if(same) {
            None => {
                let mut ahead = words.clone().skip(1);
                let is_next = ahead.next().is_some_and(|word| same(&word));
                is_next.then(|| words.nth(1)).flatten()
            }
            word => word,
        };
        let is_letter = |word: &str| word.chars().nth(1).is_none() && word.contains(char::is_uppercase);
        tokens.push(Token {
            is_symbol: mixed && word.is_some_and(|word| is_letter(word) || is_acronym(word)),
            written: word.map(str::to_lowercase).unwrap_or_default(),
            folded,
        });
    }
    // The letter of "hemofilia a", "VITAMINE A": no article or preposition stands at the end.
    if let [.., last] = &mut tokens[..] {
        last.is_symbol |= last.folded.len() == 1;
    }
    tokens
}

/// The text as a lexicon of its language is spelt; none where it is so already: "ae" for "ä", a space for the apostrophe of an article.
fn spelt(text: &str, language: Languages) -> Option<String> {
    match language {
        DE => without_umlauts(text),
        FR | IT => without_elisions(text),
        _ => None,
    }
}

/// The text with a space for the apostrophe behind an article or preposition that has lost its vowel: "l'insuffisance", "dell'anca"; none where there is none.
fn without_elisions(text: &str) -> Option<String> {
    const ELIDED: [&str; 17] = [
        "l", "d", "j", "m", "n", "s", "t", "c", "qu", "un", "dell", "nell", "sull", "dall", "all", "coll",
        "senz",
    ];
    let mut spelt = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars() {
        let elides = matches!(c, '\'' | '’' | '´' | '`') && ELIDED.contains(&word.as_str());
        spelt.push(if elides { ' ' } else { c });
        if c.is_alphabetic() {
            word.extend(c.to_lowercase());
        } else {
            word.clear();
        }
    }
    (spelt != text).then_some(spelt)
}

/// The English short form of one that Romance languages turn round.
fn in_english(symbol: &str) -> &str {
    const TURNED: [(&str, &str); 9] = [
        ("vih", "hiv"),
        ("sida", "aids"),
        ("adn", "dna"),
        ("arn", "rna"),
        ("vha", "hav"),
        ("vhb", "hbv"),
        ("vhc", "hcv"),
        ("vph", "hpv"),
        ("vrs", "rsv"),
    ];
    let turned = TURNED.iter().find(|(own, _)| *own == symbol);
    turned.map_or(symbol, |(_, english)| english)
}

/// The English of a language's words.
struct Lexicon {
    language: Languages,
    /// By words as they are written, in small letters with their accents.
    written: HashMap<String, Vec<String>>,
    /// By words without accents, with spaces between; of two that are one so the one that has none.
    folded: HashMap<String, Vec<String>>,
    /// By their stems; the first line of a stem counts.
    stemmed: HashMap<String, Vec<String>>,
    /// Words that notes clip; nothing else is one of them cut.
    clipped: HashMap<String, Vec<String>>,
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
        let (lines, clipped) = LEXICA.get(at).filter(|(lines, _)| !lines.is_empty())?;
        Some(ALL[at].get_or_init(|| Self::read(lines, clipped, language)))
    }

    fn read(lines: &str, clipped: &str, language: Languages) -> Self {
        let mut lexicon = Self {
            language,
            written: HashMap::new(),
            folded: HashMap::new(),
            stemmed: HashMap::new(),
            clipped: HashMap::new(),
            longest: 1,
        };
        let lines = lines.lines().map(|line| (line, false));
        let clipped = clipped.lines().map(|line| (line, true));
        for (line, is_clipped) in lines.chain(clipped) {
            let Some((word, english)) = line.split_once('\t') else {
                continue;
            };
            let spelt = spelt(word, language);
            let word = spelt.as_deref().unwrap_or(word);
            let words = fold::tokens(word);
            if words.is_empty() || words.len() > LONGEST_PHRASE {
                continue;
            }
            let english = match english {
                NOTHING => Vec::new(),
                english => fold::tokens(english),
            };
            let folded = words.join(" ");
            if is_clipped {
                lexicon.clipped.insert(folded, english);
                continue;
            }
            lexicon.longest = lexicon.longest.max(words.len());
            let stems: Vec<&str> = words.iter().map(|word| stem(word, language)).collect();
            let stemmed = lexicon.stemmed.entry(stems.join(" "));
            stemmed.or_insert_with(|| english.clone());
            if folded == word {
                lexicon.folded.insert(folded, english.clone());
            } else {
                lexicon.folded.entry(folded).or_insert_with(|| english.clone());
            }
            lexicon.written.entry(word.to_owned()).or_insert(english);
        }
        lexicon
    }

    fn translate(&self, tokens: &[Token]) -> Translation {
        let mut english = Vec::with_capacity(tokens.len() + 2);
        let mut is_known = true;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let phrases = (2..=self.longest.min(tokens.len() - at)).rev();
            let mut known = phrases.filter_map(|count| Some((self.phrase(&tokens[at..at + count])?, count)));
            if let Some((phrase, count)) = known.next() {
                english.extend_from_slice(phrase);
                at += count;
            } else if token.is_symbol || (token.folded.len() == 1 && Self::takes_letters(english.last())) {
                english.push(in_english(&token.folded).to_owned());
                at += 1;
            } else {
                is_known &= self.word(token, &mut english);
                at += 1;
            }
        }
        if english.is_empty() {
            // Words that tell nothing, alone.
            english = tokens.iter().map(|token| token.folded.clone()).collect();
        }
        Translation {
            tokens: english,
            is_known,
        }
    }

    /// Whether the letter behind a word is that of a type: "vitamine A et E".
    fn takes_letters(english: Option<&String>) -> bool {
        const TYPED: [&str; 10] = [
            "vitamin",
            "hepatitis",
            "influenza",
            "hemophilia",
            "haemophilia",
            "type",
            "group",
            "factor",
            "streptococcus",
            "immunoglobulin",
        ];
        english.is_some_and(|english| TYPED.contains(&english.as_str()))
    }

    fn phrase(&self, tokens: &[Token]) -> Option<&[String]> {
        let has_symbol = tokens.iter().any(|token| token.is_symbol);
        let words = tokens.iter().map(|token| token.folded.as_str());
        let stems = words.clone().map(|word| stem(word, self.language));
        let join = |words: Vec<&str>| words.join(" ");
        let found = self.folded.get(&join(words.collect()));
        let found = found.or_else(|| self.stemmed.get(&join(stems.collect())).filter(|_| !has_symbol));
        found.map(Vec::as_slice)
    }

    /// What a word without accents is in the lexicon.
    fn known(&self, word: &str) -> Option<&[String]> {
        let cut = stem(word, self.language);
        // "Halses" is cut to "Hals", which is cut to "Hal" itself; but "arterial" is no "arteria".
        let uncut = || self.folded.get(cut).filter(|_| matches!(self.language, DE | NL));
        let found = self
            .folded
            .get(word)
            .or_else(uncut)
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
        let found = self.folded.get(&of_io.or_else(of_ia)?)?;
        Some(found)
    }

    /// Adds what a word is, and tells whether that is known.
    fn word(&self, token: &Token, english: &mut Vec<String>) -> bool {
        let word = token.folded.as_str();
        let written = self
            .written
            .get(&token.written)
            .or_else(|| self.clipped.get(word));
        let written = written.map(Vec::as_slice);
        if let Some(known) = written.or_else(|| self.known(word)) {
            english.extend_from_slice(known);
        } else if word.starts_with(|c: char| c.is_ascii_digit()) {
            english.push(word.to_owned());
        } else if let Some(cognate) = cognates::of(word, self.language) {
            english.push(cognate.to_owned());
        } else if let Some(parts) = compounds::parts(self, word) {
            english.extend(parts);
        } else {
            english.push(stem(word, self.language).to_owned());
            return false;
        }
        true
    }
}
