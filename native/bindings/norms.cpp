// Normalisation for Python, with the ReLU and the pooling that may follow it.
#include <cstring>

#include "bindings/arrays.h"
#include "bindings/layers.h"
#include "bindings/pools.h"
#include "ops/batchnorm.h"
#include "ops/norm.h"

namespace handgrad {
namespace {

// Batch normalisation of (N, C, ...)

Order order_of_channels(const Shape& shape) { return shape.ndim > 2 ? Order::kChannelsLast : Order::kRows; }
int64_t rows_of(const Shape& shape) { return shape[0] * (shape.ndim > 2 ? shape.count(2) : 1); }

template <class T>
In<T> of_channels(const AnyArray& array, int64_t channels) {
    return vector_of<T>(array, channels, "norm: a vector has not one number for each channel");
}

// Batch normalisation, a ReLU where `rectify`, and a max pooling where `pool` = (window, stride); or a smooth
// activation, where `curve` is one.
// Without mean and var given, those of the batch are taken.  Returns out, mean, var, inv_std, scale,
// and of the pooling, else None, the indices and the largest x of each window.
using Pool = std::optional<std::pair<Pair, Pair>>;

void check_curve(std::optional<int> curve) { check(!curve || (*curve >= 0 && *curve < kCurves), "norm: no such curve"); }

nb::tuple batchnorm_forward_(const AnyArray& x, const AnyArray& gamma, const AnyArray& beta, double eps, bool rectify,
                            const std::optional<AnyArray>& mean, const std::optional<AnyArray>& var,
                            const Pool& pool, std::optional<int> curve) {
    check_curve(curve);
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out, used_mean, used_var, inv_std, scale, largest;
        std::optional<Out<uint8_t>> index;
        {
            Unlocked unlocked;
            const Order order = order_of_channels(Shape(x));
            const In<T> in(x, order);
            const int64_t channels = in.shape[1], rows = rows_of(in.shape);
            const In<T> weight = of_channels<T>(gamma, channels), shift = of_channels<T>(beta, channels);
            for (auto* vector : {&used_mean, &used_var, &inv_std, &scale}) vector->emplace(Shape{channels});
            const bool of_batch = !(mean && var);
            check(!of_batch || rows > 0, "batchnorm: no rows to take the mean of");
            if (!of_batch) {
                const auto bytes = static_cast<size_t>(channels) * sizeof(T);
                std::memcpy(used_mean->get(), of_channels<T>(*mean, channels).get(), bytes);
                std::memcpy(used_var->get(), of_channels<T>(*var, channels).get(), bytes);
            }
            std::optional<PoolSizes> s;
            if (pool) {
                s = pool_sizes(in.shape, pool->first, pool->second);
                out.emplace(out_shape(*s), Order::kChannelsLast);
                largest.emplace(out_shape(*s), Order::kChannelsLast);
                index.emplace(Shape{out->shape.count(), index_bytes(*s)});
            } else {
                out.emplace(in.shape, order);
            }
            const NormKept<T> kept{used_mean->get(), used_var->get(), inv_std->get(), scale->get(),
                                   pool ? largest->get() : nullptr, pool ? index->get() : nullptr};
            batchnorm_forward({rows, channels, eps, rectify, of_batch, s ? &*s : nullptr, curve.value_or(kCurves)}, in.get(),
                              weight.get(), shift.get(), kept, out->get());
        }
        return nb::make_tuple(out->array(), used_mean->array(), used_var->array(), inv_std->array(),
                              scale->array(), pool ? index->array() : nb::none(),
                              pool ? largest->array() : nb::none());
    });
}

// x: the input of forward; the others as forward returned them.
nb::tuple batchnorm_backward_(const AnyArray& dout, const AnyArray& x, const AnyArray& mean, const AnyArray& inv_std,
                             const AnyArray& scale, const std::optional<AnyArray>& index,
                             const std::optional<AnyArray>& largest, const AnyArray& beta, bool rectify, bool of_batch,
                             const Pool& pool, std::optional<int> curve) {
    check_curve(curve);
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx, dgamma, dbeta;
        {
            Unlocked unlocked;
            const Order order = order_of_channels(Shape(x));
            const In<T> in(x, order), upstream(dout, order);
            const int64_t channels = in.shape[1], rows = rows_of(in.shape);
            const In<T> means = of_channels<T>(mean, channels), inverse = of_channels<T>(inv_std, channels),
                        scales = of_channels<T>(scale, channels), shifts = of_channels<T>(beta, channels);
            dx.emplace(in.shape, order);
            dgamma.emplace(Shape{channels});
            dbeta.emplace(Shape{channels});
            std::optional<PoolSizes> s;
            std::optional<In<T>> chosen;
            std::optional<In<uint8_t>> places;
            if (pool && index && largest) {
                s = pool_sizes(in.shape, pool->first, pool->second);
                chosen.emplace(*largest, order);
                places.emplace(*index, Order::kRows);
                check(upstream.shape == out_shape(*s) && chosen->shape == out_shape(*s) &&
                          places->shape == Shape({upstream.shape.count(), index_bytes(*s)}),
                      "batchnorm_backward: dout does not fit the pooled x");
            } else {
                check(in.shape == upstream.shape, "batchnorm_backward: dout does not fit x");
            }
            const NormKept<const T, const void> kept{means.get(), nullptr, inverse.get(), scales.get(), s ? chosen->get() : nullptr,
                                         s ? places->get() : nullptr};
            batchnorm_backward({rows, channels, 0, rectify, of_batch, s ? &*s : nullptr, curve.value_or(kCurves)},
                               upstream.get(), in.get(), kept, shifts.get(), dx->get(), dgamma->get(), dbeta->get());
        }
        return nb::make_tuple(dx->array(), dgamma->array(), dbeta->array());
    });
}

// Group normalisation

nb::tuple groupnorm_forward(const AnyArray& x, const AnyArray& gamma, const AnyArray& beta, int64_t groups, double eps) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out, xhat, inv_std;
        {
            Unlocked unlocked;
            const In<T> in(x, Order::kRows), weight(gamma, Order::kRows), shift(beta, Order::kRows);
            const int64_t N = in.shape[0], C = in.shape[1];
            check(groups > 0 && C % groups == 0 && weight.shape == Shape({C}) && shift.shape == Shape({C}),
                  "groupnorm: groups, gamma or beta does not fit");
            out.emplace(in.shape);
            xhat.emplace(in.shape);
            inv_std.emplace(Shape{N, groups});
            group_norm_forward(N, C, in.shape.count(2), groups, in.get(), weight.get(), shift.get(), eps, out->get(),
                               xhat->get(), inv_std->get());
        }
        return nb::make_tuple(out->array(), xhat->array(), inv_std->array());
    });
}

nb::tuple groupnorm_backward(const AnyArray& dout, const AnyArray& xhat, const AnyArray& inv_std, const AnyArray& gamma) {
    return with_dtype(dout, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx, dgamma, dbeta;
        {
            Unlocked unlocked;
            const In<T> upstream(dout, Order::kRows), normal(xhat, Order::kRows), inverse(inv_std, Order::kRows),
                weight(gamma, Order::kRows);
            const int64_t N = normal.shape[0], C = normal.shape[1], groups = inverse.shape[1];
            check(upstream.shape == normal.shape && groups > 0 && C % groups == 0 && inverse.shape == Shape({N, groups}) &&
                      weight.shape == Shape({C}),
                  "groupnorm_backward: dout, inv_std or gamma does not fit");
            dx.emplace(normal.shape);
            dgamma.emplace(Shape{C});
            dbeta.emplace(Shape{C});
            group_norm_backward(N, C, normal.shape.count(2), groups, upstream.get(), normal.get(),
                                inverse.get(), weight.get(), dx->get(), dgamma->get(), dbeta->get());
        }
        return nb::make_tuple(dx->array(), dgamma->array(), dbeta->array());
    });
}

}  // namespace

void bind_norms(nb::module_& module) {
    module.def("batchnorm_forward", batchnorm_forward_, "x"_a, "gamma"_a, "beta"_a, "eps"_a, "rectify"_a,
               "mean"_a.none() = nb::none(), "var"_a.none() = nb::none(), "pool"_a.none() = nb::none(),
               "curve"_a.none() = nb::none());
    module.def("batchnorm_backward", batchnorm_backward_, "dout"_a, "x"_a, "mean"_a, "inv_std"_a, "scale"_a,
               "places"_a.none(), "largest"_a.none(), "beta"_a, "rectify"_a, "of_batch"_a,
               "pool"_a.none() = nb::none(), "curve"_a.none() = nb::none());
    module.def("groupnorm_forward", groupnorm_forward, "x"_a, "gamma"_a, "beta"_a, "groups"_a, "eps"_a);
    module.def("groupnorm_backward", groupnorm_backward, "dout"_a, "xhat"_a, "inv_std"_a, "gamma"_a);
}

}  // namespace handgrad
