"""Smooth activations of the native engine: the last digits at every size of x, in every instruction set."""

import numpy as np
import pytest
from engines.native import control, native, setting, vectorized

# layer, its options, and the largest errors of value and slope, in units in the last place of float32
CURVES = [
    ("sigmoid", (), 2.6, 4.4),
    ("tanh", (), 2.7, 4.2),
    ("gelu", ("none",), 5, 4.2),
    ("gelu", ("tanh",), 3.6, 6.3),
    ("elu", (1.0,), 1, 1.1),
    ("elu", (-0.7,), 1.7, 2),
]
each_curve = pytest.mark.parametrize(
    ("layer", "options"), [curve[:2] for curve in CURVES], ids=lambda v: str(v)
)
each_isa = pytest.mark.parametrize("isa", control.isas())
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def value_and_slope(engine, layer, x, options, dout=None):
    out, saved = getattr(engine, layer + "_forward")(x, *options)
    dout = np.ones_like(x) if dout is None else dout
    return out, getattr(engine, layer + "_backward")(dout, saved)


def finite_float32(step):
    """Every finite float32 whose bits are a multiple of `step`: all magnitudes of both signs."""
    x = np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)
    return x[np.isfinite(x)]


def sizes(layer, x, value, slope):
    """What errors of value and slope are relative to: themselves, but for the slope of GELU.

    It is a gate plus a term that cancels it near x = -0.75: the larger of the two counts.
    """
    if layer != "gelu":
        return np.abs(value), np.abs(slope)
    gate = np.where(x == 0, 0.5, value / np.where(x == 0, 1, x))
    return np.abs(value), np.maximum(np.abs(gate), np.abs(slope - gate))


def errors_in_last_place(layer, options, x):
    """Return the largest errors of value and slope, against the vectorized engine in float64."""
    x64 = x.astype(np.float64)
    options64 = [float(np.float32(o)) if isinstance(o, float) else o for o in options]
    expected = value_and_slope(vectorized, layer, x64, options64)
    got = value_and_slope(native, layer, x, options)
    errors = []
    for mine, true, size in zip(got, expected, sizes(layer, x64, *expected), strict=True):
        assert mine.dtype == np.float32
        errors.append(float(np.max(np.abs(mine - true) / np.spacing(size.astype(np.float32)))))
    return errors


@each_isa
@pytest.mark.parametrize(("layer", "options", "of_value", "of_slope"), CURVES, ids=str)
def test_float32_is_right_to_a_few_last_digits(layer, options, of_value, of_slope, isa):
    dense = np.linspace(-20, 20, 100_003).astype(np.float32)
    with setting(isa=isa):
        for x in finite_float32(59_999), dense:
            value, slope = errors_in_last_place(layer, options, x)
            assert value <= of_value
            assert slope <= of_slope


@pytest.mark.long
@each_isa
@pytest.mark.parametrize(("layer", "options", "of_value", "of_slope"), CURVES, ids=str)
def test_millions_of_float32(layer, options, of_value, of_slope, isa):
    with setting(isa=isa):
        for x in np.array_split(finite_float32(509), 8):
            value, slope = errors_in_last_place(layer, options, x)
            assert value <= of_value
            assert slope <= of_slope


@each_isa
@each_curve
def test_float64_is_that_of_the_vectorized_engine(layer, options, isa, rng):
    x = np.concatenate([10 ** rng.uniform(-300, 300, 3000), rng.uniform(0, 45, 30_000)])
    x *= rng.choice([-1, 1], x.size)
    expected = value_and_slope(vectorized, layer, x, options)
    with setting(isa=isa):
        got = value_and_slope(native, layer, x, options)
    for mine, true, size in zip(got, expected, sizes(layer, x, *expected), strict=True):
        assert np.all(np.abs(mine - true) <= 1e-12 * size + 1e-320)


@each_isa
@each_dtype
@each_curve
def test_special_numbers_give_what_the_vectorized_engine_gives(layer, options, dtype, isa):
    limits = np.finfo(dtype)
    x = [
        0,
        limits.smallest_subnormal,
        limits.smallest_normal,
        88,
        104,
        710,
        750,
        limits.max,
        np.inf,
    ]
    x = np.array([*x, *np.negative(x), np.nan, -np.nan], dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # 2 max, and infinity times 0
        expected = value_and_slope(vectorized, layer, x, options)
    with setting(isa=isa):
        got = value_and_slope(native, layer, x, options)
    for mine, true in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, true, 1e-4, 4 * limits.smallest_subnormal)
    assert np.isnan([mine[-2:] for mine in got]).all()


@each_isa
@each_dtype
@each_curve
def test_a_number_has_one_answer_wherever_it_lies(layer, options, dtype, isa, rng):
    x, dout = (3 * rng.standard_normal((2, 100))).astype(dtype)
    with setting(isa=isa):
        whole = value_and_slope(native, layer, x, options, dout)
        for first in range(9):
            for count in range(1, 40):
                part = slice(first, first + count)
                got = value_and_slope(native, layer, x[part], options, dout[part])
                for mine, expected in zip(got, whole, strict=True):
                    assert mine.tobytes() == expected[part].tobytes()


@each_dtype
@each_curve
def test_threads_change_no_bit(layer, options, dtype, rng):
    x, dout = (3 * rng.standard_normal((2, 5, 16, 31, 33))).astype(dtype)
    answers = set()
    for threads in (1, 2, 3, 8):
        with setting(threads=1):
            value_and_slope(native, layer, -x, options, dout)  # leaves other numbers in the buffers
        with setting(threads=threads):
            got = value_and_slope(native, layer, x, options, dout)
            answers.add(b"".join(array.tobytes() for array in got))
    assert len(answers) == 1


@each_isa
def test_softmax_of_scores_far_apart(isa):
    x = np.array([[0, -50, -88, -103, -200, -3e38], [3e38, -3e38, 0, 1, 2, 3]], np.float32)
    with setting(isa=isa):
        loss, dx = native.softmax_loss(x, np.array([0, 0]))
    assert loss == 0
    expected = np.exp(np.maximum(x[0].astype(np.float64), -1000)) / 2
    np.testing.assert_allclose(dx[0, 1:], expected[1:], 1e-6, 2e-45)
    np.testing.assert_array_equal(dx[:, 0], 0)
    np.testing.assert_array_equal(dx[1], 0)
