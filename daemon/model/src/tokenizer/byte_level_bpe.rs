//! Byte-level BPE (Radford et al. 2019) from `vocab.json` and `merges.txt`: RoBERTa and Longformer.

use std::path::Path;

use serde_json::Value;
use tokenizers::Tokenizer;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::roberta::RobertaProcessing;

use super::special::SENTENCE_MARKS;
use super::{TokenizerFiles, fault};
use crate::error::ModelError;
use crate::json::Object;

const WANTED: &str = "tokenizer.json, or vocab.json with merges.txt";

/// Builds RoBERTa's tokenizer as `transformers.RobertaTokenizer` does; `add_prefix_space`, `trim_offsets` and the special
/// tokens from `tokenizer_config.json`.
pub(crate) fn byte_level_bpe(files: &TokenizerFiles) -> Result<Tokenizer, ModelError> {
    let file = files.vocabulary("vocab.json", WANTED)?;
    let path = &file.path;
    let vocab = vocabulary(&Object::parse(path, &file.bytes)?)?;
    let list = files.vocabulary("merges.txt", WANTED)?;
    let merges = merges(&list.path, &list.bytes, &vocab)?;
    let model = BPE::builder().vocab_and_merges(vocab, merges).build();
    let mut tokenizer = Tokenizer::new(model.map_err(|e| fault(path, &e))?);
    let cls = files.require(&tokenizer, path, "cls_token", "<s>")?;
    let sep = files.require(&tokenizer, path, "sep_token", "</s>")?;
    begin(&files.config, &mut tokenizer)?;
    surround(&files.config, &mut tokenizer, (sep, cls))?;
    files.add_special(&mut tokenizer, &SENTENCE_MARKS)?;
    Ok(tokenizer)
}

/// What comes before the model: bytes as characters, with a space before the text where that is asked for.
pub(super) fn begin(config: &Object, tokenizer: &mut Tokenizer) -> Result<(), ModelError> {
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(space(config)?, true, true)));
    Ok(())
}

/// What comes after the model: the special tokens `(sep, cls)` around the text.
pub(super) fn surround(
    config: &Object,
    tokenizer: &mut Tokenizer,
    (sep, cls): ((String, u32), (String, u32)),
) -> Result<(), ModelError> {
    let trim = config.flag("trim_offsets")?.unwrap_or(true);
    let ends = RobertaProcessing::new(sep, cls).trim_offsets(trim);
    tokenizer.with_post_processor(Some(ends.add_prefix_space(space(config)?)));
    Ok(())
}

fn space(config: &Object) -> Result<bool, ModelError> {
    Ok(config.flag("add_prefix_space")?.unwrap_or(false))
}

fn vocabulary(object: &Object) -> Result<Vocab, ModelError> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    object
        .iter()
        .map(|(token, value)| {
            let id = id(value).ok_or_else(|| object.wrong(token, "an id from 0 to 4294967295", value))?;
            Ok((token.to_owned(), id))
        })
        .collect()
}

/// One merge per line, most frequent first; checked here because the model would panic on one that makes no token.
fn merges(path: &Path, bytes: &[u8], vocab: &Vocab) -> Result<Merges, ModelError> {
    let text = str::from_utf8(bytes).map_err(|e| fault(path, &e))?;
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with("#version"))
        .map(|(index, line)| {
            let wrong = |problem: &str| fault(path, &format_args!("line {}: {problem}", index + 1));
            let (left, right) = line
                .split_once(' ')
                .filter(|(left, right)| !left.is_empty() && !right.is_empty() && !right.contains(' '))
                .ok_or_else(|| wrong("expected two tokens with one space between them"))?;
            let known = |token: &str| vocab.contains_key(token);
            if !known(left) || !known(right) || !known(&format!("{left}{right}")) {
                return Err(wrong("a part or the whole is not in vocab.json"));
            }
            Ok((left.to_owned(), right.to_owned()))
        })
        .collect()
}
