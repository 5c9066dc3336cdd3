//! The tokenizer of a checkpoint: `tokenizer.json` as it is, or built from the vocabulary files by the family's rule.
//! Truncation and padding that a file may ask for are switched off: windows are the pipeline's business, and a
//! truncated note is an error that nobody sees.

mod byte_level_bpe;
mod class;
mod sentencepiece;
mod special;
mod unigram;
mod wordpiece;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use tokenizers::Tokenizer;

use crate::error::ModelError;
use crate::families::Family;
use crate::files::{self, JSON_LIMIT, Small, VOCABULARY_LIMIT};
use crate::json::Object;

pub(crate) use class::{AS_IT_IS, BERT, Builder, CAMEMBERT, DEBERTA, ONLY_JSON, ROBERTA, XLM_ROBERTA};

/// The files that a vocabulary is read from where there is no `tokenizer.json`, in the order of the digest.
const VOCABULARY_FILES: [&str; 5] = [
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spm.model",
];

/// The tokenizer's files, read but not yet understood. The order of the fields is the order of the digest.
#[derive(Debug)]
pub(crate) struct TokenizerFiles {
    dir: PathBuf,
    json: Option<Small>,
    vocabulary: Vec<Small>,
    pub(crate) config: Object,
    special: Object,
    added: Object,
    raw: Vec<Small>,
}

impl TokenizerFiles {
    pub(crate) fn read(dir: &Path) -> Result<Self, ModelError> {
        let json = files::read(dir, "tokenizer.json", VOCABULARY_LIMIT)?;
        let alone = json.is_some();
        let mut vocabulary = Vec::new();
        if !alone {
            for name in VOCABULARY_FILES {
                vocabulary.extend(files::read(dir, name, VOCABULARY_LIMIT)?);
            }
        }
        let mut raw = Vec::new();
        let mut object = |name: &str| match files::read(dir, name, JSON_LIMIT)? {
            Some(small) => {
                let parsed = Object::parse(&small.path, &small.bytes)?;
                raw.push(small);
                Ok(parsed)
            }
            None => Ok(Object::empty(&dir.join(name))),
        };
        Ok(Self {
            dir: dir.to_owned(),
            json,
            vocabulary,
            config: object("tokenizer_config.json")?,
            special: object("special_tokens_map.json")?,
            added: if alone {
                Object::empty(&dir.join("added_tokens.json"))
            } else {
                object("added_tokens.json")?
            },
            raw,
        })
    }

    /// The files that were there, in the order of the digest.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Small> {
        self.json.iter().chain(&self.vocabulary).chain(&self.raw)
    }

    /// The file that the vocabulary came from.
    fn source(&self) -> PathBuf {
        self.json
            .as_ref()
            .or(self.vocabulary.first())
            .map_or_else(|| self.dir.join("tokenizer.json"), |f| f.path.clone())
    }

    /// Whether there is a `tokenizer_config.json`.
    pub(crate) fn configured(&self) -> bool {
        self.raw.iter().any(|file| file.path == self.config.path())
    }

    /// The tokenizer, from `tokenizer.json` or by the family's rule, checked against an embedding of `rows` rows. `config` is
    /// the `config.json` that `AutoTokenizer` finds beside the tokenizer's files, where it finds one.
    pub(crate) fn tokenizer(
        &self,
        family: &Family,
        config: Option<&Object>,
        rows: usize,
    ) -> Result<Tokenizer, ModelError> {
        let mut tokenizer = match &self.json {
            Some(file) => {
                let mut tokenizer = parse(file)?;
                self.override_by_class(family, config, &mut tokenizer)?;
                tokenizer
            }
            None => self.build(family, config)?,
        };
        let path = self.source();
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| fault(&path, &e))?;
        // A cache would keep words of notes for as long as the model is loaded.
        let mut model = tokenizer.get_model().clone();
        model.resize_cache(0);
        tokenizer.with_model(model);
        self.check_rows(&tokenizer, rows)?;
        Ok(tokenizer)
    }

    /// Checks that an embedding of `rows` rows has one for every id that the tokenizer gives, those that its template puts around a text included,
    /// whose ids are its own.
    pub(crate) fn check_rows(&self, tokenizer: &Tokenizer, rows: usize) -> Result<(), ModelError> {
        let path = self.source();
        // A template that names a special token which the file does not define is found, by a panic, when it is first used.
        let around = catch_unwind(AssertUnwindSafe(|| tokenizer.encode("", true)))
            .map_err(|_| fault(&path, &"its template names a token that it does not define"))?
            .map_err(|e| fault(&path, &e))?;
        let around = std::iter::zip(around.get_tokens().to_vec(), around.get_ids().to_vec());
        let vocabulary = tokenizer.get_vocab(true);
        if vocabulary.is_empty() {
            return Err(ModelError::Tokenizer {
                path,
                problem: "the vocabulary is empty".to_owned(),
            });
        }
        match vocabulary.into_iter().chain(around).max_by_key(|(_, id)| *id) {
            Some((token, id)) if usize::try_from(id).map_or(true, |id| id >= rows) => {
                Err(ModelError::Vocabulary {
                    path,
                    token,
                    id,
                    rows,
                })
            }
            _ => Ok(()),
        }
    }

    /// What `model_max_length` limits the sequence to; `None` where it is absent or a stand-in for "unlimited".
    pub(crate) fn max_length(&self) -> Option<usize> {
        let value = self.config.get("model_max_length")?.as_f64()?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // The range is checked first.
        (1.0..1e9).contains(&value).then_some(value as usize)
    }

    /// A vocabulary file that a builder needs.
    fn vocabulary(&self, name: &str, wanted: &'static str) -> Result<&Small, ModelError> {
        let found = self.vocabulary.iter().find(|file| file.path.ends_with(name));
        found.ok_or_else(|| self.missing(wanted))
    }

    fn missing(&self, wanted: &'static str) -> ModelError {
        ModelError::MissingFile {
            dir: self.dir.clone(),
            wanted,
            advice: "Copy the tokenizer's files from the original checkpoint",
        }
    }
}

/// Parses `tokenizer.json`. The crate behind it panics on some malformed files instead of returning its error, so the
/// syntax is checked before it, and a panic of its is caught and becomes the error it should have been.
fn parse(file: &Small) -> Result<Tokenizer, ModelError> {
    let fault = |source: &dyn std::fmt::Display| fault(&file.path, source);
    serde_json::from_slice::<IgnoredAny>(&file.bytes).map_err(|e| fault(&e))?;
    catch_unwind(|| Tokenizer::from_bytes(&file.bytes))
        .map_err(|_| fault(&"a part of it is of no known kind"))?
        .map_err(|e| fault(&e))
}

fn fault(path: &Path, source: &dyn std::fmt::Display) -> ModelError {
    ModelError::Tokenizer {
        path: path.to_owned(),
        problem: format!(
            "not a tokenizer that can be read: {source}. Copy the file again from the original checkpoint"
        ),
    }
}

#[cfg(test)]
mod tests;
