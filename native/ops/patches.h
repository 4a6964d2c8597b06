// The matrix of patches of a convolution, gathered row by row.
#pragma once

#include <algorithm>
#include <cstring>

#include "core/buffers.h"
#include "ops/conv.h"

namespace handgrad {

// Copies n numbers; short runs without a call.
template <class T>
inline void copy_run(T* to, const T* from, int64_t n) {
    if (n >= 32) {
        std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
    } else if (n >= 16) {
        std::memcpy(to, from, 16 * sizeof(T));
        std::memcpy(to + n - 16, from + n - 16, 16 * sizeof(T));
    } else if (n >= 8) {
        std::memcpy(to, from, 8 * sizeof(T));
        std::memcpy(to + n - 8, from + n - 8, 8 * sizeof(T));
    } else {
        for (int64_t i = 0; i < n; ++i) to[i] = from[i];
    }
}

// Row r of the patch matrix is the place (n, i, j) of a grid; its columns are (tap, channel): channel
// of the image at (i * step_y + offset_y + dy[tap], j * step_x + offset_x + dx[tap]), zero outside.
template <class T>
struct Patches {
    const T* image;
    int64_t H, W, C;
    int64_t grid_h, grid_w, step_y, step_x, offset_y, offset_x;
    int64_t taps;
    const int64_t *dy, *dx;

    // Columns [first, first + count) of the row whose window starts at (y0, x0) of image n.
    void line(int64_t n, int64_t y0, int64_t x0, int64_t first, int64_t count, T* to) const {
        int64_t tap = first / C, channel = first % C;
        while (count > 0) {
            const int64_t y = y0 + dy[tap], x = x0 + dx[tap];
            int64_t run = std::min(count, C - channel), width = 1;
            const bool inside = y >= 0 && y < H && x >= 0 && x < W;
            // Taps side by side in a row of the image are one run of memory.
            while (run < count && inside && tap + width < taps && dy[tap + width] == dy[tap] &&
                   dx[tap + width] == dx[tap] + width && x + width < W) {
                run = std::min(count, run + C);
                ++width;
            }
            if (inside) {
                copy_run(to, image + ((n * H + y) * W + x) * C + channel, run);
            } else {
                for (int64_t i = 0; i < run; ++i) to[i] = 0;
            }
            to += run;
            count -= run;
            tap += width;
            channel = 0;
        }
    }

    // Calls body(row - first, line) for rows [first, first + count), columns [k, k + depth).
    template <class Body>
    void for_lines(int64_t first, int64_t count, int64_t k, int64_t depth, Body&& body) const {
        int64_t j = first % grid_w, i = first / grid_w % grid_h, n = first / grid_w / grid_h;
        T buffer[kLine];
        for (int64_t row = 0; row < count; ++row) {
            line(n, i * step_y + offset_y, j * step_x + offset_x, k, depth, buffer);
            body(row, buffer);
            if (++j == grid_w) {
                j = 0;
                if (++i == grid_h) i = 0, ++n;
            }
        }
    }

    static constexpr int64_t kLine = 512;  // no block of A is longer in either direction
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
Patches<T> forward_patches(const ConvSizes& s, const T* x, const Taps& taps) {
    return {x, s.H, s.W, s.C, s.OH, s.OW, s.stride_y, s.stride_x, -s.pad_y, -s.pad_x, taps.count, taps.dy, taps.dx};
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
