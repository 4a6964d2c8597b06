// Plans for Python; see plan/plan.h.
#include "plan/plan.h"

#include <algorithm>
#include <atomic>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>

#include "bindings/arrays.h"
#include "bindings/calls.h"
#include "bindings/layers.h"
#include "kernels/dispatch.h"
#include "ops/conv.h"
#include "plan/answers.h"

namespace handgrad {
namespace {

using Slots = std::vector<int64_t>;
using GivenOp = std::tuple<std::string, Slots, Slots, std::vector<double>>;
using GivenShape = std::vector<int64_t>;

Shape shape_of(const GivenShape& sizes) {
    check(sizes.size() <= kMaxDims, "plan: arrays have at most 16 dimensions");
    Shape shape;
    for (int64_t size : sizes) shape.sizes[shape.ndim++] = size;
    return shape;
}

// A plan, and the shapes of what its runs return.
template <class T>
struct Planned {
    Planned(Layout layout, const std::vector<OpText>& ops, std::vector<Shape> results)
        : plan(std::move(layout), ops), results(std::move(results)) {}
    Plan<T> plan;
    std::vector<Shape> results;
    // of plans without steps: the arrays that `scores` reads, and where they lie
    std::shared_ptr<const std::vector<nb::object>> bound = std::make_shared<std::vector<nb::object>>();
    std::vector<const void*> given;
    int64_t binding = 0;  // of arrays that stay as they are, else 0
    const char *isa = nullptr, *bf16 = nullptr;  // the settings that it was made with
    ConvMode mode = ConvMode::kFast;
    // of plans that `answers`: what becomes of raw rows and of scores
    Preparation preparation;
    Finish finish = Finish::kSoftmax;
    std::vector<double> scale, shift;
};

template <class T>
Planned<T>* make(const Slots& sizes, const Slots& offsets, int64_t arena, const std::vector<std::tuple<int64_t, int64_t, bool>>& carried,
                 const Slots& given, const Slots& results, const std::vector<GivenShape>& shapes,
                 const std::vector<std::tuple<int64_t, int64_t, double>>& constants, int64_t batch, int64_t table_width,
                 int64_t streams, const std::vector<GivenOp>& ops, bool is_half) {
    check(sizes.size() == offsets.size() && results.size() == shapes.size(), "plan: lists of different lengths");
    Layout layout;
    for (size_t i = 0; i < sizes.size(); ++i) layout.slots.push_back({sizes[i], offsets[i]});
    layout.arena = arena;
    for (const auto& [now, next, alternates] : carried) layout.carried.push_back({now, next, alternates});
    layout.given = given;
    layout.results = results;
    for (const auto& [slot, count, value] : constants) layout.constants.push_back({slot, count, value});
    layout.batch = batch;
    layout.table_width = table_width;
    layout.streams = streams;
    layout.is_half = is_half;
    std::vector<OpText> texts;
    for (const auto& [name, slots, numbers, floats] : ops) texts.push_back({name, slots, numbers, floats});
    std::vector<Shape> found;
    for (size_t i = 0; i < results.size(); ++i) {
        found.push_back(shape_of(shapes[i]));
        check(results[i] >= 0 && results[i] < static_cast<int64_t>(sizes.size()) &&
                  times(found.back().count(), static_cast<int64_t>(sizeof(T))) == sizes[results[i]],
              "plan: a result has another size than its slot");
    }
    return new Planned<T>(std::move(layout), texts, std::move(found));
}

// An array as it lies in memory, dense, of T and of so many bytes; `message` says of what.
template <class T>
const void* dense(const AnyArray& array, int64_t bytes, const char* message) {
    check(array.dtype() == nb::dtype<T>() && is_dense(array, Order::kRows) &&
              static_cast<int64_t>(array.nbytes()) == bytes,
          message);
    return array.data();
}

// The rows that a run reads; prepare: None, (table,) of bytes, or (mean, std) of a row.
template <class T>
Feed feed_of(const AnyArray& X, const AnyArray& y, const nb::tuple& prepare) {
    Feed feed;
    check(X.ndim() >= 1 && is_dense(X, Order::kRows) && y.ndim() >= 1 && is_dense(y, Order::kRows) && y.shape(0) == X.shape(0),
          "plan: X and y must be dense, and of as many rows");
    const Shape shape(X), targets(y);
    feed.X = X.data();
    feed.y = y.data();
    feed.count = shape[0];
    feed.x_size = shape.count(1);
    feed.y_size = targets.count(1);
    if (X.dtype() == nb::dtype<float>())
        feed.x_kind = Number::kFloat;
    else if (X.dtype() == nb::dtype<double>())
        feed.x_kind = Number::kDouble;
    else
        feed.x_kind = Number::kByte;
    if (feed.x_kind == Number::kByte) {
        check(X.dtype() == nb::dtype<uint8_t>() && nb::len(prepare) >= 1, "plan: X must be float32, float64, or bytes to prepare");
        const AnyArray first = nb::cast<AnyArray>(prepare[0]);
        if (nb::len(prepare) == 1) {
            feed.channels = first.ndim() == 2 ? static_cast<int64_t>(first.shape(0)) : 0;
            check(feed.channels > 0 && feed.x_size % feed.channels == 0, "plan: the table of bytes does not fit X");
            feed.table = dense<T>(first, feed.channels * 256 * static_cast<int64_t>(sizeof(T)), "plan: the table of bytes does not fit");
        } else {
            const int64_t bytes = feed.x_size * static_cast<int64_t>(sizeof(double));
            feed.mean = static_cast<const double*>(dense<double>(first, bytes, "plan: mean does not fit X"));
            feed.std = static_cast<const double*>(dense<double>(nb::cast<AnyArray>(prepare[1]), bytes, "plan: std does not fit X"));
            if (std::all_of(feed.std, feed.std + feed.x_size, [](double x) { return x == 1.0; })) feed.std = nullptr;
        }
    }
    if (y.dtype() == nb::dtype<int64_t>())
        feed.y_kind = Number::kLabel;
    else if (y.dtype() == nb::dtype<double>())
        feed.y_kind = Number::kDouble;
    else
        check(false, "plan: y must be int64 or float64");
    return feed;
}

// How the images of all steps are moved, (steps, rows of a batch, 3); of no steps where none is.
using Moves = nb::ndarray<const int32_t, nb::ndim<3>, nb::device::cpu, nb::c_contig>;

// Returns a tuple.  Without finite numbers its arrays are of no use.
//     steps done
//     whether all was finite
//     losses, norms
//     the carried arrays
//     those that alternate, as they were before the last step (None: as they came)
//     the results
template <class T>
nb::tuple run_(Planned<T>& planned, const AnyArray& X, const AnyArray& y, const nb::tuple& prepare,
               const nb::ndarray<const int64_t, nb::ndim<2>, nb::device::cpu, nb::c_contig>& rows, const std::vector<AnyArray>& carried,
               const std::vector<AnyArray>& given, const nb::ndarray<const double, nb::ndim<2>, nb::device::cpu, nb::c_contig>& table,
               const nb::list& streams, double seconds, const Moves& moves, const nb::list& calls) {
    const Layout& layout = planned.plan.layout();
    check(static_cast<int64_t>(nb::len(calls)) >= layout.calls, "plan: it calls more functions");
    Calling<T> calling(calls);
    PlanRun run;
    run.caller = [&](int64_t number, const std::vector<Span>& arrays, double& loss) { return calling.call(number, arrays, loss); };
    run.feed = feed_of<T>(X, y, prepare);
    run.steps = static_cast<int64_t>(rows.shape(0));
    check(run.steps >= 1 && static_cast<int64_t>(rows.shape(1)) == layout.batch, "plan: rows must be (steps, rows of a batch)");
    check(static_cast<int64_t>(table.shape(0)) == run.steps && static_cast<int64_t>(table.shape(1)) == layout.table_width,
          "plan: the table does not fit");
    check(carried.size() == layout.carried.size() && given.size() == layout.given.size() &&
              static_cast<int64_t>(nb::len(streams)) == layout.streams,
          "plan: not as many arrays as it carries");
    planned.plan.check_feed(run.feed);
    run.feed.rows = rows.data();
    for (int64_t i = 0; i < run.steps * layout.batch; ++i)
        check(run.feed.rows[i] >= 0 && run.feed.rows[i] < run.feed.count, "plan: a row is out of range");
    if (moves.shape(0)) {
        check(static_cast<int64_t>(moves.shape(0)) == run.steps && moves.shape(1) == rows.shape(1) && moves.shape(2) == 3 && X.ndim() == 4,
              "plan: moves must be (steps, rows of a batch, 3), of images");
        run.feed.height = static_cast<int64_t>(X.shape(2));
        run.feed.width = static_cast<int64_t>(X.shape(3));
        run.feed.moves = moves.data();
    }
    run.table = table.data();
    run.seconds = seconds;
    for (const nb::handle stream : streams) run.streams.push_back(stream_of(nb::borrow(stream)));
    const auto bytes = [&](int64_t slot) { return layout.slots[static_cast<size_t>(slot)].bytes; };
    for (size_t i = 0; i < carried.size(); ++i)
        run.carried.push_back(dense<T>(carried[i], bytes(layout.carried[i].now), "plan: a carried array does not fit"));
    for (size_t i = 0; i < given.size(); ++i)
        run.given.push_back(dense<T>(given[i], bytes(layout.given[i]), "plan: a given array does not fit"));
    std::vector<Out<T>> first, results;
    std::vector<std::optional<Out<T>>> second(carried.size());
    first.reserve(carried.size());
    results.reserve(planned.results.size());
    Out<double> losses(Shape{run.steps}), norms(Shape{run.steps});
    run.losses = losses.get();
    run.norms = norms.get();
    for (size_t i = 0; i < carried.size(); ++i) {
        first.emplace_back(Shape(carried[i]));
        if (layout.carried[i].alternates && run.steps > 1) second[i].emplace(Shape(carried[i]));
        run.first.push_back(first.back().get());
        run.second.push_back(second[i] ? second[i]->get() : nullptr);
    }
    for (const Shape& shape : planned.results) {
        results.emplace_back(shape);
        run.results.push_back(results.back().get());
    }
    bool is_mine;
    {
        Unlocked unlocked;
        is_mine = planned.plan.run(run);
    }
    if (!is_mine) throw std::runtime_error("plan: another thread runs it; make a plan for each thread");
    calling.check();
    nb::list after, before, made;
    for (size_t i = 0; i < carried.size(); ++i) {
        const bool alternates = layout.carried[i].alternates, in_second = alternates && run.done > 1;
        if (!run.is_finite || run.done == 0) break;
        after.append(in_second ? second[i]->array() : first[i].array());
        if (!alternates) continue;
        if (run.done == 1)
            before.append(nb::none());
        else
            before.append(in_second ? first[i].array() : second[i]->array());
    }
    for (Out<T>& result : results) made.append(result.array());
    return nb::make_tuple(run.done, run.is_finite, losses.array(), norms.array(), after, before, made);
}

// Keeps the arrays that `scores` reads.  is_constant: whether they stay as they are.
template <class T>
void bind_given(Planned<T>& planned, const nb::list& arrays, bool is_constant) {
    static std::atomic<int64_t> bindings{0};
    const Layout& layout = planned.plan.layout();
    check(nb::len(arrays) == layout.given.size() && layout.carried.empty() && layout.results.size() == 1 && layout.streams == 0 &&
              layout.table_width == 0,
          "plan: it has no scores, or reads another number of arrays");
    std::vector<const void*> given;
    auto bound = std::make_shared<std::vector<nb::object>>();
    for (size_t i = 0; i < layout.given.size(); ++i) {
        const int64_t bytes = layout.slots[static_cast<size_t>(layout.given[i])].bytes;
        given.push_back(dense<T>(nb::cast<AnyArray>(arrays[i]), bytes, "plan: a given array does not fit"));
        bound->push_back(nb::borrow(arrays[i]));
    }
    planned.given = std::move(given);
    planned.bound = std::move(bound);
    planned.binding = is_constant ? ++bindings : 0;
    planned.isa = isa_name();
    planned.bf16 = bf16_kernels().name;
    planned.mode = conv_mode();
}

// Whether the values of `arrays`, a dictionary, are the first of the bound ones, and the kernels' settings are equal.
template <class T>
bool is_bound(const Planned<T>& planned, const nb::dict& arrays) {
    if (planned.isa != isa_name() || planned.bf16 != bf16_kernels().name || planned.mode != conv_mode() || nb::len(arrays) > planned.bound->size()) return false;
    size_t i = 0;
    for (const auto& [name, array] : arrays)
        if (array.ptr() != (*planned.bound)[i++].ptr()) return false;
    return true;
}

// Runs a plan of scores on the rows at X, of T; returns false where another thread runs it.
template <class T>
bool run_scores(Planned<T>& planned, const T* X, T* out) {
    const Layout& layout = planned.plan.layout();
    PlanRun run;
    run.feed.X = X;
    run.feed.x_kind = sizeof(T) == sizeof(float) ? Number::kFloat : Number::kDouble;
    run.feed.count = layout.batch;
    run.feed.x_size = layout.x_size;
    Scratch<int64_t> rows(layout.batch);
    for (int64_t n = 0; n < layout.batch; ++n) rows.get()[n] = n;
    run.feed.rows = rows.get();
    run.steps = 1;
    run.binding = planned.binding;
    run.seconds = 0;
    run.table = nullptr;
    double loss, norm;
    run.losses = &loss;
    run.norms = &norm;
    run.given = planned.given;
    run.results.push_back(out);
    const auto kept = planned.bound;  // another thread may bind others meanwhile
    Unlocked unlocked;
    return planned.plan.run(run);
}

template <class T>
bool is_batch(const Planned<T>& planned, const AnyArray& X) {
    const Layout& layout = planned.plan.layout();
    return X.ndim() >= 1 && static_cast<int64_t>(X.shape(0)) == layout.batch &&
           static_cast<int64_t>(X.size()) == times(layout.batch, layout.x_size) && is_dense(X, Order::kRows);
}

// The scores of a batch by the bound arrays: None where X is not a dense batch of T, or another thread runs the plan;
// and False where the values of `arrays` are not the first of the bound ones.
template <class T>
nb::object scores(Planned<T>& planned, const AnyArray& X, const nb::dict& arrays) {
    if (!is_bound(planned, arrays)) return nb::bool_(false);
    check(planned.isa && planned.results.size() == 1, "plan: its arrays are not bound");
    if (X.dtype() != nb::dtype<T>() || !is_batch(planned, X)) return nb::none();
    Out<T> out(planned.results[0]);
    return run_scores(planned, static_cast<const T*>(X.data()), out.get()) ? out.array() : nb::none();
}

using Numbers = nb::ndarray<const double, nb::ndim<1>, nb::device::cpu, nb::c_contig>;

std::vector<double> vector_of(const Numbers& numbers) { return {numbers.data(), numbers.data() + numbers.shape(0)}; }

Finish finish_of(const std::string& name) {
    if (name == "softmax") return Finish::kSoftmax;
    check(name == "yes" || name == "numbers", "plan: scores become 'softmax', 'yes' or 'numbers'");
    return name == "yes" ? Finish::kYes : Finish::kNumbers;
}

// Says what `answers` makes of raw rows and of scores.
template <class T>
void prepare(Planned<T>& planned, const Numbers& mean, const Numbers& std, double low, double high, double above,
             const std::string& finish, const Numbers& scale, const Numbers& shift) {
    const Layout& layout = planned.plan.layout();
    check(planned.results.size() == 1 && planned.results[0].ndim == 2 && planned.results[0][0] == layout.batch,
          "plan: it has no scores (N, C)");
    const auto size = static_cast<size_t>(layout.x_size), columns = static_cast<size_t>(planned.results[0][1]);
    check(mean.shape(0) == size && std.shape(0) == size, "plan: mean or std is not of a row");
    const Finish how = finish_of(finish);
    check(how != Finish::kNumbers || (scale.shape(0) == columns && shift.shape(0) == columns),
          "plan: scale or shift is not of the scores");
    planned.preparation = {vector_of(mean), vector_of(std), low, high, above};
    planned.finish = how;
    planned.scale = vector_of(scale);
    planned.shift = vector_of(shift);
}

// What `prepare` said of raw rows: float64 (N, C).  None where Python is to do it: X is no dense batch of float32,
// float64, int64 or bytes, a number is out of range, a score not finite, or another thread runs the
// plan.  False as of `scores`.
template <class T>
nb::object answers(Planned<T>& planned, const AnyArray& X, const nb::dict& arrays) {
    if (!is_bound(planned, arrays)) return nb::bool_(false);
    const Layout& layout = planned.plan.layout();
    check(planned.isa && static_cast<int64_t>(planned.preparation.mean.size()) == layout.x_size,
          "plan: its arrays are not bound, or nothing is said of its rows");
    if (!is_batch(planned, X)) return nb::none();
    Scratch<T> rows(times(layout.batch, layout.x_size));
    const auto prepared = [&](auto kind) {
        using U = decltype(kind);
        return prepare_rows(static_cast<const U*>(X.data()), layout.batch, planned.preparation, rows.get());
    };
    bool fits = false;
    if (X.dtype() == nb::dtype<float>())
        fits = prepared(float{});
    else if (X.dtype() == nb::dtype<double>())
        fits = prepared(double{});
    else if (X.dtype() == nb::dtype<uint8_t>())
        fits = prepared(uint8_t{});
    else if (X.dtype() == nb::dtype<int64_t>())
        fits = prepared(int64_t{});
    const Shape& shape = planned.results[0];
    Scratch<T> scores(shape.count());
    if (!fits || !run_scores(planned, rows.get(), scores.get())) return nb::none();
    Out<double> out(shape);
    fits = finish_scores(scores.get(), shape[0], shape[1], planned.finish, planned.scale, planned.shift, out.get());
    return fits ? out.array() : nb::none();
}

// What `answers` makes of scores, for scores that were computed without a plan; None where one is not finite.
nb::object finished(const AnyArray& scores, const std::string& finish, const Numbers& scale, const Numbers& shift) {
    const Finish how = finish_of(finish);
    check(scores.ndim() == 2 && is_dense(scores, Order::kRows) && scores.shape(1) > 0, "plan: scores must be (N, C) and dense");
    check(how != Finish::kNumbers || (scale.shape(0) == scores.shape(1) && shift.shape(0) == scores.shape(1)),
          "plan: scale or shift is not of the scores");
    Out<double> out{Shape(scores)};
    const std::vector<double> scales = vector_of(scale), shifts = vector_of(shift);
    const bool fits = with_dtype(scores, [&](auto kind) {
        using T = decltype(kind);
        return finish_scores(static_cast<const T*>(scores.data()), out.shape[0], out.shape[1], how, scales, shifts, out.get());
    });
    return fits ? out.array() : nb::none();
}

template <class T>
void bind(nb::module_& module, const char* name) {
    nb::class_<Planned<T>>(module, name)
        .def("bind", bind_given<T>, "given"_a, "is_constant"_a = false, nb::lock_self())
        .def("scores", scores<T>, "X"_a, "arrays"_a.lock(), nb::lock_self())
        .def("prepare", prepare<T>, "mean"_a, "std"_a, "low"_a, "high"_a, "above"_a, "finish"_a, "scale"_a, "shift"_a,
             nb::lock_self())
        .def("answers", answers<T>, "X"_a, "arrays"_a.lock(), nb::lock_self())
        .def("run", run_<T>, "X"_a, "y"_a, "prepare"_a, "rows"_a, "carried"_a, "given"_a, "table"_a, "streams"_a, "seconds"_a, "moves"_a,
             "calls"_a);
}

}  // namespace

void bind_plans(nb::module_& module) {
    bind<float>(module, "_Plan32");
    bind<double>(module, "_Plan64");
    const auto define = [&](const char* name, auto function) {
        module.def(name, function, nb::rv_policy::take_ownership, "sizes"_a, "offsets"_a, "arena"_a, "carried"_a, "given"_a,
                   "results"_a, "shapes"_a, "constants"_a, "batch"_a, "table_width"_a, "streams"_a, "ops"_a, "is_half"_a = false);
    };
    module.def("finished", finished, "scores"_a, "finish"_a, "scale"_a, "shift"_a);
    define("plan32", make<float>);
    define("plan64", make<double>);
}

}  // namespace handgrad
