// Convolution of channels-last images in bf16, with float32 weights, biases and sums; see conv.h for the arguments.
//
// Where the products are of bf16, the weights are rounded to it, and so is each result once; where float32 algorithms
// are faster, they take the pixels as float32 numbers, and only the results are rounded.
#pragma once

#include "kernels/bf16.h"
#include "ops/conv.h"

namespace handgrad {

template <>
struct ConvGradients<Bf16> {
    Bf16* dx;
    float *dw, *db;
};

void conv_forward(const ConvSizes& s, const Bf16* x, const float* w, const Sink<Bf16>& to);
void conv_backward(const ConvSizes& s, const Source<Bf16>& dout, const Bf16* x, const float* w, const ConvGradients<Bf16>& to);
void conv_transpose_forward(const ConvSizes& s, const Bf16* x, const float* w, const float* b, Bf16* out);
void conv_transpose_backward(const ConvSizes& s, const Bf16* dout, const Bf16* x, const float* w, const ConvGradients<Bf16>& to);

}  // namespace handgrad
