//! What a host has because of who started it, and gives up before any code of the plugin runs: `mednerd validate` and `mednerctl
//! plugin check` may be run by root.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{User, geteuid, setgid, setgroups, setuid};

use crate::capabilities;

/// Who root becomes: the daemon's user, or where there is none, the one who owns nothing.
const USERS: [&str; 2] = ["mednerd", "nobody"];

/// Why privileges stay.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// The user.
    #[error(
        "root cannot become the user {user} to run a plugin: {source}; run this as another user than root"
    )]
    User {
        /// Who.
        user: String,
        /// What the system says.
        source: Errno,
    },
    /// Capabilities.
    #[error("capabilities cannot be given up: {0}; run this as a user who has none")]
    Capabilities(#[from] io::Error),
}

/// Gives up all of it. This process must have this one thread, and what it has opened it keeps. `needed` is what the plugin reads: where
/// others than root cannot, root stays itself, without any capability, and Landlock leaves it nothing else.
pub fn give_up(needed: &[PathBuf]) -> Result<(), PrivilegeError> {
    if geteuid().is_root() {
        // While it may.
        capabilities::forget_bounding();
        if needed.iter().all(|path| is_open(path)) {
            become_another()?;
        }
    }
    Ok(capabilities::drop_all()?)
}

fn become_another() -> Result<(), PrivilegeError> {
    let known = |name: &&str| User::from_name(name).ok().flatten();
    let Some(user) = USERS.iter().find_map(known) else {
        return Ok(());
    };
    let changed = setgroups(&[])
        .and_then(|()| setgid(user.gid))
        .and_then(|()| setuid(user.uid))
        // The kernel forgets it with the user.
        .and_then(|()| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL));
    match changed {
        // A container that has no other user, whose root is none.
        Err(Errno::EPERM | Errno::EINVAL) if geteuid().is_root() => Ok(()),
        changed => changed.map_err(|source| PrivilegeError::User {
            user: user.name,
            source,
        }),
    }
}

/// Whether everybody can read a file, or a folder and what lies right in it.
fn is_open(path: &Path) -> bool {
    // As it lies there, without links.
    let Ok(path) = path.canonicalize() else {
        return false;
    };
    let inside = std::fs::read_dir(&path).into_iter().flatten();
    let inside = inside.filter_map(Result::ok).map(|entry| entry.path());
    path.ancestors().skip(1).all(|folder| grants(folder, 0o001))
        && grants(&path, 0o004)
        && inside.into_iter().all(|path| grants(&path, 0o004))
}

/// Whether a file's mode gives everybody these rights; a folder is of no use without that to enter it.
fn grants(path: &Path, rights: u32) -> bool {
    path.metadata().is_ok_and(|metadata| {
        let rights = if metadata.is_dir() { rights | 0o001 } else { rights };
        metadata.permissions().mode() & rights == rights
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_everybody_can_read_is_told_from_what_root_alone_can() {
        assert!(is_open(Path::new("/usr/lib")) && is_open(Path::new("/etc/passwd")));
        let place = tempfile::tempdir().unwrap();
        let (folder, file) = (place.path().join("folder"), place.path().join("folder/file"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(&file, "").unwrap();
        for (outer, inner, mode, open) in [
            (0o755, 0o755, 0o644, true),
            (0o711, 0o755, 0o644, true),
            (0o700, 0o755, 0o644, false),
            (0o755, 0o711, 0o644, false),
            (0o755, 0o755, 0o640, false),
        ] {
            set(&file, mode);
            set(&folder, inner);
            set(place.path(), outer);
            assert_eq!(is_open(&folder), open, "{outer:o} {inner:o} {mode:o}");
        }
        assert!(!is_open(&place.path().join("missing")));
        set(place.path(), 0o700);
    }
}
