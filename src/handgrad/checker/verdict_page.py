"""A report as one HTML page that opens offline."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from handgrad.checker.heat import maps
from handgrad.checker.points import parts
from handgrad.checker.reading import docstring_lines
from handgrad.checker.records import WRONG, Verdict
from handgrad.checker.report import Report
from handgrad.html import POLICY, prose

STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #222; --faint: #555; --number: #6b6b6b; --rule: #ddd;
  --good: #137333; --bad: #b3261e; --marked: #fdeceb; --head: #f6f6f6; --full: #e3f2e6; --part: #fff3d6;
  --link: #0b57d0 }
@media (prefers-color-scheme: dark) {
  :root { --page: #15171a; --ink: #e4e4e4; --faint: #b0b4ba; --number: #9a9fa6; --rule: #3b3f45;
    --good: #6fcf8a; --bad: #ff8a80; --marked: #42211f; --head: #23262b; --full: #1c3d28; --part: #443714;
    --link: #8ab4f8 }
}
a { color: var(--link) }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem; color: var(--ink); background: var(--page) }
h1, h2, code { overflow-wrap: anywhere } h2 { font-size: 1.15rem }
table { border-collapse: collapse } .wide { overflow-x: auto }
.verdicts .number { white-space: normal; max-width: 11rem }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }
.right { color: var(--good) } .WRONG { color: var(--bad); font-weight: 600 } code { font-size: .9em }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.heat td { width: 14px; height: 14px; padding: 0; border: 1px solid var(--page) }
.heat { margin: .2rem 0 .8rem }
section { border-top: 1px solid var(--rule); margin-top: 1.5rem } small { color: var(--faint) }
.source { font: 13px/1.45 ui-monospace, monospace; border: 1px solid var(--rule); margin: .5rem 0 1rem }
.line { display: grid; grid-template-columns: 3rem minmax(0, 3fr) minmax(0, 2fr) }
.line > b { font-weight: normal; color: var(--number); text-align: right; padding-right: .7rem }
.line > code { font: inherit; white-space: pre-wrap; padding-left: 4ch; text-indent: -4ch }
.line > div { font: 14px/1.45 system-ui, sans-serif; padding: .1rem .6rem; border-left: 3px solid var(--bad) }
.marked { background: var(--marked) }
@media (max-width: 44rem) {
  body { margin: 1rem auto } .line { grid-template-columns: 2.2rem minmax(0, 1fr) }
  .line > div { grid-column: 1 / -1; margin: .1rem .4rem .3rem }
  .verdicts tr { display: block; border-top: 1px solid var(--rule); padding: .3rem 0 }
  .verdicts td { display: block; padding: 0; text-align: left }
  .verdicts td:not(:first-child):not(:last-child) { display: inline-block; padding-right: 1rem }
  .verdicts td:empty { display: none !important }
  .verdicts tr:first-child { display: none }
}
"""
_LONGEST = 120  # lines of a function that are shown


def records_of(report: Report) -> list[dict[str, Any]]:
    """Return the verdicts as plain records, with their parts, the maps of their errors, the source."""
    return [
        verdict.record
        or {
            **verdict.as_dict(),
            "parts": parts(verdict),
            "maps": maps(verdict),
            "source": _source(verdict),
        }
        for verdict in report.verdicts
    ]


def _source(verdict: Verdict) -> list[tuple[int, str]]:
    """The numbered lines of a function that is wrong, without docstrings and comments."""
    if verdict.verdict != WRONG or not verdict.file or not verdict.line:
        return []
    lines = linecache.getlines(verdict.file)[verdict.line - 1 :]
    try:
        lines = inspect.getblock(lines)
    except (SyntaxError, IndexError):
        return []
    while lines and not lines[-1].strip():
        lines.pop()
    hidden = docstring_lines(lines)
    shown = [
        (number, line.rstrip("\n"))
        for number, line in enumerate(lines, verdict.line)
        if number - verdict.line not in hidden and not line.lstrip().startswith("#")
    ]
    return shown[:_LONGEST]


def document(title: str, body: str) -> str:
    """Return a whole page, which loads nothing; the body must be escaped already."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(title)}</title>"
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def page(
    title: str,
    records: Sequence[dict[str, Any]],
    *,
    points: Mapping[str, str] | None = None,
    above: Sequence[str] = (),
) -> str:
    """Return the page; everything that comes from the checked code is escaped.

    points: what each function earned, as a text; above: lines above the table.
    """
    rows = "".join(_row(record, points) for record in records)
    details = "".join(_details(record) for record in records if record["causes"])
    head = "<th>points" if points is not None else ""
    lines = "".join(f"<p>{prose(line)}</p>" for line in above)
    return document(
        title,
        f'{lines}<table class="verdicts"><tr><th>function{head}<th>verdict<th>what</tr>{rows}</table>'
        f"{details}",
    )


def _row(record: dict[str, Any], points: Mapping[str, str] | None) -> str:
    causes = record["causes"]
    what = causes[0]["says"] if causes else record["reason"] or _errors(record["errors"])
    verdict = escape(record["verdict"])
    name = f"<code>{escape(record['function'])}</code>"
    earned = ""
    if points is not None:
        earned = f'<td class="number">{escape(points.get(record["function"], ""))}'
    notes = "".join(f"<br><small>note: {prose(one)}</small>" for one in record.get("cautions", ()))
    return f'<tr><td>{name}{earned}<td class="{verdict}">{verdict}<td>{prose(what)}{notes}</tr>'


def _errors(errors: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {error:.0e}" if isinstance(error, float) else f"{key} {error}"
        for key, error in errors.items()
    )


def _details(record: dict[str, Any]) -> str:
    place = f"{record['file']}:{record['line']}" if record["file"] else ""
    source = record.get("source") or []
    numbers = {number for number, _ in source}
    shown = [one for one in record["causes"] if _line(one) in numbers]
    head = (
        f"<section><h2><code>{escape(record['function'])}</code></h2><small>{escape(place)}</small>"
    )
    others = [one for one in record["causes"] if one not in shown]
    listed = "".join(
        f"<li>{_diagnosis(one)}{f' <small>line {_line(one)}</small>' if _line(one) else ''}</li>"
        for one in others
    )
    listed = f"<ul>{listed}</ul>" if listed else ""
    beside = _beside(source, shown) if source else ""
    drawn = "".join(_heat(one) for one in record.get("maps", ()))
    return f"{head}{listed}{beside}{drawn}</section>"


def _line(cause: dict[str, Any]) -> int:
    return int(cause["line"] or 0)


def _diagnosis(cause: dict[str, Any]) -> str:
    worst = f"<br><code>{escape(cause['worst'])}</code>" if cause["worst"] else ""
    return prose(cause["says"]) + worst


def _beside(source: Sequence[tuple[int, str]], causes: Sequence[dict[str, Any]]) -> str:
    """The lines of the function, with the diagnosis beside the guilty ones."""
    rows = []
    for number, text in source:
        notes = "<br>".join(_diagnosis(one) for one in causes if _line(one) == number)
        marked, note = (" marked", f"<div>{notes}</div>") if notes else ("", "")
        rows.append(
            f'<div class="line{marked}"><b>{number}</b><code>{escape(text) or " "}</code>{note}</div>'
        )
    return f'<div class="source">{"".join(rows)}</div>'


def _heat(one: dict[str, Any]) -> str:
    largest = float(one["largest"]) or 1.0
    where = f"<small>({escape(one['configuration'])})</small>"
    head = f"<p>|error| of <code>{escape(one['result'])}</code> {where}</p>"
    strips = "".join(
        f"<small>along axis {axis}</small>{_cells([strip], largest)}"
        for axis, strip in enumerate(one["axes"])
    )
    plane = ""
    if len(one["axes"]) > 1:
        plane = f"<small>last two axes, the largest over the others</small>{_cells(one['plane'], largest)}"
    return head + strips + plane


def _cells(rows: Iterable[Iterable[float]], largest: float) -> str:
    lines = []
    for row in rows:
        cells = "".join(
            f'<td style="background:rgba(179,38,30,{max(0.04, min(1.0, float(value) / largest)):.2f})"'
            f' title="{float(value):.3g}">'
            for value in row
        )
        lines.append(f"<tr>{cells}</tr>")
    return f'<table class="heat">{"".join(lines)}</table>'
