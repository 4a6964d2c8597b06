// Convolution with few channels a group, channels-last: a vector of output channels at a time, for
// several places of a row.  With one channel a group every lane reads its own channel of the image;
// with more, the k-th channel of its group, by a permutation of the vector that holds them all.
#include "kernels/simd.h"
#include "kernels/table.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kPlaces = 8;
#else
constexpr int kPlaces = 4;
#endif
constexpr int kMostChannels = 16;  // of a group: no vector has more lanes

template <class T>
struct Lane;
template <>
struct Lane<float> {
    typedef int32_t Index __attribute__((vector_size(kVectorBytes)));
};
template <>
struct Lane<double> {
    typedef int64_t Index __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Index = typename Lane<T>::Index;

#if defined(__AVX512F__)
template <class T>
constexpr bool kPermutes = true;
HG_INLINE VecF permute(VecF v, Index<float> from) {
    return (VecF)_mm512_permutexvar_ps((__m512i)from, (__m512)v);
}
HG_INLINE VecD permute(VecD v, Index<double> from) {
    return (VecD)_mm512_permutexvar_pd((__m512i)from, (__m512d)v);
}
#elif defined(__AVX2__)
template <class T>
constexpr bool kPermutes = std::is_same_v<T, float>;
HG_INLINE VecF permute(VecF v, Index<float> from) {
    return (VecF)_mm256_permutevar8x32_ps((__m256)v, (__m256i)from);
}
HG_INLINE VecD permute(VecD v, Index<double>) { return v; }
#else
template <class T>
constexpr bool kPermutes = false;
template <class V, class I>
HG_INLINE V permute(V v, I) {
    return v;
}
#endif

// The first n numbers, zeros behind them.
template <class T>
HG_INLINE Vec<T> load_first(const T* from, int64_t n) {
#if defined(__AVX512F__)
    const auto mask = static_cast<uint16_t>((1u << n) - 1);
    if constexpr (std::is_same_v<T, float>) return (VecF)_mm512_maskz_loadu_ps(mask, from);
    else return (VecD)_mm512_maskz_loadu_pd(static_cast<uint8_t>(mask), from);
#else
    Vec<T> v{};
    __builtin_memcpy(&v, from, static_cast<size_t>(n) * sizeof(T));
    return v;
#endif
}
template <class T>
HG_INLINE void store_first(T* to, Vec<T> v, int64_t n) {
#if defined(__AVX512F__)
    const auto mask = static_cast<uint16_t>((1u << n) - 1);
    if constexpr (std::is_same_v<T, float>) _mm512_mask_storeu_ps(to, mask, (__m512)v);
    else _mm512_mask_storeu_pd(to, static_cast<uint8_t>(mask), (__m512d)v);
#else
    __builtin_memcpy(to, &v, static_cast<size_t>(n) * sizeof(T));
#endif
}
template <class T, bool whole>
HG_INLINE Vec<T> get(const T* from, int64_t n) {
    return whole ? load<T>(from) : load_first<T>(from, n);
}
template <class T, bool whole>
HG_INLINE void put(T* to, Vec<T> v, int64_t n) {
    if (whole) store<T>(to, v);
    else store_first<T>(to, v, n);
}

// One vector of output channels: the first is f; `in` and `out` count the numbers of image and output.
template <class T>
struct Channels {
    int64_t f, c, in, out;
    const Index<T>* order;  // [k]: the lane of the image's vector that each output reads
};

// The lane that holds channel k of each output's group.
template <class T>
void find_orders(const GroupSizes& s, Index<T>* order) {
    for (int64_t k = 0; k < s.depth_in; ++k)
        for (int i = 0; i < kLanes<T>; ++i) order[k][i] = static_cast<int>(i / s.depth_out * s.depth_in + k);
}

template <class T, class Body>
HG_INLINE void for_channels(const GroupSizes& s, const Index<T>* order, Body&& body) {
    for (int64_t f = 0; f < s.F; f += kLanes<T>) {
        const int64_t c = f / s.depth_out * s.depth_in;
        const int64_t out = s.F - f < kLanes<T> ? s.F - f : kLanes<T>, in = s.C - c < kLanes<T> ? s.C - c : kLanes<T>;
        body(Channels<T>{f, c, in, out, order});
    }
}

// Taps [first, last) of a row reach into the image at y0; dy never falls.
struct TapRange {
    int64_t first, last;
};
HG_INLINE TapRange rows_inside(const GroupSizes& s, int64_t y0) {
    int64_t first = 0, last = s.taps;
    while (first < last && y0 + s.dy[first] < 0) ++first;
    while (last > first && y0 + s.dy[last - 1] >= s.H) --last;
    return {first, last};
}

// The places [first, last) of a row from which dx stays inside of the image.
struct Places {
    int64_t first, last;
};
HG_INLINE Places places_inside(const GroupSizes& s, int64_t least_dx, int64_t most_dx) {
    const int64_t left = s.offset_x + least_dx, right = s.W - 1 - s.offset_x - most_dx;
    int64_t first = left < 0 ? (-left + s.step_x - 1) / s.step_x : 0;
    int64_t last = right < 0 ? 0 : right / s.step_x + 1;
    if (last > s.grid_w) last = s.grid_w;
    if (first > last) first = last;
    return {first, last};
}

template <class T, bool shuffles, bool whole, int count>
HG_INLINE void places(const GroupSizes& s, const Channels<T>& ch, TapRange taps, const T* corner, const T* w,
                      Vec<T> start, T* out) {
    const int64_t step = s.step_x * s.C, out_step = s.out_step_x * s.F;
    Vec<T> sum[count];
    for (int p = 0; p < count; ++p) sum[p] = start;
    for (int64_t t = taps.first; t < taps.last; ++t) {
        const T* from = corner + (s.dy[t] * s.W + s.dx[t]) * s.C;
        if constexpr (!shuffles) {
            const Vec<T> factor = get<T, whole>(w + t * s.F, ch.out);
#pragma GCC unroll 8
            for (int p = 0; p < count; ++p) sum[p] = fma(get<T, whole>(from + p * step, ch.in), factor, sum[p]);
        } else {
            Vec<T> in[count];
#pragma GCC unroll 8
            for (int p = 0; p < count; ++p) in[p] = get<T, whole>(from + p * step, ch.in);
            for (int64_t k = 0; k < s.depth_in; ++k) {
                const Vec<T> factor = get<T, whole>(w + (t * s.depth_in + k) * s.F, ch.out);
                const Index<T> order = ch.order[k];
#pragma GCC unroll 8
                for (int p = 0; p < count; ++p) sum[p] = fma(permute(in[p], order), factor, sum[p]);
            }
        }
    }
#pragma GCC unroll 8
    for (int p = 0; p < count; ++p) put<T, whole>(out + p * out_step, sum[p], ch.out);
}

// One place at the edge of the image.
template <class T, bool shuffles>
void edge(const GroupSizes& s, const Channels<T>& ch, TapRange taps, int64_t x0, const T* corner, const T* w,
          Vec<T> start, T* out) {
    Vec<T> sum = start;
    for (int64_t t = taps.first; t < taps.last; ++t) {
        if (x0 + s.dx[t] < 0 || x0 + s.dx[t] >= s.W) continue;
        const Vec<T> in = load_first<T>(corner + (s.dy[t] * s.W + s.dx[t]) * s.C, ch.in);
        for (int64_t k = 0; k < s.depth_in; ++k) {
            const Vec<T> factor = load_first<T>(w + (t * s.depth_in + k) * s.F, ch.out);
            sum = fma(shuffles ? permute(in, ch.order[k]) : in, factor, sum);
        }
    }
    store_first<T>(out, sum, ch.out);
}

template <class T, bool shuffles>
void correlate_rows(const GroupSizes& s, const T* image, const T* w, const T* bias, int64_t first, int64_t last,
                    T* out) {
    Index<T> orders[kMostChannels];
    if (shuffles) find_orders<T>(s, orders);
    int64_t least = 0, most = 0;
    for (int64_t t = 0; t < s.taps; ++t) {
        if (t == 0 || s.dx[t] < least) least = s.dx[t];
        if (t == 0 || s.dx[t] > most) most = s.dx[t];
    }
    const Places inside = places_inside(s, least, most);
    for (int64_t row = first; row < last; ++row) {
        const int64_t n = row / s.grid_h, i = row % s.grid_h, y0 = i * s.step_y + s.offset_y;
        const TapRange taps = rows_inside(s, y0);
        const T* line = image + (n * s.H + y0) * s.W * s.C;
        T* to = out + ((n * s.OH + s.out_y + i * s.out_step_y) * s.OW + s.out_x) * s.F;
        auto edges = [&](int64_t from, int64_t end) {
            for (int64_t j = from; j < end; ++j)
                for_channels<T>(s, orders, [&](const Channels<T>& ch) {
                    const Vec<T> start = bias ? load_first<T>(bias + ch.f, ch.out) : Vec<T>{};
                    const int64_t x0 = j * s.step_x + s.offset_x;
                    edge<T, shuffles>(s, ch, taps, x0, line + x0 * s.C + ch.c, w + ch.f, start,
                                      to + j * s.out_step_x * s.F + ch.f);
                });
        };
        auto run = [&](auto count, int64_t j) {
            for_channels<T>(s, orders, [&](const Channels<T>& ch) {
                const T* corner = line + (j * s.step_x + s.offset_x) * s.C + ch.c;
                T* target = to + j * s.out_step_x * s.F + ch.f;
                if (ch.in == kLanes<T> && ch.out == kLanes<T>) {
                    places<T, shuffles, true, count>(s, ch, taps, corner, w + ch.f,
                                                     bias ? load<T>(bias + ch.f) : Vec<T>{}, target);
                } else {
                    places<T, shuffles, false, count>(s, ch, taps, corner, w + ch.f,
                                                      bias ? load_first<T>(bias + ch.f, ch.out) : Vec<T>{}, target);
                }
            });
        };
        edges(0, inside.first);
        int64_t j = inside.first;
        for (; j + kPlaces <= inside.last; j += kPlaces) run(std::integral_constant<int, kPlaces>{}, j);
        if (j + 4 <= inside.last) run(std::integral_constant<int, 4>{}, j), j += 4;
        if (j + 2 <= inside.last) run(std::integral_constant<int, 2>{}, j), j += 2;
        if (j < inside.last) run(std::integral_constant<int, 1>{}, j);
        edges(inside.last, s.grid_w);
    }
}

template <class T>
bool fits(int64_t depth_in, int64_t depth_out) {
    if (depth_in == 1 && depth_out == 1) return true;
    return kPermutes<T> && depth_in <= depth_out && depth_out <= kLanes<T> && kLanes<T> % depth_out == 0;
}

template <class T>
void correlate(const GroupSizes& s, const T* image, const T* w, const T* bias, int64_t first, int64_t last, T* out) {
    if (s.depth_out == 1) {
        correlate_rows<T, false>(s, image, w, bias, first, last, out);
    } else if constexpr (kPermutes<T>) {
        correlate_rows<T, true>(s, image, w, bias, first, last, out);
    }
}

// Adds the products of dout with taps [t, t + count) and channels [k, k + depth) of the image to dw, over
// the places [first, last) of a row.
template <class T, bool shuffles, bool whole, int count, int depth>
void add_products(const GroupSizes& s, const Channels<T>& ch, int64_t t, int64_t k, const T* line, const T* dline,
                  int64_t first, int64_t last, T* dw) {
    if (first >= last) return;
    const int64_t step = s.step_x * s.C;
    Vec<T> sum[count][depth];
    Index<T> order[depth];
    const T* from[count];
    T* to = dw + (t * s.depth_in + k) * s.F + ch.f;
    for (int q = 0; q < depth; ++q) order[q] = shuffles ? ch.order[k + q] : Index<T>{};
    for (int p = 0; p < count; ++p) {
        from[p] = line + (s.dy[t + p] * s.W + first * s.step_x + s.offset_x + s.dx[t + p]) * s.C + ch.c;
        for (int q = 0; q < depth; ++q) sum[p][q] = get<T, whole>(to + (p * s.depth_in + q) * s.F, ch.out);
    }
    const T* upstream = dline + first * s.F + ch.f;
    for (int64_t j = 0; j < last - first; ++j) {
        const Vec<T> d = get<T, whole>(upstream + j * s.F, ch.out);
#pragma GCC unroll 9
        for (int p = 0; p < count; ++p) {
            const Vec<T> in = get<T, whole>(from[p] + j * step, ch.in);
#pragma GCC unroll 8
            for (int q = 0; q < depth; ++q)
                sum[p][q] = fma(d, shuffles ? permute(in, order[q]) : in, sum[p][q]);
        }
    }
    for (int p = 0; p < count; ++p)
        for (int q = 0; q < depth; ++q) put<T, whole>(to + (p * s.depth_in + q) * s.F, sum[p][q], ch.out);
}

template <class T, bool shuffles, bool whole, int count>
HG_INLINE void add_taps(const GroupSizes& s, const Channels<T>& ch, int64_t t, const T* line, const T* dline,
                        Places inside, T* dw) {
    auto run = [&](auto depth, int64_t k) {
        // the taps together where all stay inside, and what is left of each
        add_products<T, shuffles, whole, count, depth>(s, ch, t, k, line, dline, inside.first, inside.last, dw);
        for (int64_t p = t; p < t + count; ++p) {
            const Places own = places_inside(s, s.dx[p], s.dx[p]);
            const bool none = inside.first == inside.last;
            const int64_t left = none ? own.last : inside.first, right = none ? own.last : inside.last;
            add_products<T, shuffles, whole, 1, depth>(s, ch, p, k, line, dline, own.first, left, dw);
            add_products<T, shuffles, whole, 1, depth>(s, ch, p, k, line, dline, right, own.last, dw);
        }
    };
    if constexpr (!shuffles) {
        run(std::integral_constant<int, 1>{}, 0);
    } else {
        int64_t k = 0;
        for (; k + 4 <= s.depth_in; k += 4) run(std::integral_constant<int, 4>{}, k);
        for (; k + 2 <= s.depth_in; k += 2) run(std::integral_constant<int, 2>{}, k);
        if (k < s.depth_in) run(std::integral_constant<int, 1>{}, k);
    }
}

template <class T, bool shuffles>
void weight_rows(const GroupSizes& s, const T* image, const T* dout, int64_t first, int64_t last, T* dw) {
    Index<T> orders[kMostChannels];
    if (shuffles) find_orders<T>(s, orders);
    constexpr int kTogether = shuffles ? 3 : 9;
    for (int64_t row = first; row < last; ++row) {
        const int64_t n = row / s.grid_h, y0 = row % s.grid_h * s.step_y + s.offset_y;
        const TapRange taps = rows_inside(s, y0);
        const T* line = image + (n * s.H + y0) * s.W * s.C;
        const T* dline = dout + row * s.grid_w * s.F;
        auto run = [&](auto count, int64_t t) {
            int64_t least = s.dx[t], most = s.dx[t];
            for (int64_t p = t; p < t + count; ++p) {
                if (s.dx[p] < least) least = s.dx[p];
                if (s.dx[p] > most) most = s.dx[p];
            }
            const Places inside = places_inside(s, least, most);
            for_channels<T>(s, orders, [&](const Channels<T>& ch) {
                if (ch.in == kLanes<T> && ch.out == kLanes<T>) {
                    add_taps<T, shuffles, true, count>(s, ch, t, line, dline, inside, dw);
                } else {
                    add_taps<T, shuffles, false, count>(s, ch, t, line, dline, inside, dw);
                }
            });
        };
        int64_t t = taps.first;
        for (; t + kTogether <= taps.last; t += kTogether) run(std::integral_constant<int, kTogether>{}, t);
        for (; t + 3 <= taps.last; t += 3) run(std::integral_constant<int, 3>{}, t);
        for (; t < taps.last; ++t) run(std::integral_constant<int, 1>{}, t);
    }
}

template <class T>
void weights(const GroupSizes& s, const T* image, const T* dout, int64_t first, int64_t last, T* dw) {
    if (s.depth_out == 1) {
        weight_rows<T, false>(s, image, dout, first, last, dw);
    } else if constexpr (kPermutes<T>) {
        weight_rows<T, true>(s, image, dout, first, last, dw);
    }
}

template <class T>
GroupKernels<T> table() {
    return {fits<T>, correlate<T>, weights<T>};
}

}  // namespace

void fill(GroupKernels<float>& kernels) { kernels = table<float>(); }
void fill(GroupKernels<double>& kernels) { kernels = table<double>(); }

}  // namespace handgrad::HANDGRAD_ISA
