#include "ops/batchnorm.h"

#include <cmath>

#include "core/buffers.h"
#include "ops/norm.h"

namespace handgrad {

template <class S>
void batchnorm_forward(const NormChain& s, const S* x, const Computed<S>* gamma, const Computed<S>* beta, const NormKept<S>& kept,
                       S* out) {
    using T = Computed<S>;
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

template <class S>
void batchnorm_backward(const NormChain& s, const S* dout, const S* x, const NormKept<const S, const void>& kept,
                        const Computed<S>* beta, S* dx, Computed<S>* dgamma, Computed<S>* dbeta) {
    using T = Computed<S>;
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
    const S* dz = dout;
    if (s.curve != kCurves) {
        batch_sums_of_curve(map, s.curve, dout, x, s.rows, s.channels, dbeta, dgamma, dx);
        dz = dx;
    } else {
        batch_sums(map, dout, x, s.rows, s.channels, dbeta, dgamma);
    }
    share_out();
    normalise_backward(map, dz, x, s.rows, s.channels, mean_dz, mean_dz_xhat, dx);
}

#define HANDGRAD_BATCHNORM(S, T)                                                                                        \
    template void batchnorm_forward<S>(const NormChain&, const S*, const T*, const T*, const NormKept<S>&, S*);         \
    template void batchnorm_backward<S>(const NormChain&, const S*, const S*, const NormKept<const S, const void>&, const T*, S*, T*, \
                                        T*);
HANDGRAD_BATCHNORM(float, float)
HANDGRAD_BATCHNORM(double, double)
HANDGRAD_BATCHNORM(Bf16, float)

}  // namespace handgrad
