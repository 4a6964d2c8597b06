"""Scores in bf16, and networks that are frozen for their scores."""

import copy
import pickle
import threading

import numpy as np
import pytest
from nn import near
from nn.near import (
    given,
    inverse,
    largest,
    minus,
    patches,
    plus,
    product,
    rectified,
    root,
    stored,
    times,
)
from nn.test_compiled import NETWORKS, _data

from handgrad import engines, models, nn
from handgrad.errors import OptionError
from handgrad.nn.compiled import half

pytestmark = pytest.mark.skipif(
    "native" not in engines.available(), reason="the native engine is not built"
)


def _trained(model, dtype=np.float32):
    """The network in float32, with running statistics and biases that are not all alike, and rows for it."""
    model.params = {key: w.astype(dtype) for key, w in model.params.items()}
    model.dtype = dtype
    rng = np.random.default_rng(2)
    for w in model.params.values():
        w += 0.1 * rng.standard_normal(w.shape).astype(dtype)
    X, y = _data(model, dtype)
    for _ in range(3):
        model.loss(X, y)
    return model, X


def _exact(model, X):
    other = copy.deepcopy(model)
    other.compile(None)
    other.params = {name: w.astype(np.float64) for name, w in model.params.items()}
    other.dtype = np.float64
    return other.loss(X.astype(np.float64))


def _in_half(model, shape, **options):
    model.compile(shape, precision="bf16", **options)
    assert model.precision == "bf16"
    return model


# -- bounds ------------------------------------------------------------------------------------------------


def _folded(w, b, layer, columns):
    """Weights and bias with the normalisation; columns: the shape in which a factor meets the weights."""
    gamma, beta, mean, var = (given(x) for x in layer)
    scale = times(gamma, inverse(root(plus(var, given(1e-5)))))
    return times(w, scale.reshape(*columns)), plus(times(minus(b, mean), scale), beta)


def _norms(model):
    """gamma, beta, mean and variance of the one normalisation."""
    params, kept = model.params, model.buffers()
    names = [next(n for n in params if n.endswith(end)) for end in ("gamma", "beta")]
    names += [next(n for n in kept if n.endswith(end)) for end in ("running_mean", "running_var")]
    return [{**params, **kept}[name] for name in names]


def _last(h, w, b):
    """The scores are not rounded."""
    return plus(product(h, stored(w)), b)


def _of_rows(model, X):
    w1, b1, _, _, w2, b2 = (given(w) for w in model.params.values())
    w, b = _folded(w1, b1, _norms(model), (1, -1))
    return _last(stored(rectified(plus(product(stored(given(X)), stored(w)), b))), w2, b2)


def _of_images(model, X):
    w1, b1, _, _, w2, b2 = (given(w) for w in model.params.values())
    N, _, H, W = X.shape
    F = len(b1.v)
    w, b = _folded(w1, b1, _norms(model), (-1, 1, 1, 1))
    a = plus(product(patches(stored(given(X)), 3, 1), stored(w).reshape(F, -1).T), b)
    images = near.Near(*(part.reshape(N, H, W, F).transpose(0, 3, 1, 2) for part in a))
    pooled, _, _ = largest(stored(rectified(images)))
    return _last(pooled.reshape(N, -1), w2, b2)


BOUNDED = {
    "rows": (
        lambda: nn.Sequential(
            [nn.Affine(70), nn.BatchNorm(), nn.ReLU(), nn.Affine(3)], input_shape=(12,), rng=0
        ),
        _of_rows,
    ),
    "images": (
        lambda: nn.Sequential(
            [nn.Conv2d(9, 3, pad=1), nn.BatchNorm(), nn.ReLU(), nn.MaxPool(2), nn.Affine(3)],
            input_shape=(2, 6, 8), rng=0,
        ),
        _of_images,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("rows", [1, 2, 13])
def test_scores_are_within_their_bounds(name, rows):
    make, bounds_of = BOUNDED[name]
    model, X = _trained(make())
    X = X[:rows]
    exact, bounds = _exact(model, X), bounds_of(model, X)
    assert bounds.v == pytest.approx(exact, abs=1e-12)
    got = _in_half(model, X.shape).loss(X)
    assert got.dtype == np.float32
    assert (got.view(np.uint32) & 0xFFFF).any()  # not rounded
    assert (np.abs(got - exact) <= bounds.r).all()
    assert np.median(bounds.r) < np.abs(exact).max()
    assert not np.array_equal(got, model.loss(np.concatenate([X, X]))[:rows])  # that is float32's


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_move_no_further_than_by_rounding_what_they_are_made_of(name):
    """As in test_half.py: each of S arrays is rounded, and so are the weights, with a norm folded in."""
    model, X = _trained(NETWORKS[name]())
    exact = _exact(model, X)
    rng, moved = np.random.default_rng(0), []
    calls = sum(len(step.layers) for step in model._plan((X.shape,), "test").steps)
    for _ in range(4):
        other = copy.deepcopy(model)
        for key, w in other.params.items():
            other.params[key] = w * (1 + near.BF16 * rng.uniform(-1, 1, w.shape)).astype(w.dtype)
        rounded = X * (1 + near.BF16 * rng.uniform(-1, 1, X.shape))
        moved.append(np.linalg.norm(_exact(other, rounded.astype(np.float32)) - exact))
    got = _in_half(model, X.shape).loss(X)
    each = max(moved) + near.BF16 * np.linalg.norm(exact)
    assert np.linalg.norm(got - exact) <= (1 + 2 * calls) * each


# -- bits --------------------------------------------------------------------------------------------------

WIDE = {
    "a large convolution": lambda: nn.Sequential(
        [nn.Conv2d(40, 3, pad=1), nn.BatchNorm(), nn.ReLU(), nn.MaxPool(2), nn.Conv2d(72, 3, pad=1),
         nn.BatchNorm(), nn.ReLU(), nn.Flatten(), nn.Affine(130), nn.ReLU(), nn.Affine(3)],
        input_shape=(3, 12, 12), rng=0,
    ),
    "few channels": lambda: nn.Sequential(
        [nn.Conv2d(32, 7, pad=3), nn.ReLU(), nn.MaxPool(2), nn.Conv2d(8, 5), nn.Affine(3)],
        input_shape=(1, 16, 14), rng=0,
    ),
}  # fmt: skip
ALL = {**NETWORKS, **WIDE}


@pytest.mark.parametrize("name", ALL)
def test_the_same_bits_frozen_and_for_any_number_of_threads(name):
    model, X = _trained(ALL[name]())
    for n in (1, 9):
        found = []
        for freeze in (False, True):
            for threads in (1, 3):
                engines.set_threads(threads)
                try:
                    _in_half(model, X[:n].shape, freeze=freeze)
                    found += [model.loss(X[:n]) for _ in range(2)]  # made, and made before
                finally:
                    engines.set_threads(1)
        assert len({scores.tobytes() for scores in found}) == 1


@pytest.mark.parametrize("name", NETWORKS)
def test_frozen_float32_has_the_bits_of_float32(name):
    model, X = _trained(NETWORKS[name]())
    expected = model.loss(X[:9])
    model.compile((9, *X.shape[1:]), freeze=True)
    assert model.loss(X[:9]).tobytes() == expected.tobytes()
    assert model.precision == "float32"


def test_the_kernels_have_their_bits():
    """The emulation those of the processor's dot products; the model of AMX its own, near them.

    Exact, as what a product costs would let one of them take Winograd's method.
    """
    control = engines.get("native").control
    model, X = _trained(WIDE["a large convolution"]())
    before, was_exact, found = control.bf16(), control.exact(), {}
    control.set_exact(True)
    try:
        for kind in sorted(control.bf16s()):
            control.set_bf16(kind)
            found[kind] = _in_half(model, X[:3].shape, freeze=True).loss(X[:3])
    finally:
        control.set_bf16(before)
        control.set_exact(was_exact)
    if "avx512-bf16" in found:
        np.testing.assert_array_equal(found["avx512-bf16"], found["emulated"])
    np.testing.assert_allclose(found["amx-model"], found["emulated"], atol=0.05)


def test_a_plan_follows_the_kernels():
    """Packed weights of one kind of kernels are not read by another."""
    control = engines.get("native").control
    model, X = _trained(WIDE["a large convolution"]())
    _in_half(model, X[:3].shape, freeze=True)
    expected, before = model.loss(X[:3]), control.bf16()
    try:
        control.set_bf16("amx-model")
        np.testing.assert_allclose(model.loss(X[:3]), expected, atol=0.05)
    finally:
        control.set_bf16(before)
    np.testing.assert_array_equal(model.loss(X[:3]), expected)


def test_inputs_of_any_kind_have_the_same_bits():
    model, X = _trained(NETWORKS["conv, batch norm, pool"]())
    scores = _in_half(model, X[:9].shape).loss(X[:9])
    for other in (
        X[:9].astype(np.float64),
        X[:9].copy(order="F"),
        X[:9].tolist(),
        X[:18:2].repeat(2, 0)[::2],
    ):
        same = np.array_equal(np.asarray(other, np.float32), X[:9])
        assert np.array_equal(model.loss(other), scores) == same


# -- what is seen, and what is not -------------------------------------------------------------------------


@pytest.mark.parametrize("freeze", [False, True])
def test_what_is_put_in_place_is_seen(freeze):
    model, X = _trained(NETWORKS["fully connected"]())
    X = X[:4]
    _in_half(model, X.shape, freeze=freeze)
    seen = [model.loss(X)]
    model.params["W1"] = model.params["W1"] + 1
    seen.append(model.loss(X))
    model.params["W1"][0] += 1  # an array that is not frozen
    seen.append(model.loss(X))
    model.load_buffers({**model.buffers(), "running_mean1": np.ones(9, np.float32)})
    seen.append(model.loss(X))
    model.loss(X, np.zeros(4, int))  # running statistics
    seen.append(model.loss(X))
    assert len({scores.tobytes() for scores in seen}) == len(seen)
    assert np.array_equal(seen[-1], _in_half(copy.deepcopy(model), X.shape).loss(X))


def test_changes_in_place_are_seen_unless_frozen():
    model, X = _trained(NETWORKS["wide"]())
    X = X[:4]
    _in_half(model, X.shape)
    before = model.loss(X)
    for w in model.params.values():
        w *= 0.5
    assert not np.array_equal(model.loss(X), before)


def test_frozen_parameters_cannot_be_written():
    model, X = _trained(NETWORKS["wide"]())
    mine = dict(model.params)
    _in_half(model, X[:4].shape, freeze=True)
    before = model.loss(X[:4])
    for w in model.params.values():
        with pytest.raises(ValueError, match="read-only"):
            w *= 0.5
    for w in mine.values():
        w *= 0.5  # those that were copied
    assert np.array_equal(model.loss(X[:4]), before)
    model.compile(X[:4].shape)
    for w in model.params.values():
        w *= 0.5
    assert not np.array_equal(model.loss(X[:4]), before)


def test_running_statistics_are_frozen_too():
    model, X = _trained(NETWORKS["fully connected"]())
    _in_half(model, X[:4].shape, freeze=True)
    before, mean = model.loss(X[:4]), model.bn_params[0]["running_mean"]
    with pytest.raises(ValueError, match="read-only"):
        mean += 1
    assert np.array_equal(model.loss(X[:4]), before)
    model.compile(None)
    mean += 1
    assert model.bn_params[0]["running_mean"] is mean


def test_a_frozen_network_can_be_trained_on():
    model, X = _trained(NETWORKS["fully connected"]())
    y = np.zeros(len(X), int)
    other = copy.deepcopy(model)
    _in_half(model, X.shape, freeze=True)
    for one in (model, other):
        one.compile(X.shape, "adam").run(X, y, steps=2, rng=0)
    for name, w in other.params.items():
        assert np.array_equal(model.params[name], w)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_score_alike(copied):
    model = models.FullyConnectedNet([9, 8], 6, 3, normalization="batchnorm", rng=0)
    model, X = _trained(model)
    scores = _in_half(model, X[:4].shape, freeze=True).loss(X[:4])
    other = copied(model)
    assert np.array_equal(other.loss(X[:4]), scores)
    for w in other.params.values():
        if w.flags.writeable:
            w *= 0.5
    changed = any(not np.array_equal(w, model.params[name]) for name, w in other.params.items())
    assert np.array_equal(other.loss(X[:4]), scores) != changed


def test_threads_that_score_at_the_same_time():
    model, X = _trained(NETWORKS["wide"]())
    X = X[:4]
    scores, found = _in_half(model, X.shape, freeze=True).loss(X), []

    def score():
        found.extend(model.loss(X) for _ in range(50))

    threads = [threading.Thread(target=score) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 200
    assert all(np.array_equal(other, scores) for other in found)


def test_numbers_that_are_not_finite_stay_in_their_rows():
    model, X = _trained(NETWORKS["conv, batch norm, pool"]())
    X = X[:9].copy()
    _in_half(model, X.shape, freeze=True)
    before = model.loss(X)
    for value in (np.nan, np.inf, -np.inf, 3e38):
        X[3, 1, 2, 2] = value
        got = model.loss(X)
        assert np.array_equal(np.delete(got, 3, 0), np.delete(before, 3, 0))
        assert not np.array_equal(got[3], before[3])
    X[3, 1, 2, 2] = np.nan
    assert np.isnan(model.loss(X)[3]).all()


# -- memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("freeze", [False, True])
@pytest.mark.parametrize("name", WIDE)
def test_scores_ask_the_system_for_no_memory(name, freeze):
    kernels = engines.get("native").control._kernels
    model, X = _trained(WIDE[name]())
    _in_half(model, X[:3].shape, freeze=freeze)
    calls = []
    for _ in range(4):
        model.loss(X[:3])
        calls.append(kernels.buffer_statistics()[2])
    assert len(set(calls[1:])) == 1


@pytest.mark.parametrize("name", WIDE)
def test_memory_that_runs_out_leaves_nothing_half_made(name):
    """What is kept of the weights is made again by the next call."""
    kernels = engines.get("native").control._kernels
    model, X = _trained(WIDE[name]())
    X = X[:3]
    expected, failed = _in_half(model, X.shape, freeze=True).loss(X), 0
    for count in range(200):
        model.compile(X.shape, precision="bf16", freeze=True)
        kernels.trim_buffers()
        kernels.fail_allocation_after(count)
        try:
            model.loss(X)
            break
        except MemoryError:
            failed += 1
        finally:
            kernels.fail_allocation_after(-1)
        np.testing.assert_array_equal(model.loss(X), expected)
    assert failed > 10


# -- what it is for, and the choice ------------------------------------------------------------------------


def test_auto_takes_the_faster_one(monkeypatch):
    model, X = _trained(NETWORKS["wide"]())
    for fast in ("float32", "bf16"):
        monkeypatch.setattr(half, "_best_times", _told(fast))
        model.compile(X[:4].shape, precision="auto")
        assert model.precision == fast
        assert model._scorer.is_half == (fast == "bf16")
    model.compile(X[:4].shape)
    assert model.precision == "float32"


def _told(fast):
    def times(sides):
        for call in sides.values():
            call()
        return {name: 0.0 if name == fast else 1.0 for name in sides}

    return times


def test_the_least_time_of_each_side_counts(monkeypatch):
    """Sides take turns; the first one of each warms up."""
    now, spent = [0.0], {"a": iter([9.0, 3.0, 1.0, 3.0, 3.0, 3.0]), "b": iter([0.1] + [2.0] * 5)}

    def call(name):
        now[0] += next(spent[name])

    monkeypatch.setattr(half, "perf_counter", lambda: now[0])
    monkeypatch.setattr(half, "_SECONDS", 1e9)
    found = half._best_times({name: lambda name=name: call(name) for name in spent})
    assert found == pytest.approx({"a": 1.0, "b": 2.0})


def test_refused():
    wide = NETWORKS["wide"]()
    with pytest.raises(OptionError, match="'bf16', 'auto'"):
        wide.compile((8, 6), precision="float16")
    with pytest.raises(OptionError, match="freeze is for scores; leave it or update_rule out"):
        wide.compile((8, 6), "sgd", freeze=True)
    with pytest.raises(OptionError, match="freeze must be"):
        wide.compile((8, 6), freeze="yes")
    own = nn.Sequential([nn.Affine(4), nn.PReLU(), nn.Affine(3)], input_shape=(6,))
    double = nn.Sequential([nn.Affine(3)], input_shape=(6,), dtype=np.float64)
    for model, why in ((own, "no plan covers the layer"), (double, "dtype=np.float32")):
        with pytest.raises(OptionError, match=why):
            model.compile((8, 6), precision="bf16")
        model.compile((8, 6), precision="auto")
        assert model.precision == "float32"
    with engines.use("vectorized"), pytest.raises(OptionError, match="choose engine"):
        wide.compile((8, 6), precision="bf16")


def test_another_engine_scores_in_float32():
    model, X = _trained(NETWORKS["wide"]())
    with engines.use("vectorized"):
        expected = model.loss(X[:4])
    scores = _in_half(model, X[:4].shape).loss(X[:4])
    with engines.use("native"):  # the same one by its name
        np.testing.assert_array_equal(model.loss(X[:4]), scores)
    with engines.use("vectorized"):
        np.testing.assert_array_equal(model.loss(X[:4]), expected)
