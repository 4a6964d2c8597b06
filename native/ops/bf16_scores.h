// Convolutions and affine layers of scores in bf16.  A batch normalisation by given moments is folded into weights and
// bias in float32; what is made of weights alone is made by `take`, and may serve many batches.
#pragma once

#include <optional>

#include "ops/bf16_blocks.h"
#include "ops/bf16_conv.h"
#include "ops/bf16_product.h"
#include "ops/stem.h"
#include "ops/winograd.h"

namespace handgrad {

// Weights (rows, depth) or, transposed, (depth, rows), and a bias of each row, which may be null.
struct GivenWeights {
    const float *w, *b;
    std::optional<GivenNorm> norm;
};

// out = [max(0, .)] of [norm of] a convolution, and of 2 x 2 max pooling where `pool`.
class ConvScores {
  public:
    ConvScores(const ConvSizes& s, bool rectify, bool pool) : s_(s), rectify_(rectify), pool_(pool) {}
    void take(const GivenWeights& given);
    void run(const Bf16* x, Bf16* out);

  private:
    bool by_winograd(const Bf16* x, Bf16* out);
    const ConvSizes s_;
    const bool rectify_, pool_;
    Scratch<float> w_, b_;
    std::optional<PackedPanels> filters_;  // made when they are asked for, as are
    WinogradFilters transformed_;
};

// The same of x (rows, depth) times w (depth, columns).
class AffineScores {
  public:
    AffineScores(int64_t rows, int64_t depth, int64_t columns, bool rectify)
        : rows_(rows), depth_(depth), columns_(columns), rectify_(rectify) {}
    void take(const GivenWeights& given);
    template <class T>
    void run(const Bf16* x, T* out) {
        multiply({x, depth_, 1}, *factor_, rows_, depth_, {out, columns_, b_.get(), rectify_});
    }

  private:
    const int64_t rows_, depth_, columns_;
    const bool rectify_;
    Scratch<float> b_;
    std::optional<PackedPanels> factor_;
};

}  // namespace handgrad
