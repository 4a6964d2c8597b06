// What operations of scores keep of the weights while a plan's arrays do not change.
#pragma once

#include <memory>
#include <utility>

#include "ops/bf16_scores.h"
#include "plan/args.h"

namespace handgrad {

// The slots of weights and bias from `place` on, and from `norm` on those of a normalisation by given moments, if any.
struct WeightSlots {
    WeightSlots(const Args& a, size_t place, int64_t count, int64_t rows, size_t norm)
        : w(a.slot<float>(place, count)), b(a.slot<float>(place + 1, rows)), gamma(a.optional<float>(norm, rows)) {
        if (gamma < 0) return;
        beta = a.slot<float>(norm + 1, rows);
        mean = a.slot<float>(norm + 2, rows);
        var = a.slot<float>(norm + 3, rows);
        eps = a.number(0);
    }
    GivenWeights at(const Context& c) const {
        GivenWeights given{c.at<float>(w), c.at<float>(b), {}};
        if (gamma >= 0) given.norm = GivenNorm{c.at<float>(gamma), c.at<float>(beta), c.at<float>(mean), c.at<float>(var), eps};
        return given;
    }
    int64_t w, b, gamma, beta = -1, mean = -1, var = -1;
    double eps = 0;
};

template <class Scores>
class Kept {
  public:
    template <class... Sizes>
    explicit Kept(Sizes&&... sizes) : scores_(std::forward<Sizes>(sizes)...) {}
    Scores& made(const Context& c, const WeightSlots& given) {
        if (!c.binding || c.binding != binding_) {
            binding_ = 0;  // until it is made
            scores_.take(given.at(c));
            binding_ = c.binding;
        }
        return scores_;
    }

  private:
    Scores scores_;
    int64_t binding_ = 0;
};

}  // namespace handgrad
