//! The register tile of the product in 8 bits, for AVX-512 VNNI. Like `tile`, it reads through pointers.
#![allow(unsafe_code)]

use std::ops::Range;

use super::gemm::Finish;

/// A panel of quantised weights, quantised rows of activations, and what their product becomes.
pub(super) struct Block<'a> {
    /// Rows of `depth` values, one after the other.
    pub(super) a: &'a [u8],
    /// What one step of a row means, and the value that means zero.
    pub(super) steps: &'a [(f32, i32)],
    /// A multiple of 4.
    pub(super) depth: usize,
    /// Per group of 4 rows and per column, 4 values.
    pub(super) panel: &'a [i8],
    /// Per column of the panel: what one step means.
    pub(super) scales: &'a [f32],
    /// Per column of the panel: the sum of its values.
    pub(super) sums: &'a [i32],
    /// The panel's first column in `C`.
    pub(super) first: usize,
    /// Columns of the panel that are columns of `C`.
    pub(super) columns: usize,
    pub(super) finish: Finish<'a>,
}

pub(super) use implementation::Vnni;

#[cfg(target_arch = "x86_64")]
mod implementation {
    use std::arch::x86_64::{
        __m512, __m512i, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_loadu_ps, _mm512_loadu_si512,
        _mm512_mul_ps, _mm512_mullo_epi32, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_si512,
        _mm512_storeu_ps, _mm512_sub_epi32,
    };

    use pulp::x86::V4;

    use super::super::int8::{GROUP, LANES};
    use super::super::simd;
    use super::{Block, Range};

    /// Shows that the CPU has the instructions: there is no other way to get one than [`detect`](Self::detect).
    #[derive(Debug, Clone, Copy)]
    pub(in super::super) struct Vnni(V4);

    impl Vnni {
        pub(in super::super) fn detect() -> Option<Self> {
            let has = simd::has_512_bits()
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni");
            V4::try_new().filter(|_| has).map(Self)
        }

        /// Multiplies some rows with the block into `c`, whose rows are `stride` apart.
        ///
        /// # Panics
        /// Where the block's slices do not fit each other, or `c` or `a` is too short.
        pub(in super::super) fn multiply(
            self,
            block: &Block<'_>,
            rows: Range<usize>,
            c: &mut [f32],
            stride: usize,
        ) {
            // SAFETY: a `Vnni` exists only where `detect` saw all of the function's instructions.
            unsafe { multiply(self.0, block, rows, c, stride) }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
    fn multiply(simd: V4, block: &Block<'_>, rows: Range<usize>, c: &mut [f32], stride: usize) {
        match block.scales.len() / LANES {
            1 => tiles::<1>(simd, block, rows, c, stride),
            2 => tiles::<2>(simd, block, rows, c, stride),
            _ => tiles::<3>(simd, block, rows, c, stride),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
    fn tiles<const WIDE: usize>(
        simd: V4,
        block: &Block<'_>,
        rows: Range<usize>,
        c: &mut [f32],
        stride: usize,
    ) {
        let mut row = rows.start;
        while row + 8 <= rows.end {
            tile::<8, WIDE>(simd, block, row, c, stride);
            row += 8;
        }
        if row + 4 <= rows.end {
            tile::<4, WIDE>(simd, block, row, c, stride);
            row += 4;
        }
        if row + 2 <= rows.end {
            tile::<2, WIDE>(simd, block, row, c, stride);
            row += 2;
        }
        if row < rows.end {
            tile::<1, WIDE>(simd, block, row, c, stride);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
    fn tile<const TALL: usize, const WIDE: usize>(
        simd: V4,
        block: &Block<'_>,
        row: usize,
        c: &mut [f32],
        stride: usize,
    ) {
        let totals = totals::<TALL, WIDE>(&block.a[row * block.depth..], block.depth, block.panel);
        let steps = &block.steps[row..][..TALL];
        for ((at, totals), (step, zero)) in totals.iter().enumerate().zip(steps) {
            let out = &mut c[(row + at) * stride + block.first..][..block.columns];
            let (step, zero) = (_mm512_set1_ps(*step), _mm512_set1_epi32(*zero));
            let columns = block
                .scales
                .chunks_exact(LANES)
                .zip(block.sums.chunks_exact(LANES));
            // Finished before it is stored: rows that lie a multiple of 4,096 bytes apart push each other out of the cache.
            let mut piece = [[0.0; LANES]; WIDE];
            for ((piece, total), (scales, sums)) in piece.iter_mut().zip(totals).zip(columns) {
                let offset = _mm512_mullo_epi32(zero, load_integers(sums));
                let total = _mm512_cvtepi32_ps(_mm512_sub_epi32(*total, offset));
                store(piece, _mm512_mul_ps(total, _mm512_mul_ps(step, load(scales))));
            }
            let piece = &mut piece.as_flattened_mut()[..block.columns];
            block.finish.apply(simd, block.first, piece);
            copy(piece, out);
        }
    }

    /// The sums of the products of `TALL` rows of `a`, each `depth` long, and the columns of a panel that is `WIDE` vectors
    /// wide. Integers of 32 bits hold them up to a depth of 66,000.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vnni")]
    fn totals<const TALL: usize, const WIDE: usize>(
        a: &[u8],
        depth: usize,
        panel: &[i8],
    ) -> [[__m512i; WIDE]; TALL] {
        const VECTOR: usize = LANES * GROUP;
        assert!(
            TALL * depth <= a.len() && panel.len() == depth * WIDE * LANES,
            "values are missing"
        );
        let mut totals = [[_mm512_setzero_si512(); WIDE]; TALL];
        let (mut a, mut panel) = (a.as_ptr(), panel.as_ptr());
        for _ in 0..depth / GROUP {
            // SAFETY: before round `k` of `depth / 4`, `a` has moved on by `4 k` and `panel` by `4 k * WIDE * 16` values.
            // The round reads 4 values of each of `TALL` rows, which by the assertion `a` has, and `WIDE * 64` values of
            // the panel, which by the assertion has them. None of the reads asks for an alignment.
            unsafe {
                let mut vectors = [_mm512_setzero_si512(); WIDE];
                for (at, vector) in vectors.iter_mut().enumerate() {
                    *vector = _mm512_loadu_si512(panel.add(at * VECTOR).cast());
                }
                for (row, totals) in totals.iter_mut().enumerate() {
                    let group = _mm512_set1_epi32(a.add(row * depth).cast::<i32>().read_unaligned());
                    for (total, vector) in totals.iter_mut().zip(&vectors) {
                        *total = _mm512_dpbusd_epi32(*total, group, *vector);
                    }
                }
                a = a.add(GROUP);
                panel = panel.add(WIDE * VECTOR);
            }
        }
        totals
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(values: &[f32]) -> __m512 {
        assert!(values.len() >= LANES);
        // SAFETY: there are 16 values, and no alignment is asked for.
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load_integers(values: &[i32]) -> __m512i {
        assert!(values.len() >= LANES);
        // SAFETY: there are 16 values, and no alignment is asked for.
        unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store(out: &mut [f32; LANES], values: __m512) {
        // SAFETY: there is place for 16 values, and no alignment is asked for.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), values) }
    }

    /// Into as many values, vector by vector.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn copy(from: &[f32], out: &mut [f32]) {
        let ((from, from_rest), (out, out_rest)) = (from.as_chunks::<LANES>(), out.as_chunks_mut::<LANES>());
        for (from, out) in from.iter().zip(out) {
            store(out, load(from));
        }
        out_rest.copy_from_slice(from_rest);
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod implementation {
    use super::{Block, Range};

    /// There is none on this architecture.
    #[derive(Debug, Clone, Copy)]
    pub(in super::super) enum Vnni {}

    impl Vnni {
        pub(in super::super) fn detect() -> Option<Self> {
            None
        }

        pub(in super::super) fn multiply(self, _: &Block<'_>, _: Range<usize>, _: &mut [f32], _: usize) {
            match self {}
        }
    }
}
