// The kernels as C++, found by their names. See cuda.h.
#define MEDNERD_EMULATED 1
#include "attention.cu"
#include "elementwise.cu"
#include "lora.cu"
#include "lora_tensor.cu"
#include "norm.cu"
#include "places.cu"
#include "tensor.cu"
#include "wgmma.cu"
#include "zero_shot.cu"

#include "known.h"
#include <utility>

// c = a b by one warpgroup, for tests of the emulation itself: a has 64 rows of 64, b 64 or 128 columns, and lies in shared memory as `image` has
// it, from `begin` on, which for each sixteen of a row of a is `growth` bytes later; the rest is a descriptor's. `wrong` is what is
// done otherwise than a chip asks for.
enum Wrong { NOTHING, NOT_ALIGNED, NOT_SHOWN, NO_BARRIER, NO_FENCE, TOUCHED, READ_EARLY, CHANGED, OVERWRITTEN, THREE_WARPS };
template <typename T, int N>
void product_by_warpgroup(const T *a, const T *image, float *out, int size, int begin, int growth, int leading, int stride, int swizzle,
                          bool turned, int wrong) {
    SHARED_FLOATS(unaligned);
    const bool aligned = wrong != NOT_ALIGNED;
    T *b = aligned ? static_cast<T *>(emulated::shared_tiles()) : reinterpret_cast<T *>(unaligned);
    for (int i = threadIdx.x; i < size; i += 128)
        b[i] = image[i];
    if (wrong != NOT_SHOWN)
        show_to_products();
    if (wrong != NO_BARRIER)
        __syncthreads();
    const int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane / 4, column = lane % 4 * 2;
    unsigned int of_a[4][4];
    for (int step = 0; step < 4; step++)
        for (int i = 0; i < 4; i++)
            std::memcpy(&of_a[step][i], a + (row + i % 2 * 8) * 64 + step * 16 + i / 2 * 8 + column, sizeof of_a[step][i]);
    float c[N / 8][4] = {};
    if (wrong != NO_FENCE)
        begin_products();
    if (wrong == TOUCHED)
        c[1][1] = 0;
    const uint64_t matrix = (shared_address(b) + begin) / 16 | uint64_t(leading) / 16 << 16 | uint64_t(stride) / 16 << 32 | uint64_t(swizzle) << 62;
    for (int step = 0; step < 4 && (wrong != THREE_WARPS || threadIdx.x < 96); step++)
        if (turned)
            multiply_turned_later<T>(of_a[step], matrix + step * growth / 16, c);
        else
            multiply_later<T, false>(of_a[step], matrix + step * growth / 16, c, step > 0);
    if (wrong == READ_EARLY)
        out[0] = c[0][0];
    if (wrong == CHANGED)
        of_a[3][3] = 0;
    if (wrong == OVERWRITTEN)
        b[threadIdx.x] = image[0];
    wait_for_products(c);
    for (int n = 0; n < N / 8; n++)
        for (int i = 0; i < 4; i++)
            out[(row + i / 2 * 8) * N + n * 8 + column + i % 2] = c[n][i];
}
#define PRODUCT(T, S, N)                                                                                                       \
    void product_##N##_##S(const T *a, const T *image, float *out, int size, int begin, int growth, int leading, int stride,   \
                           int swizzle, int turned, int wrong) {                                                               \
        product_by_warpgroup<T, N>(a, image, out, size, begin, growth, leading, stride, swizzle, turned, wrong);               \
    }
PRODUCT(half_t, f16, 64)
PRODUCT(bfloat_t, bf16, 64)
PRODUCT(half_t, f16, 128)
PRODUCT(bfloat_t, bf16, 128)

template <auto kernel> struct Invoke;
template <typename... A, void (*kernel)(A...)> struct Invoke<kernel> {
    template <size_t... I> static void with(void *const *arguments, std::index_sequence<I...>) {
        kernel(*static_cast<A *>(arguments[I])...);
    }
    static void call(void *const *arguments) { with(arguments, std::index_sequence_for<A...>{}); }
    static constexpr size_t count = sizeof...(A);
    static size_t size(size_t index) {
        const size_t sizes[] = {sizeof(A)...};
        return sizes[index];
    }
};

#define OF_TYPE(name) {#name, Invoke<name>::call, Invoke<name>::count, Invoke<name>::size},
#define ON_TENSOR_CORES(name) OF_TYPE(name##_f16) OF_TYPE(name##_bf16)
#define KNOWN(name) OF_TYPE(name##_f32) ON_TENSOR_CORES(name)

static const Known known[] = {ON_TENSOR_CORES(attend_32) ON_TENSOR_CORES(attend_64) ON_TENSOR_CORES(attend_few_32)
                                  ON_TENSOR_CORES(attend_few_64) ON_TENSOR_CORES(attend_few_128)
                                  ON_TENSOR_CORES(attend_groups_64) ON_TENSOR_CORES(attend_groups_few_64)
                                  ON_TENSOR_CORES(attend_groups_few_128)
                                  ON_TENSOR_CORES(attend_places_32) ON_TENSOR_CORES(attend_places_64)
                                  ON_TENSOR_CORES(attend_places_few_32) ON_TENSOR_CORES(attend_places_few_64) KNOWN(embed) KNOWN(add_norm) KNOWN(finish) KNOWN(logits) KNOWN(gate) KNOWN(quantise) KNOWN(rescale) KNOWN(rotate)
                                  KNOWN(unfold) ON_TENSOR_CORES(lora_shrink_tensor)
                                  ON_TENSOR_CORES(lora_expand_tensor) KNOWN(lora_shrink) KNOWN(lora_expand) KNOWN(attend) KNOWN(recur)
                                  KNOWN(recur_together) KNOWN(stretches) KNOWN(sift) KNOWN(meet) KNOWN(score_words)
                                  ON_TENSOR_CORES(product_64) ON_TENSOR_CORES(product_128)};

const Known *find_kernel(const char *name) {
    for (const Known &one : known)
        if (std::strcmp(one.name, name) == 0)
            return &one;
    return nullptr;
}
