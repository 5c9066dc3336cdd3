// Rows: gathered from tables, added up, normalised. One block of whole warps for each row, whose values it holds in shared
// memory: 32 floats for sums, then `width` floats.
#include "common.cuh"

enum Norm { NO_NORM, LAYER_NORM, RMS_NORM };

// `out = norm(row)`; the row is whole before the first barrier in here.
template <typename T>
__device__ void norm_row(const float *row, float *partial, const T *weight, const T *bias, T *out, int width, float eps,
                         int kind) {
    float mean = 0;
    if (kind == LAYER_NORM) {
        float sum = 0;
        for (int c = threadIdx.x; c < width; c += blockDim.x)
            sum += row[c];
        mean = block_sum(sum, partial) / width;
    }
    float scale = 1;
    if (kind != NO_NORM) {
        float squares = 0;
        for (int c = threadIdx.x; c < width; c += blockDim.x)
            squares += (row[c] - mean) * (row[c] - mean);
        scale = 1.0f / sqrtf(block_sum(squares, partial) / width + eps);
    }
    for (int c = threadIdx.x; c < width; c += blockDim.x) {
        float x = row[c];
        if (kind != NO_NORM)
            x = (x - mean) * scale * widen(weight[c]) + (bias == nullptr ? 0.0f : widen(bias[c]));
        narrow(&out[c], x);
    }
}

// `out = norm(words[ids] + rows[places])`; without `rows`, of the words alone. Without a norm either it copies rows as they
// are, and hidden states may be the words. Grid: tokens.
template <typename T>
__device__ void embed(const index_t *ids, const index_t *places, const T *words, const T *rows, const T *weight,
                      const T *bias, T *out, int width, float eps, int kind) {
    SHARED_FLOATS(shared);
    float *partial = shared, *row = shared + 32;
    const size_t token = blockIdx.x;
    const T *word = words + size_t(ids[token]) * width;
    const T *place = rows == nullptr ? nullptr : rows + size_t(places[token]) * width;
    for (int c = threadIdx.x; c < width; c += blockDim.x)
        row[c] = widen(word[c]) + (place == nullptr ? 0.0f : widen(place[c]));
    norm_row(row, partial, weight, bias, out + token * width, width, eps, kind);
}

// `sum = x + shift + residual` and `out = norm(sum)`. `shift` is one row for all; it, `residual` and `sum` may be null, and
// `sum` may be `residual`. Grid: rows.
template <typename T>
__device__ void add_norm(const T *x, const T *shift, const T *residual, const T *weight, const T *bias, T *sum, T *out,
                         int width, float eps, int kind) {
    SHARED_FLOATS(shared);
    float *partial = shared, *row = shared + 32;
    const size_t first = size_t(blockIdx.x) * width;
    for (int c = threadIdx.x; c < width; c += blockDim.x) {
        float value = widen(x[first + c]);
        if (shift != nullptr)
            value += widen(shift[c]);
        if (residual != nullptr)
            value += widen(residual[first + c]);
        if (sum != nullptr) {
            // The next layer reads it as it is stored, and so does the norm.
            value = rounded<T>(value);
            narrow(&sum[first + c], value);
        }
        row[c] = value;
    }
    if (out != nullptr)
        norm_row(row, partial, weight, bias, out + first, width, eps, kind);
}

#define KERNELS(T, S)                                                                                                  \
    extern "C" __global__ void embed_##S(const index_t *ids, const index_t *places, const T *words, const T *rows,     \
                                         const T *weight, const T *bias, T *out, int width, float eps, int kind) {     \
        embed<T>(ids, places, words, rows, weight, bias, out, width, eps, kind);                                       \
    }                                                                                                                  \
    extern "C" __global__ void add_norm_##S(const T *x, const T *shift, const T *residual, const T *weight,            \
                                            const T *bias, T *sum, T *out, int width, float eps, int kind) {           \
        add_norm<T>(x, shift, residual, weight, bias, sum, out, width, eps, kind);                                     \
    }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
