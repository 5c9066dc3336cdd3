//! English words of Greek and Latin origin, by how they sound: "neumonía", "Pneumonie" and "pneumonia" are one.

use std::collections::HashMap;
use std::sync::OnceLock;

use mednerd_languages::{IT, Languages, stem};

use super::endings;
use crate::text::fold::american;

/// What sounds like less is like too much.
const LEAST: usize = 4;

/// The English word that a word of another language is, spelt and ended in its own way; both folded.
pub(super) fn of(word: &str, language: Languages) -> Option<&'static str> {
    if word.len() <= LEAST || !word.is_ascii() {
        return None;
    }
    let table = table();
    let heard = |sound: &str| {
        (sound.len() >= LEAST)
            .then(|| table.get(sound).copied())
            .flatten()
    };
    let find = |word: &str| {
        let sound = sound(word);
        // Italian has lost it: "emorragia".
        let silent = || (language == IT).then(|| heard(&format!("h{sound}"))).flatten();
        heard(&sound).or_else(silent)
    };
    // As it is before all: "fracture" is not "fractured".
    let ended = || endings::english(word, language).find_map(|english| find(&english));
    find(word).or_else(ended).or_else(|| find(stem(word, language)))
}

fn table() -> &'static HashMap<String, &'static str> {
    static TABLE: OnceLock<HashMap<String, &'static str>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = HashMap::new();
        for word in include_str!("../cognates.txt").lines() {
            let sound = sound(word);
            if sound.len() >= LEAST {
                table.entry(sound).or_insert(word);
            }
        }
        table
    })
}

/// How a word of Greek or Latin origin sounds, roughly, however its language spells it; without an a, e or o at its end.
fn sound(word: &str) -> String {
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
        // Spanish and Portuguese words do not begin with an s before a consonant.
        (b'e', b's', next) if next != 0 && !is_vowel(next) && next != b's' => 1,
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
            // Italian has double letters and others have two: "infetto", "ottico", "ostruzione", "trasfusione", "lussazione".
            (b'c' | b'k' | b'p', b't') if i > 0 => (b"", 1),
            (b'b' | b'n', b's') if !is_vowel(at(i + 2)) && at(i + 2) != 0 && i > 0 => (b"", 1),
            (b'c' | b'k', _) => (b"k", 1),
            (b'x', _) => (b"s", 1),
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
