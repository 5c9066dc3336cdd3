//! The committed checkpoints of `tests/fixtures/make_goldens.py`: ids and offsets of every tokenizer, read from
//! `tokenizer.json` or built from vocabulary files, against the reference.

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenizers::Encoding;

use super::*;
use crate::families;

const FAMILIES: [&str; 10] = [
    "bert",
    "electra",
    "distilbert",
    "roberta",
    "longformer",
    "xlm-roberta",
    "camembert",
    "deberta-v2",
    "modernbert",
    "eurobert",
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

fn open(dir: &Path) -> Result<Tokenizer, ModelError> {
    let path = dir.join("config.json");
    let config = Object::parse(&path, &fs::read(&path).unwrap()).unwrap();
    let rows = config.get("vocab_size").unwrap().as_u64().unwrap() as usize;
    TokenizerFiles::read(dir)?.tokenizer(families::find(&config)?, Some(&config), rows)
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
    for family in FAMILIES {
        for entry in fs::read_dir(fixtures().join(family)).unwrap() {
            let dir = entry.unwrap().path();
            let tokenizer = open(&dir).unwrap();
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
struct Copy(TempDir);

impl Copy {
    fn of(fixture: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(fixtures().join(fixture)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        Self(dir)
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
        open(self.0.path())
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
        ("camembert/bf16-vocab-only", "sentencepiece.bpe.model"),
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
    // What no file calls special is looked for when the text has been normalised, so that the space is a token.
    let tokens = |tokenizer: &Tokenizer| tokenizer.encode(" [MASK]", false).unwrap().get_tokens().to_vec();
    assert_eq!(tokens(&tokenizer), ["\u{2581}", "[MASK]"]);
    copy.write("special_tokens_map.json", r#"{"mask_token": "[MASK]"}"#);
    assert_eq!(tokens(&copy.open().unwrap()), ["[MASK]"]);
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
    // And names further ones; what is named so is special where another file gives its id, and no word of a note is taken for it.
    let extra = r#"{"mask_token": "[MASK]", "additional_special_tokens": ["[SITE]"]}"#;
    copy.write("special_tokens_map.json", extra);
    let tokenizer = copy.open().unwrap();
    assert_eq!(
        tokenizer.encode("a[SITE]", false).unwrap().get_ids().last(),
        Some(&301)
    );
    copy.write("added_tokens.json", r#"{"[MASK]": 300, "[SITE]": 301}"#);
    let listed = copy.open().unwrap().get_added_tokens_decoder()[&301].clone();
    assert!(listed.special && !listed.normalized);
}

/// A `TemplateProcessing` with these tokens around a text.
fn template(before: &str, first: u32, behind: &str, last: u32) -> Value {
    let special = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let defined = |token: &str, id: u32| json!({"id": token, "ids": [id], "tokens": [token]});
    let single = [
        special(before),
        json!({"Sequence": {"id": "A", "type_id": 0}}),
        special(behind),
    ];
    json!({
        "type": "TemplateProcessing", "single": single, "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {before: defined(before, first), behind: defined(behind, last)},
    })
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
    // As RoBERTa's own tokenizer puts the special tokens around a text, and as one that was trained by itself does.
    for other in [false, true] {
        if other {
            copy.json("tokenizer.json", |t| {
                t["post_processor"] = template("<s>", 0, "</s>", 2)
            });
        }
        assert!(first(json!({"tokenizer_class": "TokenizersBackend"})).starts_with('\u{120}'));
        assert!(first(json!({"add_prefix_space": true})).starts_with('\u{120}'));
        assert!(!first(json!({})).starts_with('\u{120}'));
    }
}

/// What `AutoTokenizer` of `transformers` 5.23 makes of each: the class by itself, that of `config.json`, the family's.
#[test]
fn the_class_is_the_one_that_the_reference_takes() {
    let copy = Copy::of("bert/fp32");
    copy.json("tokenizer.json", |t| t["normalizer"]["lowercase"] = json!(false));
    for (family, of_tokenizer, of_model, lowers) in [
        ("bert", None, None, true),
        ("bert", None, Some("PreTrainedTokenizerFast"), false),
        ("bert", Some(""), Some("PreTrainedTokenizerFast"), false),
        (
            "bert",
            Some("BertTokenizer"),
            Some("PreTrainedTokenizerFast"),
            true,
        ),
        ("bert", Some("TokenizersBackend"), Some("BertTokenizer"), false),
        ("bert", Some("ElectraTokenizerFast"), None, true),
        ("bert", Some("ConvBertTokenizer"), None, false),
        ("bert", Some("NobodysTokenizer"), None, false),
        ("electra", None, None, true),
        ("distilbert", None, None, true),
        ("modernbert", None, None, false),
        ("modernbert", Some("BertTokenizer"), None, false),
        ("modernbert", None, Some("BertTokenizer"), false),
        ("eurobert", None, None, false),
        ("eurobert", Some("PreTrainedTokenizerFast"), None, false),
        ("eurobert", Some("BertTokenizerFast"), None, true),
        ("eurobert", None, Some("BertTokenizer"), true),
        ("camembert", Some("BertTokenizer"), None, true),
    ] {
        copy.json("config.json", |config| {
            config["model_type"] = json!(family);
            config["tokenizer_class"] = json!(of_model);
        });
        copy.json("tokenizer_config.json", |config| {
            *config = json!({"tokenizer_class": of_tokenizer});
        });
        let tokenizer = copy.open().unwrap();
        let fever = tokenizer.encode("FEVER", false).unwrap().get_tokens().to_vec();
        let place = format!("{family} {of_tokenizer:?} {of_model:?}");
        assert_eq!(fever == ["fever"], lowers, "{place}: {fever:?}");
    }
    // These split texts in Python and never read tokenizer.json.
    for name in ["BertJapaneseTokenizer", "PhobertTokenizer", "BertTokenizerLegacy"] {
        let copy = Copy::of("bert/fp32");
        copy.json("tokenizer_config.json", |config| {
            config["tokenizer_class"] = json!(name)
        });
        copy.refused(&["tokenizer_config.json", "tokenizer_class", name, "in Python"]);
    }
}

/// Beside a GLiNER's tokenizer there is no `config.json`: no family's class fills in for one that is not named.
#[test]
fn without_a_model_beside_it_tokenizer_json_stands() {
    let copy = Copy::of("bert/fp32");
    copy.json("tokenizer.json", |t| t["normalizer"]["lowercase"] = json!(false));
    for (family, class, lowers) in [
        ("bert", None, false),
        ("bert", Some("BertTokenizer"), true),
        ("modernbert", Some("BertTokenizer"), true),
        ("bert", Some("PreTrainedTokenizerFast"), false),
    ] {
        copy.write(
            "tokenizer_config.json",
            json!({"tokenizer_class": class}).to_string(),
        );
        let file = copy.0.path().join("config.json");
        let config = json!({"model_type": family}).to_string();
        let family = families::find(&Object::parse(&file, config.as_bytes()).unwrap()).unwrap();
        let files = TokenizerFiles::read(copy.0.path()).unwrap();
        let tokenizer = files.tokenizer(family, None, usize::MAX).unwrap();
        let fever = tokenizer.encode("FEVER", false).unwrap().get_tokens().to_vec();
        assert_eq!(fever == ["fever"], lowers, "{} {class:?}", family.name);
    }
}

#[test]
fn vocabulary_files_of_another_class_are_refused() {
    let opened = |fixture: &str, of_tokenizer: Option<&str>, of_model: Option<&str>| {
        let copy = Copy::of(fixture);
        copy.json("tokenizer_config.json", |config| {
            config["tokenizer_class"] = json!(of_tokenizer);
        });
        copy.json("config.json", |config| {
            config["tokenizer_class"] = json!(of_model)
        });
        copy.open().map_err(|error| error.to_string())
    };
    for (fixture, class) in [
        ("bert/vocab-only", "BertTokenizerFast"),
        ("bert/vocab-only", "DistilBertTokenizer"),
        ("bert/vocab-only", "ConvBertTokenizer"),
        ("electra/vocab-only", "ElectraTokenizerFast"),
        ("roberta/bf16-vocab-only", "LongformerTokenizerFast"),
        ("xlm-roberta/bf16-vocab-only", "XLMRobertaTokenizer"),
        ("camembert/bf16-vocab-only", "CamembertTokenizerFast"),
        ("deberta-v2/c2p-only", "DebertaV2TokenizerFast"),
    ] {
        for (own, model) in [(Some(class), None), (None, Some(class)), (None, None)] {
            let opened = opened(fixture, own, model);
            assert!(opened.is_ok(), "{fixture} {own:?} {model:?}: {opened:?}");
        }
    }
    for (fixture, class) in [
        ("bert/vocab-only", "BertJapaneseTokenizer"),
        ("bert/vocab-only", "MPNetTokenizer"),
        ("electra/vocab-only", "BertJapaneseTokenizer"),
        ("roberta/bf16-vocab-only", "PhobertTokenizer"),
        ("roberta/bf16-vocab-only", "GPT2TokenizerFast"),
        ("xlm-roberta/bf16-vocab-only", "MBartTokenizer"),
        ("camembert/bf16-vocab-only", "XLMRobertaTokenizer"),
        ("deberta-v2/c2p-only", "DebertaTokenizer"),
    ] {
        for (own, model, file) in [
            (Some(class), None, "tokenizer_config.json"),
            (None, Some(class), "/config.json"),
        ] {
            let message = opened(fixture, own, model).unwrap_err();
            let named = message.contains(file) && message.contains("tokenizer_class");
            assert!(named && message.contains(class), "{fixture} {class}: {message}");
        }
    }
    // The first that names one counts.
    let japanese = Some("BertJapaneseTokenizer");
    assert!(opened("bert/vocab-only", Some("BertTokenizer"), japanese).is_ok());
    // These read tokenizer.json alone, which was not copied.
    for class in ["PreTrainedTokenizerFast", "TokenizersBackend"] {
        let message = opened("bert/vocab-only", Some(class), None).unwrap_err();
        assert!(message.contains("tokenizer.json is missing"), "{message}");
    }
    for key in ["word_tokenizer_type", "subword_tokenizer_type"] {
        let copy = Copy::of("bert/vocab-only");
        copy.json("tokenizer_config.json", |config| {
            config["tokenizer_class"] = Value::Null;
            config[key] = json!("mecab");
        });
        copy.refused(&["tokenizer_config.json", key, "mecab"]);
    }
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
