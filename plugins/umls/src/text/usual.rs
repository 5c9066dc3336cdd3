//! What short forms and brands usually stand for in notes of other languages than English, whose vocabularies hardly have them:
//! "KHK" is a "koronare Herzkrankheit", "Novalgin" is metamizole.

use std::collections::HashMap;
use std::sync::OnceLock;

use mednerd_languages::{CODES, EN, Languages};

use super::{each, exact_form};

/// The short forms of each language, in the order of [`CODES`], with what they stand for in the same language, the likelier first.
const SHORT_FORMS: [&str; CODES.len()] = [
    "",
    include_str!("short_forms/de.tsv"),
    include_str!("short_forms/fr.tsv"),
    include_str!("short_forms/es.tsv"),
    include_str!("short_forms/it.tsv"),
    include_str!("short_forms/nl.tsv"),
    include_str!("short_forms/pt.tsv"),
];
/// Brands of drugs, with the English names of their substances.
const BRANDS: &str = include_str!("short_forms/brands.tsv");

/// What a short form or brand stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// As it is written in the list.
    short: &'static str,
    pub(crate) long: &'static str,
}

/// Meanings by exact forms, of each the likelier first.
type Table = HashMap<String, Vec<Meaning>>;

/// What `short` usually stands for in notes of these languages, the likelier first: what is written with the same capitals, "PsA" and not
/// "PSA", where there is such a thing. A word of the language is no short form in small letters: "ira" is no IRA.
pub(crate) fn meanings(short: &str, languages: Languages) -> Vec<Meaning> {
    let dotless = without_dots(short);
    let short = dotless.as_deref().unwrap_or(short);
    let form = exact_form(short);
    let in_capitals = super::is_acronym(short);
    let small = !short.contains(char::is_uppercase);
    let mut found: Vec<Meaning> = Vec::new();
    for language in each(languages).filter(|language| *language != EN) {
        let own = table(language).and_then(|table| table.get(&form));
        let is_free =
            || small && short.chars().count() >= LEAST_SMALL && !super::translation::is_word(short, language);
        let written = |meaning: &&Meaning| meaning.short == short || in_capitals || is_free();
        found.extend(own.into_iter().flatten().filter(written));
        found.extend(brands().get(&form).into_iter().flatten());
    }
    if found.iter().any(|meaning| meaning.short == short) {
        found.retain(|meaning| meaning.short == short);
    }
    let mut seen: Vec<String> = Vec::new();
    found.retain(|meaning| {
        let form = exact_form(meaning.long);
        let is_new = !seen.contains(&form);
        seen.extend(is_new.then_some(form));
        is_new
    });
    found
}

/// A short form in small letters has so many of them.
const LEAST_SMALL: usize = 3;

/// A short form without the dots behind its letters: "E.P.O.C."; none where it has none.
fn without_dots(text: &str) -> Option<String> {
    let letters: String = text.chars().step_by(2).collect();
    let dots = text.chars().skip(1).step_by(2);
    let is_short = letters.chars().all(char::is_alphabetic) && dots.clone().all(|c| c == '.');
    (letters.chars().count() > 1 && is_short).then_some(letters)
}

fn table(language: Languages) -> Option<&'static Table> {
    static TABLES: [OnceLock<Table>; CODES.len()] = [const { OnceLock::new() }; CODES.len()];
    let at = language.trailing_zeros() as usize;
    let lines = SHORT_FORMS.get(at)?;
    Some(TABLES.get(at)?.get_or_init(|| read(lines)))
}

fn brands() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| read(BRANDS))
}

fn read(lines: &'static str) -> Table {
    let mut table = Table::new();
    for line in lines.lines() {
        let mut cells = line.split('\t');
        let short = cells.next().unwrap_or_default();
        let meanings = table.entry(exact_form(short)).or_default();
        meanings.extend(cells.map(|long| Meaning { short, long }));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use mednerd_languages::{DE, ES, NL};

    fn of(short: &str, languages: Languages) -> Vec<&'static str> {
        meanings(short, languages)
            .iter()
            .map(|meaning| meaning.long)
            .collect()
    }

    #[test]
    fn every_line_of_every_list_has_a_meaning() {
        for lines in SHORT_FORMS.iter().chain([&BRANDS]) {
            for line in lines.lines() {
                let cells: Vec<&str> = line.split('\t').collect();
                let filled = cells
                    .iter()
                    .all(|cell| !exact_form(cell).is_empty() && cell.trim() == *cell);
                assert!((2..=3).contains(&cells.len()) && filled, "{line:?}");
            }
        }
    }

    #[test]
    fn capitals_choose_where_they_tell() {
        assert_eq!(of("PsA", NL), ["arthritis psoriatica"]);
        assert_eq!(of("PSA", NL), ["prostaatspecifiek antigeen"]);
        assert_eq!(of("psa", NL).len(), 2);
        assert!(of("KHK", DE).contains(&"koronare Herzkrankheit") && of("KHK", ES).is_empty());
        assert_eq!(of("novalgin", DE), ["metamizole"]);
        assert!(of("Novalgin", EN).is_empty() && of("KHK", EN).is_empty());
        // A word is none in small letters.
        assert!(of("ira", ES).is_empty() && !of("IRA", ES).is_empty());
        assert_eq!(of("E.P.O.C.", ES), of("EPOC", ES));
        assert_eq!(without_dots("a.m"), Some("am".to_owned()));
        assert!(
            ["KHK", "Nr. 5", "5.3", "", "."]
                .iter()
                .all(|text| without_dots(text).is_none())
        );
    }
}
