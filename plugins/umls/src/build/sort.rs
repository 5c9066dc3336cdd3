//! Sorting more than fits into memory: runs in unnamed temporary files, merged. The outcome is the sorted sequence
//! of the records' bytes and depends on nothing else.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Takes records in any order and gives them back in the order of their bytes.
#[derive(Debug)]
pub(super) struct Sorter {
    folder: PathBuf,
    budget: usize,
    bytes: Vec<u8>,
    /// Start and length of each record in `bytes`.
    records: Vec<(u32, u32)>,
    runs: Vec<File>,
}

impl Sorter {
    /// Keeps at most about `budget` bytes in memory and the rest in unnamed files in `folder`.
    pub(super) fn new(folder: &Path, budget: usize) -> Self {
        Self {
            folder: folder.to_owned(),
            budget: budget.clamp(1 << 16, 1 << 31),
            bytes: Vec::new(),
            records: Vec::new(),
            runs: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, parts: &[&[u8]]) -> Result<(), Error> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if self.bytes.len() + length + 8 * (self.records.len() + 1) > self.budget && !self.records.is_empty()
        {
            let spilt = self.spill();
            spilt.map_err(|source| self.failed(source))?;
        }
        self.records.push((self.bytes.len() as u32, length as u32));
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Write {
            path: self.folder.clone(),
            source,
        }
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        let record = |&(start, length): &(u32, u32)| &bytes[start as usize..start as usize + length as usize];
        self.records.sort_unstable_by(|a, b| record(a).cmp(record(b)));
    }

    fn spill(&mut self) -> io::Result<()> {
        self.sort();
        let mut file = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(&self.folder)?);
        for &(start, length) in &self.records {
            file.write_all(&length.to_le_bytes())?;
            file.write_all(&self.bytes[start as usize..start as usize + length as usize])?;
        }
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.runs.push(file);
        self.bytes.clear();
        self.records.clear();
        Ok(())
    }

    /// Calls `each` with every record in order; equal ones come once.
    pub(super) fn finish(mut self, mut each: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        self.sort();
        let mut last: Option<Vec<u8>> = None;
        let mut once = |record: &[u8]| {
            if last.as_deref() == Some(record) {
                return Ok(());
            }
            let last = last.get_or_insert_default();
            last.clear();
            last.extend_from_slice(record);
            each(record)
        };
        if self.runs.is_empty() {
            return self.records.iter().try_for_each(|&(start, length)| {
                once(&self.bytes[start as usize..start as usize + length as usize])
            });
        }
        let spilt = self.spill();
        spilt.map_err(|source| self.failed(source))?;
        self.bytes = Vec::new();
        self.records = Vec::new();
        let runs = std::mem::take(&mut self.runs);
        let mut runs: Vec<BufReader<File>> = runs
            .into_iter()
            .map(|run| BufReader::with_capacity(1 << 18, run))
            .collect();
        let mut heap = BinaryHeap::new();
        for (i, run) in runs.iter_mut().enumerate() {
            if let Some(record) = next(run).map_err(|source| self.failed(source))? {
                heap.push(Reverse((record, i)));
            }
        }
        while let Some(Reverse((record, i))) = heap.pop() {
            once(&record)?;
            if let Some(record) = next(&mut runs[i]).map_err(|source| self.failed(source))? {
                heap.push(Reverse((record, i)));
            }
        }
        Ok(())
    }
}

fn next(run: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match run.read_exact(&mut length) {
        Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        outcome => outcome?,
    }
    let mut record = vec![0; u32::from_le_bytes(length) as usize];
    run.read_exact(&mut record)?;
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn many_runs_give_what_one_gives() {
        let folder = tempfile::tempdir().unwrap();
        let records: Vec<String> = (0..40_000_u64)
            .map(|i| format!("{}", i.wrapping_mul(2_654_435_761) % 30_011))
            .collect();
        let sorted = |budget| {
            let mut sorter = Sorter::new(folder.path(), budget);
            for record in &records {
                sorter.push(&[record.as_bytes()]).unwrap();
            }
            let runs = sorter.runs.len();
            let mut out = Vec::new();
            sorter
                .finish(|record| {
                    out.push(String::from_utf8(record.to_vec()).unwrap());
                    Ok(())
                })
                .unwrap();
            (runs, out)
        };
        let (few, one) = sorted(1 << 30);
        let (many, merged) = sorted(0);
        assert_eq!(few, 0);
        assert!(many > 3);
        assert_eq!(one, merged);
        let mut expected = records.clone();
        expected.sort();
        expected.dedup();
        assert_eq!(one, expected);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
