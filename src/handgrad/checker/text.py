"""A report as lines of text."""

from __future__ import annotations

import os
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from handgrad.checker.records import NOT_WRITTEN, RIGHT, UNTESTED, WRONG, Verdict

if TYPE_CHECKING:
    from handgrad.checker.report import Report


def as_text(report: Report, *, notes: bool = False) -> str:
    """Return the table: one line for what is right, two or more for what is wrong."""
    width = max((len(verdict.function) for verdict in report.verdicts), default=0) + 2
    lines = list(report.remarks)
    for file, verdicts in groupby(report.verdicts, lambda verdict: verdict.file):
        if report.by_file and file:
            lines.append(_shown(file))
        for verdict in verdicts:
            lines += _lines(verdict, width, notes)
    return "\n".join([*lines, *_count(report)])


def _count(report: Report) -> list[str]:
    """Say how much is not written yet, and what of the rest is right."""
    found = [verdict.verdict for verdict in report.verdicts]
    missing = found.count(NOT_WRITTEN)
    if not missing:
        return []
    counts = [f"{found.count(one)} {one}" for one in (RIGHT, WRONG, UNTESTED) if one in found]
    return [", ".join([f"{missing} {NOT_WRITTEN}", *counts])]


def _shown(file: str) -> str:
    """A file's path from here, or whole where it lies elsewhere."""
    try:
        path = os.path.relpath(file)
    except ValueError:  # on another drive
        return file
    return file if path.startswith("..") else path


def _lines(verdict: Verdict, width: int, notes: bool) -> list[str]:
    head = f"{verdict.function:<{width}} {verdict.verdict:<8} "
    indent = " " * len(head)
    if verdict.verdict in (UNTESTED, NOT_WRITTEN):
        return [f"{verdict.function:<{width}} {verdict.verdict}: {verdict.reason}"]
    extra = [f"{indent}note: {note}" for note in verdict.notes] if notes else []
    if verdict.verdict == RIGHT:
        extra = [f"{indent}note: {caution}" for caution in verdict.cautions] + extra
    if verdict.verdict == RIGHT:
        errors = "  ".join(f"{key} {error:.0e}" for key, error in verdict.errors.items())
        how = f"{verdict.configurations} configurations" if verdict.configurations else ""
        if not verdict.errors:
            how = f"contract only, {how}"
        if verdict.method:
            how += f", {verdict.method}"
        return [f"{head}{errors:<34}" + (f"  ({how})" if how else ""), *extra]
    lines = []
    for number, cause in enumerate(verdict.causes):
        lines.append((indent if number else head) + cause.says)
        place = _place(verdict, cause.line)
        if cause.worst or place:
            lines.append(f"{indent}{cause.worst:<60}  {place}".rstrip())
    return [*lines, *extra]


def _place(verdict: Verdict, line: int | None) -> str:
    line = line or verdict.line
    return f"{Path(verdict.file).name}:{line}" if verdict.file and line else ""
