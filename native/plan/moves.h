// Rows of a batch out of what a plan is fed with, as they are stored, or mirrored and shifted.
#pragma once
#include <algorithm>
#include <cstdint>

#include "plan/plan.h"

namespace handgrad {

// Writes `count` numbers of a row from place `at` on, which are of one channel where a table prepares them.
template <class T>
void copy_span(const Feed& feed, int64_t row, int64_t at, int64_t count, T* out) {
    const int64_t first = row * feed.x_size + at;
    if (feed.x_kind == Number::kFloat) {
        const float* x = static_cast<const float*>(feed.X) + first;
        for (int64_t i = 0; i < count; ++i) out[i] = static_cast<T>(x[i]);
    } else if (feed.x_kind == Number::kDouble) {
        const double* x = static_cast<const double*>(feed.X) + first;
        for (int64_t i = 0; i < count; ++i) out[i] = static_cast<T>(x[i]);
    } else if (feed.table) {
        const uint8_t* x = static_cast<const uint8_t*>(feed.X) + first;
        const T* values = static_cast<const T*>(feed.table) + at / (feed.x_size / feed.channels) * 256;
        for (int64_t i = 0; i < count; ++i) out[i] = values[x[i]];
    } else {
        const uint8_t* x = static_cast<const uint8_t*>(feed.X) + first;
        const double *mean = feed.mean + at, *std = feed.std ? feed.std + at : nullptr;
        if (!std)
            for (int64_t i = 0; i < count; ++i) out[i] = static_cast<T>(static_cast<double>(x[i]) - mean[i]);
        else
            for (int64_t i = 0; i < count; ++i) out[i] = static_cast<T>((static_cast<double>(x[i]) - mean[i]) / std[i]);
    }
}

// Writes the image `row`, mirrored if `move` says so, then out[y][x] = image[y + down][x + right], 0 beyond its edges.
template <class T>
void copy_moved(const Feed& feed, int64_t row, const int32_t* move, T* out) {
    const int64_t H = feed.height, W = feed.width, down = move[1], right = move[2];
    const int64_t first = std::clamp<int64_t>(-right, 0, W), last = std::clamp<int64_t>(W - right, first, W);
    const int64_t from = move[0] ? W - last - right : first + right;
    for (int64_t line = 0; line < feed.x_size / W; ++line) {
        T* to = out + line * W;
        const int64_t y = line % H + down;
        if (y < 0 || y >= H || first == last) {
            std::fill(to, to + W, T(0));
            continue;
        }
        std::fill(to, to + first, T(0));
        copy_span(feed, row, (line - line % H + y) * W + from, last - first, to + first);
        if (move[0]) std::reverse(to + first, to + last);
        std::fill(to + last, to + W, T(0));
    }
}

}  // namespace handgrad
