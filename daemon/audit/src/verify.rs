//! Reads a trail back and finds what was changed, taken out, put in or put in another order.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::trail::{ORIGIN, Part};
use crate::{FORMAT, Key, Record};

/// What stands between a record and its chain value.
pub(crate) const CHAIN_TAIL: &str = ",\"chain\":\"";

/// Characters of a chain value.
const CHAIN: usize = 64;

/// A longer line is no record.
const MAX_LINE: u64 = 1 << 20;

/// How long, and how often, the end of a line is waited for: a record may just be written, or the disk be tried.
const TO_END: Duration = Duration::from_millis(20);
const LOOKS: u32 = 50;

/// A file, the number of a line of it, and the line.
type Line = (PathBuf, u64, Vec<u8>);

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It is no record, or one of a newer format.
    Unreadable,
    /// Its bytes are not those that were written, or they were written with another key.
    Altered,
    /// The line before it is not the one that it was written after.
    Unlinked {
        /// The number that was due.
        expected: u64,
        /// Its own.
        found: u64,
    },
}

/// A line of a trail that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// From 1.
    pub line: u64,
    /// What is wrong.
    pub flaw: Flaw,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.path.display(), self.line)?;
        match self.flaw {
            Flaw::Unreadable => f.write_str("not a record that this version can read"),
            Flaw::Altered => f.write_str("the record was altered, or written with another key"),
            Flaw::Unlinked { expected, found } => write!(
                f,
                "record {found} does not follow the one before it, where record {expected} was due: \
                 records were taken out, put in or put in another order"
            ),
        }
    }
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records that are as they were written.
    pub records: u64,
    /// The number of the first.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
    /// The chain value of the last.
    pub head: String,
    /// Every line that is not.
    pub faults: Vec<Fault>,
}

/// Reads the files of a trail, oldest first, line by line.
pub struct Verifier<'k> {
    key: Option<&'k Key>,
    waiting: VecDeque<Part>,
    reading: Option<(PathBuf, BufReader<File>, u64)>,
    previous: Option<(u64, String)>,
    report: Report,
    /// How often a line without its end is looked at again.
    pub(crate) looks: u32,
}

impl<'k> Verifier<'k> {
    /// A reader of these files. Without a key, links between records are looked at and their bytes are not.
    pub fn new(files: impl IntoIterator<Item = impl Into<Part>>, key: Option<&'k Key>) -> Self {
        Self {
            key,
            waiting: files.into_iter().map(Into::into).collect(),
            reading: None,
            previous: None,
            report: Report::default(),
            looks: LOOKS,
        }
    }

    /// The next record that can be read, whether or not there is a fault to it.
    ///
    /// # Errors
    /// What the system says, with the file.
    pub fn next_record(&mut self) -> Result<Option<Record>, (PathBuf, io::Error)> {
        loop {
            let Some((path, number, line)) = self.next_line()? else {
                return Ok(None);
            };
            if let Some(record) = self.check(&path, number, &line) {
                return Ok(Some(record));
            }
        }
    }

    /// What was found in what was read so far.
    pub fn report(self) -> Report {
        self.report
    }

    /// Reads everything.
    ///
    /// # Errors
    /// As [`next_record`](Self::next_record).
    pub fn all(mut self) -> Result<Report, (PathBuf, io::Error)> {
        while self.next_record()?.is_some() {}
        Ok(self.report)
    }

    fn next_line(&mut self) -> Result<Option<Line>, (PathBuf, io::Error)> {
        loop {
            if let Some((path, reader, number)) = &mut self.reading {
                // Only the last file is written to.
                let looks = if self.waiting.is_empty() { self.looks } else { 0 };
                let line = whole_line(reader, looks);
                let line = line.map_err(|error| (path.clone(), error))?;
                if !line.is_empty() {
                    *number += 1;
                    return Ok(Some((path.clone(), *number, line)));
                }
            }
            let Some(Part { path, file }) = self.waiting.pop_front() else {
                return Ok(None);
            };
            match file.map_or_else(|| File::open(&path), Ok) {
                Ok(file) => self.reading = Some((path, BufReader::new(file), 0)),
                Err(error) => return Err((path, error)),
            }
        }
    }

    fn check(&mut self, path: &Path, line: u64, bytes: &[u8]) -> Option<Record> {
        let mut fault = |flaw| {
            self.report.faults.push(Fault {
                path: path.to_owned(),
                line,
                flaw,
            });
        };
        let whole = bytes.strip_suffix(b"\n").and_then(split);
        let Some((record, chain, body)) = whole else {
            fault(Flaw::Unreadable);
            // What comes next follows a record that nobody can read: its number alone can be told.
            self.previous = self.previous.take().map(|(seq, _)| (seq + 1, String::new()));
            return None;
        };
        let altered = self.key.is_some_and(|key| key.chain(body) != chain);
        if altered {
            fault(Flaw::Altered);
        }
        let (expected, linked) = match &self.previous {
            None if record.seq == 1 => (1, record.previous == ORIGIN),
            // Older files were put elsewhere.
            None => (record.seq, true),
            Some((seq, chain)) => {
                let unknown = chain.is_empty();
                (
                    seq + 1,
                    record.seq == seq + 1 && (unknown || record.previous == *chain),
                )
            }
        };
        if !linked {
            let found = record.seq;
            fault(Flaw::Unlinked { expected, found });
        }
        if linked && !altered {
            self.report.records += 1;
        }
        if self.report.first == 0 {
            self.report.first = record.seq;
        }
        self.report.last = record.seq;
        chain.clone_into(&mut self.report.head);
        self.previous = Some((record.seq, chain.to_owned()));
        Some(record)
    }
}

/// The next line, empty at the end of the file. One without its end is looked at again as often as this, since somebody may be writing it.
fn whole_line(reader: &mut BufReader<File>, mut looks: u32) -> io::Result<Vec<u8>> {
    loop {
        let mut line = Vec::new();
        io::Read::take(&mut *reader, MAX_LINE).read_until(b'\n', &mut line)?;
        let is_whole = line.is_empty() || line.ends_with(b"\n") || line.len() as u64 == MAX_LINE;
        if is_whole || looks == 0 {
            return Ok(line);
        }
        looks -= 1;
        reader.seek(SeekFrom::Current(-i64::try_from(line.len()).unwrap_or(0)))?;
        std::thread::sleep(TO_END);
    }
}

/// A line without its end: the record, its chain value, and the bytes that this is about.
pub(crate) fn split(line: &[u8]) -> Option<(Record, &str, &[u8])> {
    let rest = line.strip_suffix(b"\"}")?;
    let (body, chain) = rest.split_at_checked(rest.len().checked_sub(CHAIN)?)?;
    let body = body.strip_suffix(CHAIN_TAIL.as_bytes())?;
    let chain = std::str::from_utf8(chain).ok()?;
    let mut json = body.to_vec();
    json.push(b'}');
    let record: Record = serde_json::from_slice(&json).ok()?;
    (record.format <= FORMAT).then_some((record, chain, body))
}
