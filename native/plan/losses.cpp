// Losses of scores and what they are compared with, and their gradients.
#include <unordered_map>

#include "kernels/dispatch.h"
#include "ops/losses.h"
#include "ops/updates.h"
#include "plan/args.h"

namespace handgrad {
namespace {

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
Factory find_loss(const std::string& name) {
    static const std::unordered_map<std::string, Factory> known{
        {"loss_of_labels", loss_of_labels_op<T>},
        {"squared_loss", squared_loss_op<T>},
    };
    const auto found = known.find(name);
    return found == known.end() ? nullptr : found->second;
}

template Factory find_loss<float>(const std::string&);
template Factory find_loss<double>(const std::string&);

}  // namespace handgrad
