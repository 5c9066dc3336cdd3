//! `mednerctl`: asks a mednerd daemon about notes and about itself, over its Unix sockets.
//!
//! What lives where: [`cli`] is the one definition of the command line, from which parser, help,
//! completions and man pages come; [`exit`] and [`error`] are how a run ends; the other modules are
//! one command each, or one output format each. Note text goes to the chosen output and nowhere
//! else: no error holds any.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod annotate;
mod audit;
mod bench;
mod bundle;
pub mod cli;
mod doctor;
pub mod error;
pub mod exit;
mod format;
mod generate;
mod html;
mod info;
mod input;
mod installation;
mod interrupt;
mod model;
mod output;
mod plugin;
mod redact;
mod slot;
mod table;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cli::{Cli, Command};
use error::Error;
use exit::Exit;
use installation::Installation;

/// Runs one command line, program name first, and says how it ended. Writes to the process's
/// standard output and error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match cli::parse(arguments) {
        Ok(cli) => cli,
        Err(error) => return say_usage(&error),
    };
    match dispatch(cli) {
        Ok(exit) => exit,
        Err(Error::Usage(error)) => say_usage(&error),
        // Whoever read the output has seen enough.
        Err(error) if error.is_closed_pipe() => Exit::Fine,
        Err(error) => {
            warn(&error);
            error.exit()
        }
    }
}

fn dispatch(cli: Cli) -> Result<Exit, Error> {
    let Cli {
        socket,
        socket_given,
        timeout,
        command,
    } = cli;
    let patience = |default| timeout.unwrap_or(default);
    match command {
        Command::Annotate(options) => wait_for(annotate::run(&socket, patience(cli::LONG_TIMEOUT), *options)),
        Command::Status(options) => {
            wait_for(info::status(&socket, patience(cli::SHORT_TIMEOUT), options.json))
        }
        Command::Models(options) => {
            wait_for(info::models(&socket, patience(cli::SHORT_TIMEOUT), options.json))
        }
        Command::Plugins(options) => {
            wait_for(info::plugins(&socket, patience(cli::SHORT_TIMEOUT), options.json))
        }
        Command::Reload(options) => wait_for(info::reload(
            &options.admin.admin_socket,
            patience(cli::LONG_TIMEOUT),
            options.admin.json,
        )),
        Command::Load(options) => wait_for(info::load(patience(cli::LONG_TIMEOUT), options)),
        Command::Unload(options) => wait_for(info::unload(patience(cli::LONG_TIMEOUT), options)),
        Command::Bench(options) => wait_for(bench::run(&socket, patience(cli::LONG_TIMEOUT), options)),
        Command::Audit { command } => audit::run(command),
        Command::Doctor(options) => wait_for(async {
            let patience = patience(cli::SHORT_TIMEOUT);
            let found = Installation::find(&socket, socket_given, &options.place, patience).await;
            doctor::run(&found, patience, options.json).await
        }),
        Command::SupportBundle(options) => wait_for(async {
            let patience = patience(cli::SHORT_TIMEOUT);
            let found = Installation::find(&socket, socket_given, &options.place, patience).await;
            bundle::run(&found, patience, options).await
        }),
        Command::Plugin { command } => plugin::run(command),
        Command::Model { command } => model::run(command),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { directory } => generate::man_pages(&directory),
    }
}

/// Runs a command's future on this thread; what it left waiting (a read from a pipe that nobody
/// writes to, say) does not hold up the end of the process.
fn wait_for(command: impl Future<Output = Result<Exit, Error>>) -> Result<Exit, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}

/// Waits for an answer, but no longer than `patience`.
async fn within<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, mednerd_client::ClientError>>,
) -> Result<T, Error> {
    match tokio::time::timeout(patience, call).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::NoAnswer { patience }),
    }
}

/// Says a sentence on standard error. A closed standard error is nobody's problem.
fn warn(sentence: &dyn std::fmt::Display) {
    let line = format!("mednerctl: {}\n", table::visible(&sentence.to_string()));
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

fn say_usage(error: &clap::Error) -> Exit {
    let _ = error.print();
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Fine
    }
}

/// The program `name` beside this one, else in `folder`, where the package puts it.
fn program(name: &str, folder: &str) -> PathBuf {
    let own = std::env::current_exe().ok();
    let beside = own
        .as_deref()
        .and_then(Path::parent)
        .map(|folder| folder.join(name));
    beside
        .filter(|path| path.is_file())
        .unwrap_or_else(|| Path::new(folder).join(name))
}

/// Whether a person watches standard error, so that progress may be drawn there.
fn progress_is_welcome() -> bool {
    std::io::stderr().is_terminal()
}
