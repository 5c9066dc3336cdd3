//! `mednerd-plugin-host`: started by the daemon for one plugin, with a socket as standard input, an empty
//! environment and nothing else. `mednerd-plugin-host check` is the conformance suite, for `mednerctl plugin check`.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod check;
mod sandbox;
mod serve;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::Signal;

const USAGE: &str = "mednerd starts this program. By hand: mednerd-plugin-host check [--patience-ms N] DIRECTORY \
    [SETTINGS [SAMPLE]], where SETTINGS is a JSON object and SAMPLE a file";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        [] => as_child(serve::run),
        ["check-one"] => as_child(check::run_one),
        ["check", "--patience-ms", number, ref rest @ ..] => match number.parse() {
            Ok(number) => check(rest, Duration::from_millis(number)),
            Err(_) => say(USAGE),
        },
        ["check", ref rest @ ..] => check(rest, check::PATIENCE),
        _ => say(USAGE),
    }
}

fn check(arguments: &[&str], patience: Duration) -> ExitCode {
    match *arguments {
        [directory] => conformance(directory, "{}", None, patience),
        [directory, settings] => conformance(directory, settings, None, patience),
        [directory, settings, sample] => conformance(directory, settings, Some(sample), patience),
        _ => say(USAGE),
    }
}

/// Runs with a socket as standard input.
fn as_child(run: impl FnOnce() -> std::io::Result<()>) -> ExitCode {
    // Vendor code may panic with a note in the message.
    std::panic::set_hook(Box::new(|_| {}));
    // The thread that started this process lives as long as its worker.
    let bound = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    match bound.map_err(Into::into).and_then(|()| run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => say(USAGE),
    }
}

/// Prints the report as JSON. Exit code 0 where the plugin conforms, 1 where it does not, 2 where there is none.
fn conformance(directory: &str, settings: &str, sample: Option<&str>, patience: Duration) -> ExitCode {
    let named = sample;
    let sample = match sample.map(std::fs::read).transpose() {
        Ok(sample) => sample,
        Err(error) => {
            return say(&format!(
                "{}: the sample cannot be read: {error}",
                named.unwrap_or_default()
            ));
        }
    };
    let report = check::run(Path::new(directory), settings, sample, patience).and_then(|report| {
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
