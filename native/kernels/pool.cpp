// Max and mean pooling of channels-last images, a row of windows or of inputs at a time.
#include "kernels/bf16_simd.h"
#include "kernels/index.h"
#include "kernels/table.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

template <class S, bool mapped, class Number, class T = Computed<S>>
HG_INLINE void largest_of_window(const PoolSizes& s, const Affine<Computed<S>>* map, bool rectify, const S* corner,
                                 S* out, S* largest, Number* index) {
    using I = typename Lanes<T>::Index;
    const int64_t line = s.W * s.C;
    int64_t c = 0;
    for (; c + kLanes<T> <= s.C; c += kLanes<T>) {
        Vec<T> best{}, chosen{}, mean{}, scale{}, shift{};
        if (mapped) mean = load<T>(map->mean + c), scale = load<T>(map->scale + c), shift = load<T>(map->shift + c);
        I place{};
        typename Lanes<T>::Number k = 0;
        for (int64_t u = 0; u < s.HH; ++u)
            for (int64_t v = 0; v < s.WW; ++v, ++k) {
                const Vec<T> x = load(corner + u * line + v * s.C + c);
                const Vec<T> y = mapped ? (x - mean) * scale + shift : x;
                if (k == 0) {
                    best = y, chosen = x;
                    continue;
                }
                const I larger = keep_larger<T>(y, k, best, place);
                if (mapped) chosen = larger ? x : chosen;
            }
        if (rectify) rectify_window<T>(k, best, place);
        store(out + c, best);
        if (mapped) store(largest + c, chosen);
        put_index<T>(index + c, place);
    }
    for (; c < s.C; ++c) {
        T best{}, chosen{};
        int64_t k = 0, place = 0;
        for (int64_t u = 0; u < s.HH; ++u)
            for (int64_t v = 0; v < s.WW; ++v, ++k) {
                const T x = number(corner + u * line + v * s.C + c);
                const T y = mapped ? (x - map->mean[c]) * map->scale[c] + map->shift[c] : x;
                if (k == 0 || (!(y <= best) && best == best)) best = y, chosen = x, place = k;
            }
        if (rectify) {
            if (!(best > 0)) place = k;
            if (best < 0) best = 0;
        }
        put_number(out + c, best);
        if (mapped) put_number(largest + c, chosen);
        index[c] = static_cast<Number>(place);
    }
}

// Planes of one channel, pooled by windows of 2 x 2 side by side: vectors of windows.
bool in_pairs(const PoolSizes& s) {
    return s.C == 1 && s.HH == 2 && s.WW == 2 && s.stride_y == 2 && s.stride_x == 2;
}

// The numbers at even and at odd places of two vectors, and back.
template <class V, int... i>
HG_INLINE void split_pairs(V first, V second, V& even, V& odd, std::integer_sequence<int, i...>) {
    even = pick<2 * i...>(first, second);
    odd = pick<2 * i + 1 ...>(first, second);
}
template <class V, int... i>
HG_INLINE void join_pairs(V even, V odd, V& first, V& second, std::integer_sequence<int, i...>) {
    constexpr int lanes = sizeof...(i);
    first = pick<(i % 2 * lanes + i / 2)...>(even, odd);
    second = pick<(i % 2 * lanes + (lanes + i) / 2)...>(even, odd);
}

template <class S, class T = Computed<S>>
void max_of_pairs(const PoolSizes& s, bool rectify, const S* x, int64_t first, int64_t last, S* out, uint8_t* index) {
    using I = typename Lanes<T>::Index;
    constexpr int lanes = kLanes<T>;
    constexpr auto each = std::make_integer_sequence<int, lanes>();
    int64_t i = first % s.OH;
    const S* corner = x + (first / s.OH * s.H + i * 2) * s.W;
    for (int64_t row = first; row < last; ++row, corner += 2 * s.W) {
        int64_t j = 0;
        for (; j + lanes <= s.OW; j += lanes) {
            Vec<T> of[4];
            for (int u = 0; u < 2; ++u) {
                const S* from = corner + u * s.W + 2 * j;
                split_pairs(load(from), load(from + lanes), of[2 * u], of[2 * u + 1], each);
            }
            Vec<T> best;
            const I place = largest_of_four<T>(of, rectify, best);
            store(out + row * s.OW + j, best);
            put_index<T>(index + row * s.OW + j, place);
        }
        for (; j < s.OW; ++j)
            largest_of_window<S, false>(s, nullptr, rectify, corner + 2 * j, out + row * s.OW + j, nullptr,
                                        index + row * s.OW + j);
        if (++i == s.OH) i = 0, corner += (s.H - 2 * s.OH) * s.W;
    }
}

template <class S, class T = Computed<S>>
void pairs_backward(const PoolSizes& s, const S* dout, const uint8_t* index, int64_t first, int64_t last, S* dx) {
    using I = typename Lanes<T>::Index;
    constexpr int lanes = kLanes<T>;
    constexpr auto each = std::make_integer_sequence<int, lanes>();
    int64_t y = first % s.H, plane = first / s.H * s.OH;
    for (int64_t row = first; row < last; ++row) {
        S* line = dx + row * s.W;
        const int64_t i = y / 2, at = (plane + i) * s.OW;
        const auto k = static_cast<typename Lanes<T>::Number>(y % 2 * 2);
        if (++y == s.H) y = 0, plane += s.OH;
        int64_t j = 0;
        for (; i < s.OH && j + lanes <= s.OW; j += lanes) {
            const I place = get_index<T>(index + at + j);
            const Vec<T> d = load(dout + at + j);
            Vec<T> low, high;
            join_pairs(place == I{} + k ? d : Vec<T>{}, place == I{} + k + 1 ? d : Vec<T>{}, low, high, each);
            store(line + 2 * j, low);
            store(line + 2 * j + lanes, high);
        }
        for (; i < s.OH && j < s.OW; ++j)
            for (int v = 0; v < 2; ++v) line[2 * j + v] = index[at + j] == k + v ? dout[at + j] : S{};
        for (int64_t v = 2 * j; v < s.W; ++v) line[v] = S{};
    }
}

template <class S, class Number, class T = Computed<S>>
void max_rows(const PoolSizes& s, const Affine<Computed<S>>* map, bool rectify, const S* x, int64_t first,
              int64_t last, S* out, S* largest, Number* index) {
    for (int64_t row = first; row < last; ++row)
        for (int64_t j = 0; j < s.OW; ++j) {
            const S* corner = x + ((row / s.OH * s.H + row % s.OH * s.stride_y) * s.W + j * s.stride_x) * s.C;
            const int64_t at = (row * s.OW + j) * s.C;
            if (map) {
                largest_of_window<S, true>(s, map, rectify, corner, out + at, largest + at, index + at);
            } else {
                largest_of_window<S, false>(s, map, rectify, corner, out + at, nullptr, index + at);
            }
        }
}

template <class S, class T = Computed<S>>
void max_forward(const PoolSizes& s, const Affine<Computed<S>>* map, bool rectify, const S* x, int64_t first,
                 int64_t last, S* out, S* largest, void* index) {
    if (in_pairs(s) && !map) {
        max_of_pairs(s, rectify, x, first, last, out, static_cast<uint8_t*>(index));
    } else if (s.area() < 256) {
        max_rows(s, map, rectify, x, first, last, out, largest, static_cast<uint8_t*>(index));
    } else {
        max_rows(s, map, rectify, x, first, last, out, largest, static_cast<int32_t*>(index));
    }
}

// Calls body(output row, u) for the windows that reach row y of the images: y = i * stride + u.
template <class Body>
HG_INLINE void for_windows_over(const PoolSizes& s, int64_t y, Body&& body) {
    int64_t i = y >= s.HH ? (y - s.HH) / s.stride_y + 1 : 0;
    for (; i < s.OH && i * s.stride_y <= y; ++i) body(i, y - i * s.stride_y);
}

template <class S, class Number, class T = Computed<S>>
HG_INLINE void hand_down(const S* dout, const Number* index, int64_t k, int64_t channels, S* dx) {
    using I = typename Lanes<T>::Index;
    int64_t c = 0;
    for (; c + kLanes<T> <= channels; c += kLanes<T>) {
        const I chosen = get_index<T>(index + c) == I{} + static_cast<typename Lanes<T>::Number>(k);
        store(dx + c, load(dx + c) + (chosen ? load(dout + c) : Vec<T>{}));
    }
    for (; c < channels; ++c)
        if (index[c] == static_cast<Number>(k)) put_number(dx + c, number(dx + c) + number(dout + c));
}

template <class S, class Number, class T = Computed<S>>
void max_rows_backward(const PoolSizes& s, const S* dout, const Number* index, int64_t first,
                       int64_t last, S* dx) {
    const int64_t line = s.W * s.C;
    for (int64_t row = first; row < last; ++row) {
        S* dline = dx + row * line;
        __builtin_memset(dline, 0, static_cast<size_t>(line) * sizeof(S));
        for_windows_over(s, row % s.H, [&](int64_t i, int64_t u) {
            for (int64_t j = 0; j < s.OW; ++j) {
                const int64_t at = ((row / s.H * s.OH + i) * s.OW + j) * s.C;
                for (int64_t v = 0; v < s.WW; ++v)
                    hand_down(dout + at, index + at, u * s.WW + v, s.C, dline + (j * s.stride_x + v) * s.C);
            }
        });
    }
}

template <class S, class T = Computed<S>>
void max_backward(const PoolSizes& s, const S* dout, const void* index, int64_t first, int64_t last,
                  S* dx) {
    if (in_pairs(s)) {
        pairs_backward(s, dout, static_cast<const uint8_t*>(index), first, last, dx);
    } else if (s.area() < 256) {
        max_rows_backward(s, dout, static_cast<const uint8_t*>(index), first, last, dx);
    } else {
        max_rows_backward(s, dout, static_cast<const int32_t*>(index), first, last, dx);
    }
}

template <class T>
void mean_forward(const PoolSizes& s, const T* x, int64_t first, int64_t last, T* out) {
    const T area = static_cast<T>(s.area());
    for (int64_t row = first; row < last; ++row)
        for (int64_t j = 0; j < s.OW; ++j) {
            const T* corner = x + ((row / s.OH * s.H + row % s.OH * s.stride_y) * s.W + j * s.stride_x) * s.C;
            T* __restrict to = out + (row * s.OW + j) * s.C;
            for (int64_t c = 0; c < s.C; ++c) to[c] = corner[c];
            for (int64_t u = 0; u < s.HH; ++u)
                for (int64_t v = u == 0; v < s.WW; ++v) {
                    const T* from = corner + (u * s.W + v) * s.C;
                    for (int64_t c = 0; c < s.C; ++c) to[c] += from[c];
                }
            for (int64_t c = 0; c < s.C; ++c) to[c] /= area;
        }
}

template <class T>
void mean_backward(const PoolSizes& s, const T* dout, int64_t first, int64_t last, T* dx) {
    const T area = static_cast<T>(s.area());
    const int64_t line = s.W * s.C;
    for (int64_t row = first; row < last; ++row) {
        T* dline = dx + row * line;
        __builtin_memset(dline, 0, static_cast<size_t>(line) * sizeof(T));
        for_windows_over(s, row % s.H, [&](int64_t i, int64_t) {
            for (int64_t j = 0; j < s.OW; ++j) {
                const T* from = dout + ((row / s.H * s.OH + i) * s.OW + j) * s.C;
                for (int64_t v = 0; v < s.WW; ++v) {
                    T* __restrict to = dline + (j * s.stride_x + v) * s.C;
                    for (int64_t c = 0; c < s.C; ++c) to[c] += from[c] / area;
                }
            }
        });
    }
}

template <class T>
PoolKernels<T> table() {
    return {max_forward<T>, max_backward<T>, mean_forward<T>, mean_backward<T>};
}

}  // namespace

void fill(PoolKernels<float>& kernels) { kernels = table<float>(); }
void fill(PoolKernels<double>& kernels) { kernels = table<double>(); }
void fill(PoolKernels<Bf16>& kernels) { kernels = {max_forward<Bf16>, max_backward<Bf16>, nullptr, nullptr}; }

}  // namespace handgrad::HANDGRAD_ISA
