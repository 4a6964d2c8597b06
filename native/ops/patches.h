// Windows over images.
#pragma once

#include <algorithm>
#include <cstring>

#include "core/buffers.h"
#include "core/threads.h"
#include "ops/conv.h"

namespace handgrad {

// Copies n numbers, without a call: runs are short.
template <class T>
inline void copy_run(T* to, const T* from, int64_t n) {
    if (n >= 16) {
        for (int64_t i = 0; i + 16 < n; i += 16) std::memcpy(to + i, from + i, 16 * sizeof(T));
        std::memcpy(to, from, 16 * sizeof(T));
        std::memcpy(to + n - 16, from + n - 16, 16 * sizeof(T));
    } else if (n >= 8) {
        std::memcpy(to, from, 8 * sizeof(T));
        std::memcpy(to + n - 8, from + n - 8, 8 * sizeof(T));
    } else {
        for (int64_t i = 0; i < n; ++i) to[i] = from[i];
    }
}

// Window (n, i, j) lies at the pixel (i step_y + offset_y, j step_x + offset_x) of image n, grid_h * grid_w of them.
template <class T>
struct WindowGrid {
    const T* image;
    int64_t H, W, C;
    int64_t grid_h, grid_w, step_y, step_x, offset_y, offset_x;
};

// The taps of a window in the order of memory.
struct Taps {
    explicit Taps(int64_t count) : storage(times(2, count)), dy(storage.get()), dx(dy + count) {}
    Scratch<int64_t> storage;
    int64_t *dy, *dx;
    int64_t count = 0;
    void add(int64_t y, int64_t x) {
        dy[count] = y;
        dx[count++] = x;
    }
};

inline Taps window(const ConvSizes& s) {
    Taps taps(times(s.HH, s.WW));
    for (int64_t y = 0; y < s.HH; ++y)
        for (int64_t x = 0; x < s.WW; ++x) taps.add(y * s.dilation_y, x * s.dilation_x);
    return taps;
}

// Pixels y = phase + stride * i are fed by the outputs i + dy over the taps kh with a whole
// dy = (phase + pad - kh * dilation) / stride.  Calls body(place in the window, dy, dx), dy never falling.
template <class Body>
void for_taps_of_phase(const ConvSizes& s, int64_t phase_y, int64_t phase_x, Body&& body) {
    for (int64_t kh = s.HH - 1; kh >= 0; --kh) {
        const int64_t y = phase_y + s.pad_y - kh * s.dilation_y;
        if (y % s.stride_y) continue;
        for (int64_t kw = s.WW - 1; kw >= 0; --kw) {
            const int64_t x = phase_x + s.pad_x - kw * s.dilation_x;
            if (x % s.stride_x == 0) body(kh * s.WW + kw, y / s.stride_y, x / s.stride_x);
        }
    }
}

// The filters w (F, C, area) as a matrix ((tap, c), f), and as rows (f, (tap, c)).
template <class T, class Given>
Scratch<T> filter_columns(int64_t F, int64_t C, int64_t area, const Given* w) {
    Scratch<T> matrix(times(area, C, F));
    for (int64_t f = 0; f < F; ++f)
        for (int64_t c = 0; c < C; ++c)
            for (int64_t t = 0; t < area; ++t) matrix.get()[(t * C + c) * F + f] = static_cast<T>(w[(f * C + c) * area + t]);
    return matrix;
}
template <class T>
Scratch<T> filter_rows(int64_t F, int64_t C, int64_t area, const T* w) {
    Scratch<T> matrix(times(area, C, F));
    parallel(F, [&](int64_t f, int) {
        for (int64_t c = 0; c < C; ++c)
            for (int64_t t = 0; t < area; ++t) matrix.get()[(f * area + t) * C + c] = w[(f * C + c) * area + t];
    });
    return matrix;
}

template <class T>
WindowGrid<T> forward_windows(const ConvSizes& s, const T* x) {
    return {x, s.H, s.W, s.C, s.OH, s.OW, s.stride_y, s.stride_x, -s.pad_y, -s.pad_x};
}

// Rows [y, y + rows) and columns [x, x + width) of an image (H, W, C), zeros outside.
template <class T>
inline void copy_rectangle(int64_t H, int64_t W, int64_t C, const T* image, int64_t y, int64_t rows, int64_t x, int64_t width, T* to) {
    const int64_t before = std::clamp<int64_t>(-x, 0, width), after = std::clamp<int64_t>(x + width - W, 0, width - before);
    const int64_t inside = width - before - after;
    for (int64_t r = y; r < y + rows; ++r, to += width * C) {
        if (r < 0 || r >= H || !inside) {
            std::fill_n(to, width * C, T{});
            continue;
        }
        std::fill_n(to, before * C, T{});
        std::memcpy(to + before * C, image + (r * W + x + before) * C, static_cast<size_t>(inside * C) * sizeof(T));
        std::fill_n(to + (before + inside) * C, after * C, T{});
    }
}

// Rows [y, y + rows) of an image with its padding.
template <class T>
void copy_band(const ConvSizes& s, const T* image, int64_t y, int64_t rows, T* band) {
    copy_rectangle(s.H, s.W, s.C, image, y, rows, -s.pad_x, s.W + 2 * s.pad_x, band);
}

}  // namespace handgrad
