// Pooling and upsampling for Python.
#include "bindings/arrays.h"
#include "bindings/layers.h"
#include "bindings/pools.h"
#include "ops/norm.h"
#include "ops/upsample.h"

#include <nanobind/stl/array.h>

namespace handgrad {
namespace {

using Shape4 = std::array<int64_t, 4>;

nb::tuple max_pool_forward_(const AnyArray& x, Pair window, Pair stride, bool rectify) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out;
        std::optional<Out<uint8_t>> index;
        {
            Unlocked unlocked;
            const PoolSizes s = pool_sizes(Shape(x), window, stride);
            const bool planes = s.C < kPlanes && index_bytes(s) == 1 && is_dense(x, Order::kRows);
            const Order order = planes ? Order::kRows : Order::kChannelsLast;
            out.emplace(out_shape(s), order);
            index.emplace(planes ? out->shape : Shape{out->shape.count(), index_bytes(s)});
            const In<T> in(x, order);
            max_pool_forward<T>(planes ? of_planes(s) : s, nullptr, rectify, in.get(), out->get(), nullptr, index->get());
        }
        return nb::make_tuple(out->array(), index->array());
    });
}

nb::object max_pool_backward_(const AnyArray& dout, const AnyArray& index, const Shape4& shape, Pair window,
                              Pair stride) {
    const Shape x{shape[0], shape[1], shape[2], shape[3]};
    return with_dtype(dout, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx;
        {
            Unlocked unlocked;
            const PoolSizes s = pool_sizes(x, window, stride);
            const In<uint8_t> places(index, Order::kRows);
            const bool planes = places.shape.ndim == 4;
            const Order order = planes ? Order::kRows : Order::kChannelsLast;
            const In<T> upstream(dout, order);
            check(upstream.shape == out_shape(s) &&
                      places.shape == (planes ? upstream.shape : Shape({upstream.shape.count(), index_bytes(s)})),
                  "max_pool_backward: dout or index does not fit");
            dx.emplace(x, order);
            max_pool_backward<T>(planes ? of_planes(s) : s, upstream.get(), places.get(), dx->get());
        }
        return dx->array();
    });
}

nb::object avg_pool_forward(const AnyArray& x, Pair window, Pair stride) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out;
        {
            Unlocked unlocked;
            const PoolSizes s = pool_sizes(Shape(x), window, stride);
            out.emplace(out_shape(s), Order::kChannelsLast);
            const In<T> in(x, Order::kChannelsLast);
            mean_pool_forward(s, in.get(), out->get());
        }
        return out->array();
    });
}

nb::object avg_pool_backward(const AnyArray& dout, const Shape4& shape, Pair window, Pair stride) {
    const Shape x{shape[0], shape[1], shape[2], shape[3]};
    return with_dtype(dout, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx;
        {
            Unlocked unlocked;
            const PoolSizes s = pool_sizes(x, window, stride);
            const In<T> upstream(dout, Order::kChannelsLast);
            check(upstream.shape == out_shape(s), "avg_pool_backward: dout does not fit");
            dx.emplace(x, Order::kChannelsLast);
            mean_pool_backward(s, upstream.get(), dx->get());
        }
        return dx->array();
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

void bind_pools(nb::module_& module) {
    module.def("max_pool_forward", max_pool_forward_, "x"_a, "window"_a, "stride"_a, "rectify"_a);
    module.def("max_pool_backward", max_pool_backward_, "dout"_a, "places"_a, "shape"_a, "window"_a, "stride"_a);
    module.def("avg_pool_forward", avg_pool_forward, "x"_a, "window"_a, "stride"_a);
    module.def("avg_pool_backward", avg_pool_backward, "dout"_a, "shape"_a, "window"_a, "stride"_a);
    module.def("upsample_forward", upsample_forward_, "x"_a, "scale"_a, "bilinear"_a);
    module.def("upsample_backward", upsample_backward_, "dout"_a, "shape"_a, "scale"_a, "bilinear"_a);
}

}  // namespace handgrad
