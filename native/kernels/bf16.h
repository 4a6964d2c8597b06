// Numbers of 16 bits: the upper half of a float32, with 8 of its 24 digits.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace handgrad {

struct Bf16 {
    uint16_t bits;
};

inline float to_float(Bf16 x) {
    const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
    float number;
    std::memcpy(&number, &bits, sizeof number);
    return number;
}

// The nearest, of two the one with an even last digit; what lies half a digit above the largest is infinite.  A NaN
// stays one, and is quiet.
inline Bf16 to_bf16(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) return {static_cast<uint16_t>(bits >> 16 | 0x40)};
    return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

template <class S>
struct ComputedAs {
    using type = S;
};
template <>
struct ComputedAs<Bf16> {
    using type = float;
};
template <>
struct ComputedAs<const Bf16> {
    using type = const float;
};
// What numbers that are stored as S are computed in.
template <class S>
using Computed = typename ComputedAs<S>::type;

template <class S>
constexpr bool kIsHalf = std::is_same_v<std::remove_const_t<S>, Bf16>;

}  // namespace handgrad
