// Convolution by Winograd's algorithm, float32, 3 x 3, stride 1; see conv.h for the arguments.
#pragma once

#include "ops/conv.h"

namespace handgrad {

// Each returns false where the direct algorithm is to compute instead: because this convolution is of
// another kind, or the direct algorithm is faster, or (then the output is overwritten) because a result is
// not finite, or so small are the numbers that the transforms would round them to subnormal ones.
// is_packed: whether the direct algorithm has its weights packed already.
bool winograd_forward(const ConvSizes& s, const AnySource& x, const float* w, const AnySink& to, bool is_packed = false);
bool winograd_backward_input(const ConvSizes& s, const AnySource& dout, const float* w, const AnySink& dx);
bool winograd_backward_weights(const ConvSizes& s, const AnySource& dout, const AnySource& x, float* dw);

// Whether winograd_forward would begin.
bool winograd_takes(const ConvSizes& s);

// What a number that goes through a transform, and a weight that is transformed, cost on this processor: as many times
// as on the one that `choose` was fitted to.  It decides between the algorithms.
struct WinogradCosts {
    double number = 1, weight = 1;
};
void set_winograd_costs(WinogradCosts costs);
WinogradCosts winograd_costs();
enum class Pass { kForward, kInput, kWeights };
// The tile that is chosen for a pass, 0 for the direct algorithm.
int64_t winograd_choice(const ConvSizes& s, Pass pass);

// Tests and measurements: tiles of 2, 4 or 8 wherever the algorithm can compute, 0 for the fastest.
void set_winograd_tile(int size);

}  // namespace handgrad
