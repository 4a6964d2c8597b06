// Where the numbers of a convolution come from and where they go: channels-last images (N, H, W, C).
#pragma once

#include <cstdint>

namespace handgrad {

// Images; or, with places, the gradient of 2 x 2 max pooling's input: x (N, H / 2, W / 2, C) at the pixel whose
// number in its window (0 to 3; 4 for none) is its place, zeros elsewhere.
template <class T>
struct Source {
    const T* x;
    const uint8_t* places = nullptr;
};

// What becomes of the outputs: the bias is added unless it is null, then they are written to out.  With places, a
// ReLU where `rectify` and 2 x 2 max pooling are on the way: out is the largest of each window, places its number
// as above; what is left over of an odd H or W is in no window.
template <class T>
struct Sink {
    T* out;
    const T* bias = nullptr;
    uint8_t* places = nullptr;
    bool rectify = false;
};

}  // namespace handgrad
