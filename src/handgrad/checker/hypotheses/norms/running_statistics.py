"""Mistakes of the running statistics of batch normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.norms.norm import Parts, batch_parts
from handgrad.checker.hypotheses.norms.statistics import other_axes
from handgrad.checker.records import Call

Update = Callable[[float, Any, Any], Any]  # from (momentum, old, new)
Sample = Callable[[Parts], Any]
_KEYS = ("running_mean", "running_var")


def _right(momentum: float, old: Any, new: Any) -> Any:
    return momentum * old + (1 - momentum) * new


def mean_of(parts: Parts) -> Any:
    """Each channel's mean."""
    return parts.x.mean(parts.axes)


def variance_of(parts: Parts) -> Any:
    """Each channel's variance."""
    return parts.x.var(parts.axes)


def _count(parts: Parts) -> Any:
    return np.float64(np.prod([parts.x.shape[axis] for axis in parts.axes]))


def unbiased(parts: Parts) -> Any:
    """Each channel's variance divided by m - 1; not a number for m = 1."""
    return variance_of(parts) * _count(parts) / (_count(parts) - 1)


def _unbiased_but_one(parts: Parts) -> Any:
    return variance_of(parts) * _count(parts) / max(_count(parts) - 1, 1.0)


def running(
    mean: Update = _right,
    var: Update = _right,
    sample_mean: Sample = mean_of,
    sample_var: Sample = variance_of,
    start: float = 0.0,
    default: float = 0.9,
) -> Callable[[Call], dict[str, Any]]:
    """Predict the running statistics from other updates of other samples.

    start: the running variance before the first batch; default: momentum where none is given.
    """

    def predict(call: Call) -> dict[str, Any]:
        parts = batch_parts(call)
        if "running_mean" not in call.expected or parts.test:
            return {}
        momentum = parts.param.get("momentum", default)
        found = {}
        for key, update, sample in zip(_KEYS, (mean, var), (sample_mean, sample_var), strict=True):
            shape = np.shape(call.expected[key])
            old = parts.param.get(key, np.full(shape, start if key == "running_var" else 0.0))
            found[key] = np.broadcast_to(update(momentum, old, sample(parts)), shape)
        return found

    return predict


def _exchanged(call: Call) -> dict[str, Any]:
    """Each is stored under the other's name."""
    keys = [key for key in _KEYS if key in call.expected]
    return dict(zip(keys, [call.expected[key] for key in reversed(keys)], strict=True))


_SAMPLES: list[tuple[str, str, Sample | None, Sample | None, str]] = [
    (
        "unbiased_running",
        "running_var is updated with the unbiased variance; the course's uses 1/N",
        None,
        unbiased,
        r"ddof|running_var\s*=|-\s*1",
    ),
    (
        "unbiased_running",
        "running_var is updated with the unbiased variance; the course's uses 1/N",
        None,
        _unbiased_but_one,
        r"ddof|running_var\s*=|-\s*1",
    ),
    (
        "running_deviation",
        "running_var is updated with the standard deviation, not with the variance",
        None,
        lambda p: np.sqrt(variance_of(p)),
        r"running_var\s*=",
    ),
    (
        "running_deviation",
        "running_var is updated with the standard deviation, not with the variance",
        None,
        lambda p: np.sqrt(variance_of(p) + p.eps),
        r"running_var\s*=",
    ),
    (
        "running_with_epsilon",
        "running_var is updated with var + eps",
        None,
        lambda p: variance_of(p) + p.eps,
        r"running_var\s*=",
    ),
    (
        "running_inverse",
        "running_var is updated with 1/std, not with the variance",
        None,
        lambda p: 1 / np.sqrt(variance_of(p) + p.eps),
        r"running_var\s*=",
    ),
    (
        "running_squares",
        "running_var is updated with the mean of x**2: the mean is not subtracted",
        None,
        lambda p: (p.x**2).mean(p.axes),
        r"running_var\s*=",
    ),
    (
        "running_summed",
        "running_var is updated with a sum of squares: it must be divided by their number",
        None,
        lambda p: variance_of(p) * _count(p),
        r"running_var\s*=|sum",
    ),
    (
        "running_summed",
        "running_mean is updated with a sum: it must be divided by the number of numbers",
        lambda p: mean_of(p) * _count(p),
        None,
        r"running_mean\s*=|sum",
    ),
    (
        "wrong_axis",
        "running_mean takes the mean of all numbers, not of each channel",
        lambda p: p.x.mean(),
        None,
        r"mean\(",
    ),
    (
        "wrong_axis",
        "running_var takes the variance of all numbers, not of each channel",
        None,
        lambda p: p.x.var(),
        r"var\(",
    ),
    (
        "wrong_axis",
        "running_var takes the mean square about the mean of all numbers",
        None,
        lambda p: ((p.x - p.x.mean()) ** 2).mean(p.axes),
        r"mean\(",
    ),
    (
        "wrong_axis",
        "the running statistics take all numbers together, not each channel",
        lambda p: p.x.mean(),
        lambda p: p.x.var(),
        r"mean\(",
    ),
    (
        "wrong_axis",
        "the running statistics are taken over the wrong axis",
        lambda p: p.x.mean(other_axes(p)),
        lambda p: p.x.var(other_axes(p)),
        r"axis",
    ),
    (
        "running_of_output",
        "running_mean is updated with the mean of the output, not of x",
        lambda p: p.beta.ravel(),
        None,
        r"out",
    ),
    (
        "running_exchanged",
        "running_mean and running_var are updated with each other's statistics",
        variance_of,
        mean_of,
        r"running_\w+\s*=",
    ),
    (
        "running_exchanged",
        "running_var is updated with the mean",
        None,
        mean_of,
        r"running_var\s*=",
    ),
    (
        "running_exchanged",
        "running_mean is updated with the variance",
        variance_of,
        None,
        r"running_mean\s*=",
    ),
]
_UPDATES: list[tuple[str, str, Update, str]] = [
    (
        "momentum_swapped",
        "momentum is the wrong way round: running = momentum * running + (1 - momentum) * batch",
        lambda momentum, old, new: (1 - momentum) * old + momentum * new,
        r"running_\w+\s*=|momentum",
    ),
    (
        "momentum_unused",
        "{key}: the batch's statistics overwrite it: momentum is not used",
        lambda momentum, old, new: new + 0 * old,
        r"running_\w+\s*=|momentum",
    ),
    (
        "momentum_summed",
        "{key}: the batch's statistics are not multiplied by 1 - momentum",
        lambda momentum, old, new: momentum * old + new,
        r"running_\w+\s*=|momentum",
    ),
    (
        "momentum_summed",
        "{key}: the old statistics are not multiplied by momentum",
        lambda momentum, old, new: old + (1 - momentum) * new,
        r"running_\w+\s*=|momentum|\+=",
    ),
    (
        "momentum_summed",
        "{key}: the batch's statistics are added to the old ones: momentum is not used",
        lambda momentum, old, new: old + new,
        r"running_\w+\s*=|momentum|\+=",
    ),
    (
        "momentum_twice",
        "{key}: both the old and the new statistics are multiplied by momentum",
        lambda momentum, old, new: momentum * (old + new),
        r"running_\w+\s*=|momentum",
    ),
    (
        "momentum_fixed",
        "momentum is fixed at 0.9: the option momentum is not used",
        lambda momentum, old, new: 0.9 * old + 0.1 * new,
        r"0?\.9",
    ),
    (
        "momentum_fixed",
        "momentum is fixed at 0.99: the option momentum is not used",
        lambda momentum, old, new: 0.99 * old + 0.01 * new,
        r"0?\.99",
    ),
    (
        "old_forgotten",
        "{key}: the old statistics are not used",
        lambda momentum, old, new: (1 - momentum) * new + 0 * old,
        r"running_\w+\s*=|momentum",
    ),
    (
        "new_forgotten",
        "{key}: the batch's statistics are zero, or not used",
        lambda momentum, old, new: momentum * old + 0 * new,
        r"running_\w+\s*=|momentum",
    ),
    (
        "running_not_updated",
        "{key} is never updated",
        lambda momentum, old, new: old + 0 * new,
        r"running",
    ),
]

STATES = [
    Hypothesis(
        "running_start",
        "running_var starts at one: the courses' starts at zero",
        running(start=1.0),
        r"ones",
    ),
    *[
        Hypothesis(
            "default_momentum",
            f"the default of momentum is {value:g}: the course's is 0.9",
            running(default=value),
            r"momentum",
        )
        for value in (0.0, 0.01, 0.1, 0.5, 0.8, 0.95, 0.99, 0.999)
    ],
    *[
        Hypothesis(
            name,
            says,
            running(sample_mean=mean or mean_of, sample_var=var or variance_of),
            line,
        )
        for name, says, mean, var, line in _SAMPLES
    ],
    *[
        Hypothesis(name, says, running(mean, var), line)
        for name, says, update, line in _UPDATES
        for mean, var in ((update, update), (update, _right), (_right, update))
    ],
    Hypothesis(
        "running_exchanged",
        "running_mean and running_var are stored under each other's name",
        _exchanged,
        r"running_mean.*running_var|running_mean",
    ),
]
