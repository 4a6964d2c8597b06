// Memory that is used again: blocks given back go to a free list by size, so that a training loop in
// its steady state asks the system for nothing and touches no fresh pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "core/sizes.h"

namespace handgrad {

constexpr int64_t kAlignment = 64;

// Returns at least `bytes` bytes aligned to 64; throws std::bad_alloc when there is no memory.
void* acquire(int64_t bytes);
void release(void* data) noexcept;

struct BufferStatistics {
    int64_t in_use, cached, system_calls;
};
BufferStatistics buffer_statistics();
// Tests only: whether each block ends at a page that cannot be touched.
bool buffers_are_guarded();
// Gives blocks that nobody uses back to the system.
void trim_buffers();
// Tests only: the allocation after `count` further ones fails (negative: none does).
void fail_allocation_after(int64_t count);

// Scratch memory of one call, released at the end of its scope.
template <class T>
class Scratch {
  public:
    Scratch() = default;
    explicit Scratch(int64_t count)
        : data_(static_cast<T*>(acquire(times(count, static_cast<int64_t>(sizeof(T)))))) {}
    Scratch(Scratch&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
    Scratch& operator=(Scratch&& other) noexcept {
        std::swap(data_, other.data_);
        return *this;
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() { release(data_); }
    T* get() const { return data_; }
    void forget() { data_ = nullptr; }  // somebody else releases it now

  private:
    T* data_ = nullptr;
};

}  // namespace handgrad
