"""What the texts of a column are: numbers, dates, or texts.

A column whose texts are numbers but for at most 5 in 100 is one of numbers; the others are gaps, and said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np

from handgrad.data.table import WORDS

SLACK: Final = 0.05
ISO: Final = "iso"
FORMATS: Final = (
    ISO,
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d-%b-%Y",
    "%d %B %Y",
    "%Y-%m",
    "%m/%Y",
    "%b %Y",
    "%B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d-%m-%Y",
    "%b %d %Y",
)
_GROUPS = {
    ".": re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?"),
    ",": re.compile(r"[-+]?\d{1,3}(\.\d{3})+(,\d*)?"),
}
_UNITS = "%$€£¥"
_SPACED = re.compile(r"[-+]?\d{1,3}([ '’\u00a0\u2009\u202f]\d{3})+([.,]\d*)?")
_SPACES = re.compile(r"[ '’\u00a0\u2009\u202f]")
_WHOLE = re.compile(r"[-+]?\d{16,}")
_DIGITS = re.compile(r"\d")


class Typed(NamedTuple):
    """A column as numbers, dates or texts; the format of its dates; texts that are gaps now."""

    values: np.ndarray
    format: str = ""
    odd: tuple[str, ...] = ()


def typed(texts: Sequence[str | None], decimal: str = ".") -> Typed:
    """Return the column that `texts` are."""
    there = [text for text in texts if text is not None]
    if not there:
        return Typed(np.full(len(texts), np.nan))
    numbers = numbers_of(texts, decimal)
    wrong = [text for text, number in zip(texts, numbers, strict=True)
             if text is not None and np.isnan(number)]  # fmt: skip
    if len(wrong) <= SLACK * len(there):
        return Typed(numbers, odd=tuple(dict.fromkeys(wrong)))
    format = format_of(there)
    if format:
        return Typed(dates_of(texts, format), format)
    out = np.empty(len(texts), object)
    out[:] = texts
    return Typed(out)


def without_words(texts: Sequence[str | None]) -> list[str | None]:
    """Return texts of which "none", "-" and other `WORDS` are gaps, as they are among numbers and dates."""
    return [None if text is None or text.lower() in WORDS else text for text in texts]


def bare(text: str) -> str:
    """Return a number's text without a unit and without spaces between thousands.

    >>> bare("1 234,50 €"), bare("$3"), bare("12 %"), bare("a 100")
    ('1234,50', '3', '12', 'a 100')
    """
    text = text.strip().strip(_UNITS).strip()
    return _SPACES.sub("", text) if len(text) > 4 and _SPACED.fullmatch(text) else text


def is_rounded(texts: Sequence[str | None]) -> bool:
    """Whether some of the texts are whole numbers with more digits than a float64 keeps, as of long keys."""
    return any(
        text is not None and _WHOLE.fullmatch(text) is not None and int(float(text)) != int(text)
        for text in texts
        if text is not None and 16 <= len(text) <= 300
    )


def numbers_of(texts: Sequence[str | None], decimal: str = ".") -> np.ndarray:
    """Return texts as float64, NaN for what is no number.

    "1,234.5" (with a decimal comma "1.234,5"), "1 234.5", "12 %", "$3" and "3 €" are numbers, too.
    """
    plain = [text or "nan" for text in texts]
    if decimal == "." and not any("_" in text for text in plain):
        with suppress(ValueError):
            return np.array(plain, np.float64)
    return np.array([_number(text, decimal) for text in texts], np.float64)


def _number(text: str | None, decimal: str) -> float:
    if text is None or "_" in text:
        return np.nan
    text = bare(text)
    if _GROUPS[decimal].fullmatch(text):
        text = text.replace("," if decimal == "." else ".", "")
    if decimal == ",":
        if "." in text and "," not in text and not _GROUPS[","].fullmatch(text):
            return _plain(text)
        text = text.replace(",", ".")
    return _plain(text)


def _plain(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def format_of(texts: Sequence[str]) -> str:
    """Return the format of dates that all `texts` have, "" if they are no dates."""
    distinct = list(dict.fromkeys(texts))
    tried = distinct[:200]
    if not all(_DIGITS.search(text) and 6 <= len(text) <= 40 for text in tried):
        return ""
    for format in FORMATS:
        if all(_instant(text, format) is not None for text in tried) and all(
            _instant(text, format) is not None for text in distinct[200:]
        ):
            return format
    return ""


def dates_of(texts: Sequence[str | None], format: str) -> np.ndarray:
    """Return texts as datetime64[us], NaT for what is no date of this format."""
    known: dict[str | None, np.datetime64] = {None: np.datetime64("NaT", "us")}
    for text in set(texts):
        if text is not None:
            when = _instant(text, format)
            known[text] = np.datetime64("NaT" if when is None else when, "us")
    return np.array([known[text] for text in texts], "datetime64[us]")


def _instant(text: str, format: str) -> datetime | None:
    try:
        if format == ISO:
            if "-" not in text:
                return None
            when = datetime.fromisoformat(text)
        else:
            when = datetime.strptime(text, format)
    except ValueError:
        return None
    return when if when.tzinfo is None else when.astimezone(UTC).replace(tzinfo=None)
