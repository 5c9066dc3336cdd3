//! No note text leaves the daemon by any way but its answer: not in logs, metrics, errors or files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mednerd_client::api::{BatchLine, PluginState, Status};
use mednerd_tests::daemon::{binary, tiny_model};
use mednerd_tests::http::{batch_head, chunk, head, message};
use mednerd_tests::notes::{SENTENCE, long_note};
use mednerd_tests::{Config, Daemon, Reply, Site, eventually};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A name that a patient might have and that nothing else here does.
const CANARY: &str = "Zyxgardquist";

fn has_canary(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    // In whole or in part: a truncated quotation is one as well.
    text.contains("zyxg") || text.contains("gardq") || text.contains("quist")
}

/// Counts what was answered, and looks into everything that is not an answer.
#[derive(Default)]
struct Watch {
    answered: usize,
    refused: usize,
    echoed: usize,
}

impl Watch {
    fn see(&mut self, reply: &Reply) {
        if reply.status == 200 {
            self.answered += 1;
            self.echoed += usize::from(has_canary(&reply.body));
        } else {
            self.refused += 1;
            assert!(
                !has_canary(&reply.body),
                "{} quotes the note: {}",
                reply.status,
                reply.text()
            );
        }
        for (name, value) in &reply.headers {
            assert!(
                !has_canary(name.as_bytes()) && !has_canary(value.as_bytes()),
                "{name}: {value}"
            );
        }
    }

    fn see_line(&mut self, line: &[u8]) {
        let line: BatchLine = serde_json::from_slice(line).unwrap();
        if line.response.status == Status::Ok {
            self.answered += 1;
        } else {
            self.refused += 1;
            let error = json!(line.response.error).to_string();
            assert!(!has_canary(error.as_bytes()), "{error}");
        }
    }
}

/// One note for each way a request can go, all with the canary wherever there is room for it.
fn requests(number: usize) -> Vec<Vec<u8>> {
    let note = format!("{CANARY} {number} was given metformin for diabetes. {CANARY}");
    let annotate = |body: Value| message("POST", "/v1/annotate", body.to_string());
    let raw = |body: &str| message("POST", "/v1/annotate", body);
    vec![
        // An id without spaces would be in the audit trail to the letter, where it belongs.
        annotate(
            json!({"text": note, "document_id": format!("{CANARY} {number}"), "context": {CANARY: CANARY}}),
        ),
        annotate(json!({"text": note, "models": [CANARY]})),
        annotate(json!({"text": note, CANARY: 1})),
        annotate(json!({"text": [note]})),
        annotate(json!({"text": note, "offset_unit": CANARY})),
        annotate(json!({"text": note, "aggregation": CANARY, "threshold": CANARY})),
        annotate(json!({"text": note, "labels": [CANARY]})),
        annotate(json!({"text": note, "link": {"vocabularies": [CANARY]}})),
        annotate(json!({"text": note, "link": {CANARY: CANARY}})),
        annotate(json!({"text": note, "deadline_ms": CANARY})),
        annotate(json!({"text": note.repeat(30)})),
        annotate(json!({"text": note.repeat(2_000)})),
        raw(&format!("{{\"text\":\"{note}\",\"text\":\"{note}\"}}")),
        raw(&format!("{{\"text\":\"{note}\" \"{CANARY}\"")),
        raw(&format!("{{\"text\":\"{note}")),
        raw(&note),
        raw(&format!("\"{note}\"")),
        raw(&format!("{{\"text\":\"{note}\"}} {CANARY}")),
        message("POST", "/v1/annotate", [note.as_bytes(), b"\xff"].concat()),
        message("POST", &format!("/v1/{CANARY}"), &note),
        message("GET", &format!("/healthz?{CANARY}={CANARY}"), ""),
        message("PUT", "/v1/annotate", &note),
        message(CANARY, "/v1/annotate", &note),
    ]
}

fn look_into_files(folder: &Path) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files += look_into_files(&entry.path());
        } else if kind.is_file() {
            files += 1;
            let bytes = fs::read(entry.path()).unwrap();
            assert!(!has_canary(&bytes), "{} holds note text", entry.path().display());
        }
    }
    files
}

/// How many notes are wanted, where that is said.
fn wanted() -> Option<usize> {
    let wanted = std::env::var("MEDNERD_CANARIES").ok();
    wanted.map(|number| number.parse().expect("MEDNERD_CANARIES is a number"))
}

/// How often every request is sent: 40 times, or as often as it takes for `MEDNERD_CANARIES` notes.
fn rounds() -> usize {
    wanted().map_or(40, |notes| notes.div_ceil(2 * requests(0).len()).max(40))
}

/// Within five seconds of the last answer no note is in the process any more.
fn look_into_memory(daemon: &Daemon) {
    look_into_memory_for(daemon, &CANARY.as_bytes()[..8]);
}

fn look_into_memory_for(daemon: &Daemon, bytes: &[u8]) {
    let mut found = None;
    for _ in 0..5 {
        std::thread::sleep(Duration::from_secs(1));
        found = daemon.in_memory(bytes);
        if found.as_ref().is_none_or(Vec::is_empty) {
            break;
        }
    }
    match found {
        None => mednerd_skip::skipped("this user may not look into the daemon's memory"),
        Some(found) => assert!(found.is_empty(), "{} places: {found:#?}", found.len()),
    }
}

fn look_at_what_operators_see(daemon: &Daemon) {
    for route in [
        "/metrics",
        "/v1/status",
        "/v1/models",
        "/healthz",
        "/readyz",
        "/openapi.json",
    ] {
        let reply = daemon.admin("GET", route);
        assert!(!has_canary(&reply.body), "{route}: {}", reply.text());
    }
    let log = daemon.log();
    let line = log.lines().find(|line| has_canary(line.as_bytes()));
    assert_eq!(line, None, "the log quotes a note");
}

/// The daemon that logs all there is; temporary files, were there any, would be in the site's folder.
fn talkative(site: &Site) -> Command {
    let mut command = site.command();
    command
        .env("TMPDIR", site.path(""))
        .current_dir(site.path(""))
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full");
    command
}

/// A tokenizer is no secret: whoever has the numbers of a text's words has the text.
#[test]
fn nor_are_the_numbers_of_its_words_left_in_memory() {
    let tokenizer = fs::read(tiny_model().join("tokenizer.json")).unwrap();
    let tokenizer: Value = serde_json::from_slice(&tokenizer).unwrap();
    let words = tokenizer["model"]["vocab"].as_object().unwrap().iter();
    let words: Vec<(&str, u32)> = words
        .filter(|(word, _)| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_lowercase()))
        .map(|(word, number)| (&**word, u32::try_from(number.as_u64().unwrap()).unwrap()))
        .collect();
    assert!(words.len() > 20, "{}", words.len());
    // In an order that nothing else has them in, and more of them than fit one window.
    let note: Vec<(&str, u32)> = (0..3_000).map(|at| words[at * at * 7 % words.len()]).collect();
    let text: Vec<&str> = note.iter().map(|(word, _)| *word).collect();
    let daemon = Daemon::start(&Config::tiny());
    let answer = daemon.annotate(&text.join(" "));
    assert_eq!(answer.status, Status::Ok);
    let some = &note[1_500..1_512];
    let [narrow, wide]: [Vec<u8>; 2] = [
        some.iter().flat_map(|(_, number)| number.to_ne_bytes()).collect(),
        some.iter()
            .flat_map(|(_, number)| i64::from(*number).to_ne_bytes())
            .collect(),
    ];
    look_into_memory_for(&daemon, &narrow);
    look_into_memory_for(&daemon, &wide);
}

/// What a plugin linked, decoded or was given in vain is in nobody's memory but its host's, which lives on.
#[test]
fn a_plugin_that_lives_leaves_no_note_in_memory() {
    for (ability, way) in [
        ("mednerd.normalizer/1", json!({"link": true})),
        ("mednerd.document/1", json!({"format": "hostile"})),
    ] {
        let site = Site::with_toml("");
        let lines = site.hostile_with(ability, 5000, "", "do = \"told\"");
        site.configure(&Config::tiny().plugins(&lines));
        let daemon = site.start_by(&mut talkative(&site));
        let mut watch = Watch::default();
        // After a death documents are compared with the one that the host died of.
        for harm in ["abort", "nothing", "pause=200"] {
            let mut request = way.clone();
            request["text"] = format!("POISON:{harm} {SENTENCE} {CANARY}").into();
            watch.see(&daemon.request("POST", "/v1/annotate", request.to_string()));
            eventually("a host is ready", || {
                daemon.status().plugins[0].state == PluginState::Ready
            });
            // And one that nobody waits for.
            let request = message("POST", "/v1/annotate", request.to_string());
            daemon.connect().send(&request).unwrap();
        }
        assert!(watch.answered >= 2, "{} were answered", watch.answered);
        daemon.wait_idle();
        look_into_memory(&daemon);
        assert_eq!(daemon.status().plugins[0].deaths, 1, "{ability}");
    }
}

#[test]
fn a_canary_in_a_thousand_notes_appears_in_no_log_metric_error_or_file() {
    let config = Config::tiny()
        .server("max_text_bytes", 20_000)
        .server("max_queued_documents", 4)
        .server("stall_timeout_ms", 300);
    let mut daemon = {
        let site = Site::new(&config);
        for folder in ["trail", "conf.d"] {
            fs::create_dir(site.path(folder)).unwrap();
        }
        site.write("key", &"7".repeat(64));
        site.write(
            "conf.d/10-audit.toml",
            "[audit]\npath = \"../trail\"\nkey = \"../key\"\n",
        );
        site.start_by(&mut talkative(&site))
    };
    let mut watch = Watch::default();

    for number in 0..rounds() {
        for request in requests(number) {
            let mut client = daemon.connect();
            client.send(&request).unwrap();
            watch.see(&client.reply().unwrap());
            // The next one hangs up without waiting.
            daemon.connect().send(&request).unwrap();
        }
        if number % 10 == 5 {
            daemon.site().write("mednerd.toml", "broken = [");
            watch.see(&daemon.admin("POST", "/v1/reload"));
            daemon.site().configure(&config);
            watch.see(&daemon.admin("POST", "/v1/reload"));
        }
    }

    let lines: Vec<String> = (0..100)
        .flat_map(|number| {
            let note = format!("{CANARY} {number} {SENTENCE}");
            [
                json!({"text": note}).to_string(),
                json!({"text": note, "models": [CANARY]}).to_string(),
                format!("{{\"text\": {note}"),
                json!({"text": note, CANARY: CANARY}).to_string(),
                json!({"text": note.repeat(400)}).to_string(),
            ]
        })
        .collect();
    let reply = daemon.batch(lines.join("\n"));
    let answers: Vec<&str> = reply.text().lines().collect();
    assert_eq!(answers.len(), lines.len());
    for answer in answers {
        watch.see_line(answer.as_bytes());
    }

    // Overload, a body that stalls, a batch that is cut off.
    let long = json!({"text": format!("{CANARY} {}", long_note(15_000).0)}).to_string();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..40)
            .map(|_| scope.spawn(|| daemon.request("POST", "/v1/annotate", &long)))
            .collect();
        for client in clients {
            watch.see(&client.join().unwrap());
        }
    });
    let mut stalled = daemon.connect();
    stalled.send(head("POST", "/v1/annotate", 1_000)).unwrap();
    stalled.send(format!("{{\"text\":\"{CANARY}")).unwrap();
    watch.see(&stalled.reply().unwrap());
    let mut batch = daemon.connect();
    batch.send(batch_head()).unwrap();
    batch
        .send(chunk(format!("{{\"text\":\"{CANARY}").as_bytes()))
        .unwrap();
    assert_eq!(batch.reply_head().unwrap().status, 200);
    watch.see_line(&batch.reply_chunk().unwrap().unwrap());
    drop((stalled, batch));

    daemon.wait_idle();
    look_at_what_operators_see(&daemon);
    // Where it was asked for: what a machine's C library and stack layout leave is looked into with time at hand.
    if wanted().is_some() {
        look_into_memory(&daemon);
    }
    let metrics = daemon.admin("GET", "/metrics");
    assert!(
        metrics.text().contains("status=\"429\""),
        "there was an overload: {}",
        metrics.text()
    );

    // And at the end, with a note under way.
    let mut last = daemon.connect();
    last.send(message("POST", "/v1/annotate", &long)).unwrap();
    eventually("a last note is under way", || {
        let status = daemon.status();
        status.queue.documents > 0 || status.requests.ok > 0
    });
    daemon.signal(Signal::SIGTERM);
    watch.see(&last.reply().unwrap());
    assert_eq!(daemon.wait().code(), Some(0));

    let log = daemon.log();
    assert!(
        log.contains("reload refused") && log.contains("stopped"),
        "the log is there: {log}"
    );
    assert_eq!(log.lines().find(|line| has_canary(line.as_bytes())), None);
    let files = look_into_files(&daemon.site().path(""));
    assert!(files >= 2, "configuration and log were looked into");
    assert!(watch.refused > 900, "{} were refused", watch.refused);
    assert!(watch.answered > 150, "{} were answered", watch.answered);
    assert!(
        watch.echoed >= 40,
        "the canary can be seen where it must be: {}",
        watch.echoed
    );
}

#[test]
fn a_daemon_that_is_killed_with_a_note_under_way_leaves_nothing_of_it_behind() {
    let note = json!({"text": format!("{CANARY} {}", long_note(15_000).0)}).to_string();
    let site = Site::new(&Config::tiny());
    for signal in [Signal::SIGKILL, Signal::SIGABRT] {
        // No core files, as in the unit.
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -c 0; exec \"$@\"", "sh"])
            .arg(binary("mednerd"))
            .arg("--config")
            .arg(site.config())
            .env("TMPDIR", site.path(""))
            .current_dir(site.path(""))
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full");
        let mut daemon = site.start_by(&mut command);
        let mut client = daemon.connect();
        client.send(message("POST", "/v1/annotate", &note)).unwrap();
        eventually("the note is under way", || {
            let status = daemon.status();
            status.queue.documents > 0 || status.requests.ok > 0
        });
        daemon.signal(signal);
        assert!(!daemon.wait().success());
        look_into_files(&site.path(""));
    }
}

/// What a plugin does with a note, in vendor code's place: panics over it, fails with it, prints it, logs it, writes it down, dies.
const HARMS: [&str; 9] = [
    "panic",
    "error",
    "stdout",
    "stdin",
    "log",
    "write=tmp/canary",
    "segfault",
    "abort",
    "exit",
];

#[test]
fn a_plugin_that_panics_prints_logs_or_dies_over_a_note_passes_nothing_on() {
    // A tenth of what is wanted goes this way: hosts that died take a while to start.
    let rounds = wanted().map_or(2, |notes| notes.div_ceil(10 * 2 * HARMS.len()).max(2));
    let breaker = "breaker_deaths = 100000\nbreaker_window_ms = 1\n";
    for (ability, way) in [
        ("mednerd.normalizer/1", json!({"link": true})),
        ("mednerd.document/1", json!({"format": "hostile"})),
    ] {
        let site = Site::with_toml("");
        let lines = site.hostile_with(ability, 5000, breaker, "do = \"told\"");
        site.configure(&Config::tiny().plugins(&lines));
        let mut daemon = site.start_by(&mut talkative(&site));
        let ready = || {
            let plugins = daemon.status().plugins;
            plugins.iter().all(|plugin| plugin.state == PluginState::Ready)
        };
        let mut watch = Watch::default();
        for number in 0..rounds {
            for harm in HARMS {
                eventually("the plugin is ready", ready);
                let mut request = way.clone();
                request["text"] = format!("{CANARY} {number} POISON:{harm} {SENTENCE} {CANARY}").into();
                watch.see(&daemon.request("POST", "/v1/annotate", request.to_string()));
            }
        }
        look_at_what_operators_see(&daemon);
        let plugins = daemon.admin("GET", "/v1/plugins");
        assert!(!has_canary(&plugins.body), "{}", plugins.text());
        if wanted().is_some() {
            look_into_memory(&daemon);
        }
        let deaths = daemon
            .status()
            .plugins
            .iter()
            .map(|plugin| plugin.deaths)
            .sum::<u64>();
        assert!(deaths >= 3 * rounds as u64, "{deaths} hosts died");
        daemon.logs("it panicked");
        assert_eq!(watch.answered + watch.refused, rounds * HARMS.len());
        daemon.stop();
        look_into_files(&site.path(""));
        assert!(!Path::new("/tmp/canary").exists());
    }
}
