#include "kernels/stem.h"

#include <utility>

#include "kernels/index.h"
#include "kernels/simd.h"
#include "kernels/table.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

using V = VecF;
using I = Lanes<float>::Index;
constexpr int kWidth = kLanes<float>;
#if defined(__AVX512F__)
constexpr int kVectors = 2;  // of features in a tile
#else
constexpr int kVectors = 1;
#endif
constexpr int64_t kPanel = 2 * kWidth;  // the micro-kernel's tile_columns
constexpr int kTilePixels = 4;          // pixels of a tile: 2 rows of 4, so two windows side by side

// Calls body(constant, first) for pieces of 0 .. count-1, the constants being at most kMost.
template <int size, class Body>
HG_INLINE void in_pieces(int64_t count, int64_t first, Body&& body) {
    for (; first + size <= count; first += size) body(std::integral_constant<int, size>{}, first);
    if constexpr (size > 1) in_pieces<size / 3 ? size / 3 : 1>(count, first, body);
}

// Calls body(i) for i = 0 .. count-1, written out.
template <int... i, class Body>
HG_INLINE void each(std::integer_sequence<int, i...>, Body&& body) {
    (body(i), ...);
}

// The pooling of one window: y holds its four pixels.
HG_INLINE void pool(const V (&y)[4], const Affine<float>& map, int64_t f, float* out, float* xhat, uint8_t* index) {
    const V mean = load<float>(map.mean + f), scale = load<float>(map.scale + f), shift = load<float>(map.shift + f);
    V chosen = y[0] - mean, best = fma(chosen, scale, shift);
    I place{};
#pragma GCC unroll 4
    for (int k = 1; k < 4; ++k) {
        const V centred = y[k] - mean, z = fma(centred, scale, shift);
        const I larger = is_larger(z, best);  // written out: keep_larger costs the kernel 6 % of its time
        best = larger ? z : best;
        chosen = larger ? centred : chosen;
        place = larger ? I{} + k : place;
    }
    rectify_window<float>(4, best, place);
    store<float>(out + f, best);
    if (xhat) store<float>(xhat + f, chosen * load<float>(map.inv_std + f));
    if (index) put_index<float>(index + f, place);
}

void forward(const StemSizes& s, const float* band, const float* filters, int64_t row_stride,
             const Affine<float>& map, float* out, float* xhat, uint8_t* index) {
    for (int64_t j = 0; j < s.windows; j += 2, band += kTilePixels * s.step) {
        for (int64_t half = 0; half < kPanel; half += kVectors * kWidth) {
            V sum[2][kTilePixels][kVectors] = {};
            const float* b = filters + half;
            for (int64_t u = 0; u < s.runs; ++u) {
                const float* a = band + u * s.line;
                for (int64_t k = 0; k < s.run; ++k, ++a, b += row_stride) {
                    V row[kVectors];
#pragma GCC unroll 2
                    for (int v = 0; v < kVectors; ++v) row[v] = load<float>(b + v * kWidth);
#pragma GCC unroll 2
                    for (int r = 0; r < 2; ++r)
#pragma GCC unroll 4
                        for (int i = 0; i < kTilePixels; ++i) {
                            const V left = splat(a[r * s.line + i * s.step]);
#pragma GCC unroll 2
                            for (int v = 0; v < kVectors; ++v) sum[r][i][v] = fma(left, row[v], sum[r][i][v]);
                        }
                }
            }
#pragma GCC unroll 2
            for (int w = 0; w < 2; ++w) {
                const int64_t at = (j + w) * s.features;
                if (j + w < s.windows)
#pragma GCC unroll 2
                    for (int v = 0; v < kVectors; ++v) {
                        const V y[4] = {sum[0][2 * w][v], sum[0][2 * w + 1][v], sum[1][2 * w][v], sum[1][2 * w + 1][v]};
                        pool(y, map, half + v * kWidth, out + at, xhat ? xhat + at : xhat, index ? index + at : index);
                    }
            }
        }
    }
}

// to[k][j] += sum over the pixels of one[k] many[j], k < step, j < width.
HG_INLINE void add_products(int64_t count, int64_t step, const double* one, const double* many, int64_t width,
                            int64_t side, double* to) {
    constexpr int64_t lanes = kLanes<double>;
    const auto columns = [&](auto vectors, int64_t j) {
        in_pieces<9>(step, 0, [&](auto size, int64_t first) {
            constexpr std::make_integer_sequence<int, size * vectors> all;
            VecD sum[size * vectors];
            const auto place = [&](int i) { return to + (first + i / vectors) * side + j + i % vectors * lanes; };
            each(all, [&](int i) { sum[i] = load<double>(place(i)); });
            for (int64_t pixel = 0; pixel < count; ++pixel) {
                const double *left = one + pixel * step + first, *right = many + pixel * step + j;
                each(all, [&](int i) {
                    sum[i] = fma(splat(left[i / vectors]), load<double>(right + i % vectors * lanes), sum[i]);
                });
            }
            each(all, [&](int i) { store<double>(place(i), sum[i]); });
        });
    };
    int64_t j = 0;
    for (; j + lanes < width; j += 2 * lanes) columns(std::integral_constant<int, 2>{}, j);
    if (j < width) columns(std::integral_constant<int, 1>{}, j);
}

void products(int64_t count, int64_t run, int64_t step, const double* left, const double* right, int64_t side,
              double* sums, double* totals) {
    constexpr int64_t lanes = kLanes<double>;
    const int64_t rest = run - step;
    add_products(count, step, left, right, run, side, sums);
    add_products(count, step, right, left + step, rest, side, sums + step * side);
    const double *left_end = left + count * step, *right_end = right + count * step;
    for (int64_t k = 0; k < rest; ++k)
        for (int64_t j = 0; j < rest; j += lanes) {
            double* to = sums + (2 * step + k) * side + j;
            const VecD more = fma(splat(left_end[k]), load<double>(right_end + j), load<double>(to));
            store<double>(to, more - splat(left[k]) * load<double>(right + j));
        }
    if (!totals) return;
    for (int64_t j = 0; j < side; j += lanes) {
        VecD total = load<double>(totals + j);
        for (int64_t i = 0; i < count; ++i) total += load<double>(right + i * step + j);
        store<double>(totals + j, total);
    }
}

void quads(const float* upper, const float* lower, int64_t step, int64_t count, float* quads) {
    for (int64_t i = 0; i < count; ++i, quads += 4) {
        quads[0] = upper[i];
        quads[1] = upper[i + step];
        quads[2] = lower[i];
        quads[3] = lower[i + step];
    }
}

// Lane i: quad[place[i] & 3].
HG_INLINE V pick(const float* quad, I place) {
#if defined(__AVX512F__)
    // Masked forms, all lanes on: the plain ones draw a false warning from GCC 12.
    const V four = _mm512_maskz_broadcast_f32x4(0xffff, _mm_loadu_ps(quad));
    return _mm512_maskz_permutevar_ps(0xffff, four, reinterpret_cast<__m512i>(place));
#elif defined(__AVX2__)
    return _mm256_permutevar_ps(_mm256_broadcast_ps(reinterpret_cast<const __m128*>(quad)),
                                reinterpret_cast<__m256i>(place));
#else
    const V low = (place & 1) ? splat(quad[1]) : splat(quad[0]);
    const V high = (place & 1) ? splat(quad[3]) : splat(quad[2]);
    return (place & 2) ? high : low;
#endif
}

HG_INLINE V open_only(V dout, I place) { return place < 4 ? dout : V{}; }

void gradients(const StemSizes& s, int64_t rows, const float* quads, int64_t quad_line, const float* dout,
               const float* xhat, const uint8_t* index, float* sums) {
    const int64_t row = s.windows * s.features;
    for (int64_t f = 0; f < s.features; f += kWidth) {
        for (int64_t u = 0; u < s.runs; ++u)
            in_pieces<9>(s.run, 0, [&](auto size, int64_t first) {
                constexpr std::make_integer_sequence<int, size> all;
                V sum[size] = {};
                for (int64_t i = 0; i < rows; ++i) {
                    const float* quad = quads + ((2 * i + u) * quad_line + first) * 4;
                    int64_t at = i * row + f;
                    for (int64_t j = 0; j < s.windows; ++j, quad += 8 * s.step, at += s.features) {
                        const I place = get_index<float>(index + at);
                        const V dz = open_only(load<float>(dout + at), place);
                        each(all, [&](int k) { sum[k] = fma(dz, pick(quad + 4 * k, place), sum[k]); });
                    }
                }
                each(all, [&](int k) {
                    float* to = sums + (u * s.run + first + k) * s.features + f;
                    store<float>(to, load<float>(to) + sum[k]);
                });
            });
        V sum_dz{}, sum_dz_xhat{};
        for (int64_t at = f; at < rows * row; at += s.features) {
            const V dz = open_only(load<float>(dout + at), get_index<float>(index + at));
            sum_dz += dz;
            sum_dz_xhat = fma(dz, load<float>(xhat + at), sum_dz_xhat);
        }
        float* to = sums + s.runs * s.run * s.features + f;
        store<float>(to, load<float>(to) + sum_dz);
        to += s.features;
        store<float>(to, load<float>(to) + sum_dz_xhat);
    }
}

}  // namespace

void fill(StemKernels& kernels) {
    kernels = {forward, kLanes<double>, products, quads, gradients};
}

}  // namespace handgrad::HANDGRAD_ISA
