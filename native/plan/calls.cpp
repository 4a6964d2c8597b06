// What a plan lets its caller compute: layers and losses that are no operations.
#include "plan/args.h"

namespace handgrad {
namespace {

// Slots: arrays of T.  Sizes: the number of the function, then the numbers of each array.
template <class T>
Op call_op(const Args& a) {
    struct Given {
        int64_t slot, count;
    };
    const int64_t number = a.size(0), count = a.count();
    std::vector<Given> given;
    for (int64_t i = 0; i < count; ++i) {
        const int64_t n = a.size(static_cast<size_t>(i) + 1);
        given.push_back({a.slot<T>(static_cast<size_t>(i), n), n});
    }
    return [=](Context& c) {
        std::vector<Span> arrays;
        arrays.reserve(given.size());
        for (const Given& one : given) arrays.push_back({c.at<void>(one.slot), one.count});
        c.is_finite = (*c.caller)(number, arrays, c.loss);
    };
}

}  // namespace

template <class T>
Factory find_call(const std::string& name) {
    return name == "call" ? call_op<T> : nullptr;
}

template Factory find_call<float>(const std::string&);
template Factory find_call<double>(const std::string&);

}  // namespace handgrad
