#include "ops/upsample.h"

#include <algorithm>
#include <cstring>

#include "core/buffers.h"
#include "core/threads.h"
#include "ops/stored.h"

namespace handgrad {
namespace {

// The two neighbours that line i of the output is made of, and their shares.
template <class T>
struct Neighbours {
    int64_t line[2];
    T share[2];
};

template <class T>
Neighbours<T> source(int64_t i, int64_t scale, int64_t size, bool bilinear) {
    if (!bilinear) return {{i / scale, i / scale}, {T(1), T(0)}};
    const double place = std::max((static_cast<double>(i) + 0.5) / static_cast<double>(scale) - 0.5, 0.0);
    const auto line = static_cast<int64_t>(place);
    const double share = place - static_cast<double>(line);
    return {{line, std::min(line + 1, size - 1)}, {static_cast<T>(1 - share), static_cast<T>(share)}};
}

template <class T>
Scratch<Neighbours<T>> sources(int64_t scale, int64_t size, bool bilinear) {
    Scratch<Neighbours<T>> made(times(scale, size));
    for (int64_t i = 0; i < scale * size; ++i) made.get()[i] = source<T>(i, scale, size, bilinear);
    return made;
}

UpsampleSizes some_images(const UpsampleSizes& s, int64_t count) {
    UpsampleSizes some = s;
    some.N = count;
    return some;
}

}  // namespace

template <class T>
void upsample_forward(const UpsampleSizes& s, const T* x, T* out) {
    const int64_t OH = times(s.H, s.scale_y), OW = times(s.W, s.scale_x), C = s.C;
    const auto rows = sources<T>(s.scale_y, s.H, s.bilinear), columns = sources<T>(s.scale_x, s.W, s.bilinear);
    parallel(times(s.N, OH), [&](int64_t line, int) {
        const Neighbours<T> row = rows.get()[line % OH];
        const T* above = x + (line / OH * s.H + row.line[0]) * s.W * C;
        const T* below = x + (line / OH * s.H + row.line[1]) * s.W * C;
        for (int64_t j = 0; j < OW; ++j) {
            const Neighbours<T> column = columns.get()[j];
            const int64_t left = column.line[0] * C, right = column.line[1] * C;
            T* __restrict to = out + (line * OW + j) * C;
            if (!s.bilinear) {
                std::memcpy(to, above + left, static_cast<size_t>(C) * sizeof(T));
                continue;
            }
            const T a = row.share[0] * column.share[0], b = row.share[0] * column.share[1];
            const T c = row.share[1] * column.share[0], d = row.share[1] * column.share[1];
            for (int64_t k = 0; k < C; ++k)
                to[k] = a * above[left + k] + b * above[right + k] + c * below[left + k] + d * below[right + k];
        }
    });
}

// Line r of x takes part in the lines [(r - 1) scale, (r + 2) scale) of the output at most.
template <class T>
void upsample_backward(const UpsampleSizes& s, const T* dout, T* dx) {
    const int64_t OH = times(s.H, s.scale_y), OW = times(s.W, s.scale_x), C = s.C;
    const auto rows = sources<T>(s.scale_y, s.H, s.bilinear), columns = sources<T>(s.scale_x, s.W, s.bilinear);
    parallel(times(s.N, s.H), [&](int64_t line, int) {
        const int64_t n = line / s.H, r = line % s.H;
        T* to = dx + line * s.W * C;
        std::fill_n(to, s.W * C, T(0));
        for (int64_t i = std::max<int64_t>(0, (r - 1) * s.scale_y); i < std::min(OH, (r + 2) * s.scale_y); ++i)
            for (int side = 0; side < 2; ++side) {
                const T share = rows.get()[i].share[side];
                if (rows.get()[i].line[side] != r || share == 0) continue;
                for (int64_t j = 0; j < OW; ++j) {
                    const Neighbours<T> column = columns.get()[j];
                    const T* from = dout + ((n * OH + i) * OW + j) * C;
                    for (int end = 0; end < 2; ++end) {
                        const T factor = share * column.share[end];
                        T* __restrict target = to + column.line[end] * C;
                        if (column.share[end] != 0)
                            for (int64_t k = 0; k < C; ++k) target[k] += factor * from[k];
                    }
                }
            }
    });
}

template <>
void upsample_forward(const UpsampleSizes& s, const Bf16* x, Bf16* out) {
    const int64_t inside = times(s.H, s.W, s.C), outside = times(inside, s.scale_y, s.scale_x);
    for_images(s.N, outside, [&](int64_t first, int64_t count) {
        const Read<Bf16> images(x + first * inside, count * inside);
        const Write<Bf16> result(out + first * outside, count * outside);
        upsample_forward<float>(some_images(s, count), images.get(), result.get());
    });
}

template <>
void upsample_backward(const UpsampleSizes& s, const Bf16* dout, Bf16* dx) {
    const int64_t inside = times(s.H, s.W, s.C), outside = times(inside, s.scale_y, s.scale_x);
    for_images(s.N, outside, [&](int64_t first, int64_t count) {
        const Read<Bf16> upstream(dout + first * outside, count * outside);
        const Write<Bf16> result(dx + first * inside, count * inside);
        upsample_backward<float>(some_images(s, count), upstream.get(), result.get());
    });
}

#define HG_INSTANTIATE(T)                                                       \
    template void upsample_forward(const UpsampleSizes&, const T*, T*);         \
    template void upsample_backward(const UpsampleSizes&, const T*, T*);
HG_INSTANTIATE(float)
HG_INSTANTIATE(double)

}  // namespace handgrad
