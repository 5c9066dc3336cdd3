// Products by a warpgroup, four warps whose first is a whole multiple of four, as sm_90a has them (PTX: wgmma.mma_async.m64nNk16): the first factor in
// registers, of which each warp has sixteen rows dealt out as to mma.m16n8k16, the second in shared memory, sums in float as there. They
// go on while the warps do: nobody touches what a product has in registers, nor writes to its shared memory, before it was waited for.
#pragma once
#include "tensor.cuh"

// How rows of D lie in shared memory for them: 64 elements of each behind one another, and of every 1,024 bytes, which eight rows fill,
// the 16 numbered c of row r where number c ^ r is (PTX: 128-byte swizzle), so that the eight rows that are read at once lie in different banks.
template <int D, int ROWS> struct Swizzled {
    static const int ROW = 64;
    static __device__ __forceinline__ int at(int row, int column) {
        return column / 64 * ROWS * ROW + row * ROW + ((column % 64) ^ (row % 8 * 8));
    }
};

#ifdef MEDNERD_EMULATED
#include "wgmma.h"
#else
#define SHARED_TILES(name) extern __shared__ __align__(1024) unsigned char name[]
__device__ __forceinline__ unsigned long long shared_address(const void *place) { return __cvta_generic_to_shared(place); }

// The next products see what was done to registers before.
__device__ __forceinline__ void begin_products() { asm volatile("wgmma.fence.sync.aligned;" : : : "memory"); }

// What this thread wrote to shared memory can be seen by products behind the next barrier.
__device__ __forceinline__ void show_to_products() { asm volatile("fence.proxy.async.shared::cta;" : : : "memory"); }

// Waits for all products, the last of which went to `c`.
template <int N> __device__ __forceinline__ void wait_for_products(float (&c)[N][4]) {
    asm volatile("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;" : : : "memory");
    // Nobody reads them earlier.
    UNROLL
    for (int n = 0; n < N; n++)
        UNROLL
        for (int i = 0; i < 4; i++)
            asm volatile("" : "+f"(c[n][i]) : : "memory");
}

// c = a b, or c += a b where `add`: rows of shared memory are columns of b. And c += a b where b is turned, 64 columns or 128.
template <typename T> __device__ void multiply_later(const unsigned int (&a)[4], unsigned long long b, float (&c)[8][4], bool add);
template <typename T> __device__ void multiply_turned_later(const unsigned int (&a)[4], unsigned long long b, float (&c)[8][4]);
template <typename T> __device__ void multiply_turned_later(const unsigned int (&a)[4], unsigned long long b, float (&c)[16][4]);
#define EIGHT(how, n)                                                                                                  \
    how(c[n][0]), how(c[n][1]), how(c[n][2]), how(c[n][3]), how(c[n + 1][0]), how(c[n + 1][1]), how(c[n + 1][2]),      \
        how(c[n + 1][3])
#define THIRTY_TWO(how, n) EIGHT(how, n), EIGHT(how, n + 2), EIGHT(how, n + 4), EIGHT(how, n + 6)
#define LATER(S, shape, sums, how, ...)                                                                                \
    asm volatile("wgmma.mma_async.sync.aligned." shape ".f32." S "." S " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13," \
                 "%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31" sums ", " how ";"           \
                 : __VA_ARGS__                                                                                         \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b)                                                  \
                 : "memory")
#define TO_64 "}, {%32,%33,%34,%35}, %36"
#define TO_128                                                                                                         \
    ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59," \
    "%60,%61,%62,%63}, {%64,%65,%66,%67}, %68"
// Behind the factors: whether there is a sum already, signs, and whether b is turned.
#define PRODUCTS(T, S)                                                                                                 \
    template <>                                                                                                        \
    __device__ __forceinline__ void multiply_later<T>(const unsigned int (&a)[4], unsigned long long b,                \
                                                      float (&c)[8][4], bool add) {                                    \
        if (add)                                                                                                       \
            LATER(S, "m64n64k16", TO_64, "1, 1, 1, 0", THIRTY_TWO("+f", 0));                                           \
        else                                                                                                           \
            LATER(S, "m64n64k16", TO_64, "0, 1, 1, 0", THIRTY_TWO("=f", 0));                                           \
    }                                                                                                                  \
    template <>                                                                                                        \
    __device__ __forceinline__ void multiply_turned_later<T>(const unsigned int (&a)[4], unsigned long long b,         \
                                                             float (&c)[8][4]) {                                       \
        LATER(S, "m64n64k16", TO_64, "1, 1, 1, 1", THIRTY_TWO("+f", 0));                                               \
    }                                                                                                                  \
    template <>                                                                                                        \
    __device__ __forceinline__ void multiply_turned_later<T>(const unsigned int (&a)[4], unsigned long long b,         \
                                                             float (&c)[16][4]) {                                      \
        LATER(S, "m64n128k16", TO_128, "1, 1, 1, 1", THIRTY_TWO("+f", 0), THIRTY_TWO("+f", 8));                        \
    }
PRODUCTS(half_t, "f16")
PRODUCTS(bfloat_t, "bf16")
#undef PRODUCTS
#undef TO_128
#undef TO_64
#undef LATER
#undef THIRTY_TWO
#undef EIGHT
#endif

// Of rows that lie so from `rows` on, a whole multiple of 1,024: what tells a product where it finds its second factor. Sums run along a row, where columns of the factor
// are rows here; or, turned, along rows, of which it takes 16, where the factor's columns from 64 on lie `columns` bytes behind the first. In units of 16 bytes.
template <typename T> __device__ __forceinline__ unsigned long long matrix_of(const T *rows, unsigned long long columns = 16) {
    const unsigned long long eight_rows = 1024, swizzled_by_128 = 1;
    return shared_address(rows) / 16 | columns / 16 << 16 | eight_rows / 16 << 32 | swizzled_by_128 << 62;
}
