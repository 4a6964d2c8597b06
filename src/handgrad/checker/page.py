"""A report as one HTML page that opens offline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from handgrad.checker.heat import maps
from handgrad.checker.records import Report
from handgrad.html import POLICY

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; color: #222 }
table { border-collapse: collapse }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }
.right { color: #137333 } .WRONG { color: #b3261e; font-weight: 600 } code { font-size: .9em }
.heat td { width: 14px; height: 14px; padding: 0; border: 1px solid #fff } .heat { margin: .2rem 0 .8rem }
section { border-top: 1px solid #ddd; margin-top: 1.5rem } small { color: #555 }
"""


def records_of(report: Report) -> list[dict[str, Any]]:
    """Return the verdicts as plain records, with the maps of their errors."""
    return [{**verdict.as_dict(), "maps": maps(verdict)} for verdict in report.verdicts]


def page(title: str, records: Sequence[dict[str, Any]]) -> str:
    """Return the page; everything that comes from the checked code is escaped."""
    rows = "".join(_row(record) for record in records)
    details = "".join(_details(record) for record in records if record["causes"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(title)}</title>"
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<table><tr><th>function<th>verdict<th>what</tr>{rows}</table>{details}</body></html>\n"
    )


def _row(record: dict[str, Any]) -> str:
    causes = record["causes"]
    what = causes[0]["says"] if causes else record["reason"] or _errors(record["errors"])
    verdict = escape(record["verdict"])
    name = f"<code>{escape(record['function'])}</code>"
    return f'<tr><td>{name}<td class="{verdict}">{verdict}<td>{escape(what)}</tr>'


def _errors(errors: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} {error:.0e}" if isinstance(error, float) else f"{key} {error}"
        for key, error in errors.items()
    )


def _details(record: dict[str, Any]) -> str:
    place = f"{record['file']}:{record['line']}" if record["file"] else ""
    parts = [
        f"<section><h2><code>{escape(record['function'])}</code></h2><small>{escape(place)}</small><ul>"
    ]
    for cause in record["causes"]:
        line = f" <small>line {int(cause['line'])}</small>" if cause["line"] else ""
        parts.append(
            f"<li>{escape(cause['says'])}<br><code>{escape(cause['worst'])}</code>{line}</li>"
        )
    parts.append("</ul>")
    parts += [_heat(one) for one in record.get("maps", ())]
    return "".join(parts) + "</section>"


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
