// What a GLiNER (Zaratiana et al. 2024, arXiv 2311.08526) computes after its text encoder and beside products: an LSTM over
// the words of each text, the scores of stretches of words, and those of words.
#include "common.cuh"

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// Keeps NaN, which fmaxf does not.
__device__ __forceinline__ float positive(float x) { return x < 0.0f ? 0.0f : x; }

// Lanes that share a row of weights, and rows that each of them has on their way.
enum { ACROSS = 8, DEEP = 4 };

// Both directions of an LSTM layer (Hochreiter & Schmidhuber 1997) over packed sequences. A row of `gates` has what its input
// gives to the input, forget, cell and output gates of the first direction, and then of the second one, which begins with the
// last row; `bias` is added to it. `weights` has for each direction `width` rows of `4 * width`: what each value of the state
// before gives to the gates. A row of `out` gets both states. S sequences share what is read of the weights; `order` has the
// sequences, those of like length side by side. Grid: groups of S sequences in x, directions in y. Shared memory: `S * 6 *
// width` floats.
//
// A warp has ACROSS * N gates at once: each lane has N, and every fourth row of the weights.
template <typename T, int N, int S>
__device__ void recur(const T *gates, const T *bias, const T *weights, const index_t *order, const index_t *starts, T *out,
                      int sequences, int width) {
    SHARED_FLOATS(shared);
    float *state = shared, *cell = state + S * width, *sums = cell + S * width;
    const int columns = 4 * width, lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const bool backward = blockIdx.y == 1;
    gates += blockIdx.y * size_t(columns);
    bias += blockIdx.y * size_t(columns);
    weights += blockIdx.y * size_t(columns) * width;
    out += blockIdx.y * size_t(width);
    size_t begins[S];
    int lengths[S], longest = 0;
    UNROLL
    for (int s = 0; s < S; s++) {
        begins[s] = lengths[s] = 0;
        const int number = blockIdx.x * S + s;
        if (number < sequences) {
            begins[s] = starts[order[number]];
            lengths[s] = starts[order[number] + 1] - begins[s];
        }
        longest = max(longest, lengths[s]);
    }
    for (int i = threadIdx.x; i < S * width; i += blockDim.x)
        state[i] = cell[i] = 0;
    __syncthreads();
    for (int step = 0; step < longest; step++) {
        for (int first = warp * ACROSS * N; first < columns; first += warps * ACROSS * N) {
            const int column = first + lane % ACROSS * N;
            float sum[S][N] = {};
            if (column < columns) {
                ROLLED
                for (int k = lane / ACROSS; k < width; k += 32 / ACROSS * DEEP) {
                    Some<T, N> rows[DEEP];
                    UNROLL
                    for (int d = 0; d < DEEP; d++) {
                        const int row = min(k + 32 / ACROSS * d, width - 1);
                        rows[d] = *reinterpret_cast<const Some<T, N> *>(weights + size_t(row) * columns + column);
                    }
                    UNROLL
                    for (int d = 0; d < DEEP; d++) {
                        const int row = k + 32 / ACROSS * d;
                        UNROLL
                        for (int s = 0; s < S; s++) {
                            const float x = row < width ? state[s * width + row] : 0.0f;
                            UNROLL
                            for (int i = 0; i < N; i++)
                                sum[s][i] += x * widen(rows[d].x[i]);
                        }
                    }
                }
            }
            UNROLL
            for (int s = 0; s < S; s++)
                UNROLL
                for (int i = 0; i < N; i++) {
                    for (int step = ACROSS; step < 32; step *= 2)
                        sum[s][i] += __shfl_xor_sync(0xffffffffu, sum[s][i], step);
                    if (lane < ACROSS && column < columns)
                        sums[s * columns + column + i] = sum[s][i];
                }
        }
        __syncthreads();
        UNROLL
        for (int s = 0; s < S; s++) {
            if (step >= lengths[s])
                continue;
            const size_t row = begins[s] + (backward ? lengths[s] - 1 - step : step);
            for (int h = threadIdx.x; h < width; h += blockDim.x) {
                float gate[4];
                UNROLL
                for (int g = 0; g < 4; g++)
                    gate[g] = sums[s * columns + g * width + h] + widen(gates[row * 2 * columns + g * width + h]) +
                              widen(bias[g * width + h]);
                const float kept = sigmoid(gate[1]) * cell[s * width + h] + sigmoid(gate[0]) * tanhf(gate[2]);
                const float now = sigmoid(gate[3]) * tanhf(kept);
                cell[s * width + h] = kept;
                state[s * width + h] = now;
                narrow(&out[row * 2 * width + h], now);
            }
        }
        __syncthreads();
    }
}

// A text among those of a batch: its first word and how many it has, the same of its labels, and where its scores begin.
struct Text {
    index_t word, words, label, labels, score;
};

// First words, widths and labels of a tile, and columns that are in shared memory at once; a thread has PIECE widths and as
// many labels.
enum { FIRSTS = 16, WIDTHS = 12, LABELS = 16, COLUMNS = 32, PIECE = 4, STRIDE = COLUMNS + 4 };
enum { SCORING = FIRSTS * (WIDTHS / PIECE) * (LABELS / PIECE) };

// The scores of stretches of words, whose vectors are nowhere: `positive(f[first] + l[last]) · labels[label] + constant`, for
// each first word of a text, each width up to `max_width` and each label; 0 where a stretch would go beyond the last word. `f`
// is `first`, with `bias` added that may be null, and zeros behind its `half` columns; `l` is `last` behind zeros; both have
// `inner` columns so. A row of `labels` has `stride`, and the constant behind `inner`. `tiles` has a text, a first word of it
// and a first label for each block in x; in y are tiles of widths. Blocks of SCORING threads. Shared memory: `(2 * FIRSTS +
// WIDTHS - 1 + LABELS) * STRIDE` floats.
template <typename T>
__device__ void stretches(const T *first, const T *bias, const T *last, const T *labels, const index_t *tiles, const Text *texts,
                          float *out, int inner, int half, int stride, int max_width) {
    SHARED_FLOATS(shared);
    float *firsts = shared, *lasts = firsts + FIRSTS * STRIDE, *of_labels = lasts + (FIRSTS + WIDTHS - 1) * STRIDE;
    const index_t *tile = tiles + 3 * size_t(blockIdx.x);
    const Text text = texts[tile[0]];
    const int first_word = tile[1], first_label = tile[2], first_width = blockIdx.y * WIDTHS;
    // Neighbouring threads have neighbouring labels, which are neighbouring banks.
    const int of_label = threadIdx.x % (LABELS / PIECE), part = threadIdx.x / (LABELS / PIECE);
    const int of_width = part % (WIDTHS / PIECE) * PIECE, of_first = part / (WIDTHS / PIECE);
    float sums[PIECE][PIECE] = {};
    for (int begin = 0; begin < inner; begin += COLUMNS) {
        for (int i = threadIdx.x; i < (2 * FIRSTS + WIDTHS - 1 + LABELS) * COLUMNS; i += SCORING) {
            const int row = i / COLUMNS, column = begin + i % COLUMNS;
            float x = 0;
            if (row < FIRSTS) {
                const index_t word = first_word + row;
                if (word < text.words && column < half)
                    x = widen(first[size_t(text.word + word) * half + column]) + (bias == nullptr ? 0.0f : widen(bias[column]));
            } else if (row < 2 * FIRSTS + WIDTHS - 1) {
                const index_t word = first_word + first_width + row - FIRSTS;
                const int behind = column - (inner - half);
                if (word < text.words && column < inner && behind >= 0)
                    x = widen(last[size_t(text.word + word) * half + behind]);
            } else {
                const index_t label = first_label + row - (2 * FIRSTS + WIDTHS - 1);
                if (label < text.labels && column < inner)
                    x = widen(labels[size_t(text.label + label) * stride + column]);
            }
            shared[row * STRIDE + i % COLUMNS] = x;
        }
        __syncthreads();
        ROLLED
        for (int column = 0; column < COLUMNS; column += 4) {
            float f[4], l[PIECE][4], p[PIECE][4];
            load(f, firsts + of_first * STRIDE + column);
            UNROLL
            for (int i = 0; i < PIECE; i++) {
                load(l[i], lasts + (of_first + of_width + i) * STRIDE + column);
                load(p[i], of_labels + (of_label + i * (LABELS / PIECE)) * STRIDE + column);
            }
            UNROLL
            for (int w = 0; w < PIECE; w++)
                UNROLL
                for (int c = 0; c < 4; c++) {
                    const float x = positive(f[c] + l[w][c]);
                    UNROLL
                    for (int i = 0; i < PIECE; i++)
                        sums[w][i] += x * p[i][c];
                }
        }
        __syncthreads();
    }
    const index_t word = first_word + of_first;
    UNROLL
    for (int w = 0; w < PIECE; w++)
        UNROLL
        for (int i = 0; i < PIECE; i++) {
            const int size = first_width + of_width + w;
            const index_t label = first_label + of_label + i * (LABELS / PIECE);
            if (word >= text.words || size >= max_width || label >= text.labels)
                continue;
            const bool inside = word + size < text.words;
            const float constant = widen(labels[size_t(text.label + label) * stride + inner]);
            out[text.score + (size_t(word) * max_width + size) * text.labels + label] = inside ? sums[w][i] + constant : 0.0f;
        }
}

// A part of a text's scores: where it begins, how many it has, where what is left of it goes, and the bits of a floor.
struct Segment {
    index_t begin, count, to, floor;
};

// As many as are left of a segment at most.
enum { KEPT = 32 };

// Of the scores of segments, those that are not below the floor, in their order: how many there are, which may be more than
// KEPT, then as many places in the segment, and then the scores. Without a floor, which is below all, a segment is copied.
// Grid: segments, of a warp each.
__device__ void sift(const float *scores, const Segment *segments, float *out) {
    const Segment segment = segments[blockIdx.x];
    const float *from = scores + segment.begin;
    float *to = out + segment.to, floor;
    memcpy(&floor, &segment.floor, sizeof floor);
    const int lane = threadIdx.x, count = segment.count;
    if (floor == -INFINITY) {
        for (int place = lane; place < count; place += 32)
            to[place] = from[place];
        return;
    }
    int kept = 0;
    for (int first = 0; first < count; first += 32) {
        const int place = first + lane;
        const float score = place < count ? from[place] : 0.0f;
        // NaN is kept.
        const bool keep = place < count && !(score < floor);
        const unsigned int all = __ballot_sync(0xffffffffu, keep);
        const int before = kept + __popc(all & ((1u << lane) - 1));
        if (keep && before < KEPT) {
            to[1 + before] = place;
            to[1 + KEPT + before] = score;
        }
        kept += __popc(all);
    }
    if (lane == 0)
        to[0] = kept;
}

// The number of a word's first pair with a label, where each pair has three scores.
__device__ __forceinline__ size_t pair_of(const Text &text, index_t word) {
    return text.score / 3 + size_t(word - text.word) * text.labels;
}

// The products, element by element, of each word with each label of its text, a row for each pair: of as many words as there
// are blocks, from `first` on. `of_words` has the text of each word.
template <typename T, int N>
__device__ void meet(const T *words, const T *labels, const index_t *of_words, const Text *texts, T *out, int first, int width) {
    const index_t word = first + blockIdx.x;
    const Text text = texts[of_words[word]];
    const size_t begin = pair_of(text, word) - pair_of(texts[of_words[first]], first);
    for (size_t i = threadIdx.x * N; i < size_t(text.labels) * width; i += blockDim.x * N) {
        float x[N], y[N];
        load(x, words + size_t(word) * width + i % width);
        load(y, labels + text.label * size_t(width) + i);
        UNROLL
        for (int n = 0; n < N; n++)
            x[n] *= y[n];
        store(out + begin * width + i, x);
    }
}

// Three scores for each of these pairs: `weights positive(pairs[pair] + of_word[word] + of_label[label]) + bias`. Rows of
// `pairs` begin with the first pair of the word `first`.
template <typename T>
__device__ void score_words(const T *pairs, const T *of_word, const T *of_label, const index_t *of_words, const Text *texts,
                            const T *weights, const T *bias, float *out, int first, int width) {
    const index_t word = first + blockIdx.x;
    const Text text = texts[of_words[word]];
    const size_t place = pair_of(text, word), begin = place - pair_of(texts[of_words[first]], first);
    const int lane = threadIdx.x % 32;
    for (index_t label = threadIdx.x / 32; label < text.labels; label += blockDim.x / 32) {
        const T *pair = pairs + (begin + label) * width;
        float sums[3] = {};
        for (int c = lane; c < width; c += 32) {
            const float x = positive(widen(pair[c]) + widen(of_word[size_t(word) * width + c]) +
                                     widen(of_label[size_t(text.label + label) * width + c]));
            UNROLL
            for (int i = 0; i < 3; i++)
                sums[i] += x * widen(weights[i * width + c]);
        }
        UNROLL
        for (int i = 0; i < 3; i++) {
            const float sum = warp_sum(sums[i]);
            if (lane == 0)
                out[(place + label) * 3 + i] = sum + widen(bias[i]);
        }
    }
}

// A sequence by itself, and several.
template <typename T, int N, typename... A> __device__ void alone(A... arguments) { recur<T, N, 1>(arguments...); }
template <typename T, int N, typename... A> __device__ void together(A... arguments) { recur<T, N, 4>(arguments...); }

#define KERNELS(T, S)                                                                                                  \
    extern "C" __global__ void BOUNDS(512, 1)                                                                             \
        recur_##S(const T *gates, const T *bias, const T *weights, const index_t *order, const index_t *starts, T *out, \
                  int sequences, int width) {                                                                          \
        BY_WIDTH(alone, T, width, gates, bias, weights, order, starts, out, sequences, width)                          \
    }                                                                                                                  \
    extern "C" __global__ void BOUNDS(512, 1)                                                                             \
        recur_together_##S(const T *gates, const T *bias, const T *weights, const index_t *order,                      \
                           const index_t *starts, T *out, int sequences, int width) {                                  \
        BY_WIDTH(together, T, width, gates, bias, weights, order, starts, out, sequences, width)                       \
    }                                                                                                                  \
    extern "C" __global__ void BOUNDS(SCORING, 4)                                                                         \
        stretches_##S(const T *first, const T *bias, const T *last, const T *labels, const index_t *tiles,             \
                      const index_t *texts, float *out, int inner, int half, int stride, int max_width) {              \
        stretches<T>(first, bias, last, labels, tiles, reinterpret_cast<const Text *>(texts), out, inner, half, stride, \
                     max_width);                                                                                       \
    }                                                                                                                  \
    extern "C" __global__ void sift_##S(const float *scores, const index_t *segments, float *out) {                    \
        sift(scores, reinterpret_cast<const Segment *>(segments), out);                                                \
    }                                                                                                                  \
    extern "C" __global__ void meet_##S(const T *words, const T *labels, const index_t *of_words,                      \
                                        const index_t *texts, T *out, int first, int width) {                          \
        BY_WIDTH(meet, T, width, words, labels, of_words, reinterpret_cast<const Text *>(texts), out, first, width)    \
    }                                                                                                                  \
    extern "C" __global__ void score_words_##S(const T *pairs, const T *of_word, const T *of_label,                    \
                                               const index_t *of_words, const index_t *texts, const T *weights,        \
                                               const T *bias, float *out, int first, int width) {                      \
        score_words<T>(pairs, of_word, of_label, of_words, reinterpret_cast<const Text *>(texts), weights, bias, out,  \
                       first, width);                                                                                  \
    }

FOR_EACH_TYPE(KERNELS)
#undef KERNELS
