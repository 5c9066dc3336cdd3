//! What a checkpoint computes, as plain data: which tensors, in which order, with which numbers. Families write it,
//! engines lower it; neither knows the other. Only what an engine can lower today is in these enums.

/// A token-classification encoder. Every tensor is named as in the weight files, and its shape there is exactly the one
/// that [`Architecture::tensors`] gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Width of the hidden states.
    pub hidden: usize,
    /// Longest sequence, in tokens including the special ones, that the positions allow.
    pub context: usize,
    /// From token ids to the first hidden states.
    pub embeddings: Embeddings,
    /// The encoder's layers, first to last.
    pub layers: Vec<Layer>,
    /// A norm after the last layer, where the family has one.
    pub final_norm: Option<Norm>,
    /// From the last hidden states to logits.
    pub head: Head,
}

/// From token ids to hidden states: `norm(words[id] + positions[i] + token_types[0])`, then the projection.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// One row per token id.
    pub words: Table,
    /// How a token's place enters.
    pub positions: Positions,
    /// One row per segment; row 0 is added to every token, because a note is one segment.
    pub token_types: Option<Table>,
    /// Normalisation of the sum.
    pub norm: Option<Norm>,
    /// From the embedding width to the hidden width, where they differ (ELECTRA).
    pub projection: Option<Linear>,
}

/// How a token's place in the sequence enters the model.
#[derive(Debug, Clone, PartialEq)]
pub enum Positions {
    /// A learned row per place: token `i` gets row `first + i`.
    Absolute {
        /// The rows.
        table: Table,
        /// The row of the first token (0 for BERT; RoBERTa starts after its padding index).
        first: usize,
    },
}

/// One encoder layer: attention and feed-forward, each with a residual connection and a norm placed by `placement`.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// The attention sub-layer.
    pub attention: Attention,
    /// The attention sub-layer's norm.
    pub attention_norm: Norm,
    /// The feed-forward sub-layer.
    pub feed_forward: FeedForward,
    /// The feed-forward sub-layer's norm.
    pub feed_forward_norm: Norm,
    /// Where the two norms stand.
    pub placement: NormPlacement,
}

/// Where a sub-layer's norm stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlacement {
    /// `x = norm(x + f(x))`, as in BERT.
    Post,
}

/// The attention of one layer.
#[derive(Debug, Clone, PartialEq)]
pub enum Attention {
    /// Every token attends to every token: `softmax(scale * Q K^T) V` per head (Vaswani et al. 2017).
    Full {
        /// Queries; outputs are `heads * head_dim`, head by head.
        query: Linear,
        /// Keys, laid out as the queries.
        key: Linear,
        /// Values, laid out as the queries.
        value: Linear,
        /// From the joined heads back to the hidden width.
        output: Linear,
        /// Number of heads.
        heads: usize,
        /// Width of one head.
        head_dim: usize,
        /// Factor on the scores before the softmax.
        scale: f32,
    },
}

/// The feed-forward part of one layer.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedForward {
    /// `down(activation(up(x)))`.
    Mlp {
        /// From the hidden width to the intermediate one.
        up: Linear,
        /// Applied element by element.
        activation: Activation,
        /// Back to the hidden width.
        down: Linear,
    },
}

/// From the last hidden states to one logit per label.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Outputs are the labels, in the order of the label map.
    pub classifier: Linear,
}

/// `y = x W^T + b`, as `torch.nn.Linear` stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linear {
    /// Tensor of shape `[outputs, inputs]`.
    pub weight: String,
    /// Tensor of shape `[outputs]`.
    pub bias: Option<String>,
    /// Width of `x`.
    pub inputs: usize,
    /// Width of `y`.
    pub outputs: usize,
}

/// Layer normalisation over the last axis (Ba et al. 2016): `(x - mean) / sqrt(variance + eps) * weight + bias`.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Tensor of shape `[size]`.
    pub weight: String,
    /// Tensor of shape `[size]`.
    pub bias: Option<String>,
    /// Width of `x`.
    pub size: usize,
    /// Added to the variance.
    pub eps: f32,
}

/// A table of rows: a tensor of shape `[rows, width]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The tensor.
    pub weight: String,
    /// Number of rows.
    pub rows: usize,
    /// Width of one row.
    pub width: usize,
}

/// A function applied element by element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x Φ(x)` by the error function (Hendrycks & Gimpel 2016).
    Gelu,
    /// The tanh form of the same: `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    GeluTanh,
    /// `x σ(1.702 x)`.
    QuickGelu,
    /// `max(x, 0)`.
    Relu,
    /// `x σ(x)`.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// The names `config.json` may use, as in the `ACT2FN` table of `transformers`.
    const NAMES: [(&'static str, Self); 12] = [
        ("gelu", Self::Gelu),
        ("gelu_python", Self::Gelu),
        ("gelu_new", Self::GeluTanh),
        ("gelu_fast", Self::GeluTanh),
        ("gelu_accurate", Self::GeluTanh),
        ("gelu_pytorch_tanh", Self::GeluTanh),
        ("gelu_python_tanh", Self::GeluTanh),
        ("quick_gelu", Self::QuickGelu),
        ("relu", Self::Relu),
        ("silu", Self::Silu),
        ("swish", Self::Silu),
        ("tanh", Self::Tanh),
    ];

    /// The activation of this name, if it is one of those known.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find_map(|(known, activation)| (*known == name).then_some(*activation))
    }

    /// The known names, comma-separated, for messages.
    pub(crate) fn known() -> String {
        Self::NAMES.map(|(name, _)| name).join(", ")
    }
}

/// The name of a tensor and the shape that the architecture asks of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in the weight files.
    pub name: String,
    /// Shape, row-major.
    pub shape: Vec<usize>,
}

impl Architecture {
    /// Every tensor that the model is made of, in the order of the computation.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut list = Tensors(Vec::new());
        let embeddings = &self.embeddings;
        list.table(&embeddings.words);
        match &embeddings.positions {
            Positions::Absolute { table, .. } => list.table(table),
        }
        embeddings.token_types.iter().for_each(|t| list.table(t));
        embeddings.norm.iter().for_each(|n| list.norm(n));
        embeddings.projection.iter().for_each(|p| list.linear(p));
        for layer in &self.layers {
            match &layer.attention {
                Attention::Full {
                    query,
                    key,
                    value,
                    output,
                    ..
                } => [query, key, value, output]
                    .into_iter()
                    .for_each(|l| list.linear(l)),
            }
            list.norm(&layer.attention_norm);
            match &layer.feed_forward {
                FeedForward::Mlp { up, down, .. } => {
                    list.linear(up);
                    list.linear(down);
                }
            }
            list.norm(&layer.feed_forward_norm);
        }
        self.final_norm.iter().for_each(|n| list.norm(n));
        list.linear(&self.head.classifier);
        list.0
    }

    /// Number of parameters: the elements of all tensors. Saturates at `u64::MAX`.
    pub fn parameters(&self) -> u64 {
        self.tensors()
            .iter()
            .map(|tensor| {
                tensor
                    .shape
                    .iter()
                    .fold(1_u64, |n, &d| n.saturating_mul(d as u64))
            })
            .fold(0, u64::saturating_add)
    }
}

/// Collects the tensors of the parts.
struct Tensors(Vec<TensorSpec>);

impl Tensors {
    fn push(&mut self, name: &str, shape: Vec<usize>) {
        self.0.push(TensorSpec {
            name: name.to_owned(),
            shape,
        });
    }
    fn table(&mut self, table: &Table) {
        self.push(&table.weight, vec![table.rows, table.width]);
    }
    fn norm(&mut self, norm: &Norm) {
        self.push(&norm.weight, vec![norm.size]);
        norm.bias.iter().for_each(|b| self.push(b, vec![norm.size]));
    }
    fn linear(&mut self, linear: &Linear) {
        self.push(&linear.weight, vec![linear.outputs, linear.inputs]);
        linear
            .bias
            .iter()
            .for_each(|b| self.push(b, vec![linear.outputs]));
    }
}
