// The kernels of one instruction set, chosen once when the library loads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/bf16_table.h"
#include "kernels/stem.h"
#include "kernels/winograd.h"

namespace handgrad {

// How the micro-kernel finds A, a tile of `tile_rows` rows:
//   kRowBlocks  element (i, k) at [k / 16][i][k % 16]   rows copied as they are
//   kColumns    element (i, k) at [k * stride + i]      rows already side by side
enum class ALayout { kRowBlocks, kColumns };
constexpr int64_t kBlock = 16;

// Where a block of numbers comes from and goes to, behind the places of their rows.
struct BlockCopy {
    int64_t from, to;
};

template <class T>
struct GemmKernels {
    int64_t tile_rows, tile_columns;
    // C (rows, columns) at most one tile = start + A B over `depth`.  `start` is C itself where
    // accumulate, else the row `bias` (tile_columns numbers) or zero where that is null.
    // B has tile_columns numbers a row, b_stride apart.
    void (*tile)(ALayout layout, int64_t depth, const T* a, int64_t a_stride, const T* b, int64_t b_stride,
                 T* c, int64_t c_stride, int64_t rows, int64_t columns, bool accumulate, const T* bias);
    // The same for rows of A that lie anywhere: row i is the runs behind a[i].  Where the rows a[i + tile_rows]
    // of the next tile lie is fetched; there are 2 tile_rows pointers.
    void (*runs_tile)(const T* const* a, const Run* runs, int64_t run_count, const T* b, int64_t b_stride, T* c,
                      int64_t c_stride, int64_t rows, int64_t columns, bool accumulate, const T* bias);
    // The same for columns of A that lie anywhere: element (i, k) at a[k][offset + i];
    // all tile_rows of them are read.
    void (*places_tile)(const T* const* a, int64_t offset, int64_t depth, const T* b, int64_t b_stride, T* c,
                        int64_t c_stride, int64_t rows, int64_t columns, bool accumulate);
    // A (rows, depth) whose columns are runs of memory, stride apart, to panels of kColumns; nothing behind the last
    // row.
    void (*pack_columns)(const T* a, int64_t stride, int64_t rows, int64_t depth, T* panels);
    // Blocks of kBlock numbers, copied one after the other from a + r step to b + r row_stride.
    void (*pack_blocks)(const T* a, int64_t step, int64_t rows, const BlockCopy* copies, int64_t copy_count, T* b,
                        int64_t row_stride);
    // B (depth, columns), any strides, to panels [columns / tile_columns][depth][tile_columns],
    // zeros behind the last column.
    void (*pack_b)(const T* b, int64_t row_stride, int64_t column_stride, int64_t depth,
                   int64_t columns, T* panels);
};

// Products of few rows, which read the other factor where it lies.
template <class T>
struct ThinKernels {
    int64_t few;  // rows at most, of few_rows
    // GemmKernels::tile for A in kRowBlocks, a_block numbers apart, and any number of columns of B.
    void (*few_rows)(int64_t depth, const T* a, int64_t a_block, int64_t rows, const T* b, int64_t b_stride,
                     int64_t columns, T* c, int64_t c_stride, bool accumulate, const T* bias);
    // C (rows, columns) = A B^T + bias, the rows of A and B being runs of `depth` numbers; bias may be null.
    void (*dot)(const T* a, int64_t a_stride, int64_t rows, const T* b, int64_t b_stride, int64_t columns, int64_t depth,
                const T* bias, T* c, int64_t c_stride);
};

template <class T>
struct Affine;

// Kernels over matrices (rows, channels), dense: channels-last images, or the rows of a batch.  They are stored as S.
template <class S>
struct RowKernels {
    using T = Computed<S>;
    // Sums over the rows.
    void (*sum)(const S* x, int64_t rows, int64_t channels, T* sums);
    // The mean over the rows is mean + rest, whose sum T may not hold; and the sum of squared deviations.
    void (*moments)(const S* x, int64_t rows, int64_t channels, T* mean, T* rest, T* squares);
    void (*normalise)(const Affine<T>& map, const S* x, int64_t rows, int64_t channels, S* out);
    // sums: of dz and of dz * xhat, where dz is dout times the derivative of ReLU.
    void (*norm_sums)(const Affine<T>& map, const S* dout, const S* x, int64_t rows, int64_t channels,
                      T* sum_dz, T* sum_dz_xhat);
    // dx = scale (dz - mean_dz - xhat mean_dz_xhat), or scale dz where the means are null, as of given moments.
    void (*norm_backward)(const Affine<T>& map, const S* dout, const S* x, int64_t rows,
                          int64_t channels, const T* mean_dz, const T* mean_dz_xhat, S* dx);
    // The transpose: out[i * out_stride + j] = x[j * x_stride + i], i < columns, j < rows.  Null for bf16.
    void (*turn)(const S* x, int64_t x_stride, int64_t rows, int64_t columns, S* out, int64_t out_stride);
};

// y = (x - mean) scale + shift for each channel, then max(0, y) where `rectify`; xhat = (x - mean) inv_std.
template <class T>
struct Affine {
    const T *mean, *inv_std, *scale, *shift;
    bool rectify;
};

// One row of pooling windows.
struct PoolSizes {
    int64_t N, C, H, W, HH, WW, stride_y, stride_x, OH, OW;
    int64_t area() const { return HH * WW; }
};

// The number of the largest element of a window, or area() where ReLU made the window zero.  Bytes where
// area() < 256, else 32 bits.
template <class S>
struct PoolKernels {
    using T = Computed<S>;
    // Rows [first, last) of the N * OH rows of outputs.  map: null, or what comes before the pooling;
    // then `largest` receives the chosen x.
    void (*max_forward)(const PoolSizes& s, const Affine<T>* map, bool rectify, const S* x, int64_t first,
                        int64_t last, S* out, S* largest, void* index);
    // Rows [first, last) of the N * H rows of inputs.  In bf16 windows must not overlap: dx is summed where it lies.
    void (*max_backward)(const PoolSizes& s, const S* dout, const void* index, int64_t first, int64_t last,
                         S* dx);
    // Null for bf16.
    void (*mean_forward)(const PoolSizes& s, const T* x, int64_t first, int64_t last, T* out);
    void (*mean_backward)(const PoolSizes& s, const T* dout, int64_t first, int64_t last, T* dx);
};

// Where a convolution with groups of channels reads and writes.  Window (i, j) of the grid lies at
// (i step_y + offset_y, j step_x + offset_x) of the image, its taps at (dy, dx) from there, dy never
// falling; its output at (out_y + i out_step_y, out_x + j out_step_x).  Output channel f is the sum over
// the taps t and k < depth_in of the image's channel f / depth_out * depth_in + k times
// w[(t * depth_in + k) * F + f].
struct GroupSizes {
    int64_t depth_in, depth_out, F;
    int64_t H, W, C;
    int64_t grid_h, grid_w, step_y, step_x, offset_y, offset_x;
    int64_t taps;
    const int64_t *dy, *dx;
    int64_t OH, OW, out_y, out_x, out_step_y, out_step_x;
};

template <class T>
struct GroupKernels {
    // Whether the other two take groups of depth_in and depth_out channels.
    bool (*fits)(int64_t depth_in, int64_t depth_out);
    // Rows [first, last) of the N * grid_h rows of the grid; bias may be null.
    void (*correlate)(const GroupSizes& s, const T* image, const T* w, const T* bias, int64_t first, int64_t last,
                      T* out);
    // Adds to dw, laid out as w, the part of these rows; dout (N, grid_h, grid_w, F).
    void (*weights)(const GroupSizes& s, const T* image, const T* dout, int64_t first, int64_t last, T* dw);
};

// Update rules on flat arrays of n numbers; the letters are those of handgrad.optim.
template <class T>
struct UpdateSettings {
    T rate, decay1, decay2, epsilon, correction1, correction2, weight_decay;
};

template <class T>
struct FlatKernels {
    void (*relu)(const T* x, int64_t n, T* out, uint8_t* positive);
    void (*rectify)(T* x, int64_t n, uint8_t* positive);  // in place
    void (*relu_backward)(const T* dout, const uint8_t* positive, int64_t n, T* dx);
    void (*product)(const T* a, const T* b, int64_t n, T* out);
    void (*sum)(const T* a, const T* b, int64_t n, T* out);
    void (*leaky_relu)(const T* x, T alpha, int64_t n, T* out, uint8_t* positive);
    void (*leaky_relu_backward)(const T* dout, const uint8_t* positive, T alpha, int64_t n, T* dx);
    void (*sgd)(const UpdateSettings<T>& s, T* w, const T* dw, int64_t n);
    void (*momentum)(const UpdateSettings<T>& s, const T* w, const T* dw, const T* v, int64_t n, T* next_w, T* next_v);
    void (*nesterov)(const UpdateSettings<T>& s, const T* w, const T* dw, const T* v, int64_t n, T* next_w, T* next_v);
    void (*adagrad)(const UpdateSettings<T>& s, const T* w, const T* dw, const T* c, int64_t n, T* next_w, T* next_c);
    void (*rmsprop)(const UpdateSettings<T>& s, const T* w, const T* dw, const T* c, int64_t n, T* next_w, T* next_c);
    // is_large: that next_m and next_v, aligned to cache lines, are not to stay in the caches
    void (*adam)(const UpdateSettings<T>& s, const T* w, const T* dw, const T* m, const T* v, int64_t n, T* next_w,
                 T* next_m, T* next_v, bool is_large);
    // out = dw + strength w; returns the sum of w^2
    double (*penalty)(const T* w, const T* dw, T strength, int64_t n, T* out);
    bool (*all_finite)(const T* x, int64_t n);
    // next_v = momentum v + dw, ahead = dw + momentum next_v; squares: the sums of w^2 and of ahead^2
    void (*look_ahead)(T momentum, const T* w, const T* dw, const T* v, int64_t n, T* next_v, T* ahead, double* squares);
    // step = kept w - rate step
    void (*step_from)(T kept, const T* w, T rate, int64_t n, T* step);
};

// Smooth activations of n numbers, by Curve; alpha is the constant of kElu.
enum Curve { kSigmoid, kTanh, kGelu, kGeluTanh, kElu, kCurves };
template <class T>
struct CurveKernels {
    void (*forward[kCurves])(const T* x, T alpha, int64_t n, T* out);
    // dx = dout times the slope at x
    void (*backward[kCurves])(const T* dout, const T* x, T alpha, int64_t n, T* dx);
    // exp(x - largest), where no x is above largest
    void (*exponentials)(const T* x, T largest, int64_t n, T* out);
};

template <class T>
struct Kernels {
    GemmKernels<T> gemm;
    ThinKernels<T> thin;
    RowKernels<T> rows;
    PoolKernels<T> pool;
    GroupKernels<T> grouped;
    FlatKernels<T> flat;
    CurveKernels<T> curves;
    WinogradKernels winograd;  // of float32 only, as stem
    StemKernels stem;
};

// Of values of layers that are stored in bf16; see Bf16Kernels for their products.
template <>
struct Kernels<Bf16> {
    RowKernels<Bf16> rows;
    PoolKernels<Bf16> pool;
};

}  // namespace handgrad
