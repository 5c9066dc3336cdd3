//! Task adapters: many over one base in one daemon, each with the answers of the reference, coming and going while
//! requests run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mednerd_client::api::{AnnotateResponse, Entity};
use mednerd_tests::daemon::{root, tiny_model};
use mednerd_tests::{Config, Daemon, Site};
use serde_json::{Value, json};

/// The adapters over the tiny model that stand in `tests/fixtures/adapters/bert`: one of each kind.
const ADAPTERS: [&str; 12] = [
    "all-linear",
    "bias-all",
    "bias-lora-only",
    "dora",
    "exclude",
    "head-only",
    "layer",
    "lora",
    "lora-on-head",
    "patterns",
    "regex",
    "rslora",
];

fn adapter(name: &str) -> PathBuf {
    root().join("tests/fixtures/adapters/bert").join(name)
}

fn all() -> Config {
    ADAPTERS.into_iter().fold(Config::tiny(), |config, name| {
        config.adapter(name, &adapter(name))
    })
}

fn golden(name: &str) -> Value {
    serde_json::from_slice(&fs::read(adapter(name).join("golden.json")).unwrap()).unwrap()
}

/// Label, begin, end of the reference's entities.
fn reference(case: &Value) -> Vec<(String, u64, u64)> {
    let entities = case["entities"].as_array().unwrap().iter();
    entities
        .map(|e| {
            let label = e["label"].as_str().unwrap().to_owned();
            (label, e["begin"].as_u64().unwrap(), e["end"].as_u64().unwrap())
        })
        .collect()
}

fn places(entities: &[Entity]) -> Vec<(String, u64, u64)> {
    entities
        .iter()
        .map(|e| (e.label.clone(), e.begin, e.end))
        .collect()
}

fn ask(daemon: &Daemon, text: &str, models: &[&str]) -> AnnotateResponse {
    daemon.ask(&json!({"text": text, "models": models, "offset_unit": "utf8_byte"}))
}

#[test]
fn each_of_twelve_adapters_answers_as_the_reference_does() {
    let daemon = Daemon::start(&all());
    let mut compared = 0;
    for name in ADAPTERS {
        for case in golden(name)["cases"].as_array().unwrap() {
            if !case["entities"].is_array() {
                continue;
            }
            let text = case["text"].as_str().unwrap();
            let answer = ask(&daemon, text, &[name]);
            assert_eq!(places(&answer.entities), reference(case), "{name}: {text:?}");
            assert!(answer.versions.models.contains_key(name) && answer.versions.models.contains_key("tiny"));
            compared += answer.entities.len();
        }
    }
    assert!(compared > 100, "only {compared} entities in the goldens");
}

#[test]
fn a_note_for_many_adapters_gets_what_each_of_them_finds() {
    let daemon = Daemon::start(&all());
    let text = "Pt admitted with acute pneumonia, started on amoxicillin 500 mg TID. ".repeat(40);
    let mut models = ADAPTERS.to_vec();
    models.push("tiny");
    let mut expected: Vec<(String, u64, u64)> = models
        .iter()
        .flat_map(|name| places(&ask(&daemon, &text, &[name]).entities))
        .collect();
    expected.sort_by(|a, b| (a.1, b.2, &a.0).cmp(&(b.1, a.2, &b.0)));
    expected.dedup();
    let together = ask(&daemon, &text, &models);
    assert_eq!(places(&together.entities), expected);
    assert_eq!(together.versions.models.len(), models.len());
    let found: Vec<&str> = models
        .iter()
        .copied()
        .filter(|m| together.entities.iter().any(|e| e.model == *m))
        .collect();
    assert!(found.len() > 6, "only {found:?} found something of their own");
}

#[test]
fn models_tell_bases_from_adapters() {
    let daemon = Daemon::start(&all());
    let models = daemon.request("GET", "/v1/models", "").ok().json();
    let models = models["models"].as_array().unwrap();
    assert_eq!(models.len(), 1 + ADAPTERS.len());
    assert_eq!(models[0]["adapters"], json!(ADAPTERS));
    let base = models[0]["memory_bytes"].as_u64().unwrap();
    for (model, name) in models[1..].iter().zip(ADAPTERS) {
        assert_eq!(model["name"], name);
        assert_eq!(model["base"], "tiny");
        assert_eq!(model["family"], "bert");
        assert!(!model["labels"].as_array().unwrap().is_empty());
        assert!(model["memory_bytes"].as_u64().unwrap() < base, "{model}");
    }
    let page = String::from_utf8(daemon.site().validate().stdout).unwrap();
    assert!(page.contains("adapter \"dora\" over \"tiny\""), "{page}");
}

#[test]
fn adapters_come_and_go_while_requests_run() {
    let daemon = Daemon::start(&Config::tiny());
    let text = "Pt admitted with acute pneumonia, started on amoxicillin 500 mg TID.";
    let expected = places(&ask(&daemon, text, &["tiny"]).entities);
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(places(&ask(&daemon, text, &["tiny"]).entities), expected);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for turn in 0..30 {
            let name = ADAPTERS[turn % ADAPTERS.len()];
            let body = json!({"name": name, "path": adapter(name), "base": "tiny"}).to_string();
            let loaded = daemon.admin_with("POST", "/v1/models", &body).ok().json();
            assert_eq!((&loaded["name"], &loaded["base"]), (&json!(name), &json!("tiny")));
            let case = &golden(name)["cases"][0];
            let answer = ask(&daemon, case["text"].as_str().unwrap(), &[name]);
            assert_eq!(places(&answer.entities), reference(case), "{name}");
            let unloaded = daemon.admin("DELETE", &format!("/v1/models/{name}")).ok().json();
            assert_eq!(unloaded["unloaded"], json!([name]));
            daemon
                .request(
                    "POST",
                    "/v1/annotate",
                    json!({"text": text, "models": [name]}).to_string(),
                )
                .refused(404, "unknown_model");
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(served.load(Ordering::Relaxed) > 30);
}

#[test]
fn what_cannot_be_loaded_or_unloaded_says_why_and_the_rest_serves_on() {
    let daemon = Daemon::start(&Config::tiny().adapter("lora", &adapter("lora")));
    let load = |body: Value| daemon.admin_with("POST", "/v1/models", body.to_string());
    let dora = adapter("dora");
    for (body, status, part) in [
        (json!({"name": "a"}), 400, "\"path\""),
        (json!({"name": "a", "path": dora, "rank": 3}), 400, "\"path\""),
        (
            json!({"name": "a/b", "path": dora, "base": "tiny"}),
            422,
            "letters",
        ),
        (
            json!({"name": "lora", "path": dora, "base": "tiny"}),
            422,
            "loaded already",
        ),
        (
            json!({"name": "a", "path": "relative", "base": "tiny"}),
            422,
            "absolute",
        ),
        (
            json!({"name": "a", "path": dora, "base": "none"}),
            422,
            "loaded are: tiny",
        ),
        (json!({"name": "a", "path": dora}), 422, "config"),
        (
            json!({"name": "a", "path": "/nowhere", "base": "tiny"}),
            422,
            "/nowhere",
        ),
        (
            json!({"name": "a", "path": tiny_model(), "base": "tiny"}),
            422,
            "adapter_config.json",
        ),
    ] {
        let reply = load(body.clone());
        assert_eq!(reply.status, status, "{body}");
        let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(part), "{body}: {message}");
    }
    for (name, status, part) in [("tiny", 422, "lora"), ("none", 404, "tiny"), ("%FF", 404, "tiny")] {
        let reply = daemon.admin("DELETE", &format!("/v1/models/{name}"));
        assert_eq!(reply.status, status);
        assert!(reply.json()["error"]["message"].as_str().unwrap().contains(part));
    }
    daemon.admin("DELETE", "/v1/models/lora").ok();
    let reply = daemon.admin("DELETE", "/v1/models/tiny");
    assert_eq!(reply.status, 422);
    assert!(
        reply.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("last")
    );
    assert!(
        !daemon
            .annotate("acute pneumonia on amoxicillin")
            .entities
            .is_empty()
    );
    // The socket for EHR systems loads nothing.
    let body = json!({"name": "a", "path": dora, "base": "tiny"}).to_string();
    assert_eq!(daemon.request("POST", "/v1/models", &body).status, 405);
    assert_eq!(daemon.request("DELETE", "/v1/models/tiny", "").status, 404);
}

#[test]
fn a_reload_brings_back_what_the_configuration_says() {
    let daemon = Daemon::start(&Config::tiny().adapter("lora", &adapter("lora")));
    let body = json!({"name": "extra", "path": adapter("dora"), "base": "tiny", "default": true}).to_string();
    daemon.admin_with("POST", "/v1/models", &body).ok();
    daemon.admin("DELETE", "/v1/models/lora").ok();
    assert_eq!(daemon.status().models, ["tiny", "extra"]);
    let answer = daemon.annotate("acute pneumonia on amoxicillin");
    assert_eq!(
        answer.versions.models.len(),
        2,
        "a default one is asked without being named"
    );
    let reloaded = daemon.admin("POST", "/v1/reload").ok().json();
    assert_eq!(reloaded["kept"], json!(["tiny"]));
    assert_eq!(reloaded["loaded"], json!(["lora"]));
    assert_eq!(reloaded["unloaded"], json!(["extra"]));
}

#[test]
fn a_base_without_a_head_serves_its_adapters_alone() {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(tiny_model()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    // As the encoder alone is saved: another class, no classifier.
    let config = fs::read_to_string(folder.path().join("config.json")).unwrap();
    let config = config.replace("BertForTokenClassification", "BertModel");
    fs::write(folder.path().join("config.json"), config).unwrap();
    let weights = folder.path().join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    while let Some(at) = bytes.windows(12).position(|window| window == b"\"classifier.") {
        bytes[at + 1..at + 5].copy_from_slice(b"none");
    }
    fs::write(&weights, bytes).unwrap();
    let daemon = Daemon::start(
        &Config::without_models()
            .model("base", folder.path(), false)
            .adapter("dora", &adapter("dora")),
    );
    assert_eq!(daemon.status().models, ["dora"]);
    for case in golden("dora")["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|case| case["entities"].is_array())
    {
        let answer = ask(&daemon, case["text"].as_str().unwrap(), &["dora"]);
        assert_eq!(places(&answer.entities), reference(case));
    }
    let models = daemon.request("GET", "/v1/models", "").ok().json();
    assert_eq!(models["models"][0]["labels"], json!([]));
    daemon
        .request(
            "POST",
            "/v1/annotate",
            json!({"text": "a", "models": ["base"]}).to_string(),
        )
        .refused(404, "unknown_model");
    // Alone it is of no use, and as a default neither.
    for config in [
        Config::without_models()
            .model("base", folder.path(), true)
            .adapter("dora", &adapter("dora")),
        Config::without_models().model("base", folder.path(), false),
    ] {
        let output = Site::new(&config).validate();
        assert!(!output.status.success());
        let told =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(
            told.contains("head") || told.contains("not a token classifier"),
            "{told}"
        );
    }
}
