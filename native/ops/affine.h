// Affine layers: x (rows, depth), w (depth, columns), all in rows order.
#pragma once

#include <cstdint>

namespace handgrad {

template <class T>
void affine_forward(const T* x, const T* w, const T* b, int64_t rows, int64_t depth, int64_t columns, T* out);

// The gradients for dout (rows, columns); dx and db may be null.
template <class T>
void affine_gradients(const T* dout, const T* x, const T* w, int64_t rows, int64_t depth, int64_t columns, T* dx, T* dw,
                      T* db);

}  // namespace handgrad
