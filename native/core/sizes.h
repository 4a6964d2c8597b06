// The one place where sizes are checked: every product and sum of sizes goes through here before
// anything is allocated.  A size that does not fit raises ValueError in Python.
#pragma once

#include <cstdint>
#include <stdexcept>

namespace handgrad {

inline int64_t times(int64_t a, int64_t b) {
    int64_t product;
    if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product))
        throw std::length_error("native engine: the sizes of these arrays do not fit 63 bits");
    return product;
}

template <class... Rest>
int64_t times(int64_t a, int64_t b, Rest... rest) {
    return times(times(a, b), rest...);
}

inline int64_t plus(int64_t a, int64_t b) {
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        throw std::length_error("native engine: the sizes of these arrays do not fit 63 bits");
    return sum;
}

inline int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }
inline int64_t round_up(int64_t a, int64_t b) { return times(ceil_div(a, b), b); }

// Output size of a window of `size` moved by `stride` over `length` plus `pad` on both sides.
inline int64_t window_count(int64_t length, int64_t size, int64_t stride, int64_t pad) {
    int64_t room = plus(length, times(2, pad)) - size;
    if (size < 1 || stride < 1 || room < 0)
        throw std::length_error("native engine: the window does not fit the padded input");
    return room / stride + 1;
}

}  // namespace handgrad
