#include "ops/muon.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/threads.h"
#include "ops/product.h"

namespace handgrad {
namespace {

constexpr double kLeast = 1e-24, kMost = 1e24;  // of a sum of squares

bool is_in_range(double squares) { return squares > kLeast && squares < kMost; }

// What the rounds make of X (size, depth): Q X, with a Q that is a polynomial of the gram G = factor X X^T. 
// Polynomials of one symmetric matrix commute, and their products are symmetric.
template <class T>
class Rounds {
  public:
    // The first round.
    Rounds(const T* X, int64_t size, int64_t depth, T factor, const T (&coefficients)[3])
        : size_(size), coefficients_(coefficients), gram_(times(size, size)), P_(times(size, size)),
          Q_(times(size, size)), made_(times(size, size)) {
        symmetric_product<T>(RowMatrix<T>(X, depth), RightFactor<T>(X, 1, depth, depth, size), gram_.get());
        for_chunks(size * size, [&](int64_t at, int64_t n) {
            for (int64_t i = at; i < at + n; ++i) gram_.get()[i] *= factor;
        });
        polynomial();
        std::copy_n(P_.get(), size * size, Q_.get());
    }

    // One more: the gram becomes G P^2, and Q is multiplied by the P of that.
    void next() {
        {
            const RightFactor<T> P = right(P_);
            symmetric_product<T>(left(gram_), P, made_.get());
            symmetric_product<T>(left(made_), P, gram_.get());
        }
        polynomial();
        symmetric_product<T>(left(Q_), right(P_), made_.get());
        std::swap(Q_, made_);
    }

    const T* Q() const { return Q_.get(); }

  private:
    // P = a I + b G + c G^2.
    void polynomial() {
        const T a = coefficients_[0], b = coefficients_[1], c = coefficients_[2];
        symmetric_product<T>(left(gram_), right(gram_), made_.get());
        for_chunks(size_ * size_, [&](int64_t at, int64_t n) {
            for (int64_t i = at; i < at + n; ++i) P_.get()[i] = b * gram_.get()[i] + c * made_.get()[i];
        });
        for (int64_t i = 0; i < size_; ++i) P_.get()[i * (size_ + 1)] += a;
    }

    RowMatrix<T> left(const Scratch<T>& matrix) const { return RowMatrix<T>(matrix.get(), size_); }
    RightFactor<T> right(const Scratch<T>& matrix) const { return RightFactor<T>(matrix.get(), size_, 1, size_, size_); }

    const int64_t size_;
    const T (&coefficients_)[3];
    Scratch<T> gram_, P_, Q_, made_;
};

}  // namespace

template <class T>
bool muon(const MuonSettings<T>& s, int64_t rows, int64_t columns, const T* w, const T* dw, const T* v, T* next_w,
          T* next_v) {
    const int64_t count = times(rows, columns), chunks = ceil_div(count, kChunk);
    const auto& flat = kernels<T>().flat;
    Scratch<T> ahead(count);
    Scratch<double> squares(2 * chunks);
    for_chunks(count, [&](int64_t at, int64_t n) {
        flat.look_ahead(s.momentum, w + at, dw + at, v + at, n, next_v + at, ahead.get() + at,
                        squares.get() + at / kChunk * 2);
    });
    double of_w = 0, of_ahead = 0;
    for (int64_t i = 0; i < chunks; ++i) {
        of_w += squares.get()[2 * i];
        of_ahead += squares.get()[2 * i + 1];
    }
    if (!is_in_range(of_ahead) || (s.radius > 0 && !is_in_range(of_w))) return false;

    Rounds<T> rounds(ahead.get(), rows, columns, static_cast<T>(1 / of_ahead), s.coefficients);
    for (int64_t i = 1; i < s.rounds; ++i) rounds.next();
    multiply<T>(RowMatrix<T>(rounds.Q(), rows), RightFactor<T>(ahead.get(), columns, 1, rows, columns, rows), rows, nullptr,
                next_w, columns);
    const T kept = s.radius > 0 ? static_cast<T>(s.radius * std::sqrt(static_cast<double>(rows) / of_w)) : T(1);
    const T rate = static_cast<T>(s.rate / std::sqrt(of_ahead));
    for_chunks(count, [&](int64_t at, int64_t n) { flat.step_from(kept, w + at, rate, n, next_w + at); });
    return true;
}

template bool muon(const MuonSettings<float>&, int64_t, int64_t, const float*, const float*, const float*, float*, float*);
template bool muon(const MuonSettings<double>&, int64_t, int64_t, const double*, const double*, const double*, double*,
                   double*);

}  // namespace handgrad
