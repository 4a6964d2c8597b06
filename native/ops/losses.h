// Losses over rows of finite scores, and their gradients.
#pragma once

#include <cstdint>

namespace handgrad {

enum class Loss { kSoftmax, kSvm };

// x, dx (rows, classes); y: a label a row, in [0, classes).  Returns the mean over the rows, or their sum with these
// weights where they are not null.
template <class T>
double loss_of_labels(Loss loss, const T* x, const int64_t* y, const T* weights, int64_t rows, int64_t classes,
                      double smoothing, T* dx);

// The mean over the columns of (x - y)^2, x and y (rows, columns), summed over the rows with these weights.
template <class T>
double squared_loss(const T* x, const T* y, const T* weights, int64_t rows, int64_t columns, T* dx);

}  // namespace handgrad
