// As much of CUDA as the kernels use, on one CPU thread. See fibres.cpp.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "watch.h"

#define __global__
#define __device__
#define __forceinline__ inline
#define BOUNDS(...)
#define UNROLL
#define ROLLED
#define SHARED_FLOATS(name) float *name = static_cast<float *>(emulated::here.shared)

struct dim3 {
    unsigned int x, y, z;
};

namespace emulated {
// Where the kernel is right now.
struct Here {
    dim3 thread, block, block_size, grid_size;
    void *shared;
};
extern Here here;
void barrier();
// As a barrier, for this thread's warp.
void warp_barrier();
// The bits that `lane` of this thread's warp has brought. As on a GPU, that orders nothing in memory.
uint64_t exchange(uint64_t bits, unsigned int lane);
// What each lane of this thread's warp has brought, `size` bytes each.
void gather(const void *mine, size_t size, void *all);
// Copies 16 bytes once this thread waits for it, and not before.
void copy_later(void *to, const void *from);
void copy_now();
} // namespace emulated

#define threadIdx emulated::here.thread
#define blockIdx emulated::here.block
#define blockDim emulated::here.block_size
#define gridDim emulated::here.grid_size

using std::max;
using std::min;

inline void __syncthreads() { emulated::barrier(); }
inline void copy_16_bytes(void *to, const void *from) { emulated::copy_later(to, from); }
inline void wait_for_copies() { emulated::copy_now(); }
inline void __syncwarp() { emulated::warp_barrier(); }

inline float __shfl_xor_sync(unsigned int, float x, int mask) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    bits = static_cast<uint32_t>(emulated::exchange(bits, (threadIdx.x % 32) ^ static_cast<unsigned int>(mask)));
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

inline unsigned int __ballot_sync(unsigned int, bool mine) {
    bool all[32];
    emulated::gather(&mine, sizeof mine, all);
    unsigned int bits = 0;
    for (int lane = 0; lane < 32; lane++)
        bits |= static_cast<unsigned int>(all[lane]) << lane;
    return bits;
}

inline bool __any_sync(unsigned int, bool mine) { return __ballot_sync(0xffffffffu, mine) != 0; }

inline int __popc(unsigned int bits) { return __builtin_popcount(bits); }

struct bfloat_t {
    uint16_t bits;
};
struct half_t {
    uint16_t bits;
};

inline float widen(bfloat_t x) {
    const uint32_t bits = uint32_t(x.bits) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline void narrow(bfloat_t *to, float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    // To the nearest, ties to even; NaN stays one.
    to->bits = x != x ? 0x7fff : uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float widen(half_t x) {
    const int exponent = (x.bits >> 10) & 31, mantissa = x.bits & 1023;
    float value = exponent == 31 ? (mantissa ? NAN : INFINITY)
                  : exponent     ? std::ldexp(float(mantissa + 1024), exponent - 25)
                                 : std::ldexp(float(mantissa), -24);
    return x.bits & 0x8000 ? -value : value;
}

inline void narrow(half_t *to, float x) {
    const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
    const float size = std::fabs(x);
    if (x != x) {
        to->bits = 0x7fff;
    } else if (size >= 65520.0f) {
        to->bits = sign | 0x7c00;
    } else {
        int exponent = 0;
        std::frexp(size, &exponent);
        // A unit in the last place; below 2^-14 it is 2^-24.
        const int unit = size == 0 ? -24 : std::max(exponent - 11, -24);
        const int mantissa = int(std::nearbyint(std::ldexp(size, -unit)));
        // A mantissa that was rounded up to 2048 carries into the exponent by itself.
        to->bits = sign | (unit == -24 ? mantissa : ((unit + 24) << 10) + mantissa);
    }
}

// e4m3: 4 bits of exponent with a bias of 7, 3 of mantissa, NaN where all are set, and no infinity.
struct e4m3_t {
    uint8_t bits;
};

inline float widen(e4m3_t x) {
    const int exponent = (x.bits >> 3) & 15, mantissa = x.bits & 7;
    const float value = exponent == 15 && mantissa == 7 ? NAN
                        : exponent                      ? std::ldexp(float(mantissa + 8), exponent - 10)
                                                        : std::ldexp(float(mantissa), -9);
    return x.bits & 0x80 ? -value : value;
}

// To the nearest, ties to even, and what is beyond 448 to 448.
inline void narrow(e4m3_t *to, float x) {
    const uint8_t sign = std::signbit(x) ? 0x80 : 0;
    const float size = std::fabs(x);
    if (x != x) {
        to->bits = 0x7f;
    } else if (size >= 448.0f) {
        to->bits = sign | 0x7e;
    } else {
        int exponent = 0;
        std::frexp(size, &exponent);
        // A unit in the last place; below 2^-6 it is 2^-9.
        const int unit = size == 0 ? -9 : std::max(exponent - 4, -9);
        const int mantissa = int(std::nearbyint(std::ldexp(size, -unit)));
        to->bits = sign | uint8_t(unit == -9 ? mantissa : ((unit + 9) << 3) + mantissa);
    }
}

template <typename T> void narrow_two(T *to, float x, float y) {
    narrow(&to[0], x);
    narrow(&to[1], y);
}

template <typename T> unsigned int add_pairs(unsigned int a, unsigned int b) {
    T x[2], y[2];
    std::memcpy(x, &a, sizeof x);
    std::memcpy(y, &b, sizeof y);
    narrow_two(x, widen(x[0]) + widen(y[0]), widen(x[1]) + widen(y[1]));
    std::memcpy(&a, x, sizeof a);
    return a;
}

inline unsigned int finite_halves(float first, float second) {
    half_t both[2];
    narrow_two(both, first > 65504 ? 65504 : first < -65504 ? -65504 : first,
               second > 65504 ? 65504 : second < -65504 ? -65504 : second);
    unsigned int word;
    std::memcpy(&word, both, sizeof word);
    return word;
}

inline float divide(float a, float b) { return a / b; }
inline float power_of_two(float x) { return x < -126 ? 0.0f : std::exp2(x); }

// As the PTX manual has it for ldmatrix.m8n8.x4: a lane reads from the rows that others name.
template <typename T, bool TURNED> void load_four(unsigned int (&to)[4], const T *row) {
    const T *rows[32];
    emulated::watch_aligned(row, 16);
    emulated::gather(&row, sizeof row, rows);
    const int lane = threadIdx.x % 32;
    for (int matrix = 0; matrix < 4; matrix++) {
        T two[2];
        for (int i = 0; i < 2; i++)
            two[i] = TURNED ? rows[matrix * 8 + lane % 4 * 2 + i][lane / 4] : rows[matrix * 8 + lane / 4][lane % 4 * 2 + i];
        std::memcpy(&to[matrix], two, sizeof two);
    }
}
template <typename T> void load_matrices(unsigned int (&to)[4], const T *row) { load_four<T, false>(to, row); }
template <typename T> void load_matrices_turned(unsigned int (&to)[4], const T *row) { load_four<T, true>(to, row); }

// As the PTX manual deals a, b and c of mma.m16n8k16 out to lanes: a register has two neighbours, of a in a row, of b in a column.
template <typename T> void multiply(const unsigned int (&a)[4], unsigned int b0, unsigned int b1, float (&c)[4]) {
    struct Part {
        T a[4][2], b[2][2];
    } mine, all[32];
    std::memcpy(mine.a, a, sizeof mine.a);
    std::memcpy(mine.b[0], &b0, sizeof b0);
    std::memcpy(mine.b[1], &b1, sizeof b1);
    emulated::gather(&mine, sizeof mine, all);
    const int lane = threadIdx.x % 32;
    for (int i = 0; i < 4; i++) {
        const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (int k = 0; k < 16; k++) {
            const Part &of_row = all[row % 8 * 4 + k % 8 / 2], &of_column = all[column * 4 + k % 8 / 2];
            c[i] += widen(of_row.a[row / 8 + k / 8 * 2][k % 2]) * widen(of_column.b[k / 8][k % 2]);
        }
    }
}
