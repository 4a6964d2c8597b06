"""Bounds as the courses state them in words: "errors should be around e-8 or less".

"Around", "on the order of", "close to" and ranges speak of the order of magnitude: an error of 4.2e-8 is on
the order of e-8, one of 1.2e-7 is not.  "Less than" means what it says.  A bound that names parameters
("it is fine to see an error for W2 on the order of e-5") holds for these alone.
"""

from __future__ import annotations

import io
import math
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from handgrad.courses.notebook.quantities import Quantity

_POWER = r"(?:\d+(?:\.\d+)?)?[eE]-\d+|10\s*\^\s*\{?-\d+\}?|\b0\.0+[1-9]\d*|(?<=to )0\.0\b"
_RANGE = re.compile(rf"(?:{_POWER})\s*(?:~|to|and|-)\s*(?:{_POWER})")
_BOUND = re.compile(rf"(?:{_POWER})")
_TALKS = re.compile(r"error|difference|\bdiff\b|should|expect|losses|we get|within", re.I)
_STRICT = re.compile(
    r"(less than|below|smaller than|within|under|at most|<)\s*(or equal to)?\s*$", re.I
)
_LOSS = re.compile(
    r"\bloss should be (?:around |close to |about )?(\d+(?:\.\d+)?)(?![\de.]*e-)", re.I
)
_NAME = r"`?\b(?:W\d?|b\d?|gammas?\d?|betas?\d?|d(?:x|w|b|gamma|beta))\b`?"
_OF_NAMES = re.compile(
    rf"\s*(?:or \w+ )?(?:for|in) (?:each of |all of )?({_NAME}(?:(?:, and|,| and) {_NAME})*)"
)


@dataclass(frozen=True)
class Bound:
    """One bound: an error must be below `limit`, or a loss within a tenth of `target`."""

    text: str
    limit: float = math.inf
    names: tuple[str, ...] = ()
    target: float | None = None

    def kept_by(self, quantity: Quantity) -> bool:
        """Return whether all values of `quantity` keep the bound; NaN keeps none."""
        if self.target is not None:
            return all(abs(value - self.target) <= 0.1 * self.target for value in quantity.values)
        return all(abs(value) < self.limit for value in quantity.values)


def comments(source: str) -> list[tuple[int, str]]:
    """Return (line of its end, text) of every comment; those on lines in a row are one."""
    found: list[tuple[int, str]] = []
    lines = source.splitlines()
    for line, text in _comment_tokens(source):
        stands_alone = lines[line - 1].lstrip().startswith("#")
        text = text.lstrip("#").strip().rstrip("#").strip()
        if stands_alone and found and found[-1][0] == line - 1:
            found[-1] = (line, f"{found[-1][1]} {text}".strip())
        elif stands_alone:
            found.append((line, text))
    return found


def _comment_tokens(source: str) -> Iterator[tuple[int, str]]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    except (tokenize.TokenError, SyntaxError):  # magics; what came before is good
        return


def bounds_in(text: str) -> list[Bound]:
    """Return the bounds that a comment or paragraph states; [] if it states none."""
    text = re.sub(r"\s+", " ", text)
    found = [
        Bound(f"loss around {match[1]}", target=float(match[1])) for match in _LOSS.finditer(text)
    ]
    if not _TALKS.search(text):
        return found
    start = 0
    while match := _BOUND.search(text, start):
        both = _RANGE.match(text, match.start())
        end = both.end() if both else match.end()
        before = text[start : match.start()]
        after = _OF_NAMES.match(text, end)
        names = re.findall(_NAME, before.rsplit(". ", 1)[-1] + (after[1] if after else ""))
        start = after.end() if after else end
        if not (_TALKS.search(before) or found):
            continue
        powers = [_value(word) for word in _BOUND.findall(text, match.start(), end)]
        strict = bool(_STRICT.search(before)) and not both and not text[end:].startswith(" or so")
        words = text[match.start() : end].strip()
        found.append(
            Bound(
                f"{'<' if strict else '~'} {words}",
                _limit(max(powers), strict),
                tuple(name.strip("`") for name in names),
            )
        )
    return found


def bound_for(quantity: Quantity, bounds: list[Bound]) -> Bound | None:
    """Return the bound among `bounds` that speaks of `quantity`; one that names it goes first."""
    if quantity.kind == "loss":
        return next((bound for bound in bounds if bound.target is not None), None)
    if quantity.kind != "error":
        return None
    limits = [bound for bound in bounds if bound.target is None]
    named = [bound for bound in limits if any(_is_of(name, quantity.label) for name in bound.names)]
    if named:  # "most are around e-7, but W2 may be on the order of e-5"
        return named[0]
    return next((bound for bound in limits if not bound.names), None)


def share_in(text: str) -> list[tuple[str, float]]:
    """Return (set, share) of every accuracy that a text demands: "above 50% on the validation set"."""
    found = []
    for match in re.finditer(
        r"(?:at least|above|over|greater than|more than|>)\s*`?(\d{2})\s*%`?([^.\n]*)", text, re.I
    ):
        if text[: match.start()].rsplit(". ", 1)[-1].lstrip().startswith("Our "):
            continue  # what the staff reached, not what is asked
        for which in ("training", "validation", "test"):
            if re.search(rf"\b{which}\b", match[2], re.I):
                found.append((which, int(match[1]) / 100))
    return found


def _is_of(name: str, label: str) -> bool:
    """Return whether `label`, as in "W2 relative error", is of the parameter or family `name`."""
    word = re.match(r"\W*(\w+)", label)
    if word is None:
        return False
    if name in ("W", "b", "gamma", "gammas", "beta", "betas"):
        return re.fullmatch(rf"{name.rstrip('s')}\d*", word[1]) is not None
    return word[1] == name


def _value(word: str) -> float:
    word = word.strip().replace(" ", "")
    if word[0] in "eE":
        word = "1" + word
    if word.startswith("10^"):
        word = "1e" + word[3:].strip("{}")
    return float(word)


def _limit(value: float, strict: bool) -> float:
    if value == 0.0:
        return 1e-8
    if strict:
        return value
    return 10.0 ** (math.floor(math.log10(value) + 1e-9) + 1)
