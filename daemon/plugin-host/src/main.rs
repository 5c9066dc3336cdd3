//! `mednerd-plugin-host`: started by the daemon for one plugin, with a socket as standard input, an empty
//! environment and nothing else. Run by hand it says so.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod sandbox;
mod serve;

use std::process::ExitCode;

use nix::sys::signal::Signal;

fn main() -> ExitCode {
    // Vendor code may panic with a note in the message.
    std::panic::set_hook(Box::new(|_| {}));
    // The thread that started this process lives as long as its worker.
    let bound = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    match bound.map_err(Into::into).and_then(|()| serve::run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(2),
    }
}
