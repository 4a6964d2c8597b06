#include "ops/winograd.h"

#include <algorithm>
#include <cstring>

#include "core/buffers.h"
#include "core/threads.h"
#include "kernels/dispatch.h"

namespace handgrad {
namespace {

constexpr int64_t kPlanes = 36, kTile = 4;
constexpr int64_t kMaxLanes = 16;

// The tiles of the outputs of N images.
struct Tiling {
    int64_t rows, columns, count;
    Tiling(int64_t N, int64_t height, int64_t width)
        : rows(ceil_div(height, kTile)), columns(ceil_div(width, kTile)), count(times(N, rows, columns)) {}
    // Calls body(n, y, x) with the first output pixel of tile `index`.
    template <class Body>
    void at(int64_t index, Body&& body) const {
        body(index / (rows * columns), index / columns % rows * kTile, index % columns * kTile);
    }
};

// Planes that lie a multiple of 4 KiB apart would fall on the same cache sets: an odd number of lines.
int64_t plane_size(int64_t size) { return round_up(size, 16) / 16 % 2 ? round_up(size, 16) : round_up(size, 16) + 16; }

// The sums of 0 * result of each thread.
struct Check {
    Check() : sums(times(thread_count(), kMaxLanes)) { std::fill_n(sums.get(), thread_count() * kMaxLanes, 0.0f); }
    float* of(int worker) { return sums.get() + worker * kMaxLanes; }
    bool finite() const {
        bool all = true;
        for (int64_t i = 0; i < thread_count() * kMaxLanes; ++i) all &= sums.get()[i] == 0;
        return all;
    }
    Scratch<float> sums;
};

Scratch<float> zeros_of(int64_t channels) {
    Scratch<float> zeros(round_up(channels, kBlock));
    std::fill_n(zeros.get(), round_up(channels, kBlock), 0.0f);
    return zeros;
}

// A correlation of images (N, H, W, depth) with filters [outs][depth] of 3 x 3: forward, or the
// backward to the input, which is a correlation with the filters turned round.
struct Correlation {
    int64_t N, H, W, depth, pad_y, pad_x, outs, OH, OW;
    int64_t out_stride, in_stride;
    bool flip;
};

bool correlate(const Correlation& s, const float* x, const float* w, const float* bias, float* out) {
    const auto& gemm = kernels<float>().gemm;
    const auto& kernel = kernels<float>().winograd;
    const int64_t width = gemm.tile_columns, tile_rows = gemm.tile_rows;
    const int64_t groups = ceil_div(s.outs, width), depth = s.depth;

    const int64_t filter_plane = plane_size(times(depth, width)), panel = times(kPlanes, filter_plane);
    Scratch<float> filters(times(groups, panel));
    parallel(groups, [&](int64_t group, int) {
        kernel.weights(w + group * width * s.out_stride, s.out_stride, s.in_stride, s.flip, depth,
                       std::min(width, s.outs - group * width), width, filters.get() + group * panel, filter_plane);
    });
    Scratch<float> biases(groups * width);
    std::fill_n(biases.get(), groups * width, 0.0f);
    if (bias) std::memcpy(biases.get(), bias, static_cast<size_t>(s.outs) * sizeof(float));

    const Tiling tiling(s.N, s.OH, s.OW);
    const int64_t most = std::clamp<int64_t>(5120 / depth, 32, 96);
    int64_t blocks = round_up(ceil_div(tiling.count, most), 4);
    const int64_t tiles = round_up(ceil_div(tiling.count, blocks), tile_rows);
    blocks = ceil_div(tiling.count, tiles);

    const int64_t chunk = round_up(depth, kBlock) * tile_rows;  // one panel of tiles in one plane
    const int64_t in_plane = plane_size(times(tiles / tile_rows, chunk)), out_plane = plane_size(tiles * width);
    Scratch<float> transformed(times(thread_count(), kPlanes, in_plane));
    Scratch<float> products(times(thread_count(), kPlanes, out_plane));
    const Scratch<float> zeros = zeros_of(depth);
    const WinogradImage from{s.H, s.W, depth, zeros.get()}, to{s.OH, s.OW, s.outs, nullptr};
    Check check;

    parallel(blocks, [&](int64_t block, int worker) {
        float* in = transformed.get() + worker * kPlanes * in_plane;
        float* product = products.get() + worker * kPlanes * out_plane;
        const int64_t first = block * tiles, count = std::min(tiles, tiling.count - first);
        for (int64_t t = 0; t < count; ++t)
            tiling.at(first + t, [&](int64_t n, int64_t y, int64_t x0) {
                kernel.input(from, x + n * s.H * s.W * depth, y - s.pad_y, x0 - s.pad_x,
                             in + t / tile_rows * chunk + t % tile_rows * kBlock, in_plane, tile_rows * kBlock);
            });
        for (int64_t group = 0; group < groups; ++group) {
            for (int64_t p = 0; p < kPlanes; ++p)
                for (int64_t t = 0; t < count; t += tile_rows)
                    gemm.tile(ALayout::kRowBlocks, depth, in + p * in_plane + t / tile_rows * chunk, tile_rows,
                              filters.get() + group * panel + p * filter_plane, width, product + p * out_plane + t * width,
                              width, tile_rows, width, false, nullptr);
            for (int64_t t = 0; t < count; ++t)
                tiling.at(first + t, [&](int64_t n, int64_t y, int64_t x0) {
                    kernel.output(to, out + n * s.OH * s.OW * s.outs, y, x0, group * width,
                                  std::min(width, s.outs - group * width), product + t * width, out_plane,
                                  biases.get() + group * width, check.of(worker));
                });
        }
    });
    return check.finite();
}

}  // namespace

bool winograd_pays(const ConvSizes& s) {
    if (s.HH != 3 || s.WW != 3 || s.stride_y != 1 || s.stride_x != 1) return false;
    if (s.C < 16 || s.F < 16 || s.N == 0) return false;
    // 36 products a tile against 9 an output.
    const int64_t forward = ceil_div(s.OH, kTile) * ceil_div(s.OW, kTile);
    const int64_t backward = ceil_div(s.H, kTile) * ceil_div(s.W, kTile);
    return 6 * forward <= s.OH * s.OW && 6 * backward <= s.H * s.W;
}

bool winograd_forward(const ConvSizes& s, const float* x, const float* w, const float* b, float* out) {
    return correlate({s.N, s.H, s.W, s.C, s.pad_y, s.pad_x, s.F, s.OH, s.OW, 9 * s.C, 9, false}, x, w, b, out);
}

bool winograd_backward_input(const ConvSizes& s, const float* dout, const float* w, float* dx) {
    return correlate({s.N, s.OH, s.OW, s.F, 2 - s.pad_y, 2 - s.pad_x, s.C, s.H, s.W, 9, 9 * s.C, true}, dout, w,
                     nullptr, dx);
}

bool winograd_backward_weights(const ConvSizes& s, const float* dout, const float* x, float* dw) {
    const auto& gemm = kernels<float>().gemm;
    const auto& kernel = kernels<float>().winograd;
    const int64_t width = gemm.tile_columns, tile_rows = gemm.tile_rows;
    const int64_t groups = ceil_div(s.F, width), row = round_up(s.C, kBlock);
    const Tiling tiling(s.N, s.OH, s.OW);

    // Inputs are transformed for many tiles at once, at most 24 MB; then each task adds up its part of
    // the tiles for one group of filters.
    constexpr int64_t kBlockTiles = 64;
    const int64_t fits = std::max<int64_t>(1, (int64_t{6} << 20) / (kPlanes * row * kBlockTiles));
    const int64_t blocks = ceil_div(tiling.count, kBlockTiles), batch = std::min(blocks, fits);
    const int64_t splits = std::min(batch, ceil_div(12, groups));
    const int64_t in_plane = plane_size(times(batch, kBlockTiles, row));
    const int64_t gradient_plane = plane_size(kBlockTiles * width), sum_plane = plane_size(times(s.C, width));
    Scratch<float> inputs(plus(times(kPlanes, in_plane), kBlock));
    Scratch<float> gradients(times(thread_count(), kPlanes, gradient_plane));
    Scratch<float> sums(times(groups, splits, kPlanes, sum_plane));
    const Scratch<float> zeros = zeros_of(std::max(s.C, s.F));
    const WinogradImage from{s.H, s.W, s.C, zeros.get()}, upstream{s.OH, s.OW, s.F, zeros.get()};

    for (int64_t start = 0; start < blocks; start += batch) {
        const int64_t here = std::min(batch, blocks - start);
        parallel(here * 4, [&](int64_t quarter, int) {
            constexpr int64_t kQuarter = kBlockTiles / 4;
            const int64_t first = start * kBlockTiles + quarter * kQuarter;
            for (int64_t t = 0; t < std::min(kQuarter, tiling.count - first); ++t)
                tiling.at(first + t, [&](int64_t n, int64_t y, int64_t x0) {
                    const int64_t tile = quarter * kQuarter + t;
                    kernel.input(from, x + n * s.H * s.W * s.C, y - s.pad_y, x0 - s.pad_x,
                                 inputs.get() + tile / kBlockTiles * kBlockTiles * row + tile % kBlockTiles * kBlock,
                                 in_plane, kBlockTiles * kBlock);
                });
        });
        parallel(groups * splits, [&](int64_t task, int worker) {
            const int64_t group = task / splits, part = task % splits;
            float* gradient = gradients.get() + worker * kPlanes * gradient_plane;
            float* sum = sums.get() + task * kPlanes * sum_plane;
            for (int64_t block = part; block < here; block += splits) {
                const int64_t first = (start + block) * kBlockTiles;
                const int64_t count = std::min(kBlockTiles, tiling.count - first);
                for (int64_t t = 0; t < count; ++t)
                    tiling.at(first + t, [&](int64_t n, int64_t y, int64_t x0) {
                        kernel.gradient(upstream, dout + n * s.OH * s.OW * s.F, y, x0, group * width,
                                        std::min(width, s.F - group * width), gradient + t * width, gradient_plane);
                    });
                const bool accumulate = start > 0 || block >= splits;
                for (int64_t p = 0; p < kPlanes; ++p)
                    for (int64_t c = 0; c < s.C;) {
                        const int64_t in_block = c % kBlock, rows = std::min({tile_rows, kBlock - in_block, s.C - c});
                        gemm.tile(ALayout::kColumns, count,
                                  inputs.get() + p * in_plane + (block * row + c - in_block) * kBlockTiles + in_block,
                                  kBlock, gradient + p * gradient_plane, width, sum + p * sum_plane + c * width, width, rows,
                                  width, accumulate, nullptr);
                        c += rows;
                    }
            }
        });
    }
    Check check;
    constexpr int64_t kSlice = 16;  // channels of a task
    const int64_t slices = ceil_div(s.C, kSlice);
    parallel(groups * slices, [&](int64_t task, int worker) {
        const int64_t group = task / slices, c = task % slices * kSlice, count = std::min(kSlice, s.C - c);
        float* sum = sums.get() + group * splits * kPlanes * sum_plane + c * width;
        for (int64_t part = 1; part < splits; ++part)
            for (int64_t p = 0; p < kPlanes; ++p) {
                const float* more = sum + (part * kPlanes + p) * sum_plane;
                for (int64_t i = 0; i < count * width; ++i) sum[p * sum_plane + i] += more[i];
            }
        kernel.weight_gradient(sum, sum_plane, count, std::min(width, s.F - group * width), width,
                               dw + (group * width * s.C + c) * 9, 9 * s.C, 9, check.of(worker));
    });
    return check.finite();
}

}  // namespace handgrad
