#include "ops/layout.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/sizes.h"
#include "core/threads.h"
#include "kernels/bf16.h"
#include "kernels/dispatch.h"

namespace handgrad {
namespace {

// The axes from the slowest to the fastest.
void axes_of(int ndim, Order order, int* axes) {
    int count = 0;
    for (int axis = 0; axis < ndim; ++axis)
        if (order == Order::kRows || axis != 1) axes[count++] = axis;
    if (count < ndim) axes[count] = 1;
}

struct Axis {
    int64_t size, from;  // stride in the source
};

// Copies the last one or two axes, `count` in all; the destination is dense.
template <class T>
void copy_inner(const T* x, Axis outer, Axis inner, T* out) {
    if (inner.from == 1) {
        for (int64_t i = 0; i < outer.size; ++i)
            std::memcpy(out + i * inner.size, x + i * outer.from, static_cast<size_t>(inner.size) * sizeof(T));
        return;
    }
    if constexpr (std::is_floating_point_v<T>)
        if (outer.from == 1) return kernels<T>().rows.turn(x, inner.from, inner.size, outer.size, out, inner.size);
    constexpr int64_t kTile = 16;
    for (int64_t i0 = 0; i0 < outer.size; i0 += kTile)
        for (int64_t j0 = 0; j0 < inner.size; j0 += kTile) {
            const int64_t i1 = std::min(outer.size, i0 + kTile), j1 = std::min(inner.size, j0 + kTile);
            for (int64_t i = i0; i < i1; ++i)
                for (int64_t j = j0; j < j1; ++j) out[i * inner.size + j] = x[i * outer.from + j * inner.from];
        }
}

}  // namespace

bool is_dense(int ndim, const int64_t* shape, const int64_t* strides, Order wanted) {
    int axes[kMaxDims];
    axes_of(ndim, wanted, axes);
    int64_t expected = 1;
    for (int k = ndim - 1; k >= 0; --k) {
        if (shape[axes[k]] == 0) return true;
        if (shape[axes[k]] != 1 && strides[axes[k]] != expected) return false;
        expected *= shape[axes[k]];
    }
    return true;
}

void dense_strides(int ndim, const int64_t* shape, Order order, int64_t* strides) {
    int axes[kMaxDims];
    axes_of(ndim, order, axes);
    int64_t stride = 1;
    for (int k = ndim - 1; k >= 0; --k) {
        strides[axes[k]] = stride;
        stride = times(stride, std::max<int64_t>(1, shape[axes[k]]));
    }
}

template <class T>
void copy_dense(const T* x, int ndim, const int64_t* shape, const int64_t* strides, Order order, T* out) {
    int axes[kMaxDims];
    axes_of(ndim, order, axes);
    Axis merged[kMaxDims + 2] = {{1, 0}, {1, 0}};
    int count = 2;
    for (int k = 0; k < ndim; ++k) {
        const Axis axis{shape[axes[k]], strides[axes[k]]};
        if (axis.size == 0) return;
        if (axis.size == 1) continue;
        Axis& last = merged[count - 1];
        if (count > 2 && last.from == axis.from * axis.size) {
            last = {last.size * axis.size, axis.from};
        } else {
            merged[count++] = axis;
        }
    }
    const Axis outer = merged[count - 2], inner = merged[count - 1];
    int64_t pieces = 1;
    for (int k = 0; k < count - 2; ++k) pieces *= merged[k].size;
    // The two inner axes are cut along the outer of them, so that one large matrix is shared, too.
    const int64_t band = std::max<int64_t>(16, round_up(16384 / std::max<int64_t>(1, inner.size), 16));
    const int64_t bands = ceil_div(outer.size, band);
    const int64_t group = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, std::min(band, outer.size) * inner.size));
    const int64_t tasks = pieces * bands;
    parallel(ceil_div(tasks, group), [&](int64_t chunk, int) {
        for (int64_t task = chunk * group; task < std::min(tasks, (chunk + 1) * group); ++task) {
            const int64_t first = task % bands * band;
            int64_t rest = task / bands, offset = 0;
            T* to = out + (rest * outer.size + first) * inner.size;
            for (int k = count - 3; k >= 0; --k) {
                offset += rest % merged[k].size * merged[k].from;
                rest /= merged[k].size;
            }
            copy_inner(x + offset + first * outer.from, {std::min(band, outer.size - first), outer.from}, inner, to);
        }
    });
}

template void copy_dense(const float*, int, const int64_t*, const int64_t*, Order, float*);
template void copy_dense(const double*, int, const int64_t*, const int64_t*, Order, double*);
template void copy_dense(const uint8_t*, int, const int64_t*, const int64_t*, Order, uint8_t*);
template void copy_dense(const Bf16*, int, const int64_t*, const int64_t*, Order, Bf16*);
template void copy_dense(const uint16_t*, int, const int64_t*, const int64_t*, Order, uint16_t*);
template void copy_dense(const int32_t*, int, const int64_t*, const int64_t*, Order, int32_t*);

}  // namespace handgrad
