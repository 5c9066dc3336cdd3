//! `mednerctl` against the real daemon: what a person at a terminal and a script rely on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use mednerd_client::api::{
    AnnotateResponse, ModelsResponse, PluginsResponse, ReloadResponse, StatusResponse,
};
use mednerd_tests::daemon::{binary, root, tiny_model};
use mednerd_tests::notes::{SENTENCE, flaw};
use mednerd_tests::{Config, Daemon, Site};

/// What a command ended with and said.
#[derive(Debug)]
struct Told {
    code: Option<i32>,
    out: String,
    err: String,
}

fn ctl(site: &Site, arguments: &[&str]) -> Told {
    ctl_with_input(site, arguments, "")
}

fn ctl_with_input(site: &Site, arguments: &[&str], input: &str) -> Told {
    let mut child = Command::new(binary("mednerctl"))
        .args(arguments)
        .env("MEDNERD_SOCKET", site.socket())
        .env("MEDNERD_ADMIN_SOCKET", site.admin_socket())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Told {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn sample(name: &str) -> String {
    root().join("configs/samples").join(name).display().to_string()
}

#[test]
fn annotate_prints_a_table_of_the_sample_notes_entities() {
    let daemon = Daemon::start(&Config::default());
    let told = ctl(daemon.site(), &["annotate", &sample("discharge.txt")]);
    assert_eq!(told.code, Some(0), "{told:?}");
    for entity in ["furosemide", "metformin", "pneumonia", "diabetes mellitus"] {
        assert!(told.out.contains(entity), "no {entity} in\n{}", told.out);
    }
    assert!(
        !told.out.contains('\u{1b}'),
        "no colours where there is no terminal"
    );
    assert_eq!(told.err, "");
}

#[test]
fn annotate_reads_standard_input_and_prints_the_daemons_json() {
    let daemon = Daemon::start(&Config::default());
    let told = ctl_with_input(daemon.site(), &["annotate", "--format", "json", "-"], SENTENCE);
    assert_eq!(told.code, Some(0), "{told:?}");
    let answer: AnnotateResponse = serde_json::from_str(&told.out).unwrap();
    assert_eq!(flaw(SENTENCE, &answer), None);
    assert_eq!(answer.entities, daemon.annotate(SENTENCE).entities);
}

#[test]
fn annotate_prints_one_line_for_each_of_many_files_in_their_order() {
    let daemon = Daemon::start(&Config::default().model("tiny", &tiny_model(), false));
    let names = ["discharge.txt", "emergency.txt", "progress.txt", "radiology.txt"];
    let files: Vec<String> = names.iter().map(|name| sample(name)).collect();
    let mut arguments = vec![
        "annotate",
        "--format",
        "ndjson",
        "--models",
        "tiny,shipped",
        "--offset-unit",
        "utf8_byte",
    ];
    arguments.extend(files.iter().map(String::as_str));
    let told = ctl(daemon.site(), &arguments);
    assert_eq!(told.code, Some(0), "{told:?}");
    let lines: Vec<&str> = told.out.lines().collect();
    assert_eq!(lines.len(), files.len());
    for (line, file) in lines.into_iter().zip(&files) {
        let answer: AnnotateResponse = serde_json::from_str(line).unwrap();
        assert_eq!(flaw(&fs::read_to_string(file).unwrap(), &answer), None, "{file}");
        assert_eq!(answer.versions.models.len(), 2);
    }
}

#[test]
fn annotate_writes_a_page_that_needs_nothing_else() {
    let daemon = Daemon::start(&Config::default());
    let page = daemon.site().path("page.html");
    let told = ctl(
        daemon.site(),
        &[
            "annotate",
            "--format",
            "html",
            "--output",
            page.to_str().unwrap(),
            &sample("discharge.txt"),
        ],
    );
    assert_eq!(told.code, Some(0), "{told:?}");
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.starts_with("<!doctype html>") || html.starts_with("<!DOCTYPE html>"));
    assert!(html.contains("<mark") && html.contains("furosemide"));
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!html.contains(outside), "the page loads something: {outside}");
    }
    let mode = fs::metadata(&page).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "it holds note text");
}

#[test]
fn status_models_and_plugins_tell_what_the_daemon_is() {
    let daemon = Daemon::start(&Config::default());
    daemon.annotate(SENTENCE);
    let told = ctl(daemon.site(), &["status"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(
        told.out.contains("ready") && told.out.contains("1 ok"),
        "{}",
        told.out
    );
    let status: StatusResponse =
        serde_json::from_str(&ctl(daemon.site(), &["status", "--json"]).out).unwrap();
    assert_eq!(status.pid, daemon.pid());
    let told = ctl(daemon.site(), &["models"]);
    assert!(
        told.out.contains("shipped") && told.out.contains("bert"),
        "{}",
        told.out
    );
    let models: ModelsResponse =
        serde_json::from_str(&ctl(daemon.site(), &["models", "--json"]).out).unwrap();
    assert_eq!(models.models.len(), 1);
    assert_eq!(ctl(daemon.site(), &["plugins"]).code, Some(0));
    let plugins: PluginsResponse =
        serde_json::from_str(&ctl(daemon.site(), &["plugins", "--json"]).out).unwrap();
    assert_eq!(plugins.plugins, []);
}

#[test]
fn reload_tells_what_changed_or_every_problem() {
    let daemon = Daemon::start(&Config::tiny());
    let site = daemon.site();
    site.configure(&Config::tiny().model("second", &tiny_model(), false));
    let told = ctl(site, &["reload", "--json"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let change: ReloadResponse = serde_json::from_str(&told.out).unwrap();
    assert_eq!(
        change.kept,
        ["tiny", "second"],
        "the same files are not read twice"
    );
    site.write("mednerd.toml", "[server]\nnonsense = 1\nmore = 2\n");
    let told = ctl(site, &["reload"]);
    assert_eq!(told.code, Some(4), "{told:?}");
    for line in [
        "mednerd.toml:2: unknown key server.nonsense",
        "mednerd.toml:3: unknown key server.more",
    ] {
        assert!(told.err.contains(line), "no {line} in {}", told.err);
    }
    daemon.annotate(SENTENCE);
}

#[test]
fn exit_codes_are_those_of_the_interface() {
    let daemon = Daemon::start(&Config::tiny().server("max_text_bytes", 200));
    let site = daemon.site();
    let annotate = |arguments: &[&str], input: &str| {
        let mut all = vec!["annotate"];
        all.extend(arguments);
        ctl_with_input(site, &all, input)
    };
    assert_eq!(annotate(&[], "fine").code, Some(0));
    assert_eq!(ctl(site, &["frobnicate"]).code, Some(2));
    assert_eq!(annotate(&["--threshold", "2"], "").code, Some(2));
    assert_eq!(annotate(&["--models", "nobody"], "text").code, Some(4));
    let too_long = annotate(&[], &"Zyxgard ".repeat(100));
    assert_eq!(too_long.code, Some(4));
    assert!(!too_long.err.contains("Zyxgard"), "{}", too_long.err);
    site.write("short.txt", "short");
    site.write("long.txt", &"long ".repeat(100));
    let (short, long) = (site.path("short.txt"), site.path("long.txt"));
    let partly = annotate(&[short.to_str().unwrap(), long.to_str().unwrap()], "");
    assert_eq!(partly.code, Some(5), "{partly:?}");
    let nobody = Site::new(&Config::tiny());
    for arguments in [&["status"][..], &["annotate", "-"], &["reload"]] {
        let told = ctl(&nobody, arguments);
        assert_eq!(told.code, Some(3), "{told:?}");
        assert!(told.err.contains("cannot reach mednerd on"), "{told:?}");
    }
}

#[test]
fn annotate_writes_over_no_note() {
    let daemon = Daemon::start(&Config::tiny());
    let site = daemon.site();
    site.write("note.txt", SENTENCE);
    let [note, hard] = ["note.txt", "hard.txt"].map(|name| site.path(name));
    fs::hard_link(&note, &hard).unwrap();
    let (note, hard) = (note.to_str().unwrap(), hard.to_str().unwrap());
    let from_note = |arguments: &[&str]| {
        Command::new(binary("mednerctl"))
            .args(arguments)
            .env("MEDNERD_SOCKET", site.socket())
            .stdin(fs::File::open(note).unwrap())
            .output()
            .unwrap()
    };
    for arguments in [
        ["annotate", "-o", note, note],
        ["annotate", "-o", hard, note],
        ["annotate", "-o", hard, "-"],
    ] {
        let output = from_note(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert_eq!(fs::read_to_string(note).unwrap(), SENTENCE);
    }
    assert_eq!(from_note(&["annotate", "-o", note]).status.code(), Some(2));
    let other = site.path("other").display().to_string();
    assert_eq!(from_note(&["annotate", "-o", &other, "-"]).status.code(), Some(0));
    assert_eq!(
        from_note(&["annotate", "-o", "/dev/null", "-"]).status.code(),
        Some(0)
    );
    assert_eq!(
        ctl(site, &["annotate", "-o", "/dev/null", "/dev/null"]).code,
        Some(0)
    );
}

#[test]
fn doctor_asks_the_daemons_program_that_lies_beside_it() {
    let site = Site::new(&Config::tiny());
    site.write("key", &"0123456789abcdef".repeat(4));
    let output = Command::new(binary("mednerctl"))
        .args(["doctor", "--json", "--config"])
        .arg(site.config())
        .arg("--audit")
        .arg(site.path(""))
        .arg("--audit-key")
        .arg(site.path("key"))
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = |about: &str| {
        let about = findings
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["about"] == about);
        let found: Vec<&str> = about.map(|finding| finding["found"].as_str().unwrap()).collect();
        found.join("\n")
    };
    let configuration = found("configuration");
    assert!(configuration.contains("all is right"), "{configuration}");
    // Where there is no trail, nothing is said of it.
    let trail = found("audit trail");
    assert!(trail.contains("no record is in "), "{trail}");
}

#[test]
fn bench_measures_the_daemon() {
    let daemon = Daemon::start(&Config::tiny());
    let told = ctl(daemon.site(), &["bench", "--requests", "20", "--json"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let figures: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert!(figures.is_object(), "{figures}");
    assert!(daemon.status().requests.ok >= 20);
    daemon.site().write("latin.txt", "");
    let latin = daemon.site().path("latin.txt");
    fs::write(&latin, b"caf\xe9").unwrap();
    for path in [latin.to_str().unwrap(), "/nonexistent/note.txt"] {
        let told = ctl(daemon.site(), &["bench", "--text", path]);
        assert_eq!(told.code, Some(5), "{told:?}");
        assert!(told.err.starts_with(&format!("mednerctl: {path}: ")), "{told:?}");
    }
}
