// Convolution and 2 x 2 max pooling in one pass, for Python; see ops/conv_pool.h.
#include "ops/conv_pool.h"

#include "bindings/arrays.h"
#include "bindings/convs.h"
#include "bindings/layers.h"

namespace handgrad {
namespace {

bool conv_pool_fits_(const AnyArray& x, const AnyArray& w, Pair stride, Pair pad) {
    return x.dtype() == nb::dtype<float>() && conv_pool_fits(conv_sizes(Shape(x), Shape(w), stride, pad));
}

// Returns out and the places, which backward takes.
nb::tuple conv_pool_forward_(const AnyArray& x, const AnyArray& w, const AnyArray& b, Pair pad, bool rectify) {
    std::optional<Out<float>> out;
    std::optional<Out<uint8_t>> places;
    {
        Unlocked unlocked;
        const ConvSizes s = conv_sizes(Shape(x), Shape(w), {1, 1}, pad);
        const In<float> in(x, Order::kChannelsLast), weights(w, Order::kRows), bias(b, Order::kRows);
        check(bias.shape.count() == s.F, "conv_pool_forward: b does not fit w");
        out.emplace(Shape{s.N, s.F, s.OH / 2, s.OW / 2}, Order::kChannelsLast);
        places.emplace(Shape{out->shape.count(), 1});
        conv_pool_forward(s, in.get(), weights.get(), bias.get(), rectify, out->get(), places->get());
    }
    return nb::make_tuple(out->array(), places->array());
}

nb::tuple conv_pool_backward_(const AnyArray& dout, const AnyArray& x, const AnyArray& w, const AnyArray& places, Pair pad,
                              bool need_dx) {
    std::optional<Out<float>> dx, dw, db;
    {
        Unlocked unlocked;
        const ConvSizes s = conv_sizes(Shape(x), Shape(w), {1, 1}, pad);
        const In<float> upstream(dout, Order::kChannelsLast), in(x, Order::kChannelsLast), weights(w, Order::kRows);
        const In<uint8_t> chosen(places, Order::kRows);
        check(upstream.shape == Shape({s.N, s.F, s.OH / 2, s.OW / 2}) &&
                  chosen.shape == Shape({upstream.shape.count(), 1}),
              "conv_pool_backward: dout does not fit");
        dw.emplace(weights.shape);
        db.emplace(Shape{s.F});
        if (need_dx) dx.emplace(in.shape, Order::kChannelsLast);
        conv_pool_backward(s, upstream.get(), chosen.get(), in.get(), weights.get(), need_dx ? dx->get() : nullptr,
                           dw->get(), db->get());
    }
    return nb::make_tuple(need_dx ? dx->array() : nb::none(), dw->array(), db->array());
}

}  // namespace

void bind_conv_pool(nb::module_& module) {
    module.def("conv_pool_fits", conv_pool_fits_, "x"_a, "w"_a, "stride"_a, "pad"_a);
    module.def("conv_pool_forward", conv_pool_forward_, "x"_a, "w"_a, "b"_a, "pad"_a, "rectify"_a);
    module.def("conv_pool_backward", conv_pool_backward_, "dout"_a, "x"_a, "w"_a, "places"_a, "pad"_a, "need_dx"_a);
}

}  // namespace handgrad
