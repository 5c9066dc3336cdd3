#include "watch.h"
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <unordered_map>
#include <vector>

// Where the program, or the library that this is in, begins in memory.
extern "C" const char __ehdr_start __attribute__((visibility("hidden")));

namespace emulated {
Watch watch;

namespace {
struct Access {
    uint32_t interval, step, thread;
    uint32_t where;
};

// The last accesses to a byte. Reads: the last one, and the last ones before it of another lane of its warp, another warp of
// its block and another block, which is all that it takes to tell whether a write comes too early.
struct Byte {
    Access write, read, by_lane, by_warp, by_block;
    // How often the thread that wrote had shown what it wrote to products.
    uint32_t shown;
};

const size_t PAGE = 256, MOST_PAGES = 8192;
struct Page {
    Byte bytes[PAGE];
};

// Intervals begin at 1, so that no access is one of interval 0.
uint32_t of_launch = 1, of_block = 1;
std::unordered_map<uintptr_t, std::unique_ptr<Page>> &pages = *new std::unordered_map<uintptr_t, std::unique_ptr<Page>>;
std::vector<Byte> &shared_bytes = *new std::vector<Byte>;
uintptr_t last_number;
Page *last_page;
char found[400];

// For each thread of a block, in which intervals it showed what it had written to products, and when it began some: a number that grows.
std::vector<std::vector<uint32_t>> &shown = *new std::vector<std::vector<uint32_t>>;
std::vector<uint32_t> &begun = *new std::vector<uint32_t>;
uint32_t now = 1;
// When each word of fibres' stacks was touched last, or that a product has it.
const uint32_t PENDING = UINT32_MAX;
uint32_t *registers;

template <typename F> void each_register(const void *at, size_t size, F use) {
    if (registers == nullptr)
        // Pages that nobody touches are none.
        registers = static_cast<uint32_t *>(std::calloc((watch.stacks_end - watch.stacks) / 4, sizeof *registers));
    const uintptr_t begin = reinterpret_cast<uintptr_t>(at) - watch.stacks;
    for (uintptr_t i = begin / 4; i <= (begin + size - 1) / 4; i++)
        use(registers[i]);
}

Page &page_of(uintptr_t number) {
    if (last_page == nullptr || number != last_number) {
        std::unique_ptr<Page> &page = pages[number];
        if (!page)
            page.reset(new Page{});
        last_number = number;
        last_page = page.get();
    }
    return *last_page;
}

bool in_launch(const Access &access) { return access.interval >= of_launch; }
bool of_other_block(const Access &access) { return in_launch(access) && access.interval < of_block; }

// A copy under way is of a thread of its own, of no warp, and so is a product.
const uint32_t COPIES = 1 << 16, PRODUCTS = 1 << 17;

bool meets(const Access &before, uint32_t thread) {
    if (before.interval != watch.interval)
        return of_other_block(before);
    return before.thread != thread && (before.thread / 32 != thread / 32 || before.step == watch.step);
}

void tell(const Access &before, bool wrote, bool writes, uint32_t where, uintptr_t at) {
    if (found[0] != 0)
        return;
    const bool is_shared = at - watch.shared < watch.shared_end - watch.shared;
    std::snprintf(found, sizeof found, "thread %u %s at +0x%x, thread %u of %s %s at +0x%x, and no barrier between them: %s %#zx",
                  before.thread % COPIES, before.thread >= PRODUCTS ? "has a product that reads" : before.thread >= COPIES ? "has a copy begun" : wrote ? "writes" : "reads", before.where, watch.thread,
                  before.interval == watch.interval ? "its block" : "another block", writes ? "writes" : "reads", where,
                  is_shared ? "byte of shared memory" : "address", size_t(is_shared ? at - watch.shared : at));
}

} // namespace

void watch_launch(size_t shared) {
    of_launch = of_block = ++watch.interval;
    shared_bytes.resize(shared);
    if (pages.size() > MOST_PAGES) {
        pages.clear();
        last_page = nullptr;
    }
    found[0] = 0;
}

void watch_block() {
    of_block = ++watch.interval;
    shown.clear();
    begun.clear();
}

const char *watch_found() { return found[0] == 0 ? nullptr : found; }

void watch_tell(const char *what) {
    if (found[0] == 0)
        std::snprintf(found, sizeof found, "thread %u %s", watch.thread, what);
}

namespace {
// By `thread`, which is the one that runs, or that of its copies; `settles`: it ends a copy of its own.
void access_by(uint32_t thread, const void *at, size_t size, bool writes, const void *where, bool settles) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(at);
    if (!watch.on)
        return;
    if (begin - watch.stacks < watch.stacks_end - watch.stacks)
        return each_register(at, size, [](uint32_t &touched) {
            if (touched == PENDING)
                watch_tell("touches registers of a product before it was waited for");
            else
                touched = now;
        });
    const bool is_shared = begin - watch.shared < watch.shared_end - watch.shared;
    const Access access = {watch.interval, watch.step, thread, uint32_t(static_cast<const char *>(where) - &__ehdr_start)};
    for (uintptr_t i = begin; i < begin + size; i++) {
        // Beyond shared memory's end is told otherwise.
        if (is_shared && i >= watch.shared_end)
            return;
        Byte &byte = is_shared ? shared_bytes[i - watch.shared] : page_of(i / PAGE).bytes[i % PAGE];
        // Shared memory has nothing of other blocks in it.
        const auto comes_too_early = [&](const Access &before) {
            return meets(before, thread) && !(is_shared && of_other_block(before)) &&
                   !(settles && before.thread == thread + COPIES);
        };
        if (comes_too_early(byte.write))
            tell(byte.write, true, writes, access.where, i);
        if (writes) {
            for (const Access *read : {&byte.read, &byte.by_lane, &byte.by_warp, &byte.by_block})
                if (comes_too_early(*read))
                    tell(*read, false, true, access.where, i);
            byte.write = access;
            byte.shown = thread < shown.size() ? uint32_t(shown[thread].size()) : 0;
            continue;
        }
        const Access &last = byte.read;
        if (last.interval == access.interval) {
            if (last.thread / 32 != access.thread / 32) {
                byte.by_warp = last;
                byte.by_lane = {};
            } else if (last.thread != access.thread) {
                byte.by_lane = last;
            }
        } else if (of_other_block(last)) {
            byte.by_block = last;
        }
        byte.read = access;
    }
}
} // namespace

void watch_access(const void *at, size_t size, bool writes, const void *where) {
    access_by(watch.thread, at, size, writes, where, false);
}

void watch_whole(const void *at, size_t size, bool writes, const void *where) {
    watch_aligned(at, size);
    watch_access(at, size, writes, where);
}

void watch_aligned(const void *at, size_t size) {
    if (watch.on && reinterpret_cast<uintptr_t>(at) % size != 0)
        watch_tell("moves bytes at once that are not aligned for it");
}

void watch_copy(const void *to, const void *from, const void *where) {
    access_by(watch.thread, from, 16, false, where, false);
    access_by(watch.thread + COPIES, to, 16, true, where, false);
}

void watch_copied(const void *to, const void *from, const void *where) {
    access_by(watch.thread, from, 16, false, where, false);
    access_by(watch.thread, to, 16, true, where, true);
}

void watch_product(const void *at, size_t size, const void *where) {
    const uint32_t thread = watch.thread / 128 * 128;
    access_by(PRODUCTS + thread, at, size, false, where, false);
    for (uintptr_t i = reinterpret_cast<uintptr_t>(at); watch.on && i < reinterpret_cast<uintptr_t>(at) + size; i++) {
        const Byte &byte = shared_bytes[i - watch.shared];
        if (byte.write.interval < of_block)
            continue;
        const uint32_t writer = byte.write.thread % COPIES;
        if (writer >= shown.size() || byte.shown >= shown[writer].size() || shown[writer][byte.shown] >= watch.interval)
            watch_tell("has a product of what was written and not shown to products before a barrier");
    }
}

void watch_show_to_products() {
    if (shown.size() <= watch.thread)
        shown.resize(watch.thread + 1);
    shown[watch.thread].push_back(watch.interval);
}

void watch_registers(const void *at, size_t size, bool pending) {
    if (!watch.on)
        return;
    const uint32_t since = watch.thread < begun.size() ? begun[watch.thread] : 0;
    each_register(at, size, [&](uint32_t &touched) {
        if (pending && touched != PENDING && touched >= since)
            watch_tell("has a product of registers that were touched since it began products");
        touched = pending ? PENDING : 0;
    });
}

void watch_begin_products() {
    if (begun.size() <= watch.thread)
        begun.resize(watch.thread + 1);
    begun[watch.thread] = ++now;
}
} // namespace emulated

// What the compiler has instrumented code call.
#define HERE __builtin_return_address(0)
#define OF_SIZE(n)                                                                                                     \
    void __tsan_read##n(void *at) { emulated::watch_whole(at, n, false, HERE); }                                       \
    void __tsan_write##n(void *at) { emulated::watch_whole(at, n, true, HERE); }
#define UNALIGNED(n)                                                                                                   \
    void __tsan_unaligned_read##n(void *at) { emulated::watch_access(at, n, false, HERE); }                            \
    void __tsan_unaligned_write##n(void *at) { emulated::watch_access(at, n, true, HERE); }
extern "C" {
OF_SIZE(1)
OF_SIZE(2)
OF_SIZE(4)
OF_SIZE(8)
OF_SIZE(16)
UNALIGNED(2)
UNALIGNED(4)
UNALIGNED(8)
UNALIGNED(16)
void __tsan_read_range(void *at, size_t size) { emulated::watch_access(at, size, false, HERE); }
void __tsan_write_range(void *at, size_t size) { emulated::watch_access(at, size, true, HERE); }
void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void **, void *) {}
void __tsan_vptr_read(void **) {}
}
