"""The report of a run as one HTML page: the verdict, the cells, and what each printed and drew."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Any

from handgrad.checker.records import WRONG
from handgrad.courses.notebook.run import FAILED, NotebookResult
from handgrad.courses.notebook.verdict import BROKEN, shown
from handgrad.html import POLICY
from handgrad.report.page import CSS

_MORE = """
.bad { color: #b00020; font-weight: bold; } details { margin: .4rem 0; }
main { display: block; } summary { cursor: pointer; }
"""
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]+")


def report_page(result: NotebookResult) -> str:
    """Return the report of `result`: one page that opens offline and runs nothing."""
    title = escape(result.path.name)
    parts = [
        f"<h1>{title}</h1>",
        f"<p>Course profile {escape(result.choice.profile)}: {escape(result.choice.why)}.</p>",
    ]
    if result.stopped:
        parts.append(f'<p class="bad">Stopped: {escape(result.stopped)}</p>')
    parts += [
        f"<p>{escape(summary(result))}</p>",
        "<h2>The verdict</h2>",
        _verdict_table(result),
        *_diagnosis(result),
        *_student(result),
        "<h2>The cells</h2>",
        _cells_table(result),
        "<h2>What the cells printed and drew</h2>",
        *_outputs(result),
    ]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title} - Handgrad</title><style>{CSS}{_MORE}</style></head>\n"
        f"<body><main>\n{body}\n</main></body>\n</html>\n"
    )


def summary(result: NotebookResult) -> str:
    """Return the outcome in one sentence."""
    judged = [finding for finding in result.findings if finding.judged]
    text = (
        f"{len(result.cells)} code cells in {result.seconds:.1f} s: "
        f"{result.count('ran', 'solved')} ran, {result.count('passed')} passed, "
        f"{result.count('open exercise')} open exercises, {result.count('waits')} wait for them, "
        f"{len(result.failed)} failed; {len(judged)} bounds checked, {len(result.broken)} broken"
    )
    if result.seconds_then:
        text += f"; the file notes {result.seconds_then:.1f} s for its own run"
    return text


def _verdict_table(result: NotebookResult) -> str:
    if not result.findings:
        return "<p>The notebook printed no figure that could be judged or compared.</p>"
    rows = [
        [str(f.cell), f.quantity, shown(f.now), shown(f.then), f.bound or "-", f.verdict or "-"]
        for f in result.findings
    ]
    head = ["cell", "quantity", "printed now", "printed then", "bound", "verdict"]
    return _table(head, rows, bad=BROKEN)


def _cells_table(result: NotebookResult) -> str:
    rows = [[str(c.number), c.state, f"{c.seconds:.2f} s", c.note] for c in result.cells]
    return _table(["cell", "state", "time", "note"], rows, bad=FAILED)


def _student(result: NotebookResult) -> list[str]:
    if not result.answers:
        return []
    rows = [
        [a.module, ", ".join(a.finished) or "-", ", ".join(a.unfinished) or "-"]
        for a in result.answers
    ]
    return ["<h2>The student's files</h2>",
            _table(["module", "theirs", "the library's"], rows)]  # fmt: skip


def _diagnosis(result: NotebookResult) -> list[str]:
    """What the checker says of the student's functions that the notebook used."""
    found = result.diagnosis
    if found is None:
        return []
    parts = ["<h2>The diagnosis</h2>"]
    if found.problem:
        return [*parts, f"<p>{escape(found.problem)}.</p>"]
    rows = []
    for record in found.records:
        name = record["function"]
        cells = (
            found.touched(name) if name in found.wrong else ", ".join(map(str, found.cells[name]))
        )
        causes = record["causes"] or [{"says": record["reason"], "worst": "", "line": None}]
        for cause in causes:
            line = str(cause["line"] or record["line"] or "-")
            rows.append(
                [record["function"], cells, record["verdict"], cause["says"], cause["worst"], line]
            )
    head = [
        "function",
        "cells",
        "verdict",
        "what is probably wrong",
        "worst",
        "line",
    ]
    return [*parts, _table(head, rows, bad=WRONG)]


def _table(head: list[str], rows: list[list[str]], bad: str = "\0") -> str:
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    for row in rows:
        cells = "".join(
            f'<td class="bad">{escape(cell)}</td>' if cell == bad else f"<td>{escape(cell)}</td>"
            for cell in row
        )
        lines.append(f"<tr>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _outputs(result: NotebookResult) -> list[str]:
    parts = []
    for done in result.cells:
        cell = result.notebook.cells[done.number]
        shown_outputs = "".join(_shown(cell.outputs))
        parts.append(
            f"<details{' open' if shown_outputs else ''}><summary>Cell {done.number}</summary>"
            f"<pre>{escape(cell.source)}</pre></details>{shown_outputs}"
        )
    return parts


def _shown(outputs: Sequence[Any]) -> Iterator[str]:
    """Show the outputs of a cell; what the kernel sent of one stream in several pieces is one text."""
    for stream, pieces in groupby(outputs, lambda output: output.get("name", "")):
        if stream:
            yield f"<pre>{escape(''.join(_text(piece.text) for piece in pieces))}</pre>"
        else:
            yield from map(_output, pieces)


def _output(output: Any) -> str:
    if output.output_type == "error":
        return f'<pre class="bad">{escape(f"{output.ename}: {output.evalue}")}</pre>'
    data = output.get("data", {})
    picture = _text(data.get("image/png", ""))
    if picture and _BASE64.fullmatch(picture):
        return f'<p><img alt="figure" src="data:image/png;base64,{"".join(picture.split())}"></p>'
    return f"<pre>{escape(_text(data.get('text/plain', '')))}</pre>"


def _text(text: Any) -> str:
    return text if isinstance(text, str) else "".join(text)
