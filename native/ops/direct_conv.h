// Convolution by matrix products, without groups; see conv.h for the arguments.  A sink without places.
#pragma once

#include "ops/conv.h"

namespace handgrad {

// Whether direct_forward multiplies with the filters as they lie, without packing them.
bool few_windows(const ConvSizes& s);

template <class T>
void direct_forward(const ConvSizes& s, const T* x, const T* w, const Sink<T>& to);
template <class T>
void direct_backward_input(const ConvSizes& s, const T* dout, const T* w, T* dx);
template <class T>
void direct_backward_weights(const ConvSizes& s, const T* dout, const T* x, T* dw);

}  // namespace handgrad
