// The tile registers of AMX: the processor's, or a model of them in plain loops where it is not compiled for AMX.  The
// kernels of bf16_tiles.cpp are written for either, so that machines without AMX can test what those with it run.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/bf16.h"

#if defined(__AMX_BF16__)
#include <immintrin.h>
#else
#include <cmath>
#endif

namespace handgrad::HANDGRAD_ISA {

// Tiles of 16 rows of 64 bytes each.
#if defined(__AMX_BF16__)

namespace tiles {

constexpr bool kModel = false;

struct alignas(64) Configuration {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
    Configuration() {
        for (int i = 0; i < 8; ++i) row_bytes[i] = 64, rows[i] = 16;
    }
};

static inline void begin() {
    static const Configuration configuration;
    _tile_loadconfig(&configuration);
}
static inline void end() { _tile_release(); }

// the number of a tile is part of the instruction
#define HG_TILE_ZERO(number) _tile_zero(number)
#define HG_TILE_LOAD(number, from, stride) _tile_loadd(number, from, stride)
#define HG_TILE_STORE(number, to, stride) _tile_stored(number, to, stride)
#define HG_TILE_DOT(c, a, b) _tile_dpbf16ps(c, a, b)

}  // namespace tiles

#else

namespace tiles {

constexpr bool kModel = true;
constexpr int kRows = 16, kBytes = 64, kPairs = kBytes / 4;

struct Registers {
    unsigned char tile[8][kRows][kBytes];
    bool is_configured;
};
static thread_local Registers registers;

static inline void begin() { std::memset(&registers, 0, sizeof registers), registers.is_configured = true; }
static inline void end() { registers.is_configured = false; }

// What the processor answers to an instruction without a configuration.
static inline void demand_configuration() {
    if (!registers.is_configured) __builtin_trap();
}

static inline void zero(int number) {
    demand_configuration();
    std::memset(registers.tile[number], 0, sizeof registers.tile[number]);
}
static inline void load(int number, const void* from, int64_t stride) {
    demand_configuration();
    for (int row = 0; row < kRows; ++row)
        std::memcpy(registers.tile[number][row], static_cast<const unsigned char*>(from) + row * stride, kBytes);
}
static inline void store(int number, void* to, int64_t stride) {
    demand_configuration();
    for (int row = 0; row < kRows; ++row)
        std::memcpy(static_cast<unsigned char*>(to) + row * stride, registers.tile[number][row], kBytes);
}

static inline float flushed(float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; }

// a b + c, rounded once.  The product of two bf16 numbers is exact in double, and nearly always so is the sum, whose
// rest decides where rounding it twice would be wrong.
static inline float multiply_add(float a, float b, float c) {
    const double product = static_cast<double>(flushed(a)) * static_cast<double>(flushed(b)), more = static_cast<double>(flushed(c));
    const double sum = product + more;
    const double part = sum - product, rest = (product - (sum - part)) + (more - part);
    double whole = sum;
    if (rest != 0 && std::isfinite(sum)) {  // to odd: the last digit says that there is more
        uint64_t bits;
        std::memcpy(&bits, &sum, sizeof bits);
        if (!(bits & 1)) {
            bits += (rest > 0) == (sum > 0) ? 1 : ~uint64_t{0};
            std::memcpy(&whole, &bits, sizeof bits);
        }
    }
    return flushed(static_cast<float>(whole));
}

// TDPBF16PS: tile c += a b, as the operation is written in Intel's manual.
static inline void dot(int c, int a, int b) {
    demand_configuration();
    const auto half = [](const unsigned char* from, int number) {
        Bf16 x;
        std::memcpy(&x, from + 2 * number, sizeof x);
        return to_float(x);
    };
    for (int m = 0; m < kRows; ++m) {
        float even[kPairs] = {}, odd[kPairs] = {};
        for (int k = 0; k < kPairs; ++k)
            for (int n = 0; n < kPairs; ++n) {
                even[n] = multiply_add(half(registers.tile[a][m], 2 * k), half(registers.tile[b][k], 2 * n), even[n]);
                odd[n] = multiply_add(half(registers.tile[a][m], 2 * k + 1), half(registers.tile[b][k], 2 * n + 1), odd[n]);
            }
        for (int n = 0; n < kPairs; ++n) {
            float sum;
            std::memcpy(&sum, registers.tile[c][m] + 4 * n, sizeof sum);
            sum = flushed(flushed(sum) + flushed(even[n] + odd[n]));
            std::memcpy(registers.tile[c][m] + 4 * n, &sum, sizeof sum);
        }
    }
}

#define HG_TILE_ZERO(number) tiles::zero(number)
#define HG_TILE_LOAD(number, from, stride) tiles::load(number, from, stride)
#define HG_TILE_STORE(number, to, stride) tiles::store(number, to, stride)
#define HG_TILE_DOT(c, a, b) tiles::dot(c, a, b)

}  // namespace tiles

#endif

}  // namespace handgrad::HANDGRAD_ISA
