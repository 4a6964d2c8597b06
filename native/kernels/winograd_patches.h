// The patches of Winograd's convolution, read from images and transformed; part of winograd.cpp.
#pragma once

#include "kernels/bf16_simd.h"
#include "kernels/index.h"
#include "kernels/simd.h"
#include "kernels/toom_cook.h"
#include "kernels/winograd.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

using V = VecF;
using VecI = Lanes<float>::Index;
constexpr int kWidth = kLanes<float>;

// The largest magnitude, as bits.
struct Largest {
    VecI bits{};
    HG_INLINE VecI magnitude(V v) {
        VecI as_integers;
        __builtin_memcpy(&as_integers, &v, sizeof v);
        return as_integers & 0x7fffffff;
    }
    inline __attribute__((always_inline)) void see(V v) {
        const VecI seen = magnitude(v);
        bits = seen > bits ? seen : bits;
    }
    inline __attribute__((always_inline)) void put(int32_t* largest) const {
        for (int i = 0; i < kWidth; ++i) *largest = bits[i] > *largest ? bits[i] : *largest;
    }
};

// to += step, hidden from the compiler, which would keep one pointer for each step in memory.
template <class T>
HG_INLINE void advance(T*& to, int64_t step) {
    to += step;
    asm("" : "+r"(to));
}

struct Place {
    int64_t y, x, image;
};

HG_INLINE Place place_of(const TileGrid& grid, int64_t tile) {
    const int64_t column = tile % grid.columns, row = tile / grid.columns % grid.rows;
    return {row * grid.step + grid.y0, column * grid.step + grid.x0, tile / grid.columns / grid.rows};
}

// The pixels of a patch, zeros outside of the image; where it was `pooled`, their windows.  Numbers have 4 bytes or 2.
template <int size, bool pooled>
struct Patch {
    const char* at[size][size];
    const uint8_t* places[pooled ? size : 1][size];
    HG_INLINE void find(Patch& patch, const TileGrid& grid, const AnySource& from, const float* zeros, int64_t tile,
                        int64_t channel) {
        const Place place = place_of(grid, tile);
        constexpr int halves = pooled;
        const auto* pixels = static_cast<const char*>(from.x);
        const int64_t bytes = from.is_half ? sizeof(Bf16) : sizeof(float);
        const int64_t line = (grid.W >> halves) * grid.C, image = place.image * (grid.H >> halves) * line + channel;
        int64_t rows[size], columns[size];  // where they begin, or less than nothing
#pragma GCC unroll 12
        for (int i = 0; i < size; ++i) {
            const int64_t y = place.y + i, x = place.x + i;
            rows[i] = static_cast<uint64_t>(y) < static_cast<uint64_t>(grid.H) ? image + (y >> halves) * line : kOutside;
            columns[i] = static_cast<uint64_t>(x) < static_cast<uint64_t>(grid.W) ? (x >> halves) * grid.C : kOutside;
        }
#pragma GCC unroll 12
        for (int i = 0; i < size; ++i)
#pragma GCC unroll 12
            for (int j = 0; j < size; ++j) {
                const int64_t at = rows[i] + columns[j];
                patch.at[i][j] = at >= 0 ? pixels + at * bytes : reinterpret_cast<const char*>(zeros);
                if constexpr (pooled) patch.places[i][j] = from.places + (at >= 0 ? at : 0);
            }
    }
    static constexpr int64_t kOutside = -(int64_t{1} << 62);
};

// The pixels of a patch as float32: of bf16 numbers, or in fewer channels than a vector has, with zeros behind them.
template <int size, bool pooled>
struct Rest {
    Patch<size, pooled> patch;
    float pixels[size][size][kWidth];
    uint8_t places[size][size][kWidth];
    Rest() {
        for (int i = 0; i < size; ++i)
            for (int j = 0; j < size; ++j) {
                patch.at[i][j] = reinterpret_cast<const char*>(pixels[i][j]);
                if constexpr (pooled) patch.places[i][j] = places[i][j];
            }
    }
    void copy(const Patch<size, pooled>& from, bool is_half, int64_t first, int64_t count) {
        for (int i = 0; i < size; ++i)
            for (int j = 0; j < size; ++j) {
                const auto* at = reinterpret_cast<const float*>(from.at[i][j]) + first;
                const auto* half = reinterpret_cast<const Bf16*>(from.at[i][j]) + first;
                store(pixels[i][j], is_half ? load_some(half, count) : load_some<float>(at, count));
                if constexpr (pooled) __builtin_memcpy(places[i][j], from.places[i][j] + first, static_cast<size_t>(count));
            }
    }
    // A whole vector of bf16; what the next patch reads new is fetched.
    void widen(const Patch<size, pooled>& from, const Patch<size, pooled>& next, int overlap, int64_t first) {
        for (int i = 0; i < size; ++i)
            for (int j = 0; j < size; ++j) {
                store(pixels[i][j], load(reinterpret_cast<const Bf16*>(from.at[i][j]) + first));
                if (i >= overlap && j >= overlap) __builtin_prefetch(reinterpret_cast<const Bf16*>(next.at[i][j]) + first);
                if constexpr (pooled) __builtin_memcpy(places[i][j], from.places[i][j] + first, kWidth);
            }
    }
};

template <class Map, bool pooled>
void patches_of(const TileGrid& grid, const AnySource& source, const float* zeros, int64_t first, int64_t count,
                int64_t channel, int64_t channels, const TilePlaces& to, float* v, int32_t* largest) {
    constexpr int in = Map::in, out = Map::out;
    using Found = Patch<in, pooled>;
    const int64_t plane = to.plane;
    VecI numbers[2][2];  // in their windows, of pixels in even and odd rows and columns of a patch
    for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 2; ++j) numbers[i][j] = VecI{} + static_cast<int32_t>(2 * ((grid.y0 + i) & 1) + ((grid.x0 + j) & 1));
    Largest seen;
    Rest<in, pooled> rest;
    Found found[2];  // of this tile and of the next
    Found::find(found[0], grid, source, zeros, first, channel);
    for (int64_t t = 0; t < count; ++t) {
        const Found& patch = found[t & 1];
        Found& next = found[(t + 1) & 1];
        Found::find(next, grid, source, zeros, first + (t + 1 < count ? t + 1 : t), channel);
        float* target = v + t / to.group * to.group_stride + t % to.group * to.row_stride;
        float* next_target = v + (t + 1) / to.group * to.group_stride + (t + 1) % to.group * to.row_stride;
        // One loop for whole vectors and for the rest: the transform is much code, and is here once.
        for (int64_t c = 0; c < channels; c += kWidth) {
            const Found* pixels = &patch;
            int64_t at = c;
            const bool is_whole = channels - c >= kWidth;
            if (!is_whole || source.is_half) {
                is_whole ? rest.widen(patch, next, Map::overlap, c) : rest.copy(patch, source.is_half, c, channels - c);
                pixels = &rest.patch, at = 0;
            }
            const Found& ahead = source.is_half ? rest.patch : next;
            const int64_t place = c / 16 * to.block_stride + c % 16;
            float *here = target + place, *after = next_target + place;
            transform<Map>(
                [&](int i, int j) {
                    if (i >= Map::overlap && j >= Map::overlap && (!pooled || (i & j & 1))) {
                        __builtin_prefetch(reinterpret_cast<const float*>(ahead.at[i][j]) + c);
                        if constexpr (pooled) __builtin_prefetch(next.places[i][j] + c);
                    }
                    const V pixel = load(reinterpret_cast<const float*>(pixels->at[i][j]) + at);
                    if constexpr (!pooled) return pixel;
                    return get_index<float>(pixels->places[pooled ? i : 0][j] + at) == numbers[i & 1][j & 1] ? pixel : V{};
                },
                [&](int i, int j, V value) {
                    if (i == 1 && j == 1) seen.see(value);
                    store(here + j * plane, value);
                    __builtin_prefetch(after + j * plane, 1);
                    if (j + 1 < out) return;
                    advance(here, out * plane);
                    advance(after, out * plane);
                });
        }
    }
    seen.put(largest);
}

template <class Map>
void patches(const TileGrid& grid, const AnySource& from, const float* zeros, int64_t first, int64_t count, int64_t channel,
             int64_t channels, const TilePlaces& to, float* v, int32_t* largest) {
    (from.places ? patches_of<Map, true> : patches_of<Map, false>)(grid, from, zeros, first, count, channel, channels, to,
                                                                   v, largest);
}

}  // namespace
}  // namespace handgrad::HANDGRAD_ISA
