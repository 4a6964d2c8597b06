"""Mistakes of the recurrent layers: a bias, a slope, the gate of another, a gradient that is not carried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.sequences import lstm_sequence
from handgrad.checker.records import Call

Parts = dict[str, Any]


def _sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


# one RNN, with its steps unrolled by hand, in which single parts can be changed


def _rnn(
    bias: bool = True,
    squash: Callable[[Any], Any] = np.tanh,
    slope: Callable[[Any, Any], Any] = lambda h, a: 1 - h**2,
    carry: Callable[[Any], Any] = lambda dprev: dprev,
    total: Callable[[list[Any]], Any] = sum,
    state: Callable[[Any, Any, int], Any] = lambda h, h0, t: h,
    later: Callable[[Any, Any], Any] = lambda own, carried: own + carried,
) -> Callable[[Call], dict[str, Any]]:
    """Predict an RNN's step or sequence with one part changed."""

    def predict(call: Call) -> dict[str, Any]:
        x, h0, Wx, Wh, b = (np.asarray(value, float) for value in call.arrays.values())
        one_step = x.ndim == 2
        if Wh.shape[0] != Wh.shape[1]:
            return {}
        xs = x[:, None] if one_step else x
        h, rows = h0, []
        for t in range(xs.shape[1]):
            before = state(h, h0, t)
            a = xs[:, t] @ Wx + before @ Wh + (b if bias else 0)
            h = squash(a)
            rows.append((before, a, h))
        if call.dout is None:
            out = np.stack([row[2] for row in rows], axis=1)
            return {"out": out[:, 0] if one_step else out}
        dout = np.asarray(call.dout)
        dhs = dout[:, None] if one_step else dout
        carried, dx, parts = np.zeros_like(h0), np.zeros_like(xs), []
        for t in reversed(range(xs.shape[1])):
            before, a, h = rows[t]
            da = later(dhs[:, t], carried) * slope(h, a)
            dx[:, t] = da @ Wx.T
            dprev = da @ Wh.T
            carried = carry(dprev)
            parts.append((xs[:, t].T @ da, before.T @ da, da.sum(axis=0)))
        dWx, dWh, db = (total([part[i] for part in parts]) for i in range(3))
        first = "dprev_h" if one_step else "dh0"
        found = {"dx": dx[:, 0] if one_step else dx, first: dprev}
        return {**found, "dWx": dWx, "dWh": dWh, "db": db}

    return predict


# one step of an LSTM


def _lstm_parts(call: Call, order: str = "ifog") -> Parts:
    x, h, c, Wx, Wh, b = (np.asarray(value, float) for value in call.arrays.values())
    H = h.shape[1]
    a = x @ Wx + h @ Wh + b
    cut = {gate: a[:, k * H : (k + 1) * H] for k, gate in enumerate(order)}
    parts = {gate: _sigmoid(cut[gate]) for gate in "ifo"} | {"g": np.tanh(cut["g"])}
    next_c = parts["f"] * c + parts["i"] * parts["g"]
    return {**parts, "a": cut, "c": next_c, "prev_c": c, "s": np.tanh(next_c), "x": x, "h": h,
            "Wx": Wx, "Wh": Wh}  # fmt: skip


def _lstm(value: Callable[[Parts], tuple[Any, Any]], order: str = "ifog") -> Any:
    """Predict (next_h, next_c) of a step."""

    def predict(call: Call) -> dict[str, Any]:
        if "prev_c" not in call.arrays:
            return {}
        return {"out": np.concatenate(value(_lstm_parts(call, order)), axis=1)}

    return predict


def _lstm_back(**changes: Callable[..., Any]) -> Any:
    """Predict the gradients of a step with some of its terms changed."""

    def predict(call: Call) -> dict[str, Any]:
        if "prev_c" not in call.arrays or call.dout is None:
            return {}
        q = _lstm_parts(call)
        H = q["h"].shape[1]
        dnh, dnc = call.dout[:, :H], call.dout[:, H:]
        terms: dict[str, Any] = {
            "dc": lambda q, dnh, dnc: dnc + dnh * q["o"] * (1 - q["s"] ** 2),
            "di": lambda q, dc: dc * q["g"] * q["i"] * (1 - q["i"]),
            "df": lambda q, dc: dc * q["prev_c"] * q["f"] * (1 - q["f"]),
            "do": lambda q, dnh: dnh * q["s"] * q["o"] * (1 - q["o"]),
            "dg": lambda q, dc: dc * q["i"] * (1 - q["g"] ** 2),
            "dprev_c": lambda q, dc: dc * q["f"],
        } | changes
        dc = terms["dc"](q, dnh, dnc)
        gates = (terms["di"](q, dc), terms["df"](q, dc), terms["do"](q, dnh), terms["dg"](q, dc))
        da = np.concatenate(gates, axis=1)
        return {
            "dx": da @ q["Wx"].T,
            "dprev_h": da @ q["Wh"].T,
            "dprev_c": terms["dprev_c"](q, dc),
            "dWx": q["x"].T @ da,
            "dWh": q["h"].T @ da,
            "db": da.sum(axis=0),
        }

    return predict


# word embeddings


def _words(value: Callable[[Any, Any, Any], Any]) -> Any:
    def predict(call: Call) -> dict[str, Any]:
        if set(call.arrays) != {"W"} or call.dout is None:
            return {}
        W, words = np.asarray(call.arrays["W"], float), call.options[0]
        return {"dW": value(W, words, np.asarray(call.dout))}

    return predict


def _last_of_each(W: Any, words: Any, dout: Any) -> Any:
    """dW[x] += dout: of a word that comes again only the last place counts."""
    dW = np.zeros_like(W)
    dW[words] += dout
    return dW


def _added(W: Any, words: Any, dout: Any) -> Any:
    dW = np.zeros_like(W)
    np.add.at(dW, words, dout)
    return dW


def _steps_reversed(call: Call) -> dict[str, Any]:
    """The gradients of the steps stand in the order in which backward walks: the last first."""
    dx: Any = call.expected.get("dx")
    steps = "h0" in call.arrays and np.ndim(dx) == 3
    return {"dx": np.asarray(dx)[:, ::-1]} if steps else {}


FORWARD = [
    Hypothesis("bias_missing", "out lacks the bias b", _rnn(bias=False), r"dot|@"),
    Hypothesis(
        "tanh_missing", "the state is not squashed: tanh is missing", _rnn(squash=lambda a: a), r"dot|@"
    ),
    Hypothesis(
        "sigmoid_for_tanh", "the state is squashed by the sigmoid, not by tanh",
        _rnn(squash=_sigmoid), r"sigm|exp"
    ),
    Hypothesis(
        "relu_for_tanh", "the state is squashed by a ReLU, not by tanh",
        _rnn(squash=lambda a: np.maximum(a, 0)), r"max"
    ),
    Hypothesis(
        "state_not_carried",
        "each step starts from h0, not from the state of the step before",
        _rnn(state=lambda h, h0, t: h0),
        r"h0|prev_h",
    ),
    Hypothesis(
        "state_of_zeros",
        "the first step starts from zeros, not from h0",
        _rnn(state=lambda h, h0, t: h if t else 0 * h0),
        r"zeros",
    ),
    Hypothesis(
        "tanh_missing", "next_h is o * next_c: it must be o * tanh(next_c)",
        _lstm(lambda q: (q["o"] * q["c"], q["c"])), r"next_h"
    ),
    Hypothesis(
        "sigmoid_for_tanh",
        "the block input g goes through the sigmoid, not through tanh",
        _lstm(lambda q: _with(q, g=_sigmoid(q["a"]["g"]))),
        r"g\s*=",
    ),
    Hypothesis(
        "tanh_for_sigmoid",
        "the gates i, f and o go through tanh, not through the sigmoid",
        _lstm(lambda q: _with(q, **{k: np.tanh(q["a"][k]) for k in "ifo"})),
        r"tanh",
    ),
    *[
        Hypothesis(
            "gate_order",
            f"the gates are cut in the order {', '.join(order)}: the course's is i, f, o, g",
            _lstm(lambda q: (q["o"] * q["s"], q["c"]), order),
            r"H\s*:",
        )
        for order in ("ifgo", "igfo", "fiog", "oifg", "iofg", "gifo", "fogi")
    ],
    Hypothesis(
        "forget_gate_missing", "next_c lacks the forget gate: f * prev_c + i * g",
        _lstm(lambda q: _from(q, q["prev_c"] + q["i"] * q["g"])), r"next_c",
    ),
    Hypothesis(
        "input_gate_missing", "next_c lacks the input gate: f * prev_c + i * g",
        _lstm(lambda q: _from(q, q["f"] * q["prev_c"] + q["g"])), r"next_c",
    ),
    Hypothesis(
        "gates_swapped", "next_c has i and f in each other's place: f * prev_c + i * g",
        _lstm(lambda q: _from(q, q["i"] * q["prev_c"] + q["f"] * q["g"])), r"next_c",
    ),
    *lstm_sequence.FORWARD,
]  # fmt: skip


def _from(q: Parts, next_c: Any) -> tuple[Any, Any]:
    return q["o"] * np.tanh(next_c), next_c


def _with(q: Parts, **gates: Any) -> tuple[Any, Any]:
    q = q | gates
    return _from(q, q["f"] * q["prev_c"] + q["i"] * q["g"])


BACKWARD = [
    Hypothesis(
        "slope_of_squashed",
        "the slope of tanh is taken at next_h: with h = tanh(a) it is 1 - h**2",
        _rnn(slope=lambda h, a: 1 - np.tanh(h) ** 2),
        r"1\s*-",
    ),
    Hypothesis(
        "slope_missing", "the slope of tanh, 1 - next_h**2, is missing",
        _rnn(slope=lambda h, a: 1.0), r"dot|@"
    ),
    Hypothesis(
        "slope_not_squared", "the slope of tanh is 1 - next_h**2, not 1 - next_h",
        _rnn(slope=lambda h, a: 1 - h), r"1\s*-"
    ),
    Hypothesis(
        "slope_of_sigmoid", "the slope is that of the sigmoid, h (1 - h): tanh's is 1 - h**2",
        _rnn(slope=lambda h, a: h * (1 - h)), r"1\s*-",
    ),
    Hypothesis(
        "slope_sign", "the slope of tanh has the wrong sign: it is 1 - next_h**2",
        _rnn(slope=lambda h, a: h**2 - 1), r"-\s*1"
    ),
    Hypothesis(
        "not_carried",
        "{key}: the gradient of a state lacks the part that comes back from the next step",
        _rnn(carry=lambda dprev: 0 * dprev),
        r"dprev|dh",
    ),
    Hypothesis(
        "upstream_dropped",
        "{key}: only the gradient of the next step reaches a state: add dh of this step",
        _rnn(later=lambda own, carried: carried if np.any(carried) else own),
        r"dprev|dh",
    ),
    Hypothesis(
        "only_last_step",
        "{key} is of the first step alone: it must be summed over all steps",
        _rnn(total=lambda parts: parts[-1]),
        r"dW",
    ),
    Hypothesis(
        "only_last_step",
        "{key} is of the last step alone: it must be summed over all steps",
        _rnn(total=lambda parts: parts[0]),
        r"dW",
    ),
    Hypothesis(
        "mean_over_steps",
        "{key} is the mean over the steps: it must be their sum",
        _rnn(total=lambda parts: sum(parts) / len(parts)),
        r"mean|/",
    ),
    Hypothesis(
        "steps_reversed",
        "dx holds the steps in reverse order: the last step comes first",
        _steps_reversed,
        r"append|insert|stack|\[::-1\]|reversed",
    ),
    Hypothesis(
        "cell_path_missing",
        "{key}: the gradient of the cell lacks the part from next_h, dnext_h * o * (1 - tanh(next_c)**2)",
        _lstm_back(dc=lambda q, dnh, dnc: dnc),
        r"dnext_c|dc",
    ),
    Hypothesis(
        "cell_upstream_missing",
        "{key}: the gradient of the cell lacks dnext_c",
        _lstm_back(dc=lambda q, dnh, dnc: dnh * q["o"] * (1 - q["s"] ** 2)),
        r"dnext_c|dc",
    ),
    Hypothesis(
        "slope_of_cell_missing",
        "{key}: the slope of tanh(next_c), 1 - tanh(next_c)**2, is missing",
        _lstm_back(dc=lambda q, dnh, dnc: dnc + dnh * q["o"]),
        r"dc|tanh",
    ),
    Hypothesis(
        "slope_not_squared",
        "{key}: the slope of tanh(next_c) is 1 - tanh(next_c)**2, not 1 - tanh(next_c)",
        _lstm_back(dc=lambda q, dnh, dnc: dnc + dnh * q["o"] * (1 - q["s"])),
        r"1\s*-",
    ),
    Hypothesis(
        "slope_of_cell", "{key}: the slope of tanh(next_c) is 1 - tanh(next_c)**2, not 1 - next_c**2",
        _lstm_back(dc=lambda q, dnh, dnc: dnc + dnh * q["o"] * (1 - q["c"] ** 2)), r"1\s*-",
    ),
    *[
        Hypothesis(
            "gate_slope_missing",
            f"{{key}}: the slope of the gate {gate} is missing: {slope}",
            _lstm_back(**{f"d{gate}": change}),
            rf"d{gate}\b|da{gate}\b",
        )
        for gate, slope, change in [
            ("i", "i * (1 - i)", lambda q, dc: dc * q["g"]),
            ("f", "f * (1 - f)", lambda q, dc: dc * q["prev_c"]),
            ("o", "o * (1 - o)", lambda q, dnh: dnh * q["s"]),
            ("g", "1 - g**2", lambda q, dc: dc * q["i"]),
        ]
    ],
    Hypothesis(
        "gate_slope_of_sigmoid", "{key}: g goes through tanh, so its slope is 1 - g**2, not g * (1 - g)",
        _lstm_back(dg=lambda q, dc: dc * q["i"] * q["g"] * (1 - q["g"])), r"g",
    ),
    Hypothesis(
        "cell_of_next", "{key}: the forget gate's gradient uses next_c: it must be prev_c",
        _lstm_back(df=lambda q, dc: dc * q["c"] * q["f"] * (1 - q["f"])), r"df|next_c",
    ),
    Hypothesis(
        "cell_not_squashed", "{key}: the output gate's gradient uses next_c: it must be tanh(next_c)",
        _lstm_back(do=lambda q, dnh: dnh * q["c"] * q["o"] * (1 - q["o"])), r"do",
    ),
    Hypothesis(
        "forget_gate_missing", "dprev_c lacks the forget gate: it is dc * f",
        _lstm_back(dprev_c=lambda q, dc: dc), r"dprev_c",
    ),
    Hypothesis(
        "cell_path_missing_in_dprev_c", "dprev_c is dnext_c * f: what comes through next_h is missing",
        lambda call: {key: value for key, value in _lstm_back(
            dprev_c=lambda q, dc: call.dout[:, q["h"].shape[1]:] * q["f"])(call).items() if key == "dprev_c"},
        r"dprev_c",
    ),
    Hypothesis(
        "repeated_index",
        "dW[x] += dout keeps one place of a word that comes again: use np.add.at(dW, x, dout)",
        _words(_last_of_each),
        r"\[.*\]\s*\+?=",
    ),
    Hypothesis(
        "repeated_index_averaged",
        "dW is divided by the number of words: it must be a sum",
        _words(lambda W, words, dout: _added(W, words, dout) / words.size),
        r"/|mean",
    ),
    Hypothesis(
        "repeated_index_averaged",
        "dW is divided by the number of rows: it must be a sum",
        _words(lambda W, words, dout: _added(W, words, dout) / len(words)),
        r"/|mean",
    ),
    *lstm_sequence.BACKWARD,
]  # fmt: skip
