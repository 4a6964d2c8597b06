// Products and convolutions of bf16 against plain loops.
#include <cmath>
#include <cstdio>
#include <cstring>

#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/bf16_conv.h"
#include "ops/bf16_product.h"
#include "self_test.h"

namespace handgrad::self_test {
namespace {

constexpr double kUnit = 1.0 / (1 << 24), kHalfUnit = 1.0 / (1 << 8);

// A result in double, the sum of the sizes of its terms, and their number.
struct Sum {
    double value = 0, size = 0;
    int64_t count = 0;
    void add(double product) { value += product, size += std::abs(product), ++count; }
    // What float32 sums in any order, rounded once more where the result is bf16, may be off by.
    double limit(bool is_half) const {
        const double n = static_cast<double>(count + 2), sums = n * kUnit / (1 - n * kUnit) * size;
        return is_half ? sums + kHalfUnit * (std::abs(value) + sums) : sums;
    }
};

double wide(Bf16 x) { return static_cast<double>(to_float(x)); }
double wide(float x) { return static_cast<double>(x); }

std::vector<Bf16> halves(const std::vector<float>& x) {
    std::vector<Bf16> rounded(x.size());
    to_bf16(x.data(), static_cast<int64_t>(x.size()), rounded.data());
    return rounded;
}

template <class T>
void compare(const char* what, const std::vector<T>& got, const std::vector<Sum>& expected) {
    ++comparisons;
    for (size_t i = 0; i < got.size(); ++i) {
        const double off = std::abs(wide(got[i]) - expected[i].value), limit = expected[i].limit(sizeof(T) == 2);
        if (off <= limit) continue;
        ++failures;
        std::printf("bf16 %s by %s: number %d is off by %g, allowed %g\n", what, bf16_kernels().name, static_cast<int>(i), off, limit);
        return;
    }
}

void numbers() {
    ++comparisons;
    std::vector<float> x;
    for (int64_t bits = 0; bits < int64_t{1} << 32; bits += 65521) {
        const auto low = static_cast<uint32_t>(bits);
        float number;
        std::memcpy(&number, &low, sizeof number);
        x.push_back(number);
    }
    const std::vector<Bf16> found = halves(x);
    std::vector<float> back(x.size());
    to_float(found.data(), static_cast<int64_t>(found.size()), back.data());
    for (size_t i = 0; i < x.size(); ++i) {
        const float again = to_float(found[i]);
        if (found[i].bits == to_bf16(x[i]).bits && std::memcmp(&again, &back[i], sizeof again) == 0) continue;
        ++failures;
        std::printf("bf16: %g is rounded to %g\n", static_cast<double>(x[i]), wide(found[i]));
        return;
    }
}

void product(int64_t rows, int64_t depth, int64_t columns) {
    const auto full = draw<float>(rows * depth), b = draw<float>(depth * columns), bias = draw<float>(columns);
    const std::vector<Bf16> a = halves(full), rounded = halves(b);
    for (bool turned : {false, true}) {  // whether the columns of A, and the rows of B, are runs of memory
        std::vector<float> c(static_cast<size_t>(rows * columns));
        std::vector<Bf16> half(c.size());
        const Bf16Factor left(a.data(), turned ? 1 : depth, turned ? rows : 1);
        const Bf16Factor right(b.data(), turned ? 1 : columns, turned ? depth : 1);
        multiply(left, right, rows, depth, columns, {c.data(), columns, bias.data()});
        multiply(left, right, rows, depth, columns, {half.data(), columns, bias.data()});
        std::vector<Sum> sums(c.size());
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t j = 0; j < columns; ++j) {
                Sum& sum = sums[static_cast<size_t>(i * columns + j)];
                sum.add(wide(bias[static_cast<size_t>(j)]));
                for (int64_t k = 0; k < depth; ++k)
                    sum.add(wide(a[static_cast<size_t>(turned ? k * rows + i : i * depth + k)]) *
                            wide(rounded[static_cast<size_t>(turned ? j * depth + k : k * columns + j)]));
            }
        compare("product", c, sums);
        compare("product in bf16", half, sums);
    }
}

// Without Winograd's algorithm, whose weights are not rounded.
void convolution(const ConvSizes& s) {
    const auto w = draw<float>(s.F * s.C * s.HH * s.WW), b = draw<float>(s.F);
    const std::vector<Bf16> x = halves(draw<float>(s.N * s.H * s.W * s.C)), weights = halves(w);
    const std::vector<Bf16> dout = halves(draw<float>(s.N * s.OH * s.OW * s.F));
    std::vector<Bf16> out(dout.size()), dx(x.size());
    std::vector<float> dw(w.size()), db(b.size());
    set_conv_mode(ConvMode::kExact);
    conv_forward(s, x.data(), w.data(), Sink<Bf16>{out.data(), b.data()});
    conv_backward(s, Source<Bf16>{dout.data()}, x.data(), w.data(), ConvGradients<Bf16>{dx.data(), dw.data(), db.data()});
    set_conv_mode(ConvMode::kFast);
    std::vector<Sum> out_sum(out.size()), dx_sum(dx.size()), dw_sum(dw.size()), db_sum(db.size());
    for (int64_t o = 0; o < s.N * s.OH * s.OW; ++o) {
        const int64_t n = o / (s.OH * s.OW), i = o / s.OW % s.OH, j = o % s.OW;
        for (int64_t f = 0; f < s.F; ++f) {
            const auto at = static_cast<size_t>(o * s.F + f);
            out_sum[at].add(wide(b[static_cast<size_t>(f)]));
            db_sum[static_cast<size_t>(f)].add(wide(dout[at]));
            for (int64_t c = 0; c < s.C; ++c)
                for (int64_t t = 0; t < s.HH * s.WW; ++t) {
                    const int64_t y = i * s.stride_y + t / s.WW - s.pad_y, z = j * s.stride_x + t % s.WW - s.pad_x;
                    if (y < 0 || y >= s.H || z < 0 || z >= s.W) continue;
                    const auto pixel = static_cast<size_t>(((n * s.H + y) * s.W + z) * s.C + c);
                    const auto weight = static_cast<size_t>((f * s.C + c) * s.HH * s.WW + t);
                    out_sum[at].add(wide(x[pixel]) * wide(weights[weight]));
                    dx_sum[pixel].add(wide(dout[at]) * wide(weights[weight]));
                    dw_sum[weight].add(wide(dout[at]) * wide(x[pixel]));
                }
        }
    }
    compare("conv forward", out, out_sum);
    compare("conv dx", dx, dx_sum);
    compare("conv dw", dw, dw_sum);
    compare("conv db", db, db_sum);
}

ConvSizes sizes_of(int64_t N, int64_t C, int64_t H, int64_t W, int64_t F, int64_t size, int64_t stride, int64_t pad) {
    return {N, C, H, W, F, size, size, stride, stride, pad, pad, window_count(H, size, stride, pad),
            window_count(W, size, stride, pad)};
}

}  // namespace

void halves() {
    for (const char* const* name = bf16_names(); *name; ++name) {
        choose_bf16(*name);
        numbers();
        product(1, 9, 70);
        product(50, 290, 37);
        product(200, 33, 130);
        for (const ConvSizes& s : {sizes_of(2, 3, 9, 8, 16, 3, 1, 1), sizes_of(1, 33, 5, 16, 20, 3, 1, 1),
                                   sizes_of(2, 5, 11, 10, 7, 5, 2, 2), sizes_of(1, 32, 3, 32, 33, 1, 1, 0)})
            convolution(s);
    }
    choose_bf16(bf16_names()[0]);
}

}  // namespace handgrad::self_test
