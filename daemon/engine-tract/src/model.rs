//! Loaded models, which all workers share: bases, and task adapters over them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use mednerd_model::{Adapter, Checkpoint};
use tract_onnx::tract_core::internal::*;

use crate::error::EngineError;
use crate::kernels::int8;
use crate::lower::{self, PackedWeights, Stage};
use crate::onnx::{self, Feed};

/// The arithmetic that a model runs in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision, whatever the files hold.
    #[default]
    Fp32,
    /// The products of the layers with weights and activations quantised to 8 bits, the rest in single precision. Needs a
    /// CPU with AVX-512 VNNI and a model that comes as safetensors; loading is an error elsewhere.
    Int8,
    /// `Int8` where it can be had, else `Fp32`.
    Auto,
}

impl Precision {
    /// Its name in configuration and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Int8 => "int8",
            Self::Auto => "auto",
        }
    }

    /// What a model runs in when this is asked for.
    fn resolve(self, checkpoint: &Checkpoint) -> Result<Self, EngineError> {
        let onnx = checkpoint.weights().is_empty();
        match self {
            Self::Fp32 => Ok(Self::Fp32),
            Self::Auto if onnx || !int8::available() => Ok(Self::Fp32),
            Self::Int8 if onnx => Err(EngineError::OnnxPrecision {
                path: checkpoint.dir().to_owned(),
            }),
            Self::Int8 if !int8::available() => Err(EngineError::Precision),
            Self::Int8 | Self::Auto => Ok(Self::Int8),
        }
    }
}

/// How to load a model.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The arithmetic to run in.
    pub precision: Precision,
}

/// A model lowered to tract plans. `Send + Sync`; cloning shares it. What [`forward`](Self::forward) answers depends on
/// its ids only, whoever asks and whatever runs beside it.
#[derive(Clone)]
pub struct TractModel {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    /// Run one after the other. Models that share a base share the stages that are the same.
    stages: Vec<Stage>,
    /// How the one stage of an ONNX export is fed; `None` for lowered stages, whose input is `[S]` of u32.
    feeds: Option<Vec<Feed>>,
    /// The packed weights, for adapters to be lowered over.
    packed: Arc<PackedWeights>,
    precision: Precision,
    rows: usize,
    context: usize,
    labels: usize,
    bytes: usize,
    /// How many stages give the last hidden states; `None` where they are not to be had apart from the logits.
    trunk: Option<usize>,
}

impl TractModel {
    /// Lowers a checkpoint's safetensors or, where there are none, reads its `model.onnx`. The checkpoint may be
    /// dropped afterwards.
    ///
    /// # Errors
    /// A tensor cannot be read or is not finite; the ONNX file is not one that can be run; the precision is not
    /// available.
    pub fn load(checkpoint: &Checkpoint, options: &Options) -> Result<Self, EngineError> {
        let precision = options.precision.resolve(checkpoint)?;
        let labels = checkpoint.labels().len();
        let architecture = checkpoint.architecture();
        // Where the encoder ends with a norm, that is a part of the head's stage.
        let mut trunk = architecture
            .final_norm
            .is_none()
            .then_some(architecture.layers.len() + 1);
        let (stages, feeds, packed, bytes) = match checkpoint.onnx() {
            Some(path) if checkpoint.weights().is_empty() => {
                trunk = None;
                let graph = onnx::load(path, labels)?;
                let plan = TypedSimplePlan::new(graph.model).map_err(|error| EngineError::Internal {
                    path: checkpoint.dir().to_owned(),
                    step: "planning",
                    problem: format!("{error:#}"),
                })?;
                let bytes = usize::try_from(checkpoint.weight_bytes()).unwrap_or(usize::MAX);
                (vec![plan], Some(graph.feeds), PackedWeights::default(), bytes)
            }
            _ => {
                let lowered = lower::lower(checkpoint, precision)?;
                (lowered.stages, None, lowered.packed, lowered.bytes)
            }
        };
        Ok(Self {
            shared: Arc::new(Shared {
                dir: checkpoint.dir().to_owned(),
                stages,
                feeds,
                packed: Arc::new(packed),
                precision,
                rows: architecture.embeddings.words.rows,
                context: checkpoint.context(),
                labels,
                bytes,
                trunk,
            }),
        })
    }

    /// Lowers a task adapter over this model, which is `checkpoint` loaded. The base's weights are shared, not copied;
    /// adapter and checkpoint may be dropped afterwards.
    ///
    /// # Errors
    /// The base came as ONNX, which has no layers to adapt; a tensor cannot be read or is not finite.
    pub fn adapt(&self, checkpoint: &Checkpoint, adapter: &Adapter) -> Result<Self, EngineError> {
        if self.shared.feeds.is_some() {
            return Err(EngineError::OnnxBase {
                adapter: adapter.dir().to_owned(),
                base: self.shared.dir.clone(),
            });
        }
        let adapted = lower::adapt(checkpoint, &self.shared.stages, &self.shared.packed, adapter)?;
        Ok(Self {
            shared: Arc::new(Shared {
                dir: adapter.dir().to_owned(),
                stages: adapted.stages,
                feeds: None,
                packed: Arc::clone(&self.shared.packed),
                precision: self.shared.precision,
                rows: self.shared.rows,
                context: self.shared.context,
                labels: adapter.labels().len(),
                bytes: adapted.bytes,
                trunk: self.shared.trunk,
            }),
        })
    }

    /// Number of labels: logits per token. None for a base without a head, which only adapters can be run over.
    pub fn labels(&self) -> usize {
        self.shared.labels
    }

    /// What it computes in: never [`Precision::Auto`].
    pub fn precision(&self) -> Precision {
        self.shared.precision
    }

    /// Longest sequence, in tokens including the special ones.
    pub fn context(&self) -> usize {
        self.shared.context
    }

    /// Bytes of weights that the model holds in memory: exact for safetensors, the size of the file for ONNX, and for an
    /// adapter what it adds to its base. What a run works in comes on top: a few activations of its sequence, and per
    /// thread the scores of 192 queries.
    pub fn memory_bytes(&self) -> usize {
        self.shared.bytes
    }

    /// The logits of one sequence: `ids` with its special tokens, every token attending to every other, all of segment
    /// 0. The answer is row-major, `ids.len()` rows of [`labels`](Self::labels) columns. Runs on the calling thread.
    ///
    /// # Errors
    /// The model has no head; no ids, more than the [`context`](Self::context), one outside the vocabulary; logits that are not finite.
    pub fn forward(&self, ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        let mut logits = Self::forward_each(&[self], ids)?;
        Ok(logits.pop().unwrap_or_default())
    }

    /// The last hidden states of one sequence: row-major, a row for each of `ids`. A base without a head has them too.
    /// Runs on the calling thread.
    ///
    /// # Errors
    /// No ids, more than the [`context`](Self::context), one outside the vocabulary; states that are not finite; a model whose hidden
    /// states are not to be had: an ONNX export, or an encoder that ends with a norm of its own.
    pub fn hidden(&self, ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        let shared = &self.shared;
        let stages = shared.trunk.and_then(|count| shared.stages.get(..count));
        let stages = stages.ok_or_else(|| EngineError::Hidden {
            path: shared.dir.clone(),
        })?;
        shared.check(ids)?;
        let internal = |error: TractError| shared.internal("running a sequence", &error);
        let mut x = Tensor::from_shape(&[ids.len()], ids)
            .map_err(internal)?
            .into_tvalue();
        for stage in stages {
            x = run(stage, tvec!(x)).map_err(internal)?;
        }
        let states = x
            .try_as_plain_ram()
            .and_then(|x| x.as_slice::<f32>().map(<[f32]>::to_vec));
        let states = states.map_err(internal)?;
        match states.iter().position(|state| !state.is_finite()) {
            Some(at) => Err(EngineError::NotFinite {
                position: at * ids.len() / states.len(),
            }),
            None => Ok(states),
        }
    }

    /// The logits of one sequence from each of `models`, as [`forward`](Self::forward) gives them, in their order.
    /// Stages that several of them share are computed once: the trunk below the first layer that an adapter changes, or
    /// everything but the head where it changes no more.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), for any of the models.
    pub fn forward_each(models: &[&Self], ids: &[u32]) -> Result<Vec<Vec<f32>>, EngineError> {
        for model in models {
            model.shared.check_head()?;
            model.shared.check(ids)?;
        }
        let mut run = Run {
            models,
            logits: vec![Vec::new(); models.len()],
        };
        // An ONNX export has inputs of its own; lowered models start from the ids.
        let (exports, lowered): (Vec<usize>, Vec<usize>) =
            (0..models.len()).partition(|index| models.get(*index).is_some_and(|m| m.shared.feeds.is_some()));
        for index in exports {
            run.export(index, ids)?;
        }
        let input = || Ok(Tensor::from_shape(&[ids.len()], ids)?.into_tvalue());
        if let Some(first) = lowered.first().and_then(|index| models.get(*index)) {
            let input = input().map_err(|error| first.shared.internal("running a sequence", &error))?;
            run.from(0, lowered, input)?;
        }
        Ok(run.logits)
    }
}

/// One sequence on its way through several models.
struct Run<'a> {
    models: &'a [&'a TractModel],
    logits: Vec<Vec<f32>>,
}

impl Run<'_> {
    /// Runs the stages from `depth` on of the models at `indices`, all of which have `x` before them.
    fn from(&mut self, depth: usize, mut indices: Vec<usize>, x: TValue) -> Result<(), EngineError> {
        let mut x = Some(x);
        while let (Some(&first), Some(held)) = (indices.first(), &x) {
            let shared = &self.models[first].shared;
            let Some(stage) = shared.stages.get(depth) else {
                return indices.iter().try_for_each(|index| self.finish(*index, held));
            };
            let same = |index: &usize| {
                let other = self.models[*index].shared.stages.get(depth);
                other.is_some_and(|other| Arc::ptr_eq(other, stage))
            };
            let (together, rest): (Vec<usize>, Vec<usize>) = indices.into_iter().partition(same);
            indices = rest;
            // The last to need the input gets it alone, so that the stage may reuse its memory.
            let input = if indices.is_empty() { x.take() } else { x.clone() };
            let output = run(stage, input.into_iter().collect());
            let output = output.map_err(|error| shared.internal("running a sequence", &error))?;
            self.from(depth + 1, together, output)?;
        }
        Ok(())
    }

    fn export(&mut self, index: usize, ids: &[u32]) -> Result<(), EngineError> {
        let shared = &self.models[index].shared;
        let inputs = shared.feeds.iter().flatten().map(|feed| feed.tensor(ids));
        let inputs: TractResult<TVec<TValue>> = inputs.collect();
        let stage = shared.stages.first().context("no plan");
        let output = inputs.and_then(|inputs| run(stage?, inputs));
        let output = output.map_err(|error| shared.internal("running a sequence", &error))?;
        self.finish(index, &output)
    }

    fn finish(&mut self, index: usize, output: &TValue) -> Result<(), EngineError> {
        let shared = &self.models[index].shared;
        let values = output
            .try_as_plain_ram()
            .and_then(|output| output.as_slice::<f32>().map(<[f32]>::to_vec));
        let values = values.map_err(|error| shared.internal("reading logits", &error))?;
        if let Some(at) = values.iter().position(|logit| !logit.is_finite()) {
            return Err(EngineError::NotFinite {
                position: at / shared.labels.max(1),
            });
        }
        self.logits[index] = values;
        Ok(())
    }
}

/// Runs a plan that has one output.
pub(crate) fn run(stage: &Stage, inputs: TVec<TValue>) -> TractResult<TValue> {
    stage.run(inputs)?.into_iter().next().context("no output")
}

impl Shared {
    fn check_head(&self) -> Result<(), EngineError> {
        match self.labels {
            0 => Err(EngineError::Headless {
                path: self.dir.clone(),
            }),
            _ => Ok(()),
        }
    }

    fn check(&self, ids: &[u32]) -> Result<(), EngineError> {
        let Self { rows, context, .. } = *self;
        if ids.is_empty() {
            return Err(EngineError::Empty);
        }
        if ids.len() > context {
            return Err(EngineError::TooLong {
                length: ids.len(),
                context,
            });
        }
        let outside = |id: &u32| usize::try_from(*id).map_or(true, |id| id >= rows);
        match ids.iter().position(outside) {
            Some(position) => Err(EngineError::Token { position, rows }),
            None => Ok(()),
        }
    }

    fn internal(&self, step: &'static str, error: &TractError) -> EngineError {
        EngineError::Internal {
            path: self.dir.clone(),
            step,
            problem: format!("{error:#}"),
        }
    }
}

impl fmt::Debug for TractModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TractModel")
            .field("dir", &self.shared.dir)
            .field("labels", &self.shared.labels)
            .field("context", &self.shared.context)
            .finish_non_exhaustive()
    }
}
