// Affine layers and normalisations, and the names of all operations.  S is what the values of layers are stored as, T
// what they are computed in.
#include <algorithm>
#include <optional>
#include <unordered_map>

#include "kernels/table.h"
#include "ops/affine.h"
#include "ops/batchnorm.h"
#include "ops/norm.h"
#include "plan/args.h"
#include "plan/kept.h"
#include "plan/pools.h"

namespace handgrad {
namespace {

// Slots: x, w, b, out.  Sizes: rows, depth, columns.
template <class S>
Op affine_op(const Args& a) {
    using T = Computed<S>;
    const int64_t rows = a.size(0), depth = a.size(1), columns = a.size(2);
    const int64_t x = a.slot<S>(0, times(rows, depth)), w = a.slot<T>(1, times(depth, columns)), b = a.slot<T>(2, columns),
                  out = a.slot<S>(3, times(rows, columns));
    return [=](Context& c) { affine_forward(c.at<const S>(x), c.at<const T>(w), c.at<const T>(b), rows, depth, columns, c.at<S>(out)); };
}

// Slots: dout, x, w, dx or none, dw, db.  Sizes: rows, depth, columns, whether db is zero.
template <class S>
Op affine_backward_op(const Args& a) {
    using T = Computed<S>;
    const int64_t rows = a.size(0), depth = a.size(1), columns = a.size(2);
    const int64_t dout = a.slot<S>(0, times(rows, columns)), x = a.slot<S>(1, times(rows, depth)),
                  w = a.slot<T>(2, times(depth, columns)), dx = a.optional<S>(3, times(rows, depth)),
                  dw = a.slot<T>(4, times(depth, columns)), db = a.slot<T>(5, columns);
    const bool is_zero = a.flag(3);
    return [=](Context& c) {
        affine_gradients(c.at<const S>(dout), c.at<const S>(x), c.at<const T>(w), rows, depth, columns, c.at<S>(dx), c.at<T>(dw),
                            is_zero ? nullptr : c.at<T>(db));
        if (is_zero) std::fill_n(c.at<T>(db), columns, T(0));
    };
}

// An affine layer of scores, see ops/bf16_scores.h.  Slots: x, w, b, out, then gamma, beta, mean, var or none.  Sizes:
// rows, depth, columns, whether a ReLU follows, whether out is float32.  Numbers: eps.
Op affine_scores_op(const Args& a) {
    const int64_t rows = a.size(0), depth = a.size(1), columns = a.size(2), count = times(rows, columns);
    const bool is_full = a.flag(4);
    const WeightSlots given(a, 1, times(depth, columns), columns, 4);
    const int64_t x = a.slot<Bf16>(0, times(rows, depth)), out = is_full ? a.slot<float>(3, count) : a.slot<Bf16>(3, count);
    const auto kept = std::make_shared<Kept<AffineScores>>(rows, depth, columns, a.flag(3));
    return [=](Context& c) {
        AffineScores& scores = kept->made(c, given);
        if (is_full)
            scores.run(c.at<const Bf16>(x), c.at<float>(out));
        else
            scores.run(c.at<const Bf16>(x), c.at<Bf16>(out));
    };
}

// The sizes of a batch normalisation: rows, channels, rectify, of_batch, curve, whether a pooling follows, its sizes.
struct NormArgs {
    NormChain chain;
    std::optional<PoolSizes> pool;
    int64_t windows, largest;  // numbers of out, and of the largest x, where there is a pooling

    NormArgs(const Args& a, double eps) {
        const int64_t rows = a.size(0), channels = a.size(1);
        a.need(a.size(4) <= kCurves && rows > 0, "names no curve, or has no rows");
        chain = {rows, channels, eps, a.flag(2), a.flag(3), nullptr, static_cast<int>(a.size(4))};
        windows = times(rows, channels);
        largest = 0;
        if (a.flag(5)) {
            pool = pool_of(a, 6);
            a.need(pool->C == channels && times(pool->N, pool->H, pool->W) == rows, "has a pooling of other sizes");
            windows = largest = outputs(*pool);
        }
    }
    NormChain of(const std::optional<PoolSizes>& kept) const {
        NormChain found = chain;
        found.pool = kept ? &*kept : nullptr;
        return found;
    }
};

// Slots: x, gamma, beta, mean, var, inv_std, scale, largest, index, out.  Numbers: eps.
template <class S>
Op batchnorm_op(const Args& a) {
    using T = Computed<S>;
    const NormArgs s(a, a.number(0));
    const int64_t n = times(s.chain.rows, s.chain.channels), C = s.chain.channels;
    const int64_t x = a.slot<S>(0, n), gamma = a.slot<T>(1, C), beta = a.slot<T>(2, C), mean = a.slot<T>(3, C),
                  var = a.slot<T>(4, C), inv_std = a.slot<T>(5, C), scale = a.slot<T>(6, C),
                  largest = a.optional<S>(7, s.largest), index = a.optional<uint8_t>(8, s.pool ? index_count(*s.pool) : 0),
                  out = a.slot<S>(9, s.windows);
    a.need(!s.pool || (largest >= 0 && index >= 0), "lacks a slot of its pooling");
    return [=](Context& c) {
        const NormKept<S> kept{c.at<T>(mean), c.at<T>(var), c.at<T>(inv_std), c.at<T>(scale), c.at<S>(largest), c.at<void>(index)};
        batchnorm_forward<S>(s.of(s.pool), c.at<S>(x), c.at<T>(gamma), c.at<T>(beta), kept, c.at<S>(out));
    };
}

// Slots: dout, x, mean, inv_std, scale, largest, index, beta, dx, dgamma, dbeta.
template <class S>
Op batchnorm_backward_op(const Args& a) {
    using T = Computed<S>;
    const NormArgs s(a, 0);
    const int64_t n = times(s.chain.rows, s.chain.channels), C = s.chain.channels;
    const int64_t dout = a.slot<S>(0, s.windows), x = a.slot<S>(1, n), mean = a.slot<T>(2, C), inv_std = a.slot<T>(3, C),
                  scale = a.slot<T>(4, C), largest = a.optional<S>(5, s.largest),
                  index = a.optional<uint8_t>(6, s.pool ? index_count(*s.pool) : 0), beta = a.slot<T>(7, C),
                  dx = a.slot<S>(8, n), dgamma = a.slot<T>(9, C), dbeta = a.slot<T>(10, C);
    a.need(!s.pool || (largest >= 0 && index >= 0), "lacks a slot of its pooling");
    return [=](Context& c) {
        const NormKept<const S, const void> kept{c.at<T>(mean),  nullptr,          c.at<T>(inv_std),
                                                 c.at<T>(scale), c.at<S>(largest), c.at<void>(index)};
        batchnorm_backward<S>(s.of(s.pool), c.at<S>(dout), c.at<S>(x), kept, c.at<T>(beta), c.at<S>(dx), c.at<T>(dgamma),
                              c.at<T>(dbeta));
    };
}

// Slots: x, gamma, beta, out, xhat, inv_std.  Sizes: N, C, positions, groups.  Numbers: eps.
template <class S>
Op groupnorm_op(const Args& a) {
    using T = Computed<S>;
    const int64_t N = a.size(0), C = a.size(1), P = a.size(2), groups = a.size(3), n = times(N, C, P);
    a.need(groups > 0 && C % groups == 0, "has groups that do not divide its channels");
    const double eps = a.number(0);
    const int64_t x = a.slot<S>(0, n), gamma = a.slot<T>(1, C), beta = a.slot<T>(2, C), out = a.slot<S>(3, n),
                  xhat = a.slot<S>(4, n), inv_std = a.slot<T>(5, times(N, groups));
    return [=](Context& c) {
        group_norm_forward<S>(N, C, P, groups, c.at<S>(x), c.at<T>(gamma), c.at<T>(beta), eps, c.at<S>(out), c.at<S>(xhat),
                              c.at<T>(inv_std));
    };
}

// Slots: dout, xhat, inv_std, gamma, dx, dgamma, dbeta.
template <class S>
Op groupnorm_backward_op(const Args& a) {
    using T = Computed<S>;
    const int64_t N = a.size(0), C = a.size(1), P = a.size(2), groups = a.size(3), n = times(N, C, P);
    a.need(groups > 0 && C % groups == 0, "has groups that do not divide its channels");
    const int64_t dout = a.slot<S>(0, n), xhat = a.slot<S>(1, n), inv_std = a.slot<T>(2, times(N, groups)),
                  gamma = a.slot<T>(3, C), dx = a.slot<S>(4, n), dgamma = a.slot<T>(5, C), dbeta = a.slot<T>(6, C);
    return [=](Context& c) {
        group_norm_backward<S>(N, C, P, groups, c.at<S>(dout), c.at<S>(xhat), c.at<T>(inv_std), c.at<T>(gamma), c.at<S>(dx),
                               c.at<T>(dgamma), c.at<T>(dbeta));
    };
}

}  // namespace

template <class S>
Factory find_layer(const std::string& name) {
    static const std::unordered_map<std::string, Factory> known{
        {"affine", affine_op<S>},
        {"affine_backward", affine_backward_op<S>},
        {"batchnorm", batchnorm_op<S>},
        {"batchnorm_backward", batchnorm_backward_op<S>},
        {"groupnorm", groupnorm_op<S>},
        {"groupnorm_backward", groupnorm_backward_op<S>},
    };
    if (kIsHalf<S> && name == "affine_scores") return affine_scores_op;
    const auto found = known.find(name);
    return found == known.end() ? nullptr : found->second;
}

template <class S>
Op make_op(const OpText& text, const std::vector<Slot>& slots, int64_t table_width, int64_t streams) {
    for (const auto find : {find_flat<S>, find_layer<S>, find_image<S>, find_loss<Computed<S>>,
                            find_update<Computed<S>>, find_call<Computed<S>>})
        if (const Factory factory = find(text.name)) return factory(Args(text, slots, table_width, streams));
    throw std::invalid_argument("plan: there is no operation " + text.name);
}

template Op make_op<float>(const OpText&, const std::vector<Slot>&, int64_t, int64_t);
template Op make_op<Bf16>(const OpText&, const std::vector<Slot>&, int64_t, int64_t);
template Op make_op<double>(const OpText&, const std::vector<Slot>&, int64_t, int64_t);

}  // namespace handgrad
