"""Judging UCLA's linear classifiers, `SVM` and `Softmax`, which keep their weights (C, D) themselves."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad.checker import classifiers, diagnosis, guards
from handgrad.checker.descent import judge_train
from handgrad.checker.known import linear
from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.records import (
    NOT_WRITTEN,
    RIGHT,
    UNTESTED,
    WRONG,
    Call,
    Config,
    Raised,
    Verdict,
    error_of,
    is_numeric,
    scales_of,
)
from handgrad.checker.repair import Rerun
from handgrad.checker.standins import lacking
from handgrad.checker.undisturbed import fresh, quiet, run, source_file, source_lines
from handgrad.checker.written import GRADIENT, LOSS, RESULT, unwritten

KINDS = {"SVM": "svm_loss", "Softmax": "softmax_loss"}
CLASSES = 10  # of the course
LOSSES = ("loss", "loss_and_grad", "fast_loss_and_grad")
METHODS = dict.fromkeys(KINDS, (*LOSSES, "train", "predict"))


def judge(name: str, thing: Any) -> list[Verdict] | None:
    """Return a verdict for each method of the class; None for another class of this name."""
    if name not in KINDS or not inspect.isclass(thing):
        return None
    own = vars(thing)
    if not inspect.isfunction(own.get("init_weights")) or "loss_and_grad" not in own:
        return None
    verdicts = []
    for method in METHODS[name]:
        if not inspect.isfunction(own.get(method)):
            continue
        if method == "train":
            verdicts.append(judge_train(f"{name}.train", thing, own["train"], _Trained))
        elif method == "predict":
            known = classifiers.Method(
                "labels", classifiers.score_configs, _classified, classifiers.largest, "neighbours"
            )
            verdicts.append(
                classifiers.judge_method(f"{name}.predict", _made(thing), own[method], known)
            )
        else:
            verdicts.append(_judge_loss(f"{name}.{method}", thing, own[method], KINDS[name]))
    return verdicts


def _made(thing: Any) -> Callable[[], Any]:
    """Make an instance of small weights, whose shape `init_weights` is asked for."""
    return lambda: thing(dims=[3, 4])


def _classified(instance: Any, method: Callable[..., Any], config: Config) -> Any:
    instance.W = np.ascontiguousarray(config.options[0].T)
    return method(instance, config.arrays["X"])


class _Trained:
    """How `train` is watched: its weights are (C, D), set by `init_weights`; its losses have no reg."""

    asked = "self.fast_loss_and_grad(X_batch, y_batch)"

    @staticmethod
    def prepared(thing: Any, start: np.ndarray, watched: Any) -> Any:
        """Return an instance that begins with `start` (D, C) and asks `watched` for its losses."""
        instance = thing(dims=[start.shape[1], start.shape[0]])

        def begin(dims: Any = None) -> None:
            instance.W = np.ascontiguousarray(start.T)

        def answer(X_batch: Any, y_batch: Any, *_: Any) -> tuple[float, np.ndarray]:
            loss, gradient = watched(X_batch, y_batch, None)
            return loss, np.ascontiguousarray(gradient.T)

        begin()
        instance.init_weights = begin
        for name in LOSSES[1:]:
            setattr(instance, name, answer)
        return instance

    @staticmethod
    def weights(instance: Any) -> Any:
        """Return the weights as (D, C)."""
        return instance.W.T if is_numeric(instance.W) and np.ndim(instance.W) == 2 else instance.W


def _judge_loss(name: str, thing: Any, function: Callable[..., Any], kind: str) -> Verdict:
    """Judge a loss of the weights: alone, or with its gradient (C, D), which is seen as (D, C)."""
    start = time.perf_counter()
    lines, first = source_lines(function)
    place: dict[str, Any] = {"file": source_file(function), "line": first if lines else None}
    alone = name.endswith(".loss")
    reason = unwritten(function, RESULT if alone else LOSS)
    if not alone and not reason:
        reason = unwritten(function, GRADIENT)
    if reason:
        return Verdict(name, NOT_WRITTEN, reason=reason, **place)

    def results(method: Callable[..., Any], call: Call) -> dict[str, Any]:
        X, y, _ = fresh(call.options)
        W = call.arrays["W"]
        instance = thing(dims=[W.shape[1], W.shape[0]])
        instance.W = np.ascontiguousarray(W.T)
        return _taken(run(method, instance, X, y), alone)

    cautions: list[str] = []
    with quiet():
        calls = [_call(config, kind, alone) for config in _configs()]
        for call in calls:
            call.got = results(function, call)
        if kind == "softmax_loss":
            cautions += guards.accept(calls, linear.scored)
        usual = [call for call in calls if call.arrays["W"].shape[1] == CLASSES]
        if not any(map(_is_wrong, usual)) and any(map(_is_wrong, calls)):
            calls = usual
            cautions += [f"it is right for {CLASSES} classes only, as the course has them"]
        missing = next(
            (one for call in calls for one in map(lacking, call.got.values()) if one), ""
        )
        if missing:
            return Verdict(name, UNTESTED, reason=missing, **place)
        layer = KnownLayer("", list, family="linear", loss=True)
        causes = diagnosis.explain(
            calls, [], layer, "forward", (lines, first), Rerun(function, results)
        )
    errors = {key: max(error_of(call, key) for call in calls) for key in calls[0].expected}
    return Verdict(
        name,
        WRONG if causes else RIGHT,
        errors,
        causes,
        cautions=cautions,
        configurations=len(calls),
        seconds=time.perf_counter() - start,
        calls=calls,
        **place,
    )


def _configs() -> list[Config]:
    """Rows fewer and more than classes, one row, two classes; and as many as the course has."""
    rng, found = np.random.default_rng(24), []
    for N, D, C in [
        (5, 4, 3),
        (4, 6, 3),
        (6, 3, 4),
        (1, 5, 3),
        (7, 4, 2),
        (6, 5, CLASSES),
        (12, 3, CLASSES),
    ]:
        y = rng.integers(0, C, N)
        y[0] = C - 1
        traits = frozenset({"the batch has one row"} if N == 1 else set())
        options = (rng.standard_normal((N, D)), y, 0.0)  # these classes have no reg
        arrays = {"W": rng.standard_normal((D, C))}
        found.append(Config(f"X {(N, D)}, {C} classes", arrays, options, traits=traits))
    return found


def _call(config: Config, kind: str, alone: bool) -> Call:
    X, y, _ = config.options
    loss, dW = linear.value_and_gradient(kind, config.arrays["W"], X, y, 0.0)
    right = {"loss": loss} if alone else {"loss": loss, "dW": dW}
    return Call(config, dout=np.float64(1.0), expected=right, scale=scales_of(right))


def _is_wrong(call: Call) -> bool:
    return any(map(call.wrong, call.expected))


def _taken(result: Any, alone: bool) -> dict[str, Any]:
    """Return loss and gradient by name, the gradient as (D, C)."""
    keys = ("loss",) if alone else ("loss", "dW")
    if isinstance(result, Raised):
        return dict.fromkeys(keys, result)
    if alone:
        return {"loss": result}
    if not (isinstance(result, tuple | list) and len(result) == 2):
        what = type(result).__name__
        return dict.fromkeys(keys, Raised("Missing", f"it must return (loss, grad), got {what}"))
    loss, gradient = result
    turned = is_numeric(gradient) and np.ndim(gradient) == 2
    return {"loss": loss, "dW": np.asarray(gradient).T if turned else gradient}
