#include "ops/bf16_product.h"

#include <cstring>

#include "ops/bf16_blocks.h"

namespace handgrad {
namespace {

constexpr int64_t kBlockRows = 128;                  // of A
constexpr int64_t kBlockSize = int64_t{1} << 17;     // numbers of a block that is packed: part of a second-level cache
constexpr int64_t kTasks = 16;                       // wanted, so that two to eight threads end together
constexpr int64_t kFewTasks = 8;                     // for which blocks of rows are made smaller
constexpr int64_t kSmall = int64_t{1} << 20;         // multiplications that are not cut by columns
constexpr int64_t kFewBlocks = 2;                    // of rows, for which who multiplies packs B
constexpr int64_t kTurned = 64;                      // depth of B's columns that are turned at once

// (rows, depth), row by row, out_stride apart.
void copy_rows(const Bf16Factor& a, int64_t rows, int64_t depth, Bf16* out, int64_t out_stride) {
    const Bf16Kernels& kernel = bf16_kernels();
    if (a.column_stride == 1) {
        for (int64_t i = 0; i < rows; ++i, out += out_stride) {
            if (a.half)
                std::memcpy(out, a.half + i * a.row_stride, static_cast<size_t>(depth) * sizeof(Bf16));
            else
                kernel.to_bf16(a.full + i * a.row_stride, depth, out);
        }
    } else if (a.row_stride == 1) {
        if (a.half)
            kernel.turn(a.half, a.column_stride, depth, rows, out, out_stride);
        else
            kernel.turn_full(a.full, a.column_stride, depth, rows, out, out_stride);
    } else {
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t j = 0; j < depth; ++j) {
                const int64_t from = i * a.row_stride + j * a.column_stride;
                out[i * out_stride + j] = a.half ? a.half[from] : to_bf16(a.full[from]);
            }
    }
}

class FactorRows final : public Bf16Rows {
  public:
    FactorRows(const Bf16Factor& a, int64_t rows, int64_t depth, int64_t block)
        : Bf16Rows(ceil_div(rows, block), block, Bf16Runs::most(1, depth + bf16_kernels().step)), a_(a), rows_(rows),
          depth_(depth) {
        const Bf16Kernels& kernel = bf16_kernels();
        const int64_t whole = round_up(depth, kernel.step);
        in_place_ = a.half && a.column_stride == 1 && whole == depth;
        stride_ = in_place_ ? 0 : whole + 32;
        // the last rows of a kernel that wants them at one stride are copied, up to a whole tile
        scratch = in_place_ ? (kernel.strided ? times(kernel.tile_rows, whole + 32) : 0)
                            : times(round_up(block, kernel.tile_rows), stride_);
        runs.add(0, whole);
    }
    RowBlock place(int64_t block, Bf16* memory, const Bf16** a) const override {
        const Bf16Kernels& kernel = bf16_kernels();
        const int64_t first = block * most_rows, rows = std::min(most_rows, rows_ - first);
        const int64_t padded = round_up(rows, kernel.tile_rows);
        int64_t done = 0;
        if (in_place_) {
            done = kernel.strided ? rows / kernel.tile_rows * kernel.tile_rows : rows;
            const Bf16* from = a_.half + first * a_.row_stride;
            for (int64_t i = 0; i < done; ++i) a[i] = from + i * a_.row_stride;
            if (!kernel.strided) {
                for (int64_t i = done; i < padded; ++i) a[i] = a[done - 1];
                return {first, rows};
            }
        }
        const int64_t whole = round_up(depth_, kernel.step), stride = whole + 32;
        if (done < rows) copy_rows(a_.from(first + done, 0), rows - done, depth_, memory, stride);
        for (int64_t i = done; i < padded; ++i) {
            Bf16* row = memory + (i - done) * stride;
            std::fill(row + (i < rows ? depth_ : 0), row + whole, Bf16{0});
            a[i] = row;
        }
        return {first, rows};
    }

  private:
    const Bf16Factor a_;
    int64_t rows_, depth_, stride_;
    bool in_place_;
};

// Numbers [first, first + padded) in depth of a panel of B (depth, columns), with zeros behind the last.
void pack_panel(const Bf16Factor& whole, int64_t depth, int64_t columns, int64_t index, int64_t first, int64_t padded, Bf16* panel) {
    const Bf16Kernels& kernel = bf16_kernels();
    const int64_t column = index * kBf16Columns, count = std::min(kBf16Columns, columns - column);
    const int64_t deep = std::min(padded, depth - first);
    const Bf16Factor b = whole.from(first, column);
    if (b.column_stride == 1) {
        if (b.half)
            kernel.pair(b.half, b.row_stride, deep, kernel.step, count, panel);
        else
            kernel.pair_full(b.full, b.row_stride, deep, kernel.step, count, panel);
        return;
    }
    if (b.row_stride == 1) {
        if (b.half)
            kernel.pair_turned(b.half, b.column_stride, deep, kernel.step, count, panel);
        else
            kernel.pair_turned_full(b.full, b.column_stride, deep, kernel.step, count, panel);
        return;
    }
    Bf16 turned[kTurned * kBf16Columns];
    for (int64_t k = 0; k < deep; k += kTurned, panel += kTurned * kBf16Columns) {
        const int64_t here = std::min(kTurned, deep - k);
        copy_rows(b.from(k, 0), here, count, turned, kBf16Columns);
        kernel.pair(turned, kBf16Columns, here, kernel.step, count, panel);
    }
}

// Panels that who multiplies packs, a piece at a time.
class FactorPanels final : public Bf16Panels {
  public:
    FactorPanels(const Bf16Factor& b, int64_t depth, int64_t columns)
        : Bf16Panels(round_up(depth, bf16_kernels().step), columns), b_(b), depth_(depth) {
        scratch = Bf16Runs::kDepth * kBf16Columns;
    }
    const Bf16* piece(int64_t index, int64_t k, int64_t count, Bf16* memory) const override {
        pack_panel(b_, depth_, columns, index, k, count, memory);
        return memory;
    }

  private:
    const Bf16Factor b_;
    const int64_t depth_;
};

}  // namespace

void to_bf16(const float* x, int64_t n, Bf16* out) {
    for_chunks(n, [&](int64_t at, int64_t count) { bf16_kernels().to_bf16(x + at, count, out + at); });
}

void to_float(const Bf16* x, int64_t n, float* out) {
    for_chunks(n, [&](int64_t at, int64_t count) { bf16_kernels().to_float(x + at, count, out + at); });
}

void column_sums(const Bf16* x, const uint8_t* places, int64_t rows, int64_t columns, float* sums) {
    constexpr int64_t kRows = 256;
    const int64_t chunks = ceil_div(rows, kRows), size = times(std::min(rows, kRows), columns);
    Scratch<float> parts(times(chunks, columns)), memory(times(thread_count(), size));
    parallel(chunks, [&](int64_t chunk, int worker) {
        float* full = memory.get() + worker * size;
        const int64_t first = chunk * kRows, here = std::min(kRows, rows - first), count = here * columns;
        bf16_kernels().to_float(x + first * columns, count, full);
        for (int64_t i = 0; places && i < count; ++i) full[i] = places[first * columns + i] < 4 ? full[i] : 0.0f;
        kernels<float>().rows.sum(full, here, columns, parts.get() + chunk * columns);
    });
    for (int64_t c = 0; c < columns; ++c) {
        double sum = 0;
        for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += static_cast<double>(parts.get()[chunk * columns + c]);
        sums[c] = static_cast<float>(sum);
    }
}

namespace {

// How many rows of A a block has.
int64_t block_of(const Bf16Factor& a, int64_t rows, int64_t depth, int64_t columns) {
    const int64_t tile = bf16_kernels().tile_rows, panels = ceil_div(columns, kBf16Columns);
    const int64_t fits = std::max<int64_t>(1, kBlockSize / std::max<int64_t>(1, depth) / tile) * tile;
    const bool in_place = a.half && a.column_stride == 1 && depth % bf16_kernels().step == 0;
    int64_t block = std::min(round_up(rows, tile), in_place ? kBlockRows : std::min(fits, kBlockRows));
    if (times(rows, depth, columns) <= kSmall) return block;
    while (block > tile && ceil_div(rows, block) * panels < kFewTasks) block = round_up(block / 2, tile);
    return block;
}

void multiply_panels(const Bf16Factor& a, const Bf16Panels& b, int64_t rows, int64_t depth, int64_t block, const Bf16Sink& to) {
    const int64_t columns = b.columns, blocks = ceil_div(rows, block);
    const int64_t groups = times(rows, depth, columns) <= kSmall ? 1 : std::min(b.panels(), std::max<int64_t>(1, kTasks / blocks));
    const FactorRows left(a, rows, depth, block);
    multiply_blocks(left, b, groups, [&](const RowBlock& here, int64_t panel) {
        return Bf16Target{from_column(to, panel * kBf16Columns), here.rows};
    }, [&](int64_t row) { return row * to.stride; });
}

// One row of A, which lies side by side.
void multiply_row(const Bf16* a, const PackedPanels& b, int64_t depth, const Bf16Sink& to) {
    const Bf16Kernels& kernel = bf16_kernels();
    Scratch<Bf16> padded(b.depth);
    std::copy_n(a, depth, padded.get());
    std::fill(padded.get() + depth, padded.get() + b.depth, Bf16{});
    parallel(ceil_div(b.panels(), kBf16RowPanels), [&](int64_t task, int) {
        const int64_t first = task * kBf16RowPanels, some = std::min(kBf16RowPanels, b.panels() - first);
        float c[kBf16RowPanels * kBf16Columns];
        kernel.row(padded.get(), b.depth, b.piece(first, 0, 0, nullptr), b.size(), some, c);
        for (int64_t p = 0; p < some; ++p) {
            const int64_t column = (first + p) * kBf16Columns;
            kernel.finish(c + p * kBf16Columns, 1, std::min(kBf16Columns, b.columns - column), from_column(to, column));
        }
    });
}

}  // namespace

PackedPanels pack_factor(const Bf16Factor& b, int64_t depth, int64_t columns) {
    PackedPanels made(round_up(depth, bf16_kernels().step), columns);
    parallel(made.panels(), [&](int64_t index, int) { pack_panel(b, depth, columns, index, 0, made.depth, made.at(index)); });
    return made;
}

void multiply(const Bf16Factor& a, const PackedPanels& b, int64_t rows, int64_t depth, const Bf16Sink& to) {
    if (!rows || !b.columns) return;
    if (rows == 1 && bf16_kernels().row && a.half && a.column_stride == 1) return multiply_row(a.half, b, depth, to);
    multiply_panels(a, b, rows, depth, block_of(a, rows, depth, b.columns), to);
}

void multiply(const Bf16Factor& a, const Bf16Factor& b, int64_t rows, int64_t depth, int64_t columns, const Bf16Sink& to) {
    if (!rows || !columns) return;
    const int64_t block = block_of(a, rows, depth, columns);
    if (ceil_div(rows, block) > kFewBlocks) return multiply_panels(a, pack_factor(b, depth, columns), rows, depth, block, to);
    multiply_panels(a, FactorPanels(b, depth, columns), rows, depth, block, to);
}

}  // namespace handgrad
