// NumPy arrays in and out.  Inputs of any strides are read in place where their memory already has
// the wanted order, else from a dense copy; outputs live in the buffers of core/buffers.h.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <initializer_list>
#include <optional>

#include "core/buffers.h"
#include "core/threads.h"
#include "ops/layout.h"

namespace handgrad {

namespace nb = nanobind;
using namespace nb::literals;  // "x"_a
using AnyArray = nb::ndarray<nb::ro, nb::device::cpu>;

// While one lives, other Python threads run, and no setting changes under the kernels.
class Unlocked {
    nb::gil_scoped_release released_;  // first: who changes a setting waits without the interpreter's lock
    Computing computing_;
};

struct Shape {
    int ndim = 0;
    int64_t sizes[kMaxDims] = {};

    Shape() = default;
    Shape(std::initializer_list<int64_t> given) {
        for (int64_t size : given) sizes[ndim++] = size;
    }
    explicit Shape(const AnyArray& array) : ndim(static_cast<int>(array.ndim())) {
        if (ndim > kMaxDims) throw std::length_error("native engine: arrays have at most 16 dimensions");
        for (int axis = 0; axis < ndim; ++axis) sizes[axis] = static_cast<int64_t>(array.shape(axis));
    }
    int64_t operator[](int axis) const { return sizes[axis]; }
    int64_t count(int first = 0) const {
        int64_t product = 1;
        for (int axis = first; axis < ndim; ++axis) product = times(product, sizes[axis]);
        return product;
    }
    bool operator==(const Shape& other) const {
        if (ndim != other.ndim) return false;
        for (int axis = 0; axis < ndim; ++axis)
            if (sizes[axis] != other.sizes[axis]) return false;
        return true;
    }
};

inline void check(bool fits, const char* message) {
    if (!fits) throw std::invalid_argument(message);
}

template <class T>
class In {
  public:
    In(const AnyArray& array, Order order) : shape(array) {
        check(array.dtype() == nb::dtype<T>(), "native engine: all arrays must have one dtype");
        int64_t strides[kMaxDims] = {};
        for (int axis = 0; axis < shape.ndim; ++axis) strides[axis] = array.stride(axis);
        const T* given = static_cast<const T*>(array.data());
        data_ = given;
        if (!is_dense(shape.ndim, shape.sizes, strides, order)) {
            copy_ = Scratch<T>(shape.count());
            copy_dense(given, shape.ndim, shape.sizes, strides, order, copy_.get());
            data_ = copy_.get();
        }
    }
    const T* get() const { return data_; }
    const Shape shape;

  private:
    const T* data_;
    Scratch<T> copy_;
};

// A vector of `count` numbers; `message` says whose.
template <class T>
In<T> vector_of(const AnyArray& array, int64_t count, const char* message) {
    In<T> vector(array, Order::kRows);
    check(vector.shape == Shape({count}), message);
    return vector;
}

inline bool is_dense(const AnyArray& array, Order order) {
    const Shape shape(array);
    int64_t strides[kMaxDims] = {};
    for (int axis = 0; axis < shape.ndim; ++axis) strides[axis] = array.stride(axis);
    return is_dense(shape.ndim, shape.sizes, strides, order);
}

// The order in which an array is dense; what is dense in neither is read as rows.
inline Order order_of(const AnyArray& array) {
    const bool last = array.ndim() > 2 && !is_dense(array, Order::kRows) && is_dense(array, Order::kChannelsLast);
    return last ? Order::kChannelsLast : Order::kRows;
}

template <class T>
class Out {
  public:
    explicit Out(const Shape& shape, Order order = Order::kRows)
        : shape(shape), order_(order), memory_(shape.count()) {}
    T* get() const { return memory_.get(); }
    const Shape shape;

    // Hands the memory over to a new NumPy array; needs the interpreter's lock.
    nb::object array() {
        size_t sizes[kMaxDims];
        int64_t strides[kMaxDims];
        for (int axis = 0; axis < shape.ndim; ++axis) sizes[axis] = static_cast<size_t>(shape[axis]);
        dense_strides(shape.ndim, shape.sizes, order_, strides);
        T* data = memory_.get();
        nb::capsule owner(data, [](void* block) noexcept { release(block); });
        memory_.forget();
        return nb::cast(nb::ndarray<nb::numpy, T>(data, static_cast<size_t>(shape.ndim), sizes, owner, strides));
    }

  private:
    Order order_;
    Scratch<T> memory_;
};

// Calls body(T{}) with the dtype of `array`, without the interpreter's lock.
template <class Body>
auto with_dtype(const AnyArray& array, Body&& body) {
    if (array.dtype() == nb::dtype<float>()) return body(float{});
    if (array.dtype() == nb::dtype<double>()) return body(double{});
    throw nb::type_error("native engine: arrays must be float32 or float64");
}

}  // namespace handgrad
