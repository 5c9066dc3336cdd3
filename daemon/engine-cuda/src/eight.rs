//! Products in 8 bits by cuBLASLt: e4m3 on both sides, sums in single precision, results in bf16, whole multiples of 16 rows of each. On
//! compute capability 9.0 they multiply by a scale for each row of either side ("outer vector", from CUDA 12.9 on); elsewhere by one
//! for all at most, and a kernel of ours does the rest.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use candle_core::cuda_backend::cudarc::cublaslt::{result, sys};
use mednerd_engine_gpu::{DeviceError, ROWS_AT_ONCE, Shape};

use crate::device::failed;
use crate::lt::{Algorithm, Lt, Numbers, Operands, passes};

/// How often cuBLASLt is asked whether it has products of a shape, and the pause between.
const TRIES: usize = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// How products of a class of shapes are made.
#[derive(Clone, Copy)]
struct Choice {
    algorithm: Algorithm,
    /// Whether it multiplies by the scales of rows itself.
    scaled: bool,
}

/// What cuBLASLt chose for each class of shapes.
pub(crate) struct Eight {
    lt: Lt,
    /// By the largest of a class, or a shape for which that one was refused. `None` where it has no product of that shape.
    choices: Mutex<HashMap<Shape, Option<Choice>>>,
}

fn numbers(scaled: bool) -> Numbers {
    Numbers {
        read: sys::cudaDataType_t::CUDA_R_8F_E4M3,
        written: sys::cudaDataType_t::CUDA_R_16BF,
        scaled,
    }
}

/// The largest shape of the class that this one is in: one algorithm serves a class, so that cuBLASLt is asked seldom, and as often
/// however long it runs.
fn class((rows, inputs, outputs): Shape) -> Shape {
    let step = (rows.next_power_of_two() / 8).max(4 * ROWS_AT_ONCE);
    (rows.next_multiple_of(step), inputs, outputs)
}

impl Eight {
    pub(crate) fn new() -> Result<Self, DeviceError> {
        Ok(Self {
            lt: Lt::new()?,
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
        let found = self.lt.ask(shape, numbers(scaled), 1, false)?;
        let missing = result::CublasError(sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED);
        let algorithm = *found.first().ok_or(missing)?;
        Ok(Choice { algorithm, scaled })
    }

    /// Enqueues a product of this shape. Whether it is multiplied by the scales; else that is still to be done.
    ///
    /// # Safety
    /// As [`Lt::enqueue`].
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
        // SAFETY: as the caller says.
        unsafe {
            self.lt
                .enqueue(shape, numbers(choice.scaled), &choice.algorithm, at)
        }
    }
}
