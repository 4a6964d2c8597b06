// The places of the largest elements of pooling windows, as vectors of integers: bytes or 32 bits in memory.
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

}  // namespace handgrad::HANDGRAD_ISA
