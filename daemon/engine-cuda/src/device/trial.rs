//! Trying cuBLASLt's algorithms for the products of a model that is loaded.

use std::sync::PoisonError;

use candle_core::cuda_backend::cudarc::cublaslt::sys::cudaDataType_t;
use candle_core::cuda_backend::cudarc::driver::{result, sys};
use mednerd_engine_gpu::{Device, DeviceError, Fastest, Kind, Shape};
use mednerd_gpu::protocol::Precision;

use super::{Buffer, Cuda, MODE, failed, place};
use crate::lt::{Algorithm, Lt, Numbers, Operands, passes};

/// So many algorithms are tried for a product, of those that the heuristic names.
const TRIED: usize = 8;

/// Rows at the begin and at the end of a product that are compared.
const COMPARED: usize = 128;

/// How often a product is made at once, and how often that is timed.
const AT_ONCE: usize = 5;
const ROUNDS: usize = 2;

impl Cuda {
    /// Finds the fastest algorithms for products with a weight, where that is worth while and was not done yet. It takes some hundredths of a
    /// second, and memory for activations of some thousand rows.
    ///
    /// # Errors
    /// Where the device fails. Where memory is short, or cuBLASLt does not answer now, cuBLAS's own choice stays.
    pub(super) fn try_algorithms(
        &self,
        weight: &Buffer,
        inputs: usize,
        outputs: usize,
    ) -> Result<(), DeviceError> {
        let Some((lt, fastest)) = &self.tried else {
            return Ok(());
        };
        for shape in fastest.untried(inputs, outputs) {
            match self.try_product(lt, fastest, weight, shape) {
                Err(DeviceError::OutOfMemory) => break,
                done => done?,
            }
        }
        Ok(())
    }

    fn try_product(
        &self,
        lt: &Lt,
        fastest: &Fastest<Algorithm>,
        weight: &Buffer,
        shape: Shape,
    ) -> Result<(), DeviceError> {
        let (rows, inputs, outputs) = shape;
        let numbers = self.numbers();
        let algorithms = match lt.ask(shape, numbers, TRIED, true) {
            Ok(algorithms) => algorithms,
            // Asked again with the next model.
            Err(error) if passes(error) => return Ok(()),
            Err(_) => Vec::new(),
        };
        let x = self.allocate(Kind::Elements, rows * inputs)?;
        self.repeat(weight, &x)?;
        let results = [(); 2].map(|()| self.allocate(Kind::Elements, rows * outputs));
        let [usual, y] = results;
        let (usual, y) = (usual?, y?);
        let multiply = || self.multiply(&self.loads_blas, &x, 0, weight, &usual, shape);
        multiply()?;
        let time = self.clock(multiply)?;
        fastest.choose(shape, time, &algorithms, |algorithm| {
            let (address, size) = self.place(&y)?;
            // SAFETY: the buffer has the bytes, and nobody else uses it.
            unsafe { result::memset_d8_async(address, 0xff, y.count * size, self.loads.cu_stream()) }
                .map_err(failed)?;
            let multiply = || self.multiply_by((lt, algorithm), (&x, 0), weight, &y, shape);
            if !multiply()? || !self.are_alike(&usual, &y, outputs)? {
                return Ok(None);
            }
            self.clock(|| multiply().map(drop)).map(Some)
        })
    }

    /// Fills a buffer with what another has, again and again.
    fn repeat(&self, from: &Buffer, to: &Buffer) -> Result<(), DeviceError> {
        let ((source, size), target) = (self.place(from)?, self.place(to)?.0);
        for first in (0..to.count).step_by(from.count.max(1)) {
            let count = from.count.min(to.count - first);
            let target = target + (first * size) as u64;
            // SAFETY: both have so many numbers from there on; who loads has the one, and nobody writes the other.
            unsafe { result::memcpy_dtod_async(target, source, count * size, self.loads.cu_stream()) }
                .map_err(failed)?;
        }
        Ok(())
    }

    /// Whether two products have the same bits, in their first and last rows.
    fn are_alike(&self, one: &Buffer, other: &Buffer, width: usize) -> Result<bool, DeviceError> {
        let count = (COMPARED * width).min(one.count);
        for first in [0, one.count - count] {
            if self.bytes(one, first, count)? != self.bytes(other, first, count)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// So many numbers from the first on, as they lie there.
    fn bytes(&self, buffer: &Buffer, first: usize, count: usize) -> Result<Vec<u8>, DeviceError> {
        let (address, size) = self.place(buffer)?;
        let (address, bytes) = (address + (first * size) as u64, count * size);
        let mut landing = self.loads_pool.take(self.loads.context(), bytes)?;
        // SAFETY: the buffer has the bytes; the landing is read when the event behind the copy says that it is done.
        unsafe { result::memcpy_dtoh_async(landing.bytes(bytes), address, self.loads.cu_stream()) }
            .map_err(failed)?;
        landing.done.record(&self.loads).map_err(failed)?;
        landing.done.synchronize().map_err(failed)?;
        let copied = landing.bytes(bytes).to_vec();
        self.loads_pool.put(landing);
        Ok(copied)
    }

    /// Milliseconds that some of this work takes where models are loaded: the least of some times.
    fn clock(&self, work: impl Fn() -> Result<(), DeviceError>) -> Result<f32, DeviceError> {
        let timed = || {
            let flags = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
            self.loads.context().new_event(flags).map_err(failed)
        };
        let (begin, end) = (timed()?, timed()?);
        let mut least = f32::INFINITY;
        for _ in 0..ROUNDS {
            begin.record(&self.loads).map_err(failed)?;
            for _ in 0..AT_ONCE {
                work()?;
            }
            end.record(&self.loads).map_err(failed)?;
            least = least.min(begin.elapsed_ms(&end).map_err(failed)?);
        }
        Ok(least)
    }

    /// `y = x W^T` by an algorithm of cuBLASLt, of rows of `x` from the first on. False where that refuses them.
    pub(super) fn multiply_by(
        &self,
        (lt, algorithm): (&Lt, &Algorithm),
        (x, first): (&Buffer, usize),
        weight: &Buffer,
        y: &Buffer,
        shape: Shape,
    ) -> Result<bool, DeviceError> {
        let (x, size) = self.place(x)?;
        let (stream, workspace) = self.room(MODE.get());
        let operands = Operands {
            x: x + (first * shape.1 * size) as u64,
            x_scales: 0,
            weight: self.place(weight)?.0,
            weight_scales: 0,
            y: self.place(y)?.0,
            workspace: place(workspace, &self.stream)?.0,
            stream: stream.cu_stream().cast(),
        };
        let _one = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.stream.context().bind_to_thread().map_err(failed)?;
        // SAFETY: the buffers have as many rows as the shape says; they live until the call returns, and are freed on the same stream behind
        // it. The gate is held.
        // Where the GPU has failed, the next call says so.
        Ok(unsafe { lt.enqueue(shape, self.numbers(), algorithm, &operands) }.is_ok())
    }

    /// What large products read and write.
    fn numbers(&self) -> Numbers {
        let kind = match self.precision {
            Precision::Fp32 => cudaDataType_t::CUDA_R_32F,
            Precision::Fp16 => cudaDataType_t::CUDA_R_16F,
            Precision::Bf16 | Precision::Fp8 => cudaDataType_t::CUDA_R_16BF,
        };
        Numbers {
            read: kind,
            written: kind,
            scaled: false,
        }
    }
}
