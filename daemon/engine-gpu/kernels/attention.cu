// Attention over packed sequences, each token attending within its own sequence, with a running softmax (Milakov &
// Gimelshein 2018) so that no matrix of scores exists; the terms of disentangled attention (He et al. 2021) are added where the
// scores are made.
//
// One block for each head and each tile of 16 queries of one sequence. In shared memory, in floats, rows padded by one so
// that a column does not lie in one bank: queries and outputs [16][d + 1], keys and values [key_tile][d + 1], scores
// [16][key_tile], three numbers for each query, and with relative places two tables of [16 + key_tile - 1][d + 1].
#include "common.cuh"

#define QUERIES 16

template <typename T> __device__ __forceinline__ float biased(const T *row, const T *bias, int at) {
    return widen(row[at]) + (bias == nullptr ? 0.0f : widen(bias[at]));
}

// `qkv` has rows of queries, keys and values side by side, each head by head, to which `bias` is added, which may be null;
// `kv_heads` heads of keys and values serve `heads` of queries. `tiles` holds pairs: a sequence, and the first of up to 16 of its queries, or nothing to do where
// that is beyond the sequence; `starts` the cumulative
// lengths, one more than there are sequences. A query sees keys up to `reach` away; `reach` < 0: all.
//
// With `columns` not null, places enter: `columns[distance + context - 1]` is the row of the projected tables for the distance from
// query to key, and from `entry` on the lists of `models` have the tables, [rows, heads * d]: places' keys, then places' queries,
// each where there is such a term.
template <typename T>
__device__ void attend(const T *qkv, const T *bias, T *out, const index_t *tiles, const index_t *starts, int heads, int kv_heads, int d,
                       float scale, int reach, int key_tile, const index_t *columns, int context,
                       const address_t *models, int entry) {
    SHARED_FLOATS(shared);
    const index_t sequence = tiles[2 * blockIdx.x];
    const int first = tiles[2 * blockIdx.x + 1];
    const int head = blockIdx.y, kv_head = head / (heads / kv_heads);
    const size_t begin = starts[sequence];
    const int length = starts[sequence + 1] - starts[sequence];
    if (first >= length)
        return;
    const int count = min(QUERIES, length - first);
    const int row = d + 1, span = QUERIES + key_tile - 1;
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
    for (int i = threadIdx.x; i < QUERIES * d; i += blockDim.x) {
        const int a = i / d, c = i % d;
        q[a * row + c] = a < count ? biased(qkv + (begin + first + a) * stride, bias, head * d + c) : 0.0f;
        o[a * row + c] = 0;
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
        for (int i = threadIdx.x; i < key_tile * d; i += blockDim.x) {
            const int b = i / d, c = i % d;
            const T *from = qkv + (begin + tile + b) * stride;
            const int key = (heads + kv_head) * d + c, value = key + kv_heads * d;
            k[b * row + c] = b < keys ? biased(from, bias, key) : 0.0f;
            v[b * row + c] = b < keys ? biased(from, bias, value) : 0.0f;
        }
        if (place_keys != nullptr || place_queries != nullptr) {
            for (int i = threadIdx.x; i < span * d; i += blockDim.x) {
                const int e = i / d, c = i % d;
                // Of query a and key b, e is a - b + key_tile - 1. Distances that no pair in the sequence has are kept in
                // the table.
                const int distance = min(max(first - tile + e - (key_tile - 1), 1 - context), context - 1);
                const size_t at = (size_t(columns[distance + context - 1]) * heads + head) * d + c;
                if (place_keys != nullptr)
                    pk[e * row + c] = widen(place_keys[at]);
                if (place_queries != nullptr)
                    pq[e * row + c] = widen(place_queries[at]);
            }
        }
        __syncthreads();
        for (int i = threadIdx.x; i < QUERIES * key_tile; i += blockDim.x) {
            const int a = i / key_tile, b = i % key_tile;
            const int distance = first + a - tile - b;
            const bool seen = a < count && b < keys && (reach < 0 || (distance <= reach && -distance <= reach));
            float score = -INFINITY;
            if (seen) {
                const float *query = q + a * row, *key = k + b * row;
                const int e = a - b + key_tile - 1;
                score = 0;
                for (int c = 0; c < d; c++)
                    score += query[c] * key[c];
                if (place_keys != nullptr)
                    for (int c = 0; c < d; c++)
                        score += query[c] * pk[e * row + c];
                if (place_queries != nullptr)
                    for (int c = 0; c < d; c++)
                        score += key[c] * pq[e * row + c];
                score *= scale;
            }
            scores[a * key_tile + b] = score;
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
            if (lane == 0) {
                const float factor = before == -INFINITY ? 0.0f : expf(before - top);
                largest[a] = top;
                shrink[a] = factor;
                total[a] = total[a] * factor + sum;
            }
        }
        __syncthreads();
        for (int i = threadIdx.x; i < QUERIES * d; i += blockDim.x) {
            const int a = i / d, c = i % d;
            float sum = o[a * row + c] * shrink[a];
            for (int b = 0; b < keys; b++)
                sum += scores[a * key_tile + b] * v[b * row + c];
            o[a * row + c] = sum;
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < count * d; i += blockDim.x) {
        const int a = i / d, c = i % d;
        narrow(&out[((begin + first + a) * heads + head) * d + c], o[a * row + c] / total[a]);
    }
}

#define KERNELS(T, S)                                                                                                  \
    extern "C" __global__ void attend_##S(const T *qkv, const T *bias, T *out, const index_t *tiles, const index_t *starts,           \
                                          int heads, int kv_heads, int d, float scale, int reach, int key_tile,        \
                                          const index_t *columns, int context, const address_t *models, int entry) {   \
        attend<T>(qkv, bias, out, tiles, starts, heads, kv_heads, d, scale, reach, key_tile, columns, context, models, \
                  entry);                                                                                              \
    }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
