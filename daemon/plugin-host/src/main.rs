//! `mednerd-plugin-host`: started by the daemon for one plugin, with a socket as standard input, an empty
//! environment and nothing else. `mednerd-plugin-host check` is the conformance suite, for `mednerctl plugin check`.
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod capabilities;
mod check;
mod privileges;
mod sandbox;
mod serve;

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::Signal;

const USAGE: &str = "mednerd starts this program. By hand: mednerd-plugin-host check [--patience-ms N] \
    [--mentions FILE] DIRECTORY [SETTINGS [SAMPLE]], where SETTINGS is a JSON object, SAMPLE a document, and FILE has a \
    mention in each line";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        [] => as_child(serve::run),
        ["check-one"] => as_child(check::run_one),
        ["check", ref rest @ ..] => check(rest),
        _ => say(USAGE),
    }
}

fn check(arguments: &[&str]) -> ExitCode {
    let (mut patience, mut mentions, mut rest) = (check::PATIENCE, None, arguments);
    loop {
        rest = match *rest {
            ["--patience-ms", number, ref more @ ..] => match number.parse() {
                Ok(number) => {
                    patience = Duration::from_millis(number);
                    more
                }
                Err(_) => return say(USAGE),
            },
            ["--mentions", file, ref more @ ..] => {
                mentions = Some(file);
                more
            }
            _ => break,
        };
    }
    let (directory, settings, sample) = match *rest {
        [directory] => (directory, "{}", None),
        [directory, settings] => (directory, settings, None),
        [directory, settings, sample] => (directory, settings, Some(sample)),
        _ => return say(USAGE),
    };
    conformance(directory, settings, sample, mentions, patience)
}

/// Runs with a socket as standard input.
fn as_child(run: impl FnOnce() -> std::io::Result<()>) -> ExitCode {
    if !is_started_by_another() {
        return say(USAGE);
    }
    // Vendor code may panic with a note in the message.
    std::panic::set_hook(Box::new(|_| {}));
    // The thread that started this process lives as long as its worker.
    let bound = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    match bound.map_err(Into::into).and_then(|()| run()) {
        Ok(()) => ExitCode::SUCCESS,
        // Who started it has gone, or knows.
        Err(_) => ExitCode::from(2),
    }
}

/// Whether standard input is a socket, which nobody has who calls a program by hand.
fn is_started_by_another() -> bool {
    let input = std::io::stdin().as_fd().try_clone_to_owned();
    let metadata = input.and_then(|input| File::from(input).metadata());
    metadata.is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// Prints the report as JSON. Exit code 0 where the plugin conforms, 1 where it does not, 2 where there is none.
fn conformance(
    directory: &str,
    settings: &str,
    sample: Option<&str>,
    mentions: Option<&str>,
    patience: Duration,
) -> ExitCode {
    let read = |name: Option<&str>| {
        let content = name.map(std::fs::read).transpose();
        content.map_err(|error| format!("{}: the sample cannot be read: {error}", name.unwrap_or_default()))
    };
    let given = read(sample).and_then(|document| {
        let mentions = read(mentions)?.map(String::from_utf8).transpose();
        let mentions = mentions.map_err(|_| "the file with mentions is not UTF-8".to_owned())?;
        Ok((document, mentions.unwrap_or_default()))
    });
    let (document, mentions) = match given {
        Ok(given) => given,
        Err(why) => return say(&why),
    };
    let lines = mentions.lines().map(str::trim).filter(|line| !line.is_empty());
    let samples = check::Samples {
        document,
        mentions: lines.map(str::to_owned).collect(),
    };
    let report = check::run(Path::new(directory), settings, samples, patience).and_then(|report| {
        let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
        Ok((report.conforms, text))
    });
    match report {
        Ok((conforms, text)) => {
            let _ = writeln!(std::io::stdout().lock(), "{text}");
            ExitCode::from(u8::from(!conforms))
        }
        Err(why) => say(&why),
    }
}

fn say(sentence: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "mednerd-plugin-host: {sentence}");
    ExitCode::from(2)
}
