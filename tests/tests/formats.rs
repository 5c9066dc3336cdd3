//! Documents in formats of their own, decoded by plugins: offsets are in the document as received, and a decoder
//! that fails costs its document a typed error and no other document anything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use mednerd_client::api::{
    AnnotateResponse, AssertionKind, BatchLine, Entity, OffsetUnit, PluginState, PluginsResponse, Status,
    TextLength,
};
use mednerd_tests::daemon::{binary, library, root};
use mednerd_tests::http;
use mednerd_tests::notes::{SENTENCE, UNITS, flaw, sha256};
use mednerd_tests::plugins::{example_manifest, policy, table};
use mednerd_tests::{Config, Daemon, Site, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// An HL7 v2 message with one observation.
fn message(observation: &str) -> String {
    format!("MSH|^~\\&|LAB|WÄRD|EHR|WARD|2026||ORU^R01|1|P|2.5\rOBX|1|FT|NOTE||{observation}||||||F\r")
}

/// What the models shall read is [`SENTENCE`], under three headings.
const OBSERVATION: &str = "Größe 🦴.\\.br\\The patient was treated with met\\H\\formin\\N\\ for type 2 \\H\\diabetes\\N\\ mellitus.~Ok \\T\\ well.";

fn hl7(site: &Site) -> String {
    let directory = site.plugin(
        "hl7",
        &example_manifest("hl7v2"),
        &library("mednerd_example_hl7v2"),
    );
    table(&directory, "")
}

fn start(plugins: &str) -> Daemon {
    let site = Site::with_toml("");
    let lines = plugins.to_owned() + &hl7(&site);
    site.configure(&Config::default().plugins(&lines));
    site.start()
}

fn ask(daemon: &Daemon, request: Value) -> AnnotateResponse {
    let answer = daemon.ask(&request);
    let text = request["text"].as_str().unwrap();
    assert_eq!(flaw(text, &answer), None, "{answer:?}");
    answer
}

fn decoded(entities: &[Entity]) -> Vec<&str> {
    entities
        .iter()
        .map(|entity| entity.decoded.as_deref().unwrap())
        .collect()
}

#[test]
fn offsets_are_in_the_document_as_received() {
    let daemon = start(&policy(true));
    let plain = daemon.annotate(SENTENCE);
    let expected: Vec<(String, String)> = plain
        .entities
        .iter()
        .map(|entity| (entity.text.clone(), entity.label.clone()))
        .collect();
    assert!(plain.entities.iter().all(|entity| entity.decoded.is_none()));
    assert_eq!(plain.timing_ms.decoding, 0.0);
    let text = message(OBSERVATION);
    for unit in UNITS {
        // `flaw` compares each entity with the slice of the message, in this unit.
        let answer = ask(
            &daemon,
            json!({"text": text, "format": "hl7v2", "offset_unit": unit}),
        );
        assert_eq!((answer.status, answer.offset_unit), (Status::Ok, unit));
        let found: Vec<(String, String)> = answer
            .entities
            .iter()
            .map(|entity| (entity.decoded.clone().unwrap(), entity.label.clone()))
            .collect();
        assert!(
            expected.iter().all(|entity| found.contains(entity)),
            "{found:?} beside {expected:?}"
        );
        let disease = answer
            .entities
            .iter()
            .find(|entity| entity.decoded.as_deref() == Some("type 2 diabetes mellitus"));
        assert_eq!(disease.unwrap().text, "type 2 \\H\\diabetes\\N\\ mellitus");
        assert_eq!(answer.versions.plugins.get("example.hl7v2").unwrap(), "1.0.0");
        assert!(answer.timing_ms.decoding > 0.0 && answer.timing_ms.decoding < answer.timing_ms.total);
    }
    // A document with nothing to read is an answer without entities.
    let empty = ask(&daemon, json!({"text": "MSH|^~\\&|\rPID|1\r", "format": "hl7v2"}));
    assert_eq!((empty.status, empty.entities.len()), (Status::Ok, 0));
}

#[test]
fn documents_as_hospitals_keep_them_are_read_as_their_readers_see_them() {
    let site = Site::with_toml("");
    let manifest = fs::read_to_string(root().join("plugins/markup/plugin.toml")).unwrap();
    let directory = site.plugin("markup", &manifest, &library("mednerd_markup_plugin"));
    site.configure(&Config::default().plugins(&(policy(true) + &table(&directory, ""))));
    let daemon = site.start();
    let html = "<style>p {}</style><p>No chest pain<br>Größe 🦴: type 2 <b>dia</b>betes mell&shy;itus &amp; <s>asthma</s> gout";
    let rtf = "{\\rtf1\\ansi{\\fonttbl{\\f0 Arial;}}\\f0 No chest pain\\par Gr\\'f6\\'dfe \\u-10178?\\u-8780?: type 2 {\\b dia}betes mell\\-itus & {\\strike asthma} gout}";
    let cda = "<ClinicalDocument><title>Asthma</title><section><title>No chest pain</title><text>Größe 🦴: type 2 <content>dia</content>betes mell&#xAD;itus &amp; \
               <content revised='delete'>asthma</content> gout</text></section></ClinicalDocument>";
    for (format, text) in [("html", html), ("rtf", rtf), ("cda", cda)] {
        for unit in UNITS {
            let answer = ask(
                &daemon,
                json!({"text": text, "format": format, "offset_unit": unit}),
            );
            let diseases: Vec<&Entity> = answer
                .entities
                .iter()
                .filter(|entity| entity.label == "Disease")
                .collect();
            let names: Vec<&str> = diseases
                .iter()
                .filter_map(|entity| entity.decoded.as_deref())
                .collect();
            assert_eq!(
                names,
                ["chest pain", "type 2 diabetes mellitus", "gout"],
                "{format}"
            );
            let denied = |entity: &&Entity| {
                entity
                    .assertions
                    .iter()
                    .any(|said| said.kind == AssertionKind::Negated)
            };
            let denied: Vec<bool> = diseases.iter().map(denied).collect();
            assert_eq!(denied, [true, false, false], "{format}");
            // `flaw` has compared it with the slice of the document.
            assert!(diseases[1].text.starts_with("type 2 ") && diseases[1].text.ends_with("itus"));
        }
    }
    let other = json!({"text": "gout", "format": "rtf"});
    let wrong = daemon.request("POST", "/v1/annotate", other.to_string());
    assert_eq!(wrong.refused(422, "wrong_format").details["code"], 3);
}

#[test]
fn a_message_in_latin_1_is_sent_as_bytes_with_offsets_in_them_or_as_a_string() {
    let daemon = start(&policy(true));
    let text = message(OBSERVATION)
        .replace("🦴", "§")
        .replace("|P|2.5\r", "|P|2.5||||||8859/1\r");
    let bytes: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    assert!(std::str::from_utf8(&bytes).is_err());
    let answer = daemon.ask(&json!({
        "text": base64::encode(&bytes), "encoding": "base64", "format": "hl7v2", "link": false,
    }));
    assert_eq!(
        (answer.status, answer.offset_unit),
        (Status::Ok, OffsetUnit::Byte)
    );
    assert_eq!(answer.text_sha256, sha256(&bytes));
    let length = bytes.len() as u64;
    assert_eq!(
        answer.text_length,
        TextLength {
            utf8_byte: length,
            utf16_code_unit: length,
            unicode_code_point: length
        }
    );
    // The same as of the string, whose code points are those bytes.
    let plain = ask(&daemon, json!({"text": text, "format": "hl7v2"}));
    assert!(decoded(&plain.entities).contains(&"type 2 diabetes mellitus"));
    let places = |entities: &[Entity]| -> Vec<(u64, u64, String, String)> {
        let place = |e: &Entity| (e.begin, e.end, e.label.clone(), e.decoded.clone().unwrap());
        entities.iter().map(place).collect()
    };
    assert_eq!(places(&answer.entities), places(&plain.entities));
    assert!(
        answer
            .entities
            .iter()
            .all(|entity| Some(&entity.text) == entity.decoded.as_ref())
    );
    let refused = |request: Value, code: &str| {
        let reply = daemon.request("POST", "/v1/annotate", request.to_string());
        reply.refused(if code == "invalid_field" { 400 } else { 422 }, code)
    };
    refused(
        json!({"text": "?", "encoding": "base64", "format": "hl7v2"}),
        "invalid_field",
    );
    refused(json!({"text": "", "encoding": "base64"}), "unusable_field");
}

#[test]
fn what_was_decoded_is_linked() {
    let site = Site::with_toml("");
    site.write(
        "terms.csv",
        "id,name,semantic_type,source\nC0025598,metformin,T121,TEST\nC0011860,type 2 diabetes mellitus,T047,TEST\n",
    );
    let csv = site.plugin("csv", &example_manifest("csv"), &library("mednerd_example_csv"));
    let settings = format!("terms = \"{}\"", site.path("terms.csv").display());
    let lines = policy(true) + &hl7(&site) + &table(&csv, &settings);
    site.configure(&Config::default().plugins(&lines));
    let daemon = site.start();
    let answer = ask(
        &daemon,
        json!({"text": message(OBSERVATION), "format": "hl7v2", "link": true}),
    );
    let linked: Vec<(&str, &str)> = answer
        .entities
        .iter()
        .filter_map(|entity| Some((entity.decoded.as_deref()?, &*entity.concepts.first()?.id)))
        .collect();
    assert_eq!(
        linked,
        [
            ("metformin", "C0025598"),
            ("type 2 diabetes mellitus", "C0011860")
        ]
    );
    let asked: Vec<&String> = answer.versions.plugins.keys().collect();
    assert_eq!(asked, ["example.csv", "example.hl7v2"]);
}

#[test]
fn formats_are_for_batches_and_the_command_line_as_well() {
    let daemon = start(&policy(true));
    let text = message(OBSERVATION);
    let lines = [
        json!({"text": text, "format": "hl7v2"}),
        json!({"text": SENTENCE}),
        json!({"text": SENTENCE, "format": "hl7v2"}),
        json!({"text": SENTENCE, "format": "SECRET"}),
    ];
    let lines: Vec<String> = lines.iter().map(|line| line.to_string() + "\n").collect();
    let reply = daemon.batch(lines.concat());
    assert!(!reply.text().contains("SECRET"), "{}", reply.text());
    let mut answers: Vec<BatchLine> = reply
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    answers.sort_by_key(|line| line.index);
    let answers: Vec<AnnotateResponse> = answers.into_iter().map(|line| line.response).collect();
    assert_eq!(flaw(&text, &answers[0]), None);
    assert!(decoded(&answers[0].entities).contains(&"metformin"));
    assert_eq!(flaw(SENTENCE, &answers[1]), None);
    let code = |answer: &AnnotateResponse| answer.error.clone().unwrap().code;
    assert_eq!(code(&answers[2]), "wrong_format");
    assert_eq!(code(&answers[3]), "unknown_format");

    daemon.site().write("message.hl7", &text);
    let output = Command::new(binary("mednerctl"))
        .arg("--socket")
        .arg(daemon.site().socket())
        .args(["annotate", "--document-format", "hl7v2"])
        .arg(daemon.site().path("message.hl7"))
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(page.contains("type 2 diabetes mellitus"), "{page}");
}

#[test]
fn the_command_line_sends_a_message_that_is_not_utf_8_as_its_bytes() {
    let daemon = start(&policy(true));
    let text =
        message("Gr\u{f6}\u{df}e. He was given metformin.").replace("|P|2.5\r", "|P|2.5||||||8859/1\r");
    let bytes: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    let path = daemon.site().path("latin-1.hl7");
    fs::write(&path, &bytes).unwrap();
    let annotate = |more: &[&str]| {
        let mut command = Command::new(binary("mednerctl"));
        command
            .arg("--socket")
            .arg(daemon.site().socket())
            .arg("annotate");
        command.args(more).arg(&path).output().unwrap()
    };
    let output = annotate(&["--document-format", "hl7v2", "--format", "json"]);
    assert!(output.status.success(), "{output:?}");
    let answer: AnnotateResponse = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer.offset_unit, OffsetUnit::Byte);
    let drug = answer.entities.iter().find(|entity| entity.text == "metformin");
    let drug = drug.unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(
        bytes.get(drug.begin as usize..drug.end as usize),
        Some(&b"metformin"[..])
    );
    for more in [&[][..], &["--document-format", "hl7v2", "--format", "html"]] {
        let output = annotate(more);
        assert!(!output.status.success());
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("it is not UTF-8"),
            "{output:?}"
        );
    }
}

#[test]
fn a_format_that_nobody_decodes_is_refused_with_those_there_are() {
    let daemon = start(&policy(true));
    let refused = |request: Value, status: u16, code: &str| {
        let refusal = daemon.request("POST", "/v1/annotate", request.to_string());
        refusal.refused(status, code)
    };
    let unknown = refused(
        json!({"text": SENTENCE, "format": "SECRET"}),
        422,
        "unknown_format",
    );
    assert!(!unknown.message.contains("SECRET"), "{}", unknown.message);
    assert_eq!(unknown.details["loaded"], json!(["hl7v2"]));
    refused(json!({"text": SENTENCE, "format": 7}), 400, "invalid_field");
    let wrong = refused(json!({"text": SENTENCE, "format": "hl7v2"}), 422, "wrong_format");
    assert_eq!(
        (&wrong.details["plugin"], &wrong.details["code"]),
        (&json!("example.hl7v2"), &json!(2))
    );
    assert!(!daemon.log().contains("metformin"));
}

/// A daemon whose format `hostile` does what the document says.
fn hostile(call_ms: u32, policy_lines: &str) -> Daemon {
    let site = Site::with_toml("");
    let lines = site.hostile_with("mednerd.document/1", call_ms, policy_lines, "do = \"told\"");
    site.configure(
        &Config::default()
            .server("max_text_bytes", 1_000_000)
            .plugins(&lines),
    );
    site.start()
}

#[test]
fn a_decoder_that_fails_costs_its_document_an_error_and_no_other_anything() {
    let daemon = hostile(5000, "breaker_deaths = 1000\nbreaker_window_ms = 1\n");
    let harmless = format!("é {SENTENCE}");
    let request = json!({"text": harmless, "format": "hostile"});
    let expected = ask(&daemon, request.clone());
    assert!(decoded(&expected.entities).contains(&"metformin"));
    let map = "a map of the text";
    let offsets = "offsets that are out of range or within a character";
    for (harm, deadly, status, code, reason) in [
        ("gap", false, 500, "decoding_failed", map),
        ("short", false, 500, "decoding_failed", map),
        ("none", false, 500, "decoding_failed", map),
        ("overlap", false, 500, "decoding_failed", map),
        ("back", false, 500, "decoding_failed", map),
        ("backwards", false, 500, "decoding_failed", map),
        ("empty", false, 500, "decoding_failed", map),
        ("beyond", false, 500, "decoding_failed", offsets),
        ("far", false, 500, "decoding_failed", offsets),
        ("midchar", false, 500, "decoding_failed", offsets),
        ("midsource", false, 500, "decoding_failed", offsets),
        (
            "huge",
            false,
            500,
            "decoding_failed",
            "8388608 bytes of text where 1000000",
        ),
        ("utf8", false, 500, "decoding_failed", "not UTF-8"),
        ("error", false, 500, "decoding_failed", "(code 7)"),
        ("panic", false, 500, "decoding_failed", "it panicked"),
        ("input", false, 422, "wrong_format", "(code 3)"),
        ("segfault", true, 500, "decoding_failed", "SIGSEGV"),
        ("abort", true, 500, "decoding_failed", "SIGABRT"),
        ("exit", true, 500, "decoding_failed", "exit code 0"),
        ("memory", true, 500, "decoding_failed", ""),
    ] {
        let deaths = daemon.status().plugins[0].deaths;
        let poison = format!("é POISON:{harm} {SENTENCE}");
        let body = json!({"text": poison, "format": "hostile"}).to_string();
        let refusal = daemon.request("POST", "/v1/annotate", body).refused(status, code);
        assert!(!refusal.message.contains("POISON"), "{harm}");
        // Documents without a format know nothing of it.
        assert_eq!(daemon.annotate(SENTENCE).status, Status::Ok, "{harm}");
        if deadly {
            eventually("the host died and another one is ready", || {
                let plugin = daemon.status().plugins.remove(0);
                plugin.deaths > deaths && plugin.state == PluginState::Ready
            });
        }
        let again = ask(&daemon, request.clone());
        assert_eq!(again.entities, expected.entities, "{harm}");
        let plugin = daemon.status().plugins.remove(0);
        assert_eq!(plugin.deaths > deaths, deadly, "{harm}: {plugin:?}");
        let told = plugin.last_failure.unwrap();
        assert!(told.contains(reason), "{harm}: wanted {reason:?} in {told}");
        daemon.logs(&told);
    }
    let log = daemon.log();
    assert!(
        !log.contains("POISON") && !log.contains("metformin"),
        "no note in the log"
    );
}

#[test]
fn a_decoder_that_does_not_come_back_costs_its_document_an_error() {
    let daemon = hostile(300, "breaker_deaths = 1000\nbreaker_window_ms = 1\n");
    for harm in ["loop", "sleep"] {
        let poison = json!({"text": format!("é POISON:{harm} {SENTENCE}"), "format": "hostile"});
        let deaths = daemon.status().plugins[0].deaths;
        let reply = daemon.request("POST", "/v1/annotate", poison.to_string());
        reply.refused(500, "decoding_failed");
        let told = daemon.status().plugins.remove(0).last_failure.unwrap();
        assert!(told.contains("did not finish in time"), "{harm}: {told}");
        assert_eq!(daemon.annotate(SENTENCE).status, Status::Ok, "{harm}");
        eventually("the host was killed", || {
            daemon.status().plugins[0].deaths > deaths
        });
        // On a busy machine a short call may be too short at first.
        let harmless = json!({"text": format!("é {SENTENCE}"), "format": "hostile"}).to_string();
        eventually("it decodes again", || {
            daemon.request("POST", "/v1/annotate", &harmless).status == 200
        });
    }
}

#[test]
fn a_decoder_out_of_service_is_told_as_that() {
    let daemon = hostile(5000, "breaker_deaths = 2\n");
    let body = |harm: &str| json!({"text": format!("POISON:{harm}"), "format": "hostile"}).to_string();
    let mut tries = 0;
    eventually("it is out of service", || {
        // Another document each time: one alone is known after its first kill.
        tries += 1;
        daemon.request("POST", "/v1/annotate", body(&format!("abort {tries}")));
        daemon.status().plugins[0].state == PluginState::OutOfService
    });
    let reply = daemon.request("POST", "/v1/annotate", body("nothing"));
    assert!(reply.header("retry-after").is_some());
    reply.refused(503, "decoder_unavailable");
    assert_eq!(daemon.annotate(SENTENCE).status, Status::Ok);
}

#[test]
fn a_document_that_killed_a_decoder_is_not_given_to_another_one() {
    let daemon = hostile(5000, "breaker_deaths = 3\n");
    let body = |text: String| json!({"text": text, "format": "hostile"}).to_string();
    for _ in 0..10 {
        let reply = daemon.request("POST", "/v1/annotate", body("é POISON:abort".to_owned()));
        reply.refused(500, "decoding_failed");
    }
    eventually("another host is ready", || {
        daemon.status().plugins[0].state == PluginState::Ready
    });
    assert_eq!(daemon.status().plugins[0].deaths, 1);
    // The cause, and not what follows from it.
    let told = daemon.status().plugins.remove(0).last_failure.unwrap();
    assert!(told.contains("ended by SIGABRT"), "{told}");
    daemon.logs("has killed its host before");
    ask(
        &daemon,
        json!({"text": format!("é {SENTENCE}"), "format": "hostile"}),
    );
}

/// Sends a document and hangs up soon.
fn send_and_leave(daemon: &Daemon, body: &Value) {
    let mut client = daemon.connect();
    client
        .send(http::message("POST", "/v1/annotate", body.to_string()))
        .unwrap();
    std::thread::sleep(Duration::from_millis(100));
}

#[test]
fn a_document_that_kills_its_decoder_is_found_out_however_soon_its_client_gives_up() {
    for (harm, leaves, deaths) in [
        ("sleep", true, 2),
        ("sleep", false, 2),
        ("abort=300", true, 1),
        ("abort=300", false, 1),
    ] {
        let daemon = hostile(600, "breaker_deaths = 3\n");
        let ready = || {
            eventually("a host is ready", || {
                daemon.status().plugins[0].state == PluginState::Ready
            });
        };
        let poison = json!({"text": format!("é POISON:{harm}"), "format": "hostile", "deadline_ms": 100});
        for kill in 1..=6 {
            let begun = Instant::now();
            match leaves {
                true => send_and_leave(&daemon, &poison),
                false => drop(daemon.request("POST", "/v1/annotate", poison.to_string())),
            }
            if kill <= deaths {
                eventually("the host died of it", || {
                    daemon.status().plugins[0].deaths == kill
                });
                assert!(begun.elapsed() > Duration::from_millis(250), "{harm} {leaves}");
            }
            ready();
        }
        assert_eq!(daemon.status().plugins[0].deaths, deaths, "{harm} {leaves}");
        // However long it would wait.
        let patient = json!({"text": format!("é POISON:{harm}"), "format": "hostile"}).to_string();
        let reply = daemon.request("POST", "/v1/annotate", patient);
        reply.refused(500, "decoding_failed");
        daemon.logs("has killed its host before");
        ask(
            &daemon,
            json!({"text": format!("é {SENTENCE}"), "format": "hostile"}),
        );
        assert_eq!(daemon.status().plugins[0].deaths, deaths, "{harm} {leaves}");
    }
}

/// One that waits while the host still has what somebody else gave up is not to blame for that.
#[test]
fn a_document_that_waited_behind_a_killer_is_no_killer() {
    let daemon = hostile(600, "breaker_deaths = 1000\nbreaker_window_ms = 1\n");
    let harmless = json!({"text": format!("é {SENTENCE}"), "format": "hostile", "deadline_ms": 150});
    for kill in 1..=3 {
        // Another one each time.
        send_and_leave(
            &daemon,
            &json!({"text": format!("é POISON:sleep {kill}"), "format": "hostile"}),
        );
        let reply = daemon.request("POST", "/v1/annotate", harmless.to_string());
        assert_ne!(reply.status, 200, "the host is not there for it");
        eventually("another host is ready", || {
            let plugin = daemon.status().plugins.remove(0);
            plugin.deaths == kill && plugin.state == PluginState::Ready
        });
    }
    ask(
        &daemon,
        json!({"text": format!("é {SENTENCE}"), "format": "hostile"}),
    );
    let log = daemon.log();
    assert!(!log.contains("has killed its host before"), "{log}");
}

#[test]
fn copies_of_a_document_that_wait_while_it_kills_its_decoder_kill_no_other() {
    let daemon = hostile(5000, "breaker_deaths = 3\n");
    let body = |text: &str| json!({"text": text, "format": "hostile"}).to_string();
    std::thread::scope(|scope| {
        scope.spawn(|| daemon.request("POST", "/v1/annotate", body("é POISON:pause=1000")));
        std::thread::sleep(Duration::from_millis(300));
        for _ in 0..6 {
            scope.spawn(|| {
                let reply = daemon.request("POST", "/v1/annotate", body("é POISON:abort"));
                reply.refused(500, "decoding_failed");
            });
        }
    });
    eventually("another host is ready", || {
        daemon.status().plugins[0].state == PluginState::Ready
    });
    assert_eq!(daemon.status().plugins[0].deaths, 1);
    ask(
        &daemon,
        json!({"text": format!("é {SENTENCE}"), "format": "hostile"}),
    );
}

#[test]
fn killed_decoders_spoil_no_document() {
    let daemon = hostile(5000, "breaker_deaths = 1000\nbreaker_window_ms = 1\n");
    let harmless = format!("é {SENTENCE}");
    let request = json!({"text": harmless, "format": "hostile"});
    let expected = ask(&daemon, request.clone());
    let over = std::sync::atomic::AtomicBool::new(false);
    let (mut right, mut failed) = (0_u64, 0_u64);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut right, mut failed) = (0, 0);
                    while !over.load(std::sync::atomic::Ordering::Relaxed) {
                        let reply = daemon.request("POST", "/v1/annotate", request.to_string());
                        match reply.status {
                            200 => {
                                let answer: AnnotateResponse = reply.decode();
                                assert_eq!(answer.entities, expected.entities);
                                right += 1;
                            }
                            500 => {
                                reply.refused(500, "decoding_failed");
                                failed += 1;
                            }
                            _ => {
                                reply.refused(503, "decoder_unavailable");
                                failed += 1;
                            }
                        }
                    }
                    (right, failed)
                })
            })
            .collect();
        for _ in 0..10 {
            let mut pid = None;
            eventually("there is a host", || {
                let plugins: PluginsResponse = daemon.admin("GET", "/v1/plugins").ok().decode();
                let plugin = &plugins.plugins[0];
                pid = plugin.pid.filter(|_| plugin.state == PluginState::Ready);
                pid.is_some()
            });
            let pid = i32::try_from(pid.unwrap()).unwrap();
            let deaths = daemon.status().plugins[0].deaths;
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            eventually("it is noticed", || daemon.status().plugins[0].deaths > deaths);
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        for client in clients {
            let (fine, not) = client.join().unwrap();
            right += fine;
            failed += not;
        }
    });
    assert!(right > 0, "{failed} failed");
    eventually("it decodes again", || {
        daemon.request("POST", "/v1/annotate", request.to_string()).status == 200
    });
}
