// Affine and convolution for Python.
#include "bindings/layers.h"

#include <algorithm>

#include "bindings/arrays.h"
#include "bindings/convs.h"
#include "ops/product.h"

namespace handgrad {
namespace {

using Unlocked = nb::gil_scoped_release;

// Affine

template <class T>
void affine(const T* x, const T* w, const T* b, int64_t rows, int64_t depth, int64_t columns, T* out) {
    multiply<T>(RowMatrix<T>(x, depth), RightFactor<T>(w, columns, 1, depth, columns), rows, b, out, columns);
}

nb::object affine_forward(const AnyArray& x, const AnyArray& w, const AnyArray& b) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out;
        {
            Unlocked unlocked;
            const In<T> in(x, Order::kRows), weights(w, Order::kRows), bias(b, Order::kRows);
            const int64_t rows = in.shape[0], depth = weights.shape[0], columns = weights.shape[1];
            check(in.shape.count() == times(rows, depth) && bias.shape.count() == columns,
                  "affine_forward: x, w and b do not fit");
            out.emplace(Shape{rows, columns});
            affine(in.get(), weights.get(), bias.get(), rows, depth, columns, out->get());
        }
        return out->array();
    });
}

// Without need_dx, dx is None; without need_db, db is zero: so below, too.
nb::tuple affine_backward(const AnyArray& dout, const AnyArray& x, const AnyArray& w, bool need_dx, bool need_db) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx, dw, db;
        {
            Unlocked unlocked;
            const In<T> upstream(dout, Order::kRows), in(x, Order::kRows), weights(w, Order::kRows);
            const int64_t rows = in.shape[0], depth = weights.shape[0], columns = weights.shape[1];
            check(in.shape.count() == times(rows, depth) && upstream.shape == Shape({rows, columns}),
                  "affine_backward: dout, x and w do not fit");
            dw.emplace(weights.shape);
            db.emplace(Shape{columns});
            if (need_dx) {
                dx.emplace(in.shape);
                multiply<T>(RowMatrix<T>(upstream.get(), columns),
                            RightFactor<T>(weights.get(), 1, columns, columns, depth), rows, nullptr, dx->get(), depth);
            }
            multiply<T>(ColumnMatrix<T>(in.get(), depth),
                        RightFactor<T>(upstream.get(), columns, 1, rows, columns), depth, nullptr, dw->get(), columns);
            std::fill_n(db->get(), columns, T(0));
            if (need_db) column_sums(upstream.get(), rows, columns, db->get());
        }
        return nb::make_tuple(need_dx ? dx->array() : nb::none(), dw->array(), db->array());
    });
}

// Convolution

nb::object conv_forward_(const AnyArray& x, const AnyArray& w, const AnyArray& b, Pair stride, Pair pad) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out;
        {
            Unlocked unlocked;
            const ConvSizes s = conv_sizes(Shape(x), Shape(w), stride, pad);
            out.emplace(Shape{s.N, s.F, s.OH, s.OW}, Order::kChannelsLast);
            const In<T> in(x, Order::kChannelsLast), weights(w, Order::kRows), bias(b, Order::kRows);
            check(bias.shape.count() == s.F, "conv_forward: b does not fit w");
            conv_forward(s, in.get(), weights.get(), bias.get(), out->get());
        }
        return out->array();
    });
}

nb::tuple conv_backward(const AnyArray& dout, const AnyArray& x, const AnyArray& w, Pair stride, Pair pad,
                        bool need_dx, bool need_db) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx, dw, db;
        {
            Unlocked unlocked;
            const ConvSizes s = conv_sizes(Shape(x), Shape(w), stride, pad);
            const In<T> upstream(dout, Order::kChannelsLast), in(x, Order::kChannelsLast), weights(w, Order::kRows);
            check(upstream.shape == Shape({s.N, s.F, s.OH, s.OW}), "conv_backward: dout does not fit");
            dw.emplace(weights.shape);
            db.emplace(Shape{s.F});
            conv_backward_weights(s, upstream.get(), in.get(), dw->get(), need_db ? db->get() : nullptr);
            if (!need_db) std::fill_n(db->get(), s.F, T(0));
            if (need_dx) {
                dx.emplace(in.shape, Order::kChannelsLast);
                conv_backward_input(s, upstream.get(), weights.get(), dx->get());
            }
        }
        return nb::make_tuple(need_dx ? dx->array() : nb::none(), dw->array(), db->array());
    });
}

}  // namespace

void bind_layers(nb::module_& module) {
    module.def("affine_forward", affine_forward);
    module.def("affine_backward", affine_backward);
    module.def("conv_forward", conv_forward_);
    module.def("conv_backward", conv_backward);
}

}  // namespace handgrad
