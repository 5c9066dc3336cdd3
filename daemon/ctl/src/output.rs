//! Where results go: standard output or a file that is opened when there is something to write.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::table::Style;

/// The chosen output.
#[derive(Debug)]
pub enum Output {
    /// Standard output, written through at once.
    Stdout,
    /// A file, opened at the first write so that a run that fails leaves an older one as it was.
    File {
        /// Its path.
        path: PathBuf,
        /// The file once it is open.
        file: Option<BufWriter<File>>,
    },
}

impl Output {
    /// The output for an option `--output`; `-` is standard output too.
    pub fn new(path: Option<PathBuf>) -> Self {
        match path {
            Some(path) if path != Path::new("-") => Self::File { path, file: None },
            _ => Self::Stdout,
        }
    }

    /// How a table shall look there.
    pub fn style(&self) -> Style {
        if !matches!(self, Self::Stdout) || !io::stdout().is_terminal() {
            return Style::default();
        }
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Style {
            width: terminal_size::terminal_size_of(io::stdout())
                .map(|(terminal_size::Width(width), _)| usize::from(width))
                .filter(|&width| width > 0),
            colour: set("NO_COLOR").is_none() && set("TERM").is_some_and(|term| term != "dumb"),
        }
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// [`Error::Write`]; [`Error::is_closed_pipe`] tells whether the reader just went away.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let outcome = match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush())
            }
            Self::File { path, file } => match file {
                Some(file) => file.write_all(bytes),
                None => open(path).and_then(|opened| file.insert(opened).write_all(bytes)),
            },
        };
        outcome.map_err(|source| self.failed(source))
    }

    /// Makes sure that everything has arrived.
    ///
    /// # Errors
    /// [`Error::Write`]
    pub fn finish(&mut self) -> Result<(), Error> {
        match self {
            Self::File { file: Some(file), .. } => file.flush().map_err(|source| self.failed(source)),
            _ => Ok(()),
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Write {
            target: match self {
                Self::Stdout => "standard output".to_owned(),
                Self::File { path, .. } => path.display().to_string(),
            },
            source,
        }
    }
}

/// Whether writing to `output` would cost one of `inputs`, by whatever names both go. What is no file, such as
/// `/dev/null`, loses nothing.
pub fn overwrites(output: &Path, mut inputs: impl Iterator<Item = io::Result<Metadata>>) -> bool {
    let Ok(target) = output.metadata() else {
        return false;
    };
    let same = |input: Metadata| (input.dev(), input.ino()) == (target.dev(), target.ino());
    target.is_file() && inputs.any(|input| input.is_ok_and(same))
}

fn open(path: &Path) -> io::Result<BufWriter<File>> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map(BufWriter::new)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_appears_with_the_first_write_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut output = Output::new(Some(path.clone()));
        output.finish().unwrap();
        assert!(!path.exists());
        output.write(b"a").unwrap();
        output.write(b"b").unwrap();
        output.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"ab");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_has_no_terminal_style() {
        assert_eq!(Output::new(Some("x".into())).style(), Style::default());
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let mut output = Output::new(Some("/nonexistent/out".into()));
        let error = output.write(b"a").unwrap_err();
        assert!(error.to_string().contains("/nonexistent/out"), "{error}");
    }
}
