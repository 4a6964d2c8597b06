"""The words of a cause: what a hypothesis says, the factor that it is off by, the line, the worst number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from handgrad.checker.hypotheses.generic import readings
from handgrad.checker.hypotheses.hypothesis import Hypothesis
from handgrad.checker.reading import docstring_lines
from handgrad.checker.records import Breach, Call, Cause, Raised, is_numeric

Source = tuple[list[str], int]


def of_findings(findings: Sequence[Breach]) -> list[Cause]:
    """The findings as causes."""
    return [
        Cause(finding.name, finding.says + others, line=finding.line)
        for finding, others in _once_each(findings)
    ]


def _once_each(findings: Sequence[Breach]) -> list[tuple[Breach, str]]:
    """Return the first finding of each name, and how many more there are."""
    by_name: dict[str, list[Breach]] = {}
    for finding in dict.fromkeys(findings):
        by_name.setdefault(finding.name, []).append(finding)
    return [
        (first, f" (and {len(more)} more of the kind)" if more else "")
        for first, *more in by_name.values()
    ]


def once(causes: Sequence[Cause]) -> list[Cause]:
    """Join causes of the same words: the results that they explain are listed once."""
    joined: dict[tuple[str, str], Cause] = {}
    for cause in causes:
        at = (cause.name, cause.says)
        if at in joined:
            cause = replace(joined[at], keys=(*joined[at].keys, *cause.keys))
        joined[at] = cause
    return list(joined.values())


def cause_of(
    hypothesis: Hypothesis, keys: Sequence[str], calls: Sequence[Call], source: Source, only: str
) -> Cause:
    """Return a hypothesis as the cause of some results; only: the trait of the configurations where it is."""
    says = hypothesis.says.replace("{key}", " and ".join(keys))
    says = _factor(hypothesis, keys, calls) or says
    says += f" (where {only})" if only else ""
    line = guilty_line(hypothesis.line, source) or guilty_line(rf"\b{keys[0]}\b\s*[-+*/]?=", source)
    if line is None:
        line = next(
            (
                v.line
                for c in calls
                for k in keys
                if isinstance(v := c.got.get(k), Raised) and v.line
            ),
            None,
        )
    return Cause(hypothesis.name, says, tuple(keys), worst(keys, calls), line)


def _factor(hypothesis: Hypothesis, keys: Sequence[str], calls: Sequence[Call]) -> str:
    """Say a factor as a number and as what it may be, where the sizes of the calls cannot tell."""
    if hypothesis.size is None:
        return ""
    wrong = [call for call in calls if any(k in call.expected and call.wrong(k) for k in keys)]
    try:
        with np.errstate(all="ignore"):
            factors = [float(hypothesis.size(call)) for call in wrong]
    except ZeroDivisionError:  # a size of nothing: the number cannot be said
        return ""
    meant = readings(factors[0], wrong) if np.allclose(factors, factors[0], rtol=1e-6) else []
    if factors[0] in (2.0, 0.5):  # a factor that is often forgotten: no far-fetched reading
        meant = [words for words in meant if "root" not in words and "**" not in words]
    if not meant:
        return ""
    plain = {2.0: ": a factor 1/2 is missing,", 0.5: ": a factor 2 is missing,"}
    return (
        f"{' and '.join(keys)} is {factors[0]:.4g} times what it should be"
        f"{plain.get(factors[0], ': this factor,')} or it is {' or '.join(meant)}, "
        "which is the same here (inputs of other sizes would tell)"
    )


def guilty_line(pattern: str, source: Source) -> int | None:
    """The line of the source that looks like the bug, if there is one."""
    lines, first = source
    if pattern:
        prose = docstring_lines(lines)
        for offset, text in enumerate(lines):
            if offset not in prose and re.search(pattern, text.partition("#")[0]):
                return first + offset
    return None


def worst(keys: Sequence[str], calls: Sequence[Call]) -> str:
    """Say where the largest error is, what was expected there, and what came."""
    best, text = -1.0, ""
    for key in keys:
        for call in calls:
            if key not in call.expected or not call.wrong(key):
                continue
            got, expected = call.got[key], np.asarray(call.expected[key])
            if isinstance(got, Raised):
                found, what = 0.5, f"{key}: {got}  ({call.config.name})"
            elif not is_numeric(got):
                found, what = (
                    0.5,
                    f"{key} is {type(got).__name__}, not an array  ({call.config.name})",
                )
            elif np.shape(got) != expected.shape:
                found = np.inf
                what = f"{key} has shape {np.shape(got)}, expected {expected.shape}  ({call.config.name})"
            else:
                far = call.difference(key)
                index = f"[{','.join(map(str, far.where))}]" if far.where else ""
                found = min(far.error, 1e300)
                what = f"worst at {key}{index}: expected {far.expected:.4g}, got {far.got:.4g}"
                what += f"  ({call.config.name})"
            if found > best:
                best, text = found, what
    return text
