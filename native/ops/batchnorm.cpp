#include "ops/batchnorm.h"

#include <cmath>

#include "core/buffers.h"
#include "ops/norm.h"

namespace handgrad {

template <class T>
void batchnorm_forward(const NormChain& s, const T* x, const T* gamma, const T* beta, const NormKept<T>& kept, T* out) {
    if (s.of_batch) batch_moments(x, s.rows, s.channels, kept.mean, kept.var);
    for (int64_t c = 0; c < s.channels; ++c) {
        const double inverse = 1 / std::sqrt(static_cast<double>(kept.var[c]) + s.eps);
        kept.inv_std[c] = static_cast<T>(inverse);
        kept.scale[c] = static_cast<T>(static_cast<double>(gamma[c]) * inverse);
    }
    const Affine<T> map{kept.mean, kept.inv_std, kept.scale, beta, s.rectify};
    if (s.pool)
        max_pool_forward(*s.pool, &map, s.rectify, x, out, kept.largest, kept.index);
    else
        normalise(map, x, s.rows, s.channels, out, s.curve);
}

template <class T>
void batchnorm_backward(const NormChain& s, const T* dout, const T* x, const NormKept<const T, const void>& kept, const T* beta, T* dx,
                        T* dgamma, T* dbeta) {
    Affine<T> map{kept.mean, kept.inv_std, kept.scale, beta, s.rectify};
    Scratch<T> shares(times(2, s.channels));
    const T* mean_dz = s.of_batch ? shares.get() : nullptr;
    const T* mean_dz_xhat = s.of_batch ? mean_dz + s.channels : nullptr;
    const auto share_out = [&] {
        for (int64_t c = 0; c < s.channels; ++c) {
            shares.get()[c] = dbeta[c] / static_cast<T>(s.rows);
            shares.get()[s.channels + c] = dgamma[c] / static_cast<T>(s.rows);
        }
    };
    if (s.pool) {
        // Each window hands its gradient to one element, so the sums go over the windows.
        const int64_t windows = times(s.pool->N, s.pool->OH, s.pool->OW);
        batch_sums(map, dout, kept.largest, windows, s.channels, dbeta, dgamma);
        share_out();
        map.rectify = false;  // the indices of closed windows say so
        norm_pool_backward(*s.pool, map, dout, kept.index, x, mean_dz, mean_dz_xhat, dx);
        return;
    }
    const T* dz = dout;
    if (s.curve != kCurves) {
        batch_sums_of_curve(map, s.curve, dout, x, s.rows, s.channels, dbeta, dgamma, dx);
        dz = dx;
    } else {
        batch_sums(map, dout, x, s.rows, s.channels, dbeta, dgamma);
    }
    share_out();
    normalise_backward(map, dz, x, s.rows, s.channels, mean_dz, mean_dz_xhat, dx);
}

#define HANDGRAD_BATCHNORM(T)                                                                                           \
    template void batchnorm_forward<T>(const NormChain&, const T*, const T*, const T*, const NormKept<T>&, T*);         \
    template void batchnorm_backward<T>(const NormChain&, const T*, const T*, const NormKept<const T, const void>&, const T*, T*, T*, \
                                        T*);
HANDGRAD_BATCHNORM(float)
HANDGRAD_BATCHNORM(double)

}  // namespace handgrad
