// The largest elements of pooling windows, and their places, as vectors of integers: bytes or 32 bits in memory.
#pragma once

#include "kernels/simd.h"

namespace handgrad::HANDGRAD_ISA {

// Integers of the same number and width as the lanes of Vec<T>.
template <class T>
struct Lanes;
template <>
struct Lanes<float> {
    typedef int32_t Number;
    typedef int32_t Index __attribute__((vector_size(kVectorBytes)));
    typedef uint8_t Bytes __attribute__((vector_size(kVectorBytes / 4)));
};
template <>
struct Lanes<double> {
    typedef int64_t Number;
    typedef int64_t Index __attribute__((vector_size(kVectorBytes)));
    typedef uint8_t Bytes __attribute__((vector_size(kVectorBytes / 8)));
};

// In AVX-512 one instruction, where the compiler would go number by number.
template <class T>
HG_INLINE void put_index(uint8_t* to, typename Lanes<T>::Index index) {
#if defined(__AVX512F__)
    const __m512i numbers = reinterpret_cast<__m512i>(index);
    if constexpr (sizeof(T) == 4)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_maskz_cvtepi32_epi8(0xffff, numbers));
    else
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm512_maskz_cvtepi64_epi8(0xff, numbers));
#else
    const auto bytes = __builtin_convertvector(index, typename Lanes<T>::Bytes);
    __builtin_memcpy(to, &bytes, sizeof bytes);
#endif
}
template <class T>
HG_INLINE void put_index(int32_t* to, typename Lanes<T>::Index index) {
    for (int i = 0; i < kLanes<T>; ++i) to[i] = static_cast<int32_t>(index[i]);
}
template <class T>
HG_INLINE typename Lanes<T>::Index get_index(const uint8_t* from) {
    using Index = typename Lanes<T>::Index;
#if defined(__AVX512F__)
    const auto* place = reinterpret_cast<const __m128i*>(from);
    if constexpr (sizeof(T) == 4)
        return reinterpret_cast<Index>(_mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128(place)));
    else
        return reinterpret_cast<Index>(_mm512_maskz_cvtepu8_epi64(0xff, _mm_loadl_epi64(place)));
#else
    typename Lanes<T>::Bytes bytes;
    __builtin_memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(bytes, Index);
#endif
}
template <class T>
HG_INLINE typename Lanes<T>::Index get_index(const int32_t* from) {
    typename Lanes<T>::Index index;
    for (int i = 0; i < kLanes<T>; ++i) index[i] = from[i];
    return index;
}

// The first `count` bytes, of at most kLanes<T>.
template <class T>
HG_INLINE typename Lanes<T>::Index get_some_index(const uint8_t* from, int64_t count) {
    uint8_t bytes[kLanes<T>] = {};
    __builtin_memcpy(bytes, from, static_cast<size_t>(count));
    return get_index<T>(bytes);
}
template <class T>
HG_INLINE void put_some_index(uint8_t* to, typename Lanes<T>::Index index, int64_t count) {
    if (count == kLanes<T>) return put_index<T>(to, index);
    uint8_t bytes[kLanes<T>];
    put_index<T>(bytes, index);
    __builtin_memcpy(to, bytes, static_cast<size_t>(count));
}

// Where an element of a window is larger than the largest of those before it; the first of several, or the first
// NaN, stays.
template <class V>
HG_INLINE auto is_larger(V v, V best) {
    return ~(v <= best) & (best == best);
}

// Keeps element number k where it is larger, and returns where.
template <class T>
HG_INLINE typename Lanes<T>::Index keep_larger(Vec<T> v, typename Lanes<T>::Number k, Vec<T>& best, typename Lanes<T>::Index& place) {
    using Index = typename Lanes<T>::Index;
    const Index larger = is_larger(v, best);
    best = larger ? v : best;
    place = larger ? Index{} + k : place;
    return larger;
}

// A ReLU after the window.  Where no value is positive, the place is `closed`.
template <class T>
HG_INLINE void rectify_window(typename Lanes<T>::Number closed, Vec<T>& best, typename Lanes<T>::Index& place) {
    place = best > 0 ? place : typename Lanes<T>::Index{} + closed;
    best = best < 0 ? Vec<T>{} : best;
}

// The place of the largest of the four elements of a window, 4 where `rectify` closes it.
template <class T>
HG_INLINE typename Lanes<T>::Index largest_of_four(const Vec<T> (&y)[4], bool rectify, Vec<T>& best) {
    typename Lanes<T>::Index place{};
    best = y[0];
#pragma GCC unroll 4
    for (int k = 1; k < 4; ++k) keep_larger<T>(y[k], k, best, place);
    if (rectify) rectify_window<T>(4, best, place);
    return place;
}

}  // namespace handgrad::HANDGRAD_ISA
