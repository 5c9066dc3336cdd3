//! The register tile of the matrix product. It reads through pointers, as the checks of slices would cost as much as the
//! arithmetic; this is one of the two modules of the crate that may.
#![allow(unsafe_code)]

use pulp::Simd;

use super::simd::multiply_add;

/// `A B` for `TALL` rows of `A`, `stride` apart, and a block of `B` that is `WIDE` vectors wide, row after row. Each
/// element is summed in the order of the rows of `B`.
///
/// # Panics
/// Where `a` is shorter than `TALL` rows with as many values as `b` has rows.
#[inline(always)]
pub(super) fn sums<S: Simd, const TALL: usize, const WIDE: usize>(
    simd: S,
    a: &[f32],
    stride: usize,
    b: &[f32],
) -> [[S::f32s; WIDE]; TALL] {
    let width = WIDE * S::F32_LANES;
    let depth = b.len() / width;
    assert!((TALL - 1) * stride + depth <= a.len(), "rows of A are missing");
    let mut sums = [[simd.splat_f32s(0.0); WIDE]; TALL];
    let (mut a, mut b) = (a.as_ptr(), b.as_ptr());
    let mut left = depth;
    // SAFETY: `step(u)` reads `WIDE` vectors at `b + u * width` and one value at `a + row * stride + u` for each row below
    // `TALL`. `a` and `b` have moved on by `k` values and `k * width` values where `k + left = depth`, and `u < left`, so
    // the reads are within the `depth * width` values of `b` and, by the assertion, within `a`. `f32s` is plain data of
    // `F32_LANES` values, and the reads of it ask for no alignment.
    unsafe {
        macro_rules! step {
            ($u:expr) => {
                let mut vectors = [simd.splat_f32s(0.0); WIDE];
                for (at, vector) in vectors.iter_mut().enumerate() {
                    *vector = b
                        .add($u * width + at * S::F32_LANES)
                        .cast::<S::f32s>()
                        .read_unaligned();
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let value = simd.splat_f32s(*a.add(row * stride + $u));
                    for (sum, vector) in sums.iter_mut().zip(&vectors) {
                        *sum = multiply_add(simd, value, *vector, *sum);
                    }
                }
            };
        }
        // With fewer registers the compiler would load ahead and run out of them.
        while S::REGISTER_COUNT >= 32 && left >= 4 {
            step!(0);
            step!(1);
            step!(2);
            step!(3);
            a = a.add(4);
            b = b.add(4 * width);
            left -= 4;
        }
        while left > 0 {
            step!(0);
            a = a.add(1);
            b = b.add(width);
            left -= 1;
        }
    }
    sums
}
