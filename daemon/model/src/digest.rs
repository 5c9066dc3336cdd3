//! The digest that names what a checkpoint is: SHA-256 over the contents of its files, in a defined order.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::ModelError;
use crate::files::io_error;

const BLOCK: usize = 1 << 20;

/// Hashes files one after the other. For each: the length of its name (8 bytes, little-endian), its name, the length of
/// its content (8 bytes, little-endian), its content. Lengths in front make the sequence unambiguous.
pub(crate) struct Hasher {
    state: Sha256,
    block: Vec<u8>,
}

impl Hasher {
    pub(crate) fn new() -> Self {
        Self {
            state: Sha256::new(),
            block: vec![0; BLOCK],
        }
    }

    pub(crate) fn bytes(&mut self, name: &str, content: &[u8]) {
        self.start(name, content.len() as u64);
        self.state.update(content);
    }

    /// Hashes the first `size` bytes of `file`, which was opened from `path`.
    pub(crate) fn file(&mut self, name: &str, path: &Path, file: &File, size: u64) -> Result<(), ModelError> {
        self.start(name, size);
        let mut at = 0_u64;
        while at < size {
            let wanted = usize::try_from(size.saturating_sub(at))
                .unwrap_or(BLOCK)
                .min(BLOCK);
            let block = self.block.get_mut(..wanted).unwrap_or_default();
            file.read_exact_at(block, at).map_err(|e| io_error(path, e))?;
            self.state.update(&*block);
            at = at.saturating_add(wanted as u64);
        }
        Ok(())
    }

    /// The digest as 64 lower-case hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        self.state
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn start(&mut self, name: &str, size: u64) {
        self.state.update((name.len() as u64).to_le_bytes());
        self.state.update(name.as_bytes());
        self.state.update(size.to_le_bytes());
    }
}
