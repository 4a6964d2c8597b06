"""Guessing the course of a submission from its files: names, signatures, docstrings.

What a guess decides: what dropout's p is the probability of, and whether Adam's count starts at 1.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from handgrad.checker.places import Place
from handgrad.courses.profiles import Profile, get_profile

_FILES, _SIZE = 60, 300_000  # at most so many files, of so many bytes
_SPACE = re.compile(r"[\s#]+")


class Guess(NamedTuple):
    """A course's profile, and why it is thought to be that one."""

    profile: Profile
    why: str

    @property
    def remark(self) -> str:
        """One line for the report."""
        p = "dropping" if self.profile.dropout == "drop" else "keeping"
        return (
            f"course: {self.profile.name}, guessed from {self.why}; dropout's p is the probability of "
            f"{p} (--course NAME overrides)"
        )


class _Sign(NamedTuple):
    pattern: str
    first: int
    last: int
    why: str


_DROP = r"drop each neuron(?:'s)? output with probability"
_KEEP = r"keep each neuron(?:'s)? output with probability"
_SIGNS = (
    _Sign(_DROP, 2016, 2017, "its docstring that drops with probability p"),
    _Sign(_KEEP, 2018, 2026, "its docstring that keeps with probability p"),
    _Sign(r"\bdropout_keep_ratio\b", 2021, 2026, "the option dropout_keep_ratio"),
    _Sign(r"\bdropout=0 then", 2016, 2017, "a dropout of 0 that means none"),
    _Sign(r"\bdropout=1 then", 2018, 2020, "a dropout of 1 that means none"),
    _Sign(r"def __init__\([^)]*\buse_batchnorm\b", 2016, 2017, "the option use_batchnorm"),
    _Sign(r"def __init__\([^)]*\bnormalization\b", 2018, 2026, "the option normalization"),
    _Sign(r"\bdef (layernorm|spatial_groupnorm)_forward", 2018, 2026, "layer normalization"),
    _Sign(r"def adam\(x, dx\b(?:(?!\bdef\b).)*setdefault\(['\"]t['\"], 1\)", 2017, 2017,
          "adam(x, dx), whose t starts at 1"),
    _Sign(r"from (builtins|past\.builtins) import", 2017, 2026, "imports for Python 2 and 3"),
)  # fmt: skip


def guess_course(place: Place) -> Guess | None:
    """Return the course that a file, or the package that holds it, shows; None if it shows none."""
    own, texts = _text(place.file), _texts(place)
    whole = " ".join([own, *texts])
    if re.search(r"\bskynet\b", place.name) or re.search(r"(from|import) skynet\b", own):
        return Guess(get_profile("skynet"), "the package skynet")
    if "nndl" in place.packages or re.search(r"(from|import) nndl\b", own):
        return _nndl(whole)
    return _cs231n(own, whole)


def _nndl(text: str) -> Guess | None:
    drops, keeps = re.search(_DROP, text), re.search(_KEEP, text)
    off = re.search(r"\bdropout=([01]) then", text)
    if drops:
        return Guess(get_profile("nndl-drop"), "nndl, and its docstring drops with probability p")
    if keeps and off and off[1] == "0":
        return Guess(
            get_profile("nndl-2024-mix"), "nndl, whose layers keep and whose networks drop"
        )
    if keeps:
        return Guess(get_profile("nndl-keep"), "nndl, and its docstring keeps with probability p")
    if off:
        era = "nndl-drop" if off[1] == "0" else "nndl-keep"
        return Guess(get_profile(era), f"nndl, and a dropout of {off[1]} that means none")
    return None


def _cs231n(own: str, whole: str) -> Guess | None:
    """Narrow the years by the file's own signs, then by those of its package."""
    first, last = 2016, 2026
    why: list[str] = []
    for text in (own, whole):
        for sign in _SIGNS:
            if not re.search(sign.pattern, text) or max(first, sign.first) > min(last, sign.last):
                continue
            if (max(first, sign.first), min(last, sign.last)) != (first, last):
                first, last = max(first, sign.first), min(last, sign.last)
                why.append(sign.why)
    if first <= 2017 < last:
        return None  # it may drop or keep
    year = first if last <= 2017 else max(first, min(last, 2020))
    return Guess(get_profile(f"cs231n-{year}"), ", ".join(why[:3]))


def _texts(place: Place) -> list[str]:
    """The files of the package; of a file outside of packages, none."""
    if "." not in place.name:
        return []
    return [
        _text(file) for file in sorted(place.folder.rglob("*.py"))[:_FILES] if file != place.file
    ]


def _text(file: Path) -> str:
    """The text of a file, on one line."""
    try:
        if file.stat().st_size > _SIZE:
            return ""
        return _SPACE.sub(" ", file.read_text("utf-8", errors="replace"))
    except OSError:
        return ""
