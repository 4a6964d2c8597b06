// Winograd's transforms, made from polynomial products (Toom-Cook).  With the points 0, +-p, +-q, ... and
// infinity, a filter g of 3, and two more inputs d than outputs y,
//
//     y = A' [(G g) * (B' d)]
//
// gives y[i] = sum_k d[i + k] g[k]:  row p of B' holds the coefficients of the product of (z - q) over the
// other finite points q (the last row: over all of them), row p of G is (1, p, p^2) / N_p with N_p the
// product of (p - q), and column p of A' is (1, p, p^2, ...).  For the gradient of the filter the same B'
// serves, a "filter" of as many output gradients as there are outputs, and 3 outputs; N_p is divided out at
// the end.  The even and the odd powers are summed apart, once for p and -p.
//
// The points +-i together take three multiplications, one more than two real points, and keep the numbers of
// 8 outputs small, which further real points do not.  There a polynomial is e + o i, with e and o the alternating
// sums of its even and odd coefficients.  A product is e e' - o o' + (e o' + o e') i, where (Karatsuba)
//
//     e o' + o e' = (e + o) (e' + o') - e e' - o o'
//
// So both factors have e, o and e + o as their three values.  Read backwards, for B', these are e + o, o - e and
// o; the signs and the common divisor are with G.
//
// The points are reciprocals of each other.  0, +-1 and infinity (2 outputs) are exact on small integers;
// with 1 / sqrt 2 and sqrt 2 (4 outputs) the errors are half of those with 1 and 2, and with 2/3, 1, 3/2 and i
// (8 outputs; 11 multiplications, where two rows of 4 take 12) about as large as those.
#pragma once

#include "kernels/simd.h"

namespace handgrad::HANDGRAD_ISA {

struct PointsFor2 {
    static constexpr int pairs = 1, complex = 0;
    static constexpr double positive[] = {1};
};

struct PointsFor4 {
    static constexpr int pairs = 2, complex = 0;
    static constexpr double positive[] = {0.70710678118654752, 1.41421356237309505};
};

struct PointsFor8 {
    static constexpr int pairs = 3, complex = 1;
    static constexpr double positive[] = {2.0 / 3, 1, 1.5};
};

// The numbers in the matrices.  Pair k is +-positive[k], or behind those +-i.
template <class Points>
struct Matrices {
    static constexpr int real = Points::pairs, pairs = real + Points::complex;
    static constexpr int inputs = 2 * pairs + 2, outputs = 2 * pairs, points = inputs + Points::complex;

    struct Numbers {
        // p^j and p^j / N_p; of the pair +-i the part, real or imaginary, of i^j, and over the common divisor
        float power[pairs][inputs]{}, over[pairs][inputs]{};
        float product[pairs + 1][pairs + 1]{};  // of z^(2 j) in the product of (z^2 - q^2) over the pairs but k
    };
    static constexpr double square(int k) { return k < real ? Points::positive[k] * Points::positive[k] : -1; }
    static constexpr Numbers make() {
        Numbers made;
        for (int k = 0; k <= pairs; ++k) {
            double product[pairs + 2] = {1}, norm = 2;
            for (int other = 0; other < pairs; ++other) {
                if (other == k) {
                    norm *= square(k);
                    continue;
                }
                if (k < pairs) norm *= square(k) - square(other);
                for (int j = pairs; j > 0; --j) product[j] = product[j - 1] - square(other) * product[j];
                product[0] *= -square(other);
            }
            for (int j = 0; j <= pairs; ++j) made.product[k][j] = static_cast<float>(product[j]);
            if (k == pairs) break;
            if (k == real) norm /= 2;
            double power = 1;
            for (int j = 0; j < inputs; ++j) {
                made.power[k][j] = static_cast<float>(power);
                made.over[k][j] = static_cast<float>(power / norm);
                power *= k < real ? Points::positive[k] : j % 2 ? -1 : 1;
            }
        }
        return made;
    }
    static constexpr Numbers numbers = make();
    static constexpr float sign = real % 2 ? -1 : 1;  // N_0
};

// sum + factor v
HG_INLINE VecF add(VecF sum, float factor, VecF v) {
    return factor == 1 ? sum + v : factor == -1 ? sum - v : fma(splat(factor), v, sum);
}
HG_INLINE VecF multiply(float factor, VecF v) { return factor == 1 ? v : factor == -1 ? -v : splat(factor) * v; }

// One dimension of a transform: `in` vectors to `out` vectors.

template <class Points>
struct Inputs {
    using M = Matrices<Points>;
    static constexpr int in = M::inputs, out = M::points, overlap = 2;
    HG_INLINE void apply(const VecF (&d)[in], VecF (&v)[out]) {
        constexpr auto& c = M::numbers;
        constexpr int all = M::pairs;
        v[0] = multiply(M::sign, d[2 * all]);
        v[out - 1] = d[2 * all + 1];
#pragma GCC unroll 8
        for (int j = all - 1; j >= 0; --j) {
            v[0] = add(v[0], M::sign * c.product[all][j], d[2 * j]);
            v[out - 1] = add(v[out - 1], c.product[all][j], d[2 * j + 1]);
        }
#pragma GCC unroll 8
        for (int k = 0; k < all; ++k) {
            VecF even = d[2 * all], odd = d[2 * all - 1];
#pragma GCC unroll 8
            for (int j = all - 2; j >= 0; --j) {
                even = add(even, c.product[k][j], d[2 * j + 2]);
                odd = add(odd, c.product[k][j], d[2 * j + 1]);
            }
            v[2 * k + 1] = add(even, c.power[k][1], odd);
            v[2 * k + 2] = k < M::real ? add(even, -c.power[k][1], odd) : odd - even;
            if (k >= M::real) v[2 * k + 3] = odd;
        }
    }
};

template <class Points>
struct Gradients {
    using M = Matrices<Points>;
    static constexpr int in = M::outputs, out = M::points, overlap = 0;
    HG_INLINE void apply(const VecF (&d)[in], VecF (&v)[out]) {
        constexpr auto& c = M::numbers;
        v[0] = d[0];
        v[out - 1] = d[in - 1];
#pragma GCC unroll 8
        for (int k = 0; k < M::pairs; ++k) {
            VecF even = d[0], odd = d[1];
#pragma GCC unroll 8
            for (int i = 2; i < in; i += 2) {
                even = add(even, c.power[k][i], d[i]);
                odd = add(odd, c.power[k][i], d[i + 1]);
            }
            if (k < M::real) {
                v[2 * k + 1] = add(even, c.power[k][1], odd);
                v[2 * k + 2] = add(even, -c.power[k][1], odd);
            } else {
                v[2 * k + 1] = even;
                v[2 * k + 2] = odd;
                v[2 * k + 3] = even + odd;
            }
        }
    }
};

template <class Points>
struct Filters {
    using M = Matrices<Points>;
    static constexpr int in = 3, out = M::points;
    HG_INLINE void apply(const VecF (&g)[in], VecF (&v)[out]) {
        constexpr auto& c = M::numbers;
        v[0] = g[0];
        v[out - 1] = g[2];
#pragma GCC unroll 8
        for (int k = 0; k < M::pairs; ++k) {
            if (k < M::real) {
                const VecF even = add(multiply(c.over[k][0], g[0]), c.over[k][2], g[2]);
                v[2 * k + 1] = add(even, c.over[k][1], g[1]);
                v[2 * k + 2] = add(even, -c.over[k][1], g[1]);
            } else {
                v[2 * k + 1] = multiply(c.over[k][0], g[0] - g[2]);
                v[2 * k + 2] = multiply(c.over[k][1], g[1]);
                v[2 * k + 3] = -(v[2 * k + 1] + v[2 * k + 2]);
            }
        }
    }
};

template <class Points>
struct Outputs {
    using M = Matrices<Points>;
    static constexpr int in = M::points, out = M::outputs;
    HG_INLINE void apply(const VecF (&v)[in], VecF (&y)[out]) {
        constexpr auto& c = M::numbers;
#pragma GCC unroll 8
        for (int k = 0; k < M::pairs; ++k) {
            const VecF first = v[2 * k + 1], second = v[2 * k + 2];
            const VecF even = k < M::real ? first + second : first + v[2 * k + 3];
            const VecF odd = k < M::real ? first - second : second + v[2 * k + 3];
#pragma GCC unroll 8
            for (int i = 0; i < out; i += 2) {
                y[i] = k ? add(y[i], c.power[k][i], even) : multiply(c.power[k][i], even);
                y[i + 1] = k ? add(y[i + 1], c.power[k][i + 1], odd) : multiply(c.power[k][i + 1], odd);
            }
        }
        y[0] = v[0] + y[0];
        y[out - 1] = y[out - 1] + v[in - 1];
    }
};

template <class Points>
struct Weights {
    using M = Matrices<Points>;
    static constexpr int in = M::points, out = 3;
    HG_INLINE void apply(const VecF (&v)[in], VecF (&g)[out]) {
        constexpr auto& c = M::numbers;
        g[0] = v[0];
        g[2] = v[in - 1];
#pragma GCC unroll 8
        for (int k = 0; k < M::pairs; ++k) {
            const VecF first = v[2 * k + 1], second = v[2 * k + 2];
            const VecF even = k < M::real ? first + second : first - v[2 * k + 3];
            const VecF odd = k < M::real ? first - second : second - v[2 * k + 3];
            g[0] = add(g[0], c.over[k][0], even);
            g[1] = k ? add(g[1], c.over[k][1], odd) : multiply(c.over[k][1], odd);
            g[2] = add(g[2], c.over[k][2], even);
        }
    }
};

// body(i) for i < n.  Small transforms are unrolled; the code of large ones, of 88 numbers and more, would be more
// than the instruction cache holds: some 5 % slower on many images, and twice as long to compile.
template <bool unrolled, int n, class Body>
HG_INLINE void repeat(Body&& body) {
    if constexpr (unrolled) {
#pragma GCC unroll 12
        for (int i = 0; i < n; ++i) body(i);
    } else {
#pragma GCC unroll 1
        for (int i = 0; i < n; ++i) body(i);
    }
}

// Both dimensions: load(y, x) gives a vector of the patch, store(y, x, v) takes one of the result.
template <class Map, class Load, class Store>
HG_INLINE void transform(Load&& load, Store&& store) {
    constexpr int in = Map::in, out = Map::out;
    constexpr bool is_small = in * out <= 40;
    VecF half[out][in];
    repeat<is_small, in>([&](int x) __attribute__((always_inline)) {
        VecF from[in], to[out];
#pragma GCC unroll 12
        for (int y = 0; y < in; ++y) from[y] = load(y, x);
        Map::apply(from, to);
#pragma GCC unroll 12
        for (int y = 0; y < out; ++y) half[y][x] = to[y];
    });
    repeat<is_small, out>([&](int y) __attribute__((always_inline)) {
        VecF to[out];
        Map::apply(half[y], to);
#pragma GCC unroll 12
        for (int x = 0; x < out; ++x) store(y, x, to[x]);
    });
}

}  // namespace handgrad::HANDGRAD_ISA
