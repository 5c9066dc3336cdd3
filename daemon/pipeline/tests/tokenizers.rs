//! Tokenizers of every model family, from the committed checkpoints of `tests/fixtures/make_goldens.py`: the reference's
//! ids, spans that hold every letter, and a long text in pieces as in one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use mednerd_pipeline::{TextTokenizer, Tokens};
use serde_json::Value;
use tokenizers::Tokenizer;

/// Every checkpoint with a `tokenizer.json`: its folder, tokenizer and golden cases.
fn all() -> Vec<(PathBuf, Tokenizer, Vec<Value>)> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let mut found = Vec::new();
    for family in fs::read_dir(fixtures).unwrap() {
        let Ok(variants) = fs::read_dir(family.unwrap().path()) else {
            continue;
        };
        for variant in variants {
            let dir = variant.unwrap().path();
            // Zero-shot models put words and labels into sequences of their own.
            if dir.parent().is_some_and(|family| family.ends_with("gliner")) {
                continue;
            }
            let file = |name: &str| fs::read(dir.join(name));
            let (Ok(tokenizer), Ok(golden)) = (file("tokenizer.json"), file("golden.json")) else {
                continue;
            };
            let golden: Value = serde_json::from_slice(&golden).unwrap();
            let cases = golden["cases"].as_array().unwrap().clone();
            found.push((dir, Tokenizer::from_bytes(tokenizer).unwrap(), cases));
        }
    }
    assert!(found.len() > 15, "only {} fixtures", found.len());
    found
}

fn text(case: &Value) -> &str {
    case["text"].as_str().unwrap()
}

#[test]
fn ids_are_those_of_the_reference_and_no_letter_is_lost() {
    for (dir, raw, cases) in all() {
        let tokenizer = TextTokenizer::new(raw).unwrap();
        for case in &cases {
            let text = text(case);
            let tokens = tokenizer.tokenise(text).unwrap();
            let ids = tokenizer.sequence(tokens.ids()).ids;
            let want = case["ids"].as_array().unwrap().iter();
            let want: Vec<u32> = want.map(|id| id.as_u64().unwrap() as u32).collect();
            assert_eq!(ids, want, "{}: {text:?}", dir.display());
            for (at, c) in text.char_indices().filter(|(_, c)| c.is_alphanumeric()) {
                let covered = tokens.spans().iter().any(|span| span.range().contains(&at));
                assert!(covered, "{}: {c:?} of {text:?}", dir.display());
            }
        }
    }
}

#[test]
fn a_long_text_gives_the_ids_of_the_library() {
    for (dir, raw, cases) in all() {
        let tokenizer = TextTokenizer::new(raw.clone()).unwrap();
        let seams = ["\n", " ", "  ", "", "\r\n", ". ", "\t", "\n\n  "];
        let mut long = String::new();
        while long.len() < 100_000 {
            for case in &cases {
                long.push_str(text(case));
                long.push_str(seams[long.len() % seams.len()]);
            }
        }
        let whole = raw.encode(long.as_str(), true).unwrap();
        let tokens: Tokens = tokenizer.tokenise(&long).unwrap();
        let ids = tokenizer.sequence(tokens.ids()).ids;
        let differ = std::iter::zip(&ids, whole.get_ids()).position(|(a, b)| a != b);
        let place = differ.map(|at| {
            let (begin, end) = whole.get_offsets()[at];
            &long[long.floor_char_boundary(begin.saturating_sub(20))..long.ceil_char_boundary(end + 20)]
        });
        assert_eq!(differ, None, "{}: {place:?}", dir.display());
        assert_eq!(ids.len(), whole.len(), "{}", dir.display());
    }
}
