// Rows of a file for Python.
#include <algorithm>
#include <atomic>

#include "bindings/arrays.h"
#include "bindings/layers.h"
#include "core/sizes.h"
#include "core/system.h"
#include "core/threads.h"

namespace handgrad {
namespace {

constexpr int64_t kRows = 16;  // of a chunk

// Reads the rows at `places` of a file that begin at `offset`, one behind the other, into the bytes `out` (n, size).
// False where one of them cannot be read.
bool read_rows(int file, int64_t offset, const nb::ndarray<const int64_t, nb::ndim<1>, nb::device::cpu, nb::c_contig>& places,
               const nb::ndarray<nb::device::cpu>& out) {
    const AnyArray view(out);
    check(view.ndim() == 2 && places.shape(0) == view.shape(0), "read_rows: the sizes do not fit");
    check(view.dtype() == nb::dtype<uint8_t>() && is_dense(view, Order::kRows), "read_rows: out must be dense bytes");
    const int64_t* wanted = places.data();
    const int64_t n = static_cast<int64_t>(view.shape(0)), size = static_cast<int64_t>(view.shape(1));
    for (int64_t i = 0; i < n; ++i) {
        check(wanted[i] >= 0 && offset >= 0, "read_rows: a row in front of the file");
        plus(offset, times(plus(wanted[i], 1), size));
    }
    uint8_t* to = static_cast<uint8_t*>(out.data());
    std::atomic<bool> all{true};
    Unlocked unlocked;
    parallel(ceil_div(n, kRows), [&](int64_t chunk, int) {
        for (int64_t i = chunk * kRows; i < std::min(n, (chunk + 1) * kRows); ++i)
            if (!read_at(file, to + i * size, size, offset + wanted[i] * size)) all = false;
    });
    return all;
}

}  // namespace

void bind_files(nb::module_& module) {
    module.def("read_rows", read_rows, "file"_a, "offset"_a, "places"_a, "out"_a);
}

}  // namespace handgrad
