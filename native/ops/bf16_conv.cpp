#include "ops/bf16_conv.h"

#include "core/buffers.h"
#include "core/threads.h"
#include "ops/bf16_product.h"
#include "ops/bf16_windows.h"
#include "ops/stem.h"
#include "ops/winograd.h"

namespace handgrad {
namespace {

int64_t inputs(const ConvSizes& s) { return times(s.N, s.H, s.W, s.C); }
int64_t outputs(const ConvSizes& s) { return times(s.N, s.OH, s.OW, s.F); }
int64_t pooled(const ConvSizes& s) { return times(s.N, s.OH / 2, s.OW / 2, s.F); }

// Whether Winograd's algorithm may be asked; with a pooling, of one window at least.
bool fast(const ConvSizes& s, bool is_pooled) {
    return conv_mode() == ConvMode::kFast && s.groups == 1 && (!is_pooled || (s.OH >= 2 && s.OW >= 2));
}

// A float32 copy of n numbers; of none where x is null.
Scratch<float> full(const Bf16* x, int64_t n) {
    Scratch<float> copy(x ? n : 0);
    if (x) to_float(x, n, copy.get());
    return copy;
}

// The same by the drivers of float32, of images that are copied.
void full_forward(const ConvSizes& s, const Bf16* x, const float* w, const Sink<Bf16>& to) {
    const int64_t count = to.places ? pooled(s) : outputs(s);
    const Scratch<float> images = full(x, inputs(s)), out(count);
    conv_forward<float>(s, images.get(), w, {out.get(), to.bias, to.places, to.rectify});
    to_bf16(out.get(), count, to.out);
}

void full_backward(const ConvSizes& s, const Source<Bf16>& dout, const Bf16* x, const float* w, const ConvGradients<Bf16>& to) {
    const Scratch<float> gradients = full(dout.x, dout.places ? pooled(s) : outputs(s));
    const Scratch<float> images = full(to.dw ? x : nullptr, inputs(s)), dx(to.dx ? inputs(s) : 0);
    conv_backward<float>(s, {gradients.get(), dout.places}, to.dw ? images.get() : nullptr, w,
                         {to.dx ? dx.get() : nullptr, to.dw, to.db});
    if (to.dx) to_bf16(dx.get(), inputs(s), to.dx);
}

// Calls body(output, input, step): number `output` of the pooled images, and the first of its window in the images, of
// which the next are one, `line` and `line` + one pixel further.
template <class Body>
void for_windows(const ConvSizes& s, Body&& body) {
    const int64_t height = s.OH / 2, width = s.OW / 2;
    parallel(times(s.N, height), [&](int64_t row, int) {
        const int64_t image = row / height, y = row % height;
        for (int64_t x = 0; x < width; ++x)
            for (int64_t f = 0; f < s.F; ++f)
                body((row * width + x) * s.F + f, ((image * s.OH + 2 * y) * s.OW + 2 * x) * s.F + f);
    });
}

// The first of the largest elements of each window, or the first NaN, as everywhere.
void pool(const ConvSizes& s, const Bf16* images, const Sink<Bf16>& to) {
    for_windows(s, [&](int64_t out, int64_t in) {
        float best = to_float(images[in]);
        uint8_t place = 0;
        for (uint8_t k = 1; k < 4; ++k) {
            const float value = to_float(images[in + (k / 2 * s.OW + k % 2) * s.F]);
            if (!(value <= best) && best == best) best = value, place = k;
        }
        if (to.rectify && !(best > 0)) place = 4, best = best < 0 ? 0 : best;
        to.out[out] = to_bf16(best);
        to.places[out] = place;
    });
}

Scratch<Bf16> unpool(const ConvSizes& s, const Source<Bf16>& dout) {
    Scratch<Bf16> all(outputs(s));
    for_chunks(outputs(s), [&](int64_t at, int64_t n) { std::fill_n(all.get() + at, n, Bf16{}); });
    for_windows(s, [&](int64_t out, int64_t in) {
        const int64_t place = dout.places[out];
        if (place < 4) all.get()[in + (place / 2 * s.OW + place % 2) * s.F] = dout.x[out];
    });
    return all;
}

}  // namespace

void conv_forward(const ConvSizes& s, const Bf16* x, const float* w, const Sink<Bf16>& to) {
    if (fast(s, to.places) && winograd_forward(s, Source<Bf16>{x}, w, to)) return;
    if (s.groups > 1 || (to.places && to.rectify && pooled_fits(s))) return full_forward(s, x, w, to);
    if (!to.places) return windows_forward(s, x, w, to);
    Scratch<Bf16> images(outputs(s));
    windows_forward(s, x, w, {images.get(), to.bias});
    pool(s, images.get(), to);
}

void conv_backward(const ConvSizes& s, const Source<Bf16>& dout, const Bf16* x, const float* w, const ConvGradients<Bf16>& to) {
    if (s.groups > 1 || (dout.places && !to.dx && pooled_fits(s))) return full_backward(s, dout, x, w, to);
    const bool may = fast(s, dout.places);
    Scratch<Bf16> unpooled;  // the gradient of all the outputs, once somebody asks for it
    const auto all = [&]() -> const Bf16* {
        if (!dout.places) return dout.x;
        if (!unpooled.get()) unpooled = unpool(s, dout);
        return unpooled.get();
    };
    if (to.db) column_sums(dout.x, dout.places, dout.places ? times(s.N, s.OH / 2, s.OW / 2) : times(s.N, s.OH, s.OW), s.F, to.db);
    if (to.dw && !(may && winograd_backward_weights(s, dout, Source<Bf16>{x}, to.dw))) windows_backward_weights(s, all(), x, to.dw);
    if (to.dx && !(may && winograd_backward_input(s, dout, w, Sink<Bf16>{to.dx}))) windows_backward_input(s, all(), w, to.dx);
}

void conv_transpose_forward(const ConvSizes& s, const Bf16* x, const float* w, const float* b, Bf16* out) {
    if (s.groups > 1) {
        const Scratch<float> images = full(x, outputs(s)), result(inputs(s));
        conv_transpose_forward<float>(s, images.get(), w, b, result.get());
        return to_bf16(result.get(), inputs(s), out);
    }
    conv_backward(s, {x}, nullptr, w, {out, nullptr, nullptr});
    parallel(times(s.N, s.H), [&](int64_t line, int) {
        Bf16* to = out + line * s.W * s.C;
        for (int64_t j = 0; j < s.W; ++j, to += s.C)
            for (int64_t c = 0; c < s.C; ++c) to[c] = to_bf16(to_float(to[c]) + b[c]);
    });
}

void conv_transpose_backward(const ConvSizes& s, const Bf16* dout, const Bf16* x, const float* w,
                             const ConvGradients<Bf16>& to) {
    if (to.dx) conv_forward(s, dout, w, Sink<Bf16>{to.dx});
    if (to.dw) conv_backward(s, {x}, dout, nullptr, {nullptr, to.dw, nullptr});
    if (to.db) column_sums(dout, nullptr, times(s.N, s.H, s.W), s.C, to.db);
}

}  // namespace handgrad
