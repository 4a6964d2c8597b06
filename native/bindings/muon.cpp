// Muon's step for Python; see ops/muon.h.
#include "ops/muon.h"

#include <nanobind/stl/array.h>

#include "bindings/arrays.h"
#include "bindings/layers.h"

namespace handgrad {
namespace {

// Returns next_w and the next velocity, or None where the sums of squares leave the range of the dtype.
nb::object muon_(const AnyArray& w, const AnyArray& dw, const AnyArray& velocity, double rate, double momentum, double radius,
                 int64_t rounds, std::array<double, 3> coefficients) {
    return with_dtype(w, [&](auto zero) -> nb::object {
        using T = decltype(zero);
        const MuonSettings<T> s{static_cast<T>(rate),
                                static_cast<T>(momentum),
                                static_cast<T>(radius),
                                rounds,
                                {static_cast<T>(coefficients[0]), static_cast<T>(coefficients[1]),
                                 static_cast<T>(coefficients[2])}};
        std::optional<Out<T>> next, next_velocity;
        bool is_done;
        {
            Unlocked unlocked;
            const In<T> weights(w, Order::kRows), gradient(dw, Order::kRows), old(velocity, Order::kRows);
            check(weights.shape == gradient.shape && weights.shape == old.shape, "muon: the shapes differ");
            const int64_t count = weights.shape.count(), rows = weights.shape[0];
            check(count > 0 && rows <= count / rows && rounds > 0, "muon: more rows than columns, or no round");
            next.emplace(weights.shape);
            next_velocity.emplace(weights.shape);
            is_done = muon<T>(s, rows, count / rows, weights.get(), gradient.get(), old.get(), next->get(),
                              next_velocity->get());
        }
        if (!is_done) return nb::none();
        return nb::make_tuple(next->array(), next_velocity->array());
    });
}

}  // namespace

void bind_muon(nb::module_& module) {
    module.def("muon", muon_, "w"_a, "dw"_a, "velocity"_a, "learning_rate"_a, "momentum"_a, "radius"_a, "rounds"_a,
               "coefficients"_a);
}

}  // namespace handgrad
