// The Python module: handgrad.engines.native._kernels.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings/layers.h"
#include "core/buffers.h"
#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/conv.h"
#include "ops/winograd.h"

namespace nb = nanobind;
using namespace handgrad;
using namespace nb::literals;

NB_MODULE(_kernels, module) {
    module.doc() = "Compiled kernels of the native engine.";
    nb::set_leak_warnings(false);
    bind_bf16(module);
    bind_layers(module);
    bind_convs(module);
    bind_muon(module);
    bind_norms(module);
    bind_plans(module);
    bind_pools(module);
    bind_flat(module);
    bind_files(module);

    module.def("thread_count", thread_count);
    module.def("set_thread_count", set_thread_count, "count"_a, nb::call_guard<nb::gil_scoped_release>());
    module.def("isa", [] { return std::string(isa_name()); });
    module.def("isas", [] {
        std::vector<std::string> names;
        for (const char* const* name = isa_names(); *name; ++name) names.emplace_back(*name);
        return names;
    });
    module.def("set_isa", [](const std::string& name) {
        nb::gil_scoped_release released;
        const Changing nothing_computes;
        return choose_isa(name.c_str());
    }, "name"_a);
    module.def("set_exact", [](bool exact) { set_conv_mode(exact ? ConvMode::kExact : ConvMode::kFast); }, "exact"_a);
    module.def("is_exact", [] { return conv_mode() == ConvMode::kExact; });
    module.def("set_winograd_tile", set_winograd_tile, "size"_a);
    module.def("set_winograd_costs", [](double number, double weight) { set_winograd_costs({number, weight}); }, "number"_a, "weight"_a);
    module.def("winograd_costs", [] { return nb::make_tuple(winograd_costs().number, winograd_costs().weight); });
    // of 3 x 3 filters over N images of C channels, each as large as its output, for a pass of winograd.h
    module.def("winograd_choice", [](int64_t N, int64_t C, int64_t H, int64_t W, int64_t F, int pass) {
        return winograd_choice({N, C, H, W, F, 3, 3, 1, 1, 1, 1, H, W}, static_cast<Pass>(pass));
    }, "N"_a, "C"_a, "H"_a, "W"_a, "F"_a, "which"_a);
    module.def("start_trace", start_trace);
    module.def("stop_trace", [] {
        nb::list regions;
        for (const std::vector<double>& chunks : stop_trace()) {
            nb::list seconds;
            for (double one : chunks) seconds.append(one);
            regions.append(seconds);
        }
        return regions;
    });
    module.def("buffer_statistics", [] {
        const BufferStatistics s = buffer_statistics();
        return nb::make_tuple(s.in_use, s.cached, s.system_calls);
    });
    module.def("trim_buffers", trim_buffers);
    module.def("fail_allocation_after", fail_allocation_after, "count"_a);
}
