// Arrays that are stored in bf16, and computed with in float32 a block at a time; others are computed with as they are.
#pragma once

#include "core/buffers.h"
#include "core/threads.h"
#include "kernels/bf16.h"
#include "kernels/dispatch.h"

namespace handgrad {

inline double wide(float x) { return static_cast<double>(x); }
inline double wide(double x) { return x; }
inline double wide(Bf16 x) { return static_cast<double>(to_float(x)); }

// Room for `count` float32 numbers; for few of them without asking for memory.
class Room {
  public:
    explicit Room(int64_t count) : many_(count > kFew ? Scratch<float>(count) : Scratch<float>()) {}
    float* get() { return many_.get() ? many_.get() : few_; }

  private:
    static constexpr int64_t kFew = 4096;
    Scratch<float> many_;
    alignas(64) float few_[kFew];
};

// `count` stored numbers to be read: where they lie or, of bf16, a copy.  x may be null.
template <class S>
class Read {
  public:
    Read(const S* x, int64_t) : x_(x) {}
    const S* get() const { return x_; }

  private:
    const S* x_;
};
template <>
class Read<Bf16> {
  public:
    Read(const Bf16* x, int64_t count) : room_(x ? count : 0), copy_(x ? room_.get() : nullptr) {
        if (x) bf16_kernels().to_float(x, count, copy_);
    }
    Read(const Read&) = delete;
    Read& operator=(const Read&) = delete;
    const float* get() const { return copy_; }

  private:
    Room room_;
    float* copy_;
};

// `count` numbers to be written: where they are to lie or, of bf16, in a copy that is rounded when this ends.  out may
// be null.
template <class S>
class Write {
  public:
    Write(S* out, int64_t) : out_(out) {}
    S* get() const { return out_; }

  private:
    S* out_;
};
template <>
class Write<Bf16> {
  public:
    Write(Bf16* out, int64_t count) : out_(out), count_(count), room_(out ? count : 0), copy_(out ? room_.get() : nullptr) {}
    ~Write() {
        if (out_) bf16_kernels().to_bf16(copy_, count_, out_);
    }
    Write(const Write&) = delete;
    Write& operator=(const Write&) = delete;
    float* get() const { return copy_; }

  private:
    Bf16* out_;
    int64_t count_;
    Room room_;
    float* copy_;
};

// Calls body(first, images) for blocks of images of `size` numbers each.
template <class Body>
void for_images(int64_t N, int64_t size, Body&& body) {
    const int64_t together = std::max<int64_t>(1, kChunk / std::max<int64_t>(1, size));
    parallel(ceil_div(N, together), [&](int64_t block, int) {
        body(block * together, std::min(together, N - block * together));
    });
}

}  // namespace handgrad
