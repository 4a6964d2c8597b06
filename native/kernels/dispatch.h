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
template <>
const Kernels<Bf16>& kernels<Bf16>();

const char* isa_name();
// Names that this build and CPU can run, best first, ended by null.
const char* const* isa_names();
// Returns false where the CPU or the build lacks it.  Not while another thread computes: see core/threads.h.
bool choose_isa(const char* name);

// The kernels of bf16: the best that CPU and instruction set have, or what HANDGRAD_BF16 names.
const Bf16Kernels& bf16_kernels();
// As above, of the instruction set that is chosen; it ends with "amx-model", which computes as AMX does, for tests.
const char* const* bf16_names();
bool choose_bf16(const char* name);

}  // namespace handgrad
