// bf16 in memory, float32 in registers: conversions, packing, and the product by multiply-adds of float32, which stands
// for the processor's own where there is none.
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "kernels/bf16_simd.h"
#include "kernels/bf16_table.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

constexpr int kWidth = kLanes<float>;

#if defined(__AVX512F__)
constexpr int kRows = 8;
#else
constexpr int kRows = 4;
#endif
constexpr int kVectors = 2;  // of columns that are summed at once

// While one lives, subnormal numbers are zeros, as they are for the processor's products of bf16.
class FlushTiny {
  public:
#if defined(__SSE__)
    FlushTiny() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
    ~FlushTiny() { _mm_setcsr(before_); }

  private:
    unsigned before_;
#elif defined(__aarch64__)
    FlushTiny() {
        asm volatile("mrs %0, fpcr" : "=r"(before_));
        asm volatile("msr fpcr, %0" : : "r"(before_ | 1u << 24));
    }
    ~FlushTiny() { asm volatile("msr fpcr, %0" : : "r"(before_)); }

  private:
    uint64_t before_;
#endif
};

HG_INLINE VecF upper(VecU pairs) { return reinterpret_cast<VecF>(pairs & 0xffff0000u); }
HG_INLINE VecF lower(VecU pairs) { return reinterpret_cast<VecF>(pairs << 16); }

HG_INLINE VecU load_pairs(const Bf16* from) {
    VecU pairs;
    __builtin_memcpy(&pairs, from, sizeof pairs);
    return pairs;
}

// The bits of numbers, in the lower halves of 32; zeros from `count` on.
HG_INLINE VecU bits(const Bf16* from, int64_t count) {
    VecHalf halves{};
    if (count == kWidth)
        __builtin_memcpy(&halves, from, sizeof halves);
    else
        __builtin_memcpy(&halves, from, static_cast<size_t>(count) * sizeof(Bf16));
    return __builtin_convertvector(halves, VecU);
}
HG_INLINE VecU bits(const float* from, int64_t count) {
    return __builtin_convertvector(rounded(count == kWidth ? load(from) : load_some<float>(from, count)), VecU);
}

// Sums of kVectors * kWidth columns of a tile.
struct Sums {
    VecF sum[kRows][kVectors];
    HG_INLINE void load(Sums& all, const float* c, bool accumulate) {
#pragma GCC unroll 8
        for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v)
                all.sum[i][v] = accumulate ? HANDGRAD_ISA::load(c + i * kBf16Columns + v * kWidth) : VecF{};
    }
    // Row i's next two numbers are left(i).
    template <class Left>
    HG_INLINE void add(Sums& all, const Bf16* b, Left&& left) {
        VecU right[kVectors];
        for (int v = 0; v < kVectors; ++v) right[v] = load_pairs(b + 2 * v * kWidth);
#pragma GCC unroll 8
        for (int i = 0; i < kRows; ++i) {
            const Bf16* both = left(i);
            const VecF even = splat(to_float(both[0])), odd = splat(to_float(both[1]));
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v)
                all.sum[i][v] = fma(even, lower(right[v]), fma(odd, upper(right[v]), all.sum[i][v]));
        }
    }
    HG_INLINE void store(const Sums& all, float* c) {
#pragma GCC unroll 8
        for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) HANDGRAD_ISA::store(c + i * kBf16Columns + v * kWidth, all.sum[i][v]);
    }
};

// Not inlined: what is computed must stay behind the setting of FlushTiny.
__attribute__((noinline)) void some_columns(const Bf16* const* a, const Run* runs, int64_t run_count, const Bf16* b,
                                            float* c, bool accumulate) {
    Sums all;
    Sums::load(all, c, accumulate);
    for (const Run* run = runs; run < runs + run_count; ++run)
        for (int64_t k = run->offset; k < run->offset + run->count; k += 2, b += 2 * kBf16Columns)
            Sums::add(all, b, [&](int i) { return a[i] + k; });
    Sums::store(all, c);
}

__attribute__((noinline)) void some_columns_of_pairs(const Bf16* const* a, int64_t offset, int64_t pairs, const Bf16* b,
                                                     float* c, bool accumulate) {
    Sums all;
    Sums::load(all, c, accumulate);
    for (int64_t p = 0; p < pairs; ++p, b += 2 * kBf16Columns)
        Sums::add(all, b, [&](int i) { return a[p] + offset + 2 * i; });
    Sums::store(all, c);
}

void tile(const Bf16* const* a, const Run* runs, int64_t run_count, const Bf16* b, float* c, bool accumulate) {
    const FlushTiny flush;
    for (int64_t j = 0; j < kBf16Columns; j += kVectors * kWidth)
        some_columns(a, runs, run_count, b + 2 * j, c + j, accumulate);
}

void pairs_tile(const Bf16* const* a, int64_t offset, int64_t pairs, const Bf16* b, float* c, bool accumulate) {
    const FlushTiny flush;
    for (int64_t j = 0; j < kBf16Columns; j += kVectors * kWidth)
        some_columns_of_pairs(a, offset, pairs, b + 2 * j, c + j, accumulate);
}

void couple(const Bf16* first, const Bf16* second, int64_t n, Bf16* out) {
    int64_t i = 0;
    for (; i + kWidth <= n; i += kWidth) {
        const VecU pairs = bits(first + i, kWidth) | bits(second + i, kWidth) << 16;
        __builtin_memcpy(out + 2 * i, &pairs, sizeof pairs);
    }
    for (; i < n; ++i) out[2 * i] = first[i], out[2 * i + 1] = second[i];
}

// What a copy of `wide` numbers writes too much the next one overwrites.
template <int64_t wide>
void gather_by(const Bf16* const* a, int64_t rows, const Run* runs, int64_t run_count, Bf16* out, int64_t stride) {
    for (int64_t i = 0; i < rows; ++i, out += stride) {
        Bf16* to = out;
        for (const Run* run = runs; run < runs + run_count; to += run++->count)
            for (int64_t k = 0; k < run->count; k += wide) __builtin_memcpy(to + k, a[i] + run->offset + k, wide * sizeof(Bf16));
    }
}

void gather(const Bf16* const* a, int64_t rows, const Run* runs, int64_t run_count, Bf16* out, int64_t stride) {
    int64_t longest = 0;
    for (const Run* run = runs; run < runs + run_count; ++run) longest = run->count > longest ? run->count : longest;
    (longest <= 8 ? gather_by<8> : longest <= 16 ? gather_by<16> : gather_by<kBf16Beyond>)(a, rows, runs, run_count, out, stride);
}

void nothing() {}

constexpr float kTiny = 0x1p-126f;  // the least that is not subnormal

template <class T>
void finish_to(const float* c, int64_t rows, int64_t columns, T* out, const Bf16Finish& to) {
    for (int64_t i = 0; i < rows; ++i, c += kBf16Columns, out += to.stride)
        for (int64_t j = 0; j < columns; j += kWidth) {
            const int64_t some = columns - j < kWidth ? columns - j : kWidth;
            VecF sum = load(c + j);
            if (to.bias) sum += some == kWidth ? load(to.bias + j) : load_some<float>(to.bias + j, some);
            if (to.accumulate) sum += some == kWidth ? load(out + j) : load_some(out + j, some);
            if (to.rectify) sum = sum < 0 ? VecF{} : sum;
            if constexpr (sizeof(T) == 2) sum = ((sum < kTiny) & (sum > -kTiny)) ? sum * VecF{} : sum;
            some == kWidth ? store(out + j, sum) : store_some(out + j, sum, some);
        }
}

void finish(const float* c, int64_t rows, int64_t columns, const Bf16Finish& to) {
    to.half ? finish_to(c, rows, columns, to.half, to) : finish_to(c, rows, columns, to.full, to);
}

void round_all(const float* x, int64_t n, Bf16* out) {
    int64_t i = 0;
    for (; i + kWidth <= n; i += kWidth) store(out + i, load(x + i));
    for (; i < n; ++i) out[i] = to_bf16(x[i]);
}

void widen_all(const Bf16* x, int64_t n, float* out) {
    int64_t i = 0;
    for (; i + kWidth <= n; i += kWidth) store(out + i, load(x + i));
    for (; i < n; ++i) out[i] = to_float(x[i]);
}

// Numbers first[i] and second[i], side by side; zeros where either is null, and from `count` on.
template <class S>
HG_INLINE VecU coupled(const S* first, const S* second, int64_t count) {
    const VecU low = first ? bits(first, count) : VecU{};
    return second ? low | bits(second, count) << 16 : low;
}

// 2 kWidth numbers of a row, as pairs; zeros from `count` on.
HG_INLINE VecU row_of_pairs(const Bf16* from, int64_t count) {
    Bf16 some[2 * kWidth] = {};
    if (count >= 2 * kWidth) return load_pairs(from);
    __builtin_memcpy(some, from, static_cast<size_t>(count) * sizeof(Bf16));
    return load_pairs(some);
}
HG_INLINE VecU row_of_pairs(const float* from, int64_t count) {
    Bf16 some[2 * kWidth];
    for (int half = 0; half < 2; ++half) {
        const int64_t left = count - half * kWidth, here = left < 0 ? 0 : left < kWidth ? left : kWidth;
        const VecF numbers = here == kWidth ? load(from + half * kWidth) : here ? load_some<float>(from + half * kWidth, here) : VecF{};
        store(some + half * kWidth, numbers);
    }
    return load_pairs(some);
}

template <class S>
void turn(const S* x, int64_t x_stride, int64_t rows, int64_t columns, Bf16* out, int64_t out_stride) {
    for (int64_t j = 0; j < rows; j += 2 * kWidth) {
        const int64_t high = rows - j < 2 * kWidth ? rows - j : 2 * kWidth;
        for (int64_t i = 0; i < columns; i += kWidth) {
            const int64_t wide = columns - i < kWidth ? columns - i : kWidth;
            const S* from = x + j * x_stride + i;
            VecF lines[kWidth];
#pragma GCC unroll 16
            for (int r = 0; r < kWidth; ++r)
                lines[r] = reinterpret_cast<VecF>(coupled(2 * r < high ? from + 2 * r * x_stride : nullptr,
                                                          2 * r + 1 < high ? from + (2 * r + 1) * x_stride : nullptr, wide));
            transpose<float>(lines);
            Bf16* to = out + i * out_stride + j;
            if (high == 2 * kWidth && wide == kWidth) {
#pragma GCC unroll 16
                for (int r = 0; r < kWidth; ++r) __builtin_memcpy(to + r * out_stride, &lines[r], sizeof lines[r]);
            } else {
                for (int64_t r = 0; r < wide; ++r)
                    __builtin_memcpy(to + r * out_stride, &lines[r], static_cast<size_t>(high) * sizeof(Bf16));
            }
        }
    }
}

template <class S>
void pair_turned(const S* b, int64_t column_stride, int64_t depth, int64_t step, int64_t columns, Bf16* panel) {
    const int64_t end = (depth + step - 1) / step * step;
    for (int64_t k = 0; k < end; k += 2 * kWidth) {
        const int64_t left = depth - k, deep = left < 2 * kWidth ? left : 2 * kWidth;
        const int64_t pairs = (end - k) / 2 < kWidth ? (end - k) / 2 : kWidth;
        for (int64_t j = 0; j < kBf16Columns; j += kWidth) {
            VecF lines[kWidth];
#pragma GCC unroll 16
            for (int r = 0; r < kWidth; ++r)
                lines[r] = j + r < columns && deep > 0
                               ? reinterpret_cast<VecF>(row_of_pairs(b + (j + r) * column_stride + k, deep))
                               : VecF{};
            transpose<float>(lines);
            for (int64_t r = 0; r < pairs; ++r)
                __builtin_memcpy(panel + (k + 2 * r) * kBf16Columns + 2 * j, &lines[r], sizeof lines[r]);
        }
    }
}

template <class S>
void pair(const S* b, int64_t row_stride, int64_t depth, int64_t step, int64_t columns, Bf16* panel) {
    const int64_t end = (depth + step - 1) / step * step;
    for (int64_t k = 0; k < end; k += 2, b += 2 * row_stride, panel += 2 * kBf16Columns)
        for (int64_t j = 0; j < kBf16Columns; j += kWidth) {
            const int64_t left = columns - j, some = left < 0 ? 0 : left < kWidth ? left : kWidth;
            const VecU pairs = some ? coupled(k < depth ? b + j : nullptr, k + 1 < depth ? b + row_stride + j : nullptr, some) : VecU{};
            __builtin_memcpy(panel + 2 * j, &pairs, sizeof pairs);
        }
}

}  // namespace

void fill(Bf16Kernels& kernels) {
    kernels = {"emulated", kRows, 2, 1.5, false, nothing, nothing, tile, nullptr, nullptr, pairs_tile, gather, couple, finish, round_all, widen_all, turn<Bf16>, turn<float>,
               pair<Bf16>, pair<float>, pair_turned<Bf16>, pair_turned<float>};
}

}  // namespace handgrad::HANDGRAD_ISA
