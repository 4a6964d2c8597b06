// The end of a step: penalty, clipping, update rules, running statistics, averages.  Numbers that change from step to
// step are columns of its table.
#include <atomic>
#include <cmath>
#include <cstring>
#include <unordered_map>

#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/updates.h"
#include "plan/args.h"

namespace handgrad {
namespace {

// g = g + reg w, and the loss grows by reg / 2 sum(w^2).  Slots: w, g.  Sizes: n, column.
template <class T>
Op penalty_op(const Args& a) {
    const int64_t n = a.size(0), column = a.column(1), w = a.slot<T>(0, n), g = a.slot<T>(1, n);
    return [=](Context& c) {
        const double reg = c.table[column];
        const double sum = penalty<T>(c.at<T>(w), c.at<T>(g), reg, n, c.at<T>(g));
        c.loss += 0.5 * reg * sum;
    };
}

// Gives the step up where the loss is not finite.
template <class T>
Op check_loss_op(const Args&) {
    return [](Context& c) { c.is_finite = std::isfinite(c.loss); };
}

// The same for n numbers.  Slots: x.  Sizes: n.
template <class T>
Op check_finite_op(const Args& a) {
    const int64_t n = a.size(0), x = a.slot<T>(0, n);
    return [=](Context& c) { c.is_finite = all_finite(c.at<T>(x), n); };
}

// out = factor g, factor = min(1, largest / norm), norm that of all gradients together.  Slots: g, out of each.
// Sizes: column of largest, then n of each.
template <class T>
Op clip_op(const Args& a) {
    struct Gradient {
        int64_t g, out, n;
    };
    std::vector<Gradient> all;
    const int64_t column = a.column(0), count = a.size(1);
    for (int64_t i = 0; i < count; ++i) {
        const int64_t n = a.size(static_cast<size_t>(2 + i));
        all.push_back({a.slot<T>(static_cast<size_t>(2 * i), n), a.slot<T>(static_cast<size_t>(2 * i + 1), n), n});
    }
    return [=](Context& c) {
        double total = 0;
        for (const Gradient& one : all) total += squares(c.at<T>(one.g), one.n);
        c.norm = std::sqrt(total);
        if (!(c.is_finite = std::isfinite(c.norm))) return;
        const double largest = c.table[column];
        const bool is_small = c.norm <= largest;
        const T factor = static_cast<T>(largest / c.norm);
        for (const Gradient& one : all) {
            const T* g = c.at<T>(one.g);
            T* out = c.at<T>(one.out);
            for_chunks(one.n, [&](int64_t at, int64_t n) {
                for (int64_t i = at; i < at + n; ++i) out[i] = is_small ? g[i] : factor * g[i];
            });
        }
    };
}

// out = g + l2 w.  Slots: w, g, out.  Sizes: n, column.
template <class T>
Op decay_op(const Args& a) {
    const int64_t n = a.size(0), column = a.column(1);
    const int64_t w = a.slot<T>(0, n), g = a.slot<T>(1, n), out = a.slot<T>(2, n);
    return [=](Context& c) {
        const T l2 = static_cast<T>(c.table[column]);
        const T *from = c.at<T>(g), *weights = c.at<T>(w);
        T* to = c.at<T>(out);
        for_chunks(n, [&](int64_t at, int64_t count) {
            for (int64_t i = at; i < at + count; ++i) to[i] = from[i] + l2 * weights[i];
        });
    };
}

// The columns of a rule.
enum { kRate, kDecay1, kDecay2, kEpsilon, kCorrection1, kCorrection2, kKept, kRuleColumns };

template <class T>
UpdateSettings<T> settings_of(const double* row) {
    UpdateSettings<T> s{};
    T* fields[] = {&s.rate, &s.decay1, &s.decay2, &s.epsilon, &s.correction1, &s.correction2, &s.weight_decay};
    for (int i = 0; i < kRuleColumns; ++i) *fields[i] = static_cast<T>(row[i]);
    return s;
}

// Calls body(first, count) for chunks of n numbers, and gives the step up where what is then in `next` is not finite.
template <class T, class Body>
void updated(Context& c, int64_t n, const T* next, Body&& body) {
    std::atomic<bool> finite{true};
    for_chunks(n, [&](int64_t at, int64_t count) {
        body(at, count);
        if (!kernels<T>().flat.all_finite(next + at, count)) finite.store(false, std::memory_order_relaxed);
    });
    c.is_finite = finite.load();
}

// What the rules but adam start from: kept w, in the place of next.
template <class T>
const T* started(const T* w, double kept, int64_t n, T* next) {
    if (kept == 1.0) return w;
    const T share = static_cast<T>(kept);
    for (int64_t i = 0; i < n; ++i) next[i] = share * w[i];
    return next;
}

// Slots: w, g, next.  Sizes: n, first column.
template <class T>
Op sgd_op(const Args& a) {
    const int64_t n = a.size(0), column = a.column(1, kRuleColumns);
    const int64_t w = a.slot<T>(0, n), g = a.slot<T>(1, n), next = a.slot<T>(2, n);
    return [=](Context& c) {
        const double* row = c.table + column;
        const UpdateSettings<T> s = settings_of<T>(row);
        const T *from = c.at<T>(w), *dw = c.at<T>(g);
        T* to = c.at<T>(next);
        updated(c, n, to, [&](int64_t at, int64_t count) {
            const T* start = started<T>(from + at, row[kKept], count, to + at);
            if (start != to + at) std::memcpy(to + at, start, static_cast<size_t>(count) * sizeof(T));
            sgd<T>(s, to + at, dw + at, count);
        });
    };
}

// Slots: w, g, next, state, next state.
template <class T, Rule kRule>
Op rule_op(const Args& a) {
    const int64_t n = a.size(0), column = a.column(1, kRuleColumns);
    const int64_t w = a.slot<T>(0, n), g = a.slot<T>(1, n), next = a.slot<T>(2, n), state = a.slot<T>(3, n),
                  next_state = a.slot<T>(4, n);
    return [=](Context& c) {
        const double* row = c.table + column;
        const UpdateSettings<T> s = settings_of<T>(row);
        const T *from = c.at<T>(w), *dw = c.at<T>(g), *old = c.at<T>(state);
        T *to = c.at<T>(next), *to_state = c.at<T>(next_state);
        updated(c, n, to, [&](int64_t at, int64_t count) {
            const T* start = started<T>(from + at, row[kKept], count, to + at);
            update<T>(kRule, s, start, dw + at, old + at, count, to + at, to_state + at);
        });
    };
}

// Slots: w, g, next, m, next m, v, next v.
template <class T>
Op adam_op(const Args& a) {
    const int64_t n = a.size(0), column = a.column(1, kRuleColumns);
    const int64_t w = a.slot<T>(0, n), g = a.slot<T>(1, n), next = a.slot<T>(2, n), m = a.slot<T>(3, n),
                  next_m = a.slot<T>(4, n), v = a.slot<T>(5, n), next_v = a.slot<T>(6, n);
    return [=](Context& c) {
        const UpdateSettings<T> s = settings_of<T>(c.table + column);
        const T *from = c.at<T>(w), *dw = c.at<T>(g), *first = c.at<T>(m), *second = c.at<T>(v);
        T *to = c.at<T>(next), *to_first = c.at<T>(next_m), *to_second = c.at<T>(next_v);
        updated(c, n, to, [&](int64_t at, int64_t count) {
            kernels<T>().flat.adam(s, from + at, dw + at, first + at, second + at, count, to + at, to_first + at, to_second + at,
                                   is_large<T>(n));
        });
    };
}

// Slots: w, g, next, cache, next cache, updates, next updates.  Columns: rate, decay, 1 - decay, epsilon.
template <class T>
Op adadelta_op(const Args& a) {
    const int64_t n = a.size(0), column = a.column(1, kRuleColumns);
    const int64_t w = a.slot<T>(0, n), g = a.slot<T>(1, n), next = a.slot<T>(2, n), cache = a.slot<T>(3, n),
                  next_cache = a.slot<T>(4, n), updates = a.slot<T>(5, n), next_updates = a.slot<T>(6, n);
    return [=](Context& c) {
        const double* row = c.table + column;
        const UpdateSettings<T> s = settings_of<T>(row);
        const T *before = c.at<T>(w), *dw = c.at<T>(g), *old = c.at<T>(cache), *moved = c.at<T>(updates);
        T *to = c.at<T>(next), *to_cache = c.at<T>(next_cache), *to_updates = c.at<T>(next_updates);
        updated(c, n, to, [&](int64_t at, int64_t count) {
            const T* from = started<T>(before + at, row[kKept], count, to + at);
            for (int64_t i = at; i < at + count; ++i) {
                const T average = s.decay1 * old[i] + s.decay2 * (dw[i] * dw[i]), u = moved[i];
                const T step = dw[i] * (std::sqrt(u + s.epsilon) / std::sqrt(average + s.epsilon));
                to_cache[i] = average;
                to_updates[i] = s.decay1 * u + s.decay2 * (step * step);
                to[i] = from[i - at] - s.rate * step;
            }
        });
    };
}

// next = share now + (1 - share) other, of a running statistic or an average of weights.  Slots: now, other, next.
// Sizes: n, columns of share and 1 - share.
template <class T>
Op average_op(const Args& a) {
    const int64_t n = a.size(0), column = a.column(1, 2);
    const int64_t now = a.slot<T>(0, n), other = a.slot<T>(1, n), next = a.slot<T>(2, n);
    return [=](Context& c) {
        const T share = static_cast<T>(c.table[column]), rest = static_cast<T>(c.table[column + 1]);
        const T *old = c.at<T>(now), *fresh = c.at<T>(other);
        T* to = c.at<T>(next);
        for_chunks(n, [&](int64_t at, int64_t count) {
            for (int64_t i = at; i < at + count; ++i) to[i] = share * old[i] + rest * fresh[i];
        });
    };
}

}  // namespace

template <class T>
Factory find_update(const std::string& name) {
    static const std::unordered_map<std::string, Factory> known{
        {"penalty", penalty_op<T>},
        {"check_loss", check_loss_op<T>},
        {"check_finite", check_finite_op<T>},
        {"clip", clip_op<T>},
        {"decay", decay_op<T>},
        {"sgd", sgd_op<T>},
        {"sgd_momentum", rule_op<T, Rule::kMomentum>},
        {"sgd_nesterov_momentum", rule_op<T, Rule::kNesterov>},
        {"adagrad", rule_op<T, Rule::kAdagrad>},
        {"rmsprop", rule_op<T, Rule::kRmsprop>},
        {"adam", adam_op<T>},
        {"adadelta", adadelta_op<T>},
        {"average", average_op<T>},
    };
    const auto found = known.find(name);
    return found == known.end() ? nullptr : found->second;
}

template Factory find_update<float>(const std::string&);
template Factory find_update<double>(const std::string&);

}  // namespace handgrad
