//! The committed checkpoints of `tests/fixtures/make_goldens.py`: ids and offsets of every tokenizer, read from
//! `tokenizer.json` or built from vocabulary files, against the reference.

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenizers::Encoding;

use super::*;

type Build = fn(&TokenizerFiles) -> Result<Tokenizer, ModelError>;

const FAMILIES: [(&str, Build); 10] = [
    ("bert", bert_wordpiece),
    ("electra", bert_wordpiece),
    ("distilbert", bert_wordpiece),
    ("roberta", byte_level_bpe),
    ("longformer", byte_level_bpe),
    ("xlm-roberta", xlm_roberta_unigram),
    ("camembert", only_json),
    ("deberta-v2", deberta_unigram),
    ("modernbert", only_json),
    ("eurobert", only_json),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

fn open(dir: &Path, build: Build) -> Result<Tokenizer, ModelError> {
    let config = fs::read(dir.join("config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let rows = config["vocab_size"].as_u64().unwrap() as usize;
    TokenizerFiles::read(dir)?.tokenizer(build, rows)
}

fn numbers(value: &Value) -> Vec<u64> {
    let list = value.as_array().unwrap();
    list.iter().map(|n| n.as_u64().unwrap()).collect()
}

fn pairs(value: &Value) -> Vec<(usize, usize)> {
    let pairs = value.as_array().unwrap().iter().map(numbers);
    pairs.map(|pair| (pair[0] as usize, pair[1] as usize)).collect()
}

fn offsets(encoding: &Encoding) -> Vec<(usize, usize)> {
    encoding.get_offsets().to_vec()
}

#[test]
fn ids_and_offsets_equal_the_reference() {
    for (family, build) in FAMILIES {
        for entry in fs::read_dir(fixtures().join(family)).unwrap() {
            let dir = entry.unwrap().path();
            let tokenizer = open(&dir, build).unwrap();
            let golden = fs::read(dir.join("golden.json")).unwrap();
            let golden: Value = serde_json::from_slice(&golden).unwrap();
            for case in golden["cases"].as_array().unwrap() {
                let text = case["text"].as_str().unwrap();
                let place = format!("{}: {text:?}", dir.display());
                let bytes = tokenizer.encode(text, true).unwrap();
                let ids: Vec<u64> = bytes.get_ids().iter().map(|id| u64::from(*id)).collect();
                assert_eq!(ids, numbers(&case["ids"]), "{place}");
                let points = tokenizer.encode_char_offsets(text, true).unwrap();
                assert_eq!(offsets(&points), pairs(&case["code_points"]), "{place}");
                // Bytes of one character that became tokens of their own have no place in code points.
                for (got, want) in offsets(&bytes).into_iter().zip(pairs(&case["bytes"])) {
                    let whole = [got.0, got.1].iter().all(|at| text.is_char_boundary(*at));
                    assert!(!whole || got == want, "{place}: {got:?} {want:?}");
                }
            }
        }
    }
}

/// A copy of a fixture, to be damaged.
struct Copy(TempDir, Build);

impl Copy {
    fn of(fixture: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(fixtures().join(fixture)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        let family = fixture.split('/').next().unwrap();
        let (_, build) = FAMILIES.into_iter().find(|(name, _)| *name == family).unwrap();
        Self(dir, build)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.0.path().join(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path().join(name)).unwrap()
    }

    fn json(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut value: Value = serde_json::from_slice(&self.read(name)).unwrap();
        change(&mut value);
        self.write(name, value.to_string());
    }

    fn open(&self) -> Result<Tokenizer, ModelError> {
        open(self.0.path(), self.1)
    }

    #[track_caller]
    fn refused(&self, parts: &[&str]) {
        let message = self.open().unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
    }
}

#[test]
fn damaged_byte_level_vocabularies_name_the_file() {
    const FIXTURE: &str = "roberta/bf16-vocab-only";
    let merges = |text: &str, parts: &[&str]| {
        let copy = Copy::of(FIXTURE);
        copy.write("merges.txt", text);
        copy.refused(&[&["merges.txt"], parts].concat());
    };
    merges("#version: 0.2\na b c\n", &["line 2", "two tokens"]);
    merges("#version: 0.2\nalone\n", &["line 2", "two tokens"]);
    merges("a zq\n", &["line 1", "not in vocab.json"]);
    // Both parts are known, but not what they make.
    merges("! !\n", &["line 1", "not in vocab.json"]);
    let copy = Copy::of(FIXTURE);
    copy.write("merges.txt", b"\xff\xfe");
    copy.refused(&["merges.txt", "not a tokenizer"]);
    fs::remove_file(copy.0.path().join("merges.txt")).unwrap();
    copy.refused(&["vocab.json with merges.txt is missing"]);

    for (value, part) in [
        (json!(-1), "an id from 0"),
        (json!("7"), "an id from 0"),
        (json!(1_u64 << 32), "an id"),
    ] {
        let copy = Copy::of(FIXTURE);
        copy.json("vocab.json", |vocab| vocab["!"] = value);
        copy.refused(&["vocab.json", "\"!\"", part]);
    }
    let copy = Copy::of(FIXTURE);
    copy.json("vocab.json", |vocab| vocab["new"] = json!(100_000));
    copy.refused(&["vocab.json", "\"new\"", "100000"]);
    let copy = Copy::of(FIXTURE);
    copy.json("vocab.json", |vocab| {
        vocab.as_object_mut().unwrap().remove("</s>");
    });
    copy.refused(&["\"</s>\""]);
    let copy = Copy::of(FIXTURE);
    copy.json("tokenizer_config.json", |config| {
        config["added_tokens_decoder"]["9"] = json!({"content": "<mask>", "special": true});
    });
    copy.refused(&["tokenizer_config.json", "added_tokens_decoder", "<mask>"]);
}

#[test]
fn damaged_sentencepiece_models_name_the_file() {
    for (fixture, name) in [
        ("xlm-roberta/bf16-vocab-only", "sentencepiece.bpe.model"),
        ("deberta-v2/c2p-only", "spm.model"),
    ] {
        let copy = Copy::of(fixture);
        let good = copy.read(name);
        copy.write(name, &good[..good.len() - 3]);
        copy.refused(&[name, "not a complete SentencePiece model"]);
        copy.write(name, b"");
        copy.refused(&[name]);
        fs::remove_file(copy.0.path().join(name)).unwrap();
        copy.refused(&[name, "is missing"]);
    }
    // Fairseq's ids would be wrong for a model with other first pieces.
    let copy = Copy::of("xlm-roberta/bf16-vocab-only");
    let other = fs::read(fixtures().join("deberta-v2/c2p-only/spm.model")).unwrap();
    copy.write("sentencepiece.bpe.model", other);
    copy.refused(&["sentencepiece.bpe.model", "first pieces"]);
    // DeBERTa's special tokens are pieces; another model lacks them.
    let copy = Copy::of("deberta-v2/c2p-only");
    let other = fs::read(fixtures().join("xlm-roberta/bf16-vocab-only/sentencepiece.bpe.model")).unwrap();
    copy.write("spm.model", other);
    copy.refused(&["spm.model", "[CLS]", "not in the vocabulary"]);
}

#[test]
fn tokens_listed_the_old_way_are_added() {
    let copy = Copy::of("deberta-v2/v3-bf16-sharded");
    copy.write("added_tokens.json", r#"{"[MASK]": 300, "[SITE]": 301}"#);
    let tokenizer = copy.open().unwrap();
    assert_eq!(
        tokenizer.encode("a[SITE]", false).unwrap().get_ids().last(),
        Some(&301)
    );
    copy.write("added_tokens.json", r#"{"[MASK]": 305}"#);
    copy.refused(&["added_tokens.json", "[MASK]", "305"]);
    copy.write("added_tokens.json", r#"{"[MASK]": "300"}"#);
    copy.refused(&["added_tokens.json", "[MASK]", "an id"]);
    // Beside it, special_tokens_map.json says how a token is looked for.
    copy.write("added_tokens.json", r#"{"[MASK]": 300}"#);
    copy.write(
        "special_tokens_map.json",
        r#"{"mask_token": {"content": "[MASK]", "lstrip": true}}"#,
    );
    let listed = copy.open().unwrap().get_added_tokens_decoder()[&300].clone();
    assert!(listed.special && !listed.lstrip);
    fs::remove_file(copy.0.path().join("added_tokens.json")).unwrap();
    assert!(copy.open().unwrap().get_added_tokens_decoder()[&300].lstrip);
}

/// As `transformers` 4 and 5 do: the class decides, and a key that is absent has the class's default.
#[test]
fn the_class_wins_over_tokenizer_json() {
    let copy = Copy::of("bert/fp32");
    copy.json("tokenizer.json", |t| t["normalizer"]["lowercase"] = json!(false));
    let lowers = |config: Value| {
        copy.write("tokenizer_config.json", config.to_string());
        let tokens = copy.open().unwrap();
        let tokens = tokens.encode("FEVER", false).unwrap().get_tokens().to_vec();
        tokens == ["fever"]
    };
    assert!(lowers(json!({"model_max_length": 112})));
    assert!(lowers(json!({"tokenizer_class": "DistilBertTokenizerFast"})));
    assert!(!lowers(
        json!({"tokenizer_class": "BertTokenizer", "do_lower_case": false})
    ));
    assert!(!lowers(
        json!({"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": true})
    ));

    let copy = Copy::of("roberta/fp32");
    let first = |config: Value| {
        copy.write("tokenizer_config.json", config.to_string());
        copy.open().unwrap().encode("fever", false).unwrap().get_tokens()[0].clone()
    };
    assert!(first(json!({"tokenizer_class": "TokenizersBackend"})).starts_with('\u{120}'));
    assert!(first(json!({"add_prefix_space": true})).starts_with('\u{120}'));
    assert!(!first(json!({})).starts_with('\u{120}'));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Whatever a vocabulary file holds, building answers and does not panic.
    #[test]
    fn damage_anywhere_is_no_panic(
        which in 0_usize..4,
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        truncate in any::<bool>(),
    ) {
        let (fixture, name) = [
            ("roberta/bf16-vocab-only", "vocab.json"),
            ("roberta/bf16-vocab-only", "merges.txt"),
            ("xlm-roberta/bf16-vocab-only", "sentencepiece.bpe.model"),
            ("deberta-v2/c2p-only", "spm.model"),
        ][which];
        let copy = Copy::of(fixture);
        let mut bytes = copy.read(name);
        let reach = bytes.len();
        bytes[at.index(reach)] = byte;
        if truncate {
            bytes.truncate(cut.index(reach));
        }
        copy.write(name, bytes);
        let _ = copy.open();
    }
}
