//! Every model family behind one socket: long notes lose nothing and find nothing twice, and a checkpoint that cannot be
//! used is refused by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use mednerd_tests::daemon::root;
use mednerd_tests::notes::FILLER;
use mednerd_tests::{Config, Daemon};
use serde_json::json;

/// The families with a checkpoint in `tests/fixtures/planted`, each of which finds the word "7" and nothing else.
const FAMILIES: [&str; 9] = [
    "bert",
    "deberta-v2",
    "distilbert",
    "electra",
    "eurobert",
    "longformer",
    "modernbert",
    "roberta",
    "xlm-roberta",
];

/// A note of at least `length` bytes with the planted word at known places, some of them side by side, some far apart.
fn note(length: usize) -> (String, Vec<u64>) {
    let (mut text, mut places) = (String::new(), Vec::new());
    while text.len() < length {
        // Another distance each time, so that windows are cut at every place of a sentence.
        for word in FILLER.split(' ').cycle().take(1 + places.len() * 37 % 113) {
            text.push_str(word);
            text.push(' ');
        }
        places.push(text.len() as u64);
        text.push_str("7 ");
    }
    (text, places)
}

#[test]
fn a_long_note_loses_nothing_in_any_family_and_finds_nothing_twice() {
    let planted = root().join("tests/fixtures/planted");
    let config = FAMILIES
        .into_iter()
        .fold(Config::without_models(), |config, family| {
            config.model(family, &planted.join(family), false)
        });
    let daemon = Daemon::start(&config);
    let (text, places) = note(100_000);
    assert!(places.len() > 200);
    for family in FAMILIES {
        let answer = daemon.ask(&json!({"text": text, "models": [family], "offset_unit": "utf8_byte"}));
        let found: Vec<u64> = answer.entities.iter().map(|entity| entity.begin).collect();
        assert_eq!(found, places, "{family}");
        for entity in &answer.entities {
            assert_eq!(
                (entity.text.as_str(), entity.label.as_str()),
                ("7", "Planted"),
                "{family}"
            );
            assert!(entity.score > 0.99, "{family}: {}", entity.score);
        }
    }
    // All together: every family finds the same mentions, so each is reported once.
    let all = daemon.ask(&json!({"text": text, "models": FAMILIES, "offset_unit": "utf8_byte"}));
    let found: Vec<u64> = all.entities.iter().map(|entity| entity.begin).collect();
    assert_eq!(found, places);
}

#[test]
fn every_family_says_what_it_is() {
    let fixtures = root().join("tests/fixtures");
    let config = FAMILIES
        .into_iter()
        .fold(Config::without_models(), |config, family| {
            config.model(family, &fixtures.join("planted").join(family), false)
        });
    let daemon = Daemon::start(&config);
    let models = daemon.request("GET", "/v1/models", "").ok().json();
    for (model, family) in models["models"].as_array().unwrap().iter().zip(FAMILIES) {
        assert_eq!(model["family"], family);
        assert_eq!(model["labels"], json!(["Planted"]));
        assert!(model["parameters"].as_u64().unwrap() > 1_000, "{model}");
        assert!(model["context_tokens"].as_u64().unwrap() > 16, "{model}");
        assert!(model["memory_bytes"].as_u64().unwrap() > 4_000, "{model}");
        assert!(
            model["base"].is_null() && model["adapters"] == json!([]),
            "{model}"
        );
    }
}
