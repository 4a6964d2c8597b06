// Patches of images, copied into the panels of the micro-kernel.
#include "kernels/simd.h"
#include "kernels/table.h"

namespace handgrad::HANDGRAD_ISA {
namespace {

// width: of the pieces, or 0 where they differ
template <class T, int width>
HG_INLINE void copy(T* to, const T* from, int64_t count) {
    if constexpr (width > 0) {
        __builtin_memcpy(to, from, width * sizeof(T));
    } else {
        int64_t i = 0;
        for (; i + 4 <= count; i += 4) __builtin_memcpy(to + i, from + i, 4 * sizeof(T));
        for (; i < count; ++i) to[i] = from[i];
    }
}

template <class T, int width>
HG_INLINE void clear(T* to, int64_t count) {
    if constexpr (width > 0) {
        __builtin_memset(to, 0, width * sizeof(T));
    } else {
        for (int64_t i = 0; i < count; ++i) to[i] = 0;
    }
}

template <class T, int width>
void gather_pieces(const PatchGrid<T>& grid, const PatchPieces& pieces, int64_t first, int64_t rows, int64_t group,
                   int64_t group_stride, int64_t row_stride, T* panels) {
    int64_t j = first % grid.grid_w, i = first / grid.grid_w % grid.grid_h, n = first / grid.grid_w / grid.grid_h;
    T *start = panels, *place = panels;
    int64_t in_group = 0;
    const PatchPiece* end = pieces.at + pieces.count;
    for (int64_t row = 0; row < rows; ++row) {
        const int64_t y = i * grid.step_y + grid.offset_y, x = j * grid.step_x + grid.offset_x;
        const int64_t origin = ((n * grid.H + y) * grid.W + x) * grid.C;
        if (y + pieces.lowest_y >= 0 && y + pieces.highest_y < grid.H && x + pieces.lowest_x >= 0 &&
            x + pieces.highest_x < grid.W) {
            for (const PatchPiece* p = pieces.at; p < end; ++p)
                copy<T, width>(place + p->to, grid.image + (origin + p->from), p->count);
        } else {
            for (const PatchPiece* p = pieces.at; p < end; ++p) {
                const int64_t py = y + p->dy, px = x + p->dx;
                if (py >= 0 && py < grid.H && px >= 0 && px < grid.W) {
                    copy<T, width>(place + p->to, grid.image + (origin + p->from), p->count);
                } else {
                    clear<T, width>(place + p->to, p->count);
                }
            }
        }
        place += row_stride;
        if (++in_group == group) in_group = 0, place = start += group_stride;
        if (++j == grid.grid_w) {
            j = 0;
            if (++i == grid.grid_h) i = 0, ++n;
        }
    }
}

template <class T>
void gather(const PatchGrid<T>& grid, const PatchPieces& pieces, int64_t first, int64_t rows, int64_t group,
            int64_t group_stride, int64_t row_stride, T* panels) {
    const auto call = pieces.width == 16 ? gather_pieces<T, 16>
                      : pieces.width == 8 ? gather_pieces<T, 8>
                                          : gather_pieces<T, 0>;
    call(grid, pieces, first, rows, group, group_stride, row_stride, panels);
}

}  // namespace

void fill(PatchKernels<float>& kernels) { kernels = {gather<float>}; }
void fill(PatchKernels<double>& kernels) { kernels = {gather<double>}; }

}  // namespace handgrad::HANDGRAD_ISA
