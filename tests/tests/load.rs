//! Too much at once, and clients that leave: bounded work, bounded memory, nothing left behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::Shutdown;
use std::sync::Barrier;

use mednerd_client::api::{AnnotateResponse, Status};
use mednerd_tests::http::{batch_head, chunk, head, message};
use mednerd_tests::notes::{SENTENCE, flaw, long_note};
use mednerd_tests::{Config, Connection, Daemon, Reply, eventually};
use serde_json::json;

fn check_busy(reply: &Reply) {
    // Of one user all of whom hold much.
    let of_user = reply.text().contains("\"user_busy\"");
    let error = reply.refused(429, if of_user { "user_busy" } else { "busy" });
    let seconds: u64 = reply
        .header("retry-after")
        .expect("429 says when")
        .parse()
        .unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(error.details["retry_after_s"], json!(seconds));
}

#[test]
fn ten_times_the_capacity_is_answered_in_full_or_told_to_come_again() {
    let capacity = 4;
    let daemon = Daemon::start(&Config::default().server("max_queued_documents", capacity));
    let (text, _) = long_note(12_000);
    let expected = daemon.annotate(&text).entities;
    daemon.wait_idle();
    let clients = 10 * capacity;
    let together = Barrier::new(clients);
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = daemon.connect();
                    together.wait();
                    client
                        .request("POST", "/v1/annotate", json!({"text": text}).to_string())
                        .unwrap()
                })
            })
            .collect();
        while !clients.iter().all(|client| client.is_finished()) {
            assert!(daemon.status().queue.documents <= capacity as u64);
        }
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let (served, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert!(served.len() >= capacity, "{} were served", served.len());
    assert!(!refused.is_empty(), "all {clients} were let in at once");
    for reply in served {
        let answer: AnnotateResponse = reply.decode();
        assert_eq!(flaw(&text, &answer), None);
        assert_eq!(answer.entities, expected, "under load as without");
    }
    refused.into_iter().for_each(check_busy);
    daemon.wait_idle();
    assert_eq!(
        daemon.annotate(SENTENCE).status,
        Status::Ok,
        "and then all is as before"
    );
}

#[test]
fn bodies_beyond_the_budget_are_refused_and_take_no_memory() {
    let megabyte = 1 << 20;
    let daemon = Daemon::start(&Config::tiny().server("max_queued_bytes", 2 * megabyte));
    // Blank: what counts here is what is held, not what is computed.
    let body = json!({"text": " ".repeat(megabyte)}).to_string();
    let (most, last) = body.split_at(body.len() - 1);
    daemon.request("POST", "/v1/annotate", &body).ok();
    let before = daemon.memory("VmHWM");
    let clients = 150;
    let all_sent = Barrier::new(clients);
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = daemon.connect();
                    client.send(head("POST", "/v1/annotate", body.len())).unwrap();
                    client.send(most).unwrap();
                    // Here all of them have sent a megabyte and wait for an answer.
                    all_sent.wait();
                    client.send(last).unwrap();
                    client.reply().unwrap()
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let (served, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 200);
    assert!(
        served.len() <= 2,
        "{} bodies of 1 MiB were held within 2 MiB",
        served.len()
    );
    assert!(refused.len() >= clients - 2);
    refused.into_iter().for_each(check_busy);
    let grown = (daemon.memory("VmHWM") - before) / megabyte as u64;
    assert!(grown < 48, "{grown} MiB more for 150 MiB that clients sent");
    daemon.wait_idle();
    daemon.request("POST", "/v1/annotate", &body).ok();
}

#[test]
fn a_body_that_may_never_be_held_is_413_and_validate_warns_of_it() {
    let daemon = Daemon::start(&Config::tiny().server("max_queued_bytes", 100_000));
    for route in ["/v1/annotate", "/v1/annotate/batch"] {
        let body = json!({"text": " ".repeat(150_000)}).to_string() + "\n";
        let reply = daemon.request("POST", route, &body);
        let code = match route {
            "/v1/annotate" => reply.refused(413, "body_too_large").code,
            _ => reply.json()["error"]["code"].as_str().unwrap().to_owned(),
        };
        assert_eq!(code, "body_too_large");
    }
    let output = daemon.site().validate();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("max_queued_bytes is smaller"), "{told}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_answer_counts_until_it_is_read() {
    let daemon = Daemon::start(&Config::tiny());
    let (text, _) = long_note(300_000);
    let request = json!({"text": text}).to_string();
    let mut reader = daemon.connect();
    reader.send(message("POST", "/v1/annotate", &request)).unwrap();
    eventually("the answer is held", || {
        let queue = daemon.status().queue;
        queue.documents == 0 && queue.bytes > 1_000_000
    });
    let answer = reader.reply().unwrap().ok();
    assert!(answer.body.len() > 1_000_000);
    daemon.wait_idle();
    let mut batch = daemon.connect();
    batch.send(batch_head()).unwrap();
    batch.send(chunk(format!("{request}\n").as_bytes())).unwrap();
    eventually("the line is held", || {
        let queue = daemon.status().queue;
        queue.documents == 0 && queue.bytes > 1_000_000
    });
    drop(batch);
    daemon.wait_idle();
}

#[test]
fn what_one_client_holds_counts_for_all_and_is_given_back() {
    let daemon = Daemon::start(&Config::tiny().server("max_queued_bytes", 1_000_000));
    let body = json!({"text": " ".repeat(600_000)}).to_string();
    let mut first = daemon.connect();
    first.send(head("POST", "/v1/annotate", body.len())).unwrap();
    first.send(&body[..600_000]).unwrap();
    eventually("its bytes are counted", || daemon.status().queue.bytes == 600_000);
    check_busy(&daemon.request("POST", "/v1/annotate", &body));
    first.send(&body[600_000..]).unwrap();
    first.reply().unwrap().ok();
    drop(first);
    daemon.wait_idle();
    daemon.request("POST", "/v1/annotate", &body).ok();
}

#[test]
fn work_of_clients_that_hang_up_is_dropped() {
    let config = Config::default().threads(1);
    let daemon = Daemon::start(&config.server("default_deadline_ms", 600_000));
    let (text, _) = long_note(40_000);
    let request = message("POST", "/v1/annotate", json!({"text": text}).to_string());
    daemon.annotate(&text);
    let begun = daemon.cpu_ticks();
    daemon.annotate(&text);
    let cost = daemon.cpu_ticks() - begun;

    let begun = daemon.cpu_ticks();
    let mut clients: Vec<Connection> = (0..8).map(|_| daemon.connect()).collect();
    for client in &mut clients {
        client.send(&request).unwrap();
    }
    eventually("all are admitted", || daemon.status().queue.documents == 8);
    drop(clients);
    daemon.wait_idle();
    let counts = daemon.status().requests;
    assert_eq!((counts.ok, counts.abandoned), (2, 8), "{counts:?}");
    let spent = daemon.cpu_ticks() - begun;
    assert!(
        spent < 4 * cost,
        "{spent} ticks for eight dropped notes where one takes {cost}"
    );
    assert_eq!(daemon.annotate(SENTENCE).status, Status::Ok);
}

#[test]
fn work_of_a_client_that_finished_sending_and_then_hangs_up_is_dropped() {
    let daemon = Daemon::start(&Config::default().server("default_deadline_ms", 600_000));
    let (text, _) = long_note(400_000);
    let line = json!({"text": text}).to_string();
    for route in ["/v1/annotate", "/v1/annotate/batch"] {
        let mut client = daemon.connect();
        client.send(message("POST", route, &line)).unwrap();
        client.writer().shutdown(Shutdown::Write).unwrap();
        eventually("it is admitted", || daemon.status().queue.documents == 1);
        drop(client);
        daemon.wait_idle();
    }
    let counts = daemon.status().requests;
    assert_eq!((counts.ok, counts.abandoned), (0, 2), "{counts:?}");
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_is_forgotten() {
    let daemon = Daemon::start(&Config::tiny());
    let body = json!({"text": SENTENCE}).to_string();
    let request = message("POST", "/v1/annotate", &body);
    for sent in [1, 30, request.len() - body.len(), request.len() - 1] {
        let mut client = daemon.connect();
        client.send(&request[..sent]).unwrap();
    }
    daemon.wait_idle();
    let counts = daemon.status().requests;
    assert_eq!(counts.ok, 0, "{counts:?}");
    assert_eq!(
        counts.refused + counts.abandoned,
        2,
        "the two whose head was whole: {counts:?}"
    );
}

#[test]
fn a_short_note_does_not_wait_for_a_whole_long_one() {
    let daemon = Daemon::start(&Config::default().threads(1));
    let (text, _) = long_note(60_000);
    let mut long = daemon.connect();
    long.send(message("POST", "/v1/annotate", json!({"text": text}).to_string()))
        .unwrap();
    eventually("the long note is under way", || {
        daemon.status().queue.documents == 1
    });
    daemon.annotate(SENTENCE);
    let counts = daemon.status().requests;
    assert_eq!(
        counts.ok, 1,
        "the long note, which came first, is still under way"
    );
    long.reply().unwrap().ok();
}
