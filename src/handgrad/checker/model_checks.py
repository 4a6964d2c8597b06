"""What of a model its gradients do not show: test mode, live parameters, dropout."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker.records import Breach, Raised, is_numeric, same
from handgrad.checker.undisturbed import run

_ACTIVATIONS = {
    "lrelu",
    "leaky",
    "leakyrelu",
    "prelu",
    "elu",
    "selu",
    "gelu",
    "swish",
    "sigmoid",
    "tanh",
}
UNUSED = re.compile(r"(gamma|beta)\d+$")  # parameters of a norm behind the last layer
_RELU = re.compile(r"(?:^|(?<!leaky)_)relu_")


def method_of(thing: Any, call: Callable[[], Any]) -> Callable[[], Any]:
    """Mark a call as one of `thing`, whose file's lines an exception is to name."""
    call.__wrapped__ = thing if inspect.isclass(thing) else type(thing)  # type: ignore[attr-defined]
    return call


def check_test_mode(model: Any, X: Any, scores: Any, findings: list[Breach]) -> None:
    """Scores of an image do not depend on the others."""
    if not is_numeric(scores):
        return
    alone = run(method_of(model, lambda: model.loss(X[:2])))
    if not is_numeric(alone) or np.shape(alone) != np.shape(scores[:2]):
        return
    if not np.allclose(alone, scores[:2], rtol=1e-6, atol=1e-9):
        findings.append(
            Breach(
                "test_mode",
                "scores depend on the other images of the batch: normalisation never leaves train mode",
            )
        )


def check_live(model: Any, used: Any, X: Any, y: Any, loss: Any, findings: list[Breach]) -> None:
    """One of the `used` parameters that is changed in place changes the next loss."""
    name = sorted(key for key in used if key[0] == "b")[-1]
    kept = np.array(model.params[name])
    model.params[name] += np.linspace(1.0, 3.0, kept.size)  # not one constant: softmax ignores it
    moved = run(method_of(model, lambda: model.loss(X, y)))
    model.params[name][...] = kept
    if isinstance(moved, tuple) and is_numeric(moved[0]) and moved[0] == loss:
        findings.append(
            Breach("params_copied", f"a change of params[{name!r}] has no effect on the loss")
        )


def check_dropout(
    model: Any,
    truth: Any,
    X: Any,
    y: Any,
    loss: Any,
    grads: Any,
    findings: list[Breach],
    where: str,
) -> None:
    """With a seed the loss is a function; its differences give the gradients."""
    rng = np.random.default_rng(2)
    again = run(method_of(model, lambda: model.loss(X, y)))
    if isinstance(again, Raised) or again[0] != loss:
        findings.append(
            Breach("seed_unused", f"two calls with the same seed give another loss{where}")
        )
        return
    for key, value in model.params.items():
        if key not in grads:
            continue  # nothing uses it, which is said already
        direction = rng.standard_normal(value.shape)
        losses = []
        for step in (1e-5, -1e-5):
            model.params[key] = value + step * direction
            moved = run(method_of(model, lambda: model.loss(X, y)))
            losses.append(np.nan if isinstance(moved, Raised) else moved[0])
        model.params[key] = value
        slope = (losses[0] - losses[1]) / 2e-5
        claimed = float(np.sum(grads[key] * direction))
        size = float(np.linalg.norm(grads[key]) * np.linalg.norm(direction))
        if abs(slope - claimed) > 1e-5 * size + 1e-7:
            findings.append(
                Breach(
                    "dropout_gradient",
                    f"the gradient of {key} is not that of the loss{where}: expected {slope:.4g} "
                    f"along a direction, got {claimed:.4g}",
                )
            )
            return
    if any("mode" in param for param in truth.bn_params):
        return  # batch norm's scores in test mode follow from what it stored
    scores = run(method_of(model, lambda: model.loss(X)))
    if not same(scores, truth.loss(X), None, 1e-7):
        findings.append(
            Breach(
                "dropout_at_test",
                "loss(X) does not give the scores of the network without dropout: it is active in "
                "test mode, or its layers are joined wrongly",
            )
        )


def unused(extra: list[str], missing: list[str], where: str) -> Breach:
    """The parameters of a norm behind the last layer, where there is none; Solver asks for each gradient."""
    listed = ", ".join(extra)
    if not missing:
        return Breach("parameter_unused", f"params also has {listed}, which nothing uses{where}")
    says = (
        f"params also has {listed}{where}: no layer uses them, and grads lacks {', '.join(missing)}, "
        "for which Solver stops with a KeyError"
    )
    return Breach("parameter_extra", says)


def other_activation(lines: list[str]) -> str:
    """Return the layer of another activation that a class calls; "" if it calls none, or ReLUs too."""
    code = "\n".join(line.partition("#")[0] for line in lines)
    called = re.findall(r"\b(\w+_forward)\(", code)
    others = [one for one in called if _ACTIVATIONS & {*one.split("_")}]
    return others[0] if others and not any(_RELU.search(one) for one in called) else ""
