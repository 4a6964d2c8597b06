// Products with few rows, bound by how fast the other factor comes: it is read once, where it lies.
#include "kernels/simd.h"
#include "kernels/table.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

#if defined(__AVX512F__) || defined(__ARM_NEON)
constexpr int kHeight = 8, kWidth = 3;  // of 32 registers
#else
constexpr int kHeight = 4, kWidth = 2;  // of 16
#endif
constexpr int kFew = 4;  // rows

// Keeps v, which several products read, from being fetched again for each.
template <class V>
HG_INLINE void keep_in_register([[maybe_unused]] V& v) {
#if defined(__x86_64__)
    asm("" : "+v"(v));
#elif defined(__aarch64__)
    asm("" : "+w"(v));
#endif
}

// Lane i of the result is the sum of rows[i]: each step adds the halves of pairs of blocks.
template <class T, int span = 1>
HG_INLINE Vec<T> sums_of(Vec<T> (&rows)[kLanes<T>]) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; i += 2 * span) {
        exchange<span>(rows[i], rows[i + span], std::make_integer_sequence<int, kLanes<T>>());
        rows[i] = rows[i] + rows[i + span];
    }
    if constexpr (2 * span < kLanes<T>) return sums_of<T, 2 * span>(rows);
    return rows[0];
}

template <class T, int height, int width>
void dot_tile(const T* a, int64_t a_stride, const T* b, int64_t b_stride, int64_t depth, const T* bias, T* c,
              int64_t c_stride) {
    constexpr int lanes = kLanes<T>, count = height * width, groups = (count + lanes - 1) / lanes;
    Vec<T> sum[groups * lanes] = {};
    int64_t k = 0;
    const auto add = [&](auto&& numbers_at) {
        Vec<T> right[width];
        for (int j = 0; j < width; ++j) {
            right[j] = numbers_at(b + j * b_stride);
            __builtin_prefetch(b + (width + j) * b_stride + k, 0, 2);  // of the next tile's columns
        }
#pragma GCC unroll 8
        for (int i = 0; i < height; ++i) {
            Vec<T> left = numbers_at(a + i * a_stride);
            keep_in_register(left);
#pragma GCC unroll 4
            for (int j = 0; j < width; ++j) sum[j * height + i] = fma(left, right[j], sum[j * height + i]);
        }
    };
    for (; k + lanes <= depth; k += lanes) add([=](const T* row) { return load<T>(row + k); });
    if (k < depth) add([=](const T* row) { return load_some<T>(row + k, depth - k); });
    T totals[groups * lanes];
#pragma GCC unroll 4
    for (int g = 0; g < groups; ++g) {
        Vec<T> group[lanes];
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) group[i] = sum[g * lanes + i];
        store<T>(totals + g * lanes, sums_of<T>(group));
    }
    for (int j = 0; j < width; ++j)
        for (int i = 0; i < height; ++i) c[i * c_stride + j] = totals[j * height + i] + (bias ? bias[j] : T(0));
}

// All rows by `width` rows of B, in tiles as high as still fit.
template <class T, int width, int height = kHeight>
HG_INLINE void dot_columns(const T* a, int64_t a_stride, int64_t rows, const T* b, int64_t b_stride, int64_t depth,
                           const T* bias, T* c, int64_t c_stride) {
    for (; rows >= height; rows -= height, a += height * a_stride, c += height * c_stride)
        dot_tile<T, height, width>(a, a_stride, b, b_stride, depth, bias, c, c_stride);
    if constexpr (height > 1) dot_columns<T, width, height / 2>(a, a_stride, rows, b, b_stride, depth, bias, c, c_stride);
}

template <class T>
void dot(const T* a, int64_t a_stride, int64_t rows, const T* b, int64_t b_stride, int64_t columns, int64_t depth,
         const T* bias, T* c, int64_t c_stride) {
    int64_t j = 0;
    for (; j + kWidth <= columns; j += kWidth)
        dot_columns<T, kWidth>(a, a_stride, rows, b + j * b_stride, b_stride, depth, bias ? bias + j : bias, c + j, c_stride);
    for (; j < columns; ++j)
        dot_columns<T, 1>(a, a_stride, rows, b + j * b_stride, b_stride, depth, bias ? bias + j : bias, c + j, c_stride);
}

// `count` rows of B, whose products are added one behind the other, as in a tile.
template <class T, int rows, int count>
HG_INLINE void add_rows(const T* a, int64_t a_stride, const T* b, int64_t b_stride, int64_t columns, T* c,
                        int64_t c_stride, bool accumulate, const T* bias) {
    Vec<T> left[rows][count];
#pragma GCC unroll 4
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
        for (int k = 0; k < count; ++k) left[i][k] = splat(a[i * a_stride + k]);
    const auto add = [&](int64_t at, auto&& numbers_at, auto&& keep) {
        Vec<T> sum[rows];
#pragma GCC unroll 4
        for (int i = 0; i < rows; ++i)
            sum[i] = accumulate ? numbers_at(c + i * c_stride + at) : bias ? numbers_at(bias + at) : Vec<T>{};
#pragma GCC unroll 8
        for (int k = 0; k < count; ++k) {
            const Vec<T> right = numbers_at(b + k * b_stride + at);
#pragma GCC unroll 4
            for (int i = 0; i < rows; ++i) sum[i] = fma(left[i][k], right, sum[i]);
        }
#pragma GCC unroll 4
        for (int i = 0; i < rows; ++i) keep(c + i * c_stride + at, sum[i]);
    };
    int64_t at = 0;
    for (; at + kLanes<T> <= columns; at += kLanes<T>)
        add(at, [](const T* from) { return load<T>(from); }, [](T* to, Vec<T> v) { store<T>(to, v); });
    const int64_t rest = columns - at;
    if (rest)
        add(at, [=](const T* from) { return load_some<T>(from, rest); },
            [=](T* to, Vec<T> v) { store_some<T>(to, v, rest); });
}

template <class T, int rows>
void few_rows_of(int64_t depth, const T* a, int64_t a_block, const T* b, int64_t b_stride, int64_t columns, T* c,
                 int64_t c_stride, bool accumulate, const T* bias) {
    constexpr int count = rows == 1 ? 8 : 4;
    int64_t k = 0;
    for (; k + count <= depth; k += count, accumulate = true)
        add_rows<T, rows, count>(a + k / kBlock * a_block + k % kBlock, kBlock, b + k * b_stride, b_stride, columns, c,
                                 c_stride, accumulate, bias);
    for (; k < depth; ++k, accumulate = true)
        add_rows<T, rows, 1>(a + k / kBlock * a_block + k % kBlock, kBlock, b + k * b_stride, b_stride, columns, c,
                             c_stride, accumulate, bias);
}

template <class T>
void few_rows(int64_t depth, const T* a, int64_t a_block, int64_t rows, const T* b, int64_t b_stride, int64_t columns,
              T* c, int64_t c_stride, bool accumulate, const T* bias) {
    const auto call = rows == 1 ? few_rows_of<T, 1> : rows == 2 ? few_rows_of<T, 2> : rows == 3 ? few_rows_of<T, 3> : few_rows_of<T, 4>;
    call(depth, a, a_block, b, b_stride, columns, c, c_stride, accumulate, bias);
}

}  // namespace

void fill(ThinKernels<float>& kernels) { kernels = {kFew, few_rows<float>, dot<float>}; }
void fill(ThinKernels<double>& kernels) { kernels = {kFew, few_rows<double>, dot<double>}; }

}  // namespace handgrad::HANDGRAD_ISA
