"""Mistakes of assignment 1's losses: those of the scores, carried to W, and those of the regulariser.

A loss of W is one of the scores X W with a regulariser beside it.  So each mistake of the softmax and SVM
losses is one here: its dx becomes X^T dx.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.losses import softmax, svm
from handgrad.checker.known.linear import value_and_gradient
from handgrad.checker.records import Call


def _decay(call: Call, kind: str) -> float | None:
    """Return what sum(W^2) is multiplied by in the right loss; None if the loss is of another kind."""
    X, y, reg = call.options
    W = np.asarray(call.arrays["W"], float)
    for share in (1.0, 0.5):
        loss, dW = value_and_gradient(kind, W, X, y, share * reg)
        if "loss" in call.expected:
            alike = np.isclose(loss, call.expected["loss"], rtol=1e-10)
        else:  # the course judges the gradient alone here
            dout = 1.0 if call.dout is None else call.dout
            alike = np.allclose(dout * dW, call.expected["dW"], rtol=1e-8)
        if alike:
            return share * reg
    return None


def _carried(
    predict: Callable[[Call], dict[str, Any]], kind: str, share: float = 1.0
) -> Callable[[Call], dict[str, Any]]:
    """A mistake of the scores' loss, as it comes out for W.

    share: of the regulariser's gradient, where that is wrong, too; then only dW is predicted.
    """

    def predicted(call: Call) -> dict[str, Any]:
        decay = _decay(call, kind)
        if decay is None:
            return {}
        X, y, _ = call.options
        W = np.asarray(call.arrays["W"], float)
        config = replace(call.config, arrays={"x": X @ W}, options=(y,))
        regular = decay * np.sum(W * W)
        expected = {"loss": call.expected["loss"] - regular} if "loss" in call.expected else {}
        dout = 1.0 if call.dout is None else call.dout
        found = predict(Call(config, dout=call.dout, expected=expected))
        moved = {}
        if "loss" in found and share == 1.0:
            moved["loss"] = found["loss"] + regular
        if "dx" in found:
            moved["dW"] = X.T @ found["dx"] + dout * 2 * share * decay * W
        return moved

    return predicted


def _terms(change: Callable[..., dict[str, Any]]) -> Callable[[Call], dict[str, Any]]:
    """Predict from the right parts: data loss, data gradient, W, decay (of sum(W^2)), N, X."""

    def predict(call: Call) -> dict[str, Any]:
        X, y, _ = call.options
        W = np.asarray(call.arrays["W"], float)
        for kind in ("svm_loss", "softmax_loss"):
            decay = _decay(call, kind)
            if decay is not None:
                loss, dW = value_and_gradient(kind, W, X, y, 0.0)
                dout = 1.0 if call.dout is None else call.dout
                found = change(loss, dW, W, decay, len(X))
                if found == {"last": True}:  # of the last row alone, divided by N
                    last, d_last = value_and_gradient(kind, W, X[-1:], y[-1:], 0.0)
                    found = {
                        "loss": last / len(X) + decay * np.sum(W * W),
                        "dW": d_last / len(X) + 2 * decay * W,
                    }
                if "dW" in found:
                    found["dW"] = dout * found["dW"]
                return found
        return {}

    return predict


_OWN = [
    Hypothesis(
        "regulariser_gradient_half",
        "dW: the gradient of the regulariser is half the right one: that of reg * sum(W**2) is 2 * reg * W",
        _terms(lambda loss, dW, W, decay, N: {"dW": dW + decay * W}),
        r"dW.*reg|reg.*W\b(?!.*\*\s*W)",
    ),
    Hypothesis(
        "regulariser_gradient_twice",
        "dW: the gradient of the regulariser is twice the right one: that of 1/2 reg * sum(W**2) is reg * W",
        _terms(lambda loss, dW, W, decay, N: {"dW": dW + 4 * decay * W}),
        r"dW.*reg",
    ),
    *[
        Hypothesis(
            "regulariser_product",
            f"the regulariser sums the matrix product {words}: it must sum the squares, W * W",
            _terms(
                lambda loss, dW, W, decay, N, product=product: {
                    "loss": loss + decay * np.sum(product(W))
                }
            ),
            r"dot|@|matmul",
        )
        for words, product in (("W W^T", lambda W: W @ W.T), ("W^T W", lambda W: W.T @ W))
    ],
    *[
        Hypothesis(
            "regulariser_in_divisor",
            "{key} is divided by N and the regulariser together: it must be added behind the division",
            _terms(
                lambda loss, dW, W, decay, N, share=share: {
                    "loss": loss * N / (N + share * decay * np.sum(W * W)),
                    "dW": dW * N / (N + 2 * share * decay * W),
                }
            ),
            r"/=",
        )
        for share in (1.0, 0.5, 2.0)
    ],
    *[
        Hypothesis(
            "regulariser_root",
            "the regulariser is the root of sum(W**2), which np.linalg.norm gives: square it",
            _terms(
                lambda loss, dW, W, decay, N, share=share: {
                    "loss": loss + share * decay * np.sqrt(np.sum(W * W))
                }
            ),
            r"norm|sqrt",
        )
        for share in (1.0, 0.5, 2.0)
    ],
    *[
        Hypothesis(
            "regulariser_of_ones",
            "dW: the gradient of the regulariser is a number, the same for all weights: it must have W",
            _terms(
                lambda loss, dW, W, decay, N, factor=factor: {
                    "dW": dW + factor * decay + np.zeros(W.shape)
                }
            ),
            r"dW.*reg",
        )
        for factor in (1, 2, 4)
    ],
    Hypothesis(
        "regulariser_missing",
        "dW lacks the gradient of the regulariser, 2 * reg * W for reg * sum(W**2)",
        _terms(lambda loss, dW, W, decay, N: {"dW": dW}),
        r"dW",
    ),
    Hypothesis(
        "regulariser_missing",
        "the loss lacks the regulariser, reg * sum(W**2)",
        _terms(lambda loss, dW, W, decay, N: {"loss": loss}),
        r"loss",
    ),
    *[
        Hypothesis(
            "regulariser_without_reg",
            "{key}: the regulariser is not multiplied by reg",
            _terms(
                lambda loss, dW, W, decay, N, share=share: {
                    "loss": loss + share * np.sum(W * W),
                    "dW": dW + 2 * share * W,
                }
            ),
            r"W\s*\*\s*W|W\s*\*\*|square",
        )
        for share in (1.0, 0.5)
    ],
    *[
        Hypothesis(
            name,
            f"{{key}}: the regulariser is {words}",
            _terms(
                lambda loss, dW, W, decay, N, change=change, share=share: {
                    "loss": loss + share * change(decay, N) * np.sum(W * W),
                    "dW": dW + 2 * share * change(decay, N) * W,
                }
            ),
            line,
        )
        for name, words, change, line in (
            (
                "regulariser_averaged",
                "divided by N: only the sum over the rows is",
                lambda decay, N: decay / N,
                r"/=|/",
            ),
            (
                "regulariser_sign",
                "subtracted: it must be added",
                lambda decay, N: -decay,
                r"-.*reg",
            ),
            (
                "regulariser_times_batch",
                "multiplied by N",
                lambda decay, N: decay * N,
                r"reg",
            ),
        )
        for share in (1.0, 0.5, 2.0)  # with a half, which a course may have or not
    ],
    *[
        Hypothesis(
            "regulariser_of_absolutes",
            "{key}: the regulariser is of sum(|W|), not of sum(W**2)",
            _terms(
                lambda loss, dW, W, decay, N, share=share: {
                    "loss": loss + share * decay * np.sum(np.abs(W)),
                    "dW": dW + share * decay * np.sign(W),
                }
            ),
            r"abs",
        )
        for share in (1.0, 2.0)
    ],
    Hypothesis(
        "regulariser_not_summed",
        "dW: the gradient of the regulariser is a number, not one for each weight: 2 * reg * W",
        _terms(lambda loss, dW, W, decay, N: {"dW": dW + 2 * decay * np.sum(W)}),
        r"dW.*sum",
    ),
    *[
        Hypothesis(
            "regulariser_for_gradient",
            "dW: reg * sum(W**2), a number, is added to the gradient: its gradient is 2 * reg * W",
            _terms(
                lambda loss, dW, W, decay, N, share=share: {
                    "dW": dW + share * decay * np.sum(W * W)
                }
            ),
            r"dW.*(sum|square|\*\*)",
        )
        for share in (1.0, 2.0, 0.5)
    ],
    Hypothesis(
        "not_averaged",
        "{key} is the sum over the rows: divide it by N",
        _terms(
            lambda loss, dW, W, decay, N: {
                "loss": loss * N + decay * np.sum(W * W),
                "dW": dW * N + 2 * decay * W,
            }
        ),
        r"",
    ),
    Hypothesis(
        "last_row_alone",
        "{key} counts the last row alone: it is assigned, not added, or stands behind the loop over the rows",
        _terms(lambda loss, dW, W, decay, N: {"last": True}),
        r"loss\s*\+=|dW.*\+=",
    ),
    Hypothesis(
        "not_averaged_nor_regularised",
        "{key} is the sum over the rows, without the regulariser: divide it by N, and add that",
        _terms(lambda loss, dW, W, decay, N: {"loss": loss * N, "dW": dW * N}),
        r"loss\s*=|dW\s*=",
    ),
    Hypothesis(
        "all_times_batch",
        "{key}, regulariser and all, is N times too large",
        _terms(
            lambda loss, dW, W, decay, N: {
                "loss": (loss + decay * np.sum(W * W)) * N,
                "dW": (dW + 2 * decay * W) * N,
            }
        ),
        r"",
    ),
    Hypothesis(
        "averaged_twice",
        "{key} is divided by N twice",
        _terms(
            lambda loss, dW, W, decay, N: {
                "loss": loss / N + decay * np.sum(W * W),
                "dW": dW / N + 2 * decay * W,
            }
        ),
        r"/",
    ),
    Hypothesis(
        "data_sign",
        "{key}: the part of the data has the wrong sign",
        _terms(
            lambda loss, dW, W, decay, N: {
                "loss": -loss + decay * np.sum(W * W),
                "dW": -dW + 2 * decay * W,
            }
        ),
        r"-",
    ),
]
_BESIDES = (
    (0.5, "the regulariser's gradient is half the right one, 2 * reg * W for reg * sum(W**2)"),
    (0.0, "the regulariser's gradient is missing"),
    (2.0, "the regulariser's gradient is twice the right one, reg * W for 1/2 reg * sum(W**2)"),
)


def _with_another(one: Hypothesis, kind: str) -> list[Hypothesis]:
    """A mistake of the data's part of dW beside one of the regulariser's."""
    return [
        one._replace(
            says=f"{one.says.replace('dx', 'dW')}; also, {words}",
            predict=_carried(one.predict, kind, share),
        )
        for share, words in _BESIDES
    ]


FORWARD = [
    *_OWN,
    *[one._replace(predict=_carried(one.predict, "svm_loss")) for one in svm.FORWARD],
    *[one._replace(predict=_carried(one.predict, "softmax_loss")) for one in softmax.FORWARD],
    *[more for one in svm.FORWARD for more in _with_another(one, "svm_loss")],
    *[more for one in softmax.FORWARD for more in _with_another(one, "softmax_loss")],
]
BACKWARD = FORWARD
