// The gradients of a direct convolution of images with few channels, as pictures have; see conv.h for the arguments.
#pragma once

#include "ops/conv.h"

namespace handgrad {

bool narrow_input_fits(const ConvSizes& s);
bool narrow_weights_fit(const ConvSizes& s);

template <class T>
void narrow_backward_input(const ConvSizes& s, const T* dout, const T* w, T* dx);
template <class T>
void narrow_backward_weights(const ConvSizes& s, const T* dout, const T* x, T* dw);

}  // namespace handgrad
