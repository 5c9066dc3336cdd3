//! [`Device`] on candle: a buffer is a tensor of one dimension, a product is cuBLAS's, a kernel is launched on the device's one stream.
//! A recording is a CUDA graph, captured on a stream of its own and launched on that one. Models are loaded on a third stream.

mod trial;

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::CudaDType;
use candle_core::cuda_backend::cudarc::cublas::{self, CudaBlas};
use candle_core::cuda_backend::cudarc::driver::{
    CudaContext, CudaEvent, CudaFunction, CudaGraph, CudaStream, DevicePtr, DevicePtrMut, DeviceRepr,
    LaunchConfig, PushKernelArg, result, sys,
};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, DType, Error, Storage, Tensor};
use half::{bf16, f16};
use mednerd_engine_gpu::{
    Arg, Copied, Device, DeviceError, Fastest, Kind, Launch, ROWS_AT_ONCE, Recorded, Values, e4m3,
    kernel_name,
};
use mednerd_gpu::protocol::Precision;

use crate::eight::Eight;
use crate::lt::{Algorithm, Lt, Operands};

/// Kernels as nvcc made them, and their names without the suffix of the precision.
type Module = (&'static [u8], &'static [&'static str]);

/// Those that need tensor cores.
const ON_TENSOR_CORES: [Module; 3] = [
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/tensor.fatbin")),
        &[
            "attend_32",
            "attend_64",
            "attend_few_32",
            "attend_few_64",
            "attend_few_128",
        ],
    ),
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/places.fatbin")),
        &[
            "attend_places_32",
            "attend_places_64",
            "attend_places_few_32",
            "attend_places_few_64",
        ],
    ),
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/lora_tensor.fatbin")),
        &["lora_shrink_tensor", "lora_expand_tensor"],
    ),
];

/// Those for sm_90a alone, whose products are a warpgroup's.
const BY_WARPGROUPS: Module = (
    include_bytes!(concat!(env!("OUT_DIR"), "/wgmma.fatbin")),
    &[
        "attend_groups_64",
        "attend_groups_few_64",
        "attend_groups_few_128",
    ],
);

/// Whether these are used without being asked for: not before they were measured. `WGMMA=1` asks for them in checks.
const USE_WARPGROUPS: bool = false;

/// The others.
const MODULES: [Module; 5] = [
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/attention.fatbin")),
        &["attend"],
    ),
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/elementwise.fatbin")),
        &[
            "finish", "logits", "gate", "quantise", "rescale", "rotate", "unfold",
        ],
    ),
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/lora.fatbin")),
        &["lora_shrink", "lora_expand"],
    ),
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/norm.fatbin")),
        &["embed", "add_norm"],
    ),
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/zero_shot.fatbin")),
        &[
            "recur",
            "recur_together",
            "stretches",
            "sift",
            "meet",
            "score_words",
        ],
    ),
];

/// More shared memory for one block would leave no room for a second one on the same multiprocessor.
const SHARED_LIMIT: usize = 64 << 10;

/// What cuBLAS and cuBLASLt may use, in bytes: what NVIDIA recommends for Hopper.
pub(crate) const WORKSPACE: usize = 32 << 20;

/// Threads of a block that gives a row its scales.
const RESCALE_BLOCK: usize = 128;

/// So many captures may fail before none is tried any more.
const FAILED_CAPTURES: u64 = 3;

/// What is copied to the GPU at once, in bytes.
const PIECE: usize = 1 << 20;

/// Up to so many bytes the driver takes along with the command, from any memory; more from memory that is not pinned waits for
/// everything before.
const TAKEN_ALONG: usize = 64 << 10;

/// Pieces of pinned memory that are kept for batches, and for loads: one is filled while the other is copied.
const PINNED: (usize, usize) = (8, 2);

/// Memory of the host that the GPU reads and writes without help of a CPU core, and when its last copy is done.
struct Pinned {
    done: CudaEvent,
    place: NonNull<u8>,
    size: usize,
}

// SAFETY: the memory belongs to the process, and whoever has it alone reads and writes it.
unsafe impl Send for Pinned {}

impl Pinned {
    fn new(context: &Arc<CudaContext>, size: usize) -> Result<Self, DeviceError> {
        let done = context.new_event(None).map_err(failed)?;
        // SAFETY: a context is bound, by the event; what is given is freed once, by whoever made it.
        let place = unsafe { result::malloc_host(size, 0) }.map_err(failed)?;
        let place = NonNull::new(place.cast::<u8>());
        let place = place.ok_or_else(|| DeviceError::Failed("pinned memory has no place".to_owned()))?;
        // SAFETY: it has so many bytes; from here on they have values.
        unsafe { place.write_bytes(0, size) };
        Ok(Self { done, place, size })
    }

    /// Its first bytes. No copy of it is under way.
    fn bytes(&mut self, count: usize) -> &mut [u8] {
        // SAFETY: the memory is ours until it is dropped, has `size` bytes, and each has a value. Nobody is given it while a copy of it is
        // under way: `Pool::take` gives what is done, and `download` waits.
        unsafe { std::slice::from_raw_parts_mut(self.place.as_ptr(), count.min(self.size)) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // A copy may still be under way where what it is for was given up. What fails then is told by the next call.
        let _ = self.done.synchronize();
        // SAFETY: it was made by `malloc_host`, and nobody has it any more. At worst it stays until the process ends.
        let _ = unsafe { result::free_host(self.place.as_ptr().cast()) };
    }
}

/// Bytes of a piece of pinned memory that is kept for what comes, at most.
const MOST_KEPT: usize = 16 << 20;

/// Pinned memory for copies one after the other, the oldest first: what asks the driver for more may wait for the GPU.
struct Pool {
    kept: Mutex<Vec<Pinned>>,
    /// So many pieces, and no more.
    limit: usize,
}

impl Pool {
    fn new(limit: usize) -> Self {
        let kept = Mutex::default();
        Self { kept, limit }
    }

    /// So many bytes, of which no copy is under way. Waits for the oldest where there are enough.
    fn take(&self, context: &Arc<CudaContext>, bytes: usize) -> Result<Pinned, DeviceError> {
        let oldest = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            // What one large answer took is not kept from the rest of the machine.
            kept.retain(|pinned| pinned.size <= MOST_KEPT.max(bytes) || !pinned.done.is_complete());
            let fits = |(_, pinned): &(usize, &Pinned)| pinned.size >= bytes && pinned.done.is_complete();
            let best = kept.iter().enumerate().filter(fits);
            if let Some((place, _)) = best.min_by_key(|(_, pinned)| pinned.size) {
                return Ok(kept.remove(place));
            }
            (kept.len() >= self.limit).then(|| kept.remove(0))
        };
        if let Some(oldest) = oldest {
            oldest.done.synchronize().map_err(failed)?;
            if oldest.size >= bytes {
                return Ok(oldest);
            }
        }
        // Of few sizes, so that others can take it too.
        Pinned::new(context, bytes.next_power_of_two().max(TAKEN_ALONG))
    }

    fn put(&self, pinned: Pinned) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(pinned);
    }
}

/// A GPU.
pub struct Cuda {
    device: CudaDevice,
    stream: Arc<CudaStream>,
    blas: CudaBlas,
    /// What is enqueued here is captured.
    captured: Arc<CudaStream>,
    captured_blas: CudaBlas,
    /// Here models are loaded.
    loads: Arc<CudaStream>,
    loads_blas: CudaBlas,
    /// What each cuBLAS may use, so that all choose alike, and cuBLASLt on the same stream; graphs keep the address of the second one's.
    workspaces: [Tensor; 3],
    /// Where products have 8 bits.
    eight: Option<Eight>,
    /// Where they have 16.
    tried: Option<(Lt, Fastest<Algorithm>)>,
    arena: Arc<Arena>,
    pool: Pool,
    /// For loads: nobody waits for their copies.
    loads_pool: Pool,
    /// Captures that failed.
    failed_captures: AtomicU64,
    /// Whether one that fails is an error, and not done without.
    strict: bool,
    precision: Precision,
    functions: HashMap<&'static str, CudaFunction>,
    shared_limit: usize,
    multiprocessors: (usize, usize),
    tensor_cores: bool,
    warpgroups: bool,
    /// cuBLAS's handle is for one thread at a time, and so is what a call enqueues.
    gate: Mutex<()>,
}

pub(crate) fn failed(error: impl std::fmt::Display) -> DeviceError {
    let text = error.to_string();
    // candle gives the driver's and cuBLAS's errors as text; a backtrace may follow.
    let short = ["OUT_OF_MEMORY", "ALLOC_FAILED"]
        .iter()
        .any(|name| text.contains(name));
    match short {
        true => DeviceError::OutOfMemory,
        false => DeviceError::Failed(text.lines().next().unwrap_or_default().to_owned()),
    }
}

/// Memory that recordings share: what one has done with, the next one takes, and graphs keep its address. It grows to what the largest
/// needs at once, and is never given back.
#[derive(Default)]
struct Arena {
    free: Mutex<Vec<Tensor>>,
    bytes: AtomicU64,
}

impl Arena {
    /// A piece of just this size: with a larger one in its place, the next of that size could miss it, and a capture would need more
    /// than its rehearsal.
    fn take(&self, dtype: DType, size: usize) -> Option<Tensor> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |piece: &Tensor| piece.dtype() == dtype && piece.elem_count() == size;
        let place = free.iter().position(fits)?;
        Some(free.swap_remove(place))
    }
}

/// Memory of the GPU.
pub struct Buffer {
    /// `None` when it is gone.
    tensor: Option<Tensor>,
    count: usize,
    /// Where it goes back to.
    home: Option<Arc<Arena>>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let (Some(home), Some(tensor)) = (&self.home, self.tensor.take()) {
            home.free
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(tensor);
        }
    }
}

/// Work that the GPU does again.
pub struct Recording(CudaGraph, Arc<CudaContext>);

impl Drop for Recording {
    fn drop(&mut self) {
        // What the graph's own end then says is the GPU's.
        let _ = self.1.bind_to_thread();
    }
}

// SAFETY: a graph is launched while the device's gate is held, and destroyed by its one owner; neither asks for a thread.
unsafe impl Send for Recording {}
// SAFETY: as above.
unsafe impl Sync for Recording {}

/// What this thread does with what it is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Do,
    /// Does it on memory of the arena.
    Rehearse,
    /// Captures it on that memory.
    Capture,
    /// Does it beside what other threads do.
    Load,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::Do) };
}

/// A mode until it is dropped.
struct In;

impl In {
    fn mode(mode: Mode) -> Self {
        MODE.set(mode);
        Self
    }
}

impl Drop for In {
    fn drop(&mut self) {
        MODE.set(Mode::Do);
    }
}

/// What a kernel gets, by value.
enum Value {
    Address(u64),
    Int(i32),
    Float(f32),
}

impl Cuda {
    /// The device with its kernels loaded and its memory pool told to keep what it has.
    ///
    /// # Errors
    /// Where the driver has no kernel for this chip, or fails.
    pub fn new(device: CudaDevice, precision: Precision) -> Result<Self, DeviceError> {
        let stream = device.cuda_stream();
        // SAFETY: what is used together is on one stream, but for what is loaded on another, which is waited for before anybody is given it, and
        // which goes when whoever used it has been waited for.
        unsafe { device.disable_event_tracking() };
        let context = stream.context();
        let attribute = |attribute| {
            let value = context.attribute(attribute).map_err(failed)?;
            Ok::<_, DeviceError>(usize::try_from(value).unwrap_or(0))
        };
        let most = attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
        let shared_limit = most.min(SHARED_LIMIT);
        let multiprocessors = (
            attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR)?,
        );
        let mut functions = HashMap::new();
        let capability = context.compute_capability().map_err(failed)?;
        let tensor_cores = match precision {
            Precision::Fp32 => false,
            Precision::Fp16 => capability >= (7, 5),
            Precision::Bf16 | Precision::Fp8 => capability >= (8, 0),
        };
        let on_tensor_cores = ON_TENSOR_CORES.iter().filter(|_| tensor_cores);
        let has_warpgroups = tensor_cores && capability == (9, 0);
        let by_warpgroups = has_warpgroups.then_some(&BY_WARPGROUPS);
        for (image, names) in MODULES.iter().chain(on_tensor_cores).chain(by_warpgroups) {
            let module = context
                .load_module(Ptx::from_binary(image.to_vec()))
                .map_err(failed)?;
            for name in *names {
                let function = module
                    .load_function(&kernel_name(name, precision))
                    .map_err(failed)?;
                let attribute =
                    sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
                let limit = i32::try_from(shared_limit).unwrap_or(0);
                function.set_attribute(attribute, limit).map_err(failed)?;
                functions.insert(*name, function);
            }
        }
        if context
            .attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED)
            .map_err(failed)?
            != 0
        {
            keep_memory(context.cu_device()).map_err(failed)?;
        }
        let loads_pool = Pool::new(PINNED.1);
        for _ in 0..PINNED.1 {
            loads_pool.put(Pinned::new(context, PIECE)?);
        }
        let captured = context.new_stream().map_err(failed)?;
        let loads = context.new_stream().map_err(failed)?;
        let on = |stream: &Arc<CudaStream>| CudaBlas::new(Arc::clone(stream)).map_err(failed);
        let (blas, captured_blas, loads_blas) = (on(&stream)?, on(&captured)?, on(&loads)?);
        let prepared = [&blas, &captured_blas, &loads_blas].map(|blas| prepare(&device, &stream, blas));
        let [workspace, captured_workspace, loads_workspace] = prepared;
        let new = Self {
            device,
            stream,
            blas,
            captured,
            captured_blas,
            loads,
            loads_blas,
            workspaces: [workspace?, captured_workspace?, loads_workspace?],
            eight: (precision == Precision::Fp8).then(Eight::new).transpose()?,
            tried: matches!(precision, Precision::Fp16 | Precision::Bf16)
                .then(|| Ok::<_, DeviceError>((Lt::new()?, Fastest::new(multiprocessors.0))))
                .transpose()?,
            arena: Arc::default(),
            pool: Pool::new(PINNED.0),
            loads_pool,
            failed_captures: AtomicU64::new(0),
            strict: false,
            precision,
            functions,
            shared_limit,
            multiprocessors,
            tensor_cores,
            warpgroups: USE_WARPGROUPS && has_warpgroups,
            gate: Mutex::new(()),
        };
        new.warm()?;
        Ok(new)
    }

    /// Has each cuBLAS multiply once: what it sets up then it could not set up in a capture, and where it lacks the precision, that is
    /// said before anything is loaded.
    fn warm(&self) -> Result<(), DeviceError> {
        // A width of a head, for as many rows as small batches and larger ones have.
        let width = 64;
        for rows in [64, 512] {
            let x = self.upload(Values::Elements(&vec![0.0; rows * width]))?;
            let y = self.allocate(Kind::Elements, rows * rows)?;
            for blas in [&self.blas, &self.captured_blas, &self.loads_blas] {
                self.multiply(blas, &x, 0, &x, &y, (rows, width, rows))?;
                for stream in [&self.stream, &self.captured, &self.loads] {
                    stream.synchronize().map_err(failed)?;
                }
            }
            if self.scales(width, width)? {
                let [x, scales] = [(Kind::E4m3, rows * width), (Kind::Floats, rows)]
                    .map(|(kind, count)| self.allocate(kind, count));
                let (x, scales) = (x?, scales?);
                for mode in [Mode::Do, Mode::Capture] {
                    let y = self.allocate(Kind::Elements, rows * width)?;
                    // It may be written by another stream than the one that it was allocated on.
                    self.stream.synchronize().map_err(failed)?;
                    self.multiply_scaled(mode, [&x, &scales], [&x, &scales], &y, (rows, width, width))?;
                    self.stream.synchronize().map_err(failed)?;
                    self.captured.synchronize().map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    fn dtype(&self, kind: Kind) -> DType {
        match (kind, self.precision) {
            (Kind::Floats, _) | (Kind::Elements, Precision::Fp32) => DType::F32,
            (Kind::Elements, Precision::Fp16) => DType::F16,
            (Kind::Elements, Precision::Bf16 | Precision::Fp8) => DType::BF16,
            (Kind::E4m3, _) => DType::U8,
            (Kind::Indices, _) => DType::U32,
            (Kind::Addresses, _) => DType::I64,
        }
    }

    /// From now on a capture that fails is an error, so that checks tell it.
    #[cfg(feature = "checks")]
    pub fn record_or_fail(&mut self) {
        self.strict = true;
    }

    /// From now on every launch is told to the driver, for comparison.
    #[cfg(feature = "checks")]
    pub fn record_nothing(&self) {
        self.failed_captures.store(FAILED_CAPTURES, Ordering::Relaxed);
    }

    /// From now on attention's products are made by warpgroups, where the chip has them.
    #[cfg(feature = "checks")]
    pub fn use_warpgroups(&mut self) {
        let (_, names) = BY_WARPGROUPS;
        self.warpgroups = names.iter().all(|name| self.functions.contains_key(name));
    }

    /// From now on products are made as cuBLAS chooses, for comparison.
    #[cfg(feature = "checks")]
    pub fn try_nothing(&mut self) {
        self.tried = None;
    }

    /// Work as a graph; what it leaves in its buffer is there when that has been launched.
    fn capture(
        &self,
        work: &mut dyn FnMut() -> Result<Buffer, DeviceError>,
    ) -> Result<(Recording, Buffer), DeviceError> {
        // What cuBLAS may still have to set up is not on the stream, and goes on.
        let relaxed = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        self.captured.begin_capture(relaxed).map_err(failed)?;
        let made = {
            let _capturing = In::mode(Mode::Capture);
            work()
        };
        // Whatever came of it, the capture must end.
        let graph = self.captured.end_capture(sys::CUgraphInstantiate_flags(0));
        let buffer = made?;
        let graph = graph.map_err(failed)?;
        let graph = graph.ok_or_else(|| DeviceError::Failed("a capture has no graph".to_owned()))?;
        Ok((Recording(graph, Arc::clone(self.stream.context())), buffer))
    }

    /// `y = x W^T`, of rows of `x` from the first on.
    fn multiply(
        &self,
        blas: &CudaBlas,
        x: &Buffer,
        first: usize,
        weight: &Buffer,
        y: &Buffer,
        (rows, inputs, outputs): (usize, usize, usize),
    ) -> Result<(), DeviceError> {
        let (x, size) = self.place(x)?;
        let x = x + (first * inputs * size) as u64;
        let (weight, y) = (self.place(weight)?.0, self.place(y)?.0);
        let whole = |number: usize| {
            i32::try_from(number).map_err(|_| DeviceError::Failed("a product is too large".to_owned()))
        };
        let (m, n, k) = (whole(outputs)?, whole(rows)?, whole(inputs)?);
        let kind = match self.precision {
            Precision::Fp32 => cublas::sys::cudaDataType::CUDA_R_32F,
            Precision::Fp16 => cublas::sys::cudaDataType::CUDA_R_16F,
            Precision::Bf16 | Precision::Fp8 => cublas::sys::cudaDataType::CUDA_R_16BF,
        };
        let (one, zero) = (1.0_f32, 0.0_f32);
        use cublas::sys::cublasOperation_t::{CUBLAS_OP_N, CUBLAS_OP_T};
        let _one = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.stream.context().bind_to_thread().map_err(failed)?;
        // SAFETY: to cuBLAS a matrix of rows is the transpose of one of columns, so this is y^T = W x^T with W given as columns of
        // `inputs`. `x` has the rows, `weight` `outputs` of them and `y` was made for the result; all live until the call
        // returns, and are freed on the same stream behind it. Sums are in single precision.
        unsafe {
            cublas::result::gemm_ex(
                *blas.handle(),
                CUBLAS_OP_T,
                CUBLAS_OP_N,
                m,
                n,
                k,
                (&raw const one).cast(),
                weight as *const c_void,
                kind,
                k,
                x as *const c_void,
                kind,
                k,
                (&raw const zero).cast(),
                y as *mut c_void,
                kind,
                m,
                cublas::sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                cublas::sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map(drop)
        // Where the GPU has failed, cuBLAS does not say of what.
        .map_err(|error| self.stream.synchronize().map_or_else(failed, |()| failed(error)))
    }

    /// `y = x W^T` of [`Kind::E4m3`] rows with their scales, on the stream of a mode. False where `y` lacks the scales yet.
    fn multiply_scaled(
        &self,
        mode: Mode,
        x: [&Buffer; 2],
        weight: [&Buffer; 2],
        y: &Buffer,
        shape: (usize, usize, usize),
    ) -> Result<bool, DeviceError> {
        let (stream, workspace) = self.room(mode);
        let at = |buffer: &Buffer| Ok::<u64, DeviceError>(self.place(buffer)?.0);
        let operands = Operands {
            x: at(x[0])?,
            x_scales: at(x[1])?,
            weight: at(weight[0])?,
            weight_scales: at(weight[1])?,
            y: at(y)?,
            workspace: place(workspace, &self.stream)?.0,
            stream: stream.cu_stream().cast(),
        };
        let eight = self.eight.as_ref();
        let eight =
            eight.ok_or_else(|| DeviceError::Failed("products have 16 bits or more here".to_owned()))?;
        let _one = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.stream.context().bind_to_thread().map_err(failed)?;
        // SAFETY: the buffers have as many rows as the shape says, those of `x` and `y` in whole blocks, and a scale for each; they live
        // until the call returns, and are freed on the same stream behind it. The gate is held.
        unsafe { eight.multiply(shape, &operands) }
    }

    /// The stream of a mode, and what cuBLASLt may use on it.
    fn room(&self, mode: Mode) -> (&Arc<CudaStream>, &Tensor) {
        let [workspace, captured_workspace, loads_workspace] = &self.workspaces;
        match mode {
            Mode::Do | Mode::Rehearse => (&self.stream, workspace),
            Mode::Capture => (&self.captured, captured_workspace),
            Mode::Load => (&self.loads, loads_workspace),
        }
    }

    /// The stream for what this thread asks for, and its cuBLAS.
    fn here(&self) -> (&Arc<CudaStream>, &CudaBlas) {
        match MODE.get() {
            Mode::Do | Mode::Rehearse => (&self.stream, &self.blas),
            Mode::Capture => (&self.captured, &self.captured_blas),
            Mode::Load => (&self.loads, &self.loads_blas),
        }
    }

    fn empty<T: CudaDType + DeviceRepr>(&self, count: usize) -> Result<Tensor, DeviceError> {
        // SAFETY: any bits are a value of these types, and kernels write before anything reads.
        let slice = unsafe { self.here().0.alloc::<T>(count) }.map_err(failed)?;
        Ok(wrapped(
            CudaStorage::wrap_cuda_slice(slice, self.device.clone()),
            count,
        ))
    }

    fn copy<T: CudaDType + DeviceRepr + 'static>(&self, values: &[T]) -> Result<Buffer, DeviceError> {
        if !matches!(MODE.get(), Mode::Do | Mode::Load) {
            return Err(DeviceError::Failed("a copy cannot be recorded".to_owned()));
        }
        let count = values.len();
        // SAFETY: all of it is written below before anything reads.
        let mut slice = unsafe { self.here().0.alloc::<T>(count) }.map_err(failed)?;
        let mut place = 0;
        for piece in values.chunks(PIECE / size_of::<T>()) {
            let mut to = slice.slice_mut(place..place + piece.len());
            self.send(to.device_ptr_mut(&self.stream).0, piece)?;
            place += piece.len();
        }
        let storage = CudaStorage::wrap_cuda_slice(slice, self.device.clone());
        Ok(Buffer {
            tensor: Some(wrapped(storage, count)),
            count,
            home: None,
        })
    }

    /// Copies values to an address, after everything before on the stream; they have been read when this returns.
    fn send<T: DeviceRepr>(&self, address: u64, values: &[T]) -> Result<(), DeviceError> {
        let size = size_of_val(values);
        let (stream, _) = self.here();
        let pool = match MODE.get() {
            Mode::Load => &self.loads_pool,
            _ => &self.pool,
        };
        if size <= TAKEN_ALONG {
            let _one = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            stream.context().bind_to_thread().map_err(failed)?;
            // SAFETY: who calls has room for the values there, and nobody else uses it. What the driver takes along it has read when the call
            // returns.
            return unsafe { result::memcpy_htod_async(address, values, stream.cu_stream()) }.map_err(failed);
        }
        let mut pinned = pool.take(stream.context(), size)?;
        // SAFETY: numbers are bytes, of which the pinned memory has as many; nobody else has it.
        unsafe {
            values
                .as_ptr()
                .cast::<u8>()
                .copy_to_nonoverlapping(pinned.place.as_ptr(), size)
        };
        {
            let _one = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            stream.context().bind_to_thread().map_err(failed)?;
            // SAFETY: as above; the pinned memory is taken again or freed when the event behind the copy says that it is done.
            unsafe { result::memcpy_htod_async(address, pinned.bytes(size), stream.cu_stream()) }
                .map_err(failed)?;
            pinned.done.record(stream).map_err(failed)?;
        }
        pool.put(pinned);
        Ok(())
    }

    fn made(&self, dtype: DType, count: usize) -> Result<Tensor, DeviceError> {
        match dtype {
            DType::F32 => self.empty::<f32>(count),
            DType::F16 => self.empty::<f16>(count),
            DType::BF16 => self.empty::<bf16>(count),
            DType::U32 => self.empty::<u32>(count),
            DType::U8 => self.empty::<u8>(count),
            _ => self.empty::<i64>(count),
        }
    }

    /// Where a buffer's first element lies, and the bytes of an element.
    fn place(&self, buffer: &Buffer) -> Result<(u64, usize), DeviceError> {
        place(tensor(buffer)?, &self.stream)
    }
}

fn wrapped(storage: CudaStorage, count: usize) -> Tensor {
    Tensor::from_storage(Storage::Cuda(storage), count, BackpropOp::none(), false)
}

fn tensor(buffer: &Buffer) -> Result<&Tensor, DeviceError> {
    let tensor = buffer.tensor.as_ref();
    tensor.ok_or_else(|| DeviceError::Failed("a buffer is gone".to_owned()))
}

fn place(tensor: &Tensor, stream: &CudaStream) -> Result<(u64, usize), DeviceError> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        return Err(DeviceError::Failed("a tensor is not on the GPU".to_owned()));
    };
    fn at<T: CudaDType>(storage: &CudaStorage, stream: &CudaStream) -> Result<u64, Error> {
        Ok(storage.as_cuda_slice::<T>()?.device_ptr(stream).0)
    }
    let start = match tensor.dtype() {
        DType::F32 => at::<f32>(storage, stream),
        DType::F16 => at::<f16>(storage, stream),
        DType::BF16 => at::<bf16>(storage, stream),
        DType::U32 => at::<u32>(storage, stream),
        DType::U8 => at::<u8>(storage, stream),
        _ => at::<i64>(storage, stream),
    };
    let size = tensor.dtype().size_in_bytes();
    Ok((
        start.map_err(failed)? + (layout.start_offset() * size) as u64,
        size,
    ))
}

/// Gives a cuBLAS memory of its own, and tells it to keep all sums in single precision, those too that several blocks share.
fn prepare(device: &CudaDevice, stream: &CudaStream, blas: &CudaBlas) -> Result<Tensor, DeviceError> {
    // SAFETY: nothing reads it before cuBLAS has written it.
    let slice = unsafe { device.alloc::<u32>(WORKSPACE / 4) }.map_err(failed)?;
    let workspace = wrapped(CudaStorage::wrap_cuda_slice(slice, device.clone()), WORKSPACE / 4);
    let (address, _) = place(&workspace, stream)?;
    let whole = cublas::sys::cublasMath_t::CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
    // SAFETY: the handle is live, and the memory lives as long as it does: the fields are dropped together, at the process's end.
    unsafe {
        cublas::sys::cublasSetWorkspace_v2(*blas.handle(), address as *mut c_void, WORKSPACE)
            .result()
            .and_then(|()| cublas::sys::cublasSetMathMode(*blas.handle(), whole).result())
    }
    .map_err(failed)?;
    Ok(workspace)
}

/// Has the memory pool keep what is freed: the next batch takes it again without asking the driver. And has it give no stream what another
/// has just freed, for which the one would have to wait for the other: a model that is loaded, for batches.
fn keep_memory(device: sys::CUdevice) -> Result<(), candle_core::cuda_backend::cudarc::driver::DriverError> {
    use candle_core::cuda_backend::cudarc::driver::result;
    let (mut threshold, mut depends) = (u64::MAX, 0_i32);
    let of_threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    let of_depends = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES;
    // SAFETY: the pool is the device's own and is never destroyed; the one attribute is a 64-bit number, the other an `int`.
    unsafe {
        let pool = result::device::get_mem_pool(device)?;
        result::mem_pool::set_attribute(pool, of_threshold, (&raw mut threshold).cast())?;
        result::mem_pool::set_attribute(pool, of_depends, (&raw mut depends).cast())
    }
}

impl Device for Cuda {
    type Buffer = Buffer;
    type Recording = Recording;

    fn precision(&self) -> Precision {
        self.precision
    }

    fn multiprocessors(&self) -> (usize, usize) {
        self.multiprocessors
    }

    fn shared_limit(&self) -> usize {
        self.shared_limit
    }

    fn tensor_cores(&self) -> bool {
        self.tensor_cores
    }

    fn warpgroups(&self) -> bool {
        self.warpgroups
    }

    fn load<T>(&self, work: impl FnOnce() -> T) -> Result<T, DeviceError> {
        let made = {
            let _loading = In::mode(Mode::Load);
            work()
        };
        // Instead of an event that each batch would have to wait for: who loads has nothing else to do.
        self.loads.synchronize().map_err(failed)?;
        Ok(made)
    }

    fn allocate(&self, kind: Kind, count: usize) -> Result<Buffer, DeviceError> {
        let dtype = self.dtype(kind);
        let mode = MODE.get();
        if matches!(mode, Mode::Do | Mode::Load) {
            let tensor = Some(self.made(dtype, count)?);
            let home = None;
            return Ok(Buffer { tensor, count, home });
        }
        // Of few sizes, so that other recordings can take it too.
        let size = count.next_power_of_two();
        let tensor = match self.arena.take(dtype, size) {
            Some(tensor) => tensor,
            None if mode == Mode::Capture => {
                let why = "a recording asks for memory that its rehearsal did not ask for";
                return Err(DeviceError::Failed(why.to_owned()));
            }
            None => {
                let tensor = self.made(dtype, size)?;
                let bytes = (size * dtype.size_in_bytes()) as u64;
                self.arena.bytes.fetch_add(bytes, Ordering::Relaxed);
                tensor
            }
        };
        Ok(Buffer {
            tensor: Some(tensor),
            count,
            home: Some(Arc::clone(&self.arena)),
        })
    }

    fn upload(&self, values: Values<'_>) -> Result<Buffer, DeviceError> {
        match values {
            Values::Floats(values) => self.copy(values),
            Values::Indices(values) => self.copy(values),
            // A device address is below 2^63.
            Values::Addresses(values) => {
                self.copy(&values.iter().map(|a| a.cast_signed()).collect::<Vec<i64>>())
            }
            Values::Elements(values) => match self.precision {
                Precision::Fp32 => self.copy(values),
                Precision::Fp16 => self.copy(&values.iter().map(|v| f16::from_f32(*v)).collect::<Vec<_>>()),
                Precision::Bf16 | Precision::Fp8 => {
                    self.copy(&values.iter().map(|v| bf16::from_f32(*v)).collect::<Vec<_>>())
                }
            },
        }
    }

    fn download(&self, buffer: &Buffer) -> Result<Copied<'_>, DeviceError> {
        // Errors that a dropped buffer met are told here.
        self.stream.context().check_err().map_err(failed)?;
        let (address, size) = self.place(buffer)?;
        let widen: fn(&[u8]) -> Vec<f32> = match tensor(buffer)?.dtype() {
            DType::F32 => |bytes| {
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|x| f32::from_ne_bytes(*x))
                    .collect()
            },
            DType::F16 => |bytes| {
                let values = bytes.as_chunks().0.iter();
                values.map(|x| f16::from_ne_bytes(*x).to_f32()).collect()
            },
            DType::BF16 => |bytes| {
                let values = bytes.as_chunks().0.iter();
                values.map(|x| bf16::from_ne_bytes(*x).to_f32()).collect()
            },
            DType::U8 => |bytes| bytes.iter().map(|x| e4m3(*x)).collect(),
            _ => return Err(DeviceError::Failed("only numbers can be downloaded".to_owned())),
        };
        let count = size * buffer.count;
        let mut landing = self.pool.take(self.stream.context(), count)?;
        {
            let _one = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            self.stream.context().bind_to_thread().map_err(failed)?;
            // SAFETY: the buffer has the bytes, which are not freed before the stream has come so far; nor is the landing, which waits for
            // the event behind the copy.
            unsafe { result::memcpy_dtoh_async(landing.bytes(count), address, self.stream.cu_stream()) }
                .map_err(failed)?;
            landing.done.record(&self.stream).map_err(failed)?;
        }
        Ok(Box::new(move || {
            // What a kernel did wrong is told by it.
            landing.done.synchronize().map_err(failed)?;
            let values = widen(landing.bytes(count));
            self.pool.put(landing);
            Ok(values)
        }))
    }

    fn wait(&self) -> Result<(), DeviceError> {
        self.stream.synchronize().map_err(failed)
    }

    fn overwrite(&self, buffer: &Buffer, values: &[u32]) -> Result<(), DeviceError> {
        let (address, size) = self.place(buffer)?;
        if values.len() != buffer.count || size != 4 {
            return Err(DeviceError::Failed("a buffer holds other numbers".to_owned()));
        }
        self.send(address, values)
    }

    fn records(&self) -> bool {
        self.failed_captures.load(Ordering::Relaxed) < FAILED_CAPTURES
    }

    fn record(
        &self,
        work: &mut dyn FnMut() -> Result<Buffer, DeviceError>,
    ) -> Result<Recorded<Self>, DeviceError> {
        let rehearsed = {
            let _rehearsing = In::mode(Mode::Rehearse);
            work().map(drop)
        };
        match rehearsed.and_then(|()| self.capture(work)) {
            Ok((recording, buffer)) => {
                self.replay(&recording)?;
                Ok(Some((recording, buffer)))
            }
            Err(why) if self.strict => Err(why),
            Err(why) => {
                // Where the GPU is whole, it can do without: what was rounded up may fit as it is.
                self.stream.synchronize().map_err(failed)?;
                if self.failed_captures.fetch_add(1, Ordering::Relaxed) == 0 {
                    eprintln!(
                        "mednerd-cuda: a small batch could not be made a CUDA graph, and is told launch by launch: {why}"
                    );
                }
                Ok(None)
            }
        }
    }

    fn recorded(&self) -> u64 {
        self.arena.bytes.load(Ordering::Relaxed)
    }

    fn replay(&self, recording: &Recording) -> Result<(), DeviceError> {
        let _one = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.stream.context().bind_to_thread().map_err(failed)?;
        // SAFETY: the graph is whole; the weights, tables and numbers that it reads are kept by who has the recording, and the arena
        // is never freed.
        unsafe { result::graph::launch(recording.0.cu_graph_exec(), self.stream.cu_stream()) }.map_err(failed)
    }

    fn address(&self, buffer: &Buffer) -> Result<u64, DeviceError> {
        Ok(self.place(buffer)?.0)
    }

    fn launch(&self, name: &str, launch: Launch, arguments: &[Arg<'_, Buffer>]) -> Result<(), DeviceError> {
        let function = self.functions.get(name);
        let function = function.ok_or_else(|| DeviceError::Failed(format!("there is no kernel {name}")))?;
        let whole = |number: usize| {
            let number = i32::try_from(number);
            number.map_err(|_| DeviceError::Failed(format!("{name}: a number is too large")))
        };
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(match argument {
                Arg::Buffer(None) => Value::Address(0),
                Arg::Buffer(Some(tensor)) => Value::Address(self.place(tensor)?.0),
                Arg::At(tensor, first) => {
                    let (start, size) = self.place(tensor)?;
                    Value::Address(start + (first * size) as u64)
                }
                Arg::Int(number) => Value::Int(whole(*number)?),
                Arg::Signed(number) => Value::Int(*number),
                Arg::Float(number) => Value::Float(*number),
            });
        }
        let dimension = |number: usize| whole(number).map(i32::unsigned_abs);
        let config = LaunchConfig {
            grid_dim: (dimension(launch.grid.0)?, dimension(launch.grid.1)?, 1),
            block_dim: (dimension(launch.block)?, 1, 1),
            shared_mem_bytes: dimension(4 * launch.shared)?,
        };
        let mut builder = self.here().0.launch_builder(function);
        for value in &values {
            match value {
                Value::Address(value) => builder.arg(value),
                Value::Int(value) => builder.arg(value),
                Value::Float(value) => builder.arg(value),
            };
        }
        let _one = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the arguments are those that the kernel's source declares, in order and size, which the emulation of the same
        // sources checks for every launch of every family; the buffers live until the call returns, and are freed on the same
        // stream, behind the kernel.
        unsafe { builder.launch(config) }.map(drop).map_err(failed)
    }

    fn product(
        &self,
        x: &Buffer,
        rows: Range<usize>,
        weight: &Buffer,
        inputs: usize,
        outputs: usize,
    ) -> Result<Buffer, DeviceError> {
        let out = self.allocate(Kind::Elements, rows.len() * outputs)?;
        let shape = (rows.len(), inputs, outputs);
        if MODE.get() == Mode::Do
            && let Some((lt, fastest)) = &self.tried
            && let Some((tried, algorithm)) = fastest.of(shape)
        {
            if self.multiply_by((lt, &algorithm), (x, rows.start), weight, &out, shape)? {
                return Ok(out);
            }
            fastest.forget(tried);
        }
        self.multiply(self.here().1, x, rows.start, weight, &out, shape)?;
        Ok(out)
    }

    fn try_products(&self, weight: &Buffer, inputs: usize, outputs: usize) -> Result<(), DeviceError> {
        self.try_algorithms(weight, inputs, outputs)
    }

    fn scales(&self, inputs: usize, outputs: usize) -> Result<bool, DeviceError> {
        let Some(eight) = &self.eight else {
            return Ok(false);
        };
        let whole = [inputs, outputs]
            .iter()
            .all(|size| size.is_multiple_of(ROWS_AT_ONCE));
        let _one = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.stream.context().bind_to_thread().map_err(failed)?;
        // Of as many rows as a sequence has.
        Ok(whole && eight.has((512, inputs, outputs))?)
    }

    fn scaled_product(
        &self,
        x: [&Buffer; 2],
        rows: usize,
        weight: [&Buffer; 2],
        inputs: usize,
        outputs: usize,
    ) -> Result<Buffer, DeviceError> {
        let shape = (rows.next_multiple_of(ROWS_AT_ONCE), inputs, outputs);
        let y = self.allocate(Kind::Elements, shape.0 * outputs)?;
        if !self.multiply_scaled(MODE.get(), x, weight, &y, shape)? {
            let launch = Launch {
                grid: (rows, 1),
                block: RESCALE_BLOCK,
                shared: 0,
            };
            let [y, of_rows, of_columns] = [&y, x[1], weight[1]].map(|buffer| Arg::Buffer(Some(buffer)));
            self.launch("rescale", launch, &[y, of_rows, of_columns, Arg::Int(outputs)])?;
        }
        Ok(y)
    }
}
