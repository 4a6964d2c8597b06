// Batch normalisation of matrices (rows, channels), with the ReLU, the pooling or the activation after it.
#pragma once

#include "kernels/table.h"
#include "ops/stored.h"

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
template <class S, class Index = void>
struct NormKept {
    Computed<S>*mean, *var, *inv_std, *scale;
    S* largest;
    Index* index;
};

// S: what x, out, largest and their gradients are stored as.
template <class S>
void batchnorm_forward(const NormChain& s, const S* x, const Computed<S>* gamma, const Computed<S>* beta, const NormKept<S>& kept,
                       S* out);
template <class S>
void batchnorm_backward(const NormChain& s, const S* dout, const S* x, const NormKept<const S, const void>& kept,
                        const Computed<S>* beta, S* dx, Computed<S>* dgamma, Computed<S>* dbeta);

}  // namespace handgrad
