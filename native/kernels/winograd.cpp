// Winograd's convolution: patches, filters, products and outputs through the transforms of toom_cook.h.
#include "kernels/winograd.h"

#include <utility>

#include "kernels/table.h"
#include "kernels/winograd_patches.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

constexpr int kColumns = 2 * kWidth;  // of the micro-kernel
constexpr int kTaps = 9;
constexpr int64_t kRun = 16, kRunStride = kRun * kTaps + 16;  // of filters or their gradients that are copied at once

// taps[i] = number i of each of kWidth filters, `stride` apart; zeros for those from `count` on.
HG_INLINE void load_taps(const float* w, const float* end, int64_t stride, int64_t count, V (&taps)[kTaps]) {
#pragma GCC unroll 4
    for (int first = 0; first < kTaps; first += kWidth) {
        V rows[kWidth];
#pragma GCC unroll 16
        for (int i = 0; i < kWidth; ++i) {
            const float* from = w + i * stride + first;
            const int useful = kTaps - first < kWidth ? kTaps - first : kWidth;
            rows[i] = i >= count ? V{} : from + kWidth <= end ? load(from) : load_some<float>(from, useful);
        }
        transpose<float>(rows);
#pragma GCC unroll 16
        for (int i = 0; i < kWidth; ++i)
            if (first + i < kTaps) taps[first + i] = rows[i];
    }
}

// `count` numbers of each of `runs` rows.
HG_INLINE void copy_runs(const float* from, int64_t from_stride, float* to, int64_t to_stride, int64_t count, int64_t runs) {
    for (int64_t i = 0; i < runs; ++i)
        __builtin_memcpy(to + i * to_stride, from + i * from_stride, static_cast<size_t>(count) * sizeof(float));
}

template <class Map>
void filters(const float* w, const float* end, int64_t k_stride, int64_t column_stride, bool flip, int64_t depth,
             int64_t columns, float* u, int64_t plane, int32_t* largest) {
    // Where the columns' filters lie far apart, kRun of each column are copied at once: whole lines of the cache.
    const bool gather = k_stride == kTaps && column_stride != kTaps;
    float runs[kColumns * kRunStride];
    Largest seen;
    for (int64_t k = 0; k < depth; ++k) {
        const float *from = w + k * k_stride, *stop = end;
        int64_t stride = column_stride;
        if (gather) {
            if (k % kRun == 0) copy_runs(from, column_stride, runs, kRunStride, (depth - k < kRun ? depth - k : kRun) * kTaps, columns);
            from = runs + k % kRun * kTaps, stop = runs + kColumns * kRunStride, stride = kRunStride;
        } else if (k + 1 < depth) {
            for (int64_t i = 0; i < columns * kTaps + 16; i += 16) __builtin_prefetch(from + k_stride + i);
        }
        for (int half = 0; half < kColumns; half += kWidth) {
            V taps[kTaps];
            load_taps(from + half * stride, stop, stride, columns - half, taps);
            if (flip) {
#pragma GCC unroll 4
                for (int i = 0; i < kTaps / 2; ++i) std::swap(taps[i], taps[kTaps - 1 - i]);
            }
            float* here = u + k * kColumns + half;
            transform<Map>([&](int i, int j) { return taps[3 * i + j]; },
                           [&](int i, int j, V value) {
                               if (i == 1 && j == 1) seen.see(value);
                               store(here + (i * Map::out + j) * plane, value);
                           });
        }
    }
    seen.put(largest);
}

// An odd number of cache lines: multiples of 4 KiB would fall on the same lines of the cache.
template <class Map>
constexpr int64_t kProductSize = Map::in * Map::in * kColumns + 16;

// One tile of kWidth channels: product to y, which gets the rows of `to`.
template <class Map, class Store>
HG_INLINE void output(const float* from, V bias, Largest& seen, Store&& put) {
    transform<Map>(
        [&](int i, int j) {
            __builtin_prefetch(from + (i * Map::in + j) * kColumns + kProductSize<Map>);
            return load(from + (i * Map::in + j) * kColumns);
        },
        [&](int i, int j, V value) {
            value += bias;
            seen.see(value);
            put(i, j, value);
        });
}

// `some` numbers to place `at` of float32 or bf16 numbers.
HG_INLINE void store_first(void* to, bool is_half, int64_t at, V value, int64_t some) {
    auto* full = static_cast<float*>(to) + at;
    auto* half = static_cast<Bf16*>(to) + at;
    if (is_half) return some == kWidth ? store(half, value) : store_some(half, value, some);
    some == kWidth ? store(full, value) : store_some<float>(full, value, some);
}

// The sinks of one tile of outputs after the other; put() takes kWidth channels, or the `some` that are left.
template <class Map>
class ToImages {
  public:
    static constexpr int size = Map::out;
    ToImages(const TileGrid& grid, const AnySink& to, int64_t channel) : grid_(grid), to_(to), channel_(channel) {}
    HG_INLINE void put(const ToImages& to, const float* from, V bias, int64_t c, int64_t some, Largest& seen) {
        const int64_t pixel = to.grid_.C, line = to.grid_.W * pixel;
        if (to.rows_ >= size && to.columns_ >= size && some == kWidth && !to.to_.is_half) {
            auto* out = static_cast<float*>(to.to_.out);
            float *here = out + to.here_ + c, *after = out + to.next_ + c;
            output<Map>(from, bias, seen, [&](int, int j, V value) {
                store(here + j * pixel, value);
                __builtin_prefetch(after + j * pixel, 1);
                if (j + 1 < size) return;
                advance(here, line);
                advance(after, line);
            });
        } else {
            V values[size][size];
            output<Map>(from, bias, seen, [&](int i, int j, V value) { values[i][j] = value; });
            const int64_t rows = to.rows_ < size ? to.rows_ : size, columns = to.columns_ < size ? to.columns_ : size;
            for (int64_t i = 0; i < rows; ++i)
                for (int64_t j = 0; j < columns; ++j)
                    store_first(to.to_.out, to.to_.is_half, to.here_ + c + i * line + j * pixel, values[i][j], some);
        }
    }
    void find(const Place& at, const Place& next) {
        rows_ = grid_.H - at.y, columns_ = grid_.W - at.x;
        here_ = find(at), next_ = find(next);
    }

  private:
    int64_t find(const Place& at) const { return ((at.image * grid_.H + at.y) * grid_.W + at.x) * grid_.C + channel_; }
    const TileGrid& grid_;
    const AnySink& to_;
    int64_t channel_, here_ = 0, next_ = 0, rows_ = 0, columns_ = 0;
};

template <class Map>
class ToWindows {
  public:
    static constexpr int size = Map::out;
    ToWindows(const TileGrid& grid, const AnySink& to, int64_t channel) : grid_(grid), to_(to), channel_(channel) {}
    HG_INLINE void put(const ToWindows& to, const float* from, V bias, int64_t c, int64_t some, Largest& seen) {
        const int64_t line = to.grid_.W / 2 * to.grid_.C;
        V upper[size], left;
        output<Map>(from, bias, seen, [&](int i, int j, V value) {
            if (i % 2 == 0) upper[j] = value;
            if (j % 2 == 0) left = value;
            if (i % 2 == 0 || j % 2 == 0 || i / 2 >= to.rows_ || j / 2 >= to.columns_) return;
            V best;
            const V window[4] = {upper[j - 1], upper[j], left, value};
            const VecI place = largest_of_four<float>(window, to.to_.rectify, best);
            const int64_t here = to.corner_ + i / 2 * line + j / 2 * to.grid_.C + c;
            store_first(to.to_.out, to.to_.is_half, here, best, some);
            put_some_index<float>(to.to_.places + here, place, some);
        });
    }
    void find(const Place& at, const Place&) {
        const int64_t height = grid_.H / 2, width = grid_.W / 2;
        rows_ = height - at.y / 2, columns_ = width - at.x / 2;
        corner_ = ((at.image * height + at.y / 2) * width + at.x / 2) * grid_.C + channel_;
    }

  private:
    const TileGrid& grid_;
    const AnySink& to_;
    int64_t channel_, corner_ = 0, rows_ = 0, columns_ = 0;
};

template <class Map, class To>
void outputs_to(const TileGrid& grid, const float* m, int64_t first, int64_t count, int64_t channel, int64_t channels,
                const AnySink& sink, int32_t* largest) {
    const float* bias = sink.bias ? sink.bias + channel : nullptr;
    To to(grid, sink, channel);
    Largest seen;
    Place at = place_of(grid, first);
    for (int64_t t = 0; t < count; ++t) {
        const Place next = place_of(grid, first + t + 1);
        to.find(at, next);
        at = next;
        const float* from = m + t * kProductSize<Map>;
        for (int64_t c = 0; c < channels; c += kWidth) {
            const int64_t some = channels - c < kWidth ? channels - c : kWidth;
            const V more = !bias ? V{} : some == kWidth ? load(bias + c) : load_some<float>(bias + c, some);
            To::put(to, from + c, more, c, some, seen);
        }
    }
    seen.put(largest);
}

template <class Map>
void outputs(const TileGrid& grid, const float* m, int64_t first, int64_t count, int64_t channel, int64_t channels,
             const AnySink& to, int32_t* largest) {
    (to.places ? outputs_to<Map, ToWindows<Map>> : outputs_to<Map, ToImages<Map>>)(grid, m, first, count, channel, channels,
                                                                                   to, largest);
}

// The inverse of load_taps, for `count` of the filters.
HG_INLINE void store_taps(const V (&taps)[kTaps], float* w, int64_t stride, int64_t count) {
#pragma GCC unroll 4
    for (int first = 0; first < kTaps; first += kWidth) {
        V rows[kWidth];
#pragma GCC unroll 16
        for (int i = 0; i < kWidth; ++i) rows[i] = first + i < kTaps ? taps[first + i] : V{};
        transpose<float>(rows);
        const int useful = kTaps - first < kWidth ? kTaps - first : kWidth;
#pragma GCC unroll 16
        for (int i = 0; i < kWidth; ++i)
            if (i < count) store_some<float>(w + i * stride + first, rows[i], useful);
    }
}

template <class Map>
void weights(const float* m, int64_t parts, int64_t part_stride, int64_t plane, int64_t column_stride, int64_t depth,
             int64_t columns, float* dw, int32_t* largest) {
    float runs[kColumns * kRunStride];
    Largest seen;
    for (int64_t k = 0; k < depth; ++k) {
        for (int64_t c = 0; c < columns; c += kWidth) {
            V taps[kTaps];
            transform<Map>(
                [&](int i, int j) {
                    const float* from = m + (i * Map::in + j) * plane + k * kColumns + c;
                    __builtin_prefetch(from + 2 * kColumns);
                    V sum = load(from);
                    for (int64_t part = 1; part < parts; ++part) {
                        from += part_stride;
                        __builtin_prefetch(from + 2 * kColumns);
                        sum += load(from);
                    }
                    return sum;
                },
                [&](int i, int j, V value) {
                    seen.see(value);
                    taps[3 * i + j] = value;
                });
            store_taps(taps, runs + k % kRun * kTaps + c * kRunStride, kRunStride, columns - c);
        }
        if (k % kRun == kRun - 1 || k == depth - 1)
            copy_runs(runs, kRunStride, dw + k / kRun * kRun * kTaps, column_stride, (k % kRun + 1) * kTaps, columns);
    }
    seen.put(largest);
}

template <class Points>
WinogradTransforms transforms() {
    constexpr int size = Matrices<Points>::outputs, points = Matrices<Points>::points;
    return {size, points * points, patches<Inputs<Points>>, patches<Gradients<Points>>, filters<Filters<Points>>,
            kProductSize<Outputs<Points>>, outputs<Outputs<Points>>, weights<Weights<Points>>};
}

}  // namespace

void fill(WinogradKernels& kernels) {
    kernels.two = transforms<PointsFor2>();
    kernels.four = transforms<PointsFor4>();
    kernels.eight = transforms<PointsFor8>();
}

}  // namespace handgrad::HANDGRAD_ISA
