// Convolution of channels-last images.
#pragma once

#include <cstdint>

namespace handgrad {

// Sizes of one convolution; all images are (N, height, width, channels) in memory.
struct ConvSizes {
    int64_t N, C, H, W, F, HH, WW, stride_y, stride_x, pad_y, pad_x, OH, OW;
    int64_t dilation_y = 1, dilation_x = 1;
    bool dilated() const { return dilation_y != 1 || dilation_x != 1; }
};

enum class ConvMode { kFast, kExact };
void set_conv_mode(ConvMode mode);
ConvMode conv_mode();

// Weights are (F, C, HH, WW), dense.  db may be null.
template <class T>
void conv_forward(const ConvSizes& s, const T* x, const T* w, const T* b, T* out);
template <class T>
void conv_backward_input(const ConvSizes& s, const T* dout, const T* w, T* dx);
template <class T>
void conv_backward_weights(const ConvSizes& s, const T* dout, const T* x, T* dw, T* db);

}  // namespace handgrad
