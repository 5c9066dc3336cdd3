//! Encoders of BERT's kind: a learned row per place, attention and feed-forward with the norm after the residual, a
//! linear classifier. Families of this kind differ in the keys of `config.json`, the names of their tensors and how
//! their embeddings are put together.

use serde_json::Value;

use super::{LAYER_LIMIT, ROW_LIMIT, Source, WIDTH_LIMIT, activation};
use crate::architecture::{
    Activation, Architecture, Attention, AttentionPositions, Embeddings, FeedForward, Head, Layer, Linear,
    Norm, NormKind, NormPlacement, Positions, Table,
};
use crate::error::ModelError;

/// The keys of `config.json` that give an encoder its sizes, with the defaults of the reference.
pub(super) struct Keys {
    pub(super) hidden: (&'static str, usize),
    pub(super) layers: (&'static str, usize),
    pub(super) heads: (&'static str, usize),
    pub(super) intermediate: (&'static str, usize),
    pub(super) activation: &'static str,
    /// `None` where the reference has the number 1e-12 in its code.
    pub(super) eps: Option<(&'static str, f32)>,
    /// The default of `vocab_size`.
    pub(super) vocabulary: usize,
}

/// BERT's keys and defaults.
pub(super) const BERT_KEYS: Keys = Keys {
    hidden: ("hidden_size", 768),
    layers: ("num_hidden_layers", 12),
    heads: ("num_attention_heads", 12),
    intermediate: ("intermediate_size", 3072),
    activation: "hidden_act",
    eps: Some(("layer_norm_eps", 1e-12)),
    vocabulary: 30_522,
};

/// The names of a layer's tensors, without the ending `.weight` or `.bias`.
pub(super) struct LayerNames {
    /// What stands before the number of the layer.
    pub(super) layers: &'static str,
    pub(super) query_key_value: [&'static str; 3],
    pub(super) attention_output: &'static str,
    pub(super) attention_norm: &'static str,
    pub(super) up: &'static str,
    pub(super) down: &'static str,
    pub(super) feed_forward_norm: &'static str,
}

/// BERT's names.
pub(super) const BERT_LAYER: LayerNames = LayerNames {
    layers: "encoder.layer",
    query_key_value: [
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
    ],
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    feed_forward_norm: "output.LayerNorm",
};

/// An encoder whose sizes were read.
pub(super) struct PostNorm<'a> {
    source: &'a Source<'a>,
    names: &'static LayerNames,
    prefix: String,
    vocabulary: usize,
    pub(super) hidden: usize,
    layers: usize,
    heads: usize,
    intermediate: usize,
    activation: Activation,
    eps: f32,
}

impl<'a> PostNorm<'a> {
    /// Reads the sizes. `prefix` is what the names of the encoder's tensors begin with, unless it was saved alone.
    pub(super) fn read(
        source: &'a Source<'a>,
        keys: &Keys,
        names: &'static LayerNames,
        prefix: &'static str,
    ) -> Result<Self, ModelError> {
        refuse_variants(source)?;
        source.require_head("classifier.weight")?;
        let config = source.config;
        let count = |(key, default): (&str, usize), limit| config.count(key, default, limit);
        let hidden = count(keys.hidden, WIDTH_LIMIT)?;
        let heads = count(keys.heads, WIDTH_LIMIT)?;
        if hidden % heads != 0 {
            let expected = format!("a divisor of \"{}\", which is {hidden}", keys.hidden.0);
            return Err(config.wrong(keys.heads.0, expected, &Value::from(heads)));
        }
        Ok(Self {
            source,
            names,
            prefix: source.prefix(prefix, "embeddings.word_embeddings.weight"),
            vocabulary: count(("vocab_size", keys.vocabulary), ROW_LIMIT)?,
            hidden,
            layers: count(keys.layers, LAYER_LIMIT)?,
            heads,
            intermediate: count(keys.intermediate, WIDTH_LIMIT)?,
            activation: activation(config, keys.activation, "gelu")?,
            eps: keys
                .eps
                .map_or(Ok(1e-12), |(key, default)| config.positive(key, default))?,
        })
    }

    /// BERT's embeddings: words, places counted from 0, one row per segment, and a norm, all of this width.
    pub(super) fn embeddings(&self, width: usize) -> Result<Embeddings, ModelError> {
        let config = self.source.config;
        let table = |part, rows| self.table(part, rows, width);
        let places = config.count("max_position_embeddings", 512, ROW_LIMIT)?;
        let segments = config.count("type_vocab_size", 2, ROW_LIMIT)?;
        Ok(Embeddings {
            words: self.words(width),
            positions: Positions::Absolute {
                table: table("position_embeddings", places),
                first: 0,
                padding: None,
            },
            token_types: Some(table("token_type_embeddings", segments)),
            norm: Some(self.norm("embeddings.LayerNorm", width)),
            projection: None,
        })
    }

    /// One row per token id.
    pub(super) fn words(&self, width: usize) -> Table {
        self.table("word_embeddings", self.vocabulary, width)
    }

    /// One of the embeddings' tables.
    pub(super) fn table(&self, part: &str, rows: usize, width: usize) -> Table {
        Table {
            weight: self.name(&format!("embeddings.{part}.weight")),
            rows,
            width,
        }
    }

    /// The whole model, on these embeddings.
    pub(super) fn architecture(&self, embeddings: Embeddings) -> Architecture {
        let context = match &embeddings.positions {
            Positions::Absolute { table, first, .. } => table.rows.saturating_sub(*first),
            Positions::None => usize::MAX,
        };
        Architecture {
            hidden: self.hidden,
            context,
            embeddings,
            layers: (0..self.layers).map(|index| self.layer(index)).collect(),
            final_norm: None,
            head: Head {
                dense: None,
                classifier: Linear {
                    weight: "classifier.weight".to_owned(),
                    bias: Some("classifier.bias".to_owned()),
                    inputs: self.hidden,
                    outputs: self.source.labels,
                },
            },
        }
    }

    /// A linear layer of this name, without the prefix.
    pub(super) fn linear(&self, part: &str, inputs: usize, outputs: usize) -> Linear {
        Linear {
            weight: self.name(&format!("{part}.weight")),
            bias: Some(self.name(&format!("{part}.bias"))),
            inputs,
            outputs,
        }
    }

    fn layer(&self, index: usize) -> Layer {
        let names = self.names;
        let at = |part: &str| format!("{}.{index}.{part}", names.layers);
        let square = |part: &str| self.linear(&at(part), self.hidden, self.hidden);
        let head_dim = self.hidden / self.heads;
        #[allow(clippy::cast_precision_loss)] // A width of at most 65,536 is exact in f32.
        let scale = 1.0 / (head_dim as f32).sqrt();
        Layer {
            attention: Attention {
                qkv: names.query_key_value.map(square).to_vec(),
                output: square(names.attention_output),
                heads: self.heads,
                key_value_heads: self.heads,
                head_dim,
                scale,
                reach: None,
                positions: AttentionPositions::None,
            },
            attention_norm: Some(self.norm(&at(names.attention_norm), self.hidden)),
            feed_forward: FeedForward::Mlp {
                up: self.linear(&at(names.up), self.hidden, self.intermediate),
                activation: self.activation,
                down: self.linear(&at(names.down), self.intermediate, self.hidden),
            },
            feed_forward_norm: self.norm(&at(names.feed_forward_norm), self.hidden),
            placement: NormPlacement::Post,
            convolution: None,
        }
    }

    /// A tensor of this name, without the prefix.
    pub(super) fn name(&self, part: &str) -> String {
        format!("{}{part}", self.prefix)
    }

    /// A norm of this name, without the prefix. Conversions from TensorFlow call the weight `gamma` and the bias `beta`.
    pub(super) fn norm(&self, part: &str, size: usize) -> Norm {
        let pick = |new: &str, old: &str| {
            let old = self.name(&format!("{part}.{old}"));
            if self.source.has(&old) {
                old
            } else {
                self.name(&format!("{part}.{new}"))
            }
        };
        Norm {
            kind: NormKind::Layer,
            weight: pick("weight", "gamma"),
            bias: Some(pick("bias", "beta")),
            size,
            eps: self.eps,
        }
    }
}

/// Refuses what shares the name but computes something else.
fn refuse_variants(source: &Source<'_>) -> Result<(), ModelError> {
    let config = source.config;
    if let Some(kind) = config.string("position_embedding_type")?
        && kind != "absolute"
    {
        let expected = "\"absolute\" (relative positions are not supported in this family)";
        return Err(config.wrong("position_embedding_type", expected, &Value::from(kind)));
    }
    for key in ["is_decoder", "add_cross_attention"] {
        if config.flag(key)? == Some(true) {
            let why = "false (a token classifier is an encoder)";
            return Err(config.wrong(key, why, &Value::from(true)));
        }
    }
    Ok(())
}
