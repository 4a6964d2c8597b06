#include "ops/bf16_windows.h"

#include "ops/bf16_blocks.h"
#include "ops/bf16_product.h"
#include "ops/patches.h"

namespace handgrad {
namespace {

constexpr int64_t kBlockRows = 128;  // windows of a block, of several images or of a part of one
constexpr int64_t kTasks = 16;       // wanted, so that two to eight threads end together
constexpr int64_t kTileRows = 16;    // of pixels that a strided kernel reads at one stride

// The patches of windows, row after row of the grid.  Pixels are read in the image itself where no window leaves it,
// else in a copy of a few of its rows with their border; where that is no use (too few channels for the kernel's step,
// or rows too short for its stride), patches are copied whole.
class WindowRows final : public Bf16Rows {
  public:
    WindowRows(const WindowGrid<Bf16>& grid, int64_t N, const Taps& taps)
        : WindowRows(grid, N, taps, std::max<int64_t>(1, kBlockRows / std::max<int64_t>(1, grid.grid_w))) {}
    RowBlock place(int64_t block, Bf16* memory, const Bf16** a) const override {
        const int64_t line = block / strips_ * images_ * g_.grid_h + block % strips_ * lines_;
        const int64_t end = strips_ > 1 ? std::min(line + lines_, (line / g_.grid_h + 1) * g_.grid_h)
                                        : std::min(line + images_ * g_.grid_h, N_ * g_.grid_h);
        const int64_t rows = (end - line) * g_.grid_w, padded = round_up(rows, bf16_kernels().tile_rows);
        int64_t row = 0;
        for (int64_t image = line / g_.grid_h; image * g_.grid_h < end; ++image) {
            const int64_t first = std::max<int64_t>(0, line - image * g_.grid_h);
            const int64_t last = std::min(g_.grid_h, end - image * g_.grid_h);
            row = place_lines(image, first, last, row, memory, a);
            memory += strip_size_;
        }
        if (whole_)
            copy_patches(rows, memory, a);
        for (; row < padded; ++row) a[row] = whole_ ? memory + row * row_size_ : a[row - 1];
        return {line * g_.grid_w, rows};
    }
    // The channels of a tap as they lie in the strip, and whether patches are copied whole.
    int64_t channels() const { return channels_; }
    bool is_whole() const { return whole_; }

  private:
    WindowRows(const WindowGrid<Bf16>& grid, int64_t N, const Taps& taps, int64_t lines)
        : Bf16Rows(block_count(grid, N, lines), block_rows(grid, N, lines),
                   Bf16Runs::most(std::max<int64_t>(1, taps.count), round_up(grid.C, bf16_kernels().step))),
          g_(grid), N_(N), taps_(taps), parts_(std::max<int64_t>(1, taps.count), INT64_MAX) {
        const Bf16Kernels& kernel = bf16_kernels();
        lines_ = std::min(lines, g_.grid_h);
        strips_ = ceil_div(g_.grid_h, lines_);
        images_ = strips_ > 1 ? 1 : std::max<int64_t>(1, lines / g_.grid_h);
        for (int64_t t = 0; t < taps.count; ++t) {
            low_y_ = t ? std::min(low_y_, taps.dy[t]) : taps.dy[t], high_y_ = t ? std::max(high_y_, taps.dy[t]) : taps.dy[t];
            low_x_ = t ? std::min(low_x_, taps.dx[t]) : taps.dx[t], high_x_ = t ? std::max(high_x_, taps.dx[t]) : taps.dx[t];
        }
        channels_ = round_up(g_.C, kernel.step);
        const bool fits = !kernel.strided || g_.grid_w % kTileRows == 0;
        whole_ = !fits || (channels_ > g_.C && taps.count * channels_ > round_up(taps.count * g_.C, kernel.step) * 5 / 4);
        const int64_t top = g_.offset_y + low_y_, left = g_.offset_x + low_x_;
        const int64_t bottom = g_.offset_y + high_y_ + (g_.grid_h - 1) * g_.step_y;
        const int64_t right = g_.offset_x + high_x_ + (g_.grid_w - 1) * g_.step_x;
        in_image_ = top >= 0 && left >= 0 && bottom < g_.H && right < g_.W && (whole_ || channels_ == g_.C);
        if (whole_) channels_ = g_.C;
        width_ = in_image_ ? g_.W : right - left + 1;
        const int64_t strip_rows = (lines_ - 1) * g_.step_y + high_y_ - low_y_ + 1;
        strip_size_ = in_image_ ? 0 : round_up(plus(times(strip_rows, width_, channels_), kBf16Beyond), 32);
        if (whole_) {
            depth_ = times(taps.count, g_.C);
            row_size_ = round_up(depth_, kernel.step) + kBf16Beyond;
            runs.add(0, round_up(depth_, kernel.step));
            for (int64_t t = 0; t < taps.count; ++t) parts_.add(tap_offset(t), g_.C);
        } else {
            for (int64_t t = 0; t < taps.count; ++t) runs.add(tap_offset(t), channels_);
        }
        scratch = plus(times(images_, strip_size_), whole_ ? times(round_up(most_rows, kernel.tile_rows), row_size_) : 0);
    }
    static int64_t block_count(const WindowGrid<Bf16>& g, int64_t N, int64_t lines) {
        if (lines < g.grid_h) return times(N, ceil_div(g.grid_h, lines));
        return ceil_div(N, std::max<int64_t>(1, lines / std::max<int64_t>(1, g.grid_h)));
    }
    static int64_t block_rows(const WindowGrid<Bf16>& g, int64_t N, int64_t lines) {
        const int64_t images = std::min(N, std::max<int64_t>(1, lines / std::max<int64_t>(1, g.grid_h)));
        return times(std::min(lines, g.grid_h), images, g.grid_w);
    }

    int64_t tap_offset(int64_t t) const {
        return ((taps_.dy[t] - low_y_) * width_ + taps_.dx[t] - low_x_) * channels_;
    }

    // Points to the windows of lines [first, last) of an image.
    int64_t place_lines(int64_t image, int64_t first, int64_t last, int64_t row, Bf16* strip, const Bf16** a) const {
        const int64_t top = g_.offset_y + low_y_ + first * g_.step_y, left = g_.offset_x + low_x_;
        const Bf16* pixels = g_.image + image * g_.H * g_.W * g_.C;
        const Bf16* at = strip;
        if (in_image_)
            at = pixels + (top * g_.W + left) * g_.C;
        else
            copy_strip(pixels, top, (last - first - 1) * g_.step_y + high_y_ - low_y_ + 1, left, strip);
        for (int64_t y = first; y < last; ++y)
            for (int64_t x = 0; x < g_.grid_w; ++x)
                a[row++] = at + ((y - first) * g_.step_y * width_ + x * g_.step_x) * channels_;
        return row;
    }

    void copy_strip(const Bf16* image, int64_t top, int64_t rows, int64_t left, Bf16* strip) const {
        if (channels_ == g_.C) return copy_rectangle(g_.H, g_.W, g_.C, image, top, rows, left, width_, strip);
        for (int64_t y = top; y < top + rows; ++y)
            for (int64_t x = left; x < left + width_; ++x, strip += channels_) {
                const bool inside = y >= 0 && y < g_.H && x >= 0 && x < g_.W;
                for (int64_t c = 0; c < channels_; ++c)
                    strip[c] = inside && c < g_.C ? image[(y * g_.W + x) * g_.C + c] : Bf16{0};
            }
    }

    void copy_patches(int64_t rows, Bf16* memory, const Bf16** a) const {
        const int64_t count = parts_.pieces() ? parts_.run_count(0) : 0;
        const Run* parts = count ? parts_.runs(0) : nullptr;
        if (!in_image_) bf16_kernels().gather(a, rows, parts, count, memory, row_size_);  // strips have numbers beyond
        for (int64_t row = 0; row < rows; ++row) {
            Bf16* patch = memory + row * row_size_;
            Bf16* to = patch;
            for (int64_t i = 0; in_image_ && i < count; to += parts[i++].count) copy_run(to, a[row] + parts[i].offset, parts[i].count);
            for (int64_t i = depth_; i < row_size_ - kBf16Beyond; ++i) patch[i] = Bf16{};
            a[row] = patch;
        }
    }

    const WindowGrid<Bf16> g_;
    const int64_t N_;
    const Taps& taps_;
    Bf16Runs parts_;  // of a patch that is copied, side by side in the strip
    int64_t lines_, strips_, images_;  // of a block
    int64_t low_y_ = 0, high_y_ = 0, low_x_ = 0, high_x_ = 0, width_ = 0, channels_ = 0, strip_size_ = 0, row_size_ = 0, depth_ = 0;
    bool whole_ = false, in_image_ = false;
};

// Panels of filters: write(first, columns, memory) writes numbers (line, column) of a panel to memory, kBf16Columns a
// line; line (t, c) of a window's depth is number place(t, c) of them.
template <class Write, class Place>
void pack_filters(const WindowRows& rows, const Taps& taps, int64_t C, int64_t lines, Write&& write, Place&& place, PackedPanels& to) {
    static const Bf16 zeros[kBf16Columns] = {};
    const int64_t own = times(lines, kBf16Columns), depth_of_tap = rows.is_whole() ? C : round_up(C, bf16_kernels().step);
    Scratch<int64_t> order(to.depth);  // the line of each number in depth, or -1
    std::fill_n(order.get(), to.depth, int64_t{-1});
    for (int64_t t = 0; t < taps.count; ++t)
        for (int64_t c = 0; c < C; ++c) order.get()[t * depth_of_tap + c] = place(t, c);
    Scratch<Bf16> memory(times(thread_count(), own));
    parallel(to.panels(), [&](int64_t panel, int worker) {
        Bf16* made = memory.get() + worker * own;
        const int64_t columns = std::min(kBf16Columns, to.columns - panel * kBf16Columns);
        if (columns < kBf16Columns) std::fill_n(made, own, Bf16{});
        write(panel * kBf16Columns, columns, made);
        const auto line = [&](int64_t k) { return order.get()[k] < 0 ? zeros : made + order.get()[k] * kBf16Columns; };
        for (int64_t k = 0; k < to.depth; k += 2)
            bf16_kernels().couple(line(k), line(k + 1), kBf16Columns, to.at(panel) + k * kBf16Columns);
    });
}

// Where the windows' results go: row i of a line is `step` numbers behind row i - 1.
struct Places {
    Bf16* out;
    int64_t grid_h, grid_w, step, line, image;  // numbers from window to window, line to line, image to image
    bool is_dense() const { return line == grid_w * step && image == grid_h * line; }
    int64_t operator()(int64_t row) const {
        const int64_t y = row / grid_w;
        return y / grid_h * image + y % grid_h * line + row % grid_w * step;
    }
};

void multiply_filters(const WindowRows& rows, const Bf16Panels& filters, const float* bias, bool rectify, const Places& to) {
    const int64_t groups = std::min(filters.panels(), std::max<int64_t>(1, kTasks / rows.blocks));
    const auto target = [&](const RowBlock& block, int64_t panel) {
        const int64_t f = panel * kBf16Columns;
        return Bf16Target{{to.out + f, nullptr, to.step, bias ? bias + f : nullptr, rectify, false}, to.is_dense() ? block.rows : to.grid_w};
    };
    if (to.is_dense()) return multiply_blocks(rows, filters, groups, target, [&](int64_t row) { return row * to.step; });
    multiply_blocks(rows, filters, groups, target, to);
}

// Few channels, of which a panel would be nearly empty: the gradients of all patches, image by image, added where they
// came from.
bool is_narrow(const ConvSizes& s) {
    constexpr int64_t kNarrow = 12, kLargest = 1 << 22;
    return s.C < kNarrow && s.HH * s.WW > 1 && !s.dilated() && times(s.HH, s.WW, times(s.C, s.OH, s.OW)) < kLargest;
}

void narrow_backward_input(const ConvSizes& s, const Bf16* dout, const float* w, Bf16* dx) {
    const int64_t area = s.HH * s.WW, columns = area * s.C, pixels = s.OH * s.OW, image_size = s.H * s.W * s.C;
    const Scratch<float> matrix = filter_rows(s.F, s.C, area, w);
    Scratch<float> patches(times(thread_count(), pixels, columns)), images(times(thread_count(), image_size));
    parallel(s.N, [&](int64_t n, int worker) {
        const float* patch = patches.get() + worker * pixels * columns;
        float* image = images.get() + worker * image_size;
        multiply(Bf16Factor(dout + n * pixels * s.F, s.F, 1), Bf16Factor(matrix.get(), columns, 1), pixels, s.F, columns,
                 Bf16Sink(patches.get() + worker * pixels * columns, columns));
        std::fill_n(image, image_size, 0.0f);
        for (int64_t i = 0; i < s.OH; ++i)
            for (int64_t j = 0; j < s.OW; ++j, patch += columns) {
                const int64_t x0 = j * s.stride_x - s.pad_x;
                const int64_t from = std::max<int64_t>(0, -x0) * s.C, to = std::min(s.WW, s.W - x0) * s.C;
                for (int64_t u = 0; u < s.HH; ++u) {
                    const int64_t y = i * s.stride_y - s.pad_y + u;
                    if (y < 0 || y >= s.H) continue;
                    const float* more = patch + u * s.WW * s.C;
                    float* line = image + (y * s.W + x0) * s.C;
                    for (int64_t c = from; c < to; ++c) line[c] += more[c];
                }
            }
        bf16_kernels().to_bf16(image, image_size, dx + n * image_size);
    });
}

}  // namespace

PackedPanels pack_windows(const ConvSizes& s, const float* w) {
    const Taps taps = window(s);
    const WindowRows rows(forward_windows<Bf16>(s, nullptr), s.N, taps);
    const int64_t area = taps.count, lines = times(s.C, area);
    PackedPanels filters(rows.runs.depth(), s.F);
    pack_filters(rows, taps, s.C, lines,
                 [&](int64_t f, int64_t count, Bf16* made) {
                     bf16_kernels().turn_full(w + f * lines, lines, count, lines, made, kBf16Columns);
                 },
                 [&](int64_t t, int64_t c) { return c * area + t; }, filters);
    return filters;
}

void windows_forward(const ConvSizes& s, const Bf16* x, const Bf16Panels& filters, const Sink<Bf16>& to) {
    if (!s.N || !s.F) return;
    const Taps taps = window(s);
    const WindowRows rows(forward_windows(s, x), s.N, taps);
    multiply_filters(rows, filters, to.bias, to.rectify, {to.out, s.OH, s.OW, s.F, s.OW * s.F, s.OH * s.OW * s.F});
}

void windows_forward(const ConvSizes& s, const Bf16* x, const float* w, const Sink<Bf16>& to) {
    if (!s.N || !s.F) return;
    windows_forward(s, x, pack_windows(s, w), to);
}

void windows_backward_input(const ConvSizes& s, const Bf16* dout, const float* w, Bf16* dx) {
    if (!s.N || !s.C) return;
    if (is_narrow(s)) return narrow_backward_input(s, dout, w, dx);
    const int64_t area = times(s.HH, s.WW);
    Taps taps(area);
    Scratch<int64_t> places(area);
    if (s.stride_y > s.HH || s.stride_x > s.WW || s.dilated())  // there may be pixels that no window sees
        for_chunks(times(s.N, s.H, s.W, s.C), [&](int64_t at, int64_t n) { std::fill_n(dx + at, n, Bf16{}); });
    for (int64_t py = 0; py < std::min(s.stride_y, s.H); ++py)
        for (int64_t px = 0; px < std::min(s.stride_x, s.W); ++px) {
            taps.count = 0;
            for_taps_of_phase(s, py, px, [&](int64_t place, int64_t dy, int64_t dx_) {
                places.get()[taps.count] = place;
                taps.add(dy, dx_);
            });
            if (!taps.count) continue;
            const int64_t height = ceil_div(s.H - py, s.stride_y), width = ceil_div(s.W - px, s.stride_x);
            const WindowGrid<Bf16> grid{dout, s.OH, s.OW, s.F, height, width, 1, 1, 0, 0};
            const WindowRows rows(grid, s.N, taps);
            PackedPanels filters(rows.runs.depth(), s.C);
            pack_filters(rows, taps, s.F, times(s.F, area),
                         [&](int64_t c, int64_t count, Bf16* made) {
                             for (int64_t f = 0; f < s.F; ++f)
                                 bf16_kernels().turn_full(w + (f * s.C + c) * area, area, count, area,
                                                          made + f * area * kBf16Columns, kBf16Columns);
                         },
                         [&](int64_t t, int64_t f) { return f * area + places.get()[t]; }, filters);
            const Places to{dx + (py * s.W + px) * s.C, height, width, s.stride_x * s.C, s.stride_y * s.W * s.C, s.H * s.W * s.C};
            multiply_filters(rows, filters, nullptr, false, to);
        }
}

}  // namespace handgrad
