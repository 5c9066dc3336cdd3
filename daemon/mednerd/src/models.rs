//! Models that are loaded and ready: tokenizer, labels and engine. From a text to its spans in three calls:
//! [`Model::prepare`], [`Model::forward`] for each window, [`Model::decode`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use mednerd_engine_tract::{self as engine, TractModel};
use mednerd_model::{Adapter, Checkpoint};
use mednerd_pipeline::{
    Aggregation, LabelScheme, Logits, Span, TextTokenizer, Tokens, Window, decode, stitch, windows,
};

use crate::app::now;
use crate::config::Precision;

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

/// A loaded model: a checkpoint with its own head, or a task adapter over one. Shared by all workers.
pub struct Model {
    /// What it is, for `GET /v1/models`.
    pub facts: Facts,
    reader: Arc<Reader>,
    scheme: LabelScheme,
    engine: TractModel,
    /// What the engine said to [`PROBE`] when the model was loaded.
    expected: Logits,
}

/// A loaded checkpoint, over which task adapters can be loaded.
pub struct Base {
    checkpoint: Checkpoint,
    reader: Arc<Reader>,
    engine: TractModel,
    /// The precision that it was asked to compute in.
    pub asked: Precision,
    /// The checkpoint as a model of its own; `None` where it has no head.
    pub model: Option<Arc<Model>>,
    /// What it is, head or not.
    pub facts: Facts,
}

/// How a text becomes windows of token ids; the same for a base and all adapters over it.
struct Reader {
    tokenizer: TextTokenizer,
    context: usize,
}

/// What a model is.
#[derive(Clone, Debug)]
pub struct Facts {
    /// SHA-256 over its files.
    pub digest: String,
    /// The encoder family.
    pub family: &'static str,
    /// Entity types; none for a base without a head.
    pub labels: Vec<String>,
    /// Tokens in a window, special tokens included.
    pub context: usize,
    /// Number of parameters; for an adapter, its own.
    pub parameters: u64,
    /// From the model card.
    pub languages: Vec<String>,
    /// From the model card.
    pub license: Option<String>,
    /// What it computes in.
    pub precision: &'static str,
    /// What its weights take in memory; for an adapter, on top of its base's.
    pub memory_bytes: u64,
    /// When it was loaded.
    pub loaded_at: Timestamp,
}

/// A text cut into the windows of one base.
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

type Unusable = Box<dyn std::error::Error + Send + Sync>;

impl Base {
    /// Lowers a checkpoint to the precision asked for and, where it has a head, runs one sentence through it.
    ///
    /// # Errors
    /// [`LoadError`], which names the file.
    pub fn load(checkpoint: Checkpoint, asked: Precision) -> Result<Self, LoadError> {
        let path = checkpoint.dir().to_owned();
        Self::lower(checkpoint, asked).map_err(|source| LoadError::Unusable { path, source })
    }

    fn lower(checkpoint: Checkpoint, asked: Precision) -> Result<Self, Unusable> {
        let reader = Arc::new(Reader {
            tokenizer: TextTokenizer::new(checkpoint.tokenizer().clone())?,
            context: checkpoint.context(),
        });
        let precision = match asked {
            Precision::Fp32 => engine::Precision::Fp32,
            Precision::Int8 => engine::Precision::Int8,
            Precision::Auto => engine::Precision::Auto,
        };
        let engine = TractModel::load(&checkpoint, &engine::Options { precision })?;
        let mut facts = Facts {
            digest: checkpoint.digest().to_owned(),
            family: checkpoint.family(),
            labels: Vec::new(),
            context: checkpoint.context(),
            parameters: checkpoint.parameters(),
            languages: checkpoint.languages().to_vec(),
            license: checkpoint.license().map(ToOwned::to_owned),
            precision: engine.precision().name(),
            memory_bytes: engine.memory_bytes() as u64,
            loaded_at: now(),
        };
        let mut model = None;
        if !checkpoint.headless() {
            let loaded = Model::new(
                facts.clone(),
                Arc::clone(&reader),
                checkpoint.labels(),
                engine.clone(),
            )?;
            facts.labels.clone_from(&loaded.facts.labels);
            model = Some(Arc::new(loaded));
        }
        Ok(Self {
            checkpoint,
            reader,
            engine,
            asked,
            model,
            facts,
        })
    }

    /// Opens an adapter's directory and checks that it fits this base. [`adapt`](Self::adapt) loads it.
    ///
    /// # Errors
    /// [`LoadError`], which names the file.
    pub fn open_adapter(&self, dir: &Path) -> Result<Adapter, LoadError> {
        Ok(Adapter::open(dir, &self.checkpoint)?)
    }

    /// Lowers an adapter over this base and runs one sentence through it. The base's weights are shared.
    ///
    /// # Errors
    /// [`LoadError`], which names the file.
    pub fn adapt(&self, adapter: &Adapter) -> Result<Model, LoadError> {
        self.lower_adapter(adapter).map_err(|source| LoadError::Unusable {
            path: adapter.dir().to_owned(),
            source,
        })
    }

    fn lower_adapter(&self, adapter: &Adapter) -> Result<Model, Unusable> {
        let engine = self.engine.adapt(&self.checkpoint, adapter)?;
        let facts = Facts {
            digest: adapter.digest().to_owned(),
            family: self.facts.family,
            labels: Vec::new(),
            context: self.facts.context,
            parameters: adapter.parameters(),
            languages: adapter.languages().to_vec(),
            license: adapter.license().map(ToOwned::to_owned),
            precision: engine.precision().name(),
            memory_bytes: engine.memory_bytes() as u64,
            loaded_at: now(),
        };
        Model::new(facts, Arc::clone(&self.reader), adapter.labels(), engine)
    }
}

impl Reader {
    fn prepare(&self, text: &str) -> Result<Prepared, StageError> {
        let tokens = self.tokenizer.tokenise(text).map_err(failed("tokeniser"))?;
        let capacity = self.context.saturating_sub(self.tokenizer.special_count());
        let windows =
            windows(text, &tokens, capacity, OVERLAP.min(capacity / 4)).map_err(failed("windows"))?;
        Ok(Prepared { tokens, windows })
    }
}

impl Model {
    fn new(
        facts: Facts,
        reader: Arc<Reader>,
        labels: &[String],
        engine: TractModel,
    ) -> Result<Self, Unusable> {
        let scheme = LabelScheme::from_labels(labels)?;
        let mut model = Self {
            facts: Facts {
                labels: scheme.entity_types().iter().map(ToString::to_string).collect(),
                ..facts
            },
            expected: Logits::new(scheme.len(), Vec::new())?,
            reader,
            scheme,
            engine,
        };
        model.expected = model.probe()?;
        Ok(model)
    }

    /// Whether a text that was prepared for one of the two is prepared for the other: they are over the same base.
    pub fn reads_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.reader, &other.reader)
    }

    /// Tokenises a text and cuts it into windows.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn prepare(&self, text: &str) -> Result<Prepared, StageError> {
        self.reader.prepare(text)
    }

    /// The logits of one window from each of `models`, which [read alike](Self::reads_like), without its special
    /// tokens. What the models share of the computation is done once.
    ///
    /// # Errors
    /// [`StageError`], and the index of the model that it is about.
    pub fn forward(
        models: &[&Self],
        prepared: &Prepared,
        window: usize,
    ) -> Result<Vec<Logits>, (usize, StageError)> {
        let Some(first) = models.first() else {
            return Ok(Vec::new());
        };
        let tokenizer = &first.reader.tokenizer;
        let ids = prepared
            .windows
            .get(window)
            .and_then(|window| prepared.tokens.ids().get(window.tokens.clone()))
            .ok_or("no such window")
            .map_err(|error| (0, failed("windows")(error)))?;
        let sequence = tokenizer.sequence(ids);
        let engines: Vec<&TractModel> = models.iter().map(|model| &model.engine).collect();
        let values = TractModel::forward_each(&engines, &sequence.ids).map_err(|error| {
            // Which of them it was is found out only now that it matters.
            let fails = |engine: &&TractModel| engine.forward(&sequence.ids).is_err();
            let index = engines.iter().position(fails).unwrap_or(0);
            (index, failed("engine")(error))
        })?;
        let specials = (tokenizer.prefix().len(), tokenizer.suffix().len());
        let logits = models
            .iter()
            .zip(values)
            .enumerate()
            .map(|(index, (model, values))| {
                Logits::new(model.scheme.len(), values)
                    .and_then(|logits| logits.without_specials(specials.0, specials.1))
                    .map_err(|error| (index, failed("engine")(error)))
            });
        logits.collect()
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
        let mut logits = Self::forward(&[self], &self.prepare(PROBE)?, 0).map_err(|(_, error)| error)?;
        logits.pop().ok_or("no logits").map_err(failed("engine"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    fn open(path: &Path) -> Arc<Model> {
        Base::load(Checkpoint::open(path).unwrap(), Precision::default())
            .unwrap()
            .model
            .unwrap()
    }

    /// The checkpoints of the Python reference, made by tests/fixtures/make_goldens.py, with its answers.
    fn goldens() -> Vec<(String, Arc<Model>, Vec<Value>)> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
        let mut found = Vec::new();
        for family in std::fs::read_dir(fixtures).unwrap() {
            let Ok(variants) = std::fs::read_dir(family.unwrap().path()) else {
                continue;
            };
            for variant in variants {
                let dir = variant.unwrap().path();
                if !dir.join("config.json").exists() {
                    continue;
                }
                let Ok(golden) = std::fs::read(dir.join("golden.json")) else {
                    continue;
                };
                let golden: Value = serde_json::from_slice(&golden).unwrap();
                let cases = golden["cases"].as_array().unwrap().clone();
                found.push((dir.display().to_string(), open(&dir), cases));
            }
        }
        found
    }

    #[test]
    fn the_entities_are_those_of_the_reference_pipeline() {
        let mut compared = 0;
        for (name, model, cases) in goldens() {
            for case in &cases {
                for (key, aggregation) in [
                    ("entities", Aggregation::Simple),
                    ("entities_first", Aggregation::First),
                ] {
                    // The other cases are there for their tokens.
                    let Some(expected) = case[key].as_array() else {
                        continue;
                    };
                    let text = case["text"].as_str().unwrap();
                    let expected = mentions(text, expected);
                    let place = format!("{name}: {key} of {text:?}");
                    let prepared = model.prepare(text).unwrap();
                    let parts: Vec<Logits> = (0..prepared.windows())
                        .map(|window| Model::forward(&[&model], &prepared, window).unwrap().remove(0))
                        .collect();
                    let parts: Vec<&Logits> = parts.iter().collect();
                    let spans = model.decode(text, &prepared, &parts, aggregation).unwrap();
                    let got = spans.iter().map(|s| (s.label.to_string(), s.begin, s.end));
                    let want = expected.iter().map(|(place, _)| place.clone());
                    assert_eq!(got.collect::<Vec<_>>(), want.collect::<Vec<_>>(), "{place}");
                    for (span, (_, score)) in spans.iter().zip(&expected) {
                        assert!((f64::from(span.score) - score).abs() < 1e-4, "{place}");
                        compared += 1;
                    }
                }
            }
        }
        assert!(compared > 1000, "only {compared} entities in the goldens");
    }

    /// The reference's entities as mentions with their scores: without the white space at their ends, which some
    /// tokenizers leave there; those of white space alone left out; where two overlap, which a space mark makes that is a
    /// token of its own, the later one without what the first has.
    fn mentions(text: &str, entities: &[Value]) -> Vec<((String, usize, usize), f64)> {
        let mut mentions: Vec<((String, usize, usize), f64)> = Vec::new();
        for entity in entities {
            let [begin, end] = ["begin", "end"].map(|key| entity[key].as_u64().unwrap() as usize);
            let taken = mentions.last().map_or(0, |((_, _, end), _)| *end);
            let part = &text[begin..end];
            let begin = taken.max(end - part.trim_start().len());
            let end = end - (part.len() - part.trim_end().len());
            if begin < end {
                let label = entity["label"].as_str().unwrap().to_owned();
                mentions.push(((label, begin, end), entity["score"].as_f64().unwrap()));
            }
        }
        mentions
    }

    #[test]
    fn a_model_whose_answer_changes_fails_its_self_check() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/bert/fp32");
        let mut model = open(&folder);
        model.self_check().unwrap();
        let model = Arc::get_mut(&mut model).unwrap();
        let mut values = model.expected.values().to_vec();
        values[0] = f32::from_bits(values[0].to_bits() ^ 1);
        model.expected = Logits::new(model.expected.classes(), values).unwrap();
        assert!(model.self_check().is_err());
    }
}
