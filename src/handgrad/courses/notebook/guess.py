"""Choosing the profile from the notebook itself, and saying why; asking where it cannot be told.

Every sign narrows the range of years: keywords (``dropout_keep_ratio``, ``use_batchnorm``), values
(``dropout`` in [0, ...] drops, in [1, ...] keeps), topics (layer and group normalization came in 2018),
Colab cells.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from handgrad.courses import PROFILES
from handgrad.courses.notebook.scope import as_course, check_package, imported, renamed
from handgrad.errors import OptionError

FIRST, LAST = 2016, 2026
# years of CS231n whose profiles are one and the same
GENERATIONS = ((2016, 2016), (2017, 2017), (2018, 2020), (2021, 2026))
_DIFFERENT = {
    "layers",
    "optim",
    "solver",
    "fc_net",
    "cnn",
}  # modules that differ between generations
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
    _Sign(r"\.loss\(X, y, reg=0\.1\)", FIRST, 2016, "half of the regularisation"),
    _Sign(r"\.loss\(X, y, reg=0\.05\)", 2017, LAST, "the whole of the regularisation"),
    _Sign(r"best_\w*\.save\(", 2025, LAST, "best_model.save"),
    _Sign(r"FullyConnectedNet\((?:[^()]|\([^()]*\))*\bdropout\s*=", FIRST, 2020,
          "the keyword dropout"),
    _Sign(r"for dropout in \[\s*0|dropout_choices\s*=\s*\[\s*0", FIRST, 2017,
          "a dropout of 0 that means none"),
    _Sign(r"for dropout in \[\s*1|dropout_choices\s*=\s*\[\s*1", 2018, 2020,
          "a dropout of 1 that means none"),
)  # fmt: skip


def guess_course(notebook: Any, package: str | None = None) -> Choice:
    """Return the profile of `notebook`; OptionError asks for --course where it cannot be told.

    `package` is the name under which a fork keeps the course's modules.
    """
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    modules = imported(cells)
    code = "\n".join(cells)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    fork = renamed(modules)
    packages = {module.partition(".")[0] for module in modules}
    if package is not None:
        check_package(package, modules)
        course = fork[1] if fork and fork[0] == package else "cs231n"
        packages.add(course)
        code = as_course(code, package, course)
    called = f" as {package}" if package else ""
    if "skynet" in packages:
        return Choice("skynet", f"it imports skynet{called}")
    printed = _printed(notebook)
    if "nndl" in packages:
        return _guess_nndl(code, printed, called)
    if "cs231n" not in packages:
        if fork:
            raise OptionError(
                f"the notebook imports {fork[0]}, which looks like {fork[1]} under another name; "
                f"say --package {fork[0]}"
            )
        raise OptionError(
            "the notebook imports none of cs231n, nndl and skynet, so that its course cannot be told; "
            f"say --course NAME (one of {_known()})"
        )
    prefix = package or "cs231n"
    differs = any(
        set(module.removeprefix(prefix).split(".")) & _DIFFERENT
        for module in modules
        if module.startswith(prefix + ".")
    )
    return _guess_cs231n(code, text, printed, called, differs)


def _printed(notebook: Any) -> str:
    """Return what the file says that its cells printed when it was saved."""
    texts = (
        output.get("text", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.get("output_type") == "stream"
    )
    return "\n".join(text if isinstance(text, str) else "".join(text) for text in texts)


class _Zeros(NamedTuple):
    """A saved output of a dropout: its p, and the share of zeros that came of it."""

    p: float
    share: float

    @property
    def meaning(self) -> str | None:
        """What p is the probability of, "drop" or "keep"; None where both would look the same."""
        drops, keeps = abs(self.share - self.p), abs(self.share - (1 - self.p))
        if abs(drops - keeps) < 0.2 or min(drops, keeps) > 0.05:
            return None
        return "drop" if drops < keeps else "keep"


def _zeros(printed: str) -> _Zeros | None:
    """Return the first saved share of zeros that tells the meaning of p, None if there is none."""
    p: float | None = None
    for line in printed.splitlines():
        if match := re.search(r"\bp\b'?\W+([01]?\.\d+)\W*$", line):
            p = float(match[1])
        elif p is not None and _OF_ZEROS.search(line) and (match := _LAST_NUMBER.search(line)):
            share = float(match[1]) / (100 if match[2] else 1)
            if (found := _Zeros(p, share)).meaning:
                return found
    return None


_OF_ZEROS = re.compile(r"^(?!.*\b(?:test|eval))(?!.*测试).*(?:zero|dropped|置零|为零|归零)", re.I)
_LAST_NUMBER = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(%?)\W*$")
_OFF_AT_ONE = (
    r"for dropout in [\[(][^\])]*(?<![\d.])1(?:\.0*)?\s*[,\])]|dropout_choices\s*=\s*[\[(]\s*1\b"
)
_OFF_AT_ZERO = (
    r"for dropout in [\[(]\s*0(?:\.0*)?\s*[,\])]|dropout_choices\s*=\s*[\[(]\s*0\b(?!\.\d)"
)


def _guess_nndl(code: str, printed: str, called: str) -> Choice:
    name = f"it imports nndl{called}"
    zeros = _zeros(printed)
    if zeros is not None:
        saved = (
            f"its saved output shows a share of {zeros.share:.2f} zeros at p = {zeros.p:g}, "
            f"so that p {zeros.meaning}s"
        )
        if zeros.meaning == "drop":
            return Choice("nndl-drop", f"{name}, and {saved}")
        if re.search(_OFF_AT_ZERO, code):
            return Choice("nndl-2024-mix", f"{name}, {saved}, and a dropout of 0 means none")
        return Choice("nndl-keep", f"{name}, and {saved}")
    if not re.search(r"\bdropout\s*=|\bdropout_choices\b|for dropout in|dropout_forward", code):
        return Choice("nndl-drop", f"{name} and uses no dropout, all eras agree")
    if re.search(_OFF_AT_ONE, code):
        return Choice("nndl-keep", f"{name}, and a dropout of 1 means none")
    if "2.3126468" in printed:
        return Choice("nndl-2024-mix", f"{name}, and its printed losses are of the 2024 mix")
    if re.search(_OFF_AT_ZERO, code):
        return Choice("nndl-drop", f"{name}, and a dropout of 0 means none")
    raise OptionError(
        "the notebook imports nndl and uses dropout, but does not show whether it drops or keeps; "
        "say --course nndl-drop, nndl-keep or nndl-2024-mix"
    )


def _guess_cs231n(code: str, text: str, printed: str, called: str, differs: bool) -> Choice:
    first, last = FIRST, LAST
    reasons = [f"it imports cs231n{called}"]
    signs = [sign for sign in _SIGNS if re.search(sign.pattern, code)]
    lower = text.lower()
    if re.search(r"layer norm|batch/layer|layernorm|group norm", lower):
        signs.append(_Sign("", 2018, LAST, "layer normalization in its text"))
    elif "batch norm" in lower or "batchnorm" in lower:
        signs.append(_Sign("", FIRST, 2017, "batch but not layer normalization in its text"))
    zeros = _zeros(printed)
    if zeros is not None:  # last, since a student's own slip may have printed it
        years = (FIRST, 2017) if zeros.meaning == "drop" else (2018, LAST)
        why = f"a saved share of {zeros.share:.2f} zeros at p = {zeros.p:g}"
        signs.append(_Sign("", *years, why))
    for sign in signs:
        if max(first, sign.first) <= min(last, sign.last):
            if (first, last) != (max(first, sign.first), min(last, sign.last)):
                reasons.append(sign.why)
            first, last = max(first, sign.first), min(last, sign.last)
    if last <= 2017 and "seed(231)" not in code and "np.random" in code:
        last = FIRST
        reasons.append("no seed")
    spanned = [years for years in GENERATIONS if years[0] <= last and first <= years[1]]
    if len(spanned) > 1 and differs and _depends(code, spanned):
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
