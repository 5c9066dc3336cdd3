//! BERT (Devlin et al. 2018): learned absolute positions, post-norm layers, WordPiece. Also what was trained as BERT
//! under other names: BioBERT, PubMedBERT, ClinicalBERT and their kin.

use serde_json::Value;

use super::{Family, Source};
use crate::architecture::{
    Activation, Architecture, Attention, AttentionPositions, Embeddings, FeedForward, Head, Layer, Linear,
    Norm, NormKind, NormPlacement, Positions, Table,
};
use crate::error::ModelError;
use crate::tokenizer;

/// Limits far above any real model, so that no product of sizes can overflow.
const WIDTH_LIMIT: usize = 1 << 16;
const ROW_LIMIT: usize = 1 << 24;
const LAYER_LIMIT: usize = 1 << 10;

pub(super) const FAMILY: Family = Family {
    name: "bert",
    describe,
    tokenizer: tokenizer::bert_wordpiece,
};

/// The numbers of `config.json`, with the defaults of `transformers.BertConfig`.
struct Sizes {
    hidden: usize,
    layers: usize,
    heads: usize,
    head_dim: usize,
    intermediate: usize,
    activation: Activation,
    eps: f32,
}

fn describe(source: &Source<'_>) -> Result<Architecture, ModelError> {
    refuse_variants(source)?;
    source.require_head("classifier.weight")?;
    let config = source.config;
    let sizes = sizes(source)?;
    let names = Names::of(source);
    let table = |name: &str, rows| Table {
        weight: names.name(&format!("embeddings.{name}.weight")),
        rows,
        width: sizes.hidden,
    };
    let context = config.count("max_position_embeddings", 512, ROW_LIMIT)?;
    Ok(Architecture {
        hidden: sizes.hidden,
        context,
        embeddings: Embeddings {
            words: table("word_embeddings", config.count("vocab_size", 30_522, ROW_LIMIT)?),
            positions: Positions::Absolute {
                table: table("position_embeddings", context),
                first: 0,
                padding: None,
            },
            token_types: Some(table(
                "token_type_embeddings",
                config.count("type_vocab_size", 2, ROW_LIMIT)?,
            )),
            norm: Some(names.norm("embeddings.LayerNorm", &sizes)),
            projection: None,
        },
        layers: (0..sizes.layers).map(|i| layer(&names, &sizes, i)).collect(),
        final_norm: None,
        head: Head {
            dense: None,
            classifier: Linear {
                weight: "classifier.weight".to_owned(),
                bias: Some("classifier.bias".to_owned()),
                inputs: sizes.hidden,
                outputs: source.labels,
            },
        },
    })
}

/// Refuses what shares the name but computes something else.
fn refuse_variants(source: &Source<'_>) -> Result<(), ModelError> {
    let config = source.config;
    if let Some(kind) = config.string("position_embedding_type")?
        && kind != "absolute"
    {
        let found = Value::from(kind);
        return Err(config.wrong(
            "position_embedding_type",
            "\"absolute\" (relative positions in BERT are not supported)",
            &found,
        ));
    }
    for key in ["is_decoder", "add_cross_attention"] {
        if config.flag(key)? == Some(true) {
            let why = "false (a token classifier is an encoder)";
            return Err(config.wrong(key, why, &Value::from(true)));
        }
    }
    Ok(())
}

fn sizes(source: &Source<'_>) -> Result<Sizes, ModelError> {
    let config = source.config;
    let hidden = config.count("hidden_size", 768, WIDTH_LIMIT)?;
    let heads = config.count("num_attention_heads", 12, WIDTH_LIMIT)?;
    if hidden % heads != 0 {
        let expected = format!("a divisor of \"hidden_size\", which is {hidden}");
        return Err(config.wrong("num_attention_heads", expected, &Value::from(heads)));
    }
    let act = config.string("hidden_act")?.unwrap_or("gelu");
    let activation = Activation::from_name(act).ok_or_else(|| {
        config.wrong(
            "hidden_act",
            format!("one of {}", Activation::known()),
            &Value::from(act),
        )
    })?;
    Ok(Sizes {
        hidden,
        heads,
        head_dim: hidden / heads,
        activation,
        layers: config.count("num_hidden_layers", 12, LAYER_LIMIT)?,
        intermediate: config.count("intermediate_size", 3072, WIDTH_LIMIT)?,
        eps: config.positive("layer_norm_eps", 1e-12)?,
    })
}

fn layer(names: &Names<'_>, sizes: &Sizes, index: usize) -> Layer {
    let at = |part: &str| format!("encoder.layer.{index}.{part}");
    let square = |part: &str| names.linear(&at(&format!("attention.{part}")), sizes.hidden, sizes.hidden);
    #[allow(clippy::cast_precision_loss)] // A width of at most 65,536 is exact in f32.
    let scale = 1.0 / (sizes.head_dim as f32).sqrt();
    Layer {
        attention: Attention {
            qkv: ["self.query", "self.key", "self.value"].map(square).to_vec(),
            output: square("output.dense"),
            heads: sizes.heads,
            key_value_heads: sizes.heads,
            head_dim: sizes.head_dim,
            scale,
            reach: None,
            positions: AttentionPositions::None,
        },
        attention_norm: Some(names.norm(&at("attention.output.LayerNorm"), sizes)),
        feed_forward: FeedForward::Mlp {
            up: names.linear(&at("intermediate.dense"), sizes.hidden, sizes.intermediate),
            activation: sizes.activation,
            down: names.linear(&at("output.dense"), sizes.intermediate, sizes.hidden),
        },
        feed_forward_norm: names.norm(&at("output.LayerNorm"), sizes),
        placement: NormPlacement::Post,
        convolution: None,
    }
}

/// How this checkpoint spells its tensors.
struct Names<'a> {
    source: &'a Source<'a>,
    prefix: &'static str,
}

impl<'a> Names<'a> {
    /// With the prefix `bert.`, as saved from the classifier, unless the encoder was saved alone.
    fn of(source: &'a Source<'a>) -> Self {
        let bare = source.has("embeddings.word_embeddings.weight");
        Self {
            source,
            prefix: if bare { "" } else { "bert." },
        }
    }

    fn name(&self, part: &str) -> String {
        format!("{}{part}", self.prefix)
    }

    fn linear(&self, part: &str, inputs: usize, outputs: usize) -> Linear {
        Linear {
            weight: self.name(&format!("{part}.weight")),
            bias: Some(self.name(&format!("{part}.bias"))),
            inputs,
            outputs,
        }
    }

    /// Conversions from TensorFlow call the weight `gamma` and the bias `beta`.
    fn norm(&self, part: &str, sizes: &Sizes) -> Norm {
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
            size: sizes.hidden,
            eps: sizes.eps,
        }
    }
}
