// Batches, passes over flat arrays, dropout, and losses.
#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/joins.h"
#include "ops/layout.h"
#include "ops/losses.h"
#include "ops/updates.h"
#include "plan/args.h"
#include "plan/moves.h"

namespace handgrad {
namespace {

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
template <class T>
Op batch_op(const Args& a) {
    const int64_t rows = a.size(0), size = a.size(1), out = a.slot<T>(0, times(rows, size));
    return [=](Context& c) {
        const int64_t together = std::max<int64_t>(1, kChunk / std::max<int64_t>(1, size));
        T* to = c.at<T>(out);
        parallel(ceil_div(rows, together), [&](int64_t chunk, int) {
            for (int64_t n = chunk * together; n < std::min(rows, (chunk + 1) * together); ++n)
                take_row(*c.feed, n, to + n * size);
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
template <class T>
Op reorder_op(const Args& a) {
    std::vector<int64_t> shape;
    int64_t count = 1;
    for (size_t i = 0; i < 4; ++i) {
        shape.push_back(a.size(i));
        count = times(count, shape[i]);
    }
    const Order to = a.flag(4) ? Order::kChannelsLast : Order::kRows, from = a.flag(4) ? Order::kRows : Order::kChannelsLast;
    const int64_t x = a.slot<T>(0, count), out = a.slot<T>(1, count);
    std::vector<int64_t> strides(4);
    dense_strides(4, shape.data(), from, strides.data());
    return [=](Context& c) { copy_dense(c.at<const T>(x), 4, shape.data(), strides.data(), to, c.at<T>(out)); };
}

// Slots: x, out.  Sizes: n.
template <class T>
Op copy_op(const Args& a) {
    const int64_t n = a.size(0), x = a.slot<T>(0, n), out = a.slot<T>(1, n);
    return [=](Context& c) { std::memcpy(c.at<T>(out), c.at<T>(x), static_cast<size_t>(n) * sizeof(T)); };
}

// In place.  Slots: x, positive.  Sizes: n.
template <class T>
Op rectify_op(const Args& a) {
    const int64_t n = a.size(0), x = a.slot<T>(0, n), positive = a.slot<uint8_t>(1, n);
    return [=](Context& c) {
        for_chunks(n, [&](int64_t at, int64_t count) {
            kernels<T>().flat.rectify(c.at<T>(x) + at, count, c.at<uint8_t>(positive) + at);
        });
    };
}

// Slots: x, out, positive.  Sizes: n, whether it leaks.  Numbers: alpha, the slope of what leaks.
template <class T>
Op relu_op(const Args& a) {
    const int64_t n = a.size(0), x = a.slot<T>(0, n), out = a.slot<T>(1, n), positive = a.slot<uint8_t>(2, n);
    const bool leaks = a.flag(1);
    const T alpha = static_cast<T>(a.number(0));
    return [=](Context& c) {
        for_chunks(n, [&](int64_t at, int64_t count) {
            const auto& flat = kernels<T>().flat;
            if (leaks)
                flat.leaky_relu(c.at<T>(x) + at, alpha, count, c.at<T>(out) + at, c.at<uint8_t>(positive) + at);
            else
                flat.relu(c.at<T>(x) + at, count, c.at<T>(out) + at, c.at<uint8_t>(positive) + at);
        });
    };
}

// Slots: dout, positive, dx.  Sizes and numbers as above.
template <class T>
Op relu_backward_op(const Args& a) {
    const int64_t n = a.size(0), dout = a.slot<T>(0, n), positive = a.slot<uint8_t>(1, n), dx = a.slot<T>(2, n);
    const bool leaks = a.flag(1);
    const T alpha = static_cast<T>(a.number(0));
    return [=](Context& c) {
        for_chunks(n, [&](int64_t at, int64_t count) {
            const auto& flat = kernels<T>().flat;
            const uint8_t* mask = c.at<uint8_t>(positive) + at;
            if (leaks)
                flat.leaky_relu_backward(c.at<T>(dout) + at, mask, alpha, count, c.at<T>(dx) + at);
            else
                flat.relu_backward(c.at<T>(dout) + at, mask, count, c.at<T>(dx) + at);
        });
    };
}

template <class T>
int curve_of(const Args& a) {
    a.need(a.size(1) < kCurves, "names no curve");
    return static_cast<int>(a.size(1));
}

// Slots: x, out.  Sizes: n, curve.  Numbers: alpha.
template <class T>
Op curve_op(const Args& a) {
    const int64_t n = a.size(0), x = a.slot<T>(0, n), out = a.slot<T>(1, n);
    const int curve = curve_of<T>(a);
    const T alpha = static_cast<T>(a.number(0));
    return [=](Context& c) {
        for_chunks(n, [&](int64_t at, int64_t count) {
            kernels<T>().curves.forward[curve](c.at<T>(x) + at, alpha, count, c.at<T>(out) + at);
        });
    };
}

// Slots: dout, x, dx.
template <class T>
Op curve_backward_op(const Args& a) {
    const int64_t n = a.size(0), dout = a.slot<T>(0, n), x = a.slot<T>(1, n), dx = a.slot<T>(2, n);
    const int curve = curve_of<T>(a);
    const T alpha = static_cast<T>(a.number(0));
    return [=](Context& c) {
        for_chunks(n, [&](int64_t at, int64_t count) {
            kernels<T>().curves.backward[curve](c.at<T>(dout) + at, c.at<T>(x) + at, alpha, count, c.at<T>(dx) + at);
        });
    };
}

// Slots: x, out.  Sizes: n.
template <class T>
Op softplus_op(const Args& a) {
    const int64_t n = a.size(0), x = a.slot<T>(0, n), out = a.slot<T>(1, n);
    return [=](Context& c) { softplus(c.at<const T>(x), n, c.at<T>(out)); };
}

// dx = dout sigmoid(x).  Slots: dout, x, dx.
template <class T>
Op softplus_backward_op(const Args& a) {
    const int64_t n = a.size(0), dout = a.slot<T>(0, n), x = a.slot<T>(1, n), dx = a.slot<T>(2, n);
    return [=](Context& c) {
        constexpr int kSigmoid = 0;
        for_chunks(n, [&](int64_t at, int64_t count) {
            T* to = c.at<T>(dx) + at;
            kernels<T>().curves.forward[kSigmoid](c.at<T>(x) + at, T(0), count, to);
            kernels<T>().flat.product(c.at<T>(dout) + at, to, count, to);
        });
    };
}

// Slots: x, out, winner.  Sizes: numbers of out, pieces.
template <class T>
Op maxout_op(const Args& a) {
    const int64_t n = a.size(0), pieces = a.size(1), x = a.slot<T>(0, times(n, pieces)), out = a.slot<T>(1, n),
                  winner = a.slot<uint8_t>(2, n);
    a.need(pieces >= 1 && pieces <= 256, "has no pieces, or too many");
    return [=](Context& c) { maxout(c.at<const T>(x), n, pieces, c.at<T>(out), c.at<uint8_t>(winner)); };
}

// Slots: dout, winner, dx.
template <class T>
Op maxout_backward_op(const Args& a) {
    const int64_t n = a.size(0), pieces = a.size(1), dout = a.slot<T>(0, n), winner = a.slot<uint8_t>(1, n),
                  dx = a.slot<T>(2, times(n, pieces));
    return [=](Context& c) { maxout_backward(c.at<const T>(dout), c.at<const uint8_t>(winner), n, pieces, c.at<T>(dx)); };
}

// Slots: a, b, out; of the backward dout, da, db.  Sizes: rows, numbers of a row of a, of b.
template <class T, bool kForward>
Op concat_op(const Args& a) {
    const int64_t rows = a.size(0), left = a.size(1), right = a.size(2), both = times(rows, plus(left, right));
    const int64_t first = a.slot<T>(0, kForward ? times(rows, left) : both),
                  second = a.slot<T>(1, times(rows, kForward ? right : left)),
                  third = a.slot<T>(2, kForward ? both : times(rows, right));
    return [=](Context& c) {
        if (kForward)
            concat(c.at<const T>(first), c.at<const T>(second), rows, left, right, c.at<T>(third));
        else
            split(c.at<const T>(first), rows, left, right, c.at<T>(second), c.at<T>(third));
    };
}

// Slots: a, b, out.  Sizes: n.
template <class T, bool kSum>
Op join_op(const Args& a) {
    const int64_t n = a.size(0), left = a.slot<T>(0, n), right = a.slot<T>(1, n), out = a.slot<T>(2, n);
    return [=](Context& c) {
        const auto join = kSum ? kernels<T>().flat.sum : kernels<T>().flat.product;
        for_chunks(n, [&](int64_t at, int64_t count) {
            join(c.at<T>(left) + at, c.at<T>(right) + at, count, c.at<T>(out) + at);
        });
    };
}

// A mask of dropout: 1 / p with probability p, else 0.  Slots: mask.  Sizes: n, stream.  Numbers: p.
template <class T>
Op dropout_mask_op(const Args& a) {
    const int64_t n = a.size(0), stream = a.stream(1), mask = a.slot<T>(0, n);
    const double p = a.number(0);
    const T kept = static_cast<T>(1.0 / p);
    return [=](Context& c) {
        BitGenerator* random = c.streams[static_cast<size_t>(stream)];
        T* to = c.at<T>(mask);
        for (int64_t i = 0; i < n; ++i) to[i] = random->next_double(random->state) < p ? kept : T(0);
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

// Slots: scores, labels, dscores, weights of the rows or none.  Sizes: rows, classes, Loss.  Numbers: smoothing.
template <class T>
Op loss_of_labels_op(const Args& a) {
    const int64_t rows = a.size(0), classes = a.size(1), x = a.slot<T>(0, times(rows, classes)),
                  y = a.slot<int64_t>(1, rows), dx = a.slot<T>(2, times(rows, classes)), weights = a.optional<T>(3, rows);
    a.need(a.size(2) <= 1 && classes > 0, "names no loss");
    const Loss loss = static_cast<Loss>(a.size(2));
    const double smoothing = a.number(0);
    return [=](Context& c) {
        if (!(c.is_finite = all_finite(c.at<T>(x), rows * classes))) return;
        c.loss = static_cast<double>(
            static_cast<T>(loss_of_labels<T>(loss, c.at<T>(x), c.at<int64_t>(y), c.at<T>(weights), rows, classes, smoothing,
                                             c.at<T>(dx))));
    };
}

// Slots: scores, targets, weights of the rows, dscores.  Sizes: rows, columns.
template <class T>
Op squared_loss_op(const Args& a) {
    const int64_t rows = a.size(0), columns = a.size(1), n = times(rows, columns), x = a.slot<T>(0, n), y = a.slot<T>(1, n),
                  weights = a.slot<T>(2, rows), dx = a.slot<T>(3, n);
    return [=](Context& c) {
        if (!(c.is_finite = all_finite(c.at<T>(x), n) && all_finite(c.at<T>(y), n))) return;
        c.loss = static_cast<double>(
            static_cast<T>(squared_loss<T>(c.at<T>(x), c.at<T>(y), c.at<T>(weights), rows, columns, c.at<T>(dx))));
    };
}

}  // namespace

template <class T>
Factory find_flat(const std::string& name) {
    static const std::unordered_map<std::string, Factory> known{
        {"batch", batch_op<T>},
        {"labels", labels_op<T>},
        {"targets", targets_op<T>},
        {"reorder", reorder_op<T>},
        {"copy", copy_op<T>},
        {"rectify", rectify_op<T>},
        {"relu", relu_op<T>},
        {"relu_backward", relu_backward_op<T>},
        {"curve", curve_op<T>},
        {"curve_backward", curve_backward_op<T>},
        {"softplus", softplus_op<T>},
        {"softplus_backward", softplus_backward_op<T>},
        {"maxout", maxout_op<T>},
        {"maxout_backward", maxout_backward_op<T>},
        {"concat", concat_op<T, true>},
        {"split", concat_op<T, false>},
        {"from_table", from_table_op<T>},
        {"sum", join_op<T, true>},
        {"product", join_op<T, false>},
        {"dropout_mask", dropout_mask_op<T>},
        {"loss_of_labels", loss_of_labels_op<T>},
        {"squared_loss", squared_loss_op<T>},
    };
    const auto found = known.find(name);
    return found == known.end() ? nullptr : found->second;
}

template Factory find_flat<float>(const std::string&);
template Factory find_flat<double>(const std::string&);

}  // namespace handgrad
