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

template <class T>
HG_INLINE void put_index(uint8_t* to, typename Lanes<T>::Index index) {
    const auto bytes = __builtin_convertvector(index, typename Lanes<T>::Bytes);
    __builtin_memcpy(to, &bytes, sizeof bytes);
}
template <class T>
HG_INLINE void put_index(int32_t* to, typename Lanes<T>::Index index) {
    for (int i = 0; i < kLanes<T>; ++i) to[i] = static_cast<int32_t>(index[i]);
}
template <class T>
HG_INLINE typename Lanes<T>::Index get_index(const uint8_t* from) {
    typename Lanes<T>::Bytes bytes;
    __builtin_memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(bytes, typename Lanes<T>::Index);
}
template <class T>
HG_INLINE typename Lanes<T>::Index get_index(const int32_t* from) {
    typename Lanes<T>::Index index;
    for (int i = 0; i < kLanes<T>; ++i) index[i] = from[i];
    return index;
}

}  // namespace handgrad::HANDGRAD_ISA
