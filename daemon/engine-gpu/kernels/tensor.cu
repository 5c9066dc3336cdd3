// Attention on tensor cores, for heads of 32, 64 or 128 without relative places (FlashAttention-2: Dao 2023). Queries, scores and
// outputs stay in registers; what is computed is what `attend` computes, but for the rounding of weights to the element type.
//
// One block of four warps for each head and each tile of 64 queries of one sequence, 16 for each warp. In shared memory, in
// elements: keys [64][d + 8], and values turned, [d][64 + 8], so that every pair that a lane reads is one word and no two lanes of
// a warp read from one bank.
#include "common.cuh"

#define KEYS 64

// Two neighbours as one word, the first in the lower half.
template <typename T> __device__ __forceinline__ unsigned int pair(float first, float second) {
    T both[2];
    narrow(&both[0], first);
    narrow(&both[1], second);
    unsigned int word;
    memcpy(&word, both, sizeof word);
    return word;
}

template <typename T> __device__ __forceinline__ unsigned int word(const T *from) {
    return *reinterpret_cast<const unsigned int *>(from);
}

template <typename T> struct alignas(16) Eight {
    T x[8];
};

// Eight neighbours, with the bias that may be null.
template <typename T> __device__ __forceinline__ Eight<T> eight(const T *from, const T *bias) {
    Eight<T> values = *reinterpret_cast<const Eight<T> *>(from);
    if (bias != nullptr)
        UNROLL
        for (int i = 0; i < 8; i++)
            narrow(&values.x[i], widen(values.x[i]) + widen(bias[i]));
    return values;
}

// As `attend`, with `bias` of a row of `qkv`, which may be null, added to each.
template <typename T, int D>
__device__ void attend_on_tensor_cores(const T *qkv, const T *bias, T *out, const index_t *tiles, const index_t *starts,
                                       int heads, int kv_heads, float scale, int reach) {
    SHARED_FLOATS(shared);
    const int K_ROW = D + 8, V_ROW = KEYS + 8;
    T *k = reinterpret_cast<T *>(shared), *v = k + KEYS * K_ROW;
    const index_t sequence = tiles[2 * blockIdx.x];
    const int first = tiles[2 * blockIdx.x + 1];
    const int head = blockIdx.y, kv_head = head / (heads / kv_heads);
    const size_t begin = starts[sequence], stride = size_t(heads + 2 * kv_heads) * D;
    const int length = starts[sequence + 1] - starts[sequence];
    // A lane has rows `row` and `row + 8` of its warp's 16, and two columns from `column` on of each eight.
    const int lane = threadIdx.x % 32, row = lane / 4, column = lane % 4 * 2;
    const int own = first + threadIdx.x / 32 * 16;
    unsigned int q[D / 16][4];
    float o[D / 8][4], largest[2], total[2];
    UNROLL
    for (int step = 0; step < D / 16; step++)
        UNROLL
        for (int i = 0; i < 4; i++) {
            const int query = own + row + i % 2 * 8, c = head * D + step * 16 + column + i / 2 * 8;
            q[step][i] = 0;
            if (query < length) {
                const T *from = qkv + (begin + query) * stride + c;
                q[step][i] = bias == nullptr ? word(from)
                                             : pair<T>(widen(from[0]) + widen(bias[c]), widen(from[1]) + widen(bias[c + 1]));
            }
        }
    UNROLL
    for (int n = 0; n < D / 8; n++)
        UNROLL
        for (int i = 0; i < 4; i++)
            o[n][i] = 0;
    UNROLL
    for (int r = 0; r < 2; r++) {
        largest[r] = -INFINITY;
        total[r] = 0;
    }
    const int from = reach < 0 ? 0 : max(0, first - reach);
    const int to = reach < 0 ? length : min(length, first + 64 + reach);
    for (int tile = from; tile < to; tile += KEYS) {
        // What the last round read is free.
        __syncthreads();
        for (int i = threadIdx.x; i < KEYS * (D / 8); i += blockDim.x) {
            // Neighbours in a warp read neighbours of one key, and write the same place of neighbouring values.
            const int b = i / (D / 8), c = i % (D / 8) * 8;
            const int turned = i % KEYS, d = i / KEYS * 8;
            const int keys = (heads + kv_head) * D + c, values = (heads + kv_heads + kv_head) * D + d;
            Eight<T> of_key = {}, of_value = {};
            if (tile + b < to)
                of_key = eight(qkv + (begin + tile + b) * stride + keys, bias == nullptr ? bias : bias + keys);
            if (tile + turned < to)
                of_value = eight(qkv + (begin + tile + turned) * stride + values, bias == nullptr ? bias : bias + values);
            *reinterpret_cast<Eight<T> *>(k + b * K_ROW + c) = of_key;
            UNROLL
            for (int j = 0; j < 8; j++)
                v[(d + j) * V_ROW + turned] = of_value.x[j];
        }
        __syncthreads();
        // Of a whole warp at once, as everything that tensor cores do.
        if (own >= length || (reach >= 0 && (tile > own + 15 + reach || tile + KEYS <= own - reach)))
            continue;
        float s[KEYS / 8][4];
        UNROLL
        for (int n = 0; n < KEYS / 8; n++) {
            UNROLL
            for (int i = 0; i < 4; i++)
                s[n][i] = 0;
            UNROLL
            for (int step = 0; step < D / 16; step++) {
                const T *key = k + (n * 8 + row) * K_ROW + step * 16 + column;
                const unsigned int b[2] = {word(key), word(key + 8)};
                multiply<T>(q[step], b, s[n]);
            }
        }
        float top[2] = {largest[0], largest[1]};
        UNROLL
        for (int n = 0; n < KEYS / 8; n++)
            UNROLL
            for (int i = 0; i < 4; i++) {
                const int key = tile + n * 8 + column + i % 2, distance = own + row + i / 2 * 8 - key;
                const bool seen = key < to && (reach < 0 || (distance <= reach && -distance <= reach));
                s[n][i] = seen ? s[n][i] * scale : -INFINITY;
                top[i / 2] = fmaxf(top[i / 2], s[n][i]);
            }
        UNROLL
        for (int r = 0; r < 2; r++) {
            // Four lanes have a row.
            top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 1));
            top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 2));
            // A query that has seen no key yet has no largest score.
            const float factor = largest[r] == -INFINITY ? 0.0f : expf(largest[r] - top[r]);
            largest[r] = top[r];
            total[r] *= factor;
            UNROLL
            for (int n = 0; n < D / 8; n++) {
                o[n][2 * r] *= factor;
                o[n][2 * r + 1] *= factor;
            }
        }
        UNROLL
        for (int n = 0; n < KEYS / 8; n++)
            UNROLL
            for (int i = 0; i < 4; i++) {
                s[n][i] = top[i / 2] == -INFINITY ? 0.0f : expf(s[n][i] - top[i / 2]);
                total[i / 2] += s[n][i];
            }
        UNROLL
        for (int step = 0; step < KEYS / 16; step++) {
            // As they lie, the scores of sixteen keys are what the next product takes.
            const float *low = s[2 * step], *high = s[2 * step + 1];
            const unsigned int a[4] = {pair<T>(low[0], low[1]), pair<T>(low[2], low[3]), pair<T>(high[0], high[1]),
                                       pair<T>(high[2], high[3])};
            UNROLL
            for (int n = 0; n < D / 8; n++) {
                const T *value = v + (n * 8 + row) * V_ROW + step * 16 + column;
                const unsigned int b[2] = {word(value), word(value + 8)};
                multiply<T>(a, b, o[n]);
            }
        }
    }
    UNROLL
    for (int r = 0; r < 2; r++) {
        total[r] += __shfl_xor_sync(0xffffffffu, total[r], 1);
        total[r] += __shfl_xor_sync(0xffffffffu, total[r], 2);
        const int query = own + row + r * 8;
        if (query >= length)
            continue;
        T *to = out + ((begin + query) * heads + head) * D + column;
        UNROLL
        for (int n = 0; n < D / 8; n++)
            *reinterpret_cast<unsigned int *>(to + n * 8) = pair<T>(o[n][2 * r] / total[r], o[n][2 * r + 1] / total[r]);
    }
}

#define KERNEL(T, S, D)                                                                                                \
    extern "C" __global__ void BOUNDS(128)                                                                            \
        attend_##D##_##S(const T *qkv, const T *bias, T *out, const index_t *tiles, const index_t *starts, int heads, \
                         int kv_heads, float scale, int reach) {                                                      \
        attend_on_tensor_cores<T, D>(qkv, bias, out, tiles, starts, heads, kv_heads, scale, reach);                   \
    }
#define KERNELS(T, S) KERNEL(T, S, 32) KERNEL(T, S, 64) KERNEL(T, S, 128)
KERNELS(half_t, f16)
KERNELS(bfloat_t, bf16)
#undef KERNELS
#undef KERNEL
