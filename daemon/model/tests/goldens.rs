//! The committed checkpoints of `tests/fixtures/make_goldens.py`: what is read from them, and that the tokenizer gives
//! the reference's ids and offsets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use mednerd_model::{Activation, Checkpoint, Dtype, FeedForward};
use serde_json::Value;

fn fixture(variant: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/bert")
        .join(variant)
}

fn golden(variant: &str) -> Value {
    let text = fs::read(fixture(variant).join("golden.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn numbers(value: &Value) -> Vec<u64> {
    let list = value.as_array().unwrap();
    list.iter().map(|n| n.as_u64().unwrap()).collect()
}

fn pairs(value: &Value) -> Vec<(u64, u64)> {
    let list = value.as_array().unwrap().iter().map(numbers);
    list.map(|pair| (pair[0], pair[1])).collect()
}

#[test]
fn ids_and_offsets_equal_the_reference() {
    for variant in ["fp32", "bf16", "fp16-sharded", "vocab-only"] {
        let checkpoint = Checkpoint::open(&fixture(variant)).unwrap();
        for case in golden(variant)["cases"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let tokenizer = checkpoint.tokenizer();
            let bytes = tokenizer.encode(text, true).unwrap();
            let ids: Vec<u64> = bytes.get_ids().iter().map(|id| u64::from(*id)).collect();
            assert_eq!(ids, numbers(&case["ids"]), "{variant}: {text:?}");
            let points = tokenizer.encode_char_offsets(text, true).unwrap();
            for (encoding, key) in [(&bytes, "bytes"), (&points, "code_points")] {
                let offsets = encoding.get_offsets().iter();
                let offsets: Vec<_> = offsets.map(|(b, e)| (*b as u64, *e as u64)).collect();
                assert_eq!(offsets, pairs(&case[key]), "{variant}: {text:?} in {key}");
            }
        }
    }
}

#[test]
fn a_checkpoint_says_what_it_is() {
    let checkpoint = Checkpoint::open(&fixture("fp32")).unwrap();
    assert_eq!(checkpoint.family(), "bert");
    assert_eq!(
        checkpoint.labels(),
        ["O", "B-Disease", "I-Disease", "B-Chemical", "I-Chemical"]
    );
    assert_eq!(checkpoint.context(), 112);
    assert_eq!(checkpoint.languages(), ["en"]);
    assert_eq!(checkpoint.license(), Some("apache-2.0"));
    assert_eq!(checkpoint.digest().len(), 64);
    assert!(checkpoint.onnx().is_none());
    let architecture = checkpoint.architecture();
    assert_eq!(architecture.layers.len(), 2);
    let words = &architecture.embeddings.words;
    assert_eq!(checkpoint.weights().dtype(&words.weight), Some(Dtype::F32));
    assert!(checkpoint.parameters() * 4 < checkpoint.weight_bytes());
    let activation = |checkpoint: &Checkpoint| match checkpoint.architecture().layers[0].feed_forward {
        FeedForward::Mlp { activation, .. } | FeedForward::Gated { activation, .. } => activation,
    };
    assert_eq!(activation(&checkpoint), Activation::Gelu);

    let onnx = Checkpoint::open(&fixture("vocab-only")).unwrap();
    assert!(onnx.onnx().is_some() && !onnx.weights().is_empty());
    assert_eq!(activation(&onnx), Activation::GeluTanh);
}

#[test]
fn every_variant_has_a_digest_of_its_own_that_does_not_change() {
    let digest = |variant: &str| Checkpoint::open(&fixture(variant)).unwrap().digest().to_owned();
    let all = ["fp32", "bf16", "fp16-sharded", "vocab-only"].map(digest);
    for (i, one) in all.iter().enumerate() {
        assert!(!all[..i].contains(one));
    }
    assert_eq!(all[0], digest("fp32"));
}

#[test]
fn half_precisions_are_read_exactly() {
    for (variant, dtype) in [("bf16", Dtype::Bf16), ("fp16-sharded", Dtype::F16)] {
        let checkpoint = Checkpoint::open(&fixture(variant)).unwrap();
        let classifier = &checkpoint.architecture().head.classifier;
        let shape = [classifier.outputs, classifier.inputs];
        assert_eq!(checkpoint.weights().dtype(&classifier.weight), Some(dtype));
        let values = checkpoint.weights().read(&classifier.weight, &shape).unwrap();
        assert_eq!(values.len(), shape[0] * shape[1]);
        let kept = |v: f32| match dtype {
            Dtype::Bf16 => half::bf16::from_f32(v).to_f32(),
            _ => half::f16::from_f32(v).to_f32(),
        };
        assert!(values.iter().all(|v| kept(*v) == *v && *v != 0.0), "{variant}");
    }
}
