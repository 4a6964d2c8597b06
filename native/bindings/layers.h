#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>

namespace handgrad {

void bind_layers(nanobind::module_& module);
void bind_pools(nanobind::module_& module);
void bind_flat(nanobind::module_& module);

}  // namespace handgrad
