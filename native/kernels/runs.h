// Numbers side by side in memory.
#pragma once

#include <cstdint>

namespace handgrad {

// `count` numbers of a row of A, side by side in memory, `offset` behind the row's place.
struct Run {
    int64_t offset, count;
};

}  // namespace handgrad
