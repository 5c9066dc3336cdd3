// Attention on tensor cores, for heads of 32, 64 or 128: what is computed is what `attend` computes without places, but for the
// rounding of weights to the element type.
//
// One block for each head and each tile of 64 queries of one sequence, M times 16 for each warp: what is read of shared memory for
// one warp serves M products. While values are multiplied the next keys come, and while keys are, values.
#include "tensor.cuh"

template <typename T, int D, int M>
__device__ __forceinline__ void
attend_on_tensor_cores(const T *qkv, const T *bias, T *out, const index_t *tiles, const index_t *starts, int heads,
                       int kv_heads, float scale, int reach) {
    const int KEYS = 64, THREADS = 128 / M;
    SHARED_FLOATS(shared);
    T *k = reinterpret_cast<T *>(shared), *v = k + KEYS * ROW_OF(D);
    const Work<T> work = work_of_block<T, D, M>(qkv, tiles, blockIdx.x, starts, heads, kv_heads, reach);
    const int first = work.first, length = work.length, own = work.own, from = work.from, to = work.to;
    const int head = work.head, stride = work.stride;
    const T *keys = work.keys, *values = work.values;
    if (first >= length)
        return;
    stage<T, D, KEYS, THREADS>(k, keys + from * stride, stride, to - from);
    // Queries are read once, from where values will be.
    stage<T, D, 64, THREADS>(v, work.queries + first * stride, stride, length - first);
    wait_for_copies();
    __syncthreads();
    unsigned int q[M][D / 16][4];
    load_rows<T, D, M>(q, v + (own - first) * ROW_OF(D), bias == nullptr ? nullptr : bias + head * D);
    __syncthreads();
    stage<T, D, KEYS, THREADS>(v, values + from * stride, stride, to - from);
    Queries<D, M> known;
    known.begin();
    // Powers of two are what a chip computes at once. What keys' bias adds to all scores of a query is lost in the softmax, and
    // weights add up to one, so that values' bias is added at the end.
    scale *= 1.4426950408889634f;
    for (int tile = from; tile < to; tile += KEYS) {
        const int next = tile + KEYS;
        // Of a whole warp at once, as everything that tensor cores do.
        const bool idle = own >= length || (reach >= 0 && (tile > own + M * 16 - 1 + reach || next <= own - reach));
        float s[M][KEYS / 8][4] = {};
        if (!idle) {
            add_scores<T, D, M, KEYS>(s, q, k);
            hide<M, KEYS>(s, to - tile, own - tile, reach);
            weigh<D, M, KEYS>(s, known, scale);
        }
        // Values are here, and keys are free.
        wait_for_copies();
        __syncthreads();
        if (next < to)
            stage<T, D, KEYS, THREADS>(k, keys + next * stride, stride, to - next);
        if (!idle)
            add_values<T, D, M, KEYS>(known, s, v);
        // And the other way round.
        wait_for_copies();
        __syncthreads();
        if (next < to)
            stage<T, D, KEYS, THREADS>(v, values + next * stride, stride, to - next);
    }
    write<T, D, M>(work, known, k, out, bias);
}

// The second has as many warps again for as many queries, and is for launches that leave room on a chip.
#define KERNEL(T, S, NAME, D, M, BLOCKS)                                                                               \
    extern "C" __global__ void BOUNDS(128 / M, BLOCKS)                                                                 \
        NAME##_##S(const T *qkv, const T *bias, T *out, const index_t *tiles, const index_t *starts, int heads,        \
                   int kv_heads, float scale, int reach) {                                                             \
        attend_on_tensor_cores<T, D, M>(qkv, bias, out, tiles, starts, heads, kv_heads, scale, reach);                 \
    }
#define KERNELS(T, S)                                                                                                  \
    KERNEL(T, S, attend_32, 32, 2, 6)                                                                                  \
    KERNEL(T, S, attend_64, 64, 2, 4)                                                                                  \
    KERNEL(T, S, attend_few_32, 32, 1, 4)                                                                              \
    KERNEL(T, S, attend_few_64, 64, 1, 3)                                                                              \
    KERNEL(T, S, attend_few_128, 128, 1, 3)
KERNELS(half_t, f16)
KERNELS(bfloat_t, bf16)
#undef KERNELS
#undef KERNEL
