//! A model that is loaded and ready: tokenizer, labels and engine.
//! From a text to its spans in three calls: [`Model::prepare`], [`Model::forward`] for each window,
//! [`Model::decode`].

use std::path::PathBuf;

use jiff::Timestamp;
use mednerd_engine_tract::{Options, TractModel};
use mednerd_model::Checkpoint;
use mednerd_pipeline::{
    Aggregation, LabelScheme, Logits, Span, TextTokenizer, Tokens, Window, decode, stitch, windows,
};

use crate::app::now;

/// What the self-check computes; also the first thing that a freshly loaded model sees.
const PROBE: &str = "Metformin 500 mg was started for type 2 diabetes mellitus.";

/// Tokens that neighbouring windows share where the context is large enough.
const OVERLAP: usize = 64;

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The directory is not a checkpoint that can be used; names the file.
    #[error(transparent)]
    Checkpoint(Box<mednerd_model::ModelError>),
    /// Its labels, its tokenizer, the engine or the first sentence say that it does not work.
    #[error("{}: {source}", path.display())]
    Unusable {
        /// The checkpoint directory.
        path: PathBuf,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<mednerd_model::ModelError> for LoadError {
    fn from(error: mednerd_model::ModelError) -> Self {
        Self::Checkpoint(Box::new(error))
    }
}

/// Which stage failed on a text, without any of the text.
#[derive(Debug, thiserror::Error)]
#[error("{stage}: {message}")]
pub struct StageError {
    /// `tokeniser`, `windows`, `engine` or `decoder`.
    pub stage: &'static str,
    /// The stage's own words; these never quote the text.
    pub message: String,
}

fn failed<E: std::fmt::Display>(stage: &'static str) -> impl Fn(E) -> StageError {
    move |error| StageError {
        stage,
        message: error.to_string(),
    }
}

/// A loaded model. Shared by all workers.
pub struct Model {
    /// What it is, for `GET /v1/models`.
    pub facts: Facts,
    tokenizer: TextTokenizer,
    scheme: LabelScheme,
    engine: TractModel,
    /// What the engine said to [`PROBE`] when the model was loaded.
    expected: Logits,
}

/// What a model is.
#[derive(Clone, Debug)]
pub struct Facts {
    /// SHA-256 over its files.
    pub digest: String,
    /// The encoder family.
    pub family: &'static str,
    /// Entity types.
    pub labels: Vec<String>,
    /// Tokens in a window, special tokens included.
    pub context: usize,
    /// Number of parameters.
    pub parameters: u64,
    /// From the model card.
    pub languages: Vec<String>,
    /// From the model card.
    pub license: Option<String>,
    /// What its weights take in memory.
    pub memory_bytes: u64,
    /// When it was loaded.
    pub loaded_at: Timestamp,
}

/// A text cut into the windows of one model.
pub struct Prepared {
    tokens: Tokens,
    windows: Vec<Window>,
}

impl Prepared {
    /// How many windows there are; none for a text without tokens.
    pub fn windows(&self) -> usize {
        self.windows.len()
    }

    /// How many tokens the text has.
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }
}

impl Model {
    /// Lowers a checkpoint and runs one sentence through it.
    ///
    /// # Errors
    /// [`LoadError`], which names the file.
    pub fn load(checkpoint: &Checkpoint) -> Result<Self, LoadError> {
        Self::lower(checkpoint).map_err(|source| LoadError::Unusable {
            path: checkpoint.dir().to_owned(),
            source,
        })
    }

    fn lower(checkpoint: &Checkpoint) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let scheme = LabelScheme::from_labels(checkpoint.labels())?;
        let tokenizer = TextTokenizer::new(checkpoint.tokenizer().clone())?;
        let engine = TractModel::load(checkpoint, &Options::default())?;
        let mut model = Self {
            facts: Facts {
                digest: checkpoint.digest().to_owned(),
                family: checkpoint.family(),
                labels: scheme.entity_types().iter().map(ToString::to_string).collect(),
                context: checkpoint.context(),
                parameters: checkpoint.parameters(),
                languages: checkpoint.languages().to_vec(),
                license: checkpoint.license().map(ToOwned::to_owned),
                memory_bytes: engine.memory_bytes() as u64,
                loaded_at: now(),
            },
            expected: Logits::new(scheme.len(), Vec::new())?,
            tokenizer,
            scheme,
            engine,
        };
        model.expected = model.probe()?;
        Ok(model)
    }

    /// Tokenises a text and cuts it into windows.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn prepare(&self, text: &str) -> Result<Prepared, StageError> {
        let tokens = self.tokenizer.tokenise(text).map_err(failed("tokeniser"))?;
        let capacity = self.facts.context.saturating_sub(self.tokenizer.special_count());
        let windows =
            windows(text, &tokens, capacity, OVERLAP.min(capacity / 4)).map_err(failed("windows"))?;
        Ok(Prepared { tokens, windows })
    }

    /// The logits of one window, without its special tokens.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn forward(&self, prepared: &Prepared, window: usize) -> Result<Logits, StageError> {
        let ids = prepared
            .windows
            .get(window)
            .and_then(|window| prepared.tokens.ids().get(window.tokens.clone()))
            .ok_or("no such window")
            .map_err(failed("windows"))?;
        let sequence = self.tokenizer.sequence(ids);
        let values = self.engine.forward(&sequence.ids).map_err(failed("engine"))?;
        Logits::new(self.scheme.len(), values)
            .and_then(|logits| {
                logits.without_specials(self.tokenizer.prefix().len(), self.tokenizer.suffix().len())
            })
            .map_err(failed("engine"))
    }

    /// The entities of a text from the logits of all its windows, in order.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn decode(
        &self,
        text: &str,
        prepared: &Prepared,
        parts: &[&Logits],
        aggregation: Aggregation,
    ) -> Result<Vec<Span>, StageError> {
        let probabilities = stitch(self.scheme.len(), &prepared.windows, parts.iter().copied())
            .and_then(Logits::softmax)
            .map_err(failed("decoder"))?;
        decode(text, &prepared.tokens, &probabilities, &self.scheme, aggregation).map_err(failed("decoder"))
    }

    /// Computes the probe sentence again and compares it bit for bit with what it was at load.
    ///
    /// # Errors
    /// [`StageError`] where it fails or differs: then memory, processor or code is broken.
    pub fn self_check(&self) -> Result<(), StageError> {
        if self.probe()?.values() == self.expected.values() {
            Ok(())
        } else {
            Err(failed("engine")(
                "the self-check sentence no longer gives the logits it gave at load",
            ))
        }
    }

    fn probe(&self) -> Result<Logits, StageError> {
        self.forward(&self.prepare(PROBE)?, 0)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    fn open(path: &Path) -> Model {
        Model::load(&Checkpoint::open(path).unwrap()).unwrap()
    }

    /// Checkpoints and answers of the Python reference, made by tests/fixtures/make_goldens.py.
    const CHECKPOINTS: [&str; 4] = ["fp32", "bf16", "fp16-sharded", "vocab-only"];

    #[test]
    fn the_entities_are_those_of_the_reference_pipeline() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bert");
        let mut compared = 0;
        for name in CHECKPOINTS {
            let model = open(&folder.join(name));
            let golden = std::fs::read(folder.join(name).join("golden.json")).unwrap();
            let golden: Value = serde_json::from_slice(&golden).unwrap();
            // The other cases are there for their tokens.
            for case in golden["cases"].as_array().unwrap() {
                let Some(expected) = case["entities"].as_array() else {
                    continue;
                };
                let text = case["text"].as_str().unwrap();
                let prepared = model.prepare(text).unwrap();
                let parts: Vec<Logits> = (0..prepared.windows())
                    .map(|window| model.forward(&prepared, window).unwrap())
                    .collect();
                let parts: Vec<&Logits> = parts.iter().collect();
                let spans = model
                    .decode(text, &prepared, &parts, Aggregation::Simple)
                    .unwrap();
                let places = |span: &Span| (span.label.to_string(), span.begin as u64, span.end as u64);
                let wanted = |entity: &Value| {
                    let label = entity["label"].as_str().unwrap().to_owned();
                    (
                        label,
                        entity["begin"].as_u64().unwrap(),
                        entity["end"].as_u64().unwrap(),
                    )
                };
                assert_eq!(
                    spans.iter().map(places).collect::<Vec<_>>(),
                    expected.iter().map(wanted).collect::<Vec<_>>(),
                    "{name}: {text:?}"
                );
                for (span, entity) in spans.iter().zip(expected) {
                    let score = entity["score"].as_f64().unwrap();
                    assert!((f64::from(span.score) - score).abs() < 1e-4, "{name}: {text:?}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 50, "only {compared} entities in the goldens");
    }

    #[test]
    fn a_model_whose_answer_changes_fails_its_self_check() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bert/fp32");
        let mut model = open(&folder);
        model.self_check().unwrap();
        let mut values = model.expected.values().to_vec();
        values[0] = f32::from_bits(values[0].to_bits() ^ 1);
        model.expected = Logits::new(model.expected.classes(), values).unwrap();
        assert!(model.self_check().is_err());
    }
}
