"""Mistakes of the affine layer and of its sandwich with ReLU."""

from __future__ import annotations

from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call


def _rows(call: Call) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, w, b = (np.asarray(call.arrays[key], float) for key in "xwb")
    return x.reshape(len(x), -1), w, b


def _out(value: Any) -> Any:
    return lambda call: {"out": value(*_rows(call))}


def _dx(value: Any) -> Any:
    def predict(call: Call) -> dict[str, Any]:
        _, w, _ = _rows(call)
        return {"dx": np.reshape(value(call.dout, w), call.arrays["x"].shape)}

    return predict


def _of(key: str, value: Any) -> Any:
    return lambda call: {key: value(call.dout, *_rows(call))}


def _fortran_order(call: Call) -> dict[str, Any]:
    x = np.asarray(call.arrays["x"], float)
    _, w, b = _rows(call)
    return {"out": x.reshape(len(x), -1, order="F") @ w + b}


def _transposed_dw(call: Call) -> dict[str, Any]:
    x, _, _ = _rows(call)
    return {"dw": call.dout.T @ x}


FORWARD = [
    Hypothesis("bias_missing", "out lacks the bias b", _out(lambda x, w, b: x @ w), r"dot|@"),
    Hypothesis(
        "bias_subtracted", "the bias b is subtracted", _out(lambda x, w, b: x @ w - b), r"-\s*b"
    ),
    Hypothesis(
        "bias_summed",
        "the sum of all biases is added, not each to its column",
        _out(lambda x, w, b: x @ w + b.sum()),
        r"sum",
    ),
    Hypothesis(
        "bias_maximum",
        "the largest bias is added to every column, not each to its own",
        _out(lambda x, w, b: x @ w + b.max()),
        r"max",
    ),
    Hypothesis(
        "bias_mean",
        "the mean of all biases is added to every column, not each to its own",
        _out(lambda x, w, b: x @ w + b.mean()),
        r"mean",
    ),
    Hypothesis(
        "bias_first",
        "the first bias is added to every column, not each to its own",
        _out(lambda x, w, b: x @ w + b[0]),
        r"\[0\]",
    ),
    Hypothesis("bias_scaled", "b is added N times", _out(lambda x, w, b: x @ w + len(x) * b), r"b"),
    Hypothesis("transposed", "w is transposed", _out(lambda x, w, b: x @ w.T + b), r"\.T\b"),
    Hypothesis(
        "reshaped_order", "x is unrolled in Fortran order", _fortran_order, r"order|reshape"
    ),
    Hypothesis(
        "not_flattened",
        "x with more than two dimensions is not unrolled into rows",
        lambda call: {
            "out": np.asarray(call.arrays["x"], float) @ call.arrays["w"] + call.arrays["b"]
        },
        r"dot|@",
        True,
    ),
]
BACKWARD = [
    Hypothesis(
        "transposed", "dx uses w, not its transpose", _dx(lambda dout, w: dout @ w), r"w(\)|$|\s)"
    ),
    Hypothesis(
        "sum_before_product",
        "dx multiplies the sum of w by the sum of dout: the products must be summed, dout w.T",
        _dx(lambda dout, w: np.outer(dout.sum(axis=1), w.sum(axis=1))),
        r"sum",
    ),
    Hypothesis(
        "sum_before_product",
        "dw multiplies the sum of x by the sum of dout: the products must be summed, x.T dout",
        _of("dw", lambda dout, x, w, b: np.outer(x.sum(axis=0), dout.sum(axis=0))),
        r"sum",
    ),
    Hypothesis("transposed", "dw is dout.T x: it is transposed", _transposed_dw, r"dw"),
    Hypothesis(
        "missing_sum",
        "db is one row of dout: it must be summed over the batch",
        _of("db", lambda dout, x, w, b: dout[0]),
        r"db",
    ),
    Hypothesis(
        "sum_over_columns",
        "db is summed over the columns, not over the batch",
        _of("db", lambda dout, x, w, b: dout.sum(axis=1)),
        r"db.*axis",
    ),
    Hypothesis(
        "sum_over_all",
        "db is the sum of all of dout, not one sum a column",
        _of("db", lambda dout, x, w, b: dout.sum()),
        r"db",
    ),
    Hypothesis(
        "maximum_over_batch",
        "db is the maximum over the batch, not the sum",
        _of("db", lambda dout, x, w, b: dout.max(axis=0)),
        r"db",
    ),
    Hypothesis(
        "input_as_dout",
        "db is the sum of x: it must be that of dout",
        _of("db", lambda dout, x, w, b: x.sum(axis=0)),
        r"db",
    ),
    Hypothesis(
        "not_reshaped",
        "dx has the shape of the unrolled rows: it must have that of x",
        lambda call: {"dx": call.dout @ _rows(call)[1].T} if np.ndim(call.arrays["x"]) > 2 else {},
        r"dx",
        True,
    ),
    Hypothesis(
        "weights_in_dw",
        "dw uses w in place of x",
        _of("dw", lambda dout, x, w, b: w.T @ dout),
        r"dw",
    ),
]
