//! cuBLASLt: its descriptions of products, and the algorithms that it has for them. Its kernels take the weight's rows and the
//! activations' rows as they lie (its "TN"); sums are in single precision.

use std::ffi::c_void;

use candle_core::cuda_backend::cudarc::cublas::sys::cublasOperation_t;
use candle_core::cuda_backend::cudarc::cublaslt::{result, sys};
use mednerd_engine_gpu::{DeviceError, Shape};

use crate::device::{WORKSPACE, failed};

/// One way to make products.
pub(crate) type Algorithm = sys::cublasLtMatmulAlgo_t;

/// What products read and write.
#[derive(Clone, Copy)]
pub(crate) struct Numbers {
    pub(crate) read: sys::cudaDataType_t,
    pub(crate) written: sys::cudaDataType_t,
    /// Whether a scale for each row of either side is multiplied by.
    pub(crate) scaled: bool,
}

/// Addresses on the device that a product reads and writes. Scales where it multiplies by them.
#[derive(Clone, Copy)]
pub(crate) struct Operands {
    pub(crate) x: u64,
    pub(crate) x_scales: u64,
    pub(crate) weight: u64,
    pub(crate) weight_scales: u64,
    pub(crate) y: u64,
    pub(crate) workspace: u64,
    pub(crate) stream: *mut c_void,
}

/// cuBLASLt.
pub(crate) struct Lt {
    handle: sys::cublasLtHandle_t,
}

// SAFETY: a handle of cuBLASLt may be used by several threads at once; it is never destroyed, as the process ends with it.
unsafe impl Send for Lt {}
// SAFETY: as above.
unsafe impl Sync for Lt {}

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
    /// With addresses of the scales of the weight and of `x`, where there are any.
    fn new(
        (rows, inputs, outputs): Shape,
        numbers: Numbers,
        [of_weight, of_x]: [u64; 2],
    ) -> Result<Self, result::CublasError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let single = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let mut new = Self {
            operation: result::create_matmul_desc(single, sys::cudaDataType_t::CUDA_R_32F)?,
            layouts: Vec::with_capacity(3),
        };
        // In columns: `outputs` of the weight, of so many inputs each, and a column for each row of `x` and `y`.
        for (kind, height, columns) in [
            (numbers.read, inputs, outputs),
            (numbers.read, inputs, rows),
            (numbers.written, outputs, rows),
        ] {
            let apart = i64::try_from(height).unwrap_or(i64::MAX);
            let layout = result::create_matrix_layout(kind, height as u64, columns as u64, apart)?;
            new.layouts.push(layout);
        }
        let across = cublasOperation_t::CUBLAS_OP_T;
        new.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &across)?;
        if numbers.scaled {
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

/// A preference, freed when dropped.
struct Preferred(sys::cublasLtMatmulPreference_t);

impl Drop for Preferred {
    fn drop(&mut self) {
        // SAFETY: it was made by `create_matmul_pref`, and nobody has it any more.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}

impl Preferred {
    fn set<T: Copy>(
        &self,
        attribute: sys::cublasLtMatmulPreferenceAttributes_t,
        value: &T,
    ) -> Result<(), result::CublasError> {
        let value: *const T = value;
        // SAFETY: the preference is live, and the value, of the size that the attribute has, is read before the call returns.
        unsafe { result::set_matmul_pref_attribute(self.0, attribute, value.cast(), size_of::<T>()) }
    }
}

/// Whether an error may be another time's, and says nothing of what is asked for.
pub(crate) fn passes(error: result::CublasError) -> bool {
    use sys::cublasStatus_t as Status;
    matches!(
        error.0,
        Status::CUBLAS_STATUS_INTERNAL_ERROR
            | Status::CUBLAS_STATUS_ALLOC_FAILED
            | Status::CUBLAS_STATUS_EXECUTION_FAILED
            | Status::CUBLAS_STATUS_NOT_INITIALIZED
    )
}

impl Lt {
    /// The library's handle.
    pub(crate) fn new() -> Result<Self, DeviceError> {
        let handle = result::create_handle().map_err(failed)?;
        Ok(Self { handle })
    }

    /// So many algorithms at most for a product, the one first that the heuristic thinks the fastest; at least one. With `whole`, of those alone that add
    /// up each sum in one place, and not in parts that are added later.
    pub(crate) fn ask(
        &self,
        shape: Shape,
        numbers: Numbers,
        most: usize,
        whole: bool,
    ) -> Result<Vec<Algorithm>, result::CublasError> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        // The heuristic follows no pointer, but sees how they are aligned.
        let described = Described::new(shape, numbers, [256, 256])?;
        let preferred = Preferred(result::create_matmul_pref()?);
        preferred.set(Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE)?;
        if whole {
            let none = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_NONE as u32;
            preferred.set(Attribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &none)?;
        }
        let mut found: Vec<sys::cublasLtMatmulHeuristicResult_t> = Vec::with_capacity(most);
        let [weight, x, y] = [0, 1, 2].map(|place| described.layout(place));
        let (wanted, mut count) = (i32::try_from(most).unwrap_or(1), 0_i32);
        // SAFETY: the descriptions and the preference are live, and there is room for as many results as are wanted, of which so many as
        // `count` says have been written.
        unsafe {
            let asked = sys::cublasLtMatmulAlgoGetHeuristic(
                self.handle,
                described.operation,
                weight,
                x,
                y,
                y,
                preferred.0,
                wanted,
                found.as_mut_ptr(),
                &raw mut count,
            );
            asked.result()?;
            found.set_len(usize::try_from(count).unwrap_or(0).min(most));
        }
        let good = |result: &&sys::cublasLtMatmulHeuristicResult_t| result.state.result().is_ok();
        let algorithms: Vec<Algorithm> = found.iter().filter(good).map(|result| result.algo).collect();
        match algorithms.is_empty() {
            true => Err(result::CublasError(
                sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED,
            )),
            false => Ok(algorithms),
        }
    }

    /// Enqueues a product.
    ///
    /// # Safety
    /// The addresses are of memory of the device that has the numbers, until the work is done; a context is bound, and nobody
    /// else enqueues on the stream.
    pub(crate) unsafe fn enqueue(
        &self,
        shape: Shape,
        numbers: Numbers,
        algorithm: &Algorithm,
        at: &Operands,
    ) -> Result<(), result::CublasError> {
        let described = Described::new(shape, numbers, [at.weight_scales, at.x_scales])?;
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
                std::ptr::from_ref(algorithm),
                at.workspace as *mut c_void,
                WORKSPACE,
                at.stream.cast(),
            )
        }
    }
}
