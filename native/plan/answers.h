// The answers of a trained network to raw rows, which are prepared; scores become probabilities or numbers in a unit.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/sizes.h"

namespace handgrad {

// x = (raw - mean) / std for each place of a row; raw must lie in low..high, and one of a row's numbers above `above`.
struct Preparation {
    std::vector<double> mean, std;
    double low = -std::numeric_limits<double>::max(), high = std::numeric_limits<double>::max();
    double above = -std::numeric_limits<double>::infinity();
};

enum class Finish { kSoftmax, kYes, kNumbers };

// Returns false where a number is out of range or not finite.
template <class T, class U>
bool prepare_rows(const U* raw, int64_t rows, const Preparation& how, T* out) {
    const size_t size = how.mean.size();
    bool fits = true;
    for (int64_t n = 0; n < rows; ++n, raw += size, out += size) {
        double most = -std::numeric_limits<double>::infinity();
        for (size_t i = 0; i < size; ++i) {
            const double x = static_cast<double>(raw[i]);
            out[i] = static_cast<T>((x - how.mean[i]) / how.std[i]);
            most = std::max(most, x);
            fits = fits && x >= how.low && x <= how.high && std::isfinite(out[i]);
        }
        fits = fits && most > how.above;
    }
    return fits;
}

// scale, shift: of numbers, for each column.  Returns false where a score is not finite.
template <class T>
bool finish_scores(const T* scores, int64_t rows, int64_t columns, Finish how, const std::vector<double>& scale,
                   const std::vector<double>& shift, double* out) {
    for (int64_t n = 0; n < rows; ++n, scores += columns, out += columns) {
        for (int64_t c = 0; c < columns; ++c)
            if (!std::isfinite(scores[c])) return false;
        if (how == Finish::kSoftmax) {
            const double most = static_cast<double>(*std::max_element(scores, scores + columns));
            double total = 0;
            for (int64_t c = 0; c < columns; ++c) total += out[c] = std::exp(static_cast<double>(scores[c]) - most);
            for (int64_t c = 0; c < columns; ++c) out[c] /= total;
        } else if (how == Finish::kYes) {
            for (int64_t c = 0; c < columns; ++c) {
                const double s = static_cast<double>(scores[c]), decay = std::exp(-std::abs(s));
                out[c] = (s >= 0 ? 1.0 : decay) / (1.0 + decay);
            }
        } else {
            for (int64_t c = 0; c < columns; ++c) {
                const size_t i = static_cast<size_t>(c);
                out[c] = static_cast<double>(scores[c]) * scale[i] + shift[i];
            }
        }
    }
    return true;
}

}  // namespace handgrad
