//! Where something is installed: put in place, replaced and taken away in one step each, whatever breaks off in between.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

/// What the system refused.
#[derive(Debug)]
pub struct SlotError {
    /// Of what.
    pub path: PathBuf,
    /// How; [`io::ErrorKind::WouldBlock`] where another mednerctl is at work there.
    pub source: io::Error,
}

fn at(path: &Path) -> impl Fn(io::Error) -> SlotError + '_ {
    move |source| SlotError {
        path: path.to_owned(),
        source,
    }
}

/// The place of one thing in a folder, beside which nobody else installs as long as this lives.
pub struct Slot {
    /// Where it is seen.
    pub target: PathBuf,
    /// Where it is made.
    pub new: PathBuf,
    old: PathBuf,
    folder: File,
}

impl Slot {
    /// The place `name` in the folder `into`. What was broken off there is cleared away, and what had stepped aside comes back.
    ///
    /// # Errors
    /// [`SlotError`]
    pub fn of(into: &Path, name: &str) -> Result<Self, SlotError> {
        let folder = File::open(into).map_err(at(into))?;
        folder.try_lock().map_err(|error| at(into)(error.into()))?;
        let slot = Self {
            target: into.join(name),
            new: into.join(format!(".{name}.new")),
            old: into.join(format!(".{name}.old")),
            folder,
        };
        if slot.old.exists() && !slot.target.exists() {
            fs::rename(&slot.old, &slot.target).map_err(at(&slot.target))?;
        }
        discard(&slot.new)?;
        discard(&slot.old)?;
        Ok(slot)
    }

    /// Puts what is in `new` in the place, in one step where the file system can do that. What was there is gone then.
    ///
    /// # Errors
    /// [`SlotError`]
    pub fn fill(&self) -> Result<(), SlotError> {
        let (new, target) = (&*self.new, &*self.target);
        if !target.exists() {
            fs::rename(new, target).map_err(at(target))?;
            return self.sync();
        }
        match renameat2(AT_FDCWD, new, AT_FDCWD, target, RenameFlags::RENAME_EXCHANGE) {
            Ok(()) => {
                self.sync()?;
                discard(new)
            }
            Err(Errno::EINVAL | Errno::ENOSYS) => {
                fs::rename(target, &self.old).map_err(at(target))?;
                fs::rename(new, target).map_err(at(target))?;
                self.sync()?;
                discard(&self.old)
            }
            Err(error) => Err(at(target)(error.into())),
        }
    }

    /// Takes away what is there. No half of it is ever seen.
    ///
    /// # Errors
    /// [`SlotError`]
    pub fn empty(&self) -> Result<(), SlotError> {
        // Under the name of something half made: an installation that comes later clears it away.
        fs::rename(&self.target, &self.new).map_err(at(&self.target))?;
        self.sync()?;
        discard(&self.new)
    }

    fn sync(&self) -> Result<(), SlotError> {
        self.folder.sync_all().map_err(at(&self.target))
    }
}

fn discard(folder: &Path) -> Result<(), SlotError> {
    match fs::symlink_metadata(folder) {
        Ok(_) => fs::remove_dir_all(folder).map_err(at(folder)),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, what: &str) {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("file"), what).unwrap();
    }

    #[test]
    fn what_is_installed_replaces_what_was_there_and_nobody_else_installs_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("name/file");
        for what in ["first", "second"] {
            let slot = Slot::of(folder.path(), "name").unwrap();
            put(&slot.new, what);
            let other = Slot::of(folder.path(), "other").err().unwrap();
            assert_eq!(other.source.kind(), io::ErrorKind::WouldBlock);
            slot.fill().unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), what);
            assert!(!slot.new.exists() && !slot.old.exists());
        }
        Slot::of(folder.path(), "name").unwrap().empty().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_broken_off_is_cleared_away_and_what_stepped_aside_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        put(&folder.path().join(".name.old"), "first");
        put(&folder.path().join(".name.new"), "half");
        let slot = Slot::of(folder.path(), "name").unwrap();
        assert_eq!(fs::read_to_string(slot.target.join("file")).unwrap(), "first");
        assert!(!slot.new.exists() && !slot.old.exists());
    }
}
