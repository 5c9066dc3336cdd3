//! The committed checkpoints of `tests/fixtures/make_goldens.py`: ids and offsets of every tokenizer, read from
//! `tokenizer.json` or built from vocabulary files, against the reference.

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenizers::Encoding;

use super::*;

type Build = fn(&TokenizerFiles) -> Result<Tokenizer, ModelError>;

const FAMILIES: [(&str, Build); 9] = [
    ("bert", bert_wordpiece),
    ("electra", bert_wordpiece),
    ("distilbert", bert_wordpiece),
    ("roberta", byte_level_bpe),
    ("longformer", byte_level_bpe),
    ("xlm-roberta", xlm_roberta_unigram),
    ("deberta-v2", deberta_unigram),
    ("modernbert", byte_level_bpe),
    ("eurobert", byte_level_bpe),
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
