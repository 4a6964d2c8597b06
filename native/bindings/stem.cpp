// The first block of a network for Python; see ops/stem.h.
#include "ops/stem.h"

#include "bindings/arrays.h"
#include "bindings/convs.h"
#include "bindings/layers.h"

namespace handgrad {
namespace {

Shape pooled(const ConvSizes& s) { return {s.N, s.F, s.OH / 2, s.OW / 2}; }
Shape patch_shape(const ConvSizes& s) {
    const int64_t K = times(s.HH, s.WW, s.C);
    return {K + 1, K};
}

bool stem_fits_(const AnyArray& x, const AnyArray& w, Pair stride, Pair pad) {
    return x.dtype() == nb::dtype<float>() && stem_fits(conv_sizes(Shape(x), Shape(w), stride, pad));
}

In<float> of_filters(const AnyArray& array, int64_t filters) {
    return vector_of<float>(array, filters, "stem: a vector has not one number for each filter");
}

// Returns out, mean, var, and what backward takes behind w: xhat, index, inv_std, scale, patches.
nb::tuple stem_forward_(const AnyArray& x, const AnyArray& w, const AnyArray& b, const AnyArray& gamma,
                        const AnyArray& beta, double eps, Pair pad) {
    std::optional<Out<float>> out, mean, var, xhat, inv_std, scale;
    std::optional<Out<uint8_t>> index;
    std::optional<Out<double>> patches;
    {
        Unlocked unlocked;
        const ConvSizes s = conv_sizes(Shape(x), Shape(w), {1, 1}, pad);
        check(stem_fits(s), "stem_forward: x and w do not fit");
        const In<float> in(x, Order::kChannelsLast), weights(w, Order::kRows);
        const In<float> bias = of_filters(b, s.F), factor = of_filters(gamma, s.F),
                        shift = of_filters(beta, s.F);
        out.emplace(pooled(s), Order::kChannelsLast);
        xhat.emplace(pooled(s), Order::kChannelsLast);
        index.emplace(Shape{out->shape.count(), 1});
        for (auto* vector : {&mean, &var, &inv_std, &scale}) vector->emplace(Shape{s.F});
        patches.emplace(patch_shape(s));
        const StemKept kept{xhat->get(), inv_std->get(), scale->get(), index->get(), patches->get()};
        stem_forward(s, in.get(), weights.get(), bias.get(), factor.get(), shift.get(), eps, out->get(), mean->get(),
                     var->get(), kept);
    }
    return nb::make_tuple(out->array(), mean->array(), var->array(), xhat->array(), index->array(), inv_std->array(),
                          scale->array(), patches->array());
}

nb::object stem_infer_(const AnyArray& x, const AnyArray& w, const AnyArray& b, const AnyArray& gamma, const AnyArray& beta,
                       const AnyArray& mean, const AnyArray& var, double eps, Pair pad) {
    std::optional<Out<float>> out;
    {
        Unlocked unlocked;
        const ConvSizes s = conv_sizes(Shape(x), Shape(w), {1, 1}, pad);
        check(stem_fits(s), "stem_infer: x and w do not fit");
        const In<float> in(x, Order::kChannelsLast), weights(w, Order::kRows);
        const In<float> bias = of_filters(b, s.F), factor = of_filters(gamma, s.F),
                        shift = of_filters(beta, s.F), centre = of_filters(mean, s.F),
                        spread = of_filters(var, s.F);
        out.emplace(pooled(s), Order::kChannelsLast);
        stem_infer(s, in.get(), weights.get(), bias.get(), {factor.get(), shift.get(), centre.get(), spread.get(), eps},
                   out->get());
    }
    return out->array();
}

nb::tuple stem_backward_(const AnyArray& dout, const AnyArray& x, const AnyArray& w, const AnyArray& xhat,
                         const AnyArray& index, const AnyArray& inv_std, const AnyArray& scale,
                         const AnyArray& patches, Pair pad) {
    std::optional<Out<float>> dw, dgamma, dbeta;
    {
        Unlocked unlocked;
        const ConvSizes s = conv_sizes(Shape(x), Shape(w), {1, 1}, pad);
        check(stem_fits(s), "stem_backward: x and w do not fit");
        const In<float> in(x, Order::kChannelsLast), weights(w, Order::kRows), upstream(dout, Order::kChannelsLast),
            chosen(xhat, Order::kChannelsLast);
        const In<uint8_t> places(index, Order::kRows);
        const In<double> moments(patches, Order::kRows);
        const In<float> inverse = of_filters(inv_std, s.F), factor = of_filters(scale, s.F);
        check(upstream.shape == pooled(s) && chosen.shape == pooled(s) &&
                  places.shape == Shape({upstream.shape.count(), 1}) && moments.shape == patch_shape(s),
              "stem_backward: dout does not fit");
        dw.emplace(weights.shape);
        dgamma.emplace(Shape{s.F});
        dbeta.emplace(Shape{s.F});
        stem_backward(s, in.get(), weights.get(), upstream.get(),
                      {chosen.get(), inverse.get(), factor.get(), places.get(), moments.get()}, dw->get(),
                      dgamma->get(), dbeta->get());
    }
    return nb::make_tuple(dw->array(), dgamma->array(), dbeta->array());
}

bool pooled_fits_(const AnyArray& x, const AnyArray& w, Pair stride, Pair pad) {
    return x.dtype() == nb::dtype<float>() && pooled_fits(conv_sizes(Shape(x), Shape(w), stride, pad));
}

nb::tuple pooled_forward_(const AnyArray& x, const AnyArray& w, const AnyArray& b, Pair pad) {
    std::optional<Out<float>> out;
    std::optional<Out<uint8_t>> index;
    {
        Unlocked unlocked;
        const ConvSizes s = conv_sizes(Shape(x), Shape(w), {1, 1}, pad);
        check(pooled_fits(s), "pooled_forward: x and w do not fit");
        const In<float> in(x, Order::kChannelsLast), weights(w, Order::kRows), bias = of_filters(b, s.F);
        out.emplace(pooled(s), Order::kChannelsLast);
        index.emplace(Shape{out->shape.count(), 1});
        pooled_forward(s, in.get(), weights.get(), bias.get(), out->get(), index->get());
    }
    return nb::make_tuple(out->array(), index->array());
}

// dw and db, or None where x is not finite.
nb::object pooled_gradients_(const AnyArray& dout, const AnyArray& x, const AnyArray& w, const AnyArray& index, Pair pad) {
    std::optional<Out<float>> dw, db;
    bool is_finite = false;
    {
        Unlocked unlocked;
        const Shape filters(w);
        const ConvSizes s = conv_sizes(Shape(x), filters, {1, 1}, pad);
        check(pooled_fits(s), "pooled_gradients: x and w do not fit");
        const In<float> in(x, Order::kChannelsLast), upstream(dout, Order::kChannelsLast);
        const In<uint8_t> places(index, Order::kRows);
        check(upstream.shape == pooled(s) && places.shape == Shape({upstream.shape.count(), 1}),
              "pooled_gradients: dout does not fit");
        dw.emplace(filters);
        db.emplace(Shape{s.F});
        is_finite = pooled_gradients(s, in.get(), upstream.get(), places.get(), dw->get(), db->get());
    }
    if (!is_finite) return nb::none();
    return nb::make_tuple(dw->array(), db->array());
}

}  // namespace

void bind_stem(nb::module_& module) {
    module.def("stem_fits", stem_fits_, "x"_a, "w"_a, "stride"_a, "pad"_a);
    module.def("stem_forward", stem_forward_, "x"_a, "w"_a, "b"_a, "gamma"_a, "beta"_a, "eps"_a, "pad"_a);
    module.def("stem_infer", stem_infer_, "x"_a, "w"_a, "b"_a, "gamma"_a, "beta"_a, "mean"_a, "var"_a, "eps"_a,
               "pad"_a);
    module.def("stem_backward", stem_backward_, "dout"_a, "x"_a, "w"_a, "xhat"_a, "places"_a, "inv_std"_a, "scale"_a,
               "patches"_a, "pad"_a);
    module.def("pooled_fits", pooled_fits_, "x"_a, "w"_a, "stride"_a, "pad"_a);
    module.def("pooled_forward", pooled_forward_, "x"_a, "w"_a, "b"_a, "pad"_a);
    module.def("pooled_gradients", pooled_gradients_, "dout"_a, "x"_a, "w"_a, "places"_a, "pad"_a);
}

}  // namespace handgrad
