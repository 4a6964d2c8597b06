#include "ops/updates.h"

#include <atomic>

#include "core/buffers.h"
#include "core/threads.h"
#include "kernels/dispatch.h"

namespace handgrad {

template <class T>
void sgd(const UpdateSettings<T>& s, T* w, const T* dw, int64_t n) {
    for_chunks(n, [&](int64_t at, int64_t count) { kernels<T>().flat.sgd(s, w + at, dw + at, count); });
}

template <class T>
void update(Rule rule, const UpdateSettings<T>& s, const T* w, const T* dw, const T* state, int64_t n, T* next_w,
            T* next_state) {
    const auto& flat = kernels<T>().flat;
    const auto kernel = rule == Rule::kMomentum   ? flat.momentum
                        : rule == Rule::kNesterov ? flat.nesterov
                        : rule == Rule::kAdagrad  ? flat.adagrad
                                                  : flat.rmsprop;
    for_chunks(n, [&](int64_t at, int64_t count) {
        kernel(s, w + at, dw + at, state + at, count, next_w + at, next_state + at);
    });
}

template <class T>
void adam(const UpdateSettings<T>& s, const T* w, const T* dw, const T* m, const T* v, int64_t n, T* next_w, T* next_m,
          T* next_v) {
    for_chunks(n, [&](int64_t at, int64_t count) {
        kernels<T>().flat.adam(s, w + at, dw + at, m + at, v + at, count, next_w + at, next_m + at, next_v + at, is_large<T>(n));
    });
}

template <class T>
double penalty(const T* w, const T* dw, double strength, int64_t n, T* out) {
    const int64_t chunks = ceil_div(n, kChunk);
    Scratch<double> sums(chunks);
    for_chunks(n, [&](int64_t at, int64_t count) {
        sums.get()[at / kChunk] = kernels<T>().flat.penalty(w + at, dw + at, static_cast<T>(strength), count, out + at);
    });
    double total = 0;
    for (int64_t i = 0; i < chunks; ++i) total += sums.get()[i];
    return total;
}

template <class T>
double squares(const T* x, int64_t n) {
    constexpr int64_t kSums = 8;
    const int64_t chunks = ceil_div(n, kChunk);
    Scratch<double> of_chunks(chunks);
    for_chunks(n, [&](int64_t at, int64_t count) {
        double sums[kSums] = {};
        int64_t i = 0;
        for (; i + kSums <= count; i += kSums)
            for (int64_t j = 0; j < kSums; ++j) {
                const double number = static_cast<double>(x[at + i + j]);
                sums[j] += number * number;
            }
        for (; i < count; ++i) sums[0] += static_cast<double>(x[at + i]) * static_cast<double>(x[at + i]);
        for (int64_t j = 1; j < kSums; ++j) sums[0] += sums[j];
        of_chunks.get()[at / kChunk] = sums[0];
    });
    double total = 0;
    for (int64_t i = 0; i < chunks; ++i) total += of_chunks.get()[i];
    return total;
}

template <class T>
bool all_finite(const T* x, int64_t n) {
    std::atomic<bool> finite{true};
    for_chunks(n, [&](int64_t at, int64_t count) {
        if (!kernels<T>().flat.all_finite(x + at, count)) finite = false;
    });
    return finite.load();
}

#define HANDGRAD_UPDATES(T)                                                                                      \
    template void sgd<T>(const UpdateSettings<T>&, T*, const T*, int64_t);                                       \
    template void update<T>(Rule, const UpdateSettings<T>&, const T*, const T*, const T*, int64_t, T*, T*);      \
    template void adam<T>(const UpdateSettings<T>&, const T*, const T*, const T*, const T*, int64_t, T*, T*, T*); \
    template double penalty<T>(const T*, const T*, double, int64_t, T*);                                         \
    template double squares<T>(const T*, int64_t);                                                               \
    template bool all_finite<T>(const T*, int64_t);
HANDGRAD_UPDATES(float)
HANDGRAD_UPDATES(double)

}  // namespace handgrad
