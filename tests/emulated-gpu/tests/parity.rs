//! Every family and every kind of adapter through the GPU engine, on emulated kernels: logits are those of the Python reference,
//! alone and packed with others, and nothing that was not written is read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use mednerd_emulated_gpu::Emulated;
use mednerd_engine_gpu::GpuEngine;
use mednerd_gpu::Engine;
use mednerd_gpu::protocol::{Fault, Load, Precision};
use mednerd_model::{Adapter, Checkpoint};
use mednerd_worker::child::Token;
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

fn token() -> Token {
    Token::new(
        Instant::now() + Duration::from_secs(600),
        Arc::new(AtomicBool::new(false)),
    )
}

struct Case {
    ids: Vec<u32>,
    logits: Vec<f32>,
}

/// What the reference says, at most `limit` sequences, the shortest and the longest among them.
fn cases(dir: &Path, limit: usize) -> Vec<Case> {
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
    let mut cases: Vec<Case> = cases.collect();
    cases.sort_by_key(|case| case.ids.len());
    while cases.len() > limit {
        cases.remove(cases.len() / 2);
    }
    cases
}

fn load(engine: &GpuEngine<Emulated>, number: u64, path: &Path) -> Checkpoint {
    let checkpoint = Checkpoint::open_base(path).unwrap();
    let load = Load {
        model: number,
        path: path.to_owned(),
        digest: checkpoint.digest().to_owned(),
        base: None,
    };
    engine.load(&load).unwrap();
    checkpoint
}

fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    // NaN is larger than any bound.
    differences.fold(0.0, |worst, d| if d <= worst { worst } else { d })
}

/// The largest difference from the reference, and that of all logits as a share of their norm: each sequence alone. Packed,
/// all of them give the same.
fn check(engine: &GpuEngine<Emulated>, number: u64, cases: &[Case]) -> (f32, f32) {
    let mut worst = 0.0_f32;
    let mut alone = Vec::new();
    for case in cases {
        let logits = engine.forward(&[(number, &case.ids)], &token()).unwrap();
        worst = worst.max(difference(&logits, &case.logits));
        alone.extend(logits);
    }
    let sequences: Vec<(u64, &[u32])> = cases.iter().map(|case| (number, case.ids.as_slice())).collect();
    let packed = engine.forward(&sequences, &token()).unwrap();
    assert_eq!(
        packed, alone,
        "what is packed beside a sequence has no part in it"
    );
    let expected: Vec<f32> = cases.iter().flat_map(|case| case.logits.clone()).collect();
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
    let apart = norm(&mut alone.iter().zip(&expected).map(|(a, b)| a - b));
    (worst, apart / norm(&mut expected.iter().copied()))
}

fn variants() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for family in fs::read_dir(fixtures()).unwrap() {
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

#[test]
fn every_family_is_the_reference_in_every_precision() {
    let variants = variants();
    assert!(variants.len() >= 28, "{variants:?}");
    for (index, dir) in variants.iter().enumerate() {
        let name = dir.strip_prefix(fixtures()).unwrap().display().to_string();
        let first = index == 0 || variants[index - 1].parent() != dir.parent();
        // Emulation is slow: one variant of each family in half precision.
        let precisions = [Precision::Fp32, Precision::Fp16, Precision::Bf16];
        for precision in precisions.into_iter().take(if first { 3 } else { 1 }) {
            let engine = GpuEngine::new(Emulated::new(precision, index as u64 * 77 + 5), 1 << 30);
            load(&engine, 1, dir);
            let cases = cases(dir, 2);
            assert!(!cases.is_empty());
            let (worst, share) = check(&engine, 1, &cases);
            println!(
                "{name} {}: largest difference {worst:.1e}, share of the norm {share:.1e}",
                precision.name()
            );
            // Random weights amplify rounding as no trained model does.
            assert!(
                share < precision.tolerance(),
                "{name} {}: {share}",
                precision.name()
            );
            assert!(precision != Precision::Fp32 || worst < 1e-4, "{name}: {worst}");
        }
    }
}

#[test]
fn every_kind_of_adapter_is_the_reference_and_all_go_in_one_batch() {
    for family in ["bert", "deberta-v2", "modernbert", "roberta"] {
        let folder = fixtures().join("adapters").join(family);
        let mut adapters: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.join("adapter_config.json").exists() && path.join("golden.json").exists())
            .collect();
        adapters.sort();
        assert!(!adapters.is_empty(), "{family}");
        // The base that the goldens' script takes for the family.
        let base = ["fp32", "v3-fp32"].map(|variant| fixtures().join(family).join(variant));
        let base = base.iter().find(|path| path.exists()).unwrap();
        let engine = GpuEngine::new(Emulated::new(Precision::Fp32, 3), 1 << 30);
        let checkpoint = load(&engine, 1, base);
        let mut all = vec![(1, cases(base, 1))];
        for (index, path) in adapters.iter().enumerate() {
            let number = index as u64 + 2;
            let Ok(adapter) = Adapter::open(path, &checkpoint) else {
                println!("{}: for another base", path.display());
                continue;
            };
            let load = Load {
                model: number,
                path: path.clone(),
                digest: adapter.digest().to_owned(),
                base: Some(1),
            };
            engine.load(&load).unwrap();
            let cases = cases(path, 2);
            let (worst, _) = check(&engine, number, &cases);
            println!("{}: largest difference {worst:.1e}", path.display());
            assert!(worst < 1e-4, "{}: {worst}", path.display());
            all.push((number, cases));
        }
        let together = |all: &[(u64, Vec<Case>)]| {
            let parts = all
                .iter()
                .flat_map(|(number, cases)| cases.iter().map(move |case| (*number, case)));
            let parts: Vec<(u64, &Case)> = parts.collect();
            let sequences: Vec<(u64, &[u32])> = parts
                .iter()
                .map(|(number, case)| (*number, case.ids.as_slice()))
                .collect();
            let expected: Vec<f32> = parts.iter().flat_map(|(_, case)| case.logits.clone()).collect();
            let found = engine.forward(&sequences, &token()).unwrap();
            assert!(difference(&found, &expected) < 1e-4, "{family}: all together");
        };
        together(&all);
        let bytes = engine.health().unwrap().0;
        // One goes; its slot is the next one's, and the others do not notice.
        if all.len() > 2 {
            let (gone, _) = all.remove(1);
            engine.unload(gone);
            together(&all);
            assert!(engine.health().unwrap().0 < bytes);
            assert_eq!(
                engine.forward(&[(gone, &[1])], &token()),
                Err(Fault::UnknownModel)
            );
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let dir = fixtures().join("bert/fp32");
    let engine = GpuEngine::new(Emulated::new(Precision::Fp32, 1), 1 << 30);
    let checkpoint = load(&engine, 1, &dir);
    let refused = |sequences: &[(u64, &[u32])]| engine.forward(sequences, &token()).unwrap_err();
    let long = vec![1; checkpoint.context() + 1];
    assert!(matches!(refused(&[(1, &[1]), (1, &long)]), Fault::Refused(_)));
    assert!(matches!(refused(&[(1, &[1 << 30])]), Fault::Refused(_)));
    assert_eq!(refused(&[(2, &[1])]), Fault::UnknownModel);
    let mut changed = Load {
        model: 3,
        path: dir,
        digest: "0".repeat(64),
        base: None,
    };
    assert!(matches!(engine.load(&changed), Err(Fault::Refused(_))));
    changed.digest = checkpoint.digest().to_owned();
    let small = GpuEngine::new(Emulated::new(Precision::Fp32, 1), 1000);
    assert_eq!(small.load(&changed), Err(Fault::OutOfMemory));
}
