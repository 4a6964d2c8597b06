#include "ops/conv_pool.h"

#include "core/buffers.h"
#include "core/threads.h"
#include "ops/direct_conv.h"
#include "ops/norm.h"
#include "ops/product.h"
#include "ops/winograd.h"

namespace handgrad {
namespace {

// Whether Winograd's algorithm may compute these sizes, which have a window.
bool fast(const ConvSizes& s) { return conv_mode() == ConvMode::kFast && s.OH >= 2 && s.OW >= 2; }

PoolSizes pool_of(const ConvSizes& s) { return {s.N, s.F, s.OH, s.OW, 2, 2, 2, 2, s.OH / 2, s.OW / 2}; }

// db = sum of dout over the windows that are open.
void sum_open(const float* dout, const uint8_t* places, int64_t windows, int64_t F, float* db) {
    Scratch<float> open(times(windows, F));
    for_chunks(times(windows, F), [&](int64_t at, int64_t n) {
        for (int64_t i = at; i < at + n; ++i) open.get()[i] = places[i] < 4 ? dout[i] : 0.0f;
    });
    column_sums(open.get(), windows, F, db);
}

}  // namespace

bool conv_pool_fits(const ConvSizes& s) { return fast(s) && winograd_takes(s); }

void conv_pool_forward(const ConvSizes& s, const float* x, const float* w, const float* b, bool rectify, float* out,
                       uint8_t* places) {
    if (fast(s) && winograd_forward(s, x, w, b, {out, places, rectify})) return;
    Scratch<float> y(times(s.N, s.OH, s.OW, s.F));
    direct_forward(s, x, w, b, y.get());
    max_pool_forward<float>(pool_of(s), nullptr, rectify, y.get(), out, nullptr, places);
}

void conv_pool_backward(const ConvSizes& s, const float* dout, const uint8_t* places, const float* x, const float* w,
                        float* dx, float* dw, float* db) {
    sum_open(dout, places, times(s.N, s.OH / 2, s.OW / 2), s.F, db);
    const Pixels chosen{dout, places};
    Scratch<float> dy;  // the gradient of the convolution's output, if somebody asks for it
    const auto unpooled = [&] {
        if (!dy.get()) {
            dy = Scratch<float>(times(s.N, s.OH, s.OW, s.F));
            max_pool_backward<float>(pool_of(s), dout, places, dy.get());
        }
        return dy.get();
    };
    if (!fast(s) || !winograd_backward_weights(s, chosen, x, dw)) direct_backward_weights(s, unpooled(), x, dw);
    if (dx && (!fast(s) || !winograd_backward_input(s, chosen, w, dx))) direct_backward_input(s, unpooled(), w, dx);
}

}  // namespace handgrad
