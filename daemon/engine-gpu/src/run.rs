//! A batch on its way through a trunk, layer by layer, and through the heads of its models.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use mednerd_model::{Adapter, Checkpoint, NormPlacement};

use crate::changes::{Change, Slots, Table};
use crate::device::{Arg, Device, DeviceError, Kind, Launch, Values};
use crate::lower::{
    AttentionWeights, EmbeddingWeights, HeadWeights, LayerWeights, LowerError, Lowering, NormWeights,
    PlaceTables, ROW_BLOCK, TrunkWeights, attention_shared, tensor_shared,
};
use crate::pack::{Packed, Stage, TENSOR_QUERIES};

/// Threads of a block of the attention kernels.
const ATTENTION_BLOCK: usize = 128;

/// What one adapter changes of a trunk.
pub(crate) struct Changes<B> {
    /// By the number of the matrix.
    matrices: HashMap<usize, Change<B>>,
    /// By the number of the layer.
    places: HashMap<usize, PlaceTables<B>>,
    /// The first layer that it changes; as many as there are, where it changes none.
    pub(crate) first: usize,
    pub(crate) bytes: u64,
}

impl<B> Changes<B> {
    /// Those of an adapter; the trunk's tensors are the base's or, where it has any, the adapter's.
    pub(crate) fn new<D: Device<Buffer = B>>(
        lowering: &mut Lowering<'_, D>,
        weights: &TrunkWeights<B>,
        checkpoint: &Checkpoint,
        adapter: &Adapter,
    ) -> Result<Self, LowerError> {
        let before = lowering.bytes;
        let (mut matrices, mut places, mut bytes) = (HashMap::new(), HashMap::new(), 0);
        for (number, matrix) in weights.matrices().into_iter().enumerate() {
            if let Some(change) = Change::new(lowering.device, checkpoint, adapter, matrix)? {
                bytes += change.bytes;
                matrices.insert(number, change);
            }
        }
        for (number, layer) in weights.layers.iter().enumerate() {
            let Some(relative) = &layer.attention.relative else {
                continue;
            };
            let [keys, queries] = [
                &relative.places.content_to_position,
                &relative.places.position_to_content,
            ];
            let changes = |linear: &Option<mednerd_model::Linear>| match linear {
                Some(linear) => adapter.low_rank(linear).map(|change| change.is_some()),
                None => Ok(false),
            };
            let changed = (changes(keys)?, changes(queries)?);
            if changed == (false, false) {
                continue;
            }
            let mut tables = relative.tables.clone();
            if changed.0 {
                tables.keys = lowering.place_table(&relative.places, keys.as_ref(), true)?;
            }
            if changed.1 {
                tables.queries = lowering.place_table(&relative.places, queries.as_ref(), true)?;
            }
            places.insert(number, tables);
        }
        let changed = matrices.keys().map(|number| weights.layer_of(*number));
        let first = changed.chain(places.keys().copied()).min();
        Ok(Self {
            first: first.unwrap_or(weights.layers.len()),
            matrices,
            places,
            bytes: bytes + lowering.bytes - before,
        })
    }
}

/// The changes of all slots, as the kernels find them.
pub(crate) struct Tables<B> {
    matrices: Vec<Option<Table<B>>>,
    /// Of each layer with relative places: addresses of its tables of keys and queries, by slot.
    places: Vec<Option<(Option<B>, Option<B>)>>,
    /// What the addresses point to.
    slots: Vec<Option<Arc<Changes<B>>>>,
}

impl<B> Tables<B> {
    fn new<D: Device<Buffer = B>>(
        device: &D,
        weights: &TrunkWeights<B>,
        slots: &[Option<Arc<Changes<B>>>],
    ) -> Result<Self, DeviceError> {
        let mut matrices = Vec::new();
        for number in 0..weights.matrices().len() {
            let changes: Vec<Option<&Change<B>>> = slots
                .iter()
                .map(|slot| slot.as_ref().and_then(|changes| changes.matrices.get(&number)))
                .collect();
            matrices.push(Table::new(device, &changes)?);
        }
        let mut places = Vec::new();
        for (number, layer) in weights.layers.iter().enumerate() {
            let Some(relative) = &layer.attention.relative else {
                places.push(None);
                continue;
            };
            let tables: Vec<&PlaceTables<B>> = slots
                .iter()
                .map(|slot| {
                    let own = slot.as_ref().and_then(|changes| changes.places.get(&number));
                    own.unwrap_or(&relative.tables)
                })
                .collect();
            let addresses = |find: fn(&PlaceTables<B>) -> Option<&Arc<B>>| -> Result<Option<B>, DeviceError> {
                let buffers: Option<Vec<&Arc<B>>> = tables.iter().map(|tables| find(tables)).collect();
                let Some(buffers) = buffers else { return Ok(None) };
                let addresses: Result<Vec<u64>, _> =
                    buffers.into_iter().map(|buffer| device.address(buffer)).collect();
                Ok(Some(device.upload(Values::Addresses(&addresses?))?))
            };
            places.push(Some((
                addresses(|tables| tables.keys.as_ref())?,
                addresses(|tables| tables.queries.as_ref())?,
            )));
        }
        Ok(Self {
            matrices,
            places,
            slots: slots.to_vec(),
        })
    }

    /// Whether this slot still has these changes.
    pub(crate) fn holds(&self, slot: u32, changes: Option<&Arc<Changes<B>>>) -> bool {
        match (self.slots.get(slot as usize), changes) {
            (Some(Some(held)), Some(changes)) => Arc::ptr_eq(held, changes),
            (Some(None), None) => true,
            _ => false,
        }
    }

    fn matrix(&self, number: usize) -> Option<&Table<B>> {
        self.matrices.get(number).and_then(Option::as_ref)
    }
}

/// A trunk on a device, and the adapters that share it. Slot 0 is the trunk as it is.
pub(crate) struct Trunk<B> {
    pub(crate) weights: TrunkWeights<B>,
    slots: Mutex<Vec<Option<Arc<Changes<B>>>>>,
    tables: RwLock<Arc<Tables<B>>>,
}

impl<B> Trunk<B> {
    pub(crate) fn new<D: Device<Buffer = B>>(
        device: &D,
        weights: TrunkWeights<B>,
    ) -> Result<Self, DeviceError> {
        let slots = vec![None];
        Ok(Self {
            tables: RwLock::new(Arc::new(Tables::new(device, &weights, &slots)?)),
            slots: Mutex::new(slots),
            weights,
        })
    }

    /// Gives an adapter a slot.
    pub(crate) fn adopt<D: Device<Buffer = B>>(
        &self,
        device: &D,
        changes: &Arc<Changes<B>>,
    ) -> Result<u32, DeviceError> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let free = slots
            .iter()
            .skip(1)
            .position(Option::is_none)
            .map(|place| place + 1);
        let place = free.unwrap_or_else(|| {
            slots.push(None);
            slots.len() - 1
        });
        let mut new = slots.clone();
        if let Some(slot) = new.get_mut(place) {
            *slot = Some(Arc::clone(changes));
        }
        self.swap(device, &new)?;
        *slots = new;
        Ok(u32::try_from(place).unwrap_or(0))
    }

    /// Frees a slot. Batches under way keep what was there.
    pub(crate) fn abandon<D: Device<Buffer = B>>(&self, device: &D, slot: u32) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = slots.get_mut(slot as usize) {
            *place = None;
        }
        // Where this fails, the tables that are there serve on and keep what they point to.
        let _ = self.swap(device, &slots);
    }

    fn swap<D: Device<Buffer = B>>(
        &self,
        device: &D,
        slots: &[Option<Arc<Changes<B>>>],
    ) -> Result<(), DeviceError> {
        let tables = Arc::new(Tables::new(device, &self.weights, slots)?);
        *self.tables.write().unwrap_or_else(PoisonError::into_inner) = tables;
        Ok(())
    }

    /// The changes as they are now; they stay so for who has them.
    pub(crate) fn tables(&self) -> Arc<Tables<B>> {
        Arc::clone(&self.tables.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The last hidden states of a batch, whose numbers are in `batch`: rows of `hidden` elements, those of its last stage.
    pub(crate) fn forward<D: Device<Buffer = B>>(
        &self,
        device: &D,
        tables: &Tables<B>,
        packed: &Packed,
        batch: &B,
    ) -> Result<B, DeviceError> {
        let mut x: Option<B> = None;
        let ends = packed.stages.iter().skip(1).map(|stage| stage.layer);
        for (stage, end) in packed.stages.iter().zip(ends.chain([self.weights.layers.len()])) {
            let run = Run {
                device,
                stage,
                batch,
                tables,
                hidden: self.weights.hidden,
                context: self.weights.context,
                queries: self.weights.queries,
            };
            let mut rows = match x.take() {
                Some(before) => run.branch(&before)?,
                None => run.embed(&self.weights.embeddings)?,
            };
            let layers = self.weights.layers.iter().enumerate().take(end);
            for (index, layer) in layers.skip(stage.layer) {
                rows = run.layer(layer, index, self.weights.first_matrix(index), rows)?;
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
    tables: &'a Tables<D::Buffer>,
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

    fn slots(&self) -> Slots<'_, D::Buffer> {
        Some((self.batch, self.stage.slots))
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
        gather(self.device, indices, (words, rows), norm, &out, size)?;
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
        let (convolved, _) =
            matrix.apply(self.device, &unfolded, self.all(), None, self.slots(), activation)?;
        self.normalise(&convolution.norm, &convolved, None, Some(&out))
    }

    fn matrix<'m>(
        &self,
        matrix: &'m crate::lower::Matrix<D::Buffer>,
        number: usize,
        x: &D::Buffer,
        activation: Option<usize>,
    ) -> Made<(D::Buffer, Option<&'m D::Buffer>)> {
        let table = self.tables.matrix(number);
        matrix.apply(self.device, x, self.all(), table, self.slots(), activation)
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
        let places = self.tables.places.get(layer).and_then(Option::as_ref);
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
                Arg::Buffer(places.and_then(|(keys, _)| keys.as_ref())),
                Arg::Buffer(places.and_then(|(_, queries)| queries.as_ref())),
                self.at(self.stage.slots),
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

/// Some rows of the last hidden states, after the final norm.
pub(crate) fn states<D: Device>(
    device: &D,
    hidden: &D::Buffer,
    rows: &[u32],
    norm: Option<&NormWeights<D::Buffer>>,
    width: usize,
) -> Made<D::Buffer> {
    let rows_there = device.upload(Values::Indices(rows))?;
    let out = device.allocate(Kind::Elements, rows.len() * width)?;
    gather(
        device,
        (&rows_there, 0, 0),
        (hidden, None),
        norm,
        &out,
        (rows.len(), width),
    )?;
    Ok(out)
}

/// `out = norm(words[ids] + table[rows])`: as many rows of `width` as the size says; ids and rows begin at these places of the indices.
fn gather<D: Device>(
    device: &D,
    (indices, ids, rows): (&D::Buffer, usize, usize),
    (words, table): (&D::Buffer, Option<&D::Buffer>),
    norm: Option<&NormWeights<D::Buffer>>,
    out: &D::Buffer,
    (count, width): (usize, usize),
) -> Result<(), DeviceError> {
    let arguments = [
        Arg::At(indices, ids),
        Arg::At(indices, rows),
        Arg::Buffer(Some(words)),
        Arg::Buffer(table),
        Arg::Buffer(norm.map(|norm| &*norm.weight)),
        Arg::Buffer(norm.and_then(|norm| norm.bias.as_deref())),
        Arg::Buffer(Some(out)),
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
    /// Whether an adapter changes it by ranks, for which the device is told slots each time.
    pub(crate) fn is_changed(&self) -> bool {
        self.classifier_change.is_some() || self.dense.as_ref().is_some_and(|dense| dense.change.is_some())
    }

    /// The logits of some rows, as floats on the device.
    pub(crate) fn forward<D: Device<Buffer = B>>(
        &self,
        device: &D,
        hidden: &B,
        rows: Range<usize>,
        width: usize,
    ) -> Result<B, DeviceError> {
        let count = rows.len();
        // Its changes have one slot.
        let dense_change = self.dense.as_ref().and_then(|dense| dense.change.as_ref());
        let zeros = match self.is_changed() {
            true => Some(device.upload(Values::Indices(&vec![0; count]))?),
            false => None,
        };
        let slots = zeros.as_ref().map(|zeros| (zeros, 0));
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
            let (y, _) =
                dense
                    .matrix
                    .apply(device, from, range, dense_change, slots, Some(dense.activation))?;
            let columns = dense.matrix.outputs;
            let out = device.allocate(Kind::Elements, count * columns)?;
            dense
                .norm
                .launch(device, (&y, 0), None, None, None, Some(&out), count, columns)?;
            (x, range) = (Some(out), 0..count);
        }
        let from = x.as_ref().unwrap_or(hidden);
        let change = self.classifier_change.as_ref();
        self.classifier
            .apply_to_floats(device, from, range, change, slots)
    }
}
