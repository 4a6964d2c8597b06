#include "ops/norm.h"

#include <algorithm>
#include <cmath>

#include "core/buffers.h"
#include "core/threads.h"
#include "kernels/dispatch.h"

namespace handgrad {
namespace {

int64_t rows_of_chunk(int64_t channels, int64_t least = 16) {
    return std::max(least, kChunk / std::max<int64_t>(1, channels));
}

// Calls body(first row, rows) for chunks of rows, of `least` at least.
template <class Body>
void for_row_chunks(int64_t rows, int64_t channels, Body&& body, int64_t least = 16) {
    const int64_t size = rows_of_chunk(channels, least);
    parallel(ceil_div(rows, size), [&](int64_t chunk, int) { body(chunk * size, std::min(size, rows - chunk * size)); });
}

}  // namespace

template <class S>
void batch_moments(const S* x, int64_t rows, int64_t channels, Computed<S>* mean, Computed<S>* variance) {
    using T = Computed<S>;
    const int64_t size = rows_of_chunk(channels), chunks = ceil_div(rows, size);
    Scratch<T> parts(times(3, chunks, channels));
    for_row_chunks(rows, channels, [&](int64_t first, int64_t count) {
        T* part = parts.get() + 3 * (first / size) * channels;
        kernels<S>().rows.moments(x + first * channels, count, channels, part, part + channels, part + 2 * channels);
    });
    // Chan's formula joins the parts, one behind the other.
    parallel(ceil_div(channels, 64), [&](int64_t block, int) {
        for (int64_t c = block * 64; c < std::min(channels, block * 64 + 64); ++c) {
            double joined = 0, squares = 0, count = 0;
            for (int64_t chunk = 0; chunk < chunks; ++chunk) {
                const T* part = parts.get() + 3 * chunk * channels + c;
                const double more = static_cast<double>(std::min(size, rows - chunk * size));
                const double mine = static_cast<double>(part[0]) + static_cast<double>(part[channels]);
                const double step = mine - joined, total = count + more;
                joined += step * (more / total);
                squares += static_cast<double>(part[2 * channels]) + step * step * (count * more / total);
                count = total;
            }
            mean[c] = static_cast<T>(joined);
            variance[c] = static_cast<T>(std::max(0.0, squares / count));
            if (squares != squares) variance[c] = static_cast<T>(squares);
        }
    });
}

namespace {

// dz_of(first number, rows) gives dz of a chunk.
template <class S, class Dz>
void sum_chunks(const Affine<Computed<S>>& map, Dz&& dz_of, const S* x, int64_t rows, int64_t channels, Computed<S>* sum_dz,
                Computed<S>* sum_dz_xhat) {
    using T = Computed<S>;
    const int64_t size = rows_of_chunk(channels), chunks = ceil_div(rows, size);
    Scratch<T> parts(times(2, chunks, channels));
    for_row_chunks(rows, channels, [&](int64_t first, int64_t count) {
        T* part = parts.get() + 2 * (first / size) * channels;
        const int64_t at = first * channels;
        kernels<S>().rows.norm_sums(map, dz_of(at, count), x + at, count, channels, part, part + channels);
    });
    for (int64_t c = 0; c < channels; ++c) {
        double first = 0, second = 0;
        for (int64_t chunk = 0; chunk < chunks; ++chunk) {
            first += static_cast<double>(parts.get()[2 * chunk * channels + c]);
            second += static_cast<double>(parts.get()[(2 * chunk + 1) * channels + c]);
        }
        sum_dz[c] = static_cast<T>(first);
        sum_dz_xhat[c] = static_cast<T>(second);
    }
}

}  // namespace

template <class S>
void batch_sums(const Affine<Computed<S>>& map, const S* dout, const S* x, int64_t rows, int64_t channels, Computed<S>* sum_dz,
                Computed<S>* sum_dz_xhat) {
    sum_chunks(map, [&](int64_t at, int64_t) { return dout + at; }, x, rows, channels, sum_dz, sum_dz_xhat);
}

template <class S>
void batch_sums_of_curve(const Affine<Computed<S>>& map, int curve, const S* dout, const S* x, int64_t rows, int64_t channels,
                         Computed<S>* sum_dz, Computed<S>* sum_dz_xhat, S* dz) {
    using T = Computed<S>;
    const auto dz_of = [&](int64_t at, int64_t count) {
        const int64_t n = count * channels;
        const Read<S> upstream(dout + at, n), block(x + at, n);
        const Write<S> result(dz + at, n);
        kernels<T>().rows.normalise(map, block.get(), count, channels, result.get());
        kernels<T>().curves.backward[curve](upstream.get(), result.get(), T(0), n, result.get());
        return dz + at;
    };
    sum_chunks(map, dz_of, x, rows, channels, sum_dz, sum_dz_xhat);
}

template <class S>
void normalise(const Affine<Computed<S>>& map, const S* x, int64_t rows, int64_t channels, S* out, int curve) {
    using T = Computed<S>;
    for_row_chunks(rows, channels, [&](int64_t first, int64_t count) {
        const int64_t at = first * channels, n = count * channels;
        if (curve == kCurves) return kernels<S>().rows.normalise(map, x + at, count, channels, out + at);
        const Read<S> block(x + at, n);
        const Write<S> result(out + at, n);
        kernels<T>().rows.normalise(map, block.get(), count, channels, result.get());
        kernels<T>().curves.forward[curve](result.get(), T(0), n, result.get());
    });
}

template <class S>
void normalise_backward(const Affine<Computed<S>>& map, const S* dout, const S* x, int64_t rows, int64_t channels,
                        const Computed<S>* mean_dz, const Computed<S>* mean_dz_xhat, S* dx) {
    for_row_chunks(rows, channels, [&](int64_t first, int64_t count) {
        const int64_t at = first * channels;
        kernels<S>().rows.norm_backward(map, dout + at, x + at, count, channels, mean_dz, mean_dz_xhat, dx + at);
    });
}

namespace {

// Sizes of a pooling of some of its images, and how many numbers one image of x and of out has.
PoolSizes some_images(const PoolSizes& s, int64_t count) {
    PoolSizes some = s;
    some.N = count;
    return some;
}
int64_t image_of(const PoolSizes& s) { return times(s.H, s.W, s.C); }
int64_t pooled_of(const PoolSizes& s) { return times(s.OH, s.OW, s.C); }

// Whether gradients of bf16 are summed in float32, as windows overlap.
template <class S>
bool is_summed(const PoolSizes& s) {
    return kIsHalf<S> && (s.stride_y < s.HH || s.stride_x < s.WW);
}

// Calls body(sizes, dout, places, dx, first image) for some images at a time, dout and dx in float32.
template <class S, class Body>
void with_summed(const PoolSizes& s, const S* dout, const void* index, S* dx, Body&& body) {
    for_images(s.N, image_of(s), [&](int64_t first, int64_t count) {
        const int64_t at = first * pooled_of(s), bytes = s.area() < 256 ? 1 : 4;
        const Read<S> upstream(dout + at, count * pooled_of(s));
        const Write<S> result(dx + first * image_of(s), count * image_of(s));
        body(some_images(s, count), upstream.get(), static_cast<const uint8_t*>(index) + at * bytes, result.get(), first);
    });
}

}  // namespace

template <class S>
void max_pool_forward(const PoolSizes& s, const Affine<Computed<S>>* map, bool rectify, const S* x, S* out, S* largest,
                      void* index) {
    for_row_chunks(s.N * s.OH, s.W * s.C * s.HH * (s.C == 1 ? 1 : 4), [&](int64_t first, int64_t count) {
        kernels<S>().pool.max_forward(s, map, rectify, x, first, first + count, out, largest, index);
    }, 1);
}

template <class S>
void max_pool_backward(const PoolSizes& s, const S* dout, const void* index, S* dx) {
    if (is_summed<S>(s))
        return with_summed(s, dout, index, dx, [](const PoolSizes& some, const auto* from, const void* places, auto* to, int64_t) {
            kernels<Computed<S>>().pool.max_backward(some, from, places, 0, some.N * some.H, to);
        });
    for_row_chunks(s.N * s.H, s.W * s.C * (s.C == 1 ? 1 : 4), [&](int64_t first, int64_t count) {
        kernels<S>().pool.max_backward(s, dout, index, first, first + count, dx);
    });
}

template <class S>
void norm_pool_backward(const PoolSizes& s, const Affine<Computed<S>>& map, const S* dout, const void* index, const S* x,
                        const Computed<S>* mean_dz, const Computed<S>* mean_dz_xhat, S* dx) {
    if (is_summed<S>(s)) {
        max_pool_backward(s, dout, index, dx);
        return normalise_backward(map, dx, x, times(s.N, s.H, s.W), s.C, mean_dz, mean_dz_xhat, dx);
    }
    const int64_t line = s.W * s.C;
    for_row_chunks(s.N * s.H, line * 4, [&](int64_t first, int64_t count) {
        for (int64_t row = first; row < first + count; ++row) {
            kernels<S>().pool.max_backward(s, dout, index, row, row + 1, dx);
            kernels<S>().rows.norm_backward(map, dx + row * line, x + row * line, s.W, s.C, mean_dz, mean_dz_xhat,
                                            dx + row * line);
        }
    });
}

template <class S>
void mean_pool_forward(const PoolSizes& s, const S* x, S* out) {
    const auto& pool = kernels<Computed<S>>().pool;
    if constexpr (!kIsHalf<S>)
        return for_row_chunks(s.N * s.OH, s.W * s.C * s.HH, [&](int64_t first, int64_t count) {
            pool.mean_forward(s, x, first, first + count, out);
        });
    else
        for_images(s.N, image_of(s), [&](int64_t first, int64_t count) {
            const Read<S> images(x + first * image_of(s), count * image_of(s));
            const Write<S> result(out + first * pooled_of(s), count * pooled_of(s));
            pool.mean_forward(some_images(s, count), images.get(), 0, count * s.OH, result.get());
        });
}

template <class S>
void mean_pool_backward(const PoolSizes& s, const S* dout, S* dx) {
    const auto& pool = kernels<Computed<S>>().pool;
    if constexpr (!kIsHalf<S>)
        return for_row_chunks(s.N * s.H, s.W * s.C, [&](int64_t first, int64_t count) {
            pool.mean_backward(s, dout, first, first + count, dx);
        });
    else
        for_images(s.N, image_of(s), [&](int64_t first, int64_t count) {
            const Read<S> upstream(dout + first * pooled_of(s), count * pooled_of(s));
            const Write<S> result(dx + first * image_of(s), count * image_of(s));
            pool.mean_backward(some_images(s, count), upstream.get(), 0, count * s.H, result.get());
        });
}

template <class S>
void group_norm_forward(int64_t N, int64_t C, int64_t P, int64_t groups, const S* x, const Computed<S>* gamma,
                        const Computed<S>* beta, double eps, S* out, S* xhat, Computed<S>* inv_std) {
    using T = Computed<S>;
    const int64_t channels = C / groups, size = channels * P;
    for_row_chunks(N * groups, size, [&](int64_t first, int64_t count) {
        for (int64_t g = first; g < first + count; ++g) {
            const Read<S> group(x + g * size, size);
            const Write<S> result(out + g * size, size), normal(xhat + g * size, size);
            const T* from = group.get();
            double sum = 0, rest = 0, squares = 0;
            for (int64_t i = 0; i < size; ++i) sum += static_cast<double>(from[i]);
            const double mean = sum / static_cast<double>(size);
            for (int64_t i = 0; i < size; ++i) {
                const double d = static_cast<double>(from[i]) - mean;
                rest += d;
                squares += d * d;
            }
            rest /= static_cast<double>(size);
            const double variance = squares / static_cast<double>(size) - rest * rest;
            const double scale = 1 / std::sqrt(variance + eps);
            inv_std[g] = static_cast<T>(scale);
            for (int64_t c = 0; c < channels; ++c) {
                const T weight = gamma[g % groups * channels + c], shift = beta[g % groups * channels + c];
                for (int64_t p = 0; p < P; ++p) {
                    const int64_t at = c * P + p;
                    normal.get()[at] = static_cast<T>((static_cast<double>(from[at]) - mean - rest) * scale);
                    result.get()[at] = normal.get()[at] * weight + shift;
                }
            }
        }
    });
}

template <class S>
void group_norm_backward(int64_t N, int64_t C, int64_t P, int64_t groups, const S* dout, const S* xhat,
                         const Computed<S>* inv_std, const Computed<S>* gamma, S* dx, Computed<S>* dgamma,
                         Computed<S>* dbeta) {
    using T = Computed<S>;
    const int64_t channels = C / groups, size = channels * P;
    for_row_chunks(N * groups, size, [&](int64_t first, int64_t count) {
        for (int64_t g = first; g < first + count; ++g) {
            const Read<S> upstream(dout + g * size, size), normal(xhat + g * size, size);
            const Write<S> result(dx + g * size, size);
            double sum = 0, sum_xhat = 0;
            for (int64_t c = 0; c < channels; ++c)
                for (int64_t p = 0; p < P; ++p) {
                    const int64_t at = c * P + p;
                    const double d = static_cast<double>(upstream.get()[at] * gamma[g % groups * channels + c]);
                    sum += d;
                    sum_xhat += d * static_cast<double>(normal.get()[at]);
                }
            const T mean = static_cast<T>(sum / static_cast<double>(size));
            const T mean_xhat = static_cast<T>(sum_xhat / static_cast<double>(size));
            for (int64_t c = 0; c < channels; ++c)
                for (int64_t p = 0; p < P; ++p) {
                    const int64_t at = c * P + p;
                    const T d = upstream.get()[at] * gamma[g % groups * channels + c];
                    result.get()[at] = (d - mean - normal.get()[at] * mean_xhat) * inv_std[g];
                }
        }
    });
    parallel(ceil_div(C, 16), [&](int64_t block, int) {
        for (int64_t c = block * 16; c < std::min(C, block * 16 + 16); ++c) {
            double weight = 0, shift = 0;
            for (int64_t n = 0; n < N; ++n)
                for (int64_t p = 0; p < P; ++p) {
                    const int64_t at = (n * C + c) * P + p;
                    shift += wide(dout[at]);
                    weight += wide(dout[at]) * wide(xhat[at]);
                }
            dgamma[c] = static_cast<T>(weight);
            dbeta[c] = static_cast<T>(shift);
        }
    });
}

#define HG_INSTANTIATE(S, T)                                                                                       \
    template void batch_moments(const S*, int64_t, int64_t, T*, T*);                                               \
    template void batch_sums(const Affine<T>&, const S*, const S*, int64_t, int64_t, T*, T*);                      \
    template void batch_sums_of_curve(const Affine<T>&, int, const S*, const S*, int64_t, int64_t, T*, T*, S*);    \
    template void normalise(const Affine<T>&, const S*, int64_t, int64_t, S*, int);                                \
    template void normalise_backward(const Affine<T>&, const S*, const S*, int64_t, int64_t, const T*, const T*, S*); \
    template void max_pool_forward(const PoolSizes&, const Affine<T>*, bool, const S*, S*, S*, void*);             \
    template void max_pool_backward(const PoolSizes&, const S*, const void*, S*);                                  \
    template void norm_pool_backward(const PoolSizes&, const Affine<T>&, const S*, const void*, const S*, const T*, \
                                     const T*, S*);                                                                \
    template void mean_pool_forward(const PoolSizes&, const S*, S*);                                               \
    template void mean_pool_backward(const PoolSizes&, const S*, S*);                                              \
    template void group_norm_forward(int64_t, int64_t, int64_t, int64_t, const S*, const T*, const T*, double, S*, S*, T*); \
    template void group_norm_backward(int64_t, int64_t, int64_t, int64_t, const S*, const S*, const T*, const T*, S*, T*, T*);
HG_INSTANTIATE(float, float)
HG_INSTANTIATE(double, double)
HG_INSTANTIATE(Bf16, float)

}  // namespace handgrad
