// Convolution of channels-last images: one door for the outputs, one for the gradients.  Behind them are the drivers,
// of which each takes some of the sizes: grouped_conv.h, winograd.h, stem.h, direct_conv.h, narrow_conv.h.
#pragma once

#include <cstdint>

#include "kernels/images.h"

namespace handgrad {

// Sizes of one convolution; all images are (N, height, width, channels) in memory.
struct ConvSizes {
    int64_t N, C, H, W, F, HH, WW, stride_y, stride_x, pad_y, pad_x, OH, OW;
    int64_t dilation_y = 1, dilation_x = 1, groups = 1;
    bool dilated() const { return dilation_y != 1 || dilation_x != 1; }
};

enum class ConvMode { kFast, kExact };
void set_conv_mode(ConvMode mode);
ConvMode conv_mode();

// Weights are (F, C / groups, HH, WW), dense.  A pooling that no driver takes is a pass behind the convolution.
template <class T>
void conv_forward(const ConvSizes& s, const T* x, const T* w, const Sink<T>& to);
// Whether a driver takes the pooling, behind a ReLU where `rectify`, so that the images in front of it are not stored.
bool conv_takes_pool(const ConvSizes& s, bool rectify);

// What is null is not computed.
template <class T>
struct ConvGradients {
    T *dx, *dw, *db;
};
template <class T>
void conv_backward(const ConvSizes& s, const Source<T>& dout, const T* x, const T* w, const ConvGradients<T>& to);

// The transposed convolution.  s: the sizes of the convolution that turns its output, (N, H, W, C), into its input.
template <class T>
void conv_transpose_forward(const ConvSizes& s, const T* x, const T* w, const T* b, T* out);
template <class T>
void conv_transpose_backward(const ConvSizes& s, const T* dout, const T* x, const T* w, const ConvGradients<T>& to);

}  // namespace handgrad
