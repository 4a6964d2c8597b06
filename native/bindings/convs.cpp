// Convolution and its transpose for Python: one door for the outputs, one for the gradients.
#include <algorithm>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/layers.h"
#include "core/threads.h"
#include "ops/conv.h"
#include "ops/product.h"
#include "ops/stem.h"

namespace handgrad {
namespace {

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
            count_of(x[3], w[3], stride.second, pad.second, dilation.second), dilation.first, dilation.second, groups};
}

Shape images(const ConvSizes& s) { return {s.N, s.F, s.OH, s.OW}; }
Shape windows(const ConvSizes& s) { return {s.N, s.F, s.OH / 2, s.OW / 2}; }

In<float> of_filters(const AnyArray& array, int64_t filters) {
    return vector_of<float>(array, filters, "conv: a vector has not one number for each filter");
}

// Arrays of a tuple, which lives as long as they are read.
std::vector<AnyArray> arrays_of(const nb::tuple& tuple, size_t count) {
    std::vector<AnyArray> arrays;
    for (size_t i = 0; i < count; ++i) arrays.push_back(nb::cast<AnyArray>(tuple[i]));
    return arrays;
}

// What the first block of a network keeps for its backward; see ops/stem.h.
struct Block {
    std::optional<Out<float>> mean, var, xhat, inv_std, scale;
    std::optional<Out<uint8_t>> places;
    std::optional<Out<double>> patches;
    static Shape patch_shape(const ConvSizes& s) {
        const int64_t K = times(s.HH, s.WW, s.C);
        return {K + 1, K};
    }
    StemKept made(const ConvSizes& s) {
        for (auto* vector : {&mean, &var, &inv_std, &scale}) vector->emplace(Shape{s.F});
        xhat.emplace(windows(s), Order::kChannelsLast);
        places.emplace(Shape{windows(s).count(), 1});
        patches.emplace(patch_shape(s));
        return {xhat->get(), inv_std->get(), scale->get(), places->get(), patches->get()};
    }
    nb::tuple arrays() {
        return nb::make_tuple(mean->array(), var->array(), xhat->array(), places->array(), inv_std->array(), scale->array(),
                              patches->array());
    }
};
enum { kMean, kVar, kXhat, kPlaces, kInvStd, kScale, kPatches, kKept };

// pool(max(0, norm(y))) of a convolution y; norm: gamma, beta, mean and var if they are given, and eps.
nb::tuple normed_forward(const AnyArray& x, const AnyArray& w, const AnyArray& b, const Windows& options, const nb::tuple& norm) {
    check(nb::len(norm) == 3 || nb::len(norm) == 5, "conv_forward: norm is (gamma, beta, eps) or (gamma, beta, mean, var, eps)");
    const bool given = nb::len(norm) == 5;
    const std::vector<AnyArray> of_norm = arrays_of(norm, given ? 4 : 2);
    const double eps = nb::cast<double>(norm[given ? 4 : 2]);
    std::optional<Out<float>> out;
    Block block;
    {
        Unlocked unlocked;
        const ConvSizes s = sizes_of(Shape(x), Shape(w), options);
        check(stem_fits(s), "conv_forward: no convolution of these sizes takes a norm");
        const In<float> in(x, Order::kChannelsLast), weights(w, Order::kRows), bias = of_filters(b, s.F),
                        gamma = of_filters(of_norm[0], s.F), beta = of_filters(of_norm[1], s.F);
        out.emplace(windows(s), Order::kChannelsLast);
        if (given) {
            const In<float> mean = of_filters(of_norm[2], s.F), var = of_filters(of_norm[3], s.F);
            stem_infer(s, in.get(), weights.get(), bias.get(), {gamma.get(), beta.get(), mean.get(), var.get(), eps}, out->get());
        } else {
            const StemKept kept = block.made(s);
            stem_forward(s, in.get(), weights.get(), bias.get(), gamma.get(), beta.get(), eps, out->get(), block.mean->get(),
                         block.var->get(), kept);
        }
    }
    return nb::make_tuple(out->array(), given ? nb::make_tuple() : block.arrays());
}

nb::tuple normed_backward(const AnyArray& dout, const AnyArray& x, const AnyArray& w, const Windows& options,
                          const std::vector<AnyArray>& kept) {
    std::optional<Out<float>> dw, db, dgamma, dbeta;
    {
        Unlocked unlocked;
        const ConvSizes s = sizes_of(Shape(x), Shape(w), options);
        check(stem_fits(s), "conv_backward: no convolution of these sizes takes a norm");
        const In<float> in(x, Order::kChannelsLast), weights(w, Order::kRows), upstream(dout, Order::kChannelsLast),
            xhat(kept[kXhat], Order::kChannelsLast);
        const In<uint8_t> places(kept[kPlaces], Order::kRows);
        const In<double> patches(kept[kPatches], Order::kRows);
        const In<float> inv_std = of_filters(kept[kInvStd], s.F), scale = of_filters(kept[kScale], s.F);
        check(upstream.shape == windows(s) && xhat.shape == windows(s) && places.shape == Shape({upstream.shape.count(), 1}) &&
                  patches.shape == Block::patch_shape(s),
              "conv_backward: dout does not fit");
        dw.emplace(weights.shape);
        for (auto* vector : {&db, &dgamma, &dbeta}) vector->emplace(Shape{s.F});
        std::fill_n(db->get(), s.F, 0.0f);  // the mean takes off what b adds
        stem_backward(s, in.get(), weights.get(), upstream.get(),
                      {xhat.get(), inv_std.get(), scale.get(), places.get(), patches.get()}, dw->get(), dgamma->get(),
                      dbeta->get());
    }
    return nb::make_tuple(nb::none(), dw->array(), db->array(), dgamma->array(), dbeta->array());
}

// Whether conv_forward computes a 2 x 2 max pooling, and what is between, on the way.
bool conv_takes_pool_(const AnyArray& x, const AnyArray& w, Pair stride, Pair pad, Pair dilation, int64_t groups, bool rectify,
                      bool normed) {
    if (x.dtype() != nb::dtype<float>()) return false;
    const ConvSizes s = sizes_of(Shape(x), Shape(w), {stride, pad, dilation, groups});
    return normed ? rectify && stem_fits(s) : conv_takes_pool(s, rectify);
}

// Returns out and what backward takes as `kept`: nothing; with a pooling the places; with a norm, too, a Block.
nb::tuple conv_forward_(const AnyArray& x, const AnyArray& w, const AnyArray& b, Pair stride, Pair pad, Pair dilation,
                        int64_t groups, bool pool, bool rectify, const std::optional<nb::tuple>& norm) {
    const Windows options{stride, pad, dilation, groups};
    check(pool || !rectify, "conv_forward: a rectifier without a pooling is a pass of its own");
    check(!norm || (pool && rectify), "conv_forward: behind a norm come a rectifier and a pooling");
    if (norm) return normed_forward(x, w, b, options, *norm);
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out;
        std::optional<Out<uint8_t>> places;
        {
            Unlocked unlocked;
            const ConvSizes s = sizes_of(Shape(x), Shape(w), options);
            out.emplace(pool ? windows(s) : images(s), Order::kChannelsLast);
            if (pool) places.emplace(Shape{out->shape.count(), 1});
            const In<T> in(x, Order::kChannelsLast), weights(w, Order::kRows),
                bias = vector_of<T>(b, s.F, "conv_forward: b does not fit w");
            conv_forward<T>(s, in.get(), weights.get(), {out->get(), bias.get(), pool ? places->get() : nullptr, rectify});
        }
        return nb::make_tuple(out->array(), pool ? nb::make_tuple(places->array()) : nb::make_tuple());
    });
}

// Returns dx (None without need_dx), dw, db (zero without need_db), and with a norm dgamma and dbeta.
nb::tuple conv_backward_(const AnyArray& dout, const AnyArray& x, const AnyArray& w, Pair stride, Pair pad, Pair dilation,
                         int64_t groups, bool need_dx, bool need_db, const nb::tuple& kept) {
    const Windows options{stride, pad, dilation, groups};
    const size_t count = nb::len(kept);
    check(count == 0 || count == 1 || (count == kKept && !need_dx), "conv_backward: kept is not of a forward, or no dx is known");
    const std::vector<AnyArray> arrays = arrays_of(kept, count);
    if (count == kKept) return normed_backward(dout, x, w, options, arrays);
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx, dw, db;
        {
            Unlocked unlocked;
            const ConvSizes s = sizes_of(Shape(x), Shape(w), options);
            const In<T> upstream(dout, Order::kChannelsLast), in(x, Order::kChannelsLast), weights(w, Order::kRows);
            std::optional<In<uint8_t>> places;
            if (count) places.emplace(arrays[0], Order::kRows);
            check(upstream.shape == (places ? windows(s) : images(s)) &&
                      (!places || places->shape == Shape({upstream.shape.count(), 1})),
                  "conv_backward: dout does not fit");
            dw.emplace(weights.shape);
            db.emplace(Shape{s.F});
            if (!need_db) std::fill_n(db->get(), s.F, T(0));
            if (need_dx) dx.emplace(in.shape, Order::kChannelsLast);
            conv_backward<T>(s, {upstream.get(), places ? places->get() : nullptr}, in.get(), weights.get(),
                             {need_dx ? dx->get() : nullptr, dw->get(), need_db ? db->get() : nullptr});
        }
        return nb::make_tuple(need_dx ? dx->array() : nb::none(), dw->array(), db->array());
    });
}

// Its sizes are those of the convolution that turns the output into x.
nb::object conv_transpose_forward_(const AnyArray& x, const AnyArray& w, const AnyArray& b, Pair stride, Pair pad,
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
            check(in.shape == images(s) && bias.shape.count() == F, "conv_transpose_forward: x, w and b do not fit");
            out.emplace(shape, Order::kChannelsLast);
            conv_transpose_forward<T>(s, in.get(), weights.get(), bias.get(), out->get());
        }
        return out->array();
    });
}

nb::tuple conv_transpose_backward_(const AnyArray& dout, const AnyArray& x, const AnyArray& w, Pair stride, Pair pad,
                                  Pair dilation, int64_t groups) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx, dw, db;
        {
            Unlocked unlocked;
            const In<T> upstream(dout, Order::kChannelsLast), in(x, Order::kChannelsLast), weights(w, Order::kRows);
            const ConvSizes s = sizes_of(upstream.shape, weights.shape, {stride, pad, dilation, groups});
            check(in.shape == images(s), "conv_transpose_backward: dout does not fit");
            dx.emplace(in.shape, Order::kChannelsLast);
            dw.emplace(weights.shape);
            db.emplace(Shape{s.C});
            conv_transpose_backward<T>(s, upstream.get(), in.get(), weights.get(), {dx->get(), dw->get(), db->get()});
        }
        return nb::make_tuple(dx->array(), dw->array(), db->array());
    });
}

}  // namespace

void bind_convs(nb::module_& module) {
    module.def("conv_takes_pool", conv_takes_pool_, "x"_a, "w"_a, "stride"_a, "pad"_a, "dilation"_a = Pair{1, 1},
               "groups"_a = 1, "rectify"_a = false, "normed"_a = false);
    module.def("conv_forward", conv_forward_, "x"_a, "w"_a, "b"_a, "stride"_a, "pad"_a, "dilation"_a = Pair{1, 1},
               "groups"_a = 1, "pool"_a = false, "rectify"_a = false, "norm"_a.none() = nb::none());
    module.def("conv_backward", conv_backward_, "dout"_a, "x"_a, "w"_a, "stride"_a, "pad"_a, "dilation"_a = Pair{1, 1},
               "groups"_a = 1, "need_dx"_a = true, "need_db"_a = true, "kept"_a = nb::make_tuple());
    module.def("conv_transpose_forward", conv_transpose_forward_, "x"_a, "w"_a, "b"_a, "stride"_a, "pad"_a, "dilation"_a,
               "groups"_a, "size"_a);
    module.def("conv_transpose_backward", conv_transpose_backward_, "dout"_a, "x"_a, "w"_a, "stride"_a, "pad"_a,
               "dilation"_a, "groups"_a);
}

}  // namespace handgrad
