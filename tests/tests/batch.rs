//! Many notes on one connection: NDJSON in, NDJSON out, streamed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use mednerd_client::api::{BatchLine, Status};
use mednerd_tests::http::{batch_head, chunk};
use mednerd_tests::notes::{SENTENCE, flaw, long_note};
use mednerd_tests::{Config, Connection, Daemon, Reply, eventually};
use serde_json::{Value, json};

fn lines(reply: &Reply) -> BTreeMap<u64, BatchLine> {
    let lines: Vec<BatchLine> = reply
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")))
        .collect();
    let count = lines.len();
    let by_index: BTreeMap<_, _> = lines
        .into_iter()
        .map(|line| (line.index.unwrap(), line))
        .collect();
    assert_eq!(by_index.len(), count, "no line is answered twice");
    by_index
}

/// Sends one line of an open batch and reads the next answer, which need not be to that line.
fn exchange(batch: &mut Connection, line: &Value) -> BatchLine {
    batch.send(chunk(format!("{line}\n").as_bytes())).unwrap();
    next(batch)
}

fn next(batch: &mut Connection) -> BatchLine {
    let answer = batch.reply_chunk().unwrap().expect("the batch goes on");
    serde_json::from_slice(&answer).unwrap()
}

#[test]
fn every_line_is_answered_once_with_its_own_number_and_echoes() {
    let daemon = Daemon::start(&Config::default());
    let texts: Vec<String> = (0..60)
        .map(|n| format!("Line {n}. {}", SENTENCE.repeat(n % 7)))
        .collect();
    let body: Vec<String> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| json!({"text": text, "document_id": n.to_string(), "context": {"n": n}}).to_string())
        .collect();
    // The last line has no end.
    let reply = daemon.batch(body.join("\n"));
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    let lines = lines(&reply);
    assert_eq!(lines.len(), texts.len());
    for (n, text) in texts.iter().enumerate() {
        let answer = &lines[&(n as u64)].response;
        assert_eq!(answer.status, Status::Ok);
        assert_eq!(answer.document_id, Some(n.to_string()));
        assert_eq!(answer.context, json!({"n": n}));
        assert_eq!(flaw(text, answer), None);
        assert_eq!(answer.entities, daemon.annotate(text).entities, "as on its own");
    }
}

#[test]
fn a_line_that_fails_says_why_and_the_others_are_answered() {
    let daemon = Daemon::start(&Config::tiny().server("max_text_bytes", 10_000));
    let good = json!({"text": SENTENCE}).to_string();
    let long = json!({"text": "a ".repeat(8_000), "document_id": "long"}).to_string();
    let huge = json!({"text": "a ".repeat(90_000)}).to_string();
    let cases: [(u64, &[u8], Option<&str>); 17] = [
        (0, good.as_bytes(), None),
        (1, b"{\"text\":", Some("malformed_json")),
        (2, b"", None),
        (3, b"{\"text\":\"\xff\"}", Some("invalid_utf8")),
        (4, b"[]", Some("not_an_object")),
        (5, b"   \r", None),
        (
            6,
            br#"{"text":"a","txet":1,"context":[1],"document_id":"id"}"#,
            Some("unknown_field"),
        ),
        (
            7,
            b"{\"text\":\"a\",\"models\":[\"nobody\"]}",
            Some("unknown_model"),
        ),
        (8, long.as_bytes(), Some("text_too_long")),
        (9, huge.as_bytes(), Some("body_too_large")),
        (10, b"{\"text\":\"a\",\"link\":true}", Some("unusable_field")),
        (11, b"{\"text\":1}", Some("invalid_field")),
        (
            12,
            br#"{"text":"a","text":"a","context":[1],"document_id":"id"}"#,
            Some("duplicate_field"),
        ),
        (13, good.as_bytes(), None),
        (
            14,
            br#"{"text":"a","threshold":9,"document_id":"id"}"#,
            Some("unusable_field"),
        ),
        (
            15,
            br#"{"text":"a","deadline_ms":0,"context":[1],"document_id":"id"}"#,
            Some("unusable_field"),
        ),
        (
            16,
            br#"{"text":"a","labels":7,"document_id":"id"}"#,
            Some("invalid_field"),
        ),
    ];
    let body: Vec<&[u8]> = cases.iter().map(|(_, line, _)| *line).collect();
    let reply = daemon.batch(body.join(&b'\n'));
    let lines = lines(&reply);
    let answered: BTreeSet<u64> = lines.keys().copied().collect();
    assert_eq!(
        answered,
        (0..17).filter(|n| ![2, 5].contains(n)).collect(),
        "blank lines have no answer"
    );
    for (index, _, code) in cases.iter().filter(|(index, ..)| lines.contains_key(index)) {
        let answer = &lines[index].response;
        match code {
            None => {
                assert_eq!(answer.status, Status::Ok, "line {index}");
                assert_eq!(flaw(SENTENCE, answer), None);
            }
            Some(code) => {
                assert_eq!(answer.status, Status::Failed, "line {index}");
                assert_eq!(
                    answer.error.as_ref().map(|error| &*error.code),
                    Some(*code),
                    "line {index}"
                );
                assert_eq!(answer.entities, []);
            }
        }
    }
    assert_eq!(
        lines[&8].response.document_id.as_deref(),
        Some("long"),
        "so that the client knows which"
    );
    for index in [6, 12, 14, 15, 16] {
        assert_eq!(
            lines[&index].response.document_id.as_deref(),
            Some("id"),
            "line {index}"
        );
    }
    for index in [6, 12, 15] {
        assert_eq!(lines[&index].response.context, json!([1]), "line {index}");
    }
    let malformed = lines[&1].response.error.as_ref().unwrap();
    let told: Vec<&String> = malformed.details.keys().collect();
    assert_eq!(told, ["column"], "its line is told by the index");
    assert!(malformed.details["column"].as_u64() >= Some(1), "{malformed:?}");
    let huge = lines[&9].response.error.as_ref().unwrap();
    assert!(huge.message.contains("this line of a batch"), "{}", huge.message);
}

#[test]
fn a_batch_that_is_idle_says_so_without_the_number_of_a_line() {
    let daemon = Daemon::start(
        &Config::tiny()
            .server("idle_timeout_ms", 900)
            .server("stall_timeout_ms", 200),
    );
    let line = chunk(format!("{}\n", json!({"text": SENTENCE})).as_bytes());
    let mut batch = daemon.connect();
    batch.send(batch_head()).unwrap();
    batch.send(&line).unwrap();
    assert_eq!(batch.reply_head().unwrap().status, 200);
    assert_eq!(next(&mut batch).index, Some(0));
    // Longer than it may pause within a line.
    std::thread::sleep(std::time::Duration::from_millis(400));
    batch.send(&line).unwrap();
    let second = next(&mut batch);
    assert_eq!((second.index, second.response.status), (Some(1), Status::Ok));
    let last = next(&mut batch);
    assert_eq!((last.index, last.response.status), (None, Status::Failed));
    assert_eq!(last.response.error.unwrap().code, "batch_idle");
    assert_eq!(batch.reply_chunk().unwrap(), None);
}

#[test]
fn answers_come_while_the_client_still_sends() {
    let daemon = Daemon::start(&Config::tiny());
    let mut batch = daemon.connect();
    batch.send(batch_head()).unwrap();
    let first = json!({"text": SENTENCE});
    batch.send(chunk(format!("{first}\n").as_bytes())).unwrap();
    assert_eq!(batch.reply_head().unwrap().status, 200);
    assert_eq!(next(&mut batch).index, Some(0));
    for index in 1..20 {
        assert_eq!(
            exchange(&mut batch, &json!({"text": SENTENCE})).index,
            Some(index)
        );
    }
    batch.send(chunk(b"")).unwrap();
    assert_eq!(batch.reply_chunk().unwrap(), None, "it ends as it should");
    let again = batch.request("GET", "/healthz", "").unwrap();
    assert_eq!(again.status, 200, "and the connection can be used again");
}

#[test]
fn a_batch_of_any_length_takes_little_memory() {
    let daemon = Daemon::start(&Config::tiny());
    // 64 MB of lines, most of them blank of words: reading is what is tested, not computing.
    let line = format!("{}\n", json!({"text": format!("{}end", " ".repeat(32_000))}));
    let count = 2_000;
    daemon.annotate(SENTENCE);
    let before = daemon.memory("VmHWM");
    let mut batch = daemon.connect();
    let mut writer = batch.writer();
    let seen = std::thread::scope(|scope| {
        scope.spawn(move || {
            writer.write_all(&batch_head()).unwrap();
            for _ in 0..count {
                writer.write_all(&chunk(line.as_bytes())).unwrap();
            }
            writer.write_all(&chunk(b"")).unwrap();
        });
        assert_eq!(batch.reply_head().unwrap().status, 200);
        let mut seen = BTreeSet::new();
        while let Some(answer) = batch.reply_chunk().unwrap() {
            let line: BatchLine = serde_json::from_slice(&answer).unwrap();
            assert_eq!(line.response.status, Status::Ok);
            assert!(seen.insert(line.index), "line {:?} is answered twice", line.index);
        }
        seen
    });
    assert_eq!(seen, (0..count).map(Some).collect());
    let grown = (daemon.memory("VmHWM") - before) >> 20;
    assert!(grown < 24, "{grown} MiB more for 64 MB of lines");
}

#[test]
fn a_client_that_does_not_read_its_batch_is_held_back_and_then_given_up() {
    let daemon = Daemon::start(&Config::tiny().server("stall_timeout_ms", 1_000));
    let (text, _) = long_note(3_000);
    let line = chunk(format!("{}\n", json!({ "text": text })).as_bytes());
    let mut batch = daemon.connect();
    batch.send(batch_head()).unwrap();
    // Its answers fill the socket's buffer; then the daemon reads no further, then it closes.
    eventually("the daemon closes the connection", || batch.send(&line).is_err());
    let ok = daemon.status().requests.ok;
    assert!(
        ok < 2_000,
        "{ok} answers were computed for a client that reads none"
    );
    drop(batch);
    daemon.wait_idle();
    assert_eq!(daemon.annotate(SENTENCE).status, Status::Ok);
}

#[test]
fn a_batch_whose_client_hangs_up_is_dropped() {
    let config = Config::default().threads(1);
    let daemon = Daemon::start(&config.server("default_deadline_ms", 600_000));
    let (text, _) = long_note(50_000);
    let mut batch = daemon.connect();
    batch.send(batch_head()).unwrap();
    for _ in 0..4 {
        batch
            .send(chunk(format!("{}\n", json!({ "text": text })).as_bytes()))
            .unwrap();
    }
    eventually("its documents are admitted", || {
        daemon.status().queue.documents == 4
    });
    drop(batch);
    daemon.wait_idle();
    let counts = daemon.status().requests;
    assert!(counts.abandoned >= 3, "{counts:?}");
    assert_eq!(counts.ok + counts.abandoned, 4, "{counts:?}");
}

#[test]
fn a_batch_cut_off_in_the_middle_of_a_line_leaves_nothing_behind() {
    let daemon = Daemon::start(&Config::tiny());
    for cut in [1, 10, 30] {
        let mut batch = daemon.connect();
        batch.send(batch_head()).unwrap();
        let line = format!("{}\n", json!({"text": SENTENCE}));
        batch.send(chunk(line.as_bytes())).unwrap();
        batch.send(&chunk(line.as_bytes())[..cut]).unwrap();
        assert_eq!(batch.reply_head().unwrap().status, 200);
        assert_eq!(next(&mut batch).index, Some(0));
        drop(batch);
    }
    daemon.wait_idle();
    assert_eq!(daemon.status().requests.ok, 3);
}

#[test]
fn too_many_batches_at_once_are_told_to_come_again_and_single_notes_get_in() {
    let daemon = Daemon::start(&Config::tiny());
    let mut open = Vec::new();
    let refused = loop {
        let mut batch = daemon.connect();
        batch.send(batch_head()).unwrap();
        batch
            .send(chunk(format!("{}\n", json!({"text": SENTENCE})).as_bytes()))
            .unwrap();
        let head = batch.reply_head().unwrap();
        if head.status != 200 {
            break head;
        }
        assert_eq!(next(&mut batch).index, Some(0));
        open.push(batch);
        assert!(open.len() < 100, "there is no limit");
    };
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(daemon.annotate(SENTENCE).status, Status::Ok);
    drop(open);
    daemon.wait_idle();
    let reply = daemon.request(
        "POST",
        "/v1/annotate/batch",
        json!({"text": SENTENCE}).to_string(),
    );
    assert_eq!(reply.status, 200, "there is room again");
}
