//! A loaded model, which all workers share, and the session that each worker has of it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use mednerd_model::Checkpoint;
use tract_onnx::tract_core::internal::*;

use crate::error::EngineError;
use crate::lower;
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

/// A model lowered to a tract plan. `Send + Sync`; cloning shares it.
#[derive(Clone)]
pub struct TractModel {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    plan: Arc<TypedSimplePlan>,
    /// `None` for a lowered plan, whose one input is `[S]` of u32.
    feeds: Option<Vec<Feed>>,
    rows: usize,
    context: usize,
    labels: usize,
    bytes: usize,
}

impl Shared {
    fn internal(&self, step: &'static str, error: &TractError) -> EngineError {
        EngineError::Internal {
            path: self.dir.clone(),
            step,
            problem: format!("{error:#}"),
        }
    }
}

/// One worker's running state of a model. `Send`, so it may be made on one thread and used on another; each call runs on
/// the calling thread alone. What a call answers depends on its ids only.
pub struct Session {
    shared: Arc<Shared>,
    state: TypedSimpleState,
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
        let (model, feeds, bytes) = match checkpoint.onnx() {
            Some(path) if checkpoint.weights().is_empty() => {
                let graph = onnx::load(path, labels)?;
                let bytes = usize::try_from(checkpoint.weight_bytes()).unwrap_or(usize::MAX);
                (graph.model, Some(graph.feeds), bytes)
            }
            _ => {
                let lowered = lower::lower(checkpoint)?;
                (lowered.model, None, lowered.bytes)
            }
        };
        let plan = TypedSimplePlan::new(model).map_err(|error| EngineError::Internal {
            path: checkpoint.dir().to_owned(),
            step: "planning",
            problem: format!("{error:#}"),
        })?;
        Ok(Self {
            shared: Arc::new(Shared {
                dir: checkpoint.dir().to_owned(),
                plan,
                feeds,
                rows: checkpoint.architecture().embeddings.words.rows,
                context: checkpoint.context(),
                labels,
                bytes,
            }),
        })
    }

    /// A session for one worker. Cheap: it holds no weights.
    ///
    /// # Errors
    /// tract refuses, which is a fault of ours.
    pub fn session(&self) -> Result<Session, EngineError> {
        let state = self.shared.plan.spawn();
        Ok(Session {
            shared: Arc::clone(&self.shared),
            state: state.map_err(|e| self.shared.internal("starting a session", &e))?,
        })
    }

    /// Number of labels: logits per token.
    pub fn labels(&self) -> usize {
        self.shared.labels
    }

    /// Longest sequence, in tokens including the special ones.
    pub fn context(&self) -> usize {
        self.shared.context
    }

    /// Bytes of weights that the model holds in memory, shared by all its sessions: exact for safetensors, the size of
    /// the file for ONNX. What a session works in comes on top: a few activations of its current sequence, and per
    /// thread the scores of 192 queries.
    pub fn memory_bytes(&self) -> usize {
        self.shared.bytes
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

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("dir", &self.shared.dir)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// The logits of one sequence: `ids` with its special tokens, every token attending to every other, all of segment
    /// 0. The answer is row-major, `ids.len()` rows of [`labels`](TractModel::labels) columns.
    ///
    /// # Errors
    /// No ids, more than the [`context`](TractModel::context), one outside the vocabulary; logits that are not finite.
    /// The session can be used again after an error.
    pub fn forward(&mut self, ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.check(ids)?;
        let logits = self.run(ids).map_err(|error| {
            // A run that stopped half-way leaves values behind.
            let _ = self.state.reset_turn();
            self.shared.internal("running a sequence", &error)
        })?;
        match logits.iter().position(|logit| !logit.is_finite()) {
            Some(at) => Err(EngineError::NotFinite {
                position: at / self.shared.labels.max(1),
            }),
            None => Ok(logits),
        }
    }

    fn check(&self, ids: &[u32]) -> Result<(), EngineError> {
        let Shared { rows, context, .. } = *self.shared;
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

    fn run(&mut self, ids: &[u32]) -> TractResult<Vec<f32>> {
        let inputs = match &self.shared.feeds {
            None => tvec!(Tensor::from_shape(&[ids.len()], ids)?.into_tvalue()),
            Some(feeds) => feeds
                .iter()
                .map(|feed| feed.tensor(ids))
                .collect::<TractResult<TVec<_>>>()?,
        };
        let outputs = self.state.run(inputs)?;
        let logits = outputs.first().context("no output")?;
        let logits = logits.try_as_plain_ram()?.as_slice::<f32>()?;
        let expected = ids.len() * self.shared.labels;
        ensure!(
            logits.len() == expected,
            "{} logits, {expected} are expected",
            logits.len()
        );
        Ok(logits.to_vec())
    }
}
