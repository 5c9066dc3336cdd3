//! The hospital's own names and blocks: a TSV that is read again without building the index again.
//!
//! ```text
//! name          <tab>  id                   <tab>  action
//! heart attack  <tab>  C0027051
//! AS            <tab>  C0003486|C0038454
//! MS            <tab>  C0026769             <tab>  block
//! ```
//!
//! A header is optional; without one the columns are name, id, action. Several ids are separated by `|`. An id that
//! the index does not have becomes a concept of the hospital's own. A name that is given several times for
//! different ids prefers the one that is given most often. Lines that begin with `#` are comments.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use mednerd_languages::{EN, Languages};

use crate::error::Error;
use crate::index::{Index, Table};
use crate::linker::similarity::{Weighed, Weights};
use crate::text::{self, Forms};

/// Names and blocks of the hospital.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// By the forms of each table.
    tables: [HashMap<String, Vec<Entry>>; Table::ALL.len()],
    blocked: HashSet<(String, u32)>,
    /// Distinct names with their words and concept, for retrieval.
    pub(crate) names: Vec<(String, Weighed, u32)>,
    by_word: HashMap<String, Vec<u32>>,
    /// Lines for each concept.
    given: HashMap<u32, u32>,
    /// Concepts that are not in the index: id and name.
    own: Vec<(String, String)>,
    own_numbers: HashMap<String, u32>,
    /// Those of them that look like CUIs: of another release or subset, or mistyped.
    unknown: BTreeSet<String>,
    concepts: u32,
    lines: usize,
    /// Those that the names may be in, and the one that they are in most probably; none where nothing says.
    languages: Languages,
    usual: Languages,
}

/// A concept that a name stands for, and how often it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) concept: u32,
    pub(crate) count: u32,
    pub(crate) name: u32,
}

/// Which column is which.
#[derive(Clone, Copy)]
struct Columns {
    name: usize,
    id: usize,
    action: Option<usize>,
}

impl Columns {
    /// As a header tells them, where the line is one.
    fn named(cells: &[&str]) -> Option<Self> {
        let column = |names: &[&str]| {
            cells
                .iter()
                .position(|cell| names.iter().any(|name| cell.eq_ignore_ascii_case(name)))
        };
        Some(Self {
            name: column(&["name", "synonym", "mention", "text"])?,
            id: column(&["id", "cui", "concept", "concept_id"])?,
            action: column(&["action"]),
        })
    }

    /// Without a header, the column whose content the index knows as ids is the one of ids.
    fn guessed(cells: &[&str], index: &Index) -> Self {
        let known = |at: usize| {
            let cell = cells.get(at).copied().unwrap_or_default();
            ids_in(cell).any(|id| resolve(index, id).is_some())
        };
        let (name, id) = if known(0) && !known(1) { (1, 0) } else { (0, 1) };
        Self {
            name,
            id,
            action: Some(2),
        }
    }
}

/// A line of the file.
struct Line<'a> {
    name: &'a str,
    /// In each language that it may be in; those that are the same once.
    forms: Vec<Forms>,
    ids: &'a str,
    block: bool,
}

impl<'a> Line<'a> {
    /// What the cells say, or what is wrong with them.
    fn of(cells: &[&'a str], columns: Columns, languages: Languages) -> Result<Self, String> {
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
        let (name, ids) = (cell(columns.name), cell(columns.id));
        if name.is_empty() || ids.is_empty() {
            return Err("a line is: name, tab, concept id, optionally tab and add or block".to_owned());
        }
        if name.contains(char::is_control) || ids.contains(char::is_control) {
            return Err("the name or id has a control character in it; write it without".to_owned());
        }
        let action = columns.action.map(cell).unwrap_or_default();
        let block = match action.to_ascii_lowercase().as_str() {
            "" | "add" => false,
            "block" => true,
            other => return Err(format!("action \"{other}\" is neither add nor block")),
        };
        let mut forms: Vec<Forms> = text::each(languages)
            .map(|language| Forms::of(name, language))
            .collect();
        forms.dedup();
        if forms.iter().any(|forms| forms.exact.is_empty()) {
            return Err("the name has no letter or digit".to_owned());
        }
        Ok(Self {
            name,
            forms,
            ids,
            block,
        })
    }
}

/// The ids of a cell.
fn ids_in(cell: &str) -> impl Iterator<Item = &str> {
    let ids = cell.split(['|', '+', ';']).map(str::trim);
    ids.filter(|id| !id.is_empty())
}

impl Local {
    /// Reads `path`; `map` leads from other ids to the index's. The numbers of its own concepts follow those of the index.
    pub(crate) fn read(
        path: &Path,
        index: &Index,
        usual: Languages,
        map: &HashMap<String, Vec<String>>,
    ) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut local = Self {
            concepts: index.record().concepts as u32,
            languages: usual | index.languages() | EN,
            usual,
            ..Self::default()
        };
        let mut columns: Option<Columns> = None;
        let mut weights = Weights::new(index);
        for (i, row) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let wrong = |problem: String| Error::Line {
                path: path.to_owned(),
                line: i as u64 + 1,
                problem,
            };
            let row = std::str::from_utf8(row)
                .map_err(|_| wrong("not UTF-8; save the file as UTF-8".to_owned()))?;
            let row = row.trim_start_matches('\u{feff}').trim_end_matches('\r');
            if row.trim().is_empty() || row.starts_with('#') {
                continue;
            }
            let cells: Vec<&str> = row.split('\t').map(str::trim).collect();
            let known = match columns {
                Some(known) => known,
                None => {
                    let header = Columns::named(&cells);
                    let first = header.unwrap_or_else(|| Columns::guessed(&cells, index));
                    columns = Some(first);
                    if header.is_some() {
                        continue;
                    }
                    first
                }
            };
            let line = Line::of(&cells, known, local.languages).map_err(wrong)?;
            local.take(&line, index, map, &mut weights);
        }
        for entries in local.tables.iter_mut().flat_map(HashMap::values_mut) {
            entries.sort_by_key(|entry| (std::cmp::Reverse(entry.count), entry.name));
        }
        Ok(local)
    }

    fn take(
        &mut self,
        line: &Line<'_>,
        index: &Index,
        map: &HashMap<String, Vec<String>>,
        weights: &mut Weights<'_>,
    ) {
        for id in ids_in(line.ids).flat_map(|id| mapped(map, id)) {
            self.lines += 1;
            match resolve(index, id) {
                Some(concept) if line.block => {
                    let exact = line.forms.first().map(|forms| forms.exact.clone());
                    self.blocked.extend(exact.map(|exact| (exact, concept)));
                }
                Some(concept) => self.add(line.name, &line.forms, concept, weights),
                // Blocking what is not there.
                None if line.block => {}
                None => {
                    if index.record().kind == "umls" && is_numbered(id) {
                        self.unknown.insert(id.to_owned());
                    }
                    let concept = self.own_concept(id, line.name);
                    self.add(line.name, &line.forms, concept, weights);
                }
            }
        }
    }

    fn own_concept(&mut self, id: &str, name: &str) -> u32 {
        let next = self.concepts + self.own.len() as u32;
        let concept = *self.own_numbers.entry(id.to_owned()).or_insert(next);
        if concept == next {
            self.own.push((id.to_owned(), name.to_owned()));
        }
        concept
    }

    fn add(&mut self, name: &str, forms: &[Forms], concept: u32, weights: &mut Weights<'_>) {
        *self.given.entry(concept).or_default() += 1;
        let entries = forms.first().map(|forms| self.entries(Table::Exact, forms));
        let mut entries = entries.unwrap_or_default().iter();
        let known = entries.find(|entry| entry.concept == concept).copied();
        let number = known.map_or(self.names.len() as u32, |entry| entry.name);
        if known.is_none() {
            let words = Weighed::of(name, text::read_in(self.languages, self.usual), weights);
            self.names.push((name.to_owned(), words, concept));
            for stem in forms
                .iter()
                .flat_map(|forms| &forms.stems)
                .collect::<HashSet<_>>()
            {
                self.by_word.entry(stem.clone()).or_default().push(number);
            }
        }
        let forms = Table::ALL.iter().flat_map(|&table| {
            let own: HashSet<&str> = forms.iter().map(|forms| table.form(forms)).collect();
            own.into_iter().map(move |form| (table, form.to_owned()))
        });
        for (table, form) in forms.collect::<Vec<_>>() {
            let entries = self.tables[table as usize].entry(form).or_default();
            match entries.iter_mut().find(|entry| entry.concept == concept) {
                Some(entry) => entry.count += 1,
                None => entries.push(Entry {
                    concept,
                    count: 1,
                    name: number,
                }),
            }
        }
    }

    /// The languages that the names may be in.
    pub(crate) fn languages(&self) -> Languages {
        self.languages
    }

    /// How many lines took effect.
    pub(crate) fn lines(&self) -> usize {
        self.lines
    }

    /// What looks like a CUI and is none of the index: concepts of their own now.
    pub(crate) fn unknown(&self) -> impl ExactSizeIterator<Item = &str> {
        self.unknown.iter().map(String::as_str)
    }

    /// What the names with this form stand for, the ones that are given most often first.
    pub(crate) fn entries(&self, table: Table, forms: &Forms) -> &[Entry] {
        let entries = self.tables[table as usize].get(table.form(forms));
        entries.map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn with_word(&self, stem: &str) -> &[u32] {
        self.by_word.get(stem).map(Vec::as_slice).unwrap_or_default()
    }

    /// How many lines give the concept a name: how often it is met here.
    pub(crate) fn given(&self, concept: u32) -> u32 {
        self.given.get(&concept).copied().unwrap_or_default()
    }

    pub(crate) fn is_blocked(&self, exact: &str, concept: u32) -> bool {
        !self.blocked.is_empty() && self.blocked.contains(&(exact.to_owned(), concept))
    }

    /// Id and name of a concept of the hospital's own.
    pub(crate) fn own(&self, concept: u32) -> Option<(&str, &str)> {
        let at = concept.checked_sub(self.concepts)?;
        self.own
            .get(at as usize)
            .map(|(id, name)| (id.as_str(), name.as_str()))
    }
}

/// What an id leads to: what the map says, else itself.
pub(crate) fn mapped<'a>(
    map: &'a HashMap<String, Vec<String>>,
    id: &'a str,
) -> impl Iterator<Item = &'a str> {
    let bare = id.split_once(':').map_or(id, |(_, code)| code);
    let found = map
        .get(id)
        .or_else(|| map.get(bare))
        .map(Vec::as_slice)
        .unwrap_or_default();
    found
        .iter()
        .map(String::as_str)
        .chain(found.is_empty().then_some(id))
}

/// Whether an id is written like a CUI: the letter, and nothing but digits behind it.
fn is_numbered(id: &str) -> bool {
    let digits = id.strip_prefix(['C', 'c']);
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The concept of an id, whichever way its prefix is written: "D003920", "MESH:D003920", "OMIM:219700", "219700"; a CUI may have a small
/// letter.
pub(crate) fn resolve(index: &Index, id: &str) -> Option<u32> {
    let id = id.trim();
    let capital = || is_numbered(id).then(|| index.concept(&id.to_uppercase()))?;
    index
        .concept(id)
        .or_else(capital)
        .or_else(|| match id.split_once(':') {
            Some((prefix, code)) => index
                .concept(&format!("{}:{code}", prefix.to_uppercase()))
                .or_else(|| index.concept(code)),
            None => ["MESH", "OMIM", "UMLS"]
                .iter()
                .find_map(|prefix| index.concept(&format!("{prefix}:{id}"))),
        })
}
