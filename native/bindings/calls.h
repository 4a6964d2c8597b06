// What a plan takes of Python in the middle of its steps: random numbers, and layers and losses.
#pragma once

#include <exception>

#include "bindings/arrays.h"
#include "plan/plan.h"

namespace handgrad {

inline BitGenerator* stream_of(const nb::object& capsule) {
    void* random = PyCapsule_GetPointer(capsule.ptr(), "BitGenerator");
    if (!random) throw nb::python_error();
    return static_cast<BitGenerator*>(random);
}

// Calls the functions of Python that a plan names: each takes a list of arrays, flat views of the plan's memory that
// it must not keep, and returns None, a loss, or False where the step is given up.
template <class T>
class Calling {
  public:
    explicit Calling(const nb::list& functions) : functions_(functions) {}
    bool call(int64_t number, const std::vector<Span>& arrays, double& loss) {
        const nb::gil_scoped_acquire held;
        try {
            nb::list given;
            for (const Span& span : arrays) {
                const size_t count = static_cast<size_t>(span.count);
                given.append(nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<1>>(span.data, {count}, nb::handle()), nb::rv_policy::reference));
            }
            const nb::object found = functions_[static_cast<size_t>(number)](given);
            if (found.is_none()) return true;
            if (found.ptr() == Py_False) return false;
            loss = nb::cast<double>(found);
            return true;
        } catch (...) {
            error_ = std::current_exception();
        }
        return false;
    }
    // Throws what a function has raised.
    void check() const {
        if (error_) std::rethrow_exception(error_);
    }

  private:
    const nb::list& functions_;
    std::exception_ptr error_;
};

}  // namespace handgrad
