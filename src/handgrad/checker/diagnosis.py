"""From numbers to words: which hypothesis explains what came.

A hypothesis predicts what its bug would return.  It explains a result ("dx", "out", ...) if its
prediction is what came in *every* configuration: where the result is wrong, and where it is right
all the same.  The hypothesis that explains most results is named first.  What no hypothesis explains
is described by its structure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from handgrad.checker import callees, failures, hypotheses, probes, relics, repair, structure
from handgrad.checker.edits_of_arrays import LISTED
from handgrad.checker.guesses import Guesses
from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.known.layer import KnownLayer
from handgrad.checker.reading import reused_loop_variable
from handgrad.checker.records import Breach, Call, Cause, Raised
from handgrad.checker.repair import Rerun
from handgrad.checker.undisturbed import source_file
from handgrad.checker.wording import Source, cause_of, of_findings, once, worst

_UNSET = re.compile(r"NameError|UnboundLocalError")
_MADE_OF_LAYERS = ("sandwich", "model")
_SEVERAL = 3  # wrong configurations whose numbers no accident gives
_MOST = 0.7  # of the wrong configurations, for a cause that does not explain them all


def explain(
    calls: Sequence[Call],
    findings: Sequence[Breach],
    layer: KnownLayer,
    side: str,
    source: Source,
    rerun: Rerun | None = None,
    more: Sequence[Hypothesis] = (),
) -> list[Cause]:
    """Return what is wrong, the likeliest cause first, what is known before what is not; nothing if all
    is right.

    more: hypotheses about this code alone, tried after those of the family.
    """
    wrong = list(dict.fromkeys(key for call in calls for key in call.expected if call.wrong(key)))
    of_others = rerun is not None and bool(wrong) and not relics.causes(calls, findings)
    listed = relics.lists_of_indices(*source) if rerun and of_others else []
    if rerun and listed:
        found = _repaired(wrong, calls, rerun, listed)
        if found is not None and LISTED in found.says:
            return [replace(found, name="relic"), *of_findings(findings)]
    if rerun and of_others and layer.family in _MADE_OF_LAYERS:
        blamed = callees.blame(rerun, calls, wrong)
        if blamed is not None:
            return [blamed, *of_findings([*findings])]
    causes = _explain(calls, findings, layer, side, source, rerun, more)
    unknown = [key for cause in causes if not cause.certain for key in cause.keys]
    if rerun and of_others and unknown and layer.family not in _MADE_OF_LAYERS:
        blamed = callees.blame(rerun, calls, wrong)
        if blamed is not None:
            return [blamed, *of_findings([*findings])]
    if rerun and of_others and unknown and layer.family in _MADE_OF_LAYERS:
        causes = _blamed_apart(causes, rerun, calls)
    return sorted(causes, key=lambda cause: not cause.certain)


def _blamed_apart(causes: list[Cause], rerun: Rerun, calls: Sequence[Call]) -> list[Cause]:
    """Put the layer that is to blame for the results without a cause in their place, where it is one."""
    calm = [call for call in calls if not _exceptions(call, list(call.expected))]
    known = [cause for cause in causes if cause.certain]
    left = [key for cause in causes if not cause.certain for key in cause.keys]
    left = [key for key in left if any(_is_wrong(call, key) for call in calm)]
    blamed = callees.blame(rerun, calm, left) if left and known and len(calm) < len(calls) else None
    return [blamed, *known] if blamed is not None else causes


def _explain(
    calls: Sequence[Call],
    findings: Sequence[Breach],
    layer: KnownLayer,
    side: str,
    source: Source,
    rerun: Rerun | None,
    more: Sequence[Hypothesis],
) -> list[Cause]:
    keys = list(dict.fromkeys(key for call in calls for key in call.expected))
    wrong = [key for key in keys if any(call.wrong(key) for call in calls if key in call.expected)]
    if not wrong and not findings:
        return []
    gone = relics.causes(calls, findings)
    if gone:
        return gone
    causes, left = [], list(wrong)
    usual = [call for call in calls if not call.config.optional]
    if any(call.wrong(key) for call in usual for key in call.expected):
        calls = usual  # hypotheses know nothing of what is beyond the courses
    case = _Case(calls, layer, source, Guesses(calls), [*hypotheses.of(layer.family, side), *more])
    explained = []
    for hypothesis in case.known:
        for only in ("", *_common_traits(calls, wrong)):
            covered, denied = case.guesses.covers(hypothesis, keys, only)
            if covered:
                explained.append((hypothesis, covered, denied, only))
                break
    while left and explained:
        hypothesis, covered, _, only = max(
            explained, key=lambda one: (len(set(one[1]) & set(left)), not one[3], -len(one[2]))
        )
        now = [key for key in covered if key in left]
        if not now:
            break
        causes.append(cause_of(hypothesis, now, calls, source, only))
        left = [key for key in left if key not in now]
    named = {cause.name for cause in causes}
    causes += of_findings([one for one in findings if one.name not in named])
    calm = [call for call in calls if not _exceptions(call, left)]
    if calm and any(call.wrong(key) for call in calm for key in left if key in call.expected):
        known = {one for cause in causes for call in calls for one in _exceptions(call, cause.keys)}
        raising = [call for call in calls if _exceptions(call, left)]
        if raising:  # exceptions here, wrong numbers there: each has its own cause
            new = {one for call in raising for one in _exceptions(call, left)} - known
            return once(
                causes
                + _explain(_only(calm, left), [], layer, side, source, rerun, more)
                + (
                    _explain(_only(raising, left), [], layer, side, source, rerun, more)
                    if new
                    else []
                )
            )
    return once(causes + _rest(left, case, rerun))


class _Case(NamedTuple):
    """What a diagnosis looks at."""

    calls: Sequence[Call]
    layer: KnownLayer
    source: Source
    guesses: Guesses
    known: Sequence[Hypothesis]


def _exceptions(call: Call, keys: Sequence[str]) -> set[tuple[str, str]]:
    """The exceptions that came in place of some results, by kind and text."""
    came = [call.got.get(key) for key in keys if key in call.expected]
    return {(one.kind, one.message) for one in came if isinstance(one, Raised)}


def _only(calls: Sequence[Call], keys: Sequence[str]) -> list[Call]:
    """The calls with some of their results."""
    return [
        replace(call, expected={key: value for key, value in call.expected.items() if key in keys})
        for call in calls
    ]


def _rest(left: Sequence[str], case: _Case, rerun: Rerun | None) -> list[Cause]:
    """Explain what no hypothesis does: by its structure, by one edit of the code, by what fits most."""
    causes: list[Cause] = []
    left, again = list(left), rerun
    while left:
        key = left[0]
        several, explained = _together(left, case)
        if several:
            causes += several
            left = [other for other in left if other not in explained]
            continue
        described = structure.describe(key, case.calls, case.layer)
        if not described.certain:
            described = _reused(described, case.source) or described
        if described.name == "raises" and _UNSET.search(described.says):
            described = (
                _why(described, again, case.calls) or described
            )  # no edit knows what was meant
        if rerun and not described.certain:
            repaired = _repaired(left, case.calls, rerun)
            described = repaired or described
            rerun = rerun if repaired else None  # looking again would find nothing either
        if described.name == "unexplained":
            most, others = _mostly(key, case)
            if most is not None and most.certain:  # the others have a cause of their own
                causes.append(most)
                where = structure.among(others, case.calls)
                described = structure.describe(key, others, case.layer)
                says = described.says.replace(f"{key} is wrong", f"{key} is wrong{where}", 1)
                described = replace(described, says=says)
            else:
                described = (
                    probes.elementwise(key, case.calls, case.layer, again, described.line)
                    or most
                    or described
                )
        if described.name == "raises" and not described.certain:
            described = _why(described, again, case.calls) or described
        if described.name in ("raises", "missing"):
            alike = [other for other in left if _raise_alike(key, other, case.calls)]
            described = replace(described, keys=tuple(alike))
        causes.append(described)
        left = [other for other in left if other not in described.keys and other != key]
    return causes


def _why(described: Cause, rerun: Rerun | None, calls: Sequence[Call]) -> Cause | None:
    """Return what raises in the code, and why, as the cause."""
    (key,) = described.keys
    for call in calls:
        raised = call.got.get(key)
        if rerun is None or not isinstance(raised, Raised):
            continue
        shapes = {name: np.shape(value) for name, value in call.expected.items()}
        found = failures.explained(
            partial(rerun.results, rerun.function, call),
            raised,
            source_file(rerun.function),
            shapes,
            _inputs(call),
        )
        if found is None:
            continue
        where = structure.situation(key, calls)
        says = f"{found.says} ({raised.kind}{where})"
        return replace(described, says=says, line=found.line, certain=True)
    return None


def _inputs(call: Call) -> dict[str, tuple[int, ...]]:
    """The shapes of the inputs; of a linear classifier X is among the options."""
    tables = [one.shape for one in call.options if isinstance(one, np.ndarray) and one.ndim == 2]
    others = {"X": tables[0]} if tables else {}
    return {**others, **{name: np.shape(value) for name, value in call.arrays.items()}}


def _raise_alike(key: str, other: str, calls: Sequence[Call]) -> bool:
    """Whether two results are the same exception wherever one of them is one."""
    return all(
        _exceptions(call, [key]) == _exceptions(call, [other])
        for call in calls
        if key in call.expected and other in call.expected
    )


def _repaired(
    keys: Sequence[str], calls: Sequence[Call], rerun: Rerun, lines: Sequence[int] = ()
) -> Cause | None:
    """Return the edit that makes results right, as a cause; lines: where it must be."""
    found = repair.find(rerun, calls, keys, lines)
    if found is None:
        return None
    says = f"{' and '.join(found.keys)}: {found.words}"
    return Cause("repair", says, found.keys, worst(found.keys, calls), found.line)


def _mostly(key: str, case: _Case) -> tuple[Cause | None, list[Call]]:
    """Return the cause that explains most of a result's wrong configurations, if nearly all; and the others.

    It is certain where it gives the numbers of several configurations, and contradicts none that is right.
    """
    calls, guesses = case.calls, case.guesses
    present = [call for call in calls if key in call.expected]
    wrong = [call for call in present if call.wrong(key)]
    best, share, left = None, 0.0, list(wrong)
    sure = False
    for hypothesis in case.known:
        if hypothesis.some:
            continue
        fits = [guesses.fits(hypothesis, call, key) for call in present]
        hits = sum(fit for fit, call in zip(fits, present, strict=True) if call in wrong)
        if hits > max(1, share):
            best, share = hypothesis, hits
            left = [call for fit, call in zip(fits, present, strict=True) if not fit]
            sure = hits >= _SEVERAL and all(call in wrong for call in left)
    if best is None or share < _MOST * len(wrong):
        return None, []
    found = cause_of(best, [key], calls, case.source, "")
    says = f"{found.says} (so in {share:g} of {len(wrong)} wrong configurations)"
    return replace(found, says=says, certain=sure), left


def _together(keys: Sequence[str], case: _Case) -> tuple[list[Cause], list[str]]:
    """Return two causes that explain the first result between them, and all results that they explain.

    Each wrong configuration has its own cause; where the first one is made, what is right is as it says.
    """
    fits: dict[str, list[tuple[Hypothesis, set[int]]]] = {key: [] for key in keys}
    wrong = {key: {i for i, c in enumerate(case.calls) if _is_wrong(c, key)} for key in keys}
    for hypothesis in case.known:
        for key in keys:
            fit = {
                i
                for i, call in enumerate(case.calls)
                if key not in call.expected or case.guesses.fits(hypothesis, call, key)
            }
            if fit & wrong[key] and (hypothesis.some or len(fit | wrong[key]) == len(case.calls)):
                fits[key].append((hypothesis, fit & wrong[key]))
    order = sorted(fits[keys[0]], key=lambda one: -len(one[1]))
    for number, (first, hits) in enumerate(order):
        rest = wrong[keys[0]] - hits
        for second, others in order[number + 1 :]:
            if not rest or not rest <= others or first.name == second.name:
                continue
            explained = [
                key
                for key in keys
                if wrong[key]
                <= set().union(*(hit for one, hit in fits[key] if one in (first, second)))
            ]
            return [
                _among(one, explained, which, case)
                for one, which in ((first, hits), (second, rest))
            ], explained
    return [], []


def _is_wrong(call: Call, key: str) -> bool:
    return key in call.expected and call.wrong(key)


def _among(hypothesis: Hypothesis, keys: Sequence[str], which: set[int], case: _Case) -> Cause:
    """Return the cause of what is wrong in some of the calls."""
    calls = [case.calls[i] for i in sorted(which)]
    cause = cause_of(hypothesis, keys, calls, case.source, "")
    return replace(cause, says=cause.says + structure.among(calls, case.calls))


def _reused(described: Cause, source: Source) -> Cause | None:
    """Return the loop that takes the variable of a loop around it, as the cause."""
    found = reused_loop_variable(source[0])
    if found is None:
        return None
    name, inner, outer = found
    line, around = source[1] + inner, source[1] + outer
    says = (
        f"the inner loop reuses {name}, the variable of the loop around it (line {around}): what "
        f"follows in that loop reads another {name}"
    )
    return Cause("loop_variable_reused", says, described.keys, described.worst, line)


def _common_traits(calls: Sequence[Call], wrong: Sequence[str]) -> list[str]:
    """Return the traits that all configurations with a wrong result share, and not all others."""
    failing = [
        call.config.traits
        for call in calls
        if any(key in call.expected and call.wrong(key) for key in wrong)
    ]
    shared = frozenset.intersection(*failing) if failing else frozenset()
    return sorted(
        trait for trait in shared if any(trait not in call.config.traits for call in calls)
    )
