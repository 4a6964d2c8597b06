// The micro-kernel of matrix products: one tile of C, kept in registers over the whole depth.
#include "kernels/simd.h"
#include "kernels/table.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kRows = 8, kVectors = 2;
#elif defined(__AVX2__)
constexpr int kRows = 6, kVectors = 2;
#elif defined(__ARM_NEON)
constexpr int kRows = 12, kVectors = 2;  // 24 sums in 32 registers, see native/count.py
#else
constexpr int kRows = 4, kVectors = 2;
#endif

template <class T>
constexpr int kColumns = kVectors * kLanes<T>;

constexpr int64_t kAhead = 32;  // columns of A fetched ahead

// The sums of a tile, or of as much of it as a corner of C needs.
template <class T, int height = kRows, int vectors = kVectors>
using Tile = Vec<T>[height][vectors];

template <class T, int height, int vectors>
HG_INLINE void step(Tile<T, height, vectors>& sum, const T* b, const T* a, int64_t a_stride) {
    Vec<T> row[vectors];
    for (int v = 0; v < vectors; ++v) row[v] = load<T>(b + v * kLanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < height; ++i) {
        const Vec<T> left = splat(a[i * a_stride]);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sum[i][v] = fma(left, row[v], sum[i][v]);
    }
}

#if defined(__aarch64__)
// Two steps for rows in blocks: an instruction loads two numbers of a row, another multiplies by one of them.
template <class T, int height, int vectors>
HG_INLINE void two_steps(Tile<T, height, vectors>& sum, const T* b, int64_t b_stride, const T* a) {
    Vec<T> first[vectors], second[vectors];
    for (int v = 0; v < vectors; ++v) first[v] = load<T>(b + v * kLanes<T>);
    for (int v = 0; v < vectors; ++v) second[v] = load<T>(b + b_stride + v * kLanes<T>);
#pragma GCC unroll 16
    for (int i = 0; i < height; ++i) {
        const Pair<T> left = load_pair(a + i * kBlock);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) {
            sum[i][v] = fma_lane<0>(left, first[v], sum[i][v]);
            sum[i][v] = fma_lane<1>(left, second[v], sum[i][v]);
        }
    }
}
#endif

template <class T, ALayout layout, int height, int vectors>
HG_INLINE void multiply(Tile<T, height, vectors>& sum, int64_t depth, const T* a, int64_t a_stride, const T* b,
                        int64_t b_stride) {
    if constexpr (layout == ALayout::kRowBlocks) {
        int64_t k = 0;
        for (; k + kBlock <= depth; k += kBlock, a += kBlock * kRows) {
#if defined(__aarch64__)
            for (int j = 0; j < kBlock; j += 2, b += 2 * b_stride)
                two_steps<T, height, vectors>(sum, b, b_stride, a + j);
#else
            for (int j = 0; j < kBlock; ++j, b += b_stride) step<T, height, vectors>(sum, b, a + j, kBlock);
#endif
        }
        for (int j = 0; k + j < depth; ++j, b += b_stride) step<T, height, vectors>(sum, b, a + j, kBlock);
    } else {
        for (int64_t k = 0; k < depth; ++k, a += a_stride, b += b_stride) {
            __builtin_prefetch(a + kAhead * a_stride);
            step<T, height, vectors>(sum, b, a, 1);
        }
    }
}

// How many of the columns are in vector v.
template <class T>
HG_INLINE int64_t in_vector(int64_t columns, int v) {
    const int64_t left = columns - v * kLanes<T>;
    return left < 0 ? 0 : left < kLanes<T> ? left : kLanes<T>;
}

template <class T, int height, int vectors>
HG_INLINE void start_from(Tile<T, height, vectors>& sum, const T* c, int64_t c_stride, int64_t rows, int64_t columns) {
#pragma GCC unroll 16
    for (int i = 0; i < height; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v)
            sum[i][v] = i < rows ? load_some<T>(c + i * c_stride + v * kLanes<T>, in_vector<T>(columns, v)) : Vec<T>{};
}

template <class T, int height, int vectors>
HG_INLINE void finish(const Tile<T, height, vectors>& sum, T* c, int64_t c_stride, int64_t rows, int64_t columns) {
    if (rows == height && columns == vectors * kLanes<T>) {
#pragma GCC unroll 16
        for (int i = 0; i < height; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; ++v) store<T>(c + i * c_stride + v * kLanes<T>, sum[i][v]);
        return;
    }
#pragma GCC unroll 16
    for (int i = 0; i < height; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v)
            if (i < rows) store_some<T>(c + i * c_stride + v * kLanes<T>, sum[i][v], in_vector<T>(columns, v));
}

// The sums before the first product.
template <class T, int height, int vectors>
HG_INLINE void begin(Tile<T, height, vectors>& sum, const T* c, int64_t c_stride, int64_t rows, int64_t columns,
                     bool accumulate, const T* bias) {
    for (int64_t i = 0; i < rows; ++i) {  // fetched while the sums grow
        __builtin_prefetch(c + i * c_stride, 1);
        __builtin_prefetch(c + i * c_stride + columns - 1, 1);
    }
    if (!accumulate) {
#pragma GCC unroll 16
        for (int i = 0; i < height; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; ++v)
                sum[i][v] = bias ? load<T>(bias + v * kLanes<T>) : Vec<T>{};
    } else if (rows == height && columns == vectors * kLanes<T>) {
#pragma GCC unroll 16
        for (int i = 0; i < height; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; ++v) sum[i][v] = load<T>(c + i * c_stride + v * kLanes<T>);
    } else {
        start_from<T, height, vectors>(sum, c, c_stride, rows, columns);
    }
}

template <class T, ALayout layout, int height, int vectors>
void tile_of(int64_t depth, const T* a, int64_t a_stride, const T* b, int64_t b_stride, T* c, int64_t c_stride,
             int64_t rows, int64_t columns, bool accumulate, const T* bias) {
    Tile<T, height, vectors> sum;
    begin<T, height, vectors>(sum, c, c_stride, rows, columns, accumulate, bias);
    multiply<T, layout, height, vectors>(sum, depth, a, a_stride, b, b_stride);
    finish<T, height, vectors>(sum, c, c_stride, rows, columns);
}

#if defined(__AVX512F__)
// For columns that half a vector holds, since the processor multiplies two of these at a time.
typedef float HalfF __attribute__((vector_size(32)));
typedef double HalfD __attribute__((vector_size(32)));
template <class T>
using Half = std::conditional_t<std::is_same_v<T, float>, HalfF, HalfD>;

HG_INLINE HalfF half_fma(HalfF a, HalfF b, HalfF c) { return _mm256_fmadd_ps(a, b, c); }
HG_INLINE HalfD half_fma(HalfD a, HalfD b, HalfD c) { return _mm256_fmadd_pd(a, b, c); }

template <class T, ALayout layout>
void half_tile(int64_t depth, const T* a, int64_t a_stride, const T* b, int64_t b_stride, T* c, int64_t c_stride,
               int64_t rows, int64_t columns, bool accumulate, const T* bias) {
    Half<T> sum[kRows];
    for (int i = 0; i < kRows; ++i) {
        T row[kLanes<T> / 2] = {};
        if (accumulate && i < rows) {
            for (int64_t j = 0; j < columns; ++j) row[j] = c[i * c_stride + j];
        } else if (!accumulate && bias) {
            __builtin_memcpy(row, bias, sizeof row);
        }
        __builtin_memcpy(&sum[i], row, sizeof row);
    }
    for (int64_t k = 0; k < depth; ++k, b += b_stride) {
        Half<T> right;
        __builtin_memcpy(&right, b, sizeof right);
        const T* left = layout == ALayout::kRowBlocks ? a + k / kBlock * kBlock * kRows + k % kBlock : a + k * a_stride;
#pragma GCC unroll 16
        for (int i = 0; i < kRows; ++i)
            sum[i] = half_fma(left[layout == ALayout::kRowBlocks ? i * kBlock : i] - Half<T>{}, right, sum[i]);
    }
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) c[i * c_stride + j] = sum[i][j];
}
#endif

template <class T, ALayout layout>
void tile_in(int64_t depth, const T* a, int64_t a_stride, const T* b, int64_t b_stride, T* c, int64_t c_stride,
             int64_t rows, int64_t columns, bool accumulate, const T* bias) {
#if defined(__AVX512F__)
    if (columns <= kLanes<T> / 2)
        return half_tile<T, layout>(depth, a, a_stride, b, b_stride, c, c_stride, rows, columns, accumulate, bias);
#endif
    const bool low = rows <= kRows / 2, narrow = columns <= kColumns<T> / 2;
    const auto call = low ? (narrow ? tile_of<T, layout, kRows / 2, kVectors / 2> : tile_of<T, layout, kRows / 2, kVectors>)
                          : (narrow ? tile_of<T, layout, kRows, kVectors / 2> : tile_of<T, layout, kRows, kVectors>);
    call(depth, a, a_stride, b, b_stride, c, c_stride, rows, columns, accumulate, bias);
}

template <class T>
void tile(ALayout layout, int64_t depth, const T* a, int64_t a_stride, const T* b, int64_t b_stride, T* c,
          int64_t c_stride, int64_t rows, int64_t columns, bool accumulate, const T* bias) {
    const auto call = layout == ALayout::kRowBlocks ? tile_in<T, ALayout::kRowBlocks> : tile_in<T, ALayout::kColumns>;
    call(depth, a, a_stride, b, b_stride, c, c_stride, rows, columns, accumulate, bias);
}

template <class T, int height, int vectors>
void runs_tile_of(const T* const* a, const Run* runs, int64_t run_count, const T* b, int64_t b_stride, T* c,
                  int64_t c_stride, int64_t rows, int64_t columns, bool accumulate, const T* bias) {
    Tile<T, height, vectors> sum;
    begin<T, height, vectors>(sum, c, c_stride, rows, columns, accumulate, bias);
    const T* row[height];
#pragma GCC unroll 16
    for (int i = 0; i < height; ++i) row[i] = a[i];
    for (const Run* run = runs; run < runs + run_count; ++run) {
        int64_t k = run->offset;
        const int64_t end = k + run->count;
        while (k < end) {
            if (end - k >= kBlock)
                for (int i = kRows; i < 2 * kRows; ++i) __builtin_prefetch(a[i] + k);
            const int64_t stop = k + kBlock < end ? k + kBlock : end;
            for (; k < stop; ++k, b += b_stride) {
                Vec<T> right[vectors];
                for (int v = 0; v < vectors; ++v) right[v] = load<T>(b + v * kLanes<T>);
#pragma GCC unroll 16
                for (int i = 0; i < height; ++i) {
                    const Vec<T> left = splat(row[i][k]);
#pragma GCC unroll 4
                    for (int v = 0; v < vectors; ++v) sum[i][v] = fma(left, right[v], sum[i][v]);
                }
            }
        }
    }
    finish<T, height, vectors>(sum, c, c_stride, rows, columns);
}

template <class T>
void runs_tile(const T* const* a, const Run* runs, int64_t run_count, const T* b, int64_t b_stride, T* c,
               int64_t c_stride, int64_t rows, int64_t columns, bool accumulate, const T* bias) {
    const bool low = rows <= kRows / 2, narrow = columns <= kColumns<T> / 2;
    const auto call = low ? (narrow ? runs_tile_of<T, kRows / 2, kVectors / 2> : runs_tile_of<T, kRows / 2, kVectors>)
                          : (narrow ? runs_tile_of<T, kRows, kVectors / 2> : runs_tile_of<T, kRows, kVectors>);
    call(a, runs, run_count, b, b_stride, c, c_stride, rows, columns, accumulate, bias);
}

template <class T, int height, int vectors>
void places_tile_of(const T* const* a, int64_t offset, int64_t depth, const T* b, int64_t b_stride, T* c,
                    int64_t c_stride, int64_t rows, int64_t columns, bool accumulate) {
    Tile<T, height, vectors> sum;
    begin<T, height, vectors>(sum, c, c_stride, rows, columns, accumulate, nullptr);
    for (int64_t k = 0; k < depth; ++k, b += b_stride) step<T, height, vectors>(sum, b, a[k] + offset, 1);
    finish<T, height, vectors>(sum, c, c_stride, rows, columns);
}

template <class T>
void places_tile(const T* const* a, int64_t offset, int64_t depth, const T* b, int64_t b_stride, T* c,
                 int64_t c_stride, int64_t rows, int64_t columns, bool accumulate) {
    const bool low = rows <= kRows / 2, narrow = columns <= kColumns<T> / 2;
    const auto call = low ? (narrow ? places_tile_of<T, kRows / 2, kVectors / 2> : places_tile_of<T, kRows / 2, kVectors>)
                          : (narrow ? places_tile_of<T, kRows, kVectors / 2> : places_tile_of<T, kRows, kVectors>);
    call(a, offset, depth, b, b_stride, c, c_stride, rows, columns, accumulate);
}

// kLanes<T> rows of a panel from columns that are runs of memory.
template <class T>
HG_INLINE void pack_transposed(const T* from, int64_t column_stride, T* panel) {
    for (int v = 0; v < kVectors; ++v) {
        Vec<T> lines[kLanes<T>];
#pragma GCC unroll 16
        for (int j = 0; j < kLanes<T>; ++j) lines[j] = load<T>(from + (v * kLanes<T> + j) * column_stride);
        transpose<T>(lines);
#pragma GCC unroll 16
        for (int k = 0; k < kLanes<T>; ++k) store<T>(panel + k * kColumns<T> + v * kLanes<T>, lines[k]);
    }
}

template <class T>
void pack_b(const T* b, int64_t row_stride, int64_t column_stride, int64_t depth, int64_t columns,
            T* panels) {
    constexpr int64_t width = kColumns<T>;
    const int64_t whole = columns / width * width;
    if (column_stride == 1) {  // row by row, as memory likes to be read
        for (int64_t k = 0; k < depth; ++k, b += row_stride) {
            T* to = panels + k * width;
            for (int64_t first = 0; first < whole; first += width, to += depth * width)
                for (int v = 0; v < kVectors; ++v) store<T>(to + v * kLanes<T>, load<T>(b + first + v * kLanes<T>));
            if (whole < columns)
                for (int v = 0; v < kVectors; ++v)
                    store<T>(to + v * kLanes<T>,
                             load_some<T>(b + whole + v * kLanes<T>, in_vector<T>(columns - whole, v)));
        }
        return;
    }
    for (int64_t first = 0; first < columns; first += width, panels += depth * width) {
        const int64_t count = columns - first < width ? columns - first : width;
        const T* from = b + first * column_stride;
        if (count < width)
            __builtin_memset(panels, 0, static_cast<size_t>(depth * width) * sizeof(T));
        int64_t done = 0;
        if (row_stride == 1 && count == width)
            for (; done + kLanes<T> <= depth; done += kLanes<T>)
                pack_transposed(from + done, column_stride, panels + done * width);
        if (row_stride == 1 && count == width && done < depth) {
            T lines[kLanes<T> * width], turned[kLanes<T> * width];
            for (int64_t j = 0; j < width; ++j)
                store<T>(lines + j * kLanes<T>, load_some<T>(from + done + j * column_stride, depth - done));
            pack_transposed(lines, kLanes<T>, turned);
            __builtin_memcpy(panels + done * width, turned, static_cast<size_t>((depth - done) * width) * sizeof(T));
            done = depth;
        }
        for (int64_t start = done; start < depth; start += kBlock) {
            const int64_t stop = start + kBlock < depth ? start + kBlock : depth;
            for (int64_t j = 0; j < count; ++j)
                for (int64_t k = start; k < stop; ++k)
                    panels[k * width + j] = from[k * row_stride + j * column_stride];
        }
    }
}

template <class T>
void pack_columns(const T* a, int64_t stride, int64_t rows, int64_t depth, T* panels) {
    for (int64_t k = 0; k < depth; ++k, a += stride) {
        T* to = panels + k * kRows;
        int64_t i = 0;
        for (; i + kRows <= rows; i += kRows, to += depth * kRows) __builtin_memcpy(to, a + i, kRows * sizeof(T));
        for (int64_t j = i; j < rows; ++j) to[j - i] = a[j];
    }
}

template <class T>
void pack_blocks(const T* a, int64_t step, int64_t rows, const BlockCopy* copies, int64_t copy_count, T* b,
                 int64_t row_stride) {
    for (int64_t r = 0; r < rows; ++r, a += step, b += row_stride)
        for (int64_t i = 0; i < copy_count; ++i)
            __builtin_memcpy(b + copies[i].to, a + copies[i].from, kBlock * sizeof(T));
}

template <class T>
GemmKernels<T> table() {
    return {kRows, kColumns<T>, tile<T>, runs_tile<T>, places_tile<T>, pack_columns<T>, pack_blocks<T>, pack_b<T>};
}

}  // namespace

void fill(GemmKernels<float>& kernels) { kernels = table<float>(); }
void fill(GemmKernels<double>& kernels) { kernels = table<double>(); }

}  // namespace handgrad::HANDGRAD_ISA
