#include "ops/winograd.h"

#include <algorithm>
#include <atomic>

#include "core/buffers.h"
#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/direct_conv.h"

namespace handgrad {
namespace {

constexpr int64_t kTasks = 8;  // wanted at least, so that few threads end together

std::atomic<int> forced{0};
std::atomic<double> number_cost{1}, weight_cost{1};

// The largest magnitude that all tasks have seen; see kernels/winograd.h.  The order does not matter.
class Largest {
  public:
    void see(int32_t bits) {
        int32_t known = bits_.load(std::memory_order_relaxed);
        while (bits > known && !bits_.compare_exchange_weak(known, bits, std::memory_order_relaxed)) {
        }
    }
    // An overflow anywhere makes a result infinite or not a number, since nothing is subtracted from
    // what is infinite without leaving it so; what overflows without a trace was not needed.
    bool finite() const { return bits_ < 0x7f800000; }
    // At least 2^-96: then what the transforms round to subnormal numbers is far below the rounding of
    // the largest ones.
    bool normal() const { return bits_ >= (127 - 96) << 23; }

  private:
    std::atomic<int32_t> bits_{0};
};

// The distance between planes: no multiple of 4 KiB, which would fall on the same lines of the cache.
int64_t plane_size(int64_t numbers) { return round_up(numbers, 32) + 16; }

Scratch<float> zeros(int64_t count) {
    Scratch<float> made(count);
    std::fill_n(made.get(), count, 0.0f);
    return made;
}

// Columns of a panel that are multiplied for `some` that are wanted: half of it, or all.
int64_t panel_columns(int64_t some, int64_t width) { return some <= width / 2 ? width / 2 : width; }

// The size of blocks, at most `most`, that leaves two to eight threads the least to wait for in the end.
int64_t even_block(int64_t tiles, int64_t most, int64_t height) {
    const auto work = [&](int64_t block) { return round_up(ceil_div(tiles, block), kTasks) * block; };
    int64_t best = most;
    for (int64_t block = most; block >= std::min<int64_t>(most, 24); block -= height)
        if (work(block) < work(best)) best = block;
    return best;
}

TileGrid grid_of(int64_t H, int64_t W, int64_t C, int64_t OH, int64_t OW, int64_t size, int64_t pad_y, int64_t pad_x) {
    return {H, W, C, ceil_div(OH, size), ceil_div(OW, size), size, -pad_y, -pad_x};
}

// Of `size` rows or columns of outputs those that a gradient is of: all, or those in windows.
int64_t seen(const AnySource& dout, int64_t size) { return dout.places ? size / 2 * 2 : size; }

// The correlation of images (N, H, W, C) with F filters, the numbers of filter (c, f) at c * c_stride + f * f_stride.
struct Correlation {
    int64_t N, H, W, C, F, OH, OW, pad_y, pad_x, c_stride, f_stride;
    bool flip;
};

bool correlate(const WinogradTransforms& kernel, const Correlation& s, const AnySource& x, const float* w,
               const AnySink& sink, WinogradFilters* kept = nullptr) {
    const auto& gemm = kernels<float>().gemm;
    const int64_t height = gemm.tile_rows, width = gemm.tile_columns, points = kernel.points, threads = thread_count();
    const TileGrid from = grid_of(s.H, s.W, s.C, s.OH, s.OW, kernel.size, s.pad_y, s.pad_x);
    const TileGrid to = grid_of(s.OH, s.OW, s.F, s.OH, s.OW, kernel.size, 0, 0);
    const int64_t tiles = times(s.N, from.rows, from.columns), panels = ceil_div(s.F, width);

    // A block of tiles: its transform v and the products m with one panel of filters stay in the
    // second-level cache.
    const int64_t least = kernel.size < 8 ? 48 : 24, wanted = std::clamp<int64_t>(150000 / (points * s.C), least, 128);
    const int64_t fitting = round_up(std::min(wanted, tiles), height);
    // Either each task takes a block of tiles, and all the filters are transformed before; or, where the
    // blocks are few, each takes a panel of filters, and all the tiles are transformed before.
    const int64_t fewest = ceil_div(tiles, fitting);
    const bool by_panel = fewest < kTasks && fewest < panels;
    const int64_t block = by_panel ? fitting : even_block(tiles, fitting, height), blocks = ceil_div(tiles, block);
    const int64_t v_plane = plane_size(height * round_up(s.C, kBlock)), group = points * v_plane;
    const TilePlaces places{height, group, kBlock, height * kBlock, v_plane};
    const int64_t v_size = times(block / height, group);
    const int64_t u_plane = plane_size(times(s.C, width)), u_size = times(points, u_plane);
    const int64_t m_size = times(block, kernel.product_size);
    Scratch<float> v(times(by_panel ? blocks : threads, v_size));
    const bool is_there = kept && kept->tile == kernel.size, all_before = kept || !by_panel;
    Scratch<float> made(is_there ? 0 : times(all_before ? panels : threads, u_size));
    const float* u = is_there ? kept->u.get() : made.get();
    Scratch<float> m(times(threads, m_size));
    const Scratch<float> nothing = zeros(s.C);
    Largest largest_v, largest_u, largest_out;

    auto inputs = [&](int64_t first, int64_t count, int64_t c, int64_t channels, float* target) {
        int32_t largest = 0;
        kernel.inputs(from, x, nothing.get(), first, count, c, channels, places, target, &largest);
        largest_v.see(largest);
    };
    auto filters = [&](int64_t panel, int64_t c, int64_t count, float* target) {
        int32_t largest = 0;
        kernel.filters(w + panel * width * s.f_stride + c * s.c_stride, w + s.F * s.C * 9, s.c_stride, s.f_stride,
                       s.flip, count, std::min(width, s.F - panel * width), target + c * width, u_plane, &largest);
        largest_u.see(largest);
    };
    auto products = [&](int64_t first, int64_t panel, const float* in, const float* filter, float* product) {
        const int64_t count = std::min(block, tiles - first), channel = panel * width;
        const int64_t columns = panel_columns(s.F - channel, width);
        for (int64_t p = 0; p < points; ++p)
            for (int64_t t = 0; t < count; t += height)
                gemm.tile(ALayout::kRowBlocks, s.C, in + p * v_plane + t / height * group, height,
                          filter + p * u_plane, width, product + t * kernel.product_size + p * width,
                          kernel.product_size, height, columns, false, nullptr);
        int32_t largest = 0;
        kernel.outputs(to, product, first, count, channel, std::min(width, s.F - channel), sink, &largest);
        largest_out.see(largest);
    };

    if (all_before && !is_there) {
        constexpr int64_t kSlice = 32;
        const int64_t slices = ceil_div(s.C, kSlice);
        parallel(panels * slices, [&](int64_t task, int) {
            const int64_t panel = task / slices, c = task % slices * kSlice;
            filters(panel, c, std::min(kSlice, s.C - c), made.get() + panel * u_size);
        });
    }
    if (by_panel) {
        const int64_t part = 2 * height, parts = ceil_div(block, part);
        const int64_t slice = blocks * parts < kTasks ? 2 * kBlock : s.C, slices = ceil_div(s.C, slice);
        parallel(blocks * parts * slices, [&](int64_t task, int) {
            const int64_t c = task % slices * slice, place = task / slices;
            const int64_t skip = place % parts * part, first = place / parts * block + skip;
            if (first < tiles)
                inputs(first, std::min({part, block - skip, tiles - first}), c, std::min(slice, s.C - c),
                       v.get() + place / parts * v_size + skip / height * group + c / kBlock * places.block_stride);
        });
        parallel(panels, [&](int64_t panel, int worker) {
            const float* filter = u + (kept ? panel : worker) * u_size;
            if (!kept) filters(panel, 0, s.C, made.get() + worker * u_size);
            for (int64_t b = 0; b < blocks; ++b)
                products(b * block, panel, v.get() + b * v_size, filter, m.get() + worker * m_size);
        });
    } else {
        parallel(blocks, [&](int64_t b, int worker) {
            float* in = v.get() + worker * v_size;
            inputs(b * block, std::min(block, tiles - b * block), 0, s.C, in);
            for (int64_t panel = 0; panel < panels; ++panel)
                products(b * block, panel, in, u + panel * u_size, m.get() + worker * m_size);
        });
    }
    if (kept && !is_there) *kept = {std::move(made), kernel.size, largest_u.normal()};
    return largest_v.normal() && (kept ? kept->is_normal : largest_u.normal()) && largest_out.finite();
}

bool weight_gradients(const WinogradTransforms& kernel, const ConvSizes& s, const AnySource& dout, const AnySource& x,
                      float* dw) {
    const auto& gemm = kernels<float>().gemm;
    const int64_t height = gemm.tile_rows, width = gemm.tile_columns, points = kernel.points, threads = thread_count();
    const TileGrid from = grid_of(s.H, s.W, s.C, s.OH, s.OW, kernel.size, s.pad_y, s.pad_x);
    const TileGrid upstream = grid_of(seen(dout, s.OH), seen(dout, s.OW), s.F, s.OH, s.OW, kernel.size, 0, 0);
    const int64_t tiles = times(s.N, from.rows, from.columns), panels = ceil_div(s.F, width);

    // Blocks of tiles are the depth of the products: v (tiles, C) transposed times d (tiles, F).
    const int64_t block = std::min<int64_t>(kernel.size < 8 ? 128 : 64, tiles), blocks = ceil_div(tiles, block);
    const int64_t channels = round_up(s.C, height), row = round_up(channels, kBlock);
    const bool columns = kBlock % height == 0;  // v in columns of kBlock channels, else in rows
    const TilePlaces v_places{1, columns ? kBlock : row + kBlock, 0, columns ? block * kBlock : kBlock,
                              plane_size(block * (row + kBlock))};
    const int64_t v_size = times(points, v_places.plane);
    const TilePlaces d_places{1, width, 0, kBlock, plane_size(block * width)};
    const int64_t d_size = points * d_places.plane;
    const int64_t sum_plane = plane_size(channels * width), sum_size = times(points, sum_plane);

    // Either each task takes a part of the tiles and all the filters; or, where these sums would be
    // large, a panel of filters, and the inputs of many tiles are transformed before.
    constexpr int64_t kMost = int64_t{6} << 20;  // numbers in the transforms or sums
    const bool by_panel = panels >= kTasks || times(panels, sum_size, kTasks) > kMost;
    const int64_t parts = by_panel ? std::min(blocks, ceil_div(kTasks, panels)) : std::min(blocks, kTasks);
    const int64_t batch = by_panel ? std::min(blocks, std::max(parts, kMost / v_size)) : blocks;
    Scratch<float> v(times(by_panel ? batch : threads, v_size));
    Scratch<float> d(times(threads, d_size));
    // A task with a panel and all the tiles keeps no sums for others.
    const bool alone = by_panel && parts == 1 && batch == blocks;
    Scratch<float> sums(alone ? times(threads, sum_size) : times(parts, panels, sum_size));
    const Scratch<float> nothing = zeros(std::max(s.C, width));
    Largest largest_v, largest_d, largest_dw;

    auto inputs = [&](int64_t first, int64_t count, float* target) {
        int32_t largest = 0;
        kernel.inputs(from, x, nothing.get(), first, count, 0, s.C, v_places, target, &largest);
        largest_v.see(largest);
    };
    auto products = [&](int64_t b, int64_t panel, const float* in, float* gradient, float* sum, bool accumulate) {
        const int64_t first = b * block, count = std::min(block, tiles - first), channel = panel * width;
        int32_t largest = 0;
        kernel.gradients(upstream, dout, nothing.get(), first, count, channel, std::min(width, s.F - channel), d_places,
                         gradient, &largest);
        largest_d.see(largest);
        const int64_t multiplied = panel_columns(s.F - channel, width);
        const int64_t ahead = columns ? count * height : 0;  // numbers of the next block that each product fetches
        for (int64_t p = 0; p < points; ++p)
            for (int64_t c = 0; c < s.C; c += height) {
                const float* left = in + p * v_places.plane + c / kBlock * v_places.block_stride;
                float* target = sum + p * sum_plane + c * width;
                const float* next = left + v_places.block_stride + c % kBlock * count;
                for (int64_t i = 0; i < ahead; i += kBlock) __builtin_prefetch(next + i);
                for (int64_t i = height * width; i < 2 * height * width; i += kBlock) __builtin_prefetch(target + i, 1);
                gemm.tile(ALayout::kColumns, count, left + c % kBlock, v_places.group_stride,
                          gradient + p * d_places.plane, width, target, width, height, multiplied, accumulate,
                          nullptr);
            }
    };

    auto weights = [&](int64_t panel, int64_t c, int64_t count, const float* sum) {
        int32_t largest = 0;
        kernel.weights(sum + c * width, parts, panels * sum_size, sum_plane, s.C * 9, count,
                       std::min(width, s.F - panel * width), dw + (panel * width * s.C + c) * 9, &largest);
        largest_dw.see(largest);
    };

    for (int64_t start = 0; start < blocks; start += batch) {
        const int64_t here = std::min(batch, blocks - start);
        if (by_panel)
            parallel(here * 4, [&](int64_t task, int) {
                const int64_t quarter = ceil_div(block, 4), skip = task % 4 * quarter;
                const int64_t first = (start + task / 4) * block + skip;
                const int64_t count = std::min({quarter, block - skip, tiles - first});
                if (count > 0)
                    inputs(first, count, v.get() + task / 4 * v_size + skip * v_places.group_stride);
            });
        parallel(by_panel ? panels * parts : parts, [&](int64_t task, int worker) {
            const int64_t part = task % parts;
            float* gradient = d.get() + worker * d_size;
            for (int64_t b = part * here / parts; b < (part + 1) * here / parts; ++b) {
                const bool accumulate = start > 0 || b > part * here / parts;
                float* in = v.get() + (by_panel ? b : worker) * v_size;
                if (!by_panel) inputs((start + b) * block, std::min(block, tiles - (start + b) * block), in);
                const int64_t first = by_panel ? task / parts : 0, last = by_panel ? first + 1 : panels;
                for (int64_t panel = first; panel < last; ++panel)
                    products(start + b, panel, in, gradient,
                             sums.get() + (alone ? worker : part * panels + panel) * sum_size, accumulate);
            }
            if (alone) weights(task, 0, s.C, sums.get() + worker * sum_size);
        });
    }
    constexpr int64_t kSlice = 16;
    const int64_t slices = alone ? 0 : ceil_div(s.C, kSlice);
    parallel(panels * slices, [&](int64_t task, int) {
        const int64_t panel = task / slices, c = task % slices * kSlice;
        weights(panel, c, std::min(kSlice, s.C - c), sums.get() + panel * sum_size);
    });
    return largest_v.normal() && largest_d.normal() && largest_dw.finite();
}

// The transforms to use for F filters over C channels and outputs of H by W, or null for the direct
// algorithm.  The estimates count multiplications: those of the products, and for what is moved
//   25 for each number that goes through a transform, 20 for one that the direct algorithm packs,
//   30 for each weight that is transformed and fetched, 60 for one that the direct algorithm packs,
//   45 if it reads them as they lie (forward, few windows).
// Fitted to one thread's times of 34 convolutions of 1 to 8192 tiles and 3 to 512 channels (AMD Zen 5, AVX-512,
// N = 1 to 128): with 8 channels or more it mostly picks the fastest of the three; with fewer the direct
// algorithm has kernels of its own.  Tiles of 8 move more through the outer caches: 31 for a number and 60 for
// a weight, and of fewer than kManyWeights they do not pay; for the gradient of the weights only where each task
// keeps the sums of a panel.  These are from two threads' times of 15 convolutions of 32 to 2048 such tiles and
// 16 to 256 channels (AMD Zen 4).  On other processors what is transformed costs more or less, see winograd_costs.
// is_half: of bf16 images, the products of the direct algorithm cost Bf16Kernels::cost.  is_kept: both have their
// weights made, and fetch them, which for the transformed ones costs kKeptWeight.
constexpr double kKeptWeight = 4;
const WinogradTransforms* choose(const ConvSizes& s, Pass pass, bool is_half, int64_t C, int64_t F, int64_t H, int64_t W,
                                 bool is_kept = false) {
    if (s.HH != 3 || s.WW != 3 || s.stride_y != 1 || s.stride_x != 1 || s.dilated()) return nullptr;
    if (!s.N || !C || !F || !H || !W) return nullptr;
    const auto& kernel = kernels<float>().winograd;
    if (forced) return forced == 2 ? &kernel.two : forced == 4 ? &kernel.four : &kernel.eight;
    if (s.C < 8) return nullptr;
    const auto& gemm = kernels<float>().gemm;
    const int64_t last = panel_columns((F - 1) % gemm.tile_columns + 1, gemm.tile_columns);
    const double filters = static_cast<double>((F - 1) / gemm.tile_columns * gemm.tile_columns + last), channels = static_cast<double>(C);
    const double weights = channels * filters;
    const WinogradCosts factors = winograd_costs();
    auto cost = [&](const WinogradTransforms& kind, double number, double weight) {
        number *= factors.number;
        weight = is_kept ? kKeptWeight : weight * factors.weight;
        const int64_t tiles = times(s.N, ceil_div(H, kind.size), ceil_div(W, kind.size));
        const double rounded = static_cast<double>(round_up(tiles, gemm.tile_rows));
        const double numbers = static_cast<double>(round_up(C, kBlock)) + filters;
        return static_cast<double>(kind.points) * (rounded * (channels * filters + number * numbers) + weight * weights);
    };
    const double outputs = static_cast<double>(times(s.N, H, W));
    const bool unpacked = pass == Pass::kForward && few_windows(s) && !is_half;
    const double product = is_half ? bf16_kernels().cost : 1;
    const double packing = is_kept ? 0 : unpacked ? 45 : 60;
    const double direct = 9 * (outputs * channels * (product * static_cast<double>(F) + (is_kept ? 5 : 20)) + packing * weights);
    const double two = cost(kernel.two, 25, 30), four = cost(kernel.four, 25, 30), least = std::min({direct, two, four});
    constexpr double kManyWeights = 4096;
    const bool of_weights = pass == Pass::kWeights;
    const double eight = of_weights ? cost(kernel.eight, 25, 30) : cost(kernel.eight, 31, 60);
    if (weights >= kManyWeights && (!of_weights || ceil_div(F, gemm.tile_columns) >= kTasks) && eight < least)
        return &kernel.eight;
    return direct == least ? nullptr : two < four ? &kernel.two : &kernel.four;
}

}  // namespace

void set_winograd_tile(int size) { forced = size; }

void set_winograd_costs(WinogradCosts costs) {
    number_cost = costs.number;
    weight_cost = costs.weight;
}
WinogradCosts winograd_costs() { return {number_cost.load(), weight_cost.load()}; }

int64_t winograd_choice(const ConvSizes& s, Pass pass) {
    const bool of_input = pass == Pass::kInput;
    const WinogradTransforms* kernel = of_input ? choose(s, pass, false, s.F, s.C, s.H, s.W) : choose(s, pass, false, s.C, s.F, s.OH, s.OW);
    return kernel ? kernel->size : 0;
}

bool winograd_takes(const ConvSizes& s) { return choose(s, Pass::kForward, false, s.C, s.F, s.OH, s.OW); }

bool winograd_forward(const ConvSizes& s, const AnySource& x, const float* w, const AnySink& to, WinogradFilters* kept) {
    const WinogradTransforms* kernel = choose(s, Pass::kForward, x.is_half, s.C, s.F, s.OH, s.OW, kept);
    return kernel && correlate(*kernel, {s.N, s.H, s.W, s.C, s.F, s.OH, s.OW, s.pad_y, s.pad_x, 9, s.C * 9, false}, x, w, to, kept);
}

// dx is the correlation of dout, padded by what the forward pass left of the filter, with the filters
// turned by half a turn.
bool winograd_backward_input(const ConvSizes& s, const AnySource& dout, const float* w, const AnySink& dx) {
    const WinogradTransforms* kernel = choose(s, Pass::kInput, dout.is_half, s.F, s.C, s.H, s.W);
    return kernel && correlate(*kernel,
                               {s.N, seen(dout, s.OH), seen(dout, s.OW), s.F, s.C, s.H, s.W, 2 - s.pad_y, 2 - s.pad_x,
                                s.C * 9, 9, true},
                               dout, w, dx);
}

bool winograd_backward_weights(const ConvSizes& s, const AnySource& dout, const AnySource& x, float* dw) {
    const WinogradTransforms* kernel = choose(s, Pass::kWeights, x.is_half, s.C, s.F, s.OH, s.OW);
    return kernel && weight_gradients(*kernel, s, dout, x, dw);
}

}  // namespace handgrad
