//! From an index to a list of names that mednerd looks for in notes (`[[terms]]` in its configuration).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::index::Index;
use crate::linker::groups::{of_label, of_type};
use crate::text::words;

/// Which names become a list.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What they are found as; where `semantic_types` has none, it says which concepts are taken as well.
    pub label: String,
    /// Semantic types whose concepts are taken, by TUI or a dictionary's own name; empty: those of the label's semantic group.
    pub semantic_types: Vec<String>,
    /// The names' language, as the list has it; empty for all.
    pub language: String,
    /// Words of a name at most.
    pub most_words: usize,
}

/// Letters of a name at least; short forms in capitals may have one less.
const LEAST: usize = 4;
/// What is written in classifications and not in notes.
const CLASSIFYING: [&str; 9] = [
    "nos",
    "nec",
    "unspecified",
    "other",
    "not elsewhere",
    "without mention",
    "not otherwise",
    "finding",
    "disorder of",
];
/// "Finding": most of its names are of any person ("male", "married", "able to walk").
const FINDING: &str = "T033";

/// The lines of the list, its header first, and how many names there are.
pub fn list(index: &Index, choice: &Choice) -> (String, usize) {
    let group = of_label(&choice.label).and_then(|groups| groups.first());
    let is_wanted = |name: &str| match choice.semantic_types.is_empty() {
        false => choice.semantic_types.iter().any(|wanted| wanted == name),
        true => match (of_type(name), group) {
            (Some(own), Some(group)) => own == *group && name != FINDING,
            // A dictionary's own types, and labels of which nothing is known, tell nothing apart.
            (None, _) | (_, None) => true,
        },
    };
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for number in 0..u32::try_from(index.record().names).unwrap_or(u32::MAX) {
        let name = index.name(number);
        if !is_in_notes(name, choice.most_words) || is_everyday(name) {
            continue;
        }
        let mut concepts = index.links(number).map(|link| link.concept);
        if concepts.any(|concept| index.semantic_types(concept).any(is_wanted)) {
            // Capitals tell short forms from words.
            let key = if crate::text::is_acronym(name) {
                name.to_owned()
            } else {
                name.to_lowercase()
            };
            names.entry(key).or_insert(name);
        }
    }
    let mut lines = String::from("name\tlabel\tlanguage\n");
    for name in names.values() {
        let _ = writeln!(lines, "{name}\t{}\t{}", choice.label, choice.language);
    }
    (lines, names.len())
}

/// Whether a name is one that somebody writes in a note.
fn is_in_notes(name: &str, most_words: usize) -> bool {
    let letters = name.chars().filter(|c| c.is_alphabetic()).count();
    let least = if crate::text::is_acronym(name) {
        LEAST - 1
    } else {
        LEAST
    };
    let lower = name.to_lowercase();
    letters >= least
        && !name.contains([
            '\t', '\n', '(', ')', '{', '}', ',', ';', ':', '*', '#', '<', '>', '=', '[', ']',
        ])
        && name.split_whitespace().count() <= most_words
        && !CLASSIFYING.iter().any(|words| has_words(&lower, words))
}

/// Whether a name is a single word that mostly means something else: "Dish", "ever", "Lung" beside "Lung Neoplasm". A short form in
/// capitals is found in capitals alone.
fn is_everyday(name: &str) -> bool {
    let singular = |word: &str| word.strip_suffix('s').is_some_and(words::is_everyday);
    let word = name.trim().to_lowercase();
    !crate::text::is_acronym(name) && (words::is_everyday(&word) || singular(&word))
}

/// Whether a text has these words, whole.
fn has_words(text: &str, words: &str) -> bool {
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(words).any(|(at, found)| {
        let (before, behind) = (text.get(..at), text.get(at + found.len()..));
        !letter(before.and_then(|text| text.chars().next_back()))
            && !letter(behind.and_then(|text| text.chars().next()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyday_words_are_left_out() {
        for word in ["dish", "ever", "Glass", "lung", "Skin"] {
            assert!(is_everyday(word), "{word}");
        }
        for name in ["DISH", "Asthma", "skin cancer", "Lyme"] {
            assert!(!is_everyday(name), "{name}");
        }
    }

    #[test]
    fn names_of_classifications_and_short_ones_are_left_out() {
        for name in [
            "COPD",
            "UTI",
            "Otitis media",
            "Type 2 diabetes mellitus",
            "Crohn's disease",
            "Sinusitis",
        ] {
            assert!(is_in_notes(name, 6), "{name}");
        }
        for name in [
            "Gout, unspecified",
            "Other gout",
            "Gout NOS",
            "Gout (disorder)",
            "[X]Gout",
            "MI",
            "Flu",
            "12 34",
            "a b c d e f gout",
        ] {
            assert!(!is_in_notes(name, 6), "{name}");
        }
    }
}
