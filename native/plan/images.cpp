// Convolutions and poolings; all images are channels-last, but for poolings over planes.  S is what the values of
// layers are stored as, T what they are computed in.
#include <algorithm>
#include <unordered_map>

#include "core/threads.h"
#include "ops/bf16_conv.h"
#include "ops/conv.h"
#include "ops/norm.h"
#include "ops/stem.h"
#include "ops/upsample.h"
#include "plan/args.h"
#include "plan/kept.h"
#include "plan/pools.h"

namespace handgrad {
namespace {

// Sizes: N, C, H, W, F, HH, WW, stride, pad, dilation, groups.
struct ConvArgs {
    ConvSizes s;
    int64_t x, w, out, windows;  // counts of numbers; windows: of the 2 x 2 poolings of out

    explicit ConvArgs(const Args& a) {
        int64_t g[14];
        for (size_t i = 0; i < 14; ++i) g[i] = a.size(i);
        a.need(g[11] >= 1 && g[12] >= 1 && g[13] >= 1 && g[1] % g[13] == 0 && g[4] % g[13] == 0, "has sizes that do not fit");
        const auto reach = [](int64_t size, int64_t dilation) { return plus(times(dilation, size - 1), 1); };
        s = {g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7], g[8], g[9], g[10],
             window_count(g[2], reach(g[5], g[11]), g[7], g[9]), window_count(g[3], reach(g[6], g[12]), g[8], g[10]),
             g[11], g[12], g[13]};
        x = times(s.N, s.C, s.H, s.W);
        w = times(s.F, s.C / s.groups, s.HH, s.WW);
        out = times(s.N, s.F, s.OH, s.OW);
        windows = times(s.N, s.F, s.OH / 2, s.OW / 2);
    }
};

// Slots: x, w, b, out, places or none.  Size 14: whether a ReLU stands in front of the pooling.
template <class S>
Op conv_op(const Args& a) {
    using T = Computed<S>;
    const ConvArgs g(a);
    const bool rectify = a.flag(14);
    const int64_t places = a.optional<uint8_t>(4, g.windows);
    const int64_t x = a.slot<S>(0, g.x), w = a.slot<T>(1, g.w), b = a.slot<T>(2, g.s.F),
                  out = a.slot<S>(3, places < 0 ? g.out : g.windows);
    const ConvSizes s = g.s;
    return [=](Context& c) {
        conv_forward(s, c.at<const S>(x), c.at<const T>(w), Sink<S>{c.at<S>(out), c.at<T>(b), c.at<uint8_t>(places), rectify});
    };
}

// Slots: dout, places or none, x, w, dx or none, dw, db.  Size 14: whether db is zero.
template <class S>
Op conv_backward_op(const Args& a) {
    using T = Computed<S>;
    const ConvArgs g(a);
    const bool is_zero = a.flag(14);
    const int64_t places = a.optional<uint8_t>(1, g.windows);
    const int64_t dout = a.slot<S>(0, places < 0 ? g.out : g.windows), x = a.slot<S>(2, g.x), w = a.slot<T>(3, g.w),
                  dx = a.optional<S>(4, g.x), dw = a.slot<T>(5, g.w), db = a.slot<T>(6, g.s.F);
    const ConvSizes s = g.s;
    return [=](Context& c) {
        if (is_zero) std::fill_n(c.at<T>(db), s.F, T(0));
        conv_backward(s, Source<S>{c.at<S>(dout), c.at<uint8_t>(places)}, c.at<const S>(x), c.at<const T>(w),
                      ConvGradients<S>{c.at<S>(dx), c.at<T>(dw), is_zero ? nullptr : c.at<T>(db)});
    };
}

// A convolution of scores, see ops/bf16_scores.h.  Slots: x, w, b, out, then gamma, beta, mean, var or none.  Sizes
// behind those of the convolution: whether a ReLU and a 2 x 2 max pooling follow.  Numbers: eps.
Op conv_scores_op(const Args& a) {
    const ConvArgs g(a);
    const WeightSlots given(a, 1, g.w, g.s.F, 4);
    const bool pool = a.flag(15);
    const int64_t x = a.slot<Bf16>(0, g.x), out = a.slot<Bf16>(3, pool ? g.windows : g.out);
    const auto kept = std::make_shared<Kept<ConvScores>>(g.s, a.flag(14), pool);
    return [=](Context& c) { kept->made(c, given).run(c.at<const Bf16>(x), c.at<Bf16>(out)); };
}

// A transposed convolution; the sizes are those of the convolution that turns its output into x.  Slots: x, w, b, out.
template <class S>
Op conv_transpose_op(const Args& a) {
    using T = Computed<S>;
    const ConvArgs g(a);
    const int64_t x = a.slot<S>(0, g.out), w = a.slot<T>(1, g.w), b = a.slot<T>(2, g.s.C), out = a.slot<S>(3, g.x);
    const ConvSizes s = g.s;
    return [=](Context& c) { conv_transpose_forward(s, c.at<const S>(x), c.at<const T>(w), c.at<const T>(b), c.at<S>(out)); };
}

// Slots: dout, x, w, dx or none, dw, db.
template <class S>
Op conv_transpose_backward_op(const Args& a) {
    using T = Computed<S>;
    const ConvArgs g(a);
    const int64_t dout = a.slot<S>(0, g.x), x = a.slot<S>(1, g.out), w = a.slot<T>(2, g.w), dx = a.optional<S>(3, g.out),
                  dw = a.slot<T>(4, g.w), db = a.slot<T>(5, g.s.C);
    const ConvSizes s = g.s;
    return [=](Context& c) {
        conv_transpose_backward(s, c.at<const S>(dout), c.at<const S>(x), c.at<const T>(w),
                                ConvGradients<S>{c.at<S>(dx), c.at<T>(dw), c.at<T>(db)});
    };
}

// The first block of a network, see ops/stem.h.
template <class S>
struct StemSlots {
    int64_t xhat, inv_std, scale, index, patches;

    StemSlots(const Args& a, const ConvArgs& g, size_t place) {
        const int64_t K = times(g.s.HH, g.s.WW, g.s.C);
        a.need(stem_fits(g.s), "is no first block");
        xhat = a.slot<S>(place, g.windows);
        inv_std = a.slot<float>(place + 1, g.s.F);
        scale = a.slot<float>(place + 2, g.s.F);
        index = a.slot<uint8_t>(place + 3, g.windows);
        patches = a.slot<double>(place + 4, times(K + 1, K));
    }
};

// Slots: x, w, b, gamma, beta, out, mean, var, xhat, inv_std, scale, index, patches.  Numbers: eps.
template <class S>
Op stem_op(const Args& a) {
    const ConvArgs g(a);
    const ConvSizes s = g.s;
    const StemSlots<S> k(a, g, 8);
    const int64_t x = a.slot<float>(0, g.x), w = a.slot<float>(1, g.w), b = a.slot<float>(2, s.F), gamma = a.slot<float>(3, s.F),
                  beta = a.slot<float>(4, s.F), out = a.slot<S>(5, g.windows), mean = a.slot<float>(6, s.F),
                  var = a.slot<float>(7, s.F);
    const double eps = a.number(0);
    return [=](Context& c) {
        const StemArrays<float, uint8_t, double, S> kept{c.at<S>(k.xhat), c.at<float>(k.inv_std), c.at<float>(k.scale), c.at<uint8_t>(k.index),
                            c.at<double>(k.patches)};
        stem_forward<S>(s, c.at<float>(x), c.at<float>(w), c.at<float>(b), c.at<float>(gamma), c.at<float>(beta), eps,
                     c.at<S>(out), c.at<float>(mean), c.at<float>(var), kept);
    };
}

// The same with given moments.  Slots: x, w, b, gamma, beta, mean, var, out.  Numbers: eps.
template <class S>
Op stem_infer_op(const Args& a) {
    const ConvArgs g(a);
    const ConvSizes s = g.s;
    a.need(stem_fits(s), "is no first block");
    const int64_t x = a.slot<float>(0, g.x), w = a.slot<float>(1, g.w), b = a.slot<float>(2, s.F), gamma = a.slot<float>(3, s.F),
                  beta = a.slot<float>(4, s.F), mean = a.slot<float>(5, s.F), var = a.slot<float>(6, s.F),
                  out = a.slot<S>(7, g.windows);
    const double eps = a.number(0);
    return [=](Context& c) {
        const GivenNorm norm{c.at<float>(gamma), c.at<float>(beta), c.at<float>(mean), c.at<float>(var), eps};
        stem_infer(s, c.at<float>(x), c.at<float>(w), c.at<float>(b), norm, c.at<S>(out));
    };
}

// Slots: dout, x, w, dw, db, dgamma, dbeta, then as above from xhat on.
template <class S>
Op stem_backward_op(const Args& a) {
    const ConvArgs g(a);
    const ConvSizes s = g.s;
    const StemSlots<S> k(a, g, 7);
    const int64_t dout = a.slot<S>(0, g.windows), x = a.slot<float>(1, g.x), w = a.slot<float>(2, g.w),
                  dw = a.slot<float>(3, g.w), db = a.slot<float>(4, s.F), dgamma = a.slot<float>(5, s.F),
                  dbeta = a.slot<float>(6, s.F);
    return [=](Context& c) {
        std::fill_n(c.at<float>(db), s.F, 0.0f);  // the mean takes off what b adds
        const StemArrays<const float, const uint8_t, const double, const S> saved{c.at<S>(k.xhat), c.at<float>(k.inv_std), c.at<float>(k.scale), c.at<uint8_t>(k.index),
                              c.at<double>(k.patches)};
        stem_backward<S>(s, c.at<float>(x), c.at<float>(w), c.at<S>(dout), saved, c.at<float>(dw), c.at<float>(dgamma),
                      c.at<float>(dbeta));
    };
}

// Slots: x, out, index.  Sizes: those of the pooling, whether a ReLU stands in front.
template <class S>
Op max_pool_op(const Args& a) {
    const PoolSizes s = pool_of(a, 0);
    const bool rectify = a.flag(8);
    const int64_t x = a.slot<S>(0, times(s.N, s.C, s.H, s.W)), out = a.slot<S>(1, outputs(s)),
                  index = a.slot<uint8_t>(2, index_count(s));
    return [=](Context& c) {
        max_pool_forward<S>(s, nullptr, rectify, c.at<S>(x), c.at<S>(out), nullptr, c.at<void>(index));
    };
}

// Slots: dout, index, dx.
template <class S>
Op max_pool_backward_op(const Args& a) {
    const PoolSizes s = pool_of(a, 0);
    const int64_t dout = a.slot<S>(0, outputs(s)), index = a.slot<uint8_t>(1, index_count(s)),
                  dx = a.slot<S>(2, times(s.N, s.C, s.H, s.W));
    return [=](Context& c) { max_pool_backward<S>(s, c.at<S>(dout), c.at<void>(index), c.at<S>(dx)); };
}

// Slots: x, out; of the backward dout, dx.
template <class S, bool kForward>
Op mean_pool_op(const Args& a) {
    const PoolSizes s = pool_of(a, 0);
    const int64_t inside = times(s.N, s.C, s.H, s.W), from = a.slot<S>(0, kForward ? inside : outputs(s)),
                  to = a.slot<S>(1, kForward ? outputs(s) : inside);
    return [=](Context& c) {
        if (kForward)
            mean_pool_forward<S>(s, c.at<S>(from), c.at<S>(to));
        else
            mean_pool_backward<S>(s, c.at<S>(from), c.at<S>(to));
    };
}

// Slots: x, out; of the backward dout, dx.  Sizes: N, C, H, W of x, scale, whether bilinear.
template <class S, bool kForward>
Op upsample_op(const Args& a) {
    const UpsampleSizes s{a.size(0), a.size(1), a.size(2), a.size(3), a.size(4), a.size(5), a.flag(6)};
    a.need(s.scale_y >= 1 && s.scale_x >= 1, "has no scale");
    const int64_t small = times(s.N, s.C, s.H, s.W), large = times(small, s.scale_y, s.scale_x),
                  from = a.slot<S>(0, kForward ? small : large), to = a.slot<S>(1, kForward ? large : small);
    return [=](Context& c) {
        if (kForward)
            upsample_forward<S>(s, c.at<S>(from), c.at<S>(to));
        else
            upsample_backward<S>(s, c.at<S>(from), c.at<S>(to));
    };
}

}  // namespace

template <class S>
Factory find_image(const std::string& name) {
    static const std::unordered_map<std::string, Factory> known{
        {"conv", conv_op<S>},
        {"conv_backward", conv_backward_op<S>},
        {"conv_transpose", conv_transpose_op<S>},
        {"conv_transpose_backward", conv_transpose_backward_op<S>},
        {"max_pool", max_pool_op<S>},
        {"max_pool_backward", max_pool_backward_op<S>},
        {"mean_pool", mean_pool_op<S, true>},
        {"mean_pool_backward", mean_pool_op<S, false>},
        {"upsample", upsample_op<S, true>},
        {"upsample_backward", upsample_op<S, false>},
    };
    if constexpr (std::is_same_v<Computed<S>, float>) {
        if (name == "stem") return stem_op<S>;
        if (name == "stem_backward") return stem_backward_op<S>;
        if (name == "stem_infer") return stem_infer_op<S>;
    }
    if (kIsHalf<S> && name == "conv_scores") return conv_scores_op;
    const auto found = known.find(name);
    return found == known.end() ? nullptr : found->second;
}

template Factory find_image<float>(const std::string&);
template Factory find_image<double>(const std::string&);
template Factory find_image<Bf16>(const std::string&);

}  // namespace handgrad
