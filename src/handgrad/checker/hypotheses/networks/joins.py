"""Mistakes in how a model joins its layers: one that is left out, one too many, another order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from handgrad import layers
from handgrad.checker.hypotheses.hypothesis import Beside, Hypothesis
from handgrad.checker.records import Call, Raised


class Facts(NamedTuple):
    """What was tried: the strength of L2, the parameters, labels, kind of normalisation, the loss and
    gradients without L2; by_stored: the right scores from the running statistics that the code stored."""

    reg: float
    params: dict[str, Any]
    y: Any
    norm: str
    data_loss: float
    data_grads: dict[str, Any]
    by_stored: Any = None


Stage = tuple[str, tuple[str, ...]]  # kind of layer, names of its parameters


def steps_of(facts: Facts) -> list[Stage]:
    """The layers of the model, as its parameters tell them."""
    last = max(int(name[1:]) for name in facts.params if name[0] == "W")
    steps: list[Stage] = []
    for i in range(1, last + 1):
        kind = "conv" if np.ndim(facts.params[f"W{i}"]) == 4 else "affine"
        steps.append((kind, (f"W{i}", f"b{i}")))
        if i < last:
            if facts.norm:
                steps.append((facts.norm, (f"gamma{i}", f"beta{i}")))
            steps.append(("relu", ()))
            if kind == "conv":
                steps.append(("max_pool", ()))
    return steps


def _options(
    kind: str, names: tuple[str, ...], facts: Facts, running: dict[str, Any], pad: int | None
) -> Any:
    if kind == "conv":
        size = facts.params[names[0]].shape[2]
        return ({"stride": 1, "pad": (size - 1) // 2 if pad is None else pad},)
    if kind == "max_pool":
        return ({"pool_height": 2, "pool_width": 2, "stride": 2},)
    if kind in ("batchnorm", "layernorm"):
        return (running.setdefault(names[0], {"mode": "train"}),)
    return ()


def joined(
    steps: list[Stage],
    call: Call,
    *,
    skipped: tuple[str, int | None] = ("", None),
    test: bool = True,
    bias: bool = True,
    pad: int | None = None,
    kept: bool = True,
) -> dict[str, Any]:
    """Return scores, loss and gradients of a model of these steps.

    Args:
        steps: of the model, in order.
        call: what was called.
        skipped: the kind of layer that the backward pass leaves out, and its number (None: all of them).
        test: whether the scores use the running statistics.
        bias: whether biases are added.
        pad: of the convolution, whatever its filter.
        kept: whether the running statistics are kept.
    """
    facts: Facts = call.options[0]
    running: dict[str, Any] = {}

    def forward() -> tuple[Any, list[Any]]:
        out, caches = np.asarray(call.arrays["X"], float), []
        for kind, names in steps:
            values = [np.asarray(facts.params[name], float) for name in names]
            if not bias and kind == "affine":
                values[1] = 0 * values[1]
            options = _options(kind, names, facts, running, pad)
            function = getattr(layers, f"{kind}_forward")
            out, cache = function(out, *values, *options, engine="vectorized")
            caches.append(cache)
        return out, caches

    scores, caches = forward()
    loss, flow = layers.softmax_loss(scores, facts.y, engine="vectorized")
    gradients: dict[str, Any] = {f"d{name}": 0.0 * v for name, v in facts.params.items()}
    places = [i for i, step in enumerate(steps) if step[0] == skipped[0]]
    gone = set(places if skipped[1] is None else places[skipped[1] : skipped[1] + 1])
    for i, ((kind, names), cache) in reversed(list(enumerate(zip(steps, caches, strict=True)))):
        if i in gone:
            continue
        result = getattr(layers, f"{kind}_backward")(flow, cache)
        flow, *rest = result if isinstance(result, tuple) else (result,)
        gradients |= {f"d{name}": value for name, value in zip(names, rest, strict=True)}
    for name, value in facts.params.items():
        if name[0] == "W":
            loss = loss + 0.5 * facts.reg * np.sum(value**2)
            gradients[f"d{name}"] = gradients[f"d{name}"] + facts.reg * value
    if test and facts.norm == "batchnorm":
        for param in running.values():
            param["mode"] = "test"
            if not kept:
                param["running_mean"], param["running_var"] = (
                    0.0 * param[key] for key in ("running_mean", "running_var")
                )
    return {"scores": forward()[0], "loss": loss, **gradients}


def _changed(change: Callable[[list[Stage]], list[Stage]], **more: Any) -> Any:
    def predict(call: Call) -> dict[str, Any]:
        return joined(change(steps_of(call.options[0])), call, **more)

    return predict


def _without(kind: str, which: Callable[[int, int], bool] = lambda i, n: True) -> Any:
    """Leave out layers of a kind: all, or those that `which` picks by number and count."""

    def change(steps: list[Stage]) -> list[Stage]:
        places = [i for i, step in enumerate(steps) if kind in step[0]]
        gone = {at for i, at in enumerate(places) if which(i, len(places))}
        return [step for i, step in enumerate(steps) if i not in gone]

    return change


def _relu_at_end(steps: list[Stage]) -> list[Stage]:
    return [*steps, ("relu", ())]


def _relu_before_norm(steps: list[Stage]) -> list[Stage]:
    changed = list(steps)
    for i in range(len(changed) - 1):
        if "norm" in changed[i][0] and changed[i + 1][0] == "relu":
            changed[i], changed[i + 1] = changed[i + 1], changed[i]
    return changed


def _sigmoid(steps: list[Stage]) -> list[Stage]:
    return [step if step[0] != "relu" else ("sigmoid", ()) for step in steps]


def _tanh(steps: list[Stage]) -> list[Stage]:
    return [step if step[0] != "relu" else ("tanh", ()) for step in steps]


def _pad_fixed(pad: int) -> Any:
    """Predict a convolution of fixed padding: where the sizes then do not fit, an exception."""
    half = 2 * pad + 1

    def predict(call: Call) -> dict[str, Any]:
        weights = [value for value in call.options[0].params.values() if np.ndim(value) == 4]
        if not weights:
            raise Beside("no convolution")
        if weights[0].shape[2] == half:
            return {}
        raised = {key: got for key, got in call.got.items() if isinstance(got, Raised)}
        return raised or joined(steps_of(call.options[0]), call, pad=pad)

    return predict


FORWARD = [
    *[
        Hypothesis(
            "pad_fixed",
            f"the padding of the convolution is {pad} whatever filter_size is: it must be "
            "(filter_size - 1) // 2",
            _pad_fixed(pad),
            r"pad",
        )
        for pad in range(4)
    ],
    Hypothesis(
        "relu_missing",
        "ReLU is left out: the layers follow each other directly",
        _changed(_without("relu")),
        r"relu|affine_forward",
    ),
    Hypothesis(
        "relu_missing",
        "ReLU is left out after the first layer",
        _changed(_without("relu", lambda i, n: i == 0)),
        r"relu|affine_forward",
    ),
    Hypothesis(
        "relu_missing",
        "ReLU is left out after the last hidden layer",
        _changed(_without("relu", lambda i, n: i == n - 1)),
        r"relu|affine_forward",
    ),
    Hypothesis(
        "relu_at_end",
        "ReLU is applied to the scores: the last layer has none",
        _changed(_relu_at_end),
        r"relu",
    ),
    Hypothesis(
        "norm_missing",
        "the normalisation is left out",
        _changed(_without("norm")),
        r"norm",
    ),
    Hypothesis(
        "order_of_layers",
        "ReLU comes before the normalisation: it must come after it",
        _changed(_relu_before_norm),
        r"relu",
    ),
    Hypothesis(
        "other_activation",
        "the activation is a sigmoid, not ReLU",
        _changed(_sigmoid),
        r"exp|sigmoid",
    ),
    Hypothesis("other_activation", "the activation is tanh, not ReLU", _changed(_tanh), r"tanh"),
    Hypothesis(
        "test_mode",
        "loss(X) normalises with the statistics of the batch: it must be in test mode",
        _changed(lambda steps: steps, test=False),
        r"mode",
    ),
    Hypothesis(
        "running_lost",
        "the running statistics of batch norm are not kept: bn_param is made anew in each call of loss, so "
        "that test mode normalises with zeros",
        _changed(lambda steps: steps, kept=False),
        r"bn_param|mode",
    ),
    Hypothesis(
        "biases_missing",
        "the biases are not added",
        _changed(lambda steps: steps, bias=False),
        r"dot|@",
    ),
    Hypothesis(
        "relu_missing",
        "the backward pass leaves out ReLU",
        _changed(lambda steps: steps, skipped=("relu", None)),
        r"relu_backward|affine_backward|grads\[",
    ),
    *[
        Hypothesis(
            "relu_missing",
            f"the backward pass leaves out the {which} ReLU",
            _changed(lambda steps: steps, skipped=("relu", number)),
            r"relu_backward|affine_backward|grads\[",
        )
        for number, which in enumerate(("first", "second", "third"))
    ],
    Hypothesis(
        "norm_missing",
        "the backward pass leaves out the normalisation",
        _changed(lambda steps: steps, skipped=("batchnorm", None)),
        r"norm|grads\[",
    ),
]
