//! DistilBERT (Sanh et al. 2019), as `transformers.DistilBertForTokenClassification` saves it: BERT without segments,
//! under names of its own. Sinusoidal places are stored like learned ones, so `sinusoidal_pos_embds` changes nothing.

use super::post_norm::{Keys, LayerNames, PostNorm};
use super::{Family, Source};
use crate::architecture::{Architecture, Embeddings};
use crate::error::ModelError;
use crate::tokenizer;

pub(super) const FAMILY: Family = Family {
    name: "distilbert",
    prefix: "distilbert.",
    describe,
    tokenizer: &tokenizer::BERT,
    class: Some("BertTokenizer"),
    idle: &[],
};

const KEYS: Keys = Keys {
    hidden: ("dim", 768),
    layers: ("n_layers", 6),
    heads: ("n_heads", 12),
    intermediate: ("hidden_dim", 3072),
    activation: "activation",
    eps: None,
    vocabulary: 30_522,
};

const LAYER: LayerNames = LayerNames {
    layers: "transformer.layer",
    query_key_value: ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    feed_forward_norm: "output_layer_norm",
};

/// Other names under which the reference takes the same sizes.
const ALIASES: [(&str, &str); 3] = [
    ("hidden_size", "dim"),
    ("num_attention_heads", "n_heads"),
    ("num_hidden_layers", "n_layers"),
];

fn describe(source: &Source<'_>) -> Result<Architecture, ModelError> {
    let config = source.config;
    for (alias, key) in ALIASES {
        if let Some(value) = config.get(alias)
            && config.get(key) != Some(value)
        {
            let expected = format!("the same as \"{key}\", which is DistilBERT's name for it");
            return Err(config.wrong(alias, expected, value));
        }
    }
    let encoder = PostNorm::read(source, &KEYS, &LAYER, FAMILY.prefix)?;
    Ok(encoder.architecture(Embeddings {
        token_types: None,
        ..encoder.embeddings(encoder.hidden)?
    }))
}
