"""What ``handgrad data check`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from handgrad.cli.show import line

if TYPE_CHECKING:
    from handgrad.data.checking import DataCheck

MOST = 30  # classes that are printed


def show_check(console: Console, check: DataCheck) -> None:
    """Print facts, classes and findings."""
    for name, value in check.facts.items():
        line(console, f"{name}: {value}")
    if check.classes:
        parts = list(next(iter(check.classes.values())))
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("class")
        for part in (*parts, "all"):
            table.add_column(part, justify="right")
        for name, counts in list(check.classes.items())[:MOST]:
            cells = [f"{counts[part]:,}" for part in parts]
            table.add_row(Text(name), *cells, f"{sum(counts.values()):,}")
        console.print(table)
        if len(check.classes) > MOST:
            line(console, f"and {len(check.classes) - MOST} classes more")
    if not check.findings:
        line(console, "Nothing was found.")
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_lines=True)
    for column in ("", "finding", "what to do"):
        table.add_column(column, overflow="fold")
    for finding in check.findings:
        text = Text(f"{finding.title}: {finding.text}")
        table.add_row(finding.level, text, Text(finding.advice))
    console.print(table)
