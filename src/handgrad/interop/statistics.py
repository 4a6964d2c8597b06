"""Running statistics after one step: which rule moved them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from handgrad.interop.bounds import Value, gamma
from handgrad.interop.match import Found, fits
from handgrad.interop.network import Network, Node
from handgrad.interop.trace import Trace
from handgrad.nn.norms import momentum_at

Array = np.ndarray


def statistics_difference(
    network: Network, trace: Trace, found: Found
) -> tuple[Node, str | None, float, float] | None:
    """Return the first batch normalisation whose running statistics the rule does not explain.

    Handgrad's rule is ``r = m r + (1 - m) s`` with the batch's statistic s.  That s is divided by n or by
    n - 1, and that the first steps are corrected for the start, are customs of libraries, no mistakes.
    """
    for node in network.nodes:
        if node.op != "batchnorm":
            continue
        x = found.values[node.inputs[0]].value
        axes = (0, *range(2, x.ndim))
        n = x.size // x.shape[1]
        seen = found.seen.get(node.name)
        for role, s in (("mean", x.mean(axis=axes)), ("var", x.var(axis=axes))):
            after = _after(trace, node, role, seen)
            afters = _moved(trace, node, role) if after is None else [after]
            if not afters:
                continue
            before = np.asarray(node.arrays[role], np.float64)
            sizes = np.abs(before) + np.abs(s) + np.abs(x).max() ** (2 if role == "var" else 1)
            error = gamma(n, trace.unit) * sizes
            m = _momentum(node, trace, seen)
            rules = [Value(r, error) for r in _rules(before, s, m, n)]
            if any(fits(after, rule) for after in afters for rule in rules):
                continue
            after = afters[0]
            cause = next(
                (
                    words
                    for words, r in _mistakes(before, s, m, n, x, axes, role)
                    if fits(after, Value(r, error))
                ),
                None,
            )
            right = m * before + (1 - m) * s
            worst = int(np.argmax(np.abs(after - right)))
            return node, cause, float(np.abs(after - right)[worst]), float(2 * error[worst])
    return None


def _after(trace: Trace, node: Node, role: str, seen: object) -> Array | None:
    """The statistic in the other network, by the buffers that went into the layer."""
    names: list[str] = []
    for label in getattr(seen, "buffers", ()):
        names += [name for name in trace.buffers if name in (label, f"{label}.running_{role}")]
    names = [
        name
        for name in names
        if role in name.rpartition(".")[2] or name.endswith(f"running_{role}")
    ]
    for name in names:
        array = trace.buffers[name]
        if array.shape == node.arrays[role].shape:
            return np.asarray(array, np.float64)
    return None


def _moved(trace: Trace, node: Node, role: str) -> list[Array]:
    """The statistic by the numbers that it had before the step; none where nothing moved them.

    Several layers may have begun with the same, as 0 and 1; then any of them may be the layer's.
    """
    own = np.asarray(node.arrays[role], np.float64)
    return [
        np.asarray(trace.buffers[name], np.float64)
        for name, a in trace.before.items()
        if role in name.rpartition("/")[2].rpartition(".")[2]
        and name in trace.buffers
        and a.shape == own.shape
        and np.allclose(a, own, rtol=1e-6, atol=1e-300)
        and not np.array_equal(trace.buffers[name], a)
    ]


def _momentum(node: Node, trace: Trace, seen: object) -> float:
    """That of the step, where the other network counts its steps as Handgrad does."""
    m = float(node.options["momentum"])
    for label in getattr(seen, "buffers", ()):
        steps = trace.buffers.get(f"{label}.steps")
        if steps is not None:
            return momentum_at(m, int(steps))
    return m


def _rules(before: Array, s: Array, m: float, n: int) -> Iterator[Array]:
    for value in (s, s * n / max(n - 1, 1)):
        yield m * before + (1 - m) * value
        if not before.any() or (before == 1).all():
            yield value  # the start is corrected


def _mistakes(
    before: Array, s: Array, m: float, n: int, x: Array, axes: tuple[int, ...], role: str
) -> Iterator[tuple[str, Array]]:
    unbiased = s * n / max(n - 1, 1)
    for value in (s, unbiased):
        yield (f"the momentum is the other way round: {1 - m:g} is kept, not {m:g} (momentum convention)",
               (1 - m) * before + m * value)  # fmt: skip
        for other in (0.0, 0.1, 0.5, 0.9, 0.99, 0.997, 0.999, 0.01, 0.001):
            words = f"the momentum is {other:g}, not {m:g}"
            yield words, other * before + (1 - other) * value
    yield "the statistics are not moved in training", before
    if role == "var":
        yield "the standard deviation is kept, not the variance", m * before + (1 - m) * np.sqrt(s)
        yield (
            "the mean of the squares is kept, not the variance",
            m * before + (1 - m) * (x**2).mean(axis=axes),
        )
