//! ELECTRA (Clark et al. 2020), as `transformers.ElectraForTokenClassification` saves it: BERT whose embeddings may be
//! narrower than its layers.

use super::post_norm::{BERT_KEYS, BERT_LAYER, Keys, PostNorm};
use super::{Family, Source, WIDTH_LIMIT};
use crate::architecture::{Architecture, Projection};
use crate::error::ModelError;
use crate::tokenizer;

pub(super) const FAMILY: Family = Family {
    name: "electra",
    prefix: "electra.",
    describe,
    tokenizer: &tokenizer::BERT,
    class: Some("BertTokenizer"),
    idle: &[],
};

const KEYS: Keys = Keys {
    hidden: ("hidden_size", 256),
    heads: ("num_attention_heads", 4),
    intermediate: ("intermediate_size", 1024),
    ..BERT_KEYS
};

fn describe(source: &Source<'_>) -> Result<Architecture, ModelError> {
    let encoder = PostNorm::read(source, &KEYS, &BERT_LAYER, FAMILY.prefix)?;
    let width = source.config.count("embedding_size", 128, WIDTH_LIMIT)?;
    let mut embeddings = encoder.embeddings(width)?;
    if width != encoder.hidden {
        let linear = encoder.linear("embeddings_project", width, encoder.hidden);
        embeddings.projection = Some(Projection::AfterNorm(linear));
    }
    Ok(encoder.architecture(embeddings))
}
