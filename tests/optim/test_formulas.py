"""Every rule against its formula in plain numbers, one at a time, from its own start and defaults."""

from math import sqrt

import numpy as np
import pytest

from handgrad import engines
from handgrad.optim import RULES, adam


def sgd(w, gradients, a):
    for g in gradients:
        w = w - a * g
    return w


def sgd_momentum(w, gradients, a, mu):
    v = 0.0
    for g in gradients:
        v = mu * v - a * g
        w = w + v
    return w


def sgd_nesterov_momentum(w, gradients, a, mu):
    v = 0.0
    for g in gradients:
        before, v = v, mu * v - a * g
        w = w + v + mu * (v - before)
    return w


def adagrad(w, gradients, a, eps):
    s = 0.0
    for g in gradients:
        s += g**2
        w = w - a * g / (sqrt(s) + eps)
    return w


def rmsprop(w, gradients, a, r, eps):
    s = 0.0
    for g in gradients:
        s = r * s + (1 - r) * g**2
        w = w - a * g / (sqrt(s) + eps)
    return w


def adadelta(w, gradients, a, r, eps):
    s = u = 0.0
    for g in gradients:
        s = r * s + (1 - r) * g**2
        d = g * sqrt(u + eps) / sqrt(s + eps)
        u = r * u + (1 - r) * d**2
        w = w - a * d
    return w


def adam_formula(w, gradients, a, b1, b2, eps, c=0.0):
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        w = w - a * c * w - a * (m / (1 - b1**t)) / (sqrt(v / (1 - b2**t)) + eps)
    return w


FORMULAS = {  # the rule, its formula, and other settings than the defaults, in the formula's order
    "sgd": (sgd, {"learning_rate": 0.3}),
    "sgd_momentum": (sgd_momentum, {"learning_rate": 0.3, "momentum": 0.6}),
    "sgd_nesterov_momentum": (sgd_nesterov_momentum, {"learning_rate": 0.3, "momentum": 0.6}),
    "adagrad": (adagrad, {"learning_rate": 0.3, "epsilon": 0.1}),
    "rmsprop": (rmsprop, {"learning_rate": 0.3, "decay_rate": 0.7, "epsilon": 0.1}),
    "adadelta": (adadelta, {"learning_rate": 0.3, "decay_rate": 0.7, "epsilon": 0.1}),
    "adam": (adam_formula, {"learning_rate": 0.3, "beta1": 0.6, "beta2": 0.7, "epsilon": 0.1}),
    "adamw": (
        adam_formula,
        {"learning_rate": 0.3, "beta1": 0.6, "beta2": 0.7, "epsilon": 0.1, "weight_decay": 0.2},
    ),
}


IN_ARRAY_CODE = ("adadelta",)  # in all engines


@pytest.mark.parametrize("engine", engines.available())
@pytest.mark.parametrize("chosen", [True, False], ids=["settings", "defaults"])
@pytest.mark.parametrize("name", FORMULAS)
def test_six_steps(name, chosen, engine, rng):
    formula, settings = FORMULAS[name]
    w = rng.standard_normal(5)
    gradients = rng.standard_normal((6, 5))
    config = dict(settings) if chosen else {}
    got = w.copy()
    with engines.use(engine):
        for gradient in gradients:
            got, config = RULES[name](got, gradient, config)
    values = [config[key] for key in settings]
    expected = [formula(w[i], gradients[:, i], *values) for i in range(5)]
    np.testing.assert_allclose(got, expected, rtol=1e-13)


@pytest.mark.skipif("native" not in engines.available(), reason="the native engine is not built")
@pytest.mark.parametrize("name", [name for name in FORMULAS if name not in IN_ARRAY_CODE])
def test_compiled_rules_are_taken_by_the_engines_that_have_them(name, monkeypatch, rng):
    calls = []
    updates = engines.get("native").updates
    compiled = "adam" if name == "adamw" else name
    real = getattr(updates, compiled)
    monkeypatch.setattr(updates, compiled, lambda *a: calls.append(name) or real(*a))

    def calls_of(engine, w, dw):
        calls.clear()
        with engines.use(engine):
            RULES[name](w, dw)
        return len(calls)

    w, dw = rng.standard_normal((2, 5))
    single = w.astype(np.float32)
    assert [calls_of(engine, w.copy(), dw) for engine in ("auto", "native")] == [1, 1]
    assert [calls_of(engine, w.copy(), dw) for engine in ("naive", "vectorized")] == [0, 0]
    assert calls_of("auto", single.copy(), dw.astype(np.float32)) == 1
    assert calls_of("auto", w.copy(), dw.astype(np.float32)) == 0  # two dtypes
    assert calls_of("auto", w.astype(np.float16), dw.astype(np.float16)) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 1023, 2**19 - 1, 2**19 + 2**14 + 77])
def test_parameters_of_any_size(size, dtype, rng):
    """Large ones, whose state goes past the caches, and the rest behind whole vectors."""
    w, *gradients = rng.standard_normal((4, size)).astype(dtype)
    ends = []
    for engine in "vectorized", "auto":
        got, config = w.copy(), {}
        with engines.use(engine):
            for dw in gradients:
                got, config = adam(got, dw, config)
        ends.append([got, config["m"], config["v"]])
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=2e-6 if dtype == np.float32 else 1e-14)
