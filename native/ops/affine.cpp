#include "ops/affine.h"

#include "core/threads.h"
#include "ops/bf16_product.h"
#include "ops/product.h"

namespace handgrad {
namespace {

template <class T>
void input_gradient(const T* dout, const T* w, int64_t rows, int64_t depth, int64_t columns, T* dx) {
    constexpr int64_t kLongRows = 256;  // worth the sums over a vector at the end of each
    if (columns >= kLongRows && rows <= RightFactor<T>::kFewRows)
        multiply_rows<T>(dout, rows, w, depth, columns, nullptr, dx, depth);
    else
        multiply<T>(RowMatrix<T>(dout, columns), RightFactor<T>(w, 1, columns, columns, depth, rows), rows, nullptr, dx,
                    depth);
}

}  // namespace

template <class T>
void affine_forward(const T* x, const T* w, const T* b, int64_t rows, int64_t depth, int64_t columns, T* out) {
    multiply<T>(RowMatrix<T>(x, depth), RightFactor<T>(w, columns, 1, depth, columns, rows), rows, b, out, columns);
}

template <class T>
void affine_gradients(const T* dout, const T* x, const T* w, int64_t rows, int64_t depth, int64_t columns, T* dx, T* dw,
                      T* db) {
    const auto of_input = [&] {
        if (dx) input_gradient(dout, w, rows, depth, columns, dx);
    };
    const auto of_parameters = [&] {
        const bool is_small = times(rows, depth, columns) <= RightFactor<T>::kSmall;
        const RightFactor<T> factor(dout, columns, 1, rows, columns, is_small ? depth : RightFactor<T>::kManyRows);
        multiply<T>(ColumnMatrix<T>(x, depth), factor, depth, nullptr, dw, columns);
        if (db) column_sums(dout, rows, columns, db);
    };
    // Small products are done side by side: cut up, they would wait for each other's numbers.
    constexpr int64_t kSideBySide = int64_t{1} << 21;
    if (dx && thread_count() > 1 && times(rows, depth, columns) <= kSideBySide)
        return parallel(2, [&](int64_t task, int) { task ? of_parameters() : of_input(); });
    of_input();
    of_parameters();
}

void affine_forward(const Bf16* x, const float* w, const float* b, int64_t rows, int64_t depth, int64_t columns, Bf16* out) {
    multiply({x, depth, 1}, {w, columns, 1}, rows, depth, columns, {out, columns, b});
}

void affine_gradients(const Bf16* dout, const Bf16* x, const float* w, int64_t rows, int64_t depth, int64_t columns, Bf16* dx,
                      float* dw, float* db) {
    if (dx) multiply({dout, columns, 1}, {w, 1, columns}, rows, columns, depth, {dx, depth});
    multiply({x, 1, depth}, {dout, columns, 1}, depth, rows, columns, {dw, columns});
    if (db) column_sums(dout, rows, columns, db);
}

template void affine_forward<float>(const float*, const float*, const float*, int64_t, int64_t, int64_t, float*);
template void affine_forward<double>(const double*, const double*, const double*, int64_t, int64_t, int64_t, double*);
template void affine_gradients<float>(const float*, const float*, const float*, int64_t, int64_t, int64_t, float*, float*,
                                      float*);
template void affine_gradients<double>(const double*, const double*, const double*, int64_t, int64_t, int64_t, double*,
                                       double*, double*);

}  // namespace handgrad
