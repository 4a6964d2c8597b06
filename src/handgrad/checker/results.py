"""What a rubric leaves behind: tables, a page for each submission, and an overview of the class.

``results.csv`` has the verdicts, ``grades.csv`` the points for a learning management system; each has
one row for a submission and one column for a function.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from handgrad.checker.points import Rubric, worth
from handgrad.checker.records import RIGHT, UNTESTED
from handgrad.checker.verdict_page import document, page
from handgrad.html import prose

if TYPE_CHECKING:
    from handgrad.checker.rubric import Class, Row

OVERVIEW = "index"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_MOST = 30  # mistakes that are listed


def write(rubric: Rubric, found: Class, results: Path) -> None:
    """Write everything into the folder `results`."""
    for row in found.rows:
        (results / _page_of(row)).write_text(_submission(rubric, row), "utf-8")
    (results / f"{OVERVIEW}.html").write_text(overview(rubric, found), "utf-8")
    _table(
        results / "results.csv",
        ["submission", "points", "of", "problem", *rubric.points],
        (
            [
                row.name,
                f"{row.points(rubric):g}",
                f"{rubric.total:g}",
                row.problem,
                *_verdicts(rubric, row),
            ]
            for row in found.rows
        ),
    )
    _table(
        results / "grades.csv",
        ["name", "total", "max", *rubric.points],
        (
            [
                row.name,
                f"{row.points(rubric):g}",
                f"{rubric.total:g}",
                *[f"{row.points_of(rubric, function):g}" for function in rubric.points],
            ]
            for row in found.rows
        ),
    )


def _verdicts(rubric: Rubric, row: Row) -> list[str]:
    records = [row.record(function) for function in rubric.points]
    return [record["verdict"] if record else "missing" for record in records]


def _table(path: Path, head: list[str], rows: Iterable[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for row in rows:
            writer.writerow([_plain(cell) for cell in row])


def _plain(cell: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return "'" + cell if cell.startswith(_FORMULA) else cell


def _page_of(row: Row) -> str:
    name = f"{row.name}_" if row.name.lower() == OVERVIEW else row.name
    return f"{name}.html"


def _submission(rubric: Rubric, row: Row) -> str:
    points = {}
    for function, most in rubric.points.items():
        text = f"{row.points_of(rubric, function):g} of {worth(most):g}"
        record = row.record(function)
        if isinstance(most, dict) and record:
            lost = [part for part in most if not record["parts"].get(part)]
            text += f" (not: {', '.join(lost)})" if lost else ""
        points[function] = text
    missing: list[dict[str, Any]] = [
        {"function": function, "verdict": "missing", "reason": "no file defines it", "causes": [],
         "errors": {}, "file": "", "line": None}
        for function in rubric.points if row.record(function) is None
    ]  # fmt: skip
    above = [f"{row.points(rubric):g} of {rubric.total:g} points"]
    above += [row.problem] if row.problem else []
    above += [f"uses {library}" for library in row.libraries]
    return page(row.name, [*row.records, *missing], points=points, above=[*above, *row.remarks])


# the class


_OVERVIEW_STYLE = """<style>
.matrix td, .matrix th { padding: .15rem .5rem; border: 1px solid var(--rule); white-space: nowrap }
.matrix th { background: var(--head); font-weight: 500 } .matrix .full { background: var(--full) }
.matrix .part { background: var(--part) } .matrix .none { background: var(--marked) }
.matrix .absent { color: var(--number) }
.matrix .head { writing-mode: vertical-rl; transform: rotate(180deg); padding: .5rem .15rem }
.matrix th:first-child { position: sticky; left: 0; max-width: 40vw; overflow: hidden }
.matrix th:first-child { text-overflow: ellipsis }
</style>"""


def overview(rubric: Rubric, found: Class) -> str:
    """Return the page of the class: functions and submissions, mistakes, what to look at."""
    parts = [_OVERVIEW_STYLE]
    totals = [row.points(rubric) for row in found.rows]
    mean = sum(totals) / max(len(totals), 1)
    parts.append(
        f"<p>{len(found.rows)} submissions, {mean:.4g} of {rubric.total:g} points on average.</p>"
    )
    parts += [f"<p>{prose(remark)}</p>" for remark in found.remarks]
    parts += [_matrix(rubric, found.rows), _problems(found.rows), _mistakes(rubric, found.rows)]
    parts += [_together(found), _libraries(found.rows)]
    return document("Overview", "".join(parts))


def _matrix(rubric: Rubric, rows: list[Row]) -> str:
    """A line for each submission, a column for each function."""
    heads = "".join(
        f'<th class="head"><code>{escape(function)}</code> <small>{worth(most):g}</small>'
        for function, most in rubric.points.items()
    )
    lines = [f'<tr><th>submission<th class="head">all <small>{rubric.total:g}</small>{heads}</tr>']
    for row in rows:
        cells = "".join(_cell(rubric, row, function) for function in rubric.points)
        name = f'<th title="{escape(row.name)}">{_linked(row)}'
        lines.append(f'<tr>{name}<td class="number">{row.points(rubric):g}{cells}</tr>')
    right = [
        sum((row.record(function) or {}).get("verdict") == RIGHT for row in rows)
        for function in rubric.points
    ]
    counts = "".join(f'<td class="number">{count}' for count in right)
    lines.append(f"<tr><th>right<td>{counts}</tr>")
    return (
        f'<div class="wide"><table class="matrix">{"".join(lines)}</table></div>'
        "<p><small>Points. Green: all of them; yellow: some; red: none; n: not written yet; -: missing; "
        "?: not testable. A name leads to the submission's page.</small></p>"
    )


def _linked(row: Row) -> str:
    return f'<a href="{quote(_page_of(row))}">{escape(row.name)}</a>'


def _cell(rubric: Rubric, row: Row, function: str) -> str:
    record = row.record(function)
    if record is None:
        return '<td class="number absent" title="missing">-'
    earned, most = row.points_of(rubric, function), worth(rubric.points[function])
    kind = "full" if earned == most and record["verdict"] == RIGHT else "part" if earned else "none"
    causes = record["causes"]
    says = causes[0]["says"] if causes else record["reason"] or record["verdict"]
    shown = {UNTESTED: "?", "not written yet": "n"}.get(record["verdict"], f"{earned:g}")
    kind = kind if record["verdict"] in (RIGHT, "WRONG") else "absent"
    return f'<td class="number {kind}" title="{escape(str(says))}">{shown}'


def _problems(rows: list[Row]) -> str:
    lines = [f"<li>{_linked(row)}: {prose(row.problem)}" for row in rows if row.problem]
    return _listed("Not judged, or not all of it", lines)


def _mistakes(rubric: Rubric, rows: list[Row]) -> str:
    """Count each mistake of each function once for a submission, the commonest first."""
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], tuple[str, list[Row]]] = {}
    for row in rows:
        for key, says in _mistakes_of(rubric, row).items():
            counts[key] += 1
            examples.setdefault(key, (says, []))[1].append(row)
    lines = []
    for key, count in counts.most_common(_MOST):
        says, who = examples[key]
        names = ", ".join(_linked(row) for row in who)
        lines.append(
            f"<li>{count}: <code>{escape(key[0])}</code>: {prose(says)} <small>({names})</small>"
        )
    return _listed("Common mistakes", lines)


def _mistakes_of(rubric: Rubric, row: Row) -> Mapping[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for function in rubric.points:
        record = row.record(function)
        for cause in record["causes"] if record else ():
            own_words = cause["name"] in ("raises", "repair")  # many mistakes have this name
            found.setdefault((function, cause["says" if own_words else "name"]), cause["says"])
    return found


def _together(found: Class) -> str:
    links = {row.name: _linked(row) for row in found.rows}
    lines = [
        f"<li>{links[pair.first]} and {links[pair.second]}: {100 * pair.similarity:.0f} % alike; "
        f"<code>{escape(', '.join(pair.functions))}</code>"
        for pair in found.pairs
    ]
    return _listed(
        "Look at these together",
        lines,
        "Their functions are alike in structure, whatever the names. Right answers to a small exercise are "
        "alike by themselves, and so is what a course or a book prints: this says nothing about how it came.",
    )


def _libraries(rows: list[Row]) -> str:
    lines = [
        f"<li>{_linked(row)}: {escape(', '.join(row.libraries))}" for row in rows if row.libraries
    ]
    return _listed(
        "Libraries that differentiate by themselves, and code that is made while it runs", lines
    )


def _listed(title: str, lines: list[str], remark: str = "") -> str:
    if not lines:
        return ""
    words = f"<p><small>{escape(remark)}</small></p>" if remark else ""
    return f"<h2>{escape(title)}</h2>{words}<ul>{''.join(lines)}</ul>"
