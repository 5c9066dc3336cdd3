//! The capabilities of this thread: all of them taken away, for good. The only unsafe code of this program.
#![allow(unsafe_code)]

use std::io;

/// `struct __user_cap_header_struct` of linux/capability.h.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`; there are two of them, for 64 capabilities.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`, since Linux 2.6.26.
const VERSION: u32 = 0x2008_0522;
/// No capability has a higher number.
const LAST: libc::c_ulong = 63;

/// Whether this thread has any capability, or may hand one on to a program that it runs.
pub fn any() -> io::Result<bool> {
    Ok(held()? != [Sets::default(); 2])
}

/// Takes all of them away, out of the bounding set as well, as far as that may be changed.
///
/// # Errors
/// What the kernel says where it leaves any.
pub fn drop_all() -> io::Result<()> {
    if !any()? {
        return Ok(());
    }
    forget_bounding();
    let mut header = Header {
        version: VERSION,
        pid: 0,
    };
    let none = [Sets::default(); 2];
    // SAFETY: both pointers are to live values of the layout that this version has: one header, two sets. The kernel reads them and
    // writes at most the header's version.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, none.as_ptr()) };
    if done == 0 {
        // The ambient set has no more than permitted and inheritable have.
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// Takes out of the bounding set what can be; that takes CAP_SETPCAP. Without it a process that has no new privileges gets none
/// from there either.
pub fn forget_bounding() {
    for number in 0..=LAST {
        // SAFETY: this call of prctl takes numbers alone.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) } != 0 {
            return;
        }
    }
}

fn held() -> io::Result<[Sets; 2]> {
    let mut header = Header {
        version: VERSION,
        pid: 0,
    };
    let mut sets = [Sets::default(); 2];
    // SAFETY: both pointers are to live, writable values of the layout that this version has: one header, two sets.
    let done = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) };
    match done {
        0 => Ok(sets),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_in_any_set() {
        // Of that thread alone.
        let told = std::thread::spawn(|| {
            drop_all().unwrap();
            assert!(!any().unwrap());
            // Where there is nothing left, there is nothing to do.
            drop_all().unwrap();
            std::fs::read_to_string("/proc/thread-self/status").unwrap()
        });
        let told = told.join().unwrap();
        let bounding = match nix::unistd::geteuid().is_root() {
            true => &["CapBnd:"][..],
            false => &[],
        };
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"]
            .iter()
            .chain(bounding)
        {
            let line = told.lines().find_map(|line| line.strip_prefix(set));
            assert_eq!(line.unwrap().trim(), "0000000000000000", "{set}");
        }
    }
}
