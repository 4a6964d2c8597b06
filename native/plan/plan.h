// A plan: training steps, or the scores of a batch, as a list of operations over buffers at fixed places.
//
// The operations call the drivers of ops/ that the functions for Python call, in the same order, so that their results
// have the same bits.  What a network keeps from step to step, its weights, the state of the update rule, running
// statistics and averages, is carried: it lies in one buffer before the step and in another one behind it.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "core/buffers.h"

namespace handgrad {

// A random stream of NumPy: its numpy/random/bitgen.h.
struct BitGenerator {
    void* state;
    uint64_t (*next_uint64)(void* state);
    uint32_t (*next_uint32)(void* state);
    double (*next_double)(void* state);
    uint64_t (*next_raw)(void* state);
};

enum class Number { kFloat, kDouble, kByte, kLabel };

// The rows that steps take their batches from.  X: row_size numbers a row; of bytes x is table[channel][byte], or
// (byte - mean) / std, of as many numbers as a row; std is null where all of it are 1.  y: labels, or numbers.  rows:
// the places of the rows of all steps.
// moves: whether each of these images of height x width is mirrored, and how far it is moved; null where none is.
struct Feed {
    const void *X = nullptr, *y = nullptr, *table = nullptr;
    Number x_kind = Number::kFloat, y_kind = Number::kLabel;
    const double *mean = nullptr, *std = nullptr;
    const int64_t* rows = nullptr;
    const int32_t* moves = nullptr;
    int64_t height = 0, width = 0;
    int64_t count = 0, x_size = 0, y_size = 0, channels = 0;
};

// An array that an operation hands out: `count` numbers.
struct Span {
    void* data;
    int64_t count;
};

// Computes what is no operation: function `number` on arrays that it reads and writes; it may set the loss.  Returns
// whether the step goes on.
using Caller = std::function<bool(int64_t number, const std::vector<Span>& arrays, double& loss)>;

struct Context {
    std::vector<char*> memory;  // of the slots
    const Feed* feed = nullptr;
    std::vector<BitGenerator*> streams;
    const double* table = nullptr;  // numbers of this step
    int64_t step = 0;
    int64_t binding = 0;  // as of PlanRun
    double loss = 0, norm = 0;
    const Caller* caller = nullptr;
    bool is_finite = true;  // false: the step is given up

    template <class U>
    U* at(int64_t slot) const {
        return slot < 0 ? nullptr : reinterpret_cast<U*>(memory[static_cast<size_t>(slot)]);
    }
};

using Op = std::function<void(Context&)>;

// offset: in the plan's own memory; negative where a run says where it lies.
struct Slot {
    int64_t bytes, offset;
};

// Where an operation finds its arguments; a slot of -1 is an argument left out.
struct OpText {
    std::string name;
    std::vector<int64_t> slots, sizes;
    std::vector<double> numbers;
};

// Makes an operation of its text; throws std::invalid_argument where a slot is too small for what is written there.
// S: what the values of layers are stored as; of bf16, all else is float32.
template <class S>
Op make_op(const OpText& text, const std::vector<Slot>& slots, int64_t table_width, int64_t streams);

// now: the slot that a step reads; next: the one that it writes.  alternates: what was before the last step is kept.
struct Carried {
    int64_t now, next;
    bool alternates;
};

// constants: memory that is filled with a number when the plan is made.
struct Constant {
    int64_t slot, count;
    double value;
};

// is_half: whether values of layers and their gradients are stored in bf16, in a plan of float32.
// x_size, y_size: numbers of a row that the operations read, 0 where they read none; y_kind: what they take y for.
struct Layout {
    std::vector<Slot> slots;
    int64_t arena = 0;
    std::vector<Carried> carried;
    std::vector<int64_t> given, results;  // slots that a run binds: read by it; written by it
    std::vector<Constant> constants;
    int64_t batch = 0, table_width = 0, streams = 0;
    int64_t x_size = 0, y_size = 0;
    Number y_kind = Number::kLabel;
    bool is_half = false;
    int64_t calls = 0;  // functions of the caller that operations name
};

// What a run works on.  first, second: of the carried pairs what steps write; second, of those that alternate, the last
// of several steps, null elsewhere.
struct PlanRun {
    Feed feed;
    std::vector<const void*> carried, given;
    std::vector<void*> first, second, results;
    std::vector<BitGenerator*> streams;
    const double* table;
    int64_t steps;
    int64_t binding = 0;  // the same number says that what is given has not changed; 0 says nothing
    double seconds;  // one step begins later at most, and none where this is over before the second
    double *losses, *norms;
    Caller caller;  // of plans with calls
    // what came of it
    int64_t done = 0;
    bool is_finite = true;
};

template <class T>
class Plan {
  public:
    Plan(Layout layout, const std::vector<OpText>& ops);
    const Layout& layout() const { return layout_; }
    // Throws std::invalid_argument unless the operations can read these rows.
    void check_feed(const Feed& feed) const;
    // Returns false, and does nothing, where another thread runs this plan.
    bool run(PlanRun& run);

  private:
    void run_alone(PlanRun& run);
    Layout layout_;
    std::vector<Scratch<char>> blocks_;
    std::vector<Op> ops_;
    Context context_;
    std::atomic<bool> is_running_{false};
};

}  // namespace handgrad
