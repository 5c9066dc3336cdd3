//! Scores and times of a GLiNER, for `tests/bench/zero_shot.py`: `gliner_bench DIR` loads the checkpoint; then every JSON line on
//! standard input gets one. `ids` are a sequence's tokens, `first` the words' first tokens, `labels` either the positions of
//! the labels' vectors or, for a label encoder, each label's tokens; `repeat` says how often to run it. Of the times the text
//! encoder's part is told too.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::{BufRead, stdin};
use std::path::Path;
use std::time::Instant;

use mednerd_engine_tract::{Asked, GlinerModel, LabelSet};
use mednerd_model::Checkpoint;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).ok_or("usage: gliner_bench DIR")?;
    let model = GlinerModel::load(&Checkpoint::open(Path::new(&dir))?)?;
    println!("{}", json!({ "weights": model.memory_bytes() }));
    for line in stdin().lock().lines() {
        let wanted: Value = serde_json::from_str(&line?)?;
        let list = |value: &Value| serde_json::from_value::<Vec<u32>>(value.clone());
        let (ids, first) = (list(&wanted["ids"])?, list(&wanted["first"])?);
        let (mut places, mut set, mut label_ms) = (Vec::new(), None, 0.0);
        if model.encodes_labels() {
            let begun = Instant::now();
            let mut vectors = Vec::new();
            for label in serde_json::from_value::<Vec<Vec<u32>>>(wanted["labels"].clone())? {
                vectors.push(model.encode_label(&label)?);
            }
            let vectors: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
            set = Some(model.label_set(&vectors)?);
            label_ms = begun.elapsed().as_secs_f64() * 1e3;
        } else {
            places = list(&wanted["labels"])?;
        }
        let asked = set.as_ref().map_or(Asked::At(&places), Asked::Encoded);
        let (mut scores, mut times, mut encoder) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..wanted["repeat"].as_u64().unwrap_or(1) {
            let begun = Instant::now();
            let states = model.states(&ids, &GlinerModel::read(&first, asked))?;
            encoder.push(begun.elapsed().as_secs_f64() * 1e3);
            scores = model.score(&states, &first, asked)?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        // Null stands for stretches beyond the last word.
        let count = set.as_ref().map_or(places.len(), LabelSet::len);
        let beyond = |place: usize| {
            let stretch = place / count.max(1);
            let width = model.max_width();
            width.is_some_and(|width| stretch / width + stretch % width >= first.len())
        };
        let told = scores.iter().enumerate();
        let told: Vec<Option<f32>> = told.map(|(at, score)| (!beyond(at)).then_some(*score)).collect();
        let told = if wanted["quiet"] == true { Vec::new() } else { told };
        println!(
            "{}",
            json!({ "scores": told, "ms": times, "encoder_ms": encoder, "label_ms": label_ms })
        );
    }
    Ok(())
}
