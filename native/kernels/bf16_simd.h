// Vectors of float32 from and to bf16 in memory, rounded as to_bf16 of kernels/bf16.h does.
#pragma once

#include "kernels/bf16.h"
#include "kernels/simd.h"

namespace handgrad::HANDGRAD_ISA {

typedef uint32_t VecU __attribute__((vector_size(kVectorBytes)));
typedef uint16_t VecHalf __attribute__((vector_size(kVectorBytes / 2)));

HG_INLINE VecF load(const Bf16* from) {
    VecHalf halves;
    __builtin_memcpy(&halves, from, sizeof halves);
    return reinterpret_cast<VecF>(__builtin_convertvector(halves, VecU) << 16);
}

HG_INLINE VecHalf rounded(VecF v) {
    const VecU bits = reinterpret_cast<VecU>(v);
    const auto nan = v != v;
    const VecU number = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return __builtin_convertvector(nan ? bits >> 16 | 0x40 : number, VecHalf);
}

HG_INLINE void store(Bf16* to, VecF v) {
    const VecHalf halves = rounded(v);
    __builtin_memcpy(to, &halves, sizeof halves);
}

// One number, of what is stored as such or in bf16.
HG_INLINE float number(const float* from) { return *from; }
HG_INLINE double number(const double* from) { return *from; }
HG_INLINE float number(const Bf16* from) { return to_float(*from); }
HG_INLINE void put_number(float* to, float x) { *to = x; }
HG_INLINE void put_number(double* to, double x) { *to = x; }
HG_INLINE void put_number(Bf16* to, float x) { *to = to_bf16(x); }

// The first `count` numbers, of at most kLanes<float>; zeros behind them.
HG_INLINE VecF load_some(const Bf16* from, int64_t count) {
    Bf16 all[kLanes<float>] = {};
    __builtin_memcpy(all, from, static_cast<size_t>(count) * sizeof(Bf16));
    return load(all);
}

HG_INLINE void store_some(Bf16* to, VecF v, int64_t count) {
    const VecHalf halves = rounded(v);
    __builtin_memcpy(to, &halves, static_cast<size_t>(count) * sizeof(Bf16));
}

}  // namespace handgrad::HANDGRAD_ISA
