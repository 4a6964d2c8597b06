// Vectors of the instruction set this file is compiled for.  Every kernel file is compiled once for
// each set, with HANDGRAD_ISA naming the namespace; nothing here has external linkage, so that code
// of one set can never be linked into another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define HG_INLINE static inline __attribute__((always_inline))

namespace handgrad::HANDGRAD_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

typedef float VecF __attribute__((vector_size(kVectorBytes)));
typedef double VecD __attribute__((vector_size(kVectorBytes)));
template <class T>
using Vec = std::conditional_t<std::is_same_v<T, float>, VecF, VecD>;
template <class T>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

template <class T>
HG_INLINE Vec<T> load(const T* from) {
    Vec<T> v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
}

template <class T>
HG_INLINE void store(T* to, Vec<T> v) {
    __builtin_memcpy(to, &v, sizeof v);
}

// Writes a vector to aligned memory past the caches, where the instruction set can; `streamed` after the last one.
template <class T>
HG_INLINE void stream(T* to, Vec<T> v) {
#if defined(__AVX512F__)
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), reinterpret_cast<__m512i>(v));
#elif defined(__AVX2__)
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(v));
#else
    store<T>(to, v);
#endif
}
HG_INLINE void streamed() {
#if defined(__AVX512F__) || defined(__AVX2__)
    _mm_sfence();
#endif
}

// The first `count` numbers, of at most kLanes<T>; zeros behind them.
template <class T>
HG_INLINE Vec<T> load_some(const T* from, int64_t count) {
#if defined(__AVX512F__)
    const unsigned mask = (1u << count) - 1;
    if constexpr (sizeof(T) == 4)
        return _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), from);
    else
        return _mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), from);
#else
    Vec<T> v{};
    __builtin_memcpy(&v, from, static_cast<size_t>(count) * sizeof(T));
    return v;
#endif
}

template <class T>
HG_INLINE void store_some(T* to, Vec<T> v, int64_t count) {
#if defined(__AVX512F__)
    const unsigned mask = (1u << count) - 1;
    if constexpr (sizeof(T) == 4)
        _mm512_mask_storeu_ps(to, static_cast<__mmask16>(mask), v);
    else
        _mm512_mask_storeu_pd(to, static_cast<__mmask8>(mask), v);
#else
    __builtin_memcpy(to, &v, static_cast<size_t>(count) * sizeof(T));
#endif
}

HG_INLINE VecF splat(float s) { return s - VecF{}; }
HG_INLINE VecD splat(double s) { return s - VecD{}; }

// The numbers at these places of a and, behind it, b.  GCC has __builtin_shufflevector from version 12 on.
template <int... place, class V>
HG_INLINE V pick(V a, V b) {
#if __has_builtin(__builtin_shufflevector)
    return __builtin_shufflevector(a, b, place...);
#else
    return __builtin_shuffle(a, b, decltype(a < b){place...});
#endif
}

// Transposes kLanes<T> vectors: step by step, exchanges the halves of blocks twice as large.
template <int span, class V, int... i>
HG_INLINE void exchange(V& a, V& b, std::integer_sequence<int, i...>) {
    constexpr int width = sizeof...(i);
    const V low = pick<((i & span) ? width + (i ^ span) : i)...>(a, b);
    const V high = pick<((i & span) ? width + i : (i ^ span))...>(a, b);
    a = low;
    b = high;
}

template <class T, int span = 1>
HG_INLINE void transpose(Vec<T> (&rows)[kLanes<T>]) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i)
        if (!(i & span)) exchange<span>(rows[i], rows[i | span], std::make_integer_sequence<int, kLanes<T>>());
    if constexpr (2 * span < kLanes<T>) transpose<T, 2 * span>(rows);
}

// a * b + c, rounded once where the instruction set can (everywhere but in the portable x86 path).
HG_INLINE VecF fma(VecF a, VecF b, VecF c) {
#if defined(__AVX512F__)
    return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
    return _mm256_fmadd_ps(a, b, c);
#elif defined(__ARM_NEON)
    return vfmaq_f32(c, a, b);
#else
    return a * b + c;
#endif
}

HG_INLINE VecD fma(VecD a, VecD b, VecD c) {
#if defined(__AVX512F__)
    return _mm512_fmadd_pd(a, b, c);
#elif defined(__AVX2__)
    return _mm256_fmadd_pd(a, b, c);
#elif defined(__ARM_NEON) && defined(__aarch64__)
    return vfmaq_f64(c, a, b);
#else
    return a * b + c;
#endif
}

#if defined(__aarch64__)
template <class T>
using Pair = std::conditional_t<std::is_same_v<T, float>, float32x2_t, float64x2_t>;
HG_INLINE float32x2_t load_pair(const float* from) { return vld1_f32(from); }
HG_INLINE float64x2_t load_pair(const double* from) { return vld1q_f64(from); }

// fma with number `lane` of a pair.
template <int lane>
HG_INLINE VecF fma_lane(float32x2_t a, VecF b, VecF c) {
    return vfmaq_lane_f32(c, b, a, lane);
}
template <int lane>
HG_INLINE VecD fma_lane(float64x2_t a, VecD b, VecD c) {
    return vfmaq_laneq_f64(c, b, a, lane);
}
#endif

// a * b - product, where product is a * b rounded.
template <class V>
HG_INLINE V product_rest(V a, V b, V product) {
#if defined(__AVX512F__) || defined(__AVX2__) || (defined(__ARM_NEON) && defined(__aarch64__))
    return fma(a, b, -product);
#else  // of halves of the digits, whose products are exact
    typedef decltype(a < b) Bits;
    const Bits upper = Bits{} - (sizeof(a[0]) == 4 ? 1 << 12 : 1 << 27);
    const V a1 = (V)((Bits)a & upper), a2 = a - a1, b1 = (V)((Bits)b & upper), b2 = b - b1;
    return a1 * b1 - product + a1 * b2 + a2 * b1 + a2 * b2;
#endif
}

}  // namespace handgrad::HANDGRAD_ISA
