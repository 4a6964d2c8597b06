// bf16 for Python, as arrays of uint16: conversions, products and convolutions.  Layers and plans call the drivers
// themselves; these functions are for tests and measurements.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings/arrays.h"
#include "bindings/layers.h"
#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/bf16_conv.h"
#include "ops/bf16_product.h"

namespace handgrad {
namespace {

static_assert(sizeof(Bf16) == sizeof(uint16_t));
const Bf16* halves(const In<uint16_t>& array) { return reinterpret_cast<const Bf16*>(array.get()); }
Bf16* halves(const Out<uint16_t>& array) { return reinterpret_cast<Bf16*>(array.get()); }

nb::object bf16_round_(const AnyArray& x) {
    std::optional<Out<uint16_t>> out;
    {
        Unlocked unlocked;
        const In<float> in(x, Order::kRows);
        out.emplace(in.shape);
        to_bf16(in.get(), in.shape.count(), halves(*out));
    }
    return out->array();
}

nb::object bf16_widen_(const AnyArray& x) {
    std::optional<Out<float>> out;
    {
        Unlocked unlocked;
        const In<uint16_t> in(x, Order::kRows);
        out.emplace(in.shape);
        to_float(halves(in), in.shape.count(), out->get());
    }
    return out->array();
}

// A matrix of either kind, in place.
Bf16Factor factor(const AnyArray& a) {
    check(a.ndim() == 2, "bf16_product: a and b are matrices");
    if (a.dtype() == nb::dtype<float>()) return {static_cast<const float*>(a.data()), a.stride(0), a.stride(1)};
    check(a.dtype() == nb::dtype<uint16_t>(), "bf16_product: a and b are arrays of float32 or uint16");
    return {static_cast<const Bf16*>(a.data()), a.stride(0), a.stride(1)};
}

template <class T>
nb::object product_to(const AnyArray& a, const AnyArray& b, const std::optional<AnyArray>& bias, bool rectify,
                      const std::optional<AnyArray>& more) {
    std::optional<Out<T>> out;
    {
        Unlocked unlocked;
        const Bf16Factor left = factor(a), right = factor(b);
        const auto rows = static_cast<int64_t>(a.shape(0)), depth = static_cast<int64_t>(a.shape(1)), columns = static_cast<int64_t>(b.shape(1));
        check(static_cast<int64_t>(b.shape(0)) == depth, "bf16_product: a and b do not fit");
        std::optional<In<float>> added;
        if (bias) added.emplace(vector_of<float>(*bias, columns, "bf16_product: bias does not fit"));
        out.emplace(Shape{rows, columns});
        if (more) {
            const In<T> before(*more, Order::kRows);
            check(before.shape == out->shape, "bf16_product: what is added to does not fit");
            std::copy_n(before.get(), before.shape.count(), out->get());
        }
        const float* vector = added ? added->get() : nullptr;
        if constexpr (std::is_same_v<T, float>)
            multiply(left, right, rows, depth, columns, {out->get(), columns, vector, rectify, more.has_value()});
        else
            multiply(left, right, rows, depth, columns, {halves(*out), columns, vector, rectify, more.has_value()});
    }
    return out->array();
}

// [more +] a b [+ bias], then max(0, .) where rectify; float32 where `full`.
nb::object bf16_product_(const AnyArray& a, const AnyArray& b, const std::optional<AnyArray>& bias, bool rectify,
                   const std::optional<AnyArray>& more, bool full) {
    return full ? product_to<float>(a, b, bias, rectify, more) : product_to<uint16_t>(a, b, bias, rectify, more);
}

nb::object bf16_column_sums_(const AnyArray& x) {
    std::optional<Out<float>> sums;
    {
        Unlocked unlocked;
        const In<uint16_t> in(x, Order::kRows);
        check(in.shape.ndim == 2, "bf16_column_sums: x is a matrix");
        sums.emplace(Shape{in.shape[1]});
        column_sums(halves(in), nullptr, in.shape[0], in.shape[1], sums->get());
    }
    return sums->array();
}

ConvSizes sizes_of(const Shape& x, const Shape& w, Pair stride, Pair pad, Pair dilation, int64_t groups) {
    check(x.ndim == 4 && w.ndim == 4 && groups >= 1 && w[0] % groups == 0 && x[1] == times(groups, w[1]),
          "bf16_conv: x, w and groups do not fit");
    const auto count = [](int64_t length, int64_t size, int64_t step, int64_t border, int64_t apart) {
        check(size >= 1 && apart >= 1 && border >= 0, "bf16_conv: window and dilation must be positive");
        return window_count(length, plus(times(apart, size - 1), 1), step, border);
    };
    return {x[0], x[1], x[2], x[3], w[0], w[2], w[3], stride.first, stride.second, pad.first, pad.second,
            count(x[2], w[2], stride.first, pad.first, dilation.first),
            count(x[3], w[3], stride.second, pad.second, dilation.second), dilation.first, dilation.second, groups};
}

// Returns out and, where `pool`, behind 2 x 2 max pooling, the places of the largest.
nb::object bf16_forward_(const AnyArray& x, const AnyArray& w, const std::optional<AnyArray>& b, Pair stride, Pair pad,
                         Pair dilation, int64_t groups, bool pool, bool rectify) {
    std::optional<Out<uint16_t>> out;
    std::optional<Out<uint8_t>> places;
    {
        Unlocked unlocked;
        const In<uint16_t> in(x, Order::kChannelsLast);
        const In<float> weights(w, Order::kRows);
        const ConvSizes s = sizes_of(in.shape, weights.shape, stride, pad, dilation, groups);
        std::optional<In<float>> bias;
        if (b) bias.emplace(vector_of<float>(*b, s.F, "bf16_conv: b does not fit"));
        const Shape shape = pool ? Shape{s.N, s.F, s.OH / 2, s.OW / 2} : Shape{s.N, s.F, s.OH, s.OW};
        out.emplace(shape, Order::kChannelsLast);
        if (pool) places.emplace(shape, Order::kChannelsLast);
        conv_forward(s, halves(in), weights.get(),
                     Sink<Bf16>{halves(*out), bias ? bias->get() : nullptr, pool ? places->get() : nullptr, rectify});
    }
    return pool ? nb::object(nb::make_tuple(out->array(), places->array())) : out->array();
}

// Returns dx, dw, db; places: those of a pooling that dout is behind.
nb::tuple bf16_backward_(const AnyArray& dout, const AnyArray& x, const AnyArray& w, Pair stride, Pair pad, Pair dilation,
                         int64_t groups, const std::optional<AnyArray>& places) {
    std::optional<Out<uint16_t>> dx;
    std::optional<Out<float>> dw, db;
    {
        Unlocked unlocked;
        const In<uint16_t> in(x, Order::kChannelsLast), upstream(dout, Order::kChannelsLast);
        const In<float> weights(w, Order::kRows);
        const ConvSizes s = sizes_of(in.shape, weights.shape, stride, pad, dilation, groups);
        std::optional<In<uint8_t>> chosen;
        if (places) chosen.emplace(*places, Order::kChannelsLast);
        const Shape shape = places ? Shape{s.N, s.F, s.OH / 2, s.OW / 2} : Shape{s.N, s.F, s.OH, s.OW};
        check(upstream.shape == shape && (!chosen || chosen->shape == shape), "bf16_conv: dout does not fit");
        dx.emplace(in.shape, Order::kChannelsLast);
        dw.emplace(weights.shape);
        db.emplace(Shape{s.F});
        conv_backward(s, {halves(upstream), chosen ? chosen->get() : nullptr}, halves(in), weights.get(),
                      {halves(*dx), dw->get(), db->get()});
    }
    return nb::make_tuple(dx->array(), dw->array(), db->array());
}

}  // namespace

void bind_bf16(nb::module_& module) {
    module.def("bf16", [] { return std::string(bf16_kernels().name); });
    module.def("bf16s", [] {
        std::vector<std::string> names;
        for (const char* const* name = bf16_names(); *name; ++name) names.emplace_back(*name);
        return names;
    });
    module.def("set_bf16", [](const std::string& name) {
        nb::gil_scoped_release released;
        const Changing nothing_computes;
        return choose_bf16(name.c_str());
    }, "name"_a);
    module.def("bf16_round", bf16_round_, "x"_a);
    module.def("bf16_widen", bf16_widen_, "x"_a);
    module.def("bf16_product", bf16_product_, "a"_a, "b"_a, "bias"_a = nb::none(), "rectify"_a = false, "more"_a = nb::none(),
               "full"_a = true);
    module.def("bf16_column_sums", bf16_column_sums_, "x"_a);
    module.def("bf16_conv_forward", bf16_forward_, "x"_a, "w"_a, "b"_a = nb::none(), "stride"_a = Pair(1, 1),
               "pad"_a = Pair(0, 0), "dilation"_a = Pair(1, 1), "groups"_a = 1, "pool"_a = false, "rectify"_a = false);
    module.def("bf16_conv_backward", bf16_backward_, "dout"_a, "x"_a, "w"_a, "stride"_a = Pair(1, 1), "pad"_a = Pair(0, 0),
               "dilation"_a = Pair(1, 1), "groups"_a = 1, "places"_a = nb::none());
}

}  // namespace handgrad
