// Attention on tensor cores, for heads of 32, 64 or 128 (FlashAttention-2: Dao 2023), with the terms of disentangled attention
// (He et al. 2021) in the same kernel. Queries, scores and outputs stay in registers; what is computed is what `attend` computes,
// but for the rounding of weights to the element type, and of each term of places to half precision.
//
// One block of four warps for each head and each tile of 64 queries of one sequence, 16 for each warp. In shared memory, in
// elements: keys [KEYS][d + 8], and values turned, [d][KEYS + 8], so that every pair that a lane reads is one word and no two lanes
// of a warp read from one bank.
//
// With places, a tile of queries and one of keys have KEYS + 63 distances, and a table has a row for each run of them that shares
// one, as logarithmic buckets do; `index` has the row of each distance, counted from the tile's first, and then that one's number.
// The rows lie in shared memory as well, [KEYS + 64][d + 8], of one table after the other: that of places' queries, which keys are
// multiplied with, then that of places' keys, with queries. The products go to halves, and each score takes the one of its own
// distance: of 16 keys, [KEYS][80 + 8], since they meet 64 queries at 79 distances, and of 16 queries [64][KEYS + 16 + 8].
#include "common.cuh"

template <typename T> __device__ __forceinline__ unsigned int word(const T *from) {
    return *reinterpret_cast<const unsigned int *>(from);
}

template <typename T> using Eight = Some<T, 8>;

// The pair with another added to it.
template <typename T> __device__ __forceinline__ unsigned int plus(unsigned int word, const T *more) {
    T both[2];
    memcpy(both, &word, sizeof word);
    return pair<T>(widen(both[0]) + widen(more[0]), widen(both[1]) + widen(more[1]));
}

// Threads of a block.
#define THREADS 128

// A row of keys' products with places.
#define OF_KEYS_ROW (64 + 16 + 8)

// Begins to copy `rows` of a projected table, for one head.
template <typename T, int D>
__device__ __forceinline__ void stage_places(const T *table, const index_t *rows, int count, int heads, int head, T *places) {
    for (int i = threadIdx.x; i < count * (D / 8); i += THREADS) {
        const int r = i / (D / 8), c = i % (D / 8) * 8;
        copy_16_bytes(places + r * (D + 8) + c, table + (size_t(rows[r]) * heads + head) * D + c);
    }
}

// By a warp: the products of its 16 rows `a` with `count` rows of places, each 16 out of `stride`, into `to` with rows of `width`.
// They are kept within what a half has: beyond, scores differ by more than a softmax can show.
template <typename T, int D>
__device__ __forceinline__ void multiply_places(const unsigned int (&a)[D / 16][4], const T *places, int from, int count,
                                                int stride, half_t *to, int width) {
    const int row = threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;
    for (int n = from; n < count; n += stride) {
        float c[2][4] = {};
        UNROLL
        for (int step = 0; step < D / 16; step++)
            UNROLL
            for (int h = 0; h < 2; h++) {
                const T *place = places + (n + h * 8 + row) * (D + 8) + step * 16 + column;
                const unsigned int b[2] = {word(place), word(place + 8)};
                multiply<T>(a[step], b, c[h]);
            }
        UNROLL
        for (int h = 0; h < 2; h++)
            UNROLL
            for (int r = 0; r < 2; r++)
                *reinterpret_cast<unsigned int *>(to + (row + r * 8) * width + n + h * 8 + column) =
                    pair<half_t>(within<half_t>(c[h][2 * r]), within<half_t>(c[h][2 * r + 1]));
    }
}

// As `attend`, by THREADS threads, with `bias` of a row of `qkv`, which may be null, added to each. With PLACES, `runs` has for each distance, from
// 1 - context on, the number of its run of distances with the same row of the tables, and then each run's row.
template <typename T, int D, int KEYS, bool PLACES>
__device__ __forceinline__ void
attend_on_tensor_cores(const T *qkv, const T *bias, T *out, const index_t *tiles, const index_t *starts, int heads,
                       int kv_heads, float scale, int reach, const index_t *runs, int context, const address_t *models,
                       int entry) {
    SHARED_FLOATS(shared);
    const int K_ROW = D + 8, V_ROW = KEYS + 8, OF_QUERIES_ROW = KEYS + 16 + 8;
    T *k = reinterpret_cast<T *>(shared), *v = k + KEYS * K_ROW, *places = v + D * V_ROW;
    half_t *of_places = reinterpret_cast<half_t *>(places + (KEYS + 64) * K_ROW);
    int *index = reinterpret_cast<int *>(of_places + 64 * OF_QUERIES_ROW);
    const index_t sequence = tiles[2 * blockIdx.x];
    const int first = tiles[2 * blockIdx.x + 1];
    const int head = blockIdx.y, kv_head = head / (heads / kv_heads);
    const size_t begin = starts[sequence];
    const int stride = (heads + 2 * kv_heads) * D;
    // Within a sequence, 32 bits are enough.
    qkv += begin * stride;
    const int length = starts[sequence + 1] - starts[sequence];
    if (first >= length)
        return;
    // A lane has rows `row` and `row + 8` of its warp's 16, and two columns from `column` on of each eight.
    const int lane = threadIdx.x % 32, row = lane / 4, column = lane % 4 * 2;
    const int warp = threadIdx.x / 32, own = first + warp * 16;
    const T *place_keys = nullptr, *place_queries = nullptr;
    if constexpr (PLACES) {
        const address_t *own = own_of(models, sequence, entry);
        place_keys = at_address<T>(own[0]);
        place_queries = at_address<T>(own[1]);
    }
    unsigned int q[D / 16][4];
    float o[D / 8][4], largest[2], total[2];
    UNROLL
    for (int step = 0; step < D / 16; step++)
        UNROLL
        for (int i = 0; i < 4; i++) {
            const int query = own + row + i % 2 * 8, c = head * D + step * 16 + column + i / 2 * 8;
            q[step][i] = 0;
            if (query < length) {
                const T *from = qkv + query * stride + c;
                q[step][i] = bias == nullptr ? word(from) : plus<T>(word(from), bias + c);
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
    // What keys' bias adds to all scores of a query is lost in the softmax: only places meet it. Weights add up to one, so that
    // values' bias is added at the end.
    // Powers of two are what a chip computes at once.
    scale *= 1.4426950408889634f;
    const int from = reach < 0 ? 0 : max(0, first - reach);
    const int to = reach < 0 ? length : min(length, first + 64 + reach);
    for (int tile = from; tile < to; tile += KEYS) {
        // What the last round read is free.
        __syncthreads();
        if constexpr (PLACES) {
            // Of query a and key b, e is a - b + KEYS - 1. Distances that no pair in the sequence has are those of its ends.
            const int furthest = min(length, context) - 1;
            const auto run = [&](int e) {
                const int distance = first - tile + e - (KEYS - 1);
                return int(runs[min(max(distance, -furthest), furthest) + context - 1]);
            };
            const int before = run(0);
            for (int e = threadIdx.x; e < KEYS + 63; e += THREADS)
                index[e] = run(e) - before;
            if (threadIdx.x == 0)
                index[KEYS + 63] = before;
            const T *table = place_queries != nullptr ? place_queries : place_keys;
            if (table != nullptr)
                stage_places<T, D>(table, runs + 2 * context - 1 + before, run(KEYS + 62) - before + 1, heads, head, places);
        }
        // Keys go to their places by themselves. Neighbours in a warp read neighbours of one key, and write the same place of
        // neighbouring values.
        const int ROUNDS = KEYS * (D / 8) / THREADS, TOGETHER = 2;
        ROLLED
        for (int n = 0; n < ROUNDS; n++) {
            const int i = threadIdx.x + n * THREADS, b = i / (D / 8), c = i % (D / 8) * 8;
            if (tile + b < to)
                copy_16_bytes(k + b * K_ROW + c, qkv + (tile + b) * stride + (heads + kv_head) * D + c);
            else
                *reinterpret_cast<Eight<T> *>(k + b * K_ROW + c) = Eight<T>{};
        }
        ROLLED
        for (int n = 0; n < ROUNDS; n += TOGETHER) {
            Eight<T> values[TOGETHER];
            UNROLL
            for (int m = 0; m < TOGETHER; m++) {
                const int i = threadIdx.x + (n + m) * THREADS, b = tile + i % KEYS, d = i / KEYS * 8;
                values[m] = Eight<T>{};
                if (b < to)
                    values[m] = *reinterpret_cast<const Eight<T> *>(qkv + b * stride + (heads + kv_heads + kv_head) * D + d);
            }
            UNROLL
            for (int m = 0; m < TOGETHER; m++) {
                const int i = threadIdx.x + (n + m) * THREADS, d = i / KEYS * 8;
                UNROLL
                for (int j = 0; j < 8; j++)
                    v[(d + j) * V_ROW + i % KEYS] = values[m].x[j];
            }
        }
        wait_for_copies();
        __syncthreads();
        // Of a whole warp at once, as everything that tensor cores do.
        const bool idle = own >= length || (reach >= 0 && (tile > own + 15 + reach || tile + KEYS <= own - reach));
        if constexpr (PLACES) {
            if (place_queries != nullptr) {
                // Each 16 keys are shared by as many warps as there are for them.
                const int keys = warp % (KEYS / 16) * 16, part = warp / (KEYS / 16), parts = 64 / KEYS;
                if (tile + keys < to) {
                    unsigned int a[D / 16][4];
                    UNROLL
                    for (int step = 0; step < D / 16; step++)
                        UNROLL
                        for (int i = 0; i < 4; i++) {
                            const int c = step * 16 + column + i / 2 * 8;
                            a[step][i] = word(k + (keys + row + i % 2 * 8) * K_ROW + c);
                            if (bias != nullptr)
                                a[step][i] = plus<T>(a[step][i], bias + (heads + kv_head) * D + c);
                        }
                    const int least = index[KEYS - 16 - keys];
                    multiply_places<T, D>(a, places + least * K_ROW, part * 16, index[KEYS + 62 - keys] - least + 1,
                                          parts * 16, of_places + keys * OF_KEYS_ROW, OF_KEYS_ROW);
                }
                __syncthreads();
                if (place_keys != nullptr)
                    stage_places<T, D>(place_keys, runs + 2 * context - 1 + index[KEYS + 63], index[KEYS + 62] + 1, heads,
                                       head, places);
            }
        }
        float s[KEYS / 8][4];
        UNROLL
        for (int n = 0; n < KEYS / 8; n++)
            UNROLL
            for (int i = 0; i < 4; i++)
                s[n][i] = 0;
        if constexpr (PLACES) {
            const int *of_pair = index + warp * 16 + row - column + KEYS - 1;
            if (place_queries != nullptr) {
                if (!idle)
                    UNROLL
                    for (int n = 0; n < KEYS / 8; n++) {
                        const int least = index[KEYS - 16 - n / 2 * 16];
                        UNROLL
                        for (int i = 0; i < 4; i++)
                            s[n][i] += widen(of_places[(n * 8 + column + i % 2) * OF_KEYS_ROW - least +
                                                       of_pair[i / 2 * 8 - n * 8 - i % 2]]);
                    }
                // The other table is there, and what the keys gave is taken.
                wait_for_copies();
                __syncthreads();
            }
            if (place_keys != nullptr && !idle) {
                const int least = index[warp * 16];
                half_t *of_queries = of_places + warp * 16 * OF_QUERIES_ROW;
                multiply_places<T, D>(q, places + least * K_ROW, 0, index[warp * 16 + KEYS + 14] - least + 1, 16,
                                      of_queries, OF_QUERIES_ROW);
                __syncwarp();
                UNROLL
                for (int n = 0; n < KEYS / 8; n++)
                    UNROLL
                    for (int i = 0; i < 4; i++)
                        s[n][i] += widen(of_queries[(row + i / 2 * 8) * OF_QUERIES_ROW - least +
                                                    of_pair[i / 2 * 8 - n * 8 - i % 2]]);
            }
        }
        if (idle)
            continue;
        UNROLL
        for (int n = 0; n < KEYS / 8; n++)
            UNROLL
            for (int step = 0; step < D / 16; step++) {
                const T *key = k + (n * 8 + row) * K_ROW + step * 16 + column;
                const unsigned int b[2] = {word(key), word(key + 8)};
                multiply<T>(q[step], b, s[n]);
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
            const float factor = largest[r] == -INFINITY ? 0.0f : exp2f(largest[r] - top[r]);
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
                s[n][i] = top[i / 2] == -INFINITY ? 0.0f : exp2f(s[n][i] - top[i / 2]);
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
        const T *of_values = bias == nullptr ? nullptr : bias + (heads + kv_heads + kv_head) * D + column;
        UNROLL
        for (int n = 0; n < D / 8; n++) {
            float pairs[2] = {o[n][2 * r] / total[r], o[n][2 * r + 1] / total[r]};
            if (of_values != nullptr)
                add(pairs, of_values + n * 8);
            *reinterpret_cast<unsigned int *>(to + n * 8) = pair<T>(pairs[0], pairs[1]);
        }
    }
}

// With places, four blocks for each multiprocessor of an H100, by registers and by shared memory, where heads are up to 64 wide.
#define KERNEL(T, S, D, BLOCKS, KEYS, OF_PLACES)                                                                           \
    extern "C" __global__ void BOUNDS(THREADS, BLOCKS)                                                                 \
        attend_##D##_##S(const T *qkv, const T *bias, T *out, const index_t *tiles, const index_t *starts, int heads,  \
                         int kv_heads, float scale, int reach) {                                                       \
        attend_on_tensor_cores<T, D, 64, false>(qkv, bias, out, tiles, starts, heads, kv_heads, scale, reach, nullptr, \
                                                0, nullptr, 0);                                                        \
    }                                                                                                                  \
    extern "C" __global__ void BOUNDS(THREADS, OF_PLACES) attend_places_##D##_##S(                                     \
        const T *qkv, const T *bias, T *out, const index_t *tiles, const index_t *starts, int heads, int kv_heads,     \
        float scale, int reach, const index_t *runs, int context, const address_t *models, int entry) {                \
        attend_on_tensor_cores<T, D, KEYS, true>(qkv, bias, out, tiles, starts, heads, kv_heads, scale, reach, runs,   \
                                                 context, models, entry);                                              \
    }
#define KERNELS(T, S) KERNEL(T, S, 32, 4, 64, 4) KERNEL(T, S, 64, 4, 64, 4) KERNEL(T, S, 128, 3, 32, 2)
KERNELS(half_t, f16)
KERNELS(bfloat_t, bf16)
#undef KERNELS
#undef KERNEL
