// Low-rank changes of many adapters in one batch (Hu et al. 2022; the two steps after Chen et al. 2023, Punica). What a sequence's
// model changes of a product is in its list, from `entry` on; most have nothing there, and their rows are left as they are. Grid:
// rows in x; blocks of whole warps. `sequences` has the sequence of each row; without it all are of the first.
#include "common.cuh"

// `middle[row][r] = x[row] · down[r]`; a row of the middle has `longest`.
template <typename T>
__device__ void lora_shrink(const T *x, const address_t *models, const index_t *sequences, T *middle, int entry, int inputs,
                            int longest) {
    const address_t *change = own_of(models, sequences == nullptr ? 0 : sequences[blockIdx.x], entry);
    const T *down = at_address<T>(change[DOWN]);
    if (down == nullptr)
        return;
    const T *row = x + size_t(blockIdx.x) * inputs;
    const int lane = threadIdx.x % 32, warps = blockDim.x / 32, rank = all_ranks(change[RANKS]);
    for (int r = threadIdx.x / 32; r < rank; r += warps) {
        float sum = 0;
        for (int c = lane; c < inputs; c += 32)
            sum += widen(row[c]) * widen(down[size_t(r) * inputs + c]);
        sum = warp_sum(sum);
        if (lane == 0)
            narrow(&middle[size_t(blockIdx.x) * longest + r], within<T>(sum));
    }
}

// `y[row] += up · middle[row]`, each part of the outputs by its own ranks.
template <typename T>
__device__ void lora_expand(const T *middle, const address_t *models, const index_t *sequences, T *y, int entry, int outputs,
                            int longest, int second, int third) {
    const address_t *change = own_of(models, sequences == nullptr ? 0 : sequences[blockIdx.x], entry);
    const T *up = at_address<T>(change[UP]);
    if (up == nullptr)
        return;
    const T *row = middle + size_t(blockIdx.x) * longest;
    const address_t ranks = change[RANKS];
    for (int o = threadIdx.x; o < outputs; o += blockDim.x) {
        const Part part = part_of(ranks, o, second, third);
        float sum = 0;
        for (int r = 0; r < part.rank; r++)
            sum += widen(row[part.before + r]) * widen(up[part.row + r]);
        T *to = &y[size_t(blockIdx.x) * outputs + o];
        narrow(to, widen(*to) + sum);
    }
}

#define KERNELS(T, S)                                                                                                  \
    extern "C" __global__ void lora_shrink_##S(const T *x, const address_t *models, const index_t *sequences,          \
                                               T *middle, int entry, int inputs, int longest) {                        \
        lora_shrink<T>(x, models, sequences, middle, entry, inputs, longest);                                          \
    }                                                                                                                  \
    extern "C" __global__ void lora_expand_##S(const T *middle, const address_t *models, const index_t *sequences,     \
                                               T *y, int entry, int outputs, int longest, int second, int third) {     \
        lora_expand<T>(middle, models, sequences, y, entry, outputs, longest, second, third);                          \
    }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
