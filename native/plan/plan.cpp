#include "plan/plan.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "kernels/bf16.h"

namespace handgrad {
namespace {

void check(bool fits, const char* message) {
    if (!fits) throw std::invalid_argument(message);
}

// While one that is taken lives, no other thread runs the plan.
class Turn {
  public:
    explicit Turn(std::atomic<bool>& busy) : busy_(busy), is_taken_(!busy.exchange(true)) {}
    ~Turn() {
        if (is_taken_) busy_.store(false);
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    bool is_taken() const { return is_taken_; }

  private:
    std::atomic<bool>& busy_;
    bool is_taken_;
};

char* writable(const void* memory) { return const_cast<char*>(static_cast<const char*>(memory)); }

}  // namespace

template <class T>
Plan<T>::Plan(Layout layout, const std::vector<OpText>& ops) : layout_(std::move(layout)) {
    const auto count = static_cast<int64_t>(layout_.slots.size());
    const auto is_slot = [&](int64_t slot) { return slot >= 0 && slot < count; };
    for (const Slot& slot : layout_.slots)
        check(slot.bytes >= 0 && (slot.offset < 0 || (slot.offset % kAlignment == 0 && plus(slot.offset, slot.bytes) <= layout_.arena)),
              "plan: a slot does not fit the memory");
    for (const Carried& pair : layout_.carried)
        check(is_slot(pair.now) && is_slot(pair.next) && layout_.slots[pair.now].bytes == layout_.slots[pair.next].bytes,
              "plan: carried slots do not fit");
    for (int64_t slot : layout_.given) check(is_slot(slot), "plan: no such slot");
    for (int64_t slot : layout_.results) check(is_slot(slot), "plan: no such slot");
    check(!layout_.is_half || sizeof(T) == sizeof(float), "plan: values are stored in bf16 in a plan of float32 only");
    check(layout_.batch > 0 && layout_.table_width >= 0 && layout_.streams >= 0, "plan: a size is negative");
    context_.memory.assign(layout_.slots.size(), nullptr);
    // one block for all; or, for tests, one for each slot, so that nothing behind it can be touched
    if (!buffers_are_guarded()) blocks_.emplace_back(layout_.arena);
    for (size_t i = 0; i < layout_.slots.size(); ++i) {
        if (layout_.slots[i].offset < 0) continue;
        if (buffers_are_guarded()) blocks_.emplace_back(layout_.slots[i].bytes);
        context_.memory[i] = blocks_.back().get() + (buffers_are_guarded() ? 0 : layout_.slots[i].offset);
    }
    for (const Constant& constant : layout_.constants) {
        check(is_slot(constant.slot) && layout_.slots[constant.slot].offset >= 0 &&
                  times(constant.count, static_cast<int64_t>(sizeof(T))) <= layout_.slots[constant.slot].bytes,
              "plan: a constant does not fit its slot");
        std::fill_n(context_.at<T>(constant.slot), constant.count, static_cast<T>(constant.value));
    }
    const auto size_of = [](const OpText& text, size_t place) { return place < text.sizes.size() ? text.sizes[place] : 0; };
    for (const OpText& text : ops) {
        const bool reads_x = text.name == "batch" || text.name == "batch_stored", reads_y = text.name == "labels" || text.name == "targets";
        check(!(reads_x || reads_y) || size_of(text, 0) <= layout_.batch, "plan: a batch has fewer rows");
        if (reads_x) layout_.x_size = size_of(text, 1);
        if (reads_y) layout_.y_size = text.name == "labels" ? 1 : size_of(text, 1);
        if (reads_y) layout_.y_kind = text.name == "labels" ? Number::kLabel : Number::kDouble;
        if (text.name == "call") layout_.calls = std::max(layout_.calls, plus(size_of(text, 0), 1));
        const auto make = layout_.is_half ? make_op<Bf16> : make_op<T>;
        ops_.push_back(make(text, layout_.slots, layout_.table_width, layout_.streams));
    }
}

template <class T>
void Plan<T>::check_feed(const Feed& feed) const {
    check(feed.x_size == layout_.x_size, "plan: X has rows of another size");
    check(!layout_.y_size || (feed.y_size == layout_.y_size && feed.y_kind == layout_.y_kind), "plan: y does not fit");
}

template <class T>
bool Plan<T>::run(PlanRun& run) {
    const Turn turn(is_running_);
    if (!turn.is_taken()) return false;
    run_alone(run);
    return true;
}

template <class T>
void Plan<T>::run_alone(PlanRun& run) {
    using Clock = std::chrono::steady_clock;
    const auto limit = Clock::now() + std::chrono::duration<double>(run.seconds);
    auto& memory = context_.memory;
    Feed feed = run.feed;
    context_.feed = &feed;
    context_.streams = run.streams;
    context_.binding = run.binding;
    check(!layout_.calls || run.caller, "plan: nobody computes what it calls");
    context_.caller = &run.caller;
    for (size_t i = 0; i < layout_.given.size(); ++i) memory[layout_.given[i]] = writable(run.given[i]);
    for (size_t i = 0; i < layout_.results.size(); ++i) memory[layout_.results[i]] = writable(run.results[i]);
    for (size_t i = 0; i < layout_.carried.size(); ++i) memory[layout_.carried[i].next] = writable(run.carried[i]);
    for (int64_t step = 0; step < run.steps; ++step) {
        if (step == 1 && Clock::now() >= limit) return;
        // All steps but the first and the last work in place: what was before the last one is kept.
        const bool is_last = step + 1 == run.steps || (step > 0 && Clock::now() >= limit);
        for (size_t i = 0; i < layout_.carried.size(); ++i) {
            const Carried& pair = layout_.carried[i];
            memory[pair.now] = memory[pair.next];
            memory[pair.next] = writable(pair.alternates && is_last && step > 0 ? run.second[i] : run.first[i]);
        }
        context_.step = step;
        context_.table = run.table + step * layout_.table_width;
        context_.loss = context_.norm = 0;
        context_.is_finite = true;
        feed.rows = run.feed.rows + step * layout_.batch;
        if (feed.moves) feed.moves = run.feed.moves + 3 * step * layout_.batch;
        for (const Op& op : ops_) {
            op(context_);
            if (!context_.is_finite) {
                run.is_finite = false;
                return;
            }
        }
        run.losses[step] = context_.loss;
        run.norms[step] = context_.norm;
        run.done = step + 1;
        if (is_last) return;
    }
}

template class Plan<float>;
template class Plan<double>;

}  // namespace handgrad
