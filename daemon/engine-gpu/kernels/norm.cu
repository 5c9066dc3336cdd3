// Rows: gathered from tables, added up, normalised. One block of whole warps for each row, whose values it holds in shared
// memory: 32 floats for sums, then `width` floats. Of the N neighbours that a thread has at once, the first of all threads come
// first, then the second ones, so that neighbouring threads have neighbouring banks.
#include "common.cuh"

enum Norm { NO_NORM, LAYER_NORM, RMS_NORM };

// `out = norm(row)`, of which each thread reads what it wrote. Where there is `scaled`, the same in 8 bits, with the row's scale; `out` may
// be null then.
template <typename T, int N>
__device__ void norm_row(float *row, float *partial, const T *weight, const T *bias, T *out, e4m3_t *scaled,
                         float *of_row, int width, float eps, int kind) {
    const int count = width / N;
    float mean = 0;
    if (kind == LAYER_NORM) {
        float sum = 0;
        for (int n = threadIdx.x; n < count; n += blockDim.x)
            UNROLL
            for (int i = 0; i < N; i++)
                sum += row[i * count + n];
        mean = block_sum(sum, partial) / width;
    }
    float scale = 1;
    if (kind != NO_NORM) {
        float squares = 0;
        for (int n = threadIdx.x; n < count; n += blockDim.x)
            UNROLL
            for (int i = 0; i < N; i++)
                squares += (row[i * count + n] - mean) * (row[i * count + n] - mean);
        scale = 1.0f / sqrtf(block_sum(squares, partial) / width + eps);
    }
    for (int n = threadIdx.x; n < count; n += blockDim.x) {
        float x[N], weights[N];
        if (kind != NO_NORM)
            load(weights, weight + n * N);
        UNROLL
        for (int i = 0; i < N; i++) {
            x[i] = row[i * count + n];
            if (kind != NO_NORM)
                x[i] = (x[i] - mean) * scale * weights[i];
        }
        if (kind != NO_NORM && bias != nullptr)
            add(x, bias + n * N);
        if (out != nullptr)
            store(out + n * N, x);
        if (scaled != nullptr)
            UNROLL
            for (int i = 0; i < N; i++)
                row[i * count + n] = rounded<T>(x[i]);
    }
    if (scaled != nullptr)
        scale_row<N>(row, partial, scaled, of_row, width);
}

// `out = norm(words[ids] + rows[places])`; without `rows`, of the words alone. Without a norm either it copies rows as they
// are, and hidden states may be the words. Grid: tokens.
template <typename T, int N>
__device__ void embed(const index_t *ids, const index_t *places, const T *words, const T *rows, const T *weight,
                      const T *bias, T *out, int width, float eps, int kind) {
    SHARED_FLOATS(shared);
    float *partial = shared, *row = shared + 32;
    const size_t token = blockIdx.x;
    const int count = width / N;
    const T *word = words + size_t(ids[token]) * width;
    const T *place = rows == nullptr ? nullptr : rows + size_t(places[token]) * width;
    for (int n = threadIdx.x; n < count; n += blockDim.x) {
        float x[N];
        load(x, word + n * N);
        if (place != nullptr)
            add(x, place + n * N);
        UNROLL
        for (int i = 0; i < N; i++)
            row[i * count + n] = x[i];
    }
    norm_row<T, N>(row, partial, weight, bias, out + token * width, nullptr, nullptr, width, eps, kind);
}

// `sum = x + shift + residual` and `out = norm(sum)`, which is `scaled` times `scales` as well. `shift` is one row for all; it,
// `residual`, `sum`, `out` and `scaled` may be null, and `sum` may be `residual`. Grid: rows.
template <typename T, int N>
__device__ void add_norm(const T *x, const T *shift, const T *residual, const T *weight, const T *bias, T *sum, T *out,
                         e4m3_t *scaled, float *scales, int width, float eps, int kind) {
    SHARED_FLOATS(shared);
    float *partial = shared, *row = shared + 32;
    const size_t first = size_t(blockIdx.x) * width;
    const int count = width / N;
    for (int n = threadIdx.x; n < count; n += blockDim.x) {
        float values[N];
        load(values, x + first + n * N);
        if (shift != nullptr)
            add(values, shift + n * N);
        if (residual != nullptr)
            add(values, residual + first + n * N);
        if (sum != nullptr) {
            // The next layer reads it as it is stored, and so does the norm.
            UNROLL
            for (int i = 0; i < N; i++)
                values[i] = rounded<T>(values[i]);
            store(sum + first + n * N, values);
        }
        UNROLL
        for (int i = 0; i < N; i++)
            row[i * count + n] = values[i];
    }
    if (out != nullptr || scaled != nullptr)
        norm_row<T, N>(row, partial, weight, bias, out == nullptr ? nullptr : out + first,
                       scaled == nullptr ? nullptr : scaled + first, scales + blockIdx.x, width, eps, kind);
}

#define KERNELS(T, S)                                                                                                  \
    extern "C" __global__ void embed_##S(const index_t *ids, const index_t *places, const T *words, const T *rows,     \
                                         const T *weight, const T *bias, T *out, int width, float eps, int kind) {     \
        BY_WIDTH(embed, T, width, ids, places, words, rows, weight, bias, out, width, eps, kind)                       \
    }                                                                                                                  \
    extern "C" __global__ void add_norm_##S(const T *x, const T *shift, const T *residual, const T *weight,            \
                                            const T *bias, T *sum, T *out, e4m3_t *scaled, float *scales, int width,   \
                                            float eps, int kind) {                                                     \
        BY_WIDTH(add_norm, T, width, x, shift, residual, weight, bias, sum, out, scaled, scales, width, eps, kind)     \
    }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
