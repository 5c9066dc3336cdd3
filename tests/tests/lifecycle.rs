//! Starting, stopping and starting again: no accepted request is lost, no socket left in the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::ErrorKind;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mednerd_client::api::{AnnotateResponse, BatchLine, Status};
use mednerd_tests::http::{batch_head, chunk, message};
use mednerd_tests::notes::{SENTENCE, flaw, long_note};
use mednerd_tests::{Config, Connection, Daemon, Site, eventually};
use nix::sys::signal::Signal;
use serde_json::json;

/// How often what hangs on a moment is tried.
const ROUNDS: usize = 12;

/// Sends requests until the daemon takes no more. Every request that it took in full must be answered
/// in full; what cannot be connected or written was not taken.
fn insist(site: &Site, keep_alive: bool, text: &str, stopped: &AtomicBool, answered: &AtomicUsize) {
    let request = message("POST", "/v1/annotate", json!({"text": text}).to_string());
    let mut kept: Option<Connection> = None;
    loop {
        let mut client = match kept.take() {
            Some(client) => client,
            None => match Connection::open(&site.socket()) {
                Ok(client) => client,
                Err(error) => {
                    assert!(stopped.load(Ordering::SeqCst), "refused while it ran: {error}");
                    return;
                }
            },
        };
        if let Err(error) = client.send(&request) {
            assert!(stopped.load(Ordering::SeqCst), "cut off while it ran: {error}");
            assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
            continue;
        }
        let reply = client.reply().unwrap_or_else(|error| {
            let when = if stopped.load(Ordering::SeqCst) {
                "after"
            } else {
                "before"
            };
            panic!(
                "a request that was sent in full was lost {when} SIGTERM (keep-alive {keep_alive}): {error}"
            )
        });
        let last = reply.header("connection") == Some("close");
        let answer: AnnotateResponse = reply.ok().decode();
        assert_eq!(flaw(text, &answer), None);
        answered.fetch_add(1, Ordering::SeqCst);
        if keep_alive && !last {
            kept = Some(client);
        }
    }
}

#[test]
fn sigterm_under_load_loses_no_request_that_was_taken() {
    let (long, _) = long_note(2_000);
    for round in 0..ROUNDS {
        let site = Site::new(&Config::default());
        let mut daemon = site.start();
        let (stopped, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for client in 0..8 {
                let text = if client < 4 { SENTENCE } else { &long };
                let (site, stopped, answered) = (&site, &stopped, &answered);
                scope.spawn(move || insist(site, client % 2 == 0, text, stopped, answered));
            }
            eventually("clients are being served", || {
                answered.load(Ordering::SeqCst) > 20 + 7 * round
            });
            stopped.store(true, Ordering::SeqCst);
            daemon.stop();
        });
        assert!(
            !site.socket().exists() && !site.admin_socket().exists(),
            "its sockets are gone"
        );
        assert!(
            !daemon.log().contains("did not finish"),
            "it did not have to give up"
        );
        daemon.logs("stopped");
    }
}

#[test]
fn sigterm_lets_a_long_note_and_a_batch_finish() {
    let mut daemon = Daemon::start(&Config::default());
    let (text, _) = long_note(60_000);
    let mut note = daemon.connect();
    note.send(message("POST", "/v1/annotate", json!({"text": text}).to_string()))
        .unwrap();
    let mut batch = daemon.connect();
    batch.send(batch_head()).unwrap();
    batch
        .send(chunk(format!("{}\n", json!({"text": SENTENCE})).as_bytes()))
        .unwrap();
    assert_eq!(batch.reply_head().unwrap().status, 200);
    assert!(batch.reply_chunk().unwrap().is_some());
    eventually("the note is under way", || daemon.status().queue.documents == 1);
    daemon.signal(Signal::SIGTERM);
    eventually("it takes no new clients", || {
        Connection::open(&daemon.site().socket()).is_err()
    });
    batch
        .send(chunk(format!("{}\n", json!({"text": SENTENCE})).as_bytes()))
        .unwrap();
    batch.send(chunk(b"")).unwrap();
    let line: BatchLine = serde_json::from_slice(&batch.reply_chunk().unwrap().unwrap()).unwrap();
    assert_eq!(
        (line.index, line.response.status),
        (Some(1), Status::Ok),
        "a line sent after SIGTERM"
    );
    assert_eq!(batch.reply_chunk().unwrap(), None);
    let reply = note.reply().unwrap();
    assert_eq!(reply.header("connection"), Some("close"));
    let answer: AnnotateResponse = reply.ok().decode();
    assert_eq!(flaw(&text, &answer), None);
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn sigterm_with_idle_and_half_sent_connections_does_not_wait_for_them() {
    let config = Config::tiny().server("drain_timeout_ms", 2_000);
    let mut daemon = Daemon::start(&config);
    let mut idle: Vec<Connection> = (0..5).map(|_| daemon.connect()).collect();
    for client in &mut idle {
        client.request("GET", "/healthz", "").unwrap().ok();
    }
    daemon.stop();
    assert!(
        !daemon.log().contains("did not finish"),
        "idle connections are closed at once"
    );
    for client in &mut idle {
        assert_eq!(client.until_closed().unwrap(), b"");
    }

    let mut daemon = Daemon::start(&config);
    let mut half = daemon.connect();
    half.send("POST /v1/annotate HT").unwrap();
    let mut headless = daemon.connect();
    headless
        .send(mednerd_tests::http::head("POST", "/v1/annotate", 100))
        .unwrap();
    eventually("both are connected", || daemon.status().queue.connections == 2);
    daemon.stop();
}

#[test]
fn who_connected_before_sigterm_and_then_speaks_is_served() {
    let mut daemon = Daemon::start(&Config::tiny());
    let mut connections: Vec<_> = (0..8).map(|_| daemon.connect()).collect();
    eventually("all are connected", || daemon.status().queue.connections >= 8);
    daemon.signal(Signal::SIGTERM);
    // All speak before any is answered: a quarter of a second is not for the answers of others.
    let body = json!({"text": "acute pneumonia"}).to_string();
    let request = message("POST", "/v1/annotate", body);
    for connection in &mut connections {
        connection.send(&request).unwrap();
    }
    for connection in &mut connections {
        connection.reply().unwrap().ok();
    }
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn sigint_stops_as_well() {
    let mut daemon = Daemon::start(&Config::tiny());
    daemon.signal(Signal::SIGINT);
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(!daemon.site().socket().exists());
}

/// A client whose note takes long, and has been taken up.
fn with_a_note_under_way(daemon: &Daemon) -> Connection {
    let (text, _) = long_note(400_000);
    let mut client = daemon.connect();
    client
        .send(message("POST", "/v1/annotate", json!({"text": text}).to_string()))
        .unwrap();
    eventually("the note is under way", || daemon.status().queue.documents == 1);
    client
}

#[test]
fn what_does_not_finish_in_the_time_to_drain_is_given_up_and_told_so() {
    let mut daemon = Daemon::start(&Config::default().server("drain_timeout_ms", 1));
    let mut client = with_a_note_under_way(&daemon);
    daemon.stop();
    daemon.logs("did not finish");
    client.reply().unwrap().refused(503, "stopping");
}

#[test]
fn the_time_to_drain_is_that_of_the_last_reload() {
    let mut daemon = Daemon::start(&Config::default().server("drain_timeout_ms", 600_000));
    daemon
        .site()
        .configure(&Config::default().server("drain_timeout_ms", 1));
    assert_eq!(daemon.admin("POST", "/v1/reload").status, 200);
    let mut client = with_a_note_under_way(&daemon);
    daemon.stop();
    client.reply().unwrap().refused(503, "stopping");
}

#[test]
fn a_folder_for_sockets_that_is_not_there_is_told_before_the_start() {
    let config = Config::tiny().toml();
    let site = Site::with_toml(&config.replace("\"mednerd.sock\"", "\"nowhere/mednerd.sock\""));
    let output = site.validate();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(
        told.contains(":2: server.socket: ") && told.contains("nowhere is not a folder"),
        "{told}"
    );
    let mut daemon = site.spawn();
    assert_eq!(daemon.wait().code(), Some(78), "it does not help to try again");
}

#[test]
fn after_kill_9_the_next_daemon_takes_the_stale_sockets_over() {
    let site = Site::new(&Config::tiny());
    for _ in 0..3 {
        let mut daemon = site.start();
        daemon.annotate(SENTENCE);
        daemon.kill();
        assert!(
            site.socket().exists() && site.admin_socket().exists(),
            "the sockets are left behind"
        );
    }
    let mut daemon = site.start();
    daemon.annotate(SENTENCE);
    daemon.stop();
    assert!(!site.socket().exists());
}

#[test]
fn a_second_daemon_leaves_the_sockets_of_a_live_one_alone() {
    let site = Site::new(&Config::tiny());
    let mut first = site.start();
    let mut second = site.spawn();
    assert_eq!(second.wait().code(), Some(1));
    assert!(
        first.log().contains("another process serves this socket"),
        "{}",
        first.log()
    );
    first.annotate(SENTENCE);
    first.stop();
}

#[test]
fn a_socket_that_is_somebody_elses_or_a_file_is_left_alone() {
    let site = Site::new(&Config::tiny());
    let other = UnixListener::bind(site.socket()).unwrap();
    assert_eq!(site.spawn().wait().code(), Some(1));
    assert!(site.socket().exists());
    drop(other);
    std::fs::remove_file(site.socket()).unwrap();
    site.write("mednerd.sock", "precious");
    let mut daemon = site.spawn();
    assert_eq!(daemon.wait().code(), Some(1));
    assert_eq!(std::fs::read_to_string(site.socket()).unwrap(), "precious");
    assert!(
        daemon.log().contains("mednerd.sock: the socket cannot be bound"),
        "{}",
        daemon.log()
    );
}

#[test]
fn a_daemon_can_be_replaced_again_and_again_under_load() {
    let site = Site::new(&Config::tiny());
    let mut daemon = site.start();
    let stop = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let request = message("POST", "/v1/annotate", json!({"text": SENTENCE}).to_string());
                while !stop.load(Ordering::SeqCst) {
                    let Ok(mut client) = Connection::open(&site.socket()) else {
                        std::thread::yield_now();
                        continue;
                    };
                    if client.send(&request).is_ok() {
                        client.reply().expect("a request that was taken is answered").ok();
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        for _ in 0..ROUNDS {
            let before = answered.load(Ordering::SeqCst);
            eventually("it serves", || answered.load(Ordering::SeqCst) > before + 5);
            daemon.stop();
            daemon = site.start();
        }
        stop.store(true, Ordering::SeqCst);
    });
}
