//! The instruction set that the kernels run in, chosen once: the widest that this CPU has.

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use pulp::x86::{V2, V3, V4};
use pulp::{Scalar128b, Simd, WithSimd};

/// Of the levels of the x86-64 ABI those that make a difference here.
#[derive(Debug, Clone, Copy)]
enum Level {
    #[cfg(target_arch = "x86_64")]
    V4(V4),
    #[cfg(target_arch = "x86_64")]
    V3(V3),
    #[cfg(target_arch = "x86_64")]
    V2(V2),
    Plain,
}

/// The level in use. For measurements and tests the environment variable `MEDNERD_CPU_LEVEL` lowers it to `x86-64-v3`
/// (AVX2) or `x86-64-v2` (SSE4.2).
fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        {
            let asked = std::env::var("MEDNERD_CPU_LEVEL").unwrap_or_default();
            let (v2, v3) = (asked == "x86-64-v2", asked == "x86-64-v3");
            if let Some(simd) = V4::try_new().filter(|_| !v2 && !v3) {
                return Level::V4(simd);
            }
            if let Some(simd) = V3::try_new().filter(|_| !v2) {
                return Level::V3(simd);
            }
            if let Some(simd) = V2::try_new() {
                return Level::V2(simd);
            }
        }
        Level::Plain
    })
}

/// Whether the level in use has 512-bit registers.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_512_bits() -> bool {
    matches!(level(), Level::V4(_))
}

/// Runs `op`, compiled for the level in use.
#[inline(always)]
pub(crate) fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::V4(simd) => Simd::vectorize(simd, op),
        #[cfg(target_arch = "x86_64")]
        Level::V3(simd) => Simd::vectorize(simd, op),
        #[cfg(target_arch = "x86_64")]
        Level::V2(simd) => Simd::vectorize(simd, op),
        Level::Plain => Simd::vectorize(Scalar128b, op),
    }
}

/// Runs a closure, marked `#[inline(always)]`, compiled for the level in use. (The closure is taken as `FnMut`, whose
/// calls are inlined. Through `FnOnce`, what is called is a shim of the compiler's, which is not, and so is compiled for
/// the plainest level.)
#[inline(always)]
pub(crate) fn widest(work: impl FnMut()) {
    struct Work<F>(F);
    impl<F: FnMut()> WithSimd for Work<F> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(mut self, _: S) {
            (self.0)();
        }
    }
    dispatch(Work(work));
}

/// `a * b + c`, rounded once where the registers are wide, as such CPUs have an instruction for it.
#[inline(always)]
pub(crate) fn multiply_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    if S::F32_LANES >= 8 {
        simd.mul_add_f32s(a, b, c)
    } else {
        simd.add_f32s(simd.mul_f32s(a, b), c)
    }
}
