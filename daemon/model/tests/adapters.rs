//! Task adapters: what is read from the ones `peft` made, and damaged, contradictory and foreign ones, made from those:
//! each is refused with a message that names the file, what is wrong in it and what was expected.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use mednerd_model::{Adapter, Checkpoint, ModelError};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

const QUERY: &str = "base_model.model.bert.encoder.layer.0.attention.self.query";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

fn base() -> Checkpoint {
    Checkpoint::open(&fixtures().join("bert/fp32")).unwrap()
}

/// A copy of an adapter for BERT, to be changed.
struct Copy(TempDir);

impl Copy {
    fn of(variant: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(fixtures().join("adapters/bert").join(variant)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self, key: &str, value: Value) {
        let path = self.path("adapter_config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config[key] = value;
        fs::write(path, config.to_string()).unwrap();
    }

    /// Writes the weights anew, as [`rewrite`] does.
    fn tensors(
        &self,
        change: impl Fn(&str, &[usize]) -> Option<(String, Vec<usize>)>,
        more: &[(&str, &[usize])],
    ) {
        rewrite(&self.path("adapter_model.safetensors"), change, more);
    }

    fn rename(&self, from: &str, to: &str) {
        self.tensors(|name, shape| Some((name.replace(from, to), shape.to_vec())), &[]);
    }

    fn open(&self) -> Result<Adapter, ModelError> {
        Adapter::open(self.0.path(), &base())
    }

    /// Opening fails, and the message has all these parts.
    #[track_caller]
    fn refused(&self, parts: &[&str]) {
        let message = self
            .open()
            .map(|a| a.digest().to_owned())
            .unwrap_err()
            .to_string();
        for part in parts {
            assert!(message.contains(part), "no {part:?} in: {message}");
        }
    }
}

/// Writes a file of weights anew, each tensor under the name and with the rows and columns that `change` gives it, in
/// zeros where the shape is another; `None` drops it. `more` are added.
fn rewrite(
    path: &Path,
    change: impl Fn(&str, &[usize]) -> Option<(String, Vec<usize>)>,
    more: &[(&str, &[usize])],
) {
    let file = fs::read(path).unwrap();
    let start = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Map<String, Value> = serde_json::from_slice(&file[8..start]).unwrap();
    let (mut changed, mut data) = (Map::new(), Vec::new());
    let mut add = |name: String, shape: Vec<usize>, mut bytes: Vec<u8>| {
        bytes.resize(shape.iter().product::<usize>() * 4, 0);
        let offsets = [data.len(), data.len() + bytes.len()];
        data.extend(bytes);
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": offsets});
        changed.insert(name, entry);
    };
    for (name, tensor) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        let offset = |index: usize| start + tensor["data_offsets"][index].as_u64().unwrap() as usize;
        let shape: Vec<usize> = serde_json::from_value(tensor["shape"].clone()).unwrap();
        if let Some((name, shape)) = change(name, &shape) {
            add(name, shape, file[offset(0)..offset(1)].to_vec());
        }
    }
    for (name, shape) in more {
        add((*name).to_owned(), shape.to_vec(), Vec::new());
    }
    let header = Value::Object(changed).to_string().into_bytes();
    let file = [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat();
    fs::write(path, file).unwrap();
}

#[test]
fn an_adapter_says_what_it_is() {
    let adapter = Copy::of("lora").open().unwrap();
    assert_eq!(adapter.labels(), base().labels());
    // Two layers, query and value, rank 4 on width 30; the head of 5 labels.
    assert_eq!(adapter.parameters(), 2 * 2 * 4 * (30 + 30) + 5 * 30 + 5);
    assert!(
        adapter.replaces("classifier.weight") && !adapter.replaces("bert.embeddings.word_embeddings.weight")
    );
    let linears = base().architecture().layers[0].attention.qkv.clone();
    let query = adapter.low_rank(&linears[0]).unwrap().unwrap();
    assert_eq!((query.rank, query.down.len(), query.up.len()), (4, 120, 120));
    assert_eq!(adapter.low_rank(&linears[1]).unwrap(), None);

    let genes = Copy::of("dora");
    fs::write(genes.path("README.md"), "---\nlicense: mit\nlanguage: de\n---\n").unwrap();
    let genes = genes.open().unwrap();
    assert_eq!(genes.labels().len(), 7);
    assert_eq!(genes.architecture().head.classifier.outputs, 7);
    assert_eq!(
        (genes.languages(), genes.license()),
        (&["de".to_owned()][..], Some("mit"))
    );
    assert_ne!(genes.digest(), adapter.digest());
}

#[test]
fn ranks_and_scales_are_those_of_the_first_pattern() {
    let copy = Copy::of("lora");
    let query = base().architecture().layers[0].attention.qkv[0].clone();
    let up = |copy: &Copy| copy.open().unwrap().low_rank(&query).unwrap().unwrap().up;
    let plain = up(&copy);
    let scaled = |factor: f32| plain.iter().map(|v| v * factor).collect::<Vec<f32>>();
    let close = |a: Vec<f32>, b: Vec<f32>| a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs());
    copy.config("use_rslora", json!(true));
    assert!(close(up(&copy), scaled(2.0)), "6 / sqrt(4) beside 6 / 4");
    copy.config("use_rslora", json!(false));
    // As the file orders them, which is not their alphabet.
    let path = copy.path("adapter_config.json");
    let text = fs::read_to_string(&path).unwrap();
    let order = |first: &str, second: &str| {
        assert!(text.contains("\"alpha_pattern\":{}"));
        fs::write(
            &path,
            text.replace(
                "\"alpha_pattern\":{}",
                &format!("\"alpha_pattern\":{{{first},{second}}}"),
            ),
        )
        .unwrap();
    };
    order("\"self.query\": 12", "\"query\": 3");
    assert!(close(up(&copy), scaled(2.0)));
    order("\"query\": 3", "\"a|self.query\": 12");
    assert!(close(up(&copy), scaled(0.5)));
}

#[test]
fn older_names_are_read() {
    let copy = Copy::of("lora");
    copy.rename("model.classifier.", "model.classifier.modules_to_save.");
    assert!(copy.open().unwrap().replaces("classifier.bias"));
    let copy = Copy::of("lora");
    copy.rename("model.classifier.", "model.classifier.modules_to_save.default.");
    assert!(copy.open().unwrap().replaces("classifier.weight"));
    let copy = Copy::of("dora");
    copy.rename("lora_magnitude_vector", "lora_magnitude_vector.weight");
    copy.open().unwrap();
}

#[test]
fn files_that_are_missing_or_damaged() {
    for (name, advice) in [
        ("adapter_config.json", "save_pretrained"),
        ("adapter_model.safetensors", "Copy"),
    ] {
        let copy = Copy::of("lora");
        fs::remove_file(copy.path(name)).unwrap();
        copy.refused(&[name, "missing", advice]);
    }
    let copy = Copy::of("lora");
    fs::rename(
        copy.path("adapter_model.safetensors"),
        copy.path("adapter_model.bin"),
    )
    .unwrap();
    copy.refused(&["adapter_model.bin", "pickle", "save_file"]);
    let copy = Copy::of("lora");
    let file = fs::read(copy.path("adapter_model.safetensors")).unwrap();
    fs::write(copy.path("adapter_model.safetensors"), &file[..file.len() - 4]).unwrap();
    copy.refused(&["adapter_model.safetensors", "copy it again"]);
    let copy = Copy::of("lora");
    fs::write(copy.path("adapter_config.json"), "{\"r\": 4, \"r\": 8}").unwrap();
    copy.refused(&["adapter_config.json", "\"r\" is there twice"]);
}

#[test]
fn configurations_that_ask_for_something_else() {
    for (key, value, part) in [
        ("peft_type", json!("LOHA"), "\"LORA\""),
        ("peft_type", json!(null), "\"LORA\""),
        ("task_type", json!("SEQ_CLS"), "TOKEN_CLS"),
        ("r", json!(0), "1 to 65536"),
        ("lora_alpha", json!("6"), "a number"),
        ("bias", json!("some"), "lora_only"),
        ("fan_in_fan_out", json!(true), "false"),
        (
            "init_lora_weights",
            json!("pissa_niter_4"),
            "path_initial_model_for_weight_conversion",
        ),
        (
            "init_lora_weights",
            json!("loftq"),
            "path_initial_model_for_weight_conversion",
        ),
        ("init_lora_weights", json!("new"), "gaussian"),
        ("target_modules", json!(null), "a list"),
        ("target_modules", json!([3]), "names"),
        ("target_modules", json!("(query"), "a pattern"),
        ("rank_pattern", json!({"query": -1}), "a number"),
        ("rank_pattern", json!({"(": 4}), "a pattern"),
        ("layers_to_transform", json!("all"), "the number of a layer"),
        ("layer_replication", json!([[0, 2]]), "merge_and_unload"),
        ("trainable_token_indices", json!([1, 2]), "merge_and_unload"),
        ("target_parameters", json!(["x"]), "merge_and_unload"),
        ("alora_invocation_tokens", json!([5]), "merge_and_unload"),
        ("use_qalora", json!(true), "merge_and_unload"),
        ("megatron_config", json!({"a": 1}), "merge_and_unload"),
        ("from_the_future", json!(0.5), "merge_and_unload"),
    ] {
        let copy = Copy::of("lora");
        copy.config(key, value);
        copy.refused(&["adapter_config.json", key, part]);
    }
    let copy = Copy::of("lora");
    copy.config("from_the_future", json!(null));
    copy.config("init_lora_weights", json!("gaussian"));
    copy.open().unwrap();
    let copy = Copy::of("dora");
    copy.config("lora_bias", json!(true));
    copy.refused(&["lora_bias", "use_dora"]);
}

#[test]
fn a_pattern_cannot_take_for_ever() {
    let copy = Copy::of("lora");
    copy.config(
        "target_modules",
        json!(r"(?:(?=a*)[a-z.]*)*(?:(?=a*)[a-z.0-9]*)*\1?(?!x)z(q)"),
    );
    assert!(copy.open().is_err());
}

#[test]
fn tensors_that_do_not_fit_the_configuration() {
    let copy = Copy::of("lora");
    copy.config("r", json!(5));
    copy.refused(&[
        "adapter_model.safetensors",
        "lora_A.weight",
        "[4, 30]",
        "[5, 30]",
        "rank 5",
    ]);
    let copy = Copy::of("lora");
    copy.config("use_dora", json!(true));
    copy.refused(&["lora_magnitude_vector", "is missing"]);
    let copy = Copy::of("dora");
    copy.config("use_dora", json!(false));
    copy.refused(&["lora_magnitude_vector", "does not ask for it"]);
    let copy = Copy::of("lora");
    copy.config("target_modules", json!(["query", "key", "value"]));
    copy.refused(&["self.key.lora_A.weight", "is missing", "target_modules"]);
    let copy = Copy::of("lora");
    copy.config("target_modules", json!(["query"]));
    copy.refused(&["self.value.lora_A.weight", "does not adapt this module"]);
    let copy = Copy::of("lora");
    copy.config("target_modules", json!(["query", "value", "word_embeddings"]));
    copy.refused(&["bert.embeddings.word_embeddings", "no linear layer"]);
    let copy = Copy::of("lora");
    copy.config("modules_to_save", json!(["classifier", "intermediate.dense"]));
    copy.refused(&["layer.0.intermediate.dense.bias", "is missing", "modules_to_save"]);
    let copy = Copy::of("lora");
    copy.config("bias", json!("lora_only"));
    copy.refused(&["bias", "is missing"]);
    let copy = Copy::of("lora");
    copy.tensors(
        |name, shape| (!name.ends_with("classifier.bias")).then(|| (name.to_owned(), shape.to_vec())),
        &[],
    );
    copy.refused(&["classifier.bias", "is missing"]);
    let copy = Copy::of("lora");
    let transposed = |name: &str, shape: &[usize]| {
        let turn = name.ends_with("lora_B.weight");
        Some((
            name.to_owned(),
            if turn {
                shape.iter().rev().copied().collect()
            } else {
                shape.to_vec()
            },
        ))
    };
    copy.tensors(transposed, &[]);
    copy.refused(&["lora_B.weight", "[4, 30]", "[30, 4]"]);
    for (extra, part) in [
        ("query.lora_A.weight", "begins with"),
        ("base_model.model.bert.pooler.dense.weight", "no such tensor"),
        (
            "base_model.model.bert.pooler.dense.lora_A.weight",
            "no such module",
        ),
        (
            "base_model.model.bert.embeddings.word_embeddings.lora_embedding_A",
            "does not adapt",
        ),
        (&format!("{QUERY}.lora_C.weight"), "does not ask for it"),
        (&format!("{QUERY}.weight"), "base_layer"),
    ] {
        let copy = Copy::of("lora");
        copy.tensors(
            |name, shape| Some((name.to_owned(), shape.to_vec())),
            &[(extra, &[4, 30])],
        );
        copy.refused(&["adapter_model.safetensors", extra, part]);
    }
}

#[test]
fn adapters_of_another_base() {
    // By shape: layers of another width.
    let message = Adapter::open(&fixtures().join("adapters/bert/lora"), &{
        Checkpoint::open(&fixtures().join("bert/bf16")).unwrap()
    });
    assert!(message.is_ok(), "the same sizes in another precision fit");
    let roberta = Checkpoint::open(&fixtures().join("roberta/fp32")).unwrap();
    let message = Adapter::open(&fixtures().join("adapters/bert/lora"), &roberta).unwrap_err();
    assert!(message.to_string().contains("is missing"), "{message}");
    let copy = Copy::of("lora");
    copy.tensors(
        |name, shape| {
            Some((
                name.to_owned(),
                shape.iter().map(|n| if *n == 30 { 32 } else { *n }).collect(),
            ))
        },
        &[],
    );
    copy.refused(&["has shape [5, 32]", "[5, 30]", "another base"]);
    // By digest.
    let copy = Copy::of("lora");
    let says = |value: Value| fs::write(copy.path("config.json"), value.to_string()).unwrap();
    says(json!({"mednerd": {"base_digest": "0".repeat(64)}}));
    copy.refused(&["config.json", "mednerd.base_digest", base().digest()]);
    says(json!({"mednerd": {"base_digest": "12"}}));
    copy.refused(&["64 hexadecimal digits"]);
    says(json!({"mednerd": {"base_digest": base().digest()}}));
    copy.open().unwrap();
    // By family and by name.
    says(json!({"model_type": "roberta"}));
    copy.refused(&["config.json", "model_type", "\"bert\""]);
    says(json!({}));
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("tiny-base");
    fs::create_dir(&named).unwrap();
    for entry in fs::read_dir(fixtures().join("bert/fp32")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), named.join(entry.file_name())).unwrap();
    }
    let config = fs::read_to_string(named.join("config.json")).unwrap();
    let config = config.replacen('{', "{\"_name_or_path\": \"clinic/other\",", 1);
    fs::write(named.join("config.json"), config).unwrap();
    let named = Checkpoint::open(&named).unwrap();
    let open = || Adapter::open(copy.0.path(), &named);
    let message = open().unwrap_err().to_string();
    for part in ["base_model_name_or_path", "clinic/other", "tests/tiny-bert"] {
        assert!(message.contains(part), "{message}");
    }
    // The folder bears the name: what the file says is the name of what it was trained from.
    for name in [
        "Clinic/Other",
        "/srv/models/bert",
        "./bert",
        "bert",
        "clinic/Tiny-Base",
    ] {
        copy.config("base_model_name_or_path", json!(name));
        open().unwrap();
    }
}

/// Longformer's files have projections for global attention, of which a token classifier has none: `all-linear` adapts them too.
#[test]
fn what_adapts_modules_that_compute_nothing_is_taken() {
    let base = Checkpoint::open(&fixtures().join("longformer/fp32")).unwrap();
    let width = base.architecture().layers[0].attention.qkv[0].outputs;
    let labels = base.labels().len();
    let copy = Copy::of("lora");
    let idle = "base_model.model.longformer.encoder.layer.0.attention.self.query_global";
    let more = [
        (format!("{idle}.lora_A.weight"), [4, width]),
        (format!("{idle}.lora_B.weight"), [width, 4]),
    ];
    let more: Vec<(&str, &[usize])> = more.iter().map(|(name, shape)| (&**name, &shape[..])).collect();
    let fitted = |name: &str, shape: &[usize]| {
        let sizes = shape.iter().map(|size| match *size {
            30 => width,
            5 => labels,
            size => size,
        });
        Some((name.replace(".bert.", ".longformer."), sizes.collect()))
    };
    copy.tensors(fitted, &more);
    let adapter = Adapter::open(copy.0.path(), &base).unwrap();
    let wanted = 2 * 2 * 4 * (width + width) + labels * width + labels;
    assert_eq!(adapter.parameters(), wanted as u64);
}

#[test]
fn labels_that_the_head_does_not_have() {
    let copy = Copy::of("lora-fp16");
    fs::remove_file(copy.path("config.json")).unwrap();
    copy.refused(&["config.json", "id2label", "7 outputs", "save_pretrained"]);
    fs::write(
        copy.path("config.json"),
        json!({"id2label": {"0": "O", "1": "B-X"}}).to_string(),
    )
    .unwrap();
    copy.refused(&["config.json", "2 labels", "7 outputs"]);
    let copy = Copy::of("lora-no-head");
    fs::write(
        copy.path("config.json"),
        json!({"id2label": {"0": "O", "1": "B-X"}}).to_string(),
    )
    .unwrap();
    copy.refused(&["config.json", "differs from the base's", "B-Disease"]);
}

#[test]
fn weights_that_are_not_finite_are_found_when_read() {
    let copy = Copy::of("lora");
    let path = copy.path("adapter_model.safetensors");
    let mut file = fs::read(&path).unwrap();
    let end = file.len();
    for value in file[end - 4 * 4 * 30..].chunks_exact_mut(4) {
        value.copy_from_slice(&f32::NAN.to_le_bytes());
    }
    fs::write(path, file).unwrap();
    let adapter = copy.open().unwrap();
    let architecture = base().architecture().clone();
    let linears = architecture.layers.iter().flat_map(|layer| &layer.attention.qkv);
    let found = linears
        .filter_map(|linear| adapter.low_rank(linear).err())
        .count();
    let classifier = adapter.read("classifier.weight", &[5, 30]);
    assert!(found > 0 || classifier.is_err());
}

/// The base of `masked/modernbert`, its tensors changed.
fn masked(change: impl Fn(&str, &[usize]) -> Option<(String, Vec<usize>)>) -> (TempDir, Checkpoint) {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixtures().join("masked/modernbert/base")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    rewrite(&dir.path().join("model.safetensors"), change, &[]);
    let base = Checkpoint::open_base(dir.path()).unwrap();
    (dir, base)
}

#[test]
fn what_a_head_for_masked_tokens_has_of_a_head_for_labels_is_taken() {
    let same = |name: &str, shape: &[usize]| Some((name.to_owned(), shape.to_vec()));
    let lora = fixtures().join("masked/modernbert/lora");
    let (_dir, base) = masked(same);
    assert!(base.headless() && base.weights().contains("head.dense.weight"));
    let adapter = Adapter::open(&lora, &base).unwrap();
    assert_eq!(adapter.labels().len(), 7);
    assert!(adapter.replaces("classifier.weight") && !adapter.replaces("head.dense.weight"));
    let on_head = Adapter::open(&fixtures().join("masked/modernbert/lora-on-head"), &base).unwrap();
    let dense = on_head.architecture().head.dense.clone().unwrap().linear;
    assert_eq!(on_head.low_rank(&dense).unwrap().unwrap().rank, 2);
    assert_eq!(adapter.low_rank(&dense).unwrap(), None);

    for part in ["head.dense", "head.norm"] {
        let (dir, base) = masked(|name, shape| same(name, shape).filter(|_| !name.starts_with(part)));
        let message = Adapter::open(&lora, &base).unwrap_err().to_string();
        let folder = dir.path().display().to_string();
        for wanted in [format!("\"{part}.weight\""), format!("\"{part}\""), folder] {
            assert!(message.contains(&wanted), "no {wanted} in: {message}");
        }
    }
    let (_dir, base) = masked(|name, shape| match name {
        "head.dense.weight" => same(name, &[shape[0], 7]),
        _ => same(name, shape),
    });
    let message = Adapter::open(&lora, &base).unwrap_err().to_string();
    assert!(
        message.contains("head.dense.weight") && message.contains("[24, 7]"),
        "{message}"
    );
}
