// Low-rank changes on tensor cores: what `lora_shrink` and `lora_expand` compute, 16 rows at once, so that an adapter's matrices are
// read once for 16 tokens. Ranks are multiples of 16; inputs, and the parts of the outputs, of 32.
//
// A product adds up over its inputs in any order, and its columns are in any order too, so neither is dealt out to lanes as PTX
// numbers it, but so that what a lane reads or writes is 16 or 8 bytes side by side.
#include "common.cuh"

// As many neighbours as 16 bytes have, by pairs.
using Words = Some<unsigned int, 4>;

// Up to 64 rows of one sequence: `tiles` and `starts` as for attention; without them, of `rows` rows that are all of the first.
struct Tile {
    size_t begin;
    int first, length;
    index_t sequence;
};
__device__ __forceinline__ Tile own_tile(const index_t *tiles, const index_t *starts, int rows) {
    if (tiles == nullptr)
        return {0, int(blockIdx.x) * 64, rows, 0};
    const index_t sequence = tiles[2 * blockIdx.x], begin = starts[sequence];
    return {begin, int(tiles[2 * blockIdx.x + 1]), int(starts[sequence + 1] - begin), sequence};
}

// Ranks at once, warps of a block, and a row of what a warp has added up, so that its lanes write to different banks.
#define RANKS_AT_ONCE 64
#define WARPS 8
#define PARTIAL_ROW (RANKS_AT_ONCE + 8)

// Grid: tiles in x, the four times 16 rows of one in y. The warps share the inputs, and then add up what each has, in shared memory:
// floats, [WARPS][16][PARTIAL_ROW].
template <typename T>
__device__ __forceinline__ void shrink_on_tensor_cores(const T *x, const address_t *models, const index_t *tiles,
                                                       const index_t *starts, T *middle, int rows, int entry, int inputs,
                                                       int longest) {
    SHARED_FLOATS(partial);
    const Tile tile = own_tile(tiles, starts, rows);
    const int own = tile.first + blockIdx.y * 16;
    if (own >= tile.length)
        return;
    const address_t *change = own_of(models, tile.sequence, entry);
    const T *down = at_address<T>(change[DOWN]);
    if (down == nullptr)
        return;
    const int rank = all_ranks(change[RANKS]);
    // Of a product a lane has rows `row` and `row + 8`, and reads eight inputs from `column` on.
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = lane / 4, column = lane % 4 * 8;
    const T *from = x + (tile.begin + own) * inputs + column;
    for (int r = 0; r < rank; r += RANKS_AT_ONCE) {
        const int eights = min(RANKS_AT_ONCE, rank - r) / 8;
        float c[RANKS_AT_ONCE / 8][4] = {};
        for (int k = warp * 32; k < inputs; k += WARPS * 32) {
            Words a[2] = {}, b[RANKS_AT_ONCE / 8] = {};
            UNROLL
            for (int h = 0; h < 2; h++)
                if (own + row + h * 8 < tile.length)
                    a[h] = *reinterpret_cast<const Words *>(from + size_t(row + h * 8) * inputs + k);
            UNROLL
            for (int n = 0; n < RANKS_AT_ONCE / 8; n++)
                if (n < eights)
                    b[n] = *reinterpret_cast<const Words *>(down + size_t(r + n * 8 + row) * inputs + k + column);
            UNROLL
            for (int n = 0; n < RANKS_AT_ONCE / 8; n++)
                if (n < eights)
                    UNROLL
                    for (int step = 0; step < 4; step += 2) {
                        const unsigned int of_rows[4] = {a[0].x[step], a[1].x[step], a[0].x[step + 1], a[1].x[step + 1]};
                        multiply<T>(of_rows, b[n].x[step], b[n].x[step + 1], c[n]);
                    }
        }
        UNROLL
        for (int n = 0; n < RANKS_AT_ONCE / 8; n++)
            UNROLL
            for (int i = 0; i < 4; i++)
                if (n < eights)
                    partial[(warp * 16 + row + i / 2 * 8) * PARTIAL_ROW + n * 8 + lane % 4 * 2 + i % 2] = c[n][i];
        __syncthreads();
        for (int i = threadIdx.x; i < 16 * eights * 8; i += blockDim.x) {
            const int of = i / (eights * 8), at = i % (eights * 8);
            float sum = 0;
            for (int w = 0; w < WARPS; w++)
                sum += partial[(w * 16 + of) * PARTIAL_ROW + at];
            if (own + of < tile.length)
                narrow(&middle[(tile.begin + own + of) * longest + r + at], within<T>(sum));
        }
        // What is added up is free for the next ranks.
        __syncthreads();
    }
}

// Outputs of a block, in groups of 32.
#define GROUPS 4

// Grid: tiles in x, outputs in y. Four warps, 16 rows for each.
template <typename T>
__device__ __forceinline__ void expand_on_tensor_cores(const T *middle, const address_t *models, const index_t *tiles,
                                                       const index_t *starts, T *y, int rows, int entry, int outputs,
                                                       int longest, int second, int third) {
    const Tile tile = own_tile(tiles, starts, rows);
    const int own = tile.first + threadIdx.x / 32 * 16;
    if (own >= tile.length)
        return;
    const address_t *change = own_of(models, tile.sequence, entry);
    const T *up = at_address<T>(change[UP]);
    if (up == nullptr)
        return;
    const address_t ranks = change[RANKS];
    // Of a product of 32 columns a lane has eight neighbours in rows `row` and `row + 8`, and reads four ranks.
    const int lane = threadIdx.x % 32, row = lane / 4, four = lane % 4 * 4;
    const T *from = middle + (tile.begin + own) * longest;
    for (int group = 0; group < GROUPS; group++) {
        const int first = (blockIdx.y * GROUPS + group) * 32;
        if (first >= outputs)
            return;
        const Part part = part_of(ranks, first, second, third);
        if (part.rank == 0)
            continue;
        float c[4][4] = {};
        for (int r = 0; r < part.rank; r += 16) {
            using Pairs = Some<unsigned int, 2>;
            Pairs a[2] = {};
            UNROLL
            for (int h = 0; h < 2; h++)
                if (own + row + h * 8 < tile.length)
                    a[h] = *reinterpret_cast<const Pairs *>(from + size_t(row + h * 8) * longest + part.before + r + four);
            const unsigned int of_rows[4] = {a[0].x[0], a[1].x[0], a[0].x[1], a[1].x[1]};
            UNROLL
            for (int n = 0; n < 4; n++) {
                const int output = row / 2 * 8 + n * 2 + row % 2;
                const Pairs b =
                    *reinterpret_cast<const Pairs *>(up + part.row + size_t(output) * part.rank + r + four);
                multiply<T>(of_rows, b.x[0], b.x[1], c[n]);
            }
        }
        UNROLL
        for (int h = 0; h < 2; h++) {
            if (own + row + h * 8 >= tile.length)
                continue;
            T *to = y + (tile.begin + own + row + h * 8) * outputs + first + lane % 4 * 8;
            float values[8];
            load(values, to);
            UNROLL
            for (int i = 0; i < 8; i++)
                values[i] += c[i / 2][2 * h + i % 2];
            store(to, values);
        }
    }
}

#define KERNELS(T, S)                                                                                                  \
    extern "C" __global__ void BOUNDS(32 * WARPS) lora_shrink_tensor_##S(                                              \
        const T *x, const address_t *models, const index_t *tiles, const index_t *starts, T *middle, int rows,         \
        int entry, int inputs, int longest) {                                                                          \
        shrink_on_tensor_cores<T>(x, models, tiles, starts, middle, rows, entry, inputs, longest);                     \
    }                                                                                                                  \
    extern "C" __global__ void BOUNDS(128) lora_expand_tensor_##S(                                                     \
        const T *middle, const address_t *models, const index_t *tiles, const index_t *starts, T *y, int rows,         \
        int entry, int outputs, int longest, int second, int third) {                                                  \
        expand_on_tensor_cores<T>(middle, models, tiles, starts, y, rows, entry, outputs, longest, second, third);     \
    }
KERNELS(half_t, f16)
KERNELS(bfloat_t, bf16)
#undef KERNELS
