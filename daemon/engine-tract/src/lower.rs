//! From an `Architecture` to tract plans made of our operators: one plan for the embeddings, one for each layer, one for
//! the head. Tensors are read one at a time, packed into the form the kernels want and dropped, so that every weight is
//! held once. An adapter's plans are made only for the stages that it changes, over the same packed weights.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use mednerd_model::{
    Activation, Adapter, Architecture, Attention, AttentionPositions, Checkpoint, Convolution, Disentangled,
    Embeddings, FeedForward, Head, Layer, Linear, LowRank, ModelError, Norm, NormPlacement, Positions,
    Projection, Table, Weights,
};
use tract_onnx::tract_core::internal::*;

use crate::error::EngineError;
use crate::kernels::attention::{Heads, Turns};
use crate::kernels::convolution::Filters;
use crate::kernels::disentangled::{Columns, Projected, ProjectedChange};
use crate::kernels::gemm::{Finish, Packed, Rows, multiply};
use crate::kernels::int8::Quantised;
use crate::kernels::norm::{Affine, normalize_rows};
use crate::model::Precision;
use crate::ops::{
    Add, AddNorm, Attend, Change, Convolve, Embed, Gate, Matrix, Normalize, Pick, Places, Product, Relative,
    Shared, Term,
};

/// One stage of a model: a plan with one input and one output.
pub(crate) type Stage = Arc<TypedSimplePlan>;

/// A lowered checkpoint: its stages, and its weights as they are packed, for adapters to be lowered over.
pub(crate) struct Lowered {
    pub(crate) stages: Vec<Stage>,
    pub(crate) packed: PackedWeights,
    /// Bytes of weights that the stages hold.
    pub(crate) bytes: usize,
}

/// An adapter lowered over its base: the base's stages where it changes nothing, its own elsewhere.
pub(crate) struct Adapted {
    pub(crate) stages: Vec<Stage>,
    /// Bytes of weights that the adapter's stages hold on top of the base's.
    pub(crate) bytes: usize,
}

/// What operators hold, under the names of the tensors it was made of.
#[derive(Default)]
pub(crate) struct PackedWeights {
    /// What the products of layers compute in.
    precision: Precision,
    matrices: HashMap<String, Shared<Matrix>>,
    vectors: HashMap<String, Shared<Vec<f32>>>,
    affines: HashMap<String, Shared<Affine>>,
    /// By the bits of the base, and the width of the heads.
    turns: HashMap<(u32, usize), Shared<Turns>>,
    /// By the table of relative places.
    columns: HashMap<String, Shared<Columns>>,
    /// By the table of relative places, its norm, and what projects it.
    projected: HashMap<String, Shared<Projected>>,
    filters: HashMap<String, Shared<Filters>>,
}

impl PackedWeights {
    fn new(precision: Precision) -> Self {
        Self {
            precision,
            ..Self::default()
        }
    }
}

/// Why lowering stopped: a tensor, or tract itself.
pub(crate) enum LowerError {
    Tensor(ModelError),
    Graph(TractError),
}

impl From<ModelError> for LowerError {
    fn from(error: ModelError) -> Self {
        Self::Tensor(error)
    }
}

impl From<TractError> for LowerError {
    fn from(error: TractError) -> Self {
        Self::Graph(error)
    }
}

impl LowerError {
    pub(crate) fn of(self, dir: &Path) -> EngineError {
        match self {
            Self::Tensor(error) => EngineError::Model(error),
            Self::Graph(error) => EngineError::Internal {
                path: dir.to_owned(),
                step: "building the plan",
                problem: format!("{error:#}"),
            },
        }
    }
}

/// Lowers a checkpoint's safetensors, the first stage takes `[S]` of u32 token ids, the last gives `[S, labels]` of f32
/// logits, and between them are hidden states, `[S, hidden]` of f32.
pub(crate) fn lower(checkpoint: &Checkpoint, precision: Precision) -> Result<Lowered, EngineError> {
    let lowered = encoder(
        checkpoint.weights(),
        checkpoint.architecture(),
        checkpoint.context(),
        End::of(checkpoint),
        precision,
    );
    lowered.map_err(|error| error.of(checkpoint.dir()))
}

/// What the last stage gives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The logits.
    Head,
    /// The hidden states before the final norm.
    States,
    /// Those of some rows, its second input: `[count]` of u32, rising. The last layer is computed for them alone.
    Rows,
}

impl End {
    fn of(checkpoint: &Checkpoint) -> Self {
        if checkpoint.gliner().is_some() {
            // Only words and labels are read.
            Self::Rows
        } else if checkpoint.headless() {
            Self::States
        } else {
            Self::Head
        }
    }
}

/// Lowers an encoder for sequences up to `context`.
pub(crate) fn encoder(
    weights: &Weights,
    architecture: &Architecture,
    context: usize,
    end: End,
    precision: Precision,
) -> Result<Lowered, LowerError> {
    let mut lowering = Lowering {
        weights,
        context,
        adapter: None,
        packed: PackedWeights::new(precision),
        base: &PackedWeights::default(),
        bytes: 0,
        changed: false,
        narrow: false,
    };
    let stages: Result<Vec<Stage>, LowerError> = (0..stages(architecture, end))
        .map(|index| lowering.stage(architecture, index, end))
        .collect();
    Ok(Lowered {
        stages: stages?,
        packed: lowering.packed,
        bytes: lowering.bytes,
    })
}

/// The embeddings, the layers and, where it has one, the head.
fn stages(architecture: &Architecture, end: End) -> usize {
    architecture.layers.len() + 1 + usize::from(end == End::Head)
}

/// Lowers an adapter over its base, which is `checkpoint` lowered.
pub(crate) fn adapt(
    checkpoint: &Checkpoint,
    base: &[Stage],
    packed: &PackedWeights,
    adapter: &Adapter,
) -> Result<Adapted, EngineError> {
    let mut lowering = Lowering {
        weights: checkpoint.weights(),
        context: checkpoint.context(),
        adapter: Some(adapter),
        packed: PackedWeights::new(packed.precision),
        base: packed,
        bytes: 0,
        changed: false,
        narrow: false,
    };
    let architecture = adapter.architecture();
    // What a GLiNER computes after its encoder no adapter changes; another base may have no head where its adapters do.
    let end = match End::of(checkpoint) {
        End::Rows => End::Rows,
        End::Head | End::States => End::Head,
    };
    let stages: Result<Vec<Stage>, LowerError> = (0..stages(architecture, end))
        .map(|index| {
            let held = lowering.bytes;
            lowering.changed = false;
            let own = lowering.stage(architecture, index, end)?;
            let base = base.get(index).filter(|_| !lowering.changed);
            if base.is_some() {
                // What was made for the stage goes with it.
                lowering.bytes = held;
            }
            Ok(base.map_or(own, Arc::clone))
        })
        .collect();
    Ok(Adapted {
        stages: stages.map_err(|error| error.of(adapter.dir()))?,
        bytes: lowering.bytes,
    })
}

struct Lowering<'a> {
    weights: &'a Weights,
    /// Longest sequence.
    context: usize,
    adapter: Option<&'a Adapter>,
    /// What this lowering has packed.
    packed: PackedWeights,
    /// What the base has packed, where this is an adapter's.
    base: &'a PackedWeights,
    bytes: usize,
    /// Whether the adapter had a part in the current stage.
    changed: bool,
    /// Whether products of the current stage compute in 8 bits.
    narrow: bool,
}

impl Lowering<'_> {
    fn stage(&mut self, architecture: &Architecture, index: usize, end: End) -> Result<Stage, LowerError> {
        let mut graph = Graph::default();
        // Embeddings and the head stay in single precision: they are a small part of the time.
        let layer = (1..=architecture.layers.len()).contains(&index);
        self.narrow = layer && self.packed.precision == Precision::Int8;
        let output = if index == 0 {
            let ids = graph.source("input", |length| u32::fact([length]))?;
            self.embeddings(&mut graph, &architecture.embeddings, architecture.context, ids)?
        } else {
            let hidden = architecture.hidden.to_dim();
            let x = graph.source("input", |length| f32::fact([length, hidden]))?;
            match architecture.layers.get(index - 1) {
                Some(layer) => {
                    let rows = (end == End::Rows && index == architecture.layers.len())
                        .then(|| graph.source("rows", |count| u32::fact([count])));
                    self.layer(&mut graph, layer, x, rows.transpose()?)?
                }
                None => self.head(
                    &mut graph,
                    architecture.final_norm.as_ref(),
                    &architecture.head,
                    x,
                )?,
            }
        };
        graph.model.select_output_outlets(&[output])?;
        Ok(TypedSimplePlan::new(graph.model)?)
    }

    fn embeddings(
        &mut self,
        graph: &mut Graph,
        embeddings: &Embeddings,
        context: usize,
        ids: OutletId,
    ) -> Result<OutletId, LowerError> {
        let width = embeddings.words.width;
        let words = self.table(&embeddings.words)?;
        let types = embeddings.token_types.as_ref();
        // A note is one segment, so every token gets row 0.
        let types = types
            .map(|table| self.tensor(&table.weight, &[table.rows, width]))
            .transpose()?;
        let typed = |mut rows: Vec<f32>| {
            for row in rows.chunks_exact_mut(width) {
                row.iter_mut()
                    .zip(types.iter().flatten())
                    .for_each(|(x, t)| *x += *t);
            }
            rows.shrink_to_fit();
            rows
        };
        let places = match &embeddings.positions {
            Positions::None => Places {
                rows: typed(vec![0.0; width]),
                padding: None,
                everywhere: true,
            },
            Positions::Absolute {
                table,
                first,
                padding,
            } => {
                let mut rows = self.tensor(&table.weight, &[table.rows, width])?;
                // With a padding token the row before the first place is its own.
                let before = if padding.is_some() {
                    first.saturating_sub(1)
                } else {
                    *first
                };
                rows.drain(..(before * width).min(rows.len()));
                rows.truncate((context + first - before) * width);
                Places {
                    rows: typed(rows),
                    padding: *padding,
                    everywhere: false,
                }
            }
        };
        self.bytes += places.rows.capacity() * size_of::<f32>();
        let places = Shared::new(places);
        let mut x = graph.wire("embeddings", Embed { words, places, width }, &[ids])?;
        if let Some(Projection::BeforeNorm(linear)) = &embeddings.projection {
            x = self.product(graph, "embeddings.projection", &[linear], None, x)?;
        }
        if let Some(norm) = &embeddings.norm {
            x = self.normalize(graph, "embeddings.norm", norm, x)?;
        }
        if let Some(Projection::AfterNorm(linear)) = &embeddings.projection {
            x = self.product(graph, "embeddings.projection", &[linear], None, x)?;
        }
        Ok(x)
    }

    /// A layer, for some `rows` or for all.
    fn layer(
        &mut self,
        graph: &mut Graph,
        layer: &Layer,
        x: OutletId,
        rows: Option<OutletId>,
    ) -> Result<OutletId, LowerError> {
        let Some(convolution) = &layer.convolution else {
            return self.sub_layers(graph, layer, x, rows);
        };
        // It reads a row's neighbours.
        let out = self.sub_layers(graph, layer, x, None)?;
        let convolve = Convolve {
            filters: self.filters(convolution)?,
            bias: self.stored(&convolution.bias, &[convolution.width])?,
            activation: convolution.activation,
        };
        let convolved = graph.wire("convolution", convolve, &[x])?;
        let out = self.add_norm(graph, "convolution.norm", &convolution.norm, convolved, out)?;
        graph.pick("convolution.rows", layer.attention.output.outputs, out, rows)
    }

    fn sub_layers(
        &mut self,
        graph: &mut Graph,
        layer: &Layer,
        x: OutletId,
        rows: Option<OutletId>,
    ) -> Result<OutletId, LowerError> {
        let attention_norm = layer.attention_norm.as_ref();
        let width = layer.attention.output.outputs;
        match layer.placement {
            NormPlacement::Post => {
                let attended = self.attention(graph, &layer.attention, x, rows)?;
                let x = graph.pick("residual", width, x, rows)?;
                let x = match attention_norm {
                    Some(norm) => self.add_norm(graph, "attention.norm", norm, attended, x)?,
                    None => graph.wire("attention.sum", Add, &[attended, x])?,
                };
                let fed = self.feed_forward(graph, &layer.feed_forward, x)?;
                self.add_norm(graph, "feed_forward.norm", &layer.feed_forward_norm, fed, x)
            }
            NormPlacement::Pre => {
                let normal = match attention_norm {
                    Some(norm) => self.normalize(graph, "attention.norm", norm, x)?,
                    None => x,
                };
                let attended = self.attention(graph, &layer.attention, normal, rows)?;
                let x = graph.pick("residual", width, x, rows)?;
                let x = graph.wire("attention.sum", Add, &[attended, x])?;
                let normal = self.normalize(graph, "feed_forward.norm", &layer.feed_forward_norm, x)?;
                let fed = self.feed_forward(graph, &layer.feed_forward, normal)?;
                graph.wire("feed_forward.sum", Add, &[fed, x])
            }
        }
    }

    fn attention(
        &mut self,
        graph: &mut Graph,
        attention: &Attention,
        x: OutletId,
        rows: Option<OutletId>,
    ) -> Result<OutletId, LowerError> {
        let qkv: Vec<&Linear> = attention.qkv.iter().collect();
        let qkv = self.product(graph, "attention.qkv", &qkv, None, x)?;
        let heads = Heads {
            count: attention.heads,
            shared: attention.key_value_heads,
            width: attention.head_dim,
            scale: attention.scale,
            reach: attention.reach,
        };
        let (turns, relative) = match &attention.positions {
            AttentionPositions::None => (None, None),
            AttentionPositions::Rotary { theta } => (Some(self.turns(*theta, attention.head_dim)), None),
            AttentionPositions::Disentangled(places) => (None, Some(self.relative(heads, places)?)),
        };
        let attend = Attend {
            heads,
            turns,
            relative,
        };
        let inputs: TVec<OutletId> = [qkv].into_iter().chain(rows).collect();
        let attended = graph.wire("attention", attend, &inputs)?;
        self.product(graph, "attention.output", &[&attention.output], None, attended)
    }

    fn feed_forward(
        &mut self,
        graph: &mut Graph,
        feed_forward: &FeedForward,
        x: OutletId,
    ) -> Result<OutletId, LowerError> {
        match feed_forward {
            FeedForward::Mlp { up, activation, down } => {
                let x = self.product(graph, "feed_forward.up", &[up], Some(*activation), x)?;
                self.product(graph, "feed_forward.down", &[down], None, x)
            }
            FeedForward::Gated { up, activation, down } => {
                let up: Vec<&Linear> = up.iter().collect();
                let x = self.product(graph, "feed_forward.up", &up, None, x)?;
                let gate = Gate {
                    activation: *activation,
                    width: down.inputs,
                };
                let x = graph.wire("feed_forward.gate", gate, &[x])?;
                self.product(graph, "feed_forward.down", &[down], None, x)
            }
        }
    }

    fn head(
        &mut self,
        graph: &mut Graph,
        final_norm: Option<&Norm>,
        head: &Head,
        mut x: OutletId,
    ) -> Result<OutletId, LowerError> {
        if let Some(norm) = final_norm {
            x = self.normalize(graph, "final_norm", norm, x)?;
        }
        if let Some(dense) = &head.dense {
            x = self.product(graph, "head.dense", &[&dense.linear], Some(dense.activation), x)?;
            x = self.normalize(graph, "head.norm", &dense.norm, x)?;
        }
        self.product(graph, "head.classifier", &[&head.classifier], None, x)
    }

    /// One product for linear layers that share their input: their outputs side by side.
    fn product(
        &mut self,
        graph: &mut Graph,
        name: &str,
        parts: &[&Linear],
        activation: Option<Activation>,
        x: OutletId,
    ) -> Result<OutletId, LowerError> {
        let product = Product {
            matrix: self.matrix(parts)?,
            bias: self.bias(parts)?,
            change: self.change(parts)?,
            activation,
        };
        graph.wire(name, product, &[x])
    }

    /// The weights of linear layers that share their input, side by side.
    fn matrix(&mut self, parts: &[&Linear]) -> Result<Shared<Matrix>, LowerError> {
        let key = joined(parts.iter().map(|part| part.weight.as_str()));
        let own = self.replaces(parts.iter().map(|part| part.weight.as_str()));
        if let Some(held) = self.held(own, |packed| packed.matrices.get(&key)) {
            return Ok(held);
        }
        let inputs = parts.first().map_or(0, |part| part.inputs);
        let outputs = parts.iter().map(|part| part.outputs).sum();
        let mut matrix = match self.narrow.then(|| Quantised::zeros(inputs, outputs)).flatten() {
            Some(matrix) => Matrix::Int8(matrix),
            None => Matrix::Full(Packed::zeros(inputs, outputs)),
        };
        let mut first = 0;
        for part in parts {
            let rows = self.tensor(&part.weight, &[part.outputs, part.inputs])?;
            matrix.fill_transposed(first, &rows, inputs);
            first += part.outputs;
        }
        self.bytes += matrix.bytes();
        let matrix = Shared::new(matrix);
        self.packed.matrices.insert(key, matrix.clone());
        Ok(matrix)
    }

    /// The biases of the same; zero for a layer that has none beside one that has.
    fn bias(&mut self, parts: &[&Linear]) -> Result<Option<Shared<Vec<f32>>>, LowerError> {
        let names: Vec<&str> = parts.iter().filter_map(|part| part.bias.as_deref()).collect();
        if names.is_empty() {
            return Ok(None);
        }
        let key = joined(names.iter().copied());
        let own = self.replaces(names.iter().copied());
        if let Some(held) = self.held(own, |packed| packed.vectors.get(&key)) {
            return Ok(Some(held));
        }
        let mut bias = Vec::with_capacity(parts.iter().map(|part| part.outputs).sum());
        for part in parts {
            match &part.bias {
                Some(name) => bias.append(&mut self.tensor(name, &[part.outputs])?),
                None => bias.resize(bias.len() + part.outputs, 0.0),
            }
        }
        Ok(Some(self.vector(key, bias)))
    }

    /// What the adapter does to linear layers that share their input.
    fn change(&mut self, parts: &[&Linear]) -> Result<Option<Shared<Change>>, LowerError> {
        let changes: Result<Vec<Option<LowRank>>, ModelError> =
            parts.iter().map(|part| self.low_rank(part)).collect();
        let changes = changes?;
        if changes.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut change = Change::new(parts.first().map_or(0, |part| part.inputs));
        for (part, low_rank) in parts.iter().zip(changes) {
            // The lengths of the rows before the change are the base's.
            let rows = match &low_rank {
                Some(LowRank {
                    magnitude: Some(_), ..
                }) => Some(self.tensor(&part.weight, &[part.outputs, part.inputs])?),
                _ => None,
            };
            change.push(part.outputs, low_rank, rows.as_deref());
        }
        self.bytes += change.bytes();
        Ok(Some(Shared::new(change)))
    }

    fn normalize(
        &mut self,
        graph: &mut Graph,
        name: &str,
        norm: &Norm,
        x: OutletId,
    ) -> Result<OutletId, LowerError> {
        let affine = self.affine(norm)?;
        graph.wire(name, Normalize { affine }, &[x])
    }

    fn add_norm(
        &mut self,
        graph: &mut Graph,
        name: &str,
        norm: &Norm,
        x: OutletId,
        residual: OutletId,
    ) -> Result<OutletId, LowerError> {
        let affine = self.affine(norm)?;
        graph.wire(name, AddNorm { affine }, &[x, residual])
    }

    fn affine(&mut self, norm: &Norm) -> Result<Shared<Affine>, LowerError> {
        let own = self.replaces([norm.weight.as_str()].into_iter().chain(norm.bias.as_deref()));
        if let Some(held) = self.held(own, |packed| packed.affines.get(&norm.weight)) {
            return Ok(held);
        }
        let weight = self.tensor(&norm.weight, &[norm.size])?;
        let bias = match &norm.bias {
            Some(name) => self.tensor(name, &[norm.size])?,
            None => vec![0.0; norm.size],
        };
        self.bytes += 2 * norm.size * size_of::<f32>();
        let affine = Shared::new(Affine {
            kind: norm.kind,
            weight,
            bias,
            eps: norm.eps,
        });
        self.packed.affines.insert(norm.weight.clone(), affine.clone());
        Ok(affine)
    }

    /// The angles of rotary positions, which no adapter changes.
    fn turns(&mut self, theta: f32, width: usize) -> Shared<Turns> {
        let key = (theta.to_bits(), width);
        if let Some(held) = self.held(false, |packed| packed.turns.get(&key)) {
            return held;
        }
        let turns = Turns::new(theta, width, self.context);
        self.bytes += turns.bytes();
        let turns = Shared::new(turns);
        self.packed.turns.insert(key, turns.clone());
        turns
    }

    /// The terms for relative places, projected here so that a run finds them ready.
    fn relative(&mut self, heads: Heads, places: &Disentangled) -> Result<Relative, LowerError> {
        let table = &places.table;
        let columns = match self.held(false, |packed| packed.columns.get(&table.weight)) {
            Some(held) => held,
            None => {
                // The vectors lie in the order of the keys, whose distance to a query falls.
                let column = |distance: i64| table.rows.saturating_sub(1) - places.row(-distance);
                let columns = Columns::new(self.context, |distance| column(distance) as u32);
                self.bytes += columns.bytes();
                let columns = Shared::new(columns);
                self.packed.columns.insert(table.weight.clone(), columns.clone());
                columns
            }
        };
        let term = |this: &mut Self, projection: &Option<Linear>| {
            let projection = projection.as_ref();
            projection.map(|p| this.term(heads, places, p)).transpose()
        };
        Ok(Relative {
            columns,
            content_to_position: term(self, &places.content_to_position)?,
            position_to_content: term(self, &places.position_to_content)?,
            bias: match &places.position_to_content {
                Some(linear) => self.changed_bias(linear)?,
                None => None,
            },
        })
    }

    fn term(&mut self, heads: Heads, places: &Disentangled, linear: &Linear) -> Result<Term, LowerError> {
        if heads.shared != heads.count || linear.outputs != heads.joined() {
            return Err(format_err!("relative places need as many heads of keys as of queries").into());
        }
        let norm = places.norm.as_ref();
        let names = || {
            let norm = norm
                .into_iter()
                .flat_map(|norm| [Some(&norm.weight), norm.bias.as_ref()]);
            let parts = [&places.table.weight, &linear.weight].into_iter();
            parts.chain(norm.flatten()).map(String::as_str)
        };
        let key = joined(names());
        let own = self.replaces(names());
        let projected = match self.held(own, |packed| packed.projected.get(&key)) {
            Some(held) => held,
            None => {
                let weight = self.tensor(&linear.weight, &[linear.outputs, linear.inputs])?;
                let rows = self.project(places, &weight, linear.outputs)?;
                let projected = Projected::new(&rows, places.table.rows, heads.count, heads.width);
                self.bytes += projected.bytes();
                let projected = Shared::new(projected);
                self.packed.projected.insert(key, projected.clone());
                projected
            }
        };
        let low_rank = self.low_rank(linear)?;
        let change = match low_rank {
            None => None,
            Some(low_rank) => {
                let rows = self.project(places, &low_rank.down, low_rank.rank)?;
                let mut ranks = Packed::default();
                ranks.pack_transposed(&rows, low_rank.rank, places.table.rows, low_rank.rank);
                let gain = match &low_rank.magnitude {
                    Some(_) => {
                        let weight = self.tensor(&linear.weight, &[linear.outputs, linear.inputs])?;
                        low_rank.gain(&weight, linear.inputs)
                    }
                    None => None,
                };
                let change = ProjectedChange {
                    gain,
                    up: low_rank.up,
                    ranks,
                };
                self.bytes += change.bytes();
                Some(Shared::new(change))
            }
        };
        Ok(Term { projected, change })
    }

    /// The rows of the table of relative places, last to first, normalised and multiplied with the rows of `weight`.
    fn project(
        &mut self,
        places: &Disentangled,
        weight: &[f32],
        outputs: usize,
    ) -> Result<Vec<f32>, LowerError> {
        let Table {
            rows: count, width, ..
        } = places.table;
        let table = self.tensor(&places.table.weight, &[count, width])?;
        let mut rows: Vec<f32> = table.rchunks_exact(width).flatten().copied().collect();
        if let Some(norm) = &places.norm {
            let affine = self.affine(norm)?;
            normalize_rows(&mut rows, None, &affine);
        }
        let mut matrix = Packed::zeros(width, outputs);
        matrix.fill_transposed(0, weight, width);
        let mut projected = vec![0.0; count * outputs];
        let rows = Rows {
            values: &rows,
            stride: width,
            count,
        };
        multiply(rows, &matrix, &mut projected, outputs, Finish::default());
        Ok(projected)
    }

    /// The bias of a layer with what the adapter adds to it.
    fn changed_bias(&mut self, linear: &Linear) -> Result<Option<Shared<Vec<f32>>>, LowerError> {
        let bias = self.bias(&[linear])?;
        let Some(added) = self.low_rank(linear)?.and_then(|low_rank| low_rank.bias) else {
            return Ok(bias);
        };
        let mut sum = bias.map_or_else(|| vec![0.0; linear.outputs], |bias| bias.to_vec());
        sum.iter_mut().zip(added).for_each(|(x, added)| *x += added);
        self.bytes += sum.capacity() * size_of::<f32>();
        Ok(Some(Shared::new(sum)))
    }

    fn low_rank(&mut self, linear: &Linear) -> Result<Option<LowRank>, ModelError> {
        let low_rank = match self.adapter {
            Some(adapter) => adapter.low_rank(linear)?,
            None => None,
        };
        self.changed |= low_rank.is_some();
        Ok(low_rank)
    }

    fn filters(&mut self, convolution: &Convolution) -> Result<Shared<Filters>, LowerError> {
        let own = self.replaces([convolution.weight.as_str()]);
        if let Some(held) = self.held(own, |packed| packed.filters.get(&convolution.weight)) {
            return Ok(held);
        }
        let Convolution {
            width,
            kernel,
            groups,
            ..
        } = *convolution;
        let weight = self.tensor(&convolution.weight, &[width, width / groups, kernel])?;
        let filters = Filters::new(&weight, width, groups, kernel);
        self.bytes += filters.bytes();
        let filters = Shared::new(filters);
        self.packed
            .filters
            .insert(convolution.weight.clone(), filters.clone());
        Ok(filters)
    }

    fn table(&mut self, table: &Table) -> Result<Shared<Vec<f32>>, LowerError> {
        self.stored(&table.weight, &[table.rows, table.width])
    }

    /// A tensor as it is in the file.
    fn stored(&mut self, name: &str, shape: &[usize]) -> Result<Shared<Vec<f32>>, LowerError> {
        let own = self.replaces([name]);
        if let Some(held) = self.held(own, |packed| packed.vectors.get(name)) {
            return Ok(held);
        }
        let values = self.tensor(name, shape)?;
        Ok(self.vector(name.to_owned(), values))
    }

    fn vector(&mut self, key: String, values: Vec<f32>) -> Shared<Vec<f32>> {
        self.bytes += values.capacity() * size_of::<f32>();
        let values = Shared::new(values);
        self.packed.vectors.insert(key, values.clone());
        values
    }

    /// What is packed already: by this lowering or, where the adapter has no tensor of its own for it, by the base's.
    fn held<'b, T: 'b>(
        &'b self,
        own: bool,
        find: impl Fn(&'b PackedWeights) -> Option<&'b Shared<T>>,
    ) -> Option<Shared<T>> {
        let base = || if own { None } else { find(self.base) };
        find(&self.packed).or_else(base).cloned()
    }

    /// Whether the adapter brings any of these tensors itself; then the stage is its own.
    fn replaces<'b>(&mut self, names: impl IntoIterator<Item = &'b str>) -> bool {
        let adapter = self.adapter;
        let own = names
            .into_iter()
            .any(|name| adapter.is_some_and(|adapter| adapter.replaces(name)));
        self.changed |= own;
        own
    }

    /// A tensor as the adapter has it, which makes the stage its own, or else the base.
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        match self.adapter {
            Some(adapter) if adapter.replaces(name) => {
                self.changed = true;
                adapter.read(name, shape)
            }
            _ => self.weights.read(name, shape),
        }
    }
}

fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    // No name holds a line break that would make two lists one: the parts come from one architecture in one order.
    names.collect::<Vec<_>>().join("\n")
}

/// A tract model under construction.
#[derive(Default)]
struct Graph {
    model: TypedModel,
}

impl Graph {
    /// An input of any number of rows.
    fn source(&mut self, name: &str, fact: impl FnOnce(TDim) -> TypedFact) -> Result<OutletId, LowerError> {
        let length = self.model.symbols.sym(name).to_dim();
        Ok(self.model.add_source(name, fact(length))?)
    }

    /// Some rows of `x`, or all.
    fn pick(
        &mut self,
        name: &str,
        width: usize,
        x: OutletId,
        rows: Option<OutletId>,
    ) -> Result<OutletId, LowerError> {
        match rows {
            Some(rows) => self.wire(name, Pick { width }, &[x, rows]),
            None => Ok(x),
        }
    }

    fn wire(
        &mut self,
        name: &str,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> Result<OutletId, LowerError> {
        let outlets = self.model.wire_node(name, op, inputs)?;
        outlets
            .first()
            .copied()
            .ok_or_else(|| LowerError::Graph(format_err!("{name} has no output")))
    }
}
