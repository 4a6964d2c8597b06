// The product of bf16 by AMX's tiles: 32 rows by 32 columns, in four tiles of sums, from two of A and two of B.
#include "kernels/amx.h"
#include "kernels/bf16_table.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

constexpr int64_t kStep = 32, kHigh = 16;
constexpr int64_t kSumStride = kBf16Columns * 4, kPairStride = kBf16Columns * 4;  // bytes

void tile(const Bf16* const* a, const Run* runs, int64_t run_count, const Bf16* b, float* c, bool accumulate) {
    const int64_t upper = (a[1] - a[0]) * 2, lower = (a[kHigh + 1] - a[kHigh]) * 2;  // bytes from row to row
    float* second = c + kHigh * kBf16Columns;
    if (accumulate) {
        HG_TILE_LOAD(0, c, kSumStride);
        HG_TILE_LOAD(1, c + 16, kSumStride);
        HG_TILE_LOAD(2, second, kSumStride);
        HG_TILE_LOAD(3, second + 16, kSumStride);
    } else {
        HG_TILE_ZERO(0);
        HG_TILE_ZERO(1);
        HG_TILE_ZERO(2);
        HG_TILE_ZERO(3);
    }
    for (const Run* run = runs; run < runs + run_count; ++run)
        for (int64_t k = run->offset; k < run->offset + run->count; k += kStep, b += kStep * kBf16Columns) {
            HG_TILE_LOAD(6, b, kPairStride);
            HG_TILE_LOAD(4, a[0] + k, upper);
            HG_TILE_DOT(0, 4, 6);
            HG_TILE_LOAD(7, b + 32, kPairStride);
            HG_TILE_DOT(1, 4, 7);
            HG_TILE_LOAD(5, a[kHigh] + k, lower);
            HG_TILE_DOT(2, 5, 6);
            HG_TILE_DOT(3, 5, 7);
        }
    HG_TILE_STORE(0, c, kSumStride);
    HG_TILE_STORE(1, c + 16, kSumStride);
    HG_TILE_STORE(2, second, kSumStride);
    HG_TILE_STORE(3, second + 16, kSumStride);
}

}  // namespace

void use_tiles(Bf16Kernels& kernels) {
    kernels.name = tiles::kModel ? "amx-model" : "amx";
    kernels.tile_rows = 2 * kHigh;
    kernels.step = kStep;
    kernels.cost = 0.15;
    kernels.strided = true;
    kernels.begin = tiles::begin;
    kernels.end = tiles::end;
    kernels.tile = tile;
    kernels.pairs_tile = nullptr;
    kernels.tile_to = nullptr;
    kernels.row = nullptr;
}

}  // namespace handgrad::HANDGRAD_ISA
