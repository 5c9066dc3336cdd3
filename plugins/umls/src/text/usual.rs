//! What short forms and brands usually stand for in notes of a language, which vocabularies of other languages than English hardly have:
//! "KHK" is a "koronare Herzkrankheit", "Novalgin" is metamizole.

use std::collections::HashMap;
use std::sync::OnceLock;

use mednerd_languages::{CODES, EN, Languages};

use super::{each, exact_form};

/// The short forms of each language, in the order of [`CODES`], with what they stand for in the same language, the likelier first; and
/// brands, with the English names of their substances.
const LISTS: [(&str, &str); CODES.len()] = [
    ("", ""),
    (
        include_str!("short_forms/de.short.tsv"),
        include_str!("short_forms/de.brands.tsv"),
    ),
    (
        include_str!("short_forms/fr.short.tsv"),
        include_str!("short_forms/fr.brands.tsv"),
    ),
    (
        include_str!("short_forms/es.short.tsv"),
        include_str!("short_forms/es.brands.tsv"),
    ),
    (
        include_str!("short_forms/it.short.tsv"),
        include_str!("short_forms/it.brands.tsv"),
    ),
    (
        include_str!("short_forms/nl.short.tsv"),
        include_str!("short_forms/nl.brands.tsv"),
    ),
    (
        include_str!("short_forms/pt.short.tsv"),
        include_str!("short_forms/pt.brands.tsv"),
    ),
];

/// What a short form or brand stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) long: &'static str,
    /// The language that it is in.
    pub(crate) language: Languages,
}

type Table = HashMap<String, Vec<Meaning>>;

/// What `short` usually stands for in notes of these languages, the likelier first.
pub(crate) fn meanings(short: &str, languages: Languages) -> Vec<Meaning> {
    let form = exact_form(short);
    let tables = each(languages).filter_map(table);
    let found = tables.filter_map(|table| table.get(&form));
    found.flatten().copied().collect()
}

fn table(language: Languages) -> Option<&'static Table> {
    static TABLES: [OnceLock<Table>; CODES.len()] = [const { OnceLock::new() }; CODES.len()];
    let at = language.trailing_zeros() as usize;
    let (short, brands) = LISTS.get(at)?;
    Some(TABLES.get(at)?.get_or_init(|| {
        let mut table = Table::new();
        for (lines, language) in [(short, language), (brands, EN)] {
            for line in lines.lines() {
                let mut cells = line.split('\t');
                let form = exact_form(cells.next().unwrap_or_default());
                let meanings = table.entry(form).or_default();
                meanings.extend(cells.map(|long| Meaning { long, language }));
            }
        }
        table
    }))
}
