// Windows over images.
#pragma once

#include <algorithm>
#include <cstring>

#include "core/buffers.h"
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

template <class T>
WindowGrid<T> forward_windows(const ConvSizes& s, const T* x) {
    return {x, s.H, s.W, s.C, s.OH, s.OW, s.stride_y, s.stride_x, -s.pad_y, -s.pad_x};
}

// Rows [y, y + rows) of an image with its padding, zeros outside; rows are width * C numbers.
template <class T>
void copy_band(const ConvSizes& s, const T* image, int64_t y, int64_t rows, T* band) {
    const int64_t width = (s.W + 2 * s.pad_x) * s.C, pad = s.pad_x * s.C, line = s.W * s.C;
    for (int64_t r = 0; r < rows; ++r, band += width) {
        if (y + r < 0 || y + r >= s.H) {
            std::fill_n(band, width, T(0));
            continue;
        }
        std::fill_n(band, pad, T(0));
        std::memcpy(band + pad, image + (y + r) * line, static_cast<size_t>(line) * sizeof(T));
        std::fill_n(band + pad + line, pad, T(0));
    }
}

}  // namespace handgrad
