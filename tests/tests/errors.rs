//! What is refused, how it is told, and that nothing a client does wrong harms the next one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;

use mednerd_client::api::ErrorBody;
use mednerd_tests::http::{chunk, head, message};
use mednerd_tests::notes::{SENTENCE, long_note};
use mednerd_tests::{Config, Connection, Daemon, Reply, eventually};
use serde_json::{Value, json};

/// Both small: a slow client is given up while a test waits.
fn impatient() -> Config {
    Config::tiny()
        .server("idle_timeout_ms", 400)
        .server("stall_timeout_ms", 400)
}

#[test]
fn each_malformed_request_has_its_code_and_leaves_the_connection_usable() {
    let daemon = Daemon::start(&Config::tiny());
    let mut client = daemon.connect();
    let cases: [(&[u8], &str); 29] = [
        (b"", "empty_body"),
        (b"{", "malformed_json"),
        (b"{\"text\":\"a\"", "malformed_json"),
        (b"{\"text\":\"a\"}{}", "malformed_json"),
        (b"{'text':'a'}", "malformed_json"),
        (b"{\"text\":\"a\x01\"}", "malformed_json"),
        (b"text=a", "malformed_json"),
        (b"{\"text\":\"\\ud800\"}", "invalid_field"),
        (b"{\"text\":\"\xc3\x28\"}", "invalid_utf8"),
        (b"{\"text\":\"\xed\xa0\x80\"}", "invalid_utf8"),
        (b"\xff\xfe{\0}\0", "invalid_utf8"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b"\"a\"", "not_an_object"),
        (b"{}", "missing_field"),
        (b"{\"text\":null}", "missing_field"),
        (b"{\"text\":[\"a\"]}", "invalid_field"),
        (b"{\"text\":\"a\",\"document_id\":1}", "invalid_field"),
        (b"{\"text\":\"a\",\"offset_unit\":\"bytes\"}", "invalid_field"),
        (b"{\"text\":\"a\",\"deadline_ms\":-1}", "invalid_field"),
        (b"{\"text\":\"a\",\"deadline_ms\":1.5}", "invalid_field"),
        (b"{\"text\":\"a\",\"threshold\":\"high\"}", "invalid_field"),
        (b"{\"text\":\"a\",\"link\":[]}", "invalid_field"),
        (b"{\"text\":\"a\",\"link\":[3]}", "invalid_field"),
        (
            b"{\"text\":\"a\",\"link\":{\"top_k\":1,\"top_k\":1}}",
            "invalid_field",
        ),
        (b"{\"text\":\"a\",\"labels\":[[\"drug\"]]}", "invalid_field"),
        (
            b"{\"text\":\"a\",\"labels\":[[\"drug\",[\"x\"]]]}",
            "invalid_field",
        ),
        (b"{\"text\":\"a\",\"text\":\"b\"}", "duplicate_field"),
        (b"{\"text\":\"a\",\"Text\":\"b\"}", "unknown_field"),
    ];
    for (body, code) in cases {
        let reply = client.request("POST", "/v1/annotate", body).unwrap();
        let error = reply.refused(400, code);
        match code {
            "malformed_json" => assert!(error.details["line"].as_u64() >= Some(1), "{error:?}"),
            "invalid_utf8" => assert!(error.details["position"].is_u64(), "{error:?}"),
            "invalid_field" | "duplicate_field" | "missing_field" => {
                let field = error.details["field"].as_str().unwrap();
                assert!(error.message.contains(field), "{error:?}");
            }
            _ => {}
        }
    }
    assert_eq!(client.request("GET", "/healthz", "").unwrap().status, 200);
    let array = json!(["tiny", mednerd_tests::daemon::tiny_model()]).to_string();
    let reply = daemon.admin_with("POST", "/v1/models", array);
    reply.refused(400, "invalid_field");
}

#[test]
fn deeply_nested_json_is_refused_or_echoed_and_never_fatal() {
    let daemon = Daemon::start(&Config::tiny());
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for body in [
        deep.clone(),
        format!("{{\"text\":\"a\",\"context\":{deep}}}"),
        format!("{{\"text\":{deep}}}"),
    ] {
        let reply = daemon.request("POST", "/v1/annotate", body);
        assert!([200, 400].contains(&reply.status), "{}", reply.status);
    }
    assert_eq!(daemon.request("GET", "/readyz", "").status, 200);
}

#[test]
fn well_formed_but_unusable_requests_are_422_and_name_the_field() {
    let daemon = Daemon::start(&Config::tiny());
    let cases = [
        ("labels", json!({"text": "a", "labels": ["dose"]})),
        ("link", json!({"text": "a", "link": true})),
        ("link", json!({"text": "a", "link": {"top_k": 3}})),
        ("threshold", json!({"text": "a", "threshold": 1.01})),
        ("threshold", json!({"text": "a", "threshold": -0.01})),
        ("models", json!({"text": "a", "models": []})),
        ("deadline_ms", json!({"text": "a", "deadline_ms": 0})),
        ("nested", json!({"text": "a", "nested": true})),
        ("multi_label", json!({"text": "a", "multi_label": true})),
    ];
    for (field, request) in cases {
        let reply = daemon.request("POST", "/v1/annotate", request.to_string());
        assert_eq!(
            reply.refused(422, "unusable_field").details["field"],
            field,
            "{request}"
        );
    }
    daemon.ask(&json!({"text": "a", "link": false, "labels": null}));
    for (request, code, told) in [
        (
            r#"{"text":"a","format":"x"}"#,
            (422, "unknown_format"),
            "there are: none",
        ),
        (
            r#"{"text":"a","document_id":"\ud800"}"#,
            (400, "invalid_field"),
            "without unpaired surrogates",
        ),
        (
            r#"{"text":"a","link":{"top":1}}"#,
            (400, "invalid_field"),
            "code_systems",
        ),
    ] {
        let reply = daemon.request("POST", "/v1/annotate", request);
        let message = reply.refused(code.0, code.1).message;
        assert!(message.contains(told), "{message}");
    }

    let none =
        Daemon::start(&Config::without_models().model("tiny", &mednerd_tests::daemon::tiny_model(), false));
    let reply = none.request("POST", "/v1/annotate", json!({"text": "a"}).to_string());
    reply.refused(422, "no_default_model");
    none.ask(&json!({"text": "a", "models": ["tiny"]}));
}

#[test]
fn an_unknown_model_is_404_and_the_loaded_ones_are_named() {
    let daemon = Daemon::start(&Config::tiny());
    for models in [json!(["nobody"]), json!(["tiny", "TINY"]), json!([""])] {
        let reply = daemon.request(
            "POST",
            "/v1/annotate",
            json!({"text": "a", "models": models}).to_string(),
        );
        assert_eq!(
            reply.refused(404, "unknown_model").details["loaded"],
            json!(["tiny"])
        );
    }
}

#[test]
fn a_wrong_method_is_405_and_an_unknown_route_404() {
    let daemon = Daemon::start(&Config::tiny());
    for (method, route) in [
        ("GET", "/v1/annotate"),
        ("PUT", "/v1/annotate"),
        ("DELETE", "/v1/annotate/batch"),
        ("POST", "/v1/models"),
        ("POST", "/metrics"),
        ("BREW", "/healthz"),
    ] {
        let reply = daemon.request(method, route, "");
        reply.refused(405, "method_not_allowed");
    }
    daemon
        .request("GET", "/v1/nothing", "")
        .refused(404, "route_not_found");
    daemon
        .request("POST", "/v1/annotatE", "{}")
        .refused(404, "route_not_found");
    assert_eq!(daemon.admin("GET", "/v1/reload").status, 405);
}

#[test]
fn a_text_one_byte_too_long_is_413_and_one_of_the_very_limit_is_served() {
    let daemon = Daemon::start(&Config::tiny().server("max_text_bytes", 1_000));
    let fits = "é".repeat(500);
    daemon.annotate(&fits);
    // Spelled out as escapes, which take six bytes for one of the text, it fits as well.
    let escaped = format!("{{\"text\":\"{}\"}}", "\\u0061".repeat(1_000));
    daemon.request("POST", "/v1/annotate", escaped).ok();
    let reply = daemon.request("POST", "/v1/annotate", json!({"text": fits + "a"}).to_string());
    let error = reply.refused(413, "text_too_long");
    assert_eq!(
        (&error.details["length"], &error.details["limit"]),
        (&json!(1_001), &json!(1_000))
    );
}

/// Writes all of it, or until the daemon takes no more, and only then reads.
fn write_then_read(daemon: &Daemon, body: &str) -> Reply {
    let mut client = daemon.connect();
    if let Err(error) = client.send(message("POST", "/v1/annotate", body)) {
        assert!(
            [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset].contains(&error.kind()),
            "{error}"
        );
    }
    client
        .reply()
        .unwrap_or_else(|error| panic!("no answer to {} bytes: {error}", body.len()))
}

#[test]
fn a_client_that_writes_a_body_too_large_before_it_reads_gets_its_answer() {
    let daemon = Daemon::start(&Config::tiny().server("max_text_bytes", 1_000));
    for length in [80_000, 130_000, 1_000_000, 20_000_000] {
        let reply = write_then_read(&daemon, &json!({"text": "a".repeat(length)}).to_string());
        reply.refused(413, "body_too_large");
    }
    daemon.wait_idle();
    daemon.annotate(SENTENCE);
}

#[test]
fn a_client_that_writes_all_of_a_refused_request_before_it_reads_gets_its_answer() {
    let daemon = Daemon::start(&Config::tiny());
    let body = "x".repeat(8 << 20);
    let mut client = daemon.connect();
    for (method, route, header, code) in [
        ("POST", "/v1/nothing", "x: y", (404, "route_not_found")),
        ("PUT", "/v1/annotate", "x: y", (405, "method_not_allowed")),
        (
            "GET",
            "/healthz",
            "content-encoding: br",
            (415, "content_encoding"),
        ),
        (
            "POST",
            "/v1/annotate",
            "content-encoding: gzip",
            (415, "content_encoding"),
        ),
        (
            "POST",
            "/v1/annotate/batch",
            "content-encoding: gzip",
            (415, "content_encoding"),
        ),
    ] {
        let start = format!("{method} {route} HTTP/1.1\r\nhost: x\r\n{header}\r\n");
        client
            .send(format!("{start}content-length: {}\r\n\r\n", body.len()))
            .unwrap();
        client.send(&body).unwrap();
        client.reply().unwrap().refused(code.0, code.1);
        client.send(start + "transfer-encoding: chunked\r\n\r\n").unwrap();
        client.send(chunk(body.as_bytes())).unwrap();
        client.send(chunk(b"")).unwrap();
        client.reply().unwrap().refused(code.0, code.1);
    }
    client.request("GET", "/healthz", "").unwrap().ok();
    drop(client);
    daemon.wait_idle();
}

#[test]
fn a_refused_request_is_not_read_for_ever() {
    // Not more than the largest body there may be.
    let daemon = Daemon::start(&Config::tiny().server("max_text_bytes", 1_000));
    let mut endless = daemon.connect();
    endless.send(head("POST", "/v1/nothing", 1 << 40)).unwrap();
    let piece = vec![b'x'; 64 << 10];
    eventually("the daemon takes no more", || endless.send(&piece).is_err());
    endless.reply().unwrap().refused(404, "route_not_found");

    // Not longer than any other request may pause or be idle.
    let daemon = Daemon::start(&impatient());
    let mut silent = daemon.connect();
    silent.send(head("POST", "/v1/nothing", 100)).unwrap();
    silent.reply().unwrap().refused(404, "route_not_found");
    assert_eq!(silent.until_closed().unwrap(), b"");
    let mut slow = daemon.connect();
    slow.send(head("POST", "/v1/nothing", 1 << 20)).unwrap();
    slow.reply().unwrap().refused(404, "route_not_found");
    eventually("the daemon closes", || {
        std::thread::sleep(Duration::from_millis(20));
        slow.send("x").is_err()
    });
    drop((silent, slow));
    daemon.wait_idle();
}

#[test]
fn who_has_finished_sending_gets_every_answer() {
    let daemon = Daemon::start(&Config::default());
    let (text, _) = long_note(2_000);
    // An answer larger than a socket's buffer, after some time to compute.
    let large = json!({"text": text, "context": "x".repeat(2_000_000)}).to_string();
    let line = format!("{}\n", json!({"text": text}));
    for (request, status) in [
        (message("POST", "/v1/annotate", &large), 200),
        (message("POST", "/v1/annotate/batch", line.repeat(4)), 200),
        (message("GET", "/healthz", ""), 200),
        (message("POST", "/v1/nothing", &large), 404),
        (head("POST", "/v1/annotate", 10), 400),
    ] {
        let mut client = daemon.connect();
        client.send(&request).unwrap();
        client.writer().shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.reply().unwrap().status, status);
        assert_eq!(client.until_closed().unwrap(), b"");
    }
    // Two at once, as one writes who knows no better.
    let mut client = daemon.connect();
    client.send(message("GET", "/healthz", "").repeat(2)).unwrap();
    client.writer().shutdown(Shutdown::Write).unwrap();
    client.reply().unwrap().ok();
    client.reply().unwrap().ok();
    assert_eq!(client.until_closed().unwrap(), b"");
    daemon.wait_idle();
}

#[test]
fn a_deadline_that_passes_is_408() {
    let daemon = Daemon::start(&Config::default().server("max_deadline_ms", 5));
    let (text, _) = long_note(100_000);
    for request in [
        json!({"text": text, "deadline_ms": 1}),
        json!({ "text": text }),
        json!({"text": text, "deadline_ms": 600_000}),
    ] {
        let reply = daemon.request("POST", "/v1/annotate", request.to_string());
        let error = reply.refused(408, "deadline_passed");
        let told = error.details["deadline_ms"].as_u64().unwrap();
        assert!(
            told <= 5,
            "no request gets more than the configuration allows, {told}"
        );
    }
    daemon.wait_idle();
    assert_eq!(daemon.status().requests.failed, 3);
}

#[test]
fn a_client_that_trickles_its_head_is_cut_off() {
    let daemon = Daemon::start(&impatient());
    let mut slow = daemon.connect();
    let mut bytes = head("POST", "/v1/annotate", 10).into_iter().cycle();
    let _ = slow.send("GET /healthz HTTP/1.1\r\nx-slow: ");
    // A byte now and then for as long as the daemon takes them.
    eventually("the daemon closes", || {
        std::thread::sleep(Duration::from_millis(20));
        slow.send([bytes.next().filter(u8::is_ascii_alphanumeric).unwrap_or(b'a')])
            .is_err()
    });
    drop(slow);
    daemon.wait_idle();
    daemon.annotate(SENTENCE);
}

#[test]
fn a_connection_without_a_request_is_closed_in_the_end() {
    let daemon = Daemon::start(&impatient());
    let mut silent = daemon.connect();
    assert_eq!(silent.until_closed().unwrap(), b"");
    let mut idle = daemon.connect();
    idle.request("GET", "/healthz", "").unwrap().ok();
    assert_eq!(idle.until_closed().unwrap(), b"", "nothing unasked for is said");
    daemon.wait_idle();
}

#[test]
fn a_body_that_stalls_is_408_and_the_connection_closes() {
    let daemon = Daemon::start(&impatient());
    let body = json!({"text": SENTENCE}).to_string();
    for sent in [0, 1, body.len() - 1] {
        let mut slow = daemon.connect();
        slow.send(head("POST", "/v1/annotate", body.len())).unwrap();
        slow.send(&body[..sent]).unwrap();
        slow.reply().unwrap().refused(408, "body_timeout");
        assert_eq!(slow.until_closed().unwrap(), b"");
    }
    daemon.wait_idle();
    assert_eq!(daemon.status().requests.failed, 3);
}

#[test]
fn a_body_that_comes_slowly_but_steadily_is_served() {
    let daemon = Daemon::start(&Config::tiny().server("stall_timeout_ms", 5_000));
    let body = json!({"text": SENTENCE}).to_string();
    let mut slow = daemon.connect();
    for byte in message("POST", "/v1/annotate", &body) {
        slow.send([byte]).unwrap();
    }
    slow.reply().unwrap().ok();
}

#[test]
fn a_body_that_trickles_in_is_408() {
    let daemon = Daemon::start(&Config::tiny().server("idle_timeout_ms", 600));
    let body = json!({"text": SENTENCE}).to_string();
    let mut slow = daemon.connect();
    slow.send(head("POST", "/v1/annotate", body.len())).unwrap();
    slow.send(&body[..10]).unwrap();
    let error = slow.reply().unwrap().refused(408, "body_timeout");
    assert!(error.message.contains("too slowly"), "{}", error.message);
    assert_eq!(slow.until_closed().unwrap(), b"");
    daemon.wait_idle();
}

#[test]
fn a_body_that_takes_longer_than_any_document_may_is_408() {
    let daemon = Daemon::start(
        &Config::tiny()
            .server("max_deadline_ms", 600)
            .server("default_deadline_ms", 600),
    );
    let body = json!({"text": SENTENCE}).to_string();
    let mut slow = daemon.connect();
    let request = message("POST", "/v1/annotate", &body);
    let (most, last) = request.split_at(request.len() - 1);
    slow.send(most).unwrap();
    eventually("it is given up", || daemon.status().requests.failed == 1);
    // The connection is as it was: what is left of the body is read.
    slow.send(last).unwrap();
    slow.reply().unwrap().refused(408, "deadline_passed");
}

#[test]
fn a_client_that_does_not_read_its_answer_is_given_up() {
    let daemon = Daemon::start(&impatient().model("shipped", &mednerd_tests::daemon::shipped_model(), false));
    // The context comes back: an answer far larger than a socket's buffer.
    let body = json!({"text": SENTENCE, "context": "x".repeat(4_000_000)}).to_string();
    let mut deaf = daemon.connect();
    deaf.send(message("POST", "/v1/annotate", body)).unwrap();
    eventually("the daemon has given up", || {
        let status = daemon.status();
        status.requests.ok == 1 && status.queue.connections == 0
    });
    let error = deaf.reply().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
}

#[test]
fn what_is_not_http_is_refused_and_harms_nobody() {
    let daemon = Daemon::start(&Config::tiny());
    let cases: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"GET /healthz\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /v1/annotate HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/annotate HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"POST /v1/annotate HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ];
    for case in cases {
        let mut client = daemon.connect();
        client.send(case).unwrap();
        let told = String::from_utf8_lossy(&client.until_closed().unwrap()).into_owned();
        assert!(
            told.starts_with("HTTP/1.1 400 "),
            "{:?} is answered {told:?}",
            String::from_utf8_lossy(case)
        );
    }
    let header = format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(1_000_000));
    let mut client = daemon.connect();
    let _ = client.send(header);
    let told = String::from_utf8_lossy(&client.until_closed().unwrap()).into_owned();
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 4"), "{told}");
    daemon.wait_idle();
    daemon.annotate(SENTENCE);
}

#[test]
fn of_a_length_and_chunks_the_chunks_count_and_the_connection_closes() {
    let daemon = Daemon::start(&Config::tiny());
    let body = json!({"text": SENTENCE}).to_string();
    let length = body.len();
    for lengths in [
        format!("content-length: {length}\r\ncontent-length: {length}\r\n\r\n{body}"),
        format!("content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"),
    ] {
        let mut client = daemon.connect();
        let request = format!("POST /v1/annotate HTTP/1.1\r\nhost: x\r\n{lengths}");
        client.send(&request).unwrap();
        client.reply().unwrap().ok();
        if request.contains("chunked") {
            assert_eq!(client.until_closed().unwrap(), b"");
        }
    }
}

#[test]
fn one_connection_more_than_allowed_takes_the_place_of_the_longest_idle_one() {
    let daemon = Daemon::start(&Config::tiny().server("max_connections", 3));
    let mut silent = daemon.connect();
    let mut first = daemon.connect();
    let mut second = daemon.connect();
    second.request("GET", "/healthz", "").unwrap().ok();
    first.request("GET", "/healthz", "").unwrap().ok();
    let mut stay = Vec::new();
    // One after the other, by who has been idle longest.
    for longest in [&mut silent, &mut second] {
        let mut new = daemon.connect();
        new.request("GET", "/healthz", "").unwrap().ok();
        assert_eq!(longest.until_closed().unwrap(), b"");
        first.request("GET", "/healthz", "").unwrap().ok();
        stay.push(new);
    }
}

#[test]
fn one_connection_more_than_allowed_waits_where_none_is_idle() {
    let daemon = Daemon::start(&Config::tiny().server("max_connections", 2));
    let body = json!({"text": SENTENCE}).to_string();
    let mut busy: Vec<_> = (0..2).map(|_| daemon.connect()).collect();
    for client in &mut busy {
        client.send(head("POST", "/v1/annotate", body.len())).unwrap();
        client.send(&body[..1]).unwrap();
    }
    eventually("both are being read", || daemon.status().queue.bytes == 2);
    let mut third = daemon.connect();
    third.send(message("GET", "/healthz", "")).unwrap();
    assert_eq!(daemon.status().queue.connections, 2);
    busy[1].send(&body[1..]).unwrap();
    busy[1].reply().unwrap().ok();
    third.reply().unwrap().ok();
    assert_eq!(busy[1].until_closed().unwrap(), b"", "idle, it made room");
    busy[0].send(&body[1..]).unwrap();
    busy[0].reply().unwrap().ok();
}

#[test]
fn every_error_answer_has_code_message_and_details() {
    let daemon = Daemon::start(&Config::tiny());
    for (method, route, body) in [
        ("GET", "/nothing", ""),
        ("GET", "/v1/annotate", ""),
        ("POST", "/v1/annotate", "["),
        ("POST", "/v1/annotate", "{\"text\":\"a\",\"link\":true}"),
        ("POST", "/v1/annotate", "{\"text\":\"a\",\"models\":[\"x\"]}"),
    ] {
        let reply = daemon.request(method, route, body);
        let parsed: Value = reply.json();
        let mut keys: Vec<_> = parsed["error"].as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["code", "details", "message"]);
        assert_eq!(parsed.as_object().unwrap().len(), 1);
        let _: ErrorBody = reply.decode();
    }
}

#[test]
fn a_request_names_one_host() {
    let daemon = Daemon::start(&Config::tiny());
    for (start, status) in [
        ("GET /healthz HTTP/1.1\r\n", 400),
        ("GET /nowhere HTTP/1.1\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nhost: a\r\nhost: b\r\n", 400),
        ("GET /healthz HTTP/1.0\r\nhost: a\r\nhost: a\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nhost:\r\n", 200),
        ("GET /healthz HTTP/1.0\r\n", 200),
    ] {
        let mut client = daemon.connect();
        client.send(format!("{start}connection: close\r\n\r\n")).unwrap();
        let told = String::from_utf8_lossy(&client.until_closed().unwrap()).into_owned();
        let code = told.contains("invalid_host");
        assert!(
            told.contains(&format!(" {status} ")) && code == (status == 400),
            "{start}: {told}"
        );
    }
}

#[test]
fn a_compressed_body_is_415_and_says_so() {
    let daemon = Daemon::start(&Config::tiny());
    for route in ["/v1/annotate", "/v1/annotate/batch"] {
        let mut client = daemon.connect();
        let head = format!(
            "POST {route} HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n"
        );
        client.send(head + "\x1f_").unwrap();
        client.reply().unwrap().refused(415, "content_encoding");
    }
    for coding in ["gzip, chunked", "gzip\r\ntransfer-encoding: chunked"] {
        let mut client = daemon.connect();
        let head = format!("POST /v1/annotate HTTP/1.1\r\nhost: x\r\ntransfer-encoding: {coding}\r\n\r\n");
        client.send(head.as_bytes()).unwrap();
        client.send(chunk(b"\x1f_")).unwrap();
        client.send(chunk(b"")).unwrap();
        client.reply().unwrap().refused(415, "content_encoding");
    }
    let body = json!({"text": SENTENCE}).to_string();
    let mut client = daemon.connect();
    client
        .send("POST /v1/annotate HTTP/1.1\r\nhost: x\r\ntransfer-encoding: Chunked\r\n\r\n")
        .unwrap();
    client.send(chunk(body.as_bytes())).unwrap();
    client.send(chunk(b"")).unwrap();
    client.reply().unwrap().ok();
    let head = format!(
        "POST /v1/annotate HTTP/1.1\r\nhost: x\r\ncontent-encoding: Identity\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut client = daemon.connect();
    client.send(head + &body).unwrap();
    client.reply().unwrap().ok();
}

#[test]
fn who_asks_before_it_sends_too_much_is_told_at_once() {
    let daemon = Daemon::start(&Config::tiny().server("max_text_bytes", 1_000));
    let ask = |length: usize| {
        let mut client = daemon.connect();
        let head = format!(
            "POST /v1/annotate HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        );
        client.send(head).unwrap();
        client
    };
    ask(10_000_000).reply().unwrap().refused(413, "body_too_large");
    let body = json!({"text": "acute pneumonia"}).to_string();
    let mut client = ask(body.len());
    assert_eq!(client.reply_head().unwrap().status, 100);
    client.send(body).unwrap();
    client.reply().unwrap().ok();
}

#[test]
fn a_request_in_two_parts_across_a_pause_is_one_request() {
    let daemon = Daemon::start(&Config::tiny());
    let whole = message("POST", "/v1/annotate", json!({"text": SENTENCE}).to_string());
    for cut in [1, 20, whole.len() / 2, whole.len() - 1] {
        let mut client = Connection::open(&daemon.site().socket()).unwrap();
        client.send(&whole[..cut]).unwrap();
        eventually("the daemon has read the first part", || {
            daemon.status().queue.connections == 1
        });
        client.send(&whole[cut..]).unwrap();
        client.reply().unwrap().ok();
        drop(client);
        daemon.wait_idle();
    }
}
