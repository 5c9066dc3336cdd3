// What is computed element by element behind a product, the turning of queries and keys, and the rows under a convolution's
// kernel. Grid: rows in x; blocks of any size.
#include "common.cuh"

// Neighbours from column `c` on as `scale_row` reads them, and as they would be stored.
template <typename T, int N> __device__ __forceinline__ void keep(float *row, const float (&values)[N], int c, int width) {
    UNROLL
    for (int i = 0; i < N; i++)
        row[i * (width / N) + c / N] = rounded<T>(values[i]);
}

// A row of `finish`, and where there is `kept`, that once more as `scale_row` reads it.
template <int ACTIVATION, typename T, int N, typename O>
__device__ __forceinline__ void finish_row(const T *x, const T *bias, const float *gain, const float *own, O *out, float *kept,
                                           int width) {
    for (int c = threadIdx.x * N; c < width; c += blockDim.x * N) {
        float values[N];
        load(values, x + c);
        if (gain != nullptr) {
            float factors[N];
            load(factors, gain + c);
            UNROLL
            for (int i = 0; i < N; i++)
                values[i] *= factors[i];
        }
        if (bias != nullptr)
            add(values, bias + c);
        if (own != nullptr)
            add(values, own + c);
        UNROLL
        for (int i = 0; i < N; i++)
            values[i] = activate<ACTIVATION, T>(values[i]);
        if (out != nullptr)
            store(out + c, values);
        if (kept != nullptr)
            keep<T>(kept, values, c, width);
    }
}

// `out = activation(gain * x + bias)`. Bias and gain are one value per column; those of adapters are in the lists of `models`, biases
// on top of the base's. `sequences` has the sequence of each row; without it all are of the first. All but `x` and `out` may be null;
// `out` may be `x`. Where there is `scaled`, the same in 8 bits, with a scale for each row, by 32 floats of shared memory and `width` more.
template <typename T, int N, typename O>
__device__ void finish(const T *x, const T *bias, const address_t *models, const index_t *sequences, O *out,
                       e4m3_t *scaled, float *scales, int entry, int width, int activation) {
    SHARED_FLOATS(shared);
    const size_t first = size_t(blockIdx.x) * width;
    const float *gain = nullptr, *own = nullptr;
    if (models != nullptr) {
        const address_t *change = own_of(models, sequences == nullptr ? 0 : sequences[blockIdx.x], entry);
        gain = at_address<float>(change[GAIN]);
        own = at_address<float>(change[BIAS]);
    }
    BY_ACTIVATION(finish_row, T, N, activation, x + first, bias, gain, own, out == nullptr ? nullptr : out + first,
                  scaled == nullptr ? nullptr : shared + 32, width)
    if (scaled != nullptr)
        scale_row<N>(shared + 32, shared, scaled + first, scales + blockIdx.x, width);
}

// A row of `gate`, as above.
template <int ACTIVATION, typename T, int N>
__device__ __forceinline__ void gate_row(const T *x, const T *bias, T *out, float *kept, int width) {
    for (int c = threadIdx.x * N; c < width; c += blockDim.x * N) {
        float g[N], u[N];
        load(g, x + c);
        load(u, x + width + c);
        if (bias != nullptr) {
            add(g, bias + c);
            add(u, bias + width + c);
        }
        UNROLL
        for (int i = 0; i < N; i++)
            g[i] = activate<ACTIVATION, T>(g[i]) * u[i];
        if (out != nullptr)
            store(out + c, g);
        if (kept != nullptr)
            keep<T>(kept, g, c, width);
    }
}

// `out = activation(g) * u`, where g and u are the halves of a row of `2 * width`, with the bias added that may be null. `scaled` as above.
template <typename T, int N>
__device__ void gate(const T *x, const T *bias, T *out, e4m3_t *scaled, float *scales, int width, int activation) {
    SHARED_FLOATS(shared);
    const size_t first = size_t(blockIdx.x) * width;
    BY_ACTIVATION(gate_row, T, N, activation, x + 2 * first, bias, out == nullptr ? nullptr : out + first,
                  scaled == nullptr ? nullptr : shared + 32, width)
    if (scaled != nullptr)
        scale_row<N>(shared + 32, shared, scaled + first, scales + blockIdx.x, width);
}

// `out` times `scales`, row by row, is `x`; shared memory as above.
template <typename T, int N> __device__ void quantise(const T *x, e4m3_t *out, float *scales, int width) {
    SHARED_FLOATS(shared);
    const size_t first = size_t(blockIdx.x) * width;
    for (int c = threadIdx.x * N; c < width; c += blockDim.x * N) {
        float values[N];
        load(values, x + first + c);
        keep<T>(shared + 32, values, c, width);
    }
    scale_row<N>(shared + 32, shared, out + first, scales + blockIdx.x, width);
}

// What a product of values without their scales is with those of its rows and its columns.
template <typename T, int N> __device__ void rescale(T *y, const float *rows, const float *columns, int width) {
    T *row = y + size_t(blockIdx.x) * width;
    const float of_row = rows[blockIdx.x];
    for (int c = threadIdx.x * N; c < width; c += blockDim.x * N) {
        float values[N], factors[N];
        load(values, row + c);
        load(factors, columns + c);
        UNROLL
        for (int i = 0; i < N; i++)
            values[i] *= of_row * factors[i];
        store(row + c, values);
    }
}

// Turns the first `heads` heads of each row by the token's place (Su et al. 2021): elements d and d + head_dim / 2 are a
// pair. `cosines` and `sines` have a row of head_dim / 2 for each place.
template <typename T>
__device__ void rotate(T *x, const index_t *places, const float *cosines, const float *sines, int stride, int heads,
                       int head_dim) {
    const int half = head_dim / 2;
    T *row = x + size_t(blockIdx.x) * stride;
    const size_t place = size_t(places[blockIdx.x]) * half;
    for (int i = threadIdx.x; i < heads * half; i += blockDim.x) {
        const int d = i % half, first = i / half * head_dim + d;
        const float cosine = cosines[place + d], sine = sines[place + d];
        const float a = widen(row[first]), b = widen(row[first + half]);
        narrow(&row[first], a * cosine - b * sine);
        narrow(&row[first + half], b * cosine + a * sine);
    }
}

// `out[t] = x[t - (kernel - 1) / 2], …, x[t + kernel / 2]` side by side, zero beyond the ends of the token's sequence.
template <typename T>
__device__ void unfold(const T *x, const index_t *places, const index_t *sequences, const index_t *starts, T *out,
                       int width, int kernel) {
    const size_t token = blockIdx.x;
    const index_t sequence = sequences[token];
    const int place = places[token], length = starts[sequence + 1] - starts[sequence];
    for (int i = threadIdx.x; i < kernel * width; i += blockDim.x) {
        const int step = i / width - (kernel - 1) / 2, c = i % width;
        // What fills a batch up is in no sequence, and may be the last row.
        const bool inside = place + step >= 0 && place + step < length && token + step < gridDim.x;
        narrow(&out[token * kernel * width + i], inside ? widen(x[(token + step) * width + c]) : 0.0f);
    }
}

#define KERNELS(T, S)                                                                                                  \
    extern "C" __global__ void finish_##S(const T *x, const T *bias, const address_t *models,                          \
                                         const index_t *sequences, T *out, e4m3_t *scaled, float *scales, int entry,   \
                                         int width, int activation) {                                                  \
        BY_WIDTH(finish, T, width, x, bias, models, sequences, out, scaled, scales, entry, width, activation)          \
    }                                                                                                                  \
    extern "C" __global__ void logits_##S(const T *x, const T *bias, const address_t *models,                          \
                                         const index_t *sequences, float *out, int entry, int width,                   \
                                         int activation) {                                                             \
        BY_WIDTH(finish, T, width, x, bias, models, sequences, out, nullptr, nullptr, entry, width, activation)        \
    }                                                                                                                  \
    extern "C" __global__ void gate_##S(const T *x, const T *bias, T *out, e4m3_t *scaled, float *scales, int width,   \
                                       int activation) {                                                               \
        BY_WIDTH(gate, T, width, x, bias, out, scaled, scales, width, activation)                                      \
    }                                                                                                                  \
    extern "C" __global__ void quantise_##S(const T *x, e4m3_t *out, float *scales, int width) {                       \
        BY_WIDTH(quantise, T, width, x, out, scales, width)                                                            \
    }                                                                                                                  \
    extern "C" __global__ void rescale_##S(T *y, const float *rows, const float *columns, int width) {                 \
        BY_WIDTH(rescale, T, width, y, rows, columns, width)                                                           \
    }                                                                                                                  \
    extern "C" __global__ void rotate_##S(T *x, const index_t *places, const float *cosines, const float *sines,       \
                                          int stride, int heads, int head_dim) {                                       \
        rotate<T>(x, places, cosines, sines, stride, heads, head_dim);                                                 \
    }                                                                                                                  \
    extern "C" __global__ void unfold_##S(const T *x, const index_t *places, const index_t *sequences,                 \
                                          const index_t *starts, T *out, int width, int kernel) {                      \
        unfold<T>(x, places, sequences, starts, out, width, kernel);                                                   \
    }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
