// exp(x) of vectors for x <= 0, and the exact rests of products that its arguments may need.
//
// Let n be the whole number next to x / ln 2, and r = x - n ln 2, so that |r| <= ln 2 / 2.  Then exp(x) is
// 2^n exp(r), and exp(r) - 1 = r + r^2 q(r) with a short polynomial q.  2^n is put on last, by callers, so that
// a number below the smallest normal one is rounded once.
//
// The coefficients here and in curves.cpp are Handgrad's own: minimax polynomials, by Remez's exchange in
// 60 digits, to a quarter of a unit in the last place of T or better.
#pragma once

#include "kernels/simd.h"

namespace handgrad::HANDGRAD_ISA {

template <class T>
using Bits = decltype(Vec<T>{} < Vec<T>{});  // integers of the width of T, one for each lane

template <class T>
struct Exponential;

template <>
struct Exponential<float> {
    // n high is exact, and so is x - n high; high + low is ln 2.
    static constexpr float high = 0.693359375f, low = -2.1219444e-4f, per_ln2 = 1.44269504f;
    static constexpr float round = 12582912;  // 1.5 * 2^23: what is added to it is rounded to a whole number
    static constexpr float lowest = -105;     // exp is 0 there, as below
    static constexpr float q[] = {0.5f,          0.16666667f,   4.1666463e-2f,
                                  8.333286e-3f,  1.3933654e-3f, 1.9907585e-4f};
    static constexpr int mantissa = 23, bias = 127;
};

template <>
struct Exponential<double> {
    static constexpr double high = 0.6931467056274414, low = 4.7493250390316726e-07, per_ln2 = 1.4426950408889634;
    static constexpr double round = 6755399441055744;
    static constexpr double lowest = -746;
    static constexpr double q[] = {0.5,
                                   0.1666666666666667,
                                   0.041666666666666685,
                                   0.008333333333326134,
                                   0.0013888888888874398,
                                   0.0001984126987482399,
                                   2.480158734733946e-05,
                                   2.7557255396471e-06,
                                   2.7557252912472866e-07,
                                   2.510521838664829e-08,
                                   2.0921589370829142e-09};
    static constexpr int mantissa = 52, bias = 1023;
};

// c[0] + c[1] x + ...
template <class T, size_t count, size_t first = 0>
HG_INLINE Vec<T> polynomial(const T (&c)[count], Vec<T> x) {
    if constexpr (first + 1 == count)
        return splat(c[first]);
    else
        return fma(polynomial<T, count, first + 1>(c, x), x, splat(c[first]));
}

// 2^n (1 + part)
template <class T>
struct Power {
    Vec<T> n, part;
};

// v 2^n for whole n in [-4 bias / 3, 0], in two steps: 2^n alone may be below the smallest number.
template <class T>
HG_INLINE Vec<T> scaled(Vec<T> v, Vec<T> n) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4)
        return _mm512_maskz_scalef_ps(0xffff, v, n);
    else
        return _mm512_maskz_scalef_pd(0xff, v, n);
#else
    using E = Exponential<T>;
    typedef std::make_unsigned_t<std::conditional_t<sizeof(T) == 4, int32_t, int64_t>> Word
        __attribute__((vector_size(kVectorBytes)));
    const Word whole = (Word)(n + E::round) - (Word)splat(E::round);
    const Word half = ((whole + 4 * E::bias) >> 1) - 2 * E::bias;
    return v * (Vec<T>)((half + E::bias) << E::mantissa) * (Vec<T>)((whole - half + E::bias) << E::mantissa);
#endif
}

// exp(x + rest) for x in [-0.9 bias, 0] and a small rest; NaN for NaN.
template <class T>
HG_INLINE Power<T> power(Vec<T> x, Vec<T> rest) {
    using E = Exponential<T>;
    const Vec<T> n = fma(x, splat(E::per_ln2), splat(E::round)) - E::round;
    const Vec<T> r = fma(n, splat(-E::low), fma(n, splat(-E::high), x)) + rest;
    return {n, fma(r * r, polynomial<T>(E::q, r), r)};
}

// exp(x) for x <= 0
template <class T>
HG_INLINE Power<T> power(Vec<T> x) {
    return power<T>(x < Exponential<T>::lowest ? splat(Exponential<T>::lowest) : x, Vec<T>{});
}

template <class T>
HG_INLINE Vec<T> exponential(Vec<T> x) {
    const Power<T> p = power<T>(x);
    return scaled<T>(1 + p.part, p.n);
}

// exp(x) - 1, which keeps its digits near 0
template <class T>
HG_INLINE Vec<T> exponential_less_1(Vec<T> x) {
    const Power<T> p = power<T>(x);
    const Vec<T> scale = scaled<T>(splat(T(1)), p.n);
    return fma(p.part, scale, scale - 1);
}

}  // namespace handgrad::HANDGRAD_ISA
