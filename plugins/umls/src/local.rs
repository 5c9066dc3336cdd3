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

use crate::error::Error;
use crate::index::{Index, Table};
use crate::linker::similarity::{Weighed, Weights};
use crate::text::Forms;

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
    /// Those of them that look like CUIs: of another release or subset, or mistyped.
    unknown: BTreeSet<String>,
    concepts: u32,
    lines: usize,
}

/// A concept that a name stands for, and how often it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) concept: u32,
    pub(crate) count: u32,
    pub(crate) name: u32,
}

impl Local {
    /// Reads `path`; `map` leads from other ids to the index's. The numbers of its own concepts follow those of the index.
    pub(crate) fn read(
        path: &Path,
        index: &Index,
        map: &HashMap<String, Vec<String>>,
    ) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut local = Self {
            concepts: index.record().concepts as u32,
            ..Self::default()
        };
        let (mut name_at, mut id_at, mut action_at) = (0, 1, 2);
        let mut first = true;
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
            if std::mem::take(&mut first) {
                let column = |names: &[&str]| {
                    cells
                        .iter()
                        .position(|cell| names.iter().any(|name| cell.eq_ignore_ascii_case(name)))
                };
                if let (Some(name), Some(id)) = (
                    column(&["name", "synonym", "mention", "text"]),
                    column(&["id", "cui", "concept", "concept_id"]),
                ) {
                    (name_at, id_at) = (name, id);
                    action_at = column(&["action"]).unwrap_or(usize::MAX);
                    continue;
                }
                // Without a header, the column whose content the index knows as ids is the one of ids.
                let known = |at: usize| cells.get(at).is_some_and(|cell| local.known(cell, index));
                if known(0) && !known(1) {
                    (name_at, id_at) = (1, 0);
                }
            }
            let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
            let (name, ids) = (cell(name_at), cell(id_at));
            if name.is_empty() || ids.is_empty() {
                return Err(wrong(
                    "a line is: name, tab, concept id, optionally tab and add or block".to_owned(),
                ));
            }
            if name.contains(char::is_control) || ids.contains(char::is_control) {
                return Err(wrong(
                    "the name or id has a control character in it; write it without".to_owned(),
                ));
            }
            let block = match cell(action_at).to_ascii_lowercase().as_str() {
                "" | "add" => false,
                "block" => true,
                other => return Err(wrong(format!("action \"{other}\" is neither add nor block"))),
            };
            let forms = Forms::of(name);
            if forms.exact.is_empty() {
                return Err(wrong("the name has no letter or digit".to_owned()));
            }
            let ids = ids
                .split(['|', '+', ';'])
                .map(str::trim)
                .filter(|id| !id.is_empty());
            for id in ids.flat_map(|id| mapped(map, id)) {
                local.lines += 1;
                match resolve(index, id) {
                    Some(concept) if block => drop(local.blocked.insert((forms.exact.clone(), concept))),
                    Some(concept) => local.add(name, &forms, concept, &mut weights),
                    // Blocking what is not there.
                    None if block => {}
                    None => {
                        if index.record().kind == "umls" && is_numbered(id) {
                            local.unknown.insert(id.to_owned());
                        }
                        let concept = local.own_concept(id, name);
                        local.add(name, &forms, concept, &mut weights);
                    }
                }
            }
        }
        for entries in local.tables.iter_mut().flat_map(HashMap::values_mut) {
            entries.sort_by_key(|entry| (std::cmp::Reverse(entry.count), entry.name));
        }
        Ok(local)
    }

    fn known(&self, ids: &str, index: &Index) -> bool {
        ids.split(['|', '+', ';'])
            .any(|id| resolve(index, id.trim()).is_some())
    }

    fn own_concept(&mut self, id: &str, name: &str) -> u32 {
        let at = self.own.iter().position(|(own, _)| own == id).unwrap_or_else(|| {
            self.own.push((id.to_owned(), name.to_owned()));
            self.own.len() - 1
        });
        self.concepts + at as u32
    }

    fn add(&mut self, name: &str, forms: &Forms, concept: u32, weights: &mut Weights<'_>) {
        *self.given.entry(concept).or_default() += 1;
        let mut entries = self.entries(Table::Exact, forms).iter();
        let known = entries.find(|entry| entry.concept == concept).copied();
        let number = known.map_or(self.names.len() as u32, |entry| entry.name);
        if known.is_none() {
            let words = Weighed::of(name, weights);
            self.names.push((name.to_owned(), words, concept));
            for stem in forms.stems.iter().collect::<HashSet<_>>() {
                self.by_word.entry(stem.clone()).or_default().push(number);
            }
        }
        for table in Table::ALL {
            let form = table.form(forms).to_owned();
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
