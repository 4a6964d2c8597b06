// The product of bf16 by VDPBF16PS, where it is compiled for processors that have it.
#if defined(__AVX512BF16__)

#include "kernels/bf16_table.h"
#include "kernels/simd.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

constexpr int kRows = 8, kVectors = 2;
constexpr int64_t kAhead = 16;  // rows of B that are fetched before they are packed

void (*emulated_finish)(const float*, int64_t, int64_t, const Bf16Finish&);

struct Sums {
    __m512 sum[kRows][kVectors];
    HG_INLINE void load(Sums& all, const float* c, bool accumulate) {
#pragma GCC unroll 8
        for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
            for (int v = 0; v < kVectors; ++v)
                all.sum[i][v] = accumulate ? _mm512_loadu_ps(c + i * kBf16Columns + 16 * v) : _mm512_setzero_ps();
    }
    // Row i's next two numbers are left(i).
    template <class Left>
    HG_INLINE void add(Sums& all, const Bf16* b, Left&& left) {
        __m512i right[kVectors];
        for (int v = 0; v < kVectors; ++v) right[v] = _mm512_loadu_si512(b + 32 * v);
#pragma GCC unroll 8
        for (int i = 0; i < kRows; ++i) {
            int32_t both;
            __builtin_memcpy(&both, left(i), sizeof both);
            const __m512i pair = _mm512_set1_epi32(both);
#pragma GCC unroll 2
            for (int v = 0; v < kVectors; ++v)
                all.sum[i][v] = _mm512_dpbf16_ps(all.sum[i][v], reinterpret_cast<__m512bh>(pair),
                                                 reinterpret_cast<__m512bh>(right[v]));
        }
    }
    HG_INLINE void store(const Sums& all, float* c) {
#pragma GCC unroll 8
        for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
            for (int v = 0; v < kVectors; ++v) _mm512_storeu_ps(c + i * kBf16Columns + 16 * v, all.sum[i][v]);
    }
};

HG_INLINE void add_runs(Sums& all, const Bf16* const* a, const Run* runs, int64_t run_count, const Bf16* b) {
    const Bf16* row[kRows];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) row[i] = a[i];
    for (const Run* run = runs; run < runs + run_count; ++run)
        for (int64_t k = run->offset, end = k + run->count; k < end; k += 2, b += 2 * kBf16Columns)
            Sums::add(all, b, [&](int i) { return row[i] + k; });
}

void tile(const Bf16* const* a, const Run* runs, int64_t run_count, const Bf16* b, float* c, bool accumulate) {
    Sums all;
    Sums::load(all, c, accumulate);
    add_runs(all, a, runs, run_count, b);
    Sums::store(all, c);
}

HG_INLINE __mmask16 first(int64_t count) {
    return static_cast<__mmask16>((1u << (count < 0 ? 0 : count < 16 ? count : 16)) - 1);
}

// What becomes of a sum, but for the rounding.
HG_INLINE __m512 finished(__m512 sum, __m512 bias, bool has_bias, bool rectify) {
    if (has_bias) sum = _mm512_add_ps(sum, bias);
    const __m512 zero = _mm512_setzero_ps();
    return rectify ? _mm512_mask_mov_ps(sum, _mm512_cmp_ps_mask(sum, zero, _CMP_LT_OQ), zero) : sum;
}

// Whole rows of bf16, or of float32, nothing added to them: stores without a mask, which take far longer with one.
template <bool half>
HG_INLINE void put_whole(const Sums& all, const Bf16TileRows& to) {
    const __m512 none = _mm512_setzero_ps();
    const __m512 low = to.bias ? _mm512_loadu_ps(to.bias) : none, high = to.bias ? _mm512_loadu_ps(to.bias + 16) : none;
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
        if (i >= to.count) break;
        const __m512 first = finished(all.sum[i][0], low, to.bias, to.rectify), second = finished(all.sum[i][1], high, to.bias, to.rectify);
        if constexpr (half) {
            _mm512_storeu_si512(to.rows[i], reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first)));
        } else {
            _mm512_storeu_ps(to.rows[i], first);
            _mm512_storeu_ps(static_cast<float*>(to.rows[i]) + 16, second);
        }
    }
}

template <bool half>
HG_INLINE void put_some(const Sums& all, const Bf16TileRows& to) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
        const __mmask16 some = first(to.columns - 16 * v);
        const __m512 bias = to.bias ? _mm512_maskz_loadu_ps(some, to.bias + 16 * v) : _mm512_setzero_ps();
#pragma GCC unroll 8
        for (int i = 0; i < kRows; ++i) {
            if (i >= to.count) break;
            __m512 sum = all.sum[i][v];
            if (to.bias) sum = _mm512_add_ps(sum, bias);
            if constexpr (half) {
                auto* out = static_cast<Bf16*>(to.rows[i]) + 16 * v;
                if (to.accumulate)
                    sum = _mm512_add_ps(sum, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, out)), 16)));
                sum = finished(sum, sum, false, to.rectify);
                _mm256_mask_storeu_epi16(out, some, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(sum)));
            } else {
                auto* out = static_cast<float*>(to.rows[i]) + 16 * v;
                if (to.accumulate) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(some, out));
                _mm512_mask_storeu_ps(out, some, finished(sum, sum, false, to.rectify));
            }
        }
    }
}

void tile_to(const Bf16* const* a, const Run* runs, int64_t run_count, const Bf16* b, const float* c, const Bf16TileRows& to) {
    Sums all;
    Sums::load(all, c, c != nullptr);
    add_runs(all, a, runs, run_count, b);
    if (to.columns == kBf16Columns && !to.accumulate) return to.is_half ? put_whole<true>(all, to) : put_whole<false>(all, to);
    to.is_half ? put_some<true>(all, to) : put_some<false>(all, to);
}

template <int panels>
HG_INLINE void row_of(const Bf16* a, int64_t depth, const Bf16* b, int64_t panel_size, float* c) {
    __m512 sum[2 * panels];
#pragma GCC unroll 8
    for (int v = 0; v < 2 * panels; ++v) sum[v] = _mm512_setzero_ps();
    for (int64_t k = 0; k < depth; k += 2, b += 2 * kBf16Columns) {
        int32_t both;
        __builtin_memcpy(&both, a + k, sizeof both);
        const __m512i pair = _mm512_set1_epi32(both);
#pragma GCC unroll 8
        for (int v = 0; v < 2 * panels; ++v) {
            const Bf16* right = b + v / 2 * panel_size + v % 2 * 32;
            if (v % 2 == 0) __builtin_prefetch(right + 2048);
            if (v % 2 == 0) __builtin_prefetch(right + 2080);
            sum[v] = _mm512_dpbf16_ps(sum[v], reinterpret_cast<__m512bh>(pair), reinterpret_cast<__m512bh>(_mm512_loadu_si512(right)));
        }
    }
#pragma GCC unroll 8
    for (int v = 0; v < 2 * panels; ++v) _mm512_storeu_ps(c + 16 * v, sum[v]);
}

void row(const Bf16* a, int64_t depth, const Bf16* b, int64_t panel_size, int64_t panels, float* c) {
    static_assert(kBf16RowPanels == 4);
    panels == 4   ? row_of<4>(a, depth, b, panel_size, c)
    : panels == 3 ? row_of<3>(a, depth, b, panel_size, c)
    : panels == 2 ? row_of<2>(a, depth, b, panel_size, c)
                  : row_of<1>(a, depth, b, panel_size, c);
}

void pairs_tile(const Bf16* const* a, int64_t offset, int64_t pairs, const Bf16* b, float* c, bool accumulate) {
    Sums all;
    Sums::load(all, c, accumulate);
    for (int64_t p = 0; p < pairs; ++p, b += 2 * kBf16Columns) {
        const Bf16* at = a[p] + offset;
        Sums::add(all, b, [&](int i) { return at + 2 * i; });
    }
    Sums::store(all, c);
}

// Whole vectors of bf16; edges as everywhere else.
void finish(const float* c, int64_t rows, int64_t columns, const Bf16Finish& to) {
    if (!to.half || to.accumulate || columns % 16) return emulated_finish(c, rows, columns, to);
    const __m512 zero = _mm512_setzero_ps();
    for (int64_t j = 0; j < columns; j += 16) {
        const __m512 bias = to.bias ? _mm512_loadu_ps(to.bias + j) : zero;
        for (int64_t i = 0; i < rows; ++i) {
            __m512 sum = _mm512_loadu_ps(c + i * kBf16Columns + j);
            const __m256bh halves = _mm512_cvtneps_pbh(finished(sum, bias, to.bias, to.rectify));
            __builtin_memcpy(to.half + i * to.stride + j, &halves, sizeof halves);
        }
    }
}

// Two vectors of float32 to one of bf16, the first in the lower half.
HG_INLINE __m512i rounded(__m512 first, __m512 second) {
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first));
}

HG_INLINE __m512 some(const float* from, int64_t count) {
    const int64_t here = count < 0 ? 0 : count < 16 ? count : 16;
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << here) - 1), from);
}

void pair_full(const float* b, int64_t row_stride, int64_t depth, int64_t step, int64_t columns, Bf16* panel) {
    const int64_t end = (depth + step - 1) / step * step;
    alignas(64) uint16_t places[32];
    for (int i = 0; i < 32; ++i) places[i] = static_cast<uint16_t>(i / 2 + i % 2 * 16);
    const __m512i order = _mm512_load_si512(places);
    for (int64_t k = 0; k < end; k += 2, b += 2 * row_stride, panel += 2 * kBf16Columns)
        for (int64_t j = 0; j < kBf16Columns; j += 16) {
            // rows are far apart: the processor itself would fetch none ahead
            __builtin_prefetch(b + kAhead * row_stride + j);
            __builtin_prefetch(b + (kAhead + 1) * row_stride + j);
            const __m512 first = k < depth ? some(b + j, columns - j) : _mm512_setzero_ps();
            const __m512 second = k + 1 < depth ? some(b + row_stride + j, columns - j) : _mm512_setzero_ps();
            _mm512_storeu_si512(panel + 2 * j, _mm512_permutexvar_epi16(order, rounded(first, second)));
        }
}

void pair_turned_full(const float* b, int64_t column_stride, int64_t depth, int64_t step, int64_t columns, Bf16* panel) {
    const int64_t end = (depth + step - 1) / step * step;
    for (int64_t k = 0; k < end; k += 32) {
        const int64_t pairs = end - k < 32 ? (end - k) / 2 : 16;
        for (int64_t j = 0; j < kBf16Columns; j += 16) {
            VecF lines[16];
#pragma GCC unroll 16
            for (int r = 0; r < 16; ++r) {
                const float* from = b + (j + r) * column_stride + k;
                __builtin_prefetch(from + 96);
                __builtin_prefetch(from + 112);
                lines[r] = j + r < columns ? reinterpret_cast<VecF>(rounded(some(from, depth - k), some(from + 16, depth - k - 16))) : VecF{};
            }
            transpose<float>(lines);
            for (int64_t r = 0; r < pairs; ++r) _mm512_storeu_si512(panel + (k + 2 * r) * kBf16Columns + 2 * j, reinterpret_cast<__m512i>(lines[r]));
        }
    }
}

}  // namespace

void use_dot(Bf16Kernels& kernels) {
    kernels.name = "avx512-bf16";
    kernels.tile_rows = kRows;
    kernels.cost = 0.5;
    kernels.tile = tile;
    kernels.tile_to = tile_to;
    kernels.row = row;
    kernels.pairs_tile = pairs_tile;
    kernels.pair_full = pair_full;
    kernels.pair_turned_full = pair_turned_full;
    emulated_finish = kernels.finish;
    kernels.finish = finish;
}

}  // namespace handgrad::HANDGRAD_ISA

#endif
