// The product of bf16 by VDPBF16PS, where it is compiled for processors that have it.
#if defined(__AVX512BF16__)

#include "kernels/bf16_table.h"
#include "kernels/simd.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

constexpr int kRows = 8, kVectors = 2;

void tile(const Bf16* const* a, const Run* runs, int64_t run_count, const Bf16* b, float* c, bool accumulate) {
    __m512 sum[kRows][kVectors];
    const Bf16* row[kRows];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
        row[i] = a[i];
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v)
            sum[i][v] = accumulate ? _mm512_loadu_ps(c + i * kBf16Columns + 16 * v) : _mm512_setzero_ps();
    }
    for (const Run* run = runs; run < runs + run_count; ++run) {
        const int64_t end = run->offset + run->count;
        for (int64_t k = run->offset; k < end; k += 2, b += 2 * kBf16Columns) {
            __m512i right[kVectors];
            for (int v = 0; v < kVectors; ++v) right[v] = _mm512_loadu_si512(b + 32 * v);
#pragma GCC unroll 8
            for (int i = 0; i < kRows; ++i) {
                int32_t both;
                __builtin_memcpy(&both, row[i] + k, sizeof both);
                const __m512i left = _mm512_set1_epi32(both);
#pragma GCC unroll 2
                for (int v = 0; v < kVectors; ++v)
                    sum[i][v] = _mm512_dpbf16_ps(sum[i][v], reinterpret_cast<__m512bh>(left),
                                                 reinterpret_cast<__m512bh>(right[v]));
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) _mm512_storeu_ps(c + i * kBf16Columns + 16 * v, sum[i][v]);
}

}  // namespace

void use_dot(Bf16Kernels& kernels) {
    kernels.name = "avx512-bf16";
    kernels.tile_rows = kRows;
    kernels.cost = 0.5;
    kernels.tile = tile;
}

}  // namespace handgrad::HANDGRAD_ISA

#endif
