//! The programs of the integration guide, as a reader would run them. One whose runtime is not here is skipped, and says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use mednerd_client::api::{AnnotateResponse, BatchLine, OffsetUnit, Status};
use mednerd_tests::daemon::root;
use mednerd_tests::{Config, Daemon, Site};
use serde_json::json;

/// Letters of two UTF-16 code units and a line end of two bytes, so that units and translations show.
const NOTE: &str = "\u{1f9d1} Type 2 diabetes,\r\non \u{201c}metformin\u{201d} 500 mg; no \u{1d6fc}-thalassemia. \"Cough\".\n";

fn example(name: &str) -> PathBuf {
    root().join("packaging/doc/examples").join(name)
}

fn start() -> (Site, Daemon) {
    let site = Site::new(&Config::default());
    site.write("note.txt", NOTE);
    let daemon = site.start();
    (site, daemon)
}

/// What came of a command; `None` where its runtime is not here.
fn end(program: &str, arguments: &[&str], site: &Site, more: &[&str]) -> Option<Output> {
    let there = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .stdout(Stdio::null())
        .status();
    if !there.unwrap().success() {
        mednerd_skip::skipped(format_args!("{program} is not installed"));
        return None;
    }
    let mut command = Command::new(program);
    let command = command.args(arguments).args(more).current_dir(site.path(""));
    Some(command.output().unwrap())
}

/// What a command prints; `None` where its runtime is not here.
fn run(program: &str, arguments: &[&str], site: &Site, more: &[&str]) -> Option<String> {
    let output = end(program, arguments, site, more)?;
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

fn lines(answer: &AnnotateResponse) -> Vec<String> {
    let line = |entity: &mednerd_client::api::Entity| {
        let text = entity.text.replace('\n', " ");
        format!("{}\t{}\t{}\t{text}", entity.begin, entity.end, entity.label)
    };
    assert!(answer.entities.len() >= 2, "{answer:?}");
    answer.entities.iter().map(line).collect()
}

fn expected(daemon: &Daemon, unit: OffsetUnit) -> AnnotateResponse {
    daemon.ask(&json!({"text": NOTE, "offset_unit": unit}))
}

#[test]
fn curl() {
    let (site, daemon) = start();
    let script = example("annotate.sh").display().to_string();
    let socket = site.socket().display().to_string();
    let Some(printed) = run("curl", &["--version"], &site, &[]).and(run(
        "sh",
        &[&script],
        &site,
        &["note.txt", &socket, "n-1"],
    )) else {
        return;
    };
    let answer: AnnotateResponse = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        lines(&answer),
        lines(&expected(&daemon, OffsetUnit::UnicodeCodePoint))
    );
    assert_eq!(answer.document_id.as_deref(), Some("n-1"));
}

#[test]
fn python() {
    let (site, daemon) = start();
    let (program, socket) = (example("annotate.py"), site.socket());
    let arguments = [
        program.to_str().unwrap(),
        socket.to_str().unwrap(),
        "note.txt",
        "note.txt",
    ];
    let Some(printed) = run("python3", &arguments, &site, &[]) else {
        return;
    };
    let once = lines(&expected(&daemon, OffsetUnit::UnicodeCodePoint));
    assert_eq!(printed.lines().collect::<Vec<_>>(), [once.clone(), once].concat());
}

#[test]
fn java() {
    let (site, daemon) = start();
    let (program, socket) = (example("Annotate.java"), site.socket());
    let arguments = [program.to_str().unwrap(), socket.to_str().unwrap(), "note.txt"];
    if run("javac", &["-version"], &site, &[]).is_none() {
        return;
    }
    let Some(printed) = run("java", &arguments, &site, &[]) else {
        return;
    };
    let answer: AnnotateResponse = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        lines(&answer),
        lines(&expected(&daemon, OffsetUnit::Utf16CodeUnit))
    );
}

#[test]
fn node() {
    let (site, daemon) = start();
    let (program, socket) = (example("annotate.mjs"), site.socket());
    let arguments = [program.to_str().unwrap(), socket.to_str().unwrap(), "note.txt"];
    let Some(printed) = run("node", &arguments, &site, &[]) else {
        return;
    };
    let wanted = lines(&expected(&daemon, OffsetUnit::Utf16CodeUnit));
    assert_eq!(printed.lines().collect::<Vec<_>>(), wanted);
}

/// The guide's own advice, so that a program shows the daemon's 408 and not a time-out of its own.
#[test]
fn the_programs_wait_longer_than_the_daemon() {
    let number = |text: &str, before: &str| -> u64 {
        let (_, after) = text.split_once(before).unwrap_or_else(|| panic!("no {before}"));
        let digits = after.chars().take_while(|c| c.is_ascii_digit() || *c == '_');
        digits
            .filter(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .unwrap()
    };
    let configuration = std::fs::read_to_string(root().join("configs/mednerd.toml")).unwrap();
    let deadline = number(&configuration, "default_deadline_ms = ");
    for (program, before, milliseconds) in [
        ("annotate.sh", "--max-time ", 1000),
        ("annotate.py", "timeout=", 1000),
        ("batch.py", "timeout=", 1000),
        ("Annotate.java", "TIMEOUT_SECONDS = ", 1000),
        ("annotate.mjs", "setTimeout(", 1),
    ] {
        let text = std::fs::read_to_string(example(program)).unwrap();
        assert!(number(&text, before) * milliseconds > deadline, "{program}");
    }
}

const NOTES: usize = 20;

/// That many requests, in the file `requests.ndjson`.
fn requests(site: &Site) {
    let request = |number| {
        format!(
            "{}\n",
            json!({"text": NOTE, "document_id": format!("n-{number}")})
        )
    };
    site.write("requests.ndjson", &(0..NOTES).map(request).collect::<String>());
}

fn check_batch(printed: &str) {
    let answers: Vec<BatchLine> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), NOTES);
    for answer in answers {
        assert_eq!(answer.response.status, Status::Ok);
        assert_eq!(
            answer.response.document_id,
            answer.index.map(|index| format!("n-{index}"))
        );
    }
}

#[test]
fn batch() {
    let (site, _daemon) = start();
    requests(&site);
    let script = example("batch.sh").display().to_string();
    let socket = site.socket().display().to_string();
    let printed = run("curl", &["--version"], &site, &[]).and(run(
        "sh",
        &[&script],
        &site,
        &["requests.ndjson", &socket],
    ));
    if let Some(printed) = printed {
        check_batch(&printed);
    }
}

#[test]
fn batch_in_python() {
    let (site, _daemon) = start();
    requests(&site);
    let (program, socket) = (example("batch.py"), site.socket());
    let arguments = [
        program.to_str().unwrap(),
        socket.to_str().unwrap(),
        "requests.ndjson",
    ];
    if let Some(printed) = run("python3", &arguments, &site, &[]) {
        check_batch(&printed);
    }
}

/// Takes every request to the end, gives this answer, and is gone as a daemon that is killed.
fn cut_off(site: &Site, answer: &'static str) {
    let listener = UnixListener::bind(site.socket()).unwrap();
    let over = |request: &[u8]| match request.windows(7).any(|head| head == b"chunked") {
        true => request.ends_with(b"0\r\n\r\n"),
        false => request.trim_ascii_end().ends_with(b"}"),
    };
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut request, mut part) = (stream.unwrap(), Vec::new(), [0; 65536]);
            while !over(&request) {
                match stream.read(&mut part).unwrap() {
                    0 => break,
                    length => request.extend_from_slice(&part[..length]),
                }
            }
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
}

#[test]
fn an_answer_that_was_cut_off_is_no_answer() {
    const LINE: &str = r#"{"index":1,"status":"ok","entities":[]}"#;
    let notes = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{\"status\": \"ok\", \"entities\": []}";
    let site = Site::new(&Config::default());
    site.write("note.txt", NOTE);
    let socket = site.socket().display().to_string();
    cut_off(&site, notes);
    for (program, name, last) in [
        ("python3", "annotate.py", false),
        ("node", "annotate.mjs", false),
        ("java", "Annotate.java", false),
        ("sh", "annotate.sh", true),
    ] {
        let script = example(name).display().to_string();
        let mut arguments = [&script[..], &socket, "note.txt"];
        if last {
            arguments.swap(1, 2);
        }
        if let Some(output) = end(program, &arguments, &site, &[]) {
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && !told.is_empty(), "{name}: {output:?}");
        }
    }

    let site = Site::new(&Config::default());
    site.write(
        "requests.ndjson",
        "{\"text\": \"a\"}\n{\"text\": \"b\"}\n\n{\"text\": \"c\"}",
    );
    let socket = site.socket().display().to_string();
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    // After one answer, where Python's own reader of chunks sees an end.
    let line = format!("{LINE}\n");
    let answer = format!("{head}{:x}\r\n{line}\r\n", line.len());
    cut_off(&site, answer.leak());
    for (program, name, last) in [("python3", "batch.py", false), ("sh", "batch.sh", true)] {
        let script = example(name).display().to_string();
        let mut arguments = [&script[..], &socket, "requests.ndjson"];
        if last {
            arguments.swap(1, 2);
        }
        let Some(output) = end(program, &arguments, &site, &[]) else {
            continue;
        };
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{name}: {output:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).starts_with(LINE),
            "{name}"
        );
        let missing = "2 lines have no answer, the first of them 0, 3 (counted from 0): send them again";
        assert!(name != "batch.py" || told.contains(missing), "{told}");
    }
}
