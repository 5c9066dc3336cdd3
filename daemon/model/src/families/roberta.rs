//! RoBERTa (Liu et al. 2019), XLM-RoBERTa (Conneau et al. 2020) and CamemBERT (Martin et al. 2020), as the
//! `…ForTokenClassification` of `transformers` saves them: BERT whose places are counted from the padding token's id.
//! They differ in their tokenizers.

use serde_json::Value;

use super::post_norm::{BERT_KEYS, BERT_LAYER, Keys, PostNorm};
use super::{Family, ROW_LIMIT, Source};
use crate::architecture::{Architecture, Positions};
use crate::error::ModelError;
use crate::tokenizer;

pub(super) const FAMILY: Family = Family {
    name: "roberta",
    prefix: "roberta.",
    describe: |source| {
        let keys = Keys {
            vocabulary: 50_265,
            ..BERT_KEYS
        };
        describe(source, &keys, "roberta.")
    },
    tokenizer: &tokenizer::ROBERTA,
    class: Some("RobertaTokenizer"),
    idle: &[],
};

pub(super) const XLM_ROBERTA: Family = Family {
    name: "xlm-roberta",
    prefix: "roberta.",
    describe: |source| describe(source, &BERT_KEYS, "roberta."),
    tokenizer: &tokenizer::XLM_ROBERTA,
    class: Some("XLMRobertaTokenizer"),
    idle: &[],
};

pub(super) const CAMEMBERT: Family = Family {
    name: "camembert",
    prefix: "roberta.",
    describe: |source| describe(source, &BERT_KEYS, "roberta."),
    tokenizer: &tokenizer::CAMEMBERT,
    class: Some("CamembertTokenizer"),
    idle: &[],
};

/// Also what Longformer has in common with them.
pub(super) fn describe(
    source: &Source<'_>,
    keys: &Keys,
    prefix: &'static str,
) -> Result<Architecture, ModelError> {
    let encoder = PostNorm::read(source, keys, &BERT_LAYER, prefix)?;
    let mut embeddings = encoder.embeddings(encoder.hidden)?;
    if let Positions::Absolute {
        table,
        first,
        padding,
    } = &mut embeddings.positions
    {
        let config = source.config;
        let id = config.index("pad_token_id", 1, ROW_LIMIT)?;
        *first = id.saturating_add(1);
        // Fits: the limit is far below.
        *padding = u32::try_from(id).ok();
        if table.rows <= *first {
            let expected = format!("more than the {first} rows up to \"pad_token_id\"");
            let found = Value::from(table.rows);
            return Err(config.wrong("max_position_embeddings", expected, &found));
        }
    }
    Ok(encoder.architecture(embeddings))
}
