//! Payloads of the frames between the daemon and a GPU worker, in postcard. Both come from one build.
//!
//! A batch is packed: the ids of all windows one after the other, and the length of each. Nothing is padded, and a window that
//! several models are asked about is there once. A token classifier gives logits for every token; of a zero-shot model the scores of
//! words for labels are asked.

use std::cmp::Ordering;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Calls that a worker may have at once: a batch, another behind it, and a model being loaded.
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
    /// As bf16; in the encoder's large products weights and activations have 8 bits (e4m3), with a scale for each row of either.
    Fp8,
}

impl Precision {
    /// The name in configuration and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
        }
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fp32, Self::Fp16, Self::Bf16, Self::Fp8];

    /// Bytes of a number; but for those that have 8 bits.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Fp32 => 4,
            Self::Fp16 | Self::Bf16 | Self::Fp8 => 2,
        }
    }

    /// How far logits may be from those of single precision on another engine: the norm of the difference as a share of their
    /// norm. A bound for a self-check, which tells broken from rounded; not a promise on entities.
    pub fn tolerance(self) -> f32 {
        match self {
            Self::Fp32 => 1e-3,
            Self::Fp16 => 5e-2,
            // In 8 bits logits of random weights are up to 1.3e-1 apart, those of the shipped model 2e-2; rows, inputs or scales that are
            // mixed up make it 4e-1 and more.
            Self::Bf16 | Self::Fp8 => 3e-1,
        }
    }
}

/// The payload of `Start`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Which GPU, as `nvidia-smi` counts them: for what the worker says of it. It takes the first that its environment shows it.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window<'a> {
    /// The models that are asked about it: one at least.
    pub models: &'a [u64],
    /// Its ids with the special tokens: one at least.
    pub ids: &'a [u32],
    /// The words' first tokens, in rising order; none where the models are token classifiers.
    pub words: &'a [u32],
    /// What the words are scored for; none where there are no words.
    pub labels: Labels<'a>,
    /// Below this, scores may be left out.
    pub floor: Option<f32>,
}

/// The labels of a window for zero-shot models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Labels<'a> {
    /// In the sequence: the tokens whose states are the labels' vectors, in rising order.
    At(&'a [u32]),
    /// Encoded by themselves.
    Encoded {
        /// How many there are.
        count: usize,
        /// Their vectors, one after the other.
        vectors: &'a [f32],
    },
}

impl Labels<'_> {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::At(places) => places.len(),
            Self::Encoded { count, .. } => *count,
        }
    }
}

impl<'a> Window<'a> {
    /// A window for token classifiers.
    pub fn new(models: &'a [u64], ids: &'a [u32]) -> Self {
        Self {
            models,
            ids,
            words: &[],
            labels: Labels::At(&[]),
            floor: None,
        }
    }

    /// How many rows of values each of its models gives: one for each token, or for each word and label.
    pub fn answers(&self) -> usize {
        match self.words.is_empty() {
            true => self.ids.len(),
            false => self.words.len().saturating_mul(self.labels.count()),
        }
    }
}

/// Windows to compute, for models over one base.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The number of tokens of each window.
    pub lengths: Vec<u32>,
    /// The models of each window.
    pub models: Vec<Vec<u64>>,
    /// The ids of all windows, one after the other.
    pub ids: Vec<u32>,
    /// The words of each window.
    pub words: Vec<Vec<u32>>,
    /// Where the labels of each window are.
    pub labels: Vec<Place>,
    /// Labels that were encoded by themselves, each set once.
    pub sets: Vec<Set>,
    /// The floor of each window.
    pub floors: Vec<Option<f32>>,
}

/// Where the labels of a window are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Place {
    /// In its sequence.
    At(Vec<u32>),
    /// In the set with this number.
    Set(usize),
}

/// Labels that were encoded by themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Set {
    /// How many there are.
    pub count: usize,
    /// Their vectors, one after the other.
    #[serde(with = "floats")]
    pub vectors: Vec<f32>,
}

impl Batch {
    /// Adds a window.
    pub fn push(&mut self, window: Window<'_>) {
        // A window is no longer than a context.
        self.lengths
            .push(u32::try_from(window.ids.len()).unwrap_or(u32::MAX));
        self.models.push(window.models.to_vec());
        self.ids.extend_from_slice(window.ids);
        self.words.push(window.words.to_vec());
        let place = match window.labels {
            Labels::At(places) => Place::At(places.to_vec()),
            Labels::Encoded { count, vectors } => Place::Set(self.set(count, vectors)),
        };
        self.labels.push(place);
        self.floors.push(window.floor);
    }

    /// The number of this set, which many windows may have.
    fn set(&mut self, count: usize, vectors: &[f32]) -> usize {
        let same = |set: &Set| set.count == count && set.vectors == vectors;
        self.sets.iter().position(same).unwrap_or_else(|| {
            let vectors = vectors.to_vec();
            self.sets.push(Set { count, vectors });
            self.sets.len() - 1
        })
    }

    /// Its windows in order; `None` where the lengths do not fit the rest.
    pub fn windows(&self) -> Option<Vec<Window<'_>>> {
        let mut rest = self.ids.as_slice();
        let mut windows = Vec::with_capacity(self.lengths.len());
        let of_zero_shot = self.words.iter().zip(&self.labels).zip(&self.floors);
        for ((length, models), ((words, place), floor)) in
            self.lengths.iter().zip(&self.models).zip(of_zero_shot)
        {
            let (ids, after) = rest.split_at_checked(usize::try_from(*length).ok()?)?;
            let labels = match place {
                Place::At(places) => Labels::At(places),
                Place::Set(number) => {
                    let Set { count, vectors } = self.sets.get(*number)?;
                    let count = *count;
                    Labels::Encoded { count, vectors }
                }
            };
            windows.push(Window {
                models,
                ids,
                words,
                labels,
                floor: *floor,
            });
            rest = after;
        }
        let counts = [
            self.models.len(),
            self.words.len(),
            self.labels.len(),
            self.floors.len(),
        ];
        let whole = rest.is_empty() && counts == [self.lengths.len(); 4];
        (whole && windows.iter().all(Window::is_sound)).then_some(windows)
    }
}

impl Window<'_> {
    /// Whether it is as its fields say.
    fn is_sound(&self) -> bool {
        let inside = |last: &u32| usize::try_from(*last).is_ok_and(|last| last < self.ids.len());
        let places =
            |places: &[u32]| places.is_sorted_by(|one, next| one < next) && places.last().is_none_or(inside);
        let labels = match self.labels {
            Labels::At(at) => places(at),
            Labels::Encoded { count, vectors } => {
                count > 0 && vectors.len() >= count && vectors.len() % count == 0
            }
        };
        labels
            && places(self.words)
            && self.words.is_empty() == (self.labels.count() == 0)
            && !self.models.is_empty()
            && !self.ids.is_empty()
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
    /// Window by window, model by model.
    Values(Vec<Values>),
    /// How it is.
    Health(Statistics),
}

/// What a model gives for a window. Of a token classifier, token by token one logit for each of its labels. Of a zero-shot model,
/// before the sigmoid: where it scores stretches, for each word that one may begin with, each width up to its widest and each label one
/// score, 0 where a stretch would go beyond the last word; where it scores words, for each word and each label three, that it begins, ends
/// and is inside an entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Values {
    /// All of it.
    All(#[serde(with = "floats")] Vec<f32>),
    /// What is not below the window's floor.
    Above {
        /// Where it stands among all, in rising order.
        places: Vec<u32>,
        /// What stands there.
        #[serde(with = "floats")]
        values: Vec<f32>,
    },
}

impl Default for Values {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Values {
    /// What is left of all where some may be left out; NaN is not.
    pub fn above(all: Vec<f32>, floor: Option<f32>) -> Self {
        let (Some(floor), true) = (floor, u32::try_from(all.len()).is_ok()) else {
            return Self::All(all);
        };
        let kept = (0..)
            .zip(all)
            .filter(|(_, value)| value.partial_cmp(&floor) != Some(Ordering::Less));
        let (places, values) = kept.unzip();
        Self::Above { places, values }
    }

    /// Those that there are.
    pub fn values(&self) -> &[f32] {
        match self {
            Self::All(values) | Self::Above { values, .. } => values,
        }
    }

    /// The same, to be changed.
    pub(crate) fn values_mut(&mut self) -> &mut Vec<f32> {
        match self {
            Self::All(values) | Self::Above { values, .. } => values,
        }
    }

    /// Whether it can be what was left of so many, of which some may have been left out only where there was a floor.
    pub fn fits(&self, count: usize, floor: Option<f32>) -> bool {
        match self {
            Self::All(values) => values.len() == count,
            Self::Above { places, values } => {
                let inside = |last: &u32| usize::try_from(*last).is_ok_and(|last| last < count);
                floor.is_some()
                    && places.len() == values.len()
                    && places.is_sorted_by(|one, next| one < next)
                    && places.last().is_none_or(inside)
            }
        }
    }
}

/// Many floats, as bytes at once: one by one they would take longer than a GPU takes for them.
mod floats {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = vec![0; 4 * values.len()];
        for (place, value) in bytes.as_chunks_mut().0.iter_mut().zip(values) {
            *place = value.to_le_bytes();
        }
        serializer.serialize_bytes(&bytes)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        match <&[u8]>::deserialize(deserializer)?.as_chunks() {
            (values, []) => Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect()),
            _ => Err(D::Error::custom("not whole floats")),
        }
    }
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

    #[test]
    fn values_that_cannot_be_are_told() {
        let above = |places: &[u32], values: usize| Values::Above {
            places: places.to_vec(),
            values: vec![1.0; values],
        };
        assert!(above(&[0, 4], 2).fits(5, Some(0.0)));
        for wrong in [
            above(&[0, 5], 2),
            above(&[4, 0], 2),
            above(&[1, 1], 2),
            above(&[0, 4], 3),
        ] {
            assert!(!wrong.fits(5, Some(0.0)), "{wrong:?}");
        }
        assert!(!above(&[0, 4], 2).fits(5, None));
        assert!(!Values::All(vec![1.0; 4]).fits(5, Some(0.0)));
    }

    fn rows(count: usize, some: u8) -> Vec<u32> {
        (0..count as u32).filter(|row| some >> row & 1 == 1).collect()
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_apart_as_it_was(
            windows in proptest::collection::vec(
                (
                    proptest::collection::vec(any::<u64>(), 1..4),
                    proptest::collection::vec(any::<u32>(), 1..9),
                    any::<u8>(),
                    any::<u8>(),
                    proptest::option::of(0_usize..3),
                ),
                0..9
            )
        ) {
            let mut batch = Batch::default();
            let sets = [vec![1.0_f32, 2.0], vec![1.0, 3.0], vec![1.0, 2.0, 3.0, 4.0]];
            let places: Vec<[Vec<u32>; 2]> = windows
                .iter()
                .map(|(_, ids, words, labels, _)| [rows(ids.len(), *words), rows(ids.len(), *labels)])
                .collect();
            let expected = windows.iter().zip(&places).map(|((models, ids, _, _, set), [words, labels])| {
                let labels = match set {
                    Some(set) => Labels::Encoded { count: 2, vectors: &sets[*set] },
                    None => Labels::At(labels),
                };
                let plain = words.is_empty() || labels.count() == 0;
                let labels = if plain { Labels::At(&[]) } else { labels };
                let floor = set.map(|set| set as f32);
                Window { models, ids, words: if plain { &[] } else { words }, labels, floor }
            });
            let expected: Vec<Window<'_>> = expected.collect();
            expected.iter().for_each(|window| batch.push(*window));
            prop_assert!(batch.sets.len() <= 3);
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
            words in proptest::collection::vec(proptest::collection::vec(0_u32..5, 0..3), 0..5),
            labels in proptest::collection::vec(
                proptest::collection::vec(0_u32..5, 0..3).prop_map(Place::At)
                    .boxed().prop_union((0_usize..3).prop_map(Place::Set).boxed()),
                0..5
            ),
            sets in proptest::collection::vec((0_usize..3, 0_usize..5), 0..3),
        ) {
            let sets: Vec<Set> = sets
                .into_iter()
                .map(|(count, values)| Set { count, vectors: vec![0.5; values] })
                .collect();
            let rises = |rows: &[u32], length: &u32| {
                rows.iter().all(|row| row < length) && rows.windows(2).all(|pair| pair[0] < pair[1])
            };
            let asked = |((words, place), length): ((&Vec<u32>, &Place), &u32)| {
                let (fits, count) = match place {
                    Place::At(places) => (rises(places, length), places.len()),
                    Place::Set(number) => sets.get(*number).map_or((false, 0), |set| {
                        (!set.vectors.is_empty() && set.count > 0 && set.vectors.len() % set.count == 0, set.count)
                    }),
                };
                fits && rises(words, length) && words.is_empty() == (count == 0)
            };
            let fits = [lengths.len(); 3] == [models.len(), words.len(), labels.len()]
                && words.iter().zip(&labels).zip(&lengths).all(asked)
                && !lengths.contains(&0)
                && !models.contains(&Vec::new())
                && lengths.iter().sum::<u32>() as usize == ids.len();
            let floors = vec![None; lengths.len()];
            let mut batch = Batch { lengths, models, ids, words, labels, sets, floors };
            prop_assert_eq!(batch.windows().is_some(), fits);
            batch.floors.push(None);
            prop_assert!(batch.windows().is_none());
        }

        #[test]
        fn what_is_below_the_floor_is_left_out(
            all in proptest::collection::vec(any::<f32>(), 0..20), floor in proptest::option::of(any::<f32>()),
        ) {
            let values = Values::above(all.clone(), floor);
            prop_assert!(values.fits(all.len(), floor));
            prop_assert!(!values.fits(values.values().len().min(all.len().saturating_sub(1)), None) || all.is_empty());
            let bytes = postcard::to_allocvec(&Reply::Values(vec![values])).unwrap();
            let Ok(Reply::Values(found)) = postcard::from_bytes(&bytes) else { panic!("values") };
            let [found] = found.as_slice() else { panic!("one") };
            let kept: Vec<(usize, u32)> = match found {
                Values::All(values) => values.iter().map(|value| value.to_bits()).enumerate().collect(),
                Values::Above { places, values } => {
                    let values = values.iter().map(|value| value.to_bits());
                    places.iter().map(|place| *place as usize).zip(values).collect()
                }
            };
            let expected = all.iter().enumerate().filter(|(_, value)| floor.is_none_or(|floor| value.partial_cmp(&&floor) != Some(Ordering::Less)));
            let expected: Vec<(usize, u32)> = expected.map(|(place, value)| (place, value.to_bits())).collect();
            prop_assert_eq!(kept, expected);
        }
    }
}
