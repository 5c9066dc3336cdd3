// Low-rank changes of many adapters in one batch (Hu et al. 2022; the two steps after Chen et al. 2023, Punica): each row
// belongs to a slot, and a slot to an adapter or, with address 0, to none. Grid: rows in x; blocks of whole warps.
#include "common.cuh"

// `ranks[row][r] = x[row] · down[r]` for each row with a change; the other rows are left as they are.
template <typename T>
__device__ void lora_shrink(const T *x, const address_t *downs, const index_t *ranks, const index_t *slots, float *out,
                            int inputs, int longest) {
    const index_t slot = slots[blockIdx.x];
    const T *down = of_slot<T>(downs, slot);
    if (down == nullptr)
        return;
    const T *row = x + size_t(blockIdx.x) * inputs;
    const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
    for (int r = threadIdx.x / 32; r < int(ranks[slot]); r += warps) {
        float sum = 0;
        for (int c = lane; c < inputs; c += 32)
            sum += widen(row[c]) * widen(down[size_t(r) * inputs + c]);
        sum = warp_sum(sum);
        if (lane == 0)
            out[size_t(blockIdx.x) * longest + r] = sum;
    }
}

// `y[row] += up · ranks[row]`, with `up` of shape [outputs, rank].
template <typename T>
__device__ void lora_expand(const float *x, const address_t *ups, const index_t *ranks, const index_t *slots, T *y,
                            int outputs, int longest) {
    const index_t slot = slots[blockIdx.x];
    const T *up = of_slot<T>(ups, slot);
    if (up == nullptr)
        return;
    const float *row = x + size_t(blockIdx.x) * longest;
    const int rank = ranks[slot];
    for (int o = threadIdx.x; o < outputs; o += blockDim.x) {
        float sum = 0;
        for (int r = 0; r < rank; r++)
            sum += row[r] * widen(up[size_t(o) * rank + r]);
        T *to = &y[size_t(blockIdx.x) * outputs + o];
        narrow(to, widen(*to) + sum);
    }
}

#define KERNELS(T, S)                                                                                                  \
    extern "C" __global__ void lora_shrink_##S(const T *x, const address_t *downs, const index_t *ranks,               \
                                               const index_t *slots, float *out, int inputs, int longest) {            \
        lora_shrink<T>(x, downs, ranks, slots, out, inputs, longest);                                                  \
    }                                                                                                                  \
    extern "C" __global__ void lora_expand_##S(const float *x, const address_t *ups, const index_t *ranks,             \
                                               const index_t *slots, T *y, int outputs, int longest) {                 \
        lora_expand<T>(x, ups, ranks, slots, y, outputs, longest);                                                     \
    }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
