//! Linking end to end: the UMLS plugin over the demo vocabulary, signed and in its host, as a hospital runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

use mednerd_client::api::{AnnotateResponse, Status};
use mednerd_tests::daemon::{binary, library, root};
use mednerd_tests::plugins::{Vendor, policy, table};
use mednerd_tests::{Config, Daemon, Site, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

const NOTE: &str = "Past medical history: hypertension, type 2 diabetes mellitus and chronic obstructive pulmonary disease \
                    (COPD). Started on metformin. COPD is stable.";

/// A daemon that links by the demo vocabulary.
fn linking() -> Daemon {
    linking_with("", "")
}

/// The same with more in its configuration and in the plugin's settings.
fn linking_with(more: &str, more_settings: &str) -> Daemon {
    let site = Site::new(&Config::default());
    let index = site.path("demo.idx");
    let built = Command::new(binary("mednerd-umls"))
        .args(["build", "--rrf"])
        .arg(root().join("plugins/umls/demo"))
        .arg("--out")
        .arg(&index)
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let manifest = std::fs::read_to_string(root().join("plugins/umls/plugin/plugin.toml")).unwrap();
    let directory = site.plugin("umls", &manifest, &library("mednerd_umls_plugin"));
    let vendor = Vendor::new();
    vendor.sign(&directory);
    site.trust(&vendor, "tests");
    site.write(
        "mednerd.toml",
        &(Config::default().toml()
            + &policy(false)
            + more
            + &table(&directory, &(settings(&index) + more_settings))),
    );
    site.start()
}

fn settings(index: &Path) -> String {
    format!("index = \"{}\"", index.display())
}

fn link(daemon: &Daemon, text: &str, link: Value) -> AnnotateResponse {
    daemon.ask(&json!({"text": text, "link": link, "aggregation": "first"}))
}

#[test]
fn mentions_get_concepts_with_codes_and_the_answer_says_from_which_vocabulary() {
    let daemon = linking();
    let answer = link(&daemon, NOTE, json!(true));
    assert_eq!(answer.status, Status::Ok);
    assert!(answer.degraded.is_empty());
    let linked: Vec<_> = answer
        .entities
        .iter()
        .filter(|entity| !entity.concepts.is_empty())
        .collect();
    assert!(linked.len() >= 3, "{:?}", answer.entities);
    for entity in &linked {
        let best = &entity.concepts[0];
        assert!(
            !best.id.is_empty() && !best.name.is_empty() && (0.0..=1.0).contains(&best.score),
            "{best:?}"
        );
        assert_eq!(best.vocabulary, "UMLS");
    }
    let hypertension = linked
        .iter()
        .find(|entity| entity.text == "hypertension")
        .expect("it is in the demo vocabulary");
    assert_eq!(hypertension.concepts[0].match_kind, "exact");
    assert!(
        answer.versions.plugins.contains_key("mednerd.umls"),
        "{:?}",
        answer.versions
    );
    assert!(
        answer.versions.vocabularies.contains_key("UMLS"),
        "{:?}",
        answer.versions
    );
    assert!(answer.timing_ms.linking > 0.0);
    // Of the vocabularies that are asked for, and no others.
    let asked = link(&daemon, NOTE, json!({"top_k": 1, "vocabularies": ["UMLS"]}));
    assert!(asked.degraded.is_empty() && asked.entities.iter().any(|entity| entity.concepts.len() == 1));
    assert!(asked.entities.iter().all(|entity| entity.concepts.len() <= 1));
    let other = json!({"text": NOTE, "link": {"vocabularies": ["other"]}}).to_string();
    daemon
        .request("POST", "/v1/annotate", other)
        .refused(422, "unknown_vocabulary");
    // Codes of the systems that are asked for, and no others; the concepts are the same.
    let systems = json!({"code_systems": ["MeSH", "http://hl7.org/fhir/sid/icd-10-cm"]});
    let chosen = link(&daemon, NOTE, systems);
    let uris = [
        "https://www.nlm.nih.gov/mesh",
        "http://hl7.org/fhir/sid/icd-10-cm",
    ];
    let (mut kept, mut dropped) = (0, 0);
    for (all, some) in answer.entities.iter().zip(&chosen.entities) {
        for (all, some) in all.concepts.iter().zip(&some.concepts) {
            assert_eq!(all.id, some.id);
            let mut expected = all.codings.clone();
            expected.retain(|coding| uris.contains(&coding.system.as_str()));
            assert_eq!(expected, some.codings);
            kept += expected.len();
            dropped += all.codings.len() - expected.len();
        }
    }
    assert!(kept >= 3 && dropped >= 3, "{kept} kept, {dropped} dropped");
    let misspelt = json!({"text": NOTE, "link": {"code_systems": ["SNOWMED"]}}).to_string();
    daemon
        .request("POST", "/v1/annotate", misspelt)
        .refused(422, "unknown_code_system");
    // Not asked for, nothing is linked.
    let plain = link(&daemon, NOTE, json!(false));
    assert!(plain.entities.iter().all(|entity| entity.concepts.is_empty()));
    assert_eq!(plain.entities.len(), answer.entities.len());
}

#[test]
fn notes_of_other_languages_are_linked_to_english_names() {
    let lists = format!(
        "[[terms]]\nname = \"lists\"\npath = \"{}\"\ndefault = true\n",
        root().join("packaging/terms").display()
    );
    let daemon = linking_with(&lists, "");
    for (note, concepts) in [
        (
            "Der Patient ist mit Vorhofflimmern und einer chronischen Niereninsuffizienz bekannt. Keine Atemnot.",
            ["Atrial Fibrillation", "Renal Insufficiency, Chronic", "Dyspnea"],
        ),
        (
            "Patiente suivie pour une fibrillation auriculaire, un diabète de type 2 et une insuffisance cardiaque.",
            [
                "Atrial Fibrillation",
                "Diabetes Mellitus, Type 2",
                "Heart Failure",
            ],
        ),
    ] {
        let answer = link(&daemon, note, json!(true));
        assert!(answer.degraded.is_empty(), "{:?}", answer.degraded);
        for concept in concepts {
            let linked = answer.entities.iter().flat_map(|entity| entity.concepts.first());
            let names: Vec<&str> = linked.map(|best| best.name.as_str()).collect();
            assert!(names.contains(&concept), "{concept}: {names:?}");
        }
    }
}

#[test]
fn an_encoder_orders_uncertain_concepts_again_and_leaves_certain_ones() {
    let encoder = root().join("tests/fixtures/bert/fp32");
    // Few candidates of so small a vocabulary reach the usual threshold.
    let threshold = "\nthreshold = 0.02";
    let daemon = linking_with("", threshold);
    let linking = format!(
        "[linking]\nrerank = \"{}\"\nrerank_percent = 80\n",
        encoder.display()
    );
    let ranking = linking_with(&linking, threshold);
    // Names that are not the preferred ones are never certain.
    let note = "Past medical history: hypertension, chronic renal failure and a heart attack.";
    let (before, after) = (
        link(&daemon, note, json!(true)),
        link(&ranking, note, json!(true)),
    );
    assert!(after.degraded.is_empty() && after.status == Status::Ok);
    assert!(after.versions.models.contains_key("linking.rerank"));
    assert!(!before.versions.models.contains_key("linking.rerank"));
    let (mut certain, mut ranked) = (0, 0);
    for (before, after) in before.entities.iter().zip(&after.entities) {
        assert_eq!((before.begin, &before.label), (after.begin, &after.label));
        assert!(after.concepts.len() <= 5 && after.concepts.len() >= before.concepts.len());
        assert!(after.concepts.is_sorted_by(|a, b| a.score >= b.score));
        match before.concepts.first() {
            Some(best) if best.score >= 0.9 => {
                assert_eq!(after.concepts[0], *best);
                certain += 1;
            }
            Some(_) if after.concepts.len() > 1 => {
                assert_ne!(before.concepts, after.concepts);
                assert!(after.concepts[0].score < 0.9);
                ranked += 1;
            }
            _ => {}
        }
    }
    assert!(certain >= 1 && ranked >= 1, "{:?}", before.entities);
}

#[test]
fn a_host_killed_while_linking_costs_concepts_and_never_the_answer() {
    let daemon = linking();
    let expected = link(&daemon, NOTE, json!(true));
    for _ in 0..5 {
        for pid in hosts(&daemon) {
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let answer = link(&daemon, NOTE, json!(true));
        assert_eq!(answer.entities.len(), expected.entities.len());
        if answer.degraded.is_empty() {
            assert_eq!(answer.entities, expected.entities);
        } else {
            assert_eq!(answer.degraded, ["normalizer:mednerd.umls"]);
            assert_eq!(answer.status, Status::Partial);
            assert!(answer.entities.iter().all(|entity| entity.concepts.is_empty()));
        }
        eventually("linking works again", || {
            link(&daemon, NOTE, json!(true)).entities == expected.entities
        });
    }
}

/// The process ids of the daemon's children.
fn hosts(daemon: &Daemon) -> Vec<i32> {
    let children = PathBuf::from(format!("/proc/{}/task", daemon.pid()));
    let tasks = std::fs::read_dir(children).unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .map(|pid| pid.parse().unwrap())
                .collect::<Vec<i32>>()
        })
        .collect()
}
