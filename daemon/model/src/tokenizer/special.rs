//! Special and added tokens, from where `transformers` looks for them: `added_tokens_decoder` of `tokenizer_config.json`
//! or else `added_tokens.json`; `…_token` of `special_tokens_map.json` (which counts only beside the second) or of
//! `tokenizer_config.json`; the family's own.

use std::path::Path;

use serde_json::Value;
use tokenizers::{AddedToken, Tokenizer};

use super::{TokenizerFiles, fault};
use crate::error::ModelError;
use crate::json::Object;

const LISTED: &str = "added_tokens_decoder";
const EXTRA: [&str; 2] = ["extra_special_tokens", "additional_special_tokens"];

/// The special tokens of RoBERTa and of those that took them over, with their defaults.
pub(super) const SENTENCE_MARKS: [(&str, &str); 7] = [
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
    ("sep_token", "</s>"),
    ("pad_token", "<pad>"),
    ("cls_token", "<s>"),
    ("mask_token", "<mask>"),
];

impl TokenizerFiles {
    /// The special token of this key, or `default`.
    pub(super) fn special(&self, key: &str, default: &str) -> Result<AddedToken, ModelError> {
        match self
            .special_places()
            .find_map(|object| Some((object, object.get(key)?)))
        {
            Some((object, value)) => token(value, true).ok_or_else(|| object.wrong(key, "a token", value)),
            None => Ok(AddedToken::from(default, true)),
        }
    }

    /// Whether a file says of the special token of this key how it is looked for, and not its text alone.
    pub(super) fn describes(&self, key: &str) -> bool {
        let value = self.special_places().find_map(|object| object.get(key));
        value.is_some_and(Value::is_object)
    }

    /// The special token of this key with its id, which has to be in the vocabulary.
    pub(super) fn require(
        &self,
        tokenizer: &Tokenizer,
        path: &Path,
        key: &str,
        default: &str,
    ) -> Result<(String, u32), ModelError> {
        let token = self.special(key, default)?.content;
        match tokenizer.token_to_id(&token) {
            Some(id) => Ok((token, id)),
            None => Err(ModelError::Tokenizer {
                path: path.to_owned(),
                problem: format!("the special token {token:?} is not in the vocabulary"),
            }),
        }
    }

    /// Adds the listed tokens in the order of their ids, then those of `keys` (with their defaults) and the extra ones
    /// where they are not there yet. What the vocabulary lacks gets the next id.
    pub(super) fn add_special(
        &self,
        tokenizer: &mut Tokenizer,
        keys: &[(&str, &str)],
    ) -> Result<(), ModelError> {
        let named = keys.iter().map(|(key, default)| self.special(key, default));
        let mut named = named.collect::<Result<Vec<_>, _>>()?;
        named.extend(self.extra()?);
        for (id, token) in self.listed(&named)? {
            self.add_listed(tokenizer, id, token)?;
        }
        for token in named {
            let there = tokenizer.get_added_vocabulary().get_vocab();
            if !token.content.is_empty() && !there.contains_key(&token.content) {
                let added = tokenizer.add_special_tokens([token]);
                added.map_err(|e| fault(self.config.path(), &e))?;
            }
        }
        Ok(())
    }

    /// Tokens listed with their ids, in the order of the ids.
    fn listed(&self, named: &[AddedToken]) -> Result<Vec<(u32, AddedToken)>, ModelError> {
        let mut listed = match self.config.get(LISTED) {
            Some(value) => decoder(value)
                .ok_or_else(|| self.config.wrong(LISTED, "an object from id to token", value))?,
            None => self.encoder(named)?,
        };
        listed.sort_by_key(|(id, _)| *id);
        Ok(listed)
    }

    /// `added_tokens.json`: token to id. One that is special by its default alone is looked for in the normalised text.
    fn encoder(&self, named: &[AddedToken]) -> Result<Vec<(u32, AddedToken)>, ModelError> {
        let each = |(token, value): (&str, &Value)| {
            let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
            let id = id.ok_or_else(|| self.added.wrong(token, "an id", value))?;
            let special = named.iter().any(|named| named.content == token);
            let written = special && self.writes(token);
            Ok((id, AddedToken::from(token, special).normalized(!written)))
        };
        self.added.iter().map(each).collect()
    }

    /// Whether a file names this token as a special one.
    fn writes(&self, content: &str) -> bool {
        let is = |value: &Value| token(value, true).is_some_and(|token| token.content == content);
        self.special_places().flat_map(Object::iter).any(|(key, value)| {
            let listed = || EXTRA.contains(&key) && value.as_array().is_some_and(|list| list.iter().any(is));
            key.ends_with("_token") && is(value) || listed()
        })
    }

    /// Further special tokens, of the map where that counts, or of the configuration.
    fn extra(&self) -> Result<Vec<AddedToken>, ModelError> {
        let found = self.special_places().find_map(|object| {
            let key = EXTRA.iter().find(|key| object.get(key).is_some())?;
            Some((object, *key, object.get(key)?))
        });
        let Some((object, key, value)) = found else {
            return Ok(Vec::new());
        };
        let tokens = value.as_array().map(|list| list.iter().map(|v| token(v, true)));
        tokens
            .and_then(Iterator::collect)
            .ok_or_else(|| object.wrong(key, "an array of tokens", value))
    }

    /// Where special tokens are looked for, the first first.
    fn special_places(&self) -> impl Iterator<Item = &Object> {
        let map = Some(&self.special).filter(|_| self.config.get(LISTED).is_none());
        map.into_iter().chain([&self.config])
    }

    fn add_listed(&self, tokenizer: &mut Tokenizer, id: u32, token: AddedToken) -> Result<(), ModelError> {
        let (content, special) = (token.content.clone(), token.special);
        let outcome = if special {
            tokenizer.add_special_tokens([token])
        } else {
            tokenizer.add_tokens([token])
        };
        let (object, key) = self.list();
        outcome.map_err(|e| fault(object.path(), &e))?;
        let got = tokenizer.token_to_id(&content);
        if got == Some(id) {
            return Ok(());
        }
        Err(ModelError::Tokenizer {
            path: object.path().to_owned(),
            problem: format!(
                "{key} gives {content:?} the id {id}, but with this vocabulary it is {got:?}; copy the tokenizer's \
                 files from one checkpoint"
            ),
        })
    }

    /// Where the listed tokens stand.
    fn list(&self) -> (&Object, &str) {
        match self.config.get(LISTED) {
            Some(_) => (&self.config, "\"added_tokens_decoder\""),
            None => (&self.added, "the file"),
        }
    }
}

fn decoder(value: &Value) -> Option<Vec<(u32, AddedToken)>> {
    let entries = value.as_object()?.iter();
    entries
        .map(|(id, value)| Some((id.parse().ok()?, token(value, false)?)))
        .collect()
}

/// A token as JSON: its text, or an object with `content` and how it is looked for. `special` is what counts where the
/// object does not say.
fn token(value: &Value, special: bool) -> Option<AddedToken> {
    if let Some(text) = value.as_str() {
        return Some(AddedToken::from(text, special));
    }
    let content = value.get("content")?.as_str()?;
    let flag = |name: &str| value.get(name).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(special);
    let token = AddedToken::from(content, special)
        .lstrip(flag("lstrip").unwrap_or(false))
        .rstrip(flag("rstrip").unwrap_or(false))
        .single_word(flag("single_word").unwrap_or(false));
    Some(token.normalized(flag("normalized").unwrap_or(!special)))
}
