"""The learning-rate range test: a short training in which the rate grows, and what its losses say.

The rate of step t of T is ``low (high / low)^(t / (T - 1))``.  The losses are smoothed by a moving average,
corrected at its start; the test ends where the smoothed loss is more than four times its least value, or
not finite.  Suggested is the rate at which the smoothed loss falls most steeply over the logarithm of the
rate, of those before its least value, without the first tenth.

Source: L. N. Smith, "Cyclical learning rates for training neural networks" (2017), arXiv:1506.01186.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from handgrad.errors import NonFiniteError, OptionError, as_count, as_number, shown
from handgrad.nn.state import training
from handgrad.training.undo import Before

if TYPE_CHECKING:
    from handgrad.training.solver import Solver

_SMOOTH = 0.9
_DIVERGED = 4.0


class RangeTest(NamedTuple):
    """rates, losses and smoothed losses, (T,) each; suggestion, a rate; reason, why the test ended.

    >>> lr_find(solver).suggestion  # doctest: +SKIP
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float
    reason: str


def lr_find(solver: Solver, low: float = 1e-6, high: float = 10.0, steps: int = 100) -> RangeTest:
    """Try learning rates from `low` to `high` in a training of `steps` steps, which is then undone.

    Args:
        solver: a Solver that has been made, with a rule that has a learning_rate; it is left as it was,
            its model and random streams too.
        low, high: rates, above 0.
        steps: of the test, at least 10.

    Raises:
        OptionError: a rate is out of range, the rule has no learning rate, or no step was finite.

    >>> from handgrad import FullyConnectedNet, Solver
    >>> from handgrad.data import load_digits
    >>> model = FullyConnectedNet([50], input_dim=64, weight_scale="kaiming", rng=0)
    >>> solver = Solver(model, load_digits(), rng=0)
    >>> found = lr_find(solver)
    >>> 1e-4 < found.suggestion < 1
    True
    """
    if isinstance(solver, type) or not hasattr(solver, "try_step"):
        raise OptionError(f"lr_find: solver must be a Solver, got {shown(solver)}")
    low = as_number("lr_find", "low", low, 0.0, open_low=True)
    high = as_number("lr_find", "high", high, low, open_low=True)
    steps = as_count("lr_find", "steps", steps, 10)
    rate_is_there = "learning_rate" in (
        solver.update_rule(np.zeros(1), np.zeros(1), {})[1] if solver.optim_configs else {}
    )
    if not rate_is_there:
        raise OptionError("lr_find: the update rule has no learning_rate")
    rates = low * (high / low) ** (np.arange(steps) / (steps - 1))
    with training(solver.model):
        losses, reason = _losses(solver, rates)
    if len(losses) < 3:
        raise OptionError(
            f"lr_find: the loss is not finite even at the rate {low:g}; look at the data and initial weights"
        )
    smoothed = _smoothed(losses)
    rates = rates[: len(losses)]
    return RangeTest(rates, losses, smoothed, _steepest(rates, smoothed), reason)


def _losses(solver: Solver, rates: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the losses of the steps at these rates, and why they ended; undo all."""
    solver.settle()
    before = Before(solver)
    schedule, total = solver.schedule, solver.total_steps
    losses: list[float] = []
    least, average = math.inf, 0.0
    try:
        solver.total_steps = solver.iteration + len(rates)
        for t, rate in enumerate(rates):
            for config in solver.optim_configs.values():
                config["learning_rate"] = 1.0
            solver.schedule = lambda step, total, rate=rate: float(rate)
            try:
                losses.append(solver.try_step())
            except NonFiniteError:
                return np.array(losses), f"the loss was not finite at the rate {rate:.3g}"
            average = _SMOOTH * average + (1 - _SMOOTH) * losses[-1]
            now = average / (1 - _SMOOTH ** (t + 1))
            least = min(least, now)
            if t > 10 and now > _DIVERGED * least:
                return np.array(losses), f"the loss had grown fourfold at the rate {rate:.3g}"
        return np.array(losses), f"all rates up to {rates[-1]:g} were tried"
    finally:
        solver.schedule, solver.total_steps = schedule, total
        before.put_back(solver)


def _smoothed(losses: np.ndarray) -> np.ndarray:
    average, values = 0.0, []
    for t, loss in enumerate(losses, start=1):
        average = _SMOOTH * average + (1 - _SMOOTH) * float(loss)
        values.append(average / (1 - _SMOOTH**t))
    return np.array(values)


def _steepest(rates: np.ndarray, smoothed: np.ndarray) -> float:
    """Return the rate where the smoothed loss falls most steeply, before its least value.

    The first tenth is left out: a mean of few losses moves by chance.
    """
    start = min(max(len(rates) // 10, 1), len(rates) - 3)
    end = max(start + int(smoothed[start:].argmin()) + 1, start + 3)
    slopes = np.gradient(smoothed[start:end], np.log(rates[start:end]))
    return float(rates[start + int(slopes.argmin())])
