//! The index: a file that is mapped, checked and read where it lies. Nothing of it is copied into memory, and
//! every reader can use it at the same time.

pub(crate) mod format;
pub(crate) mod inverted;
mod map;

use std::path::{Path, PathBuf};

use mednerd_languages::{CODES, Languages};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::codings;
use crate::error::{Damage, Error};
use crate::text::{self, Forms};
use format::{Extent, Section, u16_at, u32_at};
use inverted::{Hit, Inverted, Query};

/// An index of at most this many bytes is verified completely when it is opened.
const SMALL: usize = 32 << 20;

/// More concepts of one name than anybody can tell apart.
const MAX_LINKS: usize = 64;

/// What an index was made from, and how; it holds no date, so that the same input gives the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version of mednerd that built it.
    pub builder: String,
    /// `umls`, `rxnorm` or `csv`.
    pub kind: String,
    /// The release, "2026AA" for instance; empty where the input does not say.
    pub release: String,
    /// What was asked for: the filters of the build.
    pub filters: Vec<String>,
    /// The vocabularies with their versions and how many names came from each.
    pub vocabularies: Vec<Source>,
    /// The languages of its names that are known (ISO 639-1).
    #[serde(default)]
    pub languages: Vec<String>,
    /// Concepts.
    pub concepts: u64,
    /// Distinct names.
    pub names: u64,
    /// Pairs of a name and a concept.
    pub links: u64,
    /// Distinct words.
    pub words: u64,
    /// Codes of other vocabularies.
    pub codings: u64,
    /// Concepts that are retired and lead to another one.
    pub retired: u64,
    /// Lines read.
    pub rows: u64,
}

impl Record {
    /// The vocabularies that names are of; others have given codes alone.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.vocabularies.iter().filter(|source| source.rows > 0)
    }
}

/// A vocabulary within an index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its abbreviation (SAB), "SNOMEDCT_US" for instance.
    pub name: String,
    /// Its version; empty where the input does not say.
    pub version: String,
    /// Names taken from it; none where it gave codes alone.
    pub rows: u64,
}

/// A name's tie to a concept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) concept: u32,
    /// Standing of the name within its concept: rank of source and term type, status. Higher is better.
    pub(crate) quality: u16,
    pub(crate) acronym: bool,
}

/// The tables of the names' forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Exact,
    Key,
    Stem,
}

impl Table {
    /// All of them, from strict to loose.
    pub(crate) const ALL: [Self; 3] = [Self::Exact, Self::Key, Self::Stem];

    pub(crate) fn section(self) -> Section {
        match self {
            Self::Exact => Section::ExactTable,
            Self::Key => Section::KeyTable,
            Self::Stem => Section::StemTable,
        }
    }

    /// The form that the table has.
    pub(crate) fn form(self, forms: &Forms) -> &str {
        match self {
            Self::Exact => &forms.exact,
            Self::Key => &forms.key,
            Self::Stem => &forms.stem_key,
        }
    }

    /// Whether `text` has this form in one of its languages.
    fn has(self, text: &str, languages: Languages, form: &str) -> bool {
        match self {
            Self::Exact => text::exact_form(text) == form,
            Self::Key | Self::Stem => {
                text::each(languages).any(|language| self.form(&Forms::of(text, language)) == form)
            }
        }
    }
}

/// A code in another vocabulary, as it lies in the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code<'a> {
    pub(crate) vocabulary: usize,
    pub(crate) code: &'a str,
    /// Its name in its vocabulary; none where that name was left out of the index.
    pub(crate) display: Option<&'a str>,
}

/// An open index. `Send` and `Sync`; all methods may run at the same time.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    map: map::Map,
    extents: Vec<Extent>,
    record: Record,
}

impl Index {
    /// Maps the file at `path` and checks its header; a small one is verified completely.
    ///
    /// # Errors
    /// [`Error::Read`], and [`Error::Index`] where it is damaged or none.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let damaged = |damage| Error::Index {
            path: path.to_owned(),
            damage,
        };
        let map = map::Map::open(path)?;
        let extents = format::decode(&map).map_err(damaged)?;
        let mut index = Self {
            path: path.to_owned(),
            map,
            extents,
            record: Record::default(),
        };
        index.check(Section::Record).map_err(damaged)?;
        index.record =
            serde_json::from_slice(index.section(Section::Record)).map_err(|_| damaged(Damage::Record))?;
        if index.extent(Section::NameLanguages).length != index.record.names {
            return Err(damaged(Damage::Checksum(Section::NameLanguages.what())));
        }
        if index.map.len() <= SMALL {
            index.verify()?;
        }
        Ok(index)
    }

    /// Reads the complete file and compares it with its checksums (about a second per gigabyte).
    ///
    /// # Errors
    /// [`Error::Index`]
    pub fn verify(&self) -> Result<(), Error> {
        Section::ALL
            .iter()
            .try_for_each(|section| self.check(*section))
            .and_then(|()| self.check_gaps())
            .map_err(|damage| Error::Index {
                path: self.path.clone(),
                damage,
            })
    }

    fn check(&self, section: Section) -> Result<(), Damage> {
        let expected = self.extent(section).sha256;
        if Sha256::digest(self.section(section)).as_slice() == expected {
            Ok(())
        } else {
            Err(Damage::Checksum(section.what()))
        }
    }

    /// The bytes between sections are zero: no bit of the file is beyond the checks.
    fn check_gaps(&self) -> Result<(), Damage> {
        let mut extents = self.extents.clone();
        extents.sort_by_key(|extent| extent.offset);
        let mut end = format::HEADER as u64;
        for extent in extents.iter().chain([&Extent {
            offset: self.map.len() as u64,
            ..Extent::default()
        }]) {
            let gap = self
                .map
                .get(end as usize..extent.offset as usize)
                .unwrap_or_default();
            if gap.iter().any(|&byte| byte != 0) {
                return Err(Damage::Checksum("padding"));
            }
            end = end.max(extent.offset + extent.length);
        }
        Ok(())
    }

    /// What it was made from.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What tells this index from every other one: the SHA-256 of its header, which covers the checksums of all
    /// its parts, in hexadecimal.
    pub fn digest(&self) -> String {
        let header = self
            .map
            .get(format::HEADER - 32..format::HEADER)
            .unwrap_or_default();
        header.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The parts of the file with their sizes in bytes.
    pub fn parts(&self) -> Vec<(&'static str, u64)> {
        Section::ALL
            .iter()
            .map(|section| (section.what(), self.extent(*section).length))
            .collect()
    }

    fn extent(&self, section: Section) -> Extent {
        Section::ALL
            .iter()
            .position(|at| *at == section)
            .and_then(|at| self.extents.get(at))
            .copied()
            .unwrap_or_default()
    }

    fn section(&self, section: Section) -> &[u8] {
        let extent = self.extent(section);
        // The header's check made sure that it lies within the file.
        self.map
            .get(extent.offset as usize..(extent.offset + extent.length) as usize)
            .unwrap_or_default()
    }

    fn bytes(&self, offsets: Section, text: Section, i: u32) -> &[u8] {
        let offsets = self.section(offsets);
        let bound = |i: usize| u32_at(offsets, i).map(|offset| offset as usize);
        bound(i as usize)
            .zip(bound(i as usize + 1))
            .and_then(|(start, end)| self.section(text).get(start..end))
            .unwrap_or_default()
    }

    fn string(&self, offsets: Section, text: Section, i: u32) -> &str {
        std::str::from_utf8(self.bytes(offsets, text, i)).unwrap_or_default()
    }

    /// The id of a concept; empty where there is none.
    pub(crate) fn concept_id(&self, concept: u32) -> &str {
        self.string(Section::ConceptIdOffsets, Section::ConceptIds, concept)
    }

    /// The concept with this id, or the one that a retired id leads to.
    pub(crate) fn concept(&self, id: &str) -> Option<u32> {
        self.bucket(Section::ConceptTable, text::hash(id))
            .find(|&concept| self.concept_id(concept) == id)
            .or_else(|| self.successor(id))
    }

    /// The concept that took the place of the retired CUI `id`.
    fn successor(&self, id: &str) -> Option<u32> {
        let cui = codings::cui(id)?;
        let retired = self.section(Section::Retired);
        value_of(retired, cui)
    }

    fn concept_field(&self, concept: u32, field: usize) -> u32 {
        u32_at(self.section(Section::Concepts), concept as usize * 4 + field).unwrap_or_default()
    }

    /// The preferred name of a concept.
    pub(crate) fn preferred(&self, concept: u32) -> u32 {
        self.concept_field(concept, 0)
    }

    /// The preferred name, as the concept's own vocabulary writes it.
    pub(crate) fn preferred_name(&self, concept: u32) -> &str {
        match position(self.section(Section::OwnNameConcepts), concept) {
            Some(own) => self.string(Section::OwnNameOffsets, Section::OwnNames, own),
            None => self.name(self.preferred(concept)),
        }
    }

    /// The semantic types of a concept.
    pub(crate) fn semantic_types(&self, concept: u32) -> impl Iterator<Item = &str> {
        let set = self.concept_field(concept, 1);
        let types = self.string(Section::TypeSetOffsets, Section::TypeSets, set);
        types.split('|').filter(|name| !name.is_empty())
    }

    /// Whether the concept has a definition.
    pub(crate) fn defined(&self, concept: u32) -> bool {
        self.concept_field(concept, 3) & 1 == 1
    }

    /// How many vocabularies of the release have the concept, at most 127.
    pub(crate) fn vocabularies_of(&self, concept: u32) -> u32 {
        self.concept_field(concept, 3) >> 1 & 0x7f
    }

    /// How many names the concept has: a measure of how established it is.
    pub(crate) fn names_of(&self, concept: u32) -> u32 {
        self.concept_field(concept, 3) >> 8
    }

    /// The codes of a concept in other vocabularies, in the order of [`Record::vocabularies`].
    pub(crate) fn codes(&self, concept: u32) -> impl Iterator<Item = Code<'_>> {
        let (codings, text) = (self.section(Section::Codings), self.section(Section::CodingText));
        let range = self.concept_field(concept, 2) as usize
            ..(self.concept_field(concept.saturating_add(1), 2) as usize).min(codings.len() / 16);
        range.filter_map(move |i| {
            let field = |at| u32_at(codings, 4 * i + at).map(|number| number as usize);
            let part = |start: usize, end: usize| std::str::from_utf8(text.get(start..end)?).ok();
            Some(Code {
                vocabulary: field(0)?,
                code: part(field(1)?, field(2)?)?,
                display: Some(self.name(u32_at(codings, 4 * i + 3)?)).filter(|name| !name.is_empty()),
            })
        })
    }

    /// A name as its best source writes it.
    pub(crate) fn name(&self, name: u32) -> &str {
        self.string(Section::NameOffsets, Section::Names, name)
    }

    /// The languages of its names that are known.
    pub(crate) fn languages(&self) -> Languages {
        let has = |code: &&str| self.record.languages.iter().any(|own| own == code);
        let codes = CODES.iter().enumerate().filter(|(_, code)| has(code));
        codes.fold(0, |all, (at, _)| all | 1 << at)
    }

    /// The languages that have a name; none where nothing is known of those that do.
    pub(crate) fn languages_of(&self, name: u32) -> Languages {
        let languages = self.section(Section::NameLanguages).get(name as usize);
        languages.copied().unwrap_or_default().into()
    }

    /// Whether a name is the one that a concept is called by, in one of these languages or at all.
    pub(crate) fn is_preferred(&self, concept: u32, name: u32, languages: Languages) -> bool {
        let in_language = |language| self.preferred_in(concept, language) == Some(name);
        name == self.preferred(concept) || text::each(languages).any(in_language)
    }

    /// The name that a concept is called by in a language, of an index of several.
    pub(crate) fn preferred_in(&self, concept: u32, language: Languages) -> Option<u32> {
        let section = self.section(Section::LanguagePreferred);
        let at = language.trailing_zeros() as usize;
        let starts = |at: usize| u32_at(section, at).map(|start| start as usize);
        let range = starts(at).zip(starts(at + 1)).filter(|_| at < CODES.len())?;
        let pairs = section
            .get(4 * (CODES.len() + 1)..)?
            .get(8 * range.0..8 * range.1)?;
        value_of(pairs, concept)
    }

    /// What a name stands for: of many concepts those of the best standing.
    pub(crate) fn best_links(&self, name: u32) -> Vec<Link> {
        let mut links: Vec<Link> = self.links(name).collect();
        if links.len() > MAX_LINKS {
            links.sort_by_key(|link| (std::cmp::Reverse(link.quality), link.concept));
            links.truncate(MAX_LINKS);
        }
        links
    }

    /// What a name stands for, in the order of concepts.
    pub(crate) fn links(&self, name: u32) -> impl Iterator<Item = Link> {
        let (offsets, links) = (self.section(Section::LinkOffsets), self.section(Section::Links));
        let bound = |i: usize| u32_at(offsets, i).unwrap_or_default() as usize;
        let range = bound(name as usize)..bound(name as usize + 1).min(links.len() / 8);
        range.filter_map(move |i| {
            Some(Link {
                concept: u32_at(links, 2 * i)?,
                quality: u16_at(links, 4 * i + 2)?,
                acronym: u16_at(links, 4 * i + 3)? & 1 == 1,
            })
        })
    }

    /// The entries of a table with this hash: a few may be others by chance.
    fn bucket(&self, table: Section, hash: u64) -> impl Iterator<Item = u32> {
        let bytes = self.section(table);
        let bits = u32_at(bytes, 0).unwrap_or_default().min(31);
        let bucket = hash.checked_shr(64 - bits).unwrap_or_default() as usize;
        let bound = |i: usize| u32_at(bytes, 1 + i).unwrap_or_default() as usize;
        let entries = 2 + (1_usize << bits);
        let range = bound(bucket)..bound(bucket + 1).min(bytes.len() / 8);
        range.filter_map(move |i| {
            let low = u32_at(bytes, entries + 2 * i)?;
            (low == hash as u32).then(|| u32_at(bytes, entries + 2 * i + 1))?
        })
    }

    /// The names with this form, in order. `known` are names that have it for certain, as they have a stricter one.
    pub(crate) fn lookup(&self, table: Table, form: &str, known: &[u32]) -> Vec<u32> {
        // Names that share a key are few; the bound keeps a hostile vocabulary from making a mention slow.
        self.bucket(table.section(), text::hash(form))
            .filter(|name| {
                known.contains(name) || table.has(self.name(*name), self.languages_of(*name), form)
            })
            .take(24)
            .collect()
    }

    /// A word that names are retrieved by.
    pub(crate) fn word(&self, stem: &str) -> Option<u32> {
        self.bucket(Section::WordTable, text::hash(stem))
            .find(|&word| self.bytes(Section::WordOffsets, Section::Words, word) == stem.as_bytes())
    }

    /// Whether so few names have the word that nothing follows from where it stands.
    pub(crate) fn rare(&self, word: u32) -> bool {
        u32_at(self.section(Section::WordCounts), word as usize).is_none_or(|count| count <= 3)
    }

    pub(crate) fn word_text(&self, word: u32) -> &str {
        self.string(Section::WordOffsets, Section::Words, word)
    }

    /// What a word weighs: sixteen times the natural logarithm of its rarity, less for a word that tells little. One
    /// that no name has weighs what one of a single name does.
    pub(crate) fn weight(&self, stem: &str, word: Option<u32>) -> u16 {
        let count = word.and_then(|word| u32_at(self.section(Section::WordCounts), word as usize));
        weight(self.record.names, count.unwrap_or(1), stem)
    }

    /// The best names for `query`.
    pub(crate) fn search_names(&self, query: &Query, count: usize) -> Vec<Hit> {
        self.name_postings().search(query, count)
    }

    pub(crate) fn name_postings(&self) -> Inverted<'_> {
        Inverted {
            offsets: self.section(Section::NamePostingOffsets),
            postings: self.section(Section::NamePostings),
            weights: self.section(Section::NameWeights),
            by_weight: false,
        }
    }

    /// The words most like `stem` by character trigrams, with their Dice coefficients; best first.
    pub(crate) fn similar_words(&self, stem: &str, count: usize) -> Vec<(u32, f32)> {
        let mut grams = Vec::new();
        text::trigrams(stem, &mut grams);
        let known = self.section(Section::Grams);
        // A wrong letter changes three trigrams; a long word may have two.
        let grams_of = grams.len().max(1) as u32;
        let wrong = if grams_of < 12 { 3 } else { 6 };
        let query = Query {
            features: grams
                .iter()
                .filter_map(|gram| Some((position(known, *gram)?, 1)))
                .collect(),
            weight: grams.len() as u32,
            share: (100 * grams_of.saturating_sub(wrong) / grams_of).max(40),
            // Half of the trigrams.
            least_rank: 1 << 19,
        };
        let inverted = Inverted {
            offsets: self.section(Section::GramPostingOffsets),
            postings: self.section(Section::GramPostings),
            weights: self.section(Section::WordGrams),
            by_weight: true,
        };
        let hits = inverted.search(&query, count);
        hits.into_iter()
            .map(|hit| (hit.document, hit.rank as f32 / (1 << 20) as f32))
            .collect()
    }
}

/// The position of `wanted` among sorted 32-bit numbers.
fn position(numbers: &[u8], wanted: u32) -> Option<u32> {
    let (mut low, mut high) = (0, numbers.len() / 4);
    while low < high {
        let middle = low.midpoint(high);
        match u32_at(numbers, middle)?.cmp(&wanted) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => return Some(middle as u32),
        }
    }
    None
}

/// The second number of the pair that begins with `key`, among pairs of 32-bit numbers in order.
fn value_of(pairs: &[u8], key: u32) -> Option<u32> {
    let (mut low, mut high) = (0, pairs.len() / 8);
    while low < high {
        let middle = low.midpoint(high);
        if u32_at(pairs, 2 * middle)? < key {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    (u32_at(pairs, 2 * low)? == key).then(|| u32_at(pairs, 2 * low + 1))?
}

/// The weight of a word that `count` of `names` names have.
pub(crate) fn weight(names: u64, count: u32, stem: &str) -> u16 {
    let rarity = (names as f64 + 1.0) / (f64::from(count) + 0.5);
    let weight = 16.0 * rarity.ln() * f64::from(text::words::information(stem));
    weight.round().clamp(1.0, 400.0) as u16
}
