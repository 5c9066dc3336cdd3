//! Opening the files of a checkpoint directory: regular files only, under a size limit. Symbolic links are followed,
//! because that is how the Hugging Face cache lays a snapshot out.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::ModelError;

/// Largest `config.json`, `tokenizer_config.json` and the like, in bytes.
pub(crate) const JSON_LIMIT: u64 = 8 << 20;
/// Largest `tokenizer.json`, `vocab.txt` or index of shards, in bytes. XLM-RoBERTa's tokenizer has 17 MB.
pub(crate) const VOCABULARY_LIMIT: u64 = 64 << 20;

/// A small file, read whole.
#[derive(Debug)]
pub(crate) struct Small {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn io_error(path: &Path, source: io::Error) -> ModelError {
    ModelError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Opens `path` and gives its size in bytes; `None` where there is no such file.
pub(crate) fn open(path: &Path) -> Result<Option<(File, u64)>, ModelError> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(e) if e.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
            return Ok(None);
        }
        Err(e) => return Err(io_error(path, e)),
    };
    // Asked before opening: opening a pipe would wait for a writer.
    if !found.is_file() {
        return Err(ModelError::NotAFile {
            path: path.to_owned(),
        });
    }
    let file = File::open(path).map_err(|e| io_error(path, e))?;
    let size = file.metadata().map_err(|e| io_error(path, e))?.len();
    Ok(Some((file, size)))
}

/// Reads `dir/name` whole if it is there and has at most `limit` bytes.
pub(crate) fn read(dir: &Path, name: &str, limit: u64) -> Result<Option<Small>, ModelError> {
    let path = dir.join(name);
    let Some((file, size)) = open(&path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    // One byte more than the limit, so that a file that grows meanwhile is noticed.
    if size <= limit {
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|e| io_error(&path, e))?;
    }
    let found = size.max(bytes.len() as u64);
    if found > limit {
        return Err(ModelError::TooLarge { path, found, limit });
    }
    Ok(Some(Small { path, bytes }))
}
