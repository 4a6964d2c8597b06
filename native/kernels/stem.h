// The first block of a network over images: convolution, batch norm, ReLU, 2 x 2 max pooling; see ops/stem.h.
#pragma once

#include <cstdint>

namespace handgrad {

template <class T>
struct Affine;

// A filter is `runs` runs of `run` numbers; in a padded image, a band of rows `line` numbers apart, each run
// is one piece of memory, and the next pixel's begins `step` numbers further.  `windows` poolings a row.
struct StemSizes {
    int64_t windows, runs, run, step, line, features;
};

struct StemKernels {
    // One row of poolings, for the features of one panel of filters, B of the micro-kernel: out, the chosen
    // xhat unless that is null, and the place of the largest: 0 to 3, or 4 where ReLU made the window zero.  map.mean is
    // that of the convolution without a bias; map and the results begin at the panel's features.
    void (*forward)(const StemSizes& s, const float* band, const float* filters, int64_t row_stride,
                    const Affine<float>& map, float* out, float* xhat, uint8_t* index);
    // Adds sums over `count` pixels to `products`, a matrix with rows of `side` numbers.  side is run, rounded up to a
    // multiple of products_side.
    //   [k][j], k < step, j < run:                  the sum of left[k] right[j]
    //   [step + j][k], k < run - step, j < step:    the sum of left[step + k] right[j]
    //   [2 step + k][j]:                            the sum of left[step + k] right[step + j], less that of
    //                                               left[k] right[j]: the same products one pixel further
    // totals[j] += the sum of right[j], unless totals is null.
    int64_t products_side;
    void (*products)(int64_t count, int64_t run, int64_t step, const double* left, const double* right,
                     int64_t side, double* products, double* totals);
    // quads[i] = the numbers i and i + step of two rows, for i < count.
    void (*quads)(const float* upper, const float* lower, int64_t step, int64_t count, float* quads);
    // sums[k][f] += the sum over `rows` rows of poolings of dz times number k of the chosen patch.  After them come
    // the sums of dz and of dz xhat.  quads: a row for each row of the band but the last, quad_line quads apart.
    void (*gradients)(const StemSizes& s, int64_t rows, const float* quads, int64_t quad_line, const float* dout,
                      const float* xhat, const uint8_t* index, float* sums);
};

}  // namespace handgrad
