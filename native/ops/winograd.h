// Convolution by Winograd's algorithm, float32, 3 x 3, stride 1; see conv.h for the arguments.
#pragma once

#include "core/buffers.h"
#include "ops/conv.h"

namespace handgrad {

// Filters that are transformed once, for many images; forget() where the weights are others.
struct WinogradFilters {
    void forget() { tile = 0; }
    Scratch<float> u;
    int64_t tile = 0;  // that they are transformed for, 0 for none
    bool is_normal = false;
};

// Each returns false where the direct algorithm is to compute instead: because this convolution is of
// another kind, or the direct algorithm is faster, or (then the output is overwritten) because a result is
// not finite, or so small are the numbers that the transforms would round them to subnormal ones.
// kept: filters of a convolution whose weights stay as they are; the direct algorithm is taken to keep its own, too.
bool winograd_forward(const ConvSizes& s, const AnySource& x, const float* w, const AnySink& to, WinogradFilters* kept = nullptr);
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
