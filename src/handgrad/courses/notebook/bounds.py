"""Bounds as the courses state them in words: "errors should be around e-8 or less".

"Around", "on the order of", "close to" and ranges speak of the order of magnitude: an error of 4.2e-8 is on
the order of e-8, one of 1.2e-7 is not.  "Less than" means what it says; "around or less than" speaks of the
order again.  A bound that names parameters ("it is fine to see an error for W2 on the order of e-5") holds
for these alone.

A power of ten without its digit, as e-8, is a bound in any language.  With its digit, as 1e-8, it may be a
setting: it is a bound in a text that talks of errors, or that is not English, unless a setting is named
before it.
"""

from __future__ import annotations

import io
import math
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from handgrad.courses.notebook.quantities import ACCURACY, ERROR, Quantity

_POWER = r"(?:\d+(?:\.\d+)?)?[eE]-\d+|10\s*\^\s*\{?-\d+\}?|\b0\.0+[1-9]\d*|(?<=to )0\.0\b"
_RANGE = re.compile(rf"(?:{_POWER})\s*`?(?:~|to|and|-|到|至|和|与)`?\s*(?:{_POWER})")
_BOUND = re.compile(rf"(?:{_POWER})")
_TALKS = re.compile(rf"{ERROR.pattern}|should|expect|losses|we get|within", re.I)
_BARE = re.compile(r"(?<![\w.])[eE]-\d+")
_FOREIGN = re.compile(r"[^\W\d_a-zA-Z]")  # a letter that English does not have
_SETTING = re.compile(  # in the same clause before a number: "use a learning rate of 1e-3"
    r"(?:\blr\b|rates?\b|\breg\b|regulari|strength|\beps(?:ilon)?\b|\bh\b|\bstep|scale\b|decay\b|\bstd\b|"
    r"学习率|正则|学習率|正則|步长|학습률|정규화|scala|tasa|taux|lernrate)[^,;.，；。]*$",
    re.I,
)
_IS_SETTING = re.compile(r"\b(?:lr|rate|reg|eps(?:ilon)?|h)\s*(?:=|:|of|is)?\s*$", re.I)
_STRICT = re.compile(
    r"(less than|lower than|below|smaller than|within|under|at most|no more than|<|"
    r"小于|小於|低于|低於|不超过|不超過|少于)\s*(or equal to)?\s*`?$",
    re.I,
)
_ABOUT = re.compile(  # in front of the strict word: "around or below", "约小于"
    r"(?:\b(?:around|about|approximately|approx\.?|roughly|near(?:ly)?|close to|order of|"
    r"order of magnitude of|in the range of)\b[\s,]*(?:or|and|to be)?|约|大约|大約|左右)\s*$",
    re.I,
)
_OR_SO = re.compile(  # behind the number
    r"`?\s*(?:or so|or thereabouts|or around|or about|or near|"
    r"左右|上下|量级|量級|的?数量级|的?數量級|前后|정도|程度)",
    re.I,
)
_LOSS = re.compile(
    r"(?:\bloss should be (?:around |close to |about )?|损失(?:应该?)?(?:接近|约为|大约为)\s*)"
    r"(\d+(?:\.\d+)?)(?![\de.]*e-)",
    re.I,
)
_NAME = (
    r"`?(?<![a-zA-Z0-9_])(?:W\d?|b\d?|gammas?\d?|betas?\d?|d(?:x|w|b|gamma|beta))(?![a-zA-Z0-9_])`?"
)
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
    """Return (line of its end, text) of every comment on lines of its own; those in a row are one."""
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


def comments_beside(source: str) -> list[tuple[int, str]]:
    """Return (line, text) of every comment that stands behind code."""
    lines = source.splitlines()
    return [
        (line, text.lstrip("#").strip())
        for line, text in _comment_tokens(source)
        if not lines[line - 1].lstrip().startswith("#")
    ]


def _comment_tokens(source: str) -> Iterator[tuple[int, str]]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    except (tokenize.TokenError, SyntaxError):  # magics; what came before is good
        return


def bounds_in(text: str) -> list[Bound]:
    """Return the bounds that a comment or paragraph states; [] if it states none."""
    text = _plain(text)
    found = [
        Bound(f"loss around {match[1]}", target=float(match[1])) for match in _LOSS.finditer(text)
    ]
    talks = _TALKS.search(text) is not None
    foreign = _FOREIGN.search(text) is not None
    if not (talks or foreign or _BARE.search(text)):
        return found
    start = 0
    while match := _BOUND.search(text, start):
        both = _RANGE.match(text, match.start())
        end = both.end() if both else match.end()
        before = text[start : match.start()]
        after = _OF_NAMES.match(text, end)
        names = re.findall(_NAME, before.rsplit(". ", 1)[-1] + (after[1] if after else ""))
        start = after.end() if after else end
        bare = _BARE.fullmatch(match[0]) is not None
        if not bare and (_IS_SETTING.search(before) or (foreign and _SETTING.search(before))):
            continue
        if not (bare or foreign or found or _TALKS.search(before)):
            continue
        powers = [_value(word) for word in _BOUND.findall(text, match.start(), end)]
        strict = not both and _is_strict(before, text[end:])
        words = text[match.start() : end].strip()
        found.append(
            Bound(
                f"{'<' if strict else '~'} {words}",
                _limit(max(powers), strict),
                tuple(name.strip("`") for name in names),
            )
        )
    return found


_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def _plain(text: str) -> str:
    """Return `text` in one line, with powers of ten as this module knows them."""
    text = re.sub(r"10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)", lambda m: "10^" + m[1].translate(_SUPERSCRIPTS), text)
    return re.sub(r"\s+", " ", text.replace("−", "-").replace("**-", "^-"))


def _is_strict(before: str, after: str) -> bool:
    """Return whether a number between these two texts is a limit, and not an order of magnitude."""
    word = _STRICT.search(before)
    if word is None or _OR_SO.match(after):
        return False
    return _ABOUT.search(before[: word.start()]) is None


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


_SHARE = re.compile(
    r"(?:at least|above|over|greater than|more than|better than|higher than|exceed(?:s|ing)?|beyond|>|"
    r"至少|超过|超過|高于|高於|大于|大於|达到|達到)\s*`?"
    r"(?:(?P<percent>\d{1,2}(?:\.\d+)?)\s*`?(?:%|％|percent\b)|(?P<share>0?\.\d+)(?![\d%]|[eE]))`?",
    re.I,
)
_SETS = {
    "training": r"\btrain(?:ing)?\b|训练|訓練|学習|훈련",
    "validation": r"\bval(?:idation)?\b|\bdev\b|验证|驗證|検証|검증",
    "test": r"\btest(?:ing)?\b|测试|測試|テスト|테스트",
}


def share_in(text: str) -> list[tuple[str, float]]:
    """Return (set, share) of every accuracy that a text demands: "above 50% on the validation set".

    A number without a percent sign is a share only between 0 and 1, where the sentence speaks of accuracy.
    """
    found = []
    for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])|[。\n]", text):
        if re.match(r"\W*(?:our|my)\b|我们的|我們的", sentence, re.I):
            continue  # what the staff reached, not what is asked
        for match in _SHARE.finditer(sentence):
            if match["share"] and not ACCURACY.search(sentence):
                continue
            share = float(match["share"] or float(match["percent"]) / 100)
            before, after = sentence[: match.start()], sentence[match.end() :]
            after = _SHARE.split(after, maxsplit=1)[0]
            sets = _sets_in(after) or _sets_in(before)[-1:]
            found += [(which, share) for which in sets]
    return found


def _sets_in(text: str) -> list[str]:
    """Return the sets that `text` names, in its order."""
    places = {
        which: match.start()
        for which, pattern in _SETS.items()
        if (match := re.search(pattern, text, re.I))
    }
    return sorted(places, key=places.__getitem__)


def set_of(label: str) -> str | None:
    """Return the set that an accuracy's `label` names: "training", "validation", "test" or None.

    >>> set_of("val accuracy")
    'validation'
    """
    words = re.sub(r"[_\W]+", " ", label)
    return next((which for which in _sets_in(words)), None)


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
