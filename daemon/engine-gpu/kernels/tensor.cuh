// What attention on tensor cores is made of (FlashAttention-2: Dao 2023): queries, scores and outputs stay in registers, keys and
// values of a tile lie in shared memory as they come, [KEYS][d + 8], so that the eight rows that are read at once lie in different
// banks.
//
// A warp has M times 16 queries, and a lane of each 16 the rows `lane / 4` and `lane / 4 + 8`, and of each eight columns two
// from `lane % 4 * 2` on, as PTX deals out mma.m16n8k16.
#pragma once
#include "common.cuh"

template <typename T> __device__ __forceinline__ unsigned int word(const T *from) {
    return *reinterpret_cast<const unsigned int *>(from);
}

// A row of keys or values in shared memory.
#define ROW_OF(D) ((D) + 8)
template <int D> struct Padded {
    static const int ROW = ROW_OF(D);
    static __device__ __forceinline__ int at(int row, int column) { return row * ROW + column; }
};

// What a block has to do: a head and up to OWN queries of a sequence from `first` on, where the tile of that number begins, of which a warp has those from `own` on; keys from
// `from` to `to`. Rows are `stride` apart, which within a sequence 32 bits hold.
template <typename T> struct Work {
    index_t sequence;
    int first, length, own, from, to, heads, kv_heads, head, kv_head, stride;
    size_t begin;
    const T *queries, *keys, *values;
};
template <typename T, int D, int M, int OWN = 64>
__device__ __forceinline__ Work<T> work_of_block(const T *qkv, const index_t *tiles, int number, const index_t *starts,
                                                 int heads, int kv_heads, int reach) {
    Work<T> work;
    work.sequence = tiles[2 * number];
    work.first = tiles[2 * number + 1];
    work.begin = starts[work.sequence];
    work.length = starts[work.sequence + 1] - starts[work.sequence];
    work.own = work.first + threadIdx.x / 32 * M * 16;
    work.from = reach < 0 ? 0 : max(0, work.first - reach);
    work.to = reach < 0 ? work.length : min(work.length, work.first + OWN + reach);
    work.heads = heads;
    work.kv_heads = kv_heads;
    work.head = blockIdx.y;
    work.kv_head = work.head / (heads / kv_heads);
    work.stride = (heads + 2 * kv_heads) * D;
    work.queries = qkv + work.begin * work.stride + work.head * D;
    work.keys = qkv + work.begin * work.stride + (heads + work.kv_head) * D;
    work.values = work.keys + kv_heads * D;
    return work;
}

// Begins to copy rows of D, `stride` apart, of which `there` are there; the last of those again in place of the others.
template <typename T, int D, int COUNT, int THREADS, typename Layout = Padded<D>>
__device__ __forceinline__ void stage(T *to, const T *from, int stride, int there) {
    const int AT_A_TIME = THREADS / (D / 8);
    const int row = threadIdx.x / (D / 8), column = threadIdx.x % (D / 8) * 8;
    to += Layout::at(row, column);
    // One instruction for each address.
    const char *begin = reinterpret_cast<const char *>(from + column);
    const unsigned int bytes = stride * sizeof(T);
    UNROLL
    for (int n = 0; n < COUNT; n += AT_A_TIME)
        copy_16_bytes(to + n * Layout::ROW, begin + size_t(static_cast<unsigned int>(min(n + row, there - 1))) * bytes);
}

// What a warp knows of its queries.
template <int D, int M> struct Queries {
    // Sums of values, and of weights in eight columns that are alike. Weights are relative to `reference`.
    float out[M][D / 8][4], total[M][4], reference[M][2];

    __device__ __forceinline__ void begin() {
        UNROLL
        for (int m = 0; m < M; m++) {
            UNROLL
            for (int n = 0; n < D / 8; n++)
                UNROLL
                for (int i = 0; i < 4; i++)
                    out[m][n][i] = 0;
            UNROLL
            for (int i = 0; i < 4; i++) {
                total[m][i] = 0;
                reference[m][i / 2] = -INFINITY;
            }
        }
    }
};

// Rows of shared memory as the first factor of products, with `bias` added, which may be null.
template <typename T, int D, int M, typename Layout = Padded<D>>
__device__ __forceinline__ void load_rows(unsigned int (&to)[M][D / 16][4], const T *from, const T *bias) {
    const int lane = threadIdx.x % 32;
    UNROLL
    for (int m = 0; m < M; m++)
        UNROLL
        for (int step = 0; step < D / 16; step++)
            load_matrices(to[m][step], from + Layout::at(m * 16 + lane % 16, step * 16 + lane / 16 * 8));
    if (bias == nullptr)
        return;
    UNROLL
    for (int step = 0; step < D / 16; step++)
        UNROLL
        for (int i = 0; i < 4; i++) {
            const unsigned int more = word(bias + step * 16 + lane % 4 * 2 + i / 2 * 8);
            UNROLL
            for (int m = 0; m < M; m++)
                to[m][step][i] = add_pairs<T>(to[m][step][i], more);
        }
}

// s += queries times keys.
template <typename T, int D, int M, int KEYS>
__device__ __forceinline__ void add_scores(float (&s)[M][KEYS / 8][4], const unsigned int (&q)[M][D / 16][4], const T *k) {
    const int lane = threadIdx.x % 32;
    // Of two times eight keys and both halves of a step.
    const T *mine = k + (lane / 16 * 8 + lane % 8) * ROW_OF(D) + lane / 8 % 2 * 8;
    UNROLL
    for (int step = 0; step < D / 16; step++)
        UNROLL
        for (int n = 0; n < KEYS / 8; n += 2) {
            unsigned int b[4];
            load_matrices(b, mine + n * 8 * ROW_OF(D) + step * 16);
            UNROLL
            for (int m = 0; m < M; m++) {
                multiply<T>(q[m][step], b[0], b[1], s[m][n]);
                multiply<T>(q[m][step], b[2], b[3], s[m][n + 1]);
            }
        }
}

// Takes away the scores of keys from `keys` on of the tile, and those further than `reach` from the query, if that is not below 0;
// `ahead` is how far the warp's first query is behind the tile's first key.
template <int M, int KEYS>
__device__ __forceinline__ void hide(float (&s)[M][KEYS / 8][4], int keys, int ahead, int reach) {
    const int row = threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;
    const bool all_near = reach < 0 || (ahead + M * 16 - 1 <= reach && KEYS - 1 - ahead <= reach);
    if (keys >= KEYS && all_near)
        return;
    UNROLL
    for (int m = 0; m < M; m++)
        UNROLL
        for (int r = 0; r < 2; r++) {
            const int query = ahead + m * 16 + r * 8 + row;
            // Counted from the lane's first key, so that each is compared with what is known beforehand.
            const int least = (reach < 0 ? 0 : query - reach) - column;
            const int most = (reach < 0 ? keys - 1 : min(keys - 1, query + reach)) - column;
            UNROLL
            for (int n = 0; n < KEYS / 8; n++)
                UNROLL
                for (int i = 0; i < 2; i++)
                    if (n * 8 + i < least || n * 8 + i > most)
                        s[m][n][2 * r + i] = -INFINITY;
        }
}

// Makes weights of scores, which `scale`, above 0, turns into powers of two.
//
// What was added up so far has a new reference only where a score is more than 2^8 above the old one, as in FlashAttention-4: weights
// are as exact relative to any, and most tiles change none. Each 16 queries are for themselves in this, however many a warp has.
template <int D, int M, int KEYS>
__device__ __forceinline__ void weigh(float (&s)[M][KEYS / 8][4], Queries<D, M> &queries, float scale) {
    UNROLL
    for (int m = 0; m < M; m++) {
        float top[2];
        bool far = false;
        UNROLL
        for (int r = 0; r < 2; r++) {
            top[r] = fmaxf(s[m][0][2 * r], s[m][0][2 * r + 1]);
            UNROLL
            for (int n = 1; n < KEYS / 8; n++)
                top[r] = fmaxf(top[r], fmaxf(s[m][n][2 * r], s[m][n][2 * r + 1]));
            // Four lanes have a row.
            top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 1));
            top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 2));
            far = far || (top[r] - queries.reference[m][r]) * scale > 8.0f;
        }
        if (__any_sync(0xffffffffu, far))
            UNROLL
            for (int r = 0; r < 2; r++) {
                float &reference = queries.reference[m][r];
                const float next = fmaxf(reference, top[r]);
                // A query that has seen no key yet has none, and nothing to change.
                const float factor = reference == -INFINITY ? 0.0f : power_of_two((reference - next) * scale);
                reference = next;
                queries.total[m][2 * r] *= factor;
                queries.total[m][2 * r + 1] *= factor;
                UNROLL
                for (int n = 0; n < D / 8; n++) {
                    queries.out[m][n][2 * r] *= factor;
                    queries.out[m][n][2 * r + 1] *= factor;
                }
            }
    }
    UNROLL
    for (int m = 0; m < M; m++)
        UNROLL
        for (int r = 0; r < 2; r++) {
            const float reference = queries.reference[m][r], by = reference == -INFINITY ? 0.0f : -reference * scale;
            UNROLL
            for (int n = 0; n < KEYS / 8; n++)
                UNROLL
                for (int i = 2 * r; i < 2 * r + 2; i++)
                    s[m][n][i] = power_of_two(fmaf(s[m][n][i], scale, by));
        }
}

// The weights of sixteen keys, whose scores lie just so, as the first factor of products; adds them to their sum as they are rounded for both, so
// that a weight that stands out is not more or less than its share.
template <typename T>
__device__ __forceinline__ void take_weights(unsigned int (&a)[4], const float (&low)[4], const float (&high)[4], float (&total)[4]) {
    a[0] = pair<T>(low[0], low[1]);
    a[1] = pair<T>(low[2], low[3]);
    a[2] = pair<T>(high[0], high[1]);
    a[3] = pair<T>(high[2], high[3]);
    multiply<T>(a, pair<T>(1, 1), pair<T>(1, 1), total);
}

// Adds the values of a tile by their weights.
template <typename T, int D, int M, int KEYS>
__device__ __forceinline__ void add_values(Queries<D, M> &queries, const float (&s)[M][KEYS / 8][4], const T *v) {
    const int lane = threadIdx.x % 32;
    // Of two times eight values and both halves of a step.
    const T *mine = v + lane % 16 * ROW_OF(D) + lane / 16 * 8;
    UNROLL
    for (int step = 0; step < KEYS / 16; step++) {
        unsigned int a[M][4];
        UNROLL
        for (int m = 0; m < M; m++)
            take_weights<T>(a[m], s[m][2 * step], s[m][2 * step + 1], queries.total[m]);
        UNROLL
        for (int n = 0; n < D / 8; n += 2) {
            unsigned int b[4];
            load_matrices_turned(b, mine + step * 16 * ROW_OF(D) + n * 8);
            UNROLL
            for (int m = 0; m < M; m++) {
                multiply<T>(a[m], b[0], b[1], queries.out[m][n]);
                multiply<T>(a[m], b[2], b[3], queries.out[m][n + 1]);
            }
        }
    }
}

// Writes the outputs of the warp's queries, with the part of `bias` that values have, which may be null: each pair to where `room`, 64
// rows for the block, has it beside its neighbours, and from there 16 bytes at once.
template <typename T, int D, int M>
__device__ __forceinline__ void write(const Work<T> &work, const Queries<D, M> &queries, T *room, T *out, const T *bias) {
    const int there = work.length - work.own;
    if (there <= 0)
        return;
    room += (work.own - work.first) * ROW_OF(D);
    if (bias != nullptr)
        bias += (work.heads + work.kv_heads + work.kv_head) * D;
    const size_t stride = size_t(work.heads) * D;
    T *to = out + (work.begin + work.own) * stride + work.head * D;
    const int lane = threadIdx.x % 32, row = lane / 4, column = lane % 4 * 2;
    UNROLL
    for (int m = 0; m < M; m++)
        UNROLL
        for (int r = 0; r < 2; r++) {
            const float share = 1.0f / queries.total[m][2 * r];
            UNROLL
            for (int n = 0; n < D / 8; n++) {
                float pairs[2] = {};
                if (bias != nullptr)
                    load(pairs, bias + n * 8 + column);
                UNROLL
                for (int i = 0; i < 2; i++)
                    pairs[i] = fmaf(queries.out[m][n][2 * r + i], share, pairs[i]);
                *reinterpret_cast<unsigned int *>(room + (m * 16 + r * 8 + row) * ROW_OF(D) + n * 8 + column) =
                    pair<T>(pairs[0], pairs[1]);
            }
        }
    __syncwarp();
    UNROLL
    for (int n = 0; n < M * 16 * (D / 8); n += 32) {
        const int i = n + lane, query = i / (D / 8), c = i % (D / 8) * 8;
        if (query < there)
            *reinterpret_cast<Some<T, 8> *>(to + query * stride + c) =
                *reinterpret_cast<const Some<T, 8> *>(room + query * ROW_OF(D) + c);
    }
}
