//! Models that are loaded and ready: tokenizer, labels and engine. From a text to its spans in three calls:
//! [`Model::prepare`], [`Model::forward`] for each window, [`Model::decode`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use mednerd_engine_tract::{LabelSet, Options, TractModel};
use mednerd_gpu::protocol::Values;
use mednerd_model::{Adapter, Checkpoint};
use mednerd_pipeline::{
    Aggregation, LabelScheme, Logits, Readable, Span, TextTokenizer, Tokens, Window, decode, stitch, windows,
    with_plain_lines,
};
use mednerd_plugin::AdapterFiles;

use crate::app::now;
use crate::config::Precision;
use crate::gpu::Source;
use crate::zero_shot::{self, Ask, Found, ZeroShot};

/// What the self-check computes; also the first thing that a freshly loaded model sees.
const PROBE: &str = "Metformin 500 mg was started for type 2 diabetes mellitus.";

/// Tokens of the longest sequence whose logits a GPU must give as the CPU does before it serves a model.
const LONGEST_CHECK: usize = 160;

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
    /// What is wrong with the request's `threshold`, where that is why.
    pub unusable: Option<&'static str>,
}

/// How a stage's error is told.
pub fn failed<E: std::fmt::Display>(stage: &'static str) -> impl Fn(E) -> StageError {
    move |error| StageError {
        stage,
        message: error.to_string(),
        unusable: None,
    }
}

/// A loaded model: a checkpoint with its own head, or a task adapter over one. Shared by all workers.
pub struct Model {
    /// What it is, for `GET /v1/models`.
    pub facts: Facts,
    kind: Kind,
    /// What the engine said to [`PROBE`] when the model was loaded.
    expected: Vec<f32>,
    /// Its files, for a GPU's worker to load; `None` where they have no layers to lower: an ONNX export.
    pub source: Option<Source>,
    checks: OnceLock<Vec<Check>>,
}

enum Kind {
    Classifier(Classifier),
    ZeroShot(ZeroShot),
}

/// A token classifier.
struct Classifier {
    reader: Arc<Reader>,
    scheme: LabelScheme,
    engine: TractModel,
}

/// What another engine is given of a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sequence {
    /// Ids, with the special tokens.
    pub ids: Vec<u32>,
    /// The words' first tokens, in rising order; none where logits of tokens are asked.
    pub words: Vec<u32>,
    /// What the words are scored for.
    pub labels: Labels,
    /// Below this, scores may be left out.
    pub floor: Option<f32>,
}

/// The labels of a sequence for a zero-shot model.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// In the sequence, at these positions, which rise.
    At(Vec<u32>),
    /// Encoded by themselves.
    Encoded(LabelSet),
}

impl Default for Labels {
    fn default() -> Self {
        Self::At(Vec::new())
    }
}

impl Sequence {
    /// Pairs of a word and a label.
    pub fn pairs(&self) -> usize {
        self.words.len().saturating_mul(match &self.labels {
            Labels::At(places) => places.len(),
            Labels::Encoded(set) => set.len(),
        })
    }

    /// Another one, of any ids, of which as much is asked: of a zero-shot model about as many words as a text has.
    fn of(&self, ids: Vec<u32>) -> Self {
        if self.words.is_empty() {
            return Self {
                ids,
                ..Self::default()
            };
        }
        let end = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        Self {
            words: (0..end).skip(1).step_by(2).collect(),
            labels: match &self.labels {
                Labels::At(_) => Labels::At((0..end).step_by(2).take(2).collect()),
                encoded => encoded.clone(),
            },
            ids,
            floor: None,
        }
    }
}

/// A sequence, and what the CPU's engine gives for it.
pub type Check = (Sequence, Vec<f32>);

/// A loaded checkpoint, over which task adapters can be loaded.
pub struct Base {
    checkpoint: Checkpoint,
    /// What adapters of a token classifier are lowered over; a zero-shot model is lowered over itself.
    trunk: Option<(Arc<Reader>, TractModel)>,
    /// The precision that it was asked to compute in.
    pub asked: Precision,
    /// The checkpoint as a model of its own; `None` where it has no head.
    pub model: Option<Arc<Model>>,
    /// What it is, head or not.
    pub facts: Facts,
    /// As a model's.
    pub source: Option<Source>,
}

/// A base opened again in single precision.
pub struct Reference {
    checkpoint: Checkpoint,
    engine: TractModel,
}

impl Reference {
    /// Opens the files of a base that is loaded.
    ///
    /// # Errors
    /// Where they have changed since, or do not work in single precision.
    pub fn open(base: &Source) -> Result<Self, Unusable> {
        let checkpoint = Checkpoint::open_base(&base.path)?;
        unchanged(checkpoint.digest(), base)?;
        let precision = Precision::Fp32;
        let engine = TractModel::load(&checkpoint, &Options { precision })?;
        Ok(Self { checkpoint, engine })
    }

    /// The base itself, or an adapter over it.
    fn lower(&self, source: &Source) -> Result<TractModel, Unusable> {
        if source.base.is_none() {
            return Ok(self.engine.clone());
        }
        let adapter = Adapter::open(&source.path, &self.checkpoint)?;
        unchanged(adapter.digest(), source)?;
        Ok(self.engine.adapt(&self.checkpoint, &adapter)?)
    }
}

fn unchanged(found: &str, source: &Source) -> Result<(), Unusable> {
    match found == source.digest {
        true => Ok(()),
        false => Err("its files have changed since it was loaded; reload".into()),
    }
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
    /// Entity types; none for a base without a head, nor for a zero-shot model.
    pub labels: Vec<String>,
    /// Whether the labels come with the request.
    pub zero_shot: bool,
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
pub enum Prepared {
    /// For token classifiers.
    Tokens(Tokens, Vec<Window>),
    /// For a zero-shot model.
    Words(zero_shot::Prepared),
}

impl Prepared {
    /// How many runs it takes: one for each window and, of a zero-shot model, for each prompt; none for a text without
    /// tokens.
    pub fn units(&self, ask: Option<&Ask>) -> usize {
        match (self, ask) {
            (Self::Tokens(_, windows), _) => windows.len(),
            (Self::Words(words), Some(ask)) => words.units(ask),
            (Self::Words(_), None) => 0,
        }
    }

    /// How many tokens, or words of a zero-shot model, the text has.
    pub fn tokens(&self) -> usize {
        match self {
            Self::Tokens(tokens, _) => tokens.len(),
            Self::Words(words) => words.tokens(),
        }
    }
}

/// What a model says to one unit.
pub enum Output {
    /// Of a token classifier.
    Logits(Logits),
    /// Of a zero-shot model.
    Found(Found),
}

/// A model and what is asked of it, where it is a zero-shot model.
pub type Asked<'a> = (&'a Model, Option<&'a Ask>);

/// Why something that was opened does not work.
pub type Unusable = Box<dyn std::error::Error + Send + Sync>;

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
        let mut facts = Facts {
            digest: checkpoint.digest().to_owned(),
            family: checkpoint.family(),
            labels: Vec::new(),
            zero_shot: checkpoint.gliner().is_some(),
            context: checkpoint.context(),
            parameters: checkpoint.parameters(),
            languages: checkpoint.languages().to_vec(),
            license: checkpoint.license().map(ToOwned::to_owned),
            precision: Precision::Fp32.name(),
            memory_bytes: 0,
            loaded_at: now(),
        };
        let source = (!checkpoint.weights().is_empty())
            .then(|| Source::new(checkpoint.dir().to_owned(), facts.digest.clone(), None));
        if facts.zero_shot {
            let model = ZeroShot::load(&checkpoint)?;
            facts.memory_bytes = model.memory_bytes() as u64;
            let model = Model::new(facts.clone(), Kind::ZeroShot(model), source.clone())?;
            return Ok(Self {
                checkpoint,
                trunk: None,
                asked,
                model: Some(Arc::new(model)),
                facts,
                source,
            });
        }
        let reader = Arc::new(Reader {
            tokenizer: TextTokenizer::new(checkpoint.tokenizer().clone())?,
            context: checkpoint.context(),
        });
        let engine = TractModel::load(&checkpoint, &Options { precision: asked })?;
        facts.precision = engine.precision().name();
        facts.memory_bytes = engine.memory_bytes() as u64;
        let mut model = None;
        if !checkpoint.headless() {
            let loaded = Model::classifier(
                facts.clone(),
                Arc::clone(&reader),
                checkpoint.labels(),
                engine.clone(),
                source.clone(),
            )?;
            facts.labels.clone_from(&loaded.facts.labels);
            model = Some(Arc::new(loaded));
        }
        Ok(Self {
            checkpoint,
            trunk: Some((reader, engine)),
            asked,
            model,
            facts,
            source,
        })
    }

    /// Opens an adapter's directory and checks that it fits this base. [`adapt`](Self::adapt) loads it.
    ///
    /// # Errors
    /// [`LoadError`], which names the file.
    pub fn open_adapter(&self, dir: &Path) -> Result<Adapter, LoadError> {
        Ok(Adapter::open(dir, &self.checkpoint)?)
    }

    /// Checks that an adapter that a plugin hands over fits this base. [`adapt`](Self::adapt) loads it.
    ///
    /// # Errors
    /// [`LoadError`], which names `place` and the file.
    pub fn take_adapter(&self, place: &Path, files: AdapterFiles) -> Result<Adapter, LoadError> {
        Ok(Adapter::from_memory(
            place,
            files.config,
            files.tensors,
            &self.checkpoint,
        )?)
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
        let facts = |memory_bytes: usize| Facts {
            digest: adapter.digest().to_owned(),
            labels: Vec::new(),
            parameters: adapter.parameters(),
            languages: adapter.languages().to_vec(),
            license: adapter.license().map(ToOwned::to_owned),
            memory_bytes: memory_bytes as u64,
            loaded_at: now(),
            ..self.facts.clone()
        };
        let zero_shot = self.model.as_deref().and_then(Model::zero_shot);
        let (dir, digest) = (adapter.dir().to_owned(), adapter.digest().to_owned());
        let source = self.source.as_ref();
        let source = source.map(|base| Source::new(dir, digest, Some(base.id)));
        match (&self.trunk, zero_shot) {
            (Some((reader, engine)), _) => {
                let engine = engine.adapt(&self.checkpoint, adapter)?;
                let facts = facts(engine.memory_bytes());
                Model::classifier(facts, Arc::clone(reader), adapter.labels(), engine, source)
            }
            (None, Some(base)) => {
                let model = base.adapt(&self.checkpoint, adapter)?;
                Model::new(facts(model.memory_bytes()), Kind::ZeroShot(model), source)
            }
            (None, None) => Err("its base cannot be adapted".into()),
        }
    }
}

impl Reader {
    fn prepare(&self, text: &str) -> Result<Prepared, StageError> {
        let read = Readable::new(text);
        let tokens = self.tokenizer.tokenise(read.text());
        let tokens = tokens.and_then(|tokens| read.as_received(tokens));
        let tokens = tokens.map_err(failed("tokeniser"))?;
        let capacity = self.context.saturating_sub(self.tokenizer.special_count());
        let windows = windows(
            &with_plain_lines(text),
            &tokens,
            capacity,
            OVERLAP.min(capacity / 4),
        )
        .map_err(failed("windows"))?;
        Ok(Prepared::Tokens(tokens, windows))
    }
}

impl Model {
    fn classifier(
        facts: Facts,
        reader: Arc<Reader>,
        labels: &[String],
        engine: TractModel,
        source: Option<Source>,
    ) -> Result<Self, Unusable> {
        let scheme = LabelScheme::from_labels(labels)?;
        let facts = Facts {
            labels: scheme.entity_types().iter().map(ToString::to_string).collect(),
            ..facts
        };
        let kind = Kind::Classifier(Classifier {
            reader,
            scheme,
            engine,
        });
        Self::new(facts, kind, source)
    }

    fn new(facts: Facts, kind: Kind, source: Option<Source>) -> Result<Self, Unusable> {
        let mut model = Self {
            facts,
            kind,
            expected: Vec::new(),
            source,
            checks: OnceLock::new(),
        };
        model.expected = model.probe()?;
        Ok(model)
    }

    /// The model as one that takes its labels from the request; `None` for a token classifier.
    pub fn zero_shot(&self) -> Option<&ZeroShot> {
        match &self.kind {
            Kind::ZeroShot(model) => Some(model),
            Kind::Classifier(_) => None,
        }
    }

    /// Whether a text that was prepared for one of the two is prepared for the other: they are token classifiers over the
    /// same base.
    pub fn reads_like(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Classifier(one), Kind::Classifier(other)) => Arc::ptr_eq(&one.reader, &other.reader),
            _ => false,
        }
    }

    /// Tokenises a text and cuts it into windows.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn prepare(&self, text: &str, ask: Option<&Ask>) -> Result<Prepared, StageError> {
        match (&self.kind, ask) {
            (Kind::Classifier(model), _) => model.reader.prepare(text),
            (Kind::ZeroShot(model), Some(ask)) => model.prepare(text, ask).map(Prepared::Words),
            (Kind::ZeroShot(_), None) => Err(failed("labels")("there are none")),
        }
    }

    /// What each of `models`, which [read alike](Self::reads_like), says to one unit of a text. What they share of the
    /// computation is done once.
    ///
    /// # Errors
    /// [`StageError`], and the index of the model that it is about.
    pub fn forward(
        models: &[Asked<'_>],
        prepared: &Prepared,
        unit: usize,
    ) -> Result<Vec<Output>, (usize, StageError)> {
        match (models, prepared) {
            ([(model, Some(ask))], Prepared::Words(words)) => {
                let model = model
                    .zero_shot()
                    .ok_or_else(|| (0, failed("engine")("no zero-shot model")))?;
                let found = model.forward(words, ask, unit).map_err(|error| (0, error))?;
                Ok(vec![Output::Found(found)])
            }
            (_, Prepared::Tokens(tokens, windows)) => {
                let models = models.iter().filter_map(|(model, _)| match &model.kind {
                    Kind::Classifier(model) => Some(model),
                    Kind::ZeroShot(_) => None,
                });
                let models: Vec<&Classifier> = models.collect();
                let logits = Classifier::forward(&models, tokens, windows, unit)?;
                Ok(logits.into_iter().map(Output::Logits).collect())
            }
            _ => Err((0, failed("engine")("the text was prepared for another model"))),
        }
    }

    /// The entities of a text from the outputs of all its units, in order. `None` where they are no longer `wanted`.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn decode(
        &self,
        text: &str,
        prepared: &Prepared,
        parts: &[&Output],
        aggregation: Aggregation,
        ask: Option<&Ask>,
        wanted: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<Span>>, StageError> {
        match (&self.kind, prepared, ask) {
            (Kind::Classifier(model), Prepared::Tokens(tokens, windows), _) => {
                let logits = parts.iter().filter_map(|part| match part {
                    Output::Logits(logits) => Some(logits),
                    Output::Found(_) => None,
                });
                let probabilities = stitch(model.scheme.len(), windows, logits)
                    .and_then(Logits::softmax)
                    .map_err(failed("decoder"))?;
                decode(text, tokens, &probabilities, &model.scheme, aggregation)
                    .map(Some)
                    .map_err(failed("decoder"))
            }
            (Kind::ZeroShot(model), Prepared::Words(words), Some(ask)) => {
                let found = parts.iter().filter_map(|part| match part {
                    Output::Found(found) => Some(found),
                    Output::Logits(_) => None,
                });
                model.decode(text, words, ask, &found.collect::<Vec<_>>(), wanted)
            }
            _ => Err(failed("decoder")("the text was prepared for another model")),
        }
    }

    fn as_classifier(&self) -> Result<&Classifier, StageError> {
        match &self.kind {
            Kind::Classifier(model) => Ok(model),
            Kind::ZeroShot(_) => Err(failed("engine")("it is a zero-shot model")),
        }
    }

    /// What another engine is given of one unit.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn sequence(
        &self,
        prepared: &Prepared,
        ask: Option<&Ask>,
        unit: usize,
    ) -> Result<Sequence, StageError> {
        match (&self.kind, prepared, ask) {
            (Kind::Classifier(model), Prepared::Tokens(tokens, windows), _) => Ok(Sequence {
                ids: model.sequence(tokens, windows, unit)?,
                ..Sequence::default()
            }),
            (Kind::ZeroShot(model), Prepared::Words(words), Some(ask)) => model.sequence(words, ask, unit),
            _ => Err(failed("engine")("the text was prepared for another model")),
        }
    }

    /// Another engine's logits for one window as this model's output.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn output(&self, values: Vec<f32>) -> Result<Output, StageError> {
        self.as_classifier()?.logits(values).map(Output::Logits)
    }

    /// What a zero-shot model says to one unit of a text, from the scores that another engine computed.
    ///
    /// # Errors
    /// [`StageError`]
    pub fn resume(
        &self,
        prepared: &Prepared,
        ask: Option<&Ask>,
        unit: usize,
        scores: Values,
    ) -> Result<Output, StageError> {
        match (&self.kind, prepared, ask) {
            (Kind::ZeroShot(model), Prepared::Words(words), Some(ask)) => {
                model.find(words, ask, unit, scores).map(Output::Found)
            }
            _ => Err(failed("engine")("the text was prepared for another model")),
        }
    }

    /// Values of a row that another engine gives: of a token a logit for each label, of a word and a label their scores.
    pub fn columns(&self) -> usize {
        match &self.kind {
            Kind::Classifier(model) => model.scheme.len(),
            Kind::ZeroShot(model) => model.columns(),
        }
    }

    /// What another engine may be given of any sequence of this model's ids; once its checks are [learnt](Self::learn_checks).
    pub fn sequence_of(&self, ids: Vec<u32>) -> Sequence {
        match self.checks().first() {
            Some((probe, _)) => probe.of(ids),
            None => Sequence::default().of(ids),
        }
    }

    /// Whether the CPU computes it in single precision.
    pub fn is_single(&self) -> bool {
        self.facts.precision == Precision::Fp32.name()
    }

    /// Sequences whose logits or scores another engine must give as well, [`PROBE`] first; none before they are
    /// [learnt](Self::learn_checks).
    pub fn checks(&self) -> &[Check] {
        self.checks.get().map_or(&[], Vec::as_slice)
    }

    /// Whether there are any.
    pub fn has_checks(&self) -> bool {
        self.checks.get().is_some()
    }

    /// Computes the checks where that was not done: with the engine that serves, or with `reference`, its base in single
    /// precision, because logits of 8 bits are no measure for others.
    ///
    /// # Errors
    /// Where the files have changed since the model was loaded, or the engine fails.
    pub fn learn_checks(&self, reference: Option<&Reference>) -> Result<(), Unusable> {
        if self.has_checks() {
            return Ok(());
        }
        type Compute<'a> = Box<dyn Fn(&Sequence) -> Result<Vec<f32>, Unusable> + 'a>;
        let (probe, compute): (Sequence, Compute<'_>) = match &self.kind {
            Kind::Classifier(model) => {
                let engine = match (reference, &self.source) {
                    (Some(reference), Some(source)) => reference.lower(source)?,
                    _ => model.engine.clone(),
                };
                let probe = self.sequence(&self.prepare(PROBE, None)?, None, 0)?;
                (
                    probe,
                    Box::new(move |sequence| Ok(engine.forward(&sequence.ids)?)),
                )
            }
            Kind::ZeroShot(model) => (
                model.probe_sequence(PROBE)?,
                Box::new(|sequence| Ok(model.scores(sequence)?)),
            ),
        };
        let longest = self.facts.context.min(LONGEST_CHECK);
        let long = probe.ids.iter().copied().cycle().take(longest).collect();
        let short = probe.ids.iter().copied().take(2).collect();
        let mut checks = Vec::new();
        let (long, short) = (probe.of(long), probe.of(short));
        for sequence in [probe, long, short] {
            let values = compute(&sequence)?;
            checks.push((sequence, values));
        }
        self.checks.get_or_init(|| checks);
        Ok(())
    }

    /// Computes the probe sentence again and compares it bit for bit with what it was at load.
    ///
    /// # Errors
    /// [`StageError`] where it fails or differs: then memory, processor or code is broken.
    pub fn self_check(&self) -> Result<(), StageError> {
        if self.probe()? == self.expected {
            Ok(())
        } else {
            Err(failed("engine")(
                "the self-check sentence no longer gives the logits it gave at load",
            ))
        }
    }

    fn probe(&self) -> Result<Vec<f32>, StageError> {
        match &self.kind {
            Kind::ZeroShot(model) => model.probe(PROBE),
            Kind::Classifier(_) => {
                let outputs = Self::forward(&[(self, None)], &self.prepare(PROBE, None)?, 0);
                match outputs.map_err(|(_, error)| error)?.pop() {
                    Some(Output::Logits(logits)) => Ok(logits.values().to_vec()),
                    _ => Err(failed("engine")("no logits")),
                }
            }
        }
    }
}

impl Classifier {
    /// The logits of one window from each of `models`, which read alike, without its special tokens.
    fn forward(
        models: &[&Self],
        tokens: &Tokens,
        windows: &[Window],
        window: usize,
    ) -> Result<Vec<Logits>, (usize, StageError)> {
        let Some(first) = models.first() else {
            return Ok(Vec::new());
        };
        let ids = first
            .sequence(tokens, windows, window)
            .map_err(|error| (0, error))?;
        let engines: Vec<&TractModel> = models.iter().map(|model| &model.engine).collect();
        let values = TractModel::forward_each(&engines, &ids).map_err(|error| {
            // Which of them it was is found out only now that it matters.
            let fails = |engine: &&TractModel| engine.forward(&ids).is_err();
            let index = engines.iter().position(fails).unwrap_or(0);
            (index, failed("engine")(error))
        })?;
        let logits = models.iter().zip(values).enumerate();
        logits
            .map(|(index, (model, values))| model.logits(values).map_err(|error| (index, error)))
            .collect()
    }

    /// The ids of one window with its special tokens.
    fn sequence(&self, tokens: &Tokens, windows: &[Window], window: usize) -> Result<Vec<u32>, StageError> {
        let ids = windows
            .get(window)
            .and_then(|window| tokens.ids().get(window.tokens.clone()))
            .ok_or("no such window")
            .map_err(failed("windows"))?;
        Ok(self.reader.tokenizer.sequence(ids).ids)
    }

    /// An engine's values for one window as logits, without those of its special tokens.
    fn logits(&self, values: Vec<f32>) -> Result<Logits, StageError> {
        let tokenizer = &self.reader.tokenizer;
        Logits::new(self.scheme.len(), values)
            .and_then(|logits| logits.without_specials(tokenizer.prefix().len(), tokenizer.suffix().len()))
            .map_err(failed("engine"))
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
                // Zero-shot models have goldens of their own kind, which zero_shot.rs compares.
                if !dir.join("config.json").exists() || dir.parent().is_some_and(|d| d.ends_with("gliner")) {
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
                    let prepared = model.prepare(text, None).unwrap();
                    let parts: Vec<Output> = (0..prepared.units(None))
                        .map(|unit| {
                            Model::forward(&[(&model, None)], &prepared, unit)
                                .unwrap()
                                .remove(0)
                        })
                        .collect();
                    let parts: Vec<&Output> = parts.iter().collect();
                    let spans = model.decode(text, &prepared, &parts, aggregation, None, &|| true);
                    let spans = spans.unwrap().unwrap();
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
            let part = &text[begin.max(taken).min(end)..end];
            let begin = end - part.trim_start().len();
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
        model.expected[0] = f32::from_bits(model.expected[0].to_bits() ^ 1);
        assert!(model.self_check().is_err());
    }
}
