// Attention over packed sequences, each token attending within its own sequence, with a running softmax (Milakov &
// Gimelshein 2018) so that no matrix of scores exists; the terms of disentangled attention (He et al. 2021) are added where the
// scores are made. In single precision, and for heads that tensor.cu has no kernels for.
//
// One block for each head and each tile of 16 queries of one sequence. In shared memory, in floats, rows padded so that a column does
// not lie in one bank: queries and outputs [16][row], keys and values [key_tile][row], scores [16][key_tile], three numbers for each
// query, and with relative places two tables of [16 + key_tile - 1][row]. A row has d + 4 where d is a multiple of four, and threads
// read four at once; else d + 1. A block has whole key tiles of threads.
#include "common.cuh"

#define QUERIES 16

// Queries that a thread has at once, for one key; and for some columns of the output.
#define AT_ONE_KEY 4
#define AT_ONE_COLUMN 2

template <int N> struct alignas(sizeof(float) * N) Floats {
    float x[N];
};

template <int N> __device__ __forceinline__ Floats<N> floats(const float *from) {
    return *reinterpret_cast<const Floats<N> *>(from);
}

template <int N> __device__ __forceinline__ void add_products(float &sum, const Floats<N> &a, const Floats<N> &b) {
    UNROLL
    for (int i = 0; i < N; i++)
        sum += a.x[i] * b.x[i];
}

// N neighbours from `at` on, with the bias that may be null, or zeros.
template <int N, typename T>
__device__ __forceinline__ void stage(float *to, bool there, const T *row, const T *bias, int at) {
    float values[N] = {};
    if (there) {
        load(values, row + at);
        if (bias != nullptr)
            add(values, bias + at);
    }
    store(to, values);
}

// `qkv` has rows of queries, keys and values side by side, each head by head, to which `bias` is added, which may be null;
// `kv_heads` heads of keys and values serve `heads` of queries. `tiles` holds pairs: a sequence, and the first of up to 16 of its
// queries, or nothing to do where that is beyond the sequence; `starts` the cumulative lengths, one more than there are sequences.
// A query sees keys up to `reach` away; `reach` < 0: all.
//
// With `columns` not null, places enter: `columns[distance + context - 1]` is the row of the projected tables for the distance from
// query to key, and from `entry` on the lists of `models` have the tables, [rows, heads * d]: places' keys, then places' queries,
// each where there is such a term.
template <typename T, int N>
__device__ __forceinline__ void attend(const T *qkv, const T *bias, T *out, const index_t *tiles, const index_t *starts,
                                       int heads, int kv_heads, int d, float scale, int reach, int key_tile,
                                       const index_t *columns, int context, const address_t *models, int entry) {
    SHARED_FLOATS(shared);
    const index_t sequence = tiles[2 * blockIdx.x];
    const int first = tiles[2 * blockIdx.x + 1];
    const int head = blockIdx.y, kv_head = head / (heads / kv_heads);
    const size_t begin = starts[sequence];
    const int length = starts[sequence + 1] - starts[sequence];
    if (first >= length)
        return;
    const int count = min(QUERIES, length - first);
    const int row = d + N, groups = d / N, span = QUERIES + key_tile - 1;
    const size_t stride = size_t(heads + 2 * kv_heads) * d;
    float *q = shared;
    float *o = q + QUERIES * row;
    float *k = o + QUERIES * row;
    float *v = k + key_tile * row;
    float *scores = v + key_tile * row;
    float *largest = scores + QUERIES * key_tile, *total = largest + QUERIES, *shrink = total + QUERIES;
    float *pk = shrink + QUERIES, *pq = pk + span * row;
    const T *place_keys = nullptr, *place_queries = nullptr;
    if (columns != nullptr) {
        const address_t *own = own_of(models, sequence, entry);
        place_keys = at_address<T>(own[0]);
        place_queries = at_address<T>(own[1]);
    }
    for (int i = threadIdx.x; i < QUERIES * groups; i += blockDim.x) {
        const int a = i / groups, c = i % groups * N;
        stage<N>(q + a * row + c, a < count, qkv + (begin + first + a) * stride, bias, head * d + c);
        const float zeros[N] = {};
        store(o + a * row + c, zeros);
    }
    for (int a = threadIdx.x; a < QUERIES; a += blockDim.x) {
        largest[a] = -INFINITY;
        total[a] = 0;
    }
    const int from = reach < 0 ? 0 : max(0, first - reach);
    const int to = reach < 0 ? length : min(length, first + count + reach);
    for (int tile = from; tile < to; tile += key_tile) {
        const int keys = min(key_tile, to - tile);
        // What the last round read is free, and at the first, what is above is whole.
        __syncthreads();
        for (int i = threadIdx.x; i < key_tile * groups; i += blockDim.x) {
            const int b = i / groups, c = i % groups * N;
            const T *from = qkv + (begin + tile + b) * stride;
            const int key = (heads + kv_head) * d + c, value = key + kv_heads * d;
            stage<N>(k + b * row + c, b < keys, from, bias, key);
            stage<N>(v + b * row + c, b < keys, from, bias, value);
        }
        if (place_keys != nullptr || place_queries != nullptr) {
            for (int i = threadIdx.x; i < span * groups; i += blockDim.x) {
                const int e = i / groups, c = i % groups * N;
                // Of query a and key b, e is a - b + key_tile - 1. Distances that no pair in the sequence has are kept in
                // the table.
                const int distance = min(max(first - tile + e - (key_tile - 1), 1 - context), context - 1);
                const size_t at = (size_t(columns[distance + context - 1]) * heads + head) * d + c;
                const T *none = nullptr;
                if (place_keys != nullptr)
                    stage<N>(pk + e * row + c, true, place_keys + at, none, 0);
                if (place_queries != nullptr)
                    stage<N>(pq + e * row + c, true, place_queries + at, none, 0);
            }
        }
        __syncthreads();
        const int b = threadIdx.x % key_tile, step = blockDim.x / key_tile;
        for (int own = threadIdx.x / key_tile; own < QUERIES; own += AT_ONE_KEY * step) {
            float sums[AT_ONE_KEY] = {};
            for (int c = 0; c < d; c += N) {
                const Floats<N> key = floats<N>(k + b * row + c);
                UNROLL
                for (int n = 0; n < AT_ONE_KEY; n++) {
                    const int a = own + n * step, e = a - b + key_tile - 1;
                    if (a >= QUERIES)
                        continue;
                    const Floats<N> query = floats<N>(q + a * row + c);
                    add_products(sums[n], query, key);
                    if (place_keys != nullptr)
                        add_products(sums[n], query, floats<N>(pk + e * row + c));
                    if (place_queries != nullptr)
                        add_products(sums[n], key, floats<N>(pq + e * row + c));
                }
            }
            UNROLL
            for (int n = 0; n < AT_ONE_KEY; n++) {
                const int a = own + n * step, distance = first + a - tile - b;
                const bool seen = a < count && b < keys && (reach < 0 || (distance <= reach && -distance <= reach));
                if (a < QUERIES)
                    scores[a * key_tile + b] = seen ? sums[n] * scale : -INFINITY;
            }
        }
        __syncthreads();
        const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
        for (int a = threadIdx.x / 32; a < QUERIES; a += warps) {
            float top = -INFINITY;
            for (int b = lane; b < key_tile; b += 32)
                top = fmaxf(top, scores[a * key_tile + b]);
            const float before = largest[a];
            top = fmaxf(before, warp_max(top));
            float sum = 0;
            for (int b = lane; b < key_tile; b += 32) {
                // A query that has seen no key yet has no largest score either.
                const float weight = top == -INFINITY ? 0.0f : expf(scores[a * key_tile + b] - top);
                scores[a * key_tile + b] = weight;
                sum += weight;
            }
            sum = warp_sum(sum);
            // All lanes have read what the first one writes.
            __syncwarp();
            if (lane == 0) {
                const float factor = before == -INFINITY ? 0.0f : expf(before - top);
                largest[a] = top;
                shrink[a] = factor;
                total[a] = total[a] * factor + sum;
            }
        }
        __syncthreads();
        // Keys that are not there have no weight, and their values are zero.
        const int apart = QUERIES / AT_ONE_COLUMN;
        for (int i = threadIdx.x; i < apart * groups; i += blockDim.x) {
            const int own = i / groups, c = i % groups * N;
            float sums[AT_ONE_COLUMN][N];
            UNROLL
            for (int n = 0; n < AT_ONE_COLUMN; n++) {
                const Floats<N> before = floats<N>(o + (own + n * apart) * row + c);
                UNROLL
                for (int j = 0; j < N; j++)
                    sums[n][j] = before.x[j] * shrink[own + n * apart];
            }
            for (int b = 0; b < keys; b += 4) {
                Floats<4> weights[AT_ONE_COLUMN];
                UNROLL
                for (int n = 0; n < AT_ONE_COLUMN; n++)
                    weights[n] = floats<4>(scores + (own + n * apart) * key_tile + b);
                UNROLL
                for (int m = 0; m < 4; m++) {
                    const Floats<N> value = floats<N>(v + (b + m) * row + c);
                    UNROLL
                    for (int n = 0; n < AT_ONE_COLUMN; n++)
                        UNROLL
                        for (int j = 0; j < N; j++)
                            sums[n][j] += weights[n].x[m] * value.x[j];
                }
            }
            UNROLL
            for (int n = 0; n < AT_ONE_COLUMN; n++)
                store(o + (own + n * apart) * row + c, sums[n]);
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < count * d; i += blockDim.x) {
        const int a = i / d, c = i % d;
        narrow(&out[((begin + first + a) * heads + head) * d + c], o[a * row + c] / total[a]);
    }
}

#define KERNELS(T, S)                                                                                                  \
    extern "C" __global__ void attend_##S(const T *qkv, const T *bias, T *out, const index_t *tiles,                   \
                                          const index_t *starts, int heads, int kv_heads, int d, float scale,          \
                                          int reach, int key_tile, const index_t *columns, int context,                \
                                          const address_t *models, int entry) {                                        \
        if (d % 4 == 0)                                                                                                \
            attend<T, 4>(qkv, bias, out, tiles, starts, heads, kv_heads, d, scale, reach, key_tile, columns, context,  \
                         models, entry);                                                                               \
        else                                                                                                           \
            attend<T, 1>(qkv, bias, out, tiles, starts, heads, kv_heads, d, scale, reach, key_tile, columns, context,  \
                         models, entry);                                                                               \
    }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
