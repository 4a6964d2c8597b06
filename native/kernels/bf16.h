// Numbers of 16 bits: the upper half of a float32, with 8 of its 24 digits.
#pragma once

#include <cstdint>
#include <cstring>

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

}  // namespace handgrad
