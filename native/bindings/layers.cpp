// Affine layers for Python.
#include "bindings/layers.h"

#include <algorithm>

#include "bindings/arrays.h"
#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/affine.h"

namespace handgrad {
namespace {

// Returns out; with a ReLU after it, out and where it is positive, one byte a number.
nb::object affine_forward_(const AnyArray& x, const AnyArray& w, const AnyArray& b, bool rectify) {
    return with_dtype(x, [&](auto zero) -> nb::object {
        using T = decltype(zero);
        std::optional<Out<T>> out;
        std::optional<Out<uint8_t>> positive;
        {
            Unlocked unlocked;
            const In<T> in(x, Order::kRows), weights(w, Order::kRows), bias(b, Order::kRows);
            const int64_t rows = in.shape[0], depth = weights.shape[0], columns = weights.shape[1];
            check(in.shape.count() == times(rows, depth) && bias.shape.count() == columns,
                  "affine_forward: x, w and b do not fit");
            out.emplace(Shape{rows, columns});
            affine_forward(in.get(), weights.get(), bias.get(), rows, depth, columns, out->get());
            if (rectify) {
                positive.emplace(out->shape);
                for_chunks(out->shape.count(), [&](int64_t at, int64_t n) {
                    kernels<T>().flat.rectify(out->get() + at, n, positive->get() + at);
                });
            }
        }
        if (!rectify) return out->array();
        return nb::make_tuple(out->array(), positive->array());
    });
}

nb::object affine_alone(const AnyArray& x, const AnyArray& w, const AnyArray& b) {
    return affine_forward_(x, w, b, false);
}

nb::object affine_relu_forward(const AnyArray& x, const AnyArray& w, const AnyArray& b) {
    return affine_forward_(x, w, b, true);
}

// positive: null, or where the ReLU after it was positive.  Without need_dx, dx is None; without need_db, db is
// zero.  The other backward functions take both in the same sense.
nb::tuple affine_backward_(const AnyArray& dout, const AnyArray& x, const AnyArray& w, const AnyArray* positive,
                           bool need_dx, bool need_db) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx, dw, db;
        {
            Unlocked unlocked;
            const In<T> upstream(dout, Order::kRows), in(x, Order::kRows), weights(w, Order::kRows);
            const int64_t rows = in.shape[0], depth = weights.shape[0], columns = weights.shape[1];
            check(in.shape.count() == times(rows, depth) && upstream.shape == Shape({rows, columns}),
                  "affine_backward: dout, x and w do not fit");
            const T* gradient = upstream.get();
            Scratch<T> passed(positive ? upstream.shape.count() : 0);
            if (positive) {
                const In<uint8_t> mask(*positive, Order::kRows);
                check(mask.shape == upstream.shape, "affine_relu_backward: dout does not fit");
                for_chunks(upstream.shape.count(), [&](int64_t at, int64_t n) {
                    kernels<T>().flat.relu_backward(gradient + at, mask.get() + at, n, passed.get() + at);
                });
                gradient = passed.get();
            }
            dw.emplace(weights.shape);
            db.emplace(Shape{columns});
            if (need_dx) dx.emplace(in.shape);
            affine_gradients(gradient, in.get(), weights.get(), rows, depth, columns, need_dx ? dx->get() : nullptr,
                             dw->get(), need_db ? db->get() : nullptr);
            if (!need_db) std::fill_n(db->get(), columns, T(0));
        }
        return nb::make_tuple(need_dx ? dx->array() : nb::none(), dw->array(), db->array());
    });
}

nb::tuple affine_backward(const AnyArray& dout, const AnyArray& x, const AnyArray& w, bool need_dx, bool need_db) {
    return affine_backward_(dout, x, w, nullptr, need_dx, need_db);
}

nb::tuple affine_relu_backward(const AnyArray& dout, const AnyArray& x, const AnyArray& w, const AnyArray& positive,
                               bool need_dx) {
    return affine_backward_(dout, x, w, &positive, need_dx, true);
}

}  // namespace

void bind_layers(nb::module_& module) {
    module.def("affine_forward", affine_alone, "x"_a, "w"_a, "b"_a);
    module.def("affine_backward", affine_backward, "dout"_a, "x"_a, "w"_a, "need_dx"_a, "need_db"_a);
    module.def("affine_relu_forward", affine_relu_forward, "x"_a, "w"_a, "b"_a);
    module.def("affine_relu_backward", affine_relu_backward, "dout"_a, "x"_a, "w"_a, "positive"_a, "need_dx"_a);
}

}  // namespace handgrad
