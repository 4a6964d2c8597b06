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
    Read(const Bf16* x, int64_t count) : copy_(x ? Scratch<float>(count) : Scratch<float>()) {
        if (x) bf16_kernels().to_float(x, count, copy_.get());
    }
    const float* get() const { return copy_.get(); }

  private:
    Scratch<float> copy_;
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
    Write(Bf16* out, int64_t count) : out_(out), count_(count), copy_(out ? Scratch<float>(count) : Scratch<float>()) {}
    ~Write() {
        if (out_) bf16_kernels().to_bf16(copy_.get(), count_, out_);
    }
    Write(const Write&) = delete;
    Write& operator=(const Write&) = delete;
    float* get() const { return copy_.get(); }

  private:
    Bf16* out_;
    int64_t count_;
    Scratch<float> copy_;
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
