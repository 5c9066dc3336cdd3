//! The codes of an index's concepts in other vocabularies.

use std::path::Path;

use super::offset;
use super::sort::Sorter;
use super::writer::Writer;
use crate::error::Error;
use crate::index::format::Section;

/// Bytes behind the key of a record: a zero, the standing of the code's name, the hash of its form.
const TAIL: usize = 1 + 2 + 8;

/// The codes that the readers have found so far, sorted outside memory.
pub(super) struct Codes(Sorter);

impl Codes {
    pub(super) fn new(folder: &Path, memory: usize) -> Self {
        Self(Sorter::new(folder, memory))
    }

    /// Adds a code of a concept; `form` is the hash of its name's exact form.
    pub(super) fn add(
        &mut self,
        concept: u32,
        vocabulary: u16,
        code: &str,
        quality: u16,
        form: u64,
    ) -> Result<(), Error> {
        self.0.push(&[
            &concept.to_be_bytes(),
            &vocabulary.to_be_bytes(),
            code.as_bytes(),
            &[0],
            &(!quality).to_be_bytes(),
            &form.to_be_bytes(),
        ])
    }

    /// Writes the codes, each once, with the number of its name among `names`, which are ordered by the hashes of their
    /// forms. Gives where those of each concept begin, and at last how many there are.
    pub(super) fn write(
        self,
        names: &[(u64, u32)],
        concepts: usize,
        file: &mut Writer<'_>,
    ) -> Result<Vec<u32>, Error> {
        let mut text = Vec::new();
        let mut codings = Vec::new();
        let mut starts = vec![0_u32; concepts + 1];
        let mut before: Vec<u8> = Vec::new();
        self.0.finish(|sorted| {
            let Some((concept, vocabulary, code, form)) = parts(sorted) else {
                return Ok(());
            };
            // The first of a concept's equal codes is the one with the best name.
            let key = &sorted[..sorted.len() - TAIL];
            if key == before {
                return Ok(());
            }
            before.clear();
            before.extend(key);
            starts[concept as usize + 1] += 1;
            let start = offset(text.len(), "codes")?;
            text.extend(code);
            let end = offset(text.len(), "codes")?;
            for field in [u32::from(vocabulary), start, end, named(names, form)] {
                codings.extend(field.to_le_bytes());
            }
            Ok(())
        })?;
        for i in 0..concepts {
            starts[i + 1] += starts[i];
        }
        file.section(Section::Codings, &codings)?;
        file.section(Section::CodingText, &text)?;
        Ok(starts)
    }
}

/// The concept, vocabulary and code of a record, and the hash of its name's form.
fn parts(sorted: &[u8]) -> Option<(u32, u16, &[u8], u64)> {
    let (concept, rest) = sorted.split_first_chunk()?;
    let (vocabulary, rest) = rest.split_first_chunk()?;
    let (code, tail) = rest.split_at_checked(rest.len().checked_sub(TAIL)?)?;
    Some((
        u32::from_be_bytes(*concept),
        u16::from_be_bytes(*vocabulary),
        code,
        u64::from_be_bytes(*tail.last_chunk()?),
    ))
}

/// The first name with this form; none where it was left out of the index.
fn named(names: &[(u64, u32)], form: u64) -> u32 {
    let at = names.partition_point(|(hash, _)| *hash < form);
    let found = names.get(at).filter(|(hash, _)| *hash == form);
    found.map_or(u32::MAX, |(_, name)| *name)
}
