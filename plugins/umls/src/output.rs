//! Files that a command writes: in place once all of it is there, so that a run that fails leaves the older one as it
//! was, and never over what the command reads. Whoever has the older one mapped keeps it.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::Error;

/// How the files begin that something is written into before it takes its place.
const UNFINISHED: &str = ".mednerd-umls-";
/// A longer chain of links is a ring to the kernel too.
const MOST_LINKS: usize = 40;

/// Where a command writes to.
#[derive(Debug)]
pub(crate) struct Output {
    /// As it was given, for messages.
    path: PathBuf,
    /// Where its links lead: a link stays one.
    target: PathBuf,
    /// What is there.
    old: Option<Metadata>,
}

impl Output {
    /// The output that `option` gives, of a command that reads `inputs`.
    ///
    /// # Errors
    /// [`Error::Input`] where it is a folder, one of the inputs by whatever name, or in a folder that is not there.
    pub(crate) fn new<P: AsRef<Path>>(
        path: &Path,
        option: &str,
        inputs: impl IntoIterator<Item = P>,
    ) -> Result<Self, Error> {
        let refused = |path: &Path, problem: &str| {
            Err(Error::Input {
                path: path.to_owned(),
                problem: problem.to_owned(),
            })
        };
        let output = Self {
            path: path.to_owned(),
            target: behind_links(path),
            old: path.metadata().ok(),
        };
        if !output.folder().is_dir() {
            return refused(output.folder(), "there is no such folder to write into");
        }
        if output.old.as_ref().is_some_and(Metadata::is_dir) {
            return refused(path, &format!("is a folder; give {option} the name of a file"));
        }
        if inputs.into_iter().any(|input| output.is(input.as_ref())) {
            return refused(
                path,
                &format!("is what this command reads; give {option} another name"),
            );
        }
        Ok(output)
    }

    /// The same, where it is a regular file or will be one: an index is mapped, and replaces what is there.
    ///
    /// # Errors
    /// [`Error::Input`] where it is a device, a pipe or the like.
    pub(crate) fn regular(self) -> Result<Self, Error> {
        match self.is_special() {
            true => Err(Error::Input {
                path: self.path,
                problem: "is a device or pipe and no file, which an index would replace; give --out the name of a file"
                    .to_owned(),
            }),
            false => Ok(self),
        }
    }

    /// The folder of what is written.
    pub(crate) fn folder(&self) -> &Path {
        let folder = self.target.parent();
        folder
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
    }

    /// Whether it is the file at `path`, by whatever names both go. What is no file, such as `/dev/null`, loses nothing.
    pub(crate) fn is(&self, path: &Path) -> bool {
        match (&self.old, path.metadata()) {
            (Some(old), Ok(other)) => old.is_file() && (old.dev(), old.ino()) == (other.dev(), other.ino()),
            (None, Err(_)) => self.target == behind_links(path),
            _ => false,
        }
    }

    fn is_special(&self) -> bool {
        self.old.as_ref().is_some_and(|old| !old.is_file())
    }

    /// An empty file beside the one that it will be, which other runs leave alone.
    ///
    /// # Errors
    /// [`Error::Write`]
    pub(crate) fn begin(&self) -> Result<NamedTempFile, Error> {
        let file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(self.folder())
            .map_err(|source| self.failed(source))?;
        // Tells other builds that it is no leftover; a file system without locks has its leftovers stay.
        let _ = file.as_file().lock();
        Ok(file)
    }

    /// Puts a file that is complete in its place, with the mode given.
    ///
    /// # Errors
    /// [`Error::Write`]
    pub(crate) fn place(&self, file: NamedTempFile, mode: Option<u32>) -> Result<(), Error> {
        let placed = || {
            file.as_file().sync_all()?;
            if let Some(mode) = mode {
                file.as_file().set_permissions(Permissions::from_mode(mode))?;
            }
            file.persist(&self.target).map_err(|error| error.error)
        };
        placed().map(drop).map_err(|source| self.failed(source))
    }

    /// Writes all of `text`; an older file keeps its mode and, where that may be, its owner. A device or pipe gets it as it is.
    ///
    /// # Errors
    /// [`Error::Write`]
    pub(crate) fn write(&self, text: &str) -> Result<(), Error> {
        let failed = |source| self.failed(source);
        if self.is_special() {
            let opened = OpenOptions::new().write(true).open(&self.path);
            return opened
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .map_err(failed);
        }
        let mut file = self.begin()?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        if let Some(old) = &self.old {
            // The group for itself, since only root may give a file away.
            let _ = fchown(file.as_file(), None, Some(old.gid()));
            let _ = fchown(file.as_file(), Some(old.uid()), None);
        }
        self.place(file, self.old.as_ref().map(|old| old.mode() & 0o777))
    }

    pub(crate) fn failed(&self, source: io::Error) -> Error {
        Error::Write {
            path: self.path.clone(),
            source,
        }
    }
}

/// Where a path leads in the end, whether or not something is there.
fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(link) = fs::read_link(&path) else {
            break;
        };
        path = path.parent().unwrap_or(Path::new("")).join(link);
    }
    path
}

/// Removes what runs that were killed left in `folder`. One that still runs has its file locked.
pub(crate) fn remove_leftovers(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten();
    for entry in entries.filter_map(Result::ok) {
        let unfinished = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(UNFINISHED));
        let nobodys = || File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if unfinished && entry.file_type().is_ok_and(|kind| kind.is_file()) && nobodys() {
            // Where it cannot be removed it is in nobody's way but the disk's.
            let _ = fs::remove_file(entry.path());
        }
    }
}
