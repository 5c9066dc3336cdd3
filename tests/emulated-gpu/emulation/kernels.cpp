// The kernels as C++, found by their names. See cuda.h.
#define MEDNERD_EMULATED 1
#include "attention.cu"
#include "elementwise.cu"
#include "lora.cu"
#include "lora_tensor.cu"
#include "norm.cu"
#include "places.cu"
#include "tensor.cu"
#include "zero_shot.cu"

#include "known.h"
#include <utility>

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
                                  ON_TENSOR_CORES(attend_places_32) ON_TENSOR_CORES(attend_places_64)
                                  ON_TENSOR_CORES(attend_places_few_32) ON_TENSOR_CORES(attend_places_few_64) KNOWN(embed) KNOWN(add_norm) KNOWN(finish) KNOWN(logits) KNOWN(gate) KNOWN(quantise) KNOWN(rescale) KNOWN(rotate)
                                  KNOWN(unfold) ON_TENSOR_CORES(lora_shrink_tensor)
                                  ON_TENSOR_CORES(lora_expand_tensor) KNOWN(lora_shrink) KNOWN(lora_expand) KNOWN(attend) KNOWN(recur)
                                  KNOWN(recur_together) KNOWN(stretches) KNOWN(sift) KNOWN(meet) KNOWN(score_words)};

const Known *find_kernel(const char *name) {
    for (const Known &one : known)
        if (std::strcmp(one.name, name) == 0)
            return &one;
    return nullptr;
}
