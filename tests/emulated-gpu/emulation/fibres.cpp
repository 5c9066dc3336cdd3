// Runs kernels block by block, on one CPU thread. Each CUDA thread is a fibre with a stack of its own; the fibres of a block run in
// random order, each to its next barrier, and what they read and write between two barriers is watched.
#include "cuda.h"
#include "known.h"
#include "watch.h"

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
}

uint64_t random_state;
uint64_t random_number() {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
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
    // Aligned as a chip's is.
    std::vector<unsigned char> memory(shared_bytes + GUARD + 16);
    unsigned char *const shared = memory.data() + (16 - reinterpret_cast<uintptr_t>(memory.data()) % 16) % 16;
    here.shared = shared;
    watch.shared = reinterpret_cast<uintptr_t>(here.shared);
    watch.shared_end = watch.shared + shared_bytes;
    watch.on = watched;
    watch_launch();
    for (uint32_t y = 0; y < grid[1]; y++)
        for (uint32_t x = 0; x < grid[0]; x++) {
            here.block = {x, y, 0};
            // Every byte set: as a float, NaN.
            std::memset(memory.data(), 0xff, memory.size());
            if (int error = run_block())
                return error;
            for (size_t i = shared_bytes; i < shared_bytes + GUARD; i++)
                if (shared[i] != 0xff)
                    return 4;
        }
    return watch_found() == nullptr ? 0 : 5;
}

extern "C" const char *mednerd_emulated_why() { return emulated::watch_found(); }
