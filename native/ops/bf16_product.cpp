#include "ops/bf16_product.h"

#include "core/threads.h"

namespace handgrad {
namespace {

float element(const Bf16Factor& factor, int64_t i, int64_t j) {
    const int64_t at = i * factor.row_stride + j * factor.column_stride;
    return to_float(factor.half ? factor.half[at] : to_bf16(factor.full[at]));
}

}  // namespace

void to_bf16(const float* x, int64_t n, Bf16* out) {
    for_chunks(n, [&](int64_t at, int64_t count) {
        for (int64_t i = at; i < at + count; ++i) out[i] = to_bf16(x[i]);
    });
}

void to_float(const Bf16* x, int64_t n, float* out) {
    for_chunks(n, [&](int64_t at, int64_t count) {
        for (int64_t i = at; i < at + count; ++i) out[i] = to_float(x[i]);
    });
}

void multiply(const Bf16Factor& a, const Bf16Factor& b, int64_t rows, int64_t depth, int64_t columns, const Bf16Sink& to) {
    parallel(rows, [&](int64_t i, int) {
        for (int64_t j = 0; j < columns; ++j) {
            float sum = to.bias ? to.bias[j] : 0;
            for (int64_t k = 0; k < depth; ++k) sum += element(a, i, k) * element(b, k, j);
            const int64_t at = i * to.stride + j;
            if (to.accumulate) sum += to.half ? to_float(to.half[at]) : to.full[at];
            if (to.rectify) sum = sum < 0 ? 0 : sum;
            if (to.half)
                to.half[at] = to_bf16(sum);
            else
                to.full[at] = sum;
        }
    });
}

}  // namespace handgrad
