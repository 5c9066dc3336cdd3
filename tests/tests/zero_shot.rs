//! Zero-shot models behind the socket: labels of the request and of the configuration, long notes, several models at once,
//! and every label that cannot be used.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use mednerd_tests::daemon::root;
use mednerd_tests::notes::FILLER;
use mednerd_tests::{Config, Daemon, Site};
use serde_json::{Value, json};

fn gliner(variant: &str) -> PathBuf {
    root().join("tests/fixtures/gliner").join(variant)
}

/// A note of at least `length` bytes with the planted words at known places, some near one another and some far.
fn note(length: usize) -> (String, Vec<(u64, u64)>) {
    let (mut text, mut places) = (String::new(), Vec::new());
    while text.len() < length {
        for word in FILLER.split(' ').cycle().take(5 + places.len() * 37 % 113) {
            text.push_str(word);
            text.push(' ');
        }
        let begin = text.len() as u64;
        text.push_str("7 of 9");
        places.push((begin, text.len() as u64));
        text.push(' ');
    }
    (text, places)
}

#[test]
fn a_long_note_loses_nothing_and_finds_nothing_twice() {
    // Stretches and words are scored, and labels stand before the text or have an encoder.
    let models = ["planted", "planted-token", "planted-bi", "planted-bi-token"];
    let config = models.iter().fold(Config::without_models(), |config, name| {
        config.model(name, &gliner(name), false)
    });
    let daemon = Daemon::start(&config);
    let (text, places) = note(100_000);
    assert!(places.len() > 200);
    for (model, overlaps) in models.iter().flat_map(|model| [(model, false), (model, true)]) {
        let answer = daemon.ask(&json!({
            "text": text, "models": [model], "labels": ["thing"], "offset_unit": "utf8_byte",
            "nested": overlaps, "multi_label": overlaps,
        }));
        let found: Vec<(u64, u64)> = answer
            .entities
            .iter()
            .map(|entity| (entity.begin, entity.end))
            .collect();
        assert_eq!(found, places, "{model}");
        for entity in &answer.entities {
            assert_eq!((entity.text.as_str(), entity.label.as_str()), ("7 of 9", "thing"));
            assert!(entity.score > 0.99, "{}", entity.score);
        }
    }
    // Labels that take several prompts find the same.
    let (text, places) = note(20_000);
    let mut labels: Vec<Value> = (0..20).map(|n| json!(format!("other thing {n}"))).collect();
    labels.push(json!({"name": "thing", "synonyms": ["item", "object"]}));
    let answer = daemon.ask(&json!({
        "text": text, "models": ["planted"], "labels": labels, "offset_unit": "utf8_byte", "multi_label": true,
    }));
    let things = answer.entities.iter().filter(|entity| entity.label == "thing");
    assert_eq!(
        things
            .map(|entity| (entity.begin, entity.end))
            .collect::<Vec<_>>(),
        places
    );
    assert_eq!(answer.entities.len(), 21 * places.len());
}

#[test]
fn labels_come_from_the_request_or_the_configuration() {
    let fixture = |variant: &str| gliner(variant).display().to_string();
    let config = Config::tiny().models(&format!(
        "[[models]]\nname = \"uni\"\npath = \"{}\"\n\
         labels = [\"disease\", {{ name = \"drug\", synonyms = [\"medicine\"] }}]\n\
         [[models.adapters]]\nname = \"adapted\"\npath = \"{}\"\n\
         [[models]]\nname = \"bi\"\npath = \"{}\"\n",
        fixture("span"),
        fixture("adapters/encoder"),
        fixture("bi-token"),
    ));
    let daemon = Daemon::start(&config);
    let models = daemon.request("GET", "/v1/models", "").ok().json();
    let model = |name: &str| {
        let mut all = models["models"].as_array().unwrap().iter();
        all.find(|model| model["name"] == name).unwrap().clone()
    };
    assert_eq!(model("uni")["labels"], json!(["disease", "drug"]));
    assert_eq!(model("adapted")["labels"], json!(["disease", "drug"]));
    assert_eq!(model("bi")["labels"], json!([]));
    assert!(
        ["uni", "adapted", "bi"]
            .iter()
            .all(|name| model(name)["zero_shot"] == true)
    );
    let text = "Pt admitted with acute pneumonia, started on amoxicillin 500 mg TID.";
    let ask = |request: Value| daemon.ask(&request).entities;
    let default = ask(json!({"text": text, "models": ["uni"]}));
    assert!(!default.is_empty() && default.iter().all(|e| e.label == "disease" || e.label == "drug"));
    let same = json!(["disease", {"name": "drug", "synonyms": ["medicine"]}]);
    assert_eq!(
        ask(json!({"text": text, "models": ["uni"], "labels": same, "threshold": 0.5})),
        default
    );
    let other = ask(json!({"text": text, "models": ["adapted", "bi"], "labels": ["dose", "route"]}));
    assert!(other.iter().all(|e| e.label == "dose" || e.label == "route"));
    assert!(other.iter().all(|e| e.score > 0.5));
    // With token classification: each answers for itself, and the two are merged.
    let both = ask(json!({"text": text, "models": ["uni", "tiny"], "labels": same, "threshold": 0.5}));
    let tiny = ask(json!({"text": text, "models": ["tiny"], "threshold": 0.5}));
    assert!(!tiny.is_empty());
    let place = |entity: &mednerd_client::api::Entity| {
        (
            entity.begin,
            entity.end,
            entity.label.clone(),
            entity.model.clone(),
        )
    };
    let mut apart: Vec<_> = default.iter().chain(&tiny).map(place).collect();
    let mut merged: Vec<_> = both.iter().map(place).collect();
    apart.sort();
    merged.sort();
    assert_eq!(merged, apart);
    // What clients ask for makes no counters.
    let metrics = daemon.request("GET", "/metrics", "").ok();
    let metrics = metrics.text();
    assert!(metrics.contains("zero-shot") && !metrics.contains("\"dose\""));
}

/// A daemon with a model that is asked for anything, the same with labels of its own, and a list.
fn beside_a_list() -> Daemon {
    let path = gliner("span").display().to_string();
    let config = Config::without_models().models(&format!(
        "[[models]]\nname = \"span\"\npath = \"{path}\"\n\
         [[models]]\nname = \"own\"\npath = \"{path}\"\nlabels = [\"virus type\", \"stage\", \"disease\"]\n"
    ));
    let site = Site::new(&config);
    site.write(
        "ward.tsv",
        "name\tlabel\nHepatitis C\tDisease\nwarfarin\tChemical\n",
    );
    let list = "[[terms]]\nname = \"ward\"\npath = \"ward.tsv\"\nsure_percent = 100\n";
    site.write("mednerd.toml", &(config.toml() + list));
    site.start()
}

/// Place, label and model of each entity of a text, of which every stretch has every label.
fn everything(daemon: &Daemon, text: &str, models: Value, labels: Value) -> Vec<(u64, u64, String, String)> {
    let answer = daemon.ask(&json!({
        "text": text, "models": models, "labels": labels, "threshold": 0.0, "nested": true, "multi_label": true,
    }));
    let of = |e: mednerd_client::api::Entity| (e.begin, e.end, e.label, e.model);
    answer.entities.into_iter().map(of).collect()
}

#[test]
fn what_a_request_asks_for_stands_beside_lists_as_without_them() {
    let daemon = beside_a_list();
    let text = "Hepatitis C";
    let name = (0, 11, "Disease".to_owned(), "ward".to_owned());
    for labels in [
        json!(["virus type", "stage"]),
        json!(["disease"]),
        json!(["Disease"]),
    ] {
        let mut alone = everything(&daemon, text, json!(["span"]), labels.clone());
        assert!(alone.iter().any(|(begin, end, ..)| (*begin, *end) == (10, 11)));
        // The very words of the name are there once under its label.
        if !alone
            .iter()
            .any(|(_, end, label, _)| *end == 11 && label.eq_ignore_ascii_case("disease"))
        {
            alone.push(name.clone());
        }
        let mut beside = everything(&daemon, text, json!(["span", "ward"]), labels.clone());
        alone.sort();
        beside.sort();
        assert_eq!(beside, alone, "{labels}");
    }
    // Without overlaps, too.
    let answer = daemon.ask(&json!({
        "text": text, "models": ["span", "ward"], "labels": ["virus type", "stage"], "threshold": 0.0,
    }));
    assert!(answer.entities.iter().any(|entity| entity.model == "span"));
    assert!(answer.entities.iter().any(|entity| entity.model == "ward"));
}

#[test]
fn with_labels_of_the_configuration_a_zero_shot_model_is_judged_by_lists_as_others_are() {
    let daemon = beside_a_list();
    let text = "Hepatitis C";
    let alone = everything(&daemon, text, json!(["own"]), Value::Null);
    let beside = everything(&daemon, text, json!(["own", "ward"]), Value::Null);
    // A letter at the end of a name, and what lies within a name under its label.
    let is_judged = |(begin, _, label, _): &&(u64, u64, String, String)| *begin == 10 || label == "disease";
    assert!(alone.iter().any(|found| is_judged(&found)));
    assert!(!beside.iter().any(|found| is_judged(&found)), "{beside:?}");
    assert!(beside.iter().any(|(.., model)| model == "own"), "{beside:?}");
    assert!(beside.iter().any(|(.., model)| model == "ward"), "{beside:?}");
    // The same labels of a request are the client's.
    let labels = json!(["virus type", "stage", "disease"]);
    let asked = everything(&daemon, text, json!(["own", "ward"]), labels);
    assert!(alone.iter().all(|found| asked.contains(found)), "{asked:?}");
}

#[test]
fn what_is_said_of_a_drug_does_not_hang_on_how_its_label_is_spelled() {
    let daemon = beside_a_list();
    let said = |models: Value, label: &str| {
        let answer = daemon.ask(&json!({
            "text": "Off warfarin.", "models": models, "labels": [label], "threshold": 0.0, "nested": true,
        }));
        let mut own = answer.entities.into_iter();
        let own = own.find(|entity| entity.text == "warfarin" && entity.label == label);
        own.unwrap().assertions.len()
    };
    for label in [
        "drug",
        "medications",
        "CHEM",
        "Drug name",
        "Medikament",
        "fármaco",
    ] {
        assert_eq!(said(json!(["span"]), label), 1, "{label}");
    }
    assert_eq!(said(json!(["span"]), "device"), 0);
    // The list has the very words.
    assert_eq!(said(json!(["span", "ward"]), "device"), 1);
}

#[test]
fn labels_that_cannot_be_used_are_refused_by_their_place() {
    let config = Config::tiny()
        .model("uni", &gliner("span"), false)
        .model("bi", &gliner("bi-span"), false);
    let daemon = Daemon::start(&config);
    let many: Vec<String> = (0..1001).map(|n| format!("label {n}")).collect();
    let long = "smoking status ".repeat(30);
    let cases = [
        (json!({"labels": []}), Value::Null),
        (json!({"labels": many}), Value::Null),
        (json!({"labels": ["a", "  "]}), json!(1)),
        (json!({"labels": ["a", "b", "a"]}), json!(2)),
        (
            json!({"labels": ["a", {"name": "b", "synonyms": ["a"]}]}),
            json!(1),
        ),
        (json!({"labels": [long]}), json!(0)),
        (json!({"labels": ["x".repeat(600)]}), json!(0)),
        // Neither named nor configured.
        (json!({}), Value::Null),
    ];
    for (fields, index) in cases {
        for model in ["uni", "bi"] {
            let mut request = json!({"text": "a", "models": [model]});
            request
                .as_object_mut()
                .unwrap()
                .extend(fields.as_object().unwrap().clone());
            let answer = daemon.request("POST", "/v1/annotate", request.to_string());
            let details = answer.refused(422, "unusable_field").details;
            assert_eq!(details["field"], "labels", "{fields}");
            assert_eq!(
                details.get("index").cloned().unwrap_or_default(),
                index,
                "{fields}"
            );
        }
    }
    for (fields, field) in [
        (json!({"models": ["uni"], "labels": ["a <<ENT>> b"]}), "labels"),
        (json!({"models": ["tiny"], "labels": ["drug"]}), "labels"),
        (json!({"models": ["tiny"], "nested": true}), "nested"),
        (
            json!({"models": ["uni"], "labels": ["a", "b", "c", "d"], "threshold": 0, "text": "Pt has fever. ".repeat(3_000)}),
            "threshold",
        ),
    ] {
        let mut request = json!({"text": "a"});
        request
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let answer = daemon.request("POST", "/v1/annotate", request.to_string());
        assert_eq!(answer.refused(422, "unusable_field").details["field"], field);
    }
    daemon.ask(&json!({"text": "a", "models": ["uni"], "labels": ["drug"]}));
}
