#include "core/buffers.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#include "core/system.h"

namespace handgrad {
namespace {

struct Header {
    int64_t size;    // of the class: what the block can hold
    void* base;      // what the system gave
    int64_t length;  // bytes mapped, with guard pages; 0 for malloc
};
static_assert(sizeof(Header) <= kAlignment);

struct Pool {
    std::mutex mutex;
    std::map<int64_t, std::vector<void*>> free;
    int64_t in_use = 0, cached = 0, system_calls = 0, fail_after = -1;
    int64_t limit = int64_t{1} << 30;
    bool guard = false;
};

Pool& pool() {
    static Pool* instance = [] {
        auto* made = new Pool;  // never destroyed: arrays may outlive static destructors
        if (const char* bytes = std::getenv("HANDGRAD_CACHE_BYTES")) made->limit = std::atoll(bytes);
        if (const char* guard = std::getenv("HANDGRAD_GUARD_PAGES")) made->guard = *guard == '1';
        at_fork([] { pool().mutex.lock(); }, [] { pool().mutex.unlock(); }, [] { new (&pool().mutex) std::mutex; });
        return made;
    }();
    return *instance;
}

// A std::bad_alloc that says how much was wanted.
class NoMemory : public std::bad_alloc {
  public:
    explicit NoMemory(int64_t bytes) noexcept {
        std::snprintf(text_, sizeof text_, "native engine: unable to allocate %.3g GiB (%lld bytes)",
                      static_cast<double>(bytes) / (1 << 30), static_cast<long long>(bytes));
    }
    const char* what() const noexcept override { return text_; }

  private:
    char text_[96];
};

Header* header(void* data) { return reinterpret_cast<Header*>(static_cast<char*>(data) - kAlignment); }

// Eight classes for each power of two, so that at most an eighth is wasted.
int64_t size_class(int64_t bytes) {
    if (bytes <= 512) return round_up(bytes > 0 ? bytes : 1, kAlignment);
    int64_t step = kAlignment;
    while (step * 16 < bytes) step *= 2;
    return round_up(bytes, step);
}

void* from_system(int64_t size) {
    int64_t length = plus(size, kAlignment);
    void* base = aligned_memory(length, kAlignment);
    if (!base) throw NoMemory(size);
    void* data = static_cast<char*>(base) + kAlignment;
    *header(data) = {size, base, 0};
    return data;
}

// The block ends at an unmapped page, so that any access behind it is a fault.
void* from_system_guarded(int64_t size) {
    const Guarded block = guarded_memory(plus(size, kAlignment));
    if (!block.base) throw NoMemory(size);
    void* data = static_cast<char*>(block.base) + block.usable - size;
    *header(data) = {size, block.base, block.length};
    return data;
}

void to_system(void* data) {
    Header copy = *header(data);
    if (copy.length) {
        free_guarded(copy.base, copy.length);
    } else {
        free_aligned(copy.base);
    }
}

}  // namespace

void* acquire(int64_t bytes) {
    Pool& all = pool();
    const int64_t size = all.guard ? round_up(bytes > 0 ? bytes : 1, kAlignment) : size_class(bytes);
    {
        std::lock_guard<std::mutex> lock(all.mutex);
        if (all.fail_after >= 0 && all.fail_after-- == 0) throw NoMemory(size);
        auto found = all.free.find(size);
        if (found != all.free.end() && !found->second.empty()) {
            void* data = found->second.back();
            found->second.pop_back();
            all.cached -= size;
            all.in_use += size;
            return data;
        }
        ++all.system_calls;
    }
    void* data;
    try {
        data = all.guard ? from_system_guarded(size) : from_system(size);
    } catch (const std::bad_alloc&) {
        trim_buffers();
        data = all.guard ? from_system_guarded(size) : from_system(size);
    }
    std::lock_guard<std::mutex> lock(all.mutex);
    all.in_use += size;
    return data;
}

void release(void* data) noexcept {
    if (!data) return;
    Pool& all = pool();
    const int64_t size = header(data)->size;
    {
        std::lock_guard<std::mutex> lock(all.mutex);
        all.in_use -= size;
        if (!all.guard && size <= all.limit - all.cached) {
            try {
                all.free[size].push_back(data);
                all.cached += size;
                return;
            } catch (const std::bad_alloc&) {
            }
        }
    }
    to_system(data);
}

void trim_buffers() {
    Pool& all = pool();
    std::map<int64_t, std::vector<void*>> unused;
    {
        std::lock_guard<std::mutex> lock(all.mutex);
        unused.swap(all.free);
        all.cached = 0;
    }
    for (auto& entry : unused)
        for (void* data : entry.second) to_system(data);
    return_freed_memory();
}

bool buffers_are_guarded() { return pool().guard; }

BufferStatistics buffer_statistics() {
    Pool& all = pool();
    std::lock_guard<std::mutex> lock(all.mutex);
    return {all.in_use, all.cached, all.system_calls};
}

void fail_allocation_after(int64_t count) {
    Pool& all = pool();
    std::lock_guard<std::mutex> lock(all.mutex);
    all.fail_after = count;
}

}  // namespace handgrad
