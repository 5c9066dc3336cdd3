//! The tokenizer of a checkpoint: `tokenizer.json` as it is, or built from the vocabulary files by the family's rule.
//! Truncation and padding that a file may ask for are switched off: windows are the pipeline's business, and a
//! truncated note is an error that nobody sees.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde_json::Value;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, NormalizerWrapper, Tokenizer};

use crate::error::ModelError;
use crate::files::{self, JSON_LIMIT, Small, VOCABULARY_LIMIT};
use crate::json::Object;

/// The tokenizer's files, read but not yet understood. The order of the fields is the order of the digest.
#[derive(Debug)]
pub(crate) struct TokenizerFiles {
    dir: PathBuf,
    json: Option<Small>,
    vocabulary: Option<Small>,
    pub(crate) config: Object,
    special: Object,
    raw: Vec<Small>,
}

impl TokenizerFiles {
    pub(crate) fn read(dir: &Path) -> Result<Self, ModelError> {
        let json = files::read(dir, "tokenizer.json", VOCABULARY_LIMIT)?;
        let vocabulary = match json {
            Some(_) => None,
            None => files::read(dir, "vocab.txt", VOCABULARY_LIMIT)?,
        };
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
            .or(self.vocabulary.as_ref())
            .map_or_else(|| self.dir.join("tokenizer.json"), |f| f.path.clone())
    }

    /// The tokenizer, from `tokenizer.json` or by `build`, checked against an embedding of `rows` rows.
    pub(crate) fn tokenizer(
        &self,
        build: fn(&Self) -> Result<Tokenizer, ModelError>,
        rows: usize,
    ) -> Result<Tokenizer, ModelError> {
        let mut tokenizer = match &self.json {
            Some(file) => {
                let mut tokenizer = parse(file)?;
                self.override_normalizer(&mut tokenizer)?;
                tokenizer
            }
            None => build(self)?,
        };
        let path = self.source();
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| fault(&path, &e))?;
        let last = tokenizer.get_vocab(true).into_iter().max_by_key(|(_, id)| *id);
        match last {
            None => Err(ModelError::Tokenizer {
                path,
                problem: "the vocabulary is empty".to_owned(),
            }),
            Some((token, id)) if usize::try_from(id).map_or(true, |id| id >= rows) => {
                Err(ModelError::Vocabulary {
                    path,
                    token,
                    id,
                    rows,
                })
            }
            Some(_) => Ok(tokenizer),
        }
    }

    /// What `model_max_length` limits the sequence to; `None` where it is absent or a stand-in for "unlimited".
    pub(crate) fn max_length(&self) -> Option<usize> {
        let value = self.config.get("model_max_length")?.as_f64()?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // The range is checked first.
        (1.0..1e9).contains(&value).then_some(value as usize)
    }

    /// Explicit switches in `tokenizer_config.json` win over a BERT normaliser in `tokenizer.json`, as in
    /// `transformers`, where the tokenizer class builds its normaliser from them.
    fn override_normalizer(&self, tokenizer: &mut Tokenizer) -> Result<(), ModelError> {
        let Some(NormalizerWrapper::BertNormalizer(found)) = tokenizer.get_normalizer() else {
            return Ok(());
        };
        let mut wanted = *found;
        wanted.lowercase = self.config.flag("do_lower_case")?.unwrap_or(wanted.lowercase);
        wanted.handle_chinese_chars = self
            .config
            .flag("tokenize_chinese_chars")?
            .unwrap_or(wanted.handle_chinese_chars);
        wanted.strip_accents = self.config.flag("strip_accents")?.or(wanted.strip_accents);
        tokenizer
            .with_normalizer(Some(wanted))
            .map(|_| ())
            .map_err(|e| fault(&self.source(), &e))
    }

    /// A special token: from `tokenizer_config.json`, else `special_tokens_map.json`, else `default`. Either a string
    /// or an object with `content`.
    fn special(&self, key: &str, default: &str) -> Result<String, ModelError> {
        for object in [&self.config, &self.special] {
            if let Some(value) = object.get(key) {
                let content = value.get("content").unwrap_or(value);
                return content
                    .as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| object.wrong(key, "a token", value));
            }
        }
        Ok(default.to_owned())
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

/// Builds BERT's tokenizer from `vocab.txt` as `transformers.BertTokenizer` does: one token per line, the line number
/// its id; `do_lower_case`, `strip_accents`, `tokenize_chinese_chars` and the special tokens from
/// `tokenizer_config.json`.
pub(crate) fn bert_wordpiece(files: &TokenizerFiles) -> Result<Tokenizer, ModelError> {
    let vocabulary = files.vocabulary.as_ref().ok_or_else(|| ModelError::MissingFile {
        dir: files.dir.clone(),
        wanted: "tokenizer.json or vocab.txt",
        advice: "Copy the tokenizer's files from the original checkpoint",
    })?;
    let path = &vocabulary.path;
    let unknown = files.special("unk_token", "[UNK]")?;
    let pieces = WordPiece::read_bytes(&vocabulary.bytes).map_err(|e| fault(path, &e))?;
    let id = |token: &str| {
        pieces.get(token).copied().ok_or_else(|| ModelError::Tokenizer {
            path: path.clone(),
            problem: format!("the special token {token:?} is not in the vocabulary"),
        })
    };
    id(&unknown)?;
    let ends = ["cls_token", "sep_token"].map(|key| {
        let default = if key == "cls_token" { "[CLS]" } else { "[SEP]" };
        let token = files.special(key, default)?;
        let id = id(&token)?;
        Ok::<_, ModelError>((token, id))
    });
    let [cls, sep] = ends;
    let (cls, sep) = (cls?, sep?);
    let mut special = vec![unknown.clone(), cls.0.clone(), sep.0.clone()];
    for (key, default) in [("pad_token", "[PAD]"), ("mask_token", "[MASK]")] {
        let token = files.special(key, default)?;
        if pieces.contains_key(&token) {
            special.push(token);
        }
    }
    let normalizer = BertNormalizer::new(
        true,
        files.config.flag("tokenize_chinese_chars")?.unwrap_or(true),
        files.config.flag("strip_accents")?,
        files.config.flag("do_lower_case")?.unwrap_or(true),
    );
    let model = WordPiece::builder()
        .vocab(pieces)
        .unk_token(unknown)
        .build()
        .map_err(|e| fault(path, &e))?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(normalizer))
        .map_err(|e| fault(path, &e))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(BertProcessing::new(sep, cls)));
    tokenizer
        .add_special_tokens(special.into_iter().map(|token| AddedToken::from(token, true)))
        .map_err(|e| fault(path, &e))?;
    add_listed(files, &mut tokenizer)?;
    Ok(tokenizer)
}

/// Adds the tokens of `added_tokens_decoder` (id → token) that the vocabulary lacks, in the order of their ids.
fn add_listed(files: &TokenizerFiles, tokenizer: &mut Tokenizer) -> Result<(), ModelError> {
    let key = "added_tokens_decoder";
    let Some(value) = files.config.get(key) else {
        return Ok(());
    };
    let wrong = || files.config.wrong(key, "an object from id to token", value);
    let mut listed = value
        .as_object()
        .ok_or_else(wrong)?
        .iter()
        .map(|(id, token)| {
            let content = token.get("content").and_then(Value::as_str);
            Some((id.parse::<u32>().ok()?, content?, token))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(wrong)?;
    listed.sort_by_key(|(id, ..)| *id);
    for (id, content, token) in listed {
        let flag = |name: &str| token.get(name).and_then(Value::as_bool);
        let special = flag("special").unwrap_or(false);
        let added = AddedToken::from(content, special)
            .lstrip(flag("lstrip").unwrap_or(false))
            .rstrip(flag("rstrip").unwrap_or(false))
            .single_word(flag("single_word").unwrap_or(false))
            .normalized(flag("normalized").unwrap_or(!special));
        let outcome = if special {
            tokenizer.add_special_tokens([added])
        } else {
            tokenizer.add_tokens([added])
        };
        outcome.map_err(|e| fault(files.config.path(), &e))?;
        let got = tokenizer.token_to_id(content);
        if got != Some(id) {
            return Err(ModelError::Tokenizer {
                path: files.config.path().to_owned(),
                problem: format!(
                    "\"{key}\" gives {content:?} the id {id}, but with this vocabulary it is {got:?}; \
                     copy the tokenizer's files from one checkpoint"
                ),
            });
        }
    }
    Ok(())
}
