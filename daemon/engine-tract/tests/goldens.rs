//! Logits and entities against the reference on the committed checkpoints, and what a session promises: typed errors,
//! the same bits whoever asks, whenever.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../../../tests/fixtures/reference.rs"]
mod reference;

use std::fs;
use std::path::Path;

use mednerd_engine_tract::{EngineError, Options, Precision, TractModel};
use mednerd_model::Checkpoint;
use tempfile::TempDir;

use reference::{VARIANTS, distance, fixture, golden, logits};

/// The largest difference of a logit from the reference that is accepted.
const TOLERANCE: f64 = 1e-4;

fn load(dir: &Path) -> TractModel {
    TractModel::load(&Checkpoint::open(dir).unwrap(), &Options::default()).unwrap()
}

/// A copy of a checkpoint with only some of its files.
fn copy(variant: &str, keep: impl Fn(&str) -> bool) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(variant)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if keep(&name) {
            fs::copy(fixture(variant).join(&name), dir.path().join(&name)).unwrap();
        }
    }
    dir
}

fn largest_difference(model: &TractModel, variant: &str) -> f64 {
    let mut worst = 0.0_f64;
    for (ids, want) in logits(&golden(&fixture(variant))) {
        let got = model.forward(&ids).unwrap();
        assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(want) {
            worst = worst.max((f64::from(*got) - want).abs());
        }
    }
    worst
}

#[test]
fn logits_equal_the_reference() {
    for variant in VARIANTS {
        let worst = largest_difference(&load(&fixture(variant)), variant);
        println!("{variant}: largest difference {worst:.1e}");
        assert!(worst < TOLERANCE, "{variant}: {worst}");
    }
}

#[test]
fn an_onnx_export_alone_gives_the_same_logits() {
    let dir = copy("bert/vocab-only", |name| name != "model.safetensors");
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    assert!(checkpoint.weights().is_empty());
    let model = TractModel::load(&checkpoint, &Options::default()).unwrap();
    let worst = largest_difference(&model, "bert/vocab-only");
    assert!(worst < TOLERANCE, "{worst}");
}

#[test]
fn an_onnx_file_that_does_not_fit_is_refused() {
    let dir = copy("bert/vocab-only", |name| name != "model.safetensors");
    let config = fs::read_to_string(dir.path().join("config.json")).unwrap();
    let fewer = config
        .replace("\"3\": \"B-Chemical\",", "\"3\": \"B-Chemical\"")
        .replace("\"4\": \"I-Chemical\"", "");
    assert_ne!(fewer, config);
    fs::write(dir.path().join("config.json"), fewer).unwrap();
    let refused = |dir: &TempDir| {
        let checkpoint = Checkpoint::open(dir.path()).unwrap();
        TractModel::load(&checkpoint, &Options::default())
            .unwrap_err()
            .to_string()
    };
    let message = refused(&dir);
    assert!(
        message.contains("model.onnx") && message.contains("[1, S, 4]"),
        "{message}"
    );
    fs::write(dir.path().join("model.onnx"), b"not a graph").unwrap();
    let message = refused(&dir);
    assert!(
        message.contains("model.onnx") && message.contains("model.safetensors"),
        "{message}"
    );
}

#[test]
fn the_answer_depends_on_the_ids_only() {
    let model = load(&fixture("bert/fp32"));
    let all = logits(&golden(&fixture("bert/fp32")));
    let alone: Vec<Vec<f32>> = all.iter().map(|(ids, _)| model.forward(ids).unwrap()).collect();
    std::thread::scope(|scope| {
        for turn in 0..4 {
            let (model, all, alone) = (&model, &all, &alone);
            scope.spawn(move || {
                for step in 0..50 {
                    // Every thread takes another order, so that buffers come back with other contents and sizes.
                    let at = (step * (turn * 2 + 1) + turn) % all.len();
                    let logits = model.forward(&all[at].0).unwrap();
                    assert!(
                        logits
                            .iter()
                            .zip(&alone[at])
                            .all(|(a, b)| a.to_bits() == b.to_bits())
                    );
                }
            });
        }
    });
    let again = load(&fixture("bert/fp32")).forward(&all[0].0).unwrap();
    assert_eq!(again, alone[0]);
}

#[test]
fn every_length_up_to_the_context_runs() {
    let model = load(&fixture("bert/fp32"));
    for length in 1..=model.context() {
        let ids: Vec<u32> = (0..length).map(|i| (i * 7 % 250) as u32).collect();
        let logits = model.forward(&ids).unwrap();
        assert_eq!(logits.len(), length * model.labels());
    }
}

#[test]
fn sequences_that_cannot_run_are_typed_errors_and_the_model_lives_on() {
    let model = load(&fixture("bert/fp32"));
    let good = model.forward(&[2, 9, 3]).unwrap();
    assert!(matches!(model.forward(&[]), Err(EngineError::Empty)));
    let long = vec![5; model.context() + 1];
    assert!(matches!(
        model.forward(&long),
        Err(EngineError::TooLong {
            length: 113,
            context: 112
        })
    ));
    for id in [263, u32::MAX] {
        assert!(matches!(
            model.forward(&[2, id, 3]),
            Err(EngineError::Token {
                position: 1,
                rows: 263
            })
        ));
    }
    assert_eq!(model.forward(&[2, 9, 3]).unwrap(), good);
}

/// The model in 8 bits; `None` where this CPU cannot compute in them, which must be said.
fn load_int8(dir: &Path) -> Option<TractModel> {
    let options = Options {
        precision: Precision::Int8,
    };
    match TractModel::load(&Checkpoint::open(dir).unwrap(), &options) {
        Ok(model) => {
            assert_eq!(model.precision(), Precision::Int8);
            Some(model)
        }
        Err(error) => {
            assert!(matches!(error, EngineError::Precision), "{error}");
            assert!(error.to_string().contains("VNNI"));
            mednerd_skip::skipped("this CPU has no VNNI");
            None
        }
    }
}

#[test]
fn in_8_bits_every_family_stays_near_the_reference() {
    for variant in VARIANTS {
        let Some(model) = load_int8(&fixture(variant)) else {
            return;
        };
        let share = distance(&golden(&fixture(variant)), |ids| model.forward(ids).unwrap());
        println!("{variant}: {:.2} % away", 100.0 * share);
        assert!(share < 0.1, "{variant}: {share}");
    }
}

#[test]
fn in_8_bits_the_answer_depends_on_the_ids_only() {
    let Some(model) = load_int8(&fixture("bert/fp32")) else {
        return;
    };
    let all = logits(&golden(&fixture("bert/fp32")));
    let alone: Vec<Vec<f32>> = all.iter().map(|(ids, _)| model.forward(ids).unwrap()).collect();
    std::thread::scope(|scope| {
        for turn in 0..3 {
            let (model, all, alone) = (&model, &all, &alone);
            scope.spawn(move || {
                for step in 0..20 {
                    let at = (step * (turn * 2 + 1) + turn) % all.len();
                    assert_eq!(model.forward(&all[at].0).unwrap(), alone[at]);
                }
            });
        }
    });
}

#[test]
fn int8_takes_less_memory_and_onnx_files_cannot_have_it() {
    let dir = copy("bert/vocab-only", |name| name != "model.safetensors");
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let export = |precision| TractModel::load(&checkpoint, &Options { precision });
    let error = export(Precision::Int8).unwrap_err();
    assert!(matches!(error, EngineError::OnnxPrecision { .. }), "{error}");
    assert_eq!(export(Precision::Auto).unwrap().precision(), Precision::Fp32);
    let Some(model) = load_int8(&fixture("bert/fp32")) else {
        return;
    };
    assert!(model.memory_bytes() < load(&fixture("bert/fp32")).memory_bytes());
}

#[test]
fn weights_that_are_not_finite_name_the_tensor() {
    let dir = copy("bert/fp32", |_| true);
    let path = dir.path().join("model.safetensors");
    let mut file = fs::read(&path).unwrap();
    let length = file.len();
    file[length - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, file).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let message = TractModel::load(&checkpoint, &Options::default())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("model.safetensors") && message.contains("NaN"),
        "{message}"
    );
}

#[test]
fn memory_is_the_parameters_once() {
    let checkpoint = Checkpoint::open(&fixture("bert/fp32")).unwrap();
    let model = TractModel::load(&checkpoint, &Options::default()).unwrap();
    let parameters = checkpoint.parameters() as usize * 4;
    // Small matrices are padded to whole panels, so the bound is loose for this tiny model.
    assert!(model.memory_bytes() > parameters / 2 && model.memory_bytes() < parameters * 2);
}

#[test]
fn models_are_shared() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<TractModel>();
}
