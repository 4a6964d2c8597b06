// The sizes of convolutions.
#pragma once

#include "bindings/arrays.h"
#include "bindings/layers.h"
#include "ops/conv.h"

namespace handgrad {

struct Windows {
    Pair stride, pad, dilation;
    int64_t groups;
};

inline int64_t count_of(int64_t length, int64_t size, int64_t stride, int64_t pad, int64_t dilation) {
    check(size >= 1 && dilation >= 1, "conv: window and dilation must be positive");
    return window_count(length, plus(times(dilation, size - 1), 1), stride, pad);
}

// The convolution of images x (N, C, H, W) with filters w (F, C / groups, HH, WW).
inline ConvSizes conv_sizes(const Shape& x, const Shape& w, const Windows& windows) {
    const auto& [stride, pad, dilation, groups] = windows;
    check(x.ndim == 4 && w.ndim == 4 && groups >= 1 && w[0] % groups == 0 && x[1] == times(groups, w[1]),
          "conv: x, w and groups do not fit");
    return {x[0], x[1], x[2], x[3], w[0], w[2], w[3], stride.first, stride.second, pad.first, pad.second,
            count_of(x[2], w[2], stride.first, pad.first, dilation.first),
            count_of(x[3], w[3], stride.second, pad.second, dilation.second), dilation.first, dilation.second};
}

inline ConvSizes conv_sizes(const Shape& x, const Shape& w, Pair stride, Pair pad) {
    return conv_sizes(x, w, {stride, pad, {1, 1}, 1});
}

}  // namespace handgrad
