"""Schedules: their end points, PyTorch's schedulers where these are equal, and building by name."""

import pytest

from handgrad.errors import OptionError
from handgrad.optim import SCHEDULES, build_schedule
from handgrad.optim.schedules import (
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Step,
    Triangular,
    Warmup,
)

TOTAL = 200


def factors(schedule, total=TOTAL):
    return [schedule(step, total) for step in range(total)]


def test_end_points():
    assert factors(Constant()) == [1.0] * TOTAL
    step = factors(Step(every=50, factor=0.5))
    assert (step[0], step[49], step[50], step[199]) == (1.0, 1.0, 0.5, 0.125)
    exponential = Exponential(factor=0.25, every=100)
    assert exponential(0, TOTAL) == 1.0
    assert exponential(50, TOTAL) == pytest.approx(0.5)
    assert exponential(100, TOTAL) == pytest.approx(0.25)
    cosine = Cosine(final=0.1)
    assert [cosine(s, TOTAL) for s in (0, 100, 200)] == pytest.approx([1.0, 0.55, 0.1])
    cycle = factors(OneCycle(rise=0.25, start=0.1, final=0.01))
    assert (cycle[0], cycle[49], cycle[199]) == pytest.approx((0.1, 1.0, 0.01))
    assert cycle.index(max(cycle)) == 49
    triangle = Triangular(rise=0.25, start=0.2, final=0.1)
    assert [triangle(s, 201) for s in (0, 25, 50, 125, 200)] == pytest.approx(
        [0.2, 0.6, 1, 0.55, 0.1]
    )
    assert factors(Triangular(rise=0)) == pytest.approx([1 - s / (TOTAL - 1) for s in range(TOTAL)])
    assert factors(Triangular(rise=1)) == pytest.approx([s / (TOTAL - 1) for s in range(TOTAL)])


def test_beyond_the_end_the_end_is_kept():
    for schedule in (
        Cosine(final=0.1),
        OneCycle(final=0.1),
        Triangular(final=0.1),
        Warmup(10, Cosine(final=0.1)),
    ):
        assert schedule(10 * TOTAL, TOTAL) == pytest.approx(0.1)


def test_warm_up_rises_linearly_and_then_hands_over():
    schedule = Warmup(4, Cosine(final=0.2))
    assert [schedule(step, 104) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert [schedule(step + 4, 104) for step in range(100)] == factors(Cosine(final=0.2), 100)


@pytest.mark.parametrize("total", [1, 2, 3])
def test_short_runs_stay_within_the_base_rate(total):
    for schedule in (
        Cosine(),
        OneCycle(),
        Triangular(),
        Triangular(rise=1),
        Warmup(2, Cosine()),
        Warmup(5, OneCycle()),
    ):
        assert all(0.0 <= factor <= 1.0 for factor in factors(schedule, total))


def test_torch_schedulers():
    torch = pytest.importorskip("torch")
    kinds = torch.optim.lr_scheduler
    for ours, make in (
        (Step(every=7, factor=0.6), lambda o: kinds.StepLR(o, 7, 0.6)),
        (Exponential(factor=0.97), lambda o: kinds.ExponentialLR(o, 0.97)),
        (Cosine(final=0.05), lambda o: kinds.CosineAnnealingLR(o, TOTAL, 0.05 * 0.3)),
        (OneCycle(), lambda o: kinds.OneCycleLR(o, 0.3, total_steps=TOTAL)),
        (Warmup(10), lambda o: kinds.LinearLR(o, 0.1, 1.0, 9)),
    ):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
        scheduler = make(optimizer)
        for step in range(TOTAL):
            rate = optimizer.param_groups[0]["lr"]
            assert 0.3 * ours(step, TOTAL) == pytest.approx(rate, rel=1e-10), (ours, step)
            optimizer.step()
            if step < TOTAL - 1:
                scheduler.step()


def test_building_from_a_table():
    assert build_schedule() == Constant()
    assert build_schedule("cosine") == Cosine()
    assert build_schedule({"name": "step", "every": 10}) == Step(every=10)
    assert build_schedule({"warmup": 5}) == Warmup(5, Constant())
    table = {"name": "cosine", "final": 0.01, "warmup": 100}
    assert build_schedule(table) == Warmup(100, Cosine(final=0.01))
    assert table == {"name": "cosine", "final": 0.01, "warmup": 100}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("cosin", "schedule: name must be one of constant, step, .*; got 'cosin'"),
        (
            {"name": "cosine", "finale": 0},
            'cosine: unrecognized "finale"; known are final',
        ),
        ({"name": "step"}, "schedule step: lacks every"),
        ({"name": "step", "every": 0}, "schedule step: every"),
        ({"name": "step", "every": 5, "factor": "x"}, "schedule step: factor must be a number"),
        ({"name": "exponential", "factor": 0}, "schedule exponential: factor"),
        ({"name": "cosine", "final": 2}, "schedule cosine: final"),
        ({"name": "one_cycle", "rise": -0.1}, "schedule one_cycle: rise"),
        ({"name": "cosine", "warmup": -1}, "schedule: warmup"),
    ],
)
def test_a_wrong_table_is_named(table, message):
    with pytest.raises(OptionError, match=message):
        build_schedule(table)


def test_schedules_are_values():
    for name, kind in SCHEDULES.items():
        options = {"step": {"every": 3}, "exponential": {"factor": 0.9}}.get(name, {})
        first, second = kind(**options), kind(**options)
        assert first == second
        assert hash(first) == hash(second)
