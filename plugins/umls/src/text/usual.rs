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

/// Meanings by exact forms.
type Table = HashMap<String, Vec<Meaning>>;

/// What `short` usually stands for in notes of these languages, the likelier first: what is written with the same capitals, "PsA" and not
/// "PSA", where there is such a thing.
pub(crate) fn meanings(short: &str, languages: Languages) -> Vec<Meaning> {
    let form = exact_form(short);
    let tables = each(languages)
        .filter(|language| *language != EN)
        .filter_map(table);
    let brands = (languages & !EN != 0).then(brands);
    let found = tables.chain(brands).filter_map(|table| table.get(&form));
    let mut found: Vec<Meaning> = found.flatten().copied().collect();
    if found.iter().any(|meaning| meaning.short == short) {
        found.retain(|meaning| meaning.short == short);
    }
    found
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
    }
}
