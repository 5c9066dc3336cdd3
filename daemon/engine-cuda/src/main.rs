//! `mednerd-cuda`: the GPU worker. The daemon starts it with a socket as standard input and an environment that shows it
//! one GPU alone.
//! `mednerd-cuda --about` is for people: the first GPU in a line, or what is missing.

use std::process::ExitCode;

use mednerd_engine_cuda::{Found, open};
use mednerd_engine_gpu::GpuEngine;
use mednerd_gpu::protocol::Start;
use mednerd_gpu::{Faults, serve};
use nix::sys::signal::Signal;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("--about") {
        return about();
    }
    // Libraries may put anything into a panic's message. The process ends with it: see `panic` in Cargo.toml.
    std::panic::set_hook(Box::new(|_| {}));
    // The thread that started this process lives as long as its worker.
    let bound = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    let served = bound.map_err(Into::into).and_then(|()| {
        serve(faults(), |start| {
            let found = open(start)?;
            Ok((
                GpuEngine::new(found.device, found.ready.memory_bytes),
                found.ready,
            ))
        })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        // Only the daemon starts it.
        Err(_) => ExitCode::from(2),
    }
}

#[allow(clippy::print_stdout, clippy::print_stderr)]
fn about() -> ExitCode {
    match open(&Start::default()) {
        Ok(Found { ready, .. }) => {
            let (name, driver, compute) = (ready.name, ready.driver, ready.compute);
            println!("{name}, driver {driver}, compute capability {compute}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("mednerd-cuda: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The file that names faults, where this build can have any.
fn faults() -> Faults {
    #[cfg(feature = "checks")]
    if let Some(file) = std::env::args_os().nth(1) {
        return Faults::from_file(std::path::Path::new(&file));
    }
    Faults::default()
}
