"""Mistakes of normalisation, over whatever set of numbers a layer normalises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call

Axes = tuple[int, ...]


class Parts(NamedTuple):
    """A normalisation's arrays, shaped so that gamma and beta broadcast over x.

    axes: those over which a set of numbers extends; sums: those over which dgamma is summed.
    """

    x: Any
    gamma: Any
    beta: Any
    dout: Any
    axes: Axes
    sums: Axes
    eps: float
    param: dict[str, Any]

    @property
    def test(self) -> bool:
        """Whether the running statistics are used."""
        return self.param.get("mode") == "test" and "running_mean" in self.param

    def statistics(self) -> tuple[Any, Any]:
        """Return mean and variance, of the batch or the running ones."""
        if self.test:
            shape = self.gamma.shape
            return self.param["running_mean"].reshape(shape), self.param["running_var"].reshape(
                shape
            )
        return self.x.mean(self.axes, keepdims=True), self.x.var(self.axes, keepdims=True)


def batch_parts(call: Call) -> Parts:
    """Batch normalisation: all numbers of one channel."""
    x, gamma, beta = (np.asarray(call.arrays[key], float) for key in ("x", "gamma", "beta"))
    shape = (1, -1) + (1,) * (x.ndim - 2)
    axes = (0, *range(2, x.ndim))
    param = call.options[-1]
    return Parts(
        x,
        gamma.reshape(shape),
        beta.reshape(shape),
        call.dout,
        axes,
        axes,
        param.get("eps", 1e-5),
        param,
    )


def layer_parts(call: Call) -> Parts:
    """Layer normalisation: all numbers of one row."""
    x, gamma, beta = (np.asarray(call.arrays[key], float) for key in ("x", "gamma", "beta"))
    param = {key: value for key, value in call.options[-1].items() if key != "mode"}
    return Parts(x, gamma[None], beta[None], call.dout, (1,), (0,), param.get("eps", 1e-5), param)


def group_parts(call: Call) -> Parts:
    """Group normalisation: all numbers of one group of channels of one image."""
    x, gamma, beta = (np.asarray(call.arrays[key], float) for key in ("x", "gamma", "beta"))
    N, C, H, W = x.shape
    G, param = call.options
    shape, broad = (N, G, C // G, H, W), (1, G, C // G, 1, 1)
    dout = None if call.dout is None else call.dout.reshape(shape)
    param = {key: value for key, value in param.items() if key != "mode"}
    return Parts(
        x.reshape(shape),
        gamma.reshape(broad),
        beta.reshape(broad),
        dout,
        (2, 3, 4),
        (0, 3, 4),
        param.get("eps", 1e-5),
        param,
    )


Take = Callable[[Call], Parts]
Mistake = tuple[str, str, Callable[[Parts], Any], str]  # name, words, out, guilty line


def forward_of(take: Take, value: Callable[[Parts], Any], modes: str = "both") -> Any:
    """Predict out; modes: in which the mistake is made."""

    def predict(call: Call) -> dict[str, Any]:
        parts = take(call)
        if modes != "both" and parts.test != (modes == "test"):
            return {}
        return {"out": np.reshape(value(parts), np.shape(call.arrays["x"]))}

    return predict


def scaled(parts: Parts, xhat: Any) -> Any:
    """Return gamma xhat + beta."""
    return parts.gamma * xhat + parts.beta


def _standard(change: Callable[[Any, Any, Any, float], Any]) -> Callable[[Parts], Any]:
    """From (x, mean, var, eps) to xhat, then scaled and shifted."""
    return lambda p: scaled(p, change(p.x, *p.statistics(), p.eps))


def over(axes: Axes, sums: bool = True) -> Callable[[Parts], Any]:
    """Normalise over other axes."""

    def value(parts: Parts) -> Any:
        mean, var = parts.x.mean(axes, keepdims=True), parts.x.var(axes, keepdims=True)
        return scaled(parts, (parts.x - mean) / np.sqrt(var + parts.eps))

    return value


def xhat_of(parts: Parts) -> tuple[Any, Any]:
    """Return the right xhat and std."""
    mean, var = parts.statistics()
    std = np.sqrt(var + parts.eps)
    return (parts.x - mean) / std, std


def backward_of(take: Take, dx: Callable[..., Any], modes: str = "train") -> Any:
    """Predict dx from (g, xhat, std, axes, parts), g = dout gamma."""

    def predict(call: Call) -> dict[str, Any]:
        parts = take(call)
        if modes != "both" and parts.test != (modes == "test"):
            return {}
        xhat, std = xhat_of(parts)
        value = dx(parts.dout * parts.gamma, xhat, std, parts)
        return {"dx": np.reshape(value, np.shape(call.arrays["x"]))}

    return predict


def gradient_of(take: Take, key: str, value: Callable[..., Any]) -> Any:
    """Predict dgamma or dbeta from (dout, xhat, std, parts), summed over the right axes."""

    def predict(call: Call) -> dict[str, Any]:
        parts = take(call)
        xhat, std = xhat_of(parts)
        total = np.sum(value(parts.dout, xhat, std, parts), axis=parts.sums)
        return {key: np.reshape(total, np.shape(call.expected[key]))}

    return predict


def mean(value: Any, parts: Parts) -> Any:
    """The mean over a set."""
    return value.mean(parts.axes, keepdims=True)


def total(value: Any, parts: Parts) -> Any:
    """The sum over a set."""
    return value.sum(parts.axes, keepdims=True)


def size(parts: Parts) -> np.float64:
    """The number of numbers in a set."""
    return np.float64(np.prod([parts.x.shape[axis] for axis in parts.axes]))


def unbiased(parts: Parts) -> Any:
    """Return out with the variance divided by m - 1."""
    m = size(parts)
    centre, var = parts.statistics()
    return scaled(parts, (parts.x - centre) / np.sqrt(var * m / (m - 1) + parts.eps))


def forward(take: Take, more: Sequence[Mistake] = ()) -> list[Hypothesis]:
    """The mistakes of forward that all normalisations share, and `more` of the kind."""
    rows = [
        (
            "epsilon_outside",
            "epsilon is outside the root: it must be sqrt(var + eps)",
            _standard(lambda x, m, v, e: (x - m) / (np.sqrt(v) + e)),
            r"sqrt|std",
        ),
        (
            "epsilon_outside",
            "the root of epsilon is added outside: it must be sqrt(var + eps)",
            _standard(lambda x, m, v, e: (x - m) / (np.sqrt(v) + np.sqrt(e))),
            r"sqrt|std",
        ),
        (
            "epsilon_outside",
            "epsilon is added to the fraction, not under its root: it must be sqrt(var + eps)",
            _standard(lambda x, m, v, e: (x - m) / np.sqrt(v) + e),
            r"eps",
        ),
        (
            "epsilon_missing",
            "epsilon is not added to the variance",
            _standard(lambda x, m, v, e: (x - m) / np.sqrt(v)),
            r"sqrt|std",
        ),
        (
            "epsilon_fixed",
            "epsilon is fixed at 1e-5: the option eps is not used",
            _standard(lambda x, m, v, e: (x - m) / np.sqrt(v + 1e-5)),
            r"1e-5",
        ),
        (
            "root_missing",
            "x is divided by the variance, not by its root",
            _standard(lambda x, m, v, e: (x - m) / (v + e)),
            r"/",
        ),
        (
            "root_multiplied",
            "x is multiplied by the standard deviation, not divided",
            _standard(lambda x, m, v, e: (x - m) * np.sqrt(v + e)),
            r"\*",
        ),
        (
            "not_divided",
            "x is centred, but not divided by the standard deviation",
            _standard(lambda x, m, v, e: x - m),
            r"-",
        ),
        (
            "not_centred",
            "the mean is not subtracted",
            _standard(lambda x, m, v, e: x / np.sqrt(v + e)),
            r"sqrt",
        ),
        (
            "unbiased_normalised",
            "the variance is the unbiased one (divided by N - 1); the course's uses 1/N",
            unbiased,
            r"ddof|-\s*1|var",
        ),
        (
            "variance_summed",
            "the variance is a sum of squares: it must be divided by their number",
            lambda p: scaled(
                p, (p.x - p.statistics()[0]) / np.sqrt(size(p) * p.statistics()[1] + p.eps)
            ),
            r"sum",
        ),
        (
            "variance_not_centred",
            "the variance is the mean of x**2: the mean is not subtracted first",
            _standard(lambda x, m, v, e: (x - m) / np.sqrt(v + m**2 + e)),
            r"\*\*\s*2|square",
        ),
        ("beta_missing", "beta is not added", lambda p: p.gamma * xhat_of(p)[0], r"gamma"),
        (
            "gamma_missing",
            "xhat is not multiplied by gamma",
            lambda p: xhat_of(p)[0] + p.beta,
            r"beta",
        ),
        (
            "gamma_beta_missing",
            "xhat is returned: gamma and beta are not applied",
            lambda p: xhat_of(p)[0],
            r"return",
        ),
        (
            "gamma_beta_swapped",
            "gamma and beta are exchanged",
            lambda p: p.beta * xhat_of(p)[0] + p.gamma,
            r"gamma|beta",
        ),
        (
            "gamma_added",
            "gamma is added, not multiplied",
            lambda p: p.gamma + xhat_of(p)[0] + p.beta,
            r"gamma",
        ),
    ]
    return [
        Hypothesis(name, says, forward_of(take, value, modes), line)
        for modes in ("both", "train", "test")
        for name, says, value, line in [*rows, *more]
    ] + [
        Hypothesis(
            "default_eps",
            f"the default of eps is {value:g}: the course's is 1e-05",
            forward_of(take, _default_eps(value)),
            r"eps",
        )
        for value in (1e-8, 1e-7, 1e-6, 1e-4, 1e-3, 1e-10, 1e-12, 0.0)
    ]


def _default_eps(eps: float) -> Callable[[Parts], Any]:
    """Normalise with another epsilon where none is given."""

    def value(parts: Parts) -> Any:
        centre, var = parts.statistics()
        used = parts.param.get("eps", eps)
        return scaled(parts, (parts.x - centre) / np.sqrt(var + used))

    return value
