// Batch normalisation of matrices (rows, channels), with the ReLU, the pooling or the activation after it.
#pragma once

#include "kernels/table.h"

namespace handgrad {

// rectify: whether a ReLU follows; pool: the max pooling after it, or null; curve: the activation that follows, a
// Curve, or kCurves for none; of_batch: whether mean and var are the batch's own.
struct NormChain {
    int64_t rows, channels;
    double eps;
    bool rectify, of_batch;
    const PoolSizes* pool;
    int curve;
};

// mean, var, inv_std = 1 / std, scale = gamma inv_std: of the channels; of the pooling the largest x of each window,
// and its place.  Forward computes all, but for mean and var where they are given.
template <class T, class Index = void>
struct NormKept {
    T *mean, *var, *inv_std, *scale, *largest;
    Index* index;
};

template <class T>
void batchnorm_forward(const NormChain& s, const T* x, const T* gamma, const T* beta, const NormKept<T>& kept, T* out);
template <class T>
void batchnorm_backward(const NormChain& s, const T* dout, const T* x, const NormKept<const T, const void>& kept, const T* beta, T* dx,
                        T* dgamma, T* dbeta);

}  // namespace handgrad
