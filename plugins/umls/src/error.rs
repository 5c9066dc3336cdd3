//! What can go wrong, in words that say what to do. No message holds text of a note.

use std::io;
use std::path::PathBuf;

/// An error of building, opening or evaluating.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line of an input file is not as it should be.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// An input file as a whole is not as it should be.
    #[error("{}: {problem}", path.display())]
    Input {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The index file is damaged, or none.
    #[error("{}: {damage}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A setting makes no sense.
    #[error("setting \"{name}\": {problem}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// More than the format can hold.
    #[error("the input has more {0} than an index can hold; leave out vocabularies with --sab")]
    TooMuch(&'static str),
}

/// What is wrong with an index file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// It begins with something else.
    #[error("this is no index; make one with mednerd-umls build")]
    NotAnIndex,
    /// It was made by another version.
    #[error("format version {0} is not the one that this version reads; build the index again")]
    Version(u32),
    /// It is shorter than its header says.
    #[error("the file is cut short; copy it or build it again")]
    Truncated,
    /// A checksum does not fit.
    #[error("the checksum of the {0} does not fit: the file is damaged; copy it or build it again")]
    Checksum(&'static str),
    /// The build record cannot be read.
    #[error("the build record cannot be read; build the index again")]
    Record,
}

/// The first names of a list, and how many more there are, for a message.
pub(crate) fn first_of(names: &[impl AsRef<str>], most: usize) -> String {
    let (first, more) = names.split_at(names.len().min(most));
    let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
    match more.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
