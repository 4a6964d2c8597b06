"""Judging one forward/backward pair: the evidence, and the verdicts it leads to.

What forward must return is known for the layers of the courses (`handgrad.layers` computes it); what
backward must return is the derivative of *the code's own* forward.  Where that forward is right, the
derivative is the library's, and the code's forward confirms it along random directions; otherwise it
is taken entry by entry.  A backward that returns the layer's true gradient is right even where the
forward beside it is wrong.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from handgrad.checker import beside, contracts, diagnosis, structure
from handgrad.checker.calling import Pair, Passed, call_backward, call_forward, upstream
from handgrad.checker.course import BEYOND, leaves_out, refused, within
from handgrad.checker.expected import (
    GRADIENT_TOLERANCE,
    expect,
    of_its_mask,
    smooth_point,
    without_shift,
)
from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.records import (
    NOT_WRITTEN,
    RIGHT,
    UNTESTED,
    WRONG,
    Breach,
    Call,
    Config,
    Raised,
    Verdict,
    error_of,
    scales_of,
)
from handgrad.checker.repair import Rerun
from handgrad.checker.reruns import gradients_of, loss_of, results_of, state_of, true_loss
from handgrad.checker.slopes import COMPLEX, Slope
from handgrad.checker.standins import lacking
from handgrad.checker.undisturbed import fresh, quiet, source_file, source_lines
from handgrad.checker.untold import not_written, of_its_own, unjudged
from handgrad.checker.written import BACKWARD, GRADIENT, unwritten

FORWARD_TOLERANCE = 1e-8


@dataclass
class Evidence:
    """What was seen of one function: calls, findings, how derivatives were taken, what was left out."""

    calls: list[Call] = field(default_factory=list)
    findings: list[Breach] = field(default_factory=list)
    methods: set[str] = field(default_factory=set)
    untested: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def judge(pair: Pair) -> list[Verdict]:
    """Return the verdict on the forward pass, then those on the backward passes."""
    missing = not_written(pair) or of_its_own(pair)
    if missing:
        return missing
    adapt, plain = pair.layer.adapt, pair
    pair = pair._replace(
        forward=adapt("forward", pair.forward),
        backwards={name: adapt("backward", one) for name, one in pair.backwards.items()},
    )
    with quiet():
        start = time.perf_counter()
        forward = forward_evidence(pair)
        right = {
            call.config.name
            for call in forward.calls
            if "out" in call.expected and not call.wrong("out")
        }
        if pair.layer.loss:
            (name,) = pair.backwards
            half = unwritten(pair.forward, GRADIENT)
            both = _merged(forward, Evidence() if half else backward_evidence(pair, name, right))
            rerun = Rerun(
                plain.forward,
                lambda other, call: loss_of(adapt("forward", other), call),
                lambda call: true_loss(pair.layer, call),
            )
            verdict = _verdict(
                pair.forward_name, pair.forward, both, pair.layer, "forward", start, rerun
            )
            if half and verdict.verdict == RIGHT:
                return [unjudged(pair.forward_name, pair.forward, NOT_WRITTEN, half)]
            return [verdict]
        rerun = Rerun(
            plain.forward, lambda other, call: results_of(pair, adapt("forward", other), call)
        )
        verdicts = [
            _verdict(pair.forward_name, pair.forward, forward, pair.layer, "forward", start, rerun)
        ]
        for name, backward in pair.backwards.items():
            start = time.perf_counter()
            reason = "" if hasattr(backward, "layer") else unwritten(backward, BACKWARD)
            if reason:
                verdicts.append(unjudged(name, backward, NOT_WRITTEN, reason))
                continue
            evidence = backward_evidence(pair, name, right)
            rerun = Rerun(plain.backwards[name], gradients_of(pair, name))
            verdicts.append(
                _verdict(
                    name,
                    backward,
                    evidence,
                    pair.layer,
                    "backward",
                    start,
                    rerun,
                    (pair, verdicts[0]),
                )
            )
    return verdicts


def forward_evidence(pair: Pair) -> Evidence:
    """Compare forward with the layer's formula, and check its contract."""
    layer, evidence = pair.layer, Evidence()
    for config in pair.configs():
        passed = call_forward(pair, config.arrays, config.options)
        truth = layer.truth(config)
        expected = dict(truth.results) if truth else {}
        call = Call(config, expected=expected, scale=scales_of(expected))
        call.tolerance = FORWARD_TOLERANCE
        if isinstance(passed, Raised) and refused(pair, config, passed):
            if not config.optional:
                evidence.untested.append(f"forward refuses {config.name}: {passed.message}")
            continue
        if missing := lacking(passed):
            evidence.untested.append(missing)
            continue
        if isinstance(passed, Raised):
            call.got = dict.fromkeys(expected, passed)
            if not expected:
                says = passed.message if passed.kind == "Missing" else f"it raises {passed}"
                name = "raises"
                if config.beyond and "*" in config.strict and not layer.strict:
                    name, says = BEYOND, f"{config.beyond}, {says}"
                evidence.findings.append(Breach(name, says, passed.line))
        else:
            call.got = {key: state_of(passed, key) for key in expected if key != "out"}
            call.got["out"] = passed.out
            state = truth.state if truth else ()
            evidence.findings += contracts.after_forward(pair, config, passed, state)
        evidence.calls.append(call)
    if not evidence.calls:
        return evidence
    first = evidence.calls[0].config
    if not isinstance(call_forward(pair, first.arrays, first.options), Raised):
        evidence.findings += contracts.of_forward(pair, first)
        evidence.notes += contracts.dtype_notes(pair, first)
        for expectation in layer.expectations:
            evidence.findings += expectation(pair)
    return evidence


def backward_evidence(pair: Pair, name: str, right: set[str]) -> Evidence:
    """Compare one backward with the derivative of the forward, and check its contract.

    right: names of the configurations in which forward is right.
    """
    evidence = Evidence()
    for config in pair.configs():
        if leaves_out(pair, config):
            continue
        config, passed, slope = smooth_point(pair, config)
        if isinstance(passed, Raised):
            if not (config.optional or "*" in config.strict):
                evidence.untested.append(lacking(passed) or f"forward raises {passed}")
            continue
        if not np.size(passed.out):
            evidence.untested.append("the output is empty")
            continue
        call = _compared(pair, name, config, passed, slope, config.name in right, evidence)
        if call is not None:
            call.scale = scales_of({**call.expected, "dout": call.dout})
            evidence.calls.append(call)
    if evidence.calls:
        evidence.findings += contracts.of_backward(pair, name, evidence.calls[0].config)
    return evidence


def _compared(
    pair: Pair,
    name: str,
    config: Config,
    passed: Passed,
    slope: Slope | None,
    forward_right: bool,
    evidence: Evidence,
) -> Call | None:
    """Return one call of backward and what it must return; None if that is not known."""
    truth = pair.layer.truth(config)
    if truth and np.shape(truth.results["out"]) != np.shape(passed.out):
        call = _of_truth(pair, name, config, passed, evidence)
        own = call_backward(pair, name, upstream(config, passed.out), fresh(passed.cache), config)
        if isinstance(own, Raised) or not any(map(call.wrong, call.expected)):
            return call  # it takes a dout of the layer's own shape
        truth = None  # only the code's own forward can be compared with
    call = _called(pair, name, config, passed, upstream(config, passed.out), evidence)
    if missing := next(filter(None, map(lacking, call.got.values())), ""):
        evidence.untested.append(missing)
        return None
    if truth:
        call.gradient = truth.gradient
        call.expected = truth.gradient(call.dout)
    if any(isinstance(value, Raised) for value in call.got.values()):
        call.expected = call.expected or {"d" + k: v for k, v in config.arrays.items()}
    elif config.tied:
        if pair.layer.legitimate and pair.layer.legitimate(
            config, call.dout, call.got, pair.layer.strict
        ):
            call.expected = dict(call.got)
    elif slope and slope.trouble and not forward_right:
        evidence.untested.append(slope.trouble)
        return None
    elif slope and not slope.trouble:
        evidence.methods.add(slope.method)
        expect(call, slope, forward_right, truth is not None)
    if pair.layer.random and not truth and of_its_mask(call):
        call.expected = dict(call.got)
    if not call.expected:
        evidence.untested.append("there is no derivative to compare with")
        return None
    if pair.layer.known and not (pair.layer.random or pair.layer.loss or forward_right):
        return _beside_wrong_forward(pair, name, call, evidence)
    return call


def _of_truth(pair: Pair, name: str, config: Config, passed: Passed, evidence: Evidence) -> Call:
    """Call backward with a dout of the true output's shape; it must return the layer's gradient."""
    truth = pair.layer.truth(config)
    assert truth is not None
    call = _called(pair, name, config, passed, upstream(config, truth.results["out"]), evidence)
    call.gradient, call.expected = truth.gradient, truth.gradient(call.dout)
    call.scale = scales_of({**call.expected, "dout": call.dout})
    return call


def _beside_wrong_forward(pair: Pair, name: str, call: Call, evidence: Evidence) -> Call | None:
    """Return what can be said of backward where the forward beside it is wrong.

    Where the biases are zero forward may be right, and backward can be judged there.  A gradient of
    what the forward does not use, and points without a derivative, cannot be judged.
    """
    call.scale = scales_of({**call.expected, "dout": call.dout})
    wrong = [key for key in call.expected if call.wrong(key)]
    other = without_shift(pair, call.config) if wrong else None
    if other is not None:
        return _of_truth(pair, name, *other, evidence)
    if wrong and not call.config.smooth:
        return None
    for key in wrong:
        if not np.any(call.expected[key]):
            del call.expected[key]
            evidence.untested.append(f"{key}: the forward does not use {key[1:]}")
    return call if call.expected else None


def _called(
    pair: Pair, name: str, config: Config, passed: Passed, dout: Any, evidence: Evidence
) -> Call:
    """Run backward twice, and look at what it did to what it got."""
    call = Call(config, dout=fresh(dout), tolerance=GRADIENT_TOLERANCE, out=passed.out)
    cache = fresh(passed.cache)
    given = fresh(passed.cache)
    got = fresh(call_backward(pair, name, dout, given, config))  # it may be a part of the cache
    evidence.findings += contracts.after_backward(call.dout, dout, cache, given)
    if isinstance(got, Raised):
        call.got = dict.fromkeys(["d" + key for key in config.arrays], got)
        return call
    again = call_backward(pair, name, fresh(call.dout), given, config)
    evidence.findings += contracts.same_again(got, again, evidence.findings)
    call.got = got
    return call


# verdicts


def _verdict(
    name: str,
    function: Callable[..., Any],
    evidence: Evidence,
    layer: KnownLayer,
    side: str,
    start: float,
    rerun: Rerun | None = None,
    partner: tuple[Pair, Verdict] | None = None,
) -> Verdict:
    """Return a verdict; partner: of a backward, its pair and the verdict on the forward."""
    lines, first = source_lines(function)
    place: dict[str, Any] = {"file": source_file(function), "line": first if lines else None}
    calls, findings = evidence.calls, evidence.findings
    cautions: list[str] = []
    if not layer.strict:
        calls, findings, cautions = within(calls, findings, layer.scored)
    if not calls and not findings:
        reason = evidence.untested[0] if evidence.untested else "no configuration"
        return Verdict(name, UNTESTED, reason=reason, **place)
    errors: dict[str, float] = {}
    for call in calls:
        for key in call.expected:
            errors[key] = max(errors.get(key, 0.0), error_of(call, key))
    causes = beside.of_a_right_forward(calls, partner[1]) if partner else []
    if not causes:
        causes = diagnosis.explain(calls, findings, layer, side, (lines, first), rerun)
    if partner and causes and (not causes[0].certain or causes[0].name == "repair"):
        causes = beside.of_a_mended_forward(partner[0], name, calls, partner[1]) or causes
    if branch := structure.open_branch(causes, calls):
        return Verdict(name, NOT_WRITTEN, reason=branch, **place)
    notes = list(evidence.notes)
    if evidence.untested:
        left_out = sorted(set(evidence.untested))
        notes.append(f"{len(evidence.untested)} configurations not tested: {'; '.join(left_out)}")
    methods = evidence.methods
    return Verdict(
        name,
        WRONG if causes else RIGHT,
        errors,
        causes,
        notes,
        cautions,
        configurations=len(calls),
        method=COMPLEX if methods == {COMPLEX} else " and ".join(sorted(methods)),
        seconds=time.perf_counter() - start,
        calls=calls,
        **place,
    )


def _merged(value: Evidence, gradient: Evidence) -> Evidence:
    """A loss is one function: its value and its gradient are one piece of evidence."""
    gradients = {call.config.name: call for call in gradient.calls}
    for call in value.calls:
        other = gradients.get(call.config.name)
        for part in (call.expected, call.got, call.scale):
            if "out" in part:
                part["loss"] = part.pop("out")
        if other is not None:
            call.dout, call.tolerance = other.dout, max(call.tolerance, other.tolerance)
            call.expected |= other.expected
            call.got |= other.got
            call.scale |= other.scale
    value.findings += gradient.findings
    value.methods, value.untested = gradient.methods, gradient.untested
    return value
