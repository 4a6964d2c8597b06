#include "ops/product.h"

#include <algorithm>

#include "core/threads.h"

namespace handgrad {
namespace {

constexpr int64_t kDepth = 128;      // of a block: a panel of B is 16 KiB of float32, half of a first-level cache
constexpr int64_t kPanels = 16;      // of B that are packed at once: 256 KiB of float32, part of a second-level cache
constexpr int64_t kTasks = 16;       // wanted, so that two to eight threads end together
constexpr int64_t kSplitDepth = 384;  // the least depth of a task that shares its part of C
constexpr int64_t kFewTasks = 8;      // for which A is not packed again
constexpr int64_t kOneTask = int64_t{1} << 18;  // multiplications that one thread does sooner than two
constexpr int64_t kMirrored = 32;     // rows and columns of a square of a symmetric C

// How the work is cut: depends on the sizes only.
struct Plan {
    int64_t row_block, row_blocks, panel_group, panel_groups, split_depth, splits;
};

// Where blocks of rows do not make enough tasks, the depth is cut before the panels: A is packed again
// for each group of panels, which is therefore of two at least.  The few rows of a factor in blocks are cut
// where neither does: B is packed again for each block of rows.
Plan make_plan(int64_t rows, int64_t panels, int64_t depth, int64_t tile_rows, bool in_blocks) {
    Plan plan;
    plan.row_block = in_blocks ? round_up(rows, tile_rows) : tile_rows * 8;
    plan.row_blocks = ceil_div(rows, plan.row_block);
    const int64_t wanted = ceil_div(kTasks, plan.row_blocks);
    const int64_t splits = std::max<int64_t>(1, std::min(wanted, depth / kSplitDepth));
    plan.split_depth = std::max(kDepth, round_up(ceil_div(depth, splits), kDepth));
    plan.splits = std::max<int64_t>(1, ceil_div(depth, plan.split_depth));
    if (in_blocks && plan.splits * ceil_div(panels, 2) < kFewTasks) {
        plan.row_block = round_up(ceil_div(rows, ceil_div(kFewTasks, 2 * plan.splits)), tile_rows);
        plan.row_blocks = ceil_div(rows, plan.row_block);
    }
    const bool enough = plan.row_blocks * plan.splits >= (in_blocks ? kFewTasks / 2 : kFewTasks);
    const int64_t groups = enough ? 1 : std::min(ceil_div(panels, 2), ceil_div(wanted, plan.splits));
    plan.panel_group = ceil_div(panels, groups);
    plan.panel_groups = ceil_div(panels, plan.panel_group);
    return plan;
}

template <class T>
void add_parts(const T* parts, int64_t count, int64_t rows, int64_t columns, T* c, int64_t c_stride) {
    parallel(ceil_div(rows, 16), [&](int64_t chunk, int) {
        for (int64_t i = chunk * 16; i < std::min(rows, chunk * 16 + 16); ++i) {
            T* out = c + i * c_stride;
            std::memcpy(out, parts + i * columns, static_cast<size_t>(columns) * sizeof(T));
            for (int64_t part = 1; part < count; ++part) {
                const T* more = parts + (part * rows + i) * columns;
                for (int64_t j = 0; j < columns; ++j) out[j] += more[j];
            }
        }
    });
}

}  // namespace

template <class T>
void RowMatrix<T>::pack(int64_t row, int64_t rows, int64_t k, int64_t depth, T* panels) const {
    const auto& gemm = kernels<T>().gemm;
    const int64_t tile = gemm.tile_rows, panel = panel_size(this->layout, tile, depth);
    if (rows % tile) std::memset(panels + rows / tile * panel, 0, static_cast<size_t>(panel) * sizeof(T));
    const int64_t whole = depth / kBlock;
    BlockCopy copies[kDepth / kBlock];
    for (int64_t b = 0; b < whole; ++b) copies[b] = {b * kBlock, b * kBlock * tile};
    for (int64_t i = 0; i < rows; i += tile) {
        const int64_t here = std::min(tile, rows - i);
        const T* line = this->data + (row + i) * this->stride + k;
        T* place = panels + i / tile * panel;
        gemm.pack_blocks(line, this->stride, here, copies, whole, place, kBlock);
        for (int64_t r = 0; r < here && whole * kBlock < depth; ++r)
            std::memcpy(place + whole * kBlock * tile + r * kBlock, line + r * this->stride + whole * kBlock,
                        static_cast<size_t>(depth - whole * kBlock) * sizeof(T));
    }
}

template <class T>
void ColumnMatrix<T>::pack(int64_t row, int64_t rows, int64_t k, int64_t depth, T* panels) const {
    const auto& gemm = kernels<T>().gemm;
    const int64_t tile = gemm.tile_rows, panel = panel_size(this->layout, tile, depth);
    if (rows % tile) std::memset(panels + rows / tile * panel, 0, static_cast<size_t>(panel) * sizeof(T));
    gemm.pack_columns(this->data + k * this->stride + row, this->stride, rows, depth, panels);
}

template <class T>
RightFactor<T>::RightFactor(const T* b, int64_t row_stride, int64_t column_stride, int64_t depth,
                            int64_t columns, int64_t rows)
    : depth(depth), columns(columns), tile_columns_(kernels<T>().gemm.tile_columns), panel_stride_(tile_columns_),
      row_stride_(row_stride), column_stride_(column_stride), data_(b) {
    small_ = rows != kManyRows && times(rows, depth, columns) <= kSmall;
    if (column_stride == 1 && columns % tile_columns_ == 0 && row_stride <= 4 * tile_columns_) return;
    if (small_ || rows <= kFewRows) {
        in_blocks_ = true;
        return;
    }
    panel_stride_ = times(depth, tile_columns_);
    row_stride_ = tile_columns_;
    panels_ = Scratch<T>(times(panels(), panel_stride_));
    data_ = panels_.get();
    const auto& kernel = kernels<T>().gemm;
    parallel(panels(), [&](int64_t index, int) {
        const int64_t first = index * tile_columns_;
        kernel.pack_b(b + first * column_stride, row_stride, column_stride, depth,
                      std::min(tile_columns_, columns - first), panels_.get() + first * depth);
    });
}

template <class T>
void RightFactor<T>::pack(int64_t first, int64_t last, int64_t k, int64_t count, T* block) const {
    const int64_t column = first * tile_columns_;
    kernels<T>().gemm.pack_b(data_ + k * row_stride_ + column * column_stride_, row_stride_, column_stride_, count,
                             std::min(last * tile_columns_, columns) - column, block);
}

namespace {

// Rows [first, first + rows) of a small product: the factors are read where they lie, but for edges that a tile would
// read past, and columns of B that are runs of memory.  The sums are those of multiply(), in the same order.
template <class T>
void multiply_in_place(const LeftFactor<T>& a, const RightFactor<T>& b, int64_t first, int64_t rows, bool few, const T* bias,
                       T* c, int64_t c_stride) {
    constexpr int64_t kMostRows = 12, kMostColumns = 32;  // of a tile of any instruction set
    const auto& kernel = kernels<T>().gemm;
    const int64_t height = kernel.tile_rows, width = kernel.tile_columns, columns = b.columns, depth = b.depth;
    alignas(kAlignment) T right[kDepth * kMostColumns], left[kDepth * kMostRows], start[kMostColumns];
    const T* lines[2 * kMostRows];
    for (int64_t k = 0; k == 0 || k < depth; k += kDepth) {
        const int64_t count = std::min(kDepth, depth - k);
        if (few) {
            const bool alone = rows == 1;  // whose row is its own block
            if (!alone) a.pack(first, rows, k, count, left);
            kernels<T>().thin.few_rows(count, alone ? a.data + first * a.stride + k : left, alone ? kBlock : height * kBlock,
                                       rows, b.line(k), b.row_stride(), columns, c + first * c_stride, c_stride, k > 0,
                                       k == 0 ? bias : nullptr);
            continue;
        }
        for (int64_t p = 0; p < b.panels(); ++p) {
            const int64_t column = p * width, wide = std::min(width, columns - column);
            const bool is_whole = wide == width;
            const T* factor = is_whole && b.line(k) ? b.line(k) + column : right;
            const int64_t stride = factor == right ? width : b.row_stride();
            if (factor == right) b.pack(p, p + 1, k, count, right);
            const T* from = bias && k == 0 ? bias + column : nullptr;
            if (from && !is_whole) {
                std::fill_n(std::copy_n(from, wide, start), width - wide, T(0));
                from = start;
            }
            for (int64_t i = 0; i < rows; i += height) {
                const int64_t here = std::min(height, rows - i);
                T* target = c + (first + i) * c_stride + column;
                if (a.layout == ALayout::kRowBlocks) {
                    for (int64_t r = 0; r < 2 * height; ++r) lines[r] = a.data + (first + std::min(i + r, rows - 1)) * a.stride + k;
                    const Run run{0, count};
                    kernel.runs_tile(lines, &run, 1, factor, stride, target, c_stride, here, wide, k > 0, from);
                } else if (here == height) {
                    kernel.tile(a.layout, count, a.data + k * a.stride + first + i, a.stride, factor, stride, target, c_stride, here,
                                wide, k > 0, from);
                } else {
                    std::fill_n(left, count * height, T(0));
                    kernel.pack_columns(a.data + k * a.stride + first + i, a.stride, here, count, left);
                    kernel.tile(a.layout, count, left, height, factor, stride, target, c_stride, here, wide, k > 0, from);
                }
            }
        }
    }
}

template <class T>
void multiply_small(const LeftFactor<T>& a, const RightFactor<T>& b, int64_t rows, const T* bias, T* c, int64_t c_stride) {
    const bool few = a.layout == ALayout::kRowBlocks && rows <= kernels<T>().thin.few && b.depth > 0 && b.row(0);
    if (few || times(rows, b.depth, b.columns) <= kOneTask || thread_count() == 1)
        return multiply_in_place(a, b, 0, rows, few, bias, c, c_stride);
    const int64_t each = round_up(ceil_div(rows, 4), kernels<T>().gemm.tile_rows);
    parallel(ceil_div(rows, each), [&](int64_t task, int) {
        multiply_in_place(a, b, task * each, std::min(each, rows - task * each), false, bias, c, c_stride);
    });
}

}  // namespace

template <class T>
void multiply(const LeftFactor<T>& a, const RightFactor<T>& b, int64_t rows, const T* bias, T* c,
              int64_t c_stride) {
    if (!rows || !b.columns) return;
    if (a.data && b.is_small()) return multiply_small(a, b, rows, bias, c, c_stride);
    const auto& kernel = kernels<T>().gemm;
    const int64_t tile_rows = kernel.tile_rows, tile_columns = kernel.tile_columns;
    const int64_t columns = b.columns, depth = b.depth;
    const Plan plan = make_plan(rows, b.panels(), depth, tile_rows, b.in_blocks());
    const auto& thin = kernels<T>().thin;
    const bool few_rows = a.layout == ALayout::kRowBlocks && rows <= thin.few && depth > 0 && b.row(0);

    Scratch<T> padded_bias(bias ? b.panels() * tile_columns : 0);
    if (bias) {
        std::fill_n(padded_bias.get(), b.panels() * tile_columns, T(0));
        std::memcpy(padded_bias.get(), bias, static_cast<size_t>(columns) * sizeof(T));
    }
    const bool split = plan.splits > 1;
    Scratch<T> parts(split ? times(plan.splits, rows, columns) : 0);
    const int64_t a_block = plan.row_block * kDepth;
    const int64_t at_once = std::min(plan.panel_group, kPanels);
    const int64_t b_block = b.in_blocks() ? at_once * kDepth * tile_columns : 0;
    Scratch<T> blocks(times(thread_count(), a_block + b_block));

    parallel(plan.row_blocks * plan.panel_groups * plan.splits, [&](int64_t task, int worker) {
        const int64_t part = task % plan.splits, place = task / plan.splits;
        const int64_t first_row = place / plan.panel_groups * plan.row_block;
        const int64_t task_rows = std::min(plan.row_block, rows - first_row);
        const int64_t first_panel = place % plan.panel_groups * plan.panel_group;
        const int64_t last_panel = std::min(b.panels(), first_panel + plan.panel_group);
        const int64_t first_k = part * plan.split_depth;
        const int64_t last_k = std::min(depth, first_k + plan.split_depth);
        T* target = split ? parts.get() + part * rows * columns : c;
        const int64_t stride = split ? columns : c_stride;
        T* packed = blocks.get() + worker * (a_block + b_block);
        for (int64_t k = first_k; k == first_k || k < last_k; k += kDepth) {
            const int64_t count = std::min(kDepth, last_k - k);
            a.pack(first_row, task_rows, k, count, packed);
            const int64_t panel = panel_size(a.layout, tile_rows, count);
            if (few_rows) {
                const int64_t column = first_panel * tile_columns;
                thin.few_rows(count, packed, tile_rows * kBlock, rows, b.row(k) + column, b.row_stride(),
                              std::min(last_panel * tile_columns, columns) - column, target + column, stride, k > first_k,
                              bias && k == 0 ? bias + column : nullptr);
                continue;
            }
            for (int64_t p = first_panel; p < last_panel; ++p) {
                const T* start = bias && k == 0 ? padded_bias.get() + p * tile_columns : nullptr;
                const int64_t packed_panel = (p - first_panel) % at_once;
                if (b.in_blocks() && packed_panel == 0)
                    b.pack(p, std::min(last_panel, p + at_once), k, count, packed + a_block);
                const T* right = b.in_blocks() ? packed + a_block + packed_panel * count * tile_columns : b.panel(p, k);
                for (int64_t i = 0; i < task_rows; i += tile_rows)
                    kernel.tile(a.layout, count, packed + i / tile_rows * panel, tile_rows, right,
                                b.in_blocks() ? tile_columns : b.row_stride(),
                                target + (first_row + i) * stride + p * tile_columns, stride,
                                std::min(tile_rows, task_rows - i),
                                std::min(tile_columns, columns - p * tile_columns), k > first_k, start);
            }
        }
    });
    if (split) add_parts(parts.get(), plan.splits, rows, columns, c, c_stride);
}

template <class T>
void symmetric_product(const LeftFactor<T>& a, const RightFactor<T>& b, T* c) {
    const auto& kernel = kernels<T>().gemm;
    const int64_t tile_rows = kernel.tile_rows, tile_columns = kernel.tile_columns, n = b.columns;
    const int64_t row_block = 2 * tile_rows, a_block = row_block * kDepth;
    Scratch<T> blocks(times(thread_count(), a_block));
    parallel(ceil_div(n, row_block), [&](int64_t task, int worker) {
        const int64_t first_row = task * row_block, rows = std::min(row_block, n - first_row);
        T* packed = blocks.get() + worker * a_block;
        for (int64_t k = 0; k < b.depth; k += kDepth) {
            const int64_t count = std::min(kDepth, b.depth - k), panel = panel_size(a.layout, tile_rows, count);
            a.pack(first_row, rows, k, count, packed);
            for (int64_t p = first_row / tile_columns; p < b.panels(); ++p)
                for (int64_t i = 0; i < rows; i += tile_rows)
                    kernel.tile(a.layout, count, packed + i / tile_rows * panel, tile_rows, b.panel(p, k), b.row_stride(),
                                c + (first_row + i) * n + p * tile_columns, n, std::min(tile_rows, rows - i),
                                std::min(tile_columns, n - p * tile_columns), k > 0, nullptr);
        }
    });
    parallel(ceil_div(n, kMirrored), [&](int64_t chunk, int) {  // square by square, as caches like it
        const int64_t stop = std::min(n, (chunk + 1) * kMirrored);
        for (int64_t start = 0; start < stop; start += kMirrored)
            for (int64_t i = chunk * kMirrored; i < stop; ++i)
                for (int64_t j = start; j < std::min(i, start + kMirrored); ++j) c[i * n + j] = c[j * n + i];
    });
}

template <class T>
void multiply_rows(const T* a, int64_t rows, const T* b, int64_t columns, int64_t depth, const T* bias, T* c,
                   int64_t c_stride) {
    // Of a task, whose part of C is copied when it is done: C's rows may fall on few lines of the cache.
    const int64_t task_columns = columns < 1024 ? 24 : 48, task_size = times(rows, task_columns);
    Scratch<T> parts(times(thread_count(), task_size));
    parallel(ceil_div(columns, task_columns), [&](int64_t task, int worker) {
        const int64_t first = task * task_columns, here = std::min(task_columns, columns - first);
        T* part = parts.get() + worker * task_size;
        kernels<T>().thin.dot(a, depth, rows, b + first * depth, depth, here, depth, bias ? bias + first : nullptr, part,
                              task_columns);
        for (int64_t i = 0; i < rows; ++i)
            std::memcpy(c + i * c_stride + first, part + i * task_columns, static_cast<size_t>(here) * sizeof(T));
    });
}

template <class S>
void column_sums(const S* x, int64_t rows, int64_t columns, Computed<S>* sums) {
    using T = Computed<S>;
    constexpr int64_t kRows = 256;
    const int64_t chunks = ceil_div(rows, kRows);
    const auto sum_rows = [&](int64_t first, int64_t count, T* to) {
        kernels<S>().rows.sum(x + first * columns, count, columns, to);
    };
    if (chunks == 1) return sum_rows(0, rows, sums);
    Scratch<T> parts(times(chunks, columns));
    parallel(chunks, [&](int64_t chunk, int) {
        sum_rows(chunk * kRows, std::min(kRows, rows - chunk * kRows), parts.get() + chunk * columns);
    });
    for (int64_t c = 0; c < columns; ++c) {
        double sum = 0;
        for (int64_t chunk = 0; chunk < chunks; ++chunk)
            sum += static_cast<double>(parts.get()[chunk * columns + c]);
        sums[c] = static_cast<T>(sum);
    }
}

#define HG_INSTANTIATE(T)                                                                          \
    template class RowMatrix<T>;                                                                   \
    template class ColumnMatrix<T>;                                                                \
    template class RightFactor<T>;                                                                 \
    template void multiply(const LeftFactor<T>&, const RightFactor<T>&, int64_t, const T*, T*, int64_t); \
    template void symmetric_product(const LeftFactor<T>&, const RightFactor<T>&, T*);                    \
    template void multiply_rows(const T*, int64_t, const T*, int64_t, int64_t, const T*, T*, int64_t);   \
    template void column_sums(const T*, int64_t, int64_t, T*);
HG_INSTANTIATE(float)
HG_INSTANTIATE(double)
template void column_sums(const Bf16*, int64_t, int64_t, float*);

}  // namespace handgrad
