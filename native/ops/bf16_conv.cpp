#include "ops/bf16_conv.h"

#include "core/buffers.h"
#include "ops/bf16_product.h"

namespace handgrad {
namespace {

// A float32 copy of n numbers; of none where x is null.
Scratch<float> full(const Bf16* x, int64_t n) {
    Scratch<float> copy(x ? n : 0);
    if (x) to_float(x, n, copy.get());
    return copy;
}

int64_t inputs(const ConvSizes& s) { return times(s.N, s.H, s.W, s.C); }
int64_t outputs(const ConvSizes& s) { return times(s.N, s.OH, s.OW, s.F); }
int64_t pooled(const ConvSizes& s) { return times(s.N, s.OH / 2, s.OW / 2, s.F); }

}  // namespace

void conv_forward(const ConvSizes& s, const Bf16* x, const float* w, const Sink<Bf16>& to) {
    const int64_t count = to.places ? pooled(s) : outputs(s);
    const Scratch<float> images = full(x, inputs(s)), out(count);
    conv_forward<float>(s, images.get(), w, {out.get(), to.bias, to.places, to.rectify});
    to_bf16(out.get(), count, to.out);
}

void conv_backward(const ConvSizes& s, const Source<Bf16>& dout, const Bf16* x, const float* w, const ConvGradients<Bf16>& to) {
    const Scratch<float> gradients = full(dout.x, dout.places ? pooled(s) : outputs(s));
    const Scratch<float> images = full(to.dw ? x : nullptr, inputs(s)), dx(to.dx ? inputs(s) : 0);
    conv_backward<float>(s, {gradients.get(), dout.places}, to.dw ? images.get() : nullptr, w,
                         {to.dx ? dx.get() : nullptr, to.dw, to.db});
    if (to.dx) to_bf16(dx.get(), inputs(s), to.dx);
}

void conv_transpose_forward(const ConvSizes& s, const Bf16* x, const float* w, const float* b, Bf16* out) {
    const Scratch<float> images = full(x, outputs(s)), result(inputs(s));
    conv_transpose_forward<float>(s, images.get(), w, b, result.get());
    to_bf16(result.get(), inputs(s), out);
}

void conv_transpose_backward(const ConvSizes& s, const Bf16* dout, const Bf16* x, const float* w,
                             const ConvGradients<Bf16>& to) {
    const Scratch<float> gradients = full(dout, inputs(s));
    const Scratch<float> images = full(to.dw ? x : nullptr, outputs(s)), dx(to.dx ? outputs(s) : 0);
    conv_transpose_backward<float>(s, gradients.get(), to.dw ? images.get() : nullptr, w,
                                   {to.dx ? dx.get() : nullptr, to.dw, to.db});
    if (to.dx) to_bf16(dx.get(), outputs(s), to.dx);
}

}  // namespace handgrad
