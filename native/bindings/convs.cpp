// Convolution, in groups or dilated or neither, and its transpose, for Python.
#include <algorithm>

#include "bindings/arrays.h"
#include "bindings/convs.h"
#include "core/threads.h"
#include "ops/grouped_conv.h"
#include "ops/product.h"

namespace handgrad {
namespace {

nb::object conv_forward_(const AnyArray& x, const AnyArray& w, const AnyArray& b, Pair stride, Pair pad,
                         Pair dilation, int64_t groups) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out;
        {
            Unlocked unlocked;
            const ConvSizes s = conv_sizes(Shape(x), Shape(w), {stride, pad, dilation, groups});
            out.emplace(Shape{s.N, s.F, s.OH, s.OW}, Order::kChannelsLast);
            const In<T> in(x, Order::kChannelsLast), weights(w, Order::kRows), bias(b, Order::kRows);
            check(bias.shape.count() == s.F, "conv_forward: b does not fit w");
            grouped_forward(s, groups, in.get(), weights.get(), bias.get(), out->get());
        }
        return out->array();
    });
}

nb::tuple conv_backward_(const AnyArray& dout, const AnyArray& x, const AnyArray& w, Pair stride, Pair pad,
                         Pair dilation, int64_t groups, bool need_dx, bool need_db) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx, dw, db;
        {
            Unlocked unlocked;
            const ConvSizes s = conv_sizes(Shape(x), Shape(w), {stride, pad, dilation, groups});
            const In<T> upstream(dout, Order::kChannelsLast), in(x, Order::kChannelsLast), weights(w, Order::kRows);
            check(upstream.shape == Shape({s.N, s.F, s.OH, s.OW}), "conv_backward: dout does not fit");
            dw.emplace(weights.shape);
            db.emplace(Shape{s.F});
            grouped_backward_weights(s, groups, upstream.get(), in.get(), dw->get(), need_db ? db->get() : nullptr);
            if (!need_db) std::fill_n(db->get(), s.F, T(0));
            if (need_dx) {
                dx.emplace(in.shape, Order::kChannelsLast);
                grouped_backward_input(s, groups, upstream.get(), weights.get(), dx->get());
            }
        }
        return nb::make_tuple(need_dx ? dx->array() : nb::none(), dw->array(), db->array());
    });
}

// Its sizes are those of the convolution that turns the output into x.
nb::object conv_transpose_forward(const AnyArray& x, const AnyArray& w, const AnyArray& b, Pair stride, Pair pad,
                                  Pair dilation, int64_t groups, Pair size) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out;
        {
            Unlocked unlocked;
            const In<T> in(x, Order::kChannelsLast), weights(w, Order::kRows), bias(b, Order::kRows);
            check(in.shape.ndim == 4 && weights.shape.ndim == 4, "conv_transpose: x and w do not fit");
            const int64_t F = times(groups, weights.shape[1]);
            const Shape shape{in.shape[0], F, size.first, size.second};
            const ConvSizes s = conv_sizes(shape, weights.shape, {stride, pad, dilation, groups});
            check(in.shape == Shape({s.N, s.F, s.OH, s.OW}) && bias.shape.count() == F,
                  "conv_transpose_forward: x, w and b do not fit");
            out.emplace(shape, Order::kChannelsLast);
            grouped_backward_input(s, groups, in.get(), weights.get(), out->get());
            parallel(times(s.N, s.H), [&](int64_t line, int) {
                T* to = out->get() + line * s.W * F;
                for (int64_t j = 0; j < s.W; ++j, to += F)
                    for (int64_t f = 0; f < F; ++f) to[f] += bias.get()[f];
            });
        }
        return out->array();
    });
}

nb::tuple conv_transpose_backward(const AnyArray& dout, const AnyArray& x, const AnyArray& w, Pair stride, Pair pad,
                                  Pair dilation, int64_t groups) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx, dw, db;
        {
            Unlocked unlocked;
            const In<T> upstream(dout, Order::kChannelsLast), in(x, Order::kChannelsLast), weights(w, Order::kRows);
            const ConvSizes s = conv_sizes(upstream.shape, weights.shape, {stride, pad, dilation, groups});
            check(in.shape == Shape({s.N, s.F, s.OH, s.OW}), "conv_transpose_backward: dout does not fit");
            dx.emplace(in.shape, Order::kChannelsLast);
            dw.emplace(weights.shape);
            db.emplace(Shape{s.C});
            Scratch<T> nothing(s.F);
            std::fill_n(nothing.get(), s.F, T(0));
            grouped_forward(s, groups, upstream.get(), weights.get(), nothing.get(), dx->get());
            grouped_backward_weights<T>(s, groups, in.get(), upstream.get(), dw->get(), nullptr);
            column_sums(upstream.get(), times(s.N, s.H, s.W), s.C, db->get());
        }
        return nb::make_tuple(dx->array(), dw->array(), db->array());
    });
}

}  // namespace

void bind_convs(nb::module_& module) {
    module.def("conv_forward", conv_forward_, "x"_a, "w"_a, "b"_a, "stride"_a, "pad"_a,
               "dilation"_a = Pair{1, 1}, "groups"_a = 1);
    module.def("conv_backward", conv_backward_, "dout"_a, "x"_a, "w"_a, "stride"_a, "pad"_a,
               "dilation"_a = Pair{1, 1}, "groups"_a = 1, "need_dx"_a = true, "need_db"_a = true);
    module.def("conv_transpose_forward", conv_transpose_forward, "x"_a, "w"_a, "b"_a, "stride"_a, "pad"_a,
               "dilation"_a, "groups"_a, "size"_a);
    module.def("conv_transpose_backward", conv_transpose_backward, "dout"_a, "x"_a, "w"_a, "stride"_a, "pad"_a,
               "dilation"_a, "groups"_a);
}

}  // namespace handgrad
