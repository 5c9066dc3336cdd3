//! ModernBERT (Warner et al. 2024), as `transformers.ModernBertForTokenClassification` saves it: rotary positions, global
//! attention in some layers and a window in the others, each kind with a base of its own, and a head with a layer more.

use serde_json::Value;

use super::pre_norm::{Keys, Parts, PreNorm, theta};
use super::{Family, LAYER_LIMIT, Source, WIDTH_LIMIT, activation};
use crate::architecture::{Architecture, NormKind};
use crate::error::ModelError;
use crate::tokenizer;

pub(super) const FAMILY: Family = Family {
    name: "modernbert",
    prefix: "model.",
    describe,
    tokenizer: &tokenizer::ONLY_JSON,
    class: Some(tokenizer::AS_IT_IS),
    idle: &[],
};

const KEYS: Keys = Keys {
    activation: ("hidden_activation", "gelu"),
    eps: "norm_eps",
    layers: 22,
    intermediate: 1152,
    vocabulary: 50_368,
    words: "embeddings.tok_embeddings.weight",
    norm: NormKind::Layer,
};

/// What the layers of one kind have in common.
#[derive(Clone, Copy)]
struct Kind {
    reach: Option<usize>,
    theta: f32,
}

fn describe(source: &Source<'_>) -> Result<Architecture, ModelError> {
    let config = source.config;
    let flag = |key: &str| config.flag(key).map(|flag| flag.unwrap_or(false));
    let encoder = PreNorm::read(source, &KEYS, flag("norm_bias")?)?;
    let (hidden, heads, intermediate) = (encoder.hidden, encoder.heads, encoder.intermediate);
    let head_dim = encoder.head_dim("num_attention_heads", hidden / heads)?;
    let (attention_bias, mlp_bias) = (flag("attention_bias")?, flag("mlp_bias")?);
    let layer = |(index, kind): (usize, Kind)| {
        let at = |part: &str| format!("layers.{index}.{part}");
        encoder.layer(Parts {
            // The embeddings end with a norm, so the first layer begins without one.
            attention_norm: (index > 0).then(|| encoder.norm(&at("attn_norm"))),
            qkv: vec![encoder.linear(&at("attn.Wqkv"), hidden, 3 * hidden, attention_bias)],
            key_value_heads: heads,
            head_dim,
            reach: kind.reach,
            theta: kind.theta,
            attention_output: encoder.linear(&at("attn.Wo"), hidden, hidden, attention_bias),
            feed_forward_norm: encoder.norm(&at("mlp_norm")),
            up: vec![encoder.linear(&at("mlp.Wi"), hidden, 2 * intermediate, mlp_bias)],
            down: encoder.linear(&at("mlp.Wo"), intermediate, hidden, mlp_bias),
        })
    };
    let kinds = kinds(source, encoder.layers)?;
    let dense = encoder.head_dense(
        activation(config, "classifier_activation", "gelu")?,
        flag("classifier_bias")?,
    );
    encoder.architecture(
        Some(encoder.norm("embeddings.norm")),
        kinds.into_iter().enumerate().map(layer).collect(),
        encoder.norm("final_norm"),
        Some(dense),
    )
}

/// The kind of each layer: from `layer_types` or, as configurations from before version 5 of `transformers` have it, from
/// `global_attn_every_n_layers`.
fn kinds(source: &Source<'_>, layers: usize) -> Result<Vec<Kind>, ModelError> {
    let config = source.config;
    let global = Kind {
        reach: None,
        theta: rope_theta(source, "full_attention", "global_rope_theta", 160_000.0)?,
    };
    let local = Kind {
        // The window is as wide to both sides together.
        reach: Some(config.count("local_attention", 128, WIDTH_LIMIT)? / 2),
        theta: rope_theta(source, "sliding_attention", "local_rope_theta", 10_000.0)?,
    };
    let every = config.count("global_attn_every_n_layers", 3, LAYER_LIMIT)?;
    let Some(types) = config.get("layer_types") else {
        let kind = |index: usize| {
            if index.is_multiple_of(every) {
                global
            } else {
                local
            }
        };
        return Ok((0..layers).map(kind).collect());
    };
    let named = |kind: &Value| match kind.as_str() {
        Some("full_attention") => Some(global),
        Some("sliding_attention") => Some(local),
        _ => None,
    };
    let list = types.as_array().filter(|list| list.len() == layers);
    list.and_then(|list| list.iter().map(named).collect())
        .ok_or_else(|| {
            let expected = format!(
                "\"full_attention\" or \"sliding_attention\" for each of the {layers} layers of \"num_hidden_layers\""
            );
            config.wrong("layer_types", expected, types)
        })
}

/// The base for one kind of layer: from its part of `rope_parameters` or, as configurations from before version 5 have it,
/// from a key of its own. What `rope_scaling` says goes for both kinds, above all else.
fn rope_theta(source: &Source<'_>, kind: &str, key: &str, default: f32) -> Result<f32, ModelError> {
    let config = source.config;
    // Versions before 5 took another base for it, and later ones take none.
    if config
        .iter()
        .any(|(found, value)| found == key && value.is_null())
    {
        return Err(config.wrong(key, "a number above 0", &Value::Null));
    }
    let mut base = config.positive(key, default)?;
    let parameters = config.child("rope_parameters")?;
    let own = parameters.map(|all| all.child(kind)).transpose()?.flatten();
    for rope in own.into_iter().chain(config.child("rope_scaling")?) {
        base = theta(&rope, base)?;
    }
    Ok(base)
}
