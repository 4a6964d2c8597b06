// Normalisation of matrices (rows, channels), and pooling behind it.  S is what the values of layers are stored as;
// bf16 is computed with in float32.
#pragma once

#include "kernels/table.h"
#include "ops/stored.h"

namespace handgrad {

// Mean and (biased) variance over the rows; rows >= 1.
template <class S>
void batch_moments(const S* x, int64_t rows, int64_t channels, Computed<S>* mean, Computed<S>* variance);
// sum_dz and sum_dz_xhat over all rows, as RowKernels::norm_sums.
template <class S>
void batch_sums(const Affine<Computed<S>>& map, const S* dout, const S* x, int64_t rows, int64_t channels, Computed<S>* sum_dz,
                Computed<S>* sum_dz_xhat);
// The same behind a smooth activation, a Curve; dz receives dout times its slope.
template <class S>
void batch_sums_of_curve(const Affine<Computed<S>>& map, int curve, const S* dout, const S* x, int64_t rows, int64_t channels,
                         Computed<S>* sum_dz, Computed<S>* sum_dz_xhat, S* dz);
// curve: what follows, a Curve, or kCurves for nothing.
template <class S>
void normalise(const Affine<Computed<S>>& map, const S* x, int64_t rows, int64_t channels, S* out, int curve = kCurves);
template <class S>
void normalise_backward(const Affine<Computed<S>>& map, const S* dout, const S* x, int64_t rows, int64_t channels,
                        const Computed<S>* mean_dz, const Computed<S>* mean_dz_xhat, S* dx);

template <class S>
void max_pool_forward(const PoolSizes& s, const Affine<Computed<S>>* map, bool rectify, const S* x, S* out, S* largest,
                      void* index);
template <class S>
void max_pool_backward(const PoolSizes& s, const S* dout, const void* index, S* dx);
// The backward of pooling, and of the normalisation before it, whose input was x.
template <class S>
void norm_pool_backward(const PoolSizes& s, const Affine<Computed<S>>& map, const S* dout, const void* index, const S* x,
                        const Computed<S>* mean_dz, const Computed<S>* mean_dz_xhat, S* dx);
template <class S>
void mean_pool_forward(const PoolSizes& s, const S* x, S* out);
template <class S>
void mean_pool_backward(const PoolSizes& s, const S* dout, S* dx);

// x is (N, C, P) in rows order, normalised over C / groups channels and P positions.
template <class S>
void group_norm_forward(int64_t N, int64_t C, int64_t P, int64_t groups, const S* x, const Computed<S>* gamma, const Computed<S>* beta,
                        double eps, S* out, S* xhat, Computed<S>* inv_std);
template <class S>
void group_norm_backward(int64_t N, int64_t C, int64_t P, int64_t groups, const S* dout, const S* xhat,
                         const Computed<S>* inv_std, const Computed<S>* gamma, S* dx, Computed<S>* dgamma, Computed<S>* dbeta);

}  // namespace handgrad
