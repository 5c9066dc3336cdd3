//! The real `mednerctl` against a fake daemon: what it prints, what it asks, how it ends.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fake;

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fake::{Fake, annotate, refuse};
use serde_json::{Value, json};

const NOTE: &str = "Known diabetes, on metformin.\nNew: lung cancer 😷 (cancer).\n";

fn ctl(socket: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mednerctl"));
    command
        .env("MEDNERD_SOCKET", socket)
        .env_remove("MEDNERD_ADMIN_SOCKET")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    command
}

/// Exit code, standard output, standard error.
fn told(output: Output) -> (i32, String, String) {
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn run(command: &mut Command) -> (i32, String, String) {
    told(command.output().unwrap())
}

#[test]
fn a_note_from_a_pipe_becomes_a_table() {
    let fake = Fake::annotating();
    let mut child = ctl(&fake.socket())
        .args(["annotate", "--models", "small", "--threshold", "0.25"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(NOTE.as_bytes()).unwrap();
    let (code, out, err) = told(child.wait_with_output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "\
-: 5 entities, offsets in Unicode code points
begin  end  label     score  model  text
    6   14  DISEASE   0.975  small  diabetes
   19   28  CHEMICAL  0.975  small  metformin
   35   46  DISEASE   0.975  small  lung cancer
   40   46  FINDING   0.975  small  cancer
   50   56  FINDING   0.975  small  cancer
"
    );
    let requests = fake.requests.lock().unwrap();
    let request = requests.first().unwrap();
    assert_eq!(request.text, NOTE);
    assert_eq!(request.document_id, None, "no name leaves this machine unasked");
    assert_eq!(request.models.as_deref().unwrap(), ["small"]);
    assert_eq!(request.threshold, Some(0.25));
    assert_eq!(request.offset_unit, None);
}

#[test]
fn concepts_have_a_column_when_there_are_any() {
    let fake = Fake::annotating();
    let note = fake.file("a.txt", "diabetes, metformin");
    let (code, out, _) = run(ctl(&fake.socket()).args(["annotate", "--link"]).arg(note));
    assert_eq!(code, 0);
    assert!(out.contains("text       concepts\n"), "{out}");
    assert!(out.contains("diabetes   C0011849 Diabetes Mellitus\n"), "{out}");
}

#[test]
fn json_is_one_answer_for_one_file_and_an_array_for_several() {
    let fake = Fake::annotating();
    let (a, b) = (fake.file("a.txt", NOTE), fake.file("b.txt", "nothing"));
    let base = || {
        let mut command = ctl(&fake.socket());
        command.args(["annotate", "--format", "json"]);
        command
    };
    let (code, out, _) = run(base().arg(&a));
    let one: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 0);
    assert_eq!(one["entities"].as_array().unwrap().len(), 5);
    assert!(out.starts_with("{\n  \"document_id\""), "{out}");

    let (code, out, _) = run(base().arg(&a).arg(&b));
    let both: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 0);
    assert_eq!(both[0], one);
    assert_eq!(both[1]["document_id"], json!(b.to_str().unwrap()));
    assert!(both[1]["entities"].as_array().unwrap().is_empty());
}

#[test]
fn a_files_name_is_sent_only_where_that_is_asked_for() {
    let fake = Fake::annotating();
    let (a, b) = (fake.file("Zyxgardquist_Jane.txt", NOTE), fake.file("b.txt", NOTE));
    let asked = |options: &[&str], files: &[&Path]| {
        fake.requests.lock().unwrap().clear();
        let mut command = ctl(&fake.socket());
        let (code, out, err) = run(command
            .args(["annotate", "-f", "ndjson"])
            .args(options)
            .args(files));
        let mut sent: Vec<_> = fake
            .requests
            .lock()
            .unwrap()
            .iter()
            .map(|one| one.document_id.clone())
            .collect();
        sent.sort();
        (code, out, err, sent)
    };
    let names = [&*a, &*b].map(|path| path.to_str().unwrap().to_owned());
    let (code, out, _, sent) = asked(&[], &[&a, &b]);
    assert_eq!((code, sent), (0, vec![None, None]));
    for (line, name) in out.lines().zip(&names) {
        let answer: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            answer["document_id"],
            json!(name),
            "which answer is which is told all the same"
        );
    }
    let (code, _, _, sent) = asked(&["--document-id-from-name"], &[&a, &b]);
    assert_eq!((code, sent), (0, names.iter().cloned().map(Some).collect()));
    let (code, out, _, sent) = asked(&["--document-id", "4711"], &[&a]);
    assert_eq!((code, sent), (0, vec![Some("4711".to_owned())]));
    assert!(out.contains("\"4711\""), "{out}");
    let (code, _, err, sent) = asked(&["--document-id", "4711"], &[&a, &b]);
    assert_eq!((code, sent.len()), (2, 0), "{err}");
    assert!(err.contains("--document-id-from-name"), "{err}");
}

#[test]
fn ndjson_keeps_the_order_of_many_files_over_many_connections() {
    let fake = Fake::new(|number, _, body| {
        // Earlier requests take longer.
        std::thread::sleep(std::time::Duration::from_millis(
            20_u64.saturating_sub(number as u64),
        ));
        annotate(body)
    });
    let files: Vec<_> = (0..40)
        .map(|n| fake.file(&format!("{n}.txt"), format!("diabetes {n}")))
        .collect();
    let (code, out, err) = run(ctl(&fake.socket())
        .args(["annotate", "-f", "ndjson", "--jobs", "5"])
        .args(&files));
    assert_eq!((code, err.as_str()), (0, ""));
    let names: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["document_id"].clone())
        .collect();
    let expected: Vec<Value> = files.iter().map(|f| json!(f.to_str().unwrap())).collect();
    assert_eq!(names, expected);
}

#[test]
fn html_asks_for_bytes_and_goes_to_a_private_file() {
    let fake = Fake::annotating();
    let note = fake.file("note.txt", NOTE);
    let page = fake.folder.path().join("page.html");
    let (code, out, err) = run(ctl(&fake.socket())
        .args(["annotate", "-f", "html", "-o"])
        .args([&page, &note]));
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    assert_eq!(page.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>"));
    for part in [
        "Content-Security-Policy",
        "default-src 'none'",
        ">metformin</mark>",
        ">lung <mark ",
        "data-label=\"CHEMICAL\"",
        "<td class=\"number\">53</td><td class=\"number\">59</td>",
    ] {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn a_busy_daemon_is_asked_again_after_the_time_it_named() {
    let fake = Fake::new(|number, _, body| match number {
        0 => refuse(429, "busy", "the queue is full", Some(1)),
        _ => annotate(body),
    });
    let note = fake.file("a.txt", NOTE);
    let started = std::time::Instant::now();
    let (code, out, err) = run(ctl(&fake.socket()).arg("annotate").arg(note));
    assert_eq!(code, 0);
    assert!(err.contains("the queue is full; it is asked again"), "{err}");
    assert!(out.contains("metformin"));
    assert!(started.elapsed() >= std::time::Duration::from_secs(1));
    assert_eq!(fake.requests.lock().unwrap().len(), 2);
}

#[test]
fn a_daemon_that_stays_busy_is_asked_until_there_is_no_patience_left() {
    let fake = Fake::new(|number, _, body| match number {
        0..12 => refuse(429, "busy", "the queue is full", Some(0)),
        _ => annotate(body),
    });
    let note = fake.file("a.txt", NOTE);
    let (code, _, err) = run(ctl(&fake.socket()).arg("annotate").arg(&note));
    assert_eq!((code, fake.requests.lock().unwrap().len()), (0, 13), "{err}");
    let fake = Fake::new(|_, _, _| refuse(429, "busy", "the queue is full", Some(0)));
    let (code, out, err) = run(ctl(&fake.socket())
        .args(["annotate", "--timeout", "0.5"])
        .arg(note));
    assert_eq!((code, out.as_str()), (4, ""));
    assert!(err.contains("the queue is full"), "{err}");
}

#[test]
fn a_peer_that_is_not_allowed_is_told_once() {
    let fake = Fake::new(|_, _, _| refuse(403, "forbidden", "uid 1000 may not annotate", None));
    let files = [
        fake.file("a.txt", NOTE),
        fake.file("b.txt", NOTE),
        fake.file("c.txt", NOTE),
    ];
    let (code, out, err) = run(ctl(&fake.socket())
        .args(["annotate", "-j", "1"])
        .args(&files[..1]));
    assert_eq!((code, out.as_str()), (4, ""));
    assert!(err.starts_with("mednerctl: ") && err.ends_with('\n'), "{err}");
    assert_eq!(err.lines().count(), 1);
    assert!(!err.contains("metformin"));

    let (code, _, err) = run(ctl(&fake.socket()).arg("annotate").args(&files));
    assert_eq!(code, 4);
    assert!(err.contains("stopped here; 2 more files were not tried"), "{err}");
}

#[test]
fn nobody_there_is_exit_code_3() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("a.txt");
    std::fs::write(&note, NOTE).unwrap();
    let socket = folder.path().join("none");
    for arguments in [
        vec!["status"],
        vec!["bench"],
        vec!["annotate", note.to_str().unwrap()],
    ] {
        let (code, out, err) = run(ctl(&socket).args(&arguments));
        assert_eq!((code, out.as_str()), (3, ""), "{arguments:?}");
        assert!(err.contains("cannot reach mednerd on"), "{err}");
        assert_eq!(err.lines().count(), 1);
    }
}

#[test]
fn a_silent_daemon_is_given_up_on() {
    let fake = Fake::new(|_, _, _| {
        std::thread::sleep(std::time::Duration::from_millis(600));
        refuse(500, "late", "late", None)
    });
    let (code, _, err) = run(ctl(&fake.socket()).args(["status", "--timeout", "0.1"]));
    assert_eq!(code, 3);
    assert!(err.contains("no answer within 0.1 s"), "{err}");
}

#[test]
fn a_file_that_is_not_utf8_fails_alone() {
    let fake = Fake::annotating();
    let good = fake.file("good.txt", NOTE);
    let bad = fake.file("bad.txt", b"caf\xe9 metformin");
    let (code, out, err) =
        run(ctl(&fake.socket())
            .arg("annotate")
            .args([&bad, &good, &fake.folder.path().join("gone.txt")]));
    assert_eq!(code, 5);
    assert!(out.contains("good.txt: 5 entities"), "{out}");
    assert!(err.contains("bad.txt: it is not UTF-8"), "{err}");
    assert!(err.contains("number 3"), "{err}");
    assert!(err.contains("gone.txt: cannot read it"), "{err}");
    assert!(!err.contains("metformin"));
    assert_eq!(run(ctl(&fake.socket()).arg("annotate").arg(&bad)).0, 5);
}

#[test]
fn an_answer_in_part_is_shown_and_said() {
    let fake = Fake::new(|_, _, body| {
        let (status, retry, body) = annotate(body);
        let mut answer: Value = serde_json::from_str(&body).unwrap();
        answer["status"] = json!("partial");
        answer["degraded"] = json!(["normalizer:umls"]);
        (status, retry, answer.to_string())
    });
    let note = fake.file("a.txt", NOTE);
    let (code, out, err) = run(ctl(&fake.socket()).arg("annotate").arg(note));
    assert_eq!(code, 5);
    assert!(out.contains("(in part, without normalizer:umls)"), "{out}");
    assert!(err.contains("answered in part, without normalizer:umls"), "{err}");
}

#[test]
fn an_answer_about_another_text_is_not_shown() {
    let fake = Fake::new(|_, _, _| annotate(br#"{"text": "diabetes insipidus of another"}"#));
    let note = fake.file("a.txt", NOTE);
    let (code, out, err) = run(ctl(&fake.socket()).arg("annotate").arg(note));
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("does not fit the text"), "{err}");
}

#[test]
fn an_answer_that_is_not_of_the_api_quotes_nothing() {
    let fake = Fake::new(|_, _, _| (200, None, r#"{"secret": "metformin"}"#.to_owned()));
    let note = fake.file("a.txt", NOTE);
    let (code, _, err) = run(ctl(&fake.socket()).arg("annotate").arg(note));
    assert_eq!(code, 3);
    assert!(!err.contains("metformin"), "{err}");
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let fake = Fake::annotating();
    let files: Vec<_> = (0..50)
        .map(|n| fake.file(&format!("{n}.txt"), NOTE.repeat(100)))
        .collect();
    let mut child = ctl(&fake.socket())
        .args(["annotate", "-f", "ndjson"])
        .args(&files)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 16];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let (code, _, err) = told(child.wait_with_output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn a_full_disk_is_no_success() {
    let fake = Fake::annotating();
    let note = fake.file("a.txt", NOTE);
    let (code, _, err) = run(ctl(&fake.socket())
        .args(["annotate", "-o", "/dev/full"])
        .arg(note));
    assert_eq!(code, 5);
    assert!(err.contains("cannot write /dev/full"), "{err}");
}

#[test]
fn output_that_would_overwrite_a_note_is_a_usage_error() {
    let fake = Fake::annotating();
    let note = fake.file("a.txt", NOTE);
    let (code, _, _) = run(ctl(&fake.socket()).args(["annotate", "-o"]).args([&note, &note]));
    assert_eq!(code, 2);
    assert_eq!(std::fs::read_to_string(&note).unwrap(), NOTE);
}

fn status() -> Value {
    json!({
        "version": "0.1.0", "state": "ready", "pid": 42, "started_at": "2026-11-21T04:00:00Z",
        "uptime_s": 11_520,
        "engine": {"name": "tract", "reason": "no GPU was found", "threads": 2, "precision": "fp32", "gpus": []},
        "queue": {"documents": 3, "capacity": 64, "bytes": 2048, "bytes_capacity": 67_108_864, "connections": 4},
        "requests": {"ok": 120, "partial": 0, "refused": 0, "failed": 2, "abandoned": 1},
        "resident_bytes": 327_155_712, "models": ["disease"], "plugins": [],
        "limits": {"max_text_bytes": 4_000_000, "max_body_bytes": 24_065_536, "default_deadline_ms": 60_000, "max_deadline_ms": 600_000,
            "idle_timeout_ms": 60_000, "stall_timeout_ms": 15_000, "batches": 8},
        "configuration": {"files": ["/etc/mednerd/mednerd.toml"],
            "loaded_at": "2026-11-21T04:00:00Z", "settings": "065d0ff767a83b95",
            "plugin_development": false, "rejected": ["/etc/mednerd/mednerd.toml:3: unknown key"]}
    })
}

#[test]
fn status_is_readable_and_json_is_what_the_daemon_said() {
    let fake = Fake::new(|_, route, _| {
        assert_eq!(route, "/v1/status");
        (200, None, status().to_string())
    });
    let (code, out, _) = run(ctl(&fake.socket()).arg("status"));
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "\
state                ready
version              0.1.0
process              42
running for          3 h 12 min, since 2026-11-21T04:00:00Z
engine               tract, fp32, threads: 2
                     no GPU was found
queue                3 of 64 documents, 2.0 KiB of 64.0 MiB
connections          4
documents            120 ok, 0 partial, 0 refused, 2 failed, 1 abandoned
memory               312.0 MiB
models               disease
plugins              none
configuration        /etc/mednerd/mednerd.toml
                     in force since 2026-11-21T04:00:00Z
last reload refused  /etc/mednerd/mednerd.toml:3: unknown key
"
    );
    let (code, out, _) = run(ctl(&fake.socket()).args(["status", "--json"]));
    assert_eq!(code, 0);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), status());
}

#[test]
fn models_and_plugins_are_listed() {
    let fake = Fake::new(|_, route, _| {
        let body = match route {
            "/v1/models" => json!({"models": [{
                "name": "disease", "default": true, "family": "bert", "engine": "tract",
                "precision": "fp32", "labels": ["CHEMICAL", "DISEASE"], "context_tokens": 512,
                "parameters": 11_170_000, "languages": ["en"], "license": null,
                "digest": "0123456789abcdef0123", "memory_bytes": 44_680_000,
                "loaded_at": "2026-11-21T04:00:00Z", "adapters": ["gene"]}]}),
            _ => json!({"plugins": [{
                "id": "org.example.umls", "version": "1.2.0", "vendor": "Example", "path": "/p",
                "abilities": ["mednerd.normalizer/1"], "vocabularies": [{"name": "UMLS", "version": "2026AA"}],
                "formats": [], "task": null, "signed_by": "E7620F1842B4E81F", "sha256": "ab", "state": "ready",
                "reason": null, "pid": 7, "ready_since": "2026-11-21T04:00:00Z", "start_ms": 20.0, "starts": 2,
                "deaths": 1, "last_death": {"at": "2026-11-21T03:00:00Z", "cause": "ended by SIGSEGV"},
                "calls": {"answered": 1, "failed": 0, "overruns": 0},
                "sandbox": {"landlock": "full", "seccomp": "full", "enough": true}}]}),
        };
        (200, None, body.to_string())
    });
    let (code, out, _) = run(ctl(&fake.socket()).arg("models"));
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "\
name     over  plugin  default  family  languages  engine  precision  labels             window  parameters    memory  digest        loaded at
disease  -     -       yes      bert    en         tract   fp32       CHEMICAL, DISEASE     512      11.2 M  42.6 MiB  0123456789ab  2026-11-21T04:00:00Z
"
    );
    let (code, out, _) = run(ctl(&fake.socket()).arg("plugins"));
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "\
id                version  vendor   state  brings       signed by         confined  last death                              last failure
org.example.umls  1.2.0    Example  ready  UMLS 2026AA  E7620F1842B4E81F  yes       2026-11-21T03:00:00Z, ended by SIGSEGV
"
    );
    let (code, out, _) = run(ctl(&fake.socket()).args(["plugins", "--json"]));
    assert_eq!(code, 0);
    assert!(serde_json::from_str::<Value>(&out).is_ok());
}

#[test]
fn reload_goes_to_the_admin_socket_and_names_every_problem() {
    let fake = Fake::new(|number, route, _| {
        assert_eq!(route, "/v1/reload");
        if number == 0 {
            let body = json!({"loaded": ["chemical"], "kept": ["disease"], "unloaded": []});
            return (200, None, body.to_string());
        }
        let body = json!({"error": {"code": "bad_configuration",
            "message": "the configuration has 2 problems; the old one stays in force",
            "details": {"problems": ["a.toml:3: unknown key", "b.toml:1: no such model"]}}});
        (422, None, body.to_string())
    });
    let reload = || {
        let mut command = ctl(Path::new("/nonexistent"));
        command.arg("reload").env("MEDNERD_ADMIN_SOCKET", fake.socket());
        command
    };
    let (code, out, _) = run(&mut reload());
    assert_eq!(
        (code, out.as_str()),
        (0, "loaded    chemical\nkept      disease\nunloaded  none\n")
    );
    let (code, out, err) = run(&mut reload());
    assert_eq!((code, out.as_str()), (4, ""));
    assert_eq!(
        err,
        "mednerctl: a.toml:3: unknown key\nmednerctl: b.toml:1: no such model\n\
         mednerctl: mednerd refused (422): the configuration has 2 problems; the old one stays in force\n"
    );
}

#[test]
fn bench_counts_what_was_answered() {
    let fake = Fake::new(|number, route, body| match (number, route) {
        (_, "/metrics") => (
            200,
            None,
            format!(
                "# TYPE mednerd_tokens counter\nmednerd_tokens_total {}\n",
                number * 100
            ),
        ),
        // The two warm-ups and the first look at the metrics, then some work with one refusal in it.
        (5, _) => refuse(429, "busy", "the queue is full", Some(0)),
        _ => annotate(body),
    });
    let (code, out, err) = run(ctl(&fake.socket()).args([
        "bench",
        "--requests",
        "20",
        "--connections",
        "2",
        "--model",
        "small",
        "--json",
    ]));
    assert_eq!((code, err.as_str()), (5, ""), "{out}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["answered"], json!(19));
    assert_eq!(report["errors"], json!({"busy": 1}));
    // The metrics were read as requests 2 and 23, and so 2,100 tokens apart.
    let tokens = report["tokens_per_second"].as_f64().unwrap() * report["seconds"].as_f64().unwrap();
    assert!((tokens - 2_100.0).abs() < 1e-6, "{tokens}");
    assert_eq!(report["daemon_mean_ms"]["inference"], json!(2.0));
    let latency = &report["latency_ms"];
    assert!(latency["p50"].as_f64().unwrap() > 0.0);
    assert!(latency["p50"].as_f64() <= latency["p99"].as_f64());
    assert!(latency["p99"].as_f64() <= latency["max"].as_f64());
    assert_eq!(fake.requests.lock().unwrap().len(), 22);

    let (code, out, _) = run(ctl(&fake.socket()).args(["bench", "--seconds", "1"]));
    assert_eq!(code, 0);
    for part in ["notes/s", "tokens/s", "words/s", "characters/s", "latency p99"] {
        assert!(out.contains(part), "{out}");
    }
}

#[test]
fn bench_with_a_model_that_is_not_there_says_so() {
    let fake = Fake::new(|_, _, _| refuse(404, "unknown_model", "there is no model x", None));
    let (code, out, err) = run(ctl(&fake.socket()).args(["bench", "--model", "x"]));
    assert_eq!((code, out.as_str()), (4, ""));
    assert!(err.contains("there is no model x"), "{err}");
}

#[test]
fn completions_and_pages_need_no_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("none");
    let (code, out, _) = run(ctl(&nowhere).args(["completions", "bash"]));
    assert_eq!(code, 0);
    assert!(out.contains("_mednerctl()"));
    let (code, _, _) = run(ctl(&nowhere).arg("man").arg(folder.path()));
    assert_eq!(code, 0);
    assert!(folder.path().join("mednerctl-annotate.1").exists());
    assert_eq!(run(ctl(&nowhere).arg("--help")).0, 0);
    assert_eq!(run(ctl(&nowhere).arg("frobnicate")).0, 2);
}

/// A folder with `mednerctl` and, beside it, a program that is asked in the daemon's place.
struct Beside {
    folder: tempfile::TempDir,
}

impl Beside {
    fn new(daemon: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("mednerctl");
        let built = Path::new(env!("CARGO_BIN_EXE_mednerctl"));
        if std::fs::hard_link(built, &own).is_err() {
            std::fs::copy(built, &own).unwrap();
        }
        let beside = Self { folder };
        beside.program("mednerd", daemon);
        beside
    }

    /// Writes a script.
    fn program(&self, name: &str, script: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn ctl(&self) -> Command {
        let mut command = Command::new(self.folder.path().join("mednerctl"));
        command
            .env_remove("MEDNERD_SOCKET")
            .env_remove("MEDNERD_ADMIN_SOCKET")
            .stdin(Stdio::null());
        command
    }
}

/// The answer to `GET /v1/status` of a daemon whose process is this one.
fn own_status(config: &Path) -> String {
    let mut status = status();
    status["version"] = json!(mednerd_client::version());
    status["pid"] = json!(std::process::id());
    status["configuration"] = json!({
        "files": [config], "loaded_at": "", "rejected": [], "plugin_development": false,
    });
    status["engine"] = json!({
        "name": "tract", "reason": "computing on the CPU: no GPU worker is installed", "threads": 1, "precision": "fp32",
    });
    status.to_string()
}

/// A daemon that runs, and takes documents or does not.
fn running(config: &Path, ready: bool) -> Fake {
    let config = config.to_owned();
    Fake::new(move |_, route, _| match route {
        "/v1/status" => (200, None, own_status(&config)),
        "/readyz" if ready => (200, None, json!({"status": "ok"}).to_string()),
        "/readyz" => refuse(503, "audit_unavailable", "the record cannot be written", Some(5)),
        "/metrics" => (
            200,
            None,
            format!(
                "mednerd_audit_failures_total {}\n# EOF\n",
                if ready { 0 } else { 7 }
            ),
        ),
        _ => refuse(404, "route_not_found", "there is no such route", None),
    })
}

/// What `doctor --json` found about something, verdict first.
fn found(page: &str, about: &str) -> Vec<String> {
    let findings: Vec<Value> = serde_json::from_str(page).unwrap();
    let of = findings.iter().filter(|finding| finding["about"] == about);
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    of.map(|finding| {
        format!(
            "{}: {} -> {}",
            word(finding, "verdict"),
            word(finding, "found"),
            word(finding, "remedy")
        )
    })
    .collect()
}

/// A `mednerd` that says where a configuration in `folder` has everything.
fn placing(folder: &Path, socket: &Path) -> String {
    let places = json!({
        "socket": {"path": socket, "mode": 0o666, "group": null},
        "admin_socket": {"path": folder.join("admin.sock"), "mode": 0o600, "group": null},
        "audit": folder.join("trail"), "audit_key": folder.join("trail.key"),
        "groups": [], "users": ["mirth"], "wants_gpu": true, "reads": [],
    });
    format!("case $1 in places) echo '{places}';; validate) echo wrong key >&2; exit 78;; esac")
}

#[test]
fn doctor_finds_a_daemon_that_runs_and_takes_no_document() {
    let place = tempfile::tempdir().unwrap();
    for ready in [false, true] {
        let fake = running(&place.path().join("mednerd.toml"), ready);
        let (code, out, _) = run(ctl(&fake.socket()).args(["doctor", "--json"]));
        let daemon = found(&out, "daemon").join("\n");
        let records = found(&out, "audit records").join("\n");
        if ready {
            assert!(daemon.starts_with("ok: answers"), "{daemon}");
            assert_eq!(records, "");
        } else {
            assert_eq!(code, 5, "{out}");
            assert!(
                daemon.starts_with("wrong: ") && daemon.contains("the record cannot be written"),
                "{daemon}"
            );
            assert!(records.starts_with("warning: 7 times"), "{records}");
        }
    }
}

#[test]
fn doctor_looks_where_the_configuration_in_force_has_everything() {
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("mednerd.toml");
    let fake = running(&config, true);
    std::fs::create_dir(place.path().join("trail")).unwrap();
    std::fs::set_permissions(fake.socket(), std::fs::Permissions::from_mode(0o660)).unwrap();
    let beside = Beside::new(&placing(place.path(), &fake.socket()));
    let (_, out, err) = run(beside.ctl().args(["doctor", "--json"]));
    assert_eq!(err, "");
    let say = |about| found(&out, about).join("\n");
    let within = |name: &str| place.path().join(name).display().to_string();
    // The socket was found by the configuration, and is closed to a user whom [access] lists.
    assert!(say("daemon").starts_with("ok: answers"), "{out}");
    let socket = say("socket");
    assert!(
        socket.starts_with(&format!("wrong: {}", fake.socket().display()))
            && socket.contains("SocketMode=0666"),
        "{socket}"
    );
    assert!(say("admin socket").contains(&within("admin.sock")), "{out}");
    assert!(say("audit trail").contains(&within("trail")), "{out}");
    assert!(say("audit key").contains(&within("trail.key")), "{out}");
    assert!(
        say("disk").ends_with(&format!("free for {} -> ", within("trail"))),
        "{out}"
    );
    assert_eq!(say("group"), "");
    assert!(say("users").contains("mirth"), "{out}");
    // device = "cuda", and the CPU computes.
    let engine = say("engine");
    assert!(
        engine.starts_with("warning: ") && engine.contains("no GPU worker is installed"),
        "{engine}"
    );
    // What said nothing on standard output said it elsewhere.
    assert!(say("configuration").contains("wrong key"), "{out}");
    let other = place.path().join("other");
    let (_, out, _) = run(beside.ctl().args(["doctor", "--json", "--audit"]).arg(&other));
    assert!(
        found(&out, "audit trail")
            .join("")
            .contains(other.to_str().unwrap()),
        "{out}"
    );
    assert_eq!(run(ctl(&fake.socket()).args(["annotate", "--help"])).0, 0);
}

#[test]
fn doctor_says_nothing_of_a_trail_that_a_wrong_configuration_may_have() {
    let place = tempfile::tempdir().unwrap();
    let fake = running(&place.path().join("mednerd.toml"), true);
    let trail = place.path().join("trail");
    std::fs::create_dir(&trail).unwrap();
    let whole = placing(place.path(), &fake.socket());
    let named = format!("\"audit\":{}", json!(trail));
    assert!(whole.contains(&named));
    for (script, verdict, word) in [
        (
            whole.replace(&named, "\"audit\":null"),
            "warning: ",
            "none is configured",
        ),
        (
            whole.replace(&named, "\"audit\":null,\"whole\":false"),
            "unknown: ",
            "nobody can say whether there is one",
        ),
        (
            whole.replace(&named, &format!("{named},\"whole\":false")),
            "unknown: ",
            "may be elsewhere",
        ),
    ] {
        let beside = Beside::new(&script);
        // A configuration of somebody's own: no package's trail is meant.
        let config = place.path().join("own.toml");
        let (_, out, _) = run(beside.ctl().args(["doctor", "--json", "--config"]).arg(config));
        let said = found(&out, "audit trail");
        assert!(said.first().unwrap().starts_with(verdict), "{out}");
        assert!(said.first().unwrap().contains(word), "{out}");
        // The socket is looked at, and what it should let in is not known.
        let socket = found(&out, "socket").join("");
        assert_eq!(
            socket.starts_with("unknown: "),
            word != "none is configured",
            "{socket}"
        );
    }
}

#[test]
fn the_timeout_bounds_every_attempt_together_and_the_wait_is_told_once() {
    let fake = Fake::new(|_, _, _| refuse(429, "busy", "the queue is full", Some(1)));
    let files = [fake.file("a.txt", NOTE), fake.file("b.txt", NOTE)];
    let (code, _, err) = run(ctl(&fake.socket())
        .args(["annotate", "-j", "1", "--timeout", "1.5"])
        .args(&files));
    assert_eq!(code, 4, "{err}");
    // A second wait would last longer than there is time.
    assert_eq!(fake.requests.lock().unwrap().len(), 4);
    assert_eq!(err.matches("it is asked again").count(), 1, "{err}");
}

#[test]
fn a_trail_that_cannot_be_written_is_told_at_once() {
    let fake = Fake::new(|_, _, _| refuse(503, "audit_unavailable", "the record cannot be written", Some(5)));
    let note = fake.file("a.txt", NOTE);
    let (code, _, err) = run(ctl(&fake.socket()).arg("annotate").arg(note));
    assert_eq!((code, fake.requests.lock().unwrap().len()), (4, 1), "{err}");
}

#[test]
fn a_verdict_is_the_exit_code_though_nobody_reads_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let [trail, key] = ["audit.ndjson", "key"].map(|name| folder.path().join(name));
    std::fs::write(&trail, "{}\n").unwrap();
    std::fs::write(&key, "0123456789abcdef".repeat(4)).unwrap();
    let note = folder.path().join("note.txt");
    std::fs::write(&note, b"caf\xe9").unwrap();
    let good = folder.path().join("good.txt");
    std::fs::write(&good, NOTE).unwrap();
    let fake = Fake::annotating();
    let unread = |arguments: &[&str]| {
        // A pipe whose reader is gone.
        let mut reader = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
        let pipe = reader.stdin.take().unwrap();
        reader.wait().unwrap();
        let mut command = ctl(&fake.socket());
        command.args(arguments).stdout(pipe).stderr(Stdio::null());
        command.status().unwrap().code()
    };
    let at = |path: &Path| path.to_str().unwrap().to_owned();
    let (trail, key, note, good) = (at(&trail), at(&key), at(&note), at(&good));
    for command in ["verify", "show"] {
        assert_eq!(
            unread(&["audit", command, "--path", &trail, "--key", &key]),
            Some(5),
            "{command}"
        );
    }
    assert_eq!(unread(&["doctor", "--audit", &trail]), Some(5));
    assert_eq!(unread(&["annotate", "-j", "1", &note, &good]), Some(5));
    assert_eq!(unread(&["annotate", &good]), Some(0));
}

#[test]
fn the_clients_socket_is_told_from_the_administrators() {
    let fake = running(Path::new("/x"), true);
    for arguments in [&["reload"][..], &["unload", "a"], &["load", "a", "/a"]] {
        let (code, _, err) = run(ctl(&fake.socket())
            .args(arguments)
            .arg("--admin-socket")
            .arg(fake.socket()));
        assert_eq!(code, 4, "{err}");
        assert!(err.contains("this is not the daemon's admin socket"), "{err}");
    }
}

#[test]
fn an_output_that_cannot_be_written_whole_leaves_the_older_one() {
    let fake = Fake::annotating();
    let notes: Vec<_> = (0..200).map(|n| fake.file(&format!("{n}.txt"), NOTE)).collect();
    let older = fake.file("out.ndjson", "older");
    let command = format!(
        // No file may grow beyond 8 blocks.
        "trap '' XFSZ; ulimit -f 8; exec \"$0\" annotate -f ndjson -o {} \"$@\"",
        older.display()
    );
    let mut limited = Command::new("sh");
    limited
        .args(["-c", &command])
        .arg(env!("CARGO_BIN_EXE_mednerctl"))
        .args(&notes)
        .env("MEDNERD_SOCKET", fake.socket())
        .stdin(Stdio::null());
    let (code, _, err) = run(limited.arg("--jobs").arg("1"));
    assert_eq!(code, 5, "{err}");
    assert_eq!(std::fs::read_to_string(&older).unwrap(), "older");
    let left = std::fs::read_dir(fake.folder.path()).unwrap();
    let left = left.filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .ends_with("-new")
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn a_run_that_is_broken_off_keeps_lines_and_leaves_no_half_file() {
    for (format, kept) in [("ndjson", Some(2)), ("json", None), ("table", None)] {
        let fake = Fake::new(|number, _, body| match number {
            0 | 1 => annotate(body),
            _ => refuse(429, "queue_full", "later", Some(60)),
        });
        let notes = ["a.txt", "b.txt", "c.txt"].map(|name| fake.file(name, NOTE));
        let out = fake.folder.path().join("out");
        let mut command = ctl(&fake.socket());
        command.args(["annotate", "--jobs", "1", "-f", format, "-o"]);
        let mut child = command
            .arg(&out)
            .args(&notes)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while fake.requests.lock().unwrap().len() < 3 {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let mut kill = Command::new("kill");
        assert!(kill.arg(child.id().to_string()).status().unwrap().success());
        let (code, _, err) = told(child.wait_with_output().unwrap());
        assert_eq!(code, 5, "{err}");
        assert!(err.contains("mednerctl: interrupted; "), "{err}");
        let lines = std::fs::read_to_string(&out).ok();
        assert_eq!(lines.map(|lines| lines.lines().count()), kept, "{format}: {err}");
        let left = std::fs::read_dir(fake.folder.path()).unwrap();
        let half = left.filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with('.')
        });
        assert_eq!(half.count(), 0, "{format}");
    }
}

#[test]
fn an_export_that_is_broken_off_leaves_no_half_file() {
    let folder = tempfile::tempdir().unwrap();
    let [trail, out] = ["trail", "out.csv"].map(|name| folder.path().join(name));
    // It stands still as long as nobody writes there.
    assert!(Command::new("mkfifo").arg(&trail).status().unwrap().success());
    let mut child = ctl(folder.path())
        .args(["audit", "export", "--format", "csv", "--key", "/nonexistent"])
        .arg("--output")
        .arg(&out)
        .arg("--path")
        .arg(&trail)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let entries = || std::fs::read_dir(folder.path()).unwrap().count();
    while entries() < 2 {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let mut kill = Command::new("kill");
    assert!(kill.arg(child.id().to_string()).status().unwrap().success());
    // The signal arrives on a thread of its own.
    std::thread::sleep(std::time::Duration::from_millis(300));
    drop(std::fs::File::options().write(true).open(&trail).unwrap());
    let (code, _, err) = told(child.wait_with_output().unwrap());
    assert_eq!(code, 5, "{err}");
    assert!(err.contains("interrupted; nothing was written"), "{err}");
    assert_eq!(entries(), 1);
}

#[test]
fn a_file_that_would_get_another_group_is_written_over() {
    let fake = Fake::annotating();
    let note = fake.file("note.txt", NOTE);
    let out = fake.file("out", "an older one");
    for (path, mode) in [
        (fake.folder.path(), 0o777),
        (&fake.socket(), 0o666),
        (&note, 0o644),
    ] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let (user, group) = (65534, 12);
    if std::os::unix::fs::chown(&out, Some(user), Some(group)).is_err() {
        return; // only root can make such a file
    }
    std::fs::set_permissions(&out, std::fs::Permissions::from_mode(0o660)).unwrap();
    let before = out.metadata().unwrap();
    let mut command = ctl(&fake.socket());
    command
        .args(["annotate", "-f", "ndjson", "-o"])
        .args([&out, &note]);
    // A member of no group but its own, so that it can give the file to no other.
    let output = match command.uid(user).gid(65534).output() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return, // a private target folder
        output => output.unwrap(),
    };
    let (code, _, err) = told(output);
    assert_eq!((code, err.as_str()), (0, ""));
    let after = out.metadata().unwrap();
    let facts = |file: &std::fs::Metadata| (file.ino(), file.uid(), file.gid(), file.mode());
    assert_eq!(facts(&after), facts(&before));
    assert!(std::fs::read_to_string(&out).unwrap().starts_with('{'));
}

/// What `mednerd check-model` says of a model that can be served.
const CHECKED: &str = "echo '{\"kind\":\"model\",\"family\":\"bert\",\"labels\":[\"Disease\"],\"parameters\":1,\"digest\":\"d\",\"license\":null,\"goldens\":0}'";

fn model(folder: &Path) -> std::path::PathBuf {
    let model = folder.join("tiny");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("config.json"), "{}").unwrap();
    std::fs::write(model.join("model.safetensors"), "weights").unwrap();
    model
}

#[test]
fn what_is_installed_under_any_umask_can_be_read_by_the_daemon() {
    let beside = Beside::new(CHECKED);
    let place = beside.folder.path();
    let into = place.join("var/lib/models");
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask 077; exec \"$0\" model install \"$1\" --into \"$2\""])
        .args([&place.join("mednerctl"), &model(place), &into]);
    let (code, _, err) = run(&mut command);
    assert_eq!(code, 0, "{err}");
    for folder in ["var", "var/lib", "var/lib/models", "var/lib/models/tiny"] {
        let mode = place.join(folder).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "{folder}");
    }
}

#[test]
fn a_report_of_a_check_has_the_mode_of_any_new_file() {
    let beside = Beside::new("");
    let place = beside.folder.path();
    let host = beside.program("host", "echo '{\"conforms\":true,\"tests\":[]}'");
    for (umask, mode) in [("077", 0o600), ("022", 0o644), ("007", 0o660)] {
        let report = place.join(umask);
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!(
                "umask {umask}; exec \"$0\" plugin check --host \"$1\" --report \"$2\" \"$3\""
            ))
            .args([&place.join("mednerctl"), &host, &report, &place.to_owned()]);
        let (code, _, err) = run(&mut command);
        assert_eq!(code, 0, "{err}");
        assert_eq!(
            report.metadata().unwrap().permissions().mode() & 0o777,
            mode,
            "{umask}"
        );
    }
}

#[test]
fn a_record_that_cannot_be_read_is_named_where_the_person_has_it() {
    let beside = Beside::new(CHECKED);
    let place = beside.folder.path();
    let model = model(place);
    std::fs::write(model.join("SHA256SUMS"), "not a sum  config.json\n").unwrap();
    let mut command = beside.ctl();
    let install = command
        .args(["model", "install"])
        .arg(&model)
        .arg("--into")
        .arg(place.join("models"));
    let (code, _, err) = run(install);
    assert_eq!(code, 4, "{err}");
    assert!(
        err.contains(&format!("{}, line 1", model.join("SHA256SUMS").display())),
        "{err}"
    );
    // In binary mode, with more than the model, from within the folder.
    let sums = Command::new("sh")
        .arg("-c")
        .arg("echo x >log.txt; sha256sum -b ./config.json ./model.safetensors ./log.txt >SHA256SUMS")
        .current_dir(&model)
        .status()
        .unwrap();
    assert!(sums.success());
    let (code, out, err) = run(install);
    assert_eq!(code, 0, "{out}{err}");
    std::fs::write(model.join("config.json"), "{ }").unwrap();
    let (code, _, err) = run(install);
    assert!(code == 4 && err.contains("has another content"), "{err}");
}

#[test]
fn a_full_disk_leaves_no_half_key_and_no_half_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let limited = |blocks: u32, arguments: &[&std::ffi::OsStr]| {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" plugin \"$@\"");
        let mut command = Command::new("sh");
        command
            .args(["-c", &script, env!("CARGO_BIN_EXE_mednerctl")])
            .args(arguments);
        run(command.env("MEDNERD_KEY_PASSWORD", "").stdin(Stdio::null()))
    };
    let (key, vendor, into) = (at("vendor.key"), at("vendor"), at("plugins"));
    let keygen = ["keygen".as_ref(), "--key".as_ref(), key.as_os_str()];
    let (code, _, err) = limited(0, &keygen);
    assert_eq!(code, 4, "{err}");
    assert!(!key.exists() && !key.with_extension("pub").exists());
    assert_eq!(limited(1_000_000, &keygen).0, 0);

    std::fs::create_dir(&vendor).unwrap();
    std::fs::write(
        vendor.join("plugin.toml"),
        "id = \"example.units\"\nvendor = \"x\"\nversion = \"1.0.0\"\nabi = 1\nabilities = [\"mednerd.normalizer/1\"]\nlibrary = \"libunits.so\"\n",
    )
    .unwrap();
    std::fs::write(vendor.join("libunits.so"), vec![0; 1 << 16]).unwrap();
    let before = std::fs::read(vendor.join("plugin.toml")).unwrap();
    let sign = [
        "sign".as_ref(),
        vendor.as_os_str(),
        "--key".as_ref(),
        key.as_os_str(),
    ];
    assert_eq!(limited(0, &sign).0, 4);
    assert_eq!(
        std::fs::read(vendor.join("plugin.toml")).unwrap(),
        before,
        "signed in part"
    );
    let (code, _, err) = limited(1_000_000, &sign);
    assert_eq!(code, 0, "{err}");

    let keys = folder.path().as_os_str();
    let install = [
        "install".as_ref(),
        vendor.as_os_str(),
        "--into".as_ref(),
        into.as_os_str(),
        "--trusted-keys".as_ref(),
        keys,
    ];
    let (code, _, err) = limited(8, &install);
    assert_eq!(code, 4, "{err}");
    assert!(err.contains("libunits.so"), "{err}");
    assert_eq!(std::fs::read_dir(&into).unwrap().count(), 0);
    // What a killed run left is no plugin.
    std::fs::create_dir(into.join(".example.units.new")).unwrap();
    std::fs::write(into.join(".example.units.new/plugin.toml"), before).unwrap();
    let list = [
        "list".as_ref(),
        "--into".as_ref(),
        into.as_os_str(),
        "--trusted-keys".as_ref(),
        keys,
    ];
    let (code, out, _) = limited(1_000_000, &list);
    assert_eq!((code, out.contains("no plugin is installed")), (0, true), "{out}");
}
