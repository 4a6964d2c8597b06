// The gradient of filters as a product of bf16: rows (channel, tap) by columns of filters, over the batch's pixels.
#include "ops/bf16_blocks.h"
#include "ops/bf16_windows.h"
#include "ops/patches.h"

namespace handgrad {
namespace {

constexpr int64_t kChannels = 256;     // of the images, at most, whose taps are a task's rows
constexpr int64_t kMostRows = 400;     // of a task: fewer channels where there are many taps
constexpr int64_t kUnit = 8;           // of channels that are summed at once: a tile's rows, or some times as many
constexpr int64_t kMostPanels = 8;     // of filters, for which pixels are packed once
constexpr int64_t kDepth = 256;        // pixels that are summed at once, whole lines of them
constexpr int64_t kTasks = 16;         // wanted, so that two to eight threads end together
constexpr int64_t kSpread = 32;        // numbers between rows, which are else a whole number of pages apart

// How the work is cut.  The order of sums depends on the sizes only, and on whether the kernels read pairs.
struct WeightsPlan {
    const ConvSizes& s;
    const Bf16Kernels& kernel;
    int64_t area, channels, channel_blocks, rows, panels, panel_group, groups;
    int64_t lines, chunks, chunk_depth, chunks_of_part, parts;
    bool in_pairs;  // whether pixels are read as pairs of neighbours, each with the next that a window meets

    explicit WeightsPlan(const ConvSizes& s) : s(s), kernel(bf16_kernels()) {
        area = times(s.HH, s.WW);
        in_pairs = kernel.pairs_tile && s.C % kUnit == 0 && (s.OW % 2 == 0 || s.WW == 1);
        const int64_t unit = in_pairs ? kUnit : 1;
        const int64_t most = std::min(kChannels, std::max<int64_t>(1, kMostRows / area / unit) * unit);
        channels = round_up(ceil_div(s.C, ceil_div(s.C, most)), unit);
        channel_blocks = ceil_div(s.C, channels);
        rows = round_up(times(channels, area), kernel.tile_rows);
        panels = ceil_div(s.F, kBf16Columns);
        groups = ceil_div(panels, kMostPanels);
        panel_group = ceil_div(panels, groups);
        groups = ceil_div(panels, panel_group);
        lines = std::max<int64_t>(1, kDepth / s.OW);
        chunks = ceil_div(times(s.N, s.OH), lines);
        chunk_depth = in_pairs ? times(lines, round_up(s.OW, 2)) : round_up(times(lines, s.OW), kernel.step);
        const int64_t wanted = std::max<int64_t>(1, kTasks / (channel_blocks * groups));
        chunks_of_part = ceil_div(chunks, std::min(chunks, wanted));
        parts = ceil_div(chunks, chunks_of_part);
    }
    int64_t row_size() const { return chunk_depth + kSpread; }
    int64_t strip_rows() const { return rows_of(std::min(lines, s.OH)); }
    // Rows of an image that some lines of windows reach.
    int64_t rows_of(int64_t some) const { return (some - 1) * s.stride_y + (s.HH - 1) * s.dilation_y + 1; }
    // Of an odd number of windows in pairs, the last has a partner of zeros.
    int64_t strip_width() const {
        return (s.OW - 1 + (in_pairs && s.OW % 2)) * s.stride_x + (s.WW - 1) * s.dilation_x + 1;
    }
    int64_t strip_size() const { return times(strip_rows(), strip_width()) + kSpread; }
    int64_t lines_of(int64_t chunk) const { return std::min(s.N * s.OH, (chunk + 1) * lines) - chunk * lines; }
    int64_t depth_of(int64_t chunk) const { return lines_of(chunk) * s.OW; }
    // Numbers that a task wants of its own: a strip of some channels, and what its pixels are packed to.
    int64_t strip_pixels() const { return times(strip_rows(), strip_width()); }
    int64_t strips() const { return ceil_div(lines, s.OH) + 1; }  // of images, in a chunk
    int64_t memory() const {
        if (!in_pairs) return plus(times(channels, strip_size()), times(rows, row_size()));
        return times(channels, plus(plus(strip_pixels(), s.stride_x), times(2, strips(), strip_pixels())));
    }
};

// Channels [channel, channel + count) of rows [top, top + rows) of an image, a plane a channel.
void turn_strip(const WeightsPlan& plan, const Bf16* image, int64_t top, int64_t rows, int64_t channel, int64_t count, Bf16* planes) {
    const ConvSizes& s = plan.s;
    const int64_t width = plan.strip_width(), size = plan.strip_size();
    const int64_t before = std::min(s.pad_x, width), inside = std::clamp<int64_t>(s.W, 0, width - before);
    for (int64_t r = 0; r < rows; ++r) {
        const int64_t y = top + r;
        const bool is_inside = y >= 0 && y < s.H && inside > 0;
        for (int64_t c = 0; c < count; ++c) {
            Bf16* line = planes + c * size + r * width;
            std::fill_n(line, is_inside ? before : width, Bf16{});
            if (is_inside) std::fill(line + before + inside, line + width, Bf16{});
        }
        if (is_inside)
            plan.kernel.turn(image + y * s.W * s.C + channel, s.C, inside, count, planes + r * width + before, size);
    }
}

// The pixels that meet each tap in the windows of a chunk: row after row of (channel, tap).
void pack_rows(const WeightsPlan& plan, const Bf16* x, int64_t chunk, int64_t channel, int64_t count, Bf16* planes, Bf16* packed) {
    const ConvSizes& s = plan.s;
    const int64_t end = std::min(s.N * s.OH, (chunk + 1) * plan.lines), depth = plan.depth_of(chunk);
    for (int64_t line = chunk * plan.lines, at = 0; line < end;) {
        const int64_t image = line / s.OH, first = line % s.OH, here = std::min(s.OH - first, end - line);
        turn_strip(plan, x + image * s.H * s.W * s.C, first * s.stride_y - s.pad_y,
                   plan.rows_of(here), channel, count, planes);
        for (int64_t c = 0; c < count; ++c)
            for (int64_t t = 0; t < plan.area; ++t) {
                const Bf16* from = planes + c * plan.strip_size() + t / s.WW * s.dilation_y * plan.strip_width() + t % s.WW * s.dilation_x;
                Bf16* to = packed + (c * plan.area + t) * plan.row_size() + at;
                for (int64_t i = 0; i < here; ++i, from += s.stride_y * plan.strip_width(), to += s.OW) {
                    if (s.stride_x == 1)
                        copy_run(to, from, s.OW);
                    else
                        for (int64_t j = 0; j < s.OW; ++j) to[j] = from[j * s.stride_x];
                }
            }
        line += here, at += here * s.OW;
    }
    if (depth % plan.kernel.step)
        for (int64_t r = 0; r < count * plan.area; ++r)
            std::fill(packed + r * plan.row_size() + depth, packed + r * plan.row_size() + round_up(depth, plan.kernel.step), Bf16{});
}

// The same as pairs: (row, column, channel) of a strip of each image that the chunk is of, each number with that of the
// next window.  a[p] is where the pair p of the chunk's windows lies, for the first tap.
void pack_pairs(const WeightsPlan& plan, const Bf16* x, int64_t chunk, int64_t channel, int64_t count, Bf16* memory, const Bf16** a) {
    const ConvSizes& s = plan.s;
    const int64_t end = std::min(s.N * s.OH, (chunk + 1) * plan.lines), width = plan.strip_width();
    const int64_t reach = (s.OW - 1) * s.stride_x + (s.WW - 1) * s.dilation_x + 1;
    Bf16* strip = memory;
    Bf16* pairs = strip + (plan.strip_pixels() + s.stride_x) * count;
    for (int64_t line = chunk * plan.lines; line < end;) {
        const int64_t image = line / s.OH, first = line % s.OH, here = std::min(s.OH - first, end - line);
        const Bf16* pixels = x + image * s.H * s.W * s.C + channel;
        const int64_t top = first * s.stride_y - s.pad_y, rows = plan.rows_of(here);
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t i = 0; i < width; ++i) {
                const int64_t y = top + r, z = i - s.pad_x;
                Bf16* to = strip + (r * width + i) * count;
                if (y >= 0 && y < s.H && z >= 0 && z < s.W && i < reach)
                    copy_run(to, pixels + (y * s.W + z) * s.C, count);
                else
                    std::fill_n(to, count, Bf16{});
            }
        std::fill_n(strip + rows * width * count, s.stride_x * count, Bf16{});
        plan.kernel.couple(strip, strip + s.stride_x * count, rows * width * count, pairs);
        for (int64_t i = 0; i < here; ++i)
            for (int64_t j = 0; j < s.OW; j += 2) *a++ = pairs + (i * s.stride_y * width + j * s.stride_x) * count * 2;
        pairs += rows * width * count * 2;
        line += here;
    }
}

// The gradients that a chunk meets, for a panel of filters.
void pack_panel(const WeightsPlan& plan, const Bf16* dout, int64_t chunk, int64_t f, Bf16* panel) {
    const ConvSizes& s = plan.s;
    const int64_t count = std::min(kBf16Columns, s.F - f), lines = plan.lines_of(chunk);
    const Bf16* from = dout + chunk * plan.lines * s.OW * s.F + f;
    if (!plan.in_pairs || s.OW % 2 == 0)
        return plan.kernel.pair(from, s.F, lines * s.OW, plan.kernel.step, count, panel);
    for (int64_t line = 0; line < lines; ++line, from += s.OW * s.F, panel += (s.OW + 1) * kBf16Columns)
        plan.kernel.pair(from, s.F, s.OW, 2, count, panel);
}

// Adds the products of a chunk to the sums, a block [row][kBf16Columns] for each of `panels` panels of filters, rows
// (channel, tap), or (tap, channel) of pairs.  right: the panels of the gradients, panel_stride apart.
void add_chunk(const WeightsPlan& plan, const Bf16* x, int64_t chunk, int64_t channel, int64_t count, const Bf16* right,
               int64_t panel_stride, int64_t panels, bool accumulate, Bf16* memory, const Bf16** a, float* sums) {
    const ConvSizes& s = plan.s;
    const Bf16Kernels& kernel = plan.kernel;
    const int64_t block = plan.rows * kBf16Columns, depth = plan.depth_of(chunk);
    if (plan.in_pairs) {
        const int64_t pairs = plan.lines_of(chunk) * ((s.OW + 1) / 2);
        pack_pairs(plan, x, chunk, channel, count, memory, a);
        for (int64_t p = 0; p < panels; ++p, right += panel_stride, sums += block)
            for (int64_t t = 0; t < plan.area; ++t) {
                const int64_t pixel = t / s.WW * s.dilation_y * plan.strip_width() + t % s.WW * s.dilation_x;
                for (int64_t c = 0; c < count; c += kernel.tile_rows)
                    kernel.pairs_tile(a, (pixel * count + c) * 2, pairs, right, sums + (t * count + c) * kBf16Columns, accumulate);
            }
        return;
    }
    Bf16* packed = memory + plan.channels * plan.strip_size();
    for (int64_t r = 0; r < plan.rows; ++r) a[r] = packed + r * plan.row_size();
    pack_rows(plan, x, chunk, channel, count, memory, packed);
    const Run run{0, round_up(depth, kernel.step)};
    kernel.begin();
    for (int64_t p = 0; p < panels; ++p, right += panel_stride, sums += block)
        for (int64_t r = 0; r < count * plan.area; r += kernel.tile_rows)
            kernel.tile(a + r, &run, 1, right, sums + r * kBf16Columns, accumulate);
    kernel.end();
}

// dw of `count` channels and a panel of filters: the sum of the parts, `stride` apart.
void finish_panel(const WeightsPlan& plan, float* parts, int64_t stride, int64_t count, int64_t filters, float* dw, float* memory) {
    const int64_t rows = count * plan.area, row = times(plan.s.C, plan.area);
    for (int64_t part = 1; part < plan.parts; ++part)
        for (int64_t i = 0; i < rows * kBf16Columns; ++i) parts[i] += parts[part * stride + i];
    const float* ordered = parts;
    if (plan.in_pairs && plan.area > 1) {
        for (int64_t t = 0; t < plan.area; ++t)
            for (int64_t c = 0; c < count; ++c)
                std::memcpy(memory + (c * plan.area + t) * kBf16Columns, parts + (t * count + c) * kBf16Columns,
                            kBf16Columns * sizeof(float));
        ordered = memory;
    }
    kernels<float>().rows.turn(ordered, kBf16Columns, rows, filters, dw, row);
}

}  // namespace

void windows_backward_weights(const ConvSizes& s, const Bf16* dout, const Bf16* x, float* dw) {
    if (!s.F || !s.C) return;
    if (!s.N) return std::fill_n(dw, times(s.F, s.C, s.HH, s.WW), 0.0f), void();
    const WeightsPlan plan(s);
    const int64_t panel_size = times(plan.chunk_depth, kBf16Columns), block = times(plan.rows, kBf16Columns);
    const int64_t all_panels = times(plan.channel_blocks, plan.panels, block);
    Scratch<float> sums(times(plan.parts, all_panels));  // [part][channels][panel][row][column]
    const int64_t right_size = times(plan.panel_group, panel_size);
    const int64_t own = round_up(plus(right_size, plan.memory()), 32), places = std::max(plan.rows, plan.chunk_depth);
    Scratch<Bf16> memory(times(thread_count(), own));
    Scratch<const Bf16*> pointers(times(thread_count(), places));
    parallel(plan.parts * plan.channel_blocks * plan.groups, [&](int64_t task, int worker) {
        const int64_t part = task % plan.parts, place = task / plan.parts;
        const int64_t channel = place / plan.groups * plan.channels, count = std::min(plan.channels, s.C - channel);
        const int64_t first = place % plan.groups * plan.panel_group, last = std::min(plan.panels, first + plan.panel_group);
        float* c = sums.get() + part * all_panels + (channel / plan.channels * plan.panels + first) * block;
        const int64_t start = part * plan.chunks_of_part, stop = std::min(plan.chunks, start + plan.chunks_of_part);
        Bf16* right = memory.get() + worker * own;
        for (int64_t chunk = start; chunk < stop; ++chunk) {
            for (int64_t p = first; p < last; ++p) pack_panel(plan, dout, chunk, p * kBf16Columns, right + (p - first) * panel_size);
            add_chunk(plan, x, chunk, channel, count, right, panel_size, last - first, chunk > start, right + right_size,
                      pointers.get() + worker * places, c);
        }
    });
    const int64_t ordered = plan.in_pairs ? block : 0;
    Scratch<float> turned(times(thread_count(), ordered));
    parallel(plan.channel_blocks * plan.panels, [&](int64_t at, int worker) {
        const int64_t channel = at / plan.panels * plan.channels, f = at % plan.panels * kBf16Columns;
        finish_panel(plan, sums.get() + at * block, all_panels, std::min(plan.channels, s.C - channel),
                     std::min(kBf16Columns, s.F - f), dw + (f * s.C + channel) * plan.area, turned.get() + worker * ordered);
    });
}

}  // namespace handgrad
