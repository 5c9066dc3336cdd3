//! NER tasks that plugins bring: models like others, with the answers of the reference, and post-processed where
//! the plugin wants that. A plugin that fails costs the post-processing and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;

use mednerd_client::api::{AnnotateResponse, Entity, ModelsResponse, PluginState, Status};
use mednerd_tests::daemon::{library, root};
use mednerd_tests::notes::flaw;
use mednerd_tests::plugins::{example_manifest, manifest, policy, table};
use mednerd_tests::{Config, Daemon, Site, eventually};
use serde_json::{Value, json};

fn adapter(name: &str) -> PathBuf {
    root().join("tests/fixtures/adapters/bert").join(name)
}

/// The digest of the tiny model, as the daemon tells it.
fn tiny_digest() -> String {
    models(&Daemon::start(&Config::tiny())).models[0].digest.clone()
}

fn models(daemon: &Daemon) -> ModelsResponse {
    daemon.request("GET", "/v1/models", "").ok().decode()
}

/// The example plugin with this adapter, whose task is called as that.
fn peft(site: &Site, fixture: &str, base: &str, labels: &[&str], more: &str) -> String {
    let directory = site.plugin(
        "peft",
        &example_manifest("peft"),
        &library("mednerd_example_peft"),
    );
    let settings = format!(
        "name = \"{fixture}\"\nbase = \"{base}\"\nlabels = {labels:?}\npath = \"{}\"",
        adapter(fixture).display()
    );
    let table = table(&directory, &settings);
    policy(true) + &table.replace("[plugins.settings]", &format!("{more}\n[plugins.settings]"))
}

fn ask(daemon: &Daemon, text: &str, model: &str) -> AnnotateResponse {
    let answer = daemon.ask(&json!({"text": text, "models": [model], "offset_unit": "utf8_byte"}));
    assert_eq!(flaw(text, &answer), None);
    answer
}

/// What the example does to an entity: white space and punctuation are cut off its ends.
fn trimmed(text: &str, entity: &Value) -> Option<(String, u64, u64)> {
    let [begin, end] = ["begin", "end"].map(|key| usize::try_from(entity[key].as_u64().unwrap()).unwrap());
    let outer = |c: char| c.is_whitespace() || ".,;:".contains(c);
    let kept = text[begin..end].trim_start_matches(outer);
    let begin = end - kept.len();
    let end = begin + kept.trim_end_matches(outer).len();
    let label = entity["label"].as_str().unwrap().to_owned();
    (begin < end).then_some((label, begin as u64, end as u64))
}

fn places(entities: &[Entity]) -> Vec<(String, u64, u64)> {
    let places = entities.iter().map(|e| (e.label.clone(), e.begin, e.end));
    let mut places: Vec<_> = places.collect();
    places.sort();
    places
}

#[test]
fn a_task_answers_as_the_reference_does_and_is_post_processed() {
    let base = tiny_digest();
    for (fixture, labels) in [
        ("lora", &["Disease", "Chemical"][..]),
        // Its labels are in the config.json beside it.
        ("head-only", &["Gene", "Protein", "Cell"][..]),
    ] {
        let site = Site::with_toml("");
        let lines = peft(&site, fixture, &base, labels, "");
        site.configure(&Config::tiny().plugins(&lines));
        let daemon = site.start();
        let golden = fs::read(adapter(fixture).join("golden.json")).unwrap();
        let golden: Value = serde_json::from_slice(&golden).unwrap();
        let mut compared = 0;
        for case in golden["cases"].as_array().unwrap() {
            let Some(entities) = case["entities"].as_array() else {
                continue;
            };
            let text = case["text"].as_str().unwrap();
            let answer = ask(&daemon, text, fixture);
            assert_eq!((answer.status, answer.degraded.len()), (Status::Ok, 0));
            let mut expected: Vec<_> = entities.iter().filter_map(|e| trimmed(text, e)).collect();
            expected.sort();
            expected.dedup();
            assert_eq!(places(&answer.entities), expected, "{fixture}: {text:?}");
            assert!(
                answer.versions.models.contains_key(fixture) && answer.versions.models.contains_key("tiny")
            );
            assert_eq!(answer.versions.plugins.get("example.peft").unwrap(), "1.0.0");
            compared += answer.entities.len();
        }
        assert!(compared > 5, "{fixture}: only {compared} entities in the goldens");
        // The base is as it was.
        let text = "Pt admitted with acute pneumonia, started on amoxicillin 500 mg TID.";
        let alone = ask(&Daemon::start(&Config::tiny()), text, "tiny");
        let own = ask(&daemon, text, "tiny");
        assert_eq!(own.entities, alone.entities);
        assert!(own.versions.plugins.is_empty());
        // A threshold holds for what the plugin gives back.
        let strict = daemon.ask(&json!({"text": text, "models": [fixture], "threshold": 0.99}));
        assert!(strict.entities.iter().all(|entity| entity.score >= 0.99));
    }
}

#[test]
fn a_task_is_a_model_among_the_others() {
    let base = tiny_digest();
    let site = Site::with_toml("");
    let lines = peft(
        &site,
        "lora",
        &base.to_uppercase(),
        &["Chemical", "Disease"],
        "default = true",
    );
    let config = Config::tiny().adapter("dora", &adapter("dora"));
    site.configure(&config.clone().plugins(&lines));
    let daemon = site.start();
    let told = models(&daemon).models;
    let names: Vec<&str> = told.iter().map(|model| &*model.name).collect();
    assert_eq!(names, ["tiny", "dora", "lora"]);
    assert_eq!(told[0].adapters, ["dora", "lora"]);
    let task = &told[2];
    assert_eq!(
        (task.base.as_deref(), task.plugin.as_deref()),
        (Some("tiny"), Some("example.peft"))
    );
    assert!(task.default && told[1].plugin.is_none());
    assert!(task.memory_bytes < told[0].memory_bytes);
    let text = "Pt admitted with acute pneumonia, started on amoxicillin 500 mg TID.";
    let answer = daemon.annotate(text);
    let asked: Vec<&String> = answer.versions.models.keys().collect();
    assert_eq!(asked, ["lora", "tiny"], "both are defaults");
    // With another adapter over the same base, in one pass.
    let together = daemon.ask(&json!({"text": text, "models": ["lora", "dora"]}));
    assert_eq!(together.status, Status::Ok);
    // A reload takes over what has not changed; without its plugin the task is gone.
    let reloaded: Value = daemon.admin("POST", "/v1/reload").ok().json();
    assert_eq!(reloaded["kept"], json!(["tiny", "dora", "lora"]));
    site.configure(&config);
    let reloaded: Value = daemon.admin("POST", "/v1/reload").ok().json();
    assert_eq!(reloaded["unloaded"], json!(["lora"]));
    let body = json!({"text": text, "models": ["lora"]}).to_string();
    daemon
        .request("POST", "/v1/annotate", body)
        .refused(404, "unknown_model");
    let page = |site: &Site| String::from_utf8(site.validate().stdout).unwrap();
    site.configure(&config.plugins(&lines));
    assert!(
        page(&site).contains("adapter \"lora\" over \"tiny\""),
        "{}",
        page(&site)
    );
}

#[test]
fn a_task_that_does_not_fit_is_refused_with_the_reason() {
    let base = tiny_digest();
    let wrong = "0".repeat(64);
    let labels = &["Disease", "Chemical"][..];
    for (fixture, base, labels, more, why) in [
        (
            "lora",
            &wrong,
            labels,
            "",
            "which is not loaded; loaded are tiny (",
        ),
        (
            "lora",
            &base,
            &["Drug"][..],
            "",
            "declares the labels Drug, and its adapter has Disease, Chemical",
        ),
        // An adapter of the DeBERTa fixtures has layers that a BERT has not.
        (
            "../deberta-v2/lora",
            &base,
            labels,
            "",
            "plugin:example.peft/adapter_model.safetensors",
        ),
    ] {
        let site = Site::with_toml("");
        let lines = peft(&site, fixture, base, labels, more).replace("name = \"../deberta-v2/", "name = \"");
        site.configure(&Config::tiny().plugins(&lines));
        let output = site.validate();
        let page = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(78), "{fixture}: {page}");
        assert!(page.contains(why), "{fixture}: wanted {why:?} in {page}");
    }
    // Two of one name; a default that is none; files that do not come.
    let refused = |site: &Site, why: &str| {
        let output = site.validate();
        let page = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(78), "{page}");
        assert!(page.contains(why), "wanted {why:?} in {page}");
    };
    let site = Site::with_toml("");
    let lines = peft(&site, "lora", &base, labels, "");
    site.configure(&Config::tiny().adapter("lora", &adapter("lora")).plugins(&lines));
    refused(&site, "there is a model of that name");
    let manifest = manifest("hostile", &["mednerd.document/1"], "libmednerd_hostile.so");
    let hostile = site.plugin("hostile", &manifest, &library("mednerd_hostile"));
    let lines = policy(true) + &table(&hostile, "").replace("[plugins.settings]", "default = true");
    site.configure(&Config::tiny().plugins(&lines));
    refused(&site, "default = true is for plugins that bring a NER task");
    let manifest = manifest_of_adapter();
    let hostile = site.plugin("hostile", &manifest, &library("mednerd_hostile"));
    let settings = format!("do = \"files\"\nbase = \"{base}\"");
    site.configure(&Config::tiny().plugins(&(policy(true) + &table(&hostile, &settings))));
    refused(&site, "does not give its adapter's files");
}

fn manifest_of_adapter() -> String {
    manifest("hostile", &["mednerd.adapter/1"], "libmednerd_hostile.so")
}

#[test]
fn post_processing_that_fails_leaves_what_the_model_found_and_is_named() {
    let base = tiny_digest();
    let site = Site::with_toml("");
    let settings = format!(
        "do = \"told\"\nname = \"task\"\nbase = \"{base}\"\nlabels = \"Disease,Chemical\"\npath = \"{}\"",
        adapter("lora").display()
    );
    let breaker = "breaker_deaths = 1000\nbreaker_window_ms = 1\n";
    let lines = site.hostile_with("mednerd.adapter/1", 2000, breaker, &settings);
    site.configure(&Config::tiny().adapter("lora", &adapter("lora")).plugins(&lines));
    let daemon = site.start();
    let note =
        |harm: &str| format!("é POISON:{harm} admitted with acute pneumonia on amoxicillin 500 mg TID.");
    let by = |name: &str, text: &str| {
        let answer = ask(&daemon, text, name);
        let mut entities = answer.entities.clone();
        entities.iter_mut().for_each(|entity| entity.model.clear());
        (answer, entities)
    };
    let fine = note("nothing");
    let (harmless, expected) = by("task", &fine);
    assert_eq!(harmless.status, Status::Ok);
    assert!(!expected.is_empty());
    assert_eq!(expected, by("lora", &fine).1, "it refines to what was there");
    let offsets = "offsets that are out of range or within a character";
    for (harm, deadly, reason) in [
        ("beyond", false, offsets),
        ("backwards", false, offsets),
        ("midchar", false, offsets),
        ("label", false, "a label that it did not declare"),
        ("utf8", false, "not UTF-8"),
        ("score", false, "not between 0 and 1"),
        ("many", false, "100000 spans"),
        ("error", false, "(code 7)"),
        ("panic", false, "it panicked"),
        ("segfault", true, "SIGSEGV"),
        ("abort", true, "SIGABRT"),
        ("sleep", true, "did not finish in time"),
    ] {
        let deaths = daemon.status().plugins[0].deaths;
        let poison = note(harm);
        let (answer, entities) = by("task", &poison);
        assert_eq!(answer.status, Status::Partial, "{harm}");
        assert_eq!(answer.degraded, ["adapter:hostile"], "{harm}");
        assert_eq!(
            entities,
            by("lora", &poison).1,
            "{harm}: what the model found stands"
        );
        assert_eq!(
            by("lora", &poison).0.status,
            Status::Ok,
            "{harm}: others do not ask it"
        );
        if deadly {
            eventually("the host died and another one is ready", || {
                let plugin = daemon.status().plugins.remove(0);
                plugin.deaths > deaths && plugin.state == PluginState::Ready
            });
        }
        assert_eq!(by("task", &fine).1, expected, "{harm}");
        let plugin = daemon.status().plugins.remove(0);
        assert_eq!(plugin.deaths > deaths, deadly, "{harm}: {plugin:?}");
        let told = plugin.last_failure.unwrap();
        assert!(told.contains(reason), "{harm}: wanted {reason:?} in {told}");
    }
    // What it may do: drop what the model found.
    let (dropped, entities) = by("task", &note("drop"));
    assert_eq!((dropped.status, entities.len()), (Status::Ok, 0));
    let log = daemon.log();
    assert!(
        !log.contains("POISON") && !log.contains("pneumonia"),
        "no note in the log"
    );
}
