//! EuroBERT (Boizard et al. 2025), as `transformers.EuroBertForTokenClassification` saves it: layers of Llama without the
//! causal mask. All its attention is global.

use serde_json::Value;

use super::pre_norm::{Keys, Parts, PreNorm, theta};
use super::{Family, Source, WIDTH_LIMIT};
use crate::architecture::{Architecture, NormKind};
use crate::error::ModelError;
use crate::tokenizer;

pub(super) const FAMILY: Family = Family {
    name: "eurobert",
    prefix: "model.",
    describe,
    tokenizer: &tokenizer::ONLY_JSON,
    class: None,
    idle: &[],
};

const KEYS: Keys = Keys {
    activation: ("hidden_act", "silu"),
    eps: "rms_norm_eps",
    layers: 12,
    intermediate: 3072,
    vocabulary: 128_256,
    words: "embed_tokens.weight",
    norm: NormKind::Rms,
};

fn describe(source: &Source<'_>) -> Result<Architecture, ModelError> {
    let config = source.config;
    let encoder = PreNorm::read(source, &KEYS, false)?;
    let (hidden, heads, intermediate) = (encoder.hidden, encoder.heads, encoder.intermediate);
    let key_value_heads = config.count("num_key_value_heads", heads, WIDTH_LIMIT)?;
    if heads % key_value_heads != 0 {
        let expected = format!("a divisor of \"num_attention_heads\", which is {heads}");
        return Err(config.wrong("num_key_value_heads", expected, &Value::from(key_value_heads)));
    }
    let head_dim = encoder.head_dim("head_dim", config.count("head_dim", hidden / heads, WIDTH_LIMIT)?)?;
    let theta = rope_theta(source)?;
    let attention_bias = config.flag("attention_bias")?.unwrap_or(false);
    let mlp_bias = config.flag("mlp_bias")?.unwrap_or(false);
    let layer = |index: usize| {
        let at = |part: &str| format!("layers.{index}.{part}");
        let attention = |part: &str, heads: usize| {
            let name = at(&format!("self_attn.{part}_proj"));
            encoder.linear(&name, hidden, heads * head_dim, attention_bias)
        };
        let up = |part: &str| encoder.linear(&at(part), hidden, intermediate, mlp_bias);
        encoder.layer(Parts {
            attention_norm: Some(encoder.norm(&at("input_layernorm"))),
            qkv: vec![
                attention("q", heads),
                attention("k", key_value_heads),
                attention("v", key_value_heads),
            ],
            key_value_heads,
            head_dim,
            reach: None,
            theta,
            attention_output: encoder.linear(
                &at("self_attn.o_proj"),
                heads * head_dim,
                hidden,
                attention_bias,
            ),
            feed_forward_norm: encoder.norm(&at("post_attention_layernorm")),
            up: vec![up("mlp.gate_proj"), up("mlp.up_proj")],
            down: encoder.linear(&at("mlp.down_proj"), intermediate, hidden, mlp_bias),
        })
    };
    let layers = (0..encoder.layers).map(layer).collect();
    encoder.architecture(None, layers, encoder.norm("norm"), None)
}

/// `rope_theta` stands in `rope_parameters` since version 5 of `transformers` and beside `rope_scaling` before, which the
/// reference prefers where both are there.
fn rope_theta(source: &Source<'_>) -> Result<f32, ModelError> {
    let config = source.config;
    let scaling = config
        .child("rope_scaling")?
        .filter(|rope| rope.iter().count() > 0);
    let rope = match scaling {
        Some(scaling) => Some(scaling),
        None => config.child("rope_parameters")?,
    };
    let outside = config.positive("rope_theta", 10_000.0)?;
    rope.map_or(Ok(outside), |rope| theta(&rope, outside))
}
