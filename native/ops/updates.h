// Update rules and other passes over the arrays of a network, n numbers each; the letters are those of handgrad.optim.
#pragma once

#include <cstdint>

#include "kernels/table.h"

namespace handgrad {

enum class Rule { kMomentum, kNesterov, kAdagrad, kRmsprop, kSgd, kAdam };

// In place.
template <class T>
void sgd(const UpdateSettings<T>& s, T* w, const T* dw, int64_t n);
// The rules with one state; what is next may be what was.
template <class T>
void update(Rule rule, const UpdateSettings<T>& s, const T* w, const T* dw, const T* state, int64_t n, T* next_w,
            T* next_state);
// Whether the state of a parameter leaves the caches before the next step.
template <class T>
bool is_large(int64_t n) {
    return n * static_cast<int64_t>(sizeof(T)) >= int64_t{2} << 20;
}
template <class T>
void adam(const UpdateSettings<T>& s, const T* w, const T* dw, const T* m, const T* v, int64_t n, T* next_w, T* next_m,
          T* next_v);
// out = dw + strength w; returns the sum of w^2.
template <class T>
double penalty(const T* w, const T* dw, double strength, int64_t n, T* out);
// The sum of x^2, in double precision, in an order that depends on n alone.
template <class T>
double squares(const T* x, int64_t n);
template <class T>
bool all_finite(const T* x, int64_t n);

}  // namespace handgrad
