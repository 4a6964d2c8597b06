#include "ops/conv.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "core/buffers.h"
#include "core/threads.h"
#include "ops/direct_conv.h"
#include "ops/grouped_conv.h"
#include "ops/norm.h"
#include "ops/product.h"
#include "ops/stem.h"
#include "ops/winograd.h"

namespace handgrad {
namespace {

std::atomic<ConvMode> mode{[] {
    const char* wanted = std::getenv("HANDGRAD_CONV");
    return wanted && std::strcmp(wanted, "exact") == 0 ? ConvMode::kExact : ConvMode::kFast;
}()};

// Whether Winograd's algorithm may be asked; with a pooling, of one window at least.
template <class T>
bool fast(const ConvSizes& s, bool pooled) {
    return std::is_same_v<T, float> && mode == ConvMode::kFast && s.groups == 1 && (!pooled || (s.OH >= 2 && s.OW >= 2));
}

PoolSizes pool_of(const ConvSizes& s) { return {s.N, s.F, s.OH, s.OW, 2, 2, 2, 2, s.OH / 2, s.OW / 2}; }

// db = the sum of dout, with places over the windows that are open.
template <class T>
void sum_gradients(const ConvSizes& s, const Source<T>& dout, T* db) {
    if (!dout.places) return column_sums(dout.x, times(s.N, s.OH, s.OW), s.F, db);
    const int64_t windows = times(s.N, s.OH / 2, s.OW / 2);
    Scratch<T> open(times(windows, s.F));
    for_chunks(times(windows, s.F), [&](int64_t at, int64_t n) {
        for (int64_t i = at; i < at + n; ++i) open.get()[i] = dout.places[i] < 4 ? dout.x[i] : T(0);
    });
    column_sums(open.get(), windows, s.F, db);
}

}  // namespace

void set_conv_mode(ConvMode wanted) { mode = wanted; }
ConvMode conv_mode() { return mode; }

bool conv_takes_pool(const ConvSizes& s, bool rectify) {
    return (rectify && pooled_fits(s)) || (fast<float>(s, true) && winograd_takes(s));
}

template <class T>
void conv_forward(const ConvSizes& s, const T* x, const T* w, const Sink<T>& to) {
    if constexpr (std::is_same_v<T, float>) {
        if (fast<T>(s, to.places) && winograd_forward(s, Source<T>{x}, w, to)) return;
        if (to.places && to.rectify && pooled_fits(s)) return pooled_forward(s, x, w, to);
    }
    Scratch<T> images(to.places ? times(s.N, s.OH, s.OW, s.F) : 0);
    const Sink<T> all{to.places ? images.get() : to.out, to.bias};
    (s.groups > 1 ? grouped_forward<T> : direct_forward<T>)(s, x, w, all);
    if (to.places) max_pool_forward<T>(pool_of(s), nullptr, to.rectify, images.get(), to.out, nullptr, to.places);
}

template <class T>
void conv_backward(const ConvSizes& s, const Source<T>& dout, const T* x, const T* w, const ConvGradients<T>& to) {
    if constexpr (std::is_same_v<T, float>)
        if (dout.places && !to.dx && pooled_fits(s) && pooled_gradients(s, dout, x, to.dw, to.db)) return;
    const bool may = fast<T>(s, dout.places);
    Scratch<T> unpooled;  // the gradient of all the outputs, once somebody asks for it
    const auto all = [&] {
        if (!dout.places) return dout.x;
        if (!unpooled.get()) {
            unpooled = Scratch<T>(times(s.N, s.OH, s.OW, s.F));
            max_pool_backward<T>(pool_of(s), dout.x, dout.places, unpooled.get());
        }
        return static_cast<const T*>(unpooled.get());
    };
    const auto weights_at_once = [&] {
        if constexpr (std::is_same_v<T, float>) return may && winograd_backward_weights(s, dout, Source<T>{x}, to.dw);
        return false;
    };
    const auto input_at_once = [&] {
        if constexpr (std::is_same_v<T, float>) return may && winograd_backward_input(s, dout, w, Sink<T>{to.dx});
        return false;
    };
    if (to.db) sum_gradients(s, dout, to.db);
    if (to.dw && !weights_at_once()) (s.groups > 1 ? grouped_backward_weights<T> : direct_backward_weights<T>)(s, all(), x, to.dw);
    if (to.dx && !input_at_once()) (s.groups > 1 ? grouped_backward_input<T> : direct_backward_input<T>)(s, all(), w, to.dx);
}

template <class T>
void conv_transpose_forward(const ConvSizes& s, const T* x, const T* w, const T* b, T* out) {
    conv_backward<T>(s, {x}, nullptr, w, {out, nullptr, nullptr});
    parallel(times(s.N, s.H), [&](int64_t line, int) {
        T* to = out + line * s.W * s.C;
        for (int64_t j = 0; j < s.W; ++j, to += s.C)
            for (int64_t f = 0; f < s.C; ++f) to[f] += b[f];
    });
}

template <class T>
void conv_transpose_backward(const ConvSizes& s, const T* dout, const T* x, const T* w, const ConvGradients<T>& to) {
    if (to.dx) conv_forward<T>(s, dout, w, {to.dx});
    if (to.dw) conv_backward<T>(s, {x}, dout, nullptr, {nullptr, to.dw, nullptr});
    if (to.db) column_sums(dout, times(s.N, s.H, s.W), s.C, to.db);
}

#define HG_INSTANTIATE(T)                                                              \
    template void conv_forward(const ConvSizes&, const T*, const T*, const Sink<T>&);  \
    template void conv_backward(const ConvSizes&, const Source<T>&, const T*, const T*, const ConvGradients<T>&); \
    template void conv_transpose_forward(const ConvSizes&, const T*, const T*, const T*, T*);                     \
    template void conv_transpose_backward(const ConvSizes&, const T*, const T*, const T*, const ConvGradients<T>&);
HG_INSTANTIATE(float)
HG_INSTANTIATE(double)

}  // namespace handgrad
