//! Encoders with rotary positions, gated feed-forward layers and the norms before the sub-layers. Families of this kind
//! differ in the keys of `config.json`, the names of their tensors, their norms and how far a layer sees.

use serde_json::Value;

use super::{LAYER_LIMIT, ROW_LIMIT, Source, WIDTH_LIMIT, activation};
use crate::architecture::{
    Activation, Architecture, Attention, AttentionPositions, Embeddings, FeedForward, Head, HeadDense, Layer,
    Linear, Norm, NormKind, NormPlacement, Positions, Table,
};
use crate::error::ModelError;
use crate::json::Object;

/// Nothing in the weight files bounds the places that there are angles for, so these limits are nearer to real models.
const CONTEXT_LIMIT: usize = 1 << 17;
const HEAD_LIMIT: usize = 1 << 10;

/// What a family of this kind has for itself: keys of `config.json`, defaults of the reference, names.
pub(super) struct Keys {
    pub(super) activation: (&'static str, &'static str),
    pub(super) eps: &'static str,
    pub(super) layers: usize,
    pub(super) intermediate: usize,
    pub(super) vocabulary: usize,
    /// The name of the word table.
    pub(super) words: &'static str,
    pub(super) norm: NormKind,
}

/// An encoder whose sizes were read.
pub(super) struct PreNorm<'a> {
    source: &'a Source<'a>,
    keys: &'static Keys,
    prefix: String,
    norm_bias: bool,
    pub(super) hidden: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) intermediate: usize,
    activation: Activation,
    eps: f32,
}

/// The parts of a layer that differ between the families.
pub(super) struct Parts {
    pub(super) attention_norm: Option<Norm>,
    pub(super) qkv: Vec<Linear>,
    pub(super) key_value_heads: usize,
    pub(super) head_dim: usize,
    pub(super) reach: Option<usize>,
    pub(super) theta: f32,
    pub(super) attention_output: Linear,
    pub(super) feed_forward_norm: Norm,
    pub(super) up: Vec<Linear>,
    pub(super) down: Linear,
}

impl<'a> PreNorm<'a> {
    /// Reads the sizes; `norm_bias` says whether the norms have a bias.
    pub(super) fn read(
        source: &'a Source<'a>,
        keys: &'static Keys,
        norm_bias: bool,
    ) -> Result<Self, ModelError> {
        source.require_head("classifier.weight")?;
        let config = source.config;
        let hidden = config.count("hidden_size", 768, WIDTH_LIMIT)?;
        let heads = config.count("num_attention_heads", 12, WIDTH_LIMIT)?;
        if hidden % heads != 0 {
            let expected = format!("a divisor of \"hidden_size\", which is {hidden}");
            return Err(config.wrong("num_attention_heads", expected, &Value::from(heads)));
        }
        Ok(Self {
            source,
            keys,
            prefix: source.prefix("model.", keys.words),
            norm_bias,
            hidden,
            layers: config.count("num_hidden_layers", keys.layers, LAYER_LIMIT)?,
            heads,
            intermediate: config.count("intermediate_size", keys.intermediate, WIDTH_LIMIT)?,
            activation: activation(config, keys.activation.0, keys.activation.1)?,
            eps: config.positive(keys.eps, 1e-5)?,
        })
    }

    /// Passes the width of a head on if it can be cut into pairs; `key` is what it comes from.
    pub(super) fn head_dim(&self, key: &str, width: usize) -> Result<usize, ModelError> {
        if width.is_multiple_of(2) && width <= HEAD_LIMIT {
            return Ok(width);
        }
        let expected =
            format!("heads of an even width up to {HEAD_LIMIT}, because rotary positions turn pairs");
        let found = Value::from(format!("a width of {width}"));
        Err(self.source.config.wrong(key, expected, &found))
    }

    /// A linear layer of this name within the encoder.
    pub(super) fn linear(&self, part: &str, inputs: usize, outputs: usize, bias: bool) -> Linear {
        linear(&format!("{}{part}", self.prefix), inputs, outputs, bias)
    }

    /// A norm of this name within the encoder.
    pub(super) fn norm(&self, part: &str) -> Norm {
        self.norm_at(&format!("{}{part}", self.prefix))
    }

    fn norm_at(&self, name: &str) -> Norm {
        Norm {
            kind: self.keys.norm,
            weight: format!("{name}.weight"),
            bias: self.norm_bias.then(|| format!("{name}.bias")),
            size: self.hidden,
            eps: self.eps,
        }
    }

    pub(super) fn layer(&self, parts: Parts) -> Layer {
        #[allow(clippy::cast_precision_loss)] // A width of at most 1,024 is exact in f32.
        let scale = 1.0 / (parts.head_dim as f32).sqrt();
        Layer {
            attention: Attention {
                qkv: parts.qkv,
                output: parts.attention_output,
                heads: self.heads,
                key_value_heads: parts.key_value_heads,
                head_dim: parts.head_dim,
                scale,
                reach: parts.reach,
                positions: AttentionPositions::Rotary { theta: parts.theta },
            },
            attention_norm: parts.attention_norm,
            feed_forward: FeedForward::Gated {
                up: parts.up,
                activation: self.activation,
                down: parts.down,
            },
            feed_forward_norm: parts.feed_forward_norm,
            placement: NormPlacement::Pre,
            convolution: None,
        }
    }

    /// The layer before the classifier: `head.dense`, this activation, `head.norm`.
    pub(super) fn head_dense(&self, activation: Activation, bias: bool) -> HeadDense {
        HeadDense {
            linear: linear("head.dense", self.hidden, self.hidden, bias),
            activation,
            norm: self.norm_at("head.norm"),
        }
    }

    /// The whole model.
    pub(super) fn architecture(
        &self,
        embeddings_norm: Option<Norm>,
        layers: Vec<Layer>,
        final_norm: Norm,
        dense: Option<HeadDense>,
    ) -> Result<Architecture, ModelError> {
        let config = self.source.config;
        Ok(Architecture {
            hidden: self.hidden,
            context: config.count("max_position_embeddings", 8192, CONTEXT_LIMIT)?,
            embeddings: Embeddings {
                words: Table {
                    weight: format!("{}{}", self.prefix, self.keys.words),
                    rows: config.count("vocab_size", self.keys.vocabulary, ROW_LIMIT)?,
                    width: self.hidden,
                },
                positions: Positions::None,
                token_types: None,
                norm: embeddings_norm,
                projection: None,
            },
            layers,
            final_norm: Some(final_norm),
            head: Head {
                dense,
                classifier: linear("classifier", self.hidden, self.source.labels, true),
            },
        })
    }
}

fn linear(name: &str, inputs: usize, outputs: usize, bias: bool) -> Linear {
    Linear {
        weight: format!("{name}.weight"),
        bias: bias.then(|| format!("{name}.bias")),
        inputs,
        outputs,
    }
}

/// The base of the angles' frequencies from the object that `transformers` calls `rope_parameters` or, before version 5,
/// `rope_scaling`. Frequencies that are scaled for longer texts are refused.
pub(super) fn theta(rope: &Object, default: f32) -> Result<f32, ModelError> {
    for key in ["rope_type", "type"] {
        if let Some(kind) = rope.string(key)?
            && kind != "default"
        {
            let expected = "\"default\" (scaled rotary positions are not supported)";
            return Err(rope.wrong(key, expected, &Value::from(kind)));
        }
    }
    if let Some(share) = rope.get("partial_rotary_factor")
        && share.as_f64() != Some(1.0)
    {
        return Err(rope.wrong(
            "partial_rotary_factor",
            "1 (all of a head is turned in this family)",
            share,
        ));
    }
    rope.positive("rope_theta", default)
}
