// The transforms of Winograd's algorithm F(4 x 4, 3 x 3), float32.
//
// Toom-Cook with the points 0, +-a, +-b and infinity, a = 1/sqrt 2, b = sqrt 2: a tile of 6 x 6
// inputs d and a filter g of 3 x 3 give 4 x 4 outputs y:
//
//     y = A^T [(G g G^T) * (B^T d B)] A
//
// with the products of the 36 planes, summed over the channels, as 36 matrix products.  Each
// transform below is the one-dimensional one, down the columns and then along the rows.
#include "kernels/simd.h"
#include "kernels/table.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

typedef VecF V;
constexpr int kStep = kLanes<float>;
constexpr float kA = 0.70710678118654752440f, kB = 1.41421356237309504880f;
constexpr float kA2 = 0.5f, kB2 = 2.0f, kA3 = 0.35355339059327376220f, kB3 = 2.82842712474619009760f;

HG_INLINE V times(float s, V v) { return splat(s) * v; }
HG_INLINE V plus_times(V sum, float s, V v) { return fma(splat(s), v, sum); }

// B^T d
HG_INLINE void input_line(const V d[6], V t[6]) {
    t[0] = plus_times(d[0] + d[4], -2.5f, d[2]);
    t[5] = plus_times(d[1] + d[5], -2.5f, d[3]);
    const V even_a = plus_times(d[4], -kB2, d[2]), odd_a = plus_times(times(kA, d[3]), -kB, d[1]);
    const V even_b = plus_times(d[4], -kA2, d[2]), odd_b = plus_times(times(kB, d[3]), -kA, d[1]);
    t[1] = even_a + odd_a;
    t[2] = even_a - odd_a;
    t[3] = even_b + odd_b;
    t[4] = even_b - odd_b;
}

// A^T m
HG_INLINE void output_line(const V m[6], V y[4]) {
    const V sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    const V sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    y[0] = m[0] + (sum_a + sum_b);
    y[1] = plus_times(times(kA, difference_a), kB, difference_b);
    y[2] = plus_times(times(kA2, sum_a), kB2, sum_b);
    y[3] = plus_times(plus_times(m[5], kA3, difference_a), kB3, difference_b);
}

// A y
HG_INLINE void gradient_line(const V y[4], V z[6]) {
    const V even_a = plus_times(y[0], kA2, y[2]), odd_a = plus_times(times(kA, y[1]), kA3, y[3]);
    const V even_b = plus_times(y[0], kB2, y[2]), odd_b = plus_times(times(kB, y[1]), kB3, y[3]);
    z[0] = y[0];
    z[1] = even_a + odd_a;
    z[2] = even_a - odd_a;
    z[3] = even_b + odd_b;
    z[4] = even_b - odd_b;
    z[5] = y[3];
}

// G g
HG_INLINE void filter_line(const V g[3], V u[6]) {
    const V even_a = plus_times(g[0], kA2, g[2]), odd_a = times(kA, g[1]);
    const V even_b = plus_times(g[0], kB2, g[2]), odd_b = times(kB, g[1]);
    u[0] = g[0];
    u[1] = times(-2.0f / 3, even_a + odd_a);
    u[2] = times(-2.0f / 3, even_a - odd_a);
    u[3] = times(1.0f / 6, even_b + odd_b);
    u[4] = times(1.0f / 6, even_b - odd_b);
    u[5] = g[2];
}

// G^T u
HG_INLINE void filter_gradient_line(const V u[6], V g[3]) {
    const V sum_a = times(-2.0f / 3, u[1] + u[2]), difference_a = times(-2.0f / 3, u[1] - u[2]);
    const V sum_b = times(1.0f / 6, u[3] + u[4]), difference_b = times(1.0f / 6, u[3] - u[4]);
    g[0] = u[0] + (sum_a + sum_b);
    g[1] = plus_times(times(kA, difference_a), kB, difference_b);
    g[2] = plus_times(plus_times(u[5], kA2, sum_a), kB2, sum_b);
}

// Applies a one-dimensional transform on both axes: in (rows_in x rows_in) to out (rows_out x rows_out).
template <int in_size, int out_size, class Line>
HG_INLINE void both_axes(const V (&in)[in_size][in_size], V (&out)[out_size][out_size], Line&& line) {
    V half[in_size][out_size];  // [column][row]
#pragma GCC unroll 6
    for (int j = 0; j < in_size; ++j) {
        V column[in_size];
#pragma GCC unroll 6
        for (int i = 0; i < in_size; ++i) column[i] = in[i][j];
        line(column, half[j]);
    }
#pragma GCC unroll 6
    for (int i = 0; i < out_size; ++i) {
        V row[in_size];
#pragma GCC unroll 6
        for (int j = 0; j < in_size; ++j) row[j] = half[j][i];
        line(row, out[i]);
    }
}

// The pixels of a tile; those outside of the image are `zeros`.
template <int size>
HG_INLINE void find_pixels(const WinogradImage& image, const float* data, int64_t y0, int64_t x0,
                           const float* (&pixels)[size][size]) {
    for (int i = 0; i < size; ++i)
        for (int j = 0; j < size; ++j) {
            const int64_t y = y0 + i, x = x0 + j;
            const bool inside = y >= 0 && y < image.height && x >= 0 && x < image.width;
            pixels[i][j] = inside ? data + (y * image.width + x) * image.channels : image.zeros;
        }
}

// Fetches the 4 columns of a tile of `size` rows from x0 on, wherever that is; for the tile to come.
template <int size, int write>
HG_INLINE void fetch(const WinogradImage& image, const float* data, int64_t y0, int64_t x0, int64_t first,
                     int64_t count) {
    for (int i = 0; i < size; ++i)
        for (int j = 0; j < 4; ++j)
            for (int64_t c = 0; c < count; c += 16)
                __builtin_prefetch(data + ((y0 + i) * image.width + x0 + j) * image.channels + first + c, write);
}

template <int size, class Line>
HG_INLINE void transform_block(const float* (&pixels)[size][size], int64_t channel, int64_t count, float* to,
                               int64_t plane_stride, Line&& line) {
    for (int part = 0; part < kBlock; part += kStep) {
        V in[size][size], out[6][6];
        for (int i = 0; i < size; ++i)
            for (int j = 0; j < size; ++j) {
                const float* from = pixels[i][j] + channel + part;
                if (count >= part + kStep) {
                    in[i][j] = load<float>(from);
                } else {
                    float some[kStep] = {};
                    for (int k = 0; part + k < count; ++k) some[k] = from[k];
                    in[i][j] = load<float>(some);
                }
            }
        both_axes(in, out, line);
        for (int i = 0; i < 6; ++i)
            for (int j = 0; j < 6; ++j) store<float>(to + (i * 6 + j) * plane_stride + part, out[i][j]);
    }
}

void input(const WinogradImage& image, const float* data, int64_t y0, int64_t x0, float* to,
           int64_t plane_stride, int64_t block_stride) {
    const float* pixels[6][6];
    find_pixels(image, data, y0, x0, pixels);
    fetch<6, 0>(image, data, y0, x0 + 6, 0, image.channels);
    const auto line = [](const V(&d)[6], V(&t)[6]) __attribute__((always_inline)) { input_line(d, t); };
    int64_t c = 0;
    for (; c + kBlock <= image.channels; c += kBlock, to += block_stride)
        transform_block(pixels, c, kBlock, to, plane_stride, line);
    if (c < image.channels) transform_block(pixels, c, image.channels - c, to, plane_stride, line);
}

void gradient(const WinogradImage& image, const float* data, int64_t y0, int64_t x0, int64_t first,
              int64_t count, float* to, int64_t plane_stride) {
    const float* pixels[4][4];
    find_pixels(image, data, y0, x0, pixels);
    fetch<4, 0>(image, data, y0, x0 + 4, first, count);
    const auto line = [](const V(&y)[4], V(&z)[6]) __attribute__((always_inline)) { gradient_line(y, z); };
    for (int64_t c = 0; c < count; c += kStep, to += kStep) {
        V in[4][4];
        for (int i = 0; i < 4; ++i)
            for (int j = 0; j < 4; ++j) {
                const float* from = pixels[i][j] + first + c;
                if (c + kStep <= count) {
                    in[i][j] = load<float>(from);
                } else {
                    float some[kStep] = {};
                    for (int k = 0; c + k < count; ++k) some[k] = from[k];
                    in[i][j] = load<float>(some);
                }
            }
        V half[4][6], row[4];
        for (int j = 0; j < 4; ++j) {
            V column[4];
            for (int i = 0; i < 4; ++i) column[i] = in[i][j];
            line(column, half[j]);
        }
        for (int i = 0; i < 6; ++i) {
            for (int j = 0; j < 4; ++j) row[j] = half[j][i];
            V out[6];
            line(row, out);
            for (int j = 0; j < 6; ++j) store<float>(to + (i * 6 + j) * plane_stride, out[j]);
        }
    }
}

void output(const WinogradImage& image, float* data, int64_t y0, int64_t x0, int64_t first, int64_t count,
            const float* from, int64_t plane_stride, const float* bias, float* check) {
    const int rows = static_cast<int>(image.height - y0 < 4 ? image.height - y0 : 4);
    const int columns = static_cast<int>(image.width - x0 < 4 ? image.width - x0 : 4);
    V bad = load<float>(check);
    fetch<4, 1>(image, data, y0, x0 + 4, first, count);
    for (int64_t c = 0; c < count; c += kStep) {
        V half[6][4];
        for (int j = 0; j < 6; ++j) {
            V column[6];
            for (int i = 0; i < 6; ++i) column[i] = load<float>(from + (i * 6 + j) * plane_stride + c);
            output_line(column, half[j]);
        }
        const V start = load<float>(bias + c);
        for (int i = 0; i < rows; ++i) {
            V row[6], y[4];
            for (int j = 0; j < 6; ++j) row[j] = half[j][i];
            output_line(row, y);
            float* to = data + ((y0 + i) * image.width + x0) * image.channels + first + c;
            for (int j = 0; j < columns; ++j, to += image.channels) {
                const V value = y[j] + start;
                bad = fma(value, V{}, bad);  // not a number as soon as one value is not finite
                if (c + kStep <= count) {
                    store<float>(to, value);
                } else {
                    __builtin_memcpy(to, &value, static_cast<size_t>(count - c) * sizeof(float));
                }
            }
        }
    }
    store<float>(check, bad);
}

void weights(const float* w, int64_t out_stride, int64_t in_stride, bool flip, int64_t depth, int64_t outs,
             int64_t width, float* panels, int64_t plane_stride) {
    for (int64_t k = 0; k < depth; ++k)
        for (int64_t first = 0; first < width; first += kStep) {
            float taps[9][kStep] = {};
            for (int64_t f = 0; f < kStep && first + f < outs; ++f) {
                const float* from = w + (first + f) * out_stride + k * in_stride;
                __builtin_prefetch(from + 8 * in_stride);
                for (int t = 0; t < 9; ++t) taps[flip ? 8 - t : t][f] = from[t];
            }
            V in[3][3], out[6][6];
            for (int t = 0; t < 9; ++t) in[t / 3][t % 3] = load<float>(taps[t]);
            both_axes(in, out, [](const V(&g)[3], V(&u)[6]) { filter_line(g, u); });
            for (int p = 0; p < 36; ++p)
                store<float>(panels + p * plane_stride + k * width + first, out[p / 6][p % 6]);
        }
}

void weight_gradient(const float* planes, int64_t plane_stride, int64_t depth, int64_t outs, int64_t width,
                     float* dw, int64_t out_stride, int64_t in_stride, float* check) {
    V bad = load<float>(check);
    for (int64_t k = 0; k < depth; ++k)
        for (int64_t first = 0; first < outs; first += kStep) {
            V in[6][6], out[3][3];
            for (int p = 0; p < 36; ++p) {
                const float* from = planes + p * plane_stride + k * width + first;
                in[p / 6][p % 6] = load<float>(from);
                __builtin_prefetch(from + 2 * width);
            }
            both_axes(in, out, [](const V(&u)[6], V(&g)[3]) { filter_gradient_line(u, g); });
            float taps[9][kStep];
            for (int t = 0; t < 9; ++t) {
                bad = fma(out[t / 3][t % 3], V{}, bad);
                store<float>(taps[t], out[t / 3][t % 3]);
            }
            for (int64_t f = 0; f < kStep && first + f < outs; ++f) {
                float* to = dw + (first + f) * out_stride + k * in_stride;
                __builtin_prefetch(to + 8 * in_stride, 1);
                for (int t = 0; t < 9; ++t) to[t] = taps[t][f];
            }
        }
    store<float>(check, bad);
}

}  // namespace

void fill(WinogradKernels& kernels) {
    kernels = {kStep, input, gradient, output, weights, weight_gradient};
}

}  // namespace handgrad::HANDGRAD_ISA
