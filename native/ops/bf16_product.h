// Matrix products of bf16 factors with float32 sums; and the conversion of numbers from and to bf16.
#pragma once

#include "kernels/bf16.h"
#include "ops/bf16_blocks.h"

namespace handgrad {

// n numbers, rounded as Bf16's own to_bf16 does.
void to_bf16(const float* x, int64_t n, Bf16* out);
void to_float(const Bf16* x, int64_t n, float* out);

// sums[c] = sum over the rows of x (rows, columns); with places, over those numbers whose place is less than 4.
void column_sums(const Bf16* x, const uint8_t* places, int64_t rows, int64_t columns, float* sums);

// A factor: element (i, j) at data[i row_stride + j column_stride].  Numbers of float32 are rounded to bf16 when they
// are read, so that weights need no copy.
struct Bf16Factor {
    Bf16Factor(const Bf16* data, int64_t row_stride, int64_t column_stride)
        : half(data), full(nullptr), row_stride(row_stride), column_stride(column_stride) {}
    Bf16Factor(const float* data, int64_t row_stride, int64_t column_stride)
        : half(nullptr), full(data), row_stride(row_stride), column_stride(column_stride) {}
    // The part that begins at element (i, j).
    Bf16Factor from(int64_t i, int64_t j) const {
        const int64_t at = i * row_stride + j * column_stride;
        return half ? Bf16Factor(half + at, row_stride, column_stride) : Bf16Factor(full + at, row_stride, column_stride);
    }
    const Bf16* half;
    const float* full;
    int64_t row_stride, column_stride;
};

// What becomes of a product: C = [C +] A B [+ bias], then max(0, C) where `rectify`.  Rows of C are `stride` apart;
// bias may be null.  C is rounded once, at the end; where it is bf16 and accumulated, the sum with what was there.
struct Bf16Sink : Bf16Finish {
    Bf16Sink(Bf16* out, int64_t stride, const float* bias = nullptr, bool rectify = false, bool accumulate = false)
        : Bf16Finish{out, nullptr, stride, bias, rectify, accumulate} {}
    Bf16Sink(float* out, int64_t stride, const float* bias = nullptr, bool rectify = false, bool accumulate = false)
        : Bf16Finish{nullptr, out, stride, bias, rectify, accumulate} {}
};

// C (rows, columns) = A (rows, depth) B (depth, columns).  The order of the sums depends on the sizes only.
void multiply(const Bf16Factor& a, const Bf16Factor& b, int64_t rows, int64_t depth, int64_t columns, const Bf16Sink& to);

// A right factor as products read it, and the same with it.
PackedPanels pack_factor(const Bf16Factor& b, int64_t depth, int64_t columns);
void multiply(const Bf16Factor& a, const PackedPanels& b, int64_t rows, int64_t depth, const Bf16Sink& to);

}  // namespace handgrad
