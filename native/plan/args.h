// The arguments of an operation, checked when a plan is made, so that a run need not look at them.
#pragma once

#include <stdexcept>

#include "core/sizes.h"
#include "plan/plan.h"

namespace handgrad {

class Args {
  public:
    Args(const OpText& text, const std::vector<Slot>& slots, int64_t table_width, int64_t streams)
        : text_(text), slots_(slots), table_width_(table_width), streams_(streams) {}

    int64_t count() const { return static_cast<int64_t>(text_.slots.size()); }  // of slots
    int64_t size(size_t place) const {
        need(place < text_.sizes.size() && text_.sizes[place] >= 0, "lacks a size");
        return text_.sizes[place];
    }
    int64_t integer(size_t place) const {
        need(place < text_.sizes.size(), "lacks a size");
        return text_.sizes[place];
    }
    bool flag(size_t place) const { return integer(place) != 0; }
    double number(size_t place) const {
        need(place < text_.numbers.size(), "lacks a number");
        return text_.numbers[place];
    }
    // The slot at `place`, of `count` U at least.
    template <class U>
    int64_t slot(size_t place, int64_t count) const {
        need(place < text_.slots.size(), "lacks a slot");
        const int64_t slot = text_.slots[place];
        need(slot >= 0 && slot < static_cast<int64_t>(slots_.size()), "names no slot");
        need(times(count, static_cast<int64_t>(sizeof(U))) <= slots_[static_cast<size_t>(slot)].bytes,
             "needs more than its slot holds");
        return slot;
    }
    // The same, or -1 for what is left out, also behind the last.
    template <class U>
    int64_t optional(size_t place, int64_t count) const {
        return place >= text_.slots.size() || text_.slots[place] < 0 ? -1 : slot<U>(place, count);
    }
    // A column of the table of numbers of a step.
    int64_t column(size_t place, int64_t count = 1) const {
        need(size(place) + count <= table_width_, "names no column of the table");
        return size(place);
    }
    int64_t stream(size_t place) const {
        need(size(place) < streams_, "names no stream");
        return size(place);
    }
    void need(bool fits, const char* what) const {
        if (!fits) throw std::invalid_argument("plan: " + text_.name + " " + what);
    }

  private:
    const OpText& text_;
    const std::vector<Slot>& slots_;
    int64_t table_width_, streams_;
};

using Factory = Op (*)(const Args&);

// The operations by name; each file of this folder adds its own.  S: what the values of layers are stored as.
template <class S>
Factory find_flat(const std::string& name);
template <class S>
Factory find_layer(const std::string& name);
template <class S>
Factory find_image(const std::string& name);
template <class T>
Factory find_loss(const std::string& name);
template <class T>
Factory find_update(const std::string& name);
template <class T>
Factory find_call(const std::string& name);

}  // namespace handgrad
