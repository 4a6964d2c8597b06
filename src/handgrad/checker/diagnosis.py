"""From numbers to words: which hypothesis explains what came.

A hypothesis predicts what its bug would return.  It explains a result ("dx", "out", ...) if its
prediction is what came in *every* configuration: where the result is wrong, and where it is right
all the same.  The hypothesis that explains most results is named first.  What no hypothesis explains
is described by its structure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from handgrad.checker import hypotheses, relics, repair, structure
from handgrad.checker.hypotheses.generic import readings
from handgrad.checker.hypotheses.hypothesis import Beside, Hypothesis
from handgrad.checker.known.layer import Layer
from handgrad.checker.reading import docstring_lines, reused_loop_variable
from handgrad.checker.records import Call, Cause, Finding, Raised, is_numeric, same
from handgrad.checker.repair import Rerun

_MOST = 0.7  # of the wrong configurations, for a cause that does not explain them all
_AGREE = 1e-6  # predictions are computed another way, sometimes in another order
Source = tuple[list[str], int]


def explain(
    calls: Sequence[Call],
    findings: Sequence[Finding],
    layer: Layer,
    side: str,
    source: Source,
    rerun: Rerun | None = None,
    more: Sequence[Hypothesis] = (),
) -> list[Cause]:
    """Return what is wrong, the likeliest cause first; nothing if all is right.

    more: hypotheses about this code alone, tried after those of the family.
    """
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
    guesses = Guesses(calls)
    known = [*hypotheses.of(layer.family, side), *more]
    explained = []
    for hypothesis in known:
        for only in ("", *_common_traits(calls, wrong)):
            covered, denied = guesses.covers(hypothesis, keys, only)
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
        causes.append(_cause(hypothesis, now, calls, source, only))
        left = [key for key in left if key not in now]
    named = {cause.name for cause in causes}
    for finding, others in _once_each([one for one in findings if one.name not in named]):
        causes.append(Cause(finding.name, finding.says + others, line=finding.line))
    return causes + _rest(
        left,
        calls,
        layer,
        rerun,
        lambda key: _mostly(key, calls, guesses, known, source),
        lambda key: _together(key, calls, guesses, known, source),
        lambda described: _reused(described, source),
    )


def _rest(
    left: Sequence[str],
    calls: Sequence[Call],
    layer: Layer,
    rerun: Rerun | None,
    mostly: Callable[[str], Cause | None],
    together: Callable[[str], list[Cause]],
    reused: Callable[[Cause], Cause | None],
) -> list[Cause]:
    """Explain what no hypothesis does: by its structure, by one edit of the code, by what fits most."""
    causes: list[Cause] = []
    left = list(left)
    while left:
        key = left[0]
        several = together(key)
        if several:
            causes += several
            left = left[1:]
            continue
        described = structure.describe(key, calls, layer)
        if not described.certain:
            described = reused(described) or described
        if rerun and not described.certain:
            repaired = _repaired(left, calls, rerun)
            described = repaired or described
            rerun = rerun if repaired else None  # looking again would find nothing either
        if described.name == "unexplained":
            described = mostly(key) or described
        causes.append(described)
        left = [other for other in left if other not in described.keys and other != key]
    return causes


def _repaired(keys: Sequence[str], calls: Sequence[Call], rerun: Rerun) -> Cause | None:
    """Return the edit that makes results right, as a cause."""
    found = repair.find(rerun, calls, keys)
    if found is None:
        return None
    says = f"{' and '.join(found.keys)}: {found.words}"
    return Cause("repair", says, found.keys, worst(found.keys, calls), found.line)


def _once_each(findings: Sequence[Finding]) -> list[tuple[Finding, str]]:
    """Return the first finding of each name, and how many more there are."""
    by_name: dict[str, list[Finding]] = {}
    for finding in dict.fromkeys(findings):
        by_name.setdefault(finding.name, []).append(finding)
    return [
        (first, f" (and {len(more)} more of the kind)" if more else "")
        for first, *more in by_name.values()
    ]


def _mostly(
    key: str, calls: Sequence[Call], guesses: Guesses, known: Sequence[Hypothesis], source: Source
) -> Cause | None:
    """Return the cause that explains the most of a result's wrong configurations, if nearly all."""
    present = [call for call in calls if key in call.expected]
    wrong = [call for call in present if call.wrong(key)]
    best, share = None, 0.0
    for hypothesis in known:
        if hypothesis.some:
            continue
        fits = [guesses.fits(hypothesis, call, key) for call in present]
        hits = sum(fit for fit, call in zip(fits, present, strict=True) if call in wrong)
        if hits > max(1, share):
            best, share = hypothesis, hits
    if best is None or share < _MOST * len(wrong):
        return None
    found = _cause(best, [key], calls, source, "")
    says = f"{found.says} (so in {share:g} of {len(wrong)} wrong configurations)"
    return replace(found, says=says, certain=False)


def _together(
    key: str, calls: Sequence[Call], guesses: Guesses, known: Sequence[Hypothesis], source: Source
) -> list[Cause]:
    """Return two causes that explain a result between them: each wrong configuration by its own."""
    present = [call for call in calls if key in call.expected]
    wrong = [i for i, call in enumerate(present) if call.wrong(key)]
    fits: list[tuple[Hypothesis, set[int]]] = []
    for hypothesis in known:
        fit = {i for i, call in enumerate(present) if guesses.fits(hypothesis, call, key)}
        denied = set(range(len(present))) - fit - set(wrong)
        hits = fit & set(wrong)
        if hits and (hypothesis.some or not denied):
            fits.append((hypothesis, hits))
    fits.sort(key=lambda one: -len(one[1]))
    for number, (first, hits) in enumerate(fits):
        rest = set(wrong) - hits
        for second, others in fits[number + 1 :]:
            if rest and rest <= others and first.name != second.name:
                return [
                    replace(
                        _cause(one, [key], [present[i] for i in sorted(which)], source, ""),
                        says=one.says.replace("{key}", key)
                        + structure.among([present[i] for i in sorted(which)], present),
                    )
                    for one, which in ((first, hits), (second, rest))
                ]
    return []


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


class Guesses:
    """What each hypothesis predicts for each call, computed once."""

    def __init__(self, calls: Sequence[Call]) -> None:
        """Keep the calls, and which results are wrong anywhere."""
        self._calls = calls
        self._wrong = {key for call in calls for key in call.expected if call.wrong(key)}
        self._predicted: dict[tuple[int, int], dict[str, object]] = {}

    def of(self, hypothesis: Hypothesis, call: Call) -> dict[str, object]:
        """Return the prediction for one call."""
        at = (id(hypothesis), id(call))
        if at not in self._predicted:
            self._predicted[at] = _predict(hypothesis, call)
        return self._predicted[at]

    def fits(self, hypothesis: Hypothesis, call: Call, key: str, here: bool = True) -> bool:
        """Whether the hypothesis predicts one result of one call; here: the mistake is made there."""
        predicted = self.of(hypothesis, call) if here else {}
        if key not in predicted and call.wrong(key):
            return False
        guess = predicted.get(key, call.expected[key])
        if isinstance(guess, Raised) and isinstance(call.got[key], Raised):
            return _alike(guess, call.got[key])
        return same(call.got[key], guess, call.scale.get(key), max(_AGREE, call.tolerance))

    def covers(
        self, hypothesis: Hypothesis, keys: Sequence[str], only: str = ""
    ) -> tuple[list[str], list[str]]:
        """Return the results whose every value the hypothesis predicts, and those that deny it.

        only: the trait of the configurations in which the mistake is made; in the others the
        results must be right.
        """
        told = dict.fromkeys(keys, False)  # whether it told wrong from right anywhere
        denied: set[str] = set()
        wrong = [key for key in keys if key in self._wrong]
        for call in self._calls:
            here = not only or only in call.config.traits
            for key in [key for key in keys if key in call.expected and key not in denied]:
                if hypothesis.some and not call.wrong(key):
                    continue
                if not self.fits(hypothesis, call, key, here):
                    denied.add(key)
                elif call.wrong(key):
                    told[key] = True
            if denied.issuperset(wrong):
                break
        return [key for key in keys if told[key] and key not in denied], sorted(denied)


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


_SHAPES = re.compile(r"align|mismatch|broadcast|shape|dimension|size|axis|axes|bounds", re.I)


def _alike(one: Raised, other: Raised) -> bool:
    """Whether two exceptions are of one kind, and speak of the same: shapes, or anything else."""
    if one.kind != other.kind:
        return False
    if one.kind in ("ValueError", "IndexError"):
        return bool(_SHAPES.search(one.message)) == bool(_SHAPES.search(other.message))
    words = [re.sub(r"[^a-z]+", " ", raised.message.lower())[:20] for raised in (one, other)]
    return words[0] == words[1]


def _predict(hypothesis: Hypothesis, call: Call) -> dict[str, object]:
    """Run a prediction; a bug that raises is predicted to raise."""
    try:
        with np.errstate(all="ignore"):
            return hypothesis.predict(call)
    except Beside:
        return {}
    except Exception as error:
        raised = Raised(type(error).__name__, str(error))
        return dict.fromkeys(call.expected, raised)


def _cause(
    hypothesis: Hypothesis, keys: Sequence[str], calls: Sequence[Call], source: Source, only: str
) -> Cause:
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
    with np.errstate(all="ignore"):
        factors = [float(hypothesis.size(call)) for call in wrong]
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
