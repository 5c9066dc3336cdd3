//! What models over one trunk have of their own, on a device: the low-rank changes of an adapter, and the tables of relative places that
//! it projects itself. The kernels find it by the sequence of a row, so that many models go in one batch: a batch has for each of its
//! sequences the address of a list, and the list addresses for each matrix and layer. Nothing of this is ever written again, so models
//! come and go beside batches that are under way.

use std::ops::Range;

use mednerd_model::{Adapter, Checkpoint};

use crate::device::{Arg, Device, DeviceError, Kind, Launch, Values};
use crate::lower::{LowerError, Matrix, PlaceTables, ROW_BLOCK};
use crate::scaled::{Activations, Operand, Scaled, Wanted, elements_alone};

/// What a list has for each matrix, in the order of `Change` in `common.cuh`.
const ENTRIES: usize = 5;

/// The most parts that a matrix may have: as many ranks are in one entry.
const PARTS: usize = 3;

/// Ranks of a part are whole multiples of this, as tensor cores take them; those that fill it up are zero.
const RANKS: usize = 16;

/// Parts of a matrix begin at whole multiples of this where tensor cores take them.
const COLUMNS: usize = 32;

/// Rows of a block of the kernels on tensor cores, and its threads where it shrinks; their shared memory, in floats. See there.
const TILE: usize = 64;
const SHRINK_BLOCK: usize = 256;
const SHRINK_SHARED: usize = 8 * 16 * 72;
/// Outputs of a block where it expands, and its threads.
const EXPANDED: usize = 128;
const EXPAND_BLOCK: usize = 128;

/// What a model changes of a matrix: `y = gain * (x W^T + (x D^T) U^T) + b`.
#[derive(Clone, Copy)]
struct Change {
    /// Rows of `D`: those of the matrix's parts, one below the other.
    rank: usize,
    /// Whether there is a gain or a bias.
    finishes: bool,
}

/// What a model has of its own.
pub(crate) struct Own<B> {
    /// By the number of the matrix.
    changes: Vec<Option<Change>>,
    list: B,
    /// What the list points to.
    _low_rank: Option<B>,
    _finishes: Option<B>,
    _places: Vec<Option<PlaceTables<B>>>,
    pub(crate) bytes: u64,
}

/// The changes of a model on their way to the device.
#[derive(Default)]
struct Gathered {
    elements: Vec<f32>,
    floats: Vec<f32>,
    /// By the number of the matrix.
    entries: Vec<Option<Entries>>,
}

struct Entries {
    /// Places among the elements, and among the floats.
    down: usize,
    up: usize,
    gain: Option<usize>,
    bias: Option<usize>,
    ranks: u64,
    change: Change,
}

impl Gathered {
    /// Adds what `adapter` does to `matrix`.
    fn add<B>(
        &mut self,
        checkpoint: &Checkpoint,
        adapter: &Adapter,
        matrix: &Matrix<B>,
    ) -> Result<(), LowerError> {
        let mut changes = Vec::new();
        for part in &matrix.parts {
            changes.push(adapter.low_rank(part)?);
        }
        if changes.iter().all(Option::is_none) {
            self.entries.push(None);
            return Ok(());
        }
        if changes.len() > PARTS {
            let why = "an adapter changes a matrix of more parts than the kernels know";
            return Err(LowerError::Unsupported(why.to_owned()));
        }
        let (down, mut up, mut ranks, mut all) = (self.elements.len(), Vec::new(), 0, 0);
        let (mut gain, mut bias) = (vec![1.0; matrix.outputs], vec![0.0; matrix.outputs]);
        let (mut has_gain, mut has_bias, mut output) = (false, false, 0);
        for (number, (part, change)) in matrix.parts.iter().zip(&changes).enumerate() {
            let outputs = output..output + part.outputs;
            output = outputs.end;
            let Some(change) = change else { continue };
            let rank = change.rank.next_multiple_of(RANKS);
            let packed = u16::try_from(rank)
                .map_err(|_| LowerError::Unsupported(format!("an adapter's rank of {}", change.rank)))?;
            ranks |= u64::from(packed) << (16 * number);
            all += rank;
            self.elements.extend_from_slice(&change.down);
            let filled = self.elements.len() + (rank - change.rank) * part.inputs;
            self.elements.resize(filled, 0.0);
            for row in change.up.chunks_exact(change.rank) {
                let end = up.len() + rank;
                up.extend_from_slice(row);
                up.resize(end, 0.0);
            }
            if change.magnitude.is_some() {
                let shape = [part.outputs, part.inputs];
                let weight = match adapter.replaces(&part.weight) {
                    true => adapter.read(&part.weight, &shape)?,
                    false => checkpoint.weights().read(&part.weight, &shape)?,
                };
                if let (Some(values), Some(gain)) =
                    (change.gain(&weight, part.inputs), gain.get_mut(outputs.clone()))
                {
                    gain.copy_from_slice(&values);
                    has_gain = true;
                }
            }
            if let (Some(values), Some(bias)) = (&change.bias, bias.get_mut(outputs)) {
                bias.copy_from_slice(values);
                has_bias = true;
            }
        }
        let mut floats = |wanted: bool, values: &[f32]| {
            let place = self.floats.len();
            wanted.then(|| self.floats.extend_from_slice(values)).map(|()| {
                // As the kernels read four at once.
                self.floats.resize(self.floats.len().next_multiple_of(4), 0.0);
                place
            })
        };
        let (gain, bias) = (floats(has_gain, &gain), floats(has_bias, &bias));
        // Ranks being what they are, it begins where 16 bytes do, and so does the next.
        let begin = self.elements.len();
        self.elements.append(&mut up);
        self.entries.push(Some(Entries {
            down,
            up: begin,
            gain,
            bias,
            ranks,
            change: Change {
                rank: all,
                finishes: has_gain || has_bias,
            },
        }));
        Ok(())
    }
}

impl<B> Own<B> {
    /// What `adapter` does to these matrices, and these tables, layer by layer.
    pub(crate) fn new<D: Device<Buffer = B>>(
        device: &D,
        adapter: Option<(&Checkpoint, &Adapter)>,
        matrices: &[&Matrix<B>],
        places: Vec<Option<PlaceTables<B>>>,
    ) -> Result<Self, LowerError> {
        let mut gathered = Gathered::default();
        for matrix in matrices {
            match adapter {
                Some((checkpoint, adapter)) => gathered.add(checkpoint, adapter, matrix)?,
                None => gathered.entries.push(None),
            }
        }
        let upload =
            |values: Values<'_>, count: usize| (count > 0).then(|| device.upload(values)).transpose();
        let low_rank = upload(Values::Elements(&gathered.elements), gathered.elements.len())?;
        let finishes = upload(Values::Floats(&gathered.floats), gathered.floats.len())?;
        let address = |buffer: &Option<B>| buffer.as_ref().map_or(Ok(0), |buffer| device.address(buffer));
        let (elements, floats) = (address(&low_rank)?, address(&finishes)?);
        let element = device.precision().bytes();
        let mut list = Vec::new();
        for entries in &gathered.entries {
            list.extend(entries.as_ref().map_or([0; ENTRIES], |entries| {
                let float = |place: Option<usize>| place.map_or(0, |place| floats + 4 * place as u64);
                [
                    elements + element * entries.down as u64,
                    elements + element * entries.up as u64,
                    float(entries.gain),
                    float(entries.bias),
                    entries.ranks,
                ]
            }));
        }
        for tables in &places {
            for table in [
                tables.as_ref().and_then(|tables| tables.keys.as_ref()),
                tables.as_ref().and_then(|tables| tables.queries.as_ref()),
            ] {
                list.push(table.map_or(Ok(0), |table| device.address(table))?);
            }
        }
        Ok(Self {
            changes: gathered
                .entries
                .iter()
                .map(|entries| entries.as_ref().map(|entries| entries.change))
                .collect(),
            bytes: element * gathered.elements.len() as u64
                + 4 * gathered.floats.len() as u64
                + 8 * list.len() as u64,
            list: device.upload(Values::Addresses(&list))?,
            _low_rank: low_rank,
            _finishes: finishes,
            _places: places,
        })
    }

    /// What a batch tells the kernels of it.
    pub(crate) fn address<D: Device<Buffer = B>>(&self, device: &D) -> Result<u64, DeviceError> {
        device.address(&self.list)
    }

    /// The numbers of the matrices that it changes.
    pub(crate) fn changed(&self) -> impl Iterator<Item = usize> {
        let changes = self.changes.iter().enumerate();
        changes
            .filter(|(_, change)| change.is_some())
            .map(|(number, _)| number)
    }

    fn change(&self, matrix: usize) -> Option<Change> {
        self.changes.get(matrix).copied().flatten()
    }

    /// Where in the list the tables of a layer are.
    pub(crate) fn entry_of_places(&self, layer: usize) -> usize {
        ENTRIES * self.changes.len() + 2 * layer
    }
}

/// What one model has of its own, for rows that are all its.
pub(crate) struct Alone<B> {
    pub(crate) own: Own<B>,
    models: B,
}

impl<B> Alone<B> {
    /// `None` where it changes nothing.
    pub(crate) fn new<D: Device<Buffer = B>>(
        device: &D,
        adapter: Option<(&Checkpoint, &Adapter)>,
        matrices: &[&Matrix<B>],
    ) -> Result<Option<Self>, LowerError> {
        let own = Own::new(device, adapter, matrices, Vec::new())?;
        if own.changed().next().is_none() {
            return Ok(None);
        }
        let models = device.upload(Values::Addresses(&[own.address(device)?]))?;
        Ok(Some(Self { own, models }))
    }

    /// What it changes of a matrix.
    pub(crate) fn changed(&self, matrix: usize) -> Option<Changed<'_, B>> {
        Changed::of(
            std::iter::once(&self.own),
            matrix,
            Arg::Buffer(Some(&self.models)),
            Sequences::One,
        )
    }
}

/// The sequences of the rows of a product.
pub(crate) enum Sequences<'a, B> {
    /// All are of the first.
    One,
    /// A batch has the sequence of each row from an element on; where attention's blocks have as many rows as those of the kernels on
    /// tensor cores, it has so many blocks, and where their numbers begin and the sequences' starts.
    Many {
        batch: &'a B,
        of_rows: usize,
        tiles: Option<(usize, usize, usize)>,
    },
}

impl<B> Clone for Sequences<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Sequences<'_, B> {}

/// What the models of a product's rows change of it.
pub(crate) struct Changed<'a, B> {
    models: Arg<'a, B>,
    sequences: Sequences<'a, B>,
    entry: usize,
    rank: usize,
    finishes: bool,
}

impl<B> Clone for Changed<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Changed<'_, B> {}

impl<'a, B> Changed<'a, B> {
    /// `None` where none of `owns` changes this matrix. `models` are the addresses of their lists, by sequence.
    pub(crate) fn of<'o>(
        owns: impl Iterator<Item = &'o Own<B>>,
        matrix: usize,
        models: Arg<'a, B>,
        sequences: Sequences<'a, B>,
    ) -> Option<Self>
    where
        B: 'o,
    {
        let changes = owns.filter_map(|own| own.change(matrix));
        let all = changes.reduce(|one, other| Change {
            rank: one.rank.max(other.rank),
            finishes: one.finishes || other.finishes,
        })?;
        Some(Self {
            models,
            sequences,
            entry: ENTRIES * matrix,
            rank: all.rank,
            finishes: all.finishes,
        })
    }

    /// The sequence of each row.
    fn rows(&self) -> Arg<'a, B> {
        match self.sequences {
            Sequences::One => Arg::Buffer(None),
            Sequences::Many { batch, of_rows, .. } => Arg::At(batch, of_rows),
        }
    }
}

impl<B> Matrix<B> {
    /// The product of some rows of `x`, with what their models change of it.
    /// With an `activation` (0 is none) the product is finished; without, the bias may be left to whoever comes next, and
    /// is given back then.
    pub(crate) fn apply<'x, D: Device<Buffer = B>>(
        &self,
        device: &D,
        x: impl Into<Operand<'x, B>>,
        rows: Range<usize>,
        changed: Option<Changed<'_, B>>,
        activation: Option<usize>,
    ) -> Result<(B, Option<&B>), DeviceError>
    where
        B: 'x,
    {
        let count = rows.len();
        let y = self.product(device, x.into(), &rows, changed)?;
        let finishes = changed.is_some_and(|changed| changed.finishes);
        let bias = self.bias.as_deref();
        match activation {
            None if !finishes => return Ok((y, bias)),
            Some(0) if !finishes && bias.is_none() => return Ok((y, None)),
            _ => {}
        }
        let activation = activation.unwrap_or(0);
        let out = elements_alone(&y);
        self.finish(device, ("finish", 0), &y, changed, &out, count, activation)?;
        Ok((y, None))
    }

    /// As [`Self::apply`] of all of so many rows, finished in the form that the next product wants.
    pub(crate) fn activate<D: Device<Buffer = B>>(
        &self,
        device: &D,
        x: Operand<'_, B>,
        rows: usize,
        changed: Option<Changed<'_, B>>,
        activation: usize,
        wanted: Wanted,
    ) -> Result<Activations<B>, DeviceError> {
        let y = self.product(device, x, &(0..rows), changed)?;
        let mut out = Activations::allocate(
            device,
            rows,
            self.outputs,
            Wanted {
                elements: false,
                ..wanted
            },
        )?;
        let [_, values, scales] = out.arguments();
        let to = [Arg::Buffer(wanted.elements.then_some(&y)), values, scales];
        let kernel = ("finish", out.shared(self.outputs));
        self.finish(device, kernel, &y, changed, &to, rows, activation)?;
        out.elements = wanted.elements.then_some(y);
        Ok(out)
    }

    /// As [`Self::apply`], finished to floats that there is room for from an element of `out` on.
    pub(crate) fn apply_to_floats<D: Device<Buffer = B>>(
        &self,
        device: &D,
        x: &B,
        rows: Range<usize>,
        changed: Option<Changed<'_, B>>,
        (out, first): (&B, usize),
    ) -> Result<(), DeviceError> {
        let count = rows.len();
        let y = self.product(device, x.into(), &rows, changed)?;
        self.finish(
            device,
            ("logits", 0),
            &y,
            changed,
            &[Arg::At(out, first)],
            count,
            0,
        )
    }

    /// The first outputs of the second part and of the third.
    fn parts(&self) -> (usize, usize) {
        let mut ends = self.parts.iter().scan(0, |end, part| {
            *end += part.outputs;
            Some(*end)
        });
        let mut next = || ends.next().unwrap_or(self.outputs);
        (next(), next())
    }

    /// The product of some rows of `x`, with the low-rank changes of their models, not finished yet.
    fn product<D: Device<Buffer = B>>(
        &self,
        device: &D,
        x: Operand<'_, B>,
        rows: &Range<usize>,
        changed: Option<Changed<'_, B>>,
    ) -> Result<B, DeviceError> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let y = match &self.scales {
            None => device.product(x.elements()?, rows.clone(), &self.weight, inputs, outputs)?,
            Some(scales) => {
                let weight = [&*self.weight, &**scales];
                let made = match x.scaled {
                    Some(_) => None,
                    None => Some(Scaled::of(
                        device,
                        (x.elements()?, rows.start),
                        rows.len(),
                        inputs,
                    )?),
                };
                let x = x.scaled.or(made.as_ref());
                let x = x.ok_or_else(|| DeviceError::Failed("a product has no rows".to_owned()))?;
                device.scaled_product([&x.values, &x.scales], rows.len(), weight, inputs, outputs)?
            }
        };
        let Some(changed) = changed else { return Ok(y) };
        let Changed {
            models, entry, rank, ..
        } = changed;
        let middle = device.allocate(Kind::Elements, rows.len() * rank)?;
        let (second, third) = self.parts();
        let in_columns = [self.inputs, second, third, self.outputs];
        let tiles = match changed.sequences {
            _ if !device.tensor_cores() || in_columns.iter().any(|column| column % COLUMNS != 0) => None,
            Sequences::One => Some((rows.len().div_ceil(TILE), [Arg::Buffer(None), Arg::Buffer(None)])),
            Sequences::Many { batch, tiles, .. } => {
                tiles.map(|(count, tile, starts)| (count, [Arg::At(batch, tile), Arg::At(batch, starts)]))
            }
        };
        let from = Arg::At(x.elements()?, rows.start * self.inputs);
        let (middle, y_there) = (Arg::Buffer(Some(&middle)), Arg::Buffer(Some(&y)));
        let (inputs, outputs, entry) = (Arg::Int(self.inputs), Arg::Int(self.outputs), Arg::Int(entry));
        let (rank, ends) = (Arg::Int(rank), [Arg::Int(second), Arg::Int(third)]);
        let Some((count, [tile, starts])) = tiles else {
            let launch = Launch {
                grid: (rows.len(), 1),
                block: ROW_BLOCK,
                shared: 0,
            };
            let of_rows = changed.rows();
            let arguments = [from, models, of_rows, middle, entry, inputs, rank];
            device.launch("lora_shrink", launch, &arguments)?;
            let [second, third] = ends;
            let arguments = [
                middle, models, of_rows, y_there, entry, outputs, rank, second, third,
            ];
            device.launch("lora_expand", launch, &arguments)?;
            return Ok(y);
        };
        let all = Arg::Int(rows.len());
        let shrink = Launch {
            grid: (count, TILE / 16),
            block: SHRINK_BLOCK,
            shared: SHRINK_SHARED,
        };
        let arguments = [from, models, tile, starts, middle, all, entry, inputs, rank];
        device.launch("lora_shrink_tensor", shrink, &arguments)?;
        let expand = Launch {
            grid: (count, self.outputs.div_ceil(EXPANDED)),
            block: EXPAND_BLOCK,
            shared: 0,
        };
        let [second, third] = ends;
        let arguments = [
            middle, models, tile, starts, y_there, all, entry, outputs, rank, second, third,
        ];
        device.launch("lora_expand_tensor", expand, &arguments)?;
        Ok(y)
    }

    #[allow(clippy::too_many_arguments)]
    fn finish<D: Device<Buffer = B>>(
        &self,
        device: &D,
        (kernel, shared): (&str, usize),
        y: &B,
        changed: Option<Changed<'_, B>>,
        out: &[Arg<'_, B>],
        rows: usize,
        activation: usize,
    ) -> Result<(), DeviceError> {
        let launch = Launch {
            grid: (rows, 1),
            block: ROW_BLOCK,
            shared,
        };
        let changed = changed.filter(|changed| changed.finishes);
        let nothing = || Arg::Buffer(None);
        let mut arguments = vec![
            Arg::Buffer(Some(y)),
            Arg::Buffer(self.bias.as_deref()),
            changed.map_or_else(nothing, |changed| changed.models),
            changed.map_or_else(nothing, |changed| changed.rows()),
        ];
        arguments.extend_from_slice(out);
        arguments.extend([
            Arg::Int(changed.map_or(0, |changed| changed.entry)),
            Arg::Int(self.outputs),
            Arg::Int(activation),
        ]);
        device.launch(kernel, launch, &arguments)
    }
}
