//! Every family and every kind of adapter through the GPU engine, on emulated kernels: logits are those of the Python reference,
//! alone and packed with others, and nothing that was not written is read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use mednerd_emulated_gpu::Emulated;
use mednerd_engine_gpu::{GpuEngine, checks};
use mednerd_gpu::Engine;
use mednerd_gpu::protocol::{Fault, Load, Precision};
use mednerd_model::Checkpoint;
use mednerd_worker::child::Token;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

#[test]
fn every_family_is_the_reference_in_every_precision() {
    let variants = checks::variants(&fixtures());
    assert!(variants.len() >= 28, "{variants:?}");
    for (index, dir) in variants.iter().enumerate() {
        let name = dir.strip_prefix(fixtures()).unwrap().display().to_string();
        let first = index == 0 || variants[index - 1].parent() != dir.parent();
        // Emulation is slow: one variant of each family in half precision.
        let precisions = [Precision::Fp32, Precision::Fp16, Precision::Bf16];
        for precision in precisions.into_iter().take(if first { 3 } else { 1 }) {
            let device = Emulated::new(precision, index as u64 * 77 + 5);
            let (worst, share) = checks::family(device, dir, 2, f32::MIN_POSITIVE);
            let precise = precision.name();
            println!("{name} {precise}: largest difference {worst:.1e}, share of the norm {share:.1e}");
            // Random weights amplify rounding as no trained model does.
            assert!(share < precision.tolerance(), "{name} {precise}: {share}");
            assert!(precision != Precision::Fp32 || worst < 1e-4, "{name}: {worst}");
        }
    }
}

#[test]
fn every_kind_of_adapter_is_the_reference_and_all_go_in_one_batch() {
    for family in checks::ADAPTED {
        let worst = checks::adapters(Emulated::new(Precision::Fp32, 3), &fixtures(), family, 1e-4);
        println!("adapters on {family}: largest difference {worst:.1e}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let token = Token::new(
        Instant::now() + Duration::from_secs(600),
        Arc::new(AtomicBool::new(false)),
    );
    let dir = fixtures().join("bert/fp32");
    let checkpoint = Checkpoint::open(&dir).unwrap();
    let engine = |budget| GpuEngine::new(Emulated::new(Precision::Fp32, 1), budget);
    let mut load = Load {
        model: 1,
        path: dir,
        digest: checkpoint.digest().to_owned(),
        base: None,
    };
    assert_eq!(engine(1000).load(&load), Err(Fault::OutOfMemory));
    let engine = engine(1 << 30);
    engine.load(&load).unwrap();
    let refused = |sequences: &[(u64, &[u32])]| engine.forward(sequences, &token).unwrap_err();
    let long = vec![1; checkpoint.context() + 1];
    assert!(matches!(refused(&[(1, &[1]), (1, &long)]), Fault::Refused(_)));
    assert!(matches!(refused(&[(1, &[1 << 30])]), Fault::Refused(_)));
    assert_eq!(refused(&[(2, &[1])]), Fault::UnknownModel);
    load.digest = "0".repeat(64);
    assert!(matches!(engine.load(&load), Err(Fault::Refused(_))));
}

/// The fixtures' heads are narrower than tensor cores take them.
#[test]
fn attention_on_tensor_cores_is_attention() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/models/biomed-small");
    let checkpoint = Checkpoint::open_base(&dir).unwrap();
    let attention = &checkpoint.architecture().layers[0].attention;
    assert!(
        [32, 64, 128].contains(&attention.head_dim),
        "{}",
        attention.head_dim
    );
    for precision in [Precision::Fp16, Precision::Bf16] {
        let (half, single) = (Emulated::new(precision, 3), Emulated::new(Precision::Fp32, 3));
        let share = checks::apart(half, single, &dir, &[70, 1, 2]);
        println!("biomed-small {}: {share:.1e} of the norm", precision.name());
        assert!(share < precision.tolerance() / 4.0);
    }
}
