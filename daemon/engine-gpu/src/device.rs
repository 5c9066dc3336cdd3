//! What a GPU does for an engine: memory, kernels, matrix products. In the order of the calls, as on one stream.

use std::ops::Range;

use mednerd_gpu::protocol::{Fault, Precision};

/// What a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Weights and activations, in the precision of the device.
    Elements,
    /// Single precision.
    Floats,
    /// 32-bit numbers.
    Indices,
    /// Device addresses.
    Addresses,
    /// Numbers of 8 bits: a sign, 4 of exponent, 3 of mantissa, as in "FP8 Formats for Deep Learning" (Micikevicius et al. 2022).
    E4m3,
}

/// The number that these bits are as e4m3.
pub fn e4m3(bits: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(bits >> 3 & 15), f32::from(bits & 7));
    let size = match (exponent, mantissa) {
        (15, 7.0) => f32::NAN,
        (0, _) => mantissa * 2.0_f32.powi(-9),
        _ => (8.0 + mantissa) * 2.0_f32.powi(exponent - 10),
    };
    if bits >> 7 == 1 { -size } else { size }
}

/// Rows of a [product in 8 bits](Device::scaled_product) are whole multiples of this, as are inputs and outputs: as libraries take them.
pub const ROWS_AT_ONCE: usize = 16;

/// What is copied to a device.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// To be rounded to the precision of the device.
    Elements(&'a [f32]),
    /// Single precision.
    Floats(&'a [f32]),
    /// 32-bit numbers.
    Indices(&'a [u32]),
    /// Device addresses.
    Addresses(&'a [u64]),
}

/// An argument of a kernel.
#[derive(Debug)]
pub enum Arg<'a, B> {
    /// A buffer, or null where there is none.
    Buffer(Option<&'a B>),
    /// A buffer from this element on.
    At(&'a B, usize),
    /// A number.
    Int(usize),
    /// A number that may be below zero.
    Signed(i32),
    /// A number.
    Float(f32),
}

impl<B> Clone for Arg<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Arg<'_, B> {}

/// How a kernel is launched.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// Blocks in x and y.
    pub grid: (usize, usize),
    /// Threads of a block: whole warps.
    pub block: usize,
    /// Shared memory, in floats.
    pub shared: usize,
}

/// A kernel's name in its source: with the suffix of the precision.
pub fn kernel_name(name: &str, precision: Precision) -> String {
    let suffix = match precision {
        Precision::Fp32 => "f32",
        Precision::Fp16 => "f16",
        Precision::Bf16 | Precision::Fp8 => "bf16",
    };
    format!("{name}_{suffix}")
}

/// Why the device did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Memory is short.
    #[error("the GPU is out of memory")]
    OutOfMemory,
    /// Something failed, and the process must go.
    #[error("{0}")]
    Failed(String),
}

impl From<DeviceError> for Fault {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::OutOfMemory => Self::OutOfMemory,
            DeviceError::Failed(why) => Self::Device(why),
        }
    }
}

/// What came of [recording](Device::record): a recording and what it leaves, where the device records at all.
pub type Recorded<D> = Option<(<D as Device>::Recording, <D as Device>::Buffer)>;

/// Waits for a copy from a device, and gives what was copied. One that nobody waits for is of no consequence.
pub type Copied<'a> = Box<dyn FnOnce() -> Result<Vec<f32>, DeviceError> + 'a>;

/// A GPU. Calls may come from several threads; each is whole for itself, and happens after those that have returned. Only
/// [`Copied`] and [`Device::wait`] wait for what it does.
pub trait Device: Sized + Send + Sync + 'static {
    /// Memory on the device; freed when dropped, after the work that uses it.
    type Buffer: Send + Sync;

    /// Work that was [recorded](Self::record), with the memory that it uses.
    type Recording: Send + Sync;

    /// The precision of elements.
    fn precision(&self) -> Precision;

    /// The most shared memory that a block may have, in bytes.
    fn shared_limit(&self) -> usize;

    /// How many multiprocessors it has, and the bytes of shared memory of each.
    fn multiprocessors(&self) -> (usize, usize);

    /// Whether it has the kernels on tensor cores, for its precision.
    fn tensor_cores(&self) -> bool;

    /// Whether attention goes to the kernels whose products are a warpgroup's: of sm_90a, for its precision, and asked for.
    fn warpgroups(&self) -> bool;

    /// Does `work`, which brings a model's memory, beside what other threads ask for: neither waits for the other. What it brings is
    /// there for all when this returns, and may go when nothing is under way that uses it.
    ///
    /// # Errors
    /// [`DeviceError`]
    fn load<T>(&self, work: impl FnOnce() -> T) -> Result<T, DeviceError> {
        Ok(work())
    }

    /// Memory that holds anything.
    ///
    /// # Errors
    /// [`DeviceError`]
    fn allocate(&self, kind: Kind, count: usize) -> Result<Self::Buffer, DeviceError>;

    /// A copy on the device; of at least one value.
    ///
    /// # Errors
    /// [`DeviceError`]
    fn upload(&self, values: Values<'_>) -> Result<Self::Buffer, DeviceError>;

    /// Begins a copy of [`Kind::Floats`], [`Kind::Elements`] or [`Kind::E4m3`] from the device, after everything before; whatever comes
    /// behind it, and be it the end of the buffer, changes nothing of it.
    ///
    /// # Errors
    /// [`DeviceError`]
    fn download(&self, buffer: &Self::Buffer) -> Result<Copied<'_>, DeviceError>;

    /// Waits for everything before.
    ///
    /// # Errors
    /// [`DeviceError`]
    fn wait(&self) -> Result<(), DeviceError>;

    /// Overwrites a buffer of [`Kind::Indices`] with as many numbers as it has, after everything before.
    ///
    /// # Errors
    /// [`DeviceError`]
    fn overwrite(&self, buffer: &Self::Buffer, values: &[u32]) -> Result<(), DeviceError>;

    /// Whether it records.
    fn records(&self) -> bool;

    /// Does `work`, which only allocates, launches and multiplies, and gives what it leaves in its buffer, and the recording that does
    /// it again on the same memory. It is called twice, and does the same both times. `None` where that fails and the
    /// device can do without; then it [records](Self::records) nothing any more. Recordings share the memory of what they do not give,
    /// and each replay is done before the next begins. One at a time is made.
    ///
    /// # Errors
    /// [`DeviceError`]
    fn record(
        &self,
        work: &mut dyn FnMut() -> Result<Self::Buffer, DeviceError>,
    ) -> Result<Recorded<Self>, DeviceError>;

    /// Bytes that recordings hold.
    fn recorded(&self) -> u64;

    /// Does what was recorded: reads from buffers what is in them now.
    ///
    /// # Errors
    /// [`DeviceError`]
    fn replay(&self, recording: &Self::Recording) -> Result<(), DeviceError>;

    /// Where a buffer lies.
    ///
    /// # Errors
    /// [`DeviceError`]
    fn address(&self, buffer: &Self::Buffer) -> Result<u64, DeviceError>;

    /// Runs a kernel: `name` without the suffix of the precision.
    ///
    /// # Errors
    /// [`DeviceError`]
    fn launch(
        &self,
        name: &str,
        launch: Launch,
        arguments: &[Arg<'_, Self::Buffer>],
    ) -> Result<(), DeviceError>;

    /// `x W^T` for some rows of `x`, which has rows of `inputs`; `weight` is `[outputs, inputs]`. Sums in single precision.
    ///
    /// # Errors
    /// [`DeviceError`]
    fn product(
        &self,
        x: &Self::Buffer,
        rows: Range<usize>,
        weight: &Self::Buffer,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self::Buffer, DeviceError>;

    /// Prepares products of many rows with this weight, `[outputs, inputs]`, where the device can do better than without. It changes no result.
    ///
    /// # Errors
    /// [`DeviceError`]
    fn try_products(&self, weight: &Self::Buffer, inputs: usize, outputs: usize) -> Result<(), DeviceError>;

    /// Whether [`Self::scaled_product`] has products of so many inputs and outputs. It is asked before rows are scaled for one.
    ///
    /// # Errors
    /// [`DeviceError`]
    fn scales(&self, inputs: usize, outputs: usize) -> Result<bool, DeviceError>;

    /// As [`Self::product`], in 8 bits. Either side is rows of [`Kind::E4m3`], and their scales in [`Kind::Floats`]: a number is what is
    /// in its place times the scale of its row. `x` has so many rows, filled up to whole multiples of [`ROWS_AT_ONCE`] with
    /// anything, and the result has as many.
    ///
    /// # Errors
    /// [`DeviceError`]
    fn scaled_product(
        &self,
        x: [&Self::Buffer; 2],
        rows: usize,
        weight: [&Self::Buffer; 2],
        inputs: usize,
        outputs: usize,
    ) -> Result<Self::Buffer, DeviceError>;
}
