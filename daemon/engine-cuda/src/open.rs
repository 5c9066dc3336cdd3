//! Finding a GPU that can be used, or the sentence that says what is missing.

use candle_core::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{result, sys};
use candle_core::cuda_backend::cudarc::{cublas, cublaslt, curand};
use mednerd_engine_gpu::Device;
use mednerd_gpu::protocol::{Precision, Ready, Start};

use crate::device::Cuda;

/// The oldest driver's version of CUDA: kernels and cuBLAS are of 13.0.
const CUDA: i32 = 13_000;
/// And cuBLAS's.
const CUBLAS: i32 = 13;
/// The first driver that has it.
const DRIVER: &str = "580";
/// The oldest chips that there is machine code for.
const OLDEST: (i32, i32) = (7, 5);
/// The oldest that multiply in 8 bits.
const OLDEST_IN_8_BITS: (i32, i32) = (8, 9);

/// A GPU, and what the daemon is told of it.
pub struct Found {
    /// The device.
    pub device: Cuda,
    /// Name, driver, memory budget.
    pub ready: Ready,
}

/// Opens the first GPU that the environment shows, which `start` gives its number in the machine.
///
/// # Errors
/// A sentence for the administrator.
pub fn open(start: &Start) -> Result<Found, String> {
    let there = |present: bool, library: &str| {
        present.then_some(()).ok_or_else(|| {
            format!("there is no {library}; install the NVIDIA driver {DRIVER} or later and the libraries of CUDA 13")
        })
    };
    // Each is used as soon as it was seen, so that it stays open: cuBLAS and cuBLASLt take long to be opened.
    let (mut version, mut cublas_version) = (0, 0);
    // SAFETY: this only tries to open a library, which has no requirements on being loaded; so do the next three.
    let present = unsafe { sys::is_culib_present() };
    there(present, "libcuda.so.1, which is the NVIDIA driver's")?;
    // SAFETY: the driver writes one number to a live place.
    let asked_driver = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    // SAFETY: as above.
    let present = unsafe { cublas::sys::is_culib_present() };
    there(present, "libcublas.so.13 of CUDA 13")?;
    // SAFETY: cuBLAS writes one number to a live place.
    let asked = unsafe {
        let major = cublas::sys::libraryPropertyType::MAJOR_VERSION;
        cublas::sys::cublasGetProperty(major, &raw mut cublas_version)
    };
    // SAFETY: as above. The last is small.
    let present = unsafe { (cublaslt::sys::is_culib_present(), curand::sys::is_culib_present()) };
    there(present.0, "libcublasLt.so.13 of CUDA 13")?;
    there(present.1, "libcurand.so.10 of CUDA 13")?;
    if asked.result().is_err() || cublas_version < CUBLAS {
        return Err(format!(
            "the libcublas that is found first is of CUDA {cublas_version}; install the libraries of CUDA {CUBLAS} where the loader finds them"
        ));
    }
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: result::DriverError| format!("{what}: {error}")
    };
    let driver = driver().unwrap_or_else(|| format!("for CUDA {}.{}", version / 1000, version % 1000 / 10));
    if asked_driver.result().is_err() || version < CUDA {
        return Err(format!(
            "the NVIDIA driver is {driver}, and {DRIVER} or later is needed; upgrade the driver"
        ));
    }
    let shown = result::init().and_then(|()| result::device::get_count());
    match shown {
        Ok(count) if count > 0 => {}
        Ok(_) | Err(result::DriverError(sys::cudaError_enum::CUDA_ERROR_NO_DEVICE)) => {
            return Err(format!(
                "there is no GPU {} that the driver can use; `nvidia-smi -L` lists those that there are",
                start.gpu
            ));
        }
        Err(error) => return Err(format!("the driver cannot use GPU {}: {error}", start.gpu)),
    }
    let device = CudaDevice::new_with_stream(0)
        .map_err(|error| format!("GPU {} cannot be used: {error}", start.gpu))?;
    let stream = device.cuda_stream();
    let context = stream.context();
    let capability = context
        .compute_capability()
        .map_err(failed("the GPU does not say what it is"))?;
    if capability < OLDEST {
        let (major, minor) = capability;
        return Err(format!(
            "GPU {} has compute capability {major}.{minor}, and 7.5 or later is needed",
            start.gpu
        ));
    }
    let in_8_bits = start.precision == Precision::Fp8;
    let lacks = |what: String| {
        let gpu = start.gpu;
        format!("GPU {gpu} has {what}, and gpu_precision is \"fp8\"; set it to \"bf16\"")
    };
    if in_8_bits && capability < OLDEST_IN_8_BITS {
        let (major, minor) = capability;
        return Err(lacks(format!("compute capability {major}.{minor}, below 8.9")));
    }
    let name = context
        .name()
        .map_err(failed("the GPU does not say what it is called"))?;
    let device = Cuda::new(device, start.precision)
        .map_err(|error| format!("the kernels cannot be loaded: {error}"))?;
    // Of sizes that most models have.
    let scales = device.scales(768, 768);
    if in_8_bits && !scales.map_err(|error| format!("cuBLASLt does not say what it has: {error}"))? {
        return Err(lacks(
            "no products in 8 bits from the cuBLASLt that is found first".to_owned(),
        ));
    }
    let (free, _) = context
        .mem_get_info()
        .map_err(failed("the GPU does not say what memory it has"))?;
    let memory_bytes = match start.memory_bytes {
        0 => free as u64 / 10 * 9,
        wanted if wanted > free as u64 => {
            return Err(format!(
                "GPU {} has {free} bytes free, and gpu_memory_mb asks for {wanted}",
                start.gpu
            ));
        }
        wanted => wanted,
    };
    Ok(Found {
        ready: Ready {
            name,
            driver,
            compute: format!("{}.{}", capability.0, capability.1),
            memory_bytes,
        },
        device,
    })
}

/// The version that the kernel module gives, such as 580.159.04.
fn driver() -> Option<String> {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    let numbers = |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.lines()
        .next()?
        .split_whitespace()
        .find(numbers)
        .map(ToOwned::to_owned)
}
