// Single passes over flat arrays: activations, dropout, update rules.
//
// Plain loops that the compiler turns into vectors.  Results may be the inputs themselves, never
// parts of them.
#include "kernels/simd.h"
#include "kernels/table.h"

#include <cmath>

namespace handgrad::HANDGRAD_ISA {
namespace {

template <class T>
void relu(const T* __restrict x, int64_t n, T* __restrict out, uint8_t* __restrict positive) {
    for (int64_t i = 0; i < n; ++i) out[i] = x[i] < 0 ? T(0) : x[i];
    for (int64_t i = 0; i < n; ++i) positive[i] = x[i] > 0;
}

template <class T>
void rectify(T* __restrict x, int64_t n, uint8_t* __restrict positive) {
    for (int64_t i = 0; i < n; ++i) positive[i] = x[i] > 0;
    for (int64_t i = 0; i < n; ++i) x[i] = x[i] < 0 ? T(0) : x[i];
}

template <class T>
void relu_backward(const T* __restrict dout, const uint8_t* __restrict positive, int64_t n,
                   T* __restrict dx) {
    for (int64_t i = 0; i < n; ++i) dx[i] = positive[i] ? dout[i] : T(0);
}

template <class T>
void product(const T* __restrict a, const T* __restrict b, int64_t n, T* __restrict out) {
    for (int64_t i = 0; i < n; ++i) out[i] = a[i] * b[i];
}

template <class T>
void sum(const T* __restrict a, const T* __restrict b, int64_t n, T* __restrict out) {
    for (int64_t i = 0; i < n; ++i) out[i] = a[i] + b[i];
}

template <class T>
void leaky_relu(const T* __restrict x, T alpha, int64_t n, T* __restrict out,
                uint8_t* __restrict positive) {
    for (int64_t i = 0; i < n; ++i) out[i] = x[i] > 0 ? x[i] : alpha * x[i];
    for (int64_t i = 0; i < n; ++i) positive[i] = x[i] > 0;
}

template <class T>
void leaky_relu_backward(const T* __restrict dout, const uint8_t* __restrict positive, T alpha,
                         int64_t n, T* __restrict dx) {
    for (int64_t i = 0; i < n; ++i) dx[i] = positive[i] ? dout[i] : alpha * dout[i];
}

template <class T>
void sgd(const UpdateSettings<T>& s, T* __restrict w, const T* __restrict dw, int64_t n) {
    const T rate = s.rate;
    for (int64_t i = 0; i < n; ++i) w[i] -= rate * dw[i];
}

template <class T>
void momentum(const UpdateSettings<T>& s, const T* __restrict w, const T* __restrict dw,
              const T* __restrict v, int64_t n, T* __restrict next_w, T* __restrict next_v) {
    const T rate = s.rate, mu = s.decay1;
    for (int64_t i = 0; i < n; ++i) {
        next_v[i] = mu * v[i] - rate * dw[i];
        next_w[i] = w[i] + next_v[i];
    }
}

template <class T>
void nesterov(const UpdateSettings<T>& s, const T* __restrict w, const T* __restrict dw,
              const T* __restrict v, int64_t n, T* __restrict next_w, T* __restrict next_v) {
    const T rate = s.rate, mu = s.decay1;
    for (int64_t i = 0; i < n; ++i) {
        const T moved = mu * v[i] - rate * dw[i];
        next_w[i] = w[i] + moved + mu * (moved - v[i]);
        next_v[i] = moved;
    }
}

template <class T>
void adagrad(const UpdateSettings<T>& s, const T* __restrict w, const T* __restrict dw,
             const T* __restrict c, int64_t n, T* __restrict next_w, T* __restrict next_c) {
    const T rate = s.rate, epsilon = s.epsilon;
    for (int64_t i = 0; i < n; ++i) {
        const T sum = c[i] + dw[i] * dw[i];
        next_c[i] = sum;
        next_w[i] = w[i] - rate * dw[i] / (std::sqrt(sum) + epsilon);
    }
}

template <class T>
void rmsprop(const UpdateSettings<T>& s, const T* __restrict w, const T* __restrict dw,
             const T* __restrict c, int64_t n, T* __restrict next_w, T* __restrict next_c) {
    const T rate = s.rate, decay = s.decay1, rest = s.decay2, epsilon = s.epsilon;
    for (int64_t i = 0; i < n; ++i) {
        const T average = decay * c[i] + rest * (dw[i] * dw[i]);
        next_c[i] = average;
        next_w[i] = w[i] - rate * dw[i] / (std::sqrt(average) + epsilon);
    }
}

template <class T>
HG_INLINE void adam_piece(const UpdateSettings<T>& s, const T* __restrict w, const T* __restrict dw, const T* __restrict m,
                          const T* __restrict v, int64_t n, T* __restrict next_w, T* __restrict next_m,
                          T* __restrict next_v) {
    const T beta1 = s.decay1, beta2 = s.decay2, rest1 = 1 - beta1, rest2 = 1 - beta2, epsilon = s.epsilon;
    const T rate = s.rate / s.correction1, root = 1 / std::sqrt(s.correction2), kept = s.weight_decay;
    for (int64_t i = 0; i < n; ++i) {
        const T first = beta1 * m[i] + rest1 * dw[i];
        const T second = beta2 * v[i] + rest2 * (dw[i] * dw[i]);
        next_m[i] = first;
        next_v[i] = second;
        next_w[i] = w[i] * kept - rate * first / (std::sqrt(second) * root + epsilon);
    }
}

template <class T>
void adam(const UpdateSettings<T>& s, const T* w, const T* dw, const T* m, const T* v, int64_t n, T* next_w, T* next_m,
          T* next_v, bool is_large) {
    constexpr int64_t kPiece = 16 * kLanes<T>;
    int64_t i = 0;
    // m and v are not wanted before the next step: of large parameters they go past the caches, w does not
    for (; is_large && i + kPiece <= n; i += kPiece) {
        T first[kPiece], second[kPiece];
        adam_piece(s, w + i, dw + i, m + i, v + i, kPiece, next_w + i, first, second);
        for (int64_t j = 0; j < kPiece; j += kLanes<T>) {
            stream<T>(next_m + i + j, load<T>(first + j));
            stream<T>(next_v + i + j, load<T>(second + j));
        }
    }
    if (i > 0) streamed();
    adam_piece(s, w + i, dw + i, m + i, v + i, n - i, next_w + i, next_m + i, next_v + i);
}

// out = dw + strength w; returns the sum of w^2.
template <class T>
double penalty(const T* __restrict w, const T* __restrict dw, T strength, int64_t n, T* __restrict out) {
    constexpr int64_t kSums = 4 * kLanes<T>, kPiece = 64 * kSums;  // in double precision after each piece
    double total = 0;
    for (int64_t start = 0; start < n; start += kPiece) {
        const int64_t stop = start + kPiece < n ? start + kPiece : n;
        T sums[kSums] = {};
        int64_t i = start;
        for (; i + kSums <= stop; i += kSums)
            for (int64_t j = 0; j < kSums; ++j) {
                sums[j] += w[i + j] * w[i + j];
                out[i + j] = dw[i + j] + strength * w[i + j];
            }
        for (; i < stop; ++i) {
            sums[0] += w[i] * w[i];
            out[i] = dw[i] + strength * w[i];
        }
        for (int64_t j = 0; j < kSums; ++j) total += static_cast<double>(sums[j]);
    }
    return total;
}

// 0 x is NaN where x is infinite or NaN.
template <class T>
bool all_finite(const T* x, int64_t n) {
    constexpr int64_t kSums = 4 * kLanes<T>;
    T sums[kSums] = {};
    int64_t i = 0;
    for (; i + kSums <= n; i += kSums)
        for (int64_t j = 0; j < kSums; ++j) sums[j] += 0 * x[i + j];
    for (; i < n; ++i) sums[0] += 0 * x[i];
    for (int64_t j = 1; j < kSums; ++j) sums[0] += sums[j];
    return sums[0] == 0;
}

template <class T>
void look_ahead(T momentum, const T* __restrict w, const T* __restrict dw, const T* __restrict v, int64_t n,
                T* __restrict next_v, T* __restrict ahead, double* squares) {
    constexpr int64_t kSums = 4 * kLanes<T>;
    T of_w[kSums] = {}, of_ahead[kSums] = {};
    for (int64_t i = 0; i < n; i += kSums) {
        const int64_t count = i + kSums <= n ? kSums : n - i;
        for (int64_t j = 0; j < count; ++j) {
            const T next = momentum * v[i + j] + dw[i + j], sum = dw[i + j] + momentum * next;
            next_v[i + j] = next;
            ahead[i + j] = sum;
            of_w[j] += w[i + j] * w[i + j];
            of_ahead[j] += sum * sum;
        }
    }
    squares[0] = squares[1] = 0;
    for (int64_t j = 0; j < kSums; ++j) {
        squares[0] += static_cast<double>(of_w[j]);
        squares[1] += static_cast<double>(of_ahead[j]);
    }
}

template <class T>
void step_from(T kept, const T* __restrict w, T rate, int64_t n, T* __restrict step) {
    for (int64_t i = 0; i < n; ++i) step[i] = kept * w[i] - rate * step[i];
}

template <class T>
FlatKernels<T> table() {
    return {relu<T>, rectify<T>,  relu_backward<T>, product<T>, sum<T>,     leaky_relu<T>, leaky_relu_backward<T>,
            sgd<T>,  momentum<T>, nesterov<T>,      adagrad<T>, rmsprop<T>, adam<T>,       penalty<T>,
            all_finite<T>, look_ahead<T>, step_from<T>};
}

}  // namespace

void fill(FlatKernels<float>& kernels) { kernels = table<float>(); }
void fill(FlatKernels<double>& kernels) { kernels = table<double>(); }

}  // namespace handgrad::HANDGRAD_ISA
