// Elementwise passes, losses and update rules for Python.
#include <algorithm>

#include "bindings/arrays.h"
#include "bindings/layers.h"
#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/joins.h"
#include "ops/losses.h"
#include "ops/updates.h"

namespace handgrad {
namespace {

// In place, for an x that no other code holds; returns where it is positive.
nb::object rectify(nb::ndarray<nb::device::cpu>& x) {
    const AnyArray view(x);
    return with_dtype(view, [&](auto zero) {
        using T = decltype(zero);
        const Order order = order_of(view);
        check(is_dense(view, order), "rectify: x is not dense");
        T* numbers = static_cast<T*>(x.data());
        std::optional<Out<uint8_t>> positive;
        {
            Unlocked unlocked;
            positive.emplace(Shape(view), order);
            for_chunks(positive->shape.count(), [&](int64_t at, int64_t n) {
                kernels<T>().flat.rectify(numbers + at, n, positive->get() + at);
            });
        }
        return positive->array();
    });
}

// The mask, one byte a number, has the memory order of the input, and gives it to the backward.
nb::tuple relu_forward(const AnyArray& x, std::optional<double> alpha) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out;
        std::optional<Out<uint8_t>> positive;
        Order order;
        {
            Unlocked unlocked;
            order = order_of(x);
            const In<T> in(x, order);
            out.emplace(in.shape, order);
            positive.emplace(in.shape, order);
            for_chunks(in.shape.count(), [&](int64_t at, int64_t n) {
                const auto& kernel = kernels<T>().flat;
                if (alpha) {
                    kernel.leaky_relu(in.get() + at, static_cast<T>(*alpha), n, out->get() + at, positive->get() + at);
                } else {
                    kernel.relu(in.get() + at, n, out->get() + at, positive->get() + at);
                }
            });
        }
        return nb::make_tuple(out->array(), positive->array());
    });
}

nb::object relu_backward(const AnyArray& dout, const AnyArray& positive, std::optional<double> alpha) {
    return with_dtype(dout, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx;
        {
            Unlocked unlocked;
            const Order order = order_of(positive);
            const In<T> upstream(dout, order);
            const In<uint8_t> mask(positive, order);
            check(upstream.shape == mask.shape, "relu_backward: dout does not fit");
            dx.emplace(upstream.shape, order);
            for_chunks(upstream.shape.count(), [&](int64_t at, int64_t n) {
                const auto& kernel = kernels<T>().flat;
                if (alpha) {
                    kernel.leaky_relu_backward(upstream.get() + at, mask.get() + at, static_cast<T>(*alpha), n, dx->get() + at);
                } else {
                    kernel.relu_backward(upstream.get() + at, mask.get() + at, n, dx->get() + at);
                }
            });
        }
        return dx->array();
    });
}

// Returns a and b joined entry by entry, in the memory order of a: join(kernels, a, b, count, out) for each chunk.
template <class Join>
nb::object joined(const char* name, const AnyArray& a, const AnyArray& b, Join&& join) {
    return with_dtype(a, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out;
        {
            Unlocked unlocked;
            const Order order = order_of(a);
            const In<T> left(a, order), right(b, order);
            check(left.shape == right.shape, name);
            out.emplace(left.shape, order);
            for_chunks(left.shape.count(), [&](int64_t at, int64_t n) {
                join(kernels<T>(), left.get() + at, right.get() + at, n, out->get() + at);
            });
        }
        return out->array();
    });
}

nb::object product(const AnyArray& a, const AnyArray& b) {
    return joined("product: the shapes differ", a, b, [](const auto& kernel, auto... chunk) { kernel.flat.product(chunk...); });
}

nb::object sum(const AnyArray& a, const AnyArray& b) {
    return joined("sum: the shapes differ", a, b, [](const auto& kernel, auto... chunk) { kernel.flat.sum(chunk...); });
}

// Returns what each entry of x becomes, in the memory order of x: change(x, count, out) for all of them.
template <class Change>
nb::object changed(const AnyArray& x, Change&& change) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out;
        {
            Unlocked unlocked;
            const Order order = order_of(x);
            const In<T> in(x, order);
            out.emplace(in.shape, order);
            change(in.get(), in.shape.count(), out->get());
        }
        return out->array();
    });
}

nb::object softplus_(const AnyArray& x) {
    return changed(x, [](const auto* in, int64_t count, auto* out) { softplus(in, count, out); });
}

// Smooth activations; the backward takes x again.

nb::object curve_forward(const AnyArray& x, int curve, double alpha) {
    check(curve >= 0 && curve < kCurves, "curve_forward: no such curve");
    return changed(x, [=](const auto* in, int64_t count, auto* out) {
        using T = std::remove_pointer_t<decltype(out)>;
        for_chunks(count, [&](int64_t at, int64_t n) {
            kernels<T>().curves.forward[curve](in + at, static_cast<T>(alpha), n, out + at);
        });
    });
}

nb::object curve_backward(const AnyArray& dout, const AnyArray& x, int curve, double alpha) {
    check(curve >= 0 && curve < kCurves, "curve_backward: no such curve");
    return joined("curve_backward: dout does not fit x", x, dout,
                  [=](const auto& kernel, const auto* at, const auto* upstream, int64_t n, auto* dx) {
                      using T = std::remove_pointer_t<decltype(dx)>;
                      kernel.curves.backward[curve](upstream, at, static_cast<T>(alpha), n, dx);
                  });
}

// Losses over rows of finite scores

nb::tuple loss(const AnyArray& x, const nb::ndarray<const int64_t, nb::ndim<1>, nb::device::cpu>& y, bool softmax,
               double smoothing, const std::optional<AnyArray>& weights) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx;
        double total = 0;
        {
            Unlocked unlocked;
            const In<T> in(x, Order::kRows);
            check(in.shape.ndim == 2 && in.shape[0] == static_cast<int64_t>(y.shape(0)), "loss: x and y do not fit");
            const int64_t rows = in.shape[0], classes = in.shape[1];
            for (int64_t n = 0; n < rows; ++n)
                check(y(n) >= 0 && y(n) < classes, "loss: a label is out of range");
            dx.emplace(in.shape);
            Scratch<int64_t> labels(rows);
            for (int64_t n = 0; n < rows; ++n) labels.get()[n] = y(n);
            std::optional<In<T>> of_rows;
            if (weights) of_rows.emplace(vector_of<T>(*weights, rows, "loss: weights do not fit"));
            total = loss_of_labels(softmax ? Loss::kSoftmax : Loss::kSvm, in.get(), labels.get(),
                                   of_rows ? of_rows->get() : nullptr, rows, classes, smoothing, dx->get());
        }
        return nb::make_tuple(total, dx->array());
    });
}

nb::tuple squared_loss_(const AnyArray& x, const AnyArray& y, const AnyArray& weights) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> dx;
        double total = 0;
        {
            Unlocked unlocked;
            const In<T> in(x, Order::kRows), targets(y, Order::kRows);
            check(in.shape.ndim >= 1 && in.shape == targets.shape && in.shape.count() > 0, "squared_loss: x and y do not fit");
            const In<T> of_rows = vector_of<T>(weights, in.shape[0], "squared_loss: weights do not fit");
            dx.emplace(in.shape);
            total = squared_loss(in.get(), targets.get(), of_rows.get(), in.shape[0], in.shape.count(1), dx->get());
        }
        return nb::make_tuple(total, dx->array());
    });
}

// Update rules.  All arrays are read in rows order; next_w and the new state are new arrays, but for
// sgd, which writes to w.

template <class T>
UpdateSettings<T> settings(const nb::tuple& numbers) {
    UpdateSettings<T> s{};
    T* fields[] = {&s.rate, &s.decay1, &s.decay2, &s.epsilon, &s.correction1, &s.correction2, &s.weight_decay};
    for (size_t i = 0; i < std::min<size_t>(nb::len(numbers), 7); ++i) *fields[i] = static_cast<T>(nb::cast<double>(numbers[i]));
    return s;
}

void sgd_(nb::ndarray<nb::device::cpu, nb::c_contig>& w, const AnyArray& dw, const nb::tuple& numbers) {
    const AnyArray view(w);
    with_dtype(view, [&](auto zero) {
        using T = decltype(zero);
        const UpdateSettings<T> s = settings<T>(numbers);
        Unlocked unlocked;
        const In<T> gradient(dw, Order::kRows);
        check(Shape(view) == gradient.shape, "sgd: dw does not fit w");
        sgd(s, static_cast<T*>(w.data()), gradient.get(), gradient.shape.count());
        return 0;
    });
}

nb::tuple update_(int kind, const AnyArray& w, const AnyArray& dw, const AnyArray& state, const nb::tuple& numbers) {
    check(kind >= 0 && kind <= static_cast<int>(Rule::kRmsprop), "update: no such rule");
    const Rule rule = static_cast<Rule>(kind);
    return with_dtype(w, [&](auto zero) {
        using T = decltype(zero);
        const UpdateSettings<T> s = settings<T>(numbers);
        std::optional<Out<T>> next, next_state;
        {
            Unlocked unlocked;
            const In<T> weights(w, Order::kRows), gradient(dw, Order::kRows), old(state, Order::kRows);
            check(weights.shape == gradient.shape && weights.shape == old.shape, "update: the shapes differ");
            next.emplace(weights.shape);
            next_state.emplace(weights.shape);
            update(rule, s, weights.get(), gradient.get(), old.get(), weights.shape.count(), next->get(), next_state->get());
        }
        return nb::make_tuple(next->array(), next_state->array());
    });
}

nb::tuple adam_(const AnyArray& w, const AnyArray& dw, const AnyArray& m, const AnyArray& v, const nb::tuple& numbers) {
    return with_dtype(w, [&](auto zero) {
        using T = decltype(zero);
        const UpdateSettings<T> s = settings<T>(numbers);
        std::optional<Out<T>> next, next_m, next_v;
        {
            Unlocked unlocked;
            const In<T> weights(w, Order::kRows), gradient(dw, Order::kRows), first(m, Order::kRows), second(v, Order::kRows);
            check(weights.shape == gradient.shape && weights.shape == first.shape && weights.shape == second.shape,
                  "adam: the shapes differ");
            next.emplace(weights.shape);
            next_m.emplace(weights.shape);
            next_v.emplace(weights.shape);
            adam(s, weights.get(), gradient.get(), first.get(), second.get(), weights.shape.count(), next->get(), next_m->get(),
                 next_v->get());
        }
        return nb::make_tuple(next->array(), next_m->array(), next_v->array());
    });
}

// dw + strength w, and the sum of w^2.
nb::tuple penalty_(const AnyArray& w, const AnyArray& dw, double strength) {
    return with_dtype(w, [&](auto zero) {
        using T = decltype(zero);
        std::optional<Out<T>> out;
        double total = 0;
        {
            Unlocked unlocked;
            const In<T> weights(w, Order::kRows), gradient(dw, Order::kRows);
            check(weights.shape == gradient.shape, "penalty: dw does not fit w");
            out.emplace(weights.shape);
            total = penalty(weights.get(), gradient.get(), strength, weights.shape.count(), out->get());
        }
        return nb::make_tuple(out->array(), total);
    });
}

double squares_(const AnyArray& x) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        Unlocked unlocked;
        const In<T> in(x, Order::kRows);
        return squares(in.get(), in.shape.count());
    });
}

bool all_finite_(const AnyArray& x) {
    return with_dtype(x, [&](auto zero) {
        using T = decltype(zero);
        Unlocked unlocked;
        const In<T> in(x, order_of(x));
        return all_finite(in.get(), in.shape.count());
    });
}

}  // namespace

void bind_flat(nb::module_& module) {
    module.def("relu_forward", relu_forward, "x"_a, "alpha"_a.none() = nb::none());
    module.def("rectify", rectify, "x"_a);
    module.def("relu_backward", relu_backward, "dout"_a, "positive"_a, "alpha"_a.none() = nb::none());
    module.def("product", product, "a"_a, "b"_a);
    module.def("sum", sum, "a"_a, "b"_a);
    module.def("curve_forward", curve_forward, "x"_a, "curve"_a, "alpha"_a);
    module.def("curve_backward", curve_backward, "dout"_a, "x"_a, "curve"_a, "alpha"_a);
    module.def("softplus", softplus_, "x"_a);
    module.def("loss", loss, "x"_a, "y"_a, "softmax"_a, "smoothing"_a, "weights"_a.none() = nb::none());
    module.def("squared_loss", squared_loss_, "x"_a, "y"_a, "weights"_a);
    module.def("sgd", sgd_, "w"_a, "dw"_a, "settings"_a);
    module.def("update", update_, "kind"_a, "w"_a, "dw"_a, "state"_a, "settings"_a);
    module.def("adam", adam_, "w"_a, "dw"_a, "m"_a, "v"_a, "settings"_a);
    module.def("penalty", penalty_, "w"_a, "dw"_a, "strength"_a);
    module.def("squares", squares_, "x"_a);
    module.def("all_finite", all_finite_, "x"_a);
}

}  // namespace handgrad
