// Arrays of any strides into dense memory.
#pragma once

#include <cstdint>

namespace handgrad {

constexpr int kMaxDims = 16;

// Rows: the last axis varies fastest (NCHW).  ChannelsLast: axis 1 varies fastest (NHWC).
enum class Order { kRows, kChannelsLast };

// The order in which memory of these strides (in elements) is dense, if it is `wanted`'s.
bool is_dense(int ndim, const int64_t* shape, const int64_t* strides, Order wanted);
// Strides of dense memory.
void dense_strides(int ndim, const int64_t* shape, Order order, int64_t* strides);
// Copies x of any strides into dense memory of `order`.
template <class T>
void copy_dense(const T* x, int ndim, const int64_t* shape, const int64_t* strides, Order order, T* out);

}  // namespace handgrad
