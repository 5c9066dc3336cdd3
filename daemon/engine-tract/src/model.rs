//! Loaded models, which all workers share: bases, and task adapters over them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use mednerd_model::{Adapter, Checkpoint};
use tract_onnx::tract_core::internal::*;

use crate::error::EngineError;
use crate::lower::{self, PackedWeights, Stage};
use crate::onnx::{self, Feed};

/// The arithmetic that a model runs in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision, whatever the files hold.
    #[default]
    Fp32,
    /// Weights and activations quantised to 8 bits. Not available yet: loading with it is an error.
    Int8,
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
    rows: usize,
    context: usize,
    labels: usize,
    bytes: usize,
}

impl TractModel {
    /// Lowers a checkpoint's safetensors or, where there are none, reads its `model.onnx`. The checkpoint may be
    /// dropped afterwards.
    ///
    /// # Errors
    /// A tensor cannot be read or is not finite; the ONNX file is not one that can be run; the precision is not
    /// available.
    pub fn load(checkpoint: &Checkpoint, options: &Options) -> Result<Self, EngineError> {
        if options.precision == Precision::Int8 {
            return Err(EngineError::Precision);
        }
        let labels = checkpoint.labels().len();
        let (stages, feeds, packed, bytes) = match checkpoint.onnx() {
            Some(path) if checkpoint.weights().is_empty() => {
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
                let lowered = lower::lower(checkpoint)?;
                (lowered.stages, None, lowered.packed, lowered.bytes)
            }
        };
        Ok(Self {
            shared: Arc::new(Shared {
                dir: checkpoint.dir().to_owned(),
                stages,
                feeds,
                packed: Arc::new(packed),
                rows: checkpoint.architecture().embeddings.words.rows,
                context: checkpoint.context(),
                labels,
                bytes,
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
                rows: self.shared.rows,
                context: self.shared.context,
                labels: adapter.labels().len(),
                bytes: adapted.bytes,
            }),
        })
    }

    /// Number of labels: logits per token. None for a base without a head, which only adapters can be run over.
    pub fn labels(&self) -> usize {
        self.shared.labels
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

    /// The logits of one sequence from each of `models`, as [`forward`](Self::forward) gives them, in their order.
    /// Stages that several of them share are computed once: the trunk below the first layer that an adapter changes, or
    /// everything but the head where it changes no more.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), for any of the models.
    pub fn forward_each(models: &[&Self], ids: &[u32]) -> Result<Vec<Vec<f32>>, EngineError> {
        for model in models {
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
    fn check(&self, ids: &[u32]) -> Result<(), EngineError> {
        let Self { rows, context, .. } = *self;
        if self.labels == 0 {
            return Err(EngineError::Headless {
                path: self.dir.clone(),
            });
        }
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
