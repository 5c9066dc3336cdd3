//! Where results go: standard output or a file that is opened when there is something to write.

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, BufWriter, IsTerminal, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::unistd::geteuid;

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

    /// Whether nothing of it is in place before all is: then a run has to put that in order before a signal ends it. Where all
    /// there is has gone out already signals end this program as they end any.
    pub fn comes_at_the_end(&self) -> bool {
        match self {
            Self::Stdout => false,
            Self::File { path, .. } => path.metadata().map_or(true, |there| there.is_file()),
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
/// regular file, such as a pipe, is written as it comes, and so is a file in a folder that may not be written.
#[derive(Debug)]
pub struct Replacement {
    file: BufWriter<File>,
    target: PathBuf,
    /// Where it is made; `None` where it is written in place.
    new: Option<PathBuf>,
    mode: u32,
    /// Whether it may step into the place of what is there: it has the same owner and group, and that has no other name.
    steps_in: bool,
}

/// How the name of a file ends that is half made.
const NEW: &str = ".mednerctl-new";
/// So many runs may write the same file at once.
const MOST_NAMES: u32 = 1000;
/// A longer chain of links is a ring to the kernel too.
const MOST_LINKS: usize = 40;

impl Replacement {
    /// Begins a file that will be at `path`, with the mode, owner and group of the one that is there, or else with `mode`.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path, mode: u32) -> io::Result<Self> {
        let old = path.metadata().ok();
        let target = match path.canonicalize() {
            Ok(target) => target,
            Err(_) if old.is_none() => behind_links(path),
            // Such as standard output under /dev, where that is a pipe or a file that was removed.
            Err(_) => return Self::in_place(path.to_owned(), mode),
        };
        if old.as_ref().is_some_and(|old| !old.is_file()) {
            return Self::in_place(target, mode);
        }
        let (file, new) = match half_made(&target) {
            Ok(made) => made,
            // A file that may be written in a folder that may not, or whose name leaves no room.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::ENAMETOOLONG))
                    || (old.is_some() && is_denied(&error)) =>
            {
                return Self::in_place(target, mode);
            }
            Err(error) => return Err(error),
        };
        let made = Self {
            steps_in: old
                .as_ref()
                .is_none_or(|old| old.nlink() == 1 && keeps(&file, old)),
            file: BufWriter::new(file),
            target,
            new: Some(new),
            mode: old.map_or(mode, |old| old.mode() & 0o777),
        };
        if !made.steps_in {
            // Better known now than after a night's work.
            OpenOptions::new().write(true).open(&made.target)?;
        }
        Ok(made)
    }

    fn in_place(target: PathBuf, mode: u32) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::new(overwritten(&target, mode)?),
            target,
            new: None,
            mode,
            steps_in: false,
        })
    }

    /// Adds `bytes`.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Puts it in place: as the file that it is, or where that cannot be (a file that is mounted there, or would get another
    /// owner or group) by writing over what is there.
    ///
    /// # Errors
    /// What the system says; then all is as it was. Where it broke off while writing over what was there, it says where
    /// all of it is.
    pub fn finish(self) -> io::Result<()> {
        self.finish_by(|new, target| std::fs::rename(new, target))
    }

    fn finish_by(mut self, rename: impl Fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
        self.file.flush()?;
        let Some(new) = self.new.clone() else {
            return Ok(());
        };
        if self.steps_in {
            let file = self.file.get_ref();
            file.set_permissions(Permissions::from_mode(self.mode))?;
            file.sync_all()?;
            match rename(&new, &self.target) {
                Ok(()) => {
                    self.new = None;
                    return Ok(());
                }
                Err(error) if is_denied(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if let Err(error) = self.write_over() {
            self.new = None;
            let sentence = format!("{error}; all of it is in {}", new.display());
            return Err(io::Error::new(error.kind(), sentence));
        }
        Ok(())
    }

    fn write_over(&mut self) -> io::Result<()> {
        let made = self.file.get_mut();
        made.rewind()?;
        let mut target = overwritten(&self.target, self.mode)?;
        io::copy(made, &mut target)?;
        target.sync_all()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Some(new) = &self.new {
            let _ = std::fs::remove_file(new);
        }
    }
}

/// Whether the file system does not let a file be made or step in there; what is there may be written all the same.
fn is_denied(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EACCES | libc::EPERM | libc::EBUSY | libc::EXDEV | libc::EROFS)
    )
}

/// Where a path leads in the end though nothing is there yet.
fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(link) = std::fs::read_link(&path) else {
            break;
        };
        path = path.parent().unwrap_or(Path::new("")).join(link);
    }
    path
}

/// The file at `path`, empty.
fn overwritten(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).truncate(true).mode(mode);
    match options.open(path) {
        // Only now: in folders such as /tmp the kernel refuses to make what is there and another's.
        Err(error) if error.kind() == io::ErrorKind::NotFound => options.create(true).open(path),
        opened => opened,
    }
}

/// Gives `file` the owner and group of `old`; whether it has both then. The group for itself, since only root may give a file away.
fn keeps(file: &File, old: &Metadata) -> bool {
    let _ = fchown(file, None, Some(old.gid()));
    let _ = fchown(file, Some(old.uid()), None);
    let new = file.metadata();
    new.is_ok_and(|new| (new.uid(), new.gid()) == (old.uid(), old.gid()))
}

/// A private file beside `target`, locked as long as it is open. What runs that were killed left for the same target goes.
fn half_made(target: &Path) -> io::Result<(File, PathBuf)> {
    let mut stem = OsString::from(".");
    stem.push(target.file_name().unwrap_or_default());
    stem.push(".");
    remove_left(target, stem.as_bytes());
    for number in 0..MOST_NAMES {
        let mut name = stem.clone();
        name.push(format!("{}-{number}{NEW}", std::process::id()));
        let new = target.with_file_name(name);
        let mut options = OpenOptions::new();
        let opened = options
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new);
        match opened {
            // Between these two another run may have taken it for left behind.
            Ok(file) => match file.try_lock() {
                Err(TryLockError::WouldBlock) => {}
                _ if file.metadata()?.nlink() == 0 => {}
                _ => return Ok((file, new)),
            },
            // Containers have the same numbers for their processes.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Removes what is half made for `target`, is this user's, and is no living process's.
fn remove_left(target: &Path, stem: &[u8]) {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(entries) = std::fs::read_dir(folder.unwrap_or(Path::new("."))) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours = name
            .as_bytes()
            .strip_prefix(stem)
            .and_then(|rest| rest.strip_suffix(NEW.as_bytes()))
            .is_some_and(|numbers| numbers.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-'));
        if !ours {
            continue;
        }
        let mut options = OpenOptions::new();
        options
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let Ok(file) = options.open(entry.path()) else {
            continue;
        };
        let own = file
            .metadata()
            .is_ok_and(|left| left.is_file() && left.uid() == geteuid().as_raw());
        if own && file.try_lock().is_ok() {
            let _ = std::fs::remove_file(entry.path());
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

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn written(path: &Path) -> Replacement {
        let mut file = Replacement::open(path, 0o600).unwrap();
        file.write_all(b"new").unwrap();
        file
    }

    #[test]
    fn what_a_killed_run_left_goes_and_what_a_living_one_makes_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let left = |number| {
            folder
                .path()
                .join(format!(".out.{}-{number}{NEW}", std::process::id()))
        };
        let others = [
            ".out.note.mednerctl-new",
            ".out.1.new",
            ".other.1-0.mednerctl-new",
        ];
        for other in others {
            std::fs::write(folder.path().join(other), "other").unwrap();
        }
        std::fs::write(left(0), "left behind").unwrap();
        std::fs::write(left(1), "in the making").unwrap();
        let living = File::open(left(1)).unwrap();
        living.lock().unwrap();
        let first = written(&path);
        assert_eq!(first.new.as_deref(), Some(&*left(0)), "its name is free again");
        let second = written(&path);
        assert_eq!(second.new.as_deref(), Some(&*left(2)), "the next that is free");
        first.finish().unwrap();
        second.finish().unwrap();
        assert_eq!(std::fs::read(left(1)).unwrap(), b"in the making");
        std::fs::remove_file(left(1)).unwrap();
        assert_eq!(
            names(folder.path()),
            [others[2], others[1], others[0], "out"],
            "what only looks alike stays"
        );
    }

    #[test]
    fn a_file_that_nothing_can_replace_is_written_over() {
        for errno in [libc::EBUSY, libc::EXDEV, libc::EPERM, libc::EACCES] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("out");
            std::fs::write(&path, "an older and longer one").unwrap();
            let inode = path.metadata().unwrap().ino();
            let refuse = |_: &Path, _: &Path| Err(io::Error::from_raw_os_error(errno));
            written(&path).finish_by(refuse).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"new");
            assert_eq!(path.metadata().unwrap().ino(), inode);
            assert_eq!(names(folder.path()), ["out"]);
        }
    }

    #[test]
    fn what_cannot_be_written_over_either_is_kept_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let file = written(&path);
        let new = file.new.clone().unwrap();
        let block = |_: &Path, target: &Path| {
            std::fs::create_dir(target).unwrap();
            Err(io::Error::from_raw_os_error(libc::EBUSY))
        };
        let error = file.finish_by(block).unwrap_err().to_string();
        assert!(
            error.ends_with(&format!("all of it is in {}", new.display())),
            "{error}"
        );
        assert_eq!(std::fs::read(new).unwrap(), b"new");
    }

    #[test]
    fn other_names_of_a_file_and_links_to_none_lead_to_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let [path, twin, link, second] =
            ["out", "twin", "link", "second"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink("second", &link).unwrap();
        std::os::unix::fs::symlink("out", &second).unwrap();
        written(&link).finish().unwrap();
        assert!(link.is_symlink() && second.is_symlink());
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        std::fs::write(&path, "old").unwrap();
        std::fs::hard_link(&path, &twin).unwrap();
        written(&path).finish().unwrap();
        assert_eq!(std::fs::read(&twin).unwrap(), b"new");
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
