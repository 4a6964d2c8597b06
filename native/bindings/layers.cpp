// Affine layers for Python.
#include "bindings/layers.h"

#include <algorithm>

#include "bindings/arrays.h"
#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/product.h"

namespace handgrad {
namespace {

template <class T>
void affine(const T* x, const T* w, const T* b, int64_t rows, int64_t depth, int64_t columns, T* out) {
    multiply<T>(RowMatrix<T>(x, depth), RightFactor<T>(w, columns, 1, depth, columns, rows), rows, b, out, columns);
}

template <class T>
void affine_input_gradient(const T* dout, const T* w, int64_t rows, int64_t depth, int64_t columns, T* dx) {
    constexpr int64_t kLongRows = 256;  // worth the sums over a vector at the end of each
    if (columns >= kLongRows && rows <= RightFactor<T>::kFewRows)
        multiply_rows<T>(dout, rows, w, depth, columns, nullptr, dx, depth);
    else
        multiply<T>(RowMatrix<T>(dout, columns), RightFactor<T>(w, 1, columns, columns, depth, rows), rows, nullptr, dx,
                    depth);
}

// The gradients for dout (rows, columns); dx and db may be null.
template <class T>
void affine_gradients(const T* dout, const T* x, const T* w, int64_t rows, int64_t depth, int64_t columns, T* dx,
                      T* dw, T* db) {
    const auto of_input = [&] {
        if (dx) affine_input_gradient(dout, w, rows, depth, columns, dx);
    };
    const auto of_parameters = [&] {
        multiply<T>(ColumnMatrix<T>(x, depth), RightFactor<T>(dout, columns, 1, rows, columns), depth, nullptr, dw, columns);
        if (db) column_sums(dout, rows, columns, db);
    };
    // Small products are done side by side: cut up, they would wait for each other's numbers.
    constexpr int64_t kSmall = int64_t{1} << 21;
    if (dx && times(rows, depth, columns) <= kSmall)
        return parallel(2, [&](int64_t task, int) { task ? of_parameters() : of_input(); });
    of_input();
    of_parameters();
}

// Returns out; with a rectifier behind it, out and where it is positive, one byte a number.
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
            affine(in.get(), weights.get(), bias.get(), rows, depth, columns, out->get());
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

nb::object affine_forward(const AnyArray& x, const AnyArray& w, const AnyArray& b) {
    return affine_forward_(x, w, b, false);
}

nb::object affine_relu_forward(const AnyArray& x, const AnyArray& w, const AnyArray& b) {
    return affine_forward_(x, w, b, true);
}

// positive: null, or what the rectifier behind it let pass.  Without need_dx, dx is None; without need_db, db is
// zero: so below, too.
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
    module.def("affine_forward", affine_forward, "x"_a, "w"_a, "b"_a);
    module.def("affine_backward", affine_backward, "dout"_a, "x"_a, "w"_a, "need_dx"_a, "need_db"_a);
    module.def("affine_relu_forward", affine_relu_forward, "x"_a, "w"_a, "b"_a);
    module.def("affine_relu_backward", affine_relu_backward, "dout"_a, "x"_a, "w"_a, "positive"_a, "need_dx"_a);
}

}  // namespace handgrad
