// The sizes of poolings.
#pragma once

#include "bindings/arrays.h"
#include "bindings/layers.h"
#include "kernels/table.h"

namespace handgrad {

inline PoolSizes pool_sizes(const Shape& x, Pair window, Pair stride) {
    check(x.ndim == 4, "pool: x must be (N, C, H, W)");
    return {x[0], x[1], x[2], x[3], window.first, window.second, stride.first, stride.second,
            window_count(x[2], window.first, stride.first, 0), window_count(x[3], window.second, stride.second, 0)};
}

inline Shape out_shape(const PoolSizes& s) { return {s.N, s.C, s.OH, s.OW}; }

// The indices, as an array of bytes: shape (outputs, bytes of an index); or, of planes, (N, C, H', W').
inline int64_t index_bytes(const PoolSizes& s) {
    const int64_t area = times(s.HH, s.WW);
    check(area < (int64_t{1} << 31), "max_pool: the window is too large");
    return area < 256 ? 1 : 4;
}

// Images of few channels, dense in rows order, are pooled as planes: images of one channel.
constexpr int64_t kPlanes = 16;
inline PoolSizes of_planes(PoolSizes s) {
    s.N = times(s.N, s.C);
    s.C = 1;
    return s;
}

}  // namespace handgrad
