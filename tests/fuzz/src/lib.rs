//! What the targets share: seeds, a folder for files, and the invariants of texts. A target panics where an invariant is broken.

pub mod models;
pub mod vocabulary;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where something of the repository is.
pub fn tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The files of a folder of the repository with this ending, in order.
pub fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(tree(folder)).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.to_string_lossy().ends_with(ending));
    found.sort();
    found
}

/// The notes of the gold, without their answers.
pub fn notes() -> impl Iterator<Item = Vec<u8>> {
    files("tests/gold/notes", ".txt")
        .into_iter()
        .map(|path| fs::read(path).unwrap())
}

/// Writes what a target begins with to where `run.sh` asks for it.
pub fn seeds(all: impl IntoIterator<Item = Vec<u8>>) {
    if let Some(folder) = std::env::var_os("MEDNERD_FUZZ_SEEDS") {
        for (number, seed) in all.into_iter().enumerate() {
            fs::write(Path::new(&folder).join(format!("seed-{number:03}")), seed).unwrap();
        }
    }
}

/// Lets the code under test catch its own panics, which libfuzzer-sys else takes for crashes; one that nobody catches still is one.
pub fn panics_are_caught() {
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
}

/// A folder of this process; `run.sh` has it in memory.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("mednerd-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    })
}

/// Writes a file into that folder.
pub fn file(name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Bytes that decide, taken from the front; zeros where there are no more.
#[derive(Clone, Copy)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// Some bytes.
    pub fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        let (own, rest) = self.0.split_at(N.min(self.0.len()));
        taken[..own.len()].copy_from_slice(own);
        self.0 = rest;
        taken
    }

    /// One of so many.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(u16::from_le_bytes(self.take())) % count.max(1)
    }

    /// The bytes up to a line that is `%%` alone, or all.
    pub fn part(&mut self) -> &'a [u8] {
        const BORDER: &[u8] = b"\n%%\n";
        let at = self.0.windows(BORDER.len()).position(|bytes| bytes == BORDER);
        let (own, rest) = self.0.split_at(at.unwrap_or(self.0.len()));
        self.0 = rest.get(BORDER.len()..).unwrap_or_default();
        own
    }

    /// All that is left, as a text.
    pub fn text(self) -> String {
        String::from_utf8_lossy(self.0).into_owned()
    }

    /// Whether there is no more.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Parts as [`Input::part`] takes them.
pub fn parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    parts.into_iter().collect::<Vec<_>>().join(&b"\n%%\n"[..])
}

/// A range is a part of a text that is not empty.
#[track_caller]
pub fn slice(text: &str, range: Range<usize>) -> &str {
    match text.get(range.clone()) {
        Some(own) if !own.is_empty() => own,
        _ => panic!("{range:?} of {} bytes is no slice", text.len()),
    }
}

/// Numbers that are the same for the same bytes: choices that no input should have to make.
pub struct Dice(u64);

impl Dice {
    /// Thrown by some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix) | 1)
    }

    /// Less than `count`.
    pub fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % count.max(1)
    }
}
