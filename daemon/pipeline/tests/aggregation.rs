//! Decoding against the Hugging Face pipeline, case by case, from `tests/fixtures/aggregation/goldens.json`;
//! the script beside that file says how it was made and what each field is. `MEDNERD_AGGREGATION_GOLDENS`
//! names another file, such as one of many more cases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::HashMap;
use std::path::PathBuf;

use mednerd_pipeline::{Aggregation, LabelScheme, Logits, OffsetMap, OffsetUnit, TextTokenizer, decode};
use serde::Deserialize;
use tokenizers::Tokenizer;

/// Label, begin and end in code points, score.
type Found = (String, usize, usize, f32);

#[derive(Deserialize)]
struct Goldens {
    schemes: Vec<Vec<String>>,
    tokenizers: HashMap<String, GoldenTokenizer>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct GoldenTokenizer {
    unknown: String,
    json: String,
}

#[derive(Deserialize)]
struct Case {
    tokenizer: String,
    labels: usize,
    text: String,
    seed: u64,
    tokens: usize,
    hf: HashMap<String, Vec<Found>>,
    expected: HashMap<String, Vec<Found>>,
}

const STRATEGIES: [(&str, Aggregation); 4] = [
    ("simple", Aggregation::Simple),
    ("first", Aggregation::First),
    ("average", Aggregation::Average),
    ("max", Aggregation::Max),
];

fn goldens() -> Goldens {
    let default = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/aggregation/goldens.json"
    );
    let path = std::env::var_os("MEDNERD_AGGREGATION_GOLDENS").map_or(default.into(), PathBuf::from);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn tokenizers(goldens: &Goldens) -> HashMap<&str, TextTokenizer> {
    let make = |golden: &GoldenTokenizer| {
        let tokenizer: Tokenizer = golden.json.parse().unwrap();
        let unknown = tokenizer.token_to_id(&golden.unknown);
        let tokenizer = TextTokenizer::new(tokenizer).unwrap();
        assert_eq!(tokenizer.unknown_token(), unknown);
        tokenizer
    };
    goldens
        .tokenizers
        .iter()
        .map(|(name, golden)| (name.as_str(), make(golden)))
        .collect()
}

/// <https://prng.di.unimi.it/splitmix64.c>, public domain.
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The script's `logits`.
fn logits(seed: u64, rows: usize, classes: usize) -> Logits {
    let mut state = seed;
    let mut values: Vec<f32> = Vec::new();
    for row in 0..rows {
        let repeat = splitmix64(&mut state).is_multiple_of(3);
        let drawn: Vec<f32> = (0..classes)
            .map(|_| ((splitmix64(&mut state) >> 41) as f32 - (1 << 22) as f32) / (1 << 20) as f32)
            .collect();
        match values.last_chunk::<1>() {
            Some(_) if repeat => values.extend_from_within((row - 1) * classes..),
            _ => values.extend(drawn),
        }
    }
    Logits::new(classes, values).unwrap()
}

fn answers(
    case: &Case,
    tokenizer: &TextTokenizer,
    scheme: &LabelScheme,
    strategy: Aggregation,
) -> Vec<Found> {
    let tokens = tokenizer.tokenise(&case.text).unwrap();
    assert_eq!(tokens.len(), case.tokens, "{:?}", case.text);
    let probabilities = logits(case.seed, tokens.len(), scheme.len()).softmax().unwrap();
    let map = OffsetMap::new(&case.text);
    let points = |byte| map.convert(byte, OffsetUnit::UnicodeCodePoint);
    decode(&case.text, &tokens, &probabilities, scheme, strategy)
        .unwrap()
        .into_iter()
        .map(|span| {
            (
                span.label.to_string(),
                points(span.begin),
                points(span.end),
                span.score,
            )
        })
        .collect()
}

fn same(left: &[Found], right: &[Found]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|(left, right)| {
            (&left.0, left.1, left.2) == (&right.0, right.1, right.2) && (left.3 - right.3).abs() < 1e-5
        })
}

#[test]
fn answers_are_the_librarys_or_the_documented_ones() {
    let goldens = goldens();
    let tokenizers = tokenizers(&goldens);
    let schemes: Vec<LabelScheme> = goldens
        .schemes
        .iter()
        .map(|labels| LabelScheme::from_labels(labels).unwrap())
        .collect();
    let (mut compared, mut entities, mut wrong) = (0, 0, Vec::new());
    for (index, case) in goldens.cases.iter().enumerate() {
        for (name, strategy) in STRATEGIES {
            let expected = case.expected.get(name).unwrap_or(&case.hf[name]);
            let found = answers(
                case,
                &tokenizers[case.tokenizer.as_str()],
                &schemes[case.labels],
                strategy,
            );
            compared += 1;
            entities += found.len();
            if !same(&found, expected) {
                wrong.push(format!(
                    "case {index} {name} {} {:?}\n  found    {found:?}\n  expected {expected:?}",
                    case.tokenizer, case.text
                ));
            }
        }
    }
    println!(
        "{compared} answers with {entities} entities compared, {} wrong",
        wrong.len()
    );
    assert!(
        wrong.is_empty(),
        "{} of {compared}:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(8)].join("\n")
    );
}

/// Text of which the library makes nothing odd but spans with white space at their ends or a shared
/// character.
fn is_plain(case: &Case, pieces_marked: bool) -> bool {
    case.text
        .chars()
        .all(|c| c == ' ' || c.is_ascii_graphic() || (pieces_marked && c.is_alphabetic()))
        && !case.text.contains('<')
}

fn settled(text: &str, found: &[Found]) -> Vec<Found> {
    let text: Vec<char> = text.chars().collect();
    let mut last = 0;
    let mut out = Vec::new();
    for (label, begin, end, score) in found {
        let Some(slice) = text.get(last.max(*begin)..*end) else {
            continue;
        };
        let begin = end - slice.len() + slice.iter().take_while(|c| c.is_whitespace()).count();
        let end = end - slice.iter().rev().take_while(|c| c.is_whitespace()).count();
        if begin < end {
            out.push((label.clone(), begin, end, *score));
            last = end;
        }
    }
    out
}

/// Keeps the script honest: on plain text nothing is "documented", the answers are the library's, trimmed.
#[test]
fn plain_text_is_decoded_as_the_library_does() {
    let goldens = goldens();
    let tokenizers = tokenizers(&goldens);
    let mut plain = HashMap::<&str, usize>::new();
    for case in &goldens.cases {
        let tokenizer = &tokenizers[case.tokenizer.as_str()];
        let labels = &goldens.schemes[case.labels];
        if !is_plain(case, tokenizer.marks_continuation()) || labels.iter().any(|label| label == "DRUG-NAME")
        {
            continue;
        }
        *plain.entry(&case.tokenizer).or_default() += 1;
        for (name, strategy) in STRATEGIES {
            let found = answers(
                case,
                tokenizer,
                &LabelScheme::from_labels(labels).unwrap(),
                strategy,
            );
            let hf = settled(&case.text, &case.hf[name]);
            assert!(
                same(&found, &hf),
                "{name} {:?}\n  found {found:?}\n  hf    {hf:?}",
                case.text
            );
        }
    }
    assert!(
        plain.len() == goldens.tokenizers.len() && plain.values().all(|&cases| cases > 5),
        "{plain:?}"
    );
}

/// Each documented difference is there in the goldens, so none of them goes untested.
#[test]
fn every_documented_difference_is_covered() {
    let goldens = goldens();
    let differs = |wanted: &dyn Fn(&Case, &str) -> bool| {
        goldens
            .cases
            .iter()
            .any(|case| case.expected.keys().any(|strategy| wanted(case, strategy)))
    };
    let plain_scheme = |case: &Case| {
        goldens.schemes[case.labels]
            .iter()
            .all(|label| label != "DRUG-NAME")
    };
    assert!(differs(&|case, _| !plain_scheme(case)), "hyphenated label");
    let bert = |case: &Case| case.tokenizer.starts_with("bert") && plain_scheme(case);
    assert!(
        differs(&|case, strategy| bert(case) && strategy == "simple"),
        "marks"
    );
    let words = |case: &Case, strategy: &str| strategy != "simple" && !case.expected.contains_key("simple");
    assert!(
        differs(&|case, strategy| bert(case) && words(case, strategy)),
        "words by length"
    );
    let bytes = |case: &Case| case.tokenizer == "byte-level" && plain_scheme(case);
    let lines = |case: &Case| case.text.contains('\n') && case.text.is_ascii();
    assert!(
        differs(&|case, strategy| bytes(case) && lines(case) && strategy != "simple"),
        "words over lines"
    );
    assert!(
        differs(&|case, strategy| bytes(case) && !case.text.is_ascii() && strategy == "simple"),
        "shared"
    );
}
