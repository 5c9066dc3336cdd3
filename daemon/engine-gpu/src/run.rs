//! A batch on its way through a trunk, layer by layer, and through the heads of its models.

use std::ops::Range;

use mednerd_model::{Adapter, NormPlacement};

use crate::changes::{Changed, Own, Sequences};
use crate::device::{Arg, Device, DeviceError, Kind, Launch};
use crate::lower::{
    AttentionWeights, EmbeddingWeights, HeadWeights, LayerWeights, LowerError, Lowering, NormWeights,
    ROW_BLOCK, TrunkWeights, attention_shared, tensor_shared,
};
use crate::pack::{Packed, Stage, TENSOR_QUERIES};

/// Threads of a block of the attention kernels.
const ATTENTION_BLOCK: usize = 128;

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
            let mut rows = match x.take() {
                Some(before) => run.branch(&before)?,
                None => run.embed(&self.embeddings)?,
            };
            let layers = self.layers.iter().enumerate().take(end);
            for (index, layer) in layers.skip(stage.layer) {
                rows = run.layer(layer, index, self.first_matrix(index), rows)?;
            }
            x = Some(rows);
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
            Some(norm) => self.normalise(norm, &y, shift, None),
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

    /// `norm(x + shift + residual)`
    fn normalise(
        &self,
        norm: &NormWeights<D::Buffer>,
        x: &D::Buffer,
        shift: Option<&D::Buffer>,
        residual: Option<&D::Buffer>,
    ) -> Made<D::Buffer> {
        let out = self.elements(self.hidden)?;
        let rows = self.stage.tokens;
        norm.launch(
            self.device,
            (x, 0),
            shift,
            residual,
            None,
            Some(&out),
            rows,
            self.hidden,
        )?;
        Ok(out)
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
            Arg::Int(self.hidden),
            Arg::Float(0.0),
            Arg::Int(0),
        ];
        self.device
            .launch("add_norm", self.rows(ROW_BLOCK, 32 + self.hidden), &arguments)?;
        Ok(out)
    }

    fn layer(
        &self,
        layer: &LayerWeights<D::Buffer>,
        index: usize,
        number: usize,
        x: D::Buffer,
    ) -> Made<D::Buffer> {
        let attention_norm = layer.attention_norm.as_ref();
        let norm = &layer.feed_forward_norm;
        let out = match layer.placement {
            NormPlacement::Post => {
                let attended = self.attend(&layer.attention, index, number, &x)?;
                let (y, shift) = self.matrix(&layer.attention.output, number + 1, &attended, None)?;
                let middle = match attention_norm {
                    Some(norm) => self.normalise(norm, &y, shift, Some(&x))?,
                    None => self.add(&y, shift, Some(&x))?,
                };
                let inner = self.feed(layer, number, &middle)?;
                let (y, shift) = self.matrix(&layer.feed_forward.down, number + 3, &inner, None)?;
                self.normalise(norm, &y, shift, Some(&middle))?
            }
            NormPlacement::Pre => {
                let normal = attention_norm
                    .map(|norm| self.normalise(norm, &x, None, None))
                    .transpose()?;
                let attended = self.attend(&layer.attention, index, number, normal.as_ref().unwrap_or(&x))?;
                let (y, shift) = self.matrix(&layer.attention.output, number + 1, &attended, None)?;
                let (middle, normal) = (self.elements(self.hidden)?, self.elements(self.hidden)?);
                let rows = self.stage.tokens;
                let (sum, out) = (Some(&middle), Some(&normal));
                norm.launch(self.device, (&y, 0), shift, Some(&x), sum, out, rows, self.hidden)?;
                let inner = self.feed(layer, number, &normal)?;
                let (y, shift) = self.matrix(&layer.feed_forward.down, number + 3, &inner, None)?;
                self.add(&y, shift, Some(&middle))?
            }
        };
        let Some(convolution) = &layer.convolution else {
            return Ok(out);
        };
        let unfolded = self.elements(convolution.matrix.inputs)?;
        let arguments = [
            Arg::Buffer(Some(&x)),
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
        self.normalise(&convolution.norm, &convolved, None, Some(&out))
    }

    fn matrix<'m>(
        &self,
        matrix: &'m crate::lower::Matrix<D::Buffer>,
        number: usize,
        x: &D::Buffer,
        activation: Option<usize>,
    ) -> Made<(D::Buffer, Option<&'m D::Buffer>)> {
        matrix.apply(self.device, x, self.all(), self.changed(number), activation)
    }

    /// What the feed-forward part has between its matrices.
    fn feed(&self, layer: &LayerWeights<D::Buffer>, number: usize, x: &D::Buffer) -> Made<D::Buffer> {
        let feed_forward = &layer.feed_forward;
        if !feed_forward.gated {
            let activation = Some(feed_forward.activation);
            return Ok(self.matrix(&feed_forward.up, number + 2, x, activation)?.0);
        }
        let (y, shift) = self.matrix(&feed_forward.up, number + 2, x, None)?;
        let width = feed_forward.down.inputs;
        let out = self.elements(width)?;
        let arguments = [
            Arg::Buffer(Some(&y)),
            Arg::Buffer(shift),
            Arg::Buffer(Some(&out)),
            Arg::Int(width),
            Arg::Int(feed_forward.activation),
        ];
        self.device.launch("gate", self.rows(ROW_BLOCK, 0), &arguments)?;
        Ok(out)
    }

    fn attend(
        &self,
        attention: &AttentionWeights<D::Buffer>,
        layer: usize,
        number: usize,
        x: &D::Buffer,
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
        let (kernel, shared) = if let Some(kernel) = tensor {
            arguments.extend([scale, reach]);
            if let Some(columns) = columns {
                arguments.extend(of_places(Arg::At(columns, 2 * self.context - 1)));
            }
            (kernel, tensor_shared(width, relative.is_some()))
        } else {
            arguments.extend([Arg::Int(width), scale, reach, Arg::Int(attention.key_tile)]);
            arguments.extend(of_places(Arg::Buffer(columns)));
            let shared = attention_shared(width, attention.key_tile, relative.is_some());
            ("attend", shared)
        };
        let launch = Launch {
            grid: (self.stage.tiles, heads),
            block: ATTENTION_BLOCK,
            shared,
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
            let out = device.allocate(Kind::Elements, count * width)?;
            norm.launch(
                device,
                (hidden, rows.start * width),
                None,
                None,
                None,
                Some(&out),
                count,
                width,
            )?;
            (x, range) = (Some(out), 0..count);
        }
        if let Some(dense) = &self.dense {
            let from = x.as_ref().unwrap_or(hidden);
            let (y, _) = dense
                .matrix
                .apply(device, from, range, changed(1), Some(dense.activation))?;
            let columns = dense.matrix.outputs;
            let out = device.allocate(Kind::Elements, count * columns)?;
            dense
                .norm
                .launch(device, (&y, 0), None, None, None, Some(&out), count, columns)?;
            (x, range) = (Some(out), 0..count);
        }
        let from = x.as_ref().unwrap_or(hidden);
        self.classifier
            .apply_to_floats(device, from, range, changed(0), out)
    }
}
