//! Parses the command line and maps the result to an exit code.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use mednerd::check;
use mednerd::config::DEFAULT_FILE;
use mednerd::places::places;
use mednerd::run::{self, Exit};
use nix::unistd::{User, geteuid, initgroups, setgid, setuid};
use serde::Serialize;

#[global_allocator]
static HEAP: mednerd_sys::Forgetful = mednerd_sys::Forgetful;

/// Finds biomedical entities in clinical text and answers on a Unix socket.
#[derive(Parser)]
#[command(version = mednerd_client::version(), args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    config: ConfigFile,
}

#[derive(Args)]
struct ConfigFile {
    /// The configuration; conf.d/*.toml beside it is read after it.
    #[arg(long = "config", value_name = "FILE", default_value = DEFAULT_FILE)]
    file: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Check the configuration and everything it names, print every problem, and end.
    ///
    /// Exit code 0 where all is right, 78 where something is not. Root becomes the user mednerd for a configuration in /etc/mednerd:
    /// what counts is what the service can read.
    Validate(ConfigFile),
    /// Print as JSON where the configuration has everything, and end. `mednerctl doctor` runs it.
    #[command(hide = true)]
    Places(ConfigFile),
    /// Load one model or adapter, have it read a sentence and its own goldens.jsonl, print what it is as JSON, and end.
    ///
    /// Exit code 0 where it could be served, 78 where not. `mednerctl model` runs it.
    #[command(hide = true)]
    CheckModel {
        /// The directory.
        path: PathBuf,
        /// The directory of the base, for an adapter.
        #[arg(long, value_name = "DIR")]
        base: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    // No core for anybody, however the system makes them, and no look into the memory for others of this user.
    let hidden = nix::sys::prctl::set_dumpable(false);
    let arguments = Arguments::parse();
    if let Err(error) = hidden {
        let why = format!("mednerd: the kernel does not let this process refuse core dumps: {error}");
        let _ = writeln!(std::io::stderr().lock(), "{why}");
        return Exit::Failure.into();
    }
    let exit = match arguments.command {
        None => run::serve(&arguments.config.file),
        Some(Command::Validate(config)) => validate(&config.file),
        Some(Command::Places(config)) => as_line(&places(&config.file)),
        Some(Command::CheckModel { path, base }) => check_model(&path, base.as_deref()),
    };
    exit.into()
}

fn check_model(path: &Path, base: Option<&Path>) -> Exit {
    match check::check(path, base) {
        Ok(checked) => as_line(&checked),
        Err(error) => wrong(&error),
    }
}

fn as_line(found: &impl Serialize) -> Exit {
    match serde_json::to_string(found) {
        Ok(line) => {
            let _ = writeln!(std::io::stdout().lock(), "{line}");
            Exit::Fine
        }
        Err(error) => wrong(&error),
    }
}

fn wrong(why: &dyn Display) -> Exit {
    let _ = writeln!(std::io::stderr().lock(), "{why}");
    Exit::Configuration
}

/// The user of the service.
const SERVICE: &str = "mednerd";

/// Makes root the service's user before anything that the package's configuration names is read: what root can read says nothing of
/// what the service can, and plugins are not root's to run. A configuration elsewhere is looked at as whoever asks.
fn as_the_service(file: &Path) -> nix::Result<()> {
    let here = std::path::absolute(file).is_ok_and(|file| file.starts_with("/etc/mednerd"));
    if !(here && geteuid().is_root()) {
        return Ok(());
    }
    let Some(user) = User::from_name(SERVICE)? else {
        return Ok(());
    };
    initgroups(c"mednerd", user.gid)?;
    setgid(user.gid)?;
    setuid(user.uid)
}

fn validate(file: &Path) -> Exit {
    if let Err(error) = as_the_service(file) {
        return wrong(&format!(
            "root cannot become the user {SERVICE}, as whom the service reads all this: {error}; run it by `runuser -u {SERVICE} --`"
        ));
    }
    let (lines, exit) = match run::validate(file) {
        Ok(mut lines) => {
            lines.push(format!("{}: all is right", file.display()));
            (lines, Exit::Fine)
        }
        Err(problems) => (
            problems.iter().map(ToString::to_string).collect(),
            Exit::Configuration,
        ),
    };
    // A reader that has closed the pipe wants no more.
    let _ = writeln!(std::io::stdout().lock(), "{}", lines.join("\n"));
    exit
}
