// Convolution by Winograd's algorithm F(4 x 4, 3 x 3); see conv.h for the arguments.
#pragma once

#include "ops/conv.h"

namespace handgrad {

// Whether the algorithm can compute this convolution, and pays: 3 x 3, stride 1, enough channels and
// well-filled tiles.
bool winograd_pays(const ConvSizes& s);

// Each returns false where a result is not finite: then the direct algorithm has the say.
bool winograd_forward(const ConvSizes& s, const float* x, const float* w, const float* b, float* out);
bool winograd_backward_input(const ConvSizes& s, const float* dout, const float* w, float* dx);
bool winograd_backward_weights(const ConvSizes& s, const float* dout, const float* x, float* dw);

}  // namespace handgrad
