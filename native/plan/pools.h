// The sizes of poolings in a plan.
#pragma once

#include "core/sizes.h"
#include "kernels/table.h"
#include "plan/args.h"

namespace handgrad {

// N, C, H, W, window and stride, from the size at `place` on.
inline PoolSizes pool_of(const Args& a, size_t place) {
    int64_t s[8];
    for (size_t i = 0; i < 8; ++i) s[i] = a.size(place + i);
    return {s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], window_count(s[2], s[4], s[6], 0), window_count(s[3], s[5], s[7], 0)};
}

inline int64_t outputs(const PoolSizes& s) { return times(s.N, s.C, s.OH, s.OW); }

// The bytes of the places of all outputs.
inline int64_t index_count(const PoolSizes& s) { return times(outputs(s), times(s.HH, s.WW) < 256 ? 1 : 4); }

}  // namespace handgrad
