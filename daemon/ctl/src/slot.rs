//! Where something is installed: put in place, replaced and taken away in one step each, whatever breaks off in between.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::geteuid;

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

/// How the hidden name ends of what is half made or half taken away. The folder may have other hidden things that are no business
/// of this program: so its own name is in it.
const NEW: &str = ".mednerctl-new";
/// How the hidden name ends of what stepped aside for something new.
const OLD: &str = ".mednerctl-old";

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
    /// The place `name` in the folder `into`. What was broken off in that folder is cleared away, and what had stepped aside
    /// comes back.
    ///
    /// # Errors
    /// [`SlotError`]
    pub fn of(into: &Path, name: &str) -> Result<Self, SlotError> {
        let folder = File::open(into).map_err(at(into))?;
        folder.try_lock().map_err(|error| at(into)(error.into()))?;
        let slot = Self {
            target: into.join(name),
            new: into.join(format!(".{name}{NEW}")),
            old: into.join(format!(".{name}{OLD}")),
            folder,
        };
        slot.tidy(into)?;
        Ok(slot)
    }

    /// Nobody else is at work in the folder, so what is half made or half taken away there is of somebody who was killed.
    fn tidy(&self, into: &Path) -> Result<(), SlotError> {
        for entry in fs::read_dir(into).map_err(at(into))? {
            let path = entry.map_err(at(into))?.path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let Some(name) = name.strip_prefix('.') else {
                continue;
            };
            let (name, stepped_aside) = match (name.strip_suffix(NEW), name.strip_suffix(OLD)) {
                (Some(name), _) => (name, false),
                (_, Some(name)) => (name, true),
                _ => continue,
            };
            // A file, a link, or what another user made is nothing that was installed here.
            let found = fs::symlink_metadata(&path).map_err(at(&path))?;
            if name.is_empty() || !found.is_dir() || found.uid() != geteuid().as_raw() {
                continue;
            }
            let target = into.join(name);
            if stepped_aside && !target.exists() {
                fs::rename(&path, &target).map_err(at(&target))?;
                continue;
            }
            discard(&path)?;
        }
        discard(&self.new)?;
        discard(&self.old)
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

/// Whether a folder's name says that it is no installed thing.
pub fn is_hidden(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

/// Makes a folder and what is missing above it, for everybody to read whatever the umask: the daemon runs as a user of its own.
///
/// # Errors
/// [`SlotError`]
pub fn make_folders(path: &Path) -> Result<(), SlotError> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .collect();
    for folder in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o755).create(folder) {
            // Somebody else made it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made.map_err(at(folder))?,
        }
        fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(at(folder))?;
    }
    Ok(())
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
        let [old, new] = [OLD, NEW].map(|end| move |name: &str| format!(".{name}{end}"));
        put(&folder.path().join(old("name")), "first");
        put(&folder.path().join(new("name")), "half");
        // Of others, who were killed: no later installation has their name.
        put(&folder.path().join(new("other")), "half");
        put(&folder.path().join(old("third")), "third");
        fs::write(folder.path().join(new("note")), "no folder").unwrap();
        // Of other programs and of people, as a home folder has them.
        for name in [".keep", ".ssh.old", ".vim.new", ".mednerctl-old"] {
            put(&folder.path().join(name), "not ours");
        }
        let slot = Slot::of(folder.path(), "name").unwrap();
        assert_eq!(fs::read_to_string(slot.target.join("file")).unwrap(), "first");
        assert!(!slot.new.exists() && !slot.old.exists());
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(
            names,
            [
                ".keep",
                ".mednerctl-old",
                ".note.mednerctl-new",
                ".ssh.old",
                ".vim.new",
                "name",
                "third"
            ]
        );
    }

    #[test]
    fn folders_that_are_made_can_be_read_by_the_daemon_and_others_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let before = mode(folder.path());
        let deep = folder.path().join("a/b/c");
        // The umask is the process's: a test that runs beside this one may need its own.
        make_folders(&deep).unwrap();
        make_folders(&deep).unwrap();
        for path in [&deep, deep.parent().unwrap(), &folder.path().join("a")] {
            assert_eq!(mode(path), 0o755);
        }
        assert_eq!(mode(folder.path()), before);
    }
}
