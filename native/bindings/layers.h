#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>

namespace handgrad {

using Pair = std::pair<int64_t, int64_t>;  // (vertical, horizontal)

void bind_bf16(nanobind::module_& module);
void bind_layers(nanobind::module_& module);
void bind_convs(nanobind::module_& module);
void bind_muon(nanobind::module_& module);
void bind_norms(nanobind::module_& module);
void bind_plans(nanobind::module_& module);
void bind_pools(nanobind::module_& module);
void bind_files(nanobind::module_& module);
void bind_flat(nanobind::module_& module);

}  // namespace handgrad
