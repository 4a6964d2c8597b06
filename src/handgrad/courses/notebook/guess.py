"""Choosing the profile from the notebook itself, and saying why; asking where it cannot be told.

Every sign narrows the range of years: keywords (``dropout_keep_ratio``, ``use_batchnorm``), values
(``dropout`` in [0, ...] drops, in [1, ...] keeps), topics (layer and group normalization came in 2018),
Colab cells.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from handgrad.courses import PROFILES
from handgrad.errors import OptionError

FIRST, LAST = 2016, 2026
# years of CS231n whose profiles are one and the same
GENERATIONS = ((2016, 2016), (2017, 2017), (2018, 2020), (2021, 2026))
USUAL = (2018, 2020)  # where several would do: it has everything that the others have


class Choice(NamedTuple):
    """A profile's name, and why it was chosen."""

    profile: str
    why: str


class _Sign(NamedTuple):
    pattern: str
    first: int
    last: int
    why: str


_SIGNS = (
    _Sign(r"\bdropout_keep_ratio\b", 2021, LAST, "dropout_keep_ratio"),
    _Sign(r"\bnormalization\s*=", 2018, LAST, "the keyword normalization"),
    _Sign(r"\buse_batchnorm\b", FIRST, 2017, "the keyword use_batchnorm"),
    _Sign(r"\b(layernorm|spatial_groupnorm)_(forward|backward)\b", 2018, LAST,
          "layer or group normalization"),
    _Sign(r"print\(f[\"']\{k\}", 2021, LAST, "f-strings"),
    _Sign(r"google\.colab", 2020, LAST, "Colab cells"),
    _Sign(r"\bnp\.random\.seed\(231\)", 2017, LAST, "the seed 231"),
    _Sign(r"best_\w*\.save\(", 2025, LAST, "best_model.save"),
    _Sign(r"FullyConnectedNet\((?:[^()]|\([^()]*\))*\bdropout\s*=", FIRST, 2020,
          "the keyword dropout"),
    _Sign(r"for dropout in \[\s*0|dropout_choices\s*=\s*\[\s*0", FIRST, 2017,
          "a dropout of 0 that means none"),
    _Sign(r"for dropout in \[\s*1|dropout_choices\s*=\s*\[\s*1", 2018, 2020,
          "a dropout of 1 that means none"),
)  # fmt: skip


def guess_course(notebook: Any) -> Choice:
    """Return the profile of `notebook`; OptionError asks for --course where it cannot be told."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    packages = set(re.findall(r"^\s*(?:from|import)\s+(skynet|nndl|cs231n)\b", code, re.MULTILINE))
    if "skynet" in packages:
        return Choice("skynet", "it imports skynet")
    if "nndl" in packages:
        return _guess_nndl(notebook, code)
    if "cs231n" not in packages:
        raise OptionError(
            "the notebook imports none of cs231n, nndl and skynet, so that its course cannot be told; "
            f"say --course NAME (one of {_known()})"
        )
    return _guess_cs231n(code, text)


def _guess_nndl(notebook: Any, code: str) -> Choice:
    if not re.search(r"\bdropout\s*=|\bdropout_choices\b|for dropout in", code):
        return Choice("nndl-drop", "it imports nndl and uses no dropout, all eras agree")
    if re.search(r"for dropout in \[[^\]]*\b1(\.0)?\s*[,\]]|dropout_choices\s*=\s*\[\s*1", code):
        return Choice("nndl-keep", "it imports nndl, and a dropout of 1 means none")
    printed = "\n".join(
        output.get("text", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.get("output_type") == "stream"
    )
    if "2.3126468" in printed:
        return Choice(
            "nndl-2024-mix", "it imports nndl, and its printed losses are of the 2024 mix"
        )
    if re.search(r"for dropout in \[\s*0|dropout_choices\s*=\s*\[\s*0", code):
        return Choice("nndl-drop", "it imports nndl, and a dropout of 0 means none")
    raise OptionError(
        "the notebook imports nndl and uses dropout, but does not show whether it drops or keeps; "
        "say --course nndl-drop, nndl-keep or nndl-2024-mix"
    )


def _guess_cs231n(code: str, text: str) -> Choice:
    first, last = FIRST, LAST
    reasons = ["it imports cs231n"]
    signs = [sign for sign in _SIGNS if re.search(sign.pattern, code)]
    lower = text.lower()
    if re.search(r"layer norm|batch/layer|layernorm|group norm", lower):
        signs.append(_Sign("", 2018, LAST, "layer normalization in its text"))
    elif "batch norm" in lower or "batchnorm" in lower:
        signs.append(_Sign("", FIRST, 2017, "batch but not layer normalization in its text"))
    for sign in signs:
        if max(first, sign.first) <= min(last, sign.last):
            if (first, last) != (max(first, sign.first), min(last, sign.last)):
                reasons.append(sign.why)
            first, last = max(first, sign.first), min(last, sign.last)
    if last <= 2017 and "seed(231)" not in code and "np.random" in code:
        last = FIRST
        reasons.append("no seed")
    spanned = [years for years in GENERATIONS if years[0] <= last and first <= years[1]]
    if len(spanned) > 1 and _depends(code, spanned):
        raise OptionError(
            f"the notebook may be of CS231n {first} to {last}, whose generations differ in what it "
            "uses; say --course "
            + ", ".join(f"cs231n-{min(years[1], last)}" for years in spanned[:-1])
            + f" or cs231n-{min(spanned[-1][1], last)}"
        )
    chosen = USUAL if USUAL in spanned else spanned[0]
    return Choice(f"cs231n-{min(chosen[1], last)}", ", ".join(reasons))


def _depends(code: str, spanned: list[tuple[int, int]]) -> bool:
    """Return whether the generations `spanned` differ in anything that `code` uses."""
    if spanned[0][0] >= 2018:
        return re.search(r"\bdropout\s*=", code) is not None
    return re.search(r"\badam\b|\bdropout|\bnormalization\b", code) is not None


def _known() -> str:
    return ", ".join(PROFILES)
