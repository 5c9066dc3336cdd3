//! Where notes come from: files and standard input, read whole, as text only where they are UTF-8.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// No note comes near this; it keeps a device or a disk image from filling the memory.
const LIMIT: u64 = 256 * 1024 * 1024;

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Input {
    /// The input that an argument names.
    pub fn named(argument: &Path) -> Self {
        if argument == Path::new("-") {
            Self::Stdin
        } else {
            Self::File(argument.to_owned())
        }
    }

    /// Its name, as the person gave it.
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "-".to_owned(),
            Self::File(path) => path.to_string_lossy().into_owned(),
        }
    }

    /// What the system says of the file, also of one that standard input is read from.
    ///
    /// # Errors
    /// What the system says.
    pub fn metadata(&self) -> io::Result<Metadata> {
        match self {
            Self::Stdin => File::from(io::stdin().as_fd().try_clone_to_owned()?).metadata(),
            Self::File(path) => path.metadata(),
        }
    }

    /// Reads a note, exactly as it is: no line end and no byte order mark is touched, so that offsets are those of the file.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and [`Error::NotUtf8`].
    pub async fn read(&self) -> Result<String, Error> {
        Ok(String::from_utf8(self.bytes().await?)?)
    }

    /// Reads it on a thread that may block.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::TooLarge`]
    pub async fn bytes(&self) -> Result<Vec<u8>, Error> {
        let input = self.clone();
        tokio::task::spawn_blocking(move || match input {
            Self::Stdin => read_bytes(io::stdin().lock(), LIMIT),
            Self::File(path) => read_bytes(File::open(path).map_err(Error::Read)?, LIMIT),
        })
        .await
        .map_err(|error| Error::Read(io::Error::other(error)))?
    }
}

fn read_bytes(source: impl Read, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = source
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::Read)?;
    if read as u64 > limit {
        return Err(Error::TooLarge { limit });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_exactly_as_it_is() {
        let text = "\u{feff}a\r\nb\0é\n";
        assert_eq!(read_bytes(text.as_bytes(), 100).unwrap(), text.as_bytes());
    }

    #[test]
    fn the_first_wrong_byte_is_told() {
        let error: Error = String::from_utf8(b"caf\xe9 noir".to_vec()).unwrap_err().into();
        assert!(matches!(error, Error::NotUtf8 { position: 3 }), "{error}");
        assert!(!error.to_string().contains("noir"));
    }

    #[test]
    fn what_never_ends_is_refused() {
        let error = read_bytes(io::repeat(b'x'), 10).unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 10 }), "{error}");
        assert_eq!(read_bytes(&b"0123456789"[..], 10).unwrap().len(), 10);
    }
}
