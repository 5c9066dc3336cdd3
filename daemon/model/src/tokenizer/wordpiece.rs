//! WordPiece from `vocab.txt`: BERT and what shares its tokenizer (ELECTRA, DistilBERT).

use tokenizers::Tokenizer;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;

use super::{TokenizerFiles, fault};
use crate::error::ModelError;
use crate::json::Object;

/// Builds BERT's tokenizer from `vocab.txt` as `transformers.BertTokenizer` does: one token per line, the line number
/// its id; `do_lower_case`, `strip_accents`, `tokenize_chinese_chars` and the special tokens from
/// `tokenizer_config.json`.
pub(crate) fn bert_wordpiece(files: &TokenizerFiles) -> Result<Tokenizer, ModelError> {
    let file = files.vocabulary("vocab.txt", "tokenizer.json or vocab.txt")?;
    let path = &file.path;
    let unknown = files.special("unk_token", "[UNK]")?;
    let pieces = WordPiece::read_bytes(&file.bytes).map_err(|e| fault(path, &e))?;
    let model = WordPiece::builder()
        .vocab(pieces)
        .unk_token(unknown.content)
        .build()
        .map_err(|e| fault(path, &e))?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(normalizer(&files.config)?))
        .map_err(|e| fault(path, &e))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    files.require(&tokenizer, path, "unk_token", "[UNK]")?;
    let cls = files.require(&tokenizer, path, "cls_token", "[CLS]")?;
    let sep = files.require(&tokenizer, path, "sep_token", "[SEP]")?;
    tokenizer.with_post_processor(Some(BertProcessing::new(sep, cls)));
    // Some vocabularies lack [PAD] or [MASK], which no note needs.
    let mut keys = vec![
        ("unk_token", "[UNK]"),
        ("sep_token", "[SEP]"),
        ("cls_token", "[CLS]"),
    ];
    for key in [("pad_token", "[PAD]"), ("mask_token", "[MASK]")] {
        if tokenizer
            .token_to_id(&files.special(key.0, key.1)?.content)
            .is_some()
        {
            keys.push(key);
        }
    }
    files.add_special(&mut tokenizer, &keys)?;
    Ok(tokenizer)
}

/// BERT's normaliser with the switches of `tokenizer_config.json`.
pub(super) fn normalizer(config: &Object) -> Result<BertNormalizer, ModelError> {
    Ok(BertNormalizer::new(
        true,
        config.flag("tokenize_chinese_chars")?.unwrap_or(true),
        config.flag("strip_accents")?,
        config.flag("do_lower_case")?.unwrap_or(true),
    ))
}
