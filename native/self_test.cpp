// The kernels against plain loops, without Python: for instruction sets that the tests in Python do not
// reach.  `make neon` compiles it for ARM and runs it.  Ends with status 1 where a result is wrong.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/conv.h"
#include "ops/norm.h"
#include "ops/product.h"
#include "ops/winograd.h"
#include "self_test.h"

namespace handgrad::self_test {

std::mt19937 generator(0);
int failures = 0, comparisons = 0;

}  // namespace handgrad::self_test

using namespace handgrad;
using namespace handgrad::self_test;

namespace {

// A result, summed in double, and the sum of the sizes of its terms.
struct Sum {
    double value = 0, size = 0;
    template <class A, class B>
    void add(A a, B b) {
        const double product = static_cast<double>(a) * static_cast<double>(b);
        value += product;
        size += std::abs(product);
    }
};

// limit: in units in the last place of the largest sum of sizes, as Winograd's results are right for a tile.
template <class T>
void compare(const char* what, const ConvSizes& s, const std::vector<T>& got, const std::vector<Sum>& expected,
             double limit) {
    double largest = 0, worst = 0;
    for (const Sum& sum : expected) largest = std::max(largest, sum.size);
    for (size_t i = 0; i < got.size(); ++i)
        worst = std::max(worst, std::abs(static_cast<double>(got[i]) - expected[i].value));
    if (worst > 0) worst /= largest * static_cast<double>(std::numeric_limits<T>::epsilon());  // of zeros nothing is off
    ++comparisons;
    if (worst <= limit) return;
    ++failures;
    std::printf("%s: off by %g eps, allowed %g (%s, N %d, C %d, F %d, %d x %d, stride %d)\n", what, worst, limit,
                sizeof(T) == 4 ? "float" : "double", static_cast<int>(s.N), static_cast<int>(s.C),
                static_cast<int>(s.F), static_cast<int>(s.HH), static_cast<int>(s.WW), static_cast<int>(s.stride_y));
}

template <class T>
void convolution(const ConvSizes& s, double limit) {
    const auto x = draw<T>(s.N * s.H * s.W * s.C), w = draw<T>(s.F * s.C * s.HH * s.WW), b = draw<T>(s.F),
               dout = draw<T>(s.N * s.OH * s.OW * s.F);
    std::vector<T> out(dout.size()), dx(x.size()), dw(w.size()), db(b.size());
    conv_forward<T>(s, x.data(), w.data(), {out.data(), b.data()});
    conv_backward<T>(s, {dout.data()}, x.data(), w.data(), {dx.data(), dw.data(), db.data()});

    std::vector<Sum> out_sum(out.size()), dx_sum(dx.size()), dw_sum(dw.size()), db_sum(db.size());
    for (int64_t o = 0; o < s.N * s.OH * s.OW; ++o) {
        const int64_t n = o / (s.OH * s.OW), i = o / s.OW % s.OH, j = o % s.OW;
        for (int64_t f = 0; f < s.F; ++f) {
            const size_t at = static_cast<size_t>(o * s.F + f);
            out_sum[at].add(b[static_cast<size_t>(f)], 1);
            db_sum[static_cast<size_t>(f)].add(dout[at], 1);
            for (int64_t c = 0; c < s.C; ++c)
                for (int64_t u = 0; u < s.HH; ++u)
                    for (int64_t v = 0; v < s.WW; ++v) {
                        const int64_t y = i * s.stride_y + u - s.pad_y, z = j * s.stride_x + v - s.pad_x;
                        if (y < 0 || y >= s.H || z < 0 || z >= s.W) continue;
                        const auto pixel = static_cast<size_t>(((n * s.H + y) * s.W + z) * s.C + c);
                        const auto weight = static_cast<size_t>(((f * s.C + c) * s.HH + u) * s.WW + v);
                        out_sum[at].add(x[pixel], w[weight]);
                        dx_sum[pixel].add(dout[at], w[weight]);
                        dw_sum[weight].add(dout[at], x[pixel]);
                    }
        }
    }
    compare("conv forward", s, out, out_sum, limit);
    compare("conv dx", s, dx, dx_sum, limit);
    compare("conv dw", s, dw, dw_sum, limit);
    compare("conv db", s, db, db_sum, limit);
}

void same(const char* what, const ConvSizes& s, const std::vector<float>& got, const std::vector<float>& expected) {
    ++comparisons;
    if (got == expected) return;
    ++failures;
    std::printf("%s: not the same at once and one by one (N %d, C %d, F %d)\n", what, static_cast<int>(s.N),
                static_cast<int>(s.C), static_cast<int>(s.F));
}

// Convolution and 2 x 2 pooling at once, against one by one.
void pooled_convolution(const ConvSizes& s) {
    const auto x = draw<float>(s.N * s.H * s.W * s.C), w = draw<float>(s.F * s.C * s.HH * s.WW), b = draw<float>(s.F),
               dout = draw<float>(s.N * (s.OH / 2) * (s.OW / 2) * s.F);
    std::vector<float> y(static_cast<size_t>(s.N * s.OH * s.OW * s.F)), dy(y.size());
    conv_forward<float>(s, x.data(), w.data(), {y.data(), b.data()});
    for (bool rectify : {false, true}) {
        std::vector<float> out(dout.size()), expected(out.size()), dx(x.size()), dw(w.size()), db(b.size());
        std::vector<uint8_t> places(out.size());
        conv_forward<float>(s, x.data(), w.data(), {out.data(), b.data(), places.data(), rectify});
        conv_backward<float>(s, {dout.data(), places.data()}, x.data(), w.data(), {dx.data(), dw.data(), db.data()});
        std::fill(dy.begin(), dy.end(), 0.0f);
        for (int64_t o = 0; o < static_cast<int64_t>(out.size()); ++o) {
            const int64_t f = o % s.F, j = o / s.F % (s.OW / 2), i = o / s.F / (s.OW / 2) % (s.OH / 2);
            const int64_t n = o / s.F / (s.OW / 2) / (s.OH / 2);
            size_t best = 0;
            for (int64_t k = 0; k < 4; ++k) {
                const auto at = static_cast<size_t>(((n * s.OH + 2 * i + k / 2) * s.OW + 2 * j + k % 2) * s.F + f);
                if (k == 0 || y[at] > y[best]) best = at;
            }
            const auto here = static_cast<size_t>(o);
            expected[here] = rectify ? std::max(y[best], 0.0f) : y[best];
            if (!rectify || y[best] > 0) dy[best] = dout[here];
        }
        same("conv pool forward", s, out, expected);
        std::vector<float> dx_of_all(dx.size()), dw_of_all(dw.size());
        conv_backward<float>(s, {dy.data()}, x.data(), w.data(), {dx_of_all.data(), dw_of_all.data(), nullptr});
        same("conv pool dx", s, dx, dx_of_all);
        same("conv pool dw", s, dw, dw_of_all);
        std::vector<Sum> db_sum(db.size());
        for (size_t at = 0; at < dy.size(); ++at) db_sum[at % db.size()].add(dy[at], 1);
        compare("conv pool db", s, db, db_sum, 4);
    }
}

template <class T>
void product(int64_t rows, int64_t depth, int64_t columns) {
    const auto a = draw<T>(rows * depth), b = draw<T>(depth * columns), bias = draw<T>(columns);
    const ConvSizes sizes{rows, depth, 0, 0, columns, 1, 1, 1, 1, 0, 0, 0, 0};
    for (bool turned : {false, true}) {  // whether b's columns, or its rows, are runs of memory
        std::vector<T> c(static_cast<size_t>(rows * columns));
        const RightFactor<T> right(b.data(), turned ? 1 : columns, turned ? depth : 1, depth, columns, rows);
        multiply<T>(RowMatrix<T>(a.data(), depth), right, rows, bias.data(), c.data(), columns);
        std::vector<Sum> sums(c.size());
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t j = 0; j < columns; ++j) {
                Sum& sum = sums[static_cast<size_t>(i * columns + j)];
                sum.add(bias[static_cast<size_t>(j)], 1);
                for (int64_t k = 0; k < depth; ++k)
                    sum.add(a[static_cast<size_t>(i * depth + k)],
                            b[static_cast<size_t>(turned ? j * depth + k : k * columns + j)]);
            }
        compare("product", sizes, c, sums, 4);
    }
}

template <class T>
void normalisation(int64_t rows, int64_t channels) {
    const auto x = draw<T>(rows * channels);
    const auto C = static_cast<size_t>(channels);
    std::vector<T> mean(C), variance(C), out(x.size()), inv_std(C, 2), scale(C, 3), shift(C, -1);
    batch_moments(x.data(), rows, channels, mean.data(), variance.data());
    const Affine<T> map{mean.data(), inv_std.data(), scale.data(), shift.data(), true};
    normalise(map, x.data(), rows, channels, out.data());
    std::vector<Sum> means(C), variances(C), outs(x.size());
    const double share = 1.0 / static_cast<double>(rows);
    for (size_t i = 0; i < x.size(); ++i) means[i % C].add(x[i], share);
    for (size_t i = 0; i < x.size(); ++i) {
        const double from_mean = static_cast<double>(x[i]) - means[i % C].value;
        variances[i % C].add(from_mean * from_mean, share);
        outs[i].add(std::max(0.0, 3 * from_mean - 1), 1);
    }
    const ConvSizes sizes{rows, channels, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0};
    compare("mean", sizes, mean, means, 4);
    compare("variance", sizes, variance, variances, 16);
    compare("normalise", sizes, out, outs, 8);
}

struct Point {
    double value, slope;
};

// Value and slope of an activation, by the C library in double.
Point formula(Curve curve, double x, double alpha) {
    const double pi = 3.14159265358979323846, z = std::exp(-x), sigmoid = 1 / (1 + z);
    const double u = 2 * std::sqrt(2 / pi) * (x + 0.044715 * x * x * x), e = std::exp(-std::abs(u));
    const double gate = (u < 0 ? e : 1) / (1 + e), normal = std::erfc(-x / std::sqrt(2.0)) / 2;
    switch (curve) {
        case kSigmoid: return {sigmoid, z * sigmoid * sigmoid};
        case kTanh: return {std::tanh(x), 1 / (std::cosh(x) * std::cosh(x))};
        case kGelu: return {x * normal, normal + x * std::exp(-x * x / 2) / std::sqrt(2 * pi)};
        case kGeluTanh:
            return {x * gate, gate + x * e / ((1 + e) * (1 + e)) * 2 * std::sqrt(2 / pi) * (1 + 3 * 0.044715 * x * x)};
        default: return x > 0 ? Point{x, 1} : Point{alpha * std::expm1(x), alpha * std::exp(x)};
    }
}

// Errors relative to each number, but for slopes that are the difference of two larger ones.
template <class T>
void curves(int64_t count) {
    std::vector<T> x(static_cast<size_t>(count)), dout(x.size(), 2), out(x.size()), dx(x.size());
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(static_cast<double>(i) * 18 / static_cast<double>(count) - 9);
    for (int kind = 0; kind < kCurves; ++kind) {
        const auto& kernel = kernels<T>().curves;
        kernel.forward[kind](x.data(), 2, count, out.data());
        kernel.backward[kind](dout.data(), x.data(), 2, count, dx.data());
        for (size_t i = 0; i < x.size(); ++i) {
            const Point y = formula(static_cast<Curve>(kind), x[i], 2);
            const double size = std::max(std::abs(y.slope), std::abs(y.slope - y.value / x[i]));
            const double limit = 8 * static_cast<double>(std::numeric_limits<T>::epsilon()) + 1e-13;
            ++comparisons;
            if (std::abs(out[i] - y.value) <= limit * std::abs(y.value) && std::abs(dx[i] / 2 - y.slope) <= limit * size)
                continue;
            ++failures;
            std::printf("activation %d at %g: %g and %g, not %g and %g\n", kind, static_cast<double>(x[i]),
                        static_cast<double>(out[i]), static_cast<double>(dx[i] / 2), y.value, y.slope);
        }
    }
}

ConvSizes sizes_of(int64_t N, int64_t C, int64_t H, int64_t W, int64_t F, int64_t size, int64_t stride, int64_t pad) {
    return {N, C, H, W, F, size, size, stride, stride, pad, pad, window_count(H, size, stride, pad),
            window_count(W, size, stride, pad)};
}

template <class T>
void everything() {
    for (const ConvSizes& s : {sizes_of(2, 3, 9, 8, 16, 3, 1, 1), sizes_of(1, 17, 7, 9, 33, 3, 1, 1),
                               sizes_of(2, 5, 11, 10, 7, 5, 2, 2), sizes_of(2, 1, 6, 5, 9, 3, 1, 0),
                               sizes_of(3, 40, 4, 4, 20, 1, 1, 0), sizes_of(1, 3, 12, 12, 8, 7, 3, 3)}) {
        set_conv_mode(ConvMode::kExact);
        convolution<T>(s, 4);
        set_conv_mode(ConvMode::kFast);
        // Limits by trial: 40,500 results of such draws, over three instruction sets, were off by at most 2.2, 10.3 and
        // 22.4.  The theorem of forward errors allows these draws 85, 670 and 2,290 at least: see
        // tests/engines/test_native_winograd_bound.py.
        for (auto [tile, limit] : {std::pair{2, 4.0}, {4, 16.0}, {8, 32.0}}) {
            set_winograd_tile(tile);
            convolution<T>(s, limit);
            if (std::is_same_v<T, float> && s.stride_y == 1 && s.stride_x == 1 && s.OH > 1 && s.OW > 1) pooled_convolution(s);
        }
        set_winograd_tile(0);
    }
    product<T>(1, 9, 70);
    product<T>(50, 1100, 37);
    product<T>(200, 33, 130);
    normalisation<T>(2, 3);
    normalisation<T>(600, 37);
    curves<T>(7);
    curves<T>(1801);
    plans<T>();
}

}  // namespace

int main() {
    for (const char* const* name = isa_names(); *name; ++name) {
        choose_isa(*name);
        generator.seed(0);  // the same numbers for each
        for (int threads : {1, 3}) {
            set_thread_count(threads);
            everything<float>();
            everything<double>();
            halves();
        }
        std::printf("%s: %d of %d comparisons failed\n", *name, failures, comparisons);
    }
    return failures > 0;
}
