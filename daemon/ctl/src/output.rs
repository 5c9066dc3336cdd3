//! Where results go: standard output or a file that is opened when there is something to write.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::exit::Exit;
use crate::table::Style;

/// The chosen output.
#[derive(Debug)]
pub enum Output {
    /// Standard output, written through at once.
    Stdout,
    /// A file, in place once all of it is there, so that a run that fails leaves an older one as it was.
    File {
        /// Its path.
        path: PathBuf,
        /// What is written so far.
        file: Option<Replacement>,
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
                None => {
                    Replacement::open(path, 0o600).and_then(|opened| file.insert(opened).write_all(bytes))
                }
            },
        };
        outcome.map_err(|source| self.failed(source))
    }

    /// Writes all of `bytes`, the last that there is to say, of a run that ends with `exit`: it does so too where the reader
    /// has seen enough.
    ///
    /// # Errors
    /// As of [`Output::write`], but for a reader that went away.
    pub fn last(&mut self, bytes: &[u8], exit: Exit) -> Result<Exit, Error> {
        match self.write(bytes) {
            Err(error) if !error.is_closed_pipe() => Err(error),
            _ => Ok(exit),
        }
    }

    /// Makes sure that everything has arrived.
    ///
    /// # Errors
    /// [`Error::Write`]
    pub fn finish(&mut self) -> Result<(), Error> {
        match self {
            Self::File { file, .. } => match file.take().map_or(Ok(()), Replacement::finish) {
                Ok(()) => Ok(()),
                Err(source) => Err(self.failed(source)),
            },
            Self::Stdout => Ok(()),
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

/// A file that comes into its place when all of it is written. What fails, or is dropped before, leaves what was there. What is no
/// regular file, such as a pipe, is written as it comes.
#[derive(Debug)]
pub struct Replacement {
    file: BufWriter<File>,
    target: PathBuf,
    /// Where it is made; `None` where it is written in place.
    new: Option<PathBuf>,
    mode: u32,
}

impl Replacement {
    /// Begins a file that will be at `path`, with the mode and owner of the one that is there, or else with `mode`.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path, mode: u32) -> io::Result<Self> {
        // A link stays one.
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let old = target.metadata().ok();
        let in_place = |target: PathBuf| {
            let mut options = OpenOptions::new();
            let file = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(mode)
                .open(&target)?;
            Ok(Self {
                file: BufWriter::new(file),
                target,
                new: None,
                mode,
            })
        };
        if old.as_ref().is_some_and(|old| !old.is_file()) {
            return in_place(target);
        }
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let new = target.with_file_name(format!(".{name}.{}.new", std::process::id()));
        let file = match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
        {
            Ok(file) => file,
            // A file that may be written in a folder that may not.
            Err(error) if old.is_some() && error.kind() == io::ErrorKind::PermissionDenied => {
                return in_place(target);
            }
            Err(error) => return Err(error),
        };
        if let Some(old) = &old {
            // Works for root, who may write what is another's.
            let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
        }
        Ok(Self {
            file: BufWriter::new(file),
            target,
            new: Some(new),
            mode: old.map_or(mode, |old| old.mode() & 0o777),
        })
    }

    /// Adds `bytes`.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Puts it in place.
    ///
    /// # Errors
    /// What the system says; then all is as it was.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        let Some(new) = &self.new else { return Ok(()) };
        let file = self.file.get_ref();
        file.set_permissions(Permissions::from_mode(self.mode))?;
        file.sync_all()?;
        std::fs::rename(new, &self.target)?;
        self.new = None;
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Some(new) = &self.new {
            let _ = std::fs::remove_file(new);
        }
    }
}

#[cfg(test)]
mod tests {
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
        assert!(!path.exists(), "not before all of it is there");
        output.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"ab");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_run_that_fails_leaves_the_older_file_and_one_that_does_not_keeps_its_mode_and_link() {
        let folder = tempfile::tempdir().unwrap();
        let [path, link] = ["out", "link"].map(|name| folder.path().join(name));
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut broken = Output::new(Some(link.clone()));
        broken.write(b"half").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        drop(broken);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        let mut whole = Output::new(Some(link.clone()));
        whole.write(b"new").unwrap();
        whole.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert!(link.is_symlink());
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            2,
            "nothing is left beside"
        );
    }

    #[test]
    fn what_is_no_file_is_written_as_it_comes() {
        let mut output = Output::new(Some("/dev/null".into()));
        output.write(b"a").unwrap();
        output.finish().unwrap();
        assert!(!Path::new("/dev/null").is_file());
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
