// Direct convolution: matrix products whose left factor, the matrix of patches, is gathered block by
// block while it is packed and never exists as a whole.
#include "ops/direct_conv.h"

#include <algorithm>
#include <cstring>

#include "core/threads.h"
#include "ops/product.h"

namespace handgrad {
namespace {

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

template <class T>
class PatchRows final : public LeftFactor<T> {
  public:
    explicit PatchRows(const Patches<T>& patches)
        : LeftFactor<T>(ALayout::kRowBlocks), patches_(patches) {}

    void pack(int64_t row, int64_t rows, int64_t k, int64_t depth, T* panels) const override {
        const int64_t tile = kernels<T>().gemm.tile_rows, panel = panel_size(this->layout, tile, depth);
        if (rows % tile)
            std::memset(panels + rows / tile * panel, 0, static_cast<size_t>(panel) * sizeof(T));
        T *place = panels, *start = panels;
        int64_t in_panel = 0;
        patches_.for_lines(row, rows, k, depth, [&](int64_t, const T* line) {
            this->put_row(line, depth, place, tile);
            place += kBlock;
            if (++in_panel == tile) in_panel = 0, place = start += panel;
        });
    }

  private:
    const Patches<T>& patches_;
};

template <class T>
class PatchColumns final : public LeftFactor<T> {
  public:
    explicit PatchColumns(const Patches<T>& patches)
        : LeftFactor<T>(ALayout::kColumns), patches_(patches) {}

    void pack(int64_t row, int64_t rows, int64_t k, int64_t depth, T* panels) const override {
        const int64_t tile = kernels<T>().gemm.tile_rows, panel = panel_size(this->layout, tile, depth);
        if (rows % tile)
            std::memset(panels + rows / tile * panel, 0, static_cast<size_t>(panel) * sizeof(T));
        patches_.for_lines(k, depth, row, rows, [&](int64_t j, const T* line) {
            this->put_column(line, rows, panels + j * tile, tile, panel);
        });
    }

  private:
    const Patches<T>& patches_;
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

Taps window(const ConvSizes& s) {
    Taps taps(times(s.HH, s.WW));
    for (int64_t y = 0; y < s.HH; ++y)
        for (int64_t x = 0; x < s.WW; ++x) taps.add(y, x);
    return taps;
}

template <class T>
Patches<T> forward_patches(const ConvSizes& s, const T* x, const Taps& taps) {
    return {x, s.H, s.W, s.C, s.OH, s.OW, s.stride_y, s.stride_x, -s.pad_y, -s.pad_x, taps.count, taps.dy, taps.dx};
}

}  // namespace

template <class T>
void direct_forward(const ConvSizes& s, const T* x, const T* w, const T* b, T* out) {
    const int64_t area = s.HH * s.WW, depth = times(area, s.C);
    Scratch<T> matrix(times(depth, s.F));  // ((y, x, c), f)
    parallel(s.F, [&](int64_t f, int) {
        for (int64_t c = 0; c < s.C; ++c)
            for (int64_t t = 0; t < area; ++t)
                matrix.get()[f * depth + t * s.C + c] = w[(f * s.C + c) * area + t];
    });
    const Taps taps = window(s);
    const Patches<T> patches = forward_patches(s, x, taps);
    multiply<T>(PatchRows<T>(patches), RightFactor<T>(matrix.get(), 1, depth, depth, s.F),
                times(s.N, s.OH, s.OW), b, out, s.F);
}

// With few input channels: the gradients of all patches, image by image, added where they came from.
template <class T>
void scatter_backward_input(const ConvSizes& s, const T* dout, const T* w, T* dx) {
    const int64_t area = s.HH * s.WW, columns = area * s.C, pixels = s.OH * s.OW;
    Scratch<T> matrix(times(s.F, columns));  // (f, (y, x, c))
    for (int64_t f = 0; f < s.F; ++f)
        for (int64_t c = 0; c < s.C; ++c)
            for (int64_t t = 0; t < area; ++t) matrix.get()[f * columns + t * s.C + c] = w[(f * s.C + c) * area + t];
    const RightFactor<T> factor(matrix.get(), columns, 1, s.F, columns);
    Scratch<T> patches(times(thread_count(), pixels, columns));
    // multiply() inside of a chunk runs on the chunk's own thread.
    parallel(s.N, [&](int64_t n, int worker) {
        T* patch = patches.get() + worker * pixels * columns;
        T* image = dx + n * s.H * s.W * s.C;
        multiply<T>(RowMatrix<T>(dout + n * pixels * s.F, s.F), factor, pixels, nullptr, patch, columns);
        std::memset(image, 0, static_cast<size_t>(s.H * s.W * s.C) * sizeof(T));
        for (int64_t i = 0; i < s.OH; ++i)
            for (int64_t j = 0; j < s.OW; ++j, patch += columns)
                for (int64_t u = 0; u < s.HH; ++u) {
                    const int64_t y = i * s.stride_y - s.pad_y + u, x0 = j * s.stride_x - s.pad_x;
                    if (y < 0 || y >= s.H) continue;
                    const int64_t from = std::max<int64_t>(0, -x0), to = std::min(s.WW, s.W - x0);
                    const T* more = patch + u * s.WW * s.C;
                    T* line = image + (y * s.W + x0) * s.C;
                    for (int64_t c = from * s.C; c < to * s.C; ++c) line[c] += more[c];
                }
    });
}

// Each phase of the input pixels modulo the stride sees its own part of the window: pixel
// y = phase + stride * i is fed by the outputs (y + pad - kh) / stride over kh = kh0, kh0 + stride, ...
template <class T>
void direct_backward_input(const ConvSizes& s, const T* dout, const T* w, T* dx) {
    const int64_t area = times(s.HH, s.WW);
    constexpr int64_t kFewChannels = 16, kLargestPatches = 1 << 22;
    if (s.C < kFewChannels && times(area, s.C, s.OH, s.OW) < kLargestPatches)
        return scatter_backward_input(s, dout, w, dx);
    const bool whole = s.stride_y == 1 && s.stride_x == 1;
    Taps taps(area);
    Scratch<int64_t> places(area);
    Scratch<T> matrix(times(area, s.F, s.C));  // ((tap, f), c)
    Scratch<T> part(whole ? 0 : times(s.N, ceil_div(s.H, s.stride_y), ceil_div(s.W, s.stride_x), s.C));
    for (int64_t py = 0; py < std::min(s.stride_y, s.H); ++py) {
        for (int64_t px = 0; px < std::min(s.stride_x, s.W); ++px) {
            const int64_t kh0 = (py + s.pad_y) % s.stride_y, kw0 = (px + s.pad_x) % s.stride_x;
            taps.count = 0;
            const int64_t last_y = s.HH > kh0 ? (s.HH - 1 - kh0) / s.stride_y : -1;
            const int64_t last_x = s.WW > kw0 ? (s.WW - 1 - kw0) / s.stride_x : -1;
            for (int64_t jy = last_y; jy >= 0; --jy)
                for (int64_t jx = last_x; jx >= 0; --jx) {
                    places.get()[taps.count] = (kh0 + jy * s.stride_y) * s.WW + kw0 + jx * s.stride_x;
                    taps.add(-jy, -jx);
                }
            parallel(s.F, [&](int64_t f, int) {
                for (int64_t t = 0; t < taps.count; ++t)
                    for (int64_t c = 0; c < s.C; ++c)
                        matrix.get()[(t * s.F + f) * s.C + c] = w[(f * s.C + c) * area + places.get()[t]];
            });
            const int64_t rows = ceil_div(s.H - py, s.stride_y), columns = ceil_div(s.W - px, s.stride_x);
            const Patches<T> patches{dout, s.OH, s.OW, s.F, rows, columns, 1, 1, (py + s.pad_y - kh0) / s.stride_y,
                                     (px + s.pad_x - kw0) / s.stride_x, taps.count, taps.dy, taps.dx};
            T* target = whole ? dx : part.get();
            multiply<T>(PatchRows<T>(patches), RightFactor<T>(matrix.get(), s.C, 1, taps.count * s.F, s.C),
                        s.N * rows * columns, nullptr, target, s.C);
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
    const int64_t area = s.HH * s.WW, rows = times(area, s.C);
    const Taps taps = window(s);
    const Patches<T> patches = forward_patches(s, x, taps);
    Scratch<T> matrix(times(rows, s.F));  // ((y, x, c), f)
    multiply<T>(PatchColumns<T>(patches), RightFactor<T>(dout, s.F, 1, times(s.N, s.OH, s.OW), s.F), rows,
                nullptr, matrix.get(), s.F);
    parallel(s.F, [&](int64_t f, int) {
        for (int64_t c = 0; c < s.C; ++c)
            for (int64_t t = 0; t < area; ++t)
                dw[(f * s.C + c) * area + t] = matrix.get()[(t * s.C + c) * s.F + f];
    });
}

#define HG_INSTANTIATE(T)                                                                       \
    template void direct_forward(const ConvSizes&, const T*, const T*, const T*, T*);           \
    template void direct_backward_input(const ConvSizes&, const T*, const T*, T*);              \
    template void direct_backward_weights(const ConvSizes&, const T*, const T*, T*);
HG_INSTANTIATE(float)
HG_INSTANTIATE(double)

}  // namespace handgrad
