"""Judging an update rule: several steps, from nothing and from a state, with every setting."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from handgrad import optim
from handgrad.checker import diagnosis
from handgrad.checker.hypotheses.rules import defaults
from handgrad.checker.hypotheses.rules.adam_rule import EPSILON_HAT
from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.records import (
    NOT_WRITTEN,
    RIGHT,
    WRONG,
    Breach,
    Call,
    Config,
    Raised,
    Verdict,
    error_of,
    is_numeric,
    same,
    scales_of,
)
from handgrad.checker.repair import Rerun
from handgrad.checker.steps import STATE, counting, simulate
from handgrad.checker.undisturbed import changed, fresh, quiet, run, source_file, source_lines
from handgrad.checker.written import RULE, unwritten

STEPS = 4
_CHANGED = "input_changed"
NAMES = tuple(STATE)
_OF_STUDENTS = ("adagrad",)  # whose state and defaults have no names in a skeleton
# UCLA's course stores some states under other names
_OTHER_NAMES = {"rmsprop": {"cache": "a"}, "adam": {"m": "v", "v": "a"}}


def judge(name: str, rule: Callable[..., Any], strict: bool = False, adam_t: int = 0) -> Verdict:
    """Return the verdict on the update rule `rule`, which is called `name` by the courses.

    strict: judge the library's contract, not only the courses'; adam_t: Adam's count of steps
    before the first one, 1 in the course of 2017.
    """
    start = time.perf_counter()
    lines, first = source_lines(rule)
    missing = unwritten(rule, RULE)
    if missing:
        line = first if lines else None
        return Verdict(name, NOT_WRITTEN, reason=missing, file=source_file(rule), line=line)
    cautions: list[str] = []
    with quiet():
        calls, findings, notes = _evidence(name, rule, adam_t)
        if not strict:
            cautions += [one.says for one in dict.fromkeys(findings) if one.name == _CHANGED]
            findings = [one for one in findings if one.name != _CHANGED]
            cautions += _accepted(name, calls, adam_t) + _without_rate(calls)
        layer = KnownLayer("", list, family="optim")
        causes = diagnosis.explain(
            calls,
            findings,
            layer,
            "forward",
            source_lines(rule),
            Rerun(rule, _results),
            defaults.of_rule(name, rule),
        )
    errors: dict[str, float] = {}
    for call in calls:
        for key in call.expected:
            errors[key] = max(errors.get(key, 0.0), error_of(call, key))
    return Verdict(
        name,
        WRONG if causes else RIGHT,
        errors,
        causes,
        sorted(set(notes)),
        cautions,
        configurations=len(calls),
        file=source_file(rule),
        line=first if lines else None,
        seconds=time.perf_counter() - start,
        calls=calls,
    )


def settings(name: str) -> list[dict[str, Any] | None]:
    """Return the configs that a rule is started with; None: no config at all."""
    own: dict[str, Any] = {"learning_rate": 0.05}
    if "momentum" in name:
        own["momentum"] = 0.7
    if name in ("rmsprop", "adam", "adagrad"):
        own["epsilon"] = 1e-2
    if name == "rmsprop":
        own["decay_rate"] = 0.8
    if name == "adam":
        own |= {"beta1": 0.7, "beta2": 0.9}
    if name in _OF_STUDENTS:  # no course says what their defaults are
        return [{"learning_rate": 0.1, "epsilon": 1e-8}, own]
    return [None, {}, {"learning_rate": 0.1}, own]


def _without_rate(calls: list[Call]) -> list[str]:
    """Leave out an empty config that is refused, as no course passes one, and say so."""
    for call in calls:
        refused = [got for got in call.got.values() if isinstance(got, Raised)]
        if call.options[1] == {} and refused and refused[0].kind != "Missing":
            call.expected, call.got = {}, {}
            return [f"with the config {{}}, it raises {refused[0]}"]
    return []


def _accepted(name: str, calls: list[Call], adam_t: int) -> list[str]:
    """Expect another form of Adam that courses accept, where the code is of that form; say so."""
    forms = [
        (
            EPSILON_HAT,
            "the corrections are put into the learning rate, and epsilon is not corrected with them "
            "(epsilon-hat, as in the paper): the step differs by about epsilon / sqrt(v)",
        ),
        (optim.get_rule(name), "t starts at 0, not at 1 as in the course's file"),
    ]
    wrong = any(call.wrong(key) for call in calls for key in call.expected)
    for form, says in forms[: 2 if adam_t else 1] if name == "adam" and wrong else []:
        for start_t in {adam_t if form is EPSILON_HAT else 0, 0}:
            tried = [_expected(name, counting(form, start_t), call) for call in calls]
            if all(
                same(call.got[key], value, call.scale.get(key), call.tolerance)
                for call, expected in zip(calls, tried, strict=True)
                for key, value in expected.items()
            ):
                for call, expected in zip(calls, tried, strict=True):
                    call.expected = expected
                return [says]
    return []


def _expected(name: str, rule: Callable[..., Any], call: Call) -> dict[str, Any]:
    """What `rule` gives for a call, as many steps as are compared."""
    _, start, dws, _ = call.options
    results = simulate(rule, name, call.arrays["w"], dws, start)
    return {key: results[key][: len(value)] for key, value in call.expected.items()}


def _evidence(
    name: str, rule: Callable[..., Any], adam_t: int = 0
) -> tuple[list[Call], list[Breach], list[str]]:
    rng = np.random.default_rng(5)
    calls, findings, notes = [], [], []
    names = _names(name, rule)
    for setting in [*settings(name), "state"]:
        w = rng.standard_normal((3, 4))
        dws = [0.1 * rng.standard_normal((3, 4)) for _ in range(STEPS)]
        start: dict[str, Any] | None = None
        if setting == "state":
            start = {"learning_rate": 0.03, **({"epsilon": 1e-3} if name in _OF_STUDENTS else {})}
            for key in STATE[name]:
                start[key] = 3 if key == "t" else np.abs(rng.standard_normal((3, 4)))
        elif isinstance(setting, dict):
            start = dict(setting)
        first_t = adam_t if name == "adam" else 0
        config = Config(f"config {_brief(start)}", {"w": w}, (name, start, dws, first_t))
        right = counting(optim.get_rule(name), first_t)
        expected = simulate(right, name, w, dws, start)
        mine = None if start is None else {names.get(key, key): v for key, v in start.items()}
        if start is None:  # nothing to read the state from
            expected = {"next_w": expected["next_w"][:1]}
        got, seen = _tried(rule, name, w, dws, start, names)
        findings += seen
        call = Call(config, expected=expected, got=got, scale=scales_of(expected))
        call.scale["next_w"] = float(np.max(np.abs(expected["next_w"] - w)))  # of the steps
        calls.append(call)
        if any("changes w" in note for note in _in_place(rule, w, dws[0], mine)) and name != "sgd":
            notes.append("w is changed in place")
    return calls, findings, notes


def _names(name: str, rule: Callable[..., Any]) -> dict[str, str]:
    """The code's own words for the states, where a course has them, or no course gives any."""
    probe: dict[str, Any] = {}
    run(rule, np.ones(2), np.ones(2), probe)
    if name in _OF_STUDENTS:
        arrays = [key for key, value in probe.items() if np.shape(value) == (2,)]
        return dict(zip(STATE[name], arrays, strict=True)) if len(arrays) == 1 else {}
    return _OTHER_NAMES.get(name, {}) if "a" in probe else {}


def _tried(
    rule: Callable[..., Any],
    name: str,
    w: Any,
    dws: list[Any],
    start: dict[str, Any] | None,
    names: dict[str, str],
) -> tuple[dict[str, Any], list[Breach]]:
    """Run the rule from a config in the library's names; without a config, only the first step counts."""
    mine = None if start is None else {names.get(key, key): v for key, v in start.items()}
    got, seen = _steps(rule, name, w, dws, mine, names)
    if start is None:
        first = got["next_w"]
        got = {"next_w": first if isinstance(first, Raised) else first[:1]}
    return got, seen


def _results(rule: Callable[..., Any], call: Call) -> dict[str, Any]:
    """What another rule gives for a call."""
    name, start, dws, _ = call.options
    names = _names(name, rule)
    return _tried(rule, name, call.arrays["w"], dws, start, names)[0]


def _brief(start: dict[str, Any] | None) -> str:
    if start is None:
        return "None"
    return "{" + ", ".join(k if np.ndim(v) else f"{k} {v:g}" for k, v in start.items()) + "}"


def _steps(
    rule: Callable[..., Any],
    name: str,
    w: Any,
    dws: list[Any],
    start: dict[str, Any] | None,
    names: dict[str, str],
) -> tuple[dict[str, Any], list[Breach]]:
    """Run the rule; keep the dictionary that was passed, as the Solver's caller does."""
    keys = ("next_w", *STATE[name])
    history: dict[str, list[Any]] = {key: [] for key in keys}
    findings: list[Breach] = []
    config = fresh(start)
    w = w.copy()
    for dw in dws:
        mine = dw.copy()
        result = run(rule, w, mine, config)
        if isinstance(result, Raised):
            return dict.fromkeys(keys, result), findings
        if not (isinstance(result, tuple | list) and len(result) == 2 and is_numeric(result[0])):
            raised = Raised("Missing", "the rule must return (next_w, config)")
            return dict.fromkeys(keys, raised), findings
        if changed(dw, mine) is not None:
            findings.append(Breach(_CHANGED, "the rule changes dw in place"))
        w = np.array(result[0])
        history["next_w"].append(w.copy())
        config = result[1] if config is None else config
        if config is None or not isinstance(config, dict):
            raised = Raised("Missing", "the rule must return (next_w, config), config a dictionary")
            return dict.fromkeys(keys, raised), findings
        for key in STATE[name]:
            history[key].append(
                fresh(config.get(names.get(key, key)))
            )  # it may be changed in place
    got: dict[str, Any] = {}
    for key, values in history.items():
        if any(value is None for value in values):
            got[key] = Raised("Missing", f"{key} is not stored in the config that was passed")
        else:
            got[key] = np.stack([np.array(value, float) for value in values])
    return got, findings


def _in_place(rule: Callable[..., Any], w: Any, dw: Any, start: Any) -> list[str]:
    mine = w.copy()
    run(rule, mine, dw.copy(), fresh(start))
    return ["changes w"] if changed(w, mine) is not None else []
