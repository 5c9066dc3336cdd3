//! Damaged, contradictory and hostile checkpoints, made from the good one: each is refused with a message that names
//! the file, what is wrong in it and what was expected.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

use mednerd_model::{Checkpoint, ModelError};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A copy of a good checkpoint, to be damaged.
struct Copy(TempDir);

impl Copy {
    fn of(variant: &str) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fixtures")
            .join(variant);
        let dir = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), bytes).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path().join(name)).unwrap()
    }

    /// Changes a JSON file.
    fn json(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut value: Value = serde_json::from_slice(&self.read(name)).unwrap();
        change(&mut value);
        self.write(name, value.to_string());
    }

    fn config(&self, key: &str, value: Value) {
        self.json("config.json", |config| config[key] = value);
    }

    /// Changes the header of the weights and leaves the rest of the file.
    fn header(&self, change: impl FnOnce(&mut Value)) {
        let file = self.read("model.safetensors");
        let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let mut header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
        change(&mut header);
        let header = header.to_string().into_bytes();
        let mut out = (header.len() as u64).to_le_bytes().to_vec();
        out.extend(header);
        out.extend(&file[8 + length..]);
        self.write("model.safetensors", out);
    }

    /// Writes the weights anew, each tensor as `change` leaves it; `None` drops it. The format: eight bytes of header
    /// length, a JSON header, the tensors one after the other.
    fn tensors(
        &self,
        mut change: impl FnMut(&str, String, Vec<usize>, Vec<u8>) -> Option<(String, String, Vec<usize>, Vec<u8>)>,
    ) {
        let file = self.read("model.safetensors");
        let start = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&file[8..start]).unwrap();
        let (mut changed, mut data) = (serde_json::Map::new(), Vec::new());
        for (name, tensor) in header
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| *name != "__metadata__")
        {
            let offset = |index: usize| start + tensor["data_offsets"][index].as_u64().unwrap() as usize;
            let shape = serde_json::from_value(tensor["shape"].clone()).unwrap();
            let dtype = tensor["dtype"].as_str().unwrap().to_owned();
            if let Some((name, dtype, shape, bytes)) =
                change(name, dtype, shape, file[offset(0)..offset(1)].to_vec())
            {
                let offsets = [data.len(), data.len() + bytes.len()];
                data.extend(bytes);
                changed.insert(
                    name,
                    json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}),
                );
            }
        }
        let header = Value::Object(changed).to_string().into_bytes();
        self.write(
            "model.safetensors",
            [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat(),
        );
    }

    fn error(&self) -> ModelError {
        Checkpoint::open(self.path())
            .map(|c| c.digest().to_owned())
            .unwrap_err()
    }

    /// Opening fails, and the message has all these parts.
    #[track_caller]
    fn refused(&self, parts: &[&str]) {
        let message = self.error().to_string();
        for part in parts {
            assert!(message.contains(part), "no {part:?} in: {message}");
        }
    }
}

const QUERY: &str = "bert.encoder.layer.1.attention.self.query.weight";

#[test]
fn missing_files() {
    for (name, advice) in [
        ("config.json", "save_pretrained"),
        ("tokenizer.json", "vocab.txt"),
        ("model.safetensors", "Copy the weights"),
    ] {
        let copy = Copy::of("bert/fp32");
        copy.remove(name);
        copy.refused(&[name, advice, &copy.path().display().to_string()]);
    }
    let nowhere = Checkpoint::open(Path::new("/nonexistent/model")).unwrap_err();
    assert!(
        nowhere
            .to_string()
            .starts_with("/nonexistent/model: cannot be read")
    );
}

#[test]
fn a_pickle_is_refused_with_the_way_to_convert_it() {
    let copy = Copy::of("bert/fp32");
    copy.remove("model.safetensors");
    copy.write("pytorch_model.bin", b"\x80\x02");
    copy.refused(&[
        "pytorch_model.bin",
        "safe_serialization=True",
        "model.safetensors",
    ]);
    // Beside safetensors it does no harm.
    let copy = Copy::of("bert/fp32");
    copy.write("pytorch_model.bin", b"\x80\x02");
    Checkpoint::open(copy.path()).unwrap();
}

#[test]
fn files_that_are_none() {
    let copy = Copy::of("bert/fp32");
    copy.remove("config.json");
    fs::create_dir(copy.path().join("config.json")).unwrap();
    copy.refused(&["config.json", "not a regular file"]);

    let copy = Copy::of("bert/fp32");
    copy.remove("model.safetensors");
    std::os::unix::fs::symlink("gone", copy.path().join("model.safetensors")).unwrap();
    copy.refused(&["model.safetensors", "cannot be read"]);
}

#[test]
fn a_snapshot_of_the_hugging_face_cache_opens() {
    let copy = Copy::of("bert/fp32");
    let snapshot = tempfile::tempdir().unwrap();
    for name in [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors",
    ] {
        std::os::unix::fs::symlink(copy.path().join(name), snapshot.path().join(name)).unwrap();
    }
    Checkpoint::open(snapshot.path()).unwrap();
}

#[test]
fn json_that_is_not_what_it_should_be() {
    for (text, part) in [
        ("", "EOF"),
        ("{\"model_type\": ", "EOF"),
        ("[]", "expected an object, found an array"),
        (
            "{\"model_type\": \"bert\", \"model_type\": \"roberta\"}",
            "\"model_type\" is there twice",
        ),
        ("\u{feff}{}", "line 1"),
    ] {
        let copy = Copy::of("bert/fp32");
        copy.write("config.json", text);
        copy.refused(&["config.json", part]);
    }
    let copy = Copy::of("bert/fp32");
    copy.write("config.json", format!("{{\"a\":{}", "[".repeat(200_000)));
    copy.refused(&["config.json", "recursion limit"]);
    let copy = Copy::of("bert/fp32");
    copy.write("config.json", vec![b' '; 9 << 20]);
    copy.refused(&["config.json", "9437184 bytes", "8388608"]);
}

#[test]
fn a_configuration_of_something_else() {
    for (key, value, parts) in [
        ("model_type", json!("gpt2"), ["\"gpt2\"", "bert"]),
        ("model_type", json!(null), ["model_type", "bert"]),
        (
            "model_type",
            json!(7),
            ["model_type", "expected a string, found 7"],
        ),
        (
            "position_embedding_type",
            json!("relative_key"),
            ["position_embedding_type", "absolute"],
        ),
        ("is_decoder", json!(true), ["is_decoder", "false"]),
        ("hidden_act", json!("gelu_10"), ["hidden_act", "gelu_new"]),
        (
            "num_attention_heads",
            json!(7),
            ["num_attention_heads", "divisor"],
        ),
        ("hidden_size", json!(0), ["hidden_size", "1 to 65536"]),
        ("hidden_size", json!(-3), ["hidden_size", "found -3"]),
        ("hidden_size", json!(1_u64 << 40), ["hidden_size", "1 to 65536"]),
        (
            "num_hidden_layers",
            json!("2"),
            ["num_hidden_layers", "found \"2\""],
        ),
        ("layer_norm_eps", json!(-1.0), ["layer_norm_eps", "above 0"]),
        ("layer_norm_eps", json!(1e300), ["layer_norm_eps", "above 0"]),
        ("vocab_size", json!(1e20), ["vocab_size", "an integer"]),
    ] {
        let copy = Copy::of("bert/fp32");
        copy.config(key, value);
        copy.refused(&["config.json", parts[0], parts[1]]);
    }
}

#[test]
fn what_the_families_ask_of_their_own_keys() {
    let divisor = ["\"n_heads\"", "a divisor of \"dim\", which is 24"];
    for (variant, key, value, parts) in [
        ("distilbert/fp32", "n_heads", json!(5), divisor),
        (
            "distilbert/fp32",
            "activation",
            json!("gelu_10"),
            ["\"activation\"", "gelu_new"],
        ),
        (
            "distilbert/fp32",
            "hidden_size",
            json!(768),
            ["\"hidden_size\"", "the same as \"dim\""],
        ),
        (
            "electra/fp32",
            "embedding_size",
            json!(0),
            ["\"embedding_size\"", "1 to 65536"],
        ),
        (
            "roberta/fp32",
            "pad_token_id",
            json!(-1),
            ["\"pad_token_id\"", "0 to 16777216"],
        ),
        (
            "roberta/fp32",
            "pad_token_id",
            json!(113),
            ["\"max_position_embeddings\"", "more than the 114 rows"],
        ),
        (
            "deberta-v2/v3-fp32",
            "pos_att_type",
            json!(["c2p", "p2p"]),
            ["\"pos_att_type\"", "\"c2p\" and \"p2c\""],
        ),
        (
            "deberta-v2/v3-fp32",
            "position_buckets",
            json!(1),
            ["\"position_buckets\"", "2 to 221"],
        ),
        (
            "deberta-v2/v3-fp32",
            "max_relative_positions",
            json!(5),
            [
                "\"position_buckets\"",
                "2 to 7, because relative positions end at 5",
            ],
        ),
        (
            "deberta-v2/v3-fp32",
            "norm_rel_ebd",
            json!("rms_norm"),
            ["\"norm_rel_ebd\"", "\"layer_norm\" or \"none\""],
        ),
        (
            "deberta-v2/v3-fp32",
            "attention_head_size",
            json!(7),
            ["\"attention_head_size\"", "which is 6"],
        ),
        (
            "deberta-v2/v2-xlarge",
            "conv_kernel_size",
            json!(4),
            ["\"conv_kernel_size\"", "an odd number"],
        ),
        (
            "deberta-v2/v2-xlarge",
            "conv_groups",
            json!(5),
            ["\"conv_groups\"", "a divisor of \"hidden_size\", which is 24"],
        ),
        (
            "deberta-v2/v2-xlarge",
            "conv_act",
            json!("linear"),
            ["\"conv_act\"", "tanh"],
        ),
        (
            "xlm-roberta/fp32",
            "is_decoder",
            json!(true),
            ["\"is_decoder\"", "false"],
        ),
    ] {
        let copy = Copy::of(variant);
        copy.config(key, value);
        copy.refused(&["config.json", parts[0], parts[1]]);
    }
    // The same terms, written as version 3's files have them.
    let copy = Copy::of("deberta-v2/v3-fp32");
    copy.config("pos_att_type", json!("P2C | c2p"));
    assert!(Checkpoint::open(copy.path()).is_ok());
    for (key, value, tensor) in [
        (
            "position_buckets",
            json!(10),
            "deberta.encoder.rel_embeddings.weight",
        ),
        ("share_att_key", json!(false), "self.pos_key_proj.weight"),
        ("position_biased_input", json!(true), "position_embeddings.weight"),
        ("type_vocab_size", json!(2), "token_type_embeddings.weight"),
        ("conv_kernel_size", json!(3), "encoder.conv.conv.weight"),
    ] {
        let copy = Copy::of("deberta-v2/v3-fp32");
        copy.config(key, value);
        copy.refused(&["model.safetensors", tensor]);
    }
    // With as many columns as the hidden states there would be no projection.
    let copy = Copy::of("electra/fp32");
    copy.config("embedding_size", json!(24));
    copy.refused(&["electra.embeddings.word_embeddings.weight", "[263, 24]"]);
}

#[test]
fn variants_of_rotary_and_local_attention() {
    let (modern, euro, long) = ("modernbert/biases", "eurobert/fp32", "longformer/fp32");
    let scaled = json!({"rope_type": "yarn", "factor": 4.0});
    for (variant, key, value, parts) in [
        (
            modern,
            "layer_types",
            json!(["full_attention"]),
            ["\"layer_types\"", "each of the 3 layers"],
        ),
        (
            modern,
            "layer_types",
            json!(["full_attention", "full_attention", "chunked"]),
            ["sliding", "3 layers"],
        ),
        (
            modern,
            "rope_parameters",
            json!({"full_attention": scaled}),
            ["rope_parameters.full_attention.rope_type", "\"default\""],
        ),
        (
            modern,
            "rope_scaling",
            scaled.clone(),
            ["\"rope_scaling.rope_type\"", "yarn"],
        ),
        (
            modern,
            "rope_parameters",
            json!([1]),
            ["\"rope_parameters\"", "an object"],
        ),
        (
            modern,
            "global_attn_every_n_layers",
            json!(0),
            ["global_attn_every_n_layers", "1 to"],
        ),
        (
            modern,
            "local_rope_theta",
            json!(null),
            ["\"local_rope_theta\"", "above 0"],
        ),
        (
            modern,
            "num_attention_heads",
            json!(8),
            ["\"num_attention_heads\"", "even width"],
        ),
        (
            modern,
            "classifier_activation",
            json!("gelu_10"),
            ["classifier_activation", "gelu_new"],
        ),
        (
            modern,
            "max_position_embeddings",
            json!(1 << 24),
            ["max_position_embeddings", "1 to 131072"],
        ),
        (
            euro,
            "rope_scaling",
            scaled.clone(),
            ["\"rope_scaling.rope_type\"", "yarn"],
        ),
        (
            euro,
            "rope_parameters",
            json!({"partial_rotary_factor": 0.5}),
            ["partial_rotary_factor", "found 0.5"],
        ),
        (
            euro,
            "num_key_value_heads",
            json!(3),
            ["num_key_value_heads", "a divisor"],
        ),
        (euro, "head_dim", json!(7), ["\"head_dim\"", "even width"]),
        (
            long,
            "attention_window",
            json!(7),
            ["\"attention_window\"", "an even number"],
        ),
        (
            long,
            "attention_window",
            json!([8]),
            ["\"attention_window\"", "each of the 2 layers"],
        ),
        (
            long,
            "attention_window",
            json!([8, 0]),
            ["\"attention_window\"", "from 2"],
        ),
    ] {
        let copy = Copy::of(variant);
        copy.config(key, value);
        copy.refused(&["config.json", parts[0], parts[1]]);
    }
}

#[test]
fn vocabulary_files_that_no_tokenizer_is_built_from() {
    let copy = Copy::of("eurobert/fp32");
    Checkpoint::open(copy.path()).unwrap();
    copy.remove("tokenizer.json");
    copy.refused(&["tokenizer.json is missing", "original checkpoint"]);
}

#[test]
fn sizes_that_the_tensors_do_not_have() {
    for (key, value, tensor, shape) in [
        (
            "hidden_size",
            25,
            "bert.embeddings.word_embeddings.weight",
            "[263, 25]",
        ),
        (
            "vocab_size",
            264,
            "bert.embeddings.word_embeddings.weight",
            "[264, 30]",
        ),
        (
            "max_position_embeddings",
            113,
            "bert.embeddings.position_embeddings.weight",
            "[113, 30]",
        ),
        (
            "type_vocab_size",
            1,
            "bert.embeddings.token_type_embeddings.weight",
            "[1, 30]",
        ),
        (
            "intermediate_size",
            53,
            "bert.encoder.layer.0.intermediate.dense.weight",
            "[53, 30]",
        ),
        (
            "num_hidden_layers",
            3,
            "bert.encoder.layer.2.attention.self.query.weight",
            "missing",
        ),
    ] {
        let copy = Copy::of("bert/fp32");
        copy.config(key, json!(value));
        copy.refused(&["model.safetensors", tensor, shape]);
    }
}

#[test]
fn labels_that_the_head_does_not_have() {
    let copy = Copy::of("bert/fp32");
    copy.config("id2label", json!({"0": "O", "1": "B-X", "3": "I-X"}));
    copy.refused(&["config.json", "id2label", "hole"]);
    let copy = Copy::of("bert/fp32");
    copy.config("id2label", json!({"0": "O", "1": "B-X"}));
    copy.refused(&["model.safetensors", "classifier.weight", "[5, 30]", "[2, 30]"]);
}

#[test]
fn a_model_without_a_head() {
    let copy = Copy::of("bert/fp32");
    copy.config("architectures", json!(["BertForMaskedLM"]));
    // The head is there under its name, so the word in the configuration does not matter.
    Checkpoint::open(copy.path()).unwrap();
    copy.tensors(|n, d, s, b| (!n.starts_with("classifier")).then(|| (n.to_owned(), d, s, b)));
    copy.refused(&["config.json", "BertForMaskedLM", "classifier.weight"]);
}

#[test]
fn missing_and_misshapen_tensors() {
    let copy = Copy::of("bert/fp32");
    copy.tensors(|n, d, s, b| (n != QUERY).then(|| (n.to_owned(), d, s, b)));
    copy.refused(&["model.safetensors", QUERY, "[30, 30]", "missing"]);

    let copy = Copy::of("bert/fp32");
    copy.tensors(|n, d, s, b| {
        let shape = if n == QUERY { vec![900] } else { s };
        Some((n.to_owned(), d, shape, b))
    });
    copy.refused(&["model.safetensors", QUERY, "[900]", "[30, 30]"]);

    let copy = Copy::of("bert/fp32");
    copy.tensors(|n, d, s, b| {
        let dtype = if n == QUERY { "I32".to_owned() } else { d };
        Some((n.to_owned(), dtype, s, b))
    });
    copy.refused(&["model.safetensors", QUERY, "I32", "F32, F16 or BF16"]);
}

#[test]
fn weights_that_are_not_finite() {
    for (value, name) in [
        (f32::NAN, "NaN"),
        (f32::INFINITY, "inf"),
        (f32::NEG_INFINITY, "-inf"),
    ] {
        let copy = Copy::of("bert/fp32");
        copy.tensors(|n, d, s, mut b| {
            if n == QUERY {
                b[68..72].copy_from_slice(&value.to_le_bytes());
            }
            Some((n.to_owned(), d, s, b))
        });
        let checkpoint = Checkpoint::open(copy.path()).unwrap();
        let message = checkpoint
            .weights()
            .read(QUERY, &[30, 30])
            .unwrap_err()
            .to_string();
        for part in ["model.safetensors", QUERY, name, "element 17"] {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn headers_that_lie() {
    let good = Copy::of("bert/fp32").read("model.safetensors");
    let length = u64::from_le_bytes(good[..8].try_into().unwrap());
    let with_length = |claimed: u64| [&claimed.to_le_bytes(), &good[8..]].concat();
    for (bytes, part) in [
        (vec![], "0 bytes"),
        (good[..7].to_vec(), "7 bytes"),
        (good[..100].to_vec(), "claims"),
        (
            b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
            "git lfs pull",
        ),
        (good[..good.len() - 1].to_vec(), "truncated"),
        ([&good[..], b"x"].concat(), "the tensors end at"),
        (with_length(u64::MAX), "claims 18446744073709551615 bytes"),
        (with_length(length + 1), "model.safetensors"),
        (with_length(length - 1), "model.safetensors"),
        (with_length(length - 200), "not valid JSON"),
        (with_length(0), "not valid JSON"),
        (with_length(17 << 20), "claims"),
    ] {
        let copy = Copy::of("bert/fp32");
        copy.write("model.safetensors", bytes);
        copy.refused(&["model.safetensors", part]);
    }
}

#[test]
fn entries_that_lie() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 9] = [
        (
            |e| e["data_offsets"] = json!([0, 1_000_000_000]),
            "takes 3600 bytes",
        ),
        (
            |e| e["data_offsets"] = json!([1_000_000_000, 1_000_003_600]),
            "truncated",
        ),
        (|e| e["data_offsets"] = json!([0, 3600]), "overlaps"),
        (
            |e| e["data_offsets"] = json!([u64::MAX - 3600, u64::MAX]),
            "overflow",
        ),
        (|e| e["data_offsets"] = json!([3600, 0]), "takes 3600 bytes"),
        (|e| e["data_offsets"] = json!([0, 1, 2]), "3 data offsets"),
        (|e| e["shape"] = json!([u64::MAX, 2]), "overflows"),
        (|e| e["shape"] = json!([-1, 900]), "\"shape\""),
        (|e| e["dtype"] = json!("F31"), "\"F31\""),
    ];
    for (change, part) in cases {
        let copy = Copy::of("bert/fp32");
        copy.header(|header| change(&mut header[QUERY]));
        let message = copy.error().to_string();
        assert!(
            message.contains("model.safetensors") && message.contains("tensor") && message.contains(part),
            "{message}"
        );
    }
    let copy = Copy::of("bert/fp32");
    copy.header(|header| header[QUERY]["data_offsets"] = json!(null));
    copy.refused(&["model.safetensors", QUERY, "data_offsets"]);
}

#[test]
fn indices_that_lie() {
    let index = "model.safetensors.index.json";
    for escape in [
        "../x.safetensors",
        "/etc/passwd",
        "a/b.safetensors",
        "..",
        "",
        "x.bin",
        "./x.safetensors",
    ] {
        let copy = Copy::of("bert/fp16-sharded");
        copy.json(index, |i| i["weight_map"][QUERY] = json!(escape));
        copy.refused(&[index, QUERY, escape, "plain .safetensors file name"]);
    }
    let copy = Copy::of("bert/fp16-sharded");
    copy.json(index, |i| {
        i["weight_map"][QUERY] = json!("model-00009-of-00002.safetensors")
    });
    copy.refused(&[index, "model-00009-of-00002.safetensors", "not in the directory"]);
    let copy = Copy::of("bert/fp16-sharded");
    copy.json(index, |i| {
        i["weight_map"]["extra"] = json!("model-00001-of-00002.safetensors")
    });
    copy.refused(&[index, "\"extra\"", "model-00001-of-00002.safetensors"]);
    let copy = Copy::of("bert/fp16-sharded");
    copy.json(index, |i| i["weight_map"] = json!({}));
    copy.refused(&[index, "0 shards"]);
    let copy = Copy::of("bert/fp16-sharded");
    copy.write(index, "{}");
    copy.refused(&[index, "weight_map"]);
    let copy = Copy::of("bert/fp16-sharded");
    let (one, other) = (
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    );
    copy.write(one, copy.read(other));
    copy.refused(&[index, "tensor", one, "but it is not"]);
    // All tensors in a third shard that a made-up entry names: each is then in two.
    let copy = Copy::of("bert/fp16-sharded");
    copy.write("again.safetensors", copy.read(one));
    let all: Value = serde_json::from_slice(&copy.read(index)).unwrap();
    let first = all["weight_map"]
        .as_object()
        .unwrap()
        .iter()
        .find(|(_, f)| *f == one)
        .unwrap()
        .0
        .clone();
    copy.json(index, |i| i["weight_map"][first] = json!("again.safetensors"));
    copy.refused(&[one, "two shards"]);
}

#[test]
fn tokenizers_of_another_model() {
    let copy = Copy::of("bert/fp32");
    copy.json("tokenizer.json", |t| {
        t["model"]["vocab"]["pneumothorax"] = json!(263)
    });
    copy.refused(&["tokenizer.json", "\"pneumothorax\"", "263 rows"]);
    let copy = Copy::of("bert/fp32");
    copy.json("tokenizer.json", |t| {
        t["post_processor"]["special_tokens"]["[SEP]"]["ids"] = json!([900])
    });
    copy.refused(&["tokenizer.json", "\"[SEP]\"", "900", "263 rows"]);
    let copy = Copy::of("bert/fp32");
    copy.write("tokenizer.json", "{\"version\": \"1.0\"}");
    copy.refused(&["tokenizer.json", "not a tokenizer"]);
    let copy = Copy::of("bert/vocab-only");
    copy.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\nword\n");
    copy.refused(&["vocab.txt", "[SEP]", "not in the vocabulary"]);
    let copy = Copy::of("bert/vocab-only");
    copy.write("vocab.txt", b"[UNK]\n\xff\n");
    copy.refused(&["vocab.txt"]);
    let copy = Copy::of("bert/fp32");
    copy.json("tokenizer_config.json", |t| t["model_max_length"] = json!(2));
    copy.refused(&["tokenizer_config.json", "model_max_length", "special tokens"]);
}

#[test]
fn what_the_tokenizer_files_may_say() {
    let length = |value: Value| {
        let copy = Copy::of("bert/fp32");
        copy.json("tokenizer_config.json", |t| t["model_max_length"] = value);
        Checkpoint::open(copy.path()).unwrap().context()
    };
    assert_eq!(length(json!(64)), 64);
    assert_eq!(length(json!(512)), 112);
    assert_eq!(length(json!(1e30)), 112);
    assert_eq!(length(json!(null)), 112);

    // Truncation that a file asks for would lose the end of a note in silence.
    let copy = Copy::of("bert/fp32");
    copy.json("tokenizer.json", |t| {
        t["truncation"] =
            json!({"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0});
        t["padding"] = json!({"strategy": {"Fixed": 99}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"});
    });
    let checkpoint = Checkpoint::open(copy.path()).unwrap();
    let encoding = checkpoint
        .tokenizer()
        .encode("chest pain and fever and cough", true)
        .unwrap();
    assert_eq!(encoding.len(), 8);
}

#[test]
fn old_spellings_of_the_tensors_are_read() {
    let copy = Copy::of("bert/fp32");
    copy.tensors(|n, d, s, b| {
        let name = n
            .replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta");
        let name = name.strip_prefix("bert.").unwrap_or(&name).to_owned();
        Some((name, d, s, b))
    });
    let checkpoint = Checkpoint::open(copy.path()).unwrap();
    let norm = checkpoint.architecture().layers[0]
        .attention_norm
        .as_ref()
        .unwrap();
    assert_eq!(norm.weight, "encoder.layer.0.attention.output.LayerNorm.gamma");
}

#[test]
fn the_digest_changes_with_every_file_and_not_with_the_card() {
    let copy = Copy::of("bert/fp32");
    let digest = || Checkpoint::open(copy.path()).unwrap().digest().to_owned();
    let before = digest();
    copy.write("README.md", "# another card");
    assert_eq!(digest(), before);
    copy.json("tokenizer_config.json", |t| t["model_max_length"] = json!(100));
    let after = digest();
    assert_ne!(after, before);
    copy.tensors(|n, d, s, mut b| {
        b[0] ^= 1;
        Some((n.to_owned(), d, s, b))
    });
    assert_ne!(digest(), after);
}

#[test]
fn a_template_that_names_a_token_which_is_not_there_is_refused() {
    let copy = Copy::of("bert/fp32");
    copy.json("tokenizer.json", |t| {
        t["post_processor"]["special_tokens"] = json!({})
    });
    let error = Checkpoint::open(copy.path()).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
    assert!(error.contains("token that it does not define"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever a file holds, opening the directory answers and does not panic.
    #[test]
    fn damage_anywhere_is_no_panic(
        which in 0_usize..4,
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        truncate in any::<bool>(),
    ) {
        let copy = Copy::of("bert/fp32");
        let name = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"][which];
        let mut bytes = copy.read(name);
        // The first bytes of the weights are the interesting ones: the rest is numbers.
        let reach = bytes.len().min(6000);
        bytes[at.index(reach)] = byte;
        if truncate {
            bytes.truncate(cut.index(reach));
        }
        copy.write(name, bytes);
        let _ = Checkpoint::open(copy.path());
    }
}
