//! The one unsafe thing here: an index file mapped into memory.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

use crate::error::Error;

/// The bytes of an index file, shared and read-only.
#[derive(Debug)]
pub(super) struct Map(Mmap);

impl Map {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// [`Error::Read`]
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let map = || {
            // Opening a pipe would wait for whoever writes into it.
            if !path.metadata()?.is_file() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "it is a folder, pipe or device and no index; give the file that mednerd-umls build wrote",
                ));
            }
            let file = File::open(path)?;
            // SAFETY: a mapping is sound as long as nobody writes to the file or truncates it while it is mapped.
            // The builder never changes a finished index: it writes a new file beside it and renames it over the
            // old name, which leaves this one's bytes as they are until it is unmapped. The manual tells
            // administrators to replace an index by building or moving, never by writing into it, and the file
            // belongs to root, whom the process that maps it cannot defend against anyway. Nothing here relies on
            // the content: every access is checked against the length, so wrong bytes give wrong links and no more.
            unsafe { Mmap::map(&file) }
        };
        map().map(Self).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })
    }
}

impl std::ops::Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
