// Batches, passes over flat arrays, and dropout.  S is what the values of layers are stored as, T what they are
// computed in; batches, scores and their gradients are T.
#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/joins.h"
#include "ops/layout.h"
#include "ops/stored.h"
#include "ops/updates.h"
#include "plan/args.h"
#include "plan/moves.h"

namespace handgrad {
namespace {

template <class S>
S kept_as(double share) {
    if constexpr (kIsHalf<S>)
        return to_bf16(1);
    else
        return static_cast<S>(share);
}

template <class T>
void copy_row(const Feed& feed, int64_t row, T* out) {
    const int64_t n = feed.x_size, piece = feed.table ? n / feed.channels : n;
    for (int64_t at = 0; at < n; at += piece) copy_span(feed, row, at, piece, out + at);
}

// Writes row number n of this step's batch.
template <class T>
void take_row(const Feed& feed, int64_t n, T* out) {
    if (feed.moves)
        copy_moved(feed, feed.rows[n], feed.moves + 3 * n, out);
    else
        copy_row(feed, feed.rows[n], out);
}

// Slots: the batch.  Sizes: rows, numbers of a row.
template <class S>
Op batch_op(const Args& a) {
    const int64_t rows = a.size(0), size = a.size(1), out = a.slot<S>(0, times(rows, size));
    return [=](Context& c) {
        for_images(rows, size, [&](int64_t first, int64_t count) {
            const Write<S> block(c.at<S>(out) + first * size, count * size);
            for (int64_t n = 0; n < count; ++n) take_row(*c.feed, first + n, block.get() + n * size);
        });
    };
}

// Slots: labels.  Sizes: rows.
template <class T>
Op labels_op(const Args& a) {
    const int64_t rows = a.size(0), out = a.slot<int64_t>(0, rows);
    return [=](Context& c) {
        const int64_t* y = static_cast<const int64_t*>(c.feed->y);
        for (int64_t n = 0; n < rows; ++n) c.at<int64_t>(out)[n] = y[c.feed->rows[n]];
    };
}

// Slots: targets.  Sizes: rows, numbers of a row.
template <class T>
Op targets_op(const Args& a) {
    const int64_t rows = a.size(0), size = a.size(1), out = a.slot<T>(0, times(rows, size));
    return [=](Context& c) {
        const double* y = static_cast<const double*>(c.feed->y);
        T* to = c.at<T>(out);
        for (int64_t n = 0; n < rows; ++n)
            for (int64_t k = 0; k < size; ++k) to[n * size + k] = static_cast<T>(y[c.feed->rows[n] * size + k]);
    };
}

// Copies an array (N, C, H, W) from one order of memory to the other.  Slots: x, out.  Sizes: N, C, H, W, whether out
// is channels-last.
template <class S>
Op reorder_op(const Args& a) {
    std::vector<int64_t> shape;
    int64_t count = 1;
    for (size_t i = 0; i < 4; ++i) {
        shape.push_back(a.size(i));
        count = times(count, shape[i]);
    }
    const Order to = a.flag(4) ? Order::kChannelsLast : Order::kRows, from = a.flag(4) ? Order::kRows : Order::kChannelsLast;
    const int64_t x = a.slot<S>(0, count), out = a.slot<S>(1, count);
    std::vector<int64_t> strides(4);
    dense_strides(4, shape.data(), from, strides.data());
    return [=](Context& c) { copy_dense(c.at<const S>(x), 4, shape.data(), strides.data(), to, c.at<S>(out)); };
}

// Slots: x, out, which is T.  Sizes: n.
template <class S>
Op copy_op(const Args& a) {
    using T = Computed<S>;
    const int64_t n = a.size(0), x = a.slot<S>(0, n), out = a.slot<T>(1, n);
    return [=](Context& c) { std::memcpy(c.at<T>(out), Read<S>(c.at<S>(x), n).get(), static_cast<size_t>(n) * sizeof(T)); };
}

// Slots: x, which is T, out.  Sizes: n.
template <class S>
Op store_op(const Args& a) {
    using T = Computed<S>;
    const int64_t n = a.size(0), x = a.slot<T>(0, n), out = a.slot<S>(1, n);
    return [=](Context& c) {
        for_chunks(n, [&](int64_t at, int64_t count) {
            const Write<S> to(c.at<S>(out) + at, count);
            std::memcpy(to.get(), c.at<T>(x) + at, static_cast<size_t>(count) * sizeof(T));
        });
    };
}

// In place.  Slots: x, positive.  Sizes: n.
template <class S>
Op rectify_op(const Args& a) {
    using T = Computed<S>;
    const int64_t n = a.size(0), x = a.slot<S>(0, n), positive = a.slot<uint8_t>(1, n);
    return [=](Context& c) {
        for_chunks(n, [&](int64_t at, int64_t count) {
            S* place = c.at<S>(x) + at;
            uint8_t* mask = c.at<uint8_t>(positive) + at;
            if constexpr (kIsHalf<S>)
                kernels<T>().flat.relu(Read<S>(place, count).get(), count, Write<S>(place, count).get(), mask);
            else
                kernels<T>().flat.rectify(place, count, mask);
        });
    };
}

// Slots: x, out, positive.  Sizes: n, whether it leaks.  Numbers: alpha, the slope of what leaks.
template <class S>
Op relu_op(const Args& a) {
    using T = Computed<S>;
    const int64_t n = a.size(0), x = a.slot<S>(0, n), out = a.slot<S>(1, n), positive = a.slot<uint8_t>(2, n);
    const bool leaks = a.flag(1);
    const T alpha = static_cast<T>(a.number(0));
    return [=](Context& c) {
        for_chunks(n, [&](int64_t at, int64_t count) {
            const auto& flat = kernels<T>().flat;
            const Read<S> from(c.at<S>(x) + at, count);
            const Write<S> to(c.at<S>(out) + at, count);
            if (leaks)
                flat.leaky_relu(from.get(), alpha, count, to.get(), c.at<uint8_t>(positive) + at);
            else
                flat.relu(from.get(), count, to.get(), c.at<uint8_t>(positive) + at);
        });
    };
}

// Slots: dout, positive, dx.  Sizes and numbers as above.
template <class S>
Op relu_backward_op(const Args& a) {
    using T = Computed<S>;
    const int64_t n = a.size(0), dout = a.slot<S>(0, n), positive = a.slot<uint8_t>(1, n), dx = a.slot<S>(2, n);
    const bool leaks = a.flag(1);
    const T alpha = static_cast<T>(a.number(0));
    return [=](Context& c) {
        for_chunks(n, [&](int64_t at, int64_t count) {
            const auto& flat = kernels<T>().flat;
            const uint8_t* mask = c.at<uint8_t>(positive) + at;
            const Read<S> from(c.at<S>(dout) + at, count);
            const Write<S> to(c.at<S>(dx) + at, count);
            if (leaks)
                flat.leaky_relu_backward(from.get(), mask, alpha, count, to.get());
            else
                flat.relu_backward(from.get(), mask, count, to.get());
        });
    };
}

template <class S>
int curve_of(const Args& a) {
    a.need(a.size(1) < kCurves, "names no curve");
    return static_cast<int>(a.size(1));
}

// Slots: x, out.  Sizes: n, curve.  Numbers: alpha.
template <class S>
Op curve_op(const Args& a) {
    using T = Computed<S>;
    const int64_t n = a.size(0), x = a.slot<S>(0, n), out = a.slot<S>(1, n);
    const int curve = curve_of<S>(a);
    const T alpha = static_cast<T>(a.number(0));
    return [=](Context& c) {
        for_chunks(n, [&](int64_t at, int64_t count) {
            const Read<S> from(c.at<S>(x) + at, count);
            kernels<T>().curves.forward[curve](from.get(), alpha, count, Write<S>(c.at<S>(out) + at, count).get());
        });
    };
}

// Slots: dout, x, dx.
template <class S>
Op curve_backward_op(const Args& a) {
    using T = Computed<S>;
    const int64_t n = a.size(0), dout = a.slot<S>(0, n), x = a.slot<S>(1, n), dx = a.slot<S>(2, n);
    const int curve = curve_of<S>(a);
    const T alpha = static_cast<T>(a.number(0));
    return [=](Context& c) {
        for_chunks(n, [&](int64_t at, int64_t count) {
            const Read<S> upstream(c.at<S>(dout) + at, count), from(c.at<S>(x) + at, count);
            kernels<T>().curves.backward[curve](upstream.get(), from.get(), alpha, count, Write<S>(c.at<S>(dx) + at, count).get());
        });
    };
}

// Slots: x, out.  Sizes: n.  Numbers: the factor.
template <class S>
Op scale_op(const Args& a) {
    using T = Computed<S>;
    const int64_t n = a.size(0), x = a.slot<S>(0, n), out = a.slot<S>(1, n);
    const T factor = static_cast<T>(a.number(0));
    return [=](Context& c) {
        for_chunks(n, [&](int64_t at, int64_t count) {
            const Read<S> from(c.at<S>(x) + at, count);
            const Write<S> to(c.at<S>(out) + at, count);
            std::transform(from.get(), from.get() + count, to.get(), [=](T number) { return number * factor; });
        });
    };
}

// Slots: x, out.  Sizes: n.
template <class S>
Op softplus_op(const Args& a) {
    const int64_t n = a.size(0), x = a.slot<S>(0, n), out = a.slot<S>(1, n);
    return [=](Context& c) {
        for_chunks(n, [&](int64_t at, int64_t count) {
            softplus_of(Read<S>(c.at<S>(x) + at, count).get(), count, Write<S>(c.at<S>(out) + at, count).get());
        });
    };
}

// dx = dout sigmoid(x).  Slots: dout, x, dx.
template <class S>
Op softplus_backward_op(const Args& a) {
    using T = Computed<S>;
    const int64_t n = a.size(0), dout = a.slot<S>(0, n), x = a.slot<S>(1, n), dx = a.slot<S>(2, n);
    return [=](Context& c) {
        constexpr int kSigmoid = 0;
        for_chunks(n, [&](int64_t at, int64_t count) {
            const Read<S> upstream(c.at<S>(dout) + at, count), from(c.at<S>(x) + at, count);
            const Write<S> to(c.at<S>(dx) + at, count);
            kernels<T>().curves.forward[kSigmoid](from.get(), T(0), count, to.get());
            kernels<T>().flat.product(upstream.get(), to.get(), count, to.get());
        });
    };
}

// Slots: x, out, winner.  Sizes: numbers of out, pieces.
template <class S>
Op maxout_op(const Args& a) {
    const int64_t n = a.size(0), pieces = a.size(1), x = a.slot<S>(0, times(n, pieces)), out = a.slot<S>(1, n),
                  winner = a.slot<uint8_t>(2, n);
    a.need(pieces >= 1 && pieces <= 256, "has no pieces, or too many");
    return [=](Context& c) {
        for_chunks(n, [&](int64_t at, int64_t count) {
            const Read<S> from(c.at<S>(x) + at * pieces, count * pieces);
            maxout_of(from.get(), count, pieces, Write<S>(c.at<S>(out) + at, count).get(), c.at<uint8_t>(winner) + at);
        });
    };
}

// Slots: dout, winner, dx.
template <class S>
Op maxout_backward_op(const Args& a) {
    const int64_t n = a.size(0), pieces = a.size(1), dout = a.slot<S>(0, n), winner = a.slot<uint8_t>(1, n),
                  dx = a.slot<S>(2, times(n, pieces));
    return [=](Context& c) { maxout_backward(c.at<const S>(dout), c.at<const uint8_t>(winner), n, pieces, c.at<S>(dx)); };
}

// Slots: a, b, out; of the backward dout, da, db.  Sizes: rows, numbers of a row of a, of b.
template <class S, bool kForward>
Op concat_op(const Args& a) {
    const int64_t rows = a.size(0), left = a.size(1), right = a.size(2), both = times(rows, plus(left, right));
    const int64_t first = a.slot<S>(0, kForward ? times(rows, left) : both),
                  second = a.slot<S>(1, times(rows, kForward ? right : left)),
                  third = a.slot<S>(2, kForward ? both : times(rows, right));
    return [=](Context& c) {
        if (kForward)
            concat(c.at<const S>(first), c.at<const S>(second), rows, left, right, c.at<S>(third));
        else
            split(c.at<const S>(first), rows, left, right, c.at<S>(second), c.at<S>(third));
    };
}

// A sum, or a product; of bf16 the product times a number.  Slots: a, b, out.  Sizes: n.  Numbers: the factor.
template <class S, bool kSum>
Op join_op(const Args& a) {
    using T = Computed<S>;
    const T factor = kIsHalf<S> && !kSum ? static_cast<T>(a.number(0)) : T(1);
    const int64_t n = a.size(0), left = a.slot<S>(0, n), right = a.slot<S>(1, n), out = a.slot<S>(2, n);
    return [=](Context& c) {
        const auto join = kSum ? kernels<T>().flat.sum : kernels<T>().flat.product;
        for_chunks(n, [&](int64_t at, int64_t count) {
            const Read<S> a(c.at<S>(left) + at, count), b(c.at<S>(right) + at, count);
            const Write<S> to(c.at<S>(out) + at, count);
            join(a.get(), b.get(), count, to.get());
            if (factor != T(1)) std::transform(to.get(), to.get() + count, to.get(), [=](T x) { return factor * x; });
        });
    };
}

// A mask of dropout: 1 / p with probability p, else 0; in bf16 1, as not each 1 / p is a number there.  Slots: mask.
// Sizes: n, stream.  Numbers: p.
template <class S>
Op dropout_mask_op(const Args& a) {
    const int64_t n = a.size(0), stream = a.stream(1), mask = a.slot<S>(0, n);
    const double p = a.number(0);
    const S kept = kept_as<S>(1.0 / p);
    return [=](Context& c) {
        BitGenerator* random = c.streams[static_cast<size_t>(stream)];
        S* to = c.at<S>(mask);
        for (int64_t i = 0; i < n; ++i) to[i] = random->next_double(random->state) < p ? kept : S{};
    };
}

// Numbers of the table.  Slots: out.  Sizes: n, first column.
template <class T>
Op from_table_op(const Args& a) {
    const int64_t n = a.size(0), column = a.column(1, n), out = a.slot<T>(0, n);
    return [=](Context& c) {
        T* to = c.at<T>(out);
        for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(c.table[column + i]);
    };
}

}  // namespace

template <class S>
Factory find_flat(const std::string& name) {
    using T = Computed<S>;
    static const std::unordered_map<std::string, Factory> known{
        {"batch", batch_op<T>},
        {"batch_stored", batch_op<S>},
        {"labels", labels_op<T>},
        {"targets", targets_op<T>},
        {"reorder", reorder_op<S>},
        {"reorder_full", reorder_op<T>},
        {"scale", scale_op<S>},
        {"copy", copy_op<S>},
        {"store", store_op<S>},
        {"rectify", rectify_op<S>},
        {"relu", relu_op<S>},
        {"relu_backward", relu_backward_op<S>},
        {"curve", curve_op<S>},
        {"curve_backward", curve_backward_op<S>},
        {"softplus", softplus_op<S>},
        {"softplus_backward", softplus_backward_op<S>},
        {"maxout", maxout_op<S>},
        {"maxout_backward", maxout_backward_op<S>},
        {"concat", concat_op<S, true>},
        {"split", concat_op<S, false>},
        {"from_table", from_table_op<T>},
        {"sum", join_op<S, true>},
        {"product", join_op<S, false>},
        {"dropout_mask", dropout_mask_op<S>},
    };
    const auto found = known.find(name);
    return found == known.end() ? nullptr : found->second;
}

template Factory find_flat<float>(const std::string&);
template Factory find_flat<double>(const std::string&);
template Factory find_flat<Bf16>(const std::string&);

}  // namespace handgrad
