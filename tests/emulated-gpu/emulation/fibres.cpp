// Runs kernels block by block, on one CPU thread. Each CUDA thread is a fibre with a stack of its own; the fibres of a block run in
// random order, each to its next barrier, and what they read and write between two barriers is watched.
#include "cuda.h"
#include "known.h"
#include "watch.h"
#include "wgmma.h"

#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#ifndef __x86_64__
#error "the emulation switches fibres on x86-64 only"
#endif

// Saves the registers that a callee must keep on this stack, then goes on where the other stack was left.
extern "C" void switch_fibre(void **from, void *to);
asm(R"(
.text
.globl switch_fibre
.type switch_fibre, @function
switch_fibre:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size switch_fibre, .-switch_fibre
)");

namespace emulated {
Here here;

namespace {
const size_t STACK = 64 << 10, GUARD = 256, MOST_THREADS = 1024;
enum State { RUNNABLE, AT_BARRIER, AT_WARP_BARRIER, DONE };
// Why a lane waits for its warp. All lanes must for the same reason, and the last alone orders what they read and write.
enum Why { EXCHANGE, GATHER, BARRIER };

struct Fibre {
    char *stack;
    void *top;
    State state;
    Why why;
    uint64_t bits;
    std::vector<std::pair<void *, const void *>> copies;
    std::vector<Product> products;
    // Of all that it asked for of its warpgroup.
    uint64_t asked;
};

// Never freed: a process may end while another of its threads is in here.
std::vector<Fibre> &fibres = *new std::vector<Fibre>;
std::vector<uint32_t> &steps = *new std::vector<uint32_t>;
size_t current;
void *scheduler;
void (*invoke_kernel)(void *const *);
void *const *arguments;

void run() {
    invoke_kernel(arguments);
    fibres[current].state = DONE;
    void *nowhere;
    switch_fibre(&nowhere, scheduler);
}

void pause(State state, Why why = BARRIER) {
    fibres[current].state = state;
    fibres[current].why = why;
    switch_fibre(&fibres[current].top, scheduler);
}

void prepare(Fibre &fibre) {
    // As if `run` had been called and had just been switched away from: six registers and the way back into it, on a stack
    // that is aligned as after a call.
    auto end = reinterpret_cast<uintptr_t>(fibre.stack + STACK) & ~uintptr_t(15);
    void **top = reinterpret_cast<void **>(end) - 2;
    *top = reinterpret_cast<void *>(&run);
    for (int i = 0; i < 6; i++)
        *--top = nullptr;
    fibre.top = top;
    fibre.state = RUNNABLE;
    fibre.copies.clear();
    fibre.products.clear();
    fibre.asked = 0;
}

uint64_t random_state;
uint64_t random_number() {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

// What is done by a warpgroup all of its threads do.
void compare_warpgroups() {
    const size_t count = here.block_size.x;
    for (size_t i = 0; i < count; i++)
        if (fibres[i].asked != fibres[i / 128 * 128].asked || (fibres[i].asked != 0 && count % 128 != 0))
            watch_tell("has products that not all of its warpgroup have");
}

// Runs the fibres of one block. 0, or 1 where some wait for others that never come.
int run_block() {
    const size_t count = here.block_size.x;
    watch_block();
    steps.assign((count + 31) / 32, 0);
    std::vector<size_t> order(count);
    for (size_t i = 0; i < count; i++) {
        prepare(fibres[i]);
        order[i] = i;
    }
    for (;;) {
        for (size_t i = count - 1; i > 0; i--)
            std::swap(order[i], order[random_number() % (i + 1)]);
        for (size_t next : order) {
            if (fibres[next].state != RUNNABLE)
                continue;
            current = next;
            here.thread = {static_cast<unsigned int>(next), 0, 0};
            watch.thread = static_cast<uint32_t>(next);
            watch.step = steps[next / 32];
            switch_fibre(&scheduler, fibres[next].top);
        }
        size_t done = 0, waiting = 0;
        bool moved = false;
        for (size_t warp = 0; warp < count; warp += 32) {
            size_t here = 0, lanes = std::min<size_t>(32, count - warp);
            for (size_t i = warp; i < warp + lanes; i++) {
                here += fibres[i].state == AT_WARP_BARRIER;
                waiting += fibres[i].state == AT_BARRIER;
                done += fibres[i].state == DONE;
            }
            if (here == lanes) {
                moved = true;
                steps[warp / 32] += fibres[warp].why == BARRIER;
                for (size_t i = warp; i < warp + lanes; i++)
                    if (fibres[i].why != fibres[warp].why)
                        watch_tell("waits for its warp, where another lane does for another reason");
                for (size_t i = warp; i < warp + lanes; i++)
                    fibres[i].state = RUNNABLE;
            }
        }
        if (done == count || waiting == count)
            compare_warpgroups();
        if (done == count)
            return 0;
        if (waiting == count) {
            moved = true;
            watch.interval++;
            for (size_t i = 0; i < count; i++)
                fibres[i].state = RUNNABLE;
        }
        if (!moved)
            return 1;
    }
}
} // namespace

void barrier() {
    pause(AT_BARRIER);
    for (auto [to, from] : fibres[current].copies)
        watch_copy(to, from, __builtin_return_address(0));
}

void warp_barrier() { pause(AT_WARP_BARRIER, BARRIER); }

uint64_t exchange(uint64_t bits, unsigned int lane) {
    fibres[current].bits = bits;
    pause(AT_WARP_BARRIER, EXCHANGE);
    const uint64_t found = fibres[current / 32 * 32 + lane].bits;
    // Nobody brings the next bits before everybody has these.
    pause(AT_WARP_BARRIER, EXCHANGE);
    return found;
}

void copy_later(void *to, const void *from) {
    watch_aligned(to, 16);
    watch_aligned(from, 16);
    watch_copy(to, from, __builtin_return_address(0));
    fibres[current].copies.emplace_back(to, from);
}

void copy_now() {
    for (auto [to, from] : fibres[current].copies) {
        watch_copied(to, from, __builtin_return_address(0));
        std::memcpy(to, from, 16);
    }
    fibres[current].copies.clear();
}

void gather(const void *mine, size_t size, void *all) {
    fibres[current].bits = reinterpret_cast<uintptr_t>(mine);
    pause(AT_WARP_BARRIER, GATHER);
    for (size_t lane = 0; lane < 32; lane++)
        std::memcpy(static_cast<char *>(all) + lane * size,
                    reinterpret_cast<const void *>(fibres[current / 32 * 32 + lane].bits), size);
    // Nobody goes on, and away from what they have brought, before everybody has it.
    pause(AT_WARP_BARRIER, GATHER);
}

// Where `here.shared` is a whole multiple of 1,024: see there.
const size_t TILES = 1024;

void *shared_tiles() {
    const size_t more = (TILES - reinterpret_cast<uintptr_t>(here.shared) % TILES) % TILES;
    here.shared = static_cast<char *>(here.shared) + more;
    watch.shared += more;
    watch.shared_end += more;
    return here.shared;
}

// The system's own part comes before.
uint64_t shared_address(const void *place) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(here.shared);
    return reinterpret_cast<uintptr_t>(place) - begin + TILES + begin % TILES;
}

namespace {
char *shared_place(uint64_t address) { return static_cast<char *>(here.shared) + (address - shared_address(here.shared)); }

// The fields of a descriptor.
struct Matrix {
    uint64_t begin, leading, stride;
    explicit Matrix(uint64_t bits) : begin((bits & 0x3fff) * 16), leading((bits >> 16 & 0x3fff) * 16), stride((bits >> 32 & 0x3fff) * 16) {
        // One bit of 128-byte swizzles, none of the base offset, and of no use.
        if (bits >> 62 != 1 || (bits & 0x3fffc000c000c000) != 0)
            watch_tell("has a product of a layout that is not emulated");
        else if (begin % 1024 >= 128)
            watch_tell("has a product whose swizzled rows begin elsewhere than at a whole multiple of 1,024 bytes");
    }
    // Of element k of column n: as if rows were not swizzled, then as they are.
    uint64_t address(int k, int n, bool turned) const {
        const uint64_t in_row = begin % 128 + (turned ? n % 64 : k) * 2;
        const uint64_t row = turned ? k % 8 : n % 8;
        const uint64_t rows = turned ? k / 8 * stride + n / 64 * leading : n / 8 * stride;
        if (in_row >= 128)
            watch_tell("has a product that goes beyond the 128 bytes of its rows");
        const uint64_t linear = begin / 128 * 128 + rows + row * 128 + in_row;
        return linear ^ (linear / 128 % 8 * 16);
    }
};

// As of one thread for the whole warpgroup: that the memory of its second factor is read now.
void read_second(const Product &product, const void *where) {
    if (here.thread.x % 128 != 0)
        return;
    const Matrix matrix(product.b);
    const uint64_t shared = shared_address(here.shared), end = shared + (watch.shared_end - watch.shared);
    // Sixteen bytes at once.
    for (int k = 0; k < 16; k += product.turned ? 1 : 8)
        for (int n = 0; n < product.columns; n += product.turned ? 8 : 1) {
            const uint64_t at = matrix.address(k, n, product.turned);
            if (at < shared || at + 16 > end)
                return watch_tell("has a product of what is not in its shared memory");
            watch_product(shared_place(at), 16, where);
        }
}
} // namespace

uint16_t second_factor(const Product &product, int k, int n) {
    uint16_t bits;
    const uint64_t at = Matrix(product.b).address(k, n, product.turned) - shared_address(here.shared);
    if (at + sizeof bits > watch.shared_end - watch.shared)
        return 0xffff;
    std::memcpy(&bits, static_cast<char *>(here.shared) + at, sizeof bits);
    return bits;
}

void begin_products() { watch_begin_products(); }

void show_to_products() { watch_show_to_products(); }

void multiply_later(Product &product) {
    Fibre &own = fibres[current];
    struct Asked {
        uint64_t b;
        int columns, how;
    } asked = {product.b, product.columns, product.turned + 2 * product.add}, all[32];
    gather(product.own, sizeof *product.a, product.a);
    gather(&asked, sizeof asked, all);
    for (const Asked &one : all)
        if (std::memcmp(&one, &asked, sizeof asked) != 0)
            watch_tell("has a product that not all of its warp have");
    own.asked = (own.asked + asked.b * 31 + uint64_t(asked.columns * 4 + asked.how)) * 0x9e3779b97f4a7c15 + 1;
    read_second(product, __builtin_return_address(0));
    const size_t size = product.columns / 2;
    watch_registers(product.sums, size * sizeof(float), true);
    watch_registers(product.own, sizeof *product.a, true);
    product.first = std::none_of(own.products.begin(), own.products.end(),
                                 [&](const Product &before) { return before.sums == product.sums; });
    if (product.first)
        std::copy_n(product.sums, size, product.before);
    std::fill_n(product.sums, size, NAN);
    own.products.push_back(product);
}

void wait_for_products() {
    Fibre &own = fibres[current];
    const auto give_back = [](const Product &product) {
        watch_registers(product.sums, product.columns / 2 * sizeof(float), false);
        watch_registers(product.own, sizeof *product.a, false);
    };
    std::for_each(own.products.begin(), own.products.end(), give_back);
    for (const Product &product : own.products) {
        read_second(product, __builtin_return_address(0));
        const size_t size = product.columns / 2;
        if (!product.add)
            std::fill_n(product.sums, size, 0.0f);
        else if (product.first)
            std::copy_n(product.before, size, product.sums);
        product.now(product);
    }
    // What was done here is no access of the thread's.
    std::for_each(own.products.begin(), own.products.end(), give_back);
    own.products.clear();
}
} // namespace emulated

// Runs a kernel. `arguments[i]` points to its i-th argument of `sizes[i]` bytes. 0 where all went well; 1: threads wait for
// one another for ever; 2: no such kernel; 3: other arguments; 4: shared memory was written beyond its end; 5, where it is `watched`: what
// threads read and write is not as barriers order it, or not as a GPU could, and `mednerd_emulated_why` says where.
extern "C" int mednerd_emulate(const char *name, const uint32_t *grid, uint32_t block_size, size_t shared_bytes,
                               void *const *arguments, const size_t *sizes, size_t count, uint64_t seed, bool watched) {
    const Known *found = find_kernel(name);
    if (found == nullptr)
        return 2;
    bool fits = found->count == count;
    for (size_t i = 0; fits && i < count; i++)
        fits = found->size(i) == sizes[i];
    if (!fits)
        return 3;
    using namespace emulated;
    if (fibres.empty()) {
        // Pages that nobody touches are none.
        char *stacks = new char[MOST_THREADS * STACK];
        watch.stacks = reinterpret_cast<uintptr_t>(stacks);
        watch.stacks_end = watch.stacks + MOST_THREADS * STACK;
        fibres.resize(MOST_THREADS);
        for (size_t i = 0; i < MOST_THREADS; i++)
            fibres[i].stack = stacks + i * STACK;
    }
    if (block_size > MOST_THREADS)
        return 1;
    here.block_size = {block_size, 1, 1};
    here.grid_size = {grid[0], grid[1], 1};
    invoke_kernel = found->call;
    emulated::arguments = arguments;
    random_state = seed | 1;
    // Aligned as a kernel can rely on: to 16 bytes and no more, until it asks for more.
    std::vector<unsigned char> memory(2 * TILES + shared_bytes + GUARD);
    unsigned char *const shared = memory.data() + TILES + 16 - reinterpret_cast<uintptr_t>(memory.data()) % TILES;
    watch.on = watched;
    watch_launch(shared_bytes);
    for (uint32_t y = 0; y < grid[1]; y++)
        for (uint32_t x = 0; x < grid[0]; x++) {
            here.block = {x, y, 0};
            // Every byte set: as a float, NaN.
            std::memset(memory.data(), 0xff, memory.size());
            here.shared = shared;
            watch.shared = reinterpret_cast<uintptr_t>(shared);
            watch.shared_end = watch.shared + shared_bytes;
            if (int error = run_block())
                return error;
            const unsigned char *const end = static_cast<unsigned char *>(here.shared) + shared_bytes;
            if (std::any_of(end, end + GUARD, [](unsigned char byte) { return byte != 0xff; }))
                return 4;
        }
    return watch_found() == nullptr ? 0 : 5;
}

extern "C" const char *mednerd_emulated_why() { return emulated::watch_found(); }
