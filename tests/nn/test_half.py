"""Half precision: a step in bf16 beside the exact one, within bounds that follow from its roundings."""

import copy
import pickle

import numpy as np
import pytest
from nn import near
from nn.near import (
    given,
    handed_down,
    inverse,
    largest,
    minus,
    opened,
    patches,
    plus,
    product,
    rectified,
    root,
    rows_summed,
    softmax,
    stored,
    summed,
    times,
)
from nn.test_compiled import NETWORKS, _data

from handgrad import engines, models, nn
from handgrad.errors import OptionError
from handgrad.nn.compiled import half
from handgrad.nn.compiled.half import InHalf, measured

pytestmark = pytest.mark.skipif(
    "native" not in engines.available(), reason="the native engine is not built"
)
REG = 1e-2


def _exact(model, X, y):
    """The loss and the gradients of the same numbers in float64."""
    other = copy.deepcopy(model)
    other.params = {name: w.astype(np.float64) for name, w in model.params.items()}
    other.dtype = np.float64
    return other.loss(X.astype(np.float64), y)


def _penalised(loss, grads, model):
    """With the penalty, which is float32's."""
    for name in model._decays:
        w = given(model.params[name])
        grads[name] = plus(grads[name], times(given(REG), w))
        squares = np.sum(w.v**2)
        loss = plus(loss, summed(REG / 2 * squares, 0.0, REG / 2 * squares, w.v.size))
    return loss, grads


def _affine_back(dout, x, w):
    """dx, dw, db of an affine layer."""
    return stored(product(dout, stored(w).T)), product(x.T, dout), rows_summed(dout)


def _two_affine(model, X, y):
    w1, b1, w2, b2 = (given(w) for w in model.params.values())
    x = stored(given(X))
    a = stored(plus(product(x, stored(w1)), b1))
    h = rectified(a)
    scores = stored(plus(product(h, stored(w2)), b2))
    loss, dscores = softmax(scores, y)
    dh, dw2, db2 = _affine_back(stored(dscores), h, w2)
    _, dw1, db1 = _affine_back(opened(dh, a), x, w1)
    return loss, [dw1, db1, dw2, db2]


def _normalised(model, X, y):
    w1, _, gamma, beta, w2, b2 = (given(w) for w in model.params.values())
    b1 = given(list(model.params.values())[1])
    x, N = stored(given(X)), given(len(X))
    a = stored(plus(product(x, stored(w1)), b1))
    mean = times(rows_summed(a), inverse(N))
    centred = minus(a, mean)
    var = times(rows_summed(times(centred, centred)), inverse(N))
    inv_std = inverse(root(plus(var, given(1e-5))))
    scale, xhat = times(gamma, inv_std), times(centred, inv_std)
    z = plus(times(centred, scale), beta)
    h = stored(rectified(z))
    scores = stored(plus(product(h, stored(w2)), b2))
    loss, dscores = softmax(scores, y)
    dh, dw2, db2 = _affine_back(stored(dscores), h, w2)
    dz = opened(dh, z)
    dbeta, dgamma = rows_summed(dz), rows_summed(times(dz, xhat))
    shares = plus(times(dbeta, inverse(N)), times(xhat, times(dgamma, inverse(N))))
    da = stored(times(scale, minus(dz, shares)))
    _, dw1, db1 = _affine_back(da, x, w1)
    return loss, [dw1, near.Near(0 * db1.v, 0 * db1.r), dgamma, dbeta, dw2, db2]


def _convolved(model, X, y):
    w1, b1, w2, b2 = (given(w) for w in model.params.values())
    N, C, H, W = X.shape
    F = len(b1.v)
    x = patches(stored(given(X)), 3, 1)
    filters = stored(w1).reshape(F, -1).T
    a = stored(plus(product(x, filters), b1))
    images = near.Near(*(part.reshape(N, H, W, F).transpose(0, 3, 1, 2) for part in a))
    pooled, chosen, may = largest(rectified(images))
    h = pooled.reshape(N, -1)
    scores = stored(plus(product(h, stored(w2)), b2))
    loss, dscores = softmax(scores, y)
    dh, dw2, db2 = _affine_back(stored(dscores), h, w2)
    da = opened(handed_down(dh.reshape(*pooled.v.shape), chosen, may), images)
    rows = near.Near(*(part.transpose(0, 2, 3, 1).reshape(-1, F) for part in da))
    dw1 = product(rows.T, x).reshape(F, C, 3, 3)
    return loss, [dw1, rows_summed(rows), dw2, db2]


BOUNDED = {
    "affine, relu, affine": (
        lambda: nn.Sequential([nn.Affine(20), nn.ReLU(), nn.Affine(3)], input_shape=(12,), rng=0, reg=REG),
        _two_affine,
    ),
    "a batch norm": (
        lambda: nn.Sequential(
            [nn.Affine(9), nn.BatchNorm(), nn.ReLU(), nn.Affine(3)], input_shape=(6,), rng=0, reg=REG
        ),
        _normalised,
    ),
    "a convolution and its pooling": (
        lambda: nn.Sequential(
            [nn.Conv2d(4, 3, pad=1), nn.ReLU(), nn.MaxPool(2), nn.Affine(3)],
            input_shape=(2, 6, 6), rng=0, reg=REG,
        ),
        _convolved,
    ),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", BOUNDED)
def test_a_step_is_within_its_bounds(name, seed):
    make, bounds_of = BOUNDED[name]
    model = make()
    rng = np.random.default_rng(seed)
    for w in model.params.values():  # biases too, and not all alike
        w += 0.1 * rng.standard_normal(w.shape).astype(np.float32)
    X = rng.standard_normal((16, *model._input_shapes[0])).astype(np.float32)
    y = np.zeros(16, int)  # so that gradients of the rows do not take each other off
    exact_loss, exact = _exact(model, X, y)
    loss, bounds = bounds_of(model, X, y)
    loss, bounds = _penalised(loss, dict(zip(model.params, bounds, strict=True)), model)
    assert loss.v == pytest.approx(exact_loss, abs=1e-12)
    got_loss, got = InHalf(model, "test").loss(X, y)
    assert abs(got_loss - exact_loss) <= loss.r
    assert loss.r < 0.5 * exact_loss
    for key, bound in bounds.items():
        assert bound.v == pytest.approx(exact[key], abs=1e-12), key
        assert got[key].dtype == np.float32
        assert (np.abs(got[key] - exact[key]) <= bound.r).all(), key
    # a bound as wide as the gradient says little, as those in front of kinks that may be on either side
    narrow = [key for key, bound in bounds.items() if np.median(bound.r) < np.abs(exact[key]).max()]
    assert 2 * len(narrow) >= len(bounds)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_move_no_further_than_by_rounding_what_they_are_made_of(name):
    """Each of S arrays of values and gradients is rounded: as much as weights and inputs are, S times."""
    model = NETWORKS[name]()
    model.params = {key: w.astype(np.float32) for key, w in model.params.items()}
    model.dtype = np.float32
    X, y = _data(model, np.float32)
    calls = sum(len(step.layers) for step in model._plan((X.shape,), "train").steps)
    np.random.seed(1)
    _, exact = _exact(model, X, y)
    whole = _whole(exact)
    rng, moved = np.random.default_rng(0), []
    for _ in range(4):
        other = copy.deepcopy(model)
        other.params = {name: _rounded_at_random(w, rng) for name, w in model.params.items()}
        np.random.seed(1)
        _, grads = _exact(other, _rounded_at_random(X, rng), y)
        moved.append(np.linalg.norm(_whole(grads) - whole))
    np.random.seed(1)
    _, got = InHalf(copy.deepcopy(model), "test").loss(X, y)
    each = max(moved) + near.BF16 * np.linalg.norm(
        whole
    )  # the backward is linear in what it rounds
    assert np.linalg.norm(_whole(got) - whole) <= (1 + 2 * calls) * each


def _whole(grads):
    return np.concatenate([g.ravel().astype(np.float64) for g in grads.values()])


def _rounded_at_random(w, rng):
    return (w * (1 + near.BF16 * rng.uniform(-1, 1, w.shape))).astype(w.dtype)


# -- what it is, and is not, for ---------------------------------------------------------------------------


def _mlp(dtype=np.float32, **options):
    layers = [nn.Affine(9), nn.BatchNorm(), nn.ReLU(), nn.Dropout(0.7), nn.Affine(3)]
    return nn.Sequential(layers, input_shape=(6,), rng=0, dtype=dtype, **options)


class _Own(nn.Model):
    def __init__(self):
        super().__init__(rng=0)
        self.out = nn.Affine(3)

    def forward(self, x):
        return self.out(x)

    def loss(self, X, y=None, **options):
        return super().loss(X, y, **options)


def _twice():
    layer = nn.Affine(6)
    return nn.Sequential([layer, nn.Tanh(), layer, nn.Affine(3)], input_shape=(6,))


REFUSED = {
    "float64": (lambda: _mlp(np.float64), "build the network with dtype=np.float32"),
    "a loss of one's own": (_Own, "for networks of handgrad.nn"),
    "a layer twice": (_twice, "no plan covers"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    make, why = REFUSED[name]
    model = make()
    with pytest.raises(OptionError, match=why):
        model.compile((8, 6), "sgd", precision="bf16")
    steps = model.compile((8, 6), "sgd", precision="auto")
    steps.run(np.ones((8, 6)), np.zeros(8, int), rng=0)
    assert steps.precision == "float32"


def test_mistakes():
    with pytest.raises(OptionError, match="'bf16', 'auto'"):
        _mlp().compile((8, 6), "sgd", precision="float16")
    steps = _mlp().compile((8, 6), "sgd", precision="bf16")
    with pytest.raises(OptionError, match=r"labels must be in \[0, 3\), got 3 to 3"):
        steps.run(np.ones((8, 6)), np.full(8, 3), rng=0)
    with engines.use("vectorized"), pytest.raises(OptionError, match="choose engine"):
        _mlp().compile((8, 6), "sgd", precision="bf16")


def test_parameters_and_gradients_stay_float32():
    model = _mlp()
    loss, grads = InHalf(model, "test").loss(*_data(model, np.float32))
    assert isinstance(loss, float)
    assert {w.dtype for w in (*grads.values(), *model.params.values())} == {np.dtype(np.float32)}
    assert model.last_scores.dtype == np.float32


def test_values_are_rounded():
    """Or it would be float32's step."""
    model = _mlp(reg=1e-2)
    X, y = _data(model, np.float32)
    np.random.seed(0)
    half_loss, _ = InHalf(model, "test").loss(X, y)
    np.random.seed(0)
    loss, _ = model.loss(X, y)
    assert loss != half_loss
    assert abs(loss - half_loss) < 1e-2


def test_values_take_half_the_memory():
    """All that lies in the plan's own memory but for moments, labels, scores and masks."""
    sizes = []
    for precision in ("float32", "bf16"):
        model = models.ConvNet(
            (3, 32, 32), [{"num_filters": n, "filter_size": 3} for n in (16, 32)], (32,), 10, "batchnorm",
            rng=0,
        )  # fmt: skip
        steps = model.compile((32, 3, 32, 32), "sgd", precision=precision)
        rng = np.random.default_rng(0)
        X, y = rng.standard_normal((32, 3, 32, 32)).astype(np.float32), rng.integers(0, 10, 32)
        steps.run(X, y, steps=2, rng=0)
        sizes.append(steps._plan.arena)
    assert sizes[1] <= 0.6 * sizes[0]


def test_numbers_that_are_not_finite():
    model = _mlp()
    X, y = _data(model, np.float32)
    X[3, 2] = np.inf
    loss, grads = InHalf(model, "test").loss(X, y)
    assert np.isnan(loss)
    assert grads.keys() == model.params.keys()


def test_auto_takes_the_faster_one_and_changes_nothing(monkeypatch):
    model = _mlp()
    X, y = _data(model, np.float32)
    before = {name: w.copy() for name, w in model.params.items()}
    drawn = np.random.get_state()[1].copy()
    for fast in ("float32", "bf16"):
        ticks = iter(range(10_000))

        def clock(fast=fast, ticks=ticks):
            """Calls are timed in turns: each first one is float32's."""
            tick = next(ticks)
            turn, place = divmod(
                tick - 1, 5
            )  # after the start: two readings of either side, one of the end
            return (
                0.0
                if tick == 0
                else 1e-3 * turn
                + (1e-4 * place if place < 2 else 0)
                + (1e-5 if (place == 1) == (fast == "bf16") else 0)
            )

        monkeypatch.setattr(half, "perf_counter", clock)
        chosen, seconds = measured(model, X, y)
        assert chosen == min(seconds, key=seconds.get)
    assert (np.random.get_state()[1] == drawn).all()
    assert all((model.params[name] == w).all() for name, w in before.items())
    assert not any(array.any() for name, array in model.buffers().items() if "mean" in name)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda steps: pickle.loads(pickle.dumps(steps))])
def test_copies_go_on(copied):
    model = _mlp()
    X, y = _data(model, np.float32)
    steps = model.compile((8, 6), "adam", precision="bf16")
    rows = np.random.default_rng(0).integers(0, len(X), (6, 8))
    np.random.seed(0)
    steps.run(X, y, rows=rows[:3])
    other = copied(steps)
    state = np.random.get_state()
    losses = steps.run(X, y, rows=rows[3:])
    np.random.set_state(state)
    assert other.run(X, y, rows=rows[3:]) == losses
    assert other.why is None
