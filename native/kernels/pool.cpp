// Max and mean pooling of channels-last images, a row of windows or of inputs at a time.
#include "kernels/index.h"
#include "kernels/simd.h"
#include "kernels/table.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

template <class T, bool mapped, class Number>
HG_INLINE void largest_of_window(const PoolSizes& s, const Affine<T>* map, bool rectify, const T* corner,
                                 T* out, T* largest, Number* index) {
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
                const Vec<T> x = load<T>(corner + u * line + v * s.C + c);
                const Vec<T> y = mapped ? (x - mean) * scale + shift : x;
                if (k == 0) {
                    best = y, chosen = x;
                    continue;
                }
                const I larger = ~(y <= best) & (best == best);  // true of the first NaN, too
                best = larger ? y : best;
                if (mapped) chosen = larger ? x : chosen;
                place = larger ? I{} + k : place;
            }
        if (rectify) {
            place = best > 0 ? place : I{} + k;
            best = best < 0 ? Vec<T>{} : best;
        }
        store<T>(out + c, best);
        if (mapped) store<T>(largest + c, chosen);
        put_index<T>(index + c, place);
    }
    for (; c < s.C; ++c) {
        T best{}, chosen{};
        int64_t k = 0, place = 0;
        for (int64_t u = 0; u < s.HH; ++u)
            for (int64_t v = 0; v < s.WW; ++v, ++k) {
                const T x = corner[u * line + v * s.C + c];
                const T y = mapped ? (x - map->mean[c]) * map->scale[c] + map->shift[c] : x;
                if (k == 0 || (!(y <= best) && best == best)) best = y, chosen = x, place = k;
            }
        if (rectify) {
            if (!(best > 0)) place = k;
            if (best < 0) best = 0;
        }
        out[c] = best;
        if (mapped) largest[c] = chosen;
        index[c] = static_cast<Number>(place);
    }
}

template <class T, class Number>
void max_rows(const PoolSizes& s, const Affine<T>* map, bool rectify, const T* x, int64_t first,
              int64_t last, T* out, T* largest, Number* index) {
    for (int64_t row = first; row < last; ++row)
        for (int64_t j = 0; j < s.OW; ++j) {
            const T* corner = x + ((row / s.OH * s.H + row % s.OH * s.stride_y) * s.W + j * s.stride_x) * s.C;
            const int64_t at = (row * s.OW + j) * s.C;
            if (map) {
                largest_of_window<T, true>(s, map, rectify, corner, out + at, largest + at, index + at);
            } else {
                largest_of_window<T, false>(s, map, rectify, corner, out + at, nullptr, index + at);
            }
        }
}

template <class T>
void max_forward(const PoolSizes& s, const Affine<T>* map, bool rectify, const T* x, int64_t first,
                 int64_t last, T* out, T* largest, void* index) {
    if (s.area() < 256) {
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

template <class T, class Number>
HG_INLINE void hand_down(const T* dout, const Number* index, int64_t k, int64_t channels, T* dx) {
    using I = typename Lanes<T>::Index;
    int64_t c = 0;
    for (; c + kLanes<T> <= channels; c += kLanes<T>) {
        const I chosen = get_index<T>(index + c) == I{} + static_cast<typename Lanes<T>::Number>(k);
        store<T>(dx + c, load<T>(dx + c) + (chosen ? load<T>(dout + c) : Vec<T>{}));
    }
    for (; c < channels; ++c)
        if (index[c] == static_cast<Number>(k)) dx[c] += dout[c];
}

template <class T, class Number>
void max_rows_backward(const PoolSizes& s, const T* dout, const Number* index, int64_t first,
                       int64_t last, T* dx) {
    const int64_t line = s.W * s.C;
    for (int64_t row = first; row < last; ++row) {
        T* dline = dx + row * line;
        __builtin_memset(dline, 0, static_cast<size_t>(line) * sizeof(T));
        for_windows_over(s, row % s.H, [&](int64_t i, int64_t u) {
            for (int64_t j = 0; j < s.OW; ++j) {
                const int64_t at = ((row / s.H * s.OH + i) * s.OW + j) * s.C;
                for (int64_t v = 0; v < s.WW; ++v)
                    hand_down(dout + at, index + at, u * s.WW + v, s.C, dline + (j * s.stride_x + v) * s.C);
            }
        });
    }
}

template <class T>
void max_backward(const PoolSizes& s, const T* dout, const void* index, int64_t first, int64_t last,
                  T* dx) {
    if (s.area() < 256) {
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

}  // namespace handgrad::HANDGRAD_ISA
