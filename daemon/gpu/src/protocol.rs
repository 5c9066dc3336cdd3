//! Payloads of the frames between the daemon and a GPU worker, in postcard. Both come from one build.
//!
//! A batch is packed: the ids of all windows one after the other, and the length of each. Nothing is padded, and a window that
//! several models are asked about is there once.

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

/// A window: the models that are asked about it, and its ids with the special tokens. There is one of each at least.
pub type Window<'a> = (&'a [u64], &'a [u32]);

/// Windows to compute, for models over one base.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The number of tokens of each window.
    pub lengths: Vec<u32>,
    /// The models of each window.
    pub models: Vec<Vec<u64>>,
    /// The ids of all windows, one after the other.
    pub ids: Vec<u32>,
}

impl Batch {
    /// Adds a window.
    pub fn push(&mut self, (models, ids): Window<'_>) {
        // A window is no longer than a context.
        self.lengths.push(u32::try_from(ids.len()).unwrap_or(u32::MAX));
        self.models.push(models.to_vec());
        self.ids.extend_from_slice(ids);
    }

    /// Its windows in order; `None` where the lengths do not fit the rest.
    pub fn windows(&self) -> Option<Vec<Window<'_>>> {
        let mut rest = self.ids.as_slice();
        let mut windows = Vec::with_capacity(self.lengths.len());
        for (length, models) in self.lengths.iter().zip(&self.models) {
            let (ids, after) = rest.split_at_checked(usize::try_from(*length).ok()?)?;
            windows.push((models.as_slice(), ids));
            rest = after;
        }
        let whole = rest.is_empty() && self.lengths.len() == self.models.len();
        let empty = |(models, ids): &Window<'_>| models.is_empty() || ids.is_empty();
        (whole && !windows.iter().any(empty)).then_some(windows)
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
    /// Window by window, model by model, token by token, one logit for each label of the model.
    Logits(Vec<f32>),
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
                (proptest::collection::vec(any::<u64>(), 1..4), proptest::collection::vec(any::<u32>(), 1..9)),
                0..9
            )
        ) {
            let mut batch = Batch::default();
            windows.iter().for_each(|(models, ids)| batch.push((models, ids)));
            let bytes = postcard::to_allocvec(&Request::Forward(batch)).unwrap();
            let Ok(Request::Forward(batch)) = postcard::from_bytes(&bytes) else { panic!("a batch") };
            let found = batch.windows().unwrap();
            let expected: Vec<Window<'_>> = windows.iter().map(|(models, ids)| (&models[..], &ids[..])).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_batch_that_does_not_fit_itself_is_none(
            lengths in proptest::collection::vec(0_u32..5, 0..5),
            models in proptest::collection::vec(proptest::collection::vec(any::<u64>(), 0..3), 0..5),
            ids in proptest::collection::vec(any::<u32>(), 0..12),
        ) {
            let fits = lengths.len() == models.len()
                && !lengths.contains(&0)
                && !models.contains(&Vec::new())
                && lengths.iter().sum::<u32>() as usize == ids.len();
            let batch = Batch { lengths, models, ids };
            prop_assert_eq!(batch.windows().is_some(), fits);
        }
    }
}
