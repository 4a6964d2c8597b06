"""Statistics, turns, comparisons and the lines that are printed."""

import time

import numpy as np
import pytest

from handgrad.bench.measure import (
    Summary,
    WrongResult,
    compare,
    geometric_mean,
    interleave,
    lines,
    number,
    samples_of,
    summaries,
)


def test_summary_of_figures_worked_out_by_hand():
    summary = Summary.of([7.0, 1.0, 3.0, 5.0])
    assert summary == Summary(median=4.0, q1=2.5, q3=5.5, minimum=1.0, count=4)
    assert Summary.of([2.0]) == Summary(2.0, 2.0, 2.0, 2.0, 1)


def test_summary_is_what_numpy_says(rng):
    samples = list(rng.random(33))
    summary = Summary.of(samples)
    quartiles = np.percentile(samples, [25, 50, 75])
    assert (summary.q1, summary.median, summary.q3) == pytest.approx(tuple(quartiles), rel=1e-12)
    assert summary.minimum == min(samples)


def test_sides_take_turns():
    order = []

    def turn(name, seconds):
        order.append(name)
        return [seconds, seconds + 2]

    first, second = interleave([lambda: turn("A", 1.0), lambda: turn("B", 5.0)], 3, rest=0)
    assert order == ["A", "B"] * 3
    assert (first.median, second.median) == (2.0, 6.0)
    assert first.count == second.count == 6


def test_a_warm_up_is_not_timed():
    pauses = iter([0.05, 0.0, 0.0, 0.0])
    assert max(samples_of(lambda: time.sleep(next(pauses)), 0)) < 0.04
    pauses = iter([0.05])
    (only,) = samples_of(lambda: time.sleep(next(pauses)), 0, warm=False)
    assert only >= 0.05


def test_samples_fill_the_time():
    samples = samples_of(lambda: time.sleep(0.002), 0.03)
    assert len(samples) > 3
    assert sum(samples) == pytest.approx(0.03, abs=0.03)


# comparing


def limits(error, scale):
    return lambda name, size: (error, scale)


def arrays(rng):
    return {"loss": np.array(2.3), "gradient W1": rng.standard_normal((4, 5)),
            "gradient b1": 1e-17 * rng.standard_normal(5)}  # fmt: skip


def test_equal_results_have_no_error(rng):
    expected = arrays(rng)
    assert compare("side", expected, expected, limits(1e-12, 1e-12)) == (0.0, 0.0)


def test_error_and_scale_are_told_apart(rng):
    expected = arrays(rng)
    got = {**expected, "gradient W1": 1.001 * expected["gradient W1"]}
    assert compare("side", expected, got, limits(1e-2, 1e-2)) == pytest.approx(
        (1e-3, 1e-3), rel=1e-9
    )
    with pytest.raises(WrongResult, match=r"side: gradient W1 .* scale 0.001, allowed 0.0003"):
        compare("side", expected, got, limits(1e-2, 3e-4))
    swapped = expected["gradient W1"].copy()
    swapped[0, :2] = swapped[0, 1::-1]
    with pytest.raises(WrongResult, match=r"gradient W1 .* error"):
        compare("side", expected, {**expected, "gradient W1": swapped}, limits(1e-2, 10))


def test_noise_where_zero_is_expected_is_measured_by_its_kind(rng):
    expected = arrays(rng)
    noisy = {**expected, "gradient b1": 1e-7 * rng.standard_normal(5)}
    assert compare("side", expected, noisy, limits(1e-4, 1e-4))[0] > 1e-6
    with pytest.raises(WrongResult, match="gradient b1"):
        compare("side", expected, {**expected, "gradient b1": np.ones(5)}, limits(1e-4, 1e-4))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_wrong(rng, bad):
    expected = arrays(rng)
    with pytest.raises(WrongResult, match="loss"):
        compare("side", expected, {**expected, "loss": np.array(bad)}, limits(0.5, 0.5))


def test_shapes_and_names_are_compared(rng):
    expected = arrays(rng)
    with pytest.raises(WrongResult, match=r"gradient W1 must have the shape \(4, 5\).*\(5, 4\)"):
        compare("side", expected, {**expected, "gradient W1": np.ones((5, 4))}, limits(1, 1))
    with pytest.raises(WrongResult, match=r"loss must have the shape .* got nothing"):
        compare("side", expected, {}, limits(1, 1))


# printing


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (123.4, "s", "123 s"),
        (0.04125, "s", "41.2 ms"),
        (9.5e-6, "s", "9.50 us"),
        (5e-8, "s", "50 ns"),
        (1234 << 20, "bytes", "1,234 MiB"),
    ],
)
def test_numbers_have_three_digits(value, unit, text):
    assert number(value, unit) == text


def side(name, median, **more):
    return {"name": name, "setting": "eager", **Summary.of([median]).to_dict(), **more}


def result(case, ratio):
    return {"row": 6, "case": case, "unit": "s", "ours": side("handgrad native", 0.01),
            "peers": [side("PyTorch float32", 0.01 * ratio, ratio=ratio)]}  # fmt: skip


def test_lines_of_a_result():
    case, ours, peer = lines(result("1x1", 3.25))
    assert case == "1x1"
    assert "handgrad native" in ours
    assert " x " not in ours
    assert "32.5 ms" in peer
    assert "3.25 x" in peer
    assert peer.endswith("eager")


def test_summaries_of_several_cases():
    (summary,) = summaries([result("a", 4.0), result("b", 1.0), {**result("c", 9.0), "row": 1}])
    assert summary["geometric_mean"] == pytest.approx(2.0)
    assert (summary["row"], summary["worst"], summary["worst_case"]) == (6, 1.0, "b")
    assert geometric_mean([2.0, 8.0, 4.0]) == pytest.approx(4.0)
