#include "ops/losses.h"

#include <algorithm>
#include <cmath>

#include "core/buffers.h"
#include "core/threads.h"
#include "kernels/dispatch.h"

namespace handgrad {
namespace {

template <class T>
double softmax_row(const T* x, int64_t classes, int64_t label, T share, double smoothing, T* dx) {
    const T largest = *std::max_element(x, x + classes);
    kernels<T>().curves.exponentials(x, largest, classes, dx);
    T sum = 0;
    for (int64_t c = 0; c < classes; ++c) sum += dx[c];
    const T log_sum = std::log(sum);
    const double each = smoothing / static_cast<double>(classes);
    const T wrong = static_cast<T>(each), right = static_cast<T>(1 - smoothing + each);
    double loss = 0;
    for (int64_t c = 0; c < classes; ++c) {
        const T target = c == label ? right : wrong;
        dx[c] = (dx[c] / sum - target) * share;
        if (target != 0) loss -= static_cast<double>(target) * static_cast<double>(x[c] - largest - log_sum);
    }
    return loss;
}

template <class T>
double svm_row(const T* x, int64_t classes, int64_t label, T share, double, T* dx) {
    double loss = 0;
    int64_t violated = 0;
    for (int64_t c = 0; c < classes; ++c) {
        const T margin = c == label ? T(0) : x[c] - x[label] + 1;
        dx[c] = margin > 0 ? share : T(0);
        if (margin > 0) loss += static_cast<double>(margin), ++violated;
    }
    dx[label] = -share * static_cast<T>(violated);
    return loss;
}

// The sum of of_row(n) over the rows, `size` numbers each, in the order of the rows.
template <class Row>
double sum_of_rows(int64_t rows, int64_t size, Row&& of_row) {
    Scratch<double> losses(rows);
    const int64_t count = std::max<int64_t>(1, 256 / std::max<int64_t>(1, size));
    parallel(ceil_div(rows, count), [&](int64_t chunk, int) {
        for (int64_t n = chunk * count; n < std::min(rows, (chunk + 1) * count); ++n) losses.get()[n] = of_row(n);
    });
    double total = 0;
    for (int64_t n = 0; n < rows; ++n) total += losses.get()[n];
    return total;
}

}  // namespace

template <class T>
double loss_of_labels(Loss loss, const T* x, const int64_t* y, const T* weights, int64_t rows, int64_t classes,
                      double smoothing, T* dx) {
    const T share = T(1) / static_cast<T>(rows);
    const auto of_row = loss == Loss::kSoftmax ? softmax_row<T> : svm_row<T>;
    const double total = sum_of_rows(rows, classes, [&](int64_t n) {
        const double one = of_row(x + n * classes, classes, y[n], weights ? weights[n] : share, smoothing, dx + n * classes);
        return weights ? static_cast<double>(weights[n]) * one : one;
    });
    return weights ? total : total / static_cast<double>(rows);
}

template <class T>
double squared_loss(const T* x, const T* y, const T* weights, int64_t rows, int64_t columns, T* dx) {
    return sum_of_rows(rows, columns, [&](int64_t n) {
        const T share = weights[n] / static_cast<T>(columns);
        double loss = 0;
        for (int64_t k = n * columns; k < (n + 1) * columns; ++k) {
            const T difference = x[k] - y[k], scaled = share * difference;
            dx[k] = 2 * scaled;
            loss += static_cast<double>(scaled) * static_cast<double>(difference);
        }
        return loss;
    });
}

template double loss_of_labels<float>(Loss, const float*, const int64_t*, const float*, int64_t, int64_t, double, float*);
template double loss_of_labels<double>(Loss, const double*, const int64_t*, const double*, int64_t, int64_t, double, double*);
template double squared_loss<float>(const float*, const float*, const float*, int64_t, int64_t, float*);
template double squared_loss<double>(const double*, const double*, const double*, int64_t, int64_t, double*);

}  // namespace handgrad
