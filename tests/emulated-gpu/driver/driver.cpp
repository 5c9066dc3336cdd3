// The CUDA driver, cuBLAS, cuBLASLt and cuRAND as far as the worker `mednerd-cuda` calls them: kernels are the emulation's, found by their names. A
// stream is a thread that does one thing after the other while the host goes on; copies from and to pinned memory too are done then. So the
// worker's own program, candle and cudarc run where there is no GPU. Memory that was not written is NaN, and so is
// memory that was given back, of the host too; what is written around an allocation is told as an illegal address.
//
// MEDNERD_EMULATED_MEMORY: bytes of device memory (4 GiB). MEDNERD_EMULATED_FAULT: a file whose word is what the next launch, or the
// next allocation, meets; it is taken away: `illegal`, `ecc`, `lost` (each for good, as on a GPU), `memory` and `hang`. MEDNERD_EMULATED_GRAPHS=0: captures fail. MEDNERD_EMULATED_COUNTS: a file that
// has, after each launch of a graph, how many there were, and how many allocations. MEDNERD_EMULATED_LAG: microseconds that everything on
// a stream waits before it is done. MEDNERD_EMULATED_IDLE: a file that has, after each copy to the host, how many there were, and microseconds for
// which the stream had nothing to do since the first, and since when. MEDNERD_EMULATED_CHIP: its compute capability (9.0). MEDNERD_EMULATED_OUTER_ROWS: for
// fewer rows, cuBLASLt refuses a product with a scale for each row, which its heuristic named, as H100's does where inputs are many.
// MEDNERD_EMULATED_DEAF: so often its heuristic fails at first, as 13.3's does while any stream captures. MEDNERD_EMULATED_MULTIPROCESSORS: how many
// it has (132). Products of 16 bits cuBLASLt makes in four ways: slower than cuBLAS, with other bits, not at all, and in half the time; MEDNERD_EMULATED_WAYS: a file
// that has, after each of them, how often each way was asked for.
#include "../emulation/fibres.cpp"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unistd.h>

namespace {
// CUresult.
enum { OK = 0, INVALID = 1, NO_MEMORY = 2, NO_DEVICE = 100, LOST = 46, ECC = 214, NO_SYSTEM = 304, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL = 700, BAD_LAUNCH = 719, NO_CAPTURE = 900 };

const size_t AROUND = 256;
// The driver takes so much along with a command, from any memory.
const size_t ALONG = 64 << 10;
// These too outlive whatever ends the process. `device` is held while something is done, before `all`, which is never held for long.
std::mutex &device = *new std::mutex;
std::recursive_mutex &all = *new std::recursive_mutex;
// As the host sees them, and as they lie; and pinned memory of the host.
std::map<uintptr_t, size_t> &allocations = *new std::map<uintptr_t, size_t>;
std::map<uintptr_t, size_t> &places = *new std::map<uintptr_t, size_t>;
std::map<uintptr_t, size_t> &pinned = *new std::map<uintptr_t, size_t>;
size_t used, graphs, made;
std::atomic<int> broken;
int context, pool, generator;

using Work = std::function<int()>;
using Clock = std::chrono::steady_clock;

long setting(const char *name) {
    const char *set = std::getenv(name);
    return set ? std::atol(set) : 0;
}

long long microseconds(Clock::duration time) { return std::chrono::duration_cast<std::chrono::microseconds>(time).count(); }

// Milliseconds that products took on the stream whose thread this is, as events tell them.
thread_local float spent = 0;

// What is enqueued is done by its thread, or captured.
struct Stream {
    bool capturing = false;
    std::vector<Work> captured;
    std::mutex one;
    std::condition_variable changed;
    std::deque<Work> waiting;
    bool busy = false, ending = false;
    Clock::duration idle{};
    size_t copies = 0;
    Clock::time_point first;
    std::thread thread{[this] { serve(); }};

    void serve() {
        const std::chrono::microseconds lag(setting("MEDNERD_EMULATED_LAG"));
        std::unique_lock<std::mutex> lock(one);
        for (;;) {
            const auto since = Clock::now();
            changed.wait(lock, [&] { return ending || !waiting.empty(); });
            if (copies > 0)
                idle += Clock::now() - since;
            if (waiting.empty())
                return;
            const Work work = std::move(waiting.front());
            waiting.pop_front();
            busy = true;
            lock.unlock();
            if (lag.count() > 0)
                std::this_thread::sleep_for(lag);
            work();
            lock.lock();
            busy = false;
            changed.notify_all();
        }
    }
    void push(Work work) {
        {
            std::lock_guard<std::mutex> lock(one);
            waiting.push_back(std::move(work));
        }
        changed.notify_all();
    }
    int drain() {
        std::unique_lock<std::mutex> lock(one);
        changed.wait(lock, [&] { return waiting.empty() && !busy; });
        return broken;
    }
    ~Stream() {
        {
            std::lock_guard<std::mutex> lock(one);
            ending = true;
        }
        changed.notify_all();
        thread.join();
    }
};
struct Blas {
    Stream *stream;
};
using Graph = std::shared_ptr<std::vector<Work>>;

// How often it was recorded, and how far the last of them is done.
struct Moment {
    std::mutex one;
    std::condition_variable changed;
    uint64_t recorded = 0, done = 0;
    // What had been spent then.
    float spent = 0;
    void wait(uint64_t until) {
        std::unique_lock<std::mutex> lock(one);
        changed.wait(lock, [&] { return done >= until; });
    }
};
using Event = std::shared_ptr<Moment>;
Event &event(void *handle) { return *static_cast<Event *>(handle); }

// Whoever asks for no stream waits for what there is: nothing else is on it.
int enqueue(void *stream, Work work) {
    auto *on = static_cast<Stream *>(stream);
    if (on == nullptr) {
        std::lock_guard<std::mutex> one(device);
        return work();
    }
    if (on->capturing)
        on->captured.push_back(std::move(work));
    else
        on->push([work = std::move(work)] {
            std::lock_guard<std::mutex> one(device);
            // A GPU that failed does nothing any more.
            return broken != 0 ? int(broken) : work();
        });
    return broken;
}

// What must not be captured.
bool captures(void *stream) { return stream != nullptr && static_cast<Stream *>(stream)->capturing; }

size_t memory() {
    const char *set = std::getenv("MEDNERD_EMULATED_MEMORY");
    return set ? std::strtoull(set, nullptr, 10) : size_t(4) << 30;
}

std::string fault() {
    const char *path = std::getenv("MEDNERD_EMULATED_FAULT");
    FILE *file = path ? std::fopen(path, "r") : nullptr;
    if (file == nullptr)
        return "";
    char word[32] = "";
    const bool read = std::fscanf(file, "%31s", word) == 1;
    std::fclose(file);
    // Who takes it away has it.
    return read && unlink(path) == 0 ? word : "";
}

// What a launch meets is told to whoever waits for it, but that there is no memory.
int strike(const std::string &word, void *stream) {
    auto *on = static_cast<Stream *>(stream);
    auto fail = [&](int error) { on->push([error] { return int(broken = error); }); };
    if (word == "illegal")
        fail(ILLEGAL);
    if (word == "ecc")
        fail(ECC);
    if (word == "lost")
        fail(LOST);
    if (word == "hang")
        on->push([] {
            for (;;)
                pause();
            return int(OK);
        });
    return word == "memory" ? int(NO_MEMORY) : int(broken);
}

// Compute capability, as 90 for 9.0.
int chip() {
    const char *set = std::getenv("MEDNERD_EMULATED_CHIP");
    return set ? int(10 * std::atof(set) + 0.5) : 90;
}

// Whether `size` bytes from here on are of one of these.
bool within(const std::map<uintptr_t, size_t> &of, uintptr_t place, size_t size) {
    auto next = of.upper_bound(place);
    if (next == of.begin())
        return false;
    const auto [start, length] = *--next;
    return place + size <= start + length;
}
bool holds(uintptr_t place, size_t size) { return within(allocations, place, size); }

bool intact(uintptr_t start, size_t size) {
    const unsigned char *around[] = {reinterpret_cast<unsigned char *>(start - AROUND),
                                     reinterpret_cast<unsigned char *>(start + size)};
    for (const unsigned char *bytes : around)
        for (size_t i = 0; i < AROUND; i++)
            if (bytes[i] != 0xff)
                return false;
    return true;
}

int allocate(uintptr_t *place, size_t size) {
    std::lock_guard<std::recursive_mutex> one(all);
    if (size == 0)
        return INVALID;
    if (used + size > memory())
        return NO_MEMORY;
    auto *bytes = static_cast<unsigned char *>(std::aligned_alloc(256, (size + 2 * AROUND + 255) / 256 * 256));
    std::memset(bytes, 0xff, size + 2 * AROUND);
    *place = reinterpret_cast<uintptr_t>(bytes + AROUND);
    allocations[*place] = places[*place] = size;
    used += size;
    made++;
    return broken;
}

// The host does not see it any more; it goes when the stream has come so far, and others on that stream may have it from then on.
int release(uintptr_t place, void *stream) {
    std::lock_guard<std::recursive_mutex> one(all);
    auto found = allocations.find(place);
    if (found == allocations.end())
        return INVALID;
    const size_t size = found->second;
    used -= size;
    allocations.erase(found);
    return enqueue(stream, [=] {
        std::lock_guard<std::recursive_mutex> one(all);
        if (!intact(place, size))
            broken = ILLEGAL;
        places.erase(place);
        // Who still reads it reads NaN.
        std::memset(reinterpret_cast<void *>(place), 0xff, size);
        std::free(reinterpret_cast<unsigned char *>(place) - AROUND);
        return int(broken);
    });
}

// A copy, one side of which is memory of the host: pinned, it is read or written when the stream has come so far. Else, what the driver does not
// take along it waits with.
int copy(void *to, const void *from, size_t size, const void *host, void *stream, Work behind = nullptr) {
    const bool is_pinned = [&] {
        std::lock_guard<std::recursive_mutex> one(all);
        return within(pinned, reinterpret_cast<uintptr_t>(host), size);
    }();
    auto *on = static_cast<Stream *>(stream);
    if (is_pinned)
        return enqueue(stream, [=] {
            std::memcpy(to, from, size);
            return behind ? behind() : int(OK);
        });
    if (host == from && size <= ALONG && on != nullptr) {
        auto taken = std::make_shared<std::vector<char>>(static_cast<const char *>(from), static_cast<const char *>(from) + size);
        return enqueue(stream, [=] {
            std::memcpy(to, taken->data(), size);
            return int(OK);
        });
    }
    if (on != nullptr)
        if (int error = on->drain())
            return error;
    std::memcpy(to, from, size);
    return behind ? behind() : int(broken);
}

float number(const void *values, int type, size_t index) {
    switch (type) {
    case 0:
        return static_cast<const float *>(values)[index];
    case 2:
        return widen(static_cast<const half_t *>(values)[index]);
    default:
        return widen(static_cast<const bfloat_t *>(values)[index]);
    }
}
} // namespace

extern "C" {
int cuInit(unsigned) {
    // As drivers from 570 on do: where a sandbox keeps them from it they go no further.
    const std::string own = "/proc/" + std::to_string(getpid()) + "/task/" + std::to_string(gettid()) + "/comm";
    std::string name;
    std::ifstream(own) >> name;
    if (!(std::ofstream(own) << name).flush() || !std::ifstream("/proc/sys/vm/mmap_min_addr"))
        return NO_SYSTEM;
    const char *none = std::getenv("MEDNERD_EMULATED_GPUS");
    return none && none[0] == '0' ? NO_DEVICE : OK;
}
int cuDriverGetVersion(int *version) {
    *version = 13000;
    return OK;
}
int cuDeviceGetCount(int *count) {
    *count = 1;
    return OK;
}
int cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return ordinal == 0 ? OK : INVALID;
}
int cuDeviceGetName(char *name, int length, int) {
    std::snprintf(name, size_t(length), "Emulated GPU");
    return OK;
}
int cuDeviceGetAttribute(int *value, int attribute, int) {
    const std::pair<int, int> known[] = {
        {1, 1024},   // threads of a block
        {10, 32},    // threads of a warp
        {16, setting("MEDNERD_EMULATED_MULTIPROCESSORS") ? int(setting("MEDNERD_EMULATED_MULTIPROCESSORS")) : 132},
        {75, chip() / 10}, // compute capability
        {76, chip() % 10},
        {81, 233472}, // shared memory of a multiprocessor
        {97, 232448}, // shared memory of a block
        {115, 1},    // memory pools
    };
    *value = 0;
    for (auto [name, number] : known)
        if (name == attribute)
            *value = number;
    return OK;
}
int cuDevicePrimaryCtxRetain(void **found, int) {
    *found = &context;
    return OK;
}
int cuDevicePrimaryCtxRelease_v2(int) { return OK; }
int cuCtxSetCurrent(void *) { return OK; }
int cuCtxGetCurrent(void **found) {
    *found = &context;
    return OK;
}
int cuCtxSynchronize() { return broken; }
int cuCtxSetFlags(unsigned) { return OK; }
int cuStreamCreate(void **found, unsigned) {
    *found = new Stream;
    return OK;
}
int cuStreamDestroy_v2(void *stream) {
    delete static_cast<Stream *>(stream);
    return OK;
}
int cuStreamSynchronize(void *stream) { return captures(stream) ? int(NO_CAPTURE) : static_cast<Stream *>(stream)->drain(); }
int cuStreamBeginCapture_v2(void *stream, int) {
    const char *none = std::getenv("MEDNERD_EMULATED_GRAPHS");
    if (captures(stream) || (none && none[0] == '0'))
        return NO_CAPTURE;
    static_cast<Stream *>(stream)->capturing = true;
    return OK;
}
int cuStreamEndCapture(void *stream, void **graph) {
    auto *on = static_cast<Stream *>(stream);
    if (!on->capturing)
        return INVALID;
    *graph = new Graph(std::make_shared<std::vector<Work>>(std::move(on->captured)));
    on->captured.clear();
    on->capturing = false;
    return OK;
}
int cuGraphInstantiateWithFlags(void **made, void *graph, unsigned long long) {
    *made = new Graph(*static_cast<Graph *>(graph));
    return OK;
}
int cuGraphLaunch(void *graph, void *stream) {
    std::lock_guard<std::recursive_mutex> one(all);
    if (captures(stream))
        return NO_CAPTURE;
    if (int error = strike(fault(), stream))
        return error;
    enqueue(stream, [graph = *static_cast<Graph *>(graph)] {
        for (const auto &work : *graph)
            if (int error = work())
                return error;
        return int(OK);
    });
    graphs++;
    if (const char *path = std::getenv("MEDNERD_EMULATED_COUNTS"))
        if (FILE *file = std::fopen(path, "w")) {
            std::fprintf(file, "%zu %zu", graphs, made);
            std::fclose(file);
        }
    return OK;
}
int cuGraphDestroy(void *graph) {
    delete static_cast<Graph *>(graph);
    return OK;
}
int cuGraphExecDestroy(void *graph) { return cuGraphDestroy(graph); }
int cuStreamWaitEvent(void *stream, void *handle, unsigned) {
    auto moment = event(handle);
    std::lock_guard<std::mutex> one(moment->one);
    // Not on the device, where others go on.
    static_cast<Stream *>(stream)->push([moment, until = moment->recorded] {
        moment->wait(until);
        return int(OK);
    });
    return broken;
}
int cuEventCreate(void **found, unsigned) {
    *found = new Event(std::make_shared<Moment>());
    return OK;
}
int cuEventRecord(void *handle, void *stream) {
    auto moment = event(handle);
    std::lock_guard<std::mutex> one(moment->one);
    static_cast<Stream *>(stream)->push([moment, now = ++moment->recorded] {
        {
            std::lock_guard<std::mutex> one(moment->one);
            moment->done = now;
            moment->spent = spent;
        }
        moment->changed.notify_all();
        return int(OK);
    });
    return broken;
}
int cuEventQuery(void *handle) {
    auto &moment = *event(handle);
    std::lock_guard<std::mutex> one(moment.one);
    return broken != 0 ? int(broken) : moment.done >= moment.recorded ? int(OK) : int(NOT_READY);
}
int cuEventSynchronize(void *handle) {
    auto moment = event(handle);
    const uint64_t until = [&] {
        std::lock_guard<std::mutex> one(moment->one);
        return moment->recorded;
    }();
    moment->wait(until);
    return broken;
}
int cuEventElapsedTime_v2(float *milliseconds, void *begin, void *end) {
    if (int error = cuEventQuery(end))
        return error;
    *milliseconds = event(end)->spent - event(begin)->spent;
    return OK;
}
int cuEventDestroy_v2(void *handle) {
    delete static_cast<Event *>(handle);
    return OK;
}
int cuGetErrorName(int error, const char **name) {
    switch (error) {
    case NO_MEMORY:
        *name = "CUDA_ERROR_OUT_OF_MEMORY";
        break;
    case NO_DEVICE:
        *name = "CUDA_ERROR_NO_DEVICE";
        break;
    case LOST:
        *name = "CUDA_ERROR_DEVICE_UNAVAILABLE";
        break;
    case ECC:
        *name = "CUDA_ERROR_ECC_UNCORRECTABLE";
        break;
    case ILLEGAL:
        *name = "CUDA_ERROR_ILLEGAL_ADDRESS";
        break;
    case NOT_READY:
        *name = "CUDA_ERROR_NOT_READY";
        break;
    case NO_CAPTURE:
        *name = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED";
        break;
    case BAD_LAUNCH:
        *name = "CUDA_ERROR_LAUNCH_FAILED";
        break;
    default:
        *name = "CUDA_ERROR_INVALID_VALUE";
    }
    return OK;
}
int cuGetErrorString(int error, const char **name) { return cuGetErrorName(error, name); }

int cuMemGetInfo_v2(size_t *free, size_t *total) {
    std::lock_guard<std::recursive_mutex> one(all);
    *total = memory();
    *free = *total - used;
    return broken;
}
int cuDeviceTotalMem_v2(size_t *total, int) {
    *total = memory();
    return OK;
}
int cuDeviceGetDefaultMemPool(void **found, int) {
    *found = &pool;
    return OK;
}
int cuDeviceGetMemPool(void **found, int) {
    *found = &pool;
    return OK;
}
// The one that the worker sets: how much a pool keeps.
int cuMemPoolSetAttribute(void *of, int attribute, void *) {
    // What is reused across streams, and what is released.
    return of == &pool && (attribute == 3 || attribute == 4) ? OK : INVALID;
}
int cuMemAlloc_v2(uintptr_t *place, size_t size) { return allocate(place, size); }
int cuMemAllocAsync(uintptr_t *place, size_t size, void *stream) { return captures(stream) ? int(NO_CAPTURE) : allocate(place, size); }
int cuMemFree_v2(uintptr_t place) { return release(place, nullptr); }
int cuMemFreeAsync(uintptr_t place, void *stream) { return captures(stream) ? int(NO_CAPTURE) : release(place, stream); }

int cuMemHostAlloc(void **to, size_t size, unsigned int) {
    std::lock_guard<std::recursive_mutex> one(all);
    if ((*to = std::malloc(size)) == nullptr)
        return NO_MEMORY;
    pinned[reinterpret_cast<uintptr_t>(*to)] = size;
    return broken;
}
int cuMemFreeHost(void *place) {
    std::lock_guard<std::recursive_mutex> one(all);
    auto found = pinned.find(reinterpret_cast<uintptr_t>(place));
    if (found == pinned.end())
        return INVALID;
    // Left where it is: what still reads it reads NaN.
    std::memset(place, 0xff, found->second);
    pinned.erase(found);
    return broken;
}

int cuMemcpyHtoDAsync_v2(uintptr_t to, const void *from, size_t size, void *stream) {
    if (std::lock_guard<std::recursive_mutex> one(all); captures(stream) || !holds(to, size))
        return INVALID;
    return copy(reinterpret_cast<void *>(to), from, size, from, stream);
}
int cuMemcpyHtoD_v2(uintptr_t to, const void *from, size_t size) { return cuMemcpyHtoDAsync_v2(to, from, size, nullptr); }
int cuMemcpyDtoHAsync_v2(void *to, uintptr_t from, size_t size, void *stream) {
    if (std::lock_guard<std::recursive_mutex> one(all); captures(stream) || !holds(from, size))
        return INVALID;
    auto *on = static_cast<Stream *>(stream);
    return copy(to, reinterpret_cast<const void *>(from), size, to, stream, [on] {
        const char *path = std::getenv("MEDNERD_EMULATED_IDLE");
        if (path == nullptr || on == nullptr)
            return int(OK);
        std::lock_guard<std::mutex> one(on->one);
        if (on->copies++ == 0)
            on->first = Clock::now();
        if (FILE *file = std::fopen(path, "w")) {
            std::fprintf(file, "%zu %lld %lld", on->copies, microseconds(on->idle), microseconds(Clock::now() - on->first));
            std::fclose(file);
        }
        return int(OK);
    });
}
int cuMemcpyDtoH_v2(void *to, uintptr_t from, size_t size) { return cuMemcpyDtoHAsync_v2(to, from, size, nullptr); }
int cuMemcpyDtoDAsync_v2(uintptr_t to, uintptr_t from, size_t size, void *stream) {
    std::lock_guard<std::recursive_mutex> one(all);
    if (!holds(to, size) || !holds(from, size))
        return INVALID;
    return enqueue(stream, [=] {
        std::memmove(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), size);
        return int(OK);
    });
}
int cuMemsetD8Async(uintptr_t to, unsigned char value, size_t size, void *stream) {
    std::lock_guard<std::recursive_mutex> one(all);
    if (!holds(to, size))
        return INVALID;
    return enqueue(stream, [=] {
        std::memset(reinterpret_cast<void *>(to), value, size);
        return int(OK);
    });
}

// A fat binary says so.
int cuModuleLoadData(void **found, const void *image) {
    uint32_t magic;
    std::memcpy(&magic, image, sizeof magic);
    *found = const_cast<void *>(image);
    return magic == 0xba55ed50 ? OK : INVALID;
}
int cuModuleUnload(void *) { return OK; }
int cuModuleGetFunction(void **found, void *, const char *name) {
    *found = const_cast<Known *>(find_kernel(name));
    return *found == nullptr ? NOT_FOUND : OK;
}
// 8: the most dynamic shared memory.
int cuFuncSetAttribute(void *, int attribute, int value) { return attribute == 8 && value <= 232448 ? OK : INVALID; }

int cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned block_x, unsigned block_y, unsigned block_z,
                   unsigned shared_bytes, void *stream, void **parameters, void **extra) {
    std::lock_guard<std::recursive_mutex> one(all);
    if (!captures(stream))
        if (int error = strike(fault(), stream))
            return error;
    if (x == 0 || y == 0 || y > 65535 || z != 1 || block_x == 0 || block_x > 1024 || block_y != 1 || block_z != 1 ||
        shared_bytes > 232448 || extra != nullptr)
        return INVALID;
    const auto *kernel = static_cast<const Known *>(function);
    std::vector<size_t> sizes;
    std::vector<uint64_t> values;
    for (size_t i = 0; i < kernel->count; i++) {
        sizes.push_back(kernel->size(i));
        uint64_t value = 0;
        std::memcpy(&value, parameters[i], sizes[i]);
        values.push_back(value);
    }
    return enqueue(stream, [=]() mutable {
        const uint32_t grid[] = {x, y};
        static uint64_t seed = 1;
        seed += 0x9e3779b97f4a7c15;
        std::vector<void *> given;
        for (uint64_t &value : values)
            given.push_back(&value);
        if (mednerd_emulate(kernel->name, grid, block_x, shared_bytes, given.data(), sizes.data(), sizes.size(), seed, false) != 0)
            return int(broken = BAD_LAUNCH);
        std::lock_guard<std::recursive_mutex> one(all);
        for (auto [start, size] : places)
            if (!intact(start, size))
                return int(broken = ILLEGAL);
        return int(OK);
    });
}

// cuBLAS.
const float TIME_OF_CUBLAS = 1;
int cublasCreate_v2(void **found) {
    *found = new Blas{};
    return OK;
}
int cublasDestroy_v2(void *handle) {
    delete static_cast<Blas *>(handle);
    return OK;
}
int cublasSetStream_v2(void *handle, void *stream) {
    static_cast<Blas *>(handle)->stream = static_cast<Stream *>(stream);
    return OK;
}
int cublasSetMathMode(void *, int) { return OK; }
// 13.0.0.
int cublasGetProperty(int part, int *value) {
    *value = part == 0 ? 13 : 0;
    return OK;
}
int cublasSetWorkspace_v2(void *, void *place, size_t size) {
    std::lock_guard<std::recursive_mutex> one(all);
    return holds(reinterpret_cast<uintptr_t>(place), size) ? OK : 7;
}
int cublasGemmEx(void *handle, int across_a, int across_b, int m, int n, int k, const void *alpha, const void *a, int a_type,
                 int lda, const void *b, int b_type, int ldb, const void *beta, void *c, int c_type, int ldc, int compute, int) {
    std::lock_guard<std::recursive_mutex> one(all);
    // CUBLAS_COMPUTE_32F: sums in single precision, and no TF32.
    const bool known_type = a_type == 0 || a_type == 2 || a_type == 14;
    if (compute != 68 || !known_type || b_type != a_type || c_type != a_type)
        return 15;
    const size_t size = a_type == 0 ? 4 : 2;
    const float scale = *static_cast<const float *>(alpha), kept = *static_cast<const float *>(beta);
    if (kept != 0 || broken != 0)
        return 13;
    // In columns, each `ld` after the one before.
    auto fits = [&](const void *values, int rows, int columns, int ld) {
        const size_t last = size_t(ld) * size_t(columns - 1) + size_t(rows);
        return ld >= rows && holds(reinterpret_cast<uintptr_t>(values), last * size);
    };
    if (!fits(a, across_a ? k : m, across_a ? m : k, lda) || !fits(b, across_b ? n : k, across_b ? k : n, ldb) || !fits(c, m, n, ldc))
        return 7;
    return enqueue(static_cast<Blas *>(handle)->stream, [=] {
        spent += TIME_OF_CUBLAS;
        std::vector<float> left(size_t(m) * size_t(k)), right(size_t(n) * size_t(k));
        for (size_t i = 0; i < size_t(m); i++)
            for (size_t p = 0; p < size_t(k); p++)
                left[i * k + p] = number(a, a_type, across_a ? p + i * lda : i + p * lda);
        for (size_t j = 0; j < size_t(n); j++)
            for (size_t p = 0; p < size_t(k); p++)
                right[j * k + p] = number(b, b_type, across_b ? j + p * ldb : p + j * ldb);
        for (size_t j = 0; j < size_t(n); j++)
            for (size_t i = 0; i < size_t(m); i++) {
                float sum = 0;
                for (size_t p = 0; p < size_t(k); p++)
                    sum += left[i * k + p] * right[j * k + p];
                const size_t place = i + j * ldc;
                if (c_type == 0)
                    static_cast<float *>(c)[place] = scale * sum;
                else if (c_type == 2)
                    narrow(static_cast<half_t *>(c) + place, scale * sum);
                else
                    narrow(static_cast<bfloat_t *>(c) + place, scale * sum);
            }
        return int(OK);
    });
}

// cuBLASLt: products in 8 bits, as its manual describes them, and in 16.
struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t apart;
};
struct Operation {
    int32_t across_a, across_b, a_mode, b_mode;
    const float *a_scales, *b_scales;
};
struct Algorithm {
    // Whose heuristic gave it; for scales of rows; for which sizes; which way.
    uint64_t magic, outer, m, k, way, rest[3];
};
struct Heuristic {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};
enum { LT_INVALID = 7, LT_INTERNAL = 14, LT_UNSUPPORTED = 15, OUTER_VECTOR = 3 };
const uint64_t LT_MAGIC = 0x6c745f3866626974, LT_WORKSPACE = 1 << 20;
enum { SLOWER, OTHER_BITS, REFUSED, FASTER, WAYS };
const float TIME_OF_WAYS[] = {1.2f, 0.1f, 0.1f, 0.5f};
struct Preference {
    size_t workspace;
    // Of 16 bits: sums that are made in parts are none of ours.
    uint32_t reductions;
};
bool is_half(int type) { return type == 2 || type == 14; }

size_t cublasLtGetVersion() { return 130000; }
int cublasLtCreate(void **found) {
    *found = &generator;
    return OK;
}
int cublasLtMatrixLayoutCreate(void **found, int type, uint64_t rows, uint64_t columns, int64_t apart) {
    *found = new Layout{type, rows, columns, apart};
    return OK;
}
int cublasLtMatrixLayoutDestroy(void *layout) {
    delete static_cast<Layout *>(layout);
    return OK;
}
int cublasLtMatmulDescCreate(void **found, int compute, int scale) {
    // Sums and scales in single precision.
    if (compute != 68 || scale != 0)
        return LT_UNSUPPORTED;
    *found = new Operation{};
    return OK;
}
int cublasLtMatmulDescDestroy(void *operation) {
    delete static_cast<Operation *>(operation);
    return OK;
}
int cublasLtMatmulDescSetAttribute(void *operation, int attribute, const void *value, size_t size) {
    auto *of = static_cast<Operation *>(operation);
    void *const places[] = {&of->across_a, &of->across_b, &of->a_mode, &of->b_mode, &of->a_scales, &of->b_scales};
    const int attributes[] = {3, 4, 31, 32, 17, 18};
    for (size_t i = 0; i < 6; i++)
        if (attributes[i] == attribute && size == (i < 4 ? 4 : 8)) {
            std::memcpy(places[i], value, size);
            return OK;
        }
    return LT_INVALID;
}
int cublasLtMatmulPreferenceCreate(void **found) {
    *found = new Preference{0, ~0u};
    return OK;
}
int cublasLtMatmulPreferenceDestroy(void *preference) {
    delete static_cast<Preference *>(preference);
    return OK;
}
int cublasLtMatmulPreferenceSetAttribute(void *preference, int attribute, const void *value, size_t size) {
    auto *of = static_cast<Preference *>(preference);
    if (attribute == 1 && size == sizeof of->workspace)
        std::memcpy(&of->workspace, value, size);
    else if (attribute == 3 && size == sizeof of->reductions)
        std::memcpy(&of->reductions, value, size);
    else
        return LT_INVALID;
    return OK;
}

// What there are products for: e4m3 from 8.9 on, the left side across, whole multiples of 16, a scale for each row on 9.0 alone.
static int lt_supports(const Operation &of, const Layout &a, const Layout &b, const Layout &d) {
    const bool outer = of.a_mode == OUTER_VECTOR;
    const bool half = is_half(a.type);
    if (half ? b.type != a.type || d.type != a.type || of.a_mode != 0 : chip() < 89 || a.type != 28 || b.type != 28 || d.type != 14)
        return LT_UNSUPPORTED;
    if (of.across_a != 1 || of.across_b != 0 || of.a_mode != of.b_mode || (outer ? chip() != 90 : of.a_mode != 0 || of.a_scales || of.b_scales))
        return LT_UNSUPPORTED;
    if (a.rows != b.rows || a.columns != d.rows || b.columns != d.columns)
        return LT_INVALID;
    for (const Layout *one : {&a, &b, &d})
        if ((!half && (one->rows % 16 || one->columns % 16)) || one->apart != int64_t(one->rows))
            return LT_UNSUPPORTED;
    return OK;
}
int cublasLtMatmulAlgoGetHeuristic(void *, void *operation, void *a, void *b, void *, void *d, void *preference, int wanted,
                                   Heuristic *found, int *count) {
    const auto &of = *static_cast<Operation *>(operation);
    const auto &left = *static_cast<Layout *>(a);
    const int error = lt_supports(of, left, *static_cast<Layout *>(b), *static_cast<Layout *>(d));
    *count = 0;
    static std::atomic<long> asked{0};
    if (asked++ < setting("MEDNERD_EMULATED_DEAF"))
        return LT_INTERNAL;
    const auto &preferred = *static_cast<Preference *>(preference);
    const bool half = is_half(left.type);
    if (error != OK || wanted < 1 || preferred.workspace < LT_WORKSPACE || (half && preferred.reductions != 0))
        return error != OK ? error : LT_UNSUPPORTED;
    for (int way = 0; way < (half ? WAYS : 1) && way < wanted; way++) {
        found[way] = {{LT_MAGIC, of.a_mode == OUTER_VECTOR, left.columns, left.rows, uint64_t(way), {}}, LT_WORKSPACE, OK, 1, {}};
        *count = way + 1;
    }
    return OK;
}
int cublasLtMatmul(void *, void *operation, const void *alpha, const void *a, void *a_layout, const void *b, void *b_layout,
                   const void *beta, const void *, void *, void *d, void *d_layout, const Algorithm *algorithm, void *workspace,
                   size_t bytes, void *stream) {
    std::lock_guard<std::recursive_mutex> one(all);
    const Operation of = *static_cast<Operation *>(operation);
    const Layout left = *static_cast<Layout *>(a_layout), right = *static_cast<Layout *>(b_layout);
    if (const int error = lt_supports(of, left, right, *static_cast<Layout *>(d_layout)))
        return error;
    const size_t m = left.columns, n = right.columns, k = left.rows;
    const bool outer = of.a_mode == OUTER_VECTOR;
    if (outer && long(n) < setting("MEDNERD_EMULATED_OUTER_ROWS"))
        return LT_UNSUPPORTED;
    const bool half = is_half(left.type);
    const size_t read = half ? 2 : 1;
    auto fits = [](const void *place, size_t size) {
        const auto address = reinterpret_cast<uintptr_t>(place);
        return address % 16 == 0 && holds(address, size);
    };
    if (*static_cast<const float *>(alpha) != 1 || *static_cast<const float *>(beta) != 0 || algorithm->magic != LT_MAGIC ||
        algorithm->outer != outer || algorithm->m != m || algorithm->k != k || bytes < LT_WORKSPACE || !fits(workspace, bytes) ||
        !fits(a, read * m * k) || !fits(b, read * n * k) || !fits(d, 2 * m * n) || (outer && (!fits(of.a_scales, 4 * m) || !fits(of.b_scales, 4 * n))))
        return LT_INVALID;
    const uint64_t way = algorithm->way;
    if (half) {
        static std::array<size_t, WAYS> asked{};
        asked[way]++;
        if (const char *path = std::getenv("MEDNERD_EMULATED_WAYS"))
            if (FILE *file = std::fopen(path, "w")) {
                std::fprintf(file, "%zu %zu %zu %zu", asked[SLOWER], asked[OTHER_BITS], asked[REFUSED], asked[FASTER]);
                std::fclose(file);
            }
        if (way == REFUSED)
            return LT_UNSUPPORTED;
    }
    return enqueue(stream, [=, type = left.type] {
        spent += TIME_OF_WAYS[way];
        float e4m3[256];
        for (int bits = 0; bits < 256; bits++)
            e4m3[bits] = widen(e4m3_t{uint8_t(bits)});
        auto widened = [&](const void *from, size_t count) {
            std::vector<float> values(count);
            for (size_t i = 0; i < count; i++)
                values[i] = half ? number(from, type, i) : e4m3[static_cast<const uint8_t *>(from)[i]];
            return values;
        };
        const std::vector<float> weight = widened(a, m * k), x = widened(b, n * k);
        for (size_t j = 0; j < n; j++)
            for (size_t i = 0; i < m; i++) {
                float sum = 0;
                for (size_t p = 0; p < k; p++)
                    sum += weight[i * k + p] * x[j * k + p];
                if (outer)
                    sum = sum * of.a_scales[i] * of.b_scales[j];
                if (half && way == OTHER_BITS)
                    sum *= 1.02f;
                if (type == 2)
                    narrow(static_cast<half_t *>(d) + i + j * m, sum);
                else
                    narrow(static_cast<bfloat_t *>(d) + i + j * m, sum);
            }
        // Whatever was in there.
        std::memset(workspace, 0xff, LT_WORKSPACE);
        return int(OK);
    });
}

// cuRAND, which candle opens and nobody asks for a number.
int curandCreateGenerator(void **found, int) {
    *found = &generator;
    return OK;
}
int curandDestroyGenerator(void *) { return OK; }
int curandSetStream(void *, void *) { return OK; }
int curandSetPseudoRandomGeneratorSeed(void *, unsigned long long) { return OK; }
int curandSetGeneratorOffset(void *, unsigned long long) { return OK; }
}
