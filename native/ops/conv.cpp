#include "ops/conv.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "ops/direct_conv.h"
#include "ops/product.h"
#include "ops/winograd.h"

namespace handgrad {
namespace {

std::atomic<ConvMode> mode{[] {
    const char* wanted = std::getenv("HANDGRAD_CONV");
    return wanted && std::strcmp(wanted, "exact") == 0 ? ConvMode::kExact : ConvMode::kFast;
}()};

bool fast() { return mode == ConvMode::kFast; }

}  // namespace

void set_conv_mode(ConvMode wanted) { mode = wanted; }
ConvMode conv_mode() { return mode; }

template <class T>
void conv_forward(const ConvSizes& s, const T* x, const T* w, const T* b, T* out) {
    if constexpr (std::is_same_v<T, float>)
        if (fast() && winograd_forward(s, x, w, b, {out, nullptr, false})) return;
    direct_forward(s, x, w, b, out);
}

template <class T>
void conv_backward_input(const ConvSizes& s, const T* dout, const T* w, T* dx) {
    if constexpr (std::is_same_v<T, float>)
        if (fast() && winograd_backward_input(s, {dout, nullptr}, w, dx)) return;
    direct_backward_input(s, dout, w, dx);
}

template <class T>
void conv_backward_weights(const ConvSizes& s, const T* dout, const T* x, T* dw, T* db) {
    if (db) column_sums(dout, times(s.N, s.OH, s.OW), s.F, db);
    if constexpr (std::is_same_v<T, float>)
        if (fast() && winograd_backward_weights(s, {dout, nullptr}, x, dw)) return;
    direct_backward_weights(s, dout, x, dw);
}

#define HG_INSTANTIATE(T)                                                             \
    template void conv_forward(const ConvSizes&, const T*, const T*, const T*, T*);   \
    template void conv_backward_input(const ConvSizes&, const T*, const T*, T*);      \
    template void conv_backward_weights(const ConvSizes&, const T*, const T*, T*, T*);
HG_INSTANTIATE(float)
HG_INSTANTIATE(double)

}  // namespace handgrad
