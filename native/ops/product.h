// Matrix products C = A B (+ bias) over packed panels, in parallel.
#pragma once

#include <cstring>

#include "core/buffers.h"
#include "kernels/dispatch.h"
#include "ops/stored.h"

namespace handgrad {

// The left factor: anything that can copy a block of itself into the micro-kernel's panels.
template <class T>
class LeftFactor {
  public:
    explicit LeftFactor(ALayout layout, const T* data = nullptr, int64_t stride = 0)
        : layout(layout), data(data), stride(stride) {}
    virtual ~LeftFactor() = default;
    // Rows [row, row + rows) by depth [k, k + depth) into panels of tile_rows rows each, zeros below
    // the last row; panel_size() apart.
    virtual void pack(int64_t row, int64_t rows, int64_t k, int64_t depth, T* panels) const = 0;
    const ALayout layout;
    // Where a matrix lies whose rows (kRowBlocks) or columns (kColumns) are runs of memory, `stride` apart; else null.
    const T* const data;
    const int64_t stride;
};

inline int64_t panel_size(ALayout layout, int64_t tile_rows, int64_t depth) {
    return tile_rows * (layout == ALayout::kRowBlocks ? round_up(depth, kBlock) : depth);
}

// A matrix with rows of unit stride, `stride` apart.
template <class T>
class RowMatrix final : public LeftFactor<T> {
  public:
    RowMatrix(const T* data, int64_t stride)
        : LeftFactor<T>(ALayout::kRowBlocks, data, stride) {}
    void pack(int64_t row, int64_t rows, int64_t k, int64_t depth, T* panels) const override;
};

// The transpose of a matrix with rows of unit stride, `stride` apart.
template <class T>
class ColumnMatrix final : public LeftFactor<T> {
  public:
    ColumnMatrix(const T* data, int64_t stride)
        : LeftFactor<T>(ALayout::kColumns, data, stride) {}
    void pack(int64_t row, int64_t rows, int64_t k, int64_t depth, T* panels) const override;
};

// The right factor, in panels [columns / tile_columns][depth][tile_columns].  Packed once; or, for few
// rows of the left factor or a small product, block by block in the cache of who multiplies; or read where
// it is if its rows are short and made of whole panels.
template <class T>
class RightFactor {
  public:
    static constexpr int64_t kFewRows = 128, kManyRows = INT64_MAX;
    static constexpr int64_t kSmall = int64_t{1} << 20;  // multiplications of a small product

    // rows: of the left factor
    RightFactor(const T* b, int64_t row_stride, int64_t column_stride, int64_t depth, int64_t columns,
                int64_t rows = kManyRows);
    const T* panel(int64_t index, int64_t k) const { return data_ + index * panel_stride_ + k * row_stride_; }
    int64_t row_stride() const { return row_stride_; }
    int64_t panels() const { return ceil_div(columns, tile_columns_); }
    bool in_blocks() const { return in_blocks_; }
    bool is_small() const { return small_; }  // the product, which is worth no more than a call
    // Where element (k, 0) lies, of a factor in blocks whose rows are runs of memory; else null.
    const T* row(int64_t k) const { return in_blocks_ && column_stride_ == 1 ? data_ + k * row_stride_ : nullptr; }
    // Of a small product: where its element (k, 0) lies if its rows are runs of memory; else null.
    const T* line(int64_t k) const { return column_stride_ == 1 ? data_ + k * row_stride_ : nullptr; }
    // Rows [k, k + count) of panels [first, last) into `block`; of a factor in blocks.
    void pack(int64_t first, int64_t last, int64_t k, int64_t count, T* block) const;
    const int64_t depth, columns;

  private:
    int64_t tile_columns_, panel_stride_, row_stride_, column_stride_;
    bool in_blocks_ = false, small_ = false;
    Scratch<T> panels_;
    const T* data_;
};

// C (rows, B's columns), rows c_stride apart, = A B + bias; bias may be null.
template <class T>
void multiply(const LeftFactor<T>& a, const RightFactor<T>& b, int64_t rows, const T* bias, T* c,
              int64_t c_stride);

// The symmetric C (n, n) = A B, whose upper half is computed; n is the number of B's columns.
template <class T>
void symmetric_product(const LeftFactor<T>& a, const RightFactor<T>& b, T* c);

// C (rows, columns), rows c_stride apart, = A B^T + bias, where the rows of A and B are runs of `depth` numbers, for
// few rows of A; bias may be null.
template <class T>
void multiply_rows(const T* a, int64_t rows, const T* b, int64_t columns, int64_t depth, const T* bias, T* c,
                   int64_t c_stride);

// sums[c] = sum over the rows of x (rows, columns).
template <class S>
void column_sums(const S* x, int64_t rows, int64_t columns, Computed<S>* sums);

}  // namespace handgrad
