// Attention on sm_90a's products by warpgroups, for heads of 64 or 128: what `attend_on_tensor_cores` computes, in the same steps. Other chips have none of these
// kernels.
//
// One block for each head and each WARPGROUPS tiles of 64 queries, one for each of its warpgroups: they share what is staged, which is a tile of
// keys and values while the one before is computed. A warp has sixteen queries, as there.
#include "wgmma.cuh"

#if defined(MEDNERD_EMULATED) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
// Does the tile of that number and those of its sequence behind it, one for each of WARPGROUPS, where so many, or a multiple, are before it in the sequence;
// any other is done with the one before.
template <typename T, int D, int WARPGROUPS>
__device__ __forceinline__ void attend_to_tiles(const T *qkv, const T *bias, T *out, const index_t *tiles, int number,
                                                const index_t *starts, int heads, int kv_heads, float scale, int reach) {
    const int KEYS = 64, OWN = 64 * WARPGROUPS, THREADS = 128 * WARPGROUPS, ROOM = 2 * KEYS * D;
    SHARED_TILES(shared);
    // Two rooms, each for keys and the values behind them.
    T *rooms = reinterpret_cast<T *>(shared);
    const Work<T> work = work_of_block<T, D, 1, OWN>(qkv, tiles, number, starts, heads, kv_heads, reach);
    // Tiles begin where they do for other blocks, so that nothing depends on which queries share one.
    const int first = work.first, length = work.length, from = work.from / KEYS * KEYS, to = work.to, stride = work.stride;
    if (first >= length || first % OWN != 0)
        return;
    const auto stage_tile = [&](T *room, int tile) {
        stage<T, D, KEYS, THREADS, Swizzled<D, KEYS>>(room, work.keys + tile * stride, stride, to - tile);
        stage<T, D, KEYS, THREADS, Swizzled<D, KEYS>>(room + KEYS * D, work.values + tile * stride, stride, to - tile);
    };
    stage_tile(rooms, from);
    // Queries are read once, from where the second tile will be.
    typedef Swizzled<D, OWN> OfQueries;
    stage<T, D, OWN, THREADS, OfQueries>(rooms + ROOM, work.queries + first * stride, stride, length - first);
    wait_for_copies();
    show_to_products();
    __syncthreads();
    unsigned int q[1][D / 16][4];
    load_rows<T, D, 1, OfQueries>(q, rooms + ROOM + OfQueries::at(work.own - first, 0),
                                  bias == nullptr ? nullptr : bias + work.head * D);
    __syncthreads();
    Queries<D, 1> known;
    known.begin();
    // As there.
    scale *= 1.4426950408889634f;
    // Of a whole warpgroup at once.
    const int own = first + threadIdx.x / 128 * 64;
    T *room = rooms, *other = rooms + ROOM;
    for (int tile = from; tile < to; tile += KEYS) {
        const int next = tile + KEYS;
        if (next < to)
            stage_tile(other, next);
        if (own < length && (reach < 0 || (tile <= own + 63 + reach && next > own - reach))) {
            float s[1][KEYS / 8][4];
            const unsigned long long keys = matrix_of(room);
            begin_products();
            UNROLL
            for (int step = 0; step < D / 16; step++)
                // 32 bytes of each row, within what belongs together; then the next 64 columns.
                multiply_later<T>(q[0][step], keys + step % 4 * 2 + step / 4 * (KEYS * 128 / 16), s[0], step > 0);
            wait_for_products(s[0]);
            hide<1, KEYS>(s, to - tile, work.own - tile, reach);
            weigh<D, 1, KEYS>(s, known, scale);
            unsigned int weights[KEYS / 16][4];
            UNROLL
            for (int step = 0; step < KEYS / 16; step++)
                take_weights<T>(weights[step], s[0][2 * step], s[0][2 * step + 1], known.total[0]);
            const unsigned long long values = matrix_of(room + KEYS * D, KEYS * 128);
            begin_products();
            UNROLL
            for (int step = 0; step < KEYS / 16; step++)
                // Sixteen rows.
                multiply_turned_later<T>(weights[step], values + step * (16 * 128 / 16), known.out[0]);
            wait_for_products(known.out[0]);
        }
        // The next tile is here, and this one's room is free.
        wait_for_copies();
        show_to_products();
        __syncthreads();
        T *const now = room;
        room = other;
        other = now;
    }
    write<T, D, 1>(work, known, rooms, out, bias);
}

// A sequence's last tile may be left alone beside the next one's first: then these are done one after the other.
template <typename T, int D, int WARPGROUPS>
__device__ __forceinline__ void attend_by_warpgroups(const T *qkv, const T *bias, T *out, const index_t *tiles, const index_t *starts,
                                                     int heads, int kv_heads, float scale, int reach, int count) {
    ROLLED
    for (int number = blockIdx.x * WARPGROUPS; number < min(count, (int(blockIdx.x) + 1) * WARPGROUPS); number++) {
        attend_to_tiles<T, D, WARPGROUPS>(qkv, bias, out, tiles, number, starts, heads, kv_heads, scale, reach);
        // Where outputs were, the next keys come.
        if (WARPGROUPS > 1)
            __syncthreads();
    }
}

// The second has one warpgroup, and is for launches that leave room on a chip. `count` is how many tiles there are.
#define KERNEL(T, S, NAME, D, WARPGROUPS, BLOCKS)                                                                          \
    extern "C" __global__ void BOUNDS(128 * WARPGROUPS, BLOCKS)                                                            \
        NAME##_##S(const T *qkv, const T *bias, T *out, const index_t *tiles, const index_t *starts, int heads,        \
                   int kv_heads, float scale, int reach, int count) {                                                  \
        attend_by_warpgroups<T, D, WARPGROUPS>(qkv, bias, out, tiles, starts, heads, kv_heads, scale, reach, count);       \
    }
#define KERNELS(T, S)                                                                                                  \
    KERNEL(T, S, attend_groups_64, 64, 2, 2)                                                                           \
    KERNEL(T, S, attend_groups_few_64, 64, 1, 4)                                                                       \
    KERNEL(T, S, attend_groups_few_128, 128, 1, 3)
KERNELS(half_t, f16)
KERNELS(bfloat_t, bf16)
#undef KERNELS
#undef KERNEL
#endif
