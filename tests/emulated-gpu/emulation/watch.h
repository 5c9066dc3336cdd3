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

void watch_launch(size_t shared);
void watch_block();
// As if the kernel did so at this place.
void watch_access(const void *at, size_t size, bool writes, const void *where);
// As that, at once.
void watch_whole(const void *at, size_t size, bool writes, const void *where);
// That so many bytes may be moved at once there.
void watch_aligned(const void *at, size_t size);
// A copy of 16 bytes may come at any time from the first to the second of these, which a barrier between them does not
// change: until then nobody may touch them, nor the thread that asked for it.
void watch_copy(const void *to, const void *from, const void *where);
void watch_copied(const void *to, const void *from, const void *where);
// A product by a warpgroup reads there: what was written there, its thread must have shown to products, with a barrier behind that.
void watch_product(const void *at, size_t size, const void *where);
void watch_show_to_products();
// What a fibre has on its stack as registers of a product, from when it is asked for until it was waited for: its thread must have begun products since it touched
// them last, and touches none of them meanwhile.
void watch_registers(const void *at, size_t size, bool pending);
void watch_begin_products();
// What no access is, but is wrong as well.
void watch_tell(const char *what);
// What was wrong since the launch, or null.
const char *watch_found();
} // namespace emulated
