//! A [`Device`] that runs the GPU's kernels as C++ on the CPU. Memory that was not written holds NaN, writing beyond a
//! buffer or shared memory is an error, and the threads of a block run in random order from barrier to barrier; where it is watched, accesses
//! that no barrier orders are an error too, whatever came of them. Slow, and exact: what a real GPU adds is speed and its own `expf`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::UnsafeCell;
use std::convert::Infallible;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use half::{bf16, f16};
use mednerd_engine_gpu::{
    Arg, Copied, Device, DeviceError, Kind, Launch, ROWS_AT_ONCE, Recorded, Values, e4m3, kernel_name,
};
use mednerd_gpu::protocol::Precision;

/// Bytes around each buffer that nobody may write. As numbers of any kind they are NaN, or far outside of everything.
const GUARD: usize = 256;
const POISON: u8 = 0xff;

unsafe extern "C" {
    fn mednerd_emulate(
        name: *const c_char,
        grid: *const u32,
        block: u32,
        shared_bytes: usize,
        arguments: *const *const c_void,
        sizes: *const usize,
        count: usize,
        seed: u64,
        watched: bool,
    ) -> c_int;
    fn mednerd_emulated_why() -> *const c_char;
}

/// The emulation keeps its state in globals.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A simulated GPU.
#[derive(Debug)]
pub struct Emulated {
    precision: Precision,
    shared_limit: usize,
    seed: AtomicU64,
    watched: bool,
    warpgroups: bool,
    counts: Arc<Counts>,
}

/// What it did so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Rows of all products.
    pub rows: AtomicU64,
    /// Bytes of the buffers that there are.
    pub held: AtomicU64,
    /// The most that there were at once, since this was last set to less.
    pub most: AtomicU64,
    /// Copies to the host that have begun.
    pub copies: AtomicU64,
    /// A copy is there when so many have begun.
    pub awaited: AtomicU64,
}

/// Memory of it.
#[derive(Debug)]
pub struct Buffer {
    kind: Kind,
    element: usize,
    bytes: UnsafeCell<Box<[u8]>>,
    counts: Arc<Counts>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let size = self.bytes.get_mut().len() - 2 * GUARD;
        self.counts.held.fetch_sub(size as u64, Ordering::Relaxed);
    }
}

// SAFETY: the bytes are read and written while `ONE_AT_A_TIME` is held, and nowhere else.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    fn new(kind: Kind, precision: Precision, count: usize, counts: &Arc<Counts>) -> Self {
        let element = match kind {
            Kind::Elements if precision != Precision::Fp32 => 2,
            Kind::Elements | Kind::Floats | Kind::Indices => 4,
            Kind::Addresses => 8,
            Kind::E4m3 => 1,
        };
        let size = count * element;
        let held = counts.held.fetch_add(size as u64, Ordering::Relaxed) + size as u64;
        counts.most.fetch_max(held, Ordering::Relaxed);
        Self {
            kind,
            element,
            bytes: UnsafeCell::new(vec![POISON; size + 2 * GUARD].into_boxed_slice()),
            counts: Arc::clone(counts),
        }
    }

    fn pointer(&self) -> *mut u8 {
        // SAFETY: the box is never replaced, so that its address stays; nothing is read or written here.
        let start = unsafe { (*self.bytes.get()).as_mut_ptr() };
        start.wrapping_add(GUARD)
    }

    fn with<T>(&self, take: impl FnOnce(&mut [u8]) -> T) -> T {
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the lock is held, so nobody else reads or writes.
        let bytes = unsafe { &mut *self.bytes.get() };
        let end = bytes.len() - GUARD;
        take(&mut bytes[GUARD..end])
    }

    /// Whether what lies around it is as it was. The lock is held.
    fn is_intact(&self) -> bool {
        // SAFETY: the lock is held, so nobody writes.
        let bytes = unsafe { &*self.bytes.get() };
        let end = bytes.len() - GUARD;
        bytes[..GUARD]
            .iter()
            .chain(&bytes[end..])
            .all(|byte| *byte == POISON)
    }
}

impl Emulated {
    /// One that computes in this precision, and whose threads run in an order that `seed` gives.
    pub fn new(precision: Precision, seed: u64) -> Self {
        Self {
            precision,
            // What every chip since sm_75 has.
            shared_limit: 64 << 10,
            seed: AtomicU64::new(seed),
            watched: false,
            warpgroups: false,
            counts: Arc::default(),
        }
    }

    /// Refuses launches in which two threads meet at a byte without a barrier between them, one of which writes. Takes four times as long.
    #[must_use]
    pub fn watched(mut self) -> Self {
        self.watched = true;
        self
    }

    /// Has attention's products made by warpgroups.
    #[must_use]
    pub fn by_warpgroups(mut self) -> Self {
        self.warpgroups = true;
        self
    }

    /// What it did and will have done.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// The values of a buffer of elements, floats or numbers of 8 bits.
    pub fn values(&self, buffer: &Buffer) -> Vec<f32> {
        buffer.with(|bytes| match (buffer.kind, self.precision) {
            (Kind::Floats, _) | (Kind::Elements, Precision::Fp32) => {
                let values = bytes.as_chunks().0.iter();
                values.map(|value| f32::from_le_bytes(*value)).collect()
            }
            (Kind::Elements, Precision::Fp16) => {
                let values = bytes.as_chunks().0.iter();
                values.map(|value| f16::from_le_bytes(*value).to_f32()).collect()
            }
            (Kind::E4m3, _) => bytes.iter().map(|bits| e4m3(*bits)).collect(),
            (Kind::Elements, Precision::Bf16 | Precision::Fp8) => {
                let values = bytes.as_chunks().0.iter();
                values.map(|value| bf16::from_le_bytes(*value).to_f32()).collect()
            }
            _ => panic!("a buffer of {:?} has no values", buffer.kind),
        })
    }

    fn write(&self, buffer: &Buffer, values: &[f32]) {
        buffer.with(|bytes| match buffer.element {
            4 => fill(bytes, values.iter().map(|value| value.to_le_bytes())),
            _ => match self.precision {
                Precision::Fp16 => fill(
                    bytes,
                    values.iter().map(|value| f16::from_f32(*value).to_le_bytes()),
                ),
                _ => fill(
                    bytes,
                    values.iter().map(|value| bf16::from_f32(*value).to_le_bytes()),
                ),
            },
        });
    }
}

fn fill<const N: usize>(bytes: &mut [u8], values: impl Iterator<Item = [u8; N]>) {
    let places = bytes.as_chunks_mut().0.iter_mut();
    places.zip(values).for_each(|(place, value)| *place = value);
}

/// The bytes of one argument.
enum Value {
    Pointer(u64),
    Int(i32),
    Float(f32),
}

impl Device for Emulated {
    type Buffer = Buffer;
    type Recording = Infallible;

    fn precision(&self) -> Precision {
        self.precision
    }

    /// So few that some launches fill it.
    fn multiprocessors(&self) -> (usize, usize) {
        (4, 228 << 10)
    }

    fn shared_limit(&self) -> usize {
        self.shared_limit
    }

    fn tensor_cores(&self) -> bool {
        self.precision != Precision::Fp32
    }

    fn warpgroups(&self) -> bool {
        self.warpgroups && self.tensor_cores()
    }

    fn allocate(&self, kind: Kind, count: usize) -> Result<Buffer, DeviceError> {
        Ok(Buffer::new(kind, self.precision, count, &self.counts))
    }

    fn upload(&self, values: Values<'_>) -> Result<Buffer, DeviceError> {
        let (kind, count) = match values {
            Values::Elements(values) => (Kind::Elements, values.len()),
            Values::Floats(values) => (Kind::Floats, values.len()),
            Values::Indices(values) => (Kind::Indices, values.len()),
            Values::Addresses(values) => (Kind::Addresses, values.len()),
        };
        assert!(count > 0, "nothing to upload");
        let buffer = self.allocate(kind, count)?;
        match values {
            Values::Elements(values) | Values::Floats(values) => self.write(&buffer, values),
            Values::Indices(values) => {
                buffer.with(|bytes| fill(bytes, values.iter().map(|v| v.to_le_bytes())))
            }
            Values::Addresses(values) => {
                buffer.with(|bytes| fill(bytes, values.iter().map(|v| v.to_le_bytes())))
            }
        }
        Ok(buffer)
    }

    fn download(&self, buffer: &Buffer) -> Result<Copied<'_>, DeviceError> {
        let values = self.values(buffer);
        self.counts.copies.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(|| {
            let counts = &self.counts;
            while counts.copies.load(Ordering::SeqCst) < counts.awaited.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            Ok(values)
        }))
    }

    fn wait(&self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn overwrite(&self, buffer: &Buffer, values: &[u32]) -> Result<(), DeviceError> {
        buffer.with(|bytes| {
            assert_eq!(bytes.len(), 4 * values.len());
            fill(bytes, values.iter().map(|v| v.to_le_bytes()));
        });
        Ok(())
    }

    /// The emulated driver does; here every launch is looked at.
    fn records(&self) -> bool {
        false
    }

    fn record(
        &self,
        _: &mut dyn FnMut() -> Result<Buffer, DeviceError>,
    ) -> Result<Recorded<Self>, DeviceError> {
        Ok(None)
    }

    fn recorded(&self) -> u64 {
        0
    }

    fn replay(&self, recording: &Infallible) -> Result<(), DeviceError> {
        match *recording {}
    }

    fn address(&self, buffer: &Buffer) -> Result<u64, DeviceError> {
        Ok(buffer.pointer() as u64)
    }

    fn launch(&self, name: &str, launch: Launch, arguments: &[Arg<'_, Buffer>]) -> Result<(), DeviceError> {
        let name = kernel_name(name, self.precision);
        if 4 * launch.shared > self.shared_limit || launch.block == 0 || !launch.block.is_multiple_of(32) {
            return Err(DeviceError::Failed(format!(
                "{name} cannot be launched so: {launch:?}"
            )));
        }
        let values: Vec<Value> = arguments
            .iter()
            .map(|argument| match argument {
                Arg::Buffer(None) => Value::Pointer(0),
                Arg::Buffer(Some(buffer)) => Value::Pointer(buffer.pointer() as u64),
                Arg::At(buffer, first) => {
                    Value::Pointer(buffer.pointer() as u64 + (first * buffer.element) as u64)
                }
                Arg::Int(value) => Value::Int(i32::try_from(*value).unwrap()),
                Arg::Signed(value) => Value::Int(*value),
                Arg::Float(value) => Value::Float(*value),
            })
            .collect();
        let pointers: Vec<*const c_void> = values
            .iter()
            .map(|value| match value {
                Value::Pointer(value) => std::ptr::from_ref(value).cast(),
                Value::Int(value) => std::ptr::from_ref(value).cast(),
                Value::Float(value) => std::ptr::from_ref(value).cast(),
            })
            .collect();
        let sizes: Vec<usize> = values
            .iter()
            .map(|value| if matches!(value, Value::Pointer(_)) { 8 } else { 4 })
            .collect();
        let name = CString::new(name).unwrap();
        let grid = [launch.grid.0, launch.grid.1].map(|blocks| u32::try_from(blocks).unwrap());
        let seed = self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the name ends with a zero; `grid` has two numbers; `pointers` and `sizes` have as many entries as is said,
        // each pointing to a live value of that size. The kernel reads and writes within the buffers that its arguments name,
        // all of which are alive here, while the lock keeps everybody else away; where it should write beyond one, that falls
        // into the guard around it, which is looked at below.
        let result = unsafe {
            mednerd_emulate(
                name.as_ptr(),
                grid.as_ptr(),
                u32::try_from(launch.block).unwrap(),
                4 * launch.shared,
                pointers.as_ptr(),
                sizes.as_ptr(),
                pointers.len(),
                seed,
                self.watched,
            )
        };
        let why = match result {
            0 => "wrote beyond a buffer",
            1 => "has threads that wait for one another for ever",
            2 => "is no kernel",
            3 => "takes other arguments",
            4 => "wrote beyond its shared memory",
            // SAFETY: it is a string that ends with a zero, since the result says so, and stays until the next launch, which
            // waits for the lock.
            _ => &unsafe { CStr::from_ptr(mednerd_emulated_why()) }.to_string_lossy(),
        };
        let intact = arguments.iter().all(|argument| match argument {
            Arg::Buffer(Some(buffer)) | Arg::At(buffer, _) => buffer.is_intact(),
            _ => true,
        });
        match result == 0 && intact {
            true => Ok(()),
            false => Err(DeviceError::Failed(format!("{} {why}", name.to_string_lossy()))),
        }
    }

    fn product(
        &self,
        x: &Buffer,
        rows: Range<usize>,
        weight: &Buffer,
        inputs: usize,
        outputs: usize,
    ) -> Result<Buffer, DeviceError> {
        let (x, weight) = (self.values(x), self.values(weight));
        let x = &x[rows.start * inputs..rows.end * inputs];
        assert_eq!(weight.len(), inputs * outputs);
        self.counts.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
        let mut y = Vec::with_capacity(rows.len() * outputs);
        for row in x.chunks_exact(inputs) {
            let dots = weight
                .chunks_exact(inputs)
                .map(|weight| row.iter().zip(weight).map(|(a, b)| a * b).sum::<f32>());
            y.extend(dots);
        }
        let buffer = self.allocate(Kind::Elements, y.len())?;
        self.write(&buffer, &y);
        Ok(buffer)
    }

    fn try_products(&self, _: &Self::Buffer, _: usize, _: usize) -> Result<(), DeviceError> {
        Ok(())
    }

    fn scales(&self, inputs: usize, outputs: usize) -> Result<bool, DeviceError> {
        let whole = [inputs, outputs].iter().all(|size| size % ROWS_AT_ONCE == 0);
        Ok(whole && self.precision == Precision::Fp8)
    }

    fn scaled_product(
        &self,
        x: [&Buffer; 2],
        rows: usize,
        weight: [&Buffer; 2],
        inputs: usize,
        outputs: usize,
    ) -> Result<Buffer, DeviceError> {
        let rows = rows.next_multiple_of(ROWS_AT_ONCE);
        let [x, x_scales] = x.map(|buffer| self.values(buffer));
        let [weight, scales] = weight.map(|buffer| self.values(buffer));
        assert_eq!((x.len(), x_scales.len()), (rows * inputs, rows));
        assert_eq!((weight.len(), scales.len()), (inputs * outputs, outputs));
        let mut y = Vec::with_capacity(rows * outputs);
        for (row, of_row) in x.chunks_exact(inputs).zip(&x_scales) {
            let columns = weight.chunks_exact(inputs).zip(&scales);
            y.extend(columns.map(|(weight, of_column)| {
                let sum = row.iter().zip(weight).map(|(a, b)| a * b).sum::<f32>();
                sum * of_row * of_column
            }));
        }
        let buffer = self.allocate(Kind::Elements, y.len())?;
        self.write(&buffer, &y);
        Ok(buffer)
    }
}
