//! GLiNER on the CPU: the encoders as tract plans, and what is computed after them straight on the kernels, because its
//! shapes follow the words and labels of a request.
//!
//! A stretch of words is scored without making its vector. With `markerV0` the vector of a stretch is `W relu(a(first) +
//! b(last)) + c`, where `a` and `b` are linear in the two words, and a label's score is its product with the label's vector
//! `p`: `(p W) · relu(a + b) + p · c`. So `a` and `b` are computed once for each word and `p W` once for each label. With
//! `marker` there is no `relu` between, and the score is the sum of a score of the first word and one of the last.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use mednerd_model::{
    Activation, Adapter, Architecture, Bilstm, Checkpoint, GlinerHead, LabelEncoder, Linear, Mlp, ModelError,
    Norm, SpanOutput, Weights,
};
use tract_onnx::tract_core::internal::*;

use crate::error::EngineError;
use crate::kernels::elementwise::add_relu;
use crate::kernels::gemm::{Finish, Packed, Part, Rows, multiply};
use crate::kernels::lstm::Direction;
use crate::kernels::norm::{Affine, normalize_rows};
use crate::lower::{self, End, PackedWeights, Stage};
use crate::model::{Precision, run};

/// Stretches that are scored at once.
const STRETCHES: usize = 192;

/// A loaded GLiNER. `Send + Sync`; cloning shares it. What it answers depends on its arguments only.
#[derive(Clone)]
pub struct GlinerModel {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    text: Trunk,
    parts: Arc<Parts>,
    /// The packed weights of the text encoder, for adapters to be lowered over.
    packed: Arc<PackedWeights>,
    bytes: usize,
    /// Of the text encoder's hidden states.
    width: usize,
}

/// What an adapter leaves as it is.
struct Parts {
    /// The label encoder and the projection after it, where there are any.
    labels: Option<(Trunk, Option<Dense>)>,
    projection: Option<Dense>,
    recurrent: Vec<[Recurrent; 2]>,
    head: Head,
    width: usize,
}

/// Where the labels of a run are.
#[derive(Clone, Copy)]
pub enum Asked<'a> {
    /// In the sequence itself, at these positions: those whose states are the labels' vectors.
    At(&'a [u32]),
    /// Encoded before.
    Encoded(&'a LabelSet),
}

/// Labels made ready for scoring. `Send + Sync`; cloning shares it.
#[derive(Clone)]
pub struct LabelSet {
    count: usize,
    vectors: Arc<[f32]>,
    /// Made when it is first asked for here, and not where another engine scores.
    ready: Arc<OnceLock<Labels>>,
    /// What it was made by.
    parts: Arc<Parts>,
}

impl LabelSet {
    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The vectors that it was made of, one after the other.
    pub fn vectors(&self) -> &[f32] {
        &self.vectors
    }
}

impl std::fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LabelSet")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// Sets of the same vectors are the same labels.
impl PartialEq for LabelSet {
    fn eq(&self, other: &Self) -> bool {
        (self.count, &self.vectors) == (other.count, &other.vectors)
    }
}

enum Labels {
    /// `p W` of each label, and `p · c`.
    Stretches { products: Packed, constants: Vec<f32> },
    /// The same for each of the two words.
    Ends {
        first: Packed,
        last: Packed,
        constants: Vec<f32>,
    },
    /// What each label gives to the inner layer, and the vector that meets the words.
    Words { inner: Vec<f32>, vectors: Vec<f32> },
}

/// A linear layer.
struct Dense {
    matrix: Packed,
    bias: Vec<f32>,
}

struct Recurrent {
    input: Dense,
    state: Packed,
    backward: bool,
}

enum Head {
    Stretches {
        max_width: usize,
        start: [Dense; 2],
        end: [Dense; 2],
        /// Of the first word; with the bias.
        first: Dense,
        /// Of the last word.
        last: Packed,
        label: [Dense; 2],
        /// The last layer, read from its outputs to its inputs.
        out: Packed,
        out_bias: Vec<f32>,
    },
    Ends {
        max_width: usize,
        start: [Dense; 2],
        end: [Dense; 2],
        label: [Dense; 2],
        out: Packed,
        out_bias: Vec<f32>,
    },
    Words {
        word: Dense,
        label: Dense,
        /// The inner layer's parts for the first vectors of word and label and for the product of the second ones; the
        /// bias is with the word.
        of_word: Dense,
        of_label: Packed,
        of_product: Packed,
        out: Dense,
    },
}

/// An encoder without a head.
struct Trunk {
    /// The text encoder's last one is told the rows that are read.
    stages: Vec<Stage>,
    norm: Option<Affine>,
    /// Rows of the word table.
    rows: usize,
    context: usize,
}

impl GlinerModel {
    /// Lowers a checkpoint that [is a GLiNER](Checkpoint::gliner), in single precision. It may be dropped afterwards.
    ///
    /// # Errors
    /// It is none; a tensor cannot be read or is not finite.
    pub fn load(checkpoint: &Checkpoint) -> Result<Self, EngineError> {
        let dir = checkpoint.dir();
        let Some(gliner) = checkpoint.gliner() else {
            return Err(EngineError::Headless { path: dir.to_owned() });
        };
        let source = Source {
            weights: checkpoint.weights(),
            adapter: None,
        };
        let lowered = lower::lower(checkpoint, Precision::Fp32)?;
        let mut bytes = lowered.bytes;
        let labels = match &gliner.labels {
            LabelEncoder::Prompt(_) => None,
            LabelEncoder::Tower { encoder, projection } => {
                let context = checkpoint
                    .label_tokenizer()
                    .map_or(encoder.context, |(_, context)| context);
                let lowered = lower::encoder(source.weights, encoder, context, End::States, Precision::Fp32);
                let lowered = lowered.map_err(|error| error.of(dir))?;
                bytes += lowered.bytes;
                let trunk = source.trunk(lowered.stages, encoder, context)?;
                Some((trunk, projection.as_ref().map(|p| source.dense(p)).transpose()?))
            }
        };
        let recurrent: Result<_, ModelError> = gliner
            .recurrent
            .iter()
            .map(|layer| source.recurrent(layer))
            .collect();
        let parts = Parts {
            labels,
            projection: gliner.projection.as_ref().map(|p| source.dense(p)).transpose()?,
            recurrent: recurrent?,
            head: source.head(&gliner.head, gliner.hidden)?,
            width: gliner.hidden,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                dir: dir.to_owned(),
                text: source.trunk(lowered.stages, checkpoint.architecture(), checkpoint.context())?,
                bytes: bytes + parts.bytes(),
                parts: Arc::new(parts),
                packed: Arc::new(lowered.packed),
                width: checkpoint.architecture().hidden,
            }),
        })
    }

    /// Lowers a task adapter of the text encoder over this model, which is `checkpoint` loaded. All else is shared.
    ///
    /// # Errors
    /// A tensor cannot be read or is not finite.
    pub fn adapt(&self, checkpoint: &Checkpoint, adapter: &Adapter) -> Result<Self, EngineError> {
        let shared = &self.shared;
        let adapted = lower::adapt(checkpoint, &shared.text.stages, &shared.packed, adapter)?;
        let source = Source {
            weights: checkpoint.weights(),
            adapter: Some(adapter),
        };
        Ok(Self {
            shared: Arc::new(Shared {
                dir: adapter.dir().to_owned(),
                text: source.trunk(adapted.stages, adapter.architecture(), checkpoint.context())?,
                parts: Arc::clone(&shared.parts),
                packed: Arc::clone(&shared.packed),
                bytes: adapted.bytes,
                width: shared.width,
            }),
        })
    }

    /// Bytes of weights that the model holds in memory; for an adapter what it adds to its base.
    pub fn memory_bytes(&self) -> usize {
        self.shared.bytes
    }

    /// Whether the labels are encoded apart from the text.
    pub fn encodes_labels(&self) -> bool {
        self.shared.parts.labels.is_some()
    }

    /// Words that a stretch may have; `None` where words are scored one by one.
    pub fn max_width(&self) -> Option<usize> {
        match &self.shared.parts.head {
            Head::Stretches { max_width, .. } | Head::Ends { max_width, .. } => Some(*max_width),
            Head::Words { .. } => None,
        }
    }

    /// The vector of a label from the label encoder: `ids` are its tokens with the special ones.
    ///
    /// # Errors
    /// The model has no label encoder; no ids, too many, one outside the vocabulary; a vector that is not finite.
    pub fn encode_label(&self, ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        let Some((trunk, projection)) = &self.shared.parts.labels else {
            return Err(EngineError::Labels {
                expected: "in the sequence",
                found: "by themselves",
            });
        };
        let states = self.run(trunk, ids, None)?;
        let width = states.len() / ids.len().max(1);
        let mut mean = vec![0.0; width];
        for row in states.chunks_exact(width.max(1)) {
            mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += *x);
        }
        #[allow(clippy::cast_precision_loss)] // Far below 2^24 tokens.
        let share = 1.0 / ids.len() as f32;
        mean.iter_mut().for_each(|x| *x *= share);
        if let Some(projection) = projection {
            mean = projection.apply(&mean, None);
        }
        finite(&mean, width, |row| row)?;
        Ok(mean)
    }

    /// Labels, by their [vectors](Self::encode_label), ready to be asked for.
    ///
    /// # Errors
    /// A vector has another width than the model's.
    pub fn label_set(&self, vectors: &[&[f32]]) -> Result<LabelSet, EngineError> {
        let width = self.shared.parts.width;
        if let Some(vector) = vectors.iter().find(|vector| vector.len() != width) {
            return Err(EngineError::Position {
                position: width,
                length: vector.len(),
            });
        }
        Ok(LabelSet {
            count: vectors.len(),
            vectors: vectors.concat().into(),
            ready: Arc::default(),
            parts: Arc::clone(&self.shared.parts),
        })
    }

    /// The scores of one sequence, before the sigmoid. `ids` are its tokens with the special ones, `words` the positions
    /// of the words' first tokens. Where stretches are scored, the answer has for each word, each width from 1 to
    /// [`max_width`](Self::max_width) and each label one score, and 0, which says nothing, where the stretch would go beyond
    /// the last word; otherwise for each word and each label three, that it begins, ends and is inside an entity.
    ///
    /// # Errors
    /// No ids, more than the context, one outside the vocabulary; a position outside the sequence; labels where the model
    /// does not take them, or encoded by another; scores that are not finite.
    pub fn forward(&self, ids: &[u32], words: &[u32], asked: Asked<'_>) -> Result<Vec<f32>, EngineError> {
        self.check(asked)?;
        let states = self.states(ids, &Self::read(words, asked))?;
        self.score(&states, words, asked)
    }

    /// The positions whose hidden states [`score`](Self::score) reads, in rising order.
    pub fn read(words: &[u32], asked: Asked<'_>) -> Vec<u32> {
        let labels = match asked {
            Asked::At(positions) => positions,
            Asked::Encoded(_) => &[],
        };
        let mut read: Vec<u32> = words.iter().chain(labels).copied().collect();
        read.sort_unstable();
        read.dedup();
        read
    }

    /// The text encoder's last hidden states at some positions of a sequence, which rise.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), for the ids and positions; states that are not finite.
    pub fn states(&self, ids: &[u32], read: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.run(&self.shared.text, ids, Some(read))
    }

    /// Values of a label's vector.
    pub fn width(&self) -> usize {
        self.shared.parts.width
    }

    /// Refuses labels that the model does not take.
    fn check(&self, asked: Asked<'_>) -> Result<(), EngineError> {
        let parts = &self.shared.parts;
        let (expected, found) = match (asked, &parts.labels) {
            (Asked::At(_), Some(_)) => ("encoded by themselves", "in the sequence"),
            (Asked::Encoded(_), None) => ("in the sequence", "encoded by themselves"),
            (Asked::Encoded(labels), Some(_)) if !Arc::ptr_eq(&labels.parts, parts) => {
                ("encoded by itself", "encoded by another")
            }
            _ => return Ok(()),
        };
        Err(EngineError::Labels { expected, found })
    }

    /// The scores of a sequence, as [`forward`](Self::forward) gives them, from the hidden states at the positions that are
    /// [read](Self::read), whichever engine computed them.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), for the labels and scores; states of another number.
    pub fn score(&self, states: &[f32], words: &[u32], asked: Asked<'_>) -> Result<Vec<f32>, EngineError> {
        self.check(asked)?;
        let (parts, width) = (&self.shared.parts, self.shared.width);
        let read = Self::read(words, asked);
        if states.len() != read.len() * width {
            return Err(EngineError::States {
                expected: read.len() * width,
                found: states.len(),
            });
        }
        let prompt = match asked {
            Asked::At(positions) => Some(positions),
            Asked::Encoded(_) => None,
        };
        let rows = |at: &[u32]| -> Vec<f32> {
            let places = at.iter().filter_map(|position| read.binary_search(position).ok());
            places
                .flat_map(|place| &states[place * width..][..width])
                .copied()
                .collect()
        };
        let words = rows(words);
        let labels = prompt.map(rows);
        let project = |rows: Vec<f32>| match &parts.projection {
            Some(projection) => projection.apply(&rows, None),
            None => rows,
        };
        let mut words = project(words);
        for layer in &parts.recurrent {
            words = recur(layer, &words, parts.width);
        }
        let prompted = labels.map(|labels| {
            let labels = project(labels);
            let count = labels.len() / parts.width;
            (parts.head.labels(&labels, parts.width), count)
        });
        let (labels, count) = match (&prompted, asked) {
            (Some((labels, count)), _) => (labels, *count),
            (None, Asked::Encoded(set)) => {
                let ready = || parts.head.labels(&set.vectors, parts.width);
                (set.ready.get_or_init(ready), set.count)
            }
            (None, Asked::At(_)) => return Ok(Vec::new()),
        };
        if words.is_empty() || count == 0 {
            return Ok(Vec::new());
        }
        let scores = parts.head.scores(&words, parts.width, labels);
        let bad = scores.iter().position(|score| !score.is_finite());
        match bad {
            Some(position) => Err(EngineError::NotFinite { position }),
            None => Ok(scores),
        }
    }

    /// The last hidden states of a sequence, after the encoder's final norm: of the positions `read`, which rise, where the
    /// trunk is the text encoder's, else of all.
    fn run(&self, trunk: &Trunk, ids: &[u32], read: Option<&[u32]>) -> Result<Vec<f32>, EngineError> {
        if ids.is_empty() {
            return Err(EngineError::Empty);
        }
        if ids.len() > trunk.context {
            return Err(EngineError::TooLong {
                length: ids.len(),
                context: trunk.context,
            });
        }
        let outside = |id: &u32| usize::try_from(*id).map_or(true, |id| id >= trunk.rows);
        if let Some(position) = ids.iter().position(outside) {
            return Err(EngineError::Token {
                position,
                rows: trunk.rows,
            });
        }
        let beyond = |position: &u32| usize::try_from(*position).map_or(true, |at| at >= ids.len());
        if let Some(position) = read.and_then(|read| read.last()).filter(|last| beyond(last)) {
            return Err(EngineError::Position {
                position: usize::try_from(*position).unwrap_or(usize::MAX),
                length: ids.len(),
            });
        }
        if read.is_some_and(<[u32]>::is_empty) {
            return Ok(Vec::new());
        }
        let tensor =
            |values: &[u32]| TractResult::Ok(Tensor::from_shape(&[values.len()], values)?.into_tvalue());
        let states = || -> TractResult<Vec<f32>> {
            let mut x = tensor(ids)?;
            if let Some((last, before)) = trunk.stages.split_last() {
                for stage in before {
                    x = run(stage, tvec!(x))?;
                }
                let rows = read.map(tensor).transpose()?;
                x = run(last, [x].into_iter().chain(rows).collect())?;
            }
            Ok(x.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
        };
        let mut states = states().map_err(|error| self.internal("running a sequence", &error))?;
        if let Some(norm) = &trunk.norm {
            normalize_rows(&mut states, None, norm);
        }
        let width = states.len() / read.map_or(ids.len(), <[u32]>::len).max(1);
        finite(&states, width, |row| read.map_or(row, |read| read[row] as usize))?;
        Ok(states)
    }

    fn internal(&self, step: &'static str, error: &TractError) -> EngineError {
        EngineError::Internal {
            path: self.shared.dir.clone(),
            step,
            problem: format!("{error:#}"),
        }
    }
}

impl std::fmt::Debug for GlinerModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GlinerModel")
            .field("dir", &self.shared.dir)
            .finish_non_exhaustive()
    }
}

/// Refuses values that are not finite, by the position that their row is of.
fn finite(values: &[f32], width: usize, position: impl Fn(usize) -> usize) -> Result<(), EngineError> {
    match values.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(EngineError::NotFinite {
            position: position(at / width.max(1)),
        }),
        None => Ok(()),
    }
}

/// Both directions of an LSTM over rows of `width` values.
fn recur(layer: &[Recurrent; 2], rows: &[f32], width: usize) -> Vec<f32> {
    let mut out = vec![0.0; rows.len()];
    for (index, direction) in layer.iter().enumerate() {
        let gates = direction.input.apply(rows, None);
        let direction = Direction {
            gates: &gates,
            state: &direction.state,
            backward: direction.backward,
        };
        direction.run(&mut out, width, index * direction.state.depth());
    }
    out
}

/// `C = A B`, all of it new.
fn product<'b>(rows: Rows<'_>, matrix: impl Into<Part<'b>>, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; rows.count * columns];
    multiply(rows, matrix, &mut out, columns, Finish::default());
    out
}

fn rows(values: &[f32], stride: usize) -> Rows<'_> {
    Rows {
        values,
        stride,
        count: values.len() / stride.max(1),
    }
}

fn dot(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(x, y)| x * y).sum()
}

impl Dense {
    /// `activation(x W^T + b)` for each row of `x`.
    fn apply(&self, x: &[f32], activation: Option<Activation>) -> Vec<f32> {
        self.apply_to(rows(x, self.matrix.depth()), activation)
    }

    fn apply_to(&self, x: Rows<'_>, activation: Option<Activation>) -> Vec<f32> {
        let columns = self.matrix.columns();
        let mut out = vec![0.0; x.count * columns];
        let finish = Finish {
            bias: Some(&self.bias),
            activation,
            onto: false,
        };
        multiply(x, &self.matrix, &mut out, columns, finish);
        out
    }

    fn bytes(&self) -> usize {
        self.matrix.bytes() + self.bias.capacity() * size_of::<f32>()
    }
}

/// `down(relu(up(x)))`, then `activation`.
fn mlp([up, down]: &[Dense; 2], x: &[f32], activation: Option<Activation>) -> Vec<f32> {
    let inner = up.apply(x, Some(Activation::Relu));
    down.apply(&inner, activation)
}

impl Head {
    /// Labels by their vectors, rows of `width` values.
    fn labels(&self, vectors: &[f32], width: usize) -> Labels {
        let count = vectors.len() / width.max(1);
        let constants = |labels: &[f32], bias: &[f32]| -> Vec<f32> {
            labels.chunks_exact(width).map(|label| dot(label, bias)).collect()
        };
        match self {
            Self::Stretches {
                label, out, out_bias, ..
            } => {
                let labels = mlp(label, vectors, None);
                let inner = out.columns();
                let values = product(rows(&labels, width), out, inner);
                let mut products = Packed::default();
                products.pack_transposed(&values, inner, count, inner);
                Labels::Stretches {
                    products,
                    constants: constants(&labels, out_bias),
                }
            }
            Self::Ends {
                label, out, out_bias, ..
            } => {
                let labels = mlp(label, vectors, None);
                let values = product(rows(&labels, width), out, 2 * width);
                let (mut first, mut last) = (Packed::default(), Packed::default());
                first.pack_transposed(&values, 2 * width, count, width);
                last.pack_transposed(values.get(width..).unwrap_or_default(), 2 * width, count, width);
                Labels::Ends {
                    first,
                    last,
                    constants: constants(&labels, out_bias),
                }
            }
            Self::Words { label, of_label, .. } => {
                let labels = label.apply(vectors, None);
                let firsts = Rows {
                    values: &labels,
                    stride: 2 * width,
                    count,
                };
                let seconds = labels.chunks_exact(2 * width).flat_map(|pair| &pair[width..]);
                Labels::Words {
                    inner: product(firsts, of_label, of_label.columns()),
                    vectors: seconds.copied().collect(),
                }
            }
        }
    }

    /// The scores of words, rows of `width` values; the labels are this head's.
    fn scores(&self, words: &[f32], width: usize, labels: &Labels) -> Vec<f32> {
        let relu = Some(Activation::Relu);
        match (self, labels) {
            (
                Self::Stretches {
                    max_width,
                    start,
                    end,
                    first,
                    last,
                    ..
                },
                Labels::Stretches { products, constants },
            ) => {
                let first = first.apply(&mlp(start, words, relu), None);
                let ends = mlp(end, words, relu);
                let last = product(rows(&ends, width), last, last.columns());
                stretches(&first, &last, *max_width, products, constants)
            }
            (
                Self::Ends {
                    max_width,
                    start,
                    end,
                    ..
                },
                Labels::Ends {
                    first,
                    last,
                    constants,
                },
            ) => {
                let starts = mlp(start, words, relu);
                let ends = mlp(end, words, relu);
                let labels = constants.len();
                let mut of_first = vec![0.0; starts.len() / width * labels];
                let finish = Finish {
                    bias: Some(constants),
                    ..Finish::default()
                };
                multiply(rows(&starts, width), first, &mut of_first, labels, finish);
                let of_last = product(rows(&ends, width), last, labels);
                sums(&of_first, &of_last, *max_width, labels)
            }
            (
                Self::Words {
                    word,
                    of_word,
                    of_product,
                    out,
                    ..
                },
                Labels::Words { inner, vectors },
            ) => {
                let pairs = word.apply(words, None);
                let firsts = Rows {
                    values: &pairs,
                    stride: 2 * width,
                    count: pairs.len() / (2 * width),
                };
                let of_words = of_word.apply_to(firsts, None);
                let seconds: Vec<f32> = pairs
                    .chunks_exact(2 * width)
                    .flat_map(|pair| &pair[width..])
                    .copied()
                    .collect();
                let (mut met, mut hidden) = (seconds.clone(), of_words.clone());
                let columns = of_product.columns();
                let labels = vectors.chunks_exact(width).zip(inner.chunks_exact(columns));
                let count = labels.len();
                let mut scores = vec![0.0; firsts.count * count * 3];
                for (index, (vector, inner)) in labels.enumerate() {
                    for (met, second) in met.chunks_exact_mut(width).zip(seconds.chunks_exact(width)) {
                        for ((met, second), label) in met.iter_mut().zip(second).zip(vector) {
                            *met = second * label;
                        }
                    }
                    hidden.copy_from_slice(&of_words);
                    let finish = Finish {
                        bias: Some(inner),
                        activation: relu,
                        onto: true,
                    };
                    multiply(rows(&met, width), of_product, &mut hidden, columns, finish);
                    let triples = out.apply(&hidden, None);
                    for (row, triple) in scores.chunks_exact_mut(3 * count).zip(triples.chunks_exact(3)) {
                        row[3 * index..][..3].copy_from_slice(triple);
                    }
                }
                scores
            }
            // Labels of another head, which no call lets through.
            _ => Vec::new(),
        }
    }
}

/// `relu(first[i] + last[i + k]) · product + constant` for each word `i`, each `k` below `max_width` and each label.
fn stretches(
    first: &[f32],
    last: &[f32],
    max_width: usize,
    products: &Packed,
    constants: &[f32],
) -> Vec<f32> {
    let (inner, labels) = (products.depth(), products.columns());
    let count = first.len() / inner.max(1);
    let mut scores = vec![0.0; count * max_width * labels];
    let block = (STRETCHES / max_width).max(1);
    let mut sums = vec![0.0; block * max_width * inner];
    let mut found = vec![0.0; block * max_width * labels];
    let finish = Finish {
        bias: Some(constants),
        ..Finish::default()
    };
    for from in (0..count).step_by(block) {
        let starts = from..(from + block).min(count);
        let widths = |start: usize| max_width.min(count - start);
        let mut filled = 0;
        for start in starts.clone() {
            let left = &first[start * inner..][..inner];
            for end in start..start + widths(start) {
                add_relu(
                    left,
                    &last[end * inner..][..inner],
                    &mut sums[filled * inner..][..inner],
                );
                filled += 1;
            }
        }
        let x = Rows {
            values: &sums,
            stride: inner,
            count: filled,
        };
        multiply(x, products, &mut found, labels, finish);
        let mut taken = 0;
        for start in starts {
            let size = widths(start) * labels;
            scores[start * max_width * labels..][..size].copy_from_slice(&found[taken..][..size]);
            taken += size;
        }
    }
    scores
}

/// `first[i] + last[i + k]` for each word `i`, each `k` below `max_width` and each label.
fn sums(first: &[f32], last: &[f32], max_width: usize, labels: usize) -> Vec<f32> {
    let count = first.len() / labels.max(1);
    let mut scores = vec![0.0; count * max_width * labels];
    for (start, (row, first)) in scores
        .chunks_exact_mut((max_width * labels).max(1))
        .zip(first.chunks_exact(labels.max(1)))
        .enumerate()
    {
        let ends = last[start * labels..].chunks_exact(labels);
        for (out, last) in row.chunks_exact_mut(labels).zip(ends) {
            for ((out, first), last) in out.iter_mut().zip(first).zip(last) {
                *out = first + last;
            }
        }
    }
    scores
}

impl Parts {
    fn bytes(&self) -> usize {
        let dense = |all: &[&Dense]| all.iter().map(|dense| dense.bytes()).sum::<usize>();
        let head = match &self.head {
            Head::Stretches {
                start,
                end,
                first,
                last,
                label,
                out,
                ..
            } => {
                let pairs: Vec<&Dense> = start.iter().chain(end).chain(label).chain([first]).collect();
                dense(&pairs) + last.bytes() + out.bytes()
            }
            Head::Ends {
                start,
                end,
                label,
                out,
                ..
            } => {
                let pairs: Vec<&Dense> = start.iter().chain(end).chain(label).collect();
                dense(&pairs) + out.bytes()
            }
            Head::Words {
                word,
                label,
                of_word,
                of_label,
                of_product,
                out,
            } => dense(&[word, label, of_word, out]) + of_label.bytes() + of_product.bytes(),
        };
        let label = self
            .labels
            .iter()
            .filter_map(|(_, projection)| projection.as_ref());
        let single: Vec<&Dense> = self.projection.iter().chain(label).collect();
        let recurrent = self.recurrent.iter().flatten();
        head + dense(&single)
            + recurrent
                .map(|r| r.input.bytes() + r.state.bytes())
                .sum::<usize>()
    }
}

/// Where weights come from.
struct Source<'a> {
    weights: &'a Weights,
    adapter: Option<&'a Adapter>,
}

impl Source<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        match self.adapter {
            Some(adapter) if adapter.replaces(name) => adapter.read(name, shape),
            _ => self.weights.read(name, shape),
        }
    }

    fn trunk(&self, stages: Vec<Stage>, encoder: &Architecture, context: usize) -> Result<Trunk, ModelError> {
        Ok(Trunk {
            stages,
            norm: encoder
                .final_norm
                .as_ref()
                .map(|norm| self.affine(norm))
                .transpose()?,
            rows: encoder.embeddings.words.rows,
            context,
        })
    }

    fn affine(&self, norm: &Norm) -> Result<Affine, ModelError> {
        Ok(Affine {
            kind: norm.kind,
            weight: self.tensor(&norm.weight, &[norm.size])?,
            bias: match &norm.bias {
                Some(name) => self.tensor(name, &[norm.size])?,
                None => vec![0.0; norm.size],
            },
            eps: norm.eps,
        })
    }

    fn weight(&self, linear: &Linear) -> Result<Vec<f32>, ModelError> {
        self.tensor(&linear.weight, &[linear.outputs, linear.inputs])
    }

    fn bias(&self, linear: &Linear) -> Result<Vec<f32>, ModelError> {
        match &linear.bias {
            Some(name) => self.tensor(name, &[linear.outputs]),
            None => Ok(vec![0.0; linear.outputs]),
        }
    }

    fn dense(&self, linear: &Linear) -> Result<Dense, ModelError> {
        Ok(Dense {
            matrix: packed(&self.weight(linear)?, linear.inputs),
            bias: self.bias(linear)?,
        })
    }

    fn mlp(&self, mlp: &Mlp) -> Result<[Dense; 2], ModelError> {
        Ok([self.dense(&mlp.up)?, self.dense(&mlp.down)?])
    }

    fn recurrent(&self, layer: &Bilstm) -> Result<[Recurrent; 2], ModelError> {
        let direction = |lstm: &mednerd_model::Lstm, backward: bool| -> Result<Recurrent, ModelError> {
            let mut input = self.dense(&lstm.input)?;
            let other = self.bias(&lstm.state)?;
            input.bias.iter_mut().zip(other).for_each(|(x, y)| *x += y);
            Ok(Recurrent {
                input,
                state: packed(&self.weight(&lstm.state)?, lstm.state.inputs),
                backward,
            })
        };
        Ok([
            direction(&layer.forward, false)?,
            direction(&layer.backward, true)?,
        ])
    }

    fn head(&self, head: &GlinerHead, width: usize) -> Result<Head, ModelError> {
        match head {
            GlinerHead::Span {
                max_width,
                start,
                end,
                out: SpanOutput::Mlp(out),
                label,
            } => {
                let up = self.weight(&out.up)?;
                Ok(Head::Stretches {
                    max_width: *max_width,
                    start: self.mlp(start)?,
                    end: self.mlp(end)?,
                    first: Dense {
                        matrix: packed(&columns(&up, 2 * width, 0..width), width),
                        bias: self.bias(&out.up)?,
                    },
                    last: packed(&columns(&up, 2 * width, width..2 * width), width),
                    label: self.mlp(label)?,
                    out: backwards(&self.weight(&out.down)?, &out.down),
                    out_bias: self.bias(&out.down)?,
                })
            }
            GlinerHead::Span {
                max_width,
                start,
                end,
                out: SpanOutput::Linear(out),
                label,
            } => Ok(Head::Ends {
                max_width: *max_width,
                start: self.mlp(start)?,
                end: self.mlp(end)?,
                label: self.mlp(label)?,
                out: backwards(&self.weight(out)?, out),
                out_bias: self.bias(out)?,
            }),
            GlinerHead::Token { word, label, out } => {
                let up = self.weight(&out.up)?;
                let part = |from: usize| packed(&columns(&up, 3 * width, from..from + width), width);
                Ok(Head::Words {
                    word: self.dense(word)?,
                    label: self.dense(label)?,
                    of_word: Dense {
                        matrix: part(0),
                        bias: self.bias(&out.up)?,
                    },
                    of_label: part(width),
                    of_product: part(2 * width),
                    out: self.dense(&out.down)?,
                })
            }
        }
    }
}

/// `W` as `x W^T` wants it.
fn packed(weight: &[f32], inputs: usize) -> Packed {
    let mut matrix = Packed::zeros(inputs, weight.len() / inputs.max(1));
    matrix.fill_transposed(0, weight, inputs);
    matrix
}

/// `W` as `x W` wants it.
fn backwards(weight: &[f32], linear: &Linear) -> Packed {
    let mut matrix = Packed::default();
    matrix.pack_rows(weight, linear.inputs, linear.inputs, linear.outputs);
    matrix
}

/// Some columns of rows of `width` values.
fn columns(weight: &[f32], width: usize, some: std::ops::Range<usize>) -> Vec<f32> {
    weight
        .chunks_exact(width.max(1))
        .flat_map(|row| &row[some.clone()])
        .copied()
        .collect()
}
