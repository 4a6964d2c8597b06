// Convolutions of bf16 images as products of bf16, pixels read where they lie: see bf16_conv.h for the arguments.
#pragma once

#include "ops/bf16_blocks.h"
#include "ops/bf16_conv.h"

namespace handgrad {

// Of one group; a sink and a source without places.  A sink may rectify.
// The filters as they are read, for any images of these sizes.
PackedPanels pack_windows(const ConvSizes& s, const float* w);
void windows_forward(const ConvSizes& s, const Bf16* x, const Bf16Panels& filters, const Sink<Bf16>& to);
void windows_forward(const ConvSizes& s, const Bf16* x, const float* w, const Sink<Bf16>& to);
void windows_backward_input(const ConvSizes& s, const Bf16* dout, const float* w, Bf16* dx);
void windows_backward_weights(const ConvSizes& s, const Bf16* dout, const Bf16* x, float* dw);

}  // namespace handgrad
