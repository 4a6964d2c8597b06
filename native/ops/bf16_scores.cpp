#include "ops/bf16_scores.h"

#include <algorithm>
#include <cmath>

#include "core/threads.h"
#include "ops/bf16_windows.h"
#include "ops/norm.h"

namespace handgrad {
namespace {

// What the weights of each row are multiplied with, and what is added to its sums.
struct Folded {
    Folded(const GivenWeights& given, int64_t rows) : scale(rows), shift(rows) {
        for (int64_t i = 0; i < rows; ++i) {
            const double bias = given.b ? static_cast<double>(given.b[i]) : 0;
            double factor = 1, mean = 0, beta = 0;
            if (given.norm) {
                factor = static_cast<double>(given.norm->gamma[i]) / std::sqrt(static_cast<double>(given.norm->variance[i]) + given.norm->eps);
                mean = static_cast<double>(given.norm->mean[i]);
                beta = static_cast<double>(given.norm->beta[i]);
            }
            scale.get()[i] = static_cast<float>(factor);
            shift.get()[i] = static_cast<float>((bias - mean) * factor + beta);
        }
    }
    Scratch<float> scale, shift;
};

// max(0, x) in place; a NaN stays.
void rectify(Bf16* x, int64_t n) {
    constexpr uint16_t kMinusZero = 0x8000, kMinusInfinity = 0xff80;
    for_chunks(n, [&](int64_t at, int64_t count) {
        for (int64_t i = at; i < at + count; ++i)
            x[i].bits = x[i].bits > kMinusZero && x[i].bits <= kMinusInfinity ? 0 : x[i].bits;
    });
}

}  // namespace

void ConvScores::take(const GivenWeights& given) {
    const int64_t size = times(s_.C / s_.groups, s_.HH, s_.WW);
    Folded folded(given, s_.F);
    Scratch<float> w(times(s_.F, size));
    parallel(s_.F, [&](int64_t f, int) {
        const float* from = given.w + f * size;
        float* to = w.get() + f * size;
        for (int64_t i = 0; i < size; ++i) to[i] = from[i] * folded.scale.get()[f];
    });
    w_ = std::move(w);
    b_ = std::move(folded.shift);
    filters_.reset();
    transformed_.forget();
}

// Returns false where another algorithm is to compute.
bool ConvScores::by_winograd(const Bf16* x, Bf16* out) {
    if (conv_mode() != ConvMode::kFast || s_.groups > 1 || (pool_ && (s_.OH < 2 || s_.OW < 2))) return false;
    Scratch<uint8_t> places(pool_ ? times(s_.N, s_.OH / 2, s_.OW / 2, s_.F) : 0);
    const Sink<Bf16> to{out, b_.get(), pool_ ? places.get() : nullptr, rectify_};
    if (!winograd_forward(s_, Source<Bf16>{x}, w_.get(), to, &transformed_)) return false;
    if (rectify_ && !pool_) rectify(out, times(s_.N, s_.OH, s_.OW, s_.F));
    return true;
}

void ConvScores::run(const Bf16* x, Bf16* out) {
    if (by_winograd(x, out)) return;
    const int64_t count = times(s_.N, s_.OH, s_.OW, s_.F);
    Scratch<Bf16> images(pool_ ? count : 0);
    Bf16* to = pool_ ? images.get() : out;
    if (s_.groups == 1) {
        if (!filters_) filters_.emplace(pack_windows(s_, w_.get()));
        windows_forward(s_, x, *filters_, {to, b_.get(), nullptr, rectify_});
    } else {
        conv_forward(s_, x, w_.get(), Sink<Bf16>{to, b_.get()});
        if (rectify_) rectify(to, count);
    }
    if (!pool_) return;
    const PoolSizes sizes{s_.N, s_.F, s_.OH, s_.OW, 2, 2, 2, 2, s_.OH / 2, s_.OW / 2};
    Scratch<uint8_t> index(times(s_.N, s_.OH / 2, s_.OW / 2, s_.F));
    max_pool_forward<Bf16>(sizes, nullptr, rectify_, to, out, nullptr, index.get());
}

void AffineScores::take(const GivenWeights& given) {
    Folded folded(given, columns_);
    Scratch<float> w(times(depth_, columns_));
    parallel(depth_, [&](int64_t k, int) {
        const float* from = given.w + k * columns_;
        float* to = w.get() + k * columns_;
        for (int64_t j = 0; j < columns_; ++j) to[j] = from[j] * folded.scale.get()[j];
    });
    factor_.reset();
    factor_.emplace(pack_factor({w.get(), columns_, 1}, depth_, columns_));
    b_ = std::move(folded.shift);
}

}  // namespace handgrad
