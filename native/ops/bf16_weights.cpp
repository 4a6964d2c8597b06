// The gradient of filters as a product of bf16: rows (channel, tap) by columns of filters, over the pixels of the batch.
#include "ops/bf16_blocks.h"
#include "ops/bf16_windows.h"
#include "ops/patches.h"

namespace handgrad {
namespace {

constexpr int64_t kChannels = 32;      // of the images, whose taps are a task's rows
constexpr int64_t kMostRows = 512;     // of a task: fewer channels where there are many taps
constexpr int64_t kMostPanels = 8;     // of filters, for which pixels are packed once
constexpr int64_t kDepth = 256;        // pixels that are summed at once, whole lines of them
constexpr int64_t kTasks = 16;         // wanted, so that two to eight threads end together
constexpr int64_t kSpread = 32;        // numbers between rows, which are else a whole number of pages apart

// How the work is cut: depends on the sizes, and on the tile's rows.
struct WeightsPlan {
    const ConvSizes& s;
    const Bf16Kernels& kernel;
    int64_t area, channels, channel_blocks, rows, panels, panel_group, groups;
    int64_t lines, chunks, chunk_depth, chunks_of_part, parts;

    explicit WeightsPlan(const ConvSizes& s) : s(s), kernel(bf16_kernels()) {
        area = times(s.HH, s.WW);
        channels = std::clamp<int64_t>(kMostRows / area, 1, std::min(kChannels, s.C));
        channel_blocks = ceil_div(s.C, channels);
        rows = round_up(times(channels, area), kernel.tile_rows);
        panels = ceil_div(s.F, kBf16Columns);
        groups = ceil_div(panels, kMostPanels);
        panel_group = ceil_div(panels, groups);
        groups = ceil_div(panels, panel_group);
        lines = std::max<int64_t>(1, kDepth / s.OW);
        chunks = ceil_div(times(s.N, s.OH), lines);
        chunk_depth = round_up(times(lines, s.OW), kernel.step);
        const int64_t wanted = std::max<int64_t>(1, kTasks / (channel_blocks * groups));
        chunks_of_part = ceil_div(chunks, std::min(chunks, wanted));
        parts = ceil_div(chunks, chunks_of_part);
    }
    int64_t row_size() const { return chunk_depth + kSpread; }
    int64_t strip_rows() const { return (lines - 1) * s.stride_y + (s.HH - 1) * s.dilation_y + 1; }
    int64_t strip_width() const { return (s.OW - 1) * s.stride_x + (s.WW - 1) * s.dilation_x + 1; }
    int64_t strip_size() const { return times(strip_rows(), strip_width()) + kSpread; }
    int64_t depth_of(int64_t chunk) const { return (std::min(s.N * s.OH, (chunk + 1) * lines) - chunk * lines) * s.OW; }
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
                   (here - 1) * s.stride_y + (s.HH - 1) * s.dilation_y + 1, channel, count, planes);
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

}  // namespace

void windows_backward_weights(const ConvSizes& s, const Bf16* dout, const Bf16* x, float* dw) {
    if (!s.F || !s.C) return;
    if (!s.N) return std::fill_n(dw, times(s.F, s.C, s.HH, s.WW), 0.0f), void();
    const WeightsPlan plan(s);
    const Bf16Kernels& kernel = plan.kernel;
    const int64_t panel_size = times(plan.chunk_depth, kBf16Columns), block = times(plan.rows, kBf16Columns);
    Scratch<Bf16> right(times(plan.panels, plan.chunks, panel_size));
    parallel(plan.panels * plan.chunks, [&](int64_t at, int) {
        const int64_t chunk = at % plan.chunks, f = at / plan.chunks * kBf16Columns;
        kernel.pair(dout + chunk * plan.lines * s.OW * s.F + f, s.F, plan.depth_of(chunk), kernel.step,
                    std::min(kBf16Columns, s.F - f), right.get() + at * panel_size);
    });
    Scratch<float> sums(times(plan.parts, plan.channel_blocks, plan.panels, block));  // [part][channels][panel][row][column]
    const int64_t own = round_up(plus(times(plan.channels, plan.strip_size()), times(plan.rows, plan.row_size())), 32);
    Scratch<Bf16> memory(times(thread_count(), own));
    Scratch<const Bf16*> pointers(times(thread_count(), plan.rows));
    parallel(plan.parts * plan.channel_blocks * plan.groups, [&](int64_t task, int worker) {
        const int64_t part = task % plan.parts, place = task / plan.parts;
        const int64_t channel = place / plan.groups * plan.channels, count = std::min(plan.channels, s.C - channel);
        const int64_t first = place % plan.groups * plan.panel_group, last = std::min(plan.panels, first + plan.panel_group);
        Bf16* planes = memory.get() + worker * own;
        Bf16* packed = planes + plan.channels * plan.strip_size();
        const Bf16** a = pointers.get() + worker * plan.rows;
        for (int64_t r = 0; r < plan.rows; ++r) a[r] = packed + r * plan.row_size();
        float* c = sums.get() + (part * plan.channel_blocks + channel / plan.channels) * plan.panels * block;
        const int64_t start = part * plan.chunks_of_part, stop = std::min(plan.chunks, start + plan.chunks_of_part);
        for (int64_t chunk = start; chunk < stop; ++chunk) {
            pack_rows(plan, x, chunk, channel, count, planes, packed);
            const Run run{0, round_up(plan.depth_of(chunk), kernel.step)};
            kernel.begin();
            for (int64_t p = first; p < last; ++p)
                for (int64_t r = 0; r < count * plan.area; r += kernel.tile_rows)
                    kernel.tile(a + r, &run, 1, right.get() + (p * plan.chunks + chunk) * panel_size,
                                c + p * block + r * kBf16Columns, chunk > start);
            kernel.end();
        }
    });
    parallel(plan.channel_blocks * plan.panels, [&](int64_t at, int) {
        const int64_t channel = at / plan.panels * plan.channels, f = at % plan.panels * kBf16Columns;
        const int64_t rows = std::min(plan.channels, s.C - channel) * plan.area;
        float* first = sums.get() + at * block;
        for (int64_t part = 1; part < plan.parts; ++part) {
            const float* more = first + part * plan.channel_blocks * plan.panels * block;
            for (int64_t i = 0; i < rows * kBf16Columns; ++i) first[i] += more[i];
        }
        const int64_t stride = times(s.C, plan.area);
        kernels<float>().rows.turn(first, kBf16Columns, rows, std::min(kBf16Columns, s.F - f), dw + f * stride + channel * plan.area,
                                   stride);
    });
}

}  // namespace handgrad
