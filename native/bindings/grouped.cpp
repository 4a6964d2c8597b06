// Grouped, dilated and transposed convolution, and upsampling, for Python.
#include <algorithm>

#include "bindings/arrays.h"
#include "bindings/layers.h"
#include "core/threads.h"
#include "ops/grouped_conv.h"
#include "ops/product.h"
#include "ops/upsample.h"

#include <nanobind/stl/array.h>

namespace handgrad {
namespace {

using Shape4 = std::array<int64_t, 4>;

struct Windows {
    Pair stride, pad, dilation;
    int64_t groups;
};

int64_t count_of(int64_t length, int64_t size, int64_t stride, int64_t pad, int64_t dilation) {
    check(size >= 1 && dilation >= 1, "conv: window and dilation must be positive");
    return window_count(length, plus(times(dilation, size - 1), 1), stride, pad);
}

// The convolution of images x (N, C, H, W) with filters w (F, C / groups, HH, WW).
ConvSizes sizes_of(const Shape& x, const Shape& w, const Windows& windows) {
    const auto& [stride, pad, dilation, groups] = windows;
    check(x.ndim == 4 && w.ndim == 4 && groups >= 1 && w[0] % groups == 0 && x[1] == times(groups, w[1]),
          "conv: x, w and groups do not fit");
    return {x[0], x[1], x[2], x[3], w[0], w[2], w[3], stride.first, stride.second, pad.first, pad.second,
            count_of(x[2], w[2], stride.first, pad.first, dilation.first),
            count_of(x[3], w[3], stride.second, pad.second, dilation.second), dilation.first, dilation.second};
}

nb::object grouped_conv_forward(const AnyArray& x, const AnyArray& w, const AnyArray& b, Pair stride, Pair pad,
                                Pair dilation, int64_t groups) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out;
        {
            Unlocked unlocked;
            const ConvSizes s = sizes_of(Shape(x), Shape(w), {stride, pad, dilation, groups});
            out.emplace(Shape{s.N, s.F, s.OH, s.OW}, Order::kChannelsLast);
            const In<T> in(x, Order::kChannelsLast), weights(w, Order::kRows), bias(b, Order::kRows);
            check(bias.shape.count() == s.F, "conv_forward: b does not fit w");
            grouped_forward(s, groups, in.get(), weights.get(), bias.get(), out->get());
        }
        return out->array();
    });
}

nb::tuple grouped_conv_backward(const AnyArray& dout, const AnyArray& x, const AnyArray& w, Pair stride, Pair pad,
                                Pair dilation, int64_t groups, bool need_dx, bool need_db) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx, dw, db;
        {
            Unlocked unlocked;
            const ConvSizes s = sizes_of(Shape(x), Shape(w), {stride, pad, dilation, groups});
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
            const ConvSizes s = sizes_of(shape, weights.shape, {stride, pad, dilation, groups});
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
            const ConvSizes s = sizes_of(upstream.shape, weights.shape, {stride, pad, dilation, groups});
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

UpsampleSizes upsample_sizes(const Shape& x, Pair scale, bool bilinear) {
    check(x.ndim == 4 && scale.first >= 1 && scale.second >= 1, "upsample: x must be (N, C, H, W)");
    return {x[0], x[1], x[2], x[3], scale.first, scale.second, bilinear};
}

Shape enlarged(const UpsampleSizes& s) { return {s.N, s.C, times(s.H, s.scale_y), times(s.W, s.scale_x)}; }

nb::object upsample_forward_(const AnyArray& x, Pair scale, bool bilinear) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out;
        {
            Unlocked unlocked;
            const UpsampleSizes s = upsample_sizes(Shape(x), scale, bilinear);
            out.emplace(enlarged(s), Order::kChannelsLast);
            const In<T> in(x, Order::kChannelsLast);
            upsample_forward(s, in.get(), out->get());
        }
        return out->array();
    });
}

nb::object upsample_backward_(const AnyArray& dout, const Shape4& shape, Pair scale, bool bilinear) {
    const Shape x{shape[0], shape[1], shape[2], shape[3]};
    return with_dtype(dout, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx;
        {
            Unlocked unlocked;
            const UpsampleSizes s = upsample_sizes(x, scale, bilinear);
            const In<T> upstream(dout, Order::kChannelsLast);
            check(upstream.shape == enlarged(s), "upsample_backward: dout does not fit");
            dx.emplace(x, Order::kChannelsLast);
            upsample_backward(s, upstream.get(), dx->get());
        }
        return dx->array();
    });
}

}  // namespace

void bind_grouped(nb::module_& module) {
    module.def("grouped_conv_forward", grouped_conv_forward);
    module.def("grouped_conv_backward", grouped_conv_backward);
    module.def("conv_transpose_forward", conv_transpose_forward);
    module.def("conv_transpose_backward", conv_transpose_backward);
    module.def("upsample_forward", upsample_forward_);
    module.def("upsample_backward", upsample_backward_);
}

}  // namespace handgrad
