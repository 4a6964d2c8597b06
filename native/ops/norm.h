// Normalisation of matrices (rows, channels), and pooling behind it.
#pragma once

#include "kernels/table.h"

namespace handgrad {

// Mean and (biased) variance over the rows; rows >= 1.
template <class T>
void batch_moments(const T* x, int64_t rows, int64_t channels, T* mean, T* variance);
// sum_dz and sum_dz_xhat over all rows, as RowKernels::norm_sums.
template <class T>
void batch_sums(const Affine<T>& map, const T* dout, const T* x, int64_t rows, int64_t channels, T* sum_dz,
                T* sum_dz_xhat);
// The same behind a smooth activation, a Curve; dz receives dout times its slope.
template <class T>
void batch_sums_of_curve(const Affine<T>& map, int curve, const T* dout, const T* x, int64_t rows, int64_t channels,
                         T* sum_dz, T* sum_dz_xhat, T* dz);
// curve: what follows, a Curve, or kCurves for nothing.
template <class T>
void normalise(const Affine<T>& map, const T* x, int64_t rows, int64_t channels, T* out, int curve = kCurves);
template <class T>
void normalise_backward(const Affine<T>& map, const T* dout, const T* x, int64_t rows, int64_t channels,
                        const T* mean_dz, const T* mean_dz_xhat, T* dx);

template <class T>
void max_pool_forward(const PoolSizes& s, const Affine<T>* map, bool rectify, const T* x, T* out, T* largest,
                      void* index);
template <class T>
void max_pool_backward(const PoolSizes& s, const T* dout, const void* index, T* dx);
// The backward of pooling, and of the normalisation before it, whose input was x.
template <class T>
void norm_pool_backward(const PoolSizes& s, const Affine<T>& map, const T* dout, const void* index, const T* x,
                        const T* mean_dz, const T* mean_dz_xhat, T* dx);
template <class T>
void mean_pool_forward(const PoolSizes& s, const T* x, T* out);
template <class T>
void mean_pool_backward(const PoolSizes& s, const T* dout, T* dx);

// x is (N, C, P) in rows order, normalised over C / groups channels and P positions.
template <class T>
void group_norm_forward(int64_t N, int64_t C, int64_t P, int64_t groups, const T* x, const T* gamma, const T* beta,
                        double eps, T* out, T* xhat, T* inv_std);
template <class T>
void group_norm_backward(int64_t N, int64_t C, int64_t P, int64_t groups, const T* dout, const T* xhat,
                         const T* inv_std, const T* gamma, T* dx, T* dgamma, T* dbeta);

}  // namespace handgrad
