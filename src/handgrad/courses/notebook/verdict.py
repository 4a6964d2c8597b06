"""The verdict: what a notebook printed, against its own bounds and its earlier output.

A figure is *kept* if it keeps the bound that the notebook states for it, *broken* if not.  A figure that
missed its bound in the file's earlier output too, and is no more than ten times worse now, is *as then*.

A figure is *near* that misses its bound by little in a notebook that seeds nothing, or in one random place
of a gradient.  There the draw decides: a single tiny gradient or a kink can cost some digits of a right one,
while a wrong one is mostly off in the first digit.  The gradient of a bias before a batch norm is *near*,
too: it is zero, and only rounding is compared.

Where no bound is stated the figure is only compared with the earlier output: *same* (to six digits; an
error: no more than ten times as large) or *differs*.  A figure of the earlier output that was not printed
this time is listed too, as *not printed*.

A share that an accuracy must reach is asked of the best one in a cell, not of each row of a search.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from handgrad.courses.notebook.bounds import (
    Bound,
    bound_for,
    bounds_in,
    comments,
    comments_beside,
    set_of,
    share_in,
)
from handgrad.courses.notebook.cells import is_preparation
from handgrad.courses.notebook.quantities import Quantity, numbered, printed_text, quantities

KEPT, BROKEN, AS_THEN, NEAR = "kept", "BROKEN", "as then", "near"
_LUCK = 0.02  # what another draw changes in an accuracy on a thousand images
SAME, DIFFERS, ALONE = "same", "differs", ""
MISSING = "not printed"
MEANINGS = {
    KEPT: "keeps the bound that the notebook states",
    BROKEN: "breaks the bound that the notebook states",
    AS_THEN: "misses its bound, as the file's earlier output did",
    NEAR: "misses its bound by little, where the draw or rounding decides: nothing is seeded, one random "
    "place, or the gradient of a bias before a batch norm, which is zero",
    SAME: "no bound is stated; as in the earlier output, to six digits (an error: at most ten times it)",
    DIFFERS: "no bound is stated; not as in the earlier output, which is no fault by itself",
    MISSING: "the earlier output has the figure, this run did not come to print it",
}
_BEST = re.compile(r"\bbest\b|\bfinal\b|\bhighest\b|最佳|最好|最高|최고", re.I)
_ROUNDING = 1e-4  # larger errors of an earlier output are mistakes: none now is not "the same"
W2_SINCE_2018 = Bound("~ e-5 (for W2, since 2018)", 1e-4)
# the course's text says e-8; its numerical gradient is off by 1e-6 to 2.7e-6 in one tiny entry, for everyone
DWH_OF_LSTM = Bound("~ e-6 (for dWh of an LSTM)", 1e-5)


@dataclass(frozen=True)
class Finding:
    """One row of the verdict: a figure, what was printed then, its bound, and how it stands.

    >>> Finding(3, 'dx error', (1e-9,), (2e-9,), 'below 1e-8', 'within').verdict
    'within'
    """

    cell: int
    quantity: str
    now: tuple[float, ...]
    then: tuple[float, ...]
    bound: str
    verdict: str

    @property
    def judged(self) -> bool:
        """Whether a bound was stated for the figure."""
        return self.verdict in (KEPT, BROKEN, AS_THEN, NEAR)


def judge_cell(
    number: int,
    source: str,
    markdown: str,
    outputs: Sequence[Any],
    earlier: Sequence[Any],
    *,
    seeded: bool = True,
) -> list[Finding]:
    """Return the findings of one cell.

    Args:
        number: the cell's place in the notebook.
        source: its code, whose comments state bounds.
        markdown: the text between the cell and the code cell before it.
        outputs: what it printed now.
        earlier: what the file says it printed when the notebook was last saved.
        seeded: whether the notebook has seeded its random numbers by then.
    """
    if is_preparation(source):
        return []  # what pip listed is no figure
    now = numbered(quantities(source, printed_text(outputs)))
    then = dict(numbered(quantities(source, printed_text(earlier))))
    spoken = [(line, found) for line, text in comments(source) if (found := bounds_in(text))]
    beside = {line: found for line, text in comments_beside(source) if (found := bounds_in(text))}
    written = bounds_in(markdown)
    shares = share_in(markdown)
    best = _judged_rows([quantity for _, quantity in now])
    findings = []
    for key, quantity in now:
        before = then.get(key)
        values = before.values if before and len(before.values) == len(quantity.values) else ()
        bound = _later_exception(quantity, source, _bound_of(quantity, beside, spoken, written))
        wanted = _share_of(quantity, shares) if id(quantity) in best else None
        if wanted is not None:
            words, kept = f"> {wanted:.0%}", quantity.values[0] > wanted
            kept_then = bool(values) and values[0] > wanted
        elif bound is not None:
            words, kept = bound.text, bound.kept_by(quantity)
            kept_then = bool(values) and bound.kept_by(before or quantity)
        else:
            findings.append(
                Finding(
                    number, quantity.label, quantity.values, values, "", _compare(quantity, values)
                )
            )
            continue
        verdict = KEPT if kept else BROKEN
        if not kept and values and not kept_then and _no_worse(quantity.values, values):
            verdict = AS_THEN
        elif not kept and wanted is not None and not seeded:
            verdict = NEAR if quantity.values[0] > wanted - _LUCK else BROKEN
        elif (
            not kept
            and bound is not None
            and (quantity.drawn or not seeded or _is_rounding(quantity, source))
        ):
            verdict = NEAR if _is_near(quantity, bound) else BROKEN
        findings.append(Finding(number, quantity.label, quantity.values, values, words, verdict))
    printed = {key for key, _ in now}
    for key, quantity in then.items():
        if key in printed or quantity.kind in ("time", "log"):
            continue
        stated = _later_exception(quantity, source, _bound_of(quantity, beside, spoken, written))
        words = stated.text if stated else ""
        findings.append(Finding(number, quantity.label, (), quantity.values, words, MISSING))
    return findings


def states_bound(cells: Sequence[Any]) -> bool:
    """Return whether a comment or a text of the notebook's `cells` states a bound or a share."""
    for cell in cells:
        code = cell.cell_type == "code"
        spoken = [*comments(cell.source), *comments_beside(cell.source)] if code else []
        texts = [text for _, text in spoken] if code else [cell.source]
        if any(bounds_in(text) or share_in(text) for text in texts):
            return True
    return False


def _judged_rows(found: Sequence[Quantity]) -> set[int]:
    """Return which accuracies (by id) are held to a share: per set, the one called best, else the largest."""
    rows: dict[str | None, list[Quantity]] = {}
    for quantity in found:
        if quantity.kind == "accuracy":
            rows.setdefault(set_of(quantity.label), []).append(quantity)
    chosen = set()
    for several in rows.values():
        named = [row for row in several if _BEST.search(row.label)]
        chosen.add(id(max(named or several, key=lambda row: row.values[0])))
    return chosen


def _bound_of(
    quantity: Quantity,
    beside: dict[int, list[Bound]],
    spoken: list[tuple[int, list[Bound]]],
    written: list[Bound],
) -> Bound | None:
    """Return the bound of `quantity`: printed, beside its print, in the comment above it, or in the text."""
    if said := bounds_in(quantity.said):
        return bound_for(quantity, said)
    above = [found for line, found in spoken if quantity.line is None or line < quantity.line]
    here = beside.get(quantity.line or 0, [])
    for found in [here, *reversed(above), written]:
        bound = bound_for(quantity, found)
        if bound is not None:
            return bound
    return None


def _later_exception(quantity: Quantity, source: str, bound: Bound | None) -> Bound | None:
    """Return `bound`, or a wider one where the course knows better: W2 since 2018, dWh of an LSTM."""
    exceptions = (
        ("W2 ", "FullyConnectedNet(", W2_SINCE_2018),
        ("dWh ", "lstm_backward(", DWH_OF_LSTM),
    )
    for label, call, wider in exceptions:
        if quantity.label.startswith(label) and call in source:
            return wider if bound is not None and bound.limit < wider.limit else bound
    return bound


def _share_of(quantity: Quantity, shares: list[tuple[str, float]]) -> float | None:
    if quantity.kind != "accuracy":
        return None
    which = set_of(quantity.label)
    return next((share for asked, share in shares if asked == which), None)


def _compare(quantity: Quantity, then: tuple[float, ...]) -> str:
    """Return whether the figure is what it was; times are not compared."""
    if not then or quantity.kind == "time":
        return ALONE
    if quantity.kind == "error":
        gone = any(
            abs(b) > _ROUNDING and 10 * abs(a) < abs(b)
            for a, b in zip(quantity.values, then, strict=True)
        )
        return SAME if _no_worse(quantity.values, then) and not gone else DIFFERS
    same = all(
        math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12) or (math.isnan(a) and math.isnan(b))
        for a, b in zip(quantity.values, then, strict=True)
    )
    return SAME if same else DIFFERS


def _no_worse(now: tuple[float, ...], then: tuple[float, ...]) -> bool:
    return all(abs(a) <= 10 * max(abs(b), 1e-12) for a, b in zip(now, then, strict=True))


def _is_rounding(quantity: Quantity, source: str) -> bool:
    """Return whether a gradient is compared that is zero but for rounding: a bias's before a batch norm."""
    bias = re.match(r"b\d+ ", quantity.label) is not None
    return bias and re.search(r"batchnorm|BatchNorm|normalization", source) is not None


def _is_near(quantity: Quantity, bound: Bound) -> bool:
    """Return whether the bound is missed by less than a thousand times and 1e-2, or ten times."""
    if bound.target is not None:
        return False
    limit = max(10 * bound.limit, min(1000 * bound.limit, 1e-2))
    return all(abs(value) < limit for value in quantity.values)


def shown(values: tuple[float, ...]) -> str:
    """Return figures as text: seven digits of one, the first and the last of several.

    >>> shown((2.3004790897684924,))
    '2.300479'
    """
    if len(values) > 2:
        return f"{_short(values[0])} … {_short(values[-1])}"
    return " ".join(map(_short, values)) or "-"


def _short(value: float) -> str:
    if value != 0 and math.isfinite(value) and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.3e}"
    return f"{value + 0.0:.7g}"  # no "-0"
