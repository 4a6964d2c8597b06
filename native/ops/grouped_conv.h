// Convolution in groups of channels, dilated or not; see conv.h for the arguments.  Weights are
// (F, C / groups, HH, WW), dense.
#pragma once

#include "ops/conv.h"

namespace handgrad {

template <class T>
void grouped_forward(const ConvSizes& s, int64_t groups, const T* x, const T* w, const T* b, T* out);
template <class T>
void grouped_backward_input(const ConvSizes& s, int64_t groups, const T* dout, const T* w, T* dx);
// db may be null.
template <class T>
void grouped_backward_weights(const ConvSizes& s, int64_t groups, const T* dout, const T* x, T* dw, T* db);

}  // namespace handgrad
