"""The report of a run as one HTML page: the verdict, the cells, and what each printed and drew."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Any

from handgrad.checker.records import WRONG
from handgrad.courses.notebook.results import (
    FAILED,
    FOLLOWS,
    OPEN,
    OUTSIDE,
    PASSED,
    RAN,
    SOLVED,
    STATES,
    WAITS,
    NotebookResult,
)
from handgrad.courses.notebook.verdict import BROKEN, MEANINGS, shown
from handgrad.html import POLICY
from handgrad.report.page import CSS

_MORE = """
.bad { color: #b00020; font-weight: bold; } .good { color: #1b6e33; font-weight: bold; }
.word { font-size: 1.6rem; margin: .2rem 0; } details { margin: .4rem 0; }
main { display: block; } summary { cursor: pointer; } .wide { overflow-x: auto; }
h1, p, dd, li { overflow-wrap: anywhere; } pre { overflow-x: auto; } img { max-width: 100%; height: auto; }
td { overflow-wrap: anywhere; } td.whole, th { white-space: nowrap; overflow-wrap: normal; }
@media (max-width: 600px) { body { padding: .8rem; } table { font-size: .8rem; }
  td, th { padding-right: .5rem; } dl { display: block; } dd { margin-bottom: .4rem; } }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem .8rem; font-size: .9rem; }
dt { font-weight: bold; } dd { margin: 0; }
"""
_FIGURE = re.compile(r"[-+\d.e… ]+(?: s)?|-?(?:nan|inf)")
_INSIDE = re.compile(r" \([^()]*handgrad[^()]*\.py\)")  # a path into the library
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]+")


def report_page(result: NotebookResult) -> str:
    """Return the report of `result`: one page that opens offline and runs nothing."""
    title = escape(result.path.name)
    good = result.is_good and not result.stopped
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="word {"good" if good else "bad"}">{result.word}</p>',
        f"<p>Course profile {escape(result.choice.profile)}: {escape(result.choice.why)}.</p>",
    ]
    if result.stopped:
        parts.append(f'<p class="bad">Stopped: {escape(result.stopped)}</p>')
    parts += [
        f"<p>{escape(summary(result))}</p>",
        "<h2>The verdict</h2>",
        _verdict_table(result),
        _legend(result),
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
    """Return the outcome in one sentence, which names only what there is."""
    judged = sum(finding.judged for finding in result.findings)
    broken = len(result.broken)
    counts = (
        (result.count(RAN, SOLVED), "ran", "ran"),
        (result.count(PASSED), "passed", "passed"),
        (result.count(OPEN), "open exercise", "open exercises"),
        (result.count(WAITS), "waits for an exercise", "wait for an exercise"),
        (result.count(OUTSIDE), "needs what is outside", "need what is outside"),
        (len(result.failed), "failed", "failed"),
        (result.count(FOLLOWS), "follows from a failure", "follow from a failure"),
    )
    cells = ", ".join(f"{n} {one if n == 1 else many}" for n, one, many in counts if n)
    text = (
        f"{len(result.cells)} code {'cell' if len(result.cells) == 1 else 'cells'} in "
        f"{result.seconds:.1f} s: {cells or 'nothing ran'}; "
        f"{judged or 'no'} {'bound' if judged == 1 else 'bounds'} checked"
    )
    text += f", {broken or 'none'} broken" if judged else ""
    if result.seconds_then:
        text += f"; the file notes {result.seconds_then:.1f} s for its own run"
    return text


def unjudged(result: NotebookResult) -> str:
    """Return why no figure was judged or compared, "" if one was."""
    if any(finding.judged or (finding.then and finding.now) for finding in result.findings):
        return ""
    if not result.states_bound and not result.holds_output:
        return "The notebook states no bound and holds no earlier output: nothing to judge."
    why = [
        f"{n} {word}"
        for n, word in (
            (len(result.failed) + result.count(FOLLOWS), "failed"),
            (result.count(OUTSIDE), "need what is outside of Handgrad"),
            (result.count(WAITS, OPEN), "open or waiting for an exercise"),
        )
        if n
    ]
    cells = f" (cells: {', '.join(why)})" if why else ""
    return (
        f"No figure could be judged: none was printed that has a bound or an earlier value{cells}."
    )


def legend(result: NotebookResult) -> list[tuple[str, str]]:
    """Return the verdicts and states that occur in `result`, each with what it means."""
    verdicts = {finding.verdict for finding in result.findings}
    states = {cell.state for cell in result.cells}
    return [
        *((word, text) for word, text in MEANINGS.items() if word in verdicts),
        *((word, text) for word, text in STATES.items() if word in states),
    ]


def _legend(result: NotebookResult) -> str:
    words = legend(result)
    if not words:
        return ""
    rows = "".join(f"<dt>{escape(word)}</dt><dd>{escape(text)}</dd>" for word, text in words)
    return f"<dl>{rows}</dl>"


def _verdict_table(result: NotebookResult) -> str:
    if not result.findings:
        return f"<p>{escape(unjudged(result))}</p>"
    rows = [
        [str(f.cell), f.quantity, f.verdict or "-", shown(f.now), f.bound or "-", shown(f.then)]
        for f in result.findings
    ]
    head = ["cell", "quantity", "verdict", "printed now", "bound", "printed then"]
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
    lines += ["<tr>" + "".join(_cell(cell, bad) for cell in row) + "</tr>" for row in rows]
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _cell(text: str, bad: str) -> str:
    """Return one cell; a number, a time or a verdict is never broken over two lines."""
    kinds = ["bad"] if text == bad else []
    if text == bad or text in STATES or text in MEANINGS or _FIGURE.fullmatch(text):
        kinds.append("whole")
    marked = f' class="{" ".join(kinds)}"' if kinds else ""
    return f"<td{marked}>{escape(text)}</td>"


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
        said = _INSIDE.sub("", f"{output.ename}: {output.evalue}")
        return f'<pre class="bad">{escape(said)}</pre>'
    data = output.get("data", {})
    picture = _text(data.get("image/png", ""))
    if picture and _BASE64.fullmatch(picture):
        return f'<p><img alt="figure" src="data:image/png;base64,{"".join(picture.split())}"></p>'
    return f"<pre>{escape(_text(data.get('text/plain', '')))}</pre>"


def _text(text: Any) -> str:
    return text if isinstance(text, str) else "".join(text)
