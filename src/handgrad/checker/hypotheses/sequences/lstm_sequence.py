"""Mistakes of an LSTM over a sequence: a state or its gradient that is not carried, a sum over the steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Beside, Hypothesis
from handgrad.checker.records import Call
from handgrad.layers import lstm_step_backward, lstm_step_forward


def _lstm(
    hidden: Callable[[Any, Any, int], Any] = lambda h, h0, t: h,
    cell: Callable[[Any, int], Any] = lambda c, t: c,
    first_cell: Callable[[Any], Any] = np.zeros_like,
    upstream: Callable[[Any, Any], Any] = lambda own, carried: own + carried,
    carried_cell: Callable[[Any], Any] = lambda dc: dc,
    total: Callable[[list[Any]], Any] = sum,
    h0_of_last: bool = False,
) -> Callable[[Call], dict[str, Any]]:
    """Predict an LSTM's sequence with one part changed."""

    def predict(call: Call) -> dict[str, Any]:
        x, h0, Wx, Wh, b = (np.asarray(value, float) for value in call.arrays.values())
        if x.ndim != 3 or 4 * Wh.shape[0] != Wh.shape[1]:
            raise Beside
        h, c, states, caches = h0, first_cell(h0), [], []
        for t in range(x.shape[1]):
            before, memory = hidden(h, h0, t), cell(c, t)
            h, c, cache = lstm_step_forward(x[:, t], before, memory, Wx, Wh, b, engine="vectorized")
            states.append(h)
            caches.append(cache)
        if call.dout is None:
            return {"out": np.stack(states, axis=1)}
        dout = np.asarray(call.dout)
        dh, dc, parts, dx, dh0 = np.zeros_like(h0), np.zeros_like(h0), [], np.zeros_like(x), None
        for t in reversed(range(x.shape[1])):
            found = lstm_step_backward(upstream(dout[:, t], dh), dc, caches[t])
            dx[:, t], dh, dc = found[:3]
            dc = carried_cell(dc)
            dh0 = dh if dh0 is None or not h0_of_last else dh0
            parts.append(found[3:])
        dWx, dWh, db = (total([part[i] for part in parts]) for i in range(3))
        return {"dx": dx, "dh0": dh0, "dWx": dWx, "dWh": dWh, "db": db}

    return predict


FORWARD = [
    Hypothesis(
        "state_not_carried",
        "each step starts from h0, not from the state of the step before",
        _lstm(hidden=lambda h, h0, t: h0),
        r"h0|prev_h",
    ),
    Hypothesis(
        "cell_not_carried",
        "each step starts from a cell of zeros, not from the cell of the step before",
        _lstm(cell=lambda c, t: 0 * c),
        r"prev_c|zeros",
    ),
    Hypothesis(
        "state_of_zeros",
        "the first step starts from a state of zeros, not from h0",
        _lstm(hidden=lambda h, h0, t: h if t else 0 * h0),
        r"zeros",
    ),
    *[
        Hypothesis(
            "cell_of_first",
            f"the cell starts at {words}: it must start at zero",
            _lstm(first_cell=start),
            r"_?c\s*=",
        )
        for words, start in (("h0", lambda h0: h0), ("one", np.ones_like))
    ],
]
BACKWARD = [
    Hypothesis(
        "not_carried",
        "{key}: the gradient of a state lacks what comes back from the next step: dh[:, t] + dprev_h",
        _lstm(upstream=lambda own, carried: own),
        r"dprev_h|dh\b",
    ),
    Hypothesis(
        "cell_not_carried",
        "{key}: the gradient of the cell does not come back from the next step: dprev_c",
        _lstm(carried_cell=lambda dc: 0 * dc),
        r"dprev_c|dnext_c|dc\b",
    ),
    Hypothesis(
        "neither_carried",
        "{key}: neither dprev_h nor dprev_c is carried back from the next step",
        _lstm(upstream=lambda own, carried: own, carried_cell=lambda dc: 0 * dc),
        r"dprev_h|dprev_c|dh\b",
    ),
    Hypothesis(
        "upstream_dropped",
        "{key}: only the gradient of the next step reaches a state: add dh of this step",
        _lstm(upstream=lambda own, carried: carried if np.any(carried) else own),
        r"dprev_h|dh\b",
    ),
    Hypothesis(
        "only_last_step",
        "{key} is of the first step alone: it must be summed over all steps",
        _lstm(total=lambda parts: parts[-1]),
        r"dW|db",
    ),
    Hypothesis(
        "only_last_step",
        "{key} is of the last step alone: it must be summed over all steps",
        _lstm(total=lambda parts: parts[0]),
        r"dW|db",
    ),
    Hypothesis(
        "mean_over_steps",
        "{key} is the mean over the steps: it must be their sum",
        _lstm(total=lambda parts: sum(parts) / len(parts)),
        r"mean|/",
    ),
    Hypothesis(
        "state_of_last_step",
        "dh0 is the gradient at the last step's state: it is that of the first, when the loop is done",
        _lstm(h0_of_last=True),
        r"dh0",
    ),
]
