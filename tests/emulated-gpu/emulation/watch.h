// Who reads and writes what between two barriers: of two threads that meet at a byte, one of which writes, one must be behind a
// barrier that the other has still before it. Kernels tell of each access where they are compiled with -fsanitize=thread, whose
// run-time library this is instead of.
#pragma once
#include <cstddef>
#include <cstdint>

namespace emulated {
struct Watch {
    // Of the calling thread: its number within the block, and which barriers lie behind it. No two blocks have the same `interval`, and no two
    // warps the same `step`.
    uint32_t thread, interval, step;
    // What no other thread can mean: fibres' stacks; and shared memory, which each block has for itself.
    uintptr_t stacks, stacks_end, shared, shared_end;
    bool on;
};
extern Watch watch;

void watch_launch();
void watch_block();
// As if the kernel did so at this place.
void watch_access(const void *at, size_t size, bool writes, const void *where);
// What was wrong since the launch, or null.
const char *watch_found();
} // namespace emulated
