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

template <class T>
void batch_moments(const T* x, int64_t rows, int64_t channels, T* mean, T* variance) {
    const int64_t size = rows_of_chunk(channels), chunks = ceil_div(rows, size);
    Scratch<T> parts(times(3, chunks, channels));
    for_row_chunks(rows, channels, [&](int64_t first, int64_t count) {
        T* part = parts.get() + 3 * (first / size) * channels;
        kernels<T>().rows.moments(x + first * channels, count, channels, part, part + channels, part + 2 * channels);
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
template <class T, class Dz>
void sum_chunks(const Affine<T>& map, Dz&& dz_of, const T* x, int64_t rows, int64_t channels, T* sum_dz, T* sum_dz_xhat) {
    const int64_t size = rows_of_chunk(channels), chunks = ceil_div(rows, size);
    Scratch<T> parts(times(2, chunks, channels));
    for_row_chunks(rows, channels, [&](int64_t first, int64_t count) {
        T* part = parts.get() + 2 * (first / size) * channels;
        const int64_t at = first * channels;
        kernels<T>().rows.norm_sums(map, dz_of(at, count), x + at, count, channels, part, part + channels);
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

template <class T>
void batch_sums(const Affine<T>& map, const T* dout, const T* x, int64_t rows, int64_t channels, T* sum_dz,
                T* sum_dz_xhat) {
    sum_chunks(map, [&](int64_t at, int64_t) { return dout + at; }, x, rows, channels, sum_dz, sum_dz_xhat);
}

template <class T>
void batch_sums_of_curve(const Affine<T>& map, int curve, const T* dout, const T* x, int64_t rows, int64_t channels,
                         T* sum_dz, T* sum_dz_xhat, T* dz) {
    const auto dz_of = [&](int64_t at, int64_t count) {
        kernels<T>().rows.normalise(map, x + at, count, channels, dz + at);
        kernels<T>().curves.backward[curve](dout + at, dz + at, T(0), count * channels, dz + at);
        return dz + at;
    };
    sum_chunks(map, dz_of, x, rows, channels, sum_dz, sum_dz_xhat);
}

template <class T>
void normalise(const Affine<T>& map, const T* x, int64_t rows, int64_t channels, T* out, int curve) {
    for_row_chunks(rows, channels, [&](int64_t first, int64_t count) {
        const int64_t at = first * channels;
        kernels<T>().rows.normalise(map, x + at, count, channels, out + at);
        if (curve < kCurves) kernels<T>().curves.forward[curve](out + at, T(0), count * channels, out + at);
    });
}

template <class T>
void normalise_backward(const Affine<T>& map, const T* dout, const T* x, int64_t rows, int64_t channels,
                        const T* mean_dz, const T* mean_dz_xhat, T* dx) {
    for_row_chunks(rows, channels, [&](int64_t first, int64_t count) {
        const int64_t at = first * channels;
        kernels<T>().rows.norm_backward(map, dout + at, x + at, count, channels, mean_dz, mean_dz_xhat, dx + at);
    });
}

template <class T>
void max_pool_forward(const PoolSizes& s, const Affine<T>* map, bool rectify, const T* x, T* out, T* largest,
                      void* index) {
    for_row_chunks(s.N * s.OH, s.W * s.C * s.HH * (s.C == 1 ? 1 : 4), [&](int64_t first, int64_t count) {
        kernels<T>().pool.max_forward(s, map, rectify, x, first, first + count, out, largest, index);
    }, 1);
}

template <class T>
void max_pool_backward(const PoolSizes& s, const T* dout, const void* index, T* dx) {
    for_row_chunks(s.N * s.H, s.W * s.C * (s.C == 1 ? 1 : 4), [&](int64_t first, int64_t count) {
        kernels<T>().pool.max_backward(s, dout, index, first, first + count, dx);
    });
}

template <class T>
void norm_pool_backward(const PoolSizes& s, const Affine<T>& map, const T* dout, const void* index, const T* x,
                        const T* mean_dz, const T* mean_dz_xhat, T* dx) {
    const int64_t line = s.W * s.C;
    for_row_chunks(s.N * s.H, line * 4, [&](int64_t first, int64_t count) {
        for (int64_t row = first; row < first + count; ++row) {
            kernels<T>().pool.max_backward(s, dout, index, row, row + 1, dx);
            kernels<T>().rows.norm_backward(map, dx + row * line, x + row * line, s.W, s.C, mean_dz, mean_dz_xhat,
                                            dx + row * line);
        }
    });
}

template <class T>
void mean_pool_forward(const PoolSizes& s, const T* x, T* out) {
    for_row_chunks(s.N * s.OH, s.W * s.C * s.HH, [&](int64_t first, int64_t count) {
        kernels<T>().pool.mean_forward(s, x, first, first + count, out);
    });
}

template <class T>
void mean_pool_backward(const PoolSizes& s, const T* dout, T* dx) {
    for_row_chunks(s.N * s.H, s.W * s.C, [&](int64_t first, int64_t count) {
        kernels<T>().pool.mean_backward(s, dout, first, first + count, dx);
    });
}

template <class T>
void group_norm_forward(int64_t N, int64_t C, int64_t P, int64_t groups, const T* x, const T* gamma, const T* beta,
                        double eps, T* out, T* xhat, T* inv_std) {
    const int64_t channels = C / groups, size = channels * P;
    for_row_chunks(N * groups, size, [&](int64_t first, int64_t count) {
        for (int64_t g = first; g < first + count; ++g) {
            const T* from = x + g * size;
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
                    const int64_t at = g * size + c * P + p;
                    xhat[at] = static_cast<T>((static_cast<double>(x[at]) - mean - rest) * scale);
                    out[at] = xhat[at] * weight + shift;
                }
            }
        }
    });
}

template <class T>
void group_norm_backward(int64_t N, int64_t C, int64_t P, int64_t groups, const T* dout, const T* xhat,
                         const T* inv_std, const T* gamma, T* dx, T* dgamma, T* dbeta) {
    const int64_t channels = C / groups, size = channels * P;
    for_row_chunks(N * groups, size, [&](int64_t first, int64_t count) {
        for (int64_t g = first; g < first + count; ++g) {
            double sum = 0, sum_xhat = 0;
            for (int64_t c = 0; c < channels; ++c)
                for (int64_t p = 0; p < P; ++p) {
                    const int64_t at = g * size + c * P + p;
                    const double d = static_cast<double>(dout[at] * gamma[g % groups * channels + c]);
                    sum += d;
                    sum_xhat += d * static_cast<double>(xhat[at]);
                }
            const T mean = static_cast<T>(sum / static_cast<double>(size));
            const T mean_xhat = static_cast<T>(sum_xhat / static_cast<double>(size));
            for (int64_t c = 0; c < channels; ++c)
                for (int64_t p = 0; p < P; ++p) {
                    const int64_t at = g * size + c * P + p;
                    const T d = dout[at] * gamma[g % groups * channels + c];
                    dx[at] = (d - mean - xhat[at] * mean_xhat) * inv_std[g];
                }
        }
    });
    parallel(ceil_div(C, 16), [&](int64_t block, int) {
        for (int64_t c = block * 16; c < std::min(C, block * 16 + 16); ++c) {
            double weight = 0, shift = 0;
            for (int64_t n = 0; n < N; ++n)
                for (int64_t p = 0; p < P; ++p) {
                    const int64_t at = (n * C + c) * P + p;
                    shift += static_cast<double>(dout[at]);
                    weight += static_cast<double>(dout[at]) * static_cast<double>(xhat[at]);
                }
            dgamma[c] = static_cast<T>(weight);
            dbeta[c] = static_cast<T>(shift);
        }
    });
}

#define HG_INSTANTIATE(T)                                                                                          \
    template void batch_moments(const T*, int64_t, int64_t, T*, T*);                                               \
    template void batch_sums(const Affine<T>&, const T*, const T*, int64_t, int64_t, T*, T*);                      \
    template void batch_sums_of_curve(const Affine<T>&, int, const T*, const T*, int64_t, int64_t, T*, T*, T*);    \
    template void normalise(const Affine<T>&, const T*, int64_t, int64_t, T*, int);                                \
    template void normalise_backward(const Affine<T>&, const T*, const T*, int64_t, int64_t, const T*, const T*, T*); \
    template void max_pool_forward(const PoolSizes&, const Affine<T>*, bool, const T*, T*, T*, void*);             \
    template void max_pool_backward(const PoolSizes&, const T*, const void*, T*);                                  \
    template void norm_pool_backward(const PoolSizes&, const Affine<T>&, const T*, const void*, const T*, const T*, \
                                     const T*, T*);                                                                \
    template void mean_pool_forward(const PoolSizes&, const T*, T*);                                               \
    template void mean_pool_backward(const PoolSizes&, const T*, T*);                                              \
    template void group_norm_forward(int64_t, int64_t, int64_t, int64_t, const T*, const T*, const T*, double, T*, T*, T*); \
    template void group_norm_backward(int64_t, int64_t, int64_t, int64_t, const T*, const T*, const T*, const T*, T*, T*, T*);
HG_INSTANTIATE(float)
HG_INSTANTIATE(double)

}  // namespace handgrad
