// Attention on tensor cores with the terms of disentangled attention (He et al. 2021), each rounded to half precision; the rest is
// as in tensor.cu.
//
// A tile of 64 queries a and 64 keys b meets at 127 distances, and place e = b - a + 63 is the one of distance first - tile + 63 - e.
// The tables' rows for a tile's places lie in shared memory, [128][d + 8], those of one table after the other: that of places'
// queries, which keys are multiplied with, then that of places' keys, with queries. So 16 keys or queries meet 79 places, and their
// products go to halves in shared memory, from where each score takes the one of its own distance. There
// a row is 72 halves behind the one before, with room for 80: of the first and last eight of a row no score takes both,
// and never one where the other row's have been written. With 72 no two lanes of a warp meet in a bank where they write, nor where
// they read what keys gave; two do where they read what queries gave, and do so with any other row.
#include "tensor.cuh"

#define PLACES_ROW 72
// Of 16 rows.
#define PLACES_GROUP (15 * PLACES_ROW + 80)

// By a warp, of M times 16 rows `a`: the products with the places that they meet. `places` is the first that any of them does; the
// next 16 queries begin 16 places earlier, and the next 16 keys 16 later.
template <typename T, int D, int M, bool KEYS>
__device__ __forceinline__ void multiply_places(const unsigned int (&a)[M][D / 16][4], const T *places, half_t *to) {
    const int lane = threadIdx.x % 32, row = lane / 4, column = lane % 4 * 2;
    const T *mine = places + (lane / 16 * 8 + lane % 8) * ROW_OF(D) + lane / 8 % 2 * 8;
    to += row * PLACES_ROW + column;
    UNROLL
    for (int sixteen = 0; sixteen < 5 + M - 1; sixteen++) {
        float c[M][2][4] = {};
        UNROLL
        for (int step = 0; step < D / 16; step++) {
            unsigned int b[4];
            load_matrices(b, mine + sixteen * 16 * ROW_OF(D) + step * 16);
            UNROLL
            for (int m = 0; m < M; m++) {
                const int own = sixteen - (KEYS ? m : M - 1 - m);
                if (own >= 0 && own < 5) {
                    multiply<T>(a[m][step], b[0], b[1], c[m][0]);
                    multiply<T>(a[m][step], b[2], b[3], c[m][1]);
                }
            }
        }
        UNROLL
        for (int m = 0; m < M; m++)
            UNROLL
            for (int h = 0; h < 2; h++)
                UNROLL
                for (int r = 0; r < 2; r++) {
                    const int eight = (sixteen - (KEYS ? m : M - 1 - m)) * 2 + h;
                    // Key n meets places n to n + 63, query n 15 - n to 78 - n.
                    const bool met = KEYS ? (eight > 0 || r == 0) && (eight < 9 || r == 1)
                                          : (eight > 0 || r == 1) && (eight < 9 || (r == 0 && row < 7));
                    if (eight >= 0 && eight < 10 && met)
                        *reinterpret_cast<unsigned int *>(to + m * PLACES_GROUP + r * 8 * PLACES_ROW + eight * 8) =
                            finite_halves(c[m][h][2 * r], c[m][h][2 * r + 1]);
                }
    }
}

// Begins to copy the rows of a table for the places of a tile; `rows` has where each begins, in bytes.
template <typename T, int D, int THREADS>
__device__ __forceinline__ void stage_places(T *to, address_t table, const unsigned int *rows) {
    const int AT_A_TIME = THREADS / (D / 8);
    const int own = threadIdx.x / (D / 8), column = threadIdx.x % (D / 8) * 8;
    to += own * ROW_OF(D) + column;
    table += column * sizeof(T);
    // All numbers first: a copy behind each would have to be told apart from it.
    unsigned int begin[128 / AT_A_TIME];
    UNROLL
    for (int n = 0; n < 128 / AT_A_TIME; n++)
        begin[n] = rows[n * AT_A_TIME + own];
    UNROLL
    for (int n = 0; n < 128 / AT_A_TIME; n++)
        copy_16_bytes(to + n * AT_A_TIME * ROW_OF(D), at_address<T>(table + begin[n]));
}

// As `attend_on_tensor_cores`. `columns` has for each distance, from 1 - context on, the row of the tables; from `entry` on the lists
// of `models` have these, places' keys and then places' queries, each where there is such a term.
template <typename T, int D, int M>
__device__ __forceinline__ void
attend_with_places(const T *qkv, const T *bias, T *out, const index_t *tiles, const index_t *starts, int heads,
                   int kv_heads, float scale, int reach, const index_t *columns, int context, const address_t *models,
                   int entry) {
    const int KEYS = 64, THREADS = 128 / M;
    SHARED_FLOATS(shared);
    T *k = reinterpret_cast<T *>(shared), *v = k + KEYS * ROW_OF(D), *places = v + KEYS * ROW_OF(D);
    half_t *of_places = reinterpret_cast<half_t *>(places + 128 * ROW_OF(D));
    unsigned int *rows = reinterpret_cast<unsigned int *>(of_places + 4 * PLACES_GROUP);
    const Work<T> work = work_of_block<T, D, M>(qkv, tiles, blockIdx.x, starts, heads, kv_heads, reach);
    const int first = work.first, length = work.length, own = work.own, from = work.from, to = work.to;
    const int head = work.head, stride = work.stride;
    const T *keys = work.keys, *values = work.values;
    if (first >= length)
        return;
    const address_t *tables = own_of(models, work.sequence, entry);
    const address_t place_keys = tables[0], place_queries = tables[1];
    const int lane = threadIdx.x % 32, row = lane / 4, column = lane % 4 * 2;
    // The warp's first query, and key where it multiplies keys with places, within a tile; and its products with places.
    const int mine = own - first;
    half_t *of_mine = of_places + mine / 16 * PLACES_GROUP;
    // No pair of the sequence is further apart.
    const int furthest = min(length, context) - 1;
    const auto find_rows = [&](int tile) {
        UNROLL
        for (int n = 0; n < 128; n += THREADS) {
            const int place = n + threadIdx.x;
            const int distance = min(max(first - tile + 63 - place, -furthest), furthest);
            rows[place] = (columns[distance + context - 1] * heads + head) * (D * sizeof(T));
        }
    };
    find_rows(from);
    stage<T, D, KEYS, THREADS>(k, keys + from * stride, stride, to - from);
    // Queries are read once, from where values will be.
    stage<T, D, 64, THREADS>(v, work.queries + first * stride, stride, length - first);
    wait_for_copies();
    __syncthreads();
    unsigned int q[M][D / 16][4];
    load_rows<T, D, M>(q, v + mine * ROW_OF(D), bias == nullptr ? nullptr : bias + head * D);
    if (place_queries != 0)
        stage_places<T, D, THREADS>(places, place_queries, rows);
    wait_for_copies();
    __syncthreads();
    stage<T, D, KEYS, THREADS>(v, values + from * stride, stride, to - from);
    Queries<D, M> known;
    known.begin();
    // As there; keys' bias meets places.
    scale *= 1.4426950408889634f;
    const half_t *by_keys = of_places + column * (PLACES_ROW + 1) + 63 - (mine + row);
    const half_t *by_queries = of_mine + row * (PLACES_ROW - 1) + column + 15;
    for (int tile = from; tile < to; tile += KEYS) {
        const int next = tile + KEYS;
        // Of a whole warp at once, as everything that tensor cores do.
        const bool idle = own >= length || (reach >= 0 && (tile > own + M * 16 - 1 + reach || next <= own - reach));
        if (place_queries != 0 && tile + mine < to) {
            unsigned int a[M][D / 16][4];
            load_rows<T, D, M>(a, k + mine * ROW_OF(D), bias == nullptr ? nullptr : bias + (heads + work.kv_head) * D);
            multiply_places<T, D, M, true>(a, places + mine * ROW_OF(D), of_mine);
        }
        // What keys gave is here, and places' queries are free.
        __syncthreads();
        if (place_keys != 0)
            stage_places<T, D, THREADS>(places, place_keys, rows);
        float s[M][KEYS / 8][4] = {};
        if (!idle) {
            if (place_queries != 0)
                UNROLL
                for (int m = 0; m < M; m++)
                    UNROLL
                    for (int n = 0; n < KEYS / 8; n++)
                        UNROLL
                        for (int i = 0; i < 4; i++)
                            s[m][n][i] = widen(by_keys[n / 2 * PLACES_GROUP + (n % 2 * 8 + i % 2) * (PLACES_ROW + 1) -
                                                       m * 16 - i / 2 * 8]);
            add_scores<T, D, M, KEYS>(s, q, k);
        }
        // Places' keys and values are here; keys, what they gave and the numbers of rows are free.
        wait_for_copies();
        __syncthreads();
        if (next < to) {
            stage<T, D, KEYS, THREADS>(k, keys + next * stride, stride, to - next);
            find_rows(next);
        }
        if (!idle) {
            if (place_keys != 0) {
                multiply_places<T, D, M, false>(q, places + (64 - M * 16 - mine) * ROW_OF(D), of_mine);
                __syncwarp();
                UNROLL
                for (int m = 0; m < M; m++)
                    UNROLL
                    for (int n = 0; n < KEYS / 8; n++)
                        UNROLL
                        for (int i = 0; i < 4; i++)
                            s[m][n][i] += widen(by_queries[m * PLACES_GROUP + i / 2 * 8 * (PLACES_ROW - 1) + n * 8 + i % 2]);
            }
            hide<M, KEYS>(s, to - tile, own - tile, reach);
            weigh<D, M, KEYS>(s, known, scale);
        }
        // Values have been here since places' keys were, and these are free.
        __syncthreads();
        if (next < to && place_queries != 0)
            stage_places<T, D, THREADS>(places, place_queries, rows);
        if (!idle)
            add_values<T, D, M, KEYS>(known, s, v);
        // The next keys and places' queries are here, and values are free.
        wait_for_copies();
        __syncthreads();
        if (next < to)
            stage<T, D, KEYS, THREADS>(v, values + next * stride, stride, to - next);
    }
    write<T, D, M>(work, known, k, out, bias);
}

#define KERNEL(T, S, NAME, D, M, BLOCKS)                                                                               \
    extern "C" __global__ void BOUNDS(128 / M, BLOCKS) NAME##_##S(                                                     \
        const T *qkv, const T *bias, T *out, const index_t *tiles, const index_t *starts, int heads, int kv_heads,     \
        float scale, int reach, const index_t *columns, int context, const address_t *models, int entry) {             \
        attend_with_places<T, D, M>(qkv, bias, out, tiles, starts, heads, kv_heads, scale, reach, columns, context,    \
                                    models, entry);                                                                    \
    }
#define KERNELS(T, S)                                                                                                  \
    KERNEL(T, S, attend_places_32, 32, 2, 6)                                                                           \
    KERNEL(T, S, attend_places_64, 64, 2, 4)                                                                           \
    KERNEL(T, S, attend_places_few_32, 32, 1, 4)                                                                       \
    KERNEL(T, S, attend_places_few_64, 64, 1, 3)
KERNELS(half_t, f16)
KERNELS(bfloat_t, bf16)
#undef KERNELS
#undef KERNEL
