// Plans against plain loops in double precision, and against the drivers that their operations call, bit by bit.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>

#include "ops/affine.h"
#include "ops/batchnorm.h"
#include "ops/conv.h"
#include "ops/losses.h"
#include "ops/updates.h"
#include "plan/plan.h"
#include "plan/pools.h"
#include "self_test.h"

namespace handgrad::self_test {
namespace {

using Numbers = std::vector<double>;

size_t at(int64_t i) { return static_cast<size_t>(i); }

// A plan that is being written: slots one behind the other, and operations.
template <class T>
struct Draft {
    Layout layout;
    std::vector<OpText> ops;

    int64_t slot(int64_t count, size_t size = sizeof(T)) {
        const int64_t bytes = count * static_cast<int64_t>(size);
        layout.slots.push_back({bytes, layout.arena});
        layout.arena += round_up(std::max<int64_t>(bytes, 1), kAlignment);
        return last();
    }
    int64_t elsewhere(int64_t count) {
        layout.slots.push_back({count * static_cast<int64_t>(sizeof(T)), -1});
        return last();
    }
    int64_t given(int64_t count) {
        layout.given.push_back(elsewhere(count));
        return last();
    }
    int64_t result(int64_t count) {
        layout.results.push_back(elsewhere(count));
        return last();
    }
    Carried carried(int64_t count) {
        layout.carried.push_back({elsewhere(count), 0, false});
        layout.carried.back().next = elsewhere(count);
        return layout.carried.back();
    }
    void op(const char* name, std::vector<int64_t> slots, std::vector<int64_t> sizes, Numbers numbers = {}) {
        ops.push_back({name, std::move(slots), std::move(sizes), std::move(numbers)});
    }

  private:
    int64_t last() const { return static_cast<int64_t>(layout.slots.size()) - 1; }
};

void judge(const char* what, bool is_right) {
    ++comparisons;
    if (is_right) return;
    ++failures;
    std::printf("plan: %s is wrong\n", what);
}

// Off by at most `limit` units in the last place of the largest number.
template <class T>
void near(const char* what, const std::vector<T>& got, const Numbers& expected, double limit) {
    double largest = 0, worst = 0;
    for (size_t i = 0; i < got.size(); ++i) {
        largest = std::max(largest, std::abs(expected[i]));
        worst = std::max(worst, std::abs(static_cast<double>(got[i]) - expected[i]));
    }
    judge(what, got.size() == expected.size() && worst <= limit * largest * static_cast<double>(std::numeric_limits<T>::epsilon()));
}

constexpr int64_t kSteps = 3, kRows = 12;
constexpr double kRate = 0.05, kMu = 0.9, kReg = 0.1;
constexpr double kLargest[kSteps] = {0.5, 1e9, 0.5};  // a step in three is not clipped

// An affine layer by plain loops: what a step changes.
struct Loops {
    int64_t depth, columns;
    Numbers w, b, dw, db, vw, vb;

    template <class T>
    Loops(int64_t depth, int64_t columns, const std::vector<T>& weights)
        : depth(depth), columns(columns), w(weights.begin(), weights.end()), b(at(columns)), dw(w.size()), db(b.size()), vw(w.size()),
          vb(b.size()) {}
    Numbers forward(const Numbers& x, int64_t rows) const {
        Numbers out(at(rows * columns));
        for (int64_t n = 0; n < rows; ++n)
            for (int64_t j = 0; j < columns; ++j) {
                double& sum = out[at(n * columns + j)] = b[at(j)];
                for (int64_t k = 0; k < depth; ++k) sum += x[at(n * depth + k)] * w[at(k * columns + j)];
            }
        return out;
    }
    Numbers backward(const Numbers& dout, const Numbers& x, int64_t rows) {
        Numbers dx(x.size());
        std::fill(db.begin(), db.end(), 0);
        for (size_t i = 0; i < dw.size(); ++i) dw[i] = kReg * w[i];
        for (int64_t n = 0; n < rows; ++n)
            for (int64_t j = 0; j < columns; ++j) {
                const double d = dout[at(n * columns + j)];
                db[at(j)] += d;
                for (int64_t k = 0; k < depth; ++k) {
                    dw[at(k * columns + j)] += x[at(n * depth + k)] * d;
                    dx[at(n * depth + k)] += w[at(k * columns + j)] * d;
                }
            }
        return dx;
    }
    double squares(const Numbers& x) const {
        double sum = 0;
        for (double number : x) sum += number * number;
        return sum;
    }
    void step(double factor) {
        const auto move = [&](Numbers& x, const Numbers& dx, Numbers& v) {
            for (size_t i = 0; i < x.size(); ++i) x[i] += v[i] = kMu * v[i] - kRate * factor * dx[i];
        };
        move(w, dw, vw);
        move(b, db, vb);
    }
};

// Rows -> affine -> ReLU -> affine -> softmax, with penalty, clipping and momentum, three steps.
template <class T>
void dense_steps() {
    const int64_t N = 5, D = 7, H = 19, C = 4;
    const auto X = draw<double>(kRows * D);
    const auto w1 = draw<T>(D * H), w2 = draw<T>(H * C);
    std::vector<int64_t> y, rows;
    for (int64_t n = 0; n < kRows; ++n) y.push_back(n * 3 % C);
    for (int64_t n = 0; n < kSteps * N; ++n) rows.push_back(n * 7 % kRows);

    Draft<T> draft;
    const Carried W1 = draft.carried(D * H), B1 = draft.carried(H), W2 = draft.carried(H * C), B2 = draft.carried(C);
    const Carried VW1 = draft.carried(D * H), VB1 = draft.carried(H), VW2 = draft.carried(H * C), VB2 = draft.carried(C);
    const int64_t x = draft.slot(N * D), labels = draft.slot(N, sizeof(int64_t)), hidden = draft.slot(N * H);
    const int64_t open = draft.slot(N * H, 1), scores = draft.slot(N * C), dscores = draft.slot(N * C), dhidden = draft.slot(N * H);
    const int64_t dw1 = draft.slot(D * H), db1 = draft.slot(H), dw2 = draft.slot(H * C), db2 = draft.slot(C);
    draft.op("batch", {x}, {N, D});
    draft.op("labels", {labels}, {N});
    draft.op("affine", {x, W1.now, B1.now, hidden}, {N, D, H});
    draft.op("rectify", {hidden, open}, {N * H});
    draft.op("affine", {hidden, W2.now, B2.now, scores}, {N, H, C});
    draft.op("loss_of_labels", {scores, labels, dscores}, {N, C, 0}, {0});
    draft.op("affine_backward", {dscores, hidden, W2.now, dhidden, dw2, db2}, {N, H, C, 0});
    draft.op("relu_backward", {dhidden, open, dhidden}, {N * H, 0}, {0});
    draft.op("affine_backward", {dhidden, x, W1.now, -1, dw1, db1}, {N, D, H, 0});
    draft.op("penalty", {W1.now, dw1}, {D * H, 7});
    draft.op("penalty", {W2.now, dw2}, {H * C, 7});
    draft.op("check_loss", {}, {});
    draft.op("clip", {dw1, dw1, db1, db1, dw2, dw2, db2, db2}, {8, 4, D * H, H, H * C, C});
    draft.op("sgd_momentum", {W1.now, dw1, W1.next, VW1.now, VW1.next}, {D * H, 0});
    draft.op("sgd_momentum", {B1.now, db1, B1.next, VB1.now, VB1.next}, {H, 0});
    draft.op("sgd_momentum", {W2.now, dw2, W2.next, VW2.now, VW2.next}, {H * C, 0});
    draft.op("sgd_momentum", {B2.now, db2, B2.next, VB2.now, VB2.next}, {C, 0});
    draft.layout.batch = N;
    draft.layout.table_width = 9;
    Numbers table;
    for (int64_t step = 0; step < kSteps; ++step) table.insert(table.end(), {kRate, kMu, 0, 0, 0, 0, 1, kReg, kLargest[step]});

    const std::vector<T> zero(at(D * H));
    const std::vector<const std::vector<T>*> before{&w1, &zero, &w2, &zero, &zero, &zero, &zero, &zero};
    std::vector<std::vector<T>> after;
    for (const Carried& pair : draft.layout.carried)
        after.emplace_back(at(draft.layout.slots[at(pair.now)].bytes) / sizeof(T));
    Numbers losses(at(kSteps)), norms(at(kSteps));
    PlanRun run;
    run.feed.X = X.data();
    run.feed.x_kind = Number::kDouble;
    run.feed.y = y.data();
    run.feed.rows = rows.data();
    run.feed.count = kRows;
    run.feed.x_size = D;
    run.feed.y_size = 1;
    for (size_t i = 0; i < before.size(); ++i) {
        run.carried.push_back(before[i]->data());
        run.first.push_back(after[i].data());
        run.second.push_back(nullptr);
    }
    run.table = table.data();
    run.steps = kSteps;
    run.seconds = 1e9;
    run.losses = losses.data();
    run.norms = norms.data();
    Plan<T> plan(draft.layout, draft.ops);
    judge("whether it ran", plan.run(run) && run.is_finite && run.done == kSteps);

    Loops first(D, H, w1), second(H, C, w2);
    Numbers expected_losses, expected_norms;
    for (int64_t step = 0; step < kSteps; ++step) {
        const int64_t* chosen = rows.data() + step * N;
        Numbers batch;
        for (int64_t n = 0; n < N; ++n)
            for (int64_t k = 0; k < D; ++k) batch.push_back(static_cast<double>(static_cast<T>(X[at(chosen[n] * D + k)])));
        Numbers h = first.forward(batch, N);
        for (double& number : h) number = std::max(number, 0.0);
        Numbers d = second.forward(h, N);
        double loss = kReg / 2 * (first.squares(first.w) + second.squares(second.w));
        for (int64_t n = 0; n < N; ++n) {
            double sum = 0;
            for (int64_t j = 0; j < C; ++j) sum += std::exp(d[at(n * C + j)]);
            const auto right = at(n * C + y[at(chosen[n])]);
            loss += (std::log(sum) - d[right]) / static_cast<double>(N);
            for (int64_t j = 0; j < C; ++j) d[at(n * C + j)] = std::exp(d[at(n * C + j)]) / sum / static_cast<double>(N);
            d[right] -= 1 / static_cast<double>(N);
        }
        Numbers dh = second.backward(d, h, N);
        for (size_t i = 0; i < dh.size(); ++i) dh[i] = h[i] > 0 ? dh[i] : 0;
        first.backward(dh, batch, N);
        const double norm = std::sqrt(first.squares(first.dw) + first.squares(first.db) + second.squares(second.dw) +
                                      second.squares(second.db));
        expected_losses.push_back(loss);
        expected_norms.push_back(norm);
        first.step(std::min(1.0, kLargest[step] / norm));
        second.step(std::min(1.0, kLargest[step] / norm));
    }
    std::vector<T> got_losses(losses.begin(), losses.end()), got_norms(norms.begin(), norms.end());
    near("the loss", got_losses, expected_losses, 64);
    near("the norm", got_norms, expected_norms, 64);
    near("W1", after[0], first.w, 64);
    near("b1", after[1], first.b, 256);
    near("W2", after[2], second.w, 64);
    near("b2", after[3], second.b, 256);
    near("the state of W1", after[4], first.vw, 256);
}

// Images -> convolution -> batch normalisation, ReLU and pooling -> affine -> hinge loss -> adam, against the drivers.
template <class T>
void image_step() {
    const int64_t N = 3, C = 3, H = 8, F = 20, K = 5, positions = N * H * H, features = F * H * H / 4;
    const ConvSizes conv{N, C, H, H, F, 3, 3, 1, 1, 1, 1, H, H};
    const PoolSizes pool{N, F, H, H, 2, 2, 2, 2, H / 2, H / 2};
    const NormChain norm{positions, F, 1e-5, true, true, &pool, kCurves};
    const auto images = draw<T>(N * C * H * H), w = draw<T>(F * C * 9), b = draw<T>(F), gamma = draw<T>(F), beta = draw<T>(F),
               w2 = draw<T>(features * K), b2 = draw<T>(K);
    const std::vector<int64_t> y{1, 4, 0}, rows{0, 1, 2};
    const Numbers table{1e-3, 0.9, 0.999, 1e-8, 0.1, 0.001, 1};
    const int64_t outs = N * features;

    // one by one
    std::vector<T> z(at(positions * F)), mean(at(F)), var(at(F)), inv_std(at(F)), scale(at(F)), largest(at(outs)), p(at(outs)),
        scores(at(N * K)), dscores(at(N * K)), dp(at(outs)), dz(z.size()), dw(w.size()), db(b.size()), dgamma(at(F)), dbeta(at(F)),
        dw2(w2.size()), db2(b2.size()), next(w.size()), m(w.size()), v(w.size()), zero(w.size());
    std::vector<uint8_t> index(at(outs));
    conv_forward<T>(conv, images.data(), w.data(), {z.data(), b.data()});
    batchnorm_forward<T>(norm, z.data(), gamma.data(), beta.data(),
                         {mean.data(), var.data(), inv_std.data(), scale.data(), largest.data(), index.data()}, p.data());
    affine_forward<T>(p.data(), w2.data(), b2.data(), N, features, K, scores.data());
    const double loss = loss_of_labels<T>(Loss::kSvm, scores.data(), y.data(), nullptr, N, K, 0, dscores.data());
    affine_gradients<T>(dscores.data(), p.data(), w2.data(), N, features, K, dp.data(), dw2.data(), db2.data());
    batchnorm_backward<T>(norm, dp.data(), z.data(),
                          {mean.data(), nullptr, inv_std.data(), scale.data(), largest.data(), index.data()}, beta.data(), dz.data(),
                          dgamma.data(), dbeta.data());
    conv_backward<T>(conv, {dz.data()}, images.data(), w.data(), {nullptr, dw.data(), db.data()});
    const UpdateSettings<T> settings{static_cast<T>(table[0]), static_cast<T>(table[1]), static_cast<T>(table[2]),
                                     static_cast<T>(table[3]), static_cast<T>(table[4]), static_cast<T>(table[5]), 1};
    adam<T>(settings, w.data(), dw.data(), zero.data(), zero.data(), static_cast<int64_t>(w.size()), next.data(), m.data(), v.data());

    // and as a plan
    Draft<T> draft;
    const int64_t count = static_cast<int64_t>(w.size());
    const Carried W = draft.carried(count), M = draft.carried(count), V = draft.carried(count);
    const int64_t B = draft.given(F), G = draft.given(F), S = draft.given(F), W2 = draft.given(features * K), B2 = draft.given(K);
    const int64_t DW = draft.result(count), DG = draft.result(F), DS = draft.result(F), DW2 = draft.result(features * K);
    const int64_t x = draft.slot(N * C * H * H), labels = draft.slot(N, sizeof(int64_t)), Z = draft.slot(positions * F);
    const int64_t MEAN = draft.slot(F), VAR = draft.slot(F), STD = draft.slot(F), SCALE = draft.slot(F), LARGEST = draft.slot(outs);
    const int64_t INDEX = draft.slot(outs, 1), P = draft.slot(outs), SCORES = draft.slot(N * K), DSCORES = draft.slot(N * K);
    const int64_t DP = draft.slot(outs), DZ = draft.slot(positions * F), DB = draft.slot(F), DB2 = draft.slot(K);
    const std::vector<int64_t> sizes{N, C, H, H, F, 3, 3, 1, 1, 1, 1, 1, 1, 1, 0};
    const std::vector<int64_t> chain{positions, F, 1, 1, kCurves, 1, N, F, H, H, 2, 2, 2, 2};
    draft.op("batch", {x}, {N, C * H * H});
    draft.op("labels", {labels}, {N});
    draft.op("conv", {x, W.now, B, Z, -1}, sizes);
    draft.op("batchnorm", {Z, G, S, MEAN, VAR, STD, SCALE, LARGEST, INDEX, P}, chain, {1e-5});
    draft.op("affine", {P, W2, B2, SCORES}, {N, features, K});
    draft.op("loss_of_labels", {SCORES, labels, DSCORES}, {N, K, 1}, {0});
    draft.op("affine_backward", {DSCORES, P, W2, DP, DW2, DB2}, {N, features, K, 0});
    draft.op("batchnorm_backward", {DP, Z, MEAN, STD, SCALE, LARGEST, INDEX, S, DZ, DG, DS}, chain);
    draft.op("conv_backward", {DZ, -1, x, W.now, -1, DW, DB}, sizes);
    draft.op("adam", {W.now, DW, W.next, M.now, M.next, V.now, V.next}, {count, 0});
    draft.layout.batch = N;
    draft.layout.table_width = 7;
    std::vector<T> got(w.size()), got_m(w.size()), got_v(w.size()), got_dw(w.size()), got_dgamma(at(F)), got_dbeta(at(F)),
        got_dw2(w2.size());
    double got_loss = 0, got_norm = 0;
    PlanRun run;
    run.feed.X = images.data();
    run.feed.x_kind = sizeof(T) == sizeof(float) ? Number::kFloat : Number::kDouble;
    run.feed.y = y.data();
    run.feed.rows = rows.data();
    run.feed.count = N;
    run.feed.x_size = C * H * H;
    run.feed.y_size = 1;
    run.carried = {w.data(), zero.data(), zero.data()};
    run.first = {got.data(), got_m.data(), got_v.data()};
    run.second = {nullptr, nullptr, nullptr};
    run.given = {b.data(), gamma.data(), beta.data(), w2.data(), b2.data()};
    run.results = {got_dw.data(), got_dgamma.data(), got_dbeta.data(), got_dw2.data()};
    run.table = table.data();
    run.steps = 1;
    run.seconds = 1e9;
    run.losses = &got_loss;
    run.norms = &got_norm;
    Plan<T> plan(draft.layout, draft.ops);
    judge("whether the images ran", plan.run(run) && run.is_finite && run.done == 1);
    judge("the loss of images", static_cast<T>(got_loss) == static_cast<T>(loss));
    judge("dW of the convolution", got_dw == dw);
    judge("dgamma", got_dgamma == dgamma);
    judge("dbeta", got_dbeta == dbeta);
    judge("dW of the scores", got_dw2 == dw2);
    judge("W behind adam", got == next && got_m == m && got_v == v);
}

}  // namespace

template <class T>
void plans() {
    dense_steps<T>();
    image_step<T>();
}

template void plans<float>();
template void plans<double>();

}  // namespace handgrad::self_test
