"""Judging a model: its parameters, its scores, its loss and gradients, and what test mode means."""

from __future__ import annotations

import inspect
import re
import time
from typing import Any

import numpy as np

from handgrad import models
from handgrad.checker import diagnosis, guards
from handgrad.checker.hypotheses.networks.joins import joined, steps_of
from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.known.scenarios import SCENARIOS, Scenario
from handgrad.checker.model_checks import (
    UNUSED,
    check_dropout,
    check_live,
    check_test_mode,
    method_of,
    other_activation,
    unused,
)
from handgrad.checker.model_truth import expected_of
from handgrad.checker.records import (
    NOT_WRITTEN,
    RIGHT,
    UNTESTED,
    WRONG,
    Breach,
    Call,
    Cause,
    Raised,
    Verdict,
    error_of,
    is_numeric,
    same,
)
from handgrad.checker.repair import Rerun
from handgrad.checker.standins import lacking
from handgrad.checker.undisturbed import changed, fresh, quiet, run, source_file, source_lines
from handgrad.checker.written import LOSS, unwritten

_LACKING = "lacking"  # a layer that the network calls and that is not there, in one scenario
_CAUTIONS = ("row", "argument_changed", "parameter_unused")  # what no course takes points for
NAMES = ("TwoLayerNet", "FullyConnectedNet", "ThreeLayerConvNet")


def judge(
    name: str, cls: Any, drops: bool = False, strict: bool = False, train_only: bool = False
) -> Verdict:
    """Return the verdict on the class `cls`, which is called `name` by the courses.

    drops: dropout's number is the probability of dropping; strict: judge the library's contract, not
    only the courses'; train_only: the course's own file has a line that never leaves train mode.
    """
    start = time.perf_counter()
    lines, first = source_lines(cls)
    place: dict[str, Any] = {"file": source_file(cls), "line": first if lines else None}
    if inspect.isclass(cls) and "input_size" in inspect.signature(cls).parameters:
        return Verdict(
            name, UNTESTED, reason="its weights are transposed: another course's class", **place
        )
    if other := other_activation(lines):
        says = f"it calls {other}: another activation than the ReLU of the courses' network"
        return Verdict(name, UNTESTED, reason=says, **place)
    reason = unwritten(cls.loss, LOSS) if inspect.isclass(cls) and hasattr(cls, "loss") else ""
    if reason:
        return Verdict(name, NOT_WRITTEN, reason=f"loss: {reason}", **place)
    calls: list[Call] = []
    findings: list[Breach] = []
    notes: list[str] = []
    cautions: list[str] = []
    with quiet():
        for scenario in SCENARIOS[name]:
            if scenario.strict and not strict:
                continue
            arguments = _in_their_words(cls, scenario.arguments, drops)
            if arguments is None:
                notes.append(f"{scenario.name} is not among its options")
                continue
            call = _try(name, cls, scenario, arguments, findings)
            if call is not None:
                calls.append(call)
        missing = list(dict.fromkeys(one.says for one in findings if one.name == NOT_WRITTEN))
        gone = list(dict.fromkeys(one.says for one in findings if one.name == _LACKING))
        findings = [one for one in findings if one.name not in (NOT_WRITTEN, _LACKING)]
        if gone and not calls and not findings:
            return Verdict(name, UNTESTED, reason=gone[0], **place)
        missing += gone
        if missing and not calls and not findings:
            return Verdict(name, NOT_WRITTEN, reason=missing[0], **place)
        layer = KnownLayer("", list, family="model")
        rerun = Rerun(cls, lambda other, call: _results(name, other, call, drops))
        if not strict:
            cautions += _guarded(calls)
        if train_only and not strict:
            cautions += _by_the_courses_line(calls, findings, lines)
        judged = [one for one in findings if strict or one.name not in _CAUTIONS]
        causes = diagnosis.explain(calls, judged, layer, "forward", (lines, first), rerun)
    if not strict:
        cautions += [one.says for one in findings if one.name in _CAUTIONS]
        if causes and all(_of_what_a_layer_stored(cause, calls) for cause in causes):
            cautions += [cause.says for cause in causes]
            causes = []
            for call in calls:
                if call.wrong("scores"):
                    del call.expected["scores"]
    causes.sort(key=lambda cause: (not cause.certain, cause.name == "raises"))
    errors: dict[str, float] = {}
    for call in calls:
        for key in call.expected:
            kind = key if key in ("scores", "loss") else "gradients"
            errors[kind] = max(errors.get(kind, 0.0), error_of(call, key))
    return Verdict(
        name,
        WRONG if causes else RIGHT,
        errors,
        causes,
        notes,
        [*dict.fromkeys(cautions), *missing],
        configurations=len(calls),
        seconds=time.perf_counter() - start,
        calls=calls,
        **place,
    )


def _guarded(calls: list[Call]) -> list[str]:
    """Take losses as right that differ by a guard of the logarithm alone, and say so."""

    def scored(call: Call) -> tuple[Any, Any, Any]:
        facts = call.options[0]
        scores = joined(steps_of(facts), call, test=False)["scores"]
        return scores, facts.y, np.full(len(scores), 1 / len(scores))

    return guards.accept(calls, scored)


def _of_what_a_layer_stored(cause: Cause, calls: list[Call]) -> bool:
    """Whether loss and gradients are right, and the scores of test mode follow from what a layer stored.

    That layer is judged by itself: what it stores is not a second mistake, the network's.  A layer whose
    formula is wrong in test mode gives wrong scores from right statistics too, and is one.
    """
    if cause.name != "callee" or cause.keys != ("scores",):
        return False
    wrong = [call for call in calls if call.wrong("scores")]
    stored = [call.config.options[0].by_stored for call in wrong]
    return all(
        one is None or same(call.got["scores"], one, None, 1e-6)
        for call, one in zip(wrong, stored, strict=True)
    )


def _by_the_courses_line(calls: list[Call], findings: list[Breach], lines: list[str]) -> list[str]:
    """Take scores that follow from a line of the course's own file as right, and say so."""
    if not any(re.search(r"bn_param\[\s*mode\s*\]\s*=", text) for text in lines):
        return []
    findings[:] = [one for one in findings if one.name != "test_mode"]
    for call in calls:
        facts = call.options[0]
        if facts.norm == "batchnorm" and call.wrong("scores"):
            scores = joined(steps_of(facts), call, test=False)["scores"]
            if same(call.got["scores"], scores, None, 1e-6):
                call.expected["scores"] = scores
    return [
        "the course's own line bn_param[mode] = mode never leaves train mode: loss(X) normalises "
        "with the batch; write bn_param['mode'] = mode"
    ]


def _results(name: str, cls: Any, call: Call, drops: bool) -> dict[str, Any]:
    """What another class gives for a call."""
    scenario = next(one for one in SCENARIOS[name] if one.name == call.config.name)
    arguments = _in_their_words(cls, scenario.arguments, drops)
    params = call.options[0].params
    again = None if arguments is None else run(_try, name, cls, scenario, arguments, [], params)
    return again.got if isinstance(again, Call) else {}


def _in_their_words(cls: Any, arguments: dict[str, Any], drops: bool) -> dict[str, Any] | None:
    """Translate the library's options into those of the class's course; None if it has no such."""
    known = inspect.signature(cls).parameters
    theirs = fresh(arguments)
    norm = theirs.pop("normalization", None)
    if norm and "normalization" in known:
        theirs["normalization"] = norm
    elif norm and "use_batchnorm" in known and norm == "batchnorm":
        theirs["use_batchnorm"] = True
    elif norm:
        return None
    if "hidden_dims" in known and "hidden_dim" in theirs:  # UCLA's name for the one width
        theirs["hidden_dims"] = theirs.pop("hidden_dim")
    keep = theirs.pop("dropout_keep_ratio", None)
    if keep and "dropout_keep_ratio" in known:
        theirs["dropout_keep_ratio"] = keep
    elif keep and "dropout" in known:
        old = "use_batchnorm" in known or drops
        theirs["dropout"] = 1 - keep if old else keep
    elif keep:
        return None
    return {key: value for key, value in theirs.items() if key in known}


def _try(
    name: str,
    cls: Any,
    scenario: Scenario,
    arguments: dict[str, Any],
    findings: list[Breach],
    params: dict[str, Any] | None = None,
) -> Call | None:
    """Build the model, compare it with the library's that has the same parameters.

    params: those of an earlier call, which it is compared with: a constructor that calls
    np.random.seed(None) draws others each time.
    """
    rng = np.random.default_rng(11)
    own = fresh(arguments)
    model = run(method_of(cls, lambda: cls(**own)))
    where = f" ({scenario.name})"
    if isinstance(model, Raised):
        findings.append(Breach("raises", f"the constructor raises {model}{where}", model.line))
        return None
    if changed(arguments, own) is not None:
        findings.append(
            Breach("argument_changed", "the constructor changes its caller's arguments")
        )
    model = _without_dropout(model, cls, own, findings)
    gap = _gap(model, scenario)
    if gap:
        findings.append(Breach(NOT_WRITTEN, gap))
        return None
    truth = getattr(models, name)(**scenario.arguments)
    truth.corrects_start = getattr(model, "corrects_start", False)  # the courses' do not
    if not _check_parameters(model, truth, scenario, findings):
        return None
    X = rng.standard_normal(scenario.shape)
    classes = scenario.arguments["num_classes"]
    y = rng.integers(0, classes, len(X))
    for key in model.params:  # zero biases and unit scales would hide mistakes
        if key[0] != "W":
            model.params[key] = model.params[key] + 0.1 * rng.standard_normal(
                model.params[key].shape
            )
    for key, value in (params or {}).items():
        model.params[key] = np.reshape(fresh(value), model.params[key].shape)
    truth.params = {
        key: np.reshape(fresh(value), truth.params[key].shape)
        for key, value in model.params.items()
        if key in truth.params
    }
    model.reg = truth.reg = scenario.reg
    before = X.copy()
    trained = run(method_of(model, lambda: model.loss(X, y)))
    if changed(before, X) is not None:
        findings.append(Breach("input_changed", "loss changes X in place"))
    if gone := lacking(trained):
        findings.append(Breach(_LACKING, gone))
        return None
    call = expected_of(truth, scenario, X, y, getattr(model, "bn_params", None))
    if isinstance(trained, Raised):
        call.got = dict.fromkeys(call.expected, trained)
        return call
    if not (isinstance(trained, tuple) and len(trained) == 2 and isinstance(trained[1], dict)):
        findings.append(Breach("returns", "loss(X, y) must return (loss, grads)"))
        return None
    loss, grads = trained
    if np.ndim(loss) or not is_numeric(loss):
        findings.append(Breach("returns", f"loss must be one number{where}"))
        return None
    if not grads:
        findings.append(Breach(NOT_WRITTEN, f"the gradients of loss: {NOT_WRITTEN}"))
        return None
    if extra := [key for key in model.params if key not in truth.params]:
        findings.append(unused(extra, [key for key in extra if key not in grads], where))
    missing = [key for key in truth.params if key not in grads]
    if missing:
        findings.append(
            Breach("gradient_missing", f"grads lacks {', '.join(missing)}{where}: never updated")
        )
        return None
    if "dropout_keep_ratio" in scenario.arguments:
        check_dropout(model, truth, X, y, loss, grads, findings, where)
        return None
    call.got = {"scores": run(method_of(model, lambda: model.loss(X))), "loss": loss}
    call.got |= {"d" + key: _without_row(grads[key], truth.params[key]) for key in truth.params}
    scores = call.got["scores"]
    check_test_mode(model, X, scores, findings)
    check_live(model, truth.params, X, y, loss, findings)
    return call


def _without_dropout(model: Any, cls: Any, own: dict[str, Any], findings: list[Breach]) -> Any:
    """Return the model, built without dropout where its default means some although nobody asked for it."""
    default = getattr(inspect.signature(cls).parameters.get("dropout"), "default", None)
    if "dropout" in own or default not in (0, 1) or getattr(model, "use_dropout", None) is not True:
        return model
    other = run(method_of(cls, lambda: cls(**own, dropout=1 - default)))
    if isinstance(other, Raised) or getattr(other, "use_dropout", None) is not False:
        return model
    says = (
        f"the default dropout={default} is taken as dropout with p = {default}: without the option there is "
        f"none, so the default must be {1 - default}"
    )
    findings.append(Breach("dropout_by_default", says))
    return other


def _without_row(value: Any, like: Any) -> Any:
    """Return a row as a vector, where the parameter is a vector."""
    row = is_numeric(value) and np.shape(value) == (1, *np.shape(like))
    return np.asarray(value)[0] if row else value


def _gap(model: Any, scenario: Scenario) -> str:
    """Return what this scenario needs and the model has not yet, or ""."""
    params = getattr(model, "params", None)
    if isinstance(params, dict) and not params:
        return "its constructor leaves params empty"
    norm = scenario.arguments.get("normalization")
    if norm and isinstance(params, dict) and all(key[:1] in "Wb" for key in map(str, params)):
        return f"{norm}: {NOT_WRITTEN}"
    if "dropout_keep_ratio" in scenario.arguments and not _mentions(
        model,
        r"\bdrop(?!\w*backward)\w*\(",  # a backward alone drops nothing
    ):
        return f"dropout: {NOT_WRITTEN}"
    return ""


def _mentions(model: Any, pattern: str) -> bool:
    """Whether the code of a model calls such a function, outside of comments."""
    lines, _ = source_lines(type(model))
    return not lines or any(re.search(pattern, line.partition("#")[0]) for line in lines)


def _check_parameters(model: Any, truth: Any, scenario: Scenario, findings: list[Breach]) -> bool:
    """Names, shapes and first values of the parameters."""
    params = getattr(model, "params", None)
    where = f" ({scenario.name})"
    if not isinstance(params, dict):
        findings.append(Breach("params", "the model has no dictionary params"))
        return False
    if "W0" in params:
        says = "the parameters are numbered from 0, as W0: the courses' begin with W1 and b1"
        findings.append(Breach("parameter_missing", says))
        return False
    for key, value in truth.params.items():
        if key not in params:
            findings.append(Breach("parameter_missing", f"params lacks {key}{where}"))
            return False
        shape = np.shape(params[key])
        if value.ndim == 1 and shape == (1, *value.shape):
            says = f"{key} has the shape {shape}: the courses' is {value.shape}{where}"
            findings.append(Breach("row", says))
            shape = value.shape
        if shape != value.shape:
            what = "weights of the wrong fan-in or fan-out" if key[0] == "W" else "wrong size"
            findings.append(
                Breach(
                    "weight_shape",
                    f"{key} has shape {shape}, expected {value.shape}: {what}{where}",
                )
            )
            return False
        std, mean = float(np.std(params[key])), float(np.mean(params[key]))
        scale = scenario.arguments["weight_scale"]
        if key[0] == "W" and value.size >= 60 and abs(mean - scale / 2) < 0.1 * scale:
            says = f"{key} is drawn uniformly from 0 to weight_scale (rand): use randn{where}"
            findings.append(Breach("weight_scale", says))
            continue
        if key[0] == "W" and value.size >= 60 and not 0.7 * scale < std < 1.3 * scale:
            findings.append(
                Breach(
                    "weight_scale",
                    f"{key} starts with standard deviation {std:.2g}, not weight_scale {scale:g}{where}",
                )
            )
        elif key[0] == "b" and np.any(params[key]):
            findings.append(Breach("bias_start", f"{key} does not start at zero{where}"))
        elif key[0] == "g" and np.any(np.asarray(params[key]) != 1):
            findings.append(Breach("gamma_start", f"{key} does not start at one{where}"))
    extra = [key for key in params if key not in truth.params]
    other = [key for key in extra if not UNUSED.match(key)]
    if other:
        findings.append(Breach("parameter_extra", f"params also has {', '.join(extra)}{where}"))
    return not other
