"""Mistakes of assignment 1's two-layer network, whose weights may stand transposed (UCLA)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.records import Call


def _parts(call: Call, forgotten: str = "") -> dict[str, Any]:
    """Return all that the right passes compute, with weights as CS231n has them: (D, H), (H, C).

    forgotten: the bias that is not added, "b1" or "b2".
    """
    X, y, reg, share = call.options
    W1, b1, W2, b2 = (np.asarray(value, float) for value in call.arrays.values())
    turned = W1.shape[1] == X.shape[1] and W1.shape[0] == len(b1)
    if turned:
        W1, W2 = W1.T, W2.T
    pre = X @ W1 + b1 * (forgotten != "b1")
    hidden = np.maximum(pre, 0)
    scores = hidden @ W2 + b2 * (forgotten != "b2")
    shifted = scores - scores.max(axis=1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    one = np.eye(len(b2))[y]
    loss = -np.sum(one * np.log(p)) / len(X)
    parts = {"X": X, "pre": pre, "hidden": hidden, "p": p, "one": one, "loss": loss, "N": len(X)}
    return parts | {"W1": W1, "b1": b1, "W2": W2, "b2": b2, "decay": share * reg, "turned": turned}


def _back(
    dscores: Callable[..., Any] = lambda q: (q["p"] - q["one"]) / q["N"],
    mask: Callable[..., Any] = lambda q: q["pre"] > 0,
    decays: Callable[..., Any] = lambda q: (2 * q["decay"], 2 * q["decay"]),
    regularised: Callable[..., Any] = lambda q: q["decay"],
    biases: bool = False,
    value: Callable[..., Any] = lambda q: q["loss"],
    forgotten: str = "",
) -> Callable[[Call], dict[str, Any]]:
    """Predict loss and gradients with one part changed."""

    def predict(call: Call) -> dict[str, Any]:
        q = _parts(call, forgotten)
        ds = dscores(q)
        dhidden = (ds @ q["W2"].T) * mask(q)
        first, last = decays(q)
        dW1, dW2 = q["X"].T @ dhidden + first * q["W1"], q["hidden"].T @ ds + last * q["W2"]
        db1, db2 = dhidden.sum(axis=0), ds.sum(axis=0)
        squares = np.sum(q["W1"] ** 2) + np.sum(q["W2"] ** 2)
        if biases:
            squares += np.sum(q["b1"] ** 2) + np.sum(q["b2"] ** 2)
            db1, db2 = db1 + first * q["b1"], db2 + last * q["b2"]
        if q["turned"]:
            dW1, dW2 = dW1.T, dW2.T
        dout = 1.0 if call.dout is None else call.dout
        found = {"loss": value(q) + regularised(q) * squares}
        gradients = {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}
        return found | {key: dout * gradient for key, gradient in gradients.items()}

    return predict


def _only(
    predict: Callable[[Call], dict[str, Any]], *keys: str
) -> Callable[[Call], dict[str, Any]]:
    return lambda call: {key: value for key, value in predict(call).items() if key in keys}


_GRADIENTS = ("dW1", "db1", "dW2", "db2")
FORWARD = [
    *[
        Hypothesis(
            "bias_missing",
            f"{bias} is not added: {words}",
            _back(forgotten=bias),
            rf"dot\(|@|{bias}",
        )
        for bias, words in (
            ("b1", "the hidden layer is max(0, X W1 + b1)"),
            ("b2", "the scores are hidden W2 + b2"),
        )
    ],
    Hypothesis(
        "relu_mask_missing",
        "{key}: the gradient passes the ReLU everywhere: it must be zero where the hidden unit is off",
        _only(_back(mask=lambda q: 1.0), *_GRADIENTS),
        r"hidden|dh|relu|> 0|<= 0",
    ),
    Hypothesis(
        "relu_mask_negated",
        "{key}: the gradient passes the ReLU where the hidden unit is off, not where it is on",
        _only(_back(mask=lambda q: q["pre"] <= 0), *_GRADIENTS),
        r">|<",
    ),
    *[
        Hypothesis(
            "relu_mask_of_another",
            f"{{key}}: the ReLU's slope is taken {words}: it is 1 where X W1 + b1 is above zero",
            _only(_back(mask=mask), *_GRADIENTS),
            r">",
        )
        for words, mask in (
            ("at X W1, without b1", lambda q: q["X"] @ q["W1"] > 0),
            ("at its gradient", lambda q: ((q["p"] - q["one"]) @ q["W2"].T) > 0),
        )
    ],
    Hypothesis(
        "gradient_not_averaged",
        "{key}: the gradient is the sum over the rows: divide it by N",
        _only(_back(dscores=lambda q: q["p"] - q["one"]), *_GRADIENTS),
        r"-=\s*1|/",
    ),
    Hypothesis(
        "label_not_subtracted",
        "{key}: 1 is not subtracted from the probability of the right class",
        _only(_back(dscores=lambda q: q["p"] / q["N"]), *_GRADIENTS),
        r"prob|exp|soft",
    ),
    Hypothesis(
        "label_sign",
        "{key}: 1 is added to the probability of the right class: it must be subtracted",
        _only(_back(dscores=lambda q: (q["p"] + q["one"]) / q["N"]), *_GRADIENTS),
        r"\+=\s*1",
    ),
    Hypothesis(
        "sign",
        "{key}: the gradient of the data has the wrong sign",
        _only(_back(dscores=lambda q: (q["one"] - q["p"]) / q["N"]), *_GRADIENTS),
        r"-",
    ),
    Hypothesis(
        "regulariser_gradient_half",
        "{key}: the regulariser's gradient is half the right one: that of reg * sum(W**2) is 2 * reg * W",
        _only(_back(decays=lambda q: (q["decay"], q["decay"])), "dW1", "dW2"),
        r"reg",
    ),
    Hypothesis(
        "regulariser_gradient_twice",
        "{key}: the gradient of the regulariser is twice what it must be",
        _only(_back(decays=lambda q: (4 * q["decay"], 4 * q["decay"])), "dW1", "dW2"),
        r"reg",
    ),
    Hypothesis(
        "regulariser_missing",
        "{key} lacks the gradient of the regulariser",
        _only(_back(decays=lambda q: (0.0, 0.0)), "dW1", "dW2"),
        r"dW|grads",
    ),
    Hypothesis(
        "regulariser_missing",
        "the loss lacks the regulariser",
        _only(_back(regularised=lambda q: 0.0), "loss"),
        r"loss",
    ),
    Hypothesis(
        "regulariser_of_one_layer",
        "the loss has the regulariser of W1 alone: W2 has one too",
        lambda call: {"loss": (q := _parts(call))["loss"] + q["decay"] * np.sum(q["W1"] ** 2)},
        r"reg",
    ),
    Hypothesis(
        "regulariser_of_one_layer",
        "the loss has the regulariser of W2 alone: W1 has one too",
        lambda call: {"loss": (q := _parts(call))["loss"] + q["decay"] * np.sum(q["W2"] ** 2)},
        r"reg",
    ),
    Hypothesis(
        "regulariser_of_biases",
        "{key}: biases are regularised as well: the course's are not",
        _only(_back(biases=True), "loss", "db1", "db2"),
        r"b1|b2",
    ),
    Hypothesis(
        "loss_not_averaged",
        "the loss is the sum over the rows: divide it by N",
        _only(_back(value=lambda q: q["loss"] * q["N"]), "loss"),
        r"loss",
    ),
    Hypothesis(
        "loss_sign",
        "the loss of the data has the wrong sign",
        _only(_back(value=lambda q: -q["loss"]), "loss"),
        r"log",
    ),
]
BACKWARD = FORWARD
