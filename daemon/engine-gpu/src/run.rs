//! A batch on its way through a trunk, layer by layer, and through the heads of its models.

use std::ops::Range;

use mednerd_model::{Adapter, NormPlacement};

use crate::changes::{Changed, Own, Sequences};
use crate::device::{Arg, Device, DeviceError, Kind, Launch};
use crate::lower::{
    AttentionWeights, EmbeddingWeights, HeadWeights, LAYER_MATRICES, LayerWeights, LowerError, Lowering,
    Matrix, NormWeights, ROW_BLOCK, TrunkWeights, attention_shared,
};
use crate::pack::{Packed, Stage, TENSOR_QUERIES};
use crate::scaled::{Activations, Operand, Wanted, elements_alone};

/// Threads of a block of the attention kernels.
const ATTENTION_BLOCK: usize = 128;

/// Bytes of shared memory that a chip takes for each block.
const SHARED_OF_SYSTEM: usize = 1 << 10;

/// What an adapter has of its own in a trunk.
pub(crate) struct Adapted<B> {
    pub(crate) own: Own<B>,
    /// The first layer that it changes; as many as there are, where it changes none.
    pub(crate) first: usize,
}

impl<B> TrunkWeights<B> {
    /// What a model has that is the trunk as it is.
    pub(crate) fn own<D: Device<Buffer = B>>(&self, device: &D) -> Result<Own<B>, LowerError> {
        let places = self.layers.iter().map(|layer| {
            let relative = layer.attention.relative.as_ref();
            relative.map(|relative| relative.tables.clone())
        });
        Own::new(device, None, &self.matrices(), places.collect())
    }

    /// What an adapter has; the trunk's tensors are the base's or, where it brings any, the adapter's.
    pub(crate) fn adapt<D: Device<Buffer = B>>(
        &self,
        lowering: &mut Lowering<'_, D>,
        adapter: &Adapter,
    ) -> Result<Adapted<B>, LowerError> {
        let (mut places, mut first) = (Vec::new(), self.layers.len());
        for (number, layer) in self.layers.iter().enumerate() {
            let Some(relative) = &layer.attention.relative else {
                places.push(None);
                continue;
            };
            let mut tables = relative.tables.clone();
            let linears = &relative.places;
            for (linear, table) in [
                (&linears.content_to_position, &mut tables.keys),
                (&linears.position_to_content, &mut tables.queries),
            ] {
                let Some(linear) = linear else { continue };
                if adapter.low_rank(linear)?.is_some() {
                    *table = lowering.place_table(linears, Some(linear), true)?;
                    first = first.min(number);
                }
            }
            places.push(Some(tables));
        }
        let adapter = Some((lowering.checkpoint, adapter));
        let own = Own::new(lowering.device, adapter, &self.matrices(), places)?;
        let layers = own.changed().map(|matrix| self.layer_of(matrix));
        Ok(Adapted {
            first: layers.chain([first]).min().unwrap_or(first),
            own,
        })
    }

    /// The last hidden states of a batch, whose numbers are in `batch`, for models that have these of their own: rows of `hidden`
    /// elements, those of its last stage.
    pub(crate) fn forward<D: Device<Buffer = B>>(
        &self,
        device: &D,
        owns: &[&Own<B>],
        packed: &Packed,
        batch: &B,
    ) -> Result<B, DeviceError> {
        let mut x: Option<B> = None;
        let ends = packed.stages.iter().skip(1).map(|stage| stage.layer);
        for (stage, end) in packed.stages.iter().zip(ends.chain([self.layers.len()])) {
            let run = Run {
                device,
                stage,
                batch,
                owns,
                hidden: self.hidden,
                context: self.context,
                queries: self.queries,
            };
            let rows = match x.take() {
                Some(before) => run.branch(&before)?,
                None => run.embed(&self.embeddings)?,
            };
            let mut rows = Activations::from(rows);
            for (index, layer) in self.layers.iter().enumerate().take(end).skip(stage.layer) {
                let next = self.layers.get(index + 1).filter(|_| index + 1 < end);
                rows = run.layer(layer, next, index, self.first_matrix(index), rows)?;
            }
            x = rows.elements;
        }
        x.ok_or_else(|| DeviceError::Failed("a batch of nothing".to_owned()))
    }
}

/// One stage of a batch in one trunk.
struct Run<'a, D: Device> {
    device: &'a D,
    stage: &'a Stage,
    batch: &'a D::Buffer,
    owns: &'a [&'a Own<D::Buffer>],
    hidden: usize,
    context: usize,
    queries: usize,
}

type Made<B> = Result<B, DeviceError>;

impl<D: Device> Run<'_, D> {
    fn rows(&self, block: usize, shared: usize) -> Launch {
        Launch {
            grid: (self.stage.tokens, 1),
            block,
            shared,
        }
    }

    fn elements(&self, columns: usize) -> Made<D::Buffer> {
        self.device.allocate(Kind::Elements, self.stage.tokens * columns)
    }

    /// What the models of the batch change of a matrix.
    fn changed(&self, matrix: usize) -> Option<Changed<'_, D::Buffer>> {
        let stage = self.stage;
        let tiles = (self.queries == TENSOR_QUERIES).then_some((stage.tiles, stage.tile, stage.starts));
        let sequences = Sequences::Many {
            batch: self.batch,
            of_rows: stage.sequences,
            tiles,
        };
        Changed::of(
            self.owns.iter().copied(),
            matrix,
            self.at(stage.models),
            sequences,
        )
    }

    fn all(&self) -> Range<usize> {
        0..self.stage.tokens
    }

    fn at(&self, begin: usize) -> Arg<'_, D::Buffer> {
        Arg::At(self.batch, begin)
    }

    fn embed(&self, weights: &EmbeddingWeights<D::Buffer>) -> Made<D::Buffer> {
        // A norm of the hidden width waits for the projection.
        let first = weights
            .norm
            .as_ref()
            .filter(|_| !matches!(weights.projection, Some((_, true))));
        let x = self.gather(&weights.words, weights.rows.as_deref(), first, weights.width)?;
        let Some((matrix, before)) = &weights.projection else {
            return Ok(x);
        };
        let (y, shift) = self.matrix(matrix, 0, &x, None)?;
        match weights.norm.as_ref().filter(|_| *before) {
            Some(norm) => {
                let rows = self.elements(self.hidden)?;
                self.normalise(norm, (&y, shift, None), elements_alone(&rows))?;
                Ok(rows)
            }
            None => self.add(&y, shift, None),
        }
    }

    /// The rows of this stage, from those of the stage before.
    fn branch(&self, before: &D::Buffer) -> Made<D::Buffer> {
        self.gather(before, None, None, self.hidden)
    }

    /// `norm(words[ids] + rows[rows])`, rows of `width`.
    fn gather(
        &self,
        words: &D::Buffer,
        rows: Option<&D::Buffer>,
        norm: Option<&NormWeights<D::Buffer>>,
        width: usize,
    ) -> Made<D::Buffer> {
        let out = self.elements(width)?;
        let indices = (self.batch, self.stage.ids, self.stage.rows);
        let size = (self.stage.tokens, width);
        gather(self.device, indices, (words, rows), norm, (&out, 0), size)?;
        Ok(out)
    }

    /// `norm(x + shift + residual)`, in the forms that `out` has.
    fn normalise(
        &self,
        norm: &NormWeights<D::Buffer>,
        (x, shift, residual): (&D::Buffer, Option<&D::Buffer>, Option<&D::Buffer>),
        out: [Arg<'_, D::Buffer>; 3],
    ) -> Made<()> {
        let rows = self.stage.tokens;
        norm.launch(self.device, (x, 0), shift, residual, None, out, rows, self.hidden)
    }

    /// In which form a product reads its rows; low-rank changes of it read elements.
    fn wanted(&self, matrix: &Matrix<D::Buffer>, number: usize) -> Wanted {
        let scaled = matrix.scales.is_some();
        Wanted {
            elements: !scaled || self.changed(number).is_some(),
            scaled,
        }
    }

    /// Room for rows that this product reads, and others as elements where `kept`.
    fn room(&self, matrix: &Matrix<D::Buffer>, number: usize, kept: bool) -> Made<Activations<D::Buffer>> {
        let wanted = self.wanted(matrix, number);
        let wanted = Wanted {
            elements: wanted.elements || kept,
            ..wanted
        };
        Activations::allocate(self.device, self.stage.tokens, matrix.inputs, wanted)
    }

    /// `x + shift + residual`
    fn add(&self, x: &D::Buffer, shift: Option<&D::Buffer>, residual: Option<&D::Buffer>) -> Made<D::Buffer> {
        let out = self.elements(self.hidden)?;
        let arguments = [
            Arg::Buffer(Some(x)),
            Arg::Buffer(shift),
            Arg::Buffer(residual),
            Arg::Buffer(None),
            Arg::Buffer(None),
            Arg::Buffer(None),
            Arg::Buffer(Some(&out)),
            Arg::Buffer(None),
            Arg::Buffer(None),
            Arg::Int(self.hidden),
            Arg::Float(0.0),
            Arg::Int(0),
        ];
        self.device
            .launch("add_norm", self.rows(ROW_BLOCK, 32 + self.hidden), &arguments)?;
        Ok(out)
    }

    /// The layer whose first matrix has this number; its rows in the forms that the next layer reads, where it reads them as they are.
    fn layer(
        &self,
        layer: &LayerWeights<D::Buffer>,
        next: Option<&LayerWeights<D::Buffer>>,
        index: usize,
        number: usize,
        rows: Activations<D::Buffer>,
    ) -> Made<Activations<D::Buffer>> {
        let attention_norm = layer.attention_norm.as_ref();
        let norm = &layer.feed_forward_norm;
        let (of_attention, feed_forward) = (&layer.attention, &layer.feed_forward);
        let x = rows.operand().elements()?;
        let out = match layer.placement {
            NormPlacement::Post => {
                let attended = self.attend(of_attention, index, number, rows.operand())?;
                let (y, shift) = self.matrix(&of_attention.output, number + 1, &attended, None)?;
                let middle = match attention_norm {
                    Some(norm) => {
                        let middle = self.room(&feed_forward.up, number + 2, true)?;
                        self.normalise(norm, (&y, shift, Some(x)), middle.arguments())?;
                        middle
                    }
                    None => self.add(&y, shift, Some(x))?.into(),
                };
                let inner = self.feed(layer, number, middle.operand())?;
                let (y, shift) = self.matrix(&feed_forward.down, number + 3, inner.operand(), None)?;
                let next =
                    next.filter(|next| next.placement == NormPlacement::Post && layer.convolution.is_none());
                let out = match next {
                    Some(next) => self.room(&next.attention.qkv, number + LAYER_MATRICES, true)?,
                    None => self.elements(self.hidden)?.into(),
                };
                let residual = Some(middle.operand().elements()?);
                self.normalise(norm, (&y, shift, residual), out.arguments())?;
                out
            }
            NormPlacement::Pre => {
                let normal = match attention_norm {
                    Some(norm) => {
                        let normal = self.room(&of_attention.qkv, number, false)?;
                        self.normalise(norm, (x, None, None), normal.arguments())?;
                        Some(normal)
                    }
                    None => None,
                };
                let normal = normal.as_ref().unwrap_or(&rows);
                let attended = self.attend(of_attention, index, number, normal.operand())?;
                let (y, shift) = self.matrix(&of_attention.output, number + 1, &attended, None)?;
                let middle = self.elements(self.hidden)?;
                let normal = self.room(&feed_forward.up, number + 2, false)?;
                let (sum, out) = (Some(&middle), normal.arguments());
                let tokens = self.stage.tokens;
                norm.launch(
                    self.device,
                    (&y, 0),
                    shift,
                    Some(x),
                    sum,
                    out,
                    tokens,
                    self.hidden,
                )?;
                let inner = self.feed(layer, number, normal.operand())?;
                let (y, shift) = self.matrix(&feed_forward.down, number + 3, inner.operand(), None)?;
                self.add(&y, shift, Some(&middle))?.into()
            }
        };
        let Some(convolution) = &layer.convolution else {
            return Ok(out);
        };
        let unfolded = self.elements(convolution.matrix.inputs)?;
        let arguments = [
            Arg::Buffer(Some(x)),
            self.at(self.stage.places),
            self.at(self.stage.sequences),
            self.at(self.stage.starts),
            Arg::Buffer(Some(&unfolded)),
            Arg::Int(convolution.width),
            Arg::Int(convolution.kernel),
        ];
        self.device
            .launch("unfold", self.rows(ROW_BLOCK, 0), &arguments)?;
        let activation = Some(convolution.activation);
        let matrix = &convolution.matrix;
        let (convolved, _) = matrix.apply(self.device, &unfolded, self.all(), None, activation)?;
        let sum = self.elements(self.hidden)?;
        let residual = Some(out.operand().elements()?);
        self.normalise(
            &convolution.norm,
            (&convolved, None, residual),
            elements_alone(&sum),
        )?;
        Ok(sum.into())
    }

    fn matrix<'m, 'x>(
        &self,
        matrix: &'m Matrix<D::Buffer>,
        number: usize,
        x: impl Into<Operand<'x, D::Buffer>>,
        activation: Option<usize>,
    ) -> Made<(D::Buffer, Option<&'m D::Buffer>)>
    where
        D::Buffer: 'x,
    {
        matrix.apply(self.device, x, self.all(), self.changed(number), activation)
    }

    /// What the feed-forward part has between its matrices.
    fn feed(
        &self,
        layer: &LayerWeights<D::Buffer>,
        number: usize,
        x: Operand<'_, D::Buffer>,
    ) -> Made<Activations<D::Buffer>> {
        let feed_forward = &layer.feed_forward;
        if !feed_forward.gated {
            let wanted = self.wanted(&feed_forward.down, number + 3);
            let (changed, activation) = (self.changed(number + 2), feed_forward.activation);
            let rows = self.stage.tokens;
            return feed_forward
                .up
                .activate(self.device, x, rows, changed, activation, wanted);
        }
        let (y, shift) = self.matrix(&feed_forward.up, number + 2, x, None)?;
        let width = feed_forward.down.inputs;
        let out = self.room(&feed_forward.down, number + 3, false)?;
        let [elements, values, scales] = out.arguments();
        let arguments = [
            Arg::Buffer(Some(&y)),
            Arg::Buffer(shift),
            elements,
            values,
            scales,
            Arg::Int(width),
            Arg::Int(feed_forward.activation),
        ];
        self.device
            .launch("gate", self.rows(ROW_BLOCK, out.shared(width)), &arguments)?;
        Ok(out)
    }

    fn attend(
        &self,
        attention: &AttentionWeights<D::Buffer>,
        layer: usize,
        number: usize,
        x: Operand<'_, D::Buffer>,
    ) -> Made<D::Buffer> {
        let (heads, kv_heads, width) = (attention.heads, attention.kv_heads, attention.width);
        // What turns must have its bias before.
        let finished = attention.turns.is_some().then_some(0);
        let (qkv, shift) = self.matrix(&attention.qkv, number, x, finished)?;
        if let Some(turns) = &attention.turns {
            let arguments = [
                Arg::Buffer(Some(&qkv)),
                self.at(self.stage.places),
                Arg::Buffer(Some(&turns.cosines)),
                Arg::Buffer(Some(&turns.sines)),
                Arg::Int((heads + 2 * kv_heads) * width),
                Arg::Int(heads + kv_heads),
                Arg::Int(width),
            ];
            self.device
                .launch("rotate", self.rows(ROW_BLOCK, 0), &arguments)?;
        }
        let out = self.elements(heads * width)?;
        let relative = attention.relative.as_ref();
        let reach = attention
            .reach
            .map_or(-1, |reach| i32::try_from(reach).unwrap_or(i32::MAX / 2));
        let mut arguments = vec![
            Arg::Buffer(Some(&qkv)),
            Arg::Buffer(shift),
            Arg::Buffer(Some(&out)),
            self.at(self.stage.tile),
            self.at(self.stage.starts),
            Arg::Int(heads),
            Arg::Int(kv_heads),
        ];
        let (scale, reach) = (Arg::Float(attention.scale), Arg::Signed(reach));
        let of_places = |columns| {
            [
                columns,
                Arg::Int(self.context),
                self.at(self.stage.models),
                Arg::Int(self.owns.first().map_or(0, |own| own.entry_of_places(layer))),
            ]
        };
        let columns = relative.map(|relative| &*relative.columns);
        let tensor = attention.tensor.filter(|_| self.queries == TENSOR_QUERIES);
        let (kernel, launch) = if let Some([many, few]) = tensor {
            arguments.extend([scale, reach]);
            if let Some(columns) = columns {
                arguments.extend(of_places(Arg::Buffer(Some(columns))));
            }
            // Fewer warps read less, but are too few where there is room for more of them.
            let (count, room) = self.device.multiprocessors();
            let blocks = room / (4 * many.shared + SHARED_OF_SYSTEM);
            let fills = blocks >= 3 && self.stage.tiles * heads > 2 * count;
            let kernel = if fills { many } else { few };
            if kernel.warpgroups.is_some() {
                arguments.push(Arg::Int(self.stage.tiles));
            }
            (kernel.name, kernel.launch(self.stage.tiles, heads))
        } else {
            arguments.extend([Arg::Int(width), scale, reach, Arg::Int(attention.key_tile)]);
            arguments.extend(of_places(Arg::Buffer(columns)));
            let shared = attention_shared(width, attention.key_tile, relative.is_some());
            let launch = Launch {
                grid: (self.stage.tiles, heads),
                block: ATTENTION_BLOCK,
                shared,
            };
            ("attend", launch)
        };
        self.device.launch(kernel, launch, &arguments)?;
        Ok(out)
    }
}

/// `out = norm(words[ids] + table[rows])`, from an element on: as many rows of `width` as the size says; ids and rows begin at these places
/// of the indices.
pub(crate) fn gather<D: Device>(
    device: &D,
    (indices, ids, rows): (&D::Buffer, usize, usize),
    (words, table): (&D::Buffer, Option<&D::Buffer>),
    norm: Option<&NormWeights<D::Buffer>>,
    (out, first): (&D::Buffer, usize),
    (count, width): (usize, usize),
) -> Result<(), DeviceError> {
    let arguments = [
        Arg::At(indices, ids),
        Arg::At(indices, rows),
        Arg::Buffer(Some(words)),
        Arg::Buffer(table),
        Arg::Buffer(norm.map(|norm| &*norm.weight)),
        Arg::Buffer(norm.and_then(|norm| norm.bias.as_deref())),
        Arg::At(out, first),
        Arg::Int(width),
        Arg::Float(norm.map_or(0.0, |norm| norm.eps)),
        Arg::Int(norm.map_or(0, |norm| norm.kind)),
    ];
    let launch = Launch {
        grid: (count, 1),
        block: ROW_BLOCK,
        shared: 32 + width,
    };
    device.launch("embed", launch, &arguments)
}

impl<B> HeadWeights<B> {
    /// The logits of some rows, as floats that there is room for from an element of `out` on.
    pub(crate) fn forward<D: Device<Buffer = B>>(
        &self,
        device: &D,
        hidden: &B,
        rows: Range<usize>,
        width: usize,
        out: (&B, usize),
    ) -> Result<(), DeviceError> {
        let count = rows.len();
        let changed = |matrix| self.changes.as_ref().and_then(|alone| alone.changed(matrix));
        let (mut x, mut range) = (None, rows.clone());
        if let Some(norm) = &self.final_norm {
            let out = norm.normal(device, (hidden, rows.start * width), count, width)?;
            (x, range) = (Some(out), 0..count);
        }
        if let Some(dense) = &self.dense {
            let from = x.as_ref().unwrap_or(hidden);
            let (y, _) = dense
                .matrix
                .apply(device, from, range, changed(1), Some(dense.activation))?;
            let columns = dense.matrix.outputs;
            let out = dense.norm.normal(device, (&y, 0), count, columns)?;
            (x, range) = (Some(out), 0..count);
        }
        let from = x.as_ref().unwrap_or(hidden);
        self.classifier
            .apply_to_floats(device, from, range, changed(0), out)
    }
}
