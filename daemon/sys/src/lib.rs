//! The few system calls that need `unsafe`, and nothing else: the groups of a socket's peer,
//! descriptors inherited from systemd, a heap and a stack that forget. Each block has its safety argument.

mod memory;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{c_int, gid_t, socklen_t};

pub use memory::{Forgetful, forgetting, share_one_heap};

/// Lets whoever started this process go before it where processors are short, however nice that is: the calling thread, and all that it
/// starts later.
///
/// # Errors
/// What `nice` says.
pub fn yield_to_others() -> io::Result<()> {
    const MORE: c_int = 5;
    // SAFETY: it takes a number and touches no memory of ours but this thread's error number, which is set before, as -1 may be a result.
    let nice = unsafe {
        *libc::__errno_location() = 0;
        libc::nice(MORE)
    };
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(number) if nice == -1 && number != 0 => Err(error),
        _ => Ok(()),
    }
}

/// The supplementary groups of the process at the other end of a connected Unix socket, as they
/// were when it connected (`SO_PEERGROUPS`, Linux 4.13).
///
/// The primary group may or may not be among them; ask `SO_PEERCRED` for it.
///
/// # Errors
/// What `getsockopt` says, such as `ENOPROTOOPT` for a socket of another kind.
pub fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<gid_t>> {
    // NGROUPS_MAX is 65536: the loop ends.
    let mut groups: Vec<gid_t> = vec![0; 64];
    loop {
        let bytes = groups.len() * size_of::<gid_t>();
        let mut length = socklen_t::try_from(bytes).map_err(io::Error::other)?;
        // SAFETY: `groups` is a live, writable allocation of `length` bytes; the kernel writes at
        // most `length` bytes there and the byte count into `length`, which outlives the call. Any
        // bit pattern is a valid gid_t. The descriptor is open for the borrow's lifetime.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = length as usize / size_of::<gid_t>();
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // Too small: the kernel has put the size it needs into `length`.
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

/// The sockets that systemd passed to this process (`LISTEN_FDS`, see `sd_listen_fds(3)`), with
/// close-on-exec set. Empty where it passed none, and at every call after the first.
///
/// Call it before the process opens anything of its own.
///
/// # Errors
/// What `sd_listen_fds` says, and `EBADF` where the environment names a descriptor that is not open.
pub fn inherited_sockets() -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    systemd::daemon::listen_fds()?.iter().map(own).collect()
}

fn own(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD reads flags and takes no pointer; on a descriptor that is not open it fails.
    let flags: c_int = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: F_SETFD takes an integer.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, flags | libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open (F_GETFD succeeded). `LISTEN_PID` names this process, so the
    // descriptor was passed to it to own, and `TAKEN` lets this be reached once.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn peer_groups_of_this_process_are_its_own() -> io::Result<()> {
        let (left, _right) = UnixStream::pair()?;
        let mut groups = peer_groups(left.as_fd())?;
        groups.sort_unstable();
        let status = std::fs::read_to_string("/proc/self/status")?;
        let mut own: Vec<gid_t> = status
            .lines()
            .find_map(|line| line.strip_prefix("Groups:"))
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(|gid| gid.parse().ok())
            .collect();
        own.sort_unstable();
        assert_eq!(groups, own);
        Ok(())
    }

    #[test]
    fn whoever_is_nice_already_is_nicer() -> io::Result<()> {
        // Of a thread, which is its own.
        let nicer = || -> io::Result<(i32, i32)> {
            let nice = || -> io::Result<i32> {
                let stat = std::fs::read_to_string("/proc/thread-self/stat")?;
                let fields = stat.rsplit(')').next().unwrap_or_default();
                let nice = fields.split_whitespace().nth(16);
                nice.and_then(|nice| nice.parse().ok())
                    .ok_or_else(|| io::ErrorKind::InvalidData.into())
            };
            let before = nice()?;
            for _ in 0..5 {
                yield_to_others()?;
            }
            Ok((before, nice()?))
        };
        let (before, after) = std::thread::scope(|scope| scope.spawn(nicer).join())
            .map_err(|_| io::Error::other("the thread panicked"))??;
        assert_eq!(after, (before + 25).min(19));
        Ok(())
    }

    #[test]
    fn other_files_have_no_peer() -> io::Result<()> {
        let file = std::fs::File::open("/proc/self/status")?;
        assert!(peer_groups(file.as_fd()).is_err());
        Ok(())
    }

    #[test]
    fn a_closed_descriptor_is_refused() {
        assert_eq!(
            own(1_000_000).err().and_then(|error| error.raw_os_error()),
            Some(libc::EBADF)
        );
    }
}
