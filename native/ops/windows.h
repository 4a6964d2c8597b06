// Products of windows over images with a matrix of filters, without ever copying a window.
#pragma once

#include "ops/patches.h"
#include "ops/product.h"

namespace handgrad {

// out (N, grid_h, grid_w, filters' columns) = patches filters + bias: row r of the patches is the window r,
// columns (tap, channel); dy never falls from tap to tap.  bias may be null.
template <class T>
void multiply_windows(const WindowGrid<T>& grid, int64_t N, const Taps& taps, const RightFactor<T>& filters,
                      const T* bias, T* out);

// sums (taps * channels, F) = patches^T dout, dout (N, grid_h, grid_w, F).
template <class T>
void multiply_windows_turned(const WindowGrid<T>& grid, int64_t N, const Taps& taps, const T* dout, int64_t F, T* sums);

}  // namespace handgrad
