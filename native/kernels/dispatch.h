// Which instruction set's kernels are used: the best this CPU has, or what HANDGRAD_ISA names.
#pragma once

#include "kernels/table.h"

namespace handgrad {

template <class T>
const Kernels<T>& kernels();
template <>
const Kernels<float>& kernels<float>();
template <>
const Kernels<double>& kernels<double>();

const char* isa_name();
// Names that this build and CPU can run, best first, ended by null.
const char* const* isa_names();
// Returns false where the CPU or the build lacks it.  Not while another thread computes: see core/threads.h.
bool choose_isa(const char* name);

}  // namespace handgrad
