// Sums, moments and normalisation over the rows of matrices (rows, channels), stored as S and computed in T.
//
// The loops go over blocks of channels, down all rows: a block is n vectors V of channels or, behind the
// last whole vector, one channel.  What belongs to its channels stays in registers.
#include "kernels/bf16_simd.h"
#include "kernels/table.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kMostVectors = 4;  // vectors of a block
#else
constexpr int kMostVectors = 2;
#endif

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

// A vector of numbers, or one, that are stored in bf16.
template <class V>
HG_INLINE V get(const Bf16* from) {
    if constexpr (std::is_same_v<V, float>)
        return number(from);
    else
        return load(from);
}
HG_INLINE void put(Bf16* to, float x) { put_number(to, x); }
HG_INLINE void put(Bf16* to, VecF v) { store(to, v); }

// Channels [first, first + n * width), n vectors of `width`.
template <class V_, class T, int n_>
struct Block {
    using V = V_;
    static constexpr int n = n_, width = sizeof(V) / sizeof(T);
    int64_t first;
    int64_t at(int i) const { return first + i * width; }

    struct Constants {
        V of[n];
    };
    HG_INLINE Constants load_all(const Block& block, const T* from) {
        Constants constants;
#pragma GCC unroll 4
        for (int i = 0; i < n; ++i) constants.of[i] = get<V>(from + block.at(i));
        return constants;
    }
    Constants constants(const T* from) const { return load_all(*this, from); }
};

// Calls body(Block) for all channels.
template <class T, class Body>
HG_INLINE void for_blocks(int64_t channels, Body&& body) {
    constexpr int lanes = kLanes<T>;
    int64_t c = 0;
    for (; c + kMostVectors * lanes <= channels; c += kMostVectors * lanes) body(Block<Vec<T>, T, kMostVectors>{c});
    if constexpr (kMostVectors > 2)
        if (c + 2 * lanes <= channels) body(Block<Vec<T>, T, 2>{c}), c += 2 * lanes;
    if (c + lanes <= channels) body(Block<Vec<T>, T, 1>{c}), c += lanes;
    for (; c < channels; ++c) body(Block<T, T, 1>{c});
}

// Adds to total[s][i] over all rows; term(row, i, partial sums of vector i).  Rows take turns with partial
// sums of their own, so that one sum does not wait for the one before.
template <int sums, class B, class Term>
HG_INLINE void add_rows(const B&, int64_t rows, typename B::V (&total)[B::n][sums], Term&& term) {
    constexpr int n = B::n, turns = n == 4 ? 1 : n == 2 ? 2 : 4;
    typename B::V part[turns][n][sums] = {};
    int64_t r = 0;
    for (; r + turns <= rows; r += turns)
#pragma GCC unroll 4
        for (int t = 0; t < turns; ++t)
#pragma GCC unroll 4
            for (int i = 0; i < n; ++i) term(r + t, i, part[t][i]);
    for (; r < rows; ++r)
#pragma GCC unroll 4
        for (int i = 0; i < n; ++i) term(r, i, part[0][i]);
#pragma GCC unroll 4
    for (int i = 0; i < n; ++i)
#pragma GCC unroll 2
        for (int s = 0; s < sums; ++s) {
            total[i][s] = part[0][i][s];
#pragma GCC unroll 4
            for (int t = 1; t < turns; ++t) total[i][s] += part[t][i][s];
        }
}

template <class S, class T = Computed<S>>
void sum(const S* x, int64_t rows, int64_t channels, T* sums) {
    for_blocks<T>(channels, [&](auto block) {
        using B = decltype(block);
        using V = typename B::V;
        V total[B::n][1];
        add_rows<1>(block, rows, total,
                    [&](int64_t r, int i, V(&part)[1]) { part[0] += get<V>(x + r * channels + block.at(i)); });
#pragma GCC unroll 4
        for (int i = 0; i < B::n; ++i) put(sums + block.at(i), total[i][0]);
    });
}

template <class S, class T = Computed<S>>
void moments(const S* x, int64_t rows, int64_t channels, T* mean, T* rest, T* squares) {
    sum(x, rows, channels, mean);
    const T share = T(1) / static_cast<T>(rows);
    for_blocks<T>(channels, [&](auto block) {
        using B = decltype(block);
        using V = typename B::V;
        V rough[B::n], total[B::n][2];  // of the deviations, and of their squares
#pragma GCC unroll 4
        for (int i = 0; i < B::n; ++i) rough[i] = get<V>(mean + block.at(i)) * share;
        add_rows<2>(block, rows, total, [&](int64_t r, int i, V(&part)[2]) {
            const V d = get<V>(x + r * channels + block.at(i)) - rough[i];
            part[0] += d;
            part[1] += d * d;
        });
#pragma GCC unroll 4
        for (int i = 0; i < B::n; ++i) {
            const V left = total[i][0] * share;
            put(mean + block.at(i), rough[i]);
            put(rest + block.at(i), left);
            put(squares + block.at(i), total[i][1] - left * left * static_cast<T>(rows));
        }
    });
}

template <class V>
HG_INLINE V rectified(V y) {
    return y < 0 ? V{} : y;  // a NaN stays
}

template <class S, class T = Computed<S>>
void normalise(const Affine<T>& map, const S* x, int64_t rows, int64_t channels, S* out) {
    const bool rectify = map.rectify;
    for_blocks<T>(channels, [&](auto block) {
        using B = decltype(block);
        using V = typename B::V;
        const auto mean = block.constants(map.mean), scale = block.constants(map.scale),
                   shift = block.constants(map.shift);
        for (int64_t r = 0; r < rows; ++r)
#pragma GCC unroll 4
            for (int i = 0; i < B::n; ++i) {
                const int64_t at = r * channels + block.at(i);
                const V y = (get<V>(x + at) - mean.of[i]) * scale.of[i] + shift.of[i];
                put(out + at, rectify ? rectified(y) : y);
            }
    });
}

template <class S, class T = Computed<S>>
void norm_sums(const Affine<T>& map, const S* dout, const S* x, int64_t rows, int64_t channels,
               T* sum_dz, T* sum_dz_xhat) {
    const bool rectify = map.rectify;
    for_blocks<T>(channels, [&](auto block) {
        using B = decltype(block);
        using V = typename B::V;
        const auto mean = block.constants(map.mean), scale = block.constants(map.scale),
                   shift = block.constants(map.shift);
        V total[B::n][2];
        add_rows<2>(block, rows, total, [&](int64_t r, int i, V(&part)[2]) {
            const int64_t at = r * channels + block.at(i);
            const V centred = get<V>(x + at) - mean.of[i];
            V dz = get<V>(dout + at);
            if (rectify) dz = centred * scale.of[i] + shift.of[i] > 0 ? dz : V{};
            part[0] += dz;
            part[1] += dz * centred;
        });
#pragma GCC unroll 4
        for (int i = 0; i < B::n; ++i) {
            put(sum_dz + block.at(i), total[i][0]);
            put(sum_dz_xhat + block.at(i), total[i][1] * get<V>(map.inv_std + block.at(i)));
        }
    });
}

template <class S, class T = Computed<S>>
void norm_backward(const Affine<T>& map, const S* dout, const S* x, int64_t rows, int64_t channels,
                   const T* mean_dz, const T* mean_dz_xhat, S* dx) {
    const bool rectify = map.rectify;
    for_blocks<T>(channels, [&](auto block) {
        using B = decltype(block);
        using V = typename B::V;
        const auto mean = block.constants(map.mean), inv_std = block.constants(map.inv_std),
                   scale = block.constants(map.scale), shift = block.constants(map.shift);
        const auto dz_of = [&](int64_t at, int i, V centred) {
            const V dz = get<V>(dout + at);
            return rectify ? (centred * scale.of[i] + shift.of[i] > 0 ? dz : V{}) : dz;
        };
        if (!mean_dz) {
            for (int64_t r = 0; r < rows; ++r)
#pragma GCC unroll 4
                for (int i = 0; i < B::n; ++i) {
                    const int64_t at = r * channels + block.at(i);
                    put(dx + at, scale.of[i] * dz_of(at, i, get<V>(x + at) - mean.of[i]));
                }
            return;
        }
        const auto dz_mean = block.constants(mean_dz), dz_xhat_mean = block.constants(mean_dz_xhat);
        for (int64_t r = 0; r < rows; ++r)
#pragma GCC unroll 4
            for (int i = 0; i < B::n; ++i) {
                const int64_t at = r * channels + block.at(i);
                const V centred = get<V>(x + at) - mean.of[i], dz = dz_of(at, i, centred);
                const V xhat = centred * inv_std.of[i];
                put(dx + at, scale.of[i] * (dz - dz_mean.of[i] - xhat * dz_xhat_mean.of[i]));
            }
    });
}

template <class T>
void turn(const T* x, int64_t x_stride, int64_t rows, int64_t columns, T* out, int64_t out_stride) {
    constexpr int lanes = kLanes<T>;
    const int64_t whole_rows = rows / lanes * lanes, whole_columns = columns / lanes * lanes;
    for (int64_t i = 0; i < whole_columns; i += lanes)
        for (int64_t j = 0; j < whole_rows; j += lanes) {
            Vec<T> block[lanes];
#pragma GCC unroll 16
            for (int k = 0; k < lanes; ++k) block[k] = load<T>(x + (j + k) * x_stride + i);
            transpose<T>(block);
#pragma GCC unroll 16
            for (int k = 0; k < lanes; ++k) store<T>(out + (i + k) * out_stride + j, block[k]);
        }
    for (int64_t i = 0; i < columns; ++i)
        for (int64_t j = i < whole_columns ? whole_rows : 0; j < rows; ++j) out[i * out_stride + j] = x[j * x_stride + i];
}

template <class S>
RowKernels<S> table(decltype(RowKernels<S>::turn) turn_rows) {
    return {sum<S>, moments<S>, normalise<S>, norm_sums<S>, norm_backward<S>, turn_rows};
}

}  // namespace

void fill(RowKernels<float>& kernels) { kernels = table<float>(turn<float>); }
void fill(RowKernels<double>& kernels) { kernels = table<double>(turn<double>); }
void fill(RowKernels<Bf16>& kernels) { kernels = table<Bf16>(nullptr); }

}  // namespace handgrad::HANDGRAD_ISA
