//! Prints how fast each stage goes over a text of about 4 MB, ordinary and hostile, with a given tokenizer:
//! `cargo run --release -p mednerd-pipeline --example throughput -- TOKENIZER.json [TEXT]`.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::Instant;

use mednerd_pipeline::{
    Aggregation, LabelScheme, Logits, OffsetMap, OffsetUnit, TextTokenizer, decode, stitch, windows,
};

const BYTES: usize = 4_000_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let tokenizer = std::fs::read(arguments.next().unwrap()).unwrap();
    let tokenizer = TextTokenizer::new(tokenizers::Tokenizer::from_bytes(tokenizer).unwrap()).unwrap();
    let note = arguments.next().map(|path| std::fs::read_to_string(path).unwrap()).unwrap_or_else(|| {
        "Assessment: 67 y/o M w/ type 2 diabetes mellitus, on metformin 500 mg b.i.d. Denies chest pain.\n".into()
    });
    for (name, text) in [
        ("note", note.as_str()),
        ("one word", "a"),
        ("spaces", " "),
        ("lines", "\n"),
        ("marks", "e\u{301}"),
        ("marks only", "\u{301}"),
        ("full stops", "."),
        ("sentences", "A. "),
        ("emoji", "\u{1F9B4}"),
        ("special", "[SEP]<mask>"),
    ] {
        measure(name, &tokenizer, &text.repeat(BYTES.div_ceil(text.len())));
    }
}

fn measure(name: &str, tokenizer: &TextTokenizer, text: &str) {
    let scheme =
        LabelScheme::from_labels(&["O", "B-DISEASE", "I-DISEASE", "B-CHEMICAL", "I-CHEMICAL"]).unwrap();
    let megabytes = text.len() as f64 / 1e6;
    let mut stages = Vec::new();
    let mut started = Instant::now();
    let mut lap = |stage: &str| {
        stages.push(format!(
            "{stage} {:.1}",
            megabytes / started.elapsed().as_secs_f64()
        ));
        started = Instant::now();
    };
    let tokens = tokenizer.tokenise(text).unwrap();
    lap("tokenise");
    let windows = windows(text, &tokens, 510, 128).unwrap();
    lap("windows");
    let random = |token: usize| {
        (0..5).map(move |class| ((token * 5 + class) as u32).wrapping_mul(2_654_435_761) as f32 / 1e9)
    };
    let part = |range: std::ops::Range<usize>| Logits::new(5, range.flat_map(random).collect()).unwrap();
    let parts: Vec<Logits> = windows.iter().map(|window| part(window.tokens.clone())).collect();
    lap("(logits)");
    let probabilities = stitch(5, &windows, parts).unwrap().softmax().unwrap();
    lap("stitch+softmax");
    let spans = decode(text, &tokens, &probabilities, &scheme, Aggregation::Average).unwrap();
    lap("decode");
    let map = OffsetMap::new(text);
    let sum: usize = spans
        .iter()
        .map(|span| map.convert(span.end, OffsetUnit::Utf16CodeUnit))
        .sum();
    lap("offsets");
    println!(
        "{name}: {} tokens, {} windows, {} spans ({sum}); MB/s: {}",
        tokens.len(),
        windows.len(),
        spans.len(),
        stages.join(", ")
    );
}
