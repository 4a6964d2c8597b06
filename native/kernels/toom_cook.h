// Winograd's transforms, made from polynomial products (Toom-Cook).  With the points p = 0, +-a, +-b and
// infinity, a filter g of 3 and inputs d of 6,
//
//     y = A' [(G g) * (B' d)]
//
// gives the 4 outputs y[i] = sum_k d[i + k] g[k]:  row p of B' holds the coefficients of the product of
// (z - q) over the other finite points q (the last row: over all of them), row p of G is (1, p, p^2) / N_p
// with N_p the product of (p - q), and column p of A' is (1, p, p^2, p^3).  With a = 1 / sqrt 2 and
// b = sqrt 2 the numbers stay small: half the error of 0, +-1, +-2.  For the gradient of the filter the
// same B' serves, a "filter" of 4 output gradients, and 3 outputs; N_p is divided out at the end.
// F(2x2, 3x3) has the points 0, +-1 and infinity, and is exact on small integers.
#pragma once

#include "kernels/simd.h"

namespace handgrad::HANDGRAD_ISA {

// One dimension of a transform: `in` vectors to `out` vectors.

struct Inputs2 {
    static constexpr int in = 4, out = 4;
    HG_INLINE void apply(const VecF (&d)[in], VecF (&v)[out]) {
        v[0] = d[0] - d[2];
        v[1] = d[1] + d[2];
        v[2] = d[2] - d[1];
        v[3] = d[3] - d[1];
    }
};

struct Gradients2 {
    static constexpr int in = 2, out = 4;
    HG_INLINE void apply(const VecF (&d)[in], VecF (&v)[out]) {
        v[0] = d[0];
        v[1] = d[0] + d[1];
        v[2] = d[0] - d[1];
        v[3] = d[1];
    }
};

struct Filters2 {
    static constexpr int in = 3, out = 4;
    HG_INLINE void apply(const VecF (&g)[in], VecF (&v)[out]) {
        const VecF half = splat(0.5f), even = (g[0] + g[2]) * half, odd = g[1] * half;
        v[0] = g[0];
        v[1] = even + odd;
        v[2] = even - odd;
        v[3] = g[2];
    }
};

struct Outputs2 {
    static constexpr int in = 4, out = 2;
    HG_INLINE void apply(const VecF (&v)[in], VecF (&y)[out]) {
        y[0] = v[0] + (v[1] + v[2]);
        y[1] = (v[1] - v[2]) + v[3];
    }
};

struct Weights2 {
    static constexpr int in = 4, out = 3;
    HG_INLINE void apply(const VecF (&v)[in], VecF (&g)[out]) {
        const VecF half = splat(0.5f), even = (v[1] + v[2]) * half;
        g[0] = v[0] + even;
        g[1] = (v[1] - v[2]) * half;
        g[2] = even + v[3];
    }
};

inline constexpr float kA = 0.70710678118654752f, kB = 1.41421356237309505f;
inline constexpr float kOverNa = -2.0f / 3.0f, kOverNb = 1.0f / 6.0f;

struct Inputs4 {
    static constexpr int in = 6, out = 6;
    HG_INLINE void apply(const VecF (&d)[in], VecF (&v)[out]) {
        const VecF even_a = fma(splat(-2.0f), d[2], d[4]), odd_a = fma(splat(-2.0f), d[1], d[3]);
        const VecF even_b = fma(splat(-0.5f), d[2], d[4]), odd_b = fma(splat(-0.5f), d[1], d[3]);
        v[0] = fma(splat(-2.5f), d[2], d[0] + d[4]);
        v[1] = fma(splat(kA), odd_a, even_a);
        v[2] = fma(splat(-kA), odd_a, even_a);
        v[3] = fma(splat(kB), odd_b, even_b);
        v[4] = fma(splat(-kB), odd_b, even_b);
        v[5] = fma(splat(-2.5f), d[3], d[1] + d[5]);
    }
};

struct Gradients4 {
    static constexpr int in = 4, out = 6;
    HG_INLINE void apply(const VecF (&d)[in], VecF (&v)[out]) {
        const VecF even_a = fma(splat(0.5f), d[2], d[0]), odd_a = fma(splat(0.5f), d[3], d[1]);
        const VecF even_b = fma(splat(2.0f), d[2], d[0]), odd_b = fma(splat(2.0f), d[3], d[1]);
        v[0] = d[0];
        v[1] = fma(splat(kA), odd_a, even_a);
        v[2] = fma(splat(-kA), odd_a, even_a);
        v[3] = fma(splat(kB), odd_b, even_b);
        v[4] = fma(splat(-kB), odd_b, even_b);
        v[5] = d[3];
    }
};

struct Filters4 {
    static constexpr int in = 3, out = 6;
    HG_INLINE void apply(const VecF (&g)[in], VecF (&v)[out]) {
        const VecF even_a = fma(splat(0.5f), g[2], g[0]) * splat(kOverNa), odd_a = g[1] * splat(kOverNa * kA);
        const VecF even_b = fma(splat(2.0f), g[2], g[0]) * splat(kOverNb), odd_b = g[1] * splat(kOverNb * kB);
        v[0] = g[0];
        v[1] = even_a + odd_a;
        v[2] = even_a - odd_a;
        v[3] = even_b + odd_b;
        v[4] = even_b - odd_b;
        v[5] = g[2];
    }
};

struct Outputs4 {
    static constexpr int in = 6, out = 4;
    HG_INLINE void apply(const VecF (&v)[in], VecF (&y)[out]) {
        const VecF sum_a = v[1] + v[2], difference_a = v[1] - v[2];
        const VecF sum_b = v[3] + v[4], difference_b = v[3] - v[4];
        y[0] = v[0] + (sum_a + sum_b);
        y[1] = fma(splat(kA), difference_a, splat(kB) * difference_b);
        y[2] = fma(splat(0.5f), sum_a, splat(2.0f) * sum_b);
        y[3] = fma(splat(0.5f * kA), difference_a, fma(splat(2.0f * kB), difference_b, v[5]));
    }
};

struct Weights4 {
    static constexpr int in = 6, out = 3;
    HG_INLINE void apply(const VecF (&v)[in], VecF (&g)[out]) {
        const VecF sum_a = (v[1] + v[2]) * splat(kOverNa), difference_a = v[1] - v[2];
        const VecF sum_b = (v[3] + v[4]) * splat(kOverNb), difference_b = v[3] - v[4];
        g[0] = v[0] + (sum_a + sum_b);
        g[1] = fma(splat(kOverNa * kA), difference_a, splat(kOverNb * kB) * difference_b);
        g[2] = fma(splat(0.5f), sum_a, fma(splat(2.0f), sum_b, v[5]));
    }
};

// Both dimensions: load(y, x) gives a vector of the patch, store(y, x, v) takes one of the result.
template <class Map, class Load, class Store>
HG_INLINE void transform(Load&& load, Store&& store) {
    constexpr int in = Map::in, out = Map::out;
    VecF half[out][in];
#pragma GCC unroll 8
    for (int x = 0; x < in; ++x) {
        VecF from[in], to[out];
#pragma GCC unroll 8
        for (int y = 0; y < in; ++y) from[y] = load(y, x);
        Map::apply(from, to);
#pragma GCC unroll 8
        for (int y = 0; y < out; ++y) half[y][x] = to[y];
    }
#pragma GCC unroll 8
    for (int y = 0; y < out; ++y) {
        VecF to[out];
        Map::apply(half[y], to);
#pragma GCC unroll 8
        for (int x = 0; x < out; ++x) store(y, x, to[x]);
    }
}

}  // namespace handgrad::HANDGRAD_ISA
