#include "ops/stem.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/buffers.h"
#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/patches.h"
#include "ops/product.h"

namespace handgrad {
namespace {

constexpr int64_t kLongest = 32;  // numbers of a filter
constexpr int64_t kImages = 4;    // of a task
constexpr int64_t kSumTasks = 32;  // wanted, of pooled_gradients
constexpr int64_t kBandRows = 8;   // rows of windows of a band
constexpr int64_t kWidest = 1 << 17;  // numbers of a padded row
constexpr int64_t kPooledChannels = 8, kLongestPooled = 256, kLargestBand = 1 << 22;  // without batch norm

// A padded image, or a band of one: rows of `line` numbers, and as many behind the last as a kernel may read.
struct Bands {
    explicit Bands(const ConvSizes& s) : line((s.W + 2 * s.pad_x) * s.C), slack(8 * s.C + std::max(kLongest, s.WW * s.C)) {}
    int64_t line, slack;
    template <class T>
    Scratch<T> make(int64_t rows, int64_t many = thread_count()) const {
        const int64_t count = times(many, size(rows));
        Scratch<T> made(count);
        std::fill_n(made.get(), count, T(0));
        return made;
    }
    int64_t size(int64_t rows) const { return plus(times(rows, line), slack); }
};

StemSizes stem_sizes(const ConvSizes& s, int64_t line) {
    return {s.OW / 2, s.HH, s.WW * s.C, s.C, line, s.F};
}

// Filter f at [k][f], k = (y, x, c).
template <class T>
Scratch<T> filter_matrix(const ConvSizes& s, const float* w) {
    return filter_columns<T>(s.F, s.C, s.HH * s.WW, w);
}

// mean(P) and C.  Row r of a padded image meets rows r .. r + HH - 1.  The pair (r, r + d) belongs to the runs
// (u, u + d) of the patches with r - OH < u <= r.  These are all u, but for the first and last HH - 1 rows,
// which have sums of their own.
void patch_moments(const ConvSizes& s, const float* x, double* mean, double* covariance) {
    const auto& kernel = kernels<float>().stem;
    const int64_t run = s.WW * s.C, K = s.HH * run, side = round_up(run, kernel.products_side);
    const int64_t rows = s.OH + s.HH - 1, edge = s.HH - 1, slots = 2 * edge + 1;
    const int64_t block = (run + s.C) * side, slot_size = s.HH * block + side, size = slots * slot_size;
    const Bands bands(s);
    const int64_t tasks = ceil_div(s.N, kImages);
    const bool few = tasks <= thread_count();  // then memory is the tasks', not the threads'
    const int64_t many = few ? tasks : thread_count();
    Scratch<double> images = bands.make<double>(rows, many);
    Scratch<float> lines = bands.make<float>(rows, many);
    Scratch<double> parts(times(tasks, size));

    const auto slot_of = [&](int64_t r) { return r < edge ? r : r >= s.OH ? edge + r - s.OH : 2 * edge; };
    parallel(tasks, [&](int64_t task, int worker) {
        double* part = parts.get() + task * size;
        std::fill_n(part, size, 0.0);
        const int64_t place = few ? task : worker;
        double* image = images.get() + place * bands.size(rows);
        float* narrow = lines.get() + place * bands.size(rows);
        for (int64_t n = task * kImages; n < std::min(s.N, (task + 1) * kImages); ++n) {
            copy_band(s, x + n * s.H * s.W * s.C, -s.pad_y, rows, narrow);
            std::copy_n(narrow, rows * bands.line, image);
            for (int64_t r = 0; r < rows; ++r) {
                double* slot = part + slot_of(r) * slot_size;
                for (int64_t d = 0; d < s.HH && r + d < rows; ++d)
                    kernel.products(s.OW, run, s.C, image + r * bands.line, image + (r + d) * bands.line, side,
                                    slot + d * block, d == 0 ? slot + s.HH * block : nullptr);
            }
        }
    });
    for (int64_t task = 1; task < tasks; ++task)
        for (int64_t i = 0; i < size; ++i) parts.get()[i] += parts.get()[task * size + i];

    // The sum of number `at` of all slots that belong to run u.
    const auto total = [&](int64_t u, int64_t at) {
        double sum = parts.get()[2 * edge * slot_size + at];
        const auto add = [&](int64_t r) {
            if (u <= r && r < u + s.OH) sum += parts.get()[slot_of(r) * slot_size + at];
        };
        for (int64_t r = 0; r < edge; ++r) add(r);
        for (int64_t r = std::max(edge, s.OH); r < rows; ++r) add(r);
        return sum;
    };
    const double pixels = static_cast<double>(s.N * s.OH * s.OW);
    Scratch<double> sums(run * run);
    for (int64_t u = 0; u < s.HH; ++u)
        for (int64_t k = 0; k < run; ++k) mean[u * run + k] = total(u, s.HH * block + k) / pixels;
    for (int64_t u = 0; u < s.HH; ++u)
        for (int64_t d = 0; u + d < s.HH; ++d)
            for (int64_t k = 0; k < run; ++k)
                for (int64_t j = 0; j < run; ++j) {
                    const int64_t a = u * run + k, b = (u + d) * run + j;
                    double& sum = sums.get()[k * run + j];
                    if (k < s.C) {
                        sum = total(u, d * block + k * side + j);
                    } else if (j < s.C) {
                        sum = total(u, d * block + (s.C + j) * side + k - s.C);
                    } else {  // one pixel further
                        sum = sums.get()[(k - s.C) * run + j - s.C] + total(u, d * block + (s.C + k) * side + j - s.C);
                    }
                    covariance[a * K + b] = covariance[b * K + a] = sum / pixels - mean[a] * mean[b];
                }
}

// C W: [k][f].
Scratch<double> covariance_of_filters(const ConvSizes& s, const double* covariance, const double* filters) {
    const int64_t K = s.HH * s.WW * s.C;
    Scratch<double> product(times(K, s.F));
    std::fill_n(product.get(), K * s.F, 0.0);
    for (int64_t a = 0; a < K; ++a)
        for (int64_t b = 0; b < K; ++b)
            for (int64_t f = 0; f < s.F; ++f) product.get()[a * s.F + f] += covariance[a * K + b] * filters[b * s.F + f];
    return product;
}

// What both blocks want: stride 1, no groups or dilation, filters of whole panels, at least one window.
bool is_simple(const ConvSizes& s) {
    return s.N > 0 && s.stride_y == 1 && s.stride_x == 1 && s.groups == 1 && !s.dilated() && s.C > 0 && s.F > 0 && s.OH >= 2 && s.OW >= 2 &&
           s.F % kernels<float>().gemm.tile_columns == 0 && times(plus(s.W, times(2, s.pad_x)), s.C) < kWidest;
}

// out, and xhat and index unless they are null, of the convolution without a bias through `map` and the pooling.
template <class S>
void forward_bands(const ConvSizes& s, const float* x, const float* w, const Affine<float>& map, S* out, S* xhat,
                   uint8_t* index) {
    const int64_t panel = kernels<float>().gemm.tile_columns;
    const Scratch<float> matrix = filter_matrix<float>(s, w);
    const RightFactor<float> filters(matrix.get(), s.F, 1, s.HH * s.WW * s.C, s.F);
    const Bands bands(s);
    const int64_t band_rows = 2 * kBandRows + s.HH - 1, windows_down = s.OH / 2, per_image = ceil_div(windows_down, kBandRows);
    Scratch<float> images = bands.make<float>(band_rows);
    const StemSizes sizes = stem_sizes(s, bands.line);
    parallel(times(s.N, per_image), [&](int64_t task, int worker) {
        const int64_t n = task / per_image, first = task % per_image * kBandRows, rows = std::min(kBandRows, windows_down - first);
        float* band = images.get() + worker * bands.size(band_rows);
        copy_band(s, x + n * s.H * s.W * s.C, 2 * first - s.pad_y, 2 * rows + s.HH - 1, band);
        const int64_t begin = (n * windows_down + first) * sizes.windows * s.F, numbers = rows * sizes.windows * s.F;
        const Write<S> result(out + begin, numbers), normal(xhat ? xhat + begin : nullptr, numbers);
        uint8_t* places = index ? index + begin : nullptr;
        for (int64_t i = 0; i < rows; ++i)
            for (int64_t p = 0; p < filters.panels(); ++p) {
                const int64_t f = p * panel, at = i * sizes.windows * s.F + f;
                const Affine<float> here{map.mean + f, map.inv_std + f, map.scale + f, map.shift + f, map.rectify};
                kernels<float>().stem.forward(sizes, band + 2 * i * bands.line, filters.panel(p, 0), filters.row_stride(),
                                              here, result.get() + at, xhat ? normal.get() + at : nullptr,
                                              places ? places + at : nullptr);
            }
    });
}

// The sums over all windows of dz times the chosen patch, [k][f], and behind them those of dz and of dz xhat, in parts
// of some images.
class ChosenSums {
  public:
    template <class S>
    ChosenSums(const ConvSizes& s, int64_t images, const float* x, const S* dout, const S* xhat, const uint8_t* index)
        : features_(s.F), size_((s.HH * s.WW * s.C + 2) * s.F), count_(ceil_div(s.N, images)), parts_(times(count_, size_)) {
        const auto& kernel = kernels<float>().stem;
        const Bands bands(s);
        const StemSizes sizes = stem_sizes(s, bands.line);
        const int64_t band_rows = 2 * kBandRows + s.HH - 1, windows_down = s.OH / 2;
        const int64_t quad_line = (2 * sizes.windows - 2 + s.WW) * s.C, quad_rows = 2 * kBandRows - 2 + s.HH;
        Scratch<float> padded = bands.make<float>(band_rows);
        Scratch<float> quads(times(thread_count(), quad_rows, quad_line, 4));
        parallel(count_, [&](int64_t task, int worker) {
            float* band = padded.get() + worker * bands.size(band_rows);
            float* quad = quads.get() + worker * quad_rows * quad_line * 4;
            float* part = parts_.get() + task * size_;
            std::fill_n(part, size_, 0.0f);
            for (int64_t n = task * images; n < std::min(s.N, (task + 1) * images); ++n)
                for (int64_t first = 0; first < windows_down; first += kBandRows) {
                    const int64_t rows = std::min(kBandRows, windows_down - first);
                    copy_band(s, x + n * s.H * s.W * s.C, 2 * first - s.pad_y, 2 * rows + s.HH - 1, band);
                    for (int64_t r = 0; r < 2 * rows - 2 + s.HH; ++r)
                        kernel.quads(band + r * bands.line, band + (r + 1) * bands.line, s.C, quad_line,
                                     quad + r * quad_line * 4);
                    const int64_t at = (n * windows_down + first) * sizes.windows * s.F, numbers = rows * sizes.windows * s.F;
                    const Read<S> upstream(dout + at, numbers), normal(xhat + at, numbers);
                    kernel.gradients(sizes, rows, quad, quad_line, upstream.get(), normal.get(), index + at, part);
                }
        });
    }
    double total(int64_t k, int64_t f) const {
        double sum = 0;
        for (int64_t part = 0; part < count_; ++part)
            sum += static_cast<double>(parts_.get()[part * size_ + k * features_ + f]);
        return sum;
    }

  private:
    const int64_t features_, size_, count_;
    const Scratch<float> parts_;
};

}  // namespace

bool stem_fits(const ConvSizes& s) { return is_simple(s) && times(s.HH, s.WW, s.C) <= kLongest; }

template <class S>
void stem_forward(const ConvSizes& s, const float* x, const float* w, const float* b, const float* gamma,
                  const float* beta, double eps, S* out, float* mean, float* variance,
                  const StemArrays<float, uint8_t, double, S>& kept) {
    const int64_t K = s.HH * s.WW * s.C;
    const double *patch_mean = kept.patches, *covariance = kept.patches + K;
    patch_moments(s, x, kept.patches, kept.patches + K);

    const Scratch<double> exact = filter_matrix<double>(s, w);
    const Scratch<double> spread = covariance_of_filters(s, covariance, exact.get());
    Scratch<float> unbiased(s.F);
    for (int64_t f = 0; f < s.F; ++f) {
        // What takes a bias off its own mean: zero, or NaN if it is not finite.
        const double nothing = static_cast<double>(b[f]) - static_cast<double>(b[f]);
        double centre = nothing, var = nothing;
        for (int64_t k = 0; k < K; ++k) {
            centre += patch_mean[k] * exact.get()[k * s.F + f];
            var += spread.get()[k * s.F + f] * exact.get()[k * s.F + f];
        }
        var = var < 0 ? 0 : var;  // a NaN stays
        const double inverse = 1 / std::sqrt(var + eps);
        unbiased.get()[f] = static_cast<float>(centre);
        mean[f] = static_cast<float>(centre + static_cast<double>(b[f]));
        variance[f] = static_cast<float>(var);
        kept.inv_std[f] = static_cast<float>(inverse);
        kept.scale[f] = static_cast<float>(static_cast<double>(gamma[f]) * inverse);
    }

    forward_bands<S>(s, x, w, {unbiased.get(), kept.inv_std, kept.scale, beta, true}, out, kept.xhat, kept.index);
}

template <class S>
void stem_backward(const ConvSizes& s, const float* x, const float* w, const S* dout,
                   const StemArrays<const float, const uint8_t, const double, const S>& saved, float* dw, float* dgamma,
                   float* dbeta) {
    const int64_t area = s.HH * s.WW, K = area * s.C;
    const ChosenSums sums(s, kImages, x, dout, saved.xhat, saved.index);
    const double *patch_mean = saved.patches, *covariance = saved.patches + K;
    const Scratch<double> exact = filter_matrix<double>(s, w);
    const Scratch<double> spread = covariance_of_filters(s, covariance, exact.get());
    parallel(s.F, [&](int64_t f, int) {
        const double sum_dz = sums.total(K, f), sum_dz_xhat = sums.total(K + 1, f);
        dbeta[f] = static_cast<float>(sum_dz);
        dgamma[f] = static_cast<float>(sum_dz_xhat);
        const double scale = static_cast<double>(saved.scale[f]), inv_std = static_cast<double>(saved.inv_std[f]);
        for (int64_t c = 0; c < s.C; ++c)
            for (int64_t t = 0; t < area; ++t) {
                const int64_t k = t * s.C + c;
                const double shared = patch_mean[k] * sum_dz + inv_std * sum_dz_xhat * spread.get()[k * s.F + f];
                dw[(f * s.C + c) * area + t] = static_cast<float>(scale * (sums.total(k, f) - shared));
            }
    });
}

template <class S>
void stem_infer(const ConvSizes& s, const float* x, const float* w, const float* b, const GivenNorm& norm, S* out) {
    Scratch<float> constants(3 * s.F);
    float *centre = constants.get(), *inv_std = centre + s.F, *scale = inv_std + s.F;
    for (int64_t f = 0; f < s.F; ++f) {
        centre[f] = static_cast<float>(static_cast<double>(norm.mean[f]) - static_cast<double>(b[f]));
        const double inverse = 1 / std::sqrt(static_cast<double>(norm.variance[f]) + norm.eps);
        inv_std[f] = static_cast<float>(inverse);
        scale[f] = static_cast<float>(static_cast<double>(norm.gamma[f]) * inverse);
    }
    forward_bands<S>(s, x, w, {centre, inv_std, scale, norm.beta, true}, out, nullptr, nullptr);
}

#define HG_INSTANTIATE(S)                                                                                                    \
    template void stem_forward(const ConvSizes&, const float*, const float*, const float*, const float*, const float*, double, S*, \
                               float*, float*, const StemArrays<float, uint8_t, double, S>&);                                 \
    template void stem_backward(const ConvSizes&, const float*, const float*, const S*,                                      \
                                const StemArrays<const float, const uint8_t, const double, const S>&, float*, float*, float*);                \
    template void stem_infer(const ConvSizes&, const float*, const float*, const float*, const GivenNorm&, S*);
HG_INSTANTIATE(float)
HG_INSTANTIATE(Bf16)

bool pooled_fits(const ConvSizes& s) {
    return is_simple(s) && s.C < kPooledChannels && times(s.HH, s.WW, s.C) <= kLongestPooled &&
           times(2 * kBandRows + s.HH, s.W + 2 * s.pad_x, s.C) <= kLargestBand;
}

void pooled_forward(const ConvSizes& s, const float* x, const float* w, const Sink<float>& to) {
    Scratch<float> constants(3 * s.F);
    float *shifted = constants.get(), *one = shifted + s.F, *zero = one + s.F;
    for (int64_t f = 0; f < s.F; ++f) shifted[f] = to.bias ? -to.bias[f] : 0, one[f] = 1, zero[f] = 0;
    forward_bands<float>(s, x, w, {shifted, one, one, zero, true}, to.out, nullptr, to.places);
}

bool pooled_gradients(const ConvSizes& s, const Source<float>& dout, const float* x, float* dw, float* db) {
    std::atomic<bool> is_finite{true};
    for_chunks(times(s.N, s.H, s.W, s.C), [&](int64_t at, int64_t n) {
        if (!kernels<float>().flat.all_finite(x + at, n)) is_finite = false;
    });
    if (!is_finite) return false;
    const int64_t area = s.HH * s.WW;
    const ChosenSums sums(s, ceil_div(s.N, kSumTasks), x, dout.x, dout.x, dout.places);
    parallel(s.F, [&](int64_t f, int) {
        if (db) db[f] = static_cast<float>(sums.total(area * s.C, f));
        for (int64_t c = 0; c < s.C; ++c)
            for (int64_t t = 0; t < area; ++t)
                dw[(f * s.C + c) * area + t] = static_cast<float>(sums.total(t * s.C + c, f));
    });
    return true;
}

}  // namespace handgrad
