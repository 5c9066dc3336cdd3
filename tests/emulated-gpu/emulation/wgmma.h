// As the PTX manual has wgmma.mma_async.m64nNk16 with the first factor in registers: what a product does is done when its thread waits for it,
// from what shared memory holds then, and until then its sums are NaN. Of descriptors there are those of 128-byte swizzles. What a chip leaves
// undefined is told: registers that are touched between a fence and a product, or before it was waited for; shared memory that was written without a
// fence of the other proxy and a barrier behind it; a warpgroup whose warps do not all do the same. See fibres.cpp.
#pragma once
#include "cuda.h"

namespace emulated {
struct Product {
    // The warp's part of the first factor, by lanes, and where this one has it.
    unsigned int a[32][4];
    const unsigned int *own;
    uint64_t b;
    // `columns` / 2 sums of this lane, and what they were where no product before has them.
    float *sums;
    int columns;
    bool turned, add;
    void (*now)(const Product &);
    bool first;
    float before[128];
};
void *shared_tiles();
uint64_t shared_address(const void *place);
void begin_products();
void show_to_products();
void multiply_later(Product &product);
void wait_for_products();
// Bits of the second factor, in column n.
uint16_t second_factor(const Product &product, int k, int n);
} // namespace emulated

#define SHARED_TILES(name) unsigned char *name = static_cast<unsigned char *>(emulated::shared_tiles())
using emulated::begin_products;
using emulated::shared_address;
using emulated::show_to_products;

template <int N> void wait_for_products(float (&)[N][4]) { emulated::wait_for_products(); }

// Registers of a and c as mma.m16n8k16 has them, for each eight columns.
template <typename T> void multiply_now(const emulated::Product &product) {
    const int lane = threadIdx.x % 32;
    float a[2][16];
    for (int row = 0; row < 2; row++)
        for (int k = 0; k < 16; k++) {
            T both[2];
            std::memcpy(both, &product.a[lane / 4 * 4 + k % 8 / 2][row + k / 8 * 2], sizeof both);
            a[row][k] = widen(both[k % 2]);
        }
    for (int n = 0; n < product.columns; n += 8)
        for (int i = 0; i < 2; i++)
            for (int k = 0; k < 16; k++) {
                const T b = {emulated::second_factor(product, k, n + lane % 4 * 2 + i)};
                for (int row = 0; row < 2; row++)
                    product.sums[n / 2 + row * 2 + i] += a[row][k] * widen(b);
            }
}

template <typename T, bool TURNED, int N>
void multiply_later(const unsigned int (&a)[4], unsigned long long b, float (&c)[N][4], bool add) {
    emulated::Product product = {{}, a, b, &c[0][0], 8 * N, TURNED, add, multiply_now<T>, false, {}};
    emulated::multiply_later(product);
}
template <typename T> void multiply_later(const unsigned int (&a)[4], unsigned long long b, float (&c)[8][4], bool add) {
    multiply_later<T, false, 8>(a, b, c, add);
}
template <typename T, int N> void multiply_turned_later(const unsigned int (&a)[4], unsigned long long b, float (&c)[N][4]) {
    multiply_later<T, true, N>(a, b, c, true);
}
