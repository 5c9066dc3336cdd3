//! Low-rank changes on a device, and the tables by which the kernels find the change of a row's slot.

use std::ops::Range;

use mednerd_model::{Adapter, Checkpoint};

use crate::device::{Arg, Device, DeviceError, Kind, Launch, Values};
use crate::lower::{LowerError, Matrix, ROW_BLOCK};

/// The slots of rows, from an element of a buffer on; none where nothing depends on them.
pub(crate) type Slots<'a, B> = Option<(&'a B, usize)>;

fn at<B>(slots: Slots<'_, B>) -> Arg<'_, B> {
    slots.map_or(Arg::Buffer(None), |(buffer, first)| Arg::At(buffer, first))
}

/// What an adapter does to linear layers that share their input: `y = gain * (x W^T + (x D^T) U^T) + b`.
pub(crate) struct Change<B> {
    pub(crate) rank: usize,
    /// `[rank, inputs]`, the ranks of all layers one below the other.
    down: B,
    /// `[outputs, rank]`; zero where a layer meets another one's ranks.
    up: B,
    /// One float for each output.
    gain: Option<B>,
    /// One float for each output.
    bias: Option<B>,
    pub(crate) bytes: u64,
}

impl<B> Change<B> {
    /// What `adapter` does to `matrix`; `None` for nothing.
    pub(crate) fn new<D: Device<Buffer = B>>(
        device: &D,
        checkpoint: &Checkpoint,
        adapter: &Adapter,
        matrix: &Matrix<B>,
    ) -> Result<Option<Self>, LowerError> {
        let mut changes = Vec::new();
        for part in &matrix.parts {
            changes.push(adapter.low_rank(part)?);
        }
        let rank: usize = changes.iter().flatten().map(|change| change.rank).sum();
        if rank == 0 {
            return Ok(None);
        }
        let (mut down, mut up) = (Vec::new(), Vec::with_capacity(matrix.outputs * rank));
        let (mut gain, mut bias) = (vec![1.0; matrix.outputs], vec![0.0; matrix.outputs]);
        let (mut has_gain, mut has_bias, mut first, mut output) = (false, false, 0, 0);
        for (part, change) in matrix.parts.iter().zip(&changes) {
            let Some(change) = change else {
                up.resize(up.len() + part.outputs * rank, 0.0);
                output += part.outputs;
                continue;
            };
            down.extend_from_slice(&change.down);
            for row in change.up.chunks_exact(change.rank) {
                let begin = up.len();
                up.resize(begin + first, 0.0);
                up.extend_from_slice(row);
                up.resize(begin + rank, 0.0);
            }
            let outputs = output..output + part.outputs;
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
            first += change.rank;
            output += part.outputs;
        }
        let floats = |wanted: bool, values: &[f32]| {
            let upload = || device.upload(Values::Floats(values));
            wanted.then(upload).transpose()
        };
        Ok(Some(Self {
            rank,
            bytes: 4 * (down.len() + up.len() + gain.len() + bias.len()) as u64,
            down: device.upload(Values::Elements(&down))?,
            up: device.upload(Values::Elements(&up))?,
            gain: floats(has_gain, &gain)?,
            bias: floats(has_bias, &bias)?,
        }))
    }
}

/// The changes of one matrix, by slot.
pub(crate) struct Table<B> {
    downs: B,
    ups: B,
    ranks: B,
    /// Where any slot has gains or biases.
    finish: Option<(B, B)>,
    longest: usize,
    /// The only change, where it belongs to nobody else.
    _own: Option<Change<B>>,
}

impl<B> Table<B> {
    /// `None` where no slot has a change. The changes must outlive the table.
    pub(crate) fn new<D: Device<Buffer = B>>(
        device: &D,
        slots: &[Option<&Change<B>>],
    ) -> Result<Option<Self>, DeviceError> {
        let longest = slots
            .iter()
            .flatten()
            .map(|change| change.rank)
            .max()
            .unwrap_or(0);
        if longest == 0 {
            return Ok(None);
        }
        let addresses = |find: fn(&Change<B>) -> Option<&B>| -> Result<B, DeviceError> {
            let mut addresses = Vec::with_capacity(slots.len());
            for slot in slots {
                let buffer = slot.and_then(find);
                addresses.push(buffer.map_or(Ok(0), |buffer| device.address(buffer))?);
            }
            device.upload(Values::Addresses(&addresses))
        };
        let ranks = slots.iter().map(|slot| slot.map_or(0, |change| change.rank));
        let ranks: Vec<u32> = ranks.map(|rank| u32::try_from(rank).unwrap_or(0)).collect();
        let finishes = slots
            .iter()
            .flatten()
            .any(|change| change.gain.is_some() || change.bias.is_some());
        Ok(Some(Self {
            downs: addresses(|change| Some(&change.down))?,
            ups: addresses(|change| Some(&change.up))?,
            ranks: device.upload(Values::Indices(&ranks))?,
            finish: match finishes {
                true => Some((
                    addresses(|change| change.gain.as_ref())?,
                    addresses(|change| change.bias.as_ref())?,
                )),
                false => None,
            },
            longest,
            _own: None,
        }))
    }

    /// A table with one slot, 0.
    pub(crate) fn owning<D: Device<Buffer = B>>(
        device: &D,
        change: Change<B>,
    ) -> Result<Option<Self>, DeviceError> {
        let table = Self::new(device, &[Some(&change)])?;
        Ok(table.map(|table| Self {
            _own: Some(change),
            ..table
        }))
    }
}

impl<B> Matrix<B> {
    /// The product of some rows of `x`, with the changes of their slots. `slots` are those of the rows, from an element on.
    /// With an `activation` (0 is none) the product is finished; without, the bias may be left to whoever comes next, and
    /// is given back then.
    pub(crate) fn apply<D: Device<Buffer = B>>(
        &self,
        device: &D,
        x: &B,
        rows: Range<usize>,
        table: Option<&Table<B>>,
        slots: Slots<'_, B>,
        activation: Option<usize>,
    ) -> Result<(B, Option<&B>), DeviceError> {
        let count = rows.len();
        let y = self.product(device, x, &rows, table, slots)?;
        let finish = table.and_then(|table| table.finish.as_ref());
        let bias = self.bias.as_deref();
        match activation {
            None if finish.is_none() => return Ok((y, bias)),
            Some(0) if finish.is_none() && bias.is_none() => return Ok((y, None)),
            _ => {}
        }
        self.finish(
            device,
            "finish",
            &y,
            finish,
            slots,
            &y,
            count,
            activation.unwrap_or(0),
        )?;
        Ok((y, None))
    }

    /// As [`Self::apply`], finished to floats.
    pub(crate) fn apply_to_floats<D: Device<Buffer = B>>(
        &self,
        device: &D,
        x: &B,
        rows: Range<usize>,
        table: Option<&Table<B>>,
        slots: Slots<'_, B>,
    ) -> Result<B, DeviceError> {
        let count = rows.len();
        let y = self.product(device, x, &rows, table, slots)?;
        let out = device.allocate(Kind::Floats, count * self.outputs)?;
        let finish = table.and_then(|table| table.finish.as_ref());
        self.finish(device, "logits", &y, finish, slots, &out, count, 0)?;
        Ok(out)
    }

    /// The product of some rows of `x`, with the changes of their slots, not finished yet.
    fn product<D: Device<Buffer = B>>(
        &self,
        device: &D,
        x: &B,
        rows: &Range<usize>,
        table: Option<&Table<B>>,
        slots: Slots<'_, B>,
    ) -> Result<B, DeviceError> {
        let y = device.product(x, rows.clone(), &self.weight, self.inputs, self.outputs)?;
        let Some(table) = table else { return Ok(y) };
        let launch = Launch {
            grid: (rows.len(), 1),
            block: ROW_BLOCK,
            shared: 0,
        };
        let ranks = device.allocate(Kind::Floats, rows.len() * table.longest)?;
        let shrink = [
            Arg::At(x, rows.start * self.inputs),
            Arg::Buffer(Some(&table.downs)),
            Arg::Buffer(Some(&table.ranks)),
            at(slots),
            Arg::Buffer(Some(&ranks)),
            Arg::Int(self.inputs),
            Arg::Int(table.longest),
        ];
        device.launch("lora_shrink", launch, &shrink)?;
        let expand = [
            Arg::Buffer(Some(&ranks)),
            Arg::Buffer(Some(&table.ups)),
            Arg::Buffer(Some(&table.ranks)),
            at(slots),
            Arg::Buffer(Some(&y)),
            Arg::Int(self.outputs),
            Arg::Int(table.longest),
        ];
        device.launch("lora_expand", launch, &expand)?;
        Ok(y)
    }

    #[allow(clippy::too_many_arguments)]
    fn finish<D: Device<Buffer = B>>(
        &self,
        device: &D,
        kernel: &str,
        y: &B,
        changes: Option<&(B, B)>,
        slots: Slots<'_, B>,
        out: &B,
        rows: usize,
        activation: usize,
    ) -> Result<(), DeviceError> {
        let launch = Launch {
            grid: (rows, 1),
            block: ROW_BLOCK,
            shared: 0,
        };
        let arguments = [
            Arg::Buffer(Some(y)),
            Arg::Buffer(self.bias.as_deref()),
            Arg::Buffer(changes.map(|(gains, _)| gains)),
            Arg::Buffer(changes.map(|(_, biases)| biases)),
            at(slots),
            Arg::Buffer(Some(out)),
            Arg::Int(self.outputs),
            Arg::Int(activation),
        ];
        device.launch(kernel, launch, &arguments)
    }
}
