//! Payloads of the frames between the daemon and a GPU worker, in postcard. Both come from one build.
//!
//! A batch is packed: the ids of all windows one after the other, and the length of each. Nothing is padded, and a window that
//! several models are asked about is there once. A model with a head gives logits for every token; of one whose head the daemon
//! has, a zero-shot model, the hidden states of some rows are asked.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Calls that a worker may have at once: a batch, a model being loaded, and the question how it is.
pub const CONCURRENCY: usize = 3;

/// The arithmetic of weights and activations. Sums are always in single precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Precision {
    /// IEEE 754 single precision; no TF32.
    #[default]
    Fp32,
    /// IEEE 754 half precision.
    Fp16,
    /// The upper half of a single.
    Bf16,
}

impl Precision {
    /// The name in configuration and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
        }
    }

    /// Bytes of a number.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Fp32 => 4,
            Self::Fp16 | Self::Bf16 => 2,
        }
    }

    /// How far logits may be from those of single precision on another engine: the norm of the difference as a share of their
    /// norm. A bound for a self-check, which tells broken from rounded; not a promise on entities.
    pub fn tolerance(self) -> f32 {
        match self {
            Self::Fp32 => 1e-3,
            Self::Fp16 => 5e-2,
            Self::Bf16 => 3e-1,
        }
    }
}

/// The payload of `Start`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Which GPU, as the driver counts them.
    pub gpu: u32,
    /// The arithmetic.
    pub precision: Precision,
    /// Device memory that the worker may take, in bytes; 0: nine tenths of what is free at its start.
    pub memory_bytes: u64,
    /// Bytes that a frame may have.
    pub max_frame: usize,
}

/// The payload of `Ready`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// What the GPU is called.
    pub name: String,
    /// The driver's version, as the driver gives it.
    pub driver: String,
    /// Compute capability, such as `9.0`.
    pub compute: String,
    /// Device memory that the worker may take, in bytes.
    pub memory_bytes: u64,
}

/// The payload of `Call`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Loads a model.
    Load(Load),
    /// Frees a model. Whoever is over it must have gone before.
    Unload {
        /// Its number.
        model: u64,
    },
    /// Computes a batch.
    Forward(Batch),
    /// Asks how it is.
    Health,
}

/// A model to load: a checkpoint, or a task adapter over one that is loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// The number that later calls name it by.
    pub model: u64,
    /// Its directory.
    pub path: PathBuf,
    /// What the daemon read there. Where the files have changed since, it is not loaded.
    pub digest: String,
    /// The checkpoint's number, for an adapter.
    pub base: Option<u64>,
}

/// A window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window<'a> {
    /// The models that are asked about it: one at least.
    pub models: &'a [u64],
    /// Its ids with the special tokens: one at least.
    pub ids: &'a [u32],
    /// The tokens whose last hidden states are asked, in rising order; none where the models have heads.
    pub rows: &'a [u32],
}

impl<'a> Window<'a> {
    /// A window for models with heads.
    pub fn new(models: &'a [u64], ids: &'a [u32]) -> Self {
        Self {
            models,
            ids,
            rows: &[],
        }
    }

    /// How many rows of values each of its models gives.
    pub fn answers(&self) -> usize {
        match self.rows.is_empty() {
            true => self.ids.len(),
            false => self.rows.len(),
        }
    }
}

/// Windows to compute, for models over one base.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The number of tokens of each window.
    pub lengths: Vec<u32>,
    /// The models of each window.
    pub models: Vec<Vec<u64>>,
    /// The ids of all windows, one after the other.
    pub ids: Vec<u32>,
    /// The rows that are asked of each window.
    pub rows: Vec<Vec<u32>>,
}

impl Batch {
    /// Adds a window.
    pub fn push(&mut self, window: Window<'_>) {
        // A window is no longer than a context.
        self.lengths
            .push(u32::try_from(window.ids.len()).unwrap_or(u32::MAX));
        self.models.push(window.models.to_vec());
        self.ids.extend_from_slice(window.ids);
        self.rows.push(window.rows.to_vec());
    }

    /// Its windows in order; `None` where the lengths do not fit the rest.
    pub fn windows(&self) -> Option<Vec<Window<'_>>> {
        let mut rest = self.ids.as_slice();
        let mut windows = Vec::with_capacity(self.lengths.len());
        for ((length, models), rows) in self.lengths.iter().zip(&self.models).zip(&self.rows) {
            let (ids, after) = rest.split_at_checked(usize::try_from(*length).ok()?)?;
            windows.push(Window { models, ids, rows });
            rest = after;
        }
        let whole = rest.is_empty() && [self.models.len(), self.rows.len()] == [self.lengths.len(); 2];
        let sound = |window: &Window<'_>| {
            let inside = |last: &u32| usize::try_from(*last).is_ok_and(|last| last < window.ids.len());
            !window.models.is_empty()
                && !window.ids.is_empty()
                && window.rows.is_sorted_by(|one, next| one < next)
                && window.rows.last().is_none_or(inside)
        };
        (whole && windows.iter().all(sound)).then_some(windows)
    }
}

/// What a loaded model takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// Device memory; for an adapter, on top of its base's.
    pub bytes: u64,
    /// The share of the layers that are computed for this model alone, where a window is also for others over the base:
    /// none for the base, and for an adapter those from the first on that it changes.
    pub own: f32,
}

/// The payload of `Reply`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The model is loaded.
    Loaded(Loaded),
    /// The model is gone.
    Unloaded,
    /// Window by window, model by model: token by token one logit for each label of the model, or the hidden state of each row that
    /// was asked.
    Values(Vec<f32>),
    /// How it is.
    Health(Statistics),
}

/// How a worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Device memory in use by the worker, in bytes.
    pub memory_used: u64,
    /// Models loaded.
    pub models: u64,
    /// Batches computed.
    pub batches: u64,
    /// Tokens of their windows.
    pub tokens: u64,
}

/// Why nothing came of a call; the payload of `Failed`. Holds no text of any document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Fault {
    /// The batch or model does not fit; a smaller one may.
    #[error("the GPU is out of memory")]
    OutOfMemory,
    /// The GPU or its driver failed, and nothing that this process computes from now on can be trusted.
    #[error("the GPU failed: {0}")]
    Device(String),
    /// The model cannot be computed on this GPU, in a sentence for the administrator.
    #[error("{0}")]
    Refused(String),
    /// No such model is loaded.
    #[error("the worker has no such model")]
    UnknownModel,
    /// The daemon sent what cannot be read.
    #[error("the worker could not read the call")]
    Unreadable,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_apart_as_it_was(
            windows in proptest::collection::vec(
                (proptest::collection::vec(any::<u64>(), 1..4), proptest::collection::vec(any::<u32>(), 1..9), any::<u8>()),
                0..9
            )
        ) {
            let mut batch = Batch::default();
            let rows = |count: usize, some: u8| (0..count as u32).filter(|row| some >> row & 1 == 1).collect();
            let rows: Vec<Vec<u32>> = windows.iter().map(|(_, ids, some)| rows(ids.len(), *some)).collect();
            let windows = windows.iter().zip(&rows);
            let expected = windows.map(|((models, ids, _), rows)| Window { models, ids, rows });
            let expected: Vec<Window<'_>> = expected.collect();
            expected.iter().for_each(|window| batch.push(*window));
            let bytes = postcard::to_allocvec(&Request::Forward(batch)).unwrap();
            let Ok(Request::Forward(batch)) = postcard::from_bytes(&bytes) else { panic!("a batch") };
            let found = batch.windows().unwrap();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_batch_that_does_not_fit_itself_is_none(
            lengths in proptest::collection::vec(0_u32..5, 0..5),
            models in proptest::collection::vec(proptest::collection::vec(any::<u64>(), 0..3), 0..5),
            ids in proptest::collection::vec(any::<u32>(), 0..12),
            rows in proptest::collection::vec(proptest::collection::vec(0_u32..5, 0..3), 0..5),
        ) {
            let asked = |(rows, length): (&Vec<u32>, &u32)| {
                rows.iter().all(|row| row < length) && rows.windows(2).all(|pair| pair[0] < pair[1])
            };
            let fits = lengths.len() == models.len()
                && lengths.len() == rows.len()
                && rows.iter().zip(&lengths).all(asked)
                && !lengths.contains(&0)
                && !models.contains(&Vec::new())
                && lengths.iter().sum::<u32>() as usize == ids.len();
            let batch = Batch { lengths, models, ids, rows };
            prop_assert_eq!(batch.windows().is_some(), fits);
        }
    }
}
