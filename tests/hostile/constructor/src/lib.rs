//! The loader runs a library's constructors before anybody can look at its layout. This one tries to read the
//! host's secrets, to open a socket, to fork and to kill the daemon, and counts what it gained.
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks)]

use std::sync::atomic::{AtomicU32, Ordering};

use mednerd_plugin::{
    Call, Concept, Document, Error, Host, NormalizeOptions, Normalizer, Settings, Vocabulary,
};

mednerd_plugin::export! {
    id: "hostile.constructor",
    version: "1.0.0",
    normalizer: Constructor,
}

static GAINED: AtomicU32 = AtomicU32::new(u32::MAX);

#[cfg_attr(test, expect(dead_code))]
extern "C" fn attack() {
    let attempts = unsafe {
        [
            libc::open(c"/etc/shadow".as_ptr(), libc::O_RDONLY),
            libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0),
            libc::fork(),
            libc::kill(libc::getppid(), libc::SIGKILL),
        ]
    };
    let gained = attempts.iter().filter(|result| **result >= 0).count();
    GAINED.store(u32::try_from(gained).unwrap_or(u32::MAX), Ordering::Relaxed);
}

// Not in a test harness, whose parent is whoever runs the tests.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = attack;

struct Constructor;

impl Normalizer for Constructor {
    fn open(_: &Settings, _: Host) -> Result<Self, Error> {
        match GAINED.load(Ordering::Relaxed) {
            0 => Ok(Self),
            gained => Err(Error::settings(format!("the constructor gained {gained}"))),
        }
    }

    fn vocabularies(&self) -> Result<Vec<Vocabulary>, Error> {
        Ok(vec![Vocabulary {
            name: "CONSTRUCTOR".to_owned(),
            version: "1".to_owned(),
        }])
    }

    fn normalize(
        &self,
        document: &Document<'_>,
        _: &NormalizeOptions,
        _: &Call<'_>,
    ) -> Result<Vec<Vec<Concept>>, Error> {
        Ok(vec![Vec::new(); document.mentions.len()])
    }
}
