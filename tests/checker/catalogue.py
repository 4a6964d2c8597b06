# ruff: noqa: E501  (one bug a line)
"""A catalogue of planted bugs: what students get wrong, in a right solution, one at a time.

Each bug is a change of the text of one function of a solution.  The checker must call that function
wrong and name the bug first: by one of its names, or, as "repair", by the edit of the very line that
it was planted in.  Run this file for the confusion table:

    python tests/checker/catalogue.py [GROUP ...]

There are six groups.  The hypotheses were tuned on "solution".  The others were written as fresh sets,
in solutions of other styles, and run once before anything was tuned on them; `HISTORY` keeps what
that first run gave.
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
import tempfile
import zlib
from pathlib import Path
from typing import NamedTuple

from handgrad.checker import Report, Verdict, check_path

SOLUTION = Path(__file__).with_name("solution.py")
FRESH = ("matrices", "loops", "windows", "again", "assignments", "ucla")
HISTORY = {
    "matrices": "first run: 116 bugs, all found, 76 named first (65.5 %)",
    "loops": "first run: 114 bugs, all found, 71 named first (62.3 %); with the search for edits, 95 %",
    "windows": "first run: 92 bugs, 91 found (98.9 %), 86 named first (93.5 %)",
    "assignments": "first run: 77 bugs, all found, 66 named first (85.7 %)",
    "ucla": "first run: 62 bugs, all found, 52 named first (83.9 %), 8 others by a right name that was not listed",
    "again": "first run: 45 bugs, all found, 41 named first (91.1 %); nothing was tuned on it since",
}


class Bug(NamedTuple):
    """In `function`, `old` becomes `new`; the diagnosis must be one of `names`.

    group: the solution that it is planted in; words: what was planted.
    """

    function: str
    old: str
    new: str
    names: tuple[str, ...]
    group: str = "solution"
    words: str = ""

    @property
    def id(self) -> str:
        return f"{self.function}-{self.names[0]}-{abs(hash_of(self.new)) % 1000:03d}"

    @property
    def outer(self) -> str:
        """The function, or the class of the method."""
        return self.function.partition(".")[0]

    @property
    def solution(self) -> Path:
        """The right file."""
        if self.group in ("solution", "again"):
            return SOLUTION
        return SOLUTION.parent / "students" / f"{self.group}.py"


def changed(text: str, *changes: tuple[str, str]) -> str:
    """Return a text in which each (old, new) was replaced; all that is old must be there."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def hash_of(text: str) -> int:
    return zlib.crc32(text.encode())


def planted(bug: Bug) -> str:
    """The text of the solution with the bug in it."""
    text = bug.solution.read_text("utf-8")
    start = re.search(rf"^(def|class) {bug.outer}\b", text, re.M)
    assert start, f"no {bug.function}"
    end = re.search(r"^(def|class) ", text[start.end() :], re.M)
    stop = start.end() + end.start() if end else len(text)
    body = text[start.start() : stop]
    assert bug.old in body, f"{bug.id}: {bug.old!r} is not in {bug.function}"
    return text[: start.start()] + body.replace(bug.old, bug.new) + text[stop:]


# what no course takes points for: right by default, WRONG by the strict contract
_STRICT = {
    "input_changed", "dout_changed", "cache_changed", "integer_truncation", "log_of_probability",
    "shift_over_all", "argument_changed",
}  # fmt: skip
_STRICT_WORDS = {"db shape (1,M)", "test-mode raise (KeyError) in backward"}


def is_strict(bug: Bug) -> bool:
    """Whether the bug breaks the library's contract only, not the courses'."""
    odd_image = bug.function == "ThreeLayerConvNet" and "weight_shape" in bug.names
    if "input_changed" in bug.names and bug.function == "affine_forward":
        return False  # its output is wrong too
    return bool(_STRICT & set(bug.names)) or bug.words in _STRICT_WORDS or odd_image


def check_bug(bug: Bug, folder: Path, strict: bool | None = None) -> Report:
    """Check the solution's function with the bug in it, by the contract that the bug breaks."""
    path = folder / "submission.py"
    path.write_text(planted(bug), "utf-8")
    strict = is_strict(bug) if strict is None else strict
    return check_path(str(path), only=bug.outer, strict=strict)


def verdict_on(bug: Bug, report: Report) -> Verdict:
    """The verdict on the function that the bug is in."""
    return report[bug.function]


def rows(function: str, *bugs: tuple[str, str, str]) -> list[Bug]:
    return [Bug(function, old, new, tuple(names.split("|"))) for old, new, names in bugs]


_OWN = importlib.import_module("checker.solution_bugs" if __package__ else "solution_bugs")
CATALOGUE = [bug for function, *planted in _OWN.ROWS for bug in rows(function, *planted)]


def fresh_bugs(group: str) -> list[Bug]:
    """The bugs of a fresh group."""
    rows = importlib.import_module(f"checker.students.{group}_bugs").ROWS
    return [
        Bug(f, old, new, tuple(names.split("|")), group, words)
        for f, old, new, names, words in rows
    ]


def bugs(group: str) -> list[Bug]:
    """The bugs of any group."""
    return CATALOGUE if group == "solution" else fresh_bugs(group)


def changed_lines(bug: Bug) -> set[int]:
    """The lines of the planted text that differ from the right one, and the line after a deletion."""
    right, wrong = bug.solution.read_text("utf-8").splitlines(), planted(bug).splitlines()
    matcher = difflib.SequenceMatcher(None, right, wrong, autojunk=False)
    return {
        line + 1
        for tag, _, _, first, last in matcher.get_opcodes()
        if tag != "equal"
        for line in range(first, max(last, first + 1))
    }


def is_named(bug: Bug, verdict: Verdict) -> bool:
    """Whether the first cause is the planted one."""
    if not verdict.causes or verdict.causes[0].name not in bug.names:
        return False
    first = verdict.causes[0]
    return first.name != "repair" or first.line in changed_lines(bug)


def table(group: str = "solution") -> tuple[str, float, float]:
    """The confusion table of a group, and the shares that were found and named."""
    lines, found, named = [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for bug in bugs(group):
            verdict = verdict_on(bug, check_bug(bug, Path(folder)))
            first = verdict.causes[0].name if verdict.causes else "-"
            found += bool(verdict.causes)
            hit = is_named(bug, verdict)
            named += hit
            mark = " " if hit else "!" if verdict.causes else "MISSED"
            lines.append(f"{bug.function:<28} {bug.names[0]:<26} {first:<26} {mark}")
    total = len(bugs(group))
    head = f"{'function':<28} {'planted':<26} {'named':<26}"
    foot = f"{total} planted bugs: found {found} ({found / total:.1%}), named first {named} ({named / total:.1%})"
    foot = f"{group}: {foot}"
    if group in HISTORY:
        foot += f"\n    {HISTORY[group]}"
    return "\n".join([head, *lines, foot]), found / total, named / total


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sums = []
    for chosen in sys.argv[1:] or ["solution", *FRESH]:
        text, all_found, most_named = table(chosen)
        print(text, end="\n\n", flush=True)  # noqa: T201
        sums.append((all_found, most_named))
    sys.exit(not all(all_found == 1 and most_named >= 0.85 for all_found, most_named in sums))
