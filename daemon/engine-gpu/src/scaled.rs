//! Rows in 8 bits, for the products that read them so: made by the kernel that writes the rows, or by one of its own.

use crate::device::{Arg, Device, DeviceError, Kind, Launch, ROWS_AT_ONCE};
use crate::lower::ROW_BLOCK;

/// Rows in 8 bits.
pub(crate) struct Scaled<B> {
    /// [`Kind::E4m3`], with rows of anything that fill up the last [`ROWS_AT_ONCE`].
    pub(crate) values: B,
    /// A float for each row.
    pub(crate) scales: B,
}

impl<B> Scaled<B> {
    /// Room for rows.
    pub(crate) fn allocate<D: Device<Buffer = B>>(
        device: &D,
        rows: usize,
        width: usize,
    ) -> Result<Self, DeviceError> {
        let rows = rows.next_multiple_of(ROWS_AT_ONCE);
        Ok(Self {
            values: device.allocate(Kind::E4m3, rows * width)?,
            scales: device.allocate(Kind::Floats, rows)?,
        })
    }

    /// Rows of elements, from the first on.
    pub(crate) fn of<D: Device<Buffer = B>>(
        device: &D,
        (x, first): (&B, usize),
        rows: usize,
        width: usize,
    ) -> Result<Self, DeviceError> {
        let scaled = Self::allocate(device, rows, width)?;
        let [values, scales] = scaled.arguments();
        let launch = Launch {
            grid: (rows, 1),
            block: ROW_BLOCK,
            shared: shared(width),
        };
        let arguments = [Arg::At(x, first * width), values, scales, Arg::Int(width)];
        device.launch("quantise", launch, &arguments)?;
        Ok(scaled)
    }

    fn arguments(&self) -> [Arg<'_, B>; 2] {
        [Arg::Buffer(Some(&self.values)), Arg::Buffer(Some(&self.scales))]
    }
}

/// Floats of shared memory that a kernel takes to write rows in 8 bits.
pub(crate) fn shared(width: usize) -> usize {
    32 + width
}

/// What a kernel that may write rows in 8 bits gets where it writes elements alone.
pub(crate) fn elements_alone<B>(out: &B) -> [Arg<'_, B>; 3] {
    [Arg::Buffer(Some(out)), Arg::Buffer(None), Arg::Buffer(None)]
}

/// In which form a product reads its rows, and whether low-rank changes of it read elements.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) elements: bool,
    pub(crate) scaled: bool,
}

/// Rows in either form or both.
pub(crate) struct Activations<B> {
    pub(crate) elements: Option<B>,
    pub(crate) scaled: Option<Scaled<B>>,
}

impl<B> Activations<B> {
    /// Room for them.
    pub(crate) fn allocate<D: Device<Buffer = B>>(
        device: &D,
        rows: usize,
        width: usize,
        wanted: Wanted,
    ) -> Result<Self, DeviceError> {
        let elements = wanted
            .elements
            .then(|| device.allocate(Kind::Elements, rows * width));
        let scaled = wanted.scaled.then(|| Scaled::allocate(device, rows, width));
        Ok(Self {
            elements: elements.transpose()?,
            scaled: scaled.transpose()?,
        })
    }

    /// What a kernel that writes them gets.
    pub(crate) fn arguments(&self) -> [Arg<'_, B>; 3] {
        let nothing = [Arg::Buffer(None), Arg::Buffer(None)];
        let [values, scales] = self.scaled.as_ref().map_or(nothing, Scaled::arguments);
        [Arg::Buffer(self.elements.as_ref()), values, scales]
    }

    /// Floats of shared memory that it takes for those in 8 bits.
    pub(crate) fn shared(&self, width: usize) -> usize {
        self.scaled.as_ref().map_or(0, |_| shared(width))
    }

    pub(crate) fn operand(&self) -> Operand<'_, B> {
        Operand {
            elements: self.elements.as_ref(),
            scaled: self.scaled.as_ref(),
        }
    }
}

impl<B> From<B> for Activations<B> {
    fn from(elements: B) -> Self {
        Self {
            elements: Some(elements),
            scaled: None,
        }
    }
}

/// Rows that a product reads.
pub(crate) struct Operand<'a, B> {
    pub(crate) elements: Option<&'a B>,
    /// All of them.
    pub(crate) scaled: Option<&'a Scaled<B>>,
}

impl<B> Clone for Operand<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Operand<'_, B> {}

impl<'a, B> From<&'a B> for Operand<'a, B> {
    fn from(elements: &'a B) -> Self {
        Self {
            elements: Some(elements),
            scaled: None,
        }
    }
}

impl<'a, B> Operand<'a, B> {
    /// As elements.
    pub(crate) fn elements(self) -> Result<&'a B, DeviceError> {
        let missing = || DeviceError::Failed("rows were not kept that a product reads".to_owned());
        self.elements.ok_or_else(missing)
    }
}
