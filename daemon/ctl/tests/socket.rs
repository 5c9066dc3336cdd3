//! The real `mednerctl` against a fake daemon: what it prints, what it asks, how it ends.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fake;

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
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
    assert_eq!(request.document_id.as_deref(), Some("-"));
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
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("metformin"));
    assert!(started.elapsed() >= std::time::Duration::from_secs(1));
    assert_eq!(fake.requests.lock().unwrap().len(), 2);
}

#[test]
fn a_daemon_that_stays_busy_is_left_alone_in_the_end() {
    let fake = Fake::new(|_, _, _| refuse(429, "busy", "the queue is full", Some(0)));
    let note = fake.file("a.txt", NOTE);
    let (code, out, err) = run(ctl(&fake.socket()).arg("annotate").arg(note));
    assert_eq!((code, out.as_str()), (4, ""));
    assert!(err.contains("the queue is full"), "{err}");
    assert_eq!(fake.requests.lock().unwrap().len(), 6);
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
        "requests": {"ok": 120, "partial": 0, "failed": 2, "abandoned": 1},
        "resident_bytes": 327_155_712, "models": ["disease"], "plugins": [],
        "configuration": {"files": ["/etc/mednerd/mednerd.toml"],
            "loaded_at": "2026-11-21T04:00:00Z",
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
documents            120 ok, 0 partial, 2 failed, 1 abandoned
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
