//! A task adapter in the format of the `peft` library: low-rank changes of some linear layers of a frozen base (Hu et
//! al. 2022, LoRA) and whole tensors that replace the base's, such as a head of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Checkpoint;
use crate::architecture::{Architecture, Linear};
use crate::error::ModelError;
use crate::weights::Weights;

/// An opened adapter that fits its base. `Send + Sync`. Holds no weights: [`read`](Self::read) and
/// [`low_rank`](Self::low_rank) fetch them.
#[derive(Debug)]
pub struct Adapter {
    pub(crate) dir: PathBuf,
    pub(crate) architecture: Architecture,
    pub(crate) labels: Vec<String>,
    pub(crate) weights: Weights,
    /// From a tensor of the base to the one in `weights` that replaces it.
    pub(crate) replaced: BTreeMap<String, String>,
    /// From the weight of a linear layer of the base to its change.
    pub(crate) changes: BTreeMap<String, Change>,
    pub(crate) digest: String,
}

/// The low-rank change of one linear layer, by the names of its tensors in the adapter's file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    /// Tensor of shape `[rank, inputs]`.
    pub(crate) down: String,
    /// Tensor of shape `[outputs, rank]`.
    pub(crate) up: String,
    pub(crate) rank: usize,
    /// `alpha / rank` or, rank-stabilised, `alpha / sqrt(rank)`.
    pub(crate) scale: f32,
    /// Tensor of shape `[outputs]`: the lengths that the rows of the changed weight are given.
    pub(crate) magnitude: Option<String>,
    /// Tensor of shape `[outputs]`, added to the base's bias after scaling.
    pub(crate) bias: Option<String>,
}

/// The low-rank change of a linear layer: its weight becomes `W + up down` and, where there are magnitudes, each row of
/// that is scaled to have the length they say (Liu et al. 2024, DoRA).
#[derive(Debug, Clone, PartialEq)]
pub struct LowRank {
    /// Rows of `down`.
    pub rank: usize,
    /// `[rank, inputs]`, row-major.
    pub down: Vec<f32>,
    /// `[outputs, rank]`, row-major; the adapter's scale is already in it.
    pub up: Vec<f32>,
    /// `[outputs]`: lengths of the rows.
    pub magnitude: Option<Vec<f32>>,
    /// `[outputs]`: added to the bias; the adapter's scale is already in it.
    pub bias: Option<Vec<f32>>,
}

impl Adapter {
    /// Opens a PEFT directory as an adapter over `base`.
    ///
    /// # Errors
    /// Always, so far.
    pub fn open(dir: &Path, _base: &Checkpoint) -> Result<Self, ModelError> {
        Err(ModelError::Adapter {
            path: dir.to_owned(),
            problem: "adapters cannot be opened yet".to_owned(),
        })
    }

    /// Number of parameters that it brings.
    pub fn parameters(&self) -> u64 {
        0
    }

    /// The languages that its card names.
    pub fn languages(&self) -> &[String] {
        &[]
    }

    /// The licence that its card names.
    pub fn license(&self) -> Option<&str> {
        None
    }

    /// The directory it was opened from.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the base computes with this adapter's head.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The labels in the order of the logits.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// SHA-256 over the adapter's files, as 64 hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether the adapter brings this tensor itself.
    pub fn replaces(&self, tensor: &str) -> bool {
        self.replaced.contains_key(tensor)
    }

    /// Reads a tensor that [it replaces](Self::replaces) as f32, row-major.
    ///
    /// # Errors
    /// As [`Weights::read`].
    pub fn read(&self, tensor: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let name = self.replaced.get(tensor).map_or(tensor, String::as_str);
        self.weights.read(name, shape)
    }

    /// Reads the change of a linear layer; `None` where the adapter leaves its weight as it is.
    ///
    /// # Errors
    /// As [`Weights::read`].
    pub fn low_rank(&self, linear: &Linear) -> Result<Option<LowRank>, ModelError> {
        let Some(change) = self.changes.get(&linear.weight) else {
            return Ok(None);
        };
        let Change { rank, scale, .. } = *change;
        let read = |name: &String, shape: &[usize]| self.weights.read(name, shape);
        let scaled = |mut values: Vec<f32>| {
            values.iter_mut().for_each(|value| *value *= scale);
            values
        };
        Ok(Some(LowRank {
            rank,
            down: read(&change.down, &[rank, linear.inputs])?,
            up: scaled(read(&change.up, &[linear.outputs, rank])?),
            magnitude: change
                .magnitude
                .iter()
                .map(|name| read(name, &[linear.outputs]))
                .next()
                .transpose()?,
            bias: change
                .bias
                .iter()
                .map(|name| read(name, &[linear.outputs]))
                .next()
                .transpose()?
                .map(scaled),
        }))
    }
}
