"""Several studies as one HTML page that opens offline, and as a table in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from handgrad.experiments.study import Results
from handgrad.files import atomic_write
from handgrad.report.page import document, picture, table

_STYLE = """
details { margin: .6rem 0; } summary { cursor: pointer; } nav a { margin-right: 1rem; }
td, th { padding-right: 1.6rem; }
"""

Columns = Mapping[str, Callable[[Mapping[str, Any]], str]]


def trial_rows(results: Mapping[str, Any], columns: Columns) -> list[list[str]]:
    """Return the table of a study: a row of headings, and a row of texts for the seeds of each trial."""
    shown = {"trial": lambda group: group["name"], "seeds": _seeds, **columns}
    groups = Results(results["trials"]).groups()
    rows = [[cell(group) for cell in shown.values()] for group in groups]
    kept = [i for i in range(len(shown)) if any(row[i] for row in rows)]
    return [[row[i] for i in kept] for row in [list(shown), *rows]]


def _seeds(group: Mapping[str, Any]) -> str:
    number = len(group["records"])
    return str(number) if number > 1 else ""


def write_page(path: Path, studies: Sequence[tuple[Mapping[str, Any], Columns, bytes]]) -> None:
    """Write the page of `studies`: the content of ``results.json``, the columns, and the figure."""
    links = "".join(
        f'<a href="#{escape(results["study"])}">{escape(results["title"])}</a>'
        for results, _, _ in studies
    )
    parts = ["<h1>Studies</h1>", f"<nav>{links}</nav>"]
    for results, columns, png in studies:
        title = escape(results["title"])
        rows = trial_rows(results, columns)
        parts += [
            f'<section id="{escape(results["study"])}"><h2>{title}</h2>',
            f"<p>{escape(' '.join(results['sentences']))}</p>",
            f'<img alt="{title}" src="{picture(png)}">',
            f"<details><summary>The {len(results['trials'])} trials</summary>{_html(rows)}</details>",
            f"<details><summary>Provenance</summary>{table(results['provenance'])}"
            f"<p>After: {escape(results['source'])}.</p></details></section>",
        ]
    atomic_write(path, document("Studies", parts, _STYLE).encode())


def markdown(studies: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of studies and what their sentences say, with its provenance below."""
    lines = ["| study | data | seed | what came out |", "|---|---|---|---|"]
    for results in studies:
        data, seed = (results["provenance"][key] for key in ("data set", "seed"))
        lines.append(f"| {results['study']} | {data} | {seed} | {' '.join(results['sentences'])} |")
    origins = {
        ", ".join(
            f"{key} {results['provenance'][key]}" for key in ("handgrad", "numpy", "cpu", "date")
        )
        for results in studies
    }
    return "\n".join([*lines, "", *(f"Computed with {origin}." for origin in sorted(origins))])


def _html(rows: Sequence[Sequence[str]]) -> str:
    body = "".join(
        f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in row)}</tr>"
        for tag, row in zip(["th"] + ["td"] * (len(rows) - 1), rows, strict=True)
    )
    return f"<table>{body}</table>"
