// The first block of a network over images: convolution, batch norm by the batch's moments, ReLU and 2 x 2
// max pooling, without the convolution's output Y in memory.
//
// Y (pixels, F) = P W, with P (pixels, K) the patches of the images; K is small.  Then the moments of Y are
// those of the patches,
//
//     mean = mean(P) W,   var_f = w_f^T C w_f,   C = (P - mean(P))^T (P - mean(P)) / pixels,
//
// and since batch norm's backward is dY = scale (dZ - mean(dZ) - xhat mean(dZ xhat)), with dZ not zero only
// at the chosen pixel of each window,
//
//     dW = P^T dY = scale (P^T dZ - pixels mean(P) mean(dZ) - pixels inv_std mean(dZ xhat) C W).
//
// C is summed in double precision.  The bias moves the mean and nothing else.
#pragma once

#include "ops/conv.h"
#include "ops/stored.h"

namespace handgrad {

// Whether these sizes are meant: stride 1, few channels, filters of whole panels, at least one window.
bool stem_fits(const ConvSizes& s);

// What forward keeps, and backward reads: xhat and index (N, OH / 2, OW / 2, F) of the chosen pixels;
// inv_std, scale (F); patches: mean(P), then C, K + K K numbers, K = HH WW C.
template <class Float, class Index, class Double, class Stored = Float>
struct StemArrays {
    Stored* xhat;
    Float *inv_std, *scale;
    Index* index;
    Double* patches;
};
using StemKept = StemArrays<float, uint8_t, double>;
using StemSaved = StemArrays<const float, const uint8_t, const double>;

// x: channels last, as all images; w: (F, C, HH, WW).  out: (N, OH / 2, OW / 2, F).  S: what out, xhat and dout are
// stored as, float or Bf16.
template <class S>
void stem_forward(const ConvSizes& s, const float* x, const float* w, const float* b, const float* gamma,
                  const float* beta, double eps, S* out, float* mean, float* variance,
                  const StemArrays<float, uint8_t, double, S>& kept);
template <class S>
void stem_backward(const ConvSizes& s, const float* x, const float* w, const S* dout,
                   const StemArrays<const float, const uint8_t, const double, const S>& saved, float* dw, float* dgamma,
                   float* dbeta);

// The same block with given moments.
struct GivenNorm {
    const float *gamma, *beta, *mean, *variance;
    double eps;
};
template <class S>
void stem_infer(const ConvSizes& s, const float* x, const float* w, const float* b, const GivenNorm& norm, S* out);

// The same block without batch norm, out = pool(max(0, P W + b)): dW = P^T dZ, where only the chosen pixels are summed.
// Of a sink with places and a ReLU, and of a source with places; see conv.h.
bool pooled_fits(const ConvSizes& s);
void pooled_forward(const ConvSizes& s, const float* x, const float* w, const Sink<float>& to);
// Returns false, with nothing of use written, where x is not finite: then zero gradients count too.
bool pooled_gradients(const ConvSizes& s, const Source<float>& dout, const float* x, float* dw, float* db);

}  // namespace handgrad
