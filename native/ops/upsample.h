// Enlarged channels-last images, (N, H, W, C) to (N, scale_y H, scale_x W, C).
#pragma once

#include <cstdint>

#include "kernels/bf16.h"

namespace handgrad {

struct UpsampleSizes {
    int64_t N, C, H, W, scale_y, scale_x;
    bool bilinear;
};

template <class T>
void upsample_forward(const UpsampleSizes& s, const T* x, T* out);
template <class T>
void upsample_backward(const UpsampleSizes& s, const T* dout, T* dx);
template <>
void upsample_forward(const UpsampleSizes& s, const Bf16* x, Bf16* out);
template <>
void upsample_backward(const UpsampleSizes& s, const Bf16* dout, Bf16* dx);

}  // namespace handgrad
