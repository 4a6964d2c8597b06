// Direct convolution: matrix products with the matrix of patches, which never exists.
#include "ops/direct_conv.h"

#include <algorithm>
#include <cstring>

#include "core/threads.h"
#include "ops/narrow_conv.h"
#include "ops/patches.h"
#include "ops/product.h"
#include "ops/windows.h"

namespace handgrad {

namespace {

constexpr int64_t kFewWindows = 64;  // whose patches stay in a second-level cache

// The patches, numbers in the order of the filters', whose rows they are multiplied with: the filters, which are the
// most of what is read, stay as they are.
template <class T>
void few_windows_forward(const ConvSizes& s, const T* x, const T* w, const Sink<T>& to) {
    const int64_t area = s.HH * s.WW, depth = area * s.C, windows = s.N * s.OH * s.OW;
    Scratch<T> patches(times(windows, depth));
    parallel(windows, [&](int64_t window, int) {
        const int64_t n = window / (s.OH * s.OW), i = window / s.OW % s.OH, j = window % s.OW;
        T* patch = patches.get() + window * depth;
        for (int64_t t = 0; t < area; ++t) {
            const int64_t row = i * s.stride_y - s.pad_y + t / s.WW * s.dilation_y;
            const int64_t column = j * s.stride_x - s.pad_x + t % s.WW * s.dilation_x;
            const bool inside = row >= 0 && row < s.H && column >= 0 && column < s.W;
            const int64_t pixel = ((n * s.H + row) * s.W + column) * s.C;
            for (int64_t c = 0; c < s.C; ++c) patch[c * area + t] = inside ? x[pixel + c] : T(0);
        }
    });
    multiply_rows(patches.get(), windows, w, s.F, depth, to.bias, to.out, s.F);
}

}  // namespace

bool few_windows(const ConvSizes& s) {
    return times(s.N, s.OH, s.OW) <= kFewWindows && times(s.HH, s.WW, s.C) >= 256;
}

template <class T>
void direct_forward(const ConvSizes& s, const T* x, const T* w, const Sink<T>& to) {
    if (few_windows(s)) return few_windows_forward(s, x, w, to);
    const int64_t area = s.HH * s.WW, depth = times(area, s.C);
    const Scratch<T> matrix = filter_rows(s.F, s.C, area, w);
    const RightFactor<T> filters(matrix.get(), 1, depth, depth, s.F);
    const Taps taps = window(s);
    multiply_windows<T>(forward_windows(s, x), s.N, taps, filters, to.bias, to.out);
}

// Each phase of the input pixels modulo the stride sees its own part of the window.
template <class T>
void direct_backward_input(const ConvSizes& s, const T* dout, const T* w, T* dx) {
    const int64_t area = times(s.HH, s.WW);
    if (!s.dilated() && narrow_input_fits(s)) return narrow_backward_input(s, dout, w, dx);
    const bool whole = s.stride_y == 1 && s.stride_x == 1;
    Taps taps(area);
    Scratch<int64_t> places(area);
    Scratch<T> matrix(times(area, s.F, s.C));  // ((tap, f), c)
    Scratch<T> part(whole ? 0 : times(s.N, ceil_div(s.H, s.stride_y), ceil_div(s.W, s.stride_x), s.C));
    for (int64_t py = 0; py < std::min(s.stride_y, s.H); ++py) {
        for (int64_t px = 0; px < std::min(s.stride_x, s.W); ++px) {
            taps.count = 0;
            for_taps_of_phase(s, py, px, [&](int64_t place, int64_t dy, int64_t dx_) {
                places.get()[taps.count] = place;
                taps.add(dy, dx_);
            });
            parallel(s.F, [&](int64_t f, int) {
                for (int64_t t = 0; t < taps.count; ++t)
                    for (int64_t c = 0; c < s.C; ++c)
                        matrix.get()[(t * s.F + f) * s.C + c] = w[(f * s.C + c) * area + places.get()[t]];
            });
            const int64_t rows = ceil_div(s.H - py, s.stride_y), columns = ceil_div(s.W - px, s.stride_x);
            const WindowGrid<T> grid{dout, s.OH, s.OW, s.F, rows, columns, 1, 1, 0, 0};
            const RightFactor<T> filters(matrix.get(), s.C, 1, taps.count * s.F, s.C);
            multiply_windows<T>(grid, s.N, taps, filters, nullptr, whole ? dx : part.get());
            if (whole) continue;
            parallel(s.N * rows, [&](int64_t line, int) {
                const int64_t n = line / rows, y = py + line % rows * s.stride_y;
                for (int64_t i = 0; i < columns; ++i)
                    std::memcpy(dx + ((n * s.H + y) * s.W + px + i * s.stride_x) * s.C,
                                part.get() + (line * columns + i) * s.C, static_cast<size_t>(s.C) * sizeof(T));
            });
        }
    }
}

template <class T>
void direct_backward_weights(const ConvSizes& s, const T* dout, const T* x, T* dw) {
    if (!s.dilated() && narrow_weights_fit(s)) return narrow_backward_weights(s, dout, x, dw);
    const int64_t area = s.HH * s.WW, rows = times(area, s.C);
    const Taps taps = window(s);
    Scratch<T> matrix(times(rows, s.F));  // ((y, x, c), f)
    multiply_windows_turned<T>(forward_windows(s, x), s.N, taps, dout, s.F, matrix.get());
    parallel(s.F, [&](int64_t f, int) {
        for (int64_t c = 0; c < s.C; ++c)
            for (int64_t t = 0; t < area; ++t)
                dw[(f * s.C + c) * area + t] = matrix.get()[(t * s.C + c) * s.F + f];
    });
}

#define HG_INSTANTIATE(T)                                                                       \
    template void direct_forward(const ConvSizes&, const T*, const T*, const Sink<T>&);         \
    template void direct_backward_input(const ConvSizes&, const T*, const T*, T*);              \
    template void direct_backward_weights(const ConvSizes&, const T*, const T*, T*);
HG_INSTANTIATE(float)
HG_INSTANTIATE(double)

}  // namespace handgrad
