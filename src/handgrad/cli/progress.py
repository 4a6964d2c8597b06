"""Bars for long work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def data_progress() -> Iterator[None]:
    """Show how far the reading of data has come, on the error stream, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from handgrad.data.progress import told

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        with told(tell):
            yield
