#include "ops/windows.h"

#include <algorithm>
#include <cstring>

#include "core/threads.h"
#include "kernels/dispatch.h"

namespace handgrad {
namespace {

constexpr int64_t kPixels = 128;    // of a task, at least
constexpr int64_t kBand = 1 << 15;  // numbers of the images' part that a task reads: of a second-level cache
constexpr int64_t kPieces = 32;     // wanted
constexpr int64_t kFilterDepth = 192;  // of a block of filters: a panel is 24 KiB of float32, of a first-level cache

// The rectangle of an image that windows see, and how the images are cut; depends on the sizes only.
struct Plan {
    int64_t top, left;      // of the first window, from its place
    int64_t height, width;  // of one window's rectangle, and of a whole row of windows'
    bool in_place;          // whether all of it lies in the image
    int64_t line;           // numbers of a row of what is read
    int64_t rows, bands;    // of windows of a piece, and pieces of an image; or
    int64_t images, groups;  // whole images of a piece, and pieces
    int64_t band_rows, band_size, pixels;  // of a piece
    int64_t pieces() const { return groups * bands; }
};

template <class T>
Plan make_plan(const WindowGrid<T>& g, int64_t N, const Taps& taps, bool may_read_in_place) {
    const auto [low_y, high_y] = std::minmax_element(taps.dy, taps.dy + taps.count);
    const auto [low_x, high_x] = std::minmax_element(taps.dx, taps.dx + taps.count);
    Plan plan{};
    plan.top = g.offset_y + *low_y;
    plan.left = g.offset_x + *low_x;
    plan.height = *high_y - *low_y + 1;
    plan.width = plus(times(g.grid_w - 1, g.step_x), *high_x - *low_x + 1);
    plan.in_place = may_read_in_place && plan.top >= 0 && plan.left >= 0 && plan.left + plan.width <= g.W &&
                    plus(plan.top, times(g.grid_h - 1, g.step_y)) + plan.height <= g.H;
    plan.line = times(plan.in_place ? g.W : plan.width, g.C);
    const int64_t by_size = std::max<int64_t>(1, (kBand / times(plan.width, g.C) - plan.height) / g.step_y + 1);
    const int64_t by_tasks = ceil_div(times(N, g.grid_h), kPieces), by_pixels = ceil_div(kPixels, g.grid_w);
    plan.bands = ceil_div(g.grid_h, std::max(by_pixels, std::min(by_size, by_tasks)));
    plan.rows = ceil_div(g.grid_h, plan.bands);
    plan.bands = ceil_div(g.grid_h, plan.rows);
    plan.images = plan.bands > 1 ? 1 : std::clamp<int64_t>(by_pixels / g.grid_h, 1, N);
    plan.groups = ceil_div(N, plan.images);
    plan.band_rows = (plan.rows - 1) * g.step_y + plan.height;
    plan.band_size = plan.in_place ? 0 : times(plan.images, plan.band_rows, plan.line);
    plan.pixels = plan.images * plan.rows * g.grid_w;
    return plan;
}

// The columns of the patches as runs from the place of the first tap's corner, and the blocks of them that are
// multiplied at once.
struct Block {
    int64_t first_run, runs, depth;
};
struct Blocks {
    Blocks(const Taps& taps, int64_t C, int64_t pixel, int64_t line)
        : runs(times(taps.count, ceil_div(C, kFilterDepth) + 1)), blocks_(times(taps.count, ceil_div(C, kFilterDepth) + 1)) {
        const int64_t low_y = *std::min_element(taps.dy, taps.dy + taps.count);
        const int64_t low_x = *std::min_element(taps.dx, taps.dx + taps.count);
        for (int64_t tap = 0; tap < taps.count;) {
            int64_t side_by_side = 1;
            while (tap + side_by_side < taps.count && taps.dy[tap + side_by_side] == taps.dy[tap] &&
                   taps.dx[tap + side_by_side] == taps.dx[tap] + side_by_side)
                ++side_by_side;
            const int64_t start = (taps.dy[tap] - low_y) * line + (taps.dx[tap] - low_x) * pixel;
            const int64_t length = side_by_side * C, pieces = ceil_div(length, kFilterDepth);
            const int64_t piece = round_up(ceil_div(length, pieces), kBlock);
            for (int64_t at = 0; at < length; at += piece) add({start + at, std::min(piece, length - at)});
            tap += side_by_side;
        }
    }
    Scratch<Run> runs;
    const Block* begin() const { return blocks_.get(); }
    const Block* end() const { return blocks_.get() + count_; }

  private:
    void add(const Run& run) {
        if (!count_ || blocks_.get()[count_ - 1].depth + run.count > kFilterDepth) blocks_.get()[count_++] = {run_count_, 0, 0};
        Block& block = blocks_.get()[count_ - 1];
        ++block.runs;
        block.depth += run.count;
        runs.get()[run_count_++] = run;
    }
    Scratch<Block> blocks_;
    int64_t count_ = 0, run_count_ = 0;
};

// The places of the windows of a piece, in memory of a worker's own.
template <class T>
class Places {
  public:
    Places(const WindowGrid<T>& grid, int64_t N, const Plan& plan, int64_t behind)
        : grid_(grid), N_(N), plan_(plan), behind_(behind), size_(plus(plan.pixels, behind)),
          band_size_(plan.in_place ? 0 : plus(plan.band_size, behind)),
          places_(times(thread_count(), size_)), bands_(times(thread_count(), band_size_)) {
        std::fill_n(bands_.get(), thread_count() * band_size_, T(0));
    }
    struct Piece {
        const T** at;
        int64_t first, count;  // windows
    };
    // Behind the places of a piece the last one is repeated, and `behind` numbers may be read.
    Piece find(int64_t piece, int64_t worker) const {
        const WindowGrid<T>& g = grid_;
        const int64_t first = piece % plan_.bands * plan_.rows, rows = std::min(plan_.rows, g.grid_h - first);
        const int64_t image = piece / plan_.bands * plan_.images, images = std::min(plan_.images, N_ - image);
        const T** at = places_.get() + worker * size_;
        int64_t count = 0;
        for (int64_t n = image; n < image + images; ++n) {
            const T* source = g.image + n * g.H * g.W * g.C;
            const int64_t y = plan_.top + first * g.step_y;
            const T* start;
            if (plan_.in_place) {
                start = source + (y * g.W + plan_.left) * g.C;
            } else {
                T* copy = bands_.get() + worker * band_size_ + (n - image) * plan_.band_rows * plan_.line;
                copy_rectangle(g.H, g.W, g.C, source, y, (rows - 1) * g.step_y + plan_.height, plan_.left, plan_.width, copy);
                start = copy;
            }
            for (int64_t i = 0; i < rows; ++i)
                for (int64_t j = 0; j < g.grid_w; ++j) at[count++] = start + i * g.step_y * plan_.line + j * g.step_x * g.C;
        }
        std::fill_n(at + count, behind_, at[count - 1]);
        return {at, image * g.grid_h * g.grid_w + first * g.grid_w, count};
    }

  private:
    const WindowGrid<T>& grid_;
    int64_t N_;
    const Plan& plan_;
    int64_t behind_, size_, band_size_;
    Scratch<const T*> places_;
    Scratch<T> bands_;
};

}  // namespace

template <class T>
void multiply_windows(const WindowGrid<T>& g, int64_t N, const Taps& taps, const RightFactor<T>& filters,
                      const T* bias, T* out) {
    const auto& gemm = kernels<T>().gemm;
    const int64_t height = gemm.tile_rows, width = gemm.tile_columns, F = filters.columns, panels = filters.panels();
    const int64_t windows = times(N, g.grid_h, g.grid_w);
    if (!windows || !F) return;
    if (!taps.count || !g.C) {
        for (int64_t window = 0; window < windows; ++window)
            for (int64_t f = 0; f < F; ++f) out[window * F + f] = bias ? bias[f] : T(0);
        return;
    }
    const Plan plan = make_plan(g, N, taps, true);
    const Blocks blocks(taps, g.C, g.C, plan.line);
    const Places<T> places(g, N, plan, 2 * height);
    const int64_t group = ceil_div(panels, std::min(panels, ceil_div(kPieces, plan.pieces()))), groups = ceil_div(panels, group);
    Scratch<T> padded_bias(bias ? panels * width : 0);
    if (bias) {
        std::fill_n(padded_bias.get(), panels * width, T(0));
        std::memcpy(padded_bias.get(), bias, static_cast<size_t>(F) * sizeof(T));
    }
    parallel(plan.pieces() * groups, [&](int64_t task, int worker) {
        const auto piece = places.find(task / groups, worker);
        const int64_t first_panel = task % groups * group, last_panel = std::min(panels, first_panel + group);
        T* target = out + piece.first * F;
        int64_t k = 0;
        for (const Block* block = blocks.begin(); block < blocks.end(); k += block++->depth)
            for (int64_t p = first_panel; p < last_panel; ++p)
                for (int64_t i = 0; i < piece.count; i += height)
                    gemm.runs_tile(piece.at + i, blocks.runs.get() + block->first_run, block->runs, filters.panel(p, k),
                                   filters.row_stride(), target + i * F + p * width, F,
                                   std::min(height, piece.count - i), std::min(width, F - p * width), k > 0,
                                   bias ? padded_bias.get() + p * width : nullptr);
    });
}

// Each task adds up a part of the windows, for a part of the tiles of the sums.
template <class T>
void multiply_windows_turned(const WindowGrid<T>& g, int64_t N, const Taps& taps, const T* dout, int64_t F, T* sums) {
    constexpr int64_t kWindows = 128, kPartWindows = 512, kParts = 16;  // of a block, a part at least; at most
    const auto& gemm = kernels<T>().gemm;
    const int64_t height = gemm.tile_rows, width = gemm.tile_columns, panels = ceil_div(F, width);
    const int64_t rows = times(taps.count, g.C), windows = times(N, g.grid_h, g.grid_w);
    if (!rows || !F) return;
    if (!windows) {
        std::fill_n(sums, rows * F, T(0));
        return;
    }
    const Plan plan = make_plan(g, N, taps, g.C % height == 0);
    const Blocks blocks(taps, g.C, g.C, plan.line);
    const Places<T> places(g, N, plan, height);
    struct Tile {
        int64_t offset, row, rows;
    };
    Scratch<Tile> tiles(rows);
    int64_t count = 0, row = 0;
    for (const Run* run = blocks.runs.get(); row < rows; row += run++->count)
        for (int64_t i = 0; i < run->count; i += height)
            tiles.get()[count++] = {run->offset + i, row + i, std::min(height, run->count - i)};

    const int64_t parts = std::clamp<int64_t>(windows / kPartWindows, 1, std::min(kParts, plan.pieces()));
    const int64_t group = ceil_div(count, std::min(count, ceil_div(kPieces, parts))), groups = ceil_div(count, group);
    const int64_t packed_size = times(plan.pixels, panels, width), size = rows * F;
    Scratch<T> packed(times(thread_count(), packed_size)), more(times(parts - 1, size));
    parallel(parts * groups, [&](int64_t task, int worker) {
        const int64_t part = task / groups, first_tile = task % groups * group;
        T* sum = part ? more.get() + (part - 1) * size : sums;
        T* upstream = packed.get() + worker * packed_size;
        const int64_t first_piece = part * plan.pieces() / parts, last_piece = (part + 1) * plan.pieces() / parts;
        for (int64_t p = first_piece; p < last_piece; ++p) {
            const auto piece = places.find(p, worker);
            gemm.pack_b(dout + piece.first * F, F, 1, piece.count, F, upstream);
            const int64_t depth = ceil_div(piece.count, ceil_div(piece.count, kWindows));
            for (int64_t k = 0; k < piece.count; k += depth)
                for (int64_t panel = 0; panel < panels; ++panel)
                    for (int64_t t = first_tile; t < std::min(count, first_tile + group); ++t) {
                        const Tile& tile = tiles.get()[t];
                        gemm.places_tile(piece.at + k, tile.offset, std::min(depth, piece.count - k),
                                         upstream + (panel * piece.count + k) * width, width,
                                         sum + tile.row * F + panel * width, F, tile.rows,
                                         std::min(width, F - panel * width), p > first_piece || k > 0);
                    }
        }
    });
    if (parts == 1) return;
    constexpr int64_t kSlice = 4096;
    parallel(ceil_div(size, kSlice), [&](int64_t slice, int) {
        const int64_t first = slice * kSlice, numbers = std::min(kSlice, size - first);
        for (int64_t part = 0; part + 1 < parts; ++part)
            kernels<T>().flat.sum(sums + first, more.get() + part * size + first, numbers, sums + first);
    });
}

#define HG_INSTANTIATE(T)                                                                                           \
    template void multiply_windows(const WindowGrid<T>&, int64_t, const Taps&, const RightFactor<T>&, const T*, T*); \
    template void multiply_windows_turned(const WindowGrid<T>&, int64_t, const Taps&, const T*, int64_t, T*);
HG_INSTANTIATE(float)
HG_INSTANTIATE(double)

}  // namespace handgrad
