"""One HTML page about data, from what the data check found."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from handgrad.files import atomic_write
from handgrad.html import prose
from handgrad.report.page import document, table

STYLE = """
.finding { border: 1px solid var(--line); border-left: .4rem solid #999; border-radius: .4rem;
           padding: .4rem 1rem; margin: .6rem 0; }
.finding.serious { border-left-color: #b3261e; } .finding.look { border-left-color: #b26a00; }
.finding h3 { margin: .2rem 0; } .finding p { margin: .2rem 0; }
.finding .advice { color: var(--advice); }
.pictures { display: flex; flex-wrap: wrap; gap: .6rem; margin: .5rem 0; padding: 0; list-style: none; }
.pictures li { max-width: 9rem; font-size: .75rem; overflow-wrap: anywhere; }
.pictures img { width: 6rem; image-rendering: pixelated; display: block; }
details { margin: .3rem 0; font-size: .9rem; overflow-wrap: anywhere; }
.bar { background: #4477aa; height: .8rem; }
"""
MEANING = {
    "serious": "Serious: the result would be wrong, or there would be none",
    "look": "To be looked at",
    "note": "Good to know",
}


def write_data_page(path: Path, check: Mapping[str, Any], pictures: Sequence[Any] = ()) -> Path:
    """Write the page of a data check to `path`; return it.

    Args:
        path: the file.
        check: what `DataCheck.to_dict` returns.
        pictures: for each finding its pairs (text, image (C, H, W) uint8).
    """
    atomic_write(path, data_page(check, pictures).encode(errors="replace"))
    return path


def data_page(check: Mapping[str, Any], pictures: Sequence[Any] = ()) -> str:
    """Return the page as text."""
    title = escape(f"Data check: {check['name']}")
    findings = check["findings"]
    counts = {level: sum(f["level"] == level for f in findings) for level in MEANING}
    parts = [
        f"<h1>{title}</h1>",
        '<ul class="numbers">'
        + "".join(
            f"<li><b>{counts[k]}</b>{escape(MEANING[k].partition(':')[0])}</li>" for k in counts
        )
        + "</ul>",
        table(check["facts"]),
    ]
    for level, meaning in MEANING.items():
        chosen = [k for k, finding in enumerate(findings) if finding["level"] == level]
        if chosen:
            parts.append(f"<h2>{escape(meaning)}</h2>")
            shown = [
                _finding(findings[k], pictures[k] if k < len(pictures) else ()) for k in chosen
            ]
            parts += shown
    if not findings:
        parts.append("<p>Nothing was found.</p>")
    if check["classes"]:
        parts.append(f"<h2>Classes</h2>{_classes(check['classes'])}")
    if check["columns"]:
        parts.append(f"<h2>Columns</h2>{_columns(check['columns'])}")
    return document(title, parts, STYLE)


def _finding(finding: Mapping[str, Any], pictures: Sequence[Any]) -> str:
    rows = "".join(f"<li>{escape(row)}</li>" for row in finding["rows"])
    named = f"<details><summary>Which</summary><ul>{rows}</ul></details>" if rows else ""
    images = "".join(
        f'<li><img alt="{escape(str(text))}" src="{_picture(image)}">{escape(str(text))}</li>'
        for text, image in pictures
    )
    shown = f'<ul class="pictures">{images}</ul>' if images else ""
    return (
        f'<div class="finding {escape(finding["level"])}"><h3>{escape(finding["title"])}</h3>'
        f'<p>{prose(finding["text"])}</p><p class="advice">What to do: {prose(finding["advice"])}.</p>'
        f"{named}{shown}</div>"
    )


def _picture(image: np.ndarray) -> str:
    from PIL import Image

    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        pixels = (pixels // 257).astype(np.uint8)
    pixels = pixels[:3] if len(pixels) >= 3 else pixels[:1]
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)).squeeze()).save(buffer, "png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _classes(classes: Mapping[str, Mapping[str, int]]) -> str:
    parts = list(next(iter(classes.values())))
    most = max(sum(counts.values()) for counts in classes.values()) or 1
    head = "".join(f'<th class="number">{escape(part)}</th>' for part in parts)
    rows = ""
    for name, counts in classes.items():
        cells = "".join(f'<td class="number">{counts[part]:,}</td>' for part in parts)
        total = sum(counts.values())
        bar = (
            f'<td><div class="bar" style="width: {max(1, round(160 * total / most))}px"></div></td>'
        )
        rows += f'<tr><td>{escape(name)}</td>{cells}<td class="number">{total:,}</td>{bar}</tr>'
    return f'<table><tr><th>class</th>{head}<th class="number">all</th><th></th></tr>{rows}</table>'


def _columns(columns: Sequence[Mapping[str, str]]) -> str:
    names = list(columns[0])
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(column[name])}</td>" for name in names) + "</tr>"
        for column in columns
    )
    return f"<table><tr>{head}</tr>{rows}</table>"
