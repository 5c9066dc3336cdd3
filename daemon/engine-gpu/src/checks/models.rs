//! Each family and each kind of adapter against the Python reference's answers, alone and packed with others.

use std::fs;
use std::path::{Path, PathBuf};

use mednerd_gpu::Engine;
use mednerd_gpu::protocol::{Labels, Window};
use mednerd_model::{GlinerHead, LabelEncoder};
use serde_json::Value;

use super::{Random, adapt, difference, load, random_ids, scratch, token, values, write_adapter};
use crate::{Device, GpuEngine};

struct Case {
    ids: Vec<u32>,
    logits: Vec<f32>,
}

/// What the reference says, at most `limit` sequences, the shortest and the longest up to `context` among them.
fn cases(dir: &Path, limit: usize, context: usize) -> Vec<Case> {
    let golden: Value = serde_json::from_slice(&fs::read(dir.join("golden.json")).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap().iter().filter_map(|case| {
        let rows = case["logits"].as_array()?;
        let ids = case["ids"].as_array()?.iter();
        Some(Case {
            ids: ids.map(|id| id.as_u64().unwrap() as u32).collect(),
            logits: rows
                .iter()
                .flat_map(|row| row.as_array().unwrap())
                .map(|value| value.as_f64().unwrap() as f32)
                .collect(),
        })
    });
    let mut cases: Vec<Case> = cases.filter(|case| case.ids.len() <= context).collect();
    cases.sort_by_key(|case| case.ids.len());
    while cases.len() > limit {
        cases.remove(cases.len() / 2);
    }
    cases
}

/// The largest difference from the reference, and that of all logits as a share of their norm: each sequence alone. Packed,
/// all of them give the same.
fn check<D: Device>(engine: &GpuEngine<D>, number: u64, cases: &[Case], packed_bound: f32) -> (f32, f32) {
    let mut worst = 0.0_f32;
    let mut alone = Vec::new();
    for case in cases {
        let logits = values(engine, &[Window::new(&[number], &case.ids)]);
        worst = worst.max(difference(&logits, &case.logits));
        alone.extend(logits);
    }
    let models = [number];
    let windows: Vec<Window<'_>> = cases.iter().map(|case| Window::new(&models, &case.ids)).collect();
    let packed = values(engine, &windows);
    // cuBLAS may sum in another order where there are more rows.
    let apart = difference(&packed, &alone);
    assert!(
        apart < packed_bound,
        "what is packed beside a sequence changes it by {apart}"
    );
    let expected: Vec<f32> = cases.iter().flat_map(|case| case.logits.clone()).collect();
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
    let apart = norm(&mut alone.iter().zip(&expected).map(|(a, b)| a - b));
    (worst, apart / norm(&mut expected.iter().copied()))
}

/// Checkpoints of every family with the reference's answers, in `tests/fixtures`.
pub fn variants(fixtures: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for family in fs::read_dir(fixtures).unwrap() {
        let family = family.unwrap().path();
        let named = family.file_name().unwrap().to_string_lossy().into_owned();
        if ["adapters", "gliner", "planted"].contains(&named.as_str()) || !family.is_dir() {
            continue;
        }
        for variant in fs::read_dir(family).unwrap() {
            let dir = variant.unwrap().path();
            let has_weights = fs::read_dir(&dir).is_ok_and(|files| {
                files
                    .flatten()
                    .any(|file| file.path().extension().is_some_and(|e| e == "safetensors"))
            });
            if has_weights && dir.join("golden.json").exists() {
                found.push(dir);
            }
        }
    }
    found.sort();
    found
}

/// The largest difference of a logit from the reference, and the norm of all differences as a share of the norm of all
/// logits. Where sequences are packed together, none may change by more than `packed_bound`.
pub fn family<D: Device>(device: D, dir: &Path, sequences: usize, packed_bound: f32) -> (f32, f32) {
    let engine = GpuEngine::new(device, u64::MAX);
    let checkpoint = load(&engine, 1, dir);
    let cases = cases(dir, sequences, checkpoint.context());
    assert!(!cases.is_empty());
    check(&engine, 1, &cases, packed_bound)
}

/// The largest difference of a zero-shot model's scores from the reference's, and that of all as a share of their norm. Its labels stand
/// before the text.
pub fn zero_shot<D: Device>(device: D, dir: &Path) -> (f32, f32) {
    let engine = GpuEngine::new(device, u64::MAX);
    let checkpoint = load(&engine, 1, dir);
    let gliner = checkpoint.gliner().expect("a zero-shot model");
    let LabelEncoder::Prompt(prompt) = &gliner.labels else {
        panic!("the labels have an encoder, which no GPU is given")
    };
    let golden: Value = serde_json::from_slice(&fs::read(dir.join("golden.json")).unwrap()).unwrap();
    let (mut worst, mut apart, mut norm, mut count) = (0.0_f32, 0.0, 0.0, 0);
    for case in golden["cases"].as_array().unwrap() {
        let numbers = |key: &str| -> Vec<u32> {
            let all = case[key].as_array().unwrap().iter();
            all.map(|number| number.as_u64().unwrap() as u32).collect()
        };
        let (ids, words, shape) = (numbers("ids"), numbers("first"), numbers("shape"));
        // The reference gives a word that the tokenizer drops the states of the next one.
        if words.len() != case["words"].as_array().unwrap().len() {
            continue;
        }
        let marked = (0..).zip(&ids).filter(|(_, id)| **id == prompt.token_id);
        let labels: Vec<u32> = marked.map(|(at, _)| at + u32::from(prompt.after)).collect();
        let window = Window {
            words: &words,
            labels: Labels::At(&labels),
            ..Window::new(&[1], &ids)
        };
        let found = values(&engine, &[window]);
        let expected = case["scores"].as_array().unwrap();
        assert_eq!(found.len(), expected.len());
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            if matches!(gliner.head, GlinerHead::Span { .. }) {
                let (stretch, width) = (place / labels.len(), shape[1] as usize);
                if stretch / width + stretch % width >= words.len() {
                    assert_eq!(*found, 0.0, "beyond the last word");
                    continue;
                }
            }
            let expected = expected.as_f64().unwrap() as f32;
            let difference = (found - expected).abs();
            assert!(difference.is_finite(), "{found} at {place}");
            worst = worst.max(difference);
            (apart, norm, count) = (apart + difference.powi(2), norm + expected.powi(2), count + 1);
        }
    }
    assert!(count > 0);
    (worst, (apart / norm).sqrt())
}

/// The families that have adapters in `tests/fixtures`.
pub const ADAPTED: [&str; 4] = ["bert", "deberta-v2", "modernbert", "roberta"];

/// Random windows for random ones of the models with these numbers, each batch compared with what its windows give for one model
/// at a time: no logit is `bound` apart.
fn shared<D: Device>(engine: &GpuEngine<D>, models: &[u64], batches: usize, bound: f32) {
    let mut random = Random(17);
    for _ in 0..batches {
        let count = 1 + random.below(4);
        let windows: Vec<(Vec<u64>, Vec<u32>)> = (0..count)
            .map(|_| {
                let first = models[random.below(models.len())];
                let rare = 1 + random.below(4);
                let others = models.iter().copied().filter(|model| *model != first);
                let mut of: Vec<u64> = others.filter(|_| random.below(rare) == 0).collect();
                of.insert(random.below(of.len() + 1), first);
                let length = 1 + random.below(18);
                (of, (0..length).map(|_| random.below(60) as u32).collect())
            })
            .collect();
        let batch: Vec<Window<'_>> = windows.iter().map(|(of, ids)| Window::new(of, ids)).collect();
        let alone = windows.iter().flat_map(|(of, ids)| {
            let alone = |model: &u64| values(engine, &[Window::new(&[*model], ids)]);
            of.iter().flat_map(alone).collect::<Vec<f32>>()
        });
        let alone: Vec<f32> = alone.collect();
        let apart = difference(&values(engine, &batch), &alone);
        let of: Vec<&Vec<u64>> = windows.iter().map(|(of, _)| of).collect();
        assert!(apart < bound, "{apart} apart, models of windows: {of:?}");
    }
}

/// All adapters of a family, one by one, all in one batch, and again after one has gone: the largest difference of a logit
/// from the reference. Then batches of windows for several of them and of adapters from each layer on: what else is in its batch
/// changes no logit by `packed_bound`.
pub fn adapters<D: Device>(device: D, fixtures: &Path, family: &str, bound: f32, packed_bound: f32) -> f32 {
    let folder = fs::read_dir(fixtures.join("adapters").join(family)).unwrap();
    let mut adapters: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    adapters.retain(|path| path.join("adapter_config.json").exists() && path.join("golden.json").exists());
    adapters.sort();
    assert!(!adapters.is_empty(), "{family}");
    // The base that the goldens' script takes for the family.
    let base = ["fp32", "v3-fp32"].map(|variant| fixtures.join(family).join(variant));
    let base = base.iter().find(|path| path.exists()).unwrap();
    let engine = GpuEngine::new(device, u64::MAX);
    let checkpoint = load(&engine, 1, base);
    let mut all = vec![(1, cases(base, 1, checkpoint.context()))];
    let mut worst = 0.0_f32;
    for (path, number) in adapters.iter().zip(2..) {
        adapt(&engine, number, path, &checkpoint);
        let cases = cases(path, 2, checkpoint.context());
        worst = worst.max(check(&engine, number, &cases, packed_bound).0);
        assert!(worst < bound, "{}: {worst}", path.display());
        all.push((number, cases));
    }
    let together = |all: &[(u64, Vec<Case>)]| {
        let parts = all.iter();
        let parts: Vec<(u64, &Case)> = parts
            .flat_map(|(number, cases)| cases.iter().map(move |case| (*number, case)))
            .collect();
        let windows: Vec<Window<'_>> = parts
            .iter()
            .map(|(number, case)| Window::new(std::slice::from_ref(number), &case.ids))
            .collect();
        let expected: Vec<f32> = parts.iter().flat_map(|(_, case)| case.logits.clone()).collect();
        let apart = difference(&values(&engine, &windows), &expected);
        assert!(apart < bound, "{family}: {apart}, all together");
    };
    together(&all);
    // One goes, and the others do not notice.
    let bytes = engine.health().unwrap().0;
    let (gone, _) = all.remove(1);
    engine.unload(gone);
    together(&all);
    assert!(engine.health().unwrap().0 < bytes);
    assert!(engine.forward(&[Window::new(&[gone], &[1])], &token()).is_err());
    let layers = checkpoint.architecture().layers.len();
    let mut numbers: Vec<u64> = all.iter().map(|(number, _)| *number).collect();
    let folder = scratch(family);
    for layer in 0..layers {
        // Ranks are unlike too.
        let (number, place) = (1000 + layer as u64, folder.join(layer.to_string()));
        write_adapter(&place, &checkpoint, layer, 1 + 3 * layer);
        let own = adapt(&engine, number, &place, &checkpoint).own;
        assert_eq!(
            own,
            (layers - layer) as f32 / layers as f32,
            "from layer {layer} on"
        );
        numbers.push(number);
    }
    fs::remove_dir_all(&folder).unwrap();
    shared(&engine, &numbers, 6, packed_bound);
    worst
}

/// How far logits of one device are from those of another, as a share of their norm: sequences of random ids of these lengths,
/// packed, for the base and two adapters, of which the second leaves the first layer as it is.
pub fn apart<D: Device>(one: D, other: D, dir: &Path, lengths: &[usize]) -> f32 {
    let logits: Vec<Vec<f32>> = {
        let engines = [one, other].map(|device| GpuEngine::new(device, u64::MAX));
        let checkpoints = [load(&engines[0], 1, dir), load(&engines[1], 1, dir)];
        for (number, layer, rank) in [(2, 0, 20), (3, 1, 3)] {
            let folder = scratch("apart");
            write_adapter(&folder, &checkpoints[0], layer, rank);
            for engine in &engines {
                adapt(engine, number, &folder, &checkpoints[0]);
            }
            fs::remove_dir_all(&folder).unwrap();
        }
        let ids = random_ids(&checkpoints[0], 11, lengths);
        const MODELS: [&[u64]; 3] = [&[2], &[3, 1], &[1, 2, 3]];
        let windows = ids.iter().zip(MODELS.iter().cycle());
        let batch: Vec<Window<'_>> = windows.map(|(ids, models)| Window::new(models, ids)).collect();
        engines.iter().map(|engine| values(engine, &batch)).collect()
    };
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
    let difference = norm(&mut logits[0].iter().zip(&logits[1]).map(|(a, b)| a - b));
    difference / norm(&mut logits[1].iter().copied())
}

/// Makes a checkpoint of random weights in the folder `to` from a fixture's: in everything like it, but with heads of another
/// width, as the kernels on tensor cores take them, an inner layer of twice the hidden width, and sequences of up to `context`.
pub fn widen(fixture: &Path, to: &Path, head: u64, context: u64) {
    let config: Value = serde_json::from_slice(&fs::read(fixture.join("config.json")).unwrap()).unwrap();
    let of = |key: &str| config.get(key).and_then(Value::as_u64);
    let (heads, width) = (of("num_attention_heads").unwrap(), of("hidden_size").unwrap());
    let (hidden, inner) = (heads * head, of("intermediate_size").unwrap());
    let mut sizes = vec![(width, hidden), (inner, 2 * hidden)];
    // Products side by side.
    sizes.extend([(3 * width, 3 * hidden), (2 * inner, 4 * hidden)]);
    sizes.extend(of("num_key_value_heads").map(|count| (count * width / heads, count * head)));
    sizes.extend(of("max_position_embeddings").map(|longest| (longest, context)));
    let change = |value: &mut Value, among: usize| {
        let size = value.as_u64();
        let known = sizes.iter().take(among).find(|(from, _)| Some(*from) == size);
        if let Some((_, size)) = known {
            *value = (*size).into();
        }
    };
    for file in fs::read_dir(fixture).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        if ["config.json", "tokenizer_config.json"].contains(&name) {
            let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            let values = config.as_object_mut().unwrap().iter_mut();
            values
                .filter(|(key, _)| *key != "max_relative_positions")
                .for_each(|(_, value)| change(value, sizes.len()));
            for key in ["attention_head_size", "head_dim"] {
                if let Some(size) = config.get_mut(key) {
                    *size = head.into();
                }
            }
            fs::write(to.join(name), config.to_string()).unwrap();
        } else if !["golden.json", "model.safetensors"].contains(&name) {
            fs::copy(&file, to.join(name)).unwrap();
        }
    }
    let file = fs::read(fixture.join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let (mut random, mut data) = (Random(3), Vec::<u8>::new());
    for (name, tensor) in header.as_object_mut().unwrap() {
        if name == "__metadata__" {
            continue;
        }
        // Rows of distances are as many as they were.
        let among = if name.contains("rel_embeddings") {
            1
        } else {
            sizes.len()
        };
        let shape = tensor["shape"].as_array_mut().unwrap().iter_mut();
        shape.for_each(|size| change(size, among));
        let shape = tensor["shape"].as_array().unwrap().iter();
        let count = shape.map(|size| size.as_u64().unwrap()).product::<u64>();
        let norm = name.to_lowercase().contains("norm") && name.ends_with(".weight");
        let values = match norm {
            true => vec![1.0; count as usize],
            false => random.values(count as usize, 1.5 / (hidden as f32).sqrt()),
        };
        let begin = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        tensor["dtype"] = "F32".into();
        tensor["data_offsets"] = vec![begin, data.len()].into();
    }
    let header = header.to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.into_bytes());
    file.extend(data);
    fs::write(to.join("model.safetensors"), file).unwrap();
}
