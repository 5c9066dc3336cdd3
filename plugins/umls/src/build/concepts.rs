//! The concepts of an index: their ids, semantic types and standing.

use std::collections::HashMap;

use super::names::Names;
use super::offset;
use super::writer::{Writer, table};
use crate::error::Error;
use crate::index::format::Section;
use crate::text;

/// The concepts that the readers have found so far, numbered as they came.
#[derive(Default)]
pub(super) struct Concepts {
    numbers: HashMap<Box<str>, u32>,
    /// Where each id ends in the text of all.
    ends: Vec<u32>,
    ids: String,
    last: Option<(String, u32)>,
    types: HashMap<String, u16>,
    type_names: Vec<String>,
    /// Concept and type.
    typed: Vec<(u32, u16)>,
    /// Concept and vocabulary.
    sources: Vec<(u32, u16)>,
    defined: Vec<(u32, ())>,
    /// Retired CUI and the concept that took its place.
    retired: Vec<(u32, u32)>,
}

impl Concepts {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The number of the concept with this id; a new one where there is none.
    pub(super) fn number(&mut self, id: &str) -> Result<u32, Error> {
        if let Some((last, concept)) = &self.last
            && last == id
        {
            return Ok(*concept);
        }
        let concept = match self.numbers.get(id) {
            Some(&concept) => concept,
            None => {
                let concept = u32::try_from(self.len()).map_err(|_| Error::TooMuch("concepts"))?;
                self.numbers.insert(id.into(), concept);
                self.ids.push_str(id);
                self.ends.push(offset(self.ids.len(), "concepts")?);
                concept
            }
        };
        self.last = Some((id.to_owned(), concept));
        Ok(concept)
    }

    pub(super) fn known(&self, id: &str) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    pub(super) fn add_type(&mut self, concept: u32, name: &str) -> Result<(), Error> {
        let kind = match self.types.get(name) {
            Some(&kind) => kind,
            None => {
                let kind =
                    u16::try_from(self.type_names.len()).map_err(|_| Error::TooMuch("semantic types"))?;
                self.types.insert(name.to_owned(), kind);
                self.type_names.push(name.to_owned());
                kind
            }
        };
        self.typed.push((concept, kind));
        Ok(())
    }

    /// Notes that a vocabulary has a name of the concept.
    pub(super) fn add_source(&mut self, concept: u32, vocabulary: u16) {
        // A release lists a concept's rows together, and those of a vocabulary mostly too.
        if self.sources.last() != Some(&(concept, vocabulary)) {
            self.sources.push((concept, vocabulary));
        }
    }

    /// Notes that the concept has a definition.
    pub(super) fn define(&mut self, concept: u32) {
        self.defined.push((concept, ()));
    }

    /// Notes that `concept` took the place of a retired one, of which this is the number in its id.
    pub(super) fn retire(&mut self, cui: u32, concept: u32) {
        self.retired.push((cui, concept));
    }

    /// Gives back the memory of what ids are looked up by: all rows are read.
    pub(super) fn close(&mut self) {
        self.numbers = HashMap::new();
    }

    /// Writes them. `codings` says where the codes of each begin. Gives how many retired ones lead to another.
    pub(super) fn write(
        mut self,
        codings: &[u32],
        names: &Names,
        file: &mut Writer<'_>,
    ) -> Result<u64, Error> {
        self.write_standing(codings, names, file)?;
        self.write_ids(file)?;
        self.retired.sort_unstable();
        self.retired.dedup_by_key(|(cui, _)| *cui);
        let retired = self.retired.iter().flat_map(|(cui, concept)| [*cui, *concept]);
        file.numbers(Section::Retired, retired)?;
        Ok(self.retired.len() as u64)
    }

    /// Of each concept its preferred name, types, codes, and how established it is.
    fn write_standing(&mut self, codings: &[u32], names: &Names, file: &mut Writer<'_>) -> Result<(), Error> {
        let mut sets = TypeSets::default();
        let mut bytes = Vec::with_capacity(16 * codings.len());
        let mut typed = in_order(&mut self.typed);
        let mut defined = in_order(&mut self.defined);
        let mut sources = in_order(&mut self.sources);
        for (concept, &codings) in codings.iter().enumerate() {
            let concept = concept as u32;
            let types = take_of(&mut typed, concept).iter().map(|(_, kind)| *kind);
            let set = sets.number(types.collect(), &self.type_names);
            let is_defined = !take_of(&mut defined, concept).is_empty();
            let vocabularies = take_of(&mut sources, concept).len().min(0x7f) as u32;
            let count = names.count_of(concept).min(0xff_ffff);
            let standing = count << 8 | vocabularies << 1 | u32::from(is_defined);
            for field in [names.best_of(concept), set, codings, standing] {
                bytes.extend(field.to_le_bytes());
            }
        }
        file.section(Section::Concepts, &bytes)?;
        file.strings(
            Section::TypeSetOffsets,
            Section::TypeSets,
            sets.names.iter().map(String::as_str),
        )
    }

    fn write_ids(&self, file: &mut Writer<'_>) -> Result<(), Error> {
        let starts = || [0].into_iter().chain(self.ends.iter().copied());
        let hash = |(start, &end): (u32, &u32)| text::hash(&self.ids[start as usize..end as usize]);
        let mut hashes: Vec<(u64, u32)> = starts().zip(&self.ends).map(hash).zip(0..).collect();
        file.section(Section::ConceptTable, &table(&mut hashes))?;
        file.numbers(Section::ConceptIdOffsets, starts())?;
        file.section(Section::ConceptIds, self.ids.as_bytes())
    }
}

/// The sets of semantic types that concepts have, by their numbers; the first is empty.
struct TypeSets {
    numbers: HashMap<Vec<u16>, u32>,
    names: Vec<String>,
}

impl Default for TypeSets {
    fn default() -> Self {
        Self {
            numbers: HashMap::from([(Vec::new(), 0)]),
            names: vec![String::new()],
        }
    }
}

impl TypeSets {
    fn number(&mut self, set: Vec<u16>, type_names: &[String]) -> u32 {
        *self.numbers.entry(set).or_insert_with_key(|set| {
            let names: Vec<&str> = set
                .iter()
                .map(|kind| type_names[usize::from(*kind)].as_str())
                .collect();
            self.names.push(names.join("|"));
            self.names.len() as u32 - 1
        })
    }
}

/// The pairs in the order of their concepts, each once.
fn in_order<T: Ord>(pairs: &mut Vec<(u32, T)>) -> &[(u32, T)] {
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// Takes the pairs of `concept` from the front, where those of the concepts before it are taken.
fn take_of<'a, T>(pairs: &mut &'a [(u32, T)], concept: u32) -> &'a [(u32, T)] {
    let count = pairs.iter().take_while(|(at, _)| *at <= concept).count();
    let (own, rest) = pairs.split_at(count);
    *pairs = rest;
    own
}
