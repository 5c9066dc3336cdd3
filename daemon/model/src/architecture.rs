//! What a checkpoint computes, as plain data: which tensors, in which order, with which numbers. Families write it,
//! engines lower it; neither knows the other.

use std::collections::HashSet;

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

/// From token ids to hidden states: `words[id] + positions[i] + token_types[0]`, then norm and projection.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// One row per token id.
    pub words: Table,
    /// How a token's place enters.
    pub positions: Positions,
    /// One row per segment; row 0 is added to every token, because a note is one segment.
    pub token_types: Option<Table>,
    /// Normalisation, of the embedding width or, where the projection comes first, of the hidden width.
    pub norm: Option<Norm>,
    /// From the embedding width to the hidden width, where they differ.
    pub projection: Option<Projection>,
}

/// A linear layer that widens or narrows embeddings, and on which side of the norm it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Projection {
    /// `projection(norm(x))`, as in ELECTRA.
    AfterNorm(Linear),
    /// `norm(projection(x))`, as in DeBERTa-v2.
    BeforeNorm(Linear),
}

/// How a token's place in the sequence enters the embeddings.
#[derive(Debug, Clone, PartialEq)]
pub enum Positions {
    /// Not at all: attention alone knows about places.
    None,
    /// A learned row per place: token `i` gets row `first + i`.
    Absolute {
        /// The rows.
        table: Table,
        /// The row of the first token (0 for BERT; RoBERTa starts after its padding index).
        first: usize,
        /// A token id that has no place of its own: it gets row `first - 1` and is not counted (RoBERTa's padding
        /// token, which a text may spell out).
        padding: Option<u32>,
    },
}

/// One encoder layer: attention and feed-forward, each with a residual connection and a norm placed by `placement`.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// The attention sub-layer.
    pub attention: Attention,
    /// The attention sub-layer's norm; `None` where there is none (ModernBERT's first layer).
    pub attention_norm: Option<Norm>,
    /// The feed-forward sub-layer.
    pub feed_forward: FeedForward,
    /// The feed-forward sub-layer's norm.
    pub feed_forward_norm: Norm,
    /// Where the two norms stand.
    pub placement: NormPlacement,
    /// Runs beside the layer and is added to what it gives (first layer of the large DeBERTa-v2).
    pub convolution: Option<Convolution>,
}

/// Where a sub-layer's norm stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlacement {
    /// `x = norm(x + f(x))`, as in BERT.
    Post,
    /// `x = x + f(norm(x))`, as in ModernBERT.
    Pre,
}

/// The attention of one layer: `softmax(scale * scores) V` per head (Vaswani et al. 2017), where the scores are `Q K^T`
/// and what `positions` adds to them or does to `Q` and `K` before.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Their outputs side by side are the queries (`heads * head_dim`, head by head), the keys and the values
    /// (`key_value_heads * head_dim` each): three layers, or one where the file has them fused.
    pub qkv: Vec<Linear>,
    /// From the joined heads back to the hidden width.
    pub output: Linear,
    /// Number of heads.
    pub heads: usize,
    /// Number of heads of the keys and values, each shared by `heads / key_value_heads` heads of the queries in a row
    /// (Ainslie et al. 2023, grouped-query attention).
    pub key_value_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Factor on the scores before the softmax.
    pub scale: f32,
    /// How far a token sees: token `i` attends to token `j` where `|i - j| <= reach`; `None`: to every token.
    pub reach: Option<usize>,
    /// How the tokens' places enter the scores.
    pub positions: AttentionPositions,
}

/// How the places of two tokens enter their score.
#[derive(Debug, Clone, PartialEq)]
pub enum AttentionPositions {
    /// Not at all: the embeddings know about places.
    None,
    /// Queries and keys are rotated by their place (Su et al. 2021): the pair of elements `d` and `d + head_dim / 2` of
    /// token `i` by the angle `i * theta^(-2 d / head_dim)`.
    Rotary {
        /// The base of the angles' frequencies.
        theta: f32,
    },
    /// Learned vectors for relative places meet queries and keys (He et al. 2021, DeBERTa).
    Disentangled(Box<Disentangled>),
}

/// Disentangled attention. With `r(i - j)` the [row](Self::row) of `table` for a distance: `content_to_position` adds `Q_i ·
/// key(r(i - j))` to the score of query `i` and key `j`, `position_to_content` adds `K_j · query(r(i - j))`. Both are scaled
/// with the rest of the score.
#[derive(Debug, Clone, PartialEq)]
pub struct Disentangled {
    /// One row per relative place.
    pub table: Table,
    /// Normalisation of the rows.
    pub norm: Option<Norm>,
    /// How many buckets there are for the distances to one side; `None`: one for each distance.
    pub buckets: Option<usize>,
    /// The distance that the last bucket, or the last row, is for.
    pub longest: usize,
    /// Makes keys of the rows, laid out as the content's keys; the same layer as theirs where they share it.
    pub content_to_position: Option<Linear>,
    /// Makes queries of the rows, laid out as the content's queries.
    pub position_to_content: Option<Linear>,
}

impl Disentangled {
    /// The row of a distance: `b(distance) + rows / 2` or, where that is none, the first or last row.
    ///
    /// Without buckets, `b(d) = d`. With them and `half = buckets / 2`, distances up to `half` keep a row each, and `b(d) =
    /// half + ceil(ln(d / half) / ln((longest - 1) / half) * (half - 1))` beyond, in single precision; `b(-d) = -b(d)`.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // Distances are far below 2^24.
    pub fn row(&self, distance: i64) -> usize {
        let middle = i64::try_from(self.table.rows / 2).unwrap_or(i64::MAX);
        let last = i64::try_from(self.table.rows.saturating_sub(1)).unwrap_or(i64::MAX);
        let half = self.buckets.map_or(i64::MAX, |buckets| (buckets / 2) as i64);
        let bucket = if distance.abs() <= half {
            distance
        } else {
            // The reference rounds the base before it takes the logarithm, and so does this.
            let base = (self.longest.saturating_sub(1) as f64 / half as f64) as f32;
            let places = (distance.abs() as f32 / half as f32).ln() / base.ln() * (half - 1) as f32;
            (half + places.ceil() as i64) * distance.signum()
        };
        let row = bucket.saturating_add(middle).clamp(0, last.max(0));
        usize::try_from(row).unwrap_or(0)
    }
}

/// A convolution along the sequence beside a layer: `norm(layer(x) + activation(convolve(x)))`, zeros around the ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    /// Tensor of shape `[width, width / groups, kernel]`.
    pub weight: String,
    /// Tensor of shape `[width]`.
    pub bias: String,
    /// Width of the hidden states, in and out.
    pub width: usize,
    /// Tokens under the kernel; an odd number.
    pub kernel: usize,
    /// Groups of channels that do not see one another.
    pub groups: usize,
    /// Applied to what the convolution gives.
    pub activation: Activation,
    /// Of the sum.
    pub norm: Norm,
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
    /// `down(activation(g) * u)`, where `g` and `u` are the two halves of what `up` gives (Shazeer 2020).
    Gated {
        /// Their outputs side by side are `g` and `u`: two layers, or one where the file has them fused.
        up: Vec<Linear>,
        /// Applied element by element.
        activation: Activation,
        /// From half of those outputs back to the hidden width.
        down: Linear,
    },
}

/// From the last hidden states to one logit per label.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// `norm(activation(linear(x)))` before the classifier, where the family has it.
    pub dense: Option<HeadDense>,
    /// Outputs are the labels, in the order of the label map.
    pub classifier: Linear,
}

/// A layer of the head before the classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadDense {
    /// Hidden width to hidden width.
    pub linear: Linear,
    /// Applied element by element.
    pub activation: Activation,
    /// Applied last.
    pub norm: Norm,
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

/// Normalisation over the last axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// What is divided by what.
    pub kind: NormKind,
    /// Tensor of shape `[size]`.
    pub weight: String,
    /// Tensor of shape `[size]`.
    pub bias: Option<String>,
    /// Width of `x`.
    pub size: usize,
    /// Added to the variance or the mean square.
    pub eps: f32,
}

/// The two kinds of normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// `(x - mean) / sqrt(variance + eps) * weight + bias` (Ba et al. 2016).
    Layer,
    /// `x / sqrt(mean of squares + eps) * weight + bias` (Zhang & Sennrich 2019).
    Rms,
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
    /// Every tensor that the model is made of, in the order of the computation, each once.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut list = Tensors::default();
        let embeddings = &self.embeddings;
        list.table(&embeddings.words);
        if let Positions::Absolute { table, .. } = &embeddings.positions {
            list.table(table);
        }
        embeddings.token_types.iter().for_each(|t| list.table(t));
        embeddings.norm.iter().for_each(|n| list.norm(n));
        if let Some(Projection::AfterNorm(linear) | Projection::BeforeNorm(linear)) = &embeddings.projection {
            list.linear(linear);
        }
        self.layers.iter().for_each(|layer| list.layer(layer));
        self.final_norm.iter().for_each(|n| list.norm(n));
        list.head(&self.head);
        list.specs
    }

    /// Every tensor of the encoder alone, without the head.
    pub(crate) fn trunk_tensors(&self) -> Vec<TensorSpec> {
        let head = self.head.tensors();
        let mut tensors = self.tensors();
        tensors.retain(|tensor| !head.contains(tensor));
        tensors
    }

    /// Every linear layer, each once, in the order of the computation: what a task adapter can adapt.
    pub fn linears(&self) -> Vec<&Linear> {
        let mut all: Vec<&Linear> = Vec::new();
        if let Some(Projection::AfterNorm(linear) | Projection::BeforeNorm(linear)) =
            &self.embeddings.projection
        {
            all.push(linear);
        }
        for layer in &self.layers {
            all.extend(layer.linears());
        }
        all.extend(self.head.dense.iter().map(|dense| &dense.linear));
        all.push(&self.head.classifier);
        let mut seen = HashSet::new();
        all.retain(|linear| seen.insert(linear.weight.as_str()));
        all
    }

    /// Number of parameters: the elements of all tensors. Saturates at `u64::MAX`.
    pub fn parameters(&self) -> u64 {
        parameters(&self.tensors())
    }
}

/// The elements of some tensors together. Saturates at `u64::MAX`.
pub(crate) fn parameters<'a>(tensors: impl IntoIterator<Item = &'a TensorSpec>) -> u64 {
    let elements = |tensor: &TensorSpec| {
        let sizes = tensor.shape.iter();
        sizes.fold(1_u64, |n, &d| n.saturating_mul(d as u64))
    };
    tensors.into_iter().map(elements).fold(0, u64::saturating_add)
}

impl Head {
    /// The tensors that it is made of.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut list = Tensors::default();
        list.head(self);
        list.specs
    }
}

impl Layer {
    /// Its linear layers in the order of the computation; one may be there twice.
    fn linears(&self) -> Vec<&Linear> {
        let mut all: Vec<&Linear> = self.attention.qkv.iter().collect();
        if let AttentionPositions::Disentangled(places) = &self.attention.positions {
            all.extend(&places.content_to_position);
            all.extend(&places.position_to_content);
        }
        all.push(&self.attention.output);
        match &self.feed_forward {
            FeedForward::Mlp { up, down, .. } => all.extend([up, down]),
            FeedForward::Gated { up, down, .. } => {
                all.extend(up);
                all.push(down);
            }
        }
        all
    }
}

/// Collects the tensors of the parts.
#[derive(Default)]
pub(crate) struct Tensors {
    pub(crate) specs: Vec<TensorSpec>,
    seen: HashSet<String>,
}

impl Tensors {
    fn push(&mut self, name: &str, shape: Vec<usize>) {
        if self.seen.insert(name.to_owned()) {
            self.specs.push(TensorSpec {
                name: name.to_owned(),
                shape,
            });
        }
    }

    fn table(&mut self, table: &Table) {
        self.push(&table.weight, vec![table.rows, table.width]);
    }

    fn norm(&mut self, norm: &Norm) {
        self.push(&norm.weight, vec![norm.size]);
        norm.bias.iter().for_each(|b| self.push(b, vec![norm.size]));
    }

    pub(crate) fn linear(&mut self, linear: &Linear) {
        self.push(&linear.weight, vec![linear.outputs, linear.inputs]);
        linear
            .bias
            .iter()
            .for_each(|b| self.push(b, vec![linear.outputs]));
    }

    fn head(&mut self, head: &Head) {
        if let Some(dense) = &head.dense {
            self.linear(&dense.linear);
            self.norm(&dense.norm);
        }
        self.linear(&head.classifier);
    }

    fn layer(&mut self, layer: &Layer) {
        if let AttentionPositions::Disentangled(places) = &layer.attention.positions {
            self.table(&places.table);
            places.norm.iter().for_each(|n| self.norm(n));
        }
        layer.linears().into_iter().for_each(|l| self.linear(l));
        layer.attention_norm.iter().for_each(|n| self.norm(n));
        self.norm(&layer.feed_forward_norm);
        if let Some(convolution) = &layer.convolution {
            let Convolution {
                width,
                kernel,
                groups,
                ..
            } = *convolution;
            self.push(&convolution.weight, vec![width, width / groups.max(1), kernel]);
            self.push(&convolution.bias, vec![width]);
            self.norm(&convolution.norm);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disentangled(buckets: Option<usize>, longest: usize) -> Disentangled {
        Disentangled {
            table: Table {
                weight: String::new(),
                rows: 2 * buckets.unwrap_or(longest),
                width: 1,
            },
            norm: None,
            buckets,
            longest,
            content_to_position: None,
            position_to_content: None,
        }
    }

    /// The sums `Σ (d + 1) b(d)` over `0..count`, before rows are kept within the table, are those of
    /// `make_log_bucket_position` of `transformers` 5.23.
    #[test]
    fn buckets_are_those_of_the_reference() {
        for (buckets, longest, count, want) in [
            (256, 512, 600, 40_437_407),
            (256, 1024, 1100, 138_750_169),
            (8, 112, 130, 60_963),
            (6, 112, 130, 44_552),
            (32, 128, 140, 281_049),
            (64, 2048, 2100, 132_261_843),
            (7, 50, 60, 9_594),
        ] {
            let mut places = disentangled(Some(buckets), longest);
            places.table.rows = 4 * buckets;
            let middle = 2 * buckets as i64;
            let row = |distance: i64| places.row(distance) as i64 - middle;
            let sum: i64 = (0..count).map(|d| (d + 1) * row(d)).sum();
            assert_eq!(sum, want, "{buckets} buckets up to {longest}");
            assert!((0..count).all(|d| row(-d) == -row(d) && row(d) <= row(d + 1)));
        }
    }

    #[test]
    fn rows_end_with_the_table() {
        let places = disentangled(None, 20);
        assert_eq!(
            [-40, -20, -1, 0, 19, 20, 40].map(|d| places.row(d)),
            [0, 0, 19, 20, 39, 39, 39]
        );
        let places = disentangled(Some(8), 112);
        assert_eq!(
            [-1000, -111, 0, 5, 111, 1000].map(|d| places.row(d)),
            [0, 1, 8, 13, 15, 15]
        );
    }
}
