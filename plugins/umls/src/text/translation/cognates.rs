//! English words of Greek and Latin origin, by how they sound: "neumonía", "Pneumonie" and "pneumonia" are one.

use std::collections::HashMap;
use std::sync::OnceLock;

use mednerd_languages::{DE, ES, IT, Languages, NL, PT, stem};

use super::endings;
use crate::text::edits;
use crate::text::fold::american;
use crate::text::words;

/// What sounds like less is like too much.
const LEAST: usize = 4;
/// Of words that sound alike, one is meant that is written with no more other letters; of a long word that is the only one, one in so many.
const MOST_EDITS: usize = 2;
const LETTERS_PER_EDIT: usize = 3;

/// The English word that a word of another language is, spelt and ended in its own way; both folded.
pub(super) fn of(word: &str, language: Languages) -> Option<&'static str> {
    if word.len() <= LEAST || !word.is_ascii() {
        return None;
    }
    // As it is before all: "fracture" is not "fractured".
    let as_it_is = Some(word.to_owned()).into_iter();
    let cut = Some(stem(word, language).to_owned()).into_iter();
    let mut all = as_it_is.chain(endings::english(word, language)).chain(cut);
    all.find_map(|word| heard(&word, language))
}

/// The word that sounds as one that has English endings already.
fn heard(word: &str, language: Languages) -> Option<&'static str> {
    let table = table(language);
    let find = |spelt: &str| {
        let sound = sound(spelt, language);
        let words = table.get(&sound).filter(|_| sound.len() >= LEAST)?;
        nearest(words, spelt)
    };
    find(word).or_else(|| spellings(word, language).iter().find_map(|spelt| find(spelt)))
}

/// How else English may spell what a language spells so.
fn spellings(word: &str, language: Languages) -> Vec<String> {
    match language {
        // "Hypoglykämie", "Hyperparathyreoidismus".
        DE | NL => {
            let mut soft = String::with_capacity(word.len());
            for (at, c) in word.char_indices() {
                let is_soft = c == 'k' && word[at + 1..].starts_with(['e', 'i', 'y', 'a', 'o']);
                let before_e = !word[at + 1..].starts_with(['a', 'o']) || word[at + 2..].starts_with('e');
                soft.push(if is_soft && before_e { 'c' } else { c });
            }
            vec![soft.replace("thyreo", "thyro")]
        }
        // Their words do not begin with an s before a consonant: "esclerosis".
        ES | PT => word
            .strip_prefix('e')
            .filter(|rest| rest.starts_with('s'))
            .map(str::to_owned)
            .into_iter()
            .collect(),
        // It has lost the h at their beginning: "emorragia".
        IT => vec![format!("h{word}")],
        _ => Vec::new(),
    }
}

/// Of words that sound alike the one that is written so, "aseptic" and not "acetic", else the commonest, where it is written much alike: "Makrohae-" is
/// not "macro".
fn nearest(words: &[&'static str], spelt: &str) -> Option<&'static str> {
    if let Some(same) = words.iter().find(|word| **word == spelt) {
        return Some(same);
    }
    let (commonest, others) = words.split_first()?;
    let most = match others {
        [] => MOST_EDITS.max(spelt.len() / LETTERS_PER_EDIT),
        _ => MOST_EDITS,
    };
    let apart = edits(
        american((*commonest).to_owned()).as_bytes(),
        american(spelt.to_owned()).as_bytes(),
    );
    (apart <= most).then_some(commonest)
}

/// The words by their sounds; Italian has one for several.
fn table(language: Languages) -> &'static HashMap<String, Vec<&'static str>> {
    static TABLES: [OnceLock<HashMap<String, Vec<&'static str>>>; 2] = [const { OnceLock::new() }; 2];
    TABLES[usize::from(language == IT)].get_or_init(|| {
        let mut table: HashMap<String, Vec<&'static str>> = HashMap::new();
        for word in include_str!("../cognates.txt").lines() {
            let sound = sound(word, language);
            if sound.len() < LEAST {
                continue;
            }
            let alike = table.entry(sound).or_default();
            // The commonest spelling of a word stands for all: "oedema" and "oedeme" are "edema".
            if alike.is_empty() || words::is_known(word) {
                alike.push(word);
            }
        }
        table
    })
}

/// How a word of Greek or Latin origin sounds, roughly, however its language spells it; without an a, e or o at its end.
fn sound(word: &str, language: Languages) -> String {
    let word = american(word.to_owned());
    let letters = word.as_bytes();
    let at = |i: usize| letters.get(i).copied().unwrap_or(0);
    let is_vowel = |letter: u8| matches!(letter, b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
    let mut sound: Vec<u8> = Vec::with_capacity(letters.len());
    let mut i = match (at(0), at(1), at(2)) {
        (b'p', b'n' | b's' | b't', _) => 1,
        // "Desorientado".
        (b'd', b'e', b's') => {
            sound.extend(b"dis");
            3
        }
        _ => 0,
    };
    while i < letters.len() {
        let (letter, next) = (letters[i], at(i + 1));
        let (heard, used): (&[u8], usize) = match (letter, next) {
            (b'p', b'h') => (b"f", 2),
            (b't', b'h') => (b"t", 2),
            (b'r', b'h') => (b"r", 2),
            (b'c', b'h') => (b"k", 2),
            (b'q', b'u') => (b"k", 2),
            (b'c', b'k') => (b"k", 2),
            (b's', b'c') if matches!(at(i + 2), b'e' | b'i' | b'y') => (b"s", 2),
            (b'c', b'e' | b'i' | b'y') => (b"s", 1),
            // Italian has double letters and others have two: "infetto", "ottico", "ostruzione", "trasfusione".
            (b'c' | b'k' | b'p', b't') if i > 0 => (b"", 1),
            (b'b' | b'n', b's') if !is_vowel(at(i + 2)) && at(i + 2) != 0 && i > 0 => (b"", 1),
            (b'c' | b'k', _) => (b"k", 1),
            // "Lussazione", "esantema".
            (b'x', _) if language == IT => (b"s", 1),
            (b'z', _) => (b"s", 1),
            (b'y' | b'j', _) => (b"i", 1),
            (b'w', _) => (b"v", 1),
            (b'h', _) if i > 0 => (b"", 1),
            _ => (&letters[i..=i], 1),
        };
        for &letter in heard {
            if sound.last() != Some(&letter) {
                sound.push(letter);
            }
        }
        i += used;
    }
    // Not an i or y: "malar" is no malaria.
    while sound.len() > LEAST && matches!(sound.last(), Some(b'a' | b'e' | b'o')) {
        sound.pop();
    }
    String::from_utf8(sound).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mednerd_languages::{DE, ES, FR, IT, NL, PT};

    #[test]
    fn words_of_one_origin_are_one() {
        let mut others = Vec::new();
        for (word, language, english) in [
            ("pneumonie", DE, "pneumonia"),
            ("pneumonie", FR, "pneumonia"),
            ("neumonia", ES, "pneumonia"),
            ("pneumonia", PT, "pneumonia"),
            ("karzinom", DE, "carcinoma"),
            ("carcinoom", NL, "carcinoma"),
            ("carcinome", FR, "carcinoma"),
            ("zirrhose", DE, "cirrhosis"),
            ("cirrosis", ES, "cirrhosis"),
            ("cirrosi", IT, "cirrhosis"),
            ("cirrhose", FR, "cirrhosis"),
            ("fibrillazione", IT, "fibrillation"),
            ("fibrilacion", ES, "fibrillation"),
            ("fibrilacao", PT, "fibrillation"),
            ("fibrillatie", NL, "fibrillation"),
            ("insuffizienz", DE, "insufficiency"),
            ("insuffisance", FR, "insufficiency"),
            ("insuficiencia", ES, "insufficiency"),
            ("insufficienza", IT, "insufficiency"),
            ("insufficientie", NL, "insufficiency"),
            ("hipertension", ES, "hypertension"),
            ("ipertensione", IT, "hypertension"),
            ("hipertensao", PT, "hypertension"),
            ("infezione", IT, "infection"),
            ("infeccion", ES, "infection"),
            ("infeccao", PT, "infection"),
            ("infecao", PT, "infection"),
            ("ostruzione", IT, "obstruction"),
            ("oedem", DE, "edema"),
            ("anaemie", DE, "anemia"),
            ("diarrea", ES, "diarrhea"),
            ("diarree", NL, "diarrhea"),
            ("esclerosis", ES, "sclerosis"),
            ("esclerose", PT, "sclerosis"),
            ("hepatische", DE, "hepatic"),
            ("hepatique", FR, "hepatic"),
            ("hepaticas", ES, "hepatic"),
            ("epatiche", IT, "hepatic"),
            ("metformina", ES, "metformin"),
            ("metformine", NL, "metformin"),
            ("cholecystite", FR, "cholecystitis"),
            ("colecistitis", ES, "cholecystitis"),
            ("colecistite", IT, "cholecystitis"),
            ("esofagite", PT, "esophagitis"),
            ("obesita", IT, "obesity"),
            ("obesidad", ES, "obesity"),
            ("cavite", FR, "cavity"),
            ("thrombozytopenie", DE, "thrombocytopenia"),
            ("exotropie", DE, "exotropia"),
            ("esotropie", FR, "esotropia"),
            ("citaloprame", FR, "citalopram"),
            ("escitalopram", ES, "escitalopram"),
            ("zopiclona", ES, "zopiclone"),
            ("aseptische", DE, "aseptic"),
            ("addiction", FR, "addiction"),
            ("hypoglykaemie", DE, "hypoglycemia"),
            ("hyperparathyreoidismus", DE, "hyperparathyroidism"),
            ("emorragia", IT, "hemorrhage"),
            ("lussazione", IT, "luxation"),
        ] {
            if of(word, language) != Some(english) {
                others.push((word, of(word, language)));
            }
        }
        assert_eq!(others, []);
    }

    #[test]
    fn other_words_are_not() {
        for (word, language) in [("unter", DE), ("zange", DE), ("seau", FR), ("gift", DE)] {
            assert_eq!(of(word, language), None, "{word}");
        }
    }
}
