//! DeBERTa-v2 and -v3 (He et al. 2021): disentangled attention over relative positions in logarithmic buckets, post-norm
//! layers, SentencePiece. Version 3 differs in its training only.

use serde_json::Value;

use super::post_norm::{Keys, LayerNames, PostNorm};
use super::{Family, ROW_LIMIT, Source, WIDTH_LIMIT, activation};
use crate::architecture::{
    Architecture, AttentionPositions, Convolution, Disentangled, Embeddings, Linear, Positions, Projection,
    Table,
};
use crate::error::ModelError;
use crate::json::Object;
use crate::tokenizer;

const KERNEL_LIMIT: usize = 1 << 10;

pub(super) const FAMILY: Family = Family {
    name: "deberta-v2",
    prefix: "deberta.",
    describe,
    tokenizer: &tokenizer::DEBERTA,
    class: Some("DebertaV2Tokenizer"),
    idle: &[],
};

/// The defaults of `transformers.DebertaV2Config`.
const KEYS: Keys = Keys {
    hidden: ("hidden_size", 1536),
    layers: ("num_hidden_layers", 24),
    heads: ("num_attention_heads", 24),
    intermediate: ("intermediate_size", 6144),
    activation: "hidden_act",
    eps: Some(("layer_norm_eps", 1e-7)),
    vocabulary: 128_100,
};

const LAYER: LayerNames = LayerNames {
    layers: "encoder.layer",
    query_key_value: [
        "attention.self.query_proj",
        "attention.self.key_proj",
        "attention.self.value_proj",
    ],
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    feed_forward_norm: "output.LayerNorm",
};

/// Which terms with positions the scores have (`pos_att_type`).
#[derive(Clone, Copy, Default)]
struct Terms {
    content_to_position: bool,
    position_to_content: bool,
}

fn describe(source: &Source<'_>) -> Result<Architecture, ModelError> {
    let encoder = PostNorm::read(source, &KEYS, &LAYER, "deberta.")?;
    let (config, hidden) = (source.config, encoder.hidden);
    let width = config.count("embedding_size", hidden, WIDTH_LIMIT)?;
    let context = config.count("max_position_embeddings", 512, ROW_LIMIT)?;
    let embeddings = Embeddings {
        words: encoder.words(width),
        positions: match config.flag("position_biased_input")? {
            Some(false) => Positions::None,
            _ => Positions::Absolute {
                table: encoder.table("position_embeddings", context, width),
                first: 0,
                padding: None,
            },
        },
        token_types: config
            .size("type_vocab_size", ROW_LIMIT)?
            .map(|rows| encoder.table("token_type_embeddings", rows, width)),
        norm: Some(encoder.norm("embeddings.LayerNorm", hidden)),
        projection: (width != hidden).then(|| {
            Projection::BeforeNorm(Linear {
                bias: None,
                ..encoder.linear("embeddings.embed_proj", width, hidden)
            })
        }),
    };
    let mut architecture = encoder.architecture(embeddings);
    architecture.context = context;
    let terms = terms(config)?;
    let places = places(config, &encoder, context)?;
    for (index, layer) in architecture.layers.iter_mut().enumerate() {
        let attention = &mut layer.attention;
        let head_dim = config.count("attention_head_size", attention.head_dim, WIDTH_LIMIT)?;
        if head_dim != attention.head_dim {
            let expected = format!(
                "\"hidden_size\" / \"num_attention_heads\", which is {}",
                attention.head_dim
            );
            return Err(config.wrong("attention_head_size", expected, &Value::from(head_dim)));
        }
        // Every kind of term that is named counts, even where there are no relative positions.
        let count = 1 + usize::from(terms.content_to_position) + usize::from(terms.position_to_content);
        #[allow(clippy::cast_precision_loss)] // Three widths of at most 65,536 are exact in f32.
        let scale = 1.0 / ((head_dim * count) as f32).sqrt();
        attention.scale = scale;
        let Some(places) = places.as_ref().filter(|_| count > 1) else {
            continue;
        };
        let shared = config.flag("share_att_key")?.unwrap_or(false);
        let projection = |own: &str, content: &str| {
            let name = if shared { content } else { own };
            encoder.linear(
                &format!("encoder.layer.{index}.attention.self.{name}"),
                hidden,
                hidden,
            )
        };
        let mut places = places.clone();
        if terms.content_to_position {
            places.content_to_position = Some(projection("pos_key_proj", "key_proj"));
        }
        if terms.position_to_content {
            places.position_to_content = Some(projection("pos_query_proj", "query_proj"));
        }
        attention.positions = AttentionPositions::Disentangled(Box::new(places));
    }
    if let Some(first) = architecture.layers.first_mut() {
        first.convolution = convolution(config, &encoder)?;
    }
    Ok(architecture)
}

/// `pos_att_type`: a list of names, or the names with bars between them.
fn terms(config: &Object) -> Result<Terms, ModelError> {
    let mut terms = Terms::default();
    let Some(value) = config.get("pos_att_type") else {
        return Ok(terms);
    };
    let names = match value {
        Value::String(text) => Some(text.split('|').map(|name| name.trim().to_lowercase()).collect()),
        Value::Array(list) => list.iter().map(|name| Some(name.as_str()?.to_owned())).collect(),
        _ => None,
    };
    let names: Option<Vec<String>> = names;
    let wrong = || config.wrong("pos_att_type", "a list of \"c2p\" and \"p2c\"", value);
    for name in names.ok_or_else(wrong)? {
        match name.as_str() {
            "c2p" => terms.content_to_position = true,
            "p2c" => terms.position_to_content = true,
            "" => {}
            _ => return Err(wrong()),
        }
    }
    Ok(terms)
}

/// What `relative_attention` asks for, without the projections, which are each layer's own.
fn places(
    config: &Object,
    encoder: &PostNorm<'_>,
    context: usize,
) -> Result<Option<Disentangled>, ModelError> {
    if config.flag("relative_attention")? != Some(true) {
        return Ok(None);
    }
    let longest = config
        .size("max_relative_positions", ROW_LIMIT)?
        .unwrap_or(context);
    let buckets = config.size("position_buckets", ROW_LIMIT)?;
    // Distances beyond half of the buckets are spread by a logarithm to the base (longest - 1) / half.
    if let Some(buckets) = buckets
        && (buckets < 2 || (context - 1 > buckets / 2 && longest - 1 <= buckets / 2))
    {
        let last = (2 * longest).saturating_sub(3);
        let expected = format!("an integer from 2 to {last}, because relative positions end at {longest}");
        return Err(config.wrong("position_buckets", expected, &Value::from(buckets)));
    }
    let norm = config.string("norm_rel_ebd")?.unwrap_or("none").to_lowercase();
    let norm = norm
        .split('|')
        .map(str::trim)
        .try_fold(false, |norm, name| match name {
            "layer_norm" => Some(true),
            "none" => Some(norm),
            _ => None,
        });
    let norm = norm.ok_or_else(|| {
        let found = config.get("norm_rel_ebd").unwrap_or(&Value::Null);
        config.wrong("norm_rel_ebd", "\"layer_norm\" or \"none\"", found)
    })?;
    Ok(Some(Disentangled {
        table: Table {
            weight: encoder.name("encoder.rel_embeddings.weight"),
            rows: 2 * buckets.unwrap_or(longest),
            width: encoder.hidden,
        },
        norm: norm.then(|| encoder.norm("encoder.LayerNorm", encoder.hidden)),
        buckets,
        longest,
        content_to_position: None,
        position_to_content: None,
    }))
}

fn convolution(config: &Object, encoder: &PostNorm<'_>) -> Result<Option<Convolution>, ModelError> {
    let Some(kernel) = config.size("conv_kernel_size", KERNEL_LIMIT)? else {
        return Ok(None);
    };
    let width = encoder.hidden;
    if kernel % 2 == 0 {
        let expected = "an odd number (an even one gives a token too few)";
        return Err(config.wrong("conv_kernel_size", expected, &Value::from(kernel)));
    }
    let groups = config.count("conv_groups", 1, WIDTH_LIMIT)?;
    if !width.is_multiple_of(groups) {
        let expected = format!("a divisor of \"hidden_size\", which is {width}");
        return Err(config.wrong("conv_groups", expected, &Value::from(groups)));
    }
    Ok(Some(Convolution {
        weight: encoder.name("encoder.conv.conv.weight"),
        bias: encoder.name("encoder.conv.conv.bias"),
        width,
        kernel,
        groups,
        activation: activation(config, "conv_act", "tanh")?,
        norm: encoder.norm("encoder.conv.LayerNorm", width),
    }))
}
