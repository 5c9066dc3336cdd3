//! Scores of GLiNER checkpoints against the reference's, and what cannot be run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../../../tests/fixtures/reference.rs"]
mod reference;

use mednerd_engine_tract::{Asked, EngineError, GlinerModel, LabelSet};
use mednerd_model::{Checkpoint, LabelEncoder};
use serde_json::Value;

use reference::{ZERO_SHOT, golden, zero_shot};

/// The largest difference of a score from the reference that is accepted.
const TOLERANCE: f64 = 1e-4;

fn load(variant: &str) -> (Checkpoint, GlinerModel) {
    let checkpoint = Checkpoint::open(&zero_shot(variant)).unwrap();
    let model = GlinerModel::load(&checkpoint).unwrap();
    (checkpoint, model)
}

fn cases(variant: &str) -> Vec<Value> {
    golden(&zero_shot(variant))["cases"].as_array().unwrap().clone()
}

fn numbers(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_u64().unwrap() as u32)
        .collect()
}

/// Where the labels' vectors are in a sequence.
fn places(checkpoint: &Checkpoint, ids: &[u32]) -> Vec<u32> {
    let LabelEncoder::Prompt(prompt) = &checkpoint.gliner().unwrap().labels else {
        panic!("a label encoder");
    };
    let at = ids.iter().enumerate().filter(|(_, id)| **id == prompt.token_id);
    at.map(|(at, _)| at as u32 + u32::from(prompt.after)).collect()
}

fn label_set(model: &GlinerModel, case: &Value) -> LabelSet {
    let labels = case["label_ids"].as_array().unwrap().iter();
    let vectors: Vec<Vec<f32>> = labels
        .map(|ids| model.encode_label(&numbers(ids)).unwrap())
        .collect();
    let vectors: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
    model.label_set(&vectors).unwrap()
}

fn scores(checkpoint: &Checkpoint, model: &GlinerModel, case: &Value) -> Vec<f32> {
    let (ids, first) = (numbers(&case["ids"]), numbers(&case["first"]));
    if model.encodes_labels() {
        let set = label_set(model, case);
        model.forward(&ids, &first, Asked::Encoded(&set)).unwrap()
    } else {
        model
            .forward(&ids, &first, Asked::At(&places(checkpoint, &ids)))
            .unwrap()
    }
}

#[test]
fn scores_equal_the_reference() {
    for variant in ZERO_SHOT {
        let (checkpoint, model) = load(variant);
        let mut worst = 0.0_f64;
        for case in cases(variant) {
            let want = case["scores"].as_array().unwrap();
            let shape = numbers(&case["shape"]);
            // The reference gives a word that the tokenizer drops the states of the next one, and so on to the end.
            if case["first"].as_array().unwrap().len() != case["words"].as_array().unwrap().len() {
                assert!(case["text"].as_str().unwrap().contains('\u{301}'));
                continue;
            }
            let got = scores(&checkpoint, &model, &case);
            assert_eq!(got.len(), want.len(), "{variant}");
            for (index, (got, want)) in got.iter().zip(want).enumerate() {
                if let Some(width) = model.max_width() {
                    assert_eq!(width as u32, shape[1]);
                    let stretch = index / shape[2] as usize;
                    let beyond = stretch / width + stretch % width >= shape[0] as usize;
                    if beyond {
                        assert_eq!(*got, 0.0, "{variant}");
                        continue;
                    }
                }
                worst = worst.max((f64::from(*got) - want.as_f64().unwrap()).abs());
            }
        }
        println!("{variant}: largest difference {worst:.1e}");
        assert!(worst < TOLERANCE, "{variant}: {worst}");
    }
}

#[test]
fn the_answer_does_not_depend_on_what_ran_before() {
    for variant in ["span-rnn", "token", "bi-token"] {
        let (checkpoint, model) = load(variant);
        let all = cases(variant);
        let alone: Vec<Vec<f32>> = all.iter().map(|case| scores(&checkpoint, &model, case)).collect();
        std::thread::scope(|scope| {
            for turn in 0..3 {
                let (checkpoint, model, all, alone) = (&checkpoint, &model, &all, &alone);
                scope.spawn(move || {
                    for step in 0..all.len() {
                        let at = (step * 5 + turn) % all.len();
                        assert_eq!(scores(checkpoint, model, &all[at]), alone[at]);
                    }
                });
            }
        });
    }
}

#[test]
fn labels_are_scored_by_themselves_where_they_are_encoded_by_themselves() {
    let (checkpoint, model) = load("bi-span");
    let case = &cases("bi-span")[0];
    let (ids, first) = (numbers(&case["ids"]), numbers(&case["first"]));
    let both = scores(&checkpoint, &model, case);
    let vector = model.encode_label(&numbers(&case["label_ids"][1])).unwrap();
    let set = model.label_set(&[&vector]).unwrap();
    let one = model.forward(&ids, &first, Asked::Encoded(&set)).unwrap();
    for (one, both) in one.iter().zip(both.chunks_exact(2)) {
        assert!(one == &both[1] || (one - both[1]).abs() < 1e-6);
    }
}

#[test]
fn what_cannot_run_is_a_typed_error() {
    let (_, uni) = load("span");
    let (_, bi) = load("bi-span");
    let (_, other) = load("bi-marker");
    let set = bi.label_set(&[&bi.encode_label(&[2, 9, 3]).unwrap()]).unwrap();
    let ids = [1, 20, 30, 2];
    assert!(matches!(
        uni.forward(&ids, &[1], Asked::Encoded(&set)),
        Err(EngineError::Labels { .. })
    ));
    assert!(matches!(
        bi.forward(&ids, &[1], Asked::At(&[1])),
        Err(EngineError::Labels { .. })
    ));
    assert!(matches!(
        other.forward(&ids, &[1], Asked::Encoded(&set)),
        Err(EngineError::Labels { .. })
    ));
    assert!(matches!(uni.encode_label(&[1]), Err(EngineError::Labels { .. })));
    assert!(matches!(
        uni.forward(&[], &[], Asked::At(&[])),
        Err(EngineError::Empty)
    ));
    assert!(matches!(
        uni.forward(&ids, &[4], Asked::At(&[1])),
        Err(EngineError::Position {
            position: 4,
            length: 4
        })
    ));
    assert!(matches!(
        uni.forward(&ids, &[1], Asked::At(&[u32::MAX])),
        Err(EngineError::Position { .. })
    ));
    assert!(matches!(
        uni.forward(&[1, u32::MAX], &[1], Asked::At(&[0])),
        Err(EngineError::Token { position: 1, .. })
    ));
    let long = vec![5; 10_000];
    assert!(matches!(
        uni.forward(&long, &[1], Asked::At(&[0])),
        Err(EngineError::TooLong { .. })
    ));
    assert!(matches!(bi.encode_label(&long), Err(EngineError::TooLong { .. })));
    assert!(matches!(
        bi.label_set(&[&[0.0; 3]]),
        Err(EngineError::Position { .. })
    ));
    // Nothing asked for, or nothing to look at.
    assert!(uni.forward(&ids, &[1], Asked::At(&[])).unwrap().is_empty());
    assert!(uni.forward(&ids, &[], Asked::At(&[1])).unwrap().is_empty());
}
