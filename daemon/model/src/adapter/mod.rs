//! A task adapter in the format of the `peft` library: low-rank changes of some linear layers of a frozen base (Hu et
//! al. 2022, LoRA) and whole tensors that replace the base's, such as a head of its own.

mod config;
mod plan;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::architecture::{Architecture, Linear};
use crate::card::Card;
use crate::checkpoint::Checkpoint;
use crate::digest::Hasher;
use crate::error::ModelError;
use crate::files::{self, JSON_LIMIT, Small};
use crate::json::Object;
use crate::labels;
use crate::weights::Weights;
use config::Settings;
use plan::Plan;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// An opened adapter that fits its base. `Send + Sync`. Holds no weights: [`read`](Self::read) and
/// [`low_rank`](Self::low_rank) fetch them.
#[derive(Debug)]
pub struct Adapter {
    dir: PathBuf,
    architecture: Architecture,
    labels: Vec<String>,
    weights: Weights,
    /// From a tensor of the base to the one in `weights` that replaces it.
    replaced: BTreeMap<String, String>,
    /// From the weight of a linear layer of the base to its change.
    changes: BTreeMap<String, Change>,
    parameters: u64,
    card: Card,
    digest: String,
}

/// The low-rank change of one linear layer, by the names of its tensors in the adapter's file.
#[derive(Debug, Clone, PartialEq)]
struct Change {
    /// Tensor of shape `[rank, inputs]`.
    down: String,
    /// Tensor of shape `[outputs, rank]`.
    up: String,
    rank: usize,
    /// `alpha / rank` or, rank-stabilised, `alpha / sqrt(rank)`.
    scale: f32,
    /// Tensor of shape `[outputs]`: the lengths that the rows of the changed weight are given.
    magnitude: Option<String>,
    /// Tensor of shape `[outputs]`, added to the base's bias after scaling.
    bias: Option<String>,
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

impl LowRank {
    /// What gives the rows of `weight + up down` the lengths that the magnitudes say, one value per output; `None` where there
    /// are none. `weight` is `[outputs, inputs]`.
    #[allow(clippy::cast_possible_truncation)] // A length is single precision like its row.
    pub fn gain(&self, weight: &[f32], inputs: usize) -> Option<Vec<f32>> {
        let magnitude = self.magnitude.as_ref()?;
        let rows = weight.chunks_exact(inputs).zip(self.up.chunks_exact(self.rank));
        let gains = rows.zip(magnitude).map(|((row, up), magnitude)| {
            let mut changed = row.to_vec();
            for (down, up) in self.down.chunks_exact(inputs).zip(up) {
                changed.iter_mut().zip(down).for_each(|(x, d)| *x += up * d);
            }
            let squares: f64 = changed.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
            magnitude / squares.sqrt() as f32
        });
        Some(gains.collect())
    }
}

impl Adapter {
    /// Opens a directory that `peft` saved, unmodified: `adapter_config.json` and `adapter_model.safetensors`. `peft`
    /// keeps no label map; where the adapter's labels are not the base's, they are the `id2label` of a `config.json`
    /// beside them, as `model.config.save_pretrained` writes it, or else of `adapter_config.json` itself. That file may also name the base that the adapter was
    /// trained on by its [digest](Checkpoint::digest): `"mednerd": {"base_digest": "…"}`.
    ///
    /// Every tensor in the file must have its place in the base, and everything that the configuration says must be in
    /// the file, all by the headers; values are checked when they are read.
    ///
    /// # Errors
    /// A file that is missing, malformed or at odds with another; an adapter of another kind or of another base. The
    /// message names the file, the key or tensor and what was expected.
    pub fn open(dir: &Path, base: &Checkpoint) -> Result<Self, ModelError> {
        let files = Files::read(dir)?;
        let settings = Settings::read(&files.settings)?;
        let own = files.own_config()?;
        same_base(&files, &settings, &own, base)?;
        let mut adapter = Self::of(&files, &settings, open_weights(dir)?, base)?;
        adapter.card = Card::read(dir);
        Ok(adapter)
    }

    /// As [`open`](Self::open), of a directory that is not on disk: the contents of its `adapter_config.json` and
    /// `adapter_model.safetensors`, as a plugin hands them over for a base that it names by its digest. Messages call
    /// it `place`. The adapter holds `tensors` as long as it lives.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_memory(
        place: &Path,
        config: Vec<u8>,
        tensors: Vec<u8>,
        base: &Checkpoint,
    ) -> Result<Self, ModelError> {
        let files = Files {
            settings: Small {
                path: place.join(CONFIG),
                bytes: config,
            },
            config: None,
            dir: place.to_owned(),
        };
        let settings = Settings::read(&files.settings)?;
        let weights = Weights::from_memory(place, WEIGHTS, tensors)?;
        Self::of(&files, &settings, weights, base)
    }

    fn of(
        files: &Files,
        settings: &Settings,
        weights: Weights,
        base: &Checkpoint,
    ) -> Result<Self, ModelError> {
        let plan = Plan::new(settings, base, &weights)?;
        let own = files.own_config()?;
        let config = Object::parse(&files.settings.path, &files.settings.bytes)?;
        let map = [&own, &config]
            .into_iter()
            .find(|file| file.get("id2label").is_some());
        let labels = map.map(labels::read).transpose()?;
        let (architecture, labels) = plan.head(base, labels, map.unwrap_or(&own).path())?;
        plan.check_shapes(base, &architecture)?;
        let mut hasher = Hasher::new();
        for small in std::iter::once(&files.settings).chain(&files.config) {
            let name = small.path.file_name().unwrap_or_default();
            hasher.bytes(&name.to_string_lossy(), &small.bytes);
        }
        weights.digest(&mut hasher)?;
        let Plan {
            replaced, changes, ..
        } = plan;
        let parameters = parameters(&weights, &replaced, &changes);
        Ok(Self {
            card: Card::default(),
            dir: files.dir.clone(),
            architecture,
            labels,
            replaced,
            changes,
            parameters,
            digest: hasher.finish(),
            weights,
        })
    }

    /// Number of parameters that it brings.
    pub fn parameters(&self) -> u64 {
        self.parameters
    }

    /// The languages that its card names, as it writes them.
    pub fn languages(&self) -> &[String] {
        &self.card.languages
    }

    /// The licence that its card names.
    pub fn license(&self) -> Option<&str> {
        self.card.license.as_deref()
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

    /// SHA-256 over `adapter_config.json`, `config.json` where it is there and `adapter_model.safetensors`, as 64
    /// hexadecimal digits; each file enters as in [`Checkpoint::digest`].
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

/// The JSON files of an adapter's directory.
struct Files {
    settings: Small,
    config: Option<Small>,
    dir: PathBuf,
}

impl Files {
    fn read(dir: &Path) -> Result<Self, ModelError> {
        // Asked for itself, so that a wrong path in the configuration is called that.
        std::fs::read_dir(dir).map_err(|e| files::io_error(dir, e))?;
        let settings = files::read(dir, CONFIG, JSON_LIMIT)?;
        Ok(Self {
            settings: settings.ok_or_else(|| ModelError::MissingFile {
                dir: dir.to_owned(),
                wanted: CONFIG,
                advice: "Point to the directory of a task adapter, the one that peft's save_pretrained wrote",
            })?,
            config: files::read(dir, "config.json", JSON_LIMIT)?,
            dir: dir.to_owned(),
        })
    }

    fn own_config(&self) -> Result<Object, ModelError> {
        match &self.config {
            Some(file) => Object::parse(&file.path, &file.bytes),
            None => Ok(Object::empty(&self.dir.join("config.json"))),
        }
    }
}

fn open_weights(dir: &Path) -> Result<Weights, ModelError> {
    if let Some(weights) = Weights::single(dir, WEIGHTS)? {
        return Ok(weights);
    }
    let path = dir.join("adapter_model.bin");
    if path.exists() {
        return Err(ModelError::Adapter {
            path,
            problem: "Python pickles are not read, because reading one runs code. Convert it once, on any machine with \
                      Python: python -c \"import torch; from safetensors.torch import save_file as s; \
                      s({k: v.contiguous() for k, v in torch.load('adapter_model.bin', weights_only=True).items()}, \
                      'adapter_model.safetensors')\", then copy adapter_model.safetensors here"
                .to_owned(),
        });
    }
    Err(ModelError::MissingFile {
        dir: dir.to_owned(),
        wanted: WEIGHTS,
        advice: "Copy the weights from the original adapter",
    })
}

/// Refuses an adapter that says it is for another base: by its digest, where the adapter names it; otherwise by family
/// and by name, where both sides have an id on the Hub.
fn same_base(files: &Files, settings: &Settings, own: &Object, base: &Checkpoint) -> Result<(), ModelError> {
    let key = "mednerd.base_digest";
    if let Some(value) = own.get("mednerd").and_then(|ours| ours.get("base_digest")) {
        let digest = value.as_str().filter(|digest| {
            let hexadecimal = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
            hexadecimal && digest.len() == base.digest().len()
        });
        let digest = digest.ok_or_else(|| own.wrong(key, "64 hexadecimal digits", value))?;
        if digest.eq_ignore_ascii_case(base.digest()) {
            return Ok(());
        }
        let expected = format!(
            "the digest of the base in {}, {}",
            base.dir().display(),
            base.digest()
        );
        return Err(own.wrong(key, expected, value));
    }
    if let Some(family) = own.string("model_type")?
        && family != base.family()
    {
        let expected = format!(
            "the family of the base in {}, \"{}\"",
            base.dir().display(),
            base.family()
        );
        return Err(own.wrong("model_type", expected, &Value::from(family)));
    }
    match (&settings.base, base.name()) {
        (Some(wanted), Some(found))
            if is_hub_id(wanted)
                && is_hub_id(found)
                && !wanted.eq_ignore_ascii_case(found)
                && !lies_under(base.dir(), wanted) =>
        {
            Err(ModelError::Value {
                path: files.settings.path.clone(),
                key: "base_model_name_or_path".to_owned(),
                expected: format!(
                    "\"{found}\", the \"_name_or_path\" of the base in {} (if these are the same weights, write that \
                     name here)",
                    base.dir().display()
                ),
                found: format!("\"{wanted}\""),
            })
        }
        _ => Ok(()),
    }
}

/// Whether a folder is called as the Hub id is: by its name alone, or as the Hub's cache lays it out. The `_name_or_path` in
/// a checkpoint may be that of the one it was trained from.
fn lies_under(dir: &Path, id: &str) -> bool {
    let name = id.rsplit('/').next().unwrap_or(id);
    let cached = format!("models--{}", id.replace('/', "--"));
    let last = dir.file_name().unwrap_or_default();
    let mut parts = dir.iter();
    last.eq_ignore_ascii_case(name) || parts.any(|part| part.eq_ignore_ascii_case(&cached))
}

/// Whether this looks like `organisation/name` and not like a path.
fn is_hub_id(name: &str) -> bool {
    let part = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain)
    };
    name.split_once('/')
        .is_some_and(|(organisation, name)| part(organisation) && part(name))
}

/// Number of elements of the tensors that are used.
fn parameters(
    weights: &Weights,
    replaced: &BTreeMap<String, String>,
    changes: &BTreeMap<String, Change>,
) -> u64 {
    let changed = changes.values().flat_map(Change::tensors);
    let elements = |name: &String| {
        let sizes = weights.shape(name).unwrap_or_default().iter();
        sizes.fold(1_u64, |n, &d| n.saturating_mul(d as u64))
    };
    replaced
        .values()
        .chain(changed)
        .map(elements)
        .fold(0, u64::saturating_add)
}

impl Change {
    fn tensors(&self) -> impl Iterator<Item = &String> {
        [&self.down, &self.up]
            .into_iter()
            .chain(&self.magnitude)
            .chain(&self.bias)
    }
}
