// Passes over arrays for which there is no vector code: what they cost is memory, or a function of the C library.
#pragma once

#include <cmath>
#include <cstring>

#include "core/threads.h"

namespace handgrad {

// log(1 + exp(x)), of which exp never overflows.
template <class T>
void softplus_of(const T* x, int64_t n, T* out) {
    for (int64_t i = 0; i < n; ++i) out[i] = x[i] > 0 ? x[i] + std::log1p(std::exp(-x[i])) : std::log1p(std::exp(x[i]));
}
template <class T>
void softplus(const T* x, int64_t n, T* out) {
    for_chunks(n, [&](int64_t at, int64_t count) { softplus_of(x + at, count, out + at); });
}

// Rows of `left` and `right` numbers, side by side; from rows side by side to rows.
template <class T>
void concat(const T* a, const T* b, int64_t rows, int64_t left, int64_t right, T* out) {
    const int64_t together = std::max<int64_t>(1, kChunk / std::max<int64_t>(1, left + right));
    parallel(ceil_div(rows, together), [&](int64_t chunk, int) {
        for (int64_t n = chunk * together; n < std::min(rows, (chunk + 1) * together); ++n) {
            T* to = out + n * (left + right);
            std::memcpy(to, a + n * left, static_cast<size_t>(left) * sizeof(T));
            std::memcpy(to + left, b + n * right, static_cast<size_t>(right) * sizeof(T));
        }
    });
}
template <class T>
void split(const T* out, int64_t rows, int64_t left, int64_t right, T* a, T* b) {
    const int64_t together = std::max<int64_t>(1, kChunk / std::max<int64_t>(1, left + right));
    parallel(ceil_div(rows, together), [&](int64_t chunk, int) {
        for (int64_t n = chunk * together; n < std::min(rows, (chunk + 1) * together); ++n) {
            const T* from = out + n * (left + right);
            std::memcpy(a + n * left, from, static_cast<size_t>(left) * sizeof(T));
            std::memcpy(b + n * right, from + left, static_cast<size_t>(right) * sizeof(T));
        }
    });
}

// Of each `pieces` numbers the largest, the first of those that tie, or a NaN; its number among them.
template <class T>
void maxout_of(const T* x, int64_t n, int64_t pieces, T* out, uint8_t* winner) {
    for (int64_t i = 0; i < n; ++i) {
        const T* group = x + i * pieces;
        int64_t best = 0;
        for (int64_t k = 1; k < pieces && group[best] == group[best]; ++k)
            if (!(group[k] <= group[best])) best = k;
        out[i] = group[best] + 0;  // of minus zero, plus zero
        winner[i] = static_cast<uint8_t>(best);
    }
}
template <class T>
void maxout(const T* x, int64_t n, int64_t pieces, T* out, uint8_t* winner) {
    for_chunks(n, [&](int64_t at, int64_t count) { maxout_of(x + at * pieces, count, pieces, out + at, winner + at); });
}
template <class T>
void maxout_backward(const T* dout, const uint8_t* winner, int64_t n, int64_t pieces, T* dx) {
    for_chunks(n, [&](int64_t at, int64_t count) {
        for (int64_t i = at; i < at + count; ++i)
            for (int64_t k = 0; k < pieces; ++k) dx[i * pieces + k] = k == winner[i] ? dout[i] : T{};
    });
}

}  // namespace handgrad
