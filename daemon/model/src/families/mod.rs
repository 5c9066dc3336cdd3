//! The model families: each is one file that maps `config.json` and tensor names to an [`Architecture`] and knows how
//! to build its tokenizer from vocabulary files. A family is added by its file and a line in [`FAMILIES`].

mod bert;
mod deberta_v2;
mod distilbert;
mod electra;
mod eurobert;
mod longformer;
mod modernbert;
mod post_norm;
mod pre_norm;
mod roberta;

use serde_json::Value;

use crate::architecture::{Activation, Architecture};
use crate::error::ModelError;
use crate::json::Object;
use crate::tokenizer::Builder;
use crate::weights::Weights;

/// Limits far above any real model, so that no product of sizes can overflow.
pub(crate) const WIDTH_LIMIT: usize = 1 << 16;
pub(crate) const ROW_LIMIT: usize = 1 << 24;
const LAYER_LIMIT: usize = 1 << 10;

/// What a family has to know.
#[derive(Debug)]
pub(crate) struct Family {
    /// The value of `model_type` in `config.json`.
    pub(crate) name: &'static str,
    /// What the names of the encoder's tensors begin with, unless it was saved alone.
    pub(crate) prefix: &'static str,
    /// Reads the architecture.
    pub(crate) describe: fn(&Source<'_>) -> Result<Architecture, ModelError>,
    /// Builds the tokenizer where there is no `tokenizer.json`.
    pub(crate) tokenizer: &'static Builder,
    /// The class that `AutoTokenizer` has for it where none is named; `None` where it knows of none.
    pub(crate) class: Option<&'static str>,
    /// What modules are called that its files have and that have no part in what a token classifier computes, nor has what changes them.
    pub(crate) idle: &'static [&'static str],
}

/// Every family there is.
static FAMILIES: &[Family] = &[
    bert::FAMILY,
    electra::FAMILY,
    roberta::FAMILY,
    roberta::XLM_ROBERTA,
    roberta::CAMEMBERT,
    distilbert::FAMILY,
    deberta_v2::FAMILY,
    modernbert::FAMILY,
    eurobert::FAMILY,
    longformer::FAMILY,
];

/// Where a family reads from.
pub(crate) struct Source<'a> {
    pub(crate) config: &'a Object,
    /// `None` where the checkpoint came as ONNX only, so that there are no names to look at.
    pub(crate) weights: Option<&'a Weights>,
    /// Number of labels in the label map.
    pub(crate) labels: usize,
    /// Whether it must have a classification head. A base of adapters need not.
    pub(crate) head_needed: bool,
    /// What the names of the encoder's tensors begin with, where it is a part of a larger model.
    pub(crate) root: Option<&'a str>,
}

impl Source<'_> {
    /// Whether the weight files have this tensor; `false` where there are none.
    pub(crate) fn has(&self, tensor: &str) -> bool {
        self.weights.is_some_and(|weights| weights.contains(tensor))
    }

    /// What the names of the encoder's tensors begin with: `usual`, unless it is a part of a larger model, or was saved
    /// alone, so that the word table is called `words`.
    pub(crate) fn prefix(&self, usual: &str, words: &str) -> String {
        match self.root {
            Some(root) => root.to_owned(),
            None if self.has(words) => String::new(),
            None => usual.to_owned(),
        }
    }

    /// Refuses a checkpoint that has no classification head: no such tensor in the weights or, where there are no
    /// weights to look at, no `…ForTokenClassification` in `architectures`.
    pub(crate) fn require_head(&self, tensor: &str) -> Result<(), ModelError> {
        let architectures = self.config.get("architectures");
        let named = architectures.is_some_and(|list| {
            list.as_array().is_some_and(|names| {
                names
                    .iter()
                    .filter_map(|name| name.as_str())
                    .any(|name| name.ends_with("ForTokenClassification"))
            })
        });
        // A name without the tensor is a damaged file, which the check of all tensors reports better.
        if !self.head_needed || named || self.has(tensor) {
            return Ok(());
        }
        Err(ModelError::NoHead {
            path: self.config.path().to_owned(),
            architectures: architectures.map_or_else(|| "absent".to_owned(), ToString::to_string),
            tensor: tensor.to_owned(),
        })
    }
}

/// The activation that `key` names.
fn activation(config: &Object, key: &str, default: &str) -> Result<Activation, ModelError> {
    let name = config.string(key)?.unwrap_or(default);
    Activation::from_name(name).ok_or_else(|| {
        let expected = format!("one of {}", Activation::known());
        config.wrong(key, expected, &Value::from(name))
    })
}

/// The `model_type` names of all families, comma-separated.
pub fn known() -> String {
    let names: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
    names.join(", ")
}

/// The family that `config.json` names.
pub(crate) fn find(config: &Object) -> Result<&'static Family, ModelError> {
    let found = config.string("model_type")?.unwrap_or_default();
    FAMILIES
        .iter()
        .find(|family| family.name == found)
        .ok_or_else(|| ModelError::UnknownFamily {
            path: config.path().to_owned(),
            found: found.chars().take(80).collect(),
            known: known(),
        })
}
