//! Writes an index: its sections one after another, each with its checksum, and the header at last.

use std::io::{BufWriter, Seek, SeekFrom, Write};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::offset;
use crate::error::Error;
use crate::index::format::{self, Extent, Section};
use crate::output::Output;

/// An index that is being written beside its destination.
pub(super) struct Writer<'a> {
    out: &'a Output,
    file: BufWriter<NamedTempFile>,
    at: u64,
    extents: Vec<Extent>,
    open: Option<(usize, Sha256)>,
}

impl<'a> Writer<'a> {
    pub(super) fn create(out: &'a Output) -> Result<Self, Error> {
        let mut writer = Self {
            out,
            file: BufWriter::with_capacity(1 << 20, out.begin()?),
            at: 0,
            extents: vec![Extent::default(); Section::ALL.len()],
            open: None,
        };
        writer.raw(&vec![0; format::HEADER])?;
        Ok(writer)
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file.write_all(bytes);
        written.map_err(|source| self.out.failed(source))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn begin(&mut self, section: Section) -> Result<(), Error> {
        let gap = self.at.next_multiple_of(format::ALIGN) - self.at;
        self.raw(&vec![0; gap as usize])?;
        let slot = Section::ALL
            .iter()
            .position(|at| *at == section)
            .unwrap_or_default();
        self.extents[slot].offset = self.at;
        self.open = Some((slot, Sha256::new()));
        Ok(())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some((_, digest)) = &mut self.open {
            digest.update(bytes);
        }
        self.raw(bytes)
    }

    pub(super) fn end(&mut self) -> Result<(), Error> {
        if let Some((slot, digest)) = self.open.take() {
            let extent = &mut self.extents[slot];
            extent.length = self.at - extent.offset;
            extent.sha256.copy_from_slice(&digest.finalize());
        }
        Ok(())
    }

    pub(super) fn section(&mut self, section: Section, bytes: &[u8]) -> Result<(), Error> {
        self.begin(section)?;
        self.write(bytes)?;
        self.end()
    }

    pub(super) fn numbers(
        &mut self,
        section: Section,
        numbers: impl Iterator<Item = u32>,
    ) -> Result<(), Error> {
        self.begin(section)?;
        let mut bytes = Vec::with_capacity(1 << 16);
        for number in numbers {
            bytes.extend(number.to_le_bytes());
            if bytes.len() >= 1 << 16 {
                self.write(&bytes)?;
                bytes.clear();
            }
        }
        self.write(&bytes)?;
        self.end()
    }

    pub(super) fn strings<'b>(
        &mut self,
        offsets: Section,
        text: Section,
        strings: impl Iterator<Item = &'b str>,
    ) -> Result<(), Error> {
        let mut ends = vec![0];
        let mut length = 0;
        self.begin(text)?;
        for string in strings {
            self.write(string.as_bytes())?;
            length += string.len();
            ends.push(offset(length, "text")?);
        }
        self.end()?;
        self.numbers(offsets, ends.into_iter())
    }

    pub(super) fn persist(mut self) -> Result<(), Error> {
        let header = format::encode(&self.extents, self.at);
        let failed = |source| self.out.failed(source);
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        self.file.write_all(&header).map_err(failed)?;
        let file = self
            .file
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        self.out.place(file, Some(READABLE))
    }
}

/// An index is read by the plugin's own user: readable for all, as a vocabulary's licence is the hospital's matter.
const READABLE: u32 = 0o644;

/// A table from hash to number: buckets by the hash's first bits, in them the last 32 bits and the number. Sorts the entries.
pub(super) fn table(entries: &mut [(u64, u32)]) -> Vec<u8> {
    entries.sort_unstable();
    let bits = (entries.len() / 4).next_power_of_two().trailing_zeros().min(31);
    let mut bytes = Vec::with_capacity(8 * entries.len() + (4 << bits) + 8);
    bytes.extend(bits.to_le_bytes());
    let mut at = 0_usize;
    for bucket in 0..=1_u64 << bits {
        while entries
            .get(at)
            .is_some_and(|(hash, _)| hash.checked_shr(64 - bits).unwrap_or_default() < bucket)
        {
            at += 1;
        }
        bytes.extend((at as u32).to_le_bytes());
    }
    for (hash, number) in entries {
        bytes.extend((*hash as u32).to_le_bytes());
        bytes.extend(number.to_le_bytes());
    }
    bytes
}
