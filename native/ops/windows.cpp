#include "ops/windows.h"

#include <algorithm>
#include <cstring>

#include "core/threads.h"
#include "kernels/dispatch.h"

namespace handgrad {
namespace {

constexpr int64_t kPixels = 128;    // of a task, at least
constexpr int64_t kBand = 1 << 15;  // numbers of the images' part that a task reads: of a second-level cache
constexpr int64_t kTasks = 32;      // wanted
constexpr int64_t kDepth = 192;     // of a block of filters: a panel is 24 KiB of float32, of a first-level cache

// The rectangle of an image that some rows of windows see, and how the work is cut; depends on the sizes only.
struct Plan {
    int64_t top, left;       // of the first window, from its place
    int64_t height, width;   // of one window's rectangle, and of a whole row of windows'
    bool in_place;           // whether it lies in the image
    int64_t rows, bands;     // of windows of a task, and tasks of an image; or
    int64_t images, groups;  // whole images of a task, and tasks
    int64_t panel_group, panel_groups;
};

template <class T>
Plan make_plan(const PatchGrid<T>& g, int64_t N, const Taps& taps, int64_t panels) {
    const auto [low_y, high_y] = std::minmax_element(taps.dy, taps.dy + taps.count);
    const auto [low_x, high_x] = std::minmax_element(taps.dx, taps.dx + taps.count);
    Plan plan{};
    plan.top = g.offset_y + *low_y;
    plan.left = g.offset_x + *low_x;
    plan.height = *high_y - *low_y + 1;
    plan.width = plus(times(g.grid_w - 1, g.step_x), *high_x - *low_x + 1);
    plan.in_place = plan.top >= 0 && plan.left >= 0 && plan.left + plan.width <= g.W &&
                    plus(plan.top, times(g.grid_h - 1, g.step_y)) + plan.height <= g.H;
    const int64_t line = times(std::max<int64_t>(1, plan.width), g.C);
    const int64_t by_size = std::max<int64_t>(1, (kBand / line - plan.height) / g.step_y + 1);
    const int64_t by_tasks = ceil_div(times(N, g.grid_h), kTasks), by_pixels = ceil_div(kPixels, g.grid_w);
    plan.bands = ceil_div(g.grid_h, std::max(by_pixels, std::min(by_size, by_tasks)));
    plan.rows = ceil_div(g.grid_h, plan.bands);
    plan.images = plan.bands > 1 ? 1 : std::clamp<int64_t>(by_pixels / g.grid_h, 1, N);
    plan.groups = ceil_div(N, plan.images);
    const int64_t wanted_groups = std::min(panels, ceil_div(kTasks, plan.bands * plan.groups));
    plan.panel_group = ceil_div(panels, wanted_groups);
    plan.panel_groups = ceil_div(panels, plan.panel_group);
    return plan;
}

// The columns of the patches as runs from the place of the first tap's corner, and the blocks of them that are
// multiplied at once.
struct Block {
    int64_t first_run, runs, depth;
};
struct Blocks {
    Blocks(const Taps& taps, int64_t C, int64_t pixel, int64_t line)
        : runs(times(taps.count, ceil_div(C, kDepth) + 1)), blocks(times(taps.count, ceil_div(C, kDepth) + 1)) {
        const int64_t low_y = *std::min_element(taps.dy, taps.dy + taps.count);
        const int64_t low_x = *std::min_element(taps.dx, taps.dx + taps.count);
        for (int64_t tap = 0; tap < taps.count;) {
            int64_t side_by_side = 1;
            while (tap + side_by_side < taps.count && taps.dy[tap + side_by_side] == taps.dy[tap] &&
                   taps.dx[tap + side_by_side] == taps.dx[tap] + side_by_side)
                ++side_by_side;
            const int64_t start = (taps.dy[tap] - low_y) * line + (taps.dx[tap] - low_x) * pixel;
            const int64_t length = side_by_side * C, pieces = ceil_div(length, kDepth);
            const int64_t piece = round_up(ceil_div(length, pieces), kBlock);
            for (int64_t at = 0; at < length; at += piece) add({start + at, std::min(piece, length - at)});
            tap += side_by_side;
        }
    }
    Scratch<Run> runs;
    Scratch<Block> blocks;
    int64_t count = 0;

  private:
    void add(const Run& run) {
        if (!count || blocks.get()[count - 1].depth + run.count > kDepth) blocks.get()[count++] = {run_count_, 0, 0};
        Block& block = blocks.get()[count - 1];
        ++block.runs;
        block.depth += run.count;
        runs.get()[run_count_++] = run;
    }
    int64_t run_count_ = 0;
};

// Rows [y, y + rows) and columns [x, x + width) of an image, zeros outside.
template <class T>
void copy_rectangle(const PatchGrid<T>& g, const T* image, int64_t y, int64_t rows, int64_t x, int64_t width, T* to) {
    const int64_t before = std::clamp<int64_t>(-x, 0, width), after = std::clamp<int64_t>(x + width - g.W, 0, width - before);
    const int64_t inside = width - before - after;
    for (int64_t r = y; r < y + rows; ++r, to += width * g.C) {
        if (r < 0 || r >= g.H || !inside) {
            std::fill_n(to, width * g.C, T(0));
            continue;
        }
        std::fill_n(to, before * g.C, T(0));
        std::memcpy(to + before * g.C, image + (r * g.W + x + before) * g.C, static_cast<size_t>(inside * g.C) * sizeof(T));
        std::fill_n(to + (before + inside) * g.C, after * g.C, T(0));
    }
}

}  // namespace

template <class T>
void multiply_windows(const PatchGrid<T>& g, int64_t N, const Taps& taps, const RightFactor<T>& filters,
                      const T* bias, T* out) {
    const auto& gemm = kernels<T>().gemm;
    const int64_t height = gemm.tile_rows, width = gemm.tile_columns, F = filters.columns;
    const int64_t area = times(g.grid_h, g.grid_w), panels = filters.panels();
    if (!N || !area || !F) return;
    if (!taps.count || !g.C) {
        for (int64_t pixel = 0; pixel < N * area; ++pixel)
            for (int64_t f = 0; f < F; ++f) out[pixel * F + f] = bias ? bias[f] : T(0);
        return;
    }
    const Plan plan = make_plan(g, N, taps, panels);
    const int64_t line = (plan.in_place ? g.W : plan.width) * g.C;
    const Blocks blocks(taps, g.C, g.C, line);
    const int64_t band_rows = (plan.rows - 1) * g.step_y + plan.height;
    const int64_t band_size = plan.in_place ? 0 : times(plan.images, band_rows, line);
    const int64_t pixels = plan.images * plan.rows * g.grid_w;
    Scratch<T> bands(times(thread_count(), band_size));
    Scratch<const T*> places(times(thread_count(), plus(pixels, 2 * height)));
    Scratch<T> padded_bias(bias ? panels * width : 0);
    if (bias) {
        std::fill_n(padded_bias.get(), panels * width, T(0));
        std::memcpy(padded_bias.get(), bias, static_cast<size_t>(F) * sizeof(T));
    }

    parallel(plan.groups * plan.bands * plan.panel_groups, [&](int64_t task, int worker) {
        const int64_t first_panel = task % plan.panel_groups * plan.panel_group;
        const int64_t last_panel = std::min(panels, first_panel + plan.panel_group);
        const int64_t band = task / plan.panel_groups % plan.bands, group = task / plan.panel_groups / plan.bands;
        const int64_t first = band * plan.rows, rows = std::min(plan.rows, g.grid_h - first);
        const int64_t image = group * plan.images, images = std::min(plan.images, N - image);
        const T** place = places.get() + worker * (pixels + 2 * height);
        int64_t count = 0;
        for (int64_t n = image; n < image + images; ++n) {
            const T* source = g.image + n * g.H * g.W * g.C;
            const int64_t y = plan.top + first * g.step_y;
            const T* start;
            if (plan.in_place) {
                start = source + (y * g.W + plan.left) * g.C;
            } else {
                T* copy = bands.get() + worker * band_size + (n - image) * band_rows * line;
                copy_rectangle(g, source, y, (rows - 1) * g.step_y + plan.height, plan.left, plan.width, copy);
                start = copy;
            }
            for (int64_t i = 0; i < rows; ++i)
                for (int64_t j = 0; j < g.grid_w; ++j) place[count++] = start + i * g.step_y * line + j * g.step_x * g.C;
        }
        std::fill_n(place + count, 2 * height, place[count - 1]);
        T* target = out + (image * area + first * g.grid_w) * F;
        int64_t k = 0;
        for (const Block* block = blocks.blocks.get(); block < blocks.blocks.get() + blocks.count; k += block++->depth)
            for (int64_t p = first_panel; p < last_panel; ++p)
                for (int64_t i = 0; i < count; i += height)
                    gemm.runs_tile(place + i, blocks.runs.get() + block->first_run, block->runs, filters.panel(p, k),
                                   filters.row_stride(), target + i * F + p * width, F,
                                   std::min(height, count - i), std::min(width, F - p * width), k > 0,
                                   bias ? padded_bias.get() + p * width : nullptr);
    });
}

#define HG_INSTANTIATE(T)                                                                                  \
    template void multiply_windows(const PatchGrid<T>&, int64_t, const Taps&, const RightFactor<T>&, const T*, T*);
HG_INSTANTIATE(float)
HG_INSTANTIATE(double)

}  // namespace handgrad
