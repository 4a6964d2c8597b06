// Where the numbers of a convolution come from and where they go: channels-last images (N, H, W, C).
#pragma once

#include <cstdint>

#include "kernels/bf16.h"

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

template <>
struct Sink<Bf16> {
    Bf16* out;
    const float* bias = nullptr;
    uint8_t* places = nullptr;
    bool rectify = false;
};

// A source of either kind of numbers, and a sink.
struct AnySource {
    AnySource(const Source<float>& from) : x(from.x), places(from.places), is_half(false) {}
    AnySource(const Source<Bf16>& from) : x(from.x), places(from.places), is_half(true) {}
    const void* x;
    const uint8_t* places;
    bool is_half;
};
struct AnySink {
    AnySink(const Sink<float>& to) : out(to.out), bias(to.bias), places(to.places), rectify(to.rectify), is_half(false) {}
    AnySink(const Sink<Bf16>& to) : out(to.out), bias(to.bias), places(to.places), rectify(to.rectify), is_half(true) {}
    void* out;
    const float* bias;
    uint8_t* places;
    bool rectify, is_half;
};

}  // namespace handgrad
