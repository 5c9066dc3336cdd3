// What all kernels share: element types, reductions, activations. Tensors hold float, half or bfloat16; every sum is in
// float. Rows are tokens of all sequences of a batch, one after the other, without padding.
//
// The same sources compile as C++ for the emulation in tests/emulated-gpu, which brings its own "cuda.h".
#pragma once

#ifdef MEDNERD_EMULATED
#include "cuda.h"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <math.h>
#include <string.h>
#define SHARED_FLOATS(name) extern __shared__ __align__(16) float name[]
#define BOUNDS(...) __launch_bounds__(__VA_ARGS__)
#define UNROLL _Pragma("unroll")
#define ROLLED _Pragma("unroll 1")
typedef __half half_t;
typedef __nv_bfloat16 bfloat_t;
__device__ __forceinline__ float widen(half_t x) { return __half2float(x); }
__device__ __forceinline__ float widen(bfloat_t x) { return __bfloat162float(x); }
__device__ __forceinline__ void narrow(half_t *to, float x) { *to = __float2half_rn(x); }
__device__ __forceinline__ void narrow(bfloat_t *to, float x) { *to = __float2bfloat16_rn(x); }
// One instruction for both.
__device__ __forceinline__ void narrow_two(half_t *to, float x, float y) {
    const __half2 both = __floats2half2_rn(x, y);
    to[0] = __low2half(both);
    to[1] = __high2half(both);
}
__device__ __forceinline__ void narrow_two(bfloat_t *to, float x, float y) {
    const __nv_bfloat162 both = __floats2bfloat162_rn(x, y);
    to[0] = __low2bfloat16(both);
    to[1] = __high2bfloat16(both);
}
// The sums of two pairs.
template <typename T> __device__ unsigned int add_pairs(unsigned int a, unsigned int b);
#define ADD_PAIRS(T, PAIR)                                                                                             \
    template <> __device__ __forceinline__ unsigned int add_pairs<T>(unsigned int a, unsigned int b) {                 \
        PAIR x, y;                                                                                                     \
        memcpy(&x, &a, sizeof x);                                                                                      \
        memcpy(&y, &b, sizeof y);                                                                                      \
        x = __hadd2(x, y);                                                                                             \
        memcpy(&a, &x, sizeof a);                                                                                      \
        return a;                                                                                                      \
    }
ADD_PAIRS(half_t, __half2)
ADD_PAIRS(bfloat_t, __nv_bfloat162)
#undef ADD_PAIRS

// e4m3: a sign, 4 bits of exponent, 3 of mantissa, up to 448 and no infinity; beyond it is 448, and NaN stays NaN.
struct e4m3_t {
    __nv_fp8_storage_t bits;
};
__device__ __forceinline__ void narrow(e4m3_t *to, float x) {
    to->bits = __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3);
}
__device__ __forceinline__ void narrow_two(e4m3_t *to, float x, float y) {
    const __nv_fp8x2_storage_t both = __nv_cvt_float2_to_fp8x2(make_float2(x, y), __NV_SATFINITE, __NV_E4M3);
    memcpy(to, &both, sizeof both);
}

// c += a b on tensor cores, by a whole warp: a has 16 rows of 16, b 16 rows of 8, c 16 rows of 8, each lane's part as PTX deals
// it out (mma.m16n8k16); sums in float. sm_75 has half of it, for halves alone, and is not asked for the other type.
template <typename T>
__device__ void multiply(const unsigned int (&a)[4], unsigned int b0, unsigned int b1, float (&c)[4]);
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define MULTIPLY(T, S)                                                                                                 \
    template <>                                                                                                        \
    __device__ __forceinline__ void multiply<T>(const unsigned int (&a)[4], unsigned int b0, unsigned int b1,          \
                                                float (&c)[4]) {                                                       \
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." S "." S ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "   \
                     "{%0,%1,%2,%3};"                                                                                  \
                     : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                                  \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));                                  \
    }
MULTIPLY(half_t, "f16")
MULTIPLY(bfloat_t, "bf16")
#undef MULTIPLY
#else
__device__ __forceinline__ void multiply_half(unsigned int a0, unsigned int a1, unsigned int b, float (&c)[4]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a0), "r"(a1), "r"(b));
}
template <>
__device__ __forceinline__ void multiply<half_t>(const unsigned int (&a)[4], unsigned int b0, unsigned int b1, float (&c)[4]) {
    multiply_half(a[0], a[1], b0, c);
    multiply_half(a[2], a[3], b1, c);
}
template <>
__device__ __forceinline__ void multiply<bfloat_t>(const unsigned int (&)[4], unsigned int, unsigned int, float (&)[4]) {}
#endif

// Four matrices of 8 by 8 from shared memory, by a whole warp: a lane names the row `lane % 8` of the one numbered `lane / 8`, 16 bytes, and gets of
// each two neighbours from `lane % 4 * 2` on in row `lane / 4`; turned, two neighbours of that column, in rows from there on.
#define LOAD_MATRICES(name, how)                                                                                       \
    template <typename T> __device__ __forceinline__ void name(unsigned int (&to)[4], const T *row) {                  \
        const unsigned int at = static_cast<unsigned int>(__cvta_generic_to_shared(row));                              \
        asm volatile("ldmatrix.sync.aligned.m8n8.x4" how ".shared.b16 {%0,%1,%2,%3}, [%4];"                            \
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])                                              \
                     : "r"(at)                                                                                         \
                     : "memory");                                                                                      \
    }
LOAD_MATRICES(load_matrices, "")
LOAD_MATRICES(load_matrices_turned, ".trans")
#undef LOAD_MATRICES

// Two neighbours as halves in one word, the first in the lower half: the nearest that there are, and what is NaN stays so.
__device__ __forceinline__ unsigned int finite_halves(float first, float second) {
    unsigned int word;
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
    asm("cvt.rn.satfinite.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(second), "f"(first));
#else
    const float most = 65504.0f;
    const __half2 both = __floats2half2_rn(first > most ? most : first < -most ? -most : first,
                                           second > most ? most : second < -most ? -most : second);
    memcpy(&word, &both, sizeof word);
#endif
    return word;
}

// 2 to the power of x, to about 2 units in the last place; 0 below 2^-126.
__device__ __forceinline__ float power_of_two(float x) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
}

// a / b to about 2 units in the last place, for b up to 2^126; beyond it is 0.
__device__ __forceinline__ float divide(float a, float b) { return __fdividef(a, b); }

// A copy into shared memory on its way: there for this thread once it waited, and for others after a barrier. Chips before sm_80
// have each thread carry it. Nobody writes to where it comes from.
__device__ __forceinline__ void copy_16_bytes(void *to, const void *from) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
    const unsigned int at = static_cast<unsigned int>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" : : "r"(at), "l"(from) : "memory");
#else
    *static_cast<uint4 *>(to) = __ldg(static_cast<const uint4 *>(from));
#endif
}
__device__ __forceinline__ void wait_for_copies() {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_all;" : : : "memory");
#endif
}
#endif

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ void narrow(float *to, float x) { *to = x; }

// The nearest that T has a number for; NaN stays NaN.
template <typename T> __device__ __forceinline__ float within(float x) { return x; }
template <> __device__ __forceinline__ float within<half_t>(float x) {
    return x > 65504.0f ? 65504.0f : x < -65504.0f ? -65504.0f : x;
}

// What x is once it is stored as a T.
template <typename T> __device__ __forceinline__ float rounded(float x) {
    T stored;
    narrow(&stored, x);
    return widen(stored);
}

// N neighbours, aligned as whole where they have 16 bytes or fewer.
template <typename T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Some {
    T x[N];
};

// As many elements as a lane moves at once.
#define AT_ONCE(T) int(16 / sizeof(T))

// Two neighbours as one word, the first in the lower half.
template <typename T> __device__ __forceinline__ unsigned int pair(float first, float second) {
    T both[2];
    narrow_two(both, first, second);
    unsigned int word;
    memcpy(&word, both, sizeof word);
    return word;
}

// N neighbours from memory that is aligned for them, or added to what is there.
template <int N, typename T> __device__ __forceinline__ void load(float (&to)[N], const T *from) {
    const Some<T, N> some = *reinterpret_cast<const Some<T, N> *>(from);
    UNROLL
    for (int i = 0; i < N; i++)
        to[i] = widen(some.x[i]);
}
template <int N, typename T> __device__ __forceinline__ void add(float (&to)[N], const T *from) {
    float more[N];
    load(more, from);
    UNROLL
    for (int i = 0; i < N; i++)
        to[i] += more[i];
}
template <int N, typename T> __device__ __forceinline__ void store(T *to, const float (&from)[N]) {
    Some<T, N> some;
    UNROLL
    for (int i = 0; i < N; i++)
        narrow(&some.x[i], from[i]);
    *reinterpret_cast<Some<T, N> *>(to) = some;
}

// A function for rows of `width`, by as many elements as a lane moves at once where rows have whole ones.
#define BY_WIDTH(function, T, width, ...)                                                                              \
    if ((width) % AT_ONCE(T) == 0)                                                                                     \
        function<T, AT_ONCE(T)>(__VA_ARGS__);                                                                          \
    else                                                                                                               \
        function<T, 1>(__VA_ARGS__);

typedef unsigned int index_t;
typedef unsigned long long address_t;

template <typename T> __device__ __forceinline__ const T *at_address(address_t address) {
    return reinterpret_cast<const T *>(address);
}

// What the model of a sequence has of its own, from an entry on: `models` holds for each sequence the address of its model's list,
// and a list's entries are addresses again, 0 where there is nothing.
__device__ __forceinline__ const address_t *own_of(const address_t *models, index_t sequence, int entry) {
    return at_address<address_t>(models[sequence]) + entry;
}

// The entries that a list has for each product: the matrices of a low-rank change, a factor and a bias for each output, in floats,
// and the ranks of the product's parts, 16 bits each.
enum Change { DOWN, UP, GAIN, BIAS, RANKS };

// Where a change of an output of a product lies. A product has up to three parts, side by side, each with ranks of its own; `second`
// and `third` are their first outputs.
struct Part {
    // Of the part, and of all before it.
    int rank, before;
    // The output's row in UP, where the parts' matrices [outputs, rank] are one behind the other.
    size_t row;
};
__device__ __forceinline__ int ranks_of(address_t ranks, int part) { return int(ranks >> (16 * part)) & 0xffff; }
__device__ __forceinline__ int all_ranks(address_t ranks) {
    return ranks_of(ranks, 0) + ranks_of(ranks, 1) + ranks_of(ranks, 2);
}
__device__ __forceinline__ Part part_of(address_t ranks, int output, int second, int third) {
    const int first_rank = ranks_of(ranks, 0), second_rank = ranks_of(ranks, 1);
    if (output < second)
        return {first_rank, 0, size_t(output) * first_rank};
    const size_t before = size_t(second) * first_rank;
    if (output < third)
        return {second_rank, first_rank, before + size_t(output - second) * second_rank};
    const int rank = ranks_of(ranks, 2);
    return {rank, first_rank + second_rank,
            before + size_t(third - second) * second_rank + size_t(output - third) * rank};
}

__device__ __forceinline__ float warp_sum(float x) {
    for (int step = 16; step > 0; step /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

__device__ __forceinline__ float warp_max(float x) {
    for (int step = 16; step > 0; step /= 2)
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
    return x;
}

// The sum over all threads of a block of whole warps, for each of them. `partial` has room for 32 values; a barrier lies
// before its first use and after its last.
__device__ __forceinline__ float block_sum(float x, float *partial) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    x = warp_sum(x);
    __syncthreads();
    if (lane == 0)
        partial[warp] = x;
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < warps; i++)
        sum += partial[i];
    return sum;
}

// As block_sum, the largest; NaN is none.
__device__ __forceinline__ float block_max(float x, float *partial) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    x = warp_max(x);
    __syncthreads();
    if (lane == 0)
        partial[warp] = x;
    __syncthreads();
    float largest = partial[0];
    for (int i = 1; i < warps; i++)
        largest = fmaxf(largest, partial[i]);
    return largest;
}

// A row as a product in 8 bits reads it: `out` times `scale` is the row, whose largest value is the largest that e4m3 has. So it
// depends on nothing but the row. `row` holds it in shared memory: of the N neighbours that a thread has at once, the first of all
// threads come first, then the second ones, and each thread reads what it wrote. `partial` has room for 32 floats.
template <int N>
__device__ void scale_row(const float *row, float *partial, e4m3_t *out, float *scale, int width) {
    const int count = width / N;
    // Where all is zero or next to it, no number is infinite.
    float largest = 1e-30f;
    for (int n = threadIdx.x; n < count; n += blockDim.x)
        UNROLL
        for (int i = 0; i < N; i++)
            largest = fmaxf(largest, fabsf(row[i * count + n]));
    largest = block_max(largest, partial);
    const float factor = 448.0f / largest;
    for (int n = threadIdx.x; n < count; n += blockDim.x) {
        Some<e4m3_t, N> some;
        if (N == 1)
            narrow(&some.x[0], row[n] * factor);
        else
            UNROLL
            for (int i = 0; i + 1 < N; i += 2)
                narrow_two(&some.x[i], row[i * count + n] * factor, row[(i + 1) * count + n] * factor);
        *reinterpret_cast<Some<e4m3_t, N> *>(out + n * N) = some;
    }
    if (threadIdx.x == 0)
        *scale = largest / 448.0f;
}

enum Activation { NONE, GELU, GELU_TANH, QUICK_GELU, RELU, SILU, TANH };

// For values of T. Of two bytes, most are a power of two and a quotient, as a chip computes them at once, to a few units in the last
// place of a float, and GELU to 2.1e-7.
template <int ACTIVATION, typename T> __device__ __forceinline__ float activate(float x) {
    const bool quick = sizeof(T) < sizeof(float);
    const float log2_e = 1.44269504f;
    switch (ACTIVATION) {
    case GELU: {
        if (!quick)
            return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
        // Abramowitz and Stegun 7.1.26. `beyond` is what of a normal distribution is beyond |x|.
        const float t = divide(1.0f, fmaf(fabsf(x), 0.3275911f * 0.70710678f, 1.0f));
        const float sum = fmaf(fmaf(fmaf(fmaf(0.5307027145f, t, -0.7265760135f), t, 0.7107068705f), t, -0.142248368f), t, 0.127414796f);
        const float beyond = sum * t * power_of_two(x * x * (-0.5f * log2_e));
        return fmaf(-fabsf(x), beyond, fmaxf(x, 0.0f));
    }
    case GELU_TANH: {
        const float y = 0.79788456080286536f * (x + 0.044715f * x * x * x);
        // (1 + tanh(y)) / 2 is 1 / (1 + e^-2y).
        return quick ? divide(x, 1.0f + power_of_two(-2.0f * log2_e * y)) : 0.5f * x * (1.0f + tanhf(y));
    }
    case QUICK_GELU:
        return quick ? divide(x, 1.0f + power_of_two(-1.702f * log2_e * x)) : x / (1.0f + expf(-1.702f * x));
    case RELU:
        return x > 0.0f ? x : (x == x ? 0.0f : x);
    case SILU:
        return quick ? divide(x, 1.0f + power_of_two(-log2_e * x)) : x / (1.0f + expf(-x));
    case TANH:
        return tanhf(x);
    default:
        return x;
    }
}

// A function for an activation, so that it is asked once for a row and not for each element.
#define BY_ACTIVATION(function, T, N, activation, ...)                                                                 \
    switch (activation) {                                                                                              \
    case GELU:                                                                                                         \
        function<GELU, T, N>(__VA_ARGS__);                                                                             \
        break;                                                                                                         \
    case GELU_TANH:                                                                                                    \
        function<GELU_TANH, T, N>(__VA_ARGS__);                                                                        \
        break;                                                                                                         \
    case QUICK_GELU:                                                                                                   \
        function<QUICK_GELU, T, N>(__VA_ARGS__);                                                                       \
        break;                                                                                                         \
    case RELU:                                                                                                         \
        function<RELU, T, N>(__VA_ARGS__);                                                                             \
        break;                                                                                                         \
    case SILU:                                                                                                         \
        function<SILU, T, N>(__VA_ARGS__);                                                                             \
        break;                                                                                                         \
    case TANH:                                                                                                         \
        function<TANH, T, N>(__VA_ARGS__);                                                                             \
        break;                                                                                                         \
    default:                                                                                                           \
        function<NONE, T, N>(__VA_ARGS__);                                                                             \
    }

// For each element type, with the suffix of the kernels' names.
#define FOR_EACH_TYPE(X) X(float, f32) X(half_t, f16) X(bfloat_t, bf16)
