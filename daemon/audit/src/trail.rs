//! The files of a trail and their one writer. A record is there as a whole or not at all: what cannot be
//! written is taken back, and what a crash left half is cut off at the next start.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::verify::{CHAIN_TAIL, split};
use crate::{Entry, FORMAT, Key, Record};

/// The file that is written to.
const CURRENT: &str = "audit.ndjson";
/// The file that is to be the next one, until its first record is in it.
const NEXT: &str = "audit.ndjson.next";

/// The chain value before the first record.
pub(crate) const ORIGIN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The files of the trail in `folder`, oldest first.
///
/// # Errors
/// What the system says where the folder cannot be listed.
pub fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // '-' sorts before '.', so the current file comes last.
        if name == CURRENT || (name.starts_with("audit-") && name.ends_with(".ndjson")) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A file of a trail.
#[derive(Debug)]
pub struct Part {
    /// What it is called, or was when it was opened.
    pub path: PathBuf,
    /// Where its name may become another file's: opened.
    pub file: Option<File>,
}

impl From<PathBuf> for Part {
    fn from(path: PathBuf) -> Self {
        Self { path, file: None }
    }
}

/// The files of the trail in `folder` as they are at one moment, oldest first. The one that is written to is opened before the others are
/// looked for, so that no record is missed or met twice where a daemon puts it aside meanwhile.
///
/// # Errors
/// What the system says where the folder cannot be listed, or the file not be opened.
pub fn parts(folder: &Path) -> io::Result<Vec<Part>> {
    let path = folder.join(CURRENT);
    let current = match File::open(&path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let written_to = current.as_ref().map(identity).transpose()?;
    let is_written_to = |aside: &Path| {
        // One that is gone is missed where it is to be read.
        let found = aside.metadata().ok();
        found.is_some() && found.map(|found| (found.dev(), found.ino())) == written_to
    };
    let aside = files(folder)?.into_iter().filter(|path| !path.ends_with(CURRENT));
    // What begins behind the file that was opened is of another moment.
    let aside = aside.take_while(|aside| !is_written_to(aside));
    let mut parts: Vec<Part> = aside.map(Part::from).collect();
    parts.extend(current.map(|file| Part {
        path,
        file: Some(file),
    }));
    Ok(parts)
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    let found = file.metadata()?;
    Ok((found.dev(), found.ino()))
}

/// Where a record ended up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its number.
    pub seq: u64,
    /// Its chain value.
    pub chain: String,
}

/// A trail that is written to.
#[derive(Debug)]
pub struct Trail {
    folder: PathBuf,
    key: Key,
    last: Written,
    /// Whether something was written since it was last brought to the disk.
    dirty: bool,
    /// `None` after something went wrong: the next record opens it again.
    open: Option<Open>,
    /// When it was last written to; `None` where that has failed since.
    written: Option<Instant>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// How long it is, where nobody else has touched it.
    length: u64,
}

impl Trail {
    /// Opens the trail in `folder`, or begins one. What a crash left half at its end is cut off.
    ///
    /// # Errors
    /// What the system says, and where another process writes this trail.
    pub fn open(folder: &Path, key: Key) -> io::Result<Self> {
        resume(folder)?;
        let mut open = Open::new(folder)?;
        let mut last = open.last()?;
        if last.is_none() {
            let older = files(folder)?
                .into_iter()
                .rev()
                .filter(|path| !path.ends_with(CURRENT));
            for path in older {
                let file = File::open(path)?;
                let length = file.metadata()?.len();
                last = Open { file, length }.last()?;
                if last.is_some() {
                    break;
                }
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            key,
            last: last.unwrap_or(Written {
                seq: 0,
                chain: ORIGIN.to_owned(),
            }),
            dirty: false,
            open: Some(open),
            written: None,
        })
    }

    /// Writes one record. A file that would grow beyond `max_bytes` is put aside first and a new one begun; nothing
    /// is ever removed. With `durable` it is on the disk when this returns; without, when [`unsynced`](Self::unsynced) was synced.
    ///
    /// # Errors
    /// What the system says; then nothing of the record is in the trail, and the next call tries afresh.
    pub fn append(&mut self, entry: &Entry, max_bytes: u64, durable: bool) -> io::Result<Written> {
        let record = Record {
            format: FORMAT,
            seq: self.last.seq + 1,
            time: format!("{:.3}", Timestamp::now()),
            entry: entry.clone(),
            previous: self.last.chain.clone(),
        };
        let mut line = serde_json::to_vec(&record).map_err(io::Error::other)?;
        line.pop();
        let chain = self.key.chain(&line);
        line.extend_from_slice(format!("{CHAIN_TAIL}{chain}\"}}\n").as_bytes());
        let appended = self.write(&line, record.seq, max_bytes, durable);
        self.note(&appended);
        appended?;
        self.last = Written {
            seq: record.seq,
            chain,
        };
        Ok(self.last.clone())
    }

    /// Whether a record could be written now. Where one was, or this was found out, less than `believed` ago and nothing has failed
    /// since, only whether the file is still there; else found out by trying, which takes the disk's time and leaves nothing
    /// behind.
    ///
    /// # Errors
    /// What the system says.
    pub fn probe(&mut self, believed: Duration) -> io::Result<()> {
        if self.written.is_some_and(|at| at.elapsed() < believed) {
            let found = self.opened().map(drop);
            if found.is_err() {
                self.note(&found);
            }
            return found;
        }
        let tried = self.opened().and_then(|open| {
            let written = open.file.write_all(&[b' '; 4096]);
            let undone = open.file.set_len(open.length);
            written.and(undone)?;
            open.file.sync_data()
        });
        self.note(&tried);
        tried
    }

    /// What came of writing to the file.
    fn note(&mut self, written: &io::Result<()>) {
        self.written = written.is_ok().then(Instant::now);
        if written.is_err() {
            self.open = None;
        }
    }

    /// The last record.
    pub fn last(&self) -> &Written {
        &self.last
    }

    /// The file to call `sync_data` on, where something in it may not have reached the disk since the last call. It is the
    /// caller's, so that nobody has to wait for the disk with the trail locked.
    ///
    /// # Errors
    /// What the system says.
    pub fn unsynced(&mut self) -> io::Result<Option<File>> {
        let dirty = std::mem::take(&mut self.dirty);
        let open = self.open.as_ref().filter(|_| dirty);
        open.map(|open| open.file.try_clone()).transpose()
    }

    fn sync(&self) -> io::Result<()> {
        self.open.as_ref().map_or(Ok(()), |open| open.file.sync_data())
    }

    fn write(&mut self, line: &[u8], seq: u64, max_bytes: u64, durable: bool) -> io::Result<()> {
        let open = self.opened()?;
        if open.length > 0 && open.length + line.len() as u64 > max_bytes {
            self.rotate(line, seq, durable)?;
        } else {
            open.write(line, durable)?;
        }
        self.dirty |= !durable;
        Ok(())
    }

    /// The file, opened again where it must be: after an error, and where somebody has put it away.
    fn opened(&mut self) -> io::Result<&mut Open> {
        if let Some(open) = &self.open {
            let found = open.file.metadata()?;
            if found.nlink() == 0 || found.len() != open.length {
                self.open = None;
            }
        }
        match &mut self.open {
            Some(open) => Ok(open),
            closed => Ok(closed.insert(Open::new(&self.folder)?)),
        }
    }

    /// Puts the file aside, when the next one has its first record: number and chain value of the last record are in the file that is
    /// written to, whatever becomes of those put aside.
    fn rotate(&mut self, line: &[u8], seq: u64, durable: bool) -> io::Result<()> {
        self.sync()?;
        // Named by the record that the next file begins with: the names sort as the records do.
        let aside = self.folder.join(format!("audit-{seq:012}.ndjson"));
        let (current, next) = (self.folder.join(CURRENT), self.folder.join(NEXT));
        let begun = Open::begin(&next, line, durable).and_then(|open| {
            std::fs::rename(&current, &aside)?;
            std::fs::rename(&next, &current).inspect_err(|_| drop(std::fs::rename(&aside, &current)))?;
            Ok(open)
        });
        if begun.is_err() {
            // Where this fails, too, the next try writes over it.
            let _ = std::fs::remove_file(&next);
        }
        self.open = Some(begun?);
        Ok(())
    }
}

/// Ends what a crash left of a rotation: a file that was to be the next one is that where the other was put aside, and nothing else.
fn resume(folder: &Path) -> io::Result<()> {
    let (current, next) = (folder.join(CURRENT), folder.join(NEXT));
    let ended = match current.try_exists()? {
        true => std::fs::remove_file(next),
        false => std::fs::rename(next, current),
    };
    match ended {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        let _ = self.sync();
    }
}

impl Open {
    fn new(folder: &Path) -> io::Result<Self> {
        let mut file = locked(&folder.join(CURRENT))?;
        let mut length = file.metadata()?.len();
        let tail = tail(&mut file, length)?;
        if tail.last().is_some_and(|&byte| byte != b'\n') {
            let whole = tail
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |at| at + 1);
            length = length - tail.len() as u64 + whole as u64;
            file.set_len(length)?;
        }
        Ok(Self { file, length })
    }

    /// A new file with its first record.
    fn begin(path: &Path, line: &[u8], durable: bool) -> io::Result<Self> {
        let file = locked(path)?;
        file.set_len(0)?;
        let mut open = Self { file, length: 0 };
        open.write(line, durable)?;
        Ok(open)
    }

    /// Writes a line as a whole or not at all.
    fn write(&mut self, line: &[u8], durable: bool) -> io::Result<()> {
        let mut written = self.file.write_all(line);
        if durable {
            written = written.and_then(|()| self.file.sync_data());
        }
        if let Err(error) = written {
            // Where this fails too, opening it again cuts off what is not whole.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += line.len() as u64;
        Ok(())
    }

    /// The last record, as far as it can be read.
    fn last(&mut self) -> io::Result<Option<Written>> {
        let tail = tail(&mut self.file, self.length)?;
        let lines = tail.rsplit(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        // One that somebody has broken is for the verification to find; the chain goes on after the last good one.
        Ok(lines.filter_map(split).next().map(|(record, chain, _)| Written {
            seq: record.seq,
            chain: chain.to_owned(),
        }))
    }
}

/// A file to append to that no other process appends to.
fn locked(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    if file.try_lock().is_err() {
        let told = format!("{}: another process writes this audit trail", path.display());
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, told));
    }
    Ok(file)
}

/// The last lines of a file, whole ones but for what a crash left; more than any record is long.
fn tail(file: &mut File, length: u64) -> io::Result<Vec<u8>> {
    const ENOUGH: u64 = 1 << 20;
    file.seek(SeekFrom::Start(length.saturating_sub(ENOUGH)))?;
    let mut tail = Vec::new();
    file.take(ENOUGH).read_to_end(&mut tail)?;
    Ok(tail)
}
