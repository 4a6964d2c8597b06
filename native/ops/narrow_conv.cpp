#include "ops/narrow_conv.h"

#include <algorithm>
#include <cstring>

#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/patches.h"
#include "ops/product.h"

namespace handgrad {
namespace {

constexpr int64_t kNarrow = 16;  // channels are too many
constexpr int64_t kLargestPatches = 1 << 22, kLargestSums = 1 << 17;
constexpr int64_t kPatches = 256;  // patches of a block in backward

}  // namespace

bool narrow_input_fits(const ConvSizes& s) {
    return s.C < kNarrow && times(s.HH, s.WW, times(s.C, s.OH, s.OW)) < kLargestPatches;
}
bool narrow_weights_fit(const ConvSizes& s) {
    return s.C < kNarrow && times(s.HH, s.WW, s.C, s.F) <= kLargestSums && s.OW > 0 &&
           times(plus(s.W, times(2, s.pad_x)), s.C, plus(s.HH, times(s.stride_y, ceil_div(kPatches, s.OW)))) < kLargestPatches &&
           times(plus(s.OW, kPatches), s.HH, s.WW, s.C) < kLargestPatches;
}

// The gradients of all patches, image by image, added where they came from.
template <class T>
void narrow_backward_input(const ConvSizes& s, const T* dout, const T* w, T* dx) {
    const int64_t area = s.HH * s.WW, columns = area * s.C, pixels = s.OH * s.OW;
    const Scratch<T> matrix = filter_rows(s.F, s.C, area, w);
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

// dw, turned: ((f), (y, x, c)) = dout^T patches.  dout is read where it is, if its rows are whole tiles.
template <class T>
void narrow_backward_weights(const ConvSizes& s, const T* dout, const T* x, T* dw) {
    constexpr int64_t kChunks = 32;
    const auto& gemm = kernels<T>().gemm;
    const int64_t area = s.HH * s.WW, run = s.WW * s.C, columns = area * s.C;
    const int64_t width = round_up(columns, gemm.tile_columns);
    // Rows of an even number of tiles would fall on few lines of the cache.
    const int64_t line = width == gemm.tile_columns ? width : width + kBlock;
    const int64_t rows = std::min(s.OH, ceil_div(kPatches, s.OW)), bands = ceil_div(s.OH, rows), blocks = times(s.N, bands);
    const int64_t each = std::max<int64_t>(1, ceil_div(blocks, kChunks)), chunks = ceil_div(blocks, each);
    const int64_t filters = round_up(s.F, gemm.tile_rows), padded_w = s.W + 2 * s.pad_x;
    // Of each patch, runs of memory in blocks; what they copy too much is copied over, or not used.
    const int64_t band_size = times((rows - 1) * s.stride_y + s.HH, padded_w, s.C) + kBlock;
    const int64_t packed_size = times(rows, s.OW, line) + 2 * kBlock;
    const int64_t upstream_size = filters == s.F ? 0 : times(rows, s.OW, filters);
    Scratch<BlockCopy> copies(times(s.HH, ceil_div(run, kBlock)));
    int64_t copy_count = 0;
    for (int64_t y = 0; y < s.HH; ++y)
        for (int64_t at = 0; at < run; at += kBlock) copies.get()[copy_count++] = {y * padded_w * s.C + at, y * run + at};
    Scratch<T> images(times(thread_count(), band_size)), packed(times(thread_count(), packed_size));
    Scratch<T> upstream(times(thread_count(), upstream_size)), parts(times(std::max<int64_t>(1, chunks), filters, width));
    std::fill_n(images.get(), thread_count() * band_size, T(0));
    std::fill_n(packed.get(), thread_count() * packed_size, T(0));
    std::fill_n(upstream.get(), thread_count() * upstream_size, T(0));
    if (!chunks) std::fill_n(parts.get(), filters * width, T(0));

    parallel(chunks, [&](int64_t chunk, int worker) {
        T* image = images.get() + worker * band_size;
        T* panels = packed.get() + worker * packed_size;
        T* part = parts.get() + chunk * filters * width;
        for (int64_t block = chunk * each; block < std::min(blocks, (chunk + 1) * each); ++block) {
            const int64_t n = block / bands, first = block % bands * rows, here = std::min(rows, s.OH - first);
            const int64_t depth = here * s.OW, band_rows = (here - 1) * s.stride_y + s.HH;
            copy_band(s, x + n * s.H * s.W * s.C, first * s.stride_y - s.pad_y, band_rows, image);
            for (int64_t i = 0; i < here; ++i)
                gemm.pack_blocks(image + i * s.stride_y * padded_w * s.C, s.stride_x * s.C, s.OW, copies.get(), copy_count,
                                 panels + i * s.OW * line, line);
            const T* gradient = dout + (n * s.OH + first) * s.OW * s.F;
            if (filters != s.F) {
                T* own = upstream.get() + worker * upstream_size;
                for (int64_t k = 0; k < depth; ++k) copy_run(own + k * filters, gradient + k * s.F, s.F);
                gradient = own;
            }
            for (int64_t c = 0; c < width; c += gemm.tile_columns)
                for (int64_t f = 0; f < filters; f += gemm.tile_rows)
                    gemm.tile(ALayout::kColumns, depth, gradient + f, filters, panels + c, line, part + f * width + c,
                              width, gemm.tile_rows, gemm.tile_columns, block > chunk * each, nullptr);
        }
    });
    parallel(s.F, [&](int64_t f, int) {
        T* sum = parts.get() + f * width;
        for (int64_t chunk = 1; chunk < chunks; ++chunk)
            for (int64_t c = 0; c < columns; ++c) sum[c] += sum[chunk * filters * width + c];
        for (int64_t c = 0; c < s.C; ++c)
            for (int64_t t = 0; t < area; ++t) dw[(f * s.C + c) * area + t] = sum[t * s.C + c];
    });
}

#define HG_INSTANTIATE(T)                                                                                     \
    template void narrow_backward_input(const ConvSizes&, const T*, const T*, T*);                            \
    template void narrow_backward_weights(const ConvSizes&, const T*, const T*, T*);
HG_INSTANTIATE(float)
HG_INSTANTIATE(double)

}  // namespace handgrad
