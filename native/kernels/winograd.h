// The transforms of Winograd's convolution with 3 x 3 filters: kernels of one instruction set.
//
// A tile of size x size outputs (size 2, 4 or 8) is made from side x side inputs, side = size + 2.  Each
// side x side patch is one number at each of `points` places ("planes"), side * side or, for 8, 11 * 11,
// after a transform; in between are `points` matrix products.
#pragma once

#include <cstdint>

#include "kernels/images.h"

namespace handgrad {

// Tiles over channels-last images (N, H, W, C), `step` pixels apart, the first pixel of the first tile
// at (y0, x0); pixels outside the image read as zero and are never written.  Tile number t is
// (n, row, column), the last fastest.  Of a source with places, H and W are even.
struct TileGrid {
    int64_t H, W, C, rows, columns, step, y0, x0;
};

// Where the numbers of tile t and channel c lie in each plane: at
// (t / group) group_stride + (t % group) row_stride + (c / 16) block_stride + c % 16.
struct TilePlaces {
    int64_t group, group_stride, row_stride, block_stride, plane;
};

// `largest` receives the bits of the largest magnitude, or keeps what it has where that is more: as
// integers NaN > infinity > every number.  Of inputs, gradients and filters it sees one plane, enough to
// tell that not all of them are tiny; of results it sees every one.
struct WinogradTransforms {
    int64_t size, points;
    // Input patches (side x side), or patches of output gradients (size x size), of tiles
    // [first, first + count) and channels [channel, channel + channels), to places 0 .. of v.
    // zeros: at least `channels` of them.
    void (*inputs)(const TileGrid& grid, const AnySource& from, const float* zeros, int64_t first, int64_t count,
                   int64_t channel, int64_t channels, const TilePlaces& to, float* v, int32_t* largest);
    void (*gradients)(const TileGrid& grid, const AnySource& from, const float* zeros, int64_t first, int64_t count,
                      int64_t channel, int64_t channels, const TilePlaces& to, float* v, int32_t* largest);
    // Filters of 9 numbers, those of (k, column) at k * k_stride + column * column_stride, to a panel
    // [points][depth][columns of the micro-kernel], zeros behind the last column.
    void (*filters)(const float* w, const float* end, int64_t k_stride, int64_t column_stride, bool flip,
                    int64_t depth, int64_t columns, float* u, int64_t plane, int32_t* largest);
    // Tiles [first, first + count) of channels [channel, channel + channels) from
    // m [tile][points][columns of the micro-kernel], tiles product_size apart.
    int64_t product_size;
    void (*outputs)(const TileGrid& grid, const float* m, int64_t first, int64_t count, int64_t channel,
                    int64_t channels, const AnySink& to, int32_t* largest);
    // Gradients of 9 numbers, those of (k, column) at 9 k + column * column_stride, from the sum of `parts`
    // blocks [points][depth][columns of the micro-kernel], part_stride apart.
    void (*weights)(const float* m, int64_t parts, int64_t part_stride, int64_t plane, int64_t column_stride,
                    int64_t depth, int64_t columns, float* dw, int32_t* largest);
};

struct WinogradKernels {
    WinogradTransforms two, four, eight;  // F(2x2, 3x3), F(4x4, 3x3) and F(8x8, 3x3)
};

}  // namespace handgrad
