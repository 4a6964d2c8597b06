// Smooth activations and their slopes, and the exponentials of softmax, to a few units in the last place at
// every size of x, tails included.
//
// What is subtracted from 1 is never nearly 1, and 2^n is put on last (see exponential.h).  Inside the last
// vector, lanes behind the end compute with zeros: each number has the same result wherever it lies.
#include "kernels/exponential.h"
#include "kernels/table.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

template <class T>
HG_INLINE Vec<T> magnitude(Vec<T> x) {
    return (Vec<T>)((Bits<T>)x & ~(Bits<T>)splat(T(-0.0)));
}

template <class T>
HG_INLINE Vec<T> at_most(Vec<T> x, T most) {
    return splat(most) < x ? splat(most) : x;  // NaN stays
}

// Curves: value(x, alpha) and slope(x, alpha), its derivative.  x * 0 is NaN for infinite x: the terms of GELU
// there are infinity times a gate that is shut.

struct Sigmoid {
    // z = exp(-|x|)
    template <class T>
    HG_INLINE Vec<T> value(Vec<T> x, T) {
        const Vec<T> z = exponential<T>(-magnitude<T>(x));
        return (x < 0 ? z : splat(T(1))) / (1 + z);
    }
    template <class T>
    HG_INLINE Vec<T> slope(Vec<T> x, T) {
        const Vec<T> z = exponential<T>(-magnitude<T>(x));
        return z / ((1 + z) * (1 + z));
    }
};

struct Tanh {
    template <class T>
    HG_INLINE Vec<T> value(Vec<T> x, T) {
        const Vec<T> z_less_1 = exponential_less_1<T>(-2 * magnitude<T>(x));
        const Vec<T> size = z_less_1 / (-2 - z_less_1);
        return (Vec<T>)((Bits<T>)size | ((Bits<T>)x & (Bits<T>)splat(T(-0.0))));
    }
    template <class T>
    HG_INLINE Vec<T> slope(Vec<T> x, T alpha) {
        return 4 * Sigmoid::slope<T>(2 * x, alpha);
    }
};

struct Elu {
    template <class T>
    HG_INLINE Vec<T> value(Vec<T> x, T alpha) {
        return x > 0 ? x : alpha * exponential_less_1<T>(x > 0 ? Vec<T>{} : x);
    }
    template <class T>
    HG_INLINE Vec<T> slope(Vec<T> x, T alpha) {
        return x > 0 ? splat(T(1)) : alpha * exponential<T>(x > 0 ? Vec<T>{} : x);
    }
};

// For a = |x|, Phi(-a) = exp(-a^2 / 2) g(a), where (a + k) g(a) is a polynomial in a / (a + k).
template <class T>
struct Normal;
template <>
struct Normal<float> {
    static constexpr float most = 15;  // exp(-a^2 / 2) is 0 there, as beyond
    static constexpr float k = 2.5f;
    static constexpr float g[] = {1.25f,         -1.243391f,    0.1695414f,     0.29296377f,   4.7319483e-2f, -0.11088426f,
                                  3.3623163e-2f, -0.14076325f,  0.10771606f,    1.4986655e-2f, -2.2185057e-2f};
};
template <>
struct Normal<double> {
    static constexpr double most = 39;
    static constexpr double k = 4;
    static constexpr double g[] = {2.0,
                                   -4.383076486422881,
                                   5.23384702714649,
                                   -3.192304052973375,
                                   0.2953956561680908,
                                   0.7160334223767025,
                                   -0.12032425573544875,
                                   -0.2177772943926709,
                                   -0.002692458762481573,
                                   0.07515492632806665,
                                   0.0018966088116861186,
                                   0.07412325085289384,
                                   -0.286661092639681,
                                   0.6552559230952372,
                                   -1.269252136625659,
                                   1.9599559131469297,
                                   -2.3603199246158395,
                                   2.201965067420278,
                                   -1.548738194814153,
                                   0.7840643446832684,
                                   -0.2670906958488009,
                                   0.05450662572671796,
                                   -0.005019892514810965};
};

struct Gelu {
    template <class T>
    struct Tail {
        Vec<T> a, g, mantissa, n;  // Phi(-a) is g mantissa 2^n
    };
    template <class T>
    HG_INLINE Tail<T> tail(Vec<T> x) {
        const Vec<T> a = at_most<T>(magnitude<T>(x), Normal<T>::most);
        const Vec<T> b = a * T(-0.5), exponent = a * b;
        const Power<T> p = power<T>(exponent, product_rest(a, b, exponent));
        const Vec<T> share = 1 / (a + Normal<T>::k);
        return {a, share * polynomial<T>(Normal<T>::g, a * share), 1 + p.part, p.n};
    }
    template <class T>
    HG_INLINE Vec<T> value(Vec<T> x, T) {
        const Tail<T> y = tail<T>(x);
        const Vec<T> missing = scaled<T>(y.a * y.g * y.mantissa, y.n);  // from max(x, 0)
        return (x < 0 ? x * 0 : x) - missing;
    }
    template <class T>
    HG_INLINE Vec<T> slope(Vec<T> x, T) {
        const Tail<T> y = tail<T>(x);
        const Vec<T> below = scaled<T>((y.g - y.a * T(0.39894228040143267794)) * y.mantissa, y.n);  // at -a
        return fma(x, Vec<T>{}, x < 0 ? below : 1 - below);
    }
};

// The gate is sigmoid(u), u = c0 x + c1 x^3; each constant with what its rounding leaves.
template <class T>
struct Cubic;
template <>
struct Cubic<float> {
    static constexpr float most = 11;  // exp(-u) is 0 there, as beyond
    static constexpr float c0 = 1.5957692f, c0_rest = -4.534068e-08f, c1 = 7.1354814e-2f, c1_rest = 2.3988325e-09f;
};
template <>
struct Cubic<double> {
    static constexpr double most = 22;
    static constexpr double c0 = 1.5957691216057308, c0_rest = -9.96930880911092e-17, c1 = 0.07135481627260025,
                            c1_rest = -6.175149918155315e-19;
};

struct GeluTanh {
    template <class T>
    struct Gate {
        Vec<T> a, mantissa, n, share;  // exp(-u) is mantissa 2^n at a = |x|, share is 1 / (1 + exp(-u))
    };
    // An error of u is one of exp(-u) relative to it: u is a sum of two numbers.
    template <class T>
    HG_INLINE Gate<T> gate(Vec<T> x) {
        using C = Cubic<T>;
        const Vec<T> a = at_most<T>(magnitude<T>(x), C::most), c1 = splat(C::c1);
        const Vec<T> square = a * a, term = c1 * square, factor = term + C::c0;
        const Vec<T> term_rest = fma(c1, product_rest(a, a, square), square * C::c1_rest) + product_rest(c1, square, term);
        const Vec<T> c0_part = factor - term, factor_rest = (term - (factor - c0_part)) + (C::c0 - c0_part);
        const Vec<T> b = -a, exponent = b * factor;
        const Vec<T> rest = fma(b, factor_rest + (term_rest + C::c0_rest), product_rest(b, factor, exponent));
        const Power<T> p = power<T>(exponent, rest);
        const Vec<T> mantissa = 1 + p.part;
        return {a, mantissa, p.n, 1 / (1 + scaled<T>(mantissa, p.n))};
    }
    template <class T>
    HG_INLINE Vec<T> value(Vec<T> x, T) {
        const Gate<T> y = gate<T>(x);
        const Vec<T> size = (x < 0 ? y.a * y.mantissa : x) * y.share;
        return x < 0 ? x * 0 - scaled<T>(size, y.n) : size;
    }
    // With h = a u'(a) share, the slope is (1 + z h) share at a, and z (1 - h) share at -a.
    template <class T>
    HG_INLINE Vec<T> slope(Vec<T> x, T) {
        const Gate<T> y = gate<T>(x);
        const Vec<T> h = y.a * fma(y.a * y.a, splat(3 * Cubic<T>::c1), splat(Cubic<T>::c0)) * y.share;
        const Vec<T> below = scaled<T>(y.mantissa * (1 - h) * y.share, y.n);
        const Vec<T> above = (1 + scaled<T>(y.mantissa * h, y.n)) * y.share;
        return fma(x, Vec<T>{}, x < 0 ? below : above);
    }
};

// out[i] = map(vectors that `from` reads at i)
template <class T, class Map, class... From>
HG_INLINE void map_all(int64_t n, T* out, Map map, const From*... from) {
    int64_t i = 0;
    for (; i + kLanes<T> <= n; i += kLanes<T>) store<T>(out + i, map(load<T>(from + i)...));
    if (i < n) store_some<T>(out + i, map(load_some<T>(from + i, n - i)...), n - i);
}

template <class T, class Curve>
void forward(const T* x, T alpha, int64_t n, T* out) {
    map_all<T>(n, out, [=](Vec<T> v) { return Curve::template value<T>(v, alpha); }, x);
}

template <class T, class Curve>
void backward(const T* dout, const T* x, T alpha, int64_t n, T* dx) {
    map_all<T>(n, dx, [=](Vec<T> u, Vec<T> v) { return u * Curve::template slope<T>(v, alpha); }, dout, x);
}

template <class T>
void exponentials(const T* x, T largest, int64_t n, T* out) {
    map_all<T>(n, out, [=](Vec<T> v) { return exponential<T>(v - largest); }, x);
}

template <class T>
CurveKernels<T> table() {
    return {{forward<T, Sigmoid>, forward<T, Tanh>, forward<T, Gelu>, forward<T, GeluTanh>, forward<T, Elu>},
            {backward<T, Sigmoid>, backward<T, Tanh>, backward<T, Gelu>, backward<T, GeluTanh>, backward<T, Elu>},
            exponentials<T>};
}

}  // namespace

void fill(CurveKernels<float>& kernels) { kernels = table<float>(); }
void fill(CurveKernels<double>& kernels) { kernels = table<double>(); }

}  // namespace handgrad::HANDGRAD_ISA
