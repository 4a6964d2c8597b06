// Muon's step for a matrix of weights; see handgrad.optim.muon.
#pragma once

#include <cstdint>

namespace handgrad {

template <class T>
struct MuonSettings {
    T rate, momentum, radius;
    int64_t rounds;     // at least 1
    T coefficients[3];  // of the polynomial a s + b s^3 + c s^5
};

// next_v = momentum v + dw and next_w = w - rate O(dw + momentum next_v), w having been scaled to the radius before, if
// there is one; all are (rows, columns), with rows <= columns.  Returns false, and writes nothing of use, where the
// squares of w or of the matrix behind O are too small or too large to sum.
template <class T>
bool muon(const MuonSettings<T>& s, int64_t rows, int64_t columns, const T* w, const T* dw, const T* v, T* next_w,
          T* next_v);

}  // namespace handgrad
