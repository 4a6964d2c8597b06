"""Mistakes of models: what is regularised, how strongly, and what is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.hypotheses.networks import joins
from handgrad.checker.records import Call


def _regularised(
    loss: float = 0.5,
    grad: float = 1.0,
    which: Callable[[str], bool] = lambda key: key[0] == "W",
    in_loss: bool = True,
    last: bool = True,
) -> Callable[[Call], dict[str, Any]]:
    """Predict loss and gradients for a regularisation of other strength, or of other parameters."""

    def predict(call: Call) -> dict[str, Any]:
        reg, params, _, _, data_loss, data_grads, _ = call.options[0]
        final = max(key for key in params if key[0] == "W")
        chosen = [key for key in params if which(key) and (last or key != final)]
        in_the_loss = chosen if in_loss else [key for key in params if key[0] == "W"]
        total = data_loss + loss * reg * sum(np.sum(params[key] ** 2) for key in in_the_loss)
        return {"loss": total} | {
            "d" + key: value + (grad * reg * params[key] if key in chosen else 0)
            for key, value in data_grads.items()
        }

    return predict


def _without(name: str, in_loss: bool, in_gradient: bool) -> Callable[[Call], dict[str, Any]]:
    """Predict a regularisation that forgets one W."""

    def predict(call: Call) -> dict[str, Any]:
        reg, params = call.options[0][:2]
        if name not in params:
            return {}
        found = {}
        if in_loss:
            found["loss"] = call.expected["loss"] - 0.5 * reg * np.sum(params[name] ** 2)
        if in_gradient:
            found["d" + name] = call.expected["d" + name] - reg * params[name]
        return found

    return predict


def _forgotten(name: str) -> list[Hypothesis]:
    line = rf"reg.*{name}|{name}.*reg|reg"
    return [
        Hypothesis(
            "reg_one_missing", f"{name} is not regularised", _without(name, True, True), line
        ),
        Hypothesis(
            "reg_one_not_in_loss",
            f"{name} is missing from the regularisation of the loss",
            _without(name, True, False),
            line,
        ),
        Hypothesis(
            "reg_one_not_in_gradient",
            f"the gradient of {name} lacks its regularisation reg {name}",
            _without(name, False, True),
            line,
        ),
    ]


def _in_place_of(counted: str, missing: str) -> Callable[[Call], dict[str, Any]]:
    """Predict the loss of a regularisation that counts one W twice, and another not at all."""

    def predict(call: Call) -> dict[str, Any]:
        reg, params = call.options[0][:2]
        if counted not in params or missing not in params:
            return {}
        more = np.sum(params[counted] ** 2) - np.sum(params[missing] ** 2)
        return {"loss": call.expected["loss"] + 0.5 * reg * more}

    return predict


def _zero(prefix: str) -> Callable[[Call], dict[str, Any]]:
    def predict(call: Call) -> dict[str, Any]:
        return {
            key: np.zeros_like(v)
            for key, v in call.expected.items()
            if key.startswith("d" + prefix)
        }

    return predict


def _softmax(call: Call) -> dict[str, Any]:
    scores = np.asarray(call.expected["scores"])
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return {"scores": e / e.sum(axis=1, keepdims=True)}


def _class_of(call: Call) -> dict[str, Any]:
    return {"scores": np.argmax(call.expected["scores"], axis=1)}


def _data_scaled(
    loss: Callable[[int], float] = lambda N: 1.0, grad: Callable[[int], float] = lambda N: 1.0
) -> Callable[[Call], dict[str, Any]]:
    """Predict the loss of the data, or its gradients, times a factor; L2 is right."""

    def predict(call: Call) -> dict[str, Any]:
        reg, params, _, _, data_loss, data_grads, _ = call.options[0]
        N = len(call.arrays["X"])
        squares = sum(np.sum(v**2) for key, v in params.items() if key[0] == "W")
        return {"loss": loss(N) * data_loss + 0.5 * reg * squares} | {
            "d" + key: grad(N) * value + (reg * params[key] if key[0] == "W" else 0)
            for key, value in data_grads.items()
        }

    return predict


def _reg_over_batch(in_loss: bool, in_gradient: bool) -> Callable[[Call], dict[str, Any]]:
    def predict(call: Call) -> dict[str, Any]:
        N = len(call.arrays["X"])
        loss, grad = 0.5 / (N if in_loss else 1), 1.0 / (N if in_gradient else 1)
        return _regularised(loss, grad)(call)

    return predict


def _other_penalty(penalty: Callable[[Any], Any]) -> Callable[[Call], dict[str, Any]]:
    """Predict the loss with another penalty of each W, with the factor 0.5 and without."""

    def predict(call: Call) -> dict[str, Any]:
        reg, params, _, _, data_loss, _, _ = call.options[0]
        total = sum(penalty(v) for key, v in params.items() if key[0] == "W")
        losses = [data_loss + factor * reg * total for factor in (0.5, 1.0)]
        got: Any = call.got["loss"]
        return {"loss": min(losses, key=lambda loss: abs(loss - got))}

    return predict


def _product_of_penalties(call: Call) -> dict[str, Any]:
    """The sums of the squares of all W are multiplied."""
    reg, params, _, _, data_loss, _, _ = call.options[0]
    product = np.prod([np.sum(v**2) for key, v in params.items() if key[0] == "W"])
    losses = [data_loss + factor * reg * product for factor in (0.5, 1.0)]
    return {"loss": min(losses, key=lambda loss: abs(loss - call.got["loss"]))}


def _of_one(name: str) -> Callable[[Call], dict[str, Any]]:
    """The regularisation of the loss has one W alone."""

    def predict(call: Call) -> dict[str, Any]:
        reg, params, _, _, data_loss, _, _ = call.options[0]
        return {"loss": data_loss + 0.5 * reg * np.sum(params[name] ** 2)} if name in params else {}

    return predict


def _exchanged(first: str, second: str) -> Callable[[Call], dict[str, Any]]:
    """Two gradients under each other's name."""

    def predict(call: Call) -> dict[str, Any]:
        if first not in call.expected or second not in call.expected:
            return {}
        return {first: call.expected[second], second: call.expected[first]}

    return predict


def _summed(call: Call) -> dict[str, Any]:
    """Predict gradients with the sum of a W added, one number for all its weights."""
    reg, params, _, _, _, data_grads, _ = call.options[0]
    return {
        "d" + key: value + (reg * np.sum(params[key]) if key[0] == "W" else 0)
        for key, value in data_grads.items()
    }


FORWARD = [
    *[
        Hypothesis(
            "reg_of_one",
            f"the regularisation of the loss has {name} alone: it must have every W",
            _of_one(name),
            r"reg",
        )
        for name in ("W1", "W2", "W3", "W4")
    ],
    Hypothesis(
        "reg_multiplied",
        "the regularisation multiplies the sums of the squares of the weights: it must add them",
        _product_of_penalties,
        r"\*\s*\\?\s*np\.sum|reg",
    ),
    Hypothesis(
        "reg_gradient_summed",
        "{key}: the gradient of the regularisation is a number, reg times the sum of W: it must be reg * W",
        _summed,
        r"sum\(.*reg|reg.*sum\(",
    ),
    Hypothesis(
        "reg_missing",
        "{key}: regularisation is missing",
        _regularised(0, 0),
        r"softmax_loss|grads\[",
    ),
    Hypothesis(
        "reg_without_half",
        "the loss adds reg sum(W**2) without the factor 0.5, or with it twice in dW",
        _regularised(1.0, 1.0),
        r"reg",
    ),
    Hypothesis(
        "reg_doubled",
        "regularisation is twice too strong: the loss lacks the 0.5 and dW has a factor 2",
        _regularised(1.0, 2.0),
        r"reg",
    ),
    Hypothesis(
        "reg_gradient_doubled",
        "the gradient of the regularisation is 2 reg W: with the factor 0.5 in the loss it is reg W",
        _regularised(0.5, 2.0),
        r"2(\.0)?\s*\*",
    ),
    Hypothesis(
        "reg_gradient_half",
        "the gradient of the regularisation is 0.5 reg W: it must be reg W",
        _regularised(0.5, 0.5),
        r"0?\.5\s*\*",
    ),
    Hypothesis(
        "reg_half_half",
        "regularisation is half as strong as it should be: dW has reg W / 2",
        _regularised(0.25, 0.5),
        r"reg",
    ),
    Hypothesis(
        "reg_not_in_gradient",
        "{key}: the regularisation is in the loss, not in the gradients",
        _regularised(0.5, 0.0),
        r"grads\[",
    ),
    Hypothesis(
        "reg_not_in_loss",
        "{key}: the regularisation is in the gradients, not in the loss",
        _regularised(0.0, 1.0),
        r"loss",
    ),
    Hypothesis(
        "reg_biases",
        "biases are regularised too; only the weights W should be",
        _regularised(which=lambda key: key[0] in "Wb" and key[:4] != "beta"),
        r"reg",
    ),
    Hypothesis(
        "reg_everything",
        "gamma and beta (and the biases) are regularised too; only the weights W should be",
        _regularised(which=lambda key: True),
        r"reg",
    ),
    Hypothesis(
        "reg_gradient_biases",
        "the gradients of the biases are regularised, the loss is not",
        _regularised(which=lambda key: key[0] in "Wb" and key[:4] != "beta", in_loss=False),
        r"reg",
    ),
    Hypothesis("reg_not_last", "the last W is not regularised", _regularised(last=False), r"reg"),
    Hypothesis(
        "reg_gradient_not_last",
        "the gradient of the last W is not regularised",
        _regularised(last=False, in_loss=False),
        r"grads\[",
    ),
    *[one for name in ("W1", "W2", "W3", "W4") for one in _forgotten(name)],
    *[
        Hypothesis(
            "reg_twice",
            f"the regularisation of the loss counts {counted} twice, and {missing} not at all",
            _in_place_of(counted, missing),
            rf"reg.*{counted}|{counted}.*reg|reg",
        )
        for counted in ("W1", "W2", "W3")
        for missing in ("W1", "W2", "W3")
        if counted != missing
    ],
    Hypothesis("gamma_unused", "{key} is zero: gamma is never updated", _zero("gamma"), r"gamma"),
    Hypothesis("beta_unused", "{key} is zero: beta is never updated", _zero("beta"), r"beta"),
    Hypothesis(
        "biases_unused", "{key} is zero: the biases are never updated", _zero("b"), r"\bb|'b"
    ),
    Hypothesis(
        "scores_softmax", "loss(X) returns probabilities, not scores", _softmax, r"softmax|exp"
    ),
    *joins.FORWARD,
    *[
        Hypothesis(name, says, _data_scaled(**factors), r"/|softmax_loss|mean|sum")
        for name, says, factors in (
            (
                "times_batch",
                "the loss of the data is a sum over the batch: it must be the mean",
                {"loss": lambda N: N},
            ),
            (
                "times_batch",
                "the gradients of the data are sums over the batch: they must be divided by N",
                {"grad": lambda N: N},
            ),
            (
                "times_batch",
                "the loss of the data and its gradients are sums over the batch: divide by N",
                {"loss": lambda N: N, "grad": lambda N: N},
            ),
            (
                "over_batch",
                "the gradients of the data are divided by N twice",
                {"grad": lambda N: 1 / N},
            ),
            (
                "over_batch",
                "the loss of the data is divided by N twice",
                {"loss": lambda N: 1 / N},
            ),
            ("sign", "the gradients of the data have the wrong sign", {"grad": lambda N: -1.0}),
            ("sign", "the loss of the data has the wrong sign", {"loss": lambda N: -1.0}),
        )
    ],
    *[
        Hypothesis(
            "reg_divided",
            f"{words} of the regularisation is divided by N",
            _reg_over_batch(in_loss, in_gradient),
            r"/",
        )
        for words, in_loss, in_gradient in (
            ("the loss", True, False),
            ("the gradient", False, True),
            ("the loss and the gradient", True, True),
        )
    ],
    Hypothesis(
        "reg_subtracted",
        "the regularisation is subtracted from the loss, not added",
        _regularised(-0.5, 1.0),
        r"-",
    ),
    Hypothesis(
        "reg_subtracted",
        "the gradient of the regularisation is subtracted, not added",
        _regularised(0.5, -1.0),
        r"-",
    ),
    Hypothesis(
        "reg_not_squared",
        "the loss adds the sum of W, not of W**2",
        _other_penalty(np.sum),
        r"reg",
    ),
    Hypothesis(
        "reg_not_squared",
        "the loss adds the norm of W, not its square",
        _other_penalty(lambda w: np.sqrt(np.sum(w**2))),
        r"norm|sqrt",
    ),
    Hypothesis(
        "reg_not_squared",
        "the loss adds the norm of W**2: it must be the sum of W**2, the square of the norm of W",
        _other_penalty(lambda w: np.sqrt(np.sum(w**4))),
        r"norm|sqrt",
    ),
    Hypothesis(
        "reg_absolute",
        "the loss adds the sum of |W|, not of W**2",
        _other_penalty(lambda w: np.sum(np.abs(w))),
        r"abs",
    ),
    *[
        Hypothesis(
            "gradients_exchanged",
            f"{first} and {second} are exchanged",
            _exchanged(first, second),
            r"grads\[",
        )
        for i in range(1, 4)
        for first, second in (
            (f"dgamma{i}", f"dbeta{i}"),
            (f"dW{i}", f"dW{i + 1}"),
            (f"db{i}", f"db{i + 1}"),
        )
    ],
    Hypothesis("scores_classes", "loss(X) returns classes, not scores", _class_of, r"argmax"),
]
BACKWARD: list[Hypothesis] = []
