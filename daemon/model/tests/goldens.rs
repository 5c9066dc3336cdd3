//! The committed checkpoints of `tests/fixtures/make_goldens.py`: what is read from them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../tests/fixtures/reference.rs"]
mod reference;

use mednerd_model::{
    Activation, AttentionPositions, Checkpoint, Dtype, FeedForward, Linear, Positions, Projection,
};
use serde_json::Value;

use reference::{VARIANTS, fixture, golden};

fn numbers(value: &Value) -> Vec<u64> {
    let list = value.as_array().unwrap();
    list.iter().map(|n| n.as_u64().unwrap()).collect()
}

#[test]
fn every_family_has_its_tokenizer() {
    for variant in VARIANTS {
        let checkpoint = Checkpoint::open(&fixture(variant)).unwrap();
        for case in golden(&fixture(variant))["cases"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let encoding = checkpoint.tokenizer().encode(text, true).unwrap();
            let ids: Vec<u64> = encoding.get_ids().iter().map(|id| u64::from(*id)).collect();
            assert_eq!(ids, numbers(&case["ids"]), "{variant}: {text:?}");
        }
    }
}

#[test]
fn a_checkpoint_says_what_it_is() {
    let checkpoint = Checkpoint::open(&fixture("bert/fp32")).unwrap();
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

    let onnx = Checkpoint::open(&fixture("bert/vocab-only")).unwrap();
    assert!(onnx.onnx().is_some() && !onnx.weights().is_empty());
    assert_eq!(activation(&onnx), Activation::GeluTanh);
}

#[test]
fn deberta_has_its_relative_places() {
    let places = |variant: &str, layer: usize| {
        let checkpoint = Checkpoint::open(&fixture(variant)).unwrap();
        match &checkpoint.architecture().layers[layer].attention.positions {
            AttentionPositions::Disentangled(places) => Some(*places.clone()),
            _ => None,
        }
    };
    let name = |linear: &Option<Linear>| linear.as_ref().map(|linear| linear.weight.clone());
    let at = |part: &str| Some(format!("deberta.encoder.layer.1.attention.self.{part}.weight"));
    let shared = places("deberta-v2/v3-fp32", 1).unwrap();
    assert_eq!(
        (shared.table.rows, shared.buckets, shared.longest),
        (16, Some(8), 112)
    );
    assert!(shared.norm.is_some());
    assert_eq!(name(&shared.content_to_position), at("key_proj"));
    assert_eq!(name(&shared.position_to_content), at("query_proj"));
    let own = places("deberta-v2/own-projections", 1).unwrap();
    assert_eq!((own.table.rows, own.buckets, own.longest), (40, None, 20));
    assert!(own.norm.is_none());
    assert_eq!(name(&own.content_to_position), at("pos_key_proj"));
    assert_eq!(name(&own.position_to_content), at("pos_query_proj"));
    assert_eq!(
        places("deberta-v2/c2p-only", 1).unwrap().position_to_content,
        None
    );
    assert_eq!(places("deberta-v2/absolute", 1), None);
}

#[test]
fn every_family_has_its_embeddings() {
    let open = |variant: &str| Checkpoint::open(&fixture(variant)).unwrap();
    let embeddings = |variant: &str| open(variant).architecture().embeddings.clone();
    let electra = embeddings("electra/fp32");
    assert_eq!(
        (electra.words.width, open("electra/fp32").architecture().hidden),
        (14, 24)
    );
    assert!(matches!(electra.projection, Some(Projection::AfterNorm(_))));
    assert_eq!(embeddings("electra/vocab-only").projection, None);
    assert_eq!(embeddings("distilbert/fp32").token_types, None);
    let deberta = embeddings("deberta-v2/absolute");
    assert!(matches!(deberta.projection, Some(Projection::BeforeNorm(_))));
    assert!(deberta.token_types.is_some() && deberta.positions != Positions::None);
    let deberta = embeddings("deberta-v2/v3-fp32");
    assert!(deberta.token_types.is_none() && deberta.positions == Positions::None);
    for (variant, padding) in [
        ("roberta/fp32", 1),
        ("roberta/fp16-sharded", 3),
        ("xlm-roberta/fp32", 1),
    ] {
        let Positions::Absolute {
            table,
            first,
            padding: found,
        } = embeddings(variant).positions
        else {
            panic!("{variant} has no places");
        };
        assert_eq!((first, found), (padding as usize + 1, Some(padding)), "{variant}");
        assert_eq!(
            open(variant).architecture().context,
            table.rows - first,
            "{variant}"
        );
    }
}

#[test]
fn every_variant_has_a_digest_of_its_own_that_does_not_change() {
    let digest = |variant: &str| Checkpoint::open(&fixture(variant)).unwrap().digest().to_owned();
    let all = VARIANTS.map(digest);
    for (i, one) in all.iter().enumerate() {
        assert!(!all[..i].contains(one));
    }
    assert_eq!(all[0], digest("bert/fp32"));
}

#[test]
fn half_precisions_are_read_exactly() {
    for (variant, dtype) in [("bert/bf16", Dtype::Bf16), ("bert/fp16-sharded", Dtype::F16)] {
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
