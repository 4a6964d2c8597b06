// Convolution with few channels a group, channels-last: a vector of output channels at a time, for
// several places of a row.  Where a group has one channel, every lane reads its own.  Else it reads the k-th
// channel of its group: by a broadcast where all lanes are of one group, and else by a permutation of the
// vector that holds them all.
#include "kernels/index.h"
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
using Index = typename Lanes<T>::Index;

#if defined(__AVX512F__)
template <class T>
constexpr bool kPermutes = true;
HG_INLINE VecF permute(VecF v, Index<float> from) {
    return (VecF)_mm512_maskz_permutexvar_ps(0xffff, (__m512i)from, (__m512)v);
}
HG_INLINE VecD permute(VecD v, Index<double> from) {
    return (VecD)_mm512_maskz_permutexvar_pd(0xff, (__m512i)from, (__m512d)v);
}
#elif defined(__AVX2__)
template <class T>
constexpr bool kPermutes = std::is_same_v<T, float>;
HG_INLINE VecF permute(VecF v, Index<float> from) {
    return (VecF)_mm256_permutevar8x32_ps((__m256)v, (__m256i)from);
}
[[maybe_unused]] HG_INLINE VecD permute(VecD v, Index<double>) { return v; }
#else
template <class T>
constexpr bool kPermutes = false;
template <class V, class I>
HG_INLINE V permute(V v, I) {
    return v;
}
#endif

template <class T, bool whole>
HG_INLINE Vec<T> get(const T* from, int64_t n) {
    return whole ? load<T>(from) : load_some<T>(from, n);
}
template <class T, bool whole>
HG_INLINE void put(T* to, Vec<T> v, int64_t n) {
    if (whole) store<T>(to, v);
    else store_some<T>(to, v, n);
}

enum class Read { kOwn, kPermuted, kBroadcast };

// A vector of output channels: the first is f, and those that it reads begin at c; `in` and `out` count the
// numbers of image and output.
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

// Calls body(channels, vectors) for blocks of `most` whole vectors, of one, and for the rest.
template <class T, int most, class Body>
HG_INLINE void for_channels(const GroupSizes& s, const Index<T>* order, Body&& body) {
    int64_t f = 0;
    auto at = [&] {
        const int64_t c = f / s.depth_out * s.depth_in;
        const int64_t out = s.F - f < kLanes<T> ? s.F - f : kLanes<T>, in = s.C - c < kLanes<T> ? s.C - c : kLanes<T>;
        return Channels<T>{f, c, in, out, order};
    };
    if (most > 1 && s.depth_in == s.depth_out)  // then vectors side by side read vectors side by side
        for (; f + most * kLanes<T> <= s.F; f += most * kLanes<T>) body(at(), std::integral_constant<int, most>{});
    for (; f < s.F; f += kLanes<T>) body(at(), std::integral_constant<int, 1>{});
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

// The places [first, last) of a row from which dx in [least, most] stays inside of the image.
struct Places {
    int64_t first, last;
};
HG_INLINE Places places_inside(const GroupSizes& s, int64_t least, int64_t most) {
    const int64_t left = s.offset_x + least, right = s.W - 1 - s.offset_x - most;
    int64_t first = left < 0 ? (-left + s.step_x - 1) / s.step_x : 0;
    int64_t last = right < 0 ? 0 : right / s.step_x + 1;
    if (last > s.grid_w) last = s.grid_w;
    if (first > last) first = last;
    return {first, last};
}
HG_INLINE Places places_of_taps(const GroupSizes& s, int64_t first, int64_t last) {
    int64_t least = 0, most = 0;
    for (int64_t t = first; t < last; ++t) {
        if (t == first || s.dx[t] < least) least = s.dx[t];
        if (t == first || s.dx[t] > most) most = s.dx[t];
    }
    return places_inside(s, least, most);
}

// `count` places side by side, `vectors` vectors of channels side by side.  With edge, taps that fall out of
// the image, whose row begins x0 before the corner, are left out.
template <class T, Read read, bool whole, bool edge, int count, int vectors>
HG_INLINE void places(const GroupSizes& s, const Channels<T>& ch, TapRange taps, int64_t x0, const T* corner,
                      const T* w, const T* bias, T* out) {
    const int64_t step = s.step_x * s.C, out_step = s.out_step_x * s.F;
    constexpr int L = kLanes<T>;
    Vec<T> sum[count][vectors];
    for (int p = 0; p < count; ++p)
        for (int q = 0; q < vectors; ++q) sum[p][q] = bias ? get<T, whole>(bias + q * L, ch.out) : Vec<T>{};
    for (int64_t t = taps.first; t < taps.last; ++t) {
        if (edge && (x0 + s.dx[t] < 0 || x0 + s.dx[t] >= s.W)) continue;
        const T* from = corner + (s.dy[t] * s.W + s.dx[t]) * s.C;
        Vec<T> in[count][vectors];
        if constexpr (read != Read::kBroadcast) {
#pragma GCC unroll 8
            for (int p = 0; p < count; ++p)
#pragma GCC unroll 4
                for (int q = 0; q < vectors; ++q) in[p][q] = get<T, whole>(from + p * step + q * L, ch.in);
        }
        const int64_t depth = read == Read::kOwn ? 1 : s.depth_in;
        for (int64_t k = 0; k < depth; ++k) {
            const T* factors = w + (t * depth + k) * s.F;
#pragma GCC unroll 4
            for (int q = 0; q < vectors; ++q) {
                const Vec<T> factor = get<T, whole>(factors + q * L, ch.out);
#pragma GCC unroll 8
                for (int p = 0; p < count; ++p) {
                    Vec<T> x;
                    if constexpr (read == Read::kOwn) x = in[p][q];
                    if constexpr (read == Read::kPermuted) x = permute(in[p][q], ch.order[k]);
                    if constexpr (read == Read::kBroadcast) x = splat(from[p * step + q * s.depth_in + k]);
                    sum[p][q] = fma(x, factor, sum[p][q]);
                }
            }
        }
    }
#pragma GCC unroll 8
    for (int p = 0; p < count; ++p)
#pragma GCC unroll 4
        for (int q = 0; q < vectors; ++q) put<T, whole>(out + p * out_step + q * L, sum[p][q], ch.out);
}

template <class T, Read read>
void correlate_rows(const GroupSizes& s, const T* image, const T* w, const T* bias, int64_t first, int64_t last,
                    T* out) {
    constexpr int kTogether = read == Read::kBroadcast ? 1 : 4;  // vectors, where few places are
    Index<T> orders[kMostChannels];
    if (read == Read::kPermuted) find_orders<T>(s, orders);
    const Places inside = places_of_taps(s, 0, s.taps);
    for (int64_t row = first; row < last; ++row) {
        const int64_t n = row / s.grid_h, i = row % s.grid_h, y0 = i * s.step_y + s.offset_y;
        const TapRange taps = rows_inside(s, y0);
        const T* line = image + (n * s.H + y0) * s.W * s.C;
        T* to = out + ((n * s.OH + s.out_y + i * s.out_step_y) * s.OW + s.out_x) * s.F;
        auto run = [&](auto edge, auto count, auto most, int64_t j) {
            const int64_t x0 = j * s.step_x + s.offset_x;
            for_channels<T, most>(s, orders, [&](const Channels<T>& ch, auto vectors) {
                const T *corner = line + x0 * s.C + ch.c, *start = bias ? bias + ch.f : nullptr;
                T* target = to + j * s.out_step_x * s.F + ch.f;
                if (ch.out == kLanes<T> && (read == Read::kBroadcast || ch.in == kLanes<T>)) {
                    places<T, read, true, edge, count, vectors>(s, ch, taps, x0, corner, w + ch.f, start, target);
                } else {
                    places<T, read, false, edge, count, 1>(s, ch, taps, x0, corner, w + ch.f, start, target);
                }
            });
        };
        constexpr std::integral_constant<int, 1> one{};
        constexpr std::integral_constant<int, kTogether> several{};
        for (int64_t j = 0; j < inside.first; ++j) run(std::true_type{}, one, several, j);
        int64_t j = inside.first;
        for (; j + kPlaces <= inside.last; j += kPlaces)
            run(std::false_type{}, std::integral_constant<int, kPlaces>{}, one, j);
        for (; j + 4 <= inside.last; j += 4) run(std::false_type{}, std::integral_constant<int, 4>{}, one, j);
        for (; j < inside.last; ++j) run(std::false_type{}, one, several, j);
        for (; j < s.grid_w; ++j) run(std::true_type{}, one, several, j);
    }
}

template <class T>
bool is_permuted(int64_t depth_in, int64_t depth_out) {
    return kPermutes<T> && depth_in <= depth_out && depth_out < kLanes<T> && kLanes<T> % depth_out == 0;
}

template <class T>
bool is_broadcast(int64_t depth_in, int64_t depth_out) {
    return depth_out % kLanes<T> == 0 && depth_in <= kMostChannels && depth_out <= kMostChannels;
}

template <class T>
bool fits(int64_t depth_in, int64_t depth_out) {
    return (depth_in == 1 && depth_out == 1) || is_permuted<T>(depth_in, depth_out) ||
           is_broadcast<T>(depth_in, depth_out);
}

template <class T>
void correlate(const GroupSizes& s, const T* image, const T* w, const T* bias, int64_t first, int64_t last, T* out) {
    if (s.depth_out == 1) return correlate_rows<T, Read::kOwn>(s, image, w, bias, first, last, out);
    if (is_broadcast<T>(s.depth_in, s.depth_out))
        return correlate_rows<T, Read::kBroadcast>(s, image, w, bias, first, last, out);
    if constexpr (kPermutes<T>) correlate_rows<T, Read::kPermuted>(s, image, w, bias, first, last, out);
}

// Adds the products of dout with taps [t, t + count) and channels [k, k + depth) of the image to dw, over
// the places [first, last) of a row.
template <class T, Read read, bool whole, int count, int depth>
HG_INLINE void add_products(const GroupSizes& s, const Channels<T>& ch, int64_t t, int64_t k, const T* line,
                            const T* dline, int64_t first, int64_t last, T* dw) {
    const int64_t step = s.step_x * s.C;
    Vec<T> sum[count][depth];
    Index<T> order[depth];
    const T* from[count];
    T* to = dw + (t * s.depth_in + k) * s.F + ch.f;
    for (int q = 0; q < depth; ++q) order[q] = read == Read::kPermuted ? ch.order[k + q] : Index<T>{};
    for (int p = 0; p < count; ++p) {
        from[p] = line + (s.dy[t + p] * s.W + first * s.step_x + s.offset_x + s.dx[t + p]) * s.C + ch.c;
        if (read == Read::kBroadcast) from[p] += k;
        for (int q = 0; q < depth; ++q) sum[p][q] = get<T, whole>(to + (p * s.depth_in + q) * s.F, ch.out);
    }
    const T* upstream = dline + first * s.F + ch.f;
    for (int64_t j = 0; j < last - first; ++j) {
        const Vec<T> d = get<T, whole>(upstream + j * s.F, ch.out);
#pragma GCC unroll 9
        for (int p = 0; p < count; ++p) {
            Vec<T> in{};
            if constexpr (read != Read::kBroadcast) in = get<T, whole>(from[p] + j * step, ch.in);
#pragma GCC unroll 8
            for (int q = 0; q < depth; ++q) {
                Vec<T> x = in;
                if constexpr (read == Read::kPermuted) x = permute(in, order[q]);
                if constexpr (read == Read::kBroadcast) x = splat(from[p][j * step + q]);
                sum[p][q] = fma(d, x, sum[p][q]);
            }
        }
    }
    for (int p = 0; p < count; ++p)
        for (int q = 0; q < depth; ++q) put<T, whole>(to + (p * s.depth_in + q) * s.F, sum[p][q], ch.out);
}

template <class T, Read read, bool whole, int count>
HG_INLINE void add_taps(const GroupSizes& s, const Channels<T>& ch, int64_t t, const T* line, const T* dline,
                        int64_t first, int64_t last, T* dw) {
    if (first >= last) return;
    auto run = [&](auto depth, int64_t k) {
        add_products<T, read, whole, count, depth>(s, ch, t, k, line, dline, first, last, dw);
    };
    if constexpr (read == Read::kOwn) {
        run(std::integral_constant<int, 1>{}, 0);
    } else {
        int64_t k = 0;
        for (; k + 4 <= s.depth_in; k += 4) run(std::integral_constant<int, 4>{}, k);
        for (; k + 2 <= s.depth_in; k += 2) run(std::integral_constant<int, 2>{}, k);
        if (k < s.depth_in) run(std::integral_constant<int, 1>{}, k);
    }
}

// The same for `count` taps at the places of an edge: those that stay inside, a place at a time.
template <class T, Read read, bool whole>
__attribute__((noinline)) void add_edge(const GroupSizes& s, const Channels<T>& ch, int64_t t, int64_t count,
                                        const T* line, const T* dline, int64_t first, int64_t last, T* dw) {
    for (int64_t j = first; j < last; ++j)
        for (int64_t p = t; p < t + count; ++p) {
            const int64_t x = j * s.step_x + s.offset_x + s.dx[p];
            if (x >= 0 && x < s.W) add_taps<T, read, whole, 1>(s, ch, p, line, dline, j, j + 1, dw);
        }
}

template <class T, Read read>
void weight_rows(const GroupSizes& s, const T* image, const T* dout, int64_t first, int64_t last, T* dw) {
    Index<T> orders[kMostChannels];
    if (read == Read::kPermuted) find_orders<T>(s, orders);
    constexpr int kTogether = read == Read::kOwn ? 9 : 3;
    for (int64_t row = first; row < last; ++row) {
        const int64_t n = row / s.grid_h, y0 = row % s.grid_h * s.step_y + s.offset_y;
        const TapRange taps = rows_inside(s, y0);
        const T* line = image + (n * s.H + y0) * s.W * s.C;
        const T* dline = dout + row * s.grid_w * s.F;
        // the taps together where all stay inside
        auto run = [&](auto count, int64_t t) {
            const Places inside = places_of_taps(s, t, t + count);
            for_channels<T, 1>(s, orders, [&](const Channels<T>& ch, auto) {
                auto all = [&](auto whole) {
                    add_edge<T, read, whole>(s, ch, t, count, line, dline, 0, inside.first, dw);
                    add_taps<T, read, whole, count>(s, ch, t, line, dline, inside.first, inside.last, dw);
                    add_edge<T, read, whole>(s, ch, t, count, line, dline, inside.last, s.grid_w, dw);
                };
                if (ch.out == kLanes<T> && (read == Read::kBroadcast || ch.in == kLanes<T>)) all(std::true_type{});
                else all(std::false_type{});
            });
        };
        int64_t t = taps.first;
        for (; t + kTogether <= taps.last; t += kTogether) run(std::integral_constant<int, kTogether>{}, t);
        if (kTogether > 5 && t + 5 <= taps.last) run(std::integral_constant<int, 5>{}, t), t += 5;
        for (; t + 3 <= taps.last; t += 3) run(std::integral_constant<int, 3>{}, t);
        for (; t < taps.last; ++t) run(std::integral_constant<int, 1>{}, t);
    }
}

template <class T>
void weights(const GroupSizes& s, const T* image, const T* dout, int64_t first, int64_t last, T* dw) {
    if (s.depth_out == 1) return weight_rows<T, Read::kOwn>(s, image, dout, first, last, dw);
    if (is_broadcast<T>(s.depth_in, s.depth_out))
        return weight_rows<T, Read::kBroadcast>(s, image, dout, first, last, dw);
    if constexpr (kPermutes<T>) weight_rows<T, Read::kPermuted>(s, image, dout, first, last, dw);
}

template <class T>
GroupKernels<T> table() {
    return {fits<T>, correlate<T>, weights<T>};
}

}  // namespace

void fill(GroupKernels<float>& kernels) { kernels = table<float>(); }
void fill(GroupKernels<double>& kernels) { kernels = table<double>(); }

}  // namespace handgrad::HANDGRAD_ISA
