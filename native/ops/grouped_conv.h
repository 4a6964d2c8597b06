// Convolution in groups of channels, two at least; see conv.h for the arguments.  A sink without places.
#pragma once

#include "ops/conv.h"

namespace handgrad {

template <class T>
void grouped_forward(const ConvSizes& s, const T* x, const T* w, const Sink<T>& to);
template <class T>
void grouped_backward_input(const ConvSizes& s, const T* dout, const T* w, T* dx);
template <class T>
void grouped_backward_weights(const ConvSizes& s, const T* dout, const T* x, T* dw);

}  // namespace handgrad
