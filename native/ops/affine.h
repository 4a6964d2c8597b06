// Affine layers: x (rows, depth), w (depth, columns), all in rows order.
#pragma once

#include <cstdint>

#include "kernels/bf16.h"

namespace handgrad {

template <class T>
void affine_forward(const T* x, const T* w, const T* b, int64_t rows, int64_t depth, int64_t columns, T* out);

// The gradients for dout (rows, columns); dx and db may be null.
template <class T>
void affine_gradients(const T* dout, const T* x, const T* w, int64_t rows, int64_t depth, int64_t columns, T* dx, T* dw,
                      T* db);

// The same with values and their gradients in bf16; the products have bf16 factors and float32 sums.
void affine_forward(const Bf16* x, const float* w, const float* b, int64_t rows, int64_t depth, int64_t columns, Bf16* out);
void affine_gradients(const Bf16* dout, const Bf16* x, const float* w, int64_t rows, int64_t depth, int64_t columns, Bf16* dx,
                      float* dw, float* db);

}  // namespace handgrad
