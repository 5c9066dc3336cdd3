//! Opening a checkpoint directory: every file found, every claim checked against the others, no weight held.

use std::fs::File;
use std::path::{Path, PathBuf};

use tokenizers::Tokenizer;

use crate::architecture::{Architecture, parameters};
use crate::card::Card;
use crate::digest::Hasher;
use crate::error::ModelError;
use crate::families::{self, Family, Source};
use crate::files::{self, JSON_LIMIT, Small};
use crate::gliner::{self, Gliner};
use crate::json::Object;
use crate::labels;
use crate::tokenizer::TokenizerFiles;
use crate::weights::Weights;

/// An opened Hugging Face token-classification checkpoint. `Send + Sync`.
///
/// Holds the descriptions, the tokenizer and open weight files, but no weights: [`Weights::read`] fetches them one
/// tensor at a time. Dropping it after an engine has lowered it frees everything else.
#[derive(Debug)]
pub struct Checkpoint {
    dir: PathBuf,
    family: &'static Family,
    name: Option<String>,
    architecture: Architecture,
    weights: Weights,
    onnx: Option<Onnx>,
    labels: Vec<String>,
    headless: bool,
    tokenizer: Tokenizer,
    context: usize,
    /// What is computed after the encoder of a GLiNER.
    gliner: Option<ZeroShot>,
    card: Card,
    digest: String,
}

/// What a GLiNER has beside its encoder.
#[derive(Debug)]
struct ZeroShot {
    gliner: Gliner,
    /// What the names of the encoder's tensors begin with.
    root: String,
    /// The label encoder's tokenizer and longest sequence.
    labels: Option<(Tokenizer, usize)>,
}

/// An ONNX export lying beside the weights or instead of them.
#[derive(Debug)]
struct Onnx {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Checkpoint {
    /// Opens an unmodified Hugging Face directory: `config.json`; `tokenizer.json`, or the family's vocabulary files
    /// (`vocab.txt`; `vocab.json` with `merges.txt`; `sentencepiece.bpe.model`; `spm.model`) with
    /// `tokenizer_config.json`; `model.safetensors`, or `model.safetensors.index.json` with its shards; optionally
    /// `model.onnx`, which then may stand alone.
    ///
    /// A directory with `gliner_config.json` (or with the older `config.json` of a GLiNER) is opened as a
    /// [GLiNER](Self::gliner); the tokenizer of its label encoder, where it has one, lies in `labels_encoder/`.
    ///
    /// Every tensor of the architecture is checked by the weight files' headers: present, of the right shape, of a
    /// type that can be read. Values are checked when they are read.
    ///
    /// # Errors
    /// Any file that is missing, unreadable, oversized, malformed or at odds with another; the message names the file,
    /// the key or tensor and what was expected.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        Self::open_with(dir, true)
    }

    /// Opens a directory as the base of task adapters: as [`open`](Self::open), but the classification head may be
    /// missing, because every adapter can bring its own. Then there are no labels.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_base(dir: &Path) -> Result<Self, ModelError> {
        Self::open_with(dir, false)
    }

    fn open_with(dir: &Path, head_needed: bool) -> Result<Self, ModelError> {
        // Asked for itself, so that a wrong path in the configuration is called that.
        std::fs::read_dir(dir).map_err(|e| files::io_error(dir, e))?;
        if let Some(files) = gliner::Files::read(dir)? {
            return Self::open_gliner(dir, &files);
        }
        let config_file = read_config(dir)?;
        let config = Object::parse(&config_file.path, &config_file.bytes)?;
        let family = families::find(&config)?;
        let onnx = Onnx::find(dir)?;
        let weights = match (Weights::open(dir)?, &onnx) {
            (None, None) => return Err(missing_weights(dir, &CLASSIFIER)),
            (weights, _) => weights,
        };
        let labels = labels::read(&config)?;
        let architecture = (family.describe)(&Source {
            config: &config,
            weights: weights.as_ref(),
            labels: labels.len(),
            head_needed,
            root: None,
        })?;
        let mut headless = false;
        if let Some(weights) = &weights {
            let head = architecture.head.tensors();
            headless = !head_needed && head.iter().any(|tensor| !weights.contains(&tensor.name));
            for tensor in architecture.tensors() {
                if !(headless && head.contains(&tensor)) {
                    weights.expect(&tensor.name, &tensor.shape)?;
                }
            }
        }
        let files = TokenizerFiles::read(dir)?;
        let tokenizer = files.tokenizer(family, Some(&config), architecture.embeddings.words.rows)?;
        let context = context(architecture.context, &files, &tokenizer)?;
        let digest = digest([&config_file], &files, None, weights.as_ref(), onnx.as_ref())?;
        Ok(Self {
            dir: dir.to_owned(),
            family,
            name: config.string("_name_or_path").ok().flatten().map(str::to_owned),
            architecture,
            weights: weights.unwrap_or_else(|| Weights::none(dir)),
            onnx,
            labels: if headless { Vec::new() } else { labels },
            headless,
            tokenizer,
            context,
            gliner: None,
            card: Card::read(dir),
            digest,
        })
    }

    fn open_gliner(dir: &Path, config: &gliner::Files) -> Result<Self, ModelError> {
        let weights = match (Weights::open(dir)?, Onnx::find(dir)?) {
            (Some(weights), _) => weights,
            (None, Some(_)) => return Err(missing_weights(dir, &EXPORTED)),
            (None, None) => return Err(missing_weights(dir, &GLINER)),
        };
        let files = TokenizerFiles::read(dir)?;
        let described = gliner::describe(dir, config, &files, &weights)?;
        let context = context(gliner::context(&described.encoder), &files, &described.tokenizer)?;
        let (labels, label_files) = match described.labels {
            Some((tokenizer, files, context)) => (Some((tokenizer, context)), Some(files)),
            None => (None, None),
        };
        let configs = [
            Some(&config.config),
            config.encoder.as_ref(),
            config.tower.as_ref(),
        ];
        Ok(Self {
            dir: dir.to_owned(),
            family: described.family,
            name: None,
            architecture: described.encoder,
            digest: digest(
                configs.into_iter().flatten(),
                &files,
                label_files.as_ref(),
                Some(&weights),
                None,
            )?,
            weights,
            onnx: None,
            labels: Vec::new(),
            headless: true,
            tokenizer: described.tokenizer,
            context,
            gliner: Some(ZeroShot {
                gliner: described.gliner,
                root: described.root,
                labels,
            }),
            card: Card::read(dir),
        })
    }

    /// What a GLiNER computes after its text encoder, which is the [`architecture`](Self::architecture) without its head;
    /// `None` for a token classifier.
    pub fn gliner(&self) -> Option<&Gliner> {
        Some(&self.gliner.as_ref()?.gliner)
    }

    /// The tokenizer of a GLiNER's label encoder, and that encoder's longest sequence in tokens, special ones included.
    pub fn label_tokenizer(&self) -> Option<(&Tokenizer, usize)> {
        let (tokenizer, context) = self.gliner.as_ref()?.labels.as_ref()?;
        Some((tokenizer, *context))
    }

    /// What the names of a GLiNER's text encoder begin with in its files.
    pub(crate) fn root(&self) -> Option<&str> {
        Some(&self.gliner.as_ref()?.root)
    }

    /// The directory it was opened from.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What modules are called that are in its files and compute nothing.
    pub(crate) fn idle(&self) -> &'static [&'static str] {
        self.family.idle
    }

    /// The family, as `model_type` in `config.json` names it: `bert`, ….
    pub fn family(&self) -> &'static str {
        self.family.name
    }

    /// What the names of the encoder's tensors begin with in the complete model, whatever they do in these files.
    pub(crate) fn prefix(&self) -> &'static str {
        self.family.prefix
    }

    /// Where the checkpoint came from, as `config.json` says it: an id on the Hub or a path.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What the model computes.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The tensors. [Empty](Weights::is_empty) where the checkpoint has only `model.onnx`.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The ONNX export, where there is one.
    pub fn onnx(&self) -> Option<&Path> {
        self.onnx.as_ref().map(|onnx| onnx.path.as_path())
    }

    /// Whether there is no classification head: it is good as a base of adapters only.
    pub fn headless(&self) -> bool {
        self.headless
    }

    /// The labels in the order of the logits; none without a head.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The tokenizer. It neither truncates nor pads, and every id it can give has a row in the word embedding.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Longest sequence, in tokens including the special ones: what the positions allow or, where that is smaller,
    /// `model_max_length` of `tokenizer_config.json`.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Number of parameters of the architecture, its head included where there is one.
    pub fn parameters(&self) -> u64 {
        let head = if self.headless {
            self.architecture.head.tensors()
        } else {
            Vec::new()
        };
        let mut tensors = self.architecture.tensors();
        tensors.retain(|tensor| !head.contains(tensor));
        tensors.extend(self.gliner().into_iter().flat_map(Gliner::tensors));
        parameters(&tensors)
    }

    /// Bytes of the files that the weights are read from.
    pub fn weight_bytes(&self) -> u64 {
        match &self.onnx {
            Some(onnx) if self.weights.is_empty() => onnx.bytes,
            _ => self.weights.file_bytes(),
        }
    }

    /// SHA-256 over the contents of the files the model was opened from, as 64 hexadecimal digits: `config.json`;
    /// `tokenizer.json`, or else `vocab.txt`, `vocab.json`, `merges.txt`, `sentencepiece.bpe.model`, `spm.model`;
    /// `tokenizer_config.json`; `special_tokens_map.json`; `added_tokens.json`, unless there is `tokenizer.json`; the
    /// safetensors files in the order of their names, or else `model.onnx`. For a GLiNER, its configuration enters first, then
    /// `config.json` and `labels_encoder/config.json` where they are there, and after the tokenizer that of `labels_encoder/`. Each file enters as the length of its name, its name, the
    /// length of its content (lengths as 8 bytes, little-endian) and its content; absent files do not enter. External
    /// data of an ONNX file does not either.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The languages that the model card names, as it writes them; empty where it names none.
    pub fn languages(&self) -> &[String] {
        &self.card.languages
    }

    /// The licence that the model card names.
    pub fn license(&self) -> Option<&str> {
        self.card.license.as_deref()
    }
}

impl Onnx {
    /// `model.onnx`, or `onnx/model.onnx`, where the Hub keeps it.
    fn find(dir: &Path) -> Result<Option<Self>, ModelError> {
        for name in ["model.onnx", "onnx/model.onnx"] {
            let path = dir.join(name);
            if let Some((file, bytes)) = files::open(&path)? {
                return Ok(Some(Self { path, file, bytes }));
            }
        }
        Ok(None)
    }
}

fn read_config(dir: &Path) -> Result<Small, ModelError> {
    files::read(dir, "config.json", JSON_LIMIT)?.ok_or_else(|| ModelError::MissingFile {
        dir: dir.to_owned(),
        wanted: "config.json",
        advice: "Point to the directory of a Hugging Face checkpoint, the one that save_pretrained wrote",
    })
}

/// What is said where there are no weights that can be read.
struct Missing {
    /// Module and class that write a pickle's weights anew.
    library: &'static str,
    wanted: &'static str,
    advice: &'static str,
}

const CLASSIFIER: Missing = Missing {
    library: "transformers import AutoModelForTokenClassification",
    wanted: "model.safetensors (or model.safetensors.index.json with its shards, or model.onnx)",
    advice: "Copy the weights from the original checkpoint",
};

const GLINER: Missing = Missing {
    library: "gliner import GLiNER",
    wanted: "model.safetensors (or model.safetensors.index.json with its shards)",
    advice: "Copy the weights from the original checkpoint",
};

/// A GLiNER that is there as an ONNX export alone.
const EXPORTED: Missing = Missing {
    advice: "ONNX exports of GLiNER are not read: copy the weights that this one was made from",
    ..GLINER
};

fn missing_weights(dir: &Path, missing: &Missing) -> ModelError {
    let pickles = ["pytorch_model.bin", "pytorch_model.bin.index.json"];
    match pickles
        .map(|name| dir.join(name))
        .into_iter()
        .find(|path| path.exists())
    {
        Some(path) => ModelError::Pickle {
            path,
            library: missing.library,
        },
        None => ModelError::MissingFile {
            dir: dir.to_owned(),
            wanted: missing.wanted,
            advice: missing.advice,
        },
    }
}

/// The longest sequence, and that a note fits into it beside the special tokens.
pub(crate) fn context(
    positions: usize,
    files: &TokenizerFiles,
    tokenizer: &Tokenizer,
) -> Result<usize, ModelError> {
    let context = files.max_length().map_or(positions, |n| n.min(positions));
    let specials = tokenizer.encode("", true).map_or(0, |encoding| encoding.len());
    if context <= specials {
        return Err(ModelError::Value {
            path: files.config.path().to_owned(),
            key: "model_max_length".to_owned(),
            expected: format!(
                "with \"max_position_embeddings\" of config.json, room for more than the {specials} special tokens"
            ),
            found: context.to_string(),
        });
    }
    Ok(context)
}

fn digest<'a>(
    configs: impl IntoIterator<Item = &'a Small>,
    tokenizer: &'a TokenizerFiles,
    labels: Option<&'a TokenizerFiles>,
    weights: Option<&Weights>,
    onnx: Option<&Onnx>,
) -> Result<String, ModelError> {
    let mut hasher = Hasher::new();
    for small in configs
        .into_iter()
        .chain(tokenizer.all())
        .chain(labels.into_iter().flat_map(TokenizerFiles::all))
    {
        let name = small.path.file_name().unwrap_or_default();
        hasher.bytes(&name.to_string_lossy(), &small.bytes);
    }
    match (weights, onnx) {
        (Some(weights), _) => weights.digest(&mut hasher)?,
        (None, Some(onnx)) => hasher.file("model.onnx", &onnx.path, &onnx.file, onnx.bytes)?,
        (None, None) => {}
    }
    Ok(hasher.finish())
}
