//! The audit trail from outside: what is in it, that it holds no text, that every edit is found, and that nothing is
//! answered which cannot be written down.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::process::{Command, Output};

use mednerd_tests::daemon::binary;
use mednerd_tests::http::message;
use mednerd_tests::notes::SENTENCE;
use mednerd_tests::{Config, Site, eventually};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A site with a trail and, under `[audit]`, these lines more.
fn site(more: &str) -> Site {
    let site = Site::with_toml("");
    fs::create_dir(site.path("trail")).unwrap();
    site.write("key", KEY);
    site.write(
        "mednerd.toml",
        &format!(
            "{}[audit]\npath = \"trail\"\nkey = \"key\"\n{more}",
            Config::tiny().toml()
        ),
    );
    site
}

fn audit(site: &Site, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("mednerctl"));
    command.arg("audit").args(arguments);
    command
        .arg("--path")
        .arg(site.path("trail"))
        .arg("--key")
        .arg(site.path("key"));
    command.output().unwrap()
}

fn records(site: &Site, filter: &[&str]) -> Vec<Value> {
    let output = audit(site, &[&["export"], filter].concat());
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_document_leaves_a_record_without_its_text() {
    let site = site("");
    let mut daemon = site.start();
    let answer = daemon.ask(&json!({"text": SENTENCE, "document_id": "note-1"}));
    daemon.ask(&json!({"text": SENTENCE, "document_id": "Mr Zyxgardquist, cough"}));
    daemon
        .request("POST", "/v1/annotate", "{\"text\": 7}")
        .refused(400, "invalid_field");
    daemon.batch(format!(
        "{}\nnonsense\n",
        json!({"text": SENTENCE, "document_id": "b-1"})
    ));
    assert_eq!(daemon.admin("POST", "/v1/reload").status, 200);
    // By a signal nobody is known to have done it, but that it was done is written down all the same.
    let hang_up = |result: &str| {
        let sample = format!("mednerd_reloads_total{{result=\"{result}\"}}");
        let before = daemon.metric(&sample);
        daemon.signal(Signal::SIGHUP);
        eventually("it has reloaded", || daemon.metric(&sample) > before);
    };
    hang_up("accepted");
    let good = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), "[server").unwrap();
    hang_up("rejected");
    fs::write(site.config(), good).unwrap();
    daemon.stop();
    // The chain goes on over a restart.
    let mut daemon = site.start();
    daemon.ask(&json!({"text": SENTENCE}));
    daemon.stop();

    let all = records(&site, &[]);
    let events: Vec<&str> = all
        .iter()
        .map(|record| record["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        events.iter().filter(|&&event| event == "document").count(),
        6,
        "{events:?}"
    );
    assert_eq!(events.iter().filter(|&&event| event == "started").count(), 2);
    let administration = all.iter().filter(|record| record["event"] == "administration");
    let told: Vec<_> = administration
        .map(|record| {
            (
                record["action"].as_str().unwrap(),
                record["status"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [("POST /v1/reload", "ok"), ("SIGHUP", "ok"), ("SIGHUP", "failed")];
    assert_eq!(told, expected);
    let first = &records(&site, &["--document", "note-1"])[0];
    assert_eq!(first["status"], "ok");
    assert_eq!(first["entities"], answer.entities.len() as u64);
    assert_eq!(first["text_bytes"], SENTENCE.len() as u64);
    assert_eq!(first["models"]["tiny"], answer.versions.models["tiny"].as_str());
    assert_eq!(first["peer"]["uid"], nix::unistd::geteuid().as_raw());
    assert_eq!(first["peer"]["pid"], std::process::id());
    let exe = fs::read_link("/proc/self/exe").unwrap();
    assert_eq!(
        first["peer"]["exe"],
        exe.to_str().unwrap(),
        "of the same user it can be known"
    );
    let documents = all.iter().filter(|record| record["event"] == "document");
    let failed: Vec<_> = documents.filter(|record| record["status"] == "failed").collect();
    assert_eq!(failed.len(), 2);
    assert_eq!(failed[0]["code"], "invalid_field");
    assert_eq!(
        records(&site, &["--document", "Mr Zyxgardquist, cough"]).len(),
        1,
        "prose is found by its HMAC"
    );
    site.write("text", SENTENCE);
    let text = site.path("text").display().to_string();
    assert_eq!(records(&site, &["--text", &text]).len(), 4);

    let trail = fs::read_to_string(site.path("trail/audit.ndjson")).unwrap();
    let log = fs::read_to_string(site.path("log")).unwrap();
    for secret in ["Zyxgard", "metformin", SENTENCE] {
        assert!(!trail.contains(secret) && !log.contains(secret), "{secret}");
    }
    assert!(log.contains("audit record 2: document ok"), "{log}");
    let verified = audit(&site, &["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    let shown = String::from_utf8(audit(&site, &["show"]).stdout).unwrap();
    assert!(
        shown.contains("note-1") && shown.contains("invalid_field"),
        "{shown}"
    );
    let table = String::from_utf8(audit(&site, &["export", "--format", "csv"]).stdout).unwrap();
    assert_eq!(table.lines().count(), all.len() + 1);
}

#[test]
fn an_edit_and_a_cut_are_found() {
    let site = site("");
    let mut daemon = site.start();
    for number in 0..4 {
        daemon.ask(&json!({"text": SENTENCE, "document_id": format!("n-{number}")}));
    }
    daemon.stop();
    let path = site.path("trail/audit.ndjson");
    let whole = fs::read_to_string(&path).unwrap();
    let verified: Value = serde_json::from_slice(&audit(&site, &["verify", "--json"]).stdout).unwrap();
    let head = verified["head"].as_str().unwrap().to_owned();
    fs::write(&path, whole.replace("\"n-2\"", "\"n-9\"")).unwrap();
    let found = audit(&site, &["verify"]);
    assert_eq!(found.status.code(), Some(5), "{found:?}");
    assert!(
        String::from_utf8_lossy(&found.stdout).contains("audit.ndjson:4: the record was altered"),
        "{found:?}"
    );

    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    fs::write(&path, lines[..3].concat()).unwrap();
    assert_eq!(
        audit(&site, &["verify"]).status.code(),
        Some(0),
        "an end that was cut off needs the noted head"
    );
    assert_eq!(audit(&site, &["verify", "--head", &head]).status.code(), Some(5));
    fs::write(&path, &whole).unwrap();
    assert_eq!(audit(&site, &["verify", "--head", &head]).status.code(), Some(0));
}

#[test]
fn what_cannot_be_written_down_is_not_answered() {
    let site = site("");
    let mut daemon = site.start();
    let body = json!({"text": SENTENCE}).to_string();
    daemon.request("POST", "/v1/annotate", &body).ok();
    let path = site.path("trail/audit.ndjson");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    for reply in [
        daemon.request("GET", "/readyz", ""),
        daemon.admin("GET", "/readyz"),
    ] {
        reply.refused(503, "audit_unavailable");
    }
    for _ in 0..3 {
        let reply = daemon.request("POST", "/v1/annotate", &body);
        assert_eq!(reply.header("retry-after"), Some("30"));
        reply.refused(503, "audit_unavailable");
    }
    // Whoever writes before it reads is told as well.
    let mut client = daemon.connect();
    let large = json!({"text": "x".repeat(1_000_000)}).to_string();
    client.send(message("POST", "/v1/annotate", large)).unwrap();
    client.reply().unwrap().refused(503, "audit_unavailable");
    let lines = daemon.batch(format!("{body}\n"));
    assert!(lines.text().contains("audit_unavailable"), "{}", lines.text());
    assert!(daemon.metric("mednerd_audit_failures_total") >= 1.0);
    assert_eq!(daemon.request("GET", "/healthz", "").status, 200);
    daemon
        .request("GET", "/readyz", "")
        .refused(503, "audit_unavailable");
    fs::remove_dir(&path).unwrap();
    daemon.request("GET", "/readyz", "").ok();
    daemon.request("POST", "/v1/annotate", &body).ok();
    daemon.logs("can be written again");
    daemon.stop();
    assert_eq!(audit(&site, &["verify"]).status.code(), Some(0));
}

#[test]
fn an_administrator_may_choose_to_go_on_without() {
    let site = site("on_failure = \"continue\"\njournal = false\n");
    let mut daemon = site.start();
    let path = site.path("trail/audit.ndjson");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    daemon.annotate(SENTENCE);
    assert!(daemon.metric("mednerd_audit_failures_total") >= 1.0);
    assert!(!daemon.log().contains("audit record"), "{}", daemon.log());
    daemon.stop();
}

#[test]
fn a_trail_that_cannot_be_kept_is_told_before_the_start() {
    let site = site("max_bytes = 1\non_failure = \"ignore\"\nsync = \"never\"\n");
    let text = String::from_utf8(site.validate().stdout).unwrap();
    assert!(
        text.contains("audit.max_bytes")
            && text.contains("\"refuse\" or \"continue\"")
            && text.contains("\"periodic\" or \"record\""),
        "{text}"
    );
    // Each with its line, beside what is wrong with the file itself, of which nothing is said twice.
    let site = self::site("max_size = 1\n");
    site.write("key", "not a key");
    fs::remove_dir(site.path("trail")).unwrap();
    let told = |text: &str| {
        let written = fs::read_to_string(site.config()).unwrap();
        let at = written.lines().position(|line| line.starts_with(text)).unwrap();
        format!("{}:{}: ", site.config().display(), at + 1)
    };
    let lines = |output: Output| -> Vec<String> {
        assert_eq!(output.status.code(), Some(78));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(ToOwned::to_owned).collect()
    };
    let [path, key, unknown] = &*lines(site.validate()) else {
        panic!("{:?}", site.validate())
    };
    assert!(
        path.starts_with(&(told("path = \"trail\"") + "audit.path: ")),
        "{path}"
    );
    assert!(path.contains("is not a folder"), "{path}");
    assert!(key.starts_with(&(told("key") + "audit.key: ")), "{key}");
    assert!(key.contains("64 hexadecimal digits"), "{key}");
    assert!(
        unknown.starts_with(&(told("max_size") + "unknown key audit.max_size")),
        "{unknown}"
    );
    fs::remove_file(site.path("key")).unwrap();
    let missing = lines(site.validate());
    assert!(missing[1].contains("`openssl rand -hex 32`"), "{missing:?}");
    let written = fs::read_to_string(site.config()).unwrap();
    site.write("mednerd.toml", &written.replace("key = \"key\"", "key = 7"));
    let wrong = lines(site.validate());
    assert_eq!(
        wrong.iter().filter(|line| line.contains("audit.key")).count(),
        1,
        "{wrong:?}"
    );
}

#[test]
fn records_are_chosen_by_the_time_they_were_written_at() {
    let site = site("");
    site.start().stop();
    let all = records(&site, &[]);
    let [record] = &*all else { panic!("{all:?}") };
    let time: jiff::Timestamp = record["time"].as_str().unwrap().parse().unwrap();
    let count = |since: String, until: String| records(&site, &["--since", &since, "--until", &until]).len();
    let day = time.to_string()[..10].to_owned();
    assert_eq!(count(day.clone(), day.clone()), 1, "a day is all of it");
    let next = time + jiff::SignedDuration::from_secs(1);
    let second = |time: jiff::Timestamp| time.to_string()[..19].to_owned();
    // To the second and to the minute, with and without an offset, with a space.
    for (since, until) in [
        (format!("{}Z", second(time)), format!("{}Z", second(next))),
        (second(time).replace('T', " "), second(next)),
        (
            format!("{}-00:30", second(time - jiff::SignedDuration::from_mins(30))),
            format!("{}+02:00", second(next + jiff::SignedDuration::from_hours(2))),
        ),
    ] {
        assert_eq!(count(since.clone(), until.clone()), 1, "{since} to {until}");
    }
    assert_eq!(count(second(next), "9999-12-31".to_owned()), 0);
    assert_eq!(count("1999-01-01".to_owned(), second(time)), 0);
    for nonsense in ["yesterday", "tomorrow", "2026-02-30", ""] {
        for arguments in [["export", "--since", nonsense], ["show", "--until", nonsense]] {
            let output = audit(&site, &arguments);
            assert_eq!(output.status.code(), Some(2), "{output:?}");
        }
    }
}

#[test]
fn a_trail_that_is_not_there_is_not_found_unchanged() {
    let site = site("");
    let said = |arguments: &[&str], place: &str| {
        let output = Command::new(binary("mednerctl"))
            .arg("audit")
            .args(arguments)
            .arg("--path")
            .args(place.split(' ').map(|place| site.path(place)))
            .arg("--key")
            .arg(site.path("key"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(5), "{output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
        String::from_utf8(output.stderr).unwrap()
    };
    let place = |name: &str| site.path(name).display().to_string();
    for arguments in [&["verify"][..], &["verify", "--json"], &["show"], &["export"]] {
        let told = said(arguments, "trail");
        let expected = format!("mednerctl: {}: no audit trail is here", place("trail"));
        assert!(told.starts_with(&expected), "{told}");
    }
    site.write("trail/audit.ndjson", "");
    assert!(
        said(&["verify"], "trail").contains("no audit trail is here"),
        "it was emptied, say"
    );
    fs::remove_file(site.path("trail/audit.ndjson")).unwrap();
    site.start().stop();
    // The file that cannot be read is the one that is named.
    for places in ["nope", "trail/audit.ndjson nope"] {
        let told = said(&["verify"], places);
        let expected = format!(
            "mednerctl: {}: the audit trail cannot be read: No such file",
            place("nope")
        );
        assert!(told.starts_with(&expected), "{told}");
    }
    let told = said(&["show", "--text", &place("nope")], "trail");
    assert!(told.contains(&place("nope")), "{told}");
    let output = place("trail/audit.ndjson");
    let before = fs::read(&output).unwrap();
    assert_eq!(
        audit(&site, &["export", "--output", &output]).status.code(),
        Some(2)
    );
    assert_eq!(
        fs::read(&output).unwrap(),
        before,
        "the trail is not written over"
    );
}

#[test]
fn a_client_that_went_away_is_in_the_trail() {
    let site = site("sync = \"record\"\n");
    let mut daemon = site.start();
    let (text, _) = mednerd_tests::notes::long_note(200_000);
    let mut connection = daemon.connect();
    connection
        .send(message("POST", "/v1/annotate", json!({"text": text}).to_string()))
        .unwrap();
    eventually("the document is admitted", || daemon.status().queue.documents > 0);
    drop(connection);
    eventually("it is given up", || daemon.status().requests.abandoned == 1);
    daemon.stop();
    let all = records(&site, &[]);
    assert!(
        all.iter().any(|record| record["status"] == "abandoned"),
        "{all:?}"
    );
}
