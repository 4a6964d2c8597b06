// The layers for Python.
#include "bindings/layers.h"

#include <cmath>
#include <cstring>

#include "bindings/arrays.h"
#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/conv.h"
#include "ops/norm.h"
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

nb::tuple affine_backward(const AnyArray& dout, const AnyArray& x, const AnyArray& w) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx, dw, db;
        {
            Unlocked unlocked;
            const In<T> upstream(dout, Order::kRows), in(x, Order::kRows), weights(w, Order::kRows);
            const int64_t rows = in.shape[0], depth = weights.shape[0], columns = weights.shape[1];
            check(in.shape.count() == times(rows, depth) && upstream.shape == Shape({rows, columns}),
                  "affine_backward: dout, x and w do not fit");
            dx.emplace(in.shape);
            dw.emplace(weights.shape);
            db.emplace(Shape{columns});
            multiply<T>(RowMatrix<T>(upstream.get(), columns),
                        RightFactor<T>(weights.get(), 1, columns, columns, depth), rows, nullptr, dx->get(), depth);
            multiply<T>(ColumnMatrix<T>(in.get(), depth),
                        RightFactor<T>(upstream.get(), columns, 1, rows, columns), depth, nullptr, dw->get(), columns);
            column_sums(upstream.get(), rows, columns, db->get());
        }
        return nb::make_tuple(dx->array(), dw->array(), db->array());
    });
}

// Convolution

using Pair = std::pair<int64_t, int64_t>;

ConvSizes conv_sizes(const Shape& x, const Shape& w, Pair stride, Pair pad) {
    check(x.ndim == 4 && w.ndim == 4 && x[1] == w[1], "conv: x and w do not fit");
    return {x[0], x[1], x[2], x[3], w[0], w[2], w[3], stride.first, stride.second, pad.first, pad.second,
            window_count(x[2], w[2], stride.first, pad.first), window_count(x[3], w[3], stride.second, pad.second)};
}

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
                        bool need_dx) {
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
            conv_backward_weights(s, upstream.get(), in.get(), dw->get(), db->get());
            if (need_dx) {
                dx.emplace(in.shape, Order::kChannelsLast);
                conv_backward_input(s, upstream.get(), weights.get(), dx->get());
            }
        }
        return nb::make_tuple(need_dx ? dx->array() : nb::none(), dw->array(), db->array());
    });
}

// Batch normalisation of (N, C, ...)

Order order_of_channels(const Shape& shape) { return shape.ndim > 2 ? Order::kChannelsLast : Order::kRows; }
int64_t rows_of(const Shape& shape) { return shape[0] * (shape.ndim > 2 ? shape.count(2) : 1); }

// scale = gamma / std and inv_std = 1 / std.
template <class T>
struct Scales {
    Scales(const T* variance, const T* gamma, double eps, int64_t channels)
        : inv_std(Shape{channels}), scale(Shape{channels}) {
        for (int64_t c = 0; c < channels; ++c) {
            const double inverse = 1 / std::sqrt(static_cast<double>(variance[c]) + eps);
            inv_std.get()[c] = static_cast<T>(inverse);
            scale.get()[c] = static_cast<T>(static_cast<double>(gamma[c]) * inverse);
        }
    }
    Out<T> inv_std, scale;
};

// Returns out, positive (bytes, or None), mean, var, inv_std and scale.  Without mean and var given,
// those of the batch are taken.
nb::tuple batchnorm_forward(const AnyArray& x, const AnyArray& gamma, const AnyArray& beta, double eps, bool rectify,
                            std::optional<AnyArray> mean, std::optional<AnyArray> var) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out, batch_mean, batch_var;
        std::optional<Scales<T>> scales;
        {
            Unlocked unlocked;
            const Order order = order_of_channels(Shape(x));
            const In<T> in(x, order), weight(gamma, Order::kRows), shift(beta, Order::kRows);
            const int64_t channels = in.shape[1], rows = rows_of(in.shape);
            check(weight.shape == Shape({channels}) && shift.shape == Shape({channels}), "batchnorm: gamma or beta does not fit");
            batch_mean.emplace(Shape{channels});
            batch_var.emplace(Shape{channels});
            if (mean && var) {
                const In<T> given_mean(*mean, Order::kRows), given_var(*var, Order::kRows);
                check(given_mean.shape == Shape({channels}) && given_var.shape == Shape({channels}), "batchnorm: mean or var does not fit");
                std::memcpy(batch_mean->get(), given_mean.get(), static_cast<size_t>(channels) * sizeof(T));
                std::memcpy(batch_var->get(), given_var.get(), static_cast<size_t>(channels) * sizeof(T));
            } else {
                check(rows > 0, "batchnorm: no rows to take the mean of");
                batch_moments(in.get(), rows, channels, batch_mean->get(), batch_var->get());
            }
            scales.emplace(batch_var->get(), weight.get(), eps, channels);
            out.emplace(in.shape, order);
            const Affine<T> map{batch_mean->get(), scales->inv_std.get(), scales->scale.get(), shift.get(), rectify};
            normalise(map, in.get(), rows, channels, out->get(), static_cast<uint8_t*>(nullptr));
        }
        return nb::make_tuple(out->array(), batch_mean->array(), batch_var->array(), scales->inv_std.array(),
                              scales->scale.array());
    });
}

// index, pooled: of a max pooling behind it (then dout is the pooling's), or None.
nb::tuple batchnorm_backward(const AnyArray& dout, const AnyArray& x, const AnyArray& mean, const AnyArray& inv_std,
                             const AnyArray& scale, const AnyArray& beta, bool rectify, bool of_batch) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx, dgamma, dbeta;
        {
            Unlocked unlocked;
            const Order order = order_of_channels(Shape(x));
            const In<T> in(x, order), upstream(dout, order);
            const In<T> means(mean, Order::kRows), inverse(inv_std, Order::kRows), scales(scale, Order::kRows),
                shifts(beta, Order::kRows);
            check(in.shape == upstream.shape, "batchnorm_backward: dout does not fit x");
            const int64_t channels = in.shape[1], rows = rows_of(in.shape);
            const Affine<T> map{means.get(), inverse.get(), scales.get(), shifts.get(), rectify};
            dx.emplace(in.shape, order);
            dgamma.emplace(Shape{channels});
            dbeta.emplace(Shape{channels});
            batch_sums(map, upstream.get(), in.get(), rows, channels, dbeta->get(), dgamma->get());
            Scratch<T> shares(times(2, channels));
            for (int64_t c = 0; c < channels; ++c) {
                shares.get()[c] = of_batch ? dbeta->get()[c] / static_cast<T>(rows) : T(0);
                shares.get()[channels + c] = of_batch ? dgamma->get()[c] / static_cast<T>(rows) : T(0);
            }
            normalise_backward(map, upstream.get(), in.get(), rows, channels, shares.get(), shares.get() + channels,
                               dx->get());
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
            check(upstream.shape == normal.shape, "groupnorm_backward: dout does not fit");
            const int64_t N = normal.shape[0], C = normal.shape[1];
            dx.emplace(normal.shape);
            dgamma.emplace(Shape{C});
            dbeta.emplace(Shape{C});
            group_norm_backward(N, C, normal.shape.count(2), inverse.shape[1], upstream.get(), normal.get(),
                                inverse.get(), weight.get(), dx->get(), dgamma->get(), dbeta->get());
        }
        return nb::make_tuple(dx->array(), dgamma->array(), dbeta->array());
    });
}

}  // namespace

void bind_layers(nb::module_& module) {
    module.def("affine_forward", affine_forward);
    module.def("affine_backward", affine_backward);
    module.def("conv_forward", conv_forward_);
    module.def("conv_backward", conv_backward);
    module.def("batchnorm_forward", batchnorm_forward, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
               nb::arg().none() = nb::none(), nb::arg().none() = nb::none());
    module.def("batchnorm_backward", batchnorm_backward);
    module.def("groupnorm_forward", groupnorm_forward);
    module.def("groupnorm_backward", groupnorm_backward);
}

}  // namespace handgrad
