//! Products in 8 bits by cuBLASLt: e4m3 on both sides, sums in single precision, results in bf16. Its kernels take the weight's rows and the
//! activations' rows as they lie (its "TN"), and whole multiples of 16 of each. On compute capability 9.0 they multiply by a scale
//! for each row of either ("outer vector", from CUDA 12.9 on); elsewhere by one for all at most, and a kernel of ours does the rest.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use candle_core::cuda_backend::cudarc::cublas::sys::cublasOperation_t;
use candle_core::cuda_backend::cudarc::cublaslt::{result, sys};
use mednerd_engine_gpu::{DeviceError, ROWS_AT_ONCE};

use crate::device::{WORKSPACE, failed};

/// How often cuBLASLt is asked whether it has products of a shape, and the pause between.
const TRIES: usize = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Rows, inputs, outputs.
type Shape = (usize, usize, usize);

/// How products of a class of shapes are made.
#[derive(Clone, Copy)]
struct Choice {
    algorithm: sys::cublasLtMatmulAlgo_t,
    /// Whether it multiplies by the scales of rows itself.
    scaled: bool,
}

/// cuBLASLt, and what it chose for each class of shapes.
pub(crate) struct Eight {
    handle: sys::cublasLtHandle_t,
    /// By the largest of a class, or a shape for which that one was refused. `None` where it has no product of that shape.
    choices: Mutex<HashMap<Shape, Option<Choice>>>,
}

// SAFETY: a handle of cuBLASLt may be used by several threads at once; it is never destroyed, as the process ends with it.
unsafe impl Send for Eight {}
// SAFETY: as above.
unsafe impl Sync for Eight {}

/// What a product reads and writes: addresses on the device. Scales where cuBLASLt multiplies by them.
pub(crate) struct Operands {
    pub(crate) x: u64,
    pub(crate) x_scales: u64,
    pub(crate) weight: u64,
    pub(crate) weight_scales: u64,
    pub(crate) y: u64,
    pub(crate) workspace: u64,
    pub(crate) stream: *mut c_void,
}

/// A description of a product, freed when dropped.
struct Described {
    operation: sys::cublasLtMatmulDesc_t,
    /// Of the weight, `x` and `y`.
    layouts: Vec<sys::cublasLtMatrixLayout_t>,
}

impl Drop for Described {
    fn drop(&mut self) {
        for layout in &self.layouts {
            // SAFETY: it was made by `new`, and nobody has it any more.
            let _ = unsafe { result::destroy_matrix_layout(*layout) };
        }
        // SAFETY: as above.
        let _ = unsafe { result::destroy_matmul_desc(self.operation) };
    }
}

impl Described {
    fn new((rows, inputs, outputs): Shape, scales: Option<[u64; 2]>) -> Result<Self, result::CublasError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        use sys::cudaDataType_t::{CUDA_R_8F_E4M3, CUDA_R_16BF, CUDA_R_32F};
        let single = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let mut new = Self {
            operation: result::create_matmul_desc(single, CUDA_R_32F)?,
            layouts: Vec::with_capacity(3),
        };
        // In columns: `outputs` of the weight, of so many inputs each, and a column for each row of `x` and `y`.
        for (kind, height, columns) in [
            (CUDA_R_8F_E4M3, inputs, outputs),
            (CUDA_R_8F_E4M3, inputs, rows),
            (CUDA_R_16BF, outputs, rows),
        ] {
            let apart = i64::try_from(height).unwrap_or(i64::MAX);
            let layout = result::create_matrix_layout(kind, height as u64, columns as u64, apart)?;
            new.layouts.push(layout);
        }
        let across = cublasOperation_t::CUBLAS_OP_T;
        new.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &across)?;
        if let Some([of_weight, of_x]) = scales {
            let each_row = sys::cublasLtMatmulMatrixScale_t::CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
            new.set(Attribute::CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &each_row)?;
            new.set(Attribute::CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &each_row)?;
            new.set(Attribute::CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &of_weight)?;
            new.set(Attribute::CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &of_x)?;
        }
        Ok(new)
    }

    fn set<T: Copy>(
        &self,
        attribute: sys::cublasLtMatmulDescAttributes_t,
        value: &T,
    ) -> Result<(), result::CublasError> {
        let value: *const T = value;
        // SAFETY: the description is live, and the value, of the size that the attribute has, is read before the call returns.
        unsafe { result::set_matmul_desc_attribute(self.operation, attribute, value.cast(), size_of::<T>()) }
    }

    fn layout(&self, place: usize) -> sys::cublasLtMatrixLayout_t {
        self.layouts.get(place).copied().unwrap_or(std::ptr::null_mut())
    }
}

/// The largest shape of the class that this one is in: one algorithm serves a class, so that cuBLASLt is asked seldom, and as often
/// however long it runs.
fn class((rows, inputs, outputs): Shape) -> Shape {
    let step = (rows.next_power_of_two() / 8).max(4 * ROWS_AT_ONCE);
    (rows.next_multiple_of(step), inputs, outputs)
}

/// Whether an error may be another time's, and says nothing of what is asked for.
fn passes(error: result::CublasError) -> bool {
    use sys::cublasStatus_t as Status;
    matches!(
        error.0,
        Status::CUBLAS_STATUS_INTERNAL_ERROR
            | Status::CUBLAS_STATUS_ALLOC_FAILED
            | Status::CUBLAS_STATUS_EXECUTION_FAILED
            | Status::CUBLAS_STATUS_NOT_INITIALIZED
    )
}

impl Eight {
    /// The library's handle.
    pub(crate) fn new() -> Result<Self, DeviceError> {
        Ok(Self {
            handle: result::create_handle().map_err(failed)?,
            choices: Mutex::default(),
        })
    }

    /// Whether there are products of this shape.
    ///
    /// # Errors
    /// Where cuBLASLt does not say, however often it is asked. It may not while another thread records a graph.
    pub(crate) fn has(&self, shape: Shape) -> Result<bool, DeviceError> {
        let mut known = self.known(shape);
        for _ in 1..TRIES {
            if known.is_ok() {
                break;
            }
            std::thread::sleep(BETWEEN_TRIES);
            known = self.known(shape);
        }
        Ok(known?.is_some())
    }

    fn choices(&self) -> MutexGuard<'_, HashMap<Shape, Option<Choice>>> {
        self.choices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was found for this shape, where its class's was refused; else what was chosen for the largest of its class, or is now.
    fn known(&self, shape: Shape) -> Result<Option<Choice>, DeviceError> {
        let mut choices = self.choices();
        if let Some(own) = choices.get(&shape) {
            return Ok(*own);
        }
        let largest = class(shape);
        if let Some(chosen) = choices.get(&largest) {
            return Ok(*chosen);
        }
        let chosen = self.choose(largest)?;
        choices.insert(largest, chosen);
        Ok(chosen)
    }

    /// What cuBLASLt's heuristic puts first; `None` where it has nothing. Another error is not kept: it may pass, as where a stream records.
    fn choose(&self, shape: Shape) -> Result<Option<Choice>, DeviceError> {
        for scaled in [true, false] {
            match self.ask(shape, scaled) {
                Ok(choice) => return Ok(Some(choice)),
                Err(error) if passes(error) => return Err(failed(error)),
                Err(_) => {}
            }
        }
        Ok(None)
    }

    fn ask(&self, shape: Shape, scaled: bool) -> Result<Choice, result::CublasError> {
        // The heuristic follows no pointer, but sees how they are aligned.
        let described = Described::new(shape, scaled.then_some([256, 256]))?;
        let preference = result::create_matmul_pref()?;
        let most = sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        let bytes: *const usize = &WORKSPACE;
        // SAFETY: the preference and the descriptions are live, and the attribute is a number of that size.
        let found = unsafe {
            result::set_matmul_pref_attribute(preference, most, bytes.cast(), size_of::<usize>()).and_then(
                |()| {
                    let [weight, x, y] = [0, 1, 2].map(|place| described.layout(place));
                    let operation = described.operation;
                    result::get_matmul_algo_heuristic(self.handle, operation, weight, x, y, y, preference)
                },
            )
        };
        // SAFETY: nobody has it any more.
        let _ = unsafe { result::destroy_matmul_pref(preference) };
        let algorithm = found?.algo;
        Ok(Choice { algorithm, scaled })
    }

    /// Enqueues a product of this shape. Whether it is multiplied by the scales; else that is still to be done.
    ///
    /// # Safety
    /// The addresses are of memory of the device that has the numbers, until the work is done; a context is bound, and nobody
    /// else enqueues on the stream.
    pub(crate) unsafe fn multiply(&self, shape: Shape, at: &Operands) -> Result<bool, DeviceError> {
        let missing = || DeviceError::Failed("cuBLASLt has no product in 8 bits of a shape".to_owned());
        let choice = self.known(shape)?.ok_or_else(missing)?;
        // SAFETY: as the caller says.
        let Err(mut refusal) = (unsafe { self.enqueue(shape, choice, at) }) else {
            return Ok(choice.scaled);
        };
        if passes(refusal) {
            return Err(failed(refusal));
        }
        // What serves the largest of a class may not serve this one. And products with scales are refused for few rows of many inputs,
        // though the heuristic names one: those without are there.
        for scaled in [true, false] {
            let asked = self.ask(shape, scaled).and_then(|own| {
                // SAFETY: as above; what was refused was not enqueued.
                unsafe { self.enqueue(shape, own, at) }.map(|()| own)
            });
            match asked {
                Ok(own) => {
                    self.choices().insert(shape, Some(own));
                    return Ok(scaled);
                }
                Err(error) => refusal = error,
            }
        }
        Err(failed(refusal))
    }

    /// # Safety
    /// As [`Self::multiply`].
    unsafe fn enqueue(&self, shape: Shape, choice: Choice, at: &Operands) -> Result<(), result::CublasError> {
        let scales = choice.scaled.then_some([at.weight_scales, at.x_scales]);
        let described = Described::new(shape, scales)?;
        let [weight, x, y] = [0, 1, 2].map(|place| described.layout(place));
        let (one, zero) = (1.0_f32, 0.0_f32);
        // SAFETY: the descriptions are live, and what they say of memory the caller does. As for cuBLAS's own products, y^T = W x^T.
        unsafe {
            result::matmul(
                self.handle,
                described.operation,
                (&raw const one).cast(),
                (&raw const zero).cast(),
                at.weight as *const c_void,
                weight,
                at.x as *const c_void,
                x,
                at.y as *const c_void,
                y,
                at.y as *mut c_void,
                y,
                &raw const choice.algorithm,
                at.workspace as *mut c_void,
                WORKSPACE,
                at.stream.cast(),
            )
        }
    }
}
