// The loops around the tiles of a product of bf16 numbers: blocks of rows of A by panels of B, in parallel.
#pragma once

#include <algorithm>

#include "core/buffers.h"
#include "core/threads.h"
#include "kernels/dispatch.h"

namespace handgrad {

// The runs of memory that make up each row of A, in pieces of at most kDepth numbers, as many as the first-level cache
// holds of a panel of B.  Runs that touch are one; a count is a multiple of the kernels' step.
class Bf16Runs {
  public:
    static constexpr int64_t kDepth = 256;
    // depth: of a piece.
    explicit Bf16Runs(int64_t most, int64_t depth = kDepth) : runs_(most), starts_(plus(most, 1)), piece_(depth) { starts_.get()[0] = 0; }
    // Where the runs of `count` taps of `width` numbers fit.
    static int64_t most(int64_t taps, int64_t width) { return times(taps, plus(2, width / kDepth)); }
    void add(int64_t offset, int64_t count);
    int64_t depth() const { return depth_; }
    int64_t pieces() const { return pieces_; }
    // Piece number i: its runs, and how deep into B it begins.
    const Run* runs(int64_t piece) const { return runs_.get() + starts_.get()[piece]; }
    int64_t run_count(int64_t piece) const { return starts_.get()[piece + 1] - starts_.get()[piece]; }

  private:
    Scratch<Run> runs_;
    Scratch<int64_t> starts_;
    int64_t piece_, count_ = 0, pieces_ = 0, depth_ = 0, in_piece_ = 0;
};

// Rows of A and of C.
struct RowBlock {
    int64_t first, rows;
};

// A, in blocks of rows.
class Bf16Rows {
  public:
    Bf16Rows(int64_t blocks, int64_t most_rows, int64_t most_runs) : blocks(blocks), most_rows(most_rows), runs(most_runs) {}
    virtual ~Bf16Rows() = default;
    // Points a to the rows of a block, and behind them to what a tile may read, up to a whole tile; they may lie in
    // `memory`, of `scratch` numbers.
    virtual RowBlock place(int64_t block, Bf16* memory, const Bf16** a) const = 0;
    const int64_t blocks, most_rows;
    int64_t scratch = 0;
    Bf16Runs runs;
};

// B, in panels of kBf16Columns columns.
class Bf16Panels {
  public:
    Bf16Panels(int64_t depth, int64_t columns) : depth(depth), columns(columns) {}
    virtual ~Bf16Panels() = default;
    // Numbers [k, k + count) in depth of a panel, which may be made in `memory`, of `scratch` numbers; k is even, and
    // count at most Bf16Runs::kDepth.
    virtual const Bf16* piece(int64_t index, int64_t k, int64_t count, Bf16* memory) const = 0;
    int64_t panels() const { return ceil_div(columns, kBf16Columns); }
    int64_t size() const { return times(depth, kBf16Columns); }
    const int64_t depth, columns;
    int64_t scratch = 0;
};

// Panels that lie one behind the other.
class PackedPanels final : public Bf16Panels {
  public:
    PackedPanels(int64_t depth, int64_t columns)
        : Bf16Panels(depth, columns), data_(times(ceil_div(columns, kBf16Columns), depth, kBf16Columns)) {}
    Bf16* at(int64_t index) { return data_.get() + index * size(); }
    const Bf16* piece(int64_t index, int64_t k, int64_t, Bf16*) const override {
        return data_.get() + index * size() + k * kBf16Columns;
    }

  private:
    Scratch<Bf16> data_;
};

// The same for the numbers `offset` behind the first.
inline Bf16Finish behind(Bf16Finish to, int64_t offset) {
    if (to.half)
        to.half += offset;
    else
        to.full += offset;
    return to;
}

// The same from a column on.
inline Bf16Finish from_column(Bf16Finish to, int64_t column) {
    if (to.bias) to.bias += column;
    return behind(to, column);
}

// Where the sums of a block of rows and of a panel go, and what becomes of them: `to` of the panel's first column.
// `together` of the rows from the block's first on are `to.stride` numbers apart, as all that follow.
struct Bf16Target {
    Bf16Finish to;
    int64_t together;
};

// Writes C = A B; target(block, panel) says where, and offset(row) how many numbers row `row` of C is behind the first.
// groups: of panels, in how many tasks the work of a block is cut.
template <class Target, class Offset>
void multiply_blocks(const Bf16Rows& a, const Bf16Panels& b, int64_t groups, Target&& target, Offset&& offset) {
    const Bf16Kernels& kernel = bf16_kernels();
    const int64_t tile = kernel.tile_rows, padded = round_up(a.most_rows, tile), panels = b.panels();
    const int64_t each = ceil_div(panels, groups), pieces = a.runs.pieces();
    const int64_t own = round_up(plus(a.scratch, b.scratch), 32);
    Scratch<Bf16> memory(times(thread_count(), own));
    Scratch<float> sums(times(thread_count(), padded, kBf16Columns));
    Scratch<const Bf16*> pointers(times(thread_count(), padded));
    Scratch<void*> places(times(thread_count(), padded));
    parallel(a.blocks * ceil_div(panels, each), [&](int64_t task, int worker) {
        const int64_t block = task % a.blocks, first = task / a.blocks * each;
        Bf16* mine = memory.get() + worker * own;
        const Bf16** rows = pointers.get() + worker * padded;
        void** out = places.get() + worker * padded;
        float* c = sums.get() + worker * padded * kBf16Columns;
        const RowBlock here = a.place(block, mine, rows);
        for (int64_t p = first; p < std::min(panels, first + each); ++p) {
            const auto [to, together] = target(here, p);
            const int64_t columns = std::min(kBf16Columns, b.columns - p * kBf16Columns);
            const bool at_once = kernel.tile_to && pieces > 0;
            for (int64_t i = 0; at_once && i < here.rows; ++i)
                out[i] = to.half ? static_cast<void*>(to.half + offset(here.first + i)) : to.full + offset(here.first + i);
            kernel.begin();
            int64_t k = 0;
            for (int64_t piece = 0; piece < pieces; ++piece) {
                const Run* runs = a.runs.runs(piece);
                const int64_t count = a.runs.run_count(piece);
                int64_t depth = 0;
                for (int64_t r = 0; r < count; ++r) depth += runs[r].count;
                const Bf16* panel = b.piece(p, k, depth, mine + a.scratch);
                const bool is_last = at_once && piece + 1 == pieces;
                for (int64_t i = 0; i < here.rows; i += tile) {
                    float* sum = c + i * kBf16Columns;
                    if (is_last)
                        kernel.tile_to(rows + i, runs, count, panel, piece > 0 ? sum : nullptr,
                                       {out + i, std::min(tile, here.rows - i), columns, to.bias, to.half != nullptr, to.rectify, to.accumulate});
                    else
                        kernel.tile(rows + i, runs, count, panel, sum, piece > 0);
                }
                k += depth;
            }
            kernel.end();
            if (at_once) continue;
            if (!pieces) std::fill_n(c, here.rows * kBf16Columns, 0.0f);
            for (int64_t i = 0; i < here.rows; i += together)
                kernel.finish(c + i * kBf16Columns, std::min(together, here.rows - i), columns, behind(to, offset(here.first + i)));
        }
    });
}

}  // namespace handgrad
