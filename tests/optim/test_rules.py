"""What all update rules promise.

Defaults, state in the caller's dictionary, dtypes, array libraries, and errors that name the rule.
"""

import copy

import array_api_strict
import numpy as np
import pytest

from handgrad.errors import DtypeError, OptionError, ShapeError
from handgrad.optim import RULES, get_rule

DEFAULTS = {
    "sgd": {"learning_rate": 1e-2},
    "sgd_momentum": {"learning_rate": 1e-2, "momentum": 0.9},
    "sgd_nesterov_momentum": {"learning_rate": 1e-2, "momentum": 0.9},
    "adagrad": {"learning_rate": 1e-2, "epsilon": 1e-8},
    "rmsprop": {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8},
    "adadelta": {"learning_rate": 1.0, "decay_rate": 0.95, "epsilon": 1e-6},
    "adam": {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    "adamw": {
        "learning_rate": 1e-3,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "weight_decay": 1e-2,
    },
    "muon": {
        "learning_rate": 2e-2,
        "momentum": 0.95,
        "rounds": 5.0,
        "radius": 0.0,
        "vector_rate": 1.0,
    },
}
STATE = {
    "sgd": set(),
    "sgd_momentum": {"velocity"},
    "sgd_nesterov_momentum": {"velocity"},
    "adagrad": {"cache"},
    "rmsprop": {"cache"},
    "adadelta": {"cache", "updates"},
    "adam": {"m", "v", "t"},
    "adamw": {"m", "v", "t"},
    "muon": {"velocity"},
}
every_rule = pytest.mark.parametrize("name", RULES)


def arrays(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((3, 4)).astype(dtype), rng.standard_normal((3, 4)).astype(dtype)


@every_rule
def test_defaults_are_filled_into_the_dictionary_that_was_passed(name):
    w, dw = arrays()
    config = {}
    _, returned = RULES[name](w, dw, config)
    assert returned is config
    assert {key: config[key] for key in DEFAULTS[name]} == DEFAULTS[name]
    assert set(config) - set(DEFAULTS[name]) == STATE[name]


@every_rule
def test_none_makes_a_fresh_config(name):
    w, dw = arrays()
    first, _ = RULES[name](w.copy(), dw)
    second, config = RULES[name](w.copy(), dw, None)
    np.testing.assert_array_equal(first, second)
    assert set(config) == set(DEFAULTS[name]) | STATE[name]


@every_rule
def test_only_sgd_writes_to_an_array_that_came_in(name):
    w, dw = arrays()
    _, config = RULES[name](w.copy(), dw)
    before = copy.deepcopy((w, dw, config))
    states = {key: value for key, value in config.items() if isinstance(value, np.ndarray)}
    kept = copy.deepcopy(states)
    next_w, _ = RULES[name](w, dw, config)
    np.testing.assert_array_equal(dw, before[1])
    for key, value in states.items():
        np.testing.assert_array_equal(value, kept[key])
    assert (next_w is w) == (name == "sgd")
    assert np.array_equal(w, before[0]) == (name != "sgd")
    assert not np.array_equal(next_w, before[0])


@every_rule
def test_float32_stays_float32_with_any_number_as_learning_rate(name):
    w, dw = arrays(np.float32)
    config = {"learning_rate": np.float64(1e-2)}
    for _ in range(3):
        w, config = RULES[name](w, dw, config)
    assert w.dtype == np.float32
    assert all(v.dtype == np.float32 for v in config.values() if isinstance(v, np.ndarray))


@every_rule
def test_a_float64_gradient_makes_float32_weights_float64_but_in_place(name):
    w, dw = arrays(np.float32)
    next_w, _ = RULES[name](w, dw.astype(np.float64))
    assert next_w.dtype == (np.float32 if name == "sgd" else np.float64)


def steps(rule, w, dw):
    config = {}
    for _ in range(3):
        w, config = rule(w, dw, config)
    return w


@every_rule
def test_other_array_libraries_give_the_same(name):
    w, dw = arrays()
    expected = steps(RULES[name], w.copy(), dw)
    strict = steps(RULES[name], array_api_strict.asarray(w.copy()), array_api_strict.asarray(dw))
    assert type(strict) is type(array_api_strict.asarray(w))
    np.testing.assert_allclose(np.from_dlpack(strict), expected, rtol=1e-14)
    torch = pytest.importorskip("torch")
    tensor = steps(RULES[name], torch.tensor(w), torch.tensor(dw))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-13)


@every_rule
def test_a_zero_learning_rate_moves_nothing(name):
    w, dw = arrays()
    next_w, _ = RULES[name](w.copy(), dw, {"learning_rate": 0})
    np.testing.assert_array_equal(next_w, w)


@every_rule
@pytest.mark.parametrize("value", [-1e-3, np.nan, np.inf, "fast", None])
def test_a_learning_rate_that_is_none_names_the_rule(name, value):
    with pytest.raises(OptionError, match=rf"^{name}: learning_rate must be"):
        RULES[name](*arrays(), {"learning_rate": value})


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (name, key)
        for name in RULES
        for key in ("momentum", "decay_rate", "beta1", "beta2")
        if key in DEFAULTS[name]
    ],
)
def test_a_share_of_one_or_more_is_refused(name, key):
    with pytest.raises(OptionError, match=rf"^{name}: {key} must be in \[0, 1\)"):
        RULES[name](*arrays(), {key: 1.0})


@every_rule
def test_a_gradient_of_another_shape_is_refused_before_anything_changes(name):
    w, dw = arrays()
    before = w.copy()
    with pytest.raises(ShapeError, match=rf"^{name}: dw must have the shape of w"):
        RULES[name](w, dw[:1])
    np.testing.assert_array_equal(w, before)


@every_rule
def test_the_state_of_another_parameter_is_refused(name):
    for key in STATE[name] - {"t"}:
        with pytest.raises(ShapeError, match=rf'^{name}: config\["{key}"\]'):
            RULES[name](*arrays(), {key: np.zeros(4)})


@every_rule
def test_what_is_no_array_of_real_numbers_is_refused(name):
    w, dw = arrays()
    with pytest.raises(DtypeError, match=rf"^{name}: w must be"):
        RULES[name](w.astype(int), dw)
    with pytest.raises(DtypeError, match=rf"^{name}: dw must be an array"):
        RULES[name](w, dw.tolist())


def test_adam_refuses_a_broken_count():
    with pytest.raises(OptionError, match="adam: t"):
        RULES["adam"](*arrays(), {"t": -1})


def test_rules_are_found_by_name():
    assert set(RULES) == set(DEFAULTS)
    for name, rule in RULES.items():
        assert get_rule(name) is rule
        assert rule.__name__ == name
        assert "Source:" in rule.__doc__
    with pytest.raises(OptionError, match='Invalid update_rule "sdg"; known are sgd, '):
        get_rule("sdg")


@pytest.mark.parametrize("dtype", [complex, int, bool])
@pytest.mark.parametrize("name", RULES)
def test_weights_that_are_no_real_numbers_are_refused(name, dtype):
    w = np.ones(3, dtype)
    with pytest.raises(DtypeError, match=rf"^{name}: w must be an array of floating-point numbers"):
        RULES[name](w, w.copy(), {})
    np.testing.assert_array_equal(w, np.ones(3, dtype))


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("decay", [{}, {"l2": 0.1}, {"weight_decay": 0.1}])
def test_arrays_that_are_read_only_give_the_same_step(name, decay, rng):
    rule = RULES[name]
    w, dw = rng.standard_normal((2, 3, 4))
    _, config = rule(w.copy(), dw, dict(decay))
    config = {key: np.copy(value) if np.ndim(value) else value for key, value in config.items()}
    expected, _ = rule(
        w.copy(), dw, {key: np.copy(v) if np.ndim(v) else v for key, v in config.items()}
    )
    arrays = [w, dw, *(value for value in config.values() if np.ndim(value))]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    found, _ = rule(w, dw, config)
    np.testing.assert_array_equal(found, expected)
    for array, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, old)
