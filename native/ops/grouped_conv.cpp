// Groups of a few channels go through the vector kernels, a row of places at a time; larger ones are
// copied out of the images, and are convolutions of their own.
#include "ops/grouped_conv.h"

#include <algorithm>

#include "core/threads.h"
#include "kernels/dispatch.h"
#include "ops/patches.h"

namespace handgrad {
namespace {

constexpr int64_t kRowsOfTask = 8;

// What convolution s does with one of its groups.
ConvSizes of_group(const ConvSizes& s) {
    ConvSizes own = s;
    own.C = s.C / s.groups;
    own.F = s.F / s.groups;
    own.groups = 1;
    return own;
}

// Channels [first, first + count) of images of `channels`, to or from images that have only those.
template <class T>
void take_channels(const T* images, int64_t pixels, int64_t channels, int64_t first, int64_t count, T* own) {
    parallel(ceil_div(pixels, 1024), [&](int64_t chunk, int) {
        for (int64_t p = chunk * 1024; p < std::min(pixels, (chunk + 1) * 1024); ++p)
            copy_run(own + p * count, images + p * channels + first, count);
    });
}
template <class T>
void put_channels(const T* own, int64_t pixels, int64_t channels, int64_t first, int64_t count, T* images) {
    parallel(ceil_div(pixels, 1024), [&](int64_t chunk, int) {
        for (int64_t p = chunk * 1024; p < std::min(pixels, (chunk + 1) * 1024); ++p)
            copy_run(images + p * channels + first, own + p * count, count);
    });
}

// Places of the windows over the image, whose outputs lie side by side.
GroupSizes over_windows(const ConvSizes& s, const Taps& taps) {
    return {s.C / s.groups, s.F / s.groups, s.F, s.H, s.W, s.C, s.OH, s.OW, s.stride_y, s.stride_x, -s.pad_y, -s.pad_x,
            taps.count, taps.dy, taps.dx, s.OH, s.OW, 0, 0, 1, 1};
}

template <class T>
void correlate_all(const GroupSizes& s, int64_t N, const T* image, const T* w, const T* bias, T* out) {
    const int64_t rows = times(N, s.grid_h);
    parallel(ceil_div(rows, kRowsOfTask), [&](int64_t task, int) {
        kernels<T>().grouped.correlate(s, image, w, bias, task * kRowsOfTask,
                                       std::min(rows, (task + 1) * kRowsOfTask), out);
    });
}

}  // namespace

template <class T>
void grouped_forward(const ConvSizes& s, const T* x, const T* w, const Sink<T>& to) {
    const ConvSizes own = of_group(s);
    const int64_t area = times(s.HH, s.WW);
    if (kernels<T>().grouped.fits(own.C, own.F)) {
        const Scratch<T> filters = filter_columns<T>(s.F, own.C, area, w);
        const Taps taps = window(s);
        return correlate_all<T>(over_windows(s, taps), s.N, x, filters.get(), to.bias, to.out);
    }
    const int64_t pixels = times(s.N, s.H, s.W), places = times(s.N, s.OH, s.OW);
    Scratch<T> in(times(pixels, own.C)), result(times(places, own.F));
    for (int64_t g = 0; g < s.groups; ++g) {
        take_channels(x, pixels, s.C, g * own.C, own.C, in.get());
        const T* bias = to.bias ? to.bias + g * own.F : nullptr;
        conv_forward<T>(own, in.get(), w + g * own.F * own.C * area, {result.get(), bias});
        put_channels(result.get(), places, s.F, g * own.F, own.F, to.out);
    }
}

// The roles are exchanged: outputs are the pixels, and each phase of them modulo the stride sees its own
// taps, as in direct_conv.cpp.
template <class T>
void grouped_backward_input(const ConvSizes& s, const T* dout, const T* w, T* dx) {
    const ConvSizes own = of_group(s);
    const int64_t area = times(s.HH, s.WW);
    if (kernels<T>().grouped.fits(own.F, own.C)) {
        Taps taps(area);
        Scratch<T> filters(times(area, own.F, s.C));  // (tap, f, c)
        for (int64_t py = 0; py < std::min(s.stride_y, s.H); ++py)
            for (int64_t px = 0; px < std::min(s.stride_x, s.W); ++px) {
                taps.count = 0;
                for_taps_of_phase(s, py, px, [&](int64_t place, int64_t y, int64_t x) {
                    T* to = filters.get() + taps.count * own.F * s.C;
                    for (int64_t c = 0; c < s.C; ++c)
                        for (int64_t f = 0; f < own.F; ++f)
                            to[f * s.C + c] = w[((c / own.C * own.F + f) * own.C + c % own.C) * area + place];
                    taps.add(y, x);
                });
                const GroupSizes sizes{own.F, own.C, s.C, s.OH, s.OW, s.F, ceil_div(s.H - py, s.stride_y),
                                       ceil_div(s.W - px, s.stride_x), 1, 1, 0, 0, taps.count, taps.dy, taps.dx,
                                       s.H, s.W, py, px, s.stride_y, s.stride_x};
                correlate_all<T>(sizes, s.N, dout, filters.get(), nullptr, dx);
            }
        return;
    }
    const int64_t pixels = times(s.N, s.H, s.W), places = times(s.N, s.OH, s.OW);
    Scratch<T> upstream(times(places, own.F)), result(times(pixels, own.C));
    for (int64_t g = 0; g < s.groups; ++g) {
        take_channels(dout, places, s.F, g * own.F, own.F, upstream.get());
        conv_backward<T>(own, {upstream.get()}, nullptr, w + g * own.F * own.C * area, {result.get(), nullptr, nullptr});
        put_channels(result.get(), pixels, s.C, g * own.C, own.C, dx);
    }
}

template <class T>
void grouped_backward_weights(const ConvSizes& s, const T* dout, const T* x, T* dw) {
    const ConvSizes own = of_group(s);
    const int64_t area = times(s.HH, s.WW), places = times(s.N, s.OH, s.OW);
    if (kernels<T>().grouped.fits(own.C, own.F)) {
        const Taps taps = window(s);
        const GroupSizes sizes = over_windows(s, taps);
        constexpr int64_t kParts = 16;
        const int64_t rows = times(s.N, s.OH), each = std::max<int64_t>(4, ceil_div(rows, kParts));
        const int64_t parts = ceil_div(rows, each), count = times(area, own.C, s.F);
        Scratch<T> sums(times(parts, count));  // (part, tap, c, f)
        parallel(parts, [&](int64_t part, int) {
            T* sum = sums.get() + part * count;
            std::fill_n(sum, count, T(0));
            kernels<T>().grouped.weights(sizes, x, dout, part * each, std::min(rows, (part + 1) * each), sum);
        });
        for (int64_t f = 0; f < s.F; ++f)
            for (int64_t k = 0; k < area * own.C; ++k) {
                double total = 0;
                for (int64_t part = 0; part < parts; ++part)
                    total += static_cast<double>(sums.get()[part * count + k * s.F + f]);
                dw[(f * own.C + k % own.C) * area + k / own.C] = static_cast<T>(total);
            }
        return;
    }
    const int64_t pixels = times(s.N, s.H, s.W);
    Scratch<T> in(times(pixels, own.C)), upstream(times(places, own.F));
    for (int64_t g = 0; g < s.groups; ++g) {
        take_channels(x, pixels, s.C, g * own.C, own.C, in.get());
        take_channels(dout, places, s.F, g * own.F, own.F, upstream.get());
        conv_backward<T>(own, {upstream.get()}, in.get(), nullptr, {nullptr, dw + g * own.F * own.C * area, nullptr});
    }
}

#define HG_INSTANTIATE(T)                                                                      \
    template void grouped_forward(const ConvSizes&, const T*, const T*, const Sink<T>&);       \
    template void grouped_backward_input(const ConvSizes&, const T*, const T*, T*);            \
    template void grouped_backward_weights(const ConvSizes&, const T*, const T*, T*);
HG_INSTANTIATE(float)
HG_INSTANTIATE(double)

}  // namespace handgrad
