//! Answers like the Python reference, for `tests/bench/parity.py` and `random_models.py`: `parity DIR [ADAPTER]` opens the checkpoint, with a
//! task adapter over it, and prints one JSON line about it; then every JSON line on standard input gets one. A list of
//! token ids gets their logits; a text gets its ids, offsets, logits and, by each strategy, entities, with places in code points.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::{BufRead, stdin};
use std::path::Path;

use mednerd_engine_tract::{Options, TractModel};
use mednerd_model::{Adapter, Checkpoint};
use mednerd_pipeline::{Aggregation, LabelScheme, Logits, OffsetMap, OffsetUnit, TextTokenizer, decode};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const STRATEGIES: [(&str, Aggregation); 4] = [
    ("simple", Aggregation::Simple),
    ("first", Aggregation::First),
    ("average", Aggregation::Average),
    ("max", Aggregation::Max),
];

struct Model {
    checkpoint: Checkpoint,
    tokenizer: TextTokenizer,
    scheme: LabelScheme,
    engine: TractModel,
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let model = match arguments.as_slice() {
        [dir] => Model::open(Path::new(dir), None)?,
        [dir, adapter] => Model::open(Path::new(dir), Some(Path::new(adapter)))?,
        _ => return Err("usage: parity DIR [ADAPTER]".into()),
    };
    println!(
        "{}",
        json!({
            "family": model.checkpoint.family(),
            "parameters": model.checkpoint.parameters(),
            "context": model.checkpoint.context(),
        })
    );
    for line in stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?)? {
            Value::String(text) => model.read(&text)?,
            ids => json!({ "logits": model.engine.forward(&serde_json::from_value::<Vec<u32>>(ids)?)? }),
        };
        println!("{answer}");
    }
    Ok(())
}

impl Model {
    fn open(dir: &Path, adapter: Option<&Path>) -> Outcome<Self> {
        let checkpoint = match adapter {
            None => Checkpoint::open(dir)?,
            Some(_) => Checkpoint::open_base(dir)?,
        };
        let base = TractModel::load(&checkpoint, &Options::default())?;
        let (engine, scheme) = match adapter {
            None => (base, LabelScheme::from_labels(checkpoint.labels())?),
            Some(dir) => {
                let adapter = Adapter::open(dir, &checkpoint)?;
                let scheme = LabelScheme::from_labels(adapter.labels())?;
                (base.adapt(&checkpoint, &adapter)?, scheme)
            }
        };
        Ok(Self {
            tokenizer: TextTokenizer::new(checkpoint.tokenizer().clone())?,
            checkpoint,
            scheme,
            engine,
        })
    }

    /// What comes of a text in one window. One that is longer gets ids and offsets only.
    fn read(&self, text: &str) -> Outcome<Value> {
        let encoding = self.checkpoint.tokenizer().encode_char_offsets(text, true)?;
        let mut answer = json!({ "ids": encoding.get_ids(), "offsets": encoding.get_offsets() });
        let tokens = self.tokenizer.tokenise(text)?;
        let sequence = self.tokenizer.sequence(tokens.ids());
        answer["same"] = (sequence.ids == encoding.get_ids()).into();
        if sequence.ids.len() > self.checkpoint.context() {
            return Ok(answer);
        }
        let logits = Logits::new(self.scheme.len(), self.engine.forward(&sequence.ids)?)?;
        answer["logits"] = logits.values().into();
        let (before, after) = (self.tokenizer.prefix().len(), self.tokenizer.suffix().len());
        let probabilities = logits.without_specials(before, after)?.softmax()?;
        let map = OffsetMap::new(text);
        let place = |byte| map.convert(byte, OffsetUnit::UnicodeCodePoint);
        for (name, aggregation) in STRATEGIES {
            let spans = decode(text, &tokens, &probabilities, &self.scheme, aggregation)?;
            let entities = spans
                .iter()
                .map(|span| json!([*span.label, place(span.begin), place(span.end), span.score]));
            answer["entities"][name] = entities.collect();
        }
        Ok(answer)
    }
}
