//! GLiNER directories: what is read from them, and what is refused by key or tensor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../tests/fixtures/reference.rs"]
mod reference;

use std::fs;
use std::path::Path;

use mednerd_model::{Adapter, Checkpoint, GlinerHead, LabelEncoder, SpanOutput};
use serde_json::{Value, json};
use tempfile::TempDir;

use reference::zero_shot as fixture;

fn copy(variant: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["", "labels_encoder"] {
        let Ok(entries) = fs::read_dir(fixture(variant).join(folder)) else {
            continue;
        };
        fs::create_dir_all(dir.path().join(folder)).unwrap();
        for entry in entries.map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), dir.path().join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
    dir
}

/// Changes the configuration of a copy; `null` removes a key.
fn with(variant: &str, changes: Value) -> TempDir {
    let dir = copy(variant);
    let path = dir.path().join("gliner_config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    fs::write(path, config.to_string()).unwrap();
    dir
}

fn refused(dir: &TempDir) -> String {
    Checkpoint::open(dir.path()).unwrap_err().to_string()
}

#[test]
fn every_variant_is_described() {
    let open = |variant: &str| Checkpoint::open(&fixture(variant)).unwrap();
    let checkpoint = open("span-rnn");
    let gliner = checkpoint.gliner().unwrap();
    let LabelEncoder::Prompt(prompt) = &gliner.labels else {
        panic!()
    };
    assert!(prompt.after && prompt.token == "<<ENT>>" && gliner.projection.is_none());
    assert_eq!((gliner.recurrent.len(), gliner.max_words), (1, 48));
    assert!(matches!(
        gliner.head,
        GlinerHead::Span {
            max_width: 5,
            out: SpanOutput::Mlp(_),
            ..
        }
    ));
    // Relative places have no end, so the encoder reads further than it was configured for, where the tokenizer lets it.
    assert_eq!(
        (checkpoint.architecture().context, checkpoint.context()),
        (112, 112)
    );
    let dir = copy("span-rnn");
    fs::remove_file(dir.path().join("tokenizer_config.json")).unwrap();
    assert_eq!(Checkpoint::open(dir.path()).unwrap().context(), 448);
    assert!(
        checkpoint.headless() && checkpoint.labels().is_empty() && checkpoint.label_tokenizer().is_none()
    );
    let marker = open("marker");
    assert_eq!(
        (marker.gliner().unwrap().recurrent.len(), marker.context()),
        (2, 112)
    );
    assert!(matches!(
        marker.gliner().unwrap().head,
        GlinerHead::Span {
            out: SpanOutput::Linear(_),
            ..
        }
    ));
    let older = open("older");
    assert_eq!(older.gliner().unwrap().recurrent.len(), 1);
    assert!(matches!(
        open("token").gliner().unwrap().head,
        GlinerHead::Token { .. }
    ));
    let bi = open("bi-span");
    let LabelEncoder::Tower { projection, .. } = &bi.gliner().unwrap().labels else {
        panic!()
    };
    assert!(
        projection.is_some() && bi.gliner().unwrap().projection.is_some() && bi.label_tokenizer().is_some()
    );
    assert_ne!(bi.digest(), open("bi-token").digest());
    assert!(open("bi-marker").gliner().unwrap().recurrent.is_empty());
    let weights: u64 = fs::metadata(fixture("span").join("model.safetensors"))
        .unwrap()
        .len();
    let span = open("span").parameters() * 4;
    assert!(span < weights && span > weights * 9 / 10, "{span} {weights}");
    // A token classifier is none.
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bert/fp32");
    assert!(Checkpoint::open(&other).unwrap().gliner().is_none());
}

#[test]
fn what_is_not_there_is_refused_by_its_key() {
    for (variant, key, value) in [
        ("span", "span_mode", json!("markerV1")),
        ("span", "span_mode", json!("conv_max")),
        ("span", "labels_decoder", json!("gpt2")),
        ("span", "relations_layer", json!("dot")),
        ("span", "fuse_layers", json!(true)),
        ("token", "represent_spans", json!(true)),
        ("span", "precomputed_prompts_mode", json!(true)),
        (
            "span",
            "span_encoder_config",
            json!({"model_type": "deberta-v2", "num_hidden_layers": 1}),
        ),
        ("span", "model_type", json!("gliner_streaming_span")),
        ("span", "model_type", json!("gliner_uni_encoder_token_decoder")),
        ("bi-span", "model_type", json!("gliner_uni_encoder_span_relex")),
        ("span", "subtoken_pooling", json!("mean")),
        ("span", "words_splitter_type", json!("spacy")),
        ("bi-span", "post_fusion_schema", json!("l2l-l2t")),
        ("span", "class_token_index", json!(7)),
        ("span", "ent_token", json!("<<TYPE>>")),
        ("span", "sep_token", json!("no special token")),
        ("span", "encoder_config", Value::Null),
        ("bi-span", "labels_encoder_config", Value::Null),
        ("span", "max_width", json!(0)),
        ("span", "max_len", json!(-3)),
        ("span", "hidden_size", json!("wide")),
    ] {
        let message = refused(&with(variant, json!({key: value})));
        assert!(
            message.contains("gliner_config.json") && message.contains(key),
            "{key}: {message}"
        );
    }
    let message = refused(&with("span", json!({"encoder_config": {"model_type": "t5"}})));
    assert!(
        message.contains("t5") && message.contains("deberta-v2"),
        "{message}"
    );
}

#[test]
fn what_changes_nothing_is_taken() {
    for (variant, changes) in [
        (
            "token",
            json!({"represent_spans": false, "precomputed_prompts_mode": false, "span_encoder_config": null}),
        ),
        ("span", json!({"model_type": "gliner"})),
        ("span", json!({"model_type": "gliner_uni_encoder_span"})),
        ("bi-token", json!({"model_type": "gliner_bi_encoder_token"})),
        ("span", json!({"post_fusion_schema": "l2l-l2t"})),
    ] {
        let opened = Checkpoint::open(with(variant, changes.clone()).path());
        assert!(opened.is_ok(), "{variant} {changes}: {:?}", opened.err());
    }
}

/// Adds a tensor of one element to a copy's weights.
fn with_tensor(variant: &str, tensor: &str) -> TempDir {
    let dir = copy(variant);
    let path = dir.path().join("model.safetensors");
    let file = fs::read(&path).unwrap();
    let start = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&file[8..start]).unwrap();
    let end = file.len() - start;
    header[tensor] = json!({"dtype": "F32", "shape": [1], "data_offsets": [end, end + 4]});
    let header = header.to_string();
    let length = (header.len() as u64).to_le_bytes();
    let value = 1_f32.to_le_bytes();
    fs::write(
        path,
        [&length[..], header.as_bytes(), &file[start..], &value].concat(),
    )
    .unwrap();
    dir
}

#[test]
fn a_part_that_nothing_reads_is_refused_by_tensor() {
    for (variant, tensor) in [
        ("span", "token_rep_layer.bert_layer.layers_fuser.W"),
        ("span", "span_encoder.model.encoder.layer.0.output.dense.weight"),
        ("token", "span_rep_layer.span_rep_layer.project_start.0.weight"),
        ("span", "precomputed_prompts"),
        ("span", "decoder.decoder_layer.model.wte.weight"),
        ("marker", "span_rep_layer.downscale.weight"),
    ] {
        let message = refused(&with_tensor(variant, tensor));
        let named = message.contains("model.safetensors") && message.contains(tensor);
        assert!(named && message.contains("reads"), "{tensor}: {message}");
    }
    for (variant, tensor) in [
        ("span", "token_rep_layer.bert_layer.model.embeddings.position_ids"),
        ("marker", "token_rep_layer.bert_layer.model.cls.predictions.bias"),
        (
            "bi-span",
            "token_rep_layer.labels_encoder.model.pooler.dense.alpha",
        ),
        ("span", "rnn.lstm.weight_ih_l0"),
        ("span", "cross_fuser.layers.0.weight"),
    ] {
        let opened = Checkpoint::open(with_tensor(variant, tensor).path());
        assert!(opened.is_ok(), "{tensor}: {:?}", opened.err());
    }
}

#[test]
fn a_head_that_does_not_fit_its_encoder_is_refused_by_tensor() {
    for (variant, changes, tensor) in [
        // Another width of words and labels than that of the layers in the file.
        (
            "span",
            json!({"hidden_size": 20}),
            "token_rep_layer.projection.weight",
        ),
        ("span", json!({"hidden_size": 24}), "span_rep_layer"),
        ("span", json!({"span_mode": "marker"}), "project_start"),
        ("span", json!({"span_mode": "token_level"}), "scorer.proj_token"),
        ("span", json!({"span_mode": "token-level"}), "scorer.proj_token"),
        ("span", json!({"num_rnn_layers": 1}), "rnn.lstm.weight_ih_l0"),
        ("token", json!({"num_rnn_layers": 2}), "rnn.lstm.weight_ih_l1"),
        ("span", json!({"vocab_size": 500}), "word_embeddings"),
        (
            "span",
            json!({"labels_encoder": "someone/encoder", "labels_encoder_config": {"model_type": "bert"}}),
            "labels_encoder",
        ),
    ] {
        let message = refused(&with(variant, changes));
        assert!(
            message.contains(tensor) && message.contains("model.safetensors"),
            "{tensor}: {message}"
        );
        // It is gliner_config.json that asks for it.
        assert!(!message.contains("; config.json"), "{message}");
    }
    let message = refused(&with("marker", json!({"hidden_size": 13})));
    assert!(message.contains("even number"), "{message}");
}

#[test]
fn an_adapter_of_the_label_encoder_is_refused() {
    let base = Checkpoint::open(&fixture("bi-span")).unwrap();
    let from = fixture("adapters").join("whole-dora");
    let dir = tempfile::tempdir().unwrap();
    let config = fs::read_to_string(from.join("adapter_config.json")).unwrap();
    let config = config.replace("_proj\"", "\"");
    fs::write(dir.path().join("adapter_config.json"), config).unwrap();
    let file = fs::read(from.join("adapter_model.safetensors")).unwrap();
    let start = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&file[8..start]).unwrap();
    let header = header
        .replace("bert_layer.model", "labels_encoder.model")
        .replace("_proj.", ".");
    let length = (header.len() as u64).to_le_bytes();
    let file = [&length[..], header.as_bytes(), &file[start..]].concat();
    fs::write(dir.path().join("adapter_model.safetensors"), file).unwrap();
    let message = Adapter::open(dir.path(), &base).unwrap_err().to_string();
    assert!(
        message.contains("only the text encoder") && message.contains("labels_encoder"),
        "{message}"
    );
}

#[test]
fn an_export_in_the_place_of_the_weights_is_called_that() {
    for place in ["model.onnx", "onnx/model.onnx"] {
        let dir = copy("span");
        fs::remove_file(dir.path().join("model.safetensors")).unwrap();
        let message = refused(&dir);
        assert!(
            message.contains("model.safetensors") && !message.contains("onnx"),
            "{message}"
        );
        fs::create_dir_all(dir.path().join("onnx")).unwrap();
        fs::write(dir.path().join(place), "").unwrap();
        let message = refused(&dir);
        assert!(
            message.contains("ONNX exports of GLiNER are not read") && !message.contains("or model.onnx"),
            "{message}"
        );
    }
}

#[test]
fn more_words_than_are_read_at_once_are_read_in_windows() {
    for (max_len, words) in [(16_384_u64, 16_384), (16_385, 16_384), (1 << 40, 16_384)] {
        let checkpoint = Checkpoint::open(with("span", json!({"max_len": max_len})).path()).unwrap();
        assert_eq!(checkpoint.gliner().unwrap().max_words, words);
    }
}

#[test]
fn files_that_the_reference_would_fetch_are_asked_for() {
    let dir = copy("bi-span");
    fs::remove_dir_all(dir.path().join("labels_encoder")).unwrap();
    let message = refused(&dir);
    assert!(
        message.contains("labels_encoder") && message.contains("tests/tiny-bert"),
        "{message}"
    );
    let dir = copy("span");
    fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    fs::write(dir.path().join("pytorch_model.bin"), "").unwrap();
    let message = refused(&dir);
    assert!(message.contains("from gliner import GLiNER"), "{message}");
    // The encoder's own file may lie in the place of encoder_config.
    let dir = with("span", json!({"encoder_config": null}));
    let config: Value =
        serde_json::from_slice(&fs::read(fixture("span").join("gliner_config.json")).unwrap()).unwrap();
    fs::write(
        dir.path().join("config.json"),
        config["encoder_config"].to_string(),
    )
    .unwrap();
    Checkpoint::open(dir.path()).unwrap();
    // Tokens of the prompt that the tokenizer does not know yet are added as the reference adds them.
    let dir = with("span", json!({"class_token_index": -1}));
    let plain =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/deberta-v2/v3-fp32/tokenizer.json");
    fs::copy(plain, dir.path().join("tokenizer.json")).unwrap();
    let of = |dir: &Path| match &Checkpoint::open(dir).unwrap().gliner().unwrap().labels {
        LabelEncoder::Prompt(prompt) => prompt.token_id,
        LabelEncoder::Tower { .. } => panic!(),
    };
    assert_eq!(of(dir.path()), of(&fixture("span")));
}
