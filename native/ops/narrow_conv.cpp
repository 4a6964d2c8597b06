#include "ops/narrow_conv.h"

#include <algorithm>
#include <cstring>

#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/patches.h"

namespace handgrad {
namespace {

constexpr int64_t kFewChannels = 16, kLargestPatches = 1 << 22;

}  // namespace

bool narrow_fits(const ConvSizes& s) {
    return s.C < kFewChannels && times(plus(s.W, times(2, s.pad_x)), s.C, plus(s.HH, times(8, s.stride_y))) < kLargestPatches;
}
bool narrow_input_fits(const ConvSizes& s) {
    return s.C < kFewChannels && times(s.HH, s.WW, times(s.C, s.OH, s.OW)) < kLargestPatches;
}
template <class T>
bool narrow_weights_fit(const ConvSizes& s) {
    return s.C < kFewChannels && times(s.HH, s.WW, s.C) <= Patches<T>::kLine && s.F % kernels<T>().gemm.tile_rows == 0;
}

// A row of the window is one run of memory in the padded image, and the next output's begins
// stride_x * C numbers further: the micro-kernel reads the patches where they are.
template <class T>
void narrow_forward(const ConvSizes& s, const T* x, const RightFactor<T>& filters, const T* b, T* out) {
    constexpr int64_t kRows = 8;  // output rows of a task
    const auto& gemm = kernels<T>().gemm;
    const int64_t width = (s.W + 2 * s.pad_x) * s.C, step = s.stride_x * s.C;
    const int64_t band = times((kRows - 1) * s.stride_y + s.HH, width) + gemm.tile_rows * step;
    const int64_t bands = ceil_div(s.OH, kRows), columns = gemm.tile_columns;
    Scratch<T> images(times(thread_count(), band));
    Scratch<T> bias(filters.panels() * columns);
    std::fill_n(bias.get(), filters.panels() * columns, T(0));
    std::memcpy(bias.get(), b, static_cast<size_t>(s.F) * sizeof(T));
    std::fill_n(images.get(), thread_count() * band, T(0));

    parallel(s.N * bands, [&](int64_t task, int worker) {
        const int64_t n = task / bands, first = task % bands * kRows, rows = std::min(kRows, s.OH - first);
        T* image = images.get() + worker * band;
        copy_band(s, x + n * s.H * s.W * s.C, first * s.stride_y - s.pad_y, (rows - 1) * s.stride_y + s.HH, image);
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t j = 0; j < s.OW; j += gemm.tile_rows)
                for (int64_t p = 0; p < filters.panels(); ++p)
                    gemm.runs_tile(s.HH, s.WW * s.C, image + i * s.stride_y * width + j * step, width, step,
                                   filters.panel(p, 0), filters.row_stride(),
                                   out + (((n * s.OH + first + i) * s.OW) + j) * s.F + p * columns, s.F,
                                   std::min(gemm.tile_rows, s.OW - j), std::min(columns, s.F - p * columns),
                                   bias.get() + p * columns);
    });
}

// The gradients of all patches, image by image, added where they came from.
template <class T>
void narrow_backward_input(const ConvSizes& s, const T* dout, const T* w, T* dx) {
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

// dw, turned: ((f), (y, x, c)) = dout^T patches.  dout is read where it is.
template <class T>
void narrow_backward_weights(const ConvSizes& s, const T* dout, const T* x, T* dw) {
    constexpr int64_t kDepth = 256, kChunks = 32;
    const auto& gemm = kernels<T>().gemm;
    const int64_t area = s.HH * s.WW, columns = area * s.C, width = round_up(columns, gemm.tile_columns);
    const int64_t pixels = times(s.N, s.OH, s.OW), blocks = ceil_div(pixels, kDepth);
    const int64_t each = std::max<int64_t>(1, ceil_div(blocks, kChunks)), chunks = ceil_div(blocks, each);
    const Taps taps = window(s);
    const Patches<T> patches = forward_patches(s, x, taps);
    Scratch<T> packed(times(thread_count(), kDepth, width)), parts(times(std::max<int64_t>(1, chunks), s.F, width));
    std::fill_n(packed.get(), thread_count() * kDepth * width, T(0));
    if (!chunks) std::fill_n(parts.get(), s.F * width, T(0));

    parallel(chunks, [&](int64_t chunk, int worker) {
        T* panels = packed.get() + worker * kDepth * width;
        T* part = parts.get() + chunk * s.F * width;
        for (int64_t block = chunk * each; block < std::min(blocks, (chunk + 1) * each); ++block) {
            const int64_t first = block * kDepth, depth = std::min(kDepth, pixels - first);
            patches.for_lines(first, depth, 0, columns, [&](int64_t k, const T* line) {
                for (int64_t c = 0; c < columns; c += gemm.tile_columns)
                    copy_run(panels + c * kDepth + k * gemm.tile_columns, line + c,
                             std::min(gemm.tile_columns, columns - c));
            });
            for (int64_t c = 0; c < width; c += gemm.tile_columns)
                for (int64_t f = 0; f < s.F; f += gemm.tile_rows)
                    gemm.tile(ALayout::kColumns, depth, dout + first * s.F + f, s.F, panels + c * kDepth,
                              gemm.tile_columns, part + f * width + c, width, gemm.tile_rows, gemm.tile_columns,
                              block > chunk * each, nullptr);
        }
    });
    parallel(s.F, [&](int64_t f, int) {
        T* sum = parts.get() + f * width;
        for (int64_t chunk = 1; chunk < chunks; ++chunk)
            for (int64_t c = 0; c < columns; ++c) sum[c] += sum[chunk * s.F * width + c];
        for (int64_t c = 0; c < s.C; ++c)
            for (int64_t t = 0; t < area; ++t) dw[(f * s.C + c) * area + t] = sum[t * s.C + c];
    });
}

#define HG_INSTANTIATE(T)                                                                                     \
    template bool narrow_weights_fit<T>(const ConvSizes&);                                                    \
    template void narrow_forward(const ConvSizes&, const T*, const RightFactor<T>&, const T*, T*);            \
    template void narrow_backward_input(const ConvSizes&, const T*, const T*, T*);                            \
    template void narrow_backward_weights(const ConvSizes&, const T*, const T*, T*);
HG_INSTANTIATE(float)
HG_INSTANTIATE(double)

}  // namespace handgrad
