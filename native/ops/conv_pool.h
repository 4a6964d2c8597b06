// Convolution and 2 x 2 max pooling, with or without a rectifier between them, without the convolution's output in
// memory: tiles of Winograd's algorithm are pooled before they are written, and the gradient of a tile is made from
// that of its windows.
#pragma once

#include "ops/conv.h"

namespace handgrad {

// Whether it is worth it: sizes for which Winograd's algorithm is the fastest, with one window at least.
bool conv_pool_fits(const ConvSizes& s);

// out and places (N, OH / 2, OW / 2, F): the number, 0 to 3, of the chosen pixel of each window, or 4 where the
// rectifier closed it.  All sizes and modes are computed, if need be one step after the other.
void conv_pool_forward(const ConvSizes& s, const float* x, const float* w, const float* b, bool rectify, float* out,
                       uint8_t* places);
// dout like out; dx may be null.
void conv_pool_backward(const ConvSizes& s, const float* dout, const uint8_t* places, const float* x, const float* w,
                        float* dx, float* dw, float* db);

}  // namespace handgrad
