//! Task adapters over their base: the logits that `peft` gives, shared stages that change no bit, and memory for what an
//! adapter brings and no more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../../../tests/fixtures/reference.rs"]
mod reference;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mednerd_engine_tract::{EngineError, Options, Precision, TractModel};
use mednerd_model::{Adapter, Checkpoint, known_families};
use serde_json::Value;

use reference::{distance, fixtures, golden};

/// The largest difference of a logit from the reference that is accepted.
const TOLERANCE: f64 = 1e-4;

/// Every committed adapter, by the base it is for.
fn all() -> BTreeMap<String, Vec<PathBuf>> {
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for family in fs::read_dir(fixtures().join("adapters")).unwrap() {
        let Ok(variants) = fs::read_dir(family.unwrap().path()) else {
            continue;
        };
        for variant in variants {
            let dir = variant.unwrap().path();
            let base = golden(&dir)["base"].as_str().unwrap().to_owned();
            let family = base.split('/').next().unwrap().to_owned();
            if known_families().split(", ").any(|known| known == family) {
                found.entry(base).or_default().push(dir);
            }
        }
    }
    assert!(found.values().flatten().count() >= 18, "fixtures are missing");
    found
}

fn load(dir: &Path) -> (Checkpoint, TractModel) {
    let checkpoint = Checkpoint::open(dir).unwrap();
    let model = TractModel::load(&checkpoint, &Options::default()).unwrap();
    (checkpoint, model)
}

fn adapt(base: &(Checkpoint, TractModel), dir: &Path) -> TractModel {
    let adapter = Adapter::open(dir, &base.0).unwrap();
    base.1.adapt(&base.0, &adapter).unwrap()
}

#[track_caller]
fn assert_reference(model: &TractModel, dir: &Path) {
    let mut worst = 0.0_f64;
    for (ids, want) in reference::logits(&golden(dir)) {
        let got = model.forward(&ids).unwrap();
        assert_eq!(got.len(), want.len(), "{}", dir.display());
        for (got, want) in got.iter().zip(want) {
            worst = worst.max((f64::from(*got) - want).abs());
        }
    }
    println!("{}: largest difference {worst:.1e}", dir.display());
    assert!(worst < TOLERANCE, "{}: {worst}", dir.display());
}

#[test]
fn logits_and_labels_equal_the_reference() {
    for (base, adapters) in all() {
        let base = load(&fixtures().join(base));
        for dir in adapters {
            let adapter = Adapter::open(&dir, &base.0).unwrap();
            let labels = golden(&dir)["labels"].clone();
            let labels: Vec<String> = serde_json::from_value(labels).unwrap();
            assert_eq!(adapter.labels(), labels, "{}", dir.display());
            assert_reference(&base.1.adapt(&base.0, &adapter).unwrap(), &dir);
        }
    }
}

#[test]
fn many_at_once_give_the_bits_of_each_alone() {
    for (name, adapters) in all() {
        let base = load(&fixtures().join(&name));
        let models: Vec<TractModel> = adapters.iter().map(|dir| adapt(&base, dir)).collect();
        let mut every: Vec<&TractModel> = models.iter().collect();
        every.insert(every.len() / 2, &base.1);
        for (ids, _) in reference::logits(&golden(&adapters[0])) {
            let together = TractModel::forward_each(&every, &ids).unwrap();
            assert_eq!(together.len(), every.len());
            for (model, got) in every.iter().zip(together) {
                let alone = model.forward(&ids).unwrap();
                let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
                assert!(
                    got.len() == alone.len() && got.iter().zip(&alone).all(same),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn over_8_bits_every_adapter_stays_near_the_reference() {
    let options = Options {
        precision: Precision::Int8,
    };
    for (name, adapters) in all() {
        let checkpoint = Checkpoint::open(&fixtures().join(&name)).unwrap();
        let base = match TractModel::load(&checkpoint, &options) {
            Ok(model) => (checkpoint, model),
            Err(EngineError::Precision) => return mednerd_skip::skipped("this CPU has no VNNI"),
            Err(error) => panic!("{error}"),
        };
        let models: Vec<TractModel> = adapters.iter().map(|dir| adapt(&base, dir)).collect();
        let ids = reference::logits(&golden(&adapters[0])).remove(0).0;
        let together = TractModel::forward_each(&models.iter().collect::<Vec<_>>(), &ids).unwrap();
        for ((model, dir), together) in models.iter().zip(&adapters).zip(together) {
            assert_eq!(model.precision(), Precision::Int8);
            assert_eq!(model.forward(&ids).unwrap(), together);
            let share = distance(&golden(dir), |ids| model.forward(ids).unwrap());
            println!("{}: {:.2} % away", dir.display(), 100.0 * share);
            assert!(share < 0.1, "{}: {share}", dir.display());
        }
    }
}

#[test]
fn the_base_answers_as_before() {
    let base = load(&fixtures().join("bert/fp32"));
    let before = base.1.forward(&[2, 9, 30, 3]).unwrap();
    let adapters = &all()["bert/fp32"];
    let models: Vec<TractModel> = adapters.iter().map(|dir| adapt(&base, dir)).collect();
    assert_eq!(base.1.forward(&[2, 9, 30, 3]).unwrap(), before);
    drop(base);
    // An adapter keeps what it shares of the base.
    for (model, dir) in models.iter().zip(adapters) {
        assert_reference(model, dir);
    }
}

#[test]
fn memory_grows_by_what_the_adapter_brings() {
    for (name, adapters) in all() {
        let base = load(&fixtures().join(&name));
        for dir in adapters {
            let adapter = Adapter::open(&dir, &base.0).unwrap();
            let model = base.1.adapt(&base.0, &adapter).unwrap();
            let brought = adapter.parameters() as usize * size_of::<f32>();
            // Narrow matrices are padded to whole panels, which shows in models as tiny as these.
            assert!(
                model.memory_bytes() < 16 * brought + 4096 && model.memory_bytes() < base.1.memory_bytes(),
                "{}: {} bytes for {brought}, base {}",
                dir.display(),
                model.memory_bytes(),
                base.1.memory_bytes()
            );
        }
    }
}

#[test]
fn a_base_without_a_head_serves_adapters_that_have_one() {
    let dir = tempfile::tempdir().unwrap();
    let from = fixtures().join("bert/fp32");
    for name in ["tokenizer.json", "tokenizer_config.json", "config.json"] {
        fs::copy(from.join(name), dir.path().join(name)).unwrap();
    }
    let file = fs::read(from.join("model.safetensors")).unwrap();
    fs::write(dir.path().join("model.safetensors"), encoder_alone(&file)).unwrap();
    let checkpoint = Checkpoint::open_base(dir.path()).unwrap();
    assert!(checkpoint.headless());
    let model = TractModel::load(&checkpoint, &Options::default()).unwrap();
    assert!(matches!(
        model.forward(&[2, 3]),
        Err(EngineError::Headless { .. })
    ));
    // It has hidden states all the same: those of the reference.
    let golden: Value = serde_json::from_slice(&fs::read(from.join("vectors.json")).unwrap()).unwrap();
    let numbers = |value: &Value| -> Vec<f64> {
        let numbers = value.as_array().unwrap();
        numbers.iter().map(|x| x.as_f64().unwrap()).collect()
    };
    for case in golden["cases"].as_array().unwrap() {
        let ids: Vec<u32> = numbers(&case["ids"]).iter().map(|id| *id as u32).collect();
        let states = model.hidden(&ids).unwrap();
        let first = numbers(&case["cls"]);
        assert_eq!(states.len(), ids.len() * first.len());
        for (ours, theirs) in states.iter().zip(&first) {
            assert!((f64::from(*ours) - theirs).abs() < 1e-5, "{}", case["text"]);
        }
    }
    assert!(matches!(model.hidden(&[]), Err(EngineError::Empty)));
    let base = (checkpoint, model);
    // Its tensors have no prefix and its norms TensorFlow's names; the adapter's have the complete model's.
    for name in ["dora", "head-only", "lora-fp16"] {
        let dir = fixtures().join("adapters/bert").join(name);
        assert_reference(&adapt(&base, &dir), &dir);
    }
    let refused = |name: &str| {
        let dir = fixtures().join("adapters/bert").join(name);
        Adapter::open(&dir, &base.0).unwrap_err().to_string()
    };
    let message = refused("lora-no-head");
    assert!(message.contains("no classification head"), "{message}");
    let message = refused("lora");
    assert!(
        message.contains("config.json") && message.contains("5 outputs"),
        "{message}"
    );
}

/// Of the head that it was pre-trained with the reference takes over what a head for labels has, too.
#[test]
fn a_base_with_a_head_for_masked_tokens_serves_adapters() {
    let dir = fixtures().join("masked/modernbert");
    let checkpoint = Checkpoint::open_base(&dir.join("base")).unwrap();
    let model = TractModel::load(&checkpoint, &Options::default()).unwrap();
    assert!(matches!(
        model.forward(&[1, 2]),
        Err(EngineError::Headless { .. })
    ));
    let base = (checkpoint, model);
    for name in ["lora", "lora-on-head"] {
        assert_reference(&adapt(&base, &dir.join(name)), &dir.join(name));
    }
}

/// A safetensors file without its classifier, its names as an encoder that was converted from TensorFlow and saved alone
/// has them.
fn encoder_alone(file: &[u8]) -> Vec<u8> {
    let start = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: BTreeMap<String, Value> = serde_json::from_slice(&file[8..start]).unwrap();
    let (mut changed, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, mut tensor) in header {
        let Some(name) = name.strip_prefix("bert.") else {
            continue;
        };
        let offset = |index: usize| start + tensor["data_offsets"][index].as_u64().unwrap() as usize;
        let bytes = &file[offset(0)..offset(1)];
        tensor["data_offsets"] = serde_json::json!([data.len(), data.len() + bytes.len()]);
        data.extend(bytes);
        let name = name
            .replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta");
        changed.insert(name, tensor);
    }
    let header = Value::Object(changed).to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// A table of places of the adapter's own, beside words that are the base's.
#[test]
fn a_table_that_an_adapter_replaces_is_used() {
    let base = load(&fixtures().join("bert/fp32"));
    let plain = fixtures().join("adapters/bert/lora");
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(&plain).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().join("adapter_config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["modules_to_save"]
        .as_array_mut()
        .unwrap()
        .push("position_embeddings".into());
    fs::write(&path, config.to_string()).unwrap();
    let path = folder.path().join("adapter_model.safetensors");
    let file = fs::read(&path).unwrap();
    let start = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&file[8..start]).unwrap();
    let name = "bert.embeddings.position_embeddings.weight";
    let spec = base.0.architecture().tensors();
    let shape = &spec.iter().find(|tensor| tensor.name == name).unwrap().shape;
    let data: Vec<u8> = (0..shape.iter().product::<usize>())
        .flat_map(|at| ((at % 7) as f32 - 3.0).to_le_bytes())
        .collect();
    let end = file.len() - start;
    header[format!("base_model.model.{name}")] =
        serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [end, end + data.len()]});
    let header = header.to_string().into_bytes();
    let length = (header.len() as u64).to_le_bytes();
    fs::write(&path, [&length[..], &header, &file[start..], &data].concat()).unwrap();
    let logits = |dir: &Path| adapt(&base, dir).forward(&[2, 9, 30, 3]).unwrap();
    let (with, without) = (logits(folder.path()), logits(&plain));
    assert!(with.iter().zip(&without).any(|(a, b)| (a - b).abs() > 1e-2));
}
