"""A report as lines of text."""

from __future__ import annotations

from pathlib import Path

from handgrad.checker.records import RIGHT, UNTESTED, Report, Verdict


def as_text(report: Report, *, notes: bool = False) -> str:
    """Return the table: one line for what is right, two or more for what is wrong."""
    width = max((len(verdict.function) for verdict in report.verdicts), default=0) + 2
    return "\n".join(line for verdict in report.verdicts for line in _lines(verdict, width, notes))


def _lines(verdict: Verdict, width: int, notes: bool) -> list[str]:
    head = f"{verdict.function:<{width}} {verdict.verdict:<8} "
    indent = " " * len(head)
    if verdict.verdict == UNTESTED:
        return [f"{head}: {verdict.reason}"]
    extra = [f"{indent}note: {note}" for note in verdict.notes] if notes else []
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
