//! SentencePiece unigram (Kudo 2018): XLM-RoBERTa, CamemBERT and DeBERTa, as the conversions in `transformers` build them.

use std::panic::catch_unwind;

use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::normalizers::{Lowercase, NFC, Precompiled, Sequence as Normalizers, Strip};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, NormalizerWrapper, SplitDelimiterBehavior, Tokenizer};

use super::sentencepiece::{CONTROL, Model, Piece, UNKNOWN, USER_DEFINED};
use super::special::SENTENCE_MARKS;
use super::{TokenizerFiles, fault};
use crate::error::ModelError;
use crate::files::Small;

/// What stands for a space.
const SPACE: char = '\u{2581}';

/// What fairseq's numbering has before the pieces of a file.
enum Before {
    /// The special token of this key, or this one.
    Special(&'static str, &'static str),
    /// A token that no text gives, and its score.
    Unused(&'static str, f64),
}

use Before::{Special, Unused};

/// Builds XLM-RoBERTa's tokenizer from `sentencepiece.bpe.model` (a unigram model, whatever its name). The ids are
/// fairseq's: `<s>`, `<pad>`, `</s>`, `<unk>`, the pieces after the file's first three, `<mask>`.
pub(crate) fn xlm_roberta_unigram(files: &TokenizerFiles) -> Result<Tokenizer, ModelError> {
    let before = [
        Special("bos_token", "<s>"),
        Special("pad_token", "<pad>"),
        Special("eos_token", "</s>"),
        Special("unk_token", "<unk>"),
    ];
    fairseq_unigram(files, &before, 3, |_, _| Ok(()))
}

/// Builds CamemBERT's tokenizer: as XLM-RoBERTa's, but before the pieces after the file's first stand five others, three
/// of them unused, and `<mask>` takes the space before it, unless a file says otherwise.
pub(crate) fn camembert_unigram(files: &TokenizerFiles) -> Result<Tokenizer, ModelError> {
    let before = [
        Unused("<s>NOTUSED", 0.0),
        Special("pad_token", "<pad>"),
        Unused("</s>NOTUSED", 0.0),
        Special("unk_token", "<unk>"),
        Unused("<unk>NOTUSED", -100.0),
    ];
    fairseq_unigram(files, &before, 1, |file, tokenizer| {
        if files.describes("mask_token") {
            return Ok(());
        }
        let mask = files.special("mask_token", "<mask>")?.lstrip(true);
        let added = tokenizer.add_special_tokens([mask]);
        added.map(|_| ()).map_err(|e| fault(&file.path, &e))
    })
}

/// `before`, then the pieces without the file's first `left_out`, then `<mask>`; `first` may add special tokens before the others.
fn fairseq_unigram(
    files: &TokenizerFiles,
    before: &[Before],
    left_out: usize,
    first: impl FnOnce(&Small, &mut Tokenizer) -> Result<(), ModelError>,
) -> Result<Tokenizer, ModelError> {
    let file = files.vocabulary(
        "sentencepiece.bpe.model",
        "tokenizer.json or sentencepiece.bpe.model",
    )?;
    let model = Model::parse(&file.path, &file.bytes)?;
    let kind = |at: usize| model.pieces.get(at).map(|piece| piece.kind);
    if [0, 1, 2].map(kind) != [UNKNOWN, CONTROL, CONTROL].map(Some) {
        let problem =
            "its first pieces are not <unk>, <s> and </s>, as those of XLM-RoBERTa and CamemBERT are";
        return Err(fault(&file.path, &problem));
    }
    let mut vocabulary = Vec::with_capacity(model.pieces.len().saturating_add(5));
    for token in before {
        vocabulary.push(match token {
            Special(key, default) => (files.special(key, default)?.content, 0.0),
            Unused(text, score) => ((*text).to_owned(), *score),
        });
    }
    vocabulary.extend(model.pieces.iter().skip(left_out).map(entry));
    vocabulary.push((files.special("mask_token", "<mask>")?.content, 0.0));
    let mut tokenizer = unigram(file, vocabulary, 3)?;
    if !model.charsmap.is_empty() {
        set_normalizer(file, &mut tokenizer, precompiled(file, &model.charsmap)?)?;
    }
    let scheme = prepend(files, PrependScheme::Never)?;
    tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(vec![
        WhitespaceSplit.into(),
        Metaspace::new(SPACE, scheme, true).into(),
    ])));
    let bos = files.require(&tokenizer, &file.path, "bos_token", "<s>")?;
    let eos = files.require(&tokenizer, &file.path, "eos_token", "</s>")?;
    tokenizer.with_post_processor(Some(BertProcessing::new(eos, bos)));
    first(file, &mut tokenizer)?;
    add_special(files, &mut tokenizer, &model, &SENTENCE_MARKS)?;
    Ok(tokenizer)
}

/// Builds DeBERTa's tokenizer, versions 2 and 3, from `spm.model` as version 5 of `transformers` does, which leaves the
/// file's map of characters unused. `[MASK]`, which the file lacks, comes after the last piece.
pub(crate) fn deberta_unigram(files: &TokenizerFiles) -> Result<Tokenizer, ModelError> {
    let file = files.vocabulary("spm.model", "tokenizer.json or spm.model")?;
    let model = Model::parse(&file.path, &file.bytes)?;
    let unknown = files.special("unk_token", "[UNK]")?.content;
    let is_unknown = |piece: &Piece| piece.text == unknown && piece.score == 0.0;
    let unknown = model.pieces.iter().position(is_unknown).unwrap_or(model.unknown);
    let mut tokenizer = unigram(file, model.pieces.iter().map(entry).collect(), unknown)?;
    let flag = |key: &str| Ok::<_, ModelError>(files.config.flag(key)?.unwrap_or(false));
    let spaces = ReplacePattern::Regex(r"\s{2,}|[\n\r\t]".to_owned());
    let spaces = Replace::new(spaces, " ").map_err(|e| fault(&file.path, &e))?;
    let mut normalizers: Vec<NormalizerWrapper> =
        vec![spaces.into(), NFC.into(), Strip::new(false, true).into()];
    if flag("do_lower_case")? {
        normalizers.insert(0, Lowercase.into());
    }
    set_normalizer(file, &mut tokenizer, Normalizers::new(normalizers))?;
    let scheme = prepend(files, PrependScheme::First)?;
    let mut steps = vec![Metaspace::new(SPACE, scheme, true).into()];
    if flag("split_by_punct")? {
        steps.insert(0, Punctuation::new(SplitDelimiterBehavior::Isolated).into());
    }
    tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(steps)));
    let cls = files.require(&tokenizer, &file.path, "cls_token", "[CLS]")?;
    let sep = files.require(&tokenizer, &file.path, "sep_token", "[SEP]")?;
    tokenizer.with_post_processor(Some(BertProcessing::new(sep, cls)));
    add_special(
        files,
        &mut tokenizer,
        &model,
        &[
            ("bos_token", "[CLS]"),
            ("eos_token", "[SEP]"),
            ("unk_token", "[UNK]"),
            ("sep_token", "[SEP]"),
            ("pad_token", "[PAD]"),
            ("cls_token", "[CLS]"),
            ("mask_token", "[MASK]"),
        ],
    )?;
    Ok(tokenizer)
}

fn entry(piece: &Piece) -> (String, f64) {
    (piece.text.clone(), f64::from(piece.score))
}

fn unigram(file: &Small, vocabulary: Vec<(String, f64)>, unknown: usize) -> Result<Tokenizer, ModelError> {
    let model = Unigram::from(vocabulary, Some(unknown), false);
    Ok(Tokenizer::new(model.map_err(|e| fault(&file.path, &e))?))
}

/// The map of characters; its reader may panic on a damaged one.
fn precompiled(file: &Small, charsmap: &[u8]) -> Result<Precompiled, ModelError> {
    let read = catch_unwind(|| Precompiled::from(charsmap).ok()).ok().flatten();
    read.ok_or_else(|| fault(&file.path, &"its map of characters is damaged"))
}

fn set_normalizer(
    file: &Small,
    tokenizer: &mut Tokenizer,
    normalizer: impl Into<NormalizerWrapper>,
) -> Result<(), ModelError> {
    let set = tokenizer.with_normalizer(Some(normalizer));
    set.map(|_| ()).map_err(|e| fault(&file.path, &e))
}

/// Where a space is put before the text: always, or `otherwise` where `add_prefix_space` is false.
fn prepend(files: &TokenizerFiles, otherwise: PrependScheme) -> Result<PrependScheme, ModelError> {
    Ok(match files.config.flag("add_prefix_space")? {
        Some(false) => otherwise,
        _ => PrependScheme::Always,
    })
}

/// Adds the special tokens, and the file's own control and user-defined pieces.
fn add_special(
    files: &TokenizerFiles,
    tokenizer: &mut Tokenizer,
    model: &Model,
    keys: &[(&str, &str)],
) -> Result<(), ModelError> {
    files.add_special(tokenizer, keys)?;
    for piece in &model.pieces {
        if piece.kind == CONTROL || piece.kind == USER_DEFINED {
            let token = AddedToken::from(piece.text.as_str(), piece.kind == CONTROL).normalized(false);
            let known = tokenizer
                .get_added_vocabulary()
                .get_vocab()
                .contains_key(&piece.text);
            if !known {
                tokenizer
                    .add_tokens([token])
                    .map_err(|e| fault(files.config.path(), &e))?;
            }
        }
    }
    Ok(())
}
