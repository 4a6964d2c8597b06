"""The table of the README, from the JSON files that ``handgrad bench --json`` wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from handgrad.bench.measure import geometric_mean, number
from handgrad.errors import DataError

Report = Mapping[str, Any]
OF_USE = (21, 22, 23)  # rows that are timed beside others than PyTorch


def read_report(path: Path) -> Report:
    """Return what a file of results holds; DataError if it is none."""
    try:
        report = json.loads(path.read_bytes())
        rows = report["results"], report["machine"]["cpu"], report["threads"], report["date"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no file of results of `handgrad bench --json`") from error
    if not rows[0]:
        raise DataError(f"{path} holds no results")
    return report


def table(reports: Sequence[Report]) -> str:
    """Return the results in Markdown, a line for each row of the benchmark.

    Of a row with several cases the line says the geometric mean of the ratios, and the smallest.  Of
    a row in several reports the last counts.
    """
    rows: dict[int, list[Any]] = {}
    for report in reports:
        for number_of_row in {result["row"] for result in report["results"]}:
            rows[number_of_row] = [r for r in report["results"] if r["row"] == number_of_row]
    lines = [
        "| | | Handgrad | PyTorch float32 | ratio | PyTorch bf16 | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    own = [row for row in sorted(rows) if row in OF_USE]
    lines += [_line(row, rows[row]) for row in sorted(rows) if row not in own]
    if own:
        head = ["| | | Handgrad | beside it | ratio |", "|---|---|---|---|---|"]
        lines = [*lines, "", *head] if len(lines) > 2 else head
        lines += [line for row in own for line in _lines_of_use(row, rows[row])]
    return "\n".join([*lines, "", *dict.fromkeys(map(_provenance, reports))])


def _lines_of_use(row: int, results: Sequence[Any]) -> Iterator[str]:
    """Yield a line for each library beside which a row of use was timed."""
    for result in results:
        ours = number(result["ours"]["median"], result["unit"])
        for peer in result["peers"]:
            theirs = number(peer["median"], result["unit"])
            yield (
                f"| {row} | {result['title']} | {ours} | {peer['name']} ({peer['setting']}) {theirs} "
                f"| {peer['ratio']:.2f} |"
            )


def _line(row: int, results: Sequence[Any]) -> str:
    cells = [str(row), results[0]["title"]]
    if len(results) == 1:
        cells.append(number(results[0]["ours"]["median"], results[0]["unit"]))
    else:
        cells.append(f"{len(results)} cases")
    for precision in ("float32", "bf16"):
        cells += _peer(results, f"PyTorch {precision}")
    return f"| {' | '.join(cells)} |"


def _peer(results: Sequence[Any], name: str) -> Iterator[str]:
    """Yield what PyTorch needs, and how many times as long that is."""
    peers = [
        (result, peer) for result in results for peer in result["peers"] if peer["name"] == name
    ]
    if not peers:
        yield from ("", "")
    elif len(results) == 1:
        ((result, peer),) = peers
        yield f"{number(peer['median'], result['unit'])} ({peer['setting']})"
        yield f"{peer['ratio']:.2f}"
    else:
        ratios = [peer["ratio"] for _, peer in peers]
        yield ""
        yield f"{geometric_mean(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _provenance(report: Report) -> str:
    machine, peer = report["machine"], report.get("peer") or {}
    versions = machine["versions"]
    said = [f"{machine['cpu']}, {machine['cores']} cores, {report['threads']} threads a side"]
    if report.get("isa"):
        said.append(f"both sides limited to {report['isa'].upper()}")
    said.append(f"Handgrad {versions['handgrad']}, NumPy {versions['numpy']}")
    if "torch" in peer:
        said.append(f"PyTorch {peer['torch']}")
    said.append(f"data: {machine['data']}")
    said.append(report["date"][:10] + (", a quick trial" if report.get("quick") else ""))
    return ". ".join(f"{one[0].upper()}{one[1:]}" for one in said) + "."
