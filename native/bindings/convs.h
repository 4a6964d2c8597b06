// The sizes of convolutions.
#pragma once

#include "bindings/arrays.h"
#include "bindings/layers.h"
#include "ops/conv.h"

namespace handgrad {

inline ConvSizes conv_sizes(const Shape& x, const Shape& w, Pair stride, Pair pad) {
    check(x.ndim == 4 && w.ndim == 4 && x[1] == w[1], "conv: x and w do not fit");
    return {x[0], x[1], x[2], x[3], w[0], w[2], w[3], stride.first, stride.second, pad.first, pad.second,
            window_count(x[2], w[2], stride.first, pad.first), window_count(x[3], w[3], stride.second, pad.second)};
}

}  // namespace handgrad
