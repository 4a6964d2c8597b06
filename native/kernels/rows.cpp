// Sums, moments and normalisation over the rows of matrices (rows, channels).
//
// The loops go over a few vectors of channels at a time, down all rows; `V` is a vector of channels,
// or one channel behind the last whole vector.
#include "kernels/simd.h"
#include "kernels/table.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

template <class V, class T>
HG_INLINE V get(const T* from) {
    V v;
    __builtin_memcpy(&v, from, sizeof v);
    return v;
}

template <class V, class T>
HG_INLINE void put(T* to, V v) {
    __builtin_memcpy(to, &v, sizeof v);
}

// Calls body(V{}, channel) for all channels.
template <class T, class Body>
HG_INLINE void for_channels(int64_t channels, Body&& body) {
    int64_t c = 0;
    for (; c + kLanes<T> <= channels; c += kLanes<T>) body(Vec<T>{}, c);
    for (; c < channels; ++c) body(T{}, c);
}

template <class T>
void sum(const T* x, int64_t rows, int64_t channels, T* sums) {
    for_channels<T>(channels, [&](auto zero, int64_t c) {
        using V = decltype(zero);
        V even = zero, odd = zero;
        int64_t r = 0;
        for (; r + 2 <= rows; r += 2) {
            even += get<V>(x + r * channels + c);
            odd += get<V>(x + (r + 1) * channels + c);
        }
        if (r < rows) even += get<V>(x + r * channels + c);
        put(sums + c, even + odd);
    });
}

template <class T>
void moments(const T* x, int64_t rows, int64_t channels, T* mean, T* rest, T* squares) {
    sum(x, rows, channels, mean);
    const T share = T(1) / static_cast<T>(rows);
    for_channels<T>(channels, [&](auto zero, int64_t c) {
        using V = decltype(zero);
        const V rough = get<V>(mean + c) * share;
        V left = zero, total = zero;
        for (int64_t r = 0; r < rows; ++r) {
            const V d = get<V>(x + r * channels + c) - rough;
            left += d;
            total += d * d;
        }
        left *= share;
        put(mean + c, rough);
        put(rest + c, left);
        put(squares + c, total - left * left * static_cast<T>(rows));
    });
}

template <class V>
HG_INLINE V rectified(V y) {
    return y < 0 ? V{} : y;  // a NaN stays
}

template <class T>
void normalise(const Affine<T>& map, const T* x, int64_t rows, int64_t channels, T* out) {
    for (int64_t r = 0; r < rows; ++r, x += channels, out += channels) {
        for_channels<T>(channels, [&](auto zero, int64_t c) {
            using V = decltype(zero);
            const V y = (get<V>(x + c) - get<V>(map.mean + c)) * get<V>(map.scale + c) + get<V>(map.shift + c);
            put(out + c, map.rectify ? rectified(y) : y);
        });
    }
}

template <class T>
void norm_sums(const Affine<T>& map, const T* dout, const T* x, int64_t rows, int64_t channels,
               T* sum_dz, T* sum_dz_xhat) {
    for_channels<T>(channels, [&](auto zero, int64_t c) {
        using V = decltype(zero);
        const V mean = get<V>(map.mean + c), scale = get<V>(map.scale + c), shift = get<V>(map.shift + c);
        V first = zero, second = zero;
        for (int64_t r = 0; r < rows; ++r) {
            const V centred = get<V>(x + r * channels + c) - mean;
            V dz = get<V>(dout + r * channels + c);
            if (map.rectify) dz = centred * scale + shift > 0 ? dz : zero;
            first += dz;
            second += dz * centred;
        }
        put(sum_dz + c, first);
        put(sum_dz_xhat + c, second * get<V>(map.inv_std + c));
    });
}

template <class T>
void norm_backward(const Affine<T>& map, const T* dout, const T* x, int64_t rows, int64_t channels,
                   const T* mean_dz, const T* mean_dz_xhat, T* dx) {
    for (int64_t r = 0; r < rows; ++r, x += channels, dout += channels, dx += channels) {
        for_channels<T>(channels, [&](auto zero, int64_t c) {
            using V = decltype(zero);
            const V centred = get<V>(x + c) - get<V>(map.mean + c), scale = get<V>(map.scale + c);
            V dz = get<V>(dout + c);
            if (map.rectify) dz = centred * scale + get<V>(map.shift + c) > 0 ? dz : zero;
            const V xhat = centred * get<V>(map.inv_std + c);
            put(dx + c, scale * (dz - get<V>(mean_dz + c) - xhat * get<V>(mean_dz_xhat + c)));
        });
    }
}

template <class T>
RowKernels<T> table() {
    return {sum<T>, moments<T>, normalise<T>, norm_sums<T>, norm_backward<T>};
}

}  // namespace

void fill(RowKernels<float>& kernels) { kernels = table<float>(); }
void fill(RowKernels<double>& kernels) { kernels = table<double>(); }

}  // namespace handgrad::HANDGRAD_ISA
