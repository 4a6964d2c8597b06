// Kernels of products of bf16 numbers with float32 sums.
//
// A tile is tile_rows rows of A by kBf16Columns columns of B.  B lies in panels [depth / 2][kBf16Columns][2]: two
// numbers of a column, one behind the other in depth, side by side.  Depths are multiples of `step`, with zeros.
//
// sum(A, B), added to C, is by the kind of the kernels:
//   dot       for k = 0, 2, ..: C = fma(a[k], b[k], fma(a[k + 1], b[k + 1], C)), as VDPBF16PS and its emulation do
//   tiles     for each 32 of the depth: the even and the odd products are summed, each from zero on, and added to one
//             another and to C, as TDPBF16PS does
// Subnormal numbers count as zeros, and subnormal sums become zeros.
#pragma once

#include "kernels/bf16.h"
#include "kernels/runs.h"

namespace handgrad {

constexpr int64_t kBf16Columns = 32;
constexpr int64_t kBf16RowPanels = 4;
constexpr int64_t kBf16Beyond = 32;

// What becomes of rows of sums: [C +] sums [+ bias], then max(0, C) where `rectify`.  C is bf16 (half) or float32.
struct Bf16Finish {
    Bf16* half;
    float* full;
    int64_t stride;
    const float* bias;
    bool rectify, accumulate;
};

// The same for the rows of one tile, wherever they lie: `count` rows, of each the first `columns` numbers.
struct Bf16TileRows {
    void* const* rows;  // of Bf16 where is_half, else of float
    int64_t count, columns;
    const float* bias;
    bool is_half, rectify, accumulate;
};

struct Bf16Kernels {
    const char* name;
    int64_t tile_rows, step;
    double cost;   // of a multiplication, by that of one in float32: what the choice between algorithms takes it for
    bool strided;  // rows 0 to 15 of a tile are one stride apart, and so are rows 16 to 31
    // Around the tiles that a thread computes one after the other.
    void (*begin)();
    void (*end)();
    // C [tile_rows][kBf16Columns] = [C +] A B: row i of A is the runs behind a[i].
    void (*tile)(const Bf16* const* a, const Run* runs, int64_t run_count, const Bf16* b, float* c, bool accumulate);
    // The last of the tiles that are added to C, or the only one (c is null), with `finish` in one go; or null.
    void (*tile_to)(const Bf16* const* a, const Run* runs, int64_t run_count, const Bf16* b, const float* c, const Bf16TileRows& to);
    // C [panels][kBf16Columns] = A B of one row of A, and of at most kBf16RowPanels panels of B, panel_size apart.  Or
    // null.
    void (*row)(const Bf16* a, int64_t depth, const Bf16* b, int64_t panel_size, int64_t panels, float* c);
    // A tile whose columns of A lie anywhere, or null: numbers 2 p and 2 p + 1 of row i are side by side at
    // a[p] + offset + 2 i.
    void (*pairs_tile)(const Bf16* const* a, int64_t offset, int64_t pairs, const Bf16* b, float* c, bool accumulate);
    // Row i of out, i * stride on: the runs behind a[i], side by side.  out has kBf16Beyond numbers behind each row, and
    // so has what is read behind each run.
    void (*gather)(const Bf16* const* a, int64_t rows, const Run* runs, int64_t run_count, Bf16* out, int64_t stride);
    // out[2 i] = first[i], out[2 i + 1] = second[i], i < n.
    void (*couple)(const Bf16* first, const Bf16* second, int64_t n, Bf16* out);
    // The first `rows` rows of C, and of those the first `columns` numbers.  What is to be rounded to a subnormal number
    // of bf16 becomes zero.
    void (*finish)(const float* c, int64_t rows, int64_t columns, const Bf16Finish& to);
    void (*to_bf16)(const float* x, int64_t n, Bf16* out);
    void (*to_float)(const Bf16* x, int64_t n, float* out);
    // The transpose: out[i * out_stride + j] = x[j * x_stride + i], i < columns, j < rows.
    void (*turn)(const Bf16* x, int64_t x_stride, int64_t rows, int64_t columns, Bf16* out, int64_t out_stride);
    void (*turn_full)(const float* x, int64_t x_stride, int64_t rows, int64_t columns, Bf16* out, int64_t out_stride);
    // A panel of B (depth, columns), rows row_stride apart, of at most kBf16Columns columns; depth is made a multiple
    // of `step`.
    void (*pair)(const Bf16* b, int64_t row_stride, int64_t depth, int64_t step, int64_t columns, Bf16* panel);
    void (*pair_full)(const float* b, int64_t row_stride, int64_t depth, int64_t step, int64_t columns, Bf16* panel);
    // The same of B whose columns are runs of memory, column_stride apart.
    void (*pair_turned)(const Bf16* b, int64_t column_stride, int64_t depth, int64_t step, int64_t columns, Bf16* panel);
    void (*pair_turned_full)(const float* b, int64_t column_stride, int64_t depth, int64_t step, int64_t columns, Bf16* panel);
};

}  // namespace handgrad
