//! Parses the command line and maps the result to an exit code.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use mednerd::config::DEFAULT_FILE;
use mednerd::run::{self, Exit};

#[global_allocator]
static HEAP: mednerd_sys::Forgetful = mednerd_sys::Forgetful;

/// Finds biomedical entities in clinical text and answers on a Unix socket.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
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
    /// Exit code 0 where all is right, 78 where something is not.
    Validate(ConfigFile),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let exit = match arguments.command {
        None => run::serve(&arguments.config.file),
        Some(Command::Validate(config)) => validate(&config.file),
    };
    exit.into()
}

fn validate(file: &std::path::Path) -> Exit {
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
