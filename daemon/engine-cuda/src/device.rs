//! [`Device`] on candle: a buffer is a tensor of one dimension, a product is candle's, a kernel is launched on the device's
//! one stream.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::CudaDType;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaStream, DevicePtr, DeviceRepr, LaunchConfig, PushKernelArg, sys,
};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, DType, Error, Storage, Tensor};
use half::{bf16, f16};
use mednerd_engine_gpu::{Arg, Device, DeviceError, Kind, Launch, Values, kernel_name};
use mednerd_gpu::protocol::Precision;

/// The kernels as nvcc made them, and their names without the suffix of the precision.
const MODULES: [(&[u8], &[&str]); 5] = [
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/tensor.fatbin")),
        &TENSOR,
    ),
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/attention.fatbin")),
        &["attend"],
    ),
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/elementwise.fatbin")),
        &["finish", "logits", "gate", "rotate", "unfold"],
    ),
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/lora.fatbin")),
        &["lora_shrink", "lora_expand"],
    ),
    (
        include_bytes!(concat!(env!("OUT_DIR"), "/norm.fatbin")),
        &["embed", "add_norm"],
    ),
];

/// Those that need tensor cores.
const TENSOR: [&str; 6] = [
    "attend_32",
    "attend_64",
    "attend_128",
    "attend_places_32",
    "attend_places_64",
    "attend_places_128",
];

/// More shared memory for one block would leave no room for a second one on the same multiprocessor.
const SHARED_LIMIT: usize = 64 << 10;

/// A GPU.
pub struct Cuda {
    device: CudaDevice,
    stream: Arc<CudaStream>,
    precision: Precision,
    functions: HashMap<&'static str, CudaFunction>,
    shared_limit: usize,
    tensor_cores: bool,
    /// cuBLAS's handle is for one thread at a time, and so is what a call enqueues.
    gate: Mutex<()>,
}

fn failed(error: impl std::fmt::Display) -> DeviceError {
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
        // SAFETY: everything here is on this one stream, so nothing needs to wait for another.
        unsafe { device.disable_event_tracking() };
        let context = stream.context();
        let attribute = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
        let most = usize::try_from(context.attribute(attribute).map_err(failed)?).unwrap_or(0);
        let shared_limit = most.min(SHARED_LIMIT);
        let mut functions = HashMap::new();
        // Of a kind that both types have.
        let tensor_cores =
            precision != Precision::Fp32 && context.compute_capability().map_err(failed)? >= (8, 0);
        for (image, names) in MODULES {
            if names == TENSOR && !tensor_cores {
                continue;
            }
            let module = context
                .load_module(Ptx::from_binary(image.to_vec()))
                .map_err(failed)?;
            for name in names {
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
        keep_memory(context.cu_device()).map_err(failed)?;
        Ok(Self {
            device,
            stream,
            precision,
            functions,
            shared_limit,
            tensor_cores,
            gate: Mutex::new(()),
        })
    }

    fn dtype(&self, kind: Kind) -> DType {
        match (kind, self.precision) {
            (Kind::Floats, _) | (Kind::Elements, Precision::Fp32) => DType::F32,
            (Kind::Elements, Precision::Fp16) => DType::F16,
            (Kind::Elements, Precision::Bf16) => DType::BF16,
            (Kind::Indices, _) => DType::U32,
            (Kind::Addresses, _) => DType::I64,
        }
    }

    fn empty<T: CudaDType + DeviceRepr>(&self, count: usize) -> Result<Tensor, DeviceError> {
        // SAFETY: any bits are a value of these types, and kernels write before anything reads.
        let slice = unsafe { self.device.alloc::<T>(count) }.map_err(failed)?;
        Ok(self.tensor(CudaStorage::wrap_cuda_slice(slice, self.device.clone()), count))
    }

    fn copy<T: CudaDType + DeviceRepr + 'static>(&self, values: &[T]) -> Result<Tensor, DeviceError> {
        let slice = self.device.clone_htod(values).map_err(failed)?;
        Ok(self.tensor(
            CudaStorage::wrap_cuda_slice(slice, self.device.clone()),
            values.len(),
        ))
    }

    fn tensor(&self, storage: CudaStorage, count: usize) -> Tensor {
        Tensor::from_storage(Storage::Cuda(storage), count, BackpropOp::none(), false)
    }

    /// Where a tensor's first element lies, and the bytes of an element.
    fn place(&self, tensor: &Tensor) -> Result<(u64, usize), DeviceError> {
        let (storage, layout) = tensor.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else {
            return Err(DeviceError::Failed("a tensor is not on the GPU".to_owned()));
        };
        fn at<T: CudaDType>(storage: &CudaStorage, stream: &CudaStream) -> Result<u64, Error> {
            Ok(storage.as_cuda_slice::<T>()?.device_ptr(stream).0)
        }
        let start = match tensor.dtype() {
            DType::F32 => at::<f32>(storage, &self.stream),
            DType::F16 => at::<f16>(storage, &self.stream),
            DType::BF16 => at::<bf16>(storage, &self.stream),
            DType::U32 => at::<u32>(storage, &self.stream),
            _ => at::<i64>(storage, &self.stream),
        };
        let size = tensor.dtype().size_in_bytes();
        Ok((
            start.map_err(failed)? + (layout.start_offset() * size) as u64,
            size,
        ))
    }
}

/// Has the memory pool keep what is freed: the next batch takes it again without asking the driver.
fn keep_memory(device: sys::CUdevice) -> Result<(), candle_core::cuda_backend::cudarc::driver::DriverError> {
    use candle_core::cuda_backend::cudarc::driver::result;
    let mut threshold = u64::MAX;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the pool is the device's own and is never destroyed; the attribute is a 64-bit number.
    unsafe {
        let pool = result::device::get_mem_pool(device)?;
        result::mem_pool::set_attribute(pool, attribute, (&raw mut threshold).cast())
    }
}

impl Device for Cuda {
    type Buffer = Tensor;

    fn precision(&self) -> Precision {
        self.precision
    }

    fn shared_limit(&self) -> usize {
        self.shared_limit
    }

    fn tensor_cores(&self) -> bool {
        self.tensor_cores
    }

    fn allocate(&self, kind: Kind, count: usize) -> Result<Tensor, DeviceError> {
        match self.dtype(kind) {
            DType::F32 => self.empty::<f32>(count),
            DType::F16 => self.empty::<f16>(count),
            DType::BF16 => self.empty::<bf16>(count),
            DType::U32 => self.empty::<u32>(count),
            _ => self.empty::<i64>(count),
        }
    }

    fn upload(&self, values: Values<'_>) -> Result<Tensor, DeviceError> {
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
                Precision::Bf16 => self.copy(&values.iter().map(|v| bf16::from_f32(*v)).collect::<Vec<_>>()),
            },
        }
    }

    fn download(&self, buffer: &Tensor) -> Result<Vec<f32>, DeviceError> {
        // Errors that a dropped buffer met are told here.
        self.stream.context().check_err().map_err(failed)?;
        let (storage, _) = buffer.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else {
            return Err(DeviceError::Failed("a tensor is not on the GPU".to_owned()));
        };
        fn read<T: CudaDType + DeviceRepr>(
            device: &CudaDevice,
            storage: &CudaStorage,
        ) -> Result<Vec<T>, Error> {
            device.clone_dtoh(storage.as_cuda_slice::<T>()?)
        }
        // The copy waits for the stream; what a kernel did wrong is told by it.
        let values = match buffer.dtype() {
            DType::F32 => read::<f32>(&self.device, storage),
            DType::F16 => {
                read::<f16>(&self.device, storage).map(|v| v.into_iter().map(f16::to_f32).collect())
            }
            DType::BF16 => {
                read::<bf16>(&self.device, storage).map(|v| v.into_iter().map(bf16::to_f32).collect())
            }
            _ => return Err(DeviceError::Failed("only numbers can be downloaded".to_owned())),
        };
        let values = values.map_err(failed)?;
        self.stream.synchronize().map_err(failed)?;
        Ok(values)
    }

    fn address(&self, buffer: &Tensor) -> Result<u64, DeviceError> {
        Ok(self.place(buffer)?.0)
    }

    fn launch(&self, name: &str, launch: Launch, arguments: &[Arg<'_, Tensor>]) -> Result<(), DeviceError> {
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
        let mut builder = self.stream.launch_builder(function);
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
        x: &Tensor,
        rows: Range<usize>,
        weight: &Tensor,
        inputs: usize,
        outputs: usize,
    ) -> Result<Tensor, DeviceError> {
        let _one = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let count = rows.len();
        let product = || {
            let x = x
                .narrow(0, rows.start * inputs, count * inputs)?
                .reshape((count, inputs))?;
            let weight = weight.reshape((outputs, inputs))?;
            x.matmul(&weight.t()?)?.flatten_all()
        };
        product().map_err(failed)
    }
}
